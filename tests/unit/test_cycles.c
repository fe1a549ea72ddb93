/*
 * VMs that come and go: a thousand made of configuration texts, some of them started, and creations
 * that fail for want of any frame. No frame may be lost, and none be given back as it was.
 * needs: core/vm_parts.c
 * needs: core/manage.c core/hypercall.c core/hypercall_manage.c core/hypercall_child.c core/child.c
 * needs: core/hypercall_shared.c core/shared.c
 * needs: core/child_run.c core/child_port.c core/vm.c core/vms.c core/vm_config.c core/vm_console.c
 * needs: core/config_keys.c core/config_check.c core/config_report.c core/config_modules.c
 * needs: core/pc.c core/pc_boot.c core/pc_disks.c core/disk_image.c core/disk_overlay.c
 * needs: core/load_elf.c core/load_multiboot.c core/load_multiboot_info.c core/sched.c core/fair.c
 * needs: core/run.c core/exits.c core/exits_cpu.c core/exits_cr.c core/exits_mem.c core/quick.c
 * needs: core/inject.c core/io_bus.c core/cpuid_policy.c core/msr_policy.c core/emulate.c
 * needs: core/emu_alu.c core/emu_fetch.c core/emu_mem.c core/emu_string.c core/decode.c
 * needs: core/gwalk.c core/string_io.c core/exit_stats.c core/trace.c
 * needs: core/shared.c core/hypercall_shared.c
 * needs: devices/debug.c devices/ide.c devices/ide_cmd.c devices/ide_data.c devices/ide_identify.c
 * needs: devices/kbc.c devices/keyboard.c devices/pic8259.c devices/pit8254.c devices/pit_counter.c
 * needs: devices/port92.c devices/printer.c devices/rtc.c devices/serial.c devices/testdev.c
 * needs: devices/vga.c mm/arena.c mm/frames.c mm/frames_region.c mm/gmem.c mm/hostmap.c lib/date.c
 * needs: lib/printf.c lib/ring.c lib/text.c tests/fake/backend.c tests/fake/backend_nested.c
 * needs: tests/fake/host_cpu.c tests/fake/panic.c tests/fake/spinlock.c
 */
#include "manage_rig.h"

#define CYCLES	1000u
#define AT_ONCE 12u

static uint64_t seed;

static int cycles_setup(void **state)
{
	seed = 0x5eed;
	rig_quiet(true);
	return rig_setup(state);
}

static int cycles_teardown(void **state)
{
	rig_quiet(false);
	return rig_teardown(state);
}

#define Y(name) cmocka_unit_test_setup_teardown(name, cycles_setup, cycles_teardown)

static unsigned random_below(unsigned n)
{
	return (unsigned)(fake_random(&seed) >> 33) % n;
}

/* Appends a section; one in four starts by itself, half of them have disks to write to, and some
 * share memory. */
static void section(char *text, size_t size, const char *name)
{
	static const char *const disks[] = {"", "", "disk0 = blank:1M\n",
					    "disk1 = k size=64K\ndisk3 = blank:8M\n"};
	static const char *const shares[] = {"", "", "", "shared = box:64K irq=5\n",
					     "shared = box:64K\nshared = bin:4K irq=5\n"};
	size_t n = strlen(text);

	snprintf(text + n, size - n,
		 "[vm %s]\nkernel = k\nboot = flat\nmemory = %uK\nautostart = %s\n%s%s%s", name,
		 64 + 4 * random_below(240), random_below(4) ? "no" : "yes",
		 random_below(2) ? "privileged = yes\n" : "", disks[random_below(4)],
		 shares[random_below(5)]);
}

static struct vm *one_more(const char *name)
{
	char text[512] = "";

	section(text, sizeof(text), name);
	assert_int_equal(make(text), 1);
	return manage_find(name);
}

/* Some of its life: pages of its disk, turns, other CPUs. */
static void live(struct vm *vm)
{
	uint8_t sector[512] = {1};

	if (!vm_is_on(vm) && random_below(2))
		assert_int_equal(manage_start(vm), OK);
	if (!vm_is_on(vm))
		return;
	for (unsigned i = 0; i < PC_DISK_COUNT; i++) {
		const struct pc_disk *d = vm->pc->disk[i];

		if (d)
			assert_int_equal(d->disk.write(d->disk.ctx, random_below(100), 1, sector),
					 OK);
	}
	if (random_below(2))
		assert_int_equal(manage_set_cpu(vm, random_below(RIG_CPUS)), OK);
	for (unsigned i = random_below(4); i-- > 0;)
		assert_true(turn(vm->vcpu->cpu->index));
	if (random_below(3) == 0)
		assert_int_equal(manage_reset(vm), OK);
	if (random_below(3) == 0)
		assert_int_equal(manage_pause(vm), OK);
}

static void end(struct vm *vm)
{
	if (vm_is_on(vm))
		assert_int_equal(manage_stop(vm), OK);
	assert_int_equal(manage_destroy(vm), OK);
}

static void test_a_thousand_one_after_the_other(void **state)
{
	const uint64_t free = frames_count(FRAME_FREE);
	char name[VM_NAME_MAX];
	unsigned ran = 0;

	(void)state;
	for (unsigned i = 0; i < CYCLES; i++) {
		struct vm *vm;

		snprintf(name, sizeof(name), "vm-%u", i);
		vm = one_more(name);
		assert_int_equal(vm->id, 1);
		live(vm);
		ran += vm->vcpu->first_tsc != 0;
		end(vm);
		assert_int_equal(frames_count(FRAME_FREE), free);
		assert_int_equal(frames_count(FRAME_VM0 + 1), 0);
		assert_int_equal(vm_count, 1);
		if (i % 100 == 0)
			frames_audit();
	}
	assert_in_range(ran, 100, CYCLES - 100);
}

static void test_many_at_once_in_no_order(void **state)
{
	const uint64_t free = frames_count(FRAME_FREE);
	struct vm *list[AT_ONCE] = {0};
	char name[VM_NAME_MAX];
	unsigned made = 0;

	(void)state;
	while (made < CYCLES) {
		unsigned i = random_below(AT_ONCE);

		if (list[i]) {
			end(list[i]);
			list[i] = NULL;
			continue;
		}
		snprintf(name, sizeof(name), "vm-%u", made++);
		list[i] = one_more(name);
		live(list[i]);
	}
	for (unsigned i = 0; i < AT_ONCE; i++)
		if (list[i])
			end(list[i]);
	assert_int_equal(frames_count(FRAME_FREE), free);
}

static void test_a_text_of_many(void **state)
{
	const uint64_t free = frames_count(FRAME_FREE);

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		char text[4096] = "", name[VM_NAME_MAX];

		for (unsigned i = 0; i < 10; i++) {
			snprintf(name, sizeof(name), "vm-%u", i);
			section(text, sizeof(text), name);
		}
		assert_int_equal(make(text), 10);
		assert_int_equal(vm_count, 11);
		for (unsigned i = vm_count; i-- > 1;)
			end(vms[round & 1 ? i : 11 - i]);
		assert_int_equal(frames_count(FRAME_FREE), free);
	}
}

/* All that is free but `n` frames in one piece. */
#define PIECE (32ul << 20)
static bool taken[RIG_RAM / PAGE_SIZE];

static void leave_frames(unsigned n)
{
	hpa_t at;

	while (frames_alloc(0, FRAME_HV, &at) == OK)
		taken[at.v / PAGE_SIZE] = true;
	for (uint64_t i = PIECE / PAGE_SIZE; n > 0; i++, n--) {
		assert_true(taken[i]);
		taken[i] = false;
		frames_free(hpa(i * PAGE_SIZE), 0);
	}
}

static void leave_all(void)
{
	for (uint64_t i = 0; i < array_count(taken); i++) {
		if (taken[i])
			frames_free(hpa(i * PAGE_SIZE), 0);
		taken[i] = false;
	}
}

static void test_creation_fails_at_every_frame(void **state)
{
	static const char text[] = "[vm a]\nkernel = k\nboot = flat\nmemory = 64K\n"
				   "disk0 = blank:1M\nshared = box:16K\nautostart = no\n";
	const uint64_t all = frames_count(FRAME_FREE);
	unsigned n = 0;

	(void)state;
	for (;; n++) {
		leave_frames(n);
		assert_int_equal(make(text), 1);
		if (manage_find("a"))
			break;
		assert_int_equal(frames_count(FRAME_FREE), n);
		assert_int_equal(vm_count, 1);
		frames_audit();
	}
	/* Its memory and its console's alone are 16 + 18 frames. */
	assert_in_range(n, 40, 400);
	assert_int_equal(manage_destroy(manage_find("a")), OK);
	assert_int_equal(frames_count(FRAME_FREE), n);
	leave_all();
	assert_int_equal(frames_count(FRAME_FREE), all);
}

/* Of a text of five, those are made that there is room for. */
static void test_some_of_a_text_fail(void **state)
{
	const uint64_t all = frames_count(FRAME_FREE);
	static const char text[] = "[vm a]\nkernel = k\nboot = flat\nmemory = 64K\n"
				   "[vm b]\nkernel = k\nboot = flat\nmemory = 48M\n"
				   "[vm c]\nkernel = k\nboot = flat\nmemory = 16M\n"
				   "[vm d]\nkernel = none\nboot = flat\n"
				   "[vm e]\nkernel = k\nboot = flat\nmemory = 64K\n";

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(make(text), 4);
		assert_non_null(manage_find("a"));
		assert_non_null(manage_find("b"));
		assert_null(manage_find("c"));
		assert_null(manage_find("d"));
		assert_true(vm_is_on(manage_find("e")));
		end(manage_find("b"));
		end(manage_find("a"));
		end(manage_find("e"));
		assert_int_equal(frames_count(FRAME_FREE), all);
		frames_audit();
	}
}

static void test_children_and_parents_come_and_go(void **state)
{
	const uint64_t free = frames_count(FRAME_FREE);

	(void)state;
	for (unsigned i = 0; i < CYCLES / 4; i++) {
		assert_int_equal(call(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0), 1);
		assert_int_equal(call(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0), 2);
		assert_int_equal(call(HYPERCALL_GUEST_ADD_MEMORY, 1, 0, 0x1000 << i % 8, 0), 0);
		assert_int_equal(call(HYPERCALL_GUEST_ADD_MEMORY, 2, 0x10000, 65ul << 20, 0),
				 E_NOMEM);
		assert_int_equal(call(HYPERCALL_VCPU_CREATE, 1, 0x1000, HYPERCALL_MODE_REAL, 0), 0);
		if (i % 8 == 0) {
			assert_int_equal(manage_reset(caller), OK);
			boot_cpu();
		} else {
			assert_int_equal(call(HYPERCALL_GUEST_DESTROY, 1 + i % 2, 0, 0, 0), 0);
			assert_int_equal(call(HYPERCALL_GUEST_DESTROY, 2 - i % 2, 0, 0, 0), 0);
		}
		assert_int_equal(frames_count(FRAME_FREE), free);
	}
	frames_audit();
}

/* Stopped and destroyed at once: nobody had the time to look after its children. */
static void test_children_go_with_their_parent(void **state)
{
	const uint64_t free = frames_count(FRAME_FREE);

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		struct vm *vm;

		assert_int_equal(make("[vm parent]\nkernel = k\nboot = flat\nmemory = 64K\n"
				      "privileged = yes\n"),
				 1);
		vm = manage_find("parent");
		for (unsigned n = 1; n <= VM_CHILD_MAX; n++) {
			assert_int_equal(call_of(vm, HYPERCALL_GUEST_CREATE, 0, 0, 0, 0), n);
			assert_int_equal(call_of(vm, HYPERCALL_GUEST_ADD_MEMORY, n, 0, 0x10000, 0),
					 0);
		}
		assert_int_equal(call_of(vm, HYPERCALL_GUEST_CREATE, 0, 0, 0, 0), E_NOMEM);
		end(vm);
		assert_int_equal(frames_count(FRAME_FREE), free);
		for (unsigned n = 0; n < VM_MAX; n++)
			assert_null(children[n]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		Y(test_a_thousand_one_after_the_other),
		Y(test_many_at_once_in_no_order),
		Y(test_a_text_of_many),
		Y(test_creation_fails_at_every_frame),
		Y(test_some_of_a_text_fail),
		Y(test_children_and_parents_come_and_go),
		Y(test_children_go_with_their_parent),
	};

	return cmocka_run_group_tests_name("cycles", tests, NULL, NULL);
}
