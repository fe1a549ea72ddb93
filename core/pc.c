/*
 * A VM's devices joined into a PC. It must not know how a device works, nor how the guest is
 * entered.
 */
#include <crvm/cpu.h>
#include <crvm/log.h>
#include <crvm/status.h>
#include <crvm/wallclock.h>

#include "machine.h"
#include "mux.h"
#include "pc.h"
#include "vm.h"

#define TESTDEV_PORT 0xe000u
#define TESTDEV_MMIO 0xfed10000ul
#define COM1_PORT    0x3f8u

enum {
	IRQ_TIMER = 0,
	IRQ_KEYBOARD = 1,
	IRQ_COM1 = 4,
	IRQ_LPT1 = 7,
	IRQ_RTC = 8,
	IRQ_MOUSE = 12,
	IRQ_IDE0 = 14,
	IRQ_IDE1 = 15
};

enum { CMOS_BASE_LOW = 0x15, CMOS_EXT_LOW = 0x17, CMOS_EXT2_LOW = 0x30, CMOS_HIGH_LOW = 0x34 };

/* Wires into the interrupt controller, whose lock ranks above those of all devices. */

static void line_set(void *ctx, bool level)
{
	struct pc_line *line = ctx;
	struct pic_pair *pic = &line->pc->pic;

	spin_lock(&pic->dev.lock);
	line->up = level;
	pic_set_line(pic, line->irq, level || line->pulse);
	spin_unlock(&pic->dev.lock);
}

static struct irq_line pc_line(struct pc *pc, unsigned irq)
{
	return (struct irq_line){line_set, &pc->line[irq]};
}

/* With the interrupt controller's lock. */
static void line_end_pulse(struct pc_line *line)
{
	line->pulse = false;
	pic_set_line(&line->pc->pic, line->irq, line->up);
}

static void pic_intr(void *ctx)
{
	const struct pc *pc = ctx;

	vcpu_request(&pc->vm->vcpu[0], REQ_IRQ);
}

/* What was rung for since. */
static void take_bells(struct pc *pc)
{
	uint32_t bells = atomic_exchange(&pc->bells, 0);

	for (unsigned irq = 0; bells >> irq; irq++)
		if (bells >> irq & 1)
			pc_pulse(pc, irq);
}

static int irq_peek(void *ctx)
{
	struct pc *pc = ctx;
	int vector;

	if (unlikely(atomic_load_explicit(&pc->bells, memory_order_relaxed)))
		take_bells(pc);
	spin_lock(&pc->pic.dev.lock);
	vector = pic_peek(&pc->pic);
	spin_unlock(&pc->pic.dev.lock);
	return vector;
}

static int irq_ack(void *ctx)
{
	struct pc *pc = ctx;
	int irq, vector;

	spin_lock(&pc->pic.dev.lock);
	vector = pic_ack(&pc->pic, &irq);
	if (vector >= 0 && irq >= 0 && unlikely(pc->line[irq].pulse))
		line_end_pulse(&pc->line[irq]);
	spin_unlock(&pc->pic.dev.lock);
	/* The next tick that is owed, if any, can follow now. */
	if (vector >= 0 && irq == IRQ_TIMER) {
		spin_lock(&pc->pit.dev.lock);
		pit_tick_taken(&pc->pit);
		spin_unlock(&pc->pit.dev.lock);
	}
	return vector;
}

static bool tick_waits(void *ctx)
{
	struct pc *pc = ctx;
	bool waits;

	spin_lock(&pc->pic.dev.lock);
	waits = pic_irq_waits(&pc->pic, IRQ_TIMER);
	spin_unlock(&pc->pic.dev.lock);
	return waits;
}

/* The VM's time is the TSC since it was made; it goes on over resets. */

static uint64_t clock_now(void *ctx)
{
	struct pc *pc = ctx;
	const struct vm *vm = pc->vm;
	int64_t ticks = (int64_t)((vm->paused_tsc ? vm->paused_tsc : rdtsc()) - vm->zero_tsc);

	/* Not all CPUs' TSCs agree, and the VM may have come from another. */
	if (likely(ticks > pc->ticks))
		pc->ticks = ticks;
	return time_tsc_to_ns((uint64_t)pc->ticks);
}

static void alarm_ring(struct timer *t)
{
	struct pc_alarm *a = container_of(t, struct pc_alarm, timer);

	a->deadline = DEVICE_NEVER;
	spin_lock(&a->dev->lock);
	a->expired(a->pc);
	spin_unlock(&a->dev->lock);
}

static void alarm_set(void *ctx, uint64_t deadline)
{
	struct pc_alarm *a = ctx;
	uint64_t now = clock_now(a->pc);

	a->deadline = deadline;
	if (deadline == DEVICE_NEVER || a->pc->vm->paused_tsc)
		timer_cancel(&a->timer);
	else /* by what is left, which loses nothing in long conversions; rounded up */
		timer_set(&a->timer,
			  rdtsc() + time_ns_to_tsc(deadline > now ? deadline - now : 0) + 2);
}

static struct device_timer pc_alarm(struct pc *pc, enum pc_alarm_index i, struct device *dev,
				    void (*expired)(struct pc *pc))
{
	pc->alarm[i] = (struct pc_alarm){
		.timer.fn = alarm_ring,
		.pc = pc,
		.dev = dev,
		.expired = expired,
		.deadline = DEVICE_NEVER,
	};
	return (struct device_timer){alarm_set, &pc->alarm[i]};
}

static void pit_ring(struct pc *pc)
{
	pit_expired(&pc->pit);
}

static void rtc_ring(struct pc *pc)
{
	rtc_expired(&pc->rtc);
}

static void serial_ring(struct pc *pc)
{
	serial_expired(&pc->serial);
}

static void kbc_ring(struct pc *pc)
{
	kbc_expired(&pc->kbc);
}

/* What the guest asks of the machine. Called with a device's lock held. */

static void reset_line(void *ctx)
{
	struct pc *pc = ctx;

	vm_reset(pc->vm, "the guest reset the machine");
}

/* Address line 20 is always on: no guest in use relies on wrapping at 1 MiB. */
static void a20_line(void *ctx, bool on)
{
	(void)ctx;
	(void)on;
}

static void debug_exit(void *ctx, uint32_t code)
{
	struct pc *pc = ctx;
	struct vm *vm = pc->vm;

	if (!vm->config.exit_port)
		return;
	vm->exit_code = (int)(code & 0xff);
	vm_stop(&vm->vcpu[0], false, "debug exit with code %d", vm->exit_code);
}

static void console_tx(void *ctx, uint8_t byte)
{
	const struct pc *pc = ctx;

	mux_put(pc->vm, byte);
}

static void serial_tx(void *ctx, uint8_t byte)
{
	const struct pc *pc = ctx;

	if (pc->vm->config.console == VM_CONSOLE_SERIAL)
		mux_put(pc->vm, byte);
}

static int serial_rx(void *ctx)
{
	const struct pc *pc = ctx;

	return pc->vm->config.input == VM_INPUT_SERIAL ? vm_console_next(&pc->vm->console) : -1;
}

static int keyboard_typed(void *ctx)
{
	const struct pc *pc = ctx;

	return pc->vm->config.input == VM_INPUT_KEYBOARD ? vm_console_next(&pc->vm->console) : -1;
}

static void pc_init_chips(struct pc *pc)
{
	const struct device_clock clock = {clock_now, pc};
	const struct pic_ops pic = {pic_intr, pc};
	const struct pit_ops pit = {
		.irq0 = pc_line(pc, IRQ_TIMER),
		.tick_waits = tick_waits,
		.clock = clock,
		.timer = pc_alarm(pc, PC_ALARM_PIT, &pc->pit.dev, pit_ring),
		.ctx = pc,
	};
	const struct rtc_ops rtc = {
		.irq8 = pc_line(pc, IRQ_RTC),
		.clock = clock,
		.timer = pc_alarm(pc, PC_ALARM_RTC, &pc->rtc.dev, rtc_ring),
	};

	for (unsigned i = 0; i < PC_IRQ_COUNT; i++)
		pc->line[i] = (struct pc_line){.pc = pc, .irq = i};
	pic_init(&pc->pic, &pic);
	pit_init(&pc->pit, &pit,
		 pc->vm->config.ticks == VM_TICKS_CATCHUP ? PIT_CATCHUP : PIT_COALESCE);
	rtc_init(&pc->rtc, &rtc, wallclock_unix_ns());
	pc->irq = (struct irq_source){irq_peek, irq_ack, pc};
}

static void pc_init_ports(struct pc *pc)
{
	const struct device_clock clock = {clock_now, pc};
	const struct serial_ops serial = {
		.irq = pc_line(pc, IRQ_COM1),
		.tx = serial_tx,
		.rx = serial_rx,
		.clock = clock,
		.timer = pc_alarm(pc, PC_ALARM_SERIAL, &pc->serial.dev, serial_ring),
		.ctx = pc,
	};
	const struct kbc_ops kbc = {
		.irq1 = pc_line(pc, IRQ_KEYBOARD),
		.irq12 = pc_line(pc, IRQ_MOUSE),
		.type = keyboard_typed,
		.a20 = a20_line,
		.reset = reset_line,
		.clock = clock,
		.timer = pc_alarm(pc, PC_ALARM_KBC, &pc->kbc.dev, kbc_ring),
		.ctx = pc,
	};
	const struct printer_ops printer = {.irq = pc_line(pc, IRQ_LPT1)};
	const struct port92_ops port92 = {a20_line, reset_line, pc};
	const struct debug_ops debug = {console_tx, debug_exit, pc};
	const struct ide_ops ide[2] = {{pc_line(pc, IRQ_IDE0)}, {pc_line(pc, IRQ_IDE1)}};

	serial_init(&pc->serial, &serial);
	kbc_init(&pc->kbc, &kbc);
	printer_init(&pc->printer, &printer);
	port92_init(&pc->port92, &port92);
	debug_init(&pc->debug, &debug);
	testdev_init(&pc->test);
	vga_init(&pc->vga);
	ide_init(&pc->ide[0], &ide[0], 0x1f0, 0x3f6);
	ide_init(&pc->ide[1], &ide[1], 0x170, 0x376);
}

static int build_buses(struct pc *pc)
{
	struct vm *vm = pc->vm;
	struct io_region r[IO_BUS_REGION_MAX], test = testdev_mmio_region(&pc->test, TESTDEV_MMIO);
	unsigned n = 0;
	int err;

	for (unsigned i = 0; i < PIC_REGION_COUNT; i++)
		r[n++] = pic_region(&pc->pic, i);
	for (unsigned i = 0; i < PIT_REGION_COUNT; i++)
		r[n++] = pit_region(&pc->pit, i);
	for (unsigned i = 0; i < RTC_REGION_COUNT; i++)
		r[n++] = rtc_region(&pc->rtc, i);
	for (unsigned i = 0; i < KBC_REGION_COUNT; i++)
		r[n++] = kbc_region(&pc->kbc, i);
	for (unsigned i = 0; i < VGA_REGION_COUNT; i++)
		r[n++] = vga_region(&pc->vga, i);
	for (unsigned i = 0; i < DEBUG_REGION_COUNT; i++)
		r[n++] = debug_region(&pc->debug, i);
	for (unsigned i = 0; i < 2 * IDE_REGION_COUNT; i++)
		r[n++] = ide_region(&pc->ide[i & 1], i / 2);
	r[n++] = serial_region(&pc->serial, COM1_PORT);
	r[n++] = printer_region(&pc->printer, 0);
	r[n++] = port92_region(&pc->port92, 0);
	r[n++] = testdev_port_region(&pc->test, TESTDEV_PORT);
	err = io_bus_init(&vm->ports, 0x10000, n, &vm->arena);
	if (!err)
		err = io_bus_init(&vm->mmio, 1ul << 48, 1, &vm->arena);
	if (!err)
		err = io_bus_add(&vm->mmio, &test);
	for (unsigned i = 0; !err && i < n; i++)
		err = io_bus_add(&vm->ports, &r[i]);
	if (!err)
		err = io_bus_freeze(&vm->ports, &vm->arena);
	return err ? err : io_bus_freeze(&vm->mmio, &vm->arena);
}

int pc_build(struct vm *vm)
{
	struct pc *pc = arena_alloc(&vm->arena, sizeof(*pc), 64);
	int err;

	if (!pc)
		return E_NOMEM;
	vm->pc = pc;
	pc->vm = vm;
	pc_init_chips(pc);
	pc_init_ports(pc);
	err = pc_disks_open(pc);
	if (err)
		return err;
	return build_buses(pc);
}

/* Where firmware looks for the size of memory. */
static void write_cmos_sizes(struct pc *pc)
{
	uint64_t kib = pc->vm->config.mem >> 10;
	uint64_t base = kib < 640 ? kib : 640, ext = kib > 1024 ? kib - 1024 : 0;
	uint64_t low = ext > 0xfc00 ? 0xfc00 : ext, high = kib > 16384 ? (kib - 16384) / 64 : 0;

	const struct {
		uint8_t at;
		uint64_t value;
	} sizes[] = {{CMOS_BASE_LOW, base},
		     {CMOS_EXT_LOW, low},
		     {CMOS_EXT2_LOW, low},
		     {CMOS_HIGH_LOW, high > 0xffff ? 0xffff : high}};

	for (size_t i = 0; i < array_count(sizes); i++) {
		rtc_set_cmos(&pc->rtc, sizes[i].at, (uint8_t)sizes[i].value);
		rtc_set_cmos(&pc->rtc, sizes[i].at + 1, (uint8_t)(sizes[i].value >> 8));
	}
}

static void reset_devices(struct pc *pc)
{
	struct device *const all[] = {&pc->pic.dev,    &pc->pit.dev,   &pc->rtc.dev,
				      &pc->serial.dev, &pc->kbc.dev,   &pc->ide[0].dev,
				      &pc->ide[1].dev, &pc->vga.dev,   &pc->printer.dev,
				      &pc->port92.dev, &pc->debug.dev, &pc->test.dev};

	for (unsigned i = 0; i < array_count(all); i++) {
		spin_lock(&all[i]->lock);
		if (all[i]->reset)
			all[i]->reset(all[i]);
		spin_unlock(&all[i]->lock);
	}
}

void pc_input(struct pc *pc)
{
	spin_lock(&pc->serial.dev.lock);
	serial_rx_ready(&pc->serial);
	spin_unlock(&pc->serial.dev.lock);
	spin_lock(&pc->kbc.dev.lock);
	kbc_type_ready(&pc->kbc);
	spin_unlock(&pc->kbc.dev.lock);
}

void pc_reset(struct pc *pc)
{
	reset_devices(pc);
	atomic_store(&pc->bells, 0);
	spin_lock(&pc->pic.dev.lock);
	for (unsigned i = 0; i < PC_IRQ_COUNT; i++)
		line_end_pulse(&pc->line[i]);
	spin_unlock(&pc->pic.dev.lock);
	write_cmos_sizes(pc);
	pc_input(pc); /* what was typed meanwhile */
}

void pc_stop(struct pc *pc)
{
	for (unsigned i = 0; i < PC_ALARM_COUNT; i++)
		timer_cancel(&pc->alarm[i].timer);
}

void pc_pause(struct pc *pc)
{
	pc->vm->paused_tsc = rdtsc();
	pc_stop(pc);
}

void pc_resume(struct pc *pc)
{
	for (unsigned i = 0; i < PC_ALARM_COUNT; i++)
		alarm_set(&pc->alarm[i], pc->alarm[i].deadline);
}

void pc_pulse(struct pc *pc, unsigned irq)
{
	struct pc_line *line = &pc->line[irq];

	spin_lock(&pc->pic.dev.lock);
	line->pulse = true;
	pic_set_line(&pc->pic, irq, false);
	pic_set_line(&pc->pic, irq, true);
	spin_unlock(&pc->pic.dev.lock);
}

/* One that was rung before, and not seen yet, is the same. */
void pc_ring(struct pc *pc, unsigned irq)
{
	if (!(atomic_fetch_or(&pc->bells, 1u << irq) >> irq & 1))
		vcpu_request(&pc->vm->vcpu[0], REQ_IRQ);
}
