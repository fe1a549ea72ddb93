/*
 * A whole PC with a CPU that takes its interrupts, driven by a hostile guest: ports in any size,
 * strings, time, resets, pauses, keys, pulses, shortage of memory. Invariants: an acknowledged
 * vector is one that the interrupt controllers were programmed for; what an operation sets off is
 * bounded; alarms are bounded by time; a reset brings the power-on state, with no alarm and no line
 * up.
 * needs: core/pc.c core/pc_disks.c core/disk_image.c core/disk_overlay.c core/io_bus.c
 * needs: core/vm_console.c devices/debug.c devices/ide.c devices/ide_cmd.c devices/ide_data.c
 * needs: devices/ide_identify.c devices/kbc.c devices/keyboard.c devices/pic8259.c
 * needs: devices/pit8254.c devices/pit_counter.c devices/port92.c devices/printer.c devices/rtc.c
 * needs: devices/serial.c devices/testdev.c devices/vga.c lib/date.c lib/printf.c lib/ring.c
 * needs: lib/text.c tests/fake/pc_machine.c tests/fake/panic.c tests/fake/spinlock.c
 *
 * The input is a list of commands of 4 bytes: kind, argument, two of value.
 */
#include <stdlib.h>
#include <string.h>
#include <crvm/status.h>
#include "pc_machine.h"

#define require(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

/* No operation on one port sets off more than this. */
#define EFFECTS_MAX 16u
/* PIT 10 kHz, RTC 8192 Hz, serial port and keyboard: alarms of one millisecond at most. */
#define RINGS_PER_MS 64u
#define PASS_MAX     (40ull * 1000 * 1000)
#define STRING_MAX   512u

static const uint16_t ports[64] = {
	0x20,  0x21,  0x20,  0x21,  0xa0,  0xa1,  0xa0,	 0xa1,	0x4d0, 0x4d1, 0x40,  0x41,   0x42,
	0x43,  0x40,  0x43,  0x61,  0x60,  0x64,  0x60,	 0x64,	0x70,  0x71,  0x70,  0x71,   0x72,
	0x73,  0x92,  0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x378, 0x379,  0x37a,
	0xe9,  0x80,  0xf4,  0x402, 0x1f0, 0x1f1, 0x1f2, 0x1f3, 0x1f4, 0x1f5, 0x1f6, 0x1f7,  0x3f6,
	0x170, 0x176, 0x177, 0x376, 0x3c0, 0x3c4, 0x3c9, 0x3d4, 0x3d5, 0x3da, 0x3ba, 0xe00c,
};

static struct pc fresh; /* as it was after its first reset */
static const uint8_t zeros[IDE_BUFFER_SIZE];
static uint64_t ring_credit;

static struct pc *the_pc(void)
{
	return pc_machine.vm.pc;
}

/* --- Invariants --------------------------------------------------------------------------- */

/* Of all chips but the clock, whose battery lasts. What a reset does not touch is left out. */
static void require_power_on(void)
{
	const struct pc *pc = the_pc();

	for (unsigned i = 0; i < 2; i++) {
		const struct pic_chip *c = &pc->pic.chip[i];

		require(!c->line && !c->edge && !c->isr && !c->imr && !c->elcr && !c->ready);
	}
	require(pc->pic.vector == -1 && pc_next_alarm() == DEVICE_NEVER);
	for (unsigned i = 0; i < PC_ALARM_COUNT; i++)
		require(pc->alarm[i].deadline == DEVICE_NEVER);
	require(!memcmp(&pc->vga.misc, &fresh.vga.misc,
			sizeof(pc->vga) - offsetof(struct vga, misc)));
	require(pc->kbc.status == fresh.kbc.status && pc->kbc.out == fresh.kbc.out &&
		pc->kbc.output == fresh.kbc.output && !pc->kbc.awaits && !pc->kbc.has_held &&
		!pc->kbc.line[0] && !pc->kbc.line[1] && !pc->kbc.armed &&
		!memcmp(pc->kbc.ram, fresh.kbc.ram, sizeof(pc->kbc.ram)));
	require(pc->serial.lsr == fresh.serial.lsr && pc->serial.msr == fresh.serial.msr &&
		!pc->serial.ier && !pc->serial.lcr && !pc->serial.mcr && !pc->serial.scr &&
		!pc->serial.rx_count && !pc->serial.level && pc->serial.tx_plain);
	require(pc->port92.value == fresh.port92.value && pc->debug.post == fresh.debug.post &&
		pc->printer.control == fresh.printer.control && !pc->printer.irq_up);
	for (unsigned i = 0; i < PIT_COUNTER_COUNT; i++)
		require(pc->pit.counter[i].counting == PIT_STOPPED &&
			pc->pit.counter[i].gate == fresh.pit.counter[i].gate);
	require(!pc->pit.system && !pc->pit.ticks.owed && !pc->rtc.line);
	for (unsigned i = 0; i < 2; i++) {
		const struct ide_channel *c = &pc->ide[i], *f = &fresh.ide[i];

		require(!c->selected && !c->device_control && !c->level);
		for (unsigned k = 0; k < IDE_DRIVE_COUNT; k++)
			require(c->drive[k].status == f->drive[k].status && !c->drive[k].irq &&
				!c->drive[k].in_end && !c->drive[k].out_end &&
				!memcmp(c->drive[k].reg, f->drive[k].reg,
					sizeof(c->drive[k].reg)) &&
				(!c->drive[k].disk ||
				 !memcmp(c->drive[k].buffer, zeros, IDE_BUFFER_SIZE)));
	}
}

/* Nothing that was typed waits: the serial port or the keyboard would have it at once. */
static void reset(void)
{
	struct vm *vm = &pc_machine.vm;

	while (vm_console_next(&vm->console) >= 0)
		;
	vm->paused_tsc = 0;
	pc_reset(the_pc());
	require_power_on();
}

/* Two chips in their usual modes, and a vector of neither. */
static bool vector_is_odd(const struct pic_pair *p, int vector)
{
	for (unsigned i = 0; i < 2; i++) {
		if (!(p->chip[i].icw4 & 1))
			return false; /* not in 8086 mode: vectors of another form */
		if ((vector & ~7) == (p->chip[i].icw2 & 0xf8))
			return false;
	}
	return true;
}

static void take_interrupt(void)
{
	const struct pic_pair before = the_pc()->pic;
	int vector = pc_take(); /* which checks that peek and ack agree */

	if (vector < 0)
		return;
	require(vector < 256 && before.chip[0].ready);
	/* FFh: the master expects a slave that does not answer. */
	require(vector == 0xff || !vector_is_odd(&before, vector));
	/* Nothing comes out of a line that is masked. */
	if (before.chip[0].icw4 & 1 && (vector & ~7) == (before.chip[0].icw2 & 0xf8) &&
	    before.chip[0].icw2 != before.chip[1].icw2 && (vector & 7) != 7)
		require(!(before.chip[0].imr >> (vector & 7) & 1));
}

/* --- Commands ----------------------------------------------------------------------------- */

static uint16_t port_of(const uint8_t *c)
{
	return c[1] & 64 && c[1] & 128 ? (uint16_t)(c[2] | c[3] << 8) : ports[c[1] & 63];
}

static void pass(uint64_t ns)
{
	const unsigned before = pc_machine.rings;

	ns = ns > PASS_MAX ? PASS_MAX : ns;
	pc_pass(ns);
	/* One that was due sooner counts against the time before it. */
	ring_credit += ns * RINGS_PER_MS / 1000000;
	ring_credit = ring_credit > 100000 ? 100000 : ring_credit;
	require(pc_machine.rings - before <= ring_credit);
	ring_credit -= pc_machine.rings - before;
}

static void string(const uint8_t *c)
{
	static uint8_t buf[STRING_MAX * 4];
	const unsigned size = 1u << c[3] % 3, count = 1 + c[2] * 2 % STRING_MAX;

	memset(buf, c[2], sizeof(buf));
	if (c[3] & 128)
		io_bus_read_many(&pc_machine.vm.ports, port_of(c), size, buf, count);
	else
		io_bus_write_many(&pc_machine.vm.ports, port_of(c), size, buf, count);
}

static void port(const uint8_t *c)
{
	const unsigned before = pc_machine.set_count + pc_machine.requests;
	const unsigned size = 1u << c[0] / 16 % 4 % 3;

	ring_credit += 4;
	if (c[0] & 128)
		(void)pc_in(port_of(c), size);
	else
		pc_out(port_of(c), size, c[2] | (uint32_t)c[3] << 8);
	require(pc_machine.set_count + pc_machine.requests - before <= EFFECTS_MAX);
}

static void outside(const uint8_t *c)
{
	struct vm *vm = &pc_machine.vm;

	switch (c[1] % 8) {
	case 0:
		(void)vm_console_type(&vm->console, c, 4);
		ring_credit += 4;
		pc_input(the_pc());
		break;
	case 1:
		if (c[2] % PC_IRQ_COUNT != PIC_IRQ_CASCADE)
			pc_pulse(the_pc(), c[2] % PC_IRQ_COUNT);
		break;
	case 2:
		if (vm->paused_tsc)
			break;
		pc_pause(the_pc());
		require(pc_next_alarm() == DEVICE_NEVER);
		break;
	case 3:
		vm->paused_tsc = 0;
		pc_resume(the_pc());
		break;
	case 4:
		pc_machine.frames = c[2] & 1 ? 1ul << 20 : c[3];
		break;
	case 5:
		reset();
		ring_credit += 4;
		break;
	case 6: { /* both controllers, as kernels do it */
		static const uint8_t words[][2] = {{0x20, 0x11}, {0x21, 0x20}, {0x21, 4},
						   {0x21, 1},	 {0xa0, 0x11}, {0xa1, 0x28},
						   {0xa1, 2},	 {0xa1, 1}};

		for (size_t i = 0; i < array_count(words); i++)
			pc_out(words[i][0], 1, words[i][1]);
		break;
	}
	default: {
		const struct io_region *r = io_bus_find(&vm->mmio, 0xfed10000ull + c[2] * 16, 4);

		require(r);
		io_bus_write(&vm->mmio, 0xfed10000ull + c[2] * 16, 4, c[3]);
		break;
	}
	}
}

static void command(const uint8_t *c)
{
	const uint64_t value = c[2] | (uint64_t)c[3] << 8;

	switch (c[0] % 16) {
	case 0:
	case 1:
		pass(value << c[1] % 12);
		break;
	case 2:
	case 3:
	case 4:
		take_interrupt();
		if (c[1] & 1) {
			pc_out(0xa0, 1, 0x20);
			pc_out(0x20, 1, 0x20);
		}
		break;
	case 5:
		outside(c);
		break;
	case 6:
		string(c);
		break;
	default:
		port(c);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vm_config *config = &pc_machine.vm.config;

	if (size < 2)
		return 0;
	pc_machine_reset();
	config->ticks = data[0] & 1 ? VM_TICKS_CATCHUP : VM_TICKS_COALESCE;
	config->exit_port = data[0] & 2;
	config->console = (enum vm_console_kind)(data[0] / 4 % 3);
	config->input = data[1] & 1 ? VM_INPUT_KEYBOARD : VM_INPUT_SERIAL;
	config->mem = (64ul << 10) << data[1] % 16;
	for (unsigned i = 0; i < VM_DISK_COUNT; i++)
		if (data[0] >> (4 + i) & 1)
			config->disk[i] = (struct vm_config_disk){
				.kind = VM_DISK_BLANK,
				.size = 512ull << (i * 4 + data[1] / 16),
			};
	pc_machine.wall = (uint64_t)data[1] << 55;
	require(pc_machine_build() == OK);
	fresh = *the_pc();
	ring_credit = 16;
	require_power_on();
	for (size_t i = 2; i + 4 <= size && i < 4 * 1024; i += 4)
		command(data + i);
	reset();
	return 0;
}
