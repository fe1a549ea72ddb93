/*
 * A guest that does anything to the keyboard controller, while somebody types.
 * needs: devices/kbc.c devices/keyboard.c
 *
 * The input's first byte: bit 0 says that the guest leaves the controller's settings alone; then
 * all keys and characters must arrive, in order. After it pairs of bytes: what happens, and a
 * value.
 */
#include <stdlib.h>
#include <string.h>
#include <crvm/devices/kbc.h>

#define require(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

#define PAIRS_MAX 4096
#define TEXT_MAX  64u /* characters that wait */

static struct kbc kbc;
static uint64_t now, deadline;
static bool level[2];
static unsigned resets;
static uint8_t text[TEXT_MAX];
static unsigned text_first, text_count;
static bool tame;

/* Keys given and not yet read, in tame mode. */
static uint8_t given[4 * PAIRS_MAX + 64];
static unsigned given_count, read_count;

static void set_line(void *ctx, bool up)
{
	bool *l = ctx;

	require(*l != up);
	*l = up;
}

static void a20(void *ctx, bool on)
{
	require(ctx == &kbc);
	(void)on;
}

static void reset(void *ctx)
{
	require(ctx == &kbc);
	resets++;
}

static int next_character(void *ctx)
{
	static const uint8_t shifted[] = {0x2a, 0x1e, 0x9e, 0xaa};
	int c;

	require(ctx == &kbc);
	if (!text_count)
		return -1;
	c = text[text_first];
	text_first = (text_first + 1) % TEXT_MAX;
	text_count--;
	if (tame) { /* it is 'A' */
		memcpy(given + given_count, shifted, 4);
		given_count += 4;
	}
	return c;
}

static uint64_t clock_now(void *ctx)
{
	(void)ctx;
	return now;
}

static void timer_set(void *ctx, uint64_t d)
{
	(void)ctx;
	deadline = d;
}

static uint8_t in(unsigned region)
{
	const struct io_region r = kbc_region(&kbc, region);
	const uint64_t v = r.ops->read(r.dev, 0, 1);

	require(v <= 0xff);
	return (uint8_t)v;
}

static void out(unsigned region, uint8_t v)
{
	const struct io_region r = kbc_region(&kbc, region);

	r.ops->write(r.dev, 0, 1, v);
}

/* What holds at all times. */
static void check_state(void)
{
	const uint8_t status = in(1), enabled = kbc.ram[0];
	const bool full = status & KBC_OBF, aux = status & KBC_AUX_OBF;
	const bool waits = kbc.has_held || keyboard_ready(&kbc.keyboard);

	require((status & (KBC_IBF | KBC_PARITY)) == 0 && (status & KBC_UNLOCKED));
	require(full || !(status & (KBC_AUX_OBF | KBC_TIMEOUT)));
	require(level[0] == (full && !aux && (enabled & KBC_INT1)));
	require(level[1] == (full && aux && (enabled & KBC_INT2)));
	require(!(enabled & 0x80));
	/* A byte that may come has an alarm to bring it. */
	require(full || !waits || (enabled & KBC_DISABLE1) ||
		(deadline != DEVICE_NEVER && deadline <= now + KBC_BYTE_NS));
	require(full || !text_count || kbc.keyboard.keys_count || !kbc.keyboard.scanning ||
		(enabled & KBC_DISABLE1));
	require(kbc.keyboard.keys_count <= KEYBOARD_KEYS_MAX);
	require(kbc.keyboard.reply_count <= KEYBOARD_REPLIES_MAX);
	require(kbc.keyboard.set == 1 || kbc.keyboard.set == 2);
}

static void pass_time(uint64_t ns)
{
	now += ns;
	if (deadline <= now) {
		deadline = DEVICE_NEVER;
		kbc_expired(&kbc);
	}
}

/* Port 60h: empty afterwards, and the same byte once more. */
static void read_data(void)
{
	const bool full = in(1) & KBC_OBF;
	const uint8_t v = in(0);

	require(!(in(1) & KBC_OBF));
	require(in(0) == v);
	if (!tame || !full)
		return;
	require(read_count < given_count);
	require(v == given[read_count++]);
}

static void give(uint8_t v)
{
	static uint8_t prefix;

	if (v == 0xe0 || v == 0xe1) {
		prefix = v;
	} else if (v == 0x00 || v == 0x80 || v == 0xff) {
		prefix = 0;
	} else {
		if (!kbc_key(&kbc, v))
			return;
		if (prefix)
			given[given_count++] = prefix;
		given[given_count++] = v;
		prefix = 0;
		return;
	}
	require(kbc_key(&kbc, v));
}

static void type(uint8_t v)
{
	if (text_count < TEXT_MAX)
		text[(text_first + text_count++) % TEXT_MAX] = tame ? 'A' : v;
	kbc_type_ready(&kbc);
}

/* A command with an answer: it comes at once, and no key is lost by it. */
static void ask(uint8_t v)
{
	out(1, v & 1 ? 0x20 : 0xaa);
	require(in(1) & KBC_OBF);
	if (v & 2)
		out(1, 0x20);
	require(in(0) == (v & 3 ? 0x65 : 0x55));
	require(!(in(1) & KBC_OBF));
}

static void step(uint8_t what, uint8_t v)
{
	switch (what % 10) {
	case 0:
	case 1:
		give(v);
		break;
	case 2:
		type(v);
		break;
	case 3:
	case 4:
		read_data();
		break;
	case 5:
		pass_time((uint64_t)v << (what / 16));
		break;
	case 6:
		pass_time(KBC_BYTE_NS);
		break;
	case 7:
		kbc_expired(&kbc); /* for no reason */
		break;
	case 8:
		if (tame)
			ask(v);
		else
			out(1, v);
		break;
	default:
		if (!tame && v == 0x5a)
			kbc.dev.reset(&kbc.dev), kbc_type_ready(&kbc);
		else if (!tame)
			out(0, v);
		break;
	}
	check_state();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct kbc_ops ops = {
		.irq1 = {set_line, &level[0]},
		.irq12 = {set_line, &level[1]},
		.type = next_character,
		.a20 = a20,
		.reset = reset,
		.clock = {clock_now, NULL},
		.timer = {timer_set, NULL},
		.ctx = &kbc,
	};

	tame = size && (data[0] & 1);
	memset(&kbc, 0xa5, sizeof(kbc));
	now = 0;
	deadline = DEVICE_NEVER;
	level[0] = level[1] = false;
	given_count = read_count = text_count = 0;
	kbc_init(&kbc, &ops);
	give(0xff); /* no prefix of the last run's */
	check_state();
	for (size_t i = 1; i + 2 <= size && i < 2 * PAIRS_MAX; i += 2) {
		if (!tame)
			given_count = read_count = 0;
		step(data[i], data[i + 1]);
	}
	/* A guest that reads comes to an end. */
	for (unsigned i = 0; in(1) & KBC_OBF || deadline != DEVICE_NEVER; i++) {
		require(i < 2 * KEYBOARD_KEYS_MAX + 32 * TEXT_MAX + 16);
		if (in(1) & KBC_OBF)
			read_data();
		pass_time(KBC_BYTE_NS);
		check_state();
	}
	require(!tame || (read_count == given_count && !text_count));
	kbc.dev.reset(&kbc.dev);
	require(!level[0] && !level[1] && deadline == DEVICE_NEVER);
	kbc_type_ready(&kbc);
	check_state();
	return 0;
}
