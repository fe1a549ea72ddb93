/*
 * qcow2 images. The files are made here, field by field; that qemu-img's own can be read is checked
 * if it is installed.
 * needs: core/disk_image.c lib/printf.c lib/text.c
 */
#include "disk_rig.h"

static void put32(uint64_t at, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(file + at, &v, 4);
}

static void put64(uint64_t at, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(file + at, &v, 8);
}

#define BITS	     9u /* 64 entries in an L2 table: each is for 32 KiB */
#define CLUSTER	     512u
#define L1	     (1 * CLUSTER)
#define L2	     (2 * CLUSTER)
#define SIZE	     (3 * 64 * CLUSTER - 700)
#define COPIED	     (1ull << 63)
#define SIZE_SECTORS ((SIZE + 511) / 512)

/* A file of 8 clusters: header, L1 of three entries of which the first is used, L2, data from 4 on.
 */
static void qcow2_make(uint32_t version)
{
	memset(file_make(8 * CLUSTER), 0, 8 * CLUSTER);
	put32(0, 0x514649fb);
	put32(4, version);
	put32(20, BITS);
	put64(24, SIZE);
	put32(36, 3);
	put64(40, L1);
	if (version == 3) {
		put32(96, 4);
		put32(100, 104);
	}
	put64(L1, L2 | COPIED);
	for (unsigned n = 4; n < 8; n++)
		memset(file + n * CLUSTER, (int)(0xa0 + n), CLUSTER);
	put64(L2 + 8 * 0, 4 * CLUSTER | COPIED);
	put64(L2 + 8 * 2, 6 * CLUSTER);
	put64(L2 + 8 * 3, 5 * CLUSTER | COPIED);
	put64(L2 + 8 * 63, 7 * CLUSTER | COPIED);
}

static void test_qcow2_finds_its_clusters(void **state)
{
	uint8_t p[3 * CLUSTER];

	(void)state;
	for (uint32_t version = 2; version <= 3; version++) {
		qcow2_make(version);
		expect_good(0, (SIZE + 511) / 512);
		assert_int_equal(image.kind, DISK_IMAGE_QCOW2);
		expect_bytes(0, 0xa4, CLUSTER);
		expect_bytes(CLUSTER, 0, CLUSTER);
		expect_bytes(2 * CLUSTER, 0xa6, CLUSTER);
		expect_bytes(3 * CLUSTER, 0xa5, CLUSTER);
		expect_bytes(4 * CLUSTER, 0, 59 * CLUSTER);
		expect_bytes(63 * CLUSTER, 0xa7, CLUSTER);
		expect_bytes(64 * CLUSTER, 0, image.sectors * 512 - 64 * CLUSTER);
		assert_int_equal(disk_image_read(&image, 100, sizeof(p), p), OK);
		assert_int_equal(p[411], 0xa4);
		assert_int_equal(p[412], 0);
		assert_int_equal(p[2 * CLUSTER - 101], 0);
		assert_int_equal(p[2 * CLUSTER - 100], 0xa6);
		assert_int_equal(p[3 * CLUSTER - 100], 0xa5);
		assert_false(disk_image_is_zero(&image, CLUSTER, CLUSTER + 1));
	}
}

static void test_qcow2_of_another_size_than_declared(void **state)
{
	(void)state;
	qcow2_make(3);
	put64(24, 64 * CLUSTER);
	expect_good(1 << 20, 2048);
	expect_bytes(63 * CLUSTER, 0xa7, CLUSTER);
	expect_bytes(64 * CLUSTER, 0, (1 << 20) - 64 * CLUSTER);
	expect_bad(63 * CLUSTER, E_INVAL, "(32256 bytes), its image has 32 KiB (32768 bytes)");
}

static void test_qcow2_looks_at_the_disks_clusters_only(void **state)
{
	(void)state;
	qcow2_make(3);
	put64(24, 70 * CLUSTER); /* the last 58 entries of the second table are beyond it */
	put64(L1 + 8, 3 * CLUSTER);
	memset(file + 3 * CLUSTER, 0, CLUSTER);
	put64(3 * CLUSTER + 8 * 6, 1 << 20);
	expect_good(0, 70);
	put64(3 * CLUSTER + 8 * 5, 1 << 20);
	expect_bad(0, E_INVAL, "byte 35328 of the disk");
	put64(24, 69 * CLUSTER);
	expect_good(0, 69);
	put64(24, 69 * CLUSTER + 1);
	expect_bad(0, E_INVAL, "byte 35328 of the disk");
	/* In the first table the first cluster alone. */
	put64(24, 1);
	put64(L2 + 8, 1 << 20);
	expect_good(0, 1);
	put64(L2, 1 << 20);
	expect_bad(0, E_INVAL, "byte 0 of the disk");
}

static void test_qcow2_needs_as_much_of_l1_as_the_disk_has(void **state)
{
	(void)state;
	qcow2_make(3);
	put32(36, 1);
	put64(24, 64 * CLUSTER);
	expect_good(0, 64);
	put64(24, 64 * CLUSTER + 1);
	expect_bad(0, E_INVAL, "L1 table of 1 entries, not 2");
	put32(36, 2);
	expect_good(0, 65);
}

static void test_qcow2_within_a_cluster(void **state)
{
	uint8_t p[CLUSTER];

	(void)state;
	qcow2_make(3);
	for (unsigned n = 0; n < CLUSTER; n++)
		file[4 * CLUSTER + n] = (uint8_t)(n * 3 / 2);
	expect_good(0, SIZE_SECTORS);
	for (unsigned at = 0; at < CLUSTER; at++) {
		assert_int_equal(disk_image_read(&image, at, CLUSTER - at, p), OK);
		assert_memory_equal(p, file + 4 * CLUSTER + at, CLUSTER - at);
	}
}

static void test_qcow2_zero_flag(void **state)
{
	(void)state;
	qcow2_make(3);
	put64(L2 + 8 * 2, 6 * CLUSTER | 1);
	put64(L2 + 8 * 4, 1);
	expect_good(0, SIZE_SECTORS);
	expect_bytes(2 * CLUSTER, 0, CLUSTER);
	expect_bytes(4 * CLUSTER, 0, CLUSTER);
	put32(4, 2); /* where the bit has no meaning */
	expect_bad(0, E_INVAL, "byte 1024 ");
}

static void test_qcow2_cut_in_its_last_cluster(void **state)
{
	(void)state;
	qcow2_make(3);
	file = realloc(file, 7 * CLUSTER + 10);
	file_len = 7 * CLUSTER + 10;
	expect_good(0, SIZE_SECTORS);
	expect_bytes(63 * CLUSTER, 0xa7, 10);
	expect_bytes(63 * CLUSTER + 10, 0, CLUSTER - 10);
	expect_bytes(63 * CLUSTER + 20, 0, 10);
	file = realloc(file, 7 * CLUSTER);
	file_len = 7 * CLUSTER;
	expect_bad(0, E_INVAL, "byte 32256 of the disk is not in the file (is it cut off?)");
}

static void test_qcow2_features_that_are_refused(void **state)
{
	static const struct {
		uint64_t bits;
		const char *text;
	} feature[] = {
		{1, "not closed cleanly"}, {2, "corrupt"},	{4, "another file"},
		{8, "compression"},	   {16, "extended L2"}, {32, "bit 5"},
		{1ull << 63, "bit 63"},	   {0x30, "extended"},
	};

	(void)state;
	for (unsigned n = 0; n < array_count(feature); n++) {
		qcow2_make(3);
		put64(72, feature[n].bits);
		expect_bad(0, E_NOSYS, feature[n].text);
		put64(72, 0);
		put64(80, ~0ull); /* compatible ones may be ignored, autoclear ones too */
		put64(88, ~0ull);
		expect_good(0, SIZE_SECTORS);
	}
	qcow2_make(2);
	put64(72, ~0ull); /* version 2 has no such field */
	expect_good(0, SIZE_SECTORS);
	put64(8, 0x1000);
	expect_bad(0, E_NOSYS, "backing file");
	qcow2_make(2);
	put32(32, 2);
	expect_bad(0, E_NOSYS, "encrypted (method 2)");
	qcow2_make(2);
	put64(L2 + 8 * 5, 1ull << 62 | 0x1234);
	expect_bad(0, E_NOSYS, "compressed");
	qcow2_make(4);
	expect_bad(0, E_NOSYS, "version 4");
	put32(4, 1);
	expect_bad(0, E_NOSYS, "version 1");
}

static void test_qcow2_headers_that_lie(void **state)
{
	(void)state;
	qcow2_make(3);
	put32(20, 8);
	expect_bad(0, E_INVAL, "2^8");
	put32(20, 22);
	expect_bad(0, E_INVAL, "2^22");
	put32(20, UINT32_MAX);
	expect_bad(0, E_INVAL, "2^4294967295");
	qcow2_make(3);
	put64(24, 0);
	expect_bad(0, E_INVAL, "a disk of 0 bytes");
	put64(24, DISK_SIZE_MAX + 1);
	expect_bad(0, E_INVAL, "at most 128 GiB");
	put64(24, UINT64_MAX);
	expect_bad(0, E_INVAL, "at most 128 GiB");
	put64(24, DISK_SIZE_MAX);
	put32(36, (uint32_t)(DISK_SIZE_MAX / 32768));
	expect_bad(0, E_INVAL, "L1 table is not in the file");
	qcow2_make(3);
	put32(36, 2);
	expect_bad(0, E_INVAL, "L1 table of 2 entries, not 3");
	put32(36, UINT32_MAX); /* what is not needed need not be there */
	expect_good(0, SIZE_SECTORS);
	put64(40, L1 + 8);
	expect_bad(0, E_INVAL, "L1 table is not in the file");
	put64(40, 8 * CLUSTER);
	expect_bad(0, E_INVAL, "L1 table is not in the file");
	put64(40, 0ull - CLUSTER);
	expect_bad(0, E_INVAL, "L1 table is not in the file");
}

static void test_qcow2_tables_that_lie(void **state)
{
	static const uint64_t entry[] = {
		8 * CLUSTER, /* at the end of the file */
		9 * CLUSTER, /* and behind it */
		L2 + 0x100,  /* in mid cluster, by a reserved bit */
		L2 | 1,	     /* reserved bits */
		L2 | 1ull << 56, L2 | 1ull << 61, 0x00fffffffffffe00,
	};

	(void)state;
	for (unsigned n = 0; n < array_count(entry); n++) {
		qcow2_make(2);
		put64(L1, entry[n]);
		expect_bad(0, E_INVAL, "byte 0 of the disk is not in the file");
		qcow2_make(2);
		put64(L1 + 8, entry[n]);
		expect_bad(0, E_INVAL, "byte 32768 of the disk is not in the file");
		qcow2_make(2);
		put64(L2 + 8 * 7, entry[n]);
		expect_bad(0, E_INVAL, "byte 3584 of the disk is not in the file");
	}
	/* With larger clusters there are more offsets that lie in the middle of one. */
	qcow2_make(3);
	put32(20, 10);
	put64(40, 2 * CLUSTER);
	memset(file + 2 * CLUSTER, 0, 2 * CLUSTER);
	expect_good(0, SIZE_SECTORS);
	put64(2 * CLUSTER, 5 * CLUSTER);
	expect_bad(0, E_INVAL, "byte 0 of the disk");
	/* A table that the file's end cuts. */
	file_len = 7 * CLUSTER;
	put64(2 * CLUSTER, 6 * CLUSTER);
	expect_bad(0, E_INVAL, "byte 0 of the disk");
}

static void test_qcow2_files_that_end_early(void **state)
{
	(void)state;
	for (unsigned version = 2; version <= 3; version++) {
		for (uint64_t len = 0; len <= 7 * CLUSTER; len++) {
			qcow2_make(version);
			file = realloc(file, len ? len : 1);
			file_len = len;
			if (len == 0)
				expect_bad(0, E_INVAL, "blank");
			else if (len < 4)
				expect_good(0, 1);
			else if (len < (version == 3 ? 104 : 72))
				expect_bad(0, E_INVAL, "within its header");
			else
				expect_bad(0, E_INVAL, "not in the file (is it cut off?)");
		}
	}
}

/* The tables are looked at each time: nothing is believed because it was right once. */
static void test_qcow2_that_changes_later(void **state)
{
	uint8_t p[CLUSTER];

	(void)state;
	qcow2_make(3);
	expect_good(0, SIZE_SECTORS);
	put64(L2, 8 * CLUSTER);
	assert_int_equal(disk_image_read(&image, 0, CLUSTER, p), E_IO);
	assert_false(disk_image_is_zero(&image, 0, CLUSTER));
	put64(L2, 1ull << 62);
	assert_int_equal(disk_image_read(&image, 0, CLUSTER, p), E_IO);
	put64(L2, 7 * CLUSTER + 256);
	assert_int_equal(disk_image_read(&image, 0, CLUSTER, p), E_IO);
	put64(L1, 0x00fffffffffffe00);
	assert_int_equal(disk_image_read(&image, 0, CLUSTER, p), E_IO);
	assert_int_equal(disk_image_read(&image, 64 * CLUSTER, CLUSTER, p), OK);
	image.len = L1 + 15;
	assert_int_equal(disk_image_read(&image, 64 * CLUSTER, CLUSTER, p), E_IO);
	image.len = L1 + 16;
	assert_int_equal(disk_image_read(&image, 64 * CLUSTER, CLUSTER, p), OK);
}

/* As qemu-img leaves an empty image: the L1 table is last, and as short as it can be. */
static void test_qcow2_that_ends_with_its_l1_table(void **state)
{
	(void)state;
	qcow2_make(3);
	put64(L1, 0);
	file = realloc(file, L1 + 24);
	file_len = L1 + 24;
	expect_good(0, SIZE_SECTORS);
	expect_bytes(0, 0, SIZE_SECTORS * 512);
}

static void test_qcow2_tables_used_twice(void **state)
{
	uint8_t table[CLUSTER];

	(void)state;
	qcow2_make(3);
	put64(L1 + 8, L2);
	put64(L1 + 16, L1); /* a table as its own table */
	expect_good(0, SIZE_SECTORS);
	expect_bytes(64 * CLUSTER, 0xa4, CLUSTER);
	assert_int_equal(disk_image_read(&image, 128 * CLUSTER, CLUSTER, table), OK);
	assert_memory_equal(table, file + L2, CLUSTER);
	assert_int_equal(disk_image_read(&image, 130 * CLUSTER, CLUSTER, table), OK);
	assert_memory_equal(table, file + L1, CLUSTER);
	/* More tables than the file can hold. */
	put64(24, 20 * 64 * CLUSTER);
	put32(36, 20);
	for (unsigned n = 0; n < 20; n++)
		put64(L1 + 8 * n, L2);
	expect_bad(0, E_INVAL, "overlap");
}

/* What qemu-img writes, with the bytes that it read. */
static void qemu_img(const char *options, uint64_t size, const char *refused)
{
	char dir[] = "/tmp/crvm-disk-XXXXXX", command[400];
	uint8_t *raw = calloc(1, size), *back = malloc(size);
	FILE *f;

	assert_non_null(mkdtemp(dir));
	for (uint64_t at = 0; at < size; at += at % 7 ? 3000 : 90000)
		memset(raw + at, (int)(at % 251), size - at < 1500 ? size - at : 1500);
	snprintf(command, sizeof(command), "%s/raw", dir);
	f = fopen(command, "w");
	assert_int_equal(fwrite(raw, 1, size, f), size);
	fclose(f);
	snprintf(command, sizeof(command),
		 "qemu-img convert -f raw -O qcow2 %s %s/raw %s/qcow2 && cd %s && cat qcow2 && "
		 "rm raw qcow2 && rmdir %s",
		 options, dir, dir, dir, dir);
	f = popen(command, "r");
	assert_non_null(f);
	file_make(4 * size + (1 << 21));
	file_len = fread(file, 1, file_len, f);
	assert_int_equal(pclose(f), 0);
	file = realloc(file, file_len);
	if (refused) {
		expect_bad(0, E_NOSYS, refused);
	} else {
		expect_good(0, (size + 511) / 512);
		assert_int_equal(image.kind, DISK_IMAGE_QCOW2);
		assert_int_equal(disk_image_read(&image, 0, size, back), OK);
		assert_memory_equal(back, raw, size);
	}
	free(raw);
	free(back);
}

static void test_files_of_qemu_img(void **state)
{
	(void)state;
	if (system("qemu-img --version >/dev/null 2>&1") != 0)
		skip();
	qemu_img("", 1 << 20, NULL);
	qemu_img("-o cluster_size=512", 3 << 20, NULL);
	qemu_img("-o cluster_size=4k", (3 << 20) + 512, NULL);
	qemu_img("-o cluster_size=2M", 5 << 20, NULL);
	qemu_img("-o compat=0.10,cluster_size=4k", 1 << 20, NULL);
	qemu_img("-o compat=1.1,lazy_refcounts=on,refcount_bits=1", 1 << 20, NULL);
	qemu_img("-o preallocation=metadata", 1 << 20, NULL);
	qemu_img("-c", 1 << 20, "compressed");
	qemu_img("-o extended_l2=on", 1 << 20, "extended L2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_qcow2_finds_its_clusters),
		t(test_qcow2_of_another_size_than_declared),
		t(test_qcow2_looks_at_the_disks_clusters_only),
		t(test_qcow2_needs_as_much_of_l1_as_the_disk_has),
		t(test_qcow2_within_a_cluster),
		t(test_qcow2_zero_flag),
		t(test_qcow2_cut_in_its_last_cluster),
		t(test_qcow2_features_that_are_refused),
		t(test_qcow2_headers_that_lie),
		t(test_qcow2_tables_that_lie),
		t(test_qcow2_files_that_end_early),
		t(test_qcow2_that_changes_later),
		t(test_qcow2_that_ends_with_its_l1_table),
		t(test_qcow2_tables_used_twice),
		t(test_files_of_qemu_img),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
