/*
 * Hypercalls that manage VMs, with all that a hostile caller may pass: numbers, pointers, lengths,
 * texts, registers, in any order, by several callers that manage each other and have children. Each
 * call ends, and when all VMs are gone every frame is free and zeroed.
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
#include <stdlib.h>

#define RIG_RAM (8ul << 20)
#include "../unit/manage_rig.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CALLS 40u

/* Mostly what makes sense somewhere. */
static uint64_t argument(struct input *in)
{
	switch (take(in, 1) % 8) {
	case 0:
		return take(in, 8);
	case 1:
		return take(in, 1) << 12;
	case 2:
		return CALLER_RAM - take(in, 1);
	case 3:
		return ~take(in, 1);
	case 4:
		return take(in, 2);
	case 5:
		return 1ul << (take(in, 1) & 63);
	default:
		return take(in, 1) & 31;
	}
}

/* A configuration in the memory of `vm`; its length. */
static uint64_t put_text(struct input *in, struct vm *vm)
{
	static const char *const extras[] = {"",
					     "autostart = no\n",
					     "privileged = yes\n",
					     "disk0 = blank:1M\n",
					     "weight = 3\n",
					     "restart = always\n",
					     "exit-port = on\nconsole = debug\n",
					     "shared = box:16K irq=5\n"};
	char text[600], raw[32] = "";
	const unsigned kib = 64 + 4 * ((unsigned)take(in, 1) & 63);
	unsigned n = 0;
	int len;

	if (!(take(in, 1) & 7))
		while (n < sizeof(raw) - 1 && in->p < in->end)
			raw[n++] = (char)take(in, 1);
	len = snprintf(text, sizeof(text),
		       "[vm v%u]\nkernel = k\nboot = flat\nmemory = %uK\ncpu = %u\n%s%s%s",
		       (unsigned)take(in, 1) % 6, kib, (unsigned)take(in, 1) % 3,
		       extras[take(in, 1) % array_count(extras)],
		       extras[take(in, 1) % array_count(extras)], raw);
	check(len > 0 && (size_t)len < sizeof(text));
	check(gmem_write(&vm->mem, gpa(0x1000), text, (size_t)len) == OK);
	return (uint64_t)len;
}

/* What others do meanwhile: turns of both CPUs, and the boot CPU. */
static void pass_time(unsigned turns)
{
	for (unsigned i = 0; i < turns; i++) {
		boot_cpu();
		(void)turn(i & 1);
	}
}

/* Somebody who may call, brought back to life if need be. */
static struct vm *choose_caller(struct input *in)
{
	struct vm *vm = vms[take(in, 1) % VM_MAX & 7];

	if (!vm || !vm->config.privileged)
		vm = caller;
	if (atomic_load(&vm->state) == VM_PAUSED)
		check(manage_resume(vm) == OK);
	if (!vm_is_on(vm) && manage_start(vm))
		return caller;
	check(manage_set_weight(vm, 100) == OK);
	return vm;
}

static void one_call(struct input *in)
{
	struct vm *vm = choose_caller(in);
	uint64_t n = HYPERCALL_VM_CREATE + take(in, 1) % 24, a[4];

	if (n >= HYPERCALL_VM_CREATE + 20)
		n = HYPERCALL_GUEST_CREATE + take(in, 1) % 14;
	for (unsigned i = 0; i < 20 && vm->vcpu->blocked; i++) {
		boot_cpu();
		if (vm_is_on(vm))
			(void)turn_of_vm(vm);
	}
	if (atomic_load(&vm->state) != VM_RUNNING || vm->vcpu->blocked)
		return; /* what the boot CPU did for another has made it wait */
	a[0] = take(in, 1) % 9;
	if (a[0] == 8)
		a[0] = argument(in);
	for (unsigned k = 1; k < 4; k++)
		a[k] = argument(in);
	if (n == HYPERCALL_VM_CREATE && take(in, 1) & 7) {
		a[0] = 0x1000;
		a[1] = put_text(in, vm);
	}
	vm->vcpu->v.virt->segment[SEG_SS].attr &= (uint16_t) ~(3u << 5);
	ask(vm, n, a[0], a[1], a[2], a[3]);
	if (take(in, 1) & 1)
		pass_time(2 + (unsigned)take(in, 1) % 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	uint64_t free;

	rig_machine();
	free = frames_count(FRAME_FREE) + frames_count(FRAME_VM0);
	for (unsigned i = 0; i < CALLS && in.p < in.end; i++)
		if (vms[0] == caller)
			one_call(&in);
	pass_time(4);
	rig_end();
	check(frames_count(FRAME_FREE) == free);
	rig_check_scrubbed();
	return 0;
}
