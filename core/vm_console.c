/*
 * What one VM prints and what is typed to it. It must not know the VM, nor who shows the text
 * where.
 *
 * The output ring never makes its producer wait: it overwrites what is oldest. The consumer copies
 * first and looks afterwards how far the producer has come: position p is in the place that
 * position p + out_size takes, so that a copy of p is good if `head` has not reached p + out_size
 * by then (the producer writes the byte at `head` before it moves `head`). The fences see to it
 * that whoever reads a byte of the next lap reads a `head` of the next lap after it.
 *
 * The ring may grow once, before `head` reaches its size and it wraps: position p is in place p
 * of the old one and of the new. So a consumer may take either for what was printed before; and who
 * has read a later `head` finds the new one. Pointer and size are read in this order: `head`, size,
 * pointer, against that of the producer's writes.
 *
 * Neither side sleeps on the other's news: each writes its own position before it reads the
 * other's, both sequentially consistent. So either the producer sees that all was shown, and wakes
 * the consumer, or the consumer sees the new byte before it goes.
 */
#include <crvm/printf.h>
#include <crvm/string.h>

#include "vm_console.h"

enum {
	LINES_BATCH = 256, /* of one vm_console_lines */
	CHUNK = 256,

	CSI_MAX = 64,	   /* longer ones are no sequences: back to text */
	STRING_MAX = 1024, /* likewise */
	NUMBER_MAX = 1000,
	TAB = 8,

	BS = 0x08,
	HT = 0x09,
	LF = 0x0a,
	VT = 0x0b,
	FF = 0x0c,
	CR = 0x0d,
	ESC = 0x1b,
	DEL = 0x7f,
};

/* Where the lines of one call go. */
struct line_sink {
	vm_console_line_fn *emit;
	void *ctx;
};

void vm_console_init(struct vm_console *c, void *out, uint32_t out_size, void *in, uint32_t in_size)
{
	memset(c, 0, sizeof(*c));
	atomic_init(&c->out, out);
	atomic_init(&c->out_size, out_size);
	c->grow_at = UINT64_MAX;
	ring_init(&c->in, in, in_size);
}

/* --- The output ring ----------------------------------------------------------------------------
 */

void vm_console_grow_to(struct vm_console *c, uint32_t size, vm_console_alloc_fn *alloc, void *ctx)
{
	/* Of a full ring the oldest byte counts as overwritten. */
	c->grow_at = atomic_load_explicit(&c->out_size, memory_order_relaxed) - 1;
	c->grow_size = size;
	c->alloc = alloc;
	c->alloc_ctx = ctx;
}

static __attribute__((noinline)) void out_grow(struct vm_console *c)
{
	_Atomic uint8_t *old = atomic_load_explicit(&c->out, memory_order_relaxed);
	_Atomic uint8_t *new = c->alloc(c->alloc_ctx, c->grow_size);

	if (new) {
		for (uint32_t i = 0; i < c->grow_at; i++)
			atomic_store_explicit(&new[i],
					      atomic_load_explicit(&old[i], memory_order_relaxed),
					      memory_order_relaxed);
		atomic_store_explicit(&c->out, new, memory_order_release);
		atomic_store_explicit(&c->out_size, c->grow_size, memory_order_release);
	}
	c->grow_at = UINT64_MAX;
}

bool vm_console_put(struct vm_console *c, uint8_t byte)
{
	const uint64_t head = atomic_load_explicit(&c->head, memory_order_relaxed);
	_Atomic uint8_t *out;
	uint32_t size;

	if (unlikely(head == c->grow_at))
		out_grow(c);
	out = atomic_load_explicit(&c->out, memory_order_relaxed);
	size = atomic_load_explicit(&c->out_size, memory_order_relaxed);
	atomic_thread_fence(memory_order_release); /* with the one in out_copy */
	atomic_store_explicit(&out[head & (size - 1)], byte, memory_order_relaxed);
	atomic_store_explicit(&c->head, head + 1, memory_order_seq_cst);
	return atomic_load_explicit(&c->shown, memory_order_seq_cst) == head;
}

/* The first position that is surely not being overwritten. */
static uint64_t out_oldest(const struct vm_console *c, uint64_t head)
{
	const uint32_t size = atomic_load_explicit(&c->out_size, memory_order_acquire);

	return head < size ? 0 : head - (size - 1);
}

/*
 * Copies up to n bytes of [*at, end), and moves *at past those that are gone. Returns how many
 * bytes are good, from *at on.
 */
static uint32_t out_copy(struct vm_console *c, uint64_t *at, uint64_t end, uint8_t *buf, uint32_t n)
{
	const uint32_t mask = atomic_load_explicit(&c->out_size, memory_order_acquire) - 1;
	_Atomic uint8_t *out = atomic_load_explicit(&c->out, memory_order_acquire);
	const uint64_t from = *at;
	uint64_t oldest, gone;

	if (n > end - from)
		n = (uint32_t)(end - from);
	for (uint32_t i = 0; i < n; i++)
		buf[i] = atomic_load_explicit(&out[(from + i) & mask], memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	oldest = out_oldest(c, atomic_load_explicit(&c->head, memory_order_acquire));
	if (likely(oldest <= from))
		return n;
	gone = oldest - from;
	*at = oldest;
	c->lost += gone;
	if (gone >= n)
		return 0;
	memmove(buf, buf + gone, n - gone);
	return n - (uint32_t)gone;
}

static uint64_t out_head(struct vm_console *c)
{
	return atomic_load_explicit(&c->head, memory_order_seq_cst);
}

static uint64_t out_shown(struct vm_console *c)
{
	return atomic_load_explicit(&c->shown, memory_order_relaxed);
}

static void out_set_shown(struct vm_console *c, uint64_t at)
{
	atomic_store_explicit(&c->shown, at, memory_order_seq_cst);
}

uint64_t vm_console_printed(const struct vm_console *c)
{
	return atomic_load_explicit(&c->head, memory_order_acquire);
}

uint64_t vm_console_take_lost(struct vm_console *c)
{
	const uint64_t lost = c->lost;

	c->lost = 0;
	return lost;
}

/* --- Lines --------------------------------------------------------------------------------------
 */

static void line_forget(struct vm_console *c)
{
	c->length = c->column = 0;
	c->continued = false;
}

/* What can be seen of the line: blanks at its end count only where the cursor has not left them. */
static uint32_t line_visible(const struct vm_console *c)
{
	uint32_t n = c->length;

	while (n > c->column && c->line[n - 1] == ' ')
		n--;
	return n;
}

static void line_emit(struct vm_console *c, const struct line_sink *sink)
{
	const uint32_t n = line_visible(c);

	c->line[n] = '\0';
	sink->emit(sink->ctx, c->line, n);
}

/* An empty rest of a line that was shown before its end is no line of its own. */
static void line_end(struct vm_console *c, const struct line_sink *sink)
{
	if (line_visible(c) || !c->continued)
		line_emit(c, sink);
	line_forget(c);
}

/* Shows what there is, if anything; what follows is its rest. */
static void line_cut(struct vm_console *c, const struct line_sink *sink)
{
	if (!line_visible(c))
		return;
	line_emit(c, sink);
	line_forget(c);
	c->continued = true;
}

/* The cursor goes to another line. */
static void line_leave(struct vm_console *c, const struct line_sink *sink)
{
	c->column = 0;
	line_cut(c, sink);
	c->continued = true;
}

static void line_go(struct vm_console *c, uint32_t column)
{
	if (column > VM_CONSOLE_COLUMNS)
		column = VM_CONSOLE_COLUMNS;
	while (c->length < column)
		c->line[c->length++] = ' ';
	c->column = column;
}

static void line_put(struct vm_console *c, const struct line_sink *sink, char ch)
{
	if (c->column == VM_CONSOLE_COLUMNS)
		line_cut(c, sink);
	c->line[c->column++] = ch;
	if (c->length < c->column)
		c->length = c->column;
}

static void control_put(struct vm_console *c, const struct line_sink *sink, uint8_t byte)
{
	switch (byte) {
	case LF:
	case VT:
	case FF:
		line_end(c, sink);
		break;
	case CR:
		c->column = 0;
		break;
	case BS:
		if (c->column > 0)
			c->column--;
		break;
	case HT:
		line_go(c, align_down(c->column + TAB, (uint32_t)TAB));
		break;
	case ESC:
		c->escape = ESCAPE_BEGUN;
		c->escape_length = 0;
		break;
	default: /* a terminal shows nothing for them, or makes a noise */
		break;
	}
}

/* Text or a control character, outside of escape sequences. */
static void plain_put(struct vm_console *c, const struct line_sink *sink, uint8_t byte)
{
	const bool rest = byte >= 0x80 && byte < 0xc0 && c->utf8_left > 0;

	if (rest) {
		c->utf8_left--;
		return;
	}
	c->utf8_left = 0;
	if (byte >= 0x20 && byte < DEL) {
		line_put(c, sink, (char)byte);
	} else if (byte > DEL) {
		/* Many 8-bit bytes are controls to some terminal: one '?' for each character. */
		line_put(c, sink, '?');
		if (byte >= 0xc2 && byte < 0xf5)
			c->utf8_left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
	} else {
		control_put(c, sink, byte);
	}
}

/* ECMA-48's control sequences: those that a line can follow are followed, others have no effect. */
static void csi_do(struct vm_console *c, const struct line_sink *sink, uint8_t final)
{
	const uint32_t number = c->escape_number, steps = number ? number : 1;

	if (final == 'J' && number < 2)
		final = 'K'; /* of all that lies below or above, this line is what there is */
	switch (final) {
	case 'K': /* erase in line */
		if (number == 0)
			c->length = c->column;
		else if (number == 2)
			memset(c->line, ' ', c->length);
		break;
	case 'C':
		line_go(c, c->column + steps);
		break;
	case 'D':
		c->column -= c->column < steps ? c->column : steps;
		break;
	case 'A': /* to another line */
	case 'B':
	case 'E':
	case 'F':
	case 'H':
	case 'd':
	case 'f':
	case 'J': /* a whole page erased */
		line_leave(c, sink);
		break;
	default:
		break;
	}
}

static void csi_put(struct vm_console *c, const struct line_sink *sink, uint8_t byte)
{
	if (byte >= 0x40) {
		c->escape = ESCAPE_NONE;
		csi_do(c, sink, byte);
	} else if (byte >= '0' && byte <= '9' && !c->escape_more) {
		c->escape_number = c->escape_number * 10 + byte - '0';
		if (c->escape_number > NUMBER_MAX)
			c->escape_number = NUMBER_MAX;
	} else {
		c->escape_more = true;
	}
	if (++c->escape_length > CSI_MAX)
		c->escape = ESCAPE_NONE;
}

/* The byte after ESC, or after bytes that go between it and the last. */
static void escape_put(struct vm_console *c, uint8_t byte)
{
	switch (byte) {
	case '[':
		c->escape = ESCAPE_CSI;
		c->escape_number = 0;
		c->escape_more = false;
		break;
	case ']': /* OSC, DCS, SOS, PM, APC */
	case 'P':
	case 'X':
	case '^':
	case '_':
		c->escape = ESCAPE_STRING;
		break;
	default:
		if (byte >= 0x30 || ++c->escape_length > CSI_MAX)
			c->escape = ESCAPE_NONE;
		break;
	}
}

static void byte_put(struct vm_console *c, const struct line_sink *sink, uint8_t byte)
{
	/* Any control breaks a sequence off: the end of a line is worth more than it. */
	if (byte < 0x20)
		c->escape = ESCAPE_NONE;
	if (c->escape == ESCAPE_STRING) {
		if (++c->escape_length > STRING_MAX)
			c->escape = ESCAPE_NONE;
		return;
	}
	if (byte >= DEL)
		c->escape = ESCAPE_NONE;
	if (c->escape == ESCAPE_BEGUN)
		escape_put(c, byte);
	else if (c->escape == ESCAPE_CSI)
		csi_put(c, sink, byte);
	else
		plain_put(c, sink, byte);
}

static void lost_tell(struct vm_console *c, const struct line_sink *sink)
{
	char text[64];
	const int n = str_printf(text, sizeof(text), "[%lu bytes lost]", vm_console_take_lost(c));

	line_cut(c, sink);
	line_forget(c);
	c->escape = ESCAPE_NONE;
	c->utf8_left = 0;
	sink->emit(sink->ctx, text, (uint32_t)n);
}

bool vm_console_lines(struct vm_console *c, vm_console_line_fn *emit, void *ctx)
{
	const struct line_sink sink = {emit, ctx};
	uint64_t at = out_shown(c), end = out_head(c);
	uint8_t buf[CHUNK];

	if (end - at > LINES_BATCH)
		end = at + LINES_BATCH;
	while (at < end) {
		const uint32_t n = out_copy(c, &at, end, buf, sizeof(buf));

		if (unlikely(c->lost))
			lost_tell(c, &sink);
		for (uint32_t i = 0; i < n; i++)
			byte_put(c, &sink, buf[i]);
		at += n;
	}
	out_set_shown(c, at);
	return at < out_head(c);
}

bool vm_console_partial(const struct vm_console *c)
{
	return line_visible(c) > 0;
}

void vm_console_flush_partial(struct vm_console *c, vm_console_line_fn *emit, void *ctx)
{
	const struct line_sink sink = {emit, ctx};

	line_cut(c, &sink);
}

/* --- Raw ----------------------------------------------------------------------------------------
 */

/* Output that does not pass through the lines: they begin anew after it. */
static void lines_reset(struct vm_console *c)
{
	line_forget(c);
	c->escape = ESCAPE_NONE;
	c->utf8_left = 0;
}

uint32_t vm_console_raw(struct vm_console *c, uint8_t *buf, uint32_t n)
{
	uint64_t at = out_shown(c);
	const uint64_t start = at;
	uint32_t got = 0;

	/* A further turn needs a producer that prints all of buf while it is copied once. */
	while (n > 0 && got == 0 && at < out_head(c))
		got = out_copy(c, &at, out_head(c), buf, n);
	if (at + got == start)
		return 0;
	out_set_shown(c, at + got);
	lines_reset(c);
	return got;
}

void vm_console_replay(struct vm_console *c, vm_console_bytes_fn *emit, void *ctx)
{
	const uint64_t end = out_head(c), shown = out_shown(c);
	uint64_t at = out_oldest(c, end);
	uint8_t buf[CHUNK];

	if (at > shown)
		c->lost += at - shown;
	while (at < end) {
		const uint32_t n = out_copy(c, &at, end, buf, sizeof(buf));

		if (n > 0)
			emit(ctx, buf, n);
		at += n;
	}
	out_set_shown(c, at);
	lines_reset(c);
}

/* --- Input --------------------------------------------------------------------------------------
 */

uint32_t vm_console_type(struct vm_console *c, const void *bytes, uint32_t n)
{
	const uint32_t room = ring_free(&c->in);

	if (n > room)
		n = room;
	return ring_put(&c->in, bytes, n) ? n : 0;
}

int vm_console_next(struct vm_console *c)
{
	uint8_t byte;

	return ring_get(&c->in, &byte, 1) ? byte : -1;
}
