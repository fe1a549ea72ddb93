/*
 * A hostile guest on its console, and every way to look at it, against a copy of all it printed.
 * needs: core/vm_console.c lib/ring.c lib/printf.c
 *
 * The first byte is the ring's size, and whether it grows. Then commands: a kind, a length, and for
 * printing that many bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "../../core/vm_console.h"

#define require(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

#define PRINTED_MAX (64u << 10)

static struct vm_console con;
static uint8_t printed[PRINTED_MAX];
static uint32_t printed_n, ring_size;
static uint64_t at; /* where the consumer is */
static uint32_t replayed;
static uint64_t emitted; /* bytes of lines */
static uint32_t typed, taken;

static void on_line(void *ctx, const char *text, uint32_t n)
{
	require(ctx == &con && n <= VM_CONSOLE_COLUMNS && text[n] == '\0');
	for (uint32_t i = 0; i < n; i++)
		require(text[i] >= 0x20 && text[i] < 0x7f);
	emitted += n + 1;
}

static void on_bytes(void *ctx, const uint8_t *bytes, uint32_t n)
{
	require(ctx == &con && n > 0 && replayed + n <= printed_n);
	require(memcmp(bytes, printed + replayed, n) == 0);
	replayed += n;
}

static uint32_t oldest(void)
{
	return printed_n < ring_size ? 0 : printed_n - (ring_size - 1);
}

static void print(const uint8_t *bytes, uint32_t n)
{
	for (uint32_t i = 0; i < n && printed_n < PRINTED_MAX; i++) {
		const bool wake = vm_console_put(&con, bytes[i]);

		require(wake == (at == printed_n));
		printed[printed_n++] = bytes[i];
	}
	require(vm_console_printed(&con) == printed_n);
}

static void raw(uint32_t n)
{
	uint8_t buf[256];
	uint64_t lost;
	uint32_t got;

	(void)vm_console_take_lost(&con); /* of lines and replay */
	got = vm_console_raw(&con, buf, n);
	lost = vm_console_take_lost(&con);
	require(got <= n);
	if (n == 0)
		return;
	require(lost == (at < oldest() ? oldest() - at : 0));
	at += lost;
	/* After a loss it may be less than there is, but never nothing. */
	require((got > 0) == (at < printed_n) && got <= printed_n - at);
	require(got == n || at + got == printed_n || lost > 0);
	require(memcmp(buf, printed + at, got) == 0);
	at += got;
	require(got == 0 || !vm_console_partial(&con));
}

static void show_lines(void)
{
	unsigned calls = 0;

	emitted = 0;
	while (vm_console_lines(&con, on_line, &con))
		require(calls++ < 64);
	require(vm_console_take_lost(&con) == 0 || at == printed_n); /* told with what follows it */
	at = printed_n;
	/* A byte makes at most a line's end, or a tab's 8 blanks, or a jump to the edge. */
	require(emitted <= (uint64_t)(VM_CONSOLE_COLUMNS + 1) * (ring_size + 3));
}

static void command(uint8_t what, uint8_t n, const uint8_t *bytes)
{
	uint32_t room;

	switch (what % 8) {
	case 3:
		raw(n);
		break;
	case 4:
		replayed = oldest();
		vm_console_replay(&con, on_bytes, &con);
		require(replayed == printed_n);
		at = printed_n;
		break;
	case 5:
		vm_console_flush_partial(&con, on_line, &con);
		require(!vm_console_partial(&con));
		break;
	case 6:
		room = 64 - (typed - taken);
		room = vm_console_type(&con, bytes, n) - (n < room ? n : room);
		require(room == 0);
		typed = taken + ring_used(&con.in);
		break;
	case 7:
		require((vm_console_next(&con) >= 0) == (typed != taken));
		taken += typed != taken;
		break;
	default:
		show_lines();
		break;
	}
}

static void *grow(void *ctx, uint32_t size)
{
	void **larger = ctx;

	require(!*larger && printed_n == ring_size - 1);
	*larger = malloc(size);
	require(*larger);
	ring_size = size;
	return *larger;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *out, *in;
	void *larger = NULL;

	if (size < 1)
		return 0;
	ring_size = 16u << data[0] % 8;
	out = malloc(ring_size);
	in = malloc(64);
	require(out && in);
	vm_console_init(&con, out, ring_size, in, 64);
	if (data[0] & 8)
		vm_console_grow_to(&con, ring_size << (data[0] >> 4 & 3) << 1, grow, &larger);
	printed_n = typed = taken = 0;
	at = 0;
	for (size_t i = 1; i + 2 <= size;) {
		const uint8_t what = data[i];
		const size_t left = size - i - 2;
		const uint8_t n = data[i + 1] < left ? data[i + 1] : (uint8_t)left;

		if (what & 0x80)
			print(data + i + 2, n);
		command(what, n, data + i + 2);
		i += 2 + (what & 0x80 ? n : 0);
	}
	show_lines();
	vm_console_flush_partial(&con, on_line, &con);
	require(!vm_console_partial(&con));
	free(out);
	free(larger);
	free(in);
	return 0;
}
