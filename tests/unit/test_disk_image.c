/*
 * Raw and blank disk images, and what is the same for all kinds.
 * needs: core/disk_image.c lib/printf.c lib/text.c
 */
#include "disk_rig.h"

static void test_blank(void **state)
{
	(void)state;
	teardown(NULL);
	file_len = 0;
	expect_good(1 << 20, 2048);
	assert_int_equal(image.kind, DISK_IMAGE_BLANK);
	expect_bytes(0, 0, 1 << 20);
	expect_good(DISK_SIZE_MAX, 1u << 28);
	expect_bytes(DISK_SIZE_MAX - 512, 0, 512);
	expect_bad(0, E_INVAL, "blank disk needs a size");
	expect_bad(DISK_SIZE_MAX + 512, E_INVAL, "at most 128 GiB");
	expect_bad(UINT64_MAX, E_INVAL, "at most 128 GiB");
	expect_bad(1000, E_INVAL, "1000 bytes");
}

static void test_raw(void **state)
{
	(void)state;
	memset(file_make(1024), 0x11, 1024);
	expect_good(0, 2);
	assert_int_equal(image.kind, DISK_IMAGE_RAW);
	expect_bytes(0, 0x11, 1024);
	expect_good(1024, 2);
	expect_good(4096, 8);
	expect_bytes(512, 0x11, 512);
	expect_bytes(1024, 0, 3072);
	expect_bad(512, E_INVAL,
		   "declared with 512 B (512 bytes), its image has 1 KiB (1024 bytes)");
	expect_bad(1025, E_INVAL, "1025 bytes");
}

static void test_raw_of_odd_length(void **state)
{
	uint8_t p[1024];

	(void)state;
	memset(file_make(700), 0x22, 700);
	expect_good(0, 2);
	expect_bytes(0, 0x22, 700);
	expect_bytes(700, 0, 324);
	assert_int_equal(disk_image_read(&image, 0, 1024, p), OK);
	assert_int_equal(p[699], 0x22);
	assert_int_equal(p[700], 0);
	assert_false(disk_image_is_zero(&image, 699, 2));
	expect_bad(512, E_INVAL, "(700 bytes)");
	file_make(1)[0] = 'Q';
	expect_good(0, 1);
	memcpy(file_make(3), "QFI", 3);
	expect_good(0, 1);
	assert_int_equal(image.kind, DISK_IMAGE_RAW);
}

static void test_zeros_are_found_where_they_are(void **state)
{
	(void)state;
	memset(file_make(4096), 0, 4096);
	expect_good(8192, 16);
	assert_true(disk_image_is_zero(&image, 0, 8192));
	for (unsigned at = 1000; at < 1040; at++) {
		file[at] = 0x80;
		assert_false(disk_image_is_zero(&image, 0, 8192));
		assert_false(disk_image_is_zero(&image, at, 1));
		assert_true(disk_image_is_zero(&image, 0, at));
		assert_true(disk_image_is_zero(&image, at + 1, 8191 - at));
		file[at] = 0;
	}
}

static void test_nothing_lies_beyond_the_end(void **state)
{
	uint8_t p[512];

	(void)state;
	memset(file_make(1024), 0x33, 1024);
	expect_good(0, 2);
	assert_int_equal(disk_image_read(&image, 1023, 1, p), OK);
	assert_int_equal(disk_image_read(&image, 1023, 2, p), E_FAULT);
	assert_int_equal(disk_image_read(&image, 1024, 0, p), OK);
	assert_int_equal(disk_image_read(&image, 1025, 0, p), E_FAULT);
	assert_int_equal(disk_image_read(&image, UINT64_MAX, 2, p), E_FAULT);
	assert_int_equal(disk_image_read(&image, 512, UINT64_MAX, p), E_FAULT);
	assert_false(disk_image_is_zero(&image, 1024, 1));
}

static void test_as_a_disk(void **state)
{
	struct disk disk;
	uint8_t p[512];

	(void)state;
	memset(file_make(1024), 0x44, 1024);
	file[512] = 0x55;
	expect_good(2048, 4);
	disk_image_disk(&image, &disk);
	assert_int_equal(disk.sectors, 4);
	assert_true(disk.readonly);
	assert_int_equal(disk.read(disk.ctx, 1, 1, p), OK);
	assert_int_equal(p[0], 0x55);
	assert_int_equal(p[511], 0x44);
	assert_int_equal(disk.write(disk.ctx, 1, 1, p), E_PERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_blank),
		t(test_raw),
		t(test_raw_of_odd_length),
		t(test_zeros_are_found_where_they_are),
		t(test_nothing_lies_beyond_the_end),
		t(test_as_a_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
