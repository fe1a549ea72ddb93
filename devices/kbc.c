/*
 * The keyboard controller, to include/crvm/devices/kbc.h. Must not know what A20 and reset do, nor
 * where the keys come from.
 *
 * Port 60h shows one byte at a time, with KBC_OBF. An answer of the controller itself goes there at
 * once, and takes the place of a byte of the keyboard that nobody has read, which is kept and comes
 * again: software that sends a command then reads its answer, even if a key was pressed just
 * before.
 */
#include <crvm/devices/kbc.h>
#include <crvm/string.h>

enum {
	COMMAND_BYTE = 0, /* its place in RAM */
	COMMAND_BYTE_BITS = 0x7f,
	POWER_ON = KBC_INT1 | KBC_SYSTEM | KBC_DISABLE2 | KBC_TRANSLATE,
	OUTPUT_IDLE = 0xc0,   /* clock and data of the keyboard's cable are not pulled */
	INPUT_CLOCK_1 = 0x01, /* E0h: its clock and data as they are seen */
	INPUT_DATA_1 = 0x02,
	SET1_RELEASED = 0x80,
	SET2_F7 = 0x83, /* the two codes above 7Fh */
	SET2_SYSRQ = 0x84,
};

/* Set 2 -> set 1, as every PC's controller translates it. */
static const uint8_t set1_of[128] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
	0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
	0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
	0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
	0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
	0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
	0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
	0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
	0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

static struct kbc *kbc_of(void *dev)
{
	return container_of(dev, struct kbc, dev);
}

static void line_set(struct kbc *k, unsigned i, const struct irq_line *line, bool level)
{
	if (k->line[i] == level)
		return;
	k->line[i] = level;
	line->set(line->ctx, level);
}

/* Output port bits 4 and 5, which are the interrupt lines: a byte waits, and may interrupt. */
static void lines_update(struct kbc *k)
{
	const bool full = k->status & KBC_OBF, aux = k->status & KBC_AUX_OBF;
	const uint8_t enabled = k->ram[COMMAND_BYTE];

	line_set(k, 0, &k->ops.irq1, full && !aux && (enabled & KBC_INT1));
	line_set(k, 1, &k->ops.irq12, full && aux && (enabled & KBC_INT2));
}

static void output_clear(struct kbc *k)
{
	k->status &= (uint8_t) ~(KBC_OBF | KBC_AUX_OBF | KBC_TIMEOUT);
	k->out_is_key = false;
	lines_update(k);
}

static void timer_arm(struct kbc *k, uint64_t deadline)
{
	k->armed = deadline != DEVICE_NEVER;
	k->ops.timer.set(k->ops.timer.ctx, deadline);
}

/* The byte for the guest, translated if that is on. False: none yet. */
static bool next_key(struct kbc *k, uint8_t *byte)
{
	if (k->has_held) {
		k->has_held = false;
		*byte = k->held;
		return true;
	}
	while (keyboard_ready(&k->keyboard)) { /* twice at most: F0h F0h is no code */
		uint8_t v = keyboard_take(&k->keyboard);

		if (!(k->ram[COMMAND_BYTE] & KBC_TRANSLATE)) {
			*byte = v;
			return true;
		}
		if (v == KEYBOARD_BREAK && !k->released) {
			k->released = true;
			continue;
		}
		if (v < array_count(set1_of))
			v = set1_of[v];
		else if (v == SET2_F7)
			v = set1_of[0x02];
		else if (v == SET2_SYSRQ)
			v = set1_of[0x7f];
		*byte = k->released ? v | SET1_RELEASED : v;
		k->released = false;
		return true;
	}
	return false;
}

/*
 * Has characters typed once the keyboard has sent all keys, if what it sends may come. It is empty
 * then, so there is room for what any character takes.
 */
static void fetch(struct kbc *k)
{
	int c = 0;

	while (c >= 0 && !k->keyboard.keys_count && k->keyboard.scanning &&
	       !(k->ram[COMMAND_BYTE] & KBC_DISABLE1)) {
		c = k->ops.type ? k->ops.type(k->ops.ctx) : -1;
		if (c >= 0)
			(void)keyboard_type(&k->keyboard, (uint8_t)c);
	}
}

/* Whether the keyboard has a byte that may come to port 60h. */
static bool key_waits(const struct kbc *k)
{
	return (k->has_held || keyboard_ready(&k->keyboard)) &&
	       !(k->ram[COMMAND_BYTE] & KBC_DISABLE1);
}

/* Brings that byte there, now or when its time has come. */
static void fill(struct kbc *k)
{
	uint8_t byte;

	do {
		fetch(k);
		if ((k->status & KBC_OBF) || !key_waits(k))
			return;
		if (k->ops.clock.now(k->ops.clock.ctx) < k->not_before) {
			if (!k->armed)
				timer_arm(k, k->not_before);
			return;
		}
	} while (!next_key(k, &byte));
	k->out = byte;
	k->out_is_key = true;
	k->status |= KBC_OBF;
	lines_update(k);
}

/* An answer of the controller; `flags` are KBC_AUX_OBF, KBC_TIMEOUT. */
static void answer(struct kbc *k, uint8_t byte, unsigned flags)
{
	if (k->out_is_key) {
		k->held = k->out;
		k->has_held = true;
	}
	output_clear(k); /* so that the lines make an edge for this byte */
	k->out = byte;
	k->status |= (uint8_t)(KBC_OBF | flags);
	lines_update(k);
}

static void command_byte_set(struct kbc *k, uint8_t v)
{
	k->ram[COMMAND_BYTE] = v & COMMAND_BYTE_BITS;
	k->status &= (uint8_t)~KBC_SYS;
	if (v & KBC_SYSTEM)
		k->status |= KBC_SYS;
	if (!(v & KBC_TRANSLATE))
		k->released = false;
	lines_update(k);
	fill(k);
}

static void command_byte_change(struct kbc *k, unsigned clear, unsigned set)
{
	command_byte_set(k, (uint8_t)((k->ram[COMMAND_BYTE] & ~clear) | set));
}

/* Last in what its callers do: a reset may end the VM. */
static void output_port_set(struct kbc *k, unsigned v)
{
	k->output = (v & KBC_OUT_A20) | KBC_OUT_RESET;
	if (k->ops.a20)
		k->ops.a20(k->ops.ctx, v & KBC_OUT_A20);
	if (!(v & KBC_OUT_RESET) && k->ops.reset)
		k->ops.reset(k->ops.ctx);
}

static uint8_t output_port(const struct kbc *k)
{
	unsigned v = k->output | OUTPUT_IDLE;

	if (k->line[0])
		v |= KBC_OUT_IRQ1;
	if (k->line[1])
		v |= KBC_OUT_IRQ12;
	return (uint8_t)v;
}

/* Commands that are not numbered in the low bits. */
static void command_run(struct kbc *k, uint8_t command)
{
	switch (command) {
	case KBC_DISABLE_2:
		command_byte_change(k, 0, KBC_DISABLE2);
		break;
	case KBC_ENABLE_2:
		command_byte_change(k, KBC_DISABLE2, 0);
		break;
	case KBC_DISABLE_1:
		command_byte_change(k, 0, KBC_DISABLE1);
		break;
	case KBC_ENABLE_1:
		command_byte_change(k, KBC_DISABLE1, 0);
		break;
	case KBC_SELF_TEST: /* leaves the rest as it is, which some chips do and guests hope for */
		k->status |= KBC_SYS;
		answer(k, KBC_SELF_TEST_OK, 0);
		break;
	case KBC_TEST_1:
	case KBC_TEST_2:
		answer(k, KBC_TEST_OK, 0);
		break;
	case KBC_INPUT_READ:
		answer(k, KBC_INPUTS, 0);
		break;
	case KBC_OUTPUT_READ:
		answer(k, output_port(k), 0);
		break;
	case KBC_TEST_INPUTS: /* a disabled port has its clock pulled low */
		answer(k,
		       k->ram[COMMAND_BYTE] & KBC_DISABLE1 ? INPUT_DATA_1
							   : INPUT_DATA_1 | INPUT_CLOCK_1,
		       0);
		break;
	case KBC_OUTPUT_WRITE:
	case KBC_ECHO_1:
	case KBC_ECHO_2:
	case KBC_SEND_2:
		k->awaits = command;
		break;
	case KBC_A20_OFF:
		output_port_set(k, k->output & ~(unsigned)KBC_OUT_A20);
		break;
	case KBC_A20_ON:
		output_port_set(k, k->output | KBC_OUT_A20);
		break;
	default:
		if (command >= KBC_PULSE && !(command & KBC_OUT_RESET) && k->ops.reset)
			k->ops.reset(k->ops.ctx);
		break;
	}
}

/* The byte that a command has waited for. */
static void parameter_take(struct kbc *k, uint8_t command, uint8_t v)
{
	switch (command) {
	case KBC_OUTPUT_WRITE:
		output_port_set(k, v);
		break;
	case KBC_ECHO_1:
		answer(k, v, 0);
		break;
	case KBC_ECHO_2:
		answer(k, v, KBC_AUX_OBF);
		break;
	case KBC_SEND_2: /* sending opens the port */
		command_byte_change(k, KBC_DISABLE2, 0);
		answer(k, KBC_NO_DEVICE, KBC_AUX_OBF | KBC_TIMEOUT);
		break;
	case KBC_RAM_WRITE:
		command_byte_set(k, v);
		break;
	default:
		k->ram[command % KBC_RAM_SIZE] = v;
		break;
	}
}

static uint64_t status_read(void *dev, uint64_t offset, unsigned size)
{
	(void)offset;
	(void)size;
	return kbc_of(dev)->status;
}

static void command_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct kbc *k = kbc_of(dev);
	const uint8_t command = (uint8_t)value;

	(void)offset;
	(void)size;
	k->status |= KBC_CMD;
	k->awaits = 0;
	switch (command / KBC_RAM_SIZE) {
	case KBC_RAM_READ / KBC_RAM_SIZE:
		answer(k, k->ram[command % KBC_RAM_SIZE], 0);
		break;
	case KBC_RAM_WRITE / KBC_RAM_SIZE:
		k->awaits = command;
		break;
	default:
		command_run(k, command);
		break;
	}
}

/* Reading it again before the next byte has come gives the same byte. */
static uint64_t data_read(void *dev, uint64_t offset, unsigned size)
{
	struct kbc *k = kbc_of(dev);

	(void)offset;
	(void)size;
	if (k->status & KBC_OBF) {
		output_clear(k);
		k->not_before = k->ops.clock.now(k->ops.clock.ctx) + KBC_BYTE_NS;
		fetch(k);
		if (!k->armed && key_waits(k))
			timer_arm(k, k->not_before);
	}
	return k->out;
}

static void data_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct kbc *k = kbc_of(dev);
	const uint8_t command = k->awaits;

	(void)offset;
	(void)size;
	k->status &= (uint8_t)~KBC_CMD;
	k->awaits = 0;
	if (command) {
		parameter_take(k, command, (uint8_t)value);
		return;
	}
	keyboard_write(&k->keyboard, (uint8_t)value);
	command_byte_change(k, KBC_DISABLE1, 0); /* sending opens the port */
}

static void power_on(struct kbc *k)
{
	keyboard_init(&k->keyboard);
	memset(k->ram, 0, sizeof(k->ram));
	k->ram[COMMAND_BYTE] = POWER_ON;
	k->status = KBC_SYS | KBC_UNLOCKED;
	k->out = 0;
	k->output = KBC_OUT_RESET | KBC_OUT_A20;
	k->awaits = 0;
	k->out_is_key = false;
	k->has_held = false;
	k->released = false;
	k->not_before = 0;
}

static void kbc_reset(struct device *dev)
{
	struct kbc *k = kbc_of(dev);

	output_clear(k);
	timer_arm(k, DEVICE_NEVER);
	power_on(k);
	if (k->ops.a20)
		k->ops.a20(k->ops.ctx, true);
}

void kbc_init(struct kbc *k, const struct kbc_ops *ops)
{
	*k = (struct kbc){
		.dev =
			{
				.name = "kbc",
				.lock = SPINLOCK_INIT(RANK_DEVICE, "kbc"),
				.reset = kbc_reset,
			},
		.ops = *ops,
	};
	power_on(k);
}

struct io_region kbc_region(struct kbc *k, unsigned i)
{
	static const struct io_ops data_ops = {
		.read = data_read,
		.write = data_write,
		.sizes = 1,
	};
	static const struct io_ops command_ops = {
		.read = status_read,
		.write = command_write,
		.sizes = 1,
	};
	static const struct io_region regions[KBC_REGION_COUNT] = {
		{.base = KBC_PORT_DATA, .len = 1, .ops = &data_ops, .name = "8042 data"},
		{.base = KBC_PORT_COMMAND, .len = 1, .ops = &command_ops, .name = "8042 command"},
	};
	struct io_region r = regions[i];

	r.dev = &k->dev;
	return r;
}

void kbc_expired(struct kbc *k)
{
	k->armed = false;
	fill(k);
}

bool kbc_key(struct kbc *k, uint8_t scancode_set1_byte)
{
	const bool taken = keyboard_key(&k->keyboard, scancode_set1_byte);

	fill(k);
	return taken;
}

void kbc_type_ready(struct kbc *k)
{
	fill(k);
}
