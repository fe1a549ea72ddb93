/*
 * What one VM prints and what is typed to it (vm_console.c). Pure: memory is the caller's, and
 * there is no lock. Knows no VM, no device and no terminal.
 *
 * Output has one producer (the VM's CPU, in an exit) and one consumer (the console's CPU), which
 * shows it either line by line, made harmless, or raw while the VM has the focus. Both ways move
 * the same position, so that nothing is shown twice. Input has one producer (the console's CPU) and
 * one consumer (whoever holds the lock of the device that takes it).
 */
#pragma once

#include <stdatomic.h>
#include <crvm/ring.h>

#define VM_CONSOLE_OUT_FIRST (8u << 10) /* until it is full for the first time */
#define VM_CONSOLE_OUT_SIZE  (64u << 10)
#define VM_CONSOLE_IN_SIZE   (8u << 10)
#define VM_CONSOLE_COLUMNS   200u

/* `text` is printable ASCII, n <= VM_CONSOLE_COLUMNS, and a NUL follows it. */
typedef void vm_console_line_fn(void *ctx, const char *text, uint32_t n);
typedef void vm_console_bytes_fn(void *ctx, const uint8_t *bytes, uint32_t n);

/* Where in an escape sequence the output is. */
enum vm_console_escape {
	ESCAPE_NONE,
	ESCAPE_BEGUN,  /* ESC, and bytes that choose a character set and the like */
	ESCAPE_CSI,    /* ESC [ ... */
	ESCAPE_STRING, /* ESC ] ... and others that end by a control, as BEL or ESC \ */
};

typedef void *vm_console_alloc_fn(void *ctx, uint32_t size);

struct vm_console {
	_Atomic uint8_t *_Atomic out; /* only the producer writes these three */
	_Atomic uint32_t out_size;
	_Atomic uint64_t head; /* bytes ever printed */

	/* The producer's own. */
	uint64_t grow_at; /* head is here: time for a larger ring; ~0: no more */
	uint32_t grow_size;
	vm_console_alloc_fn *alloc;
	void *alloc_ctx;

	/* Bytes ever shown or lost; only the consumer writes it. Not in the producer's line. */
	_Atomic uint64_t shown aligned_to(64);

	/* The consumer's own. */
	uint64_t lost; /* not told yet */
	char line[VM_CONSOLE_COLUMNS + 1];
	uint32_t length, column; /* column <= length */
	bool continued;		 /* the beginning of this line has been shown already */
	uint8_t utf8_left;	 /* bytes to come of a character that is shown as '?' */
	enum vm_console_escape escape;
	uint32_t escape_length; /* so far */
	uint32_t escape_number; /* the first of a CSI sequence */
	bool escape_more;	/* it is complete */

	struct ring in;
};

/* Sizes are powers of two, at most 2 GiB. */
void vm_console_init(struct vm_console *c, void *out, uint32_t out_size, void *in,
		     uint32_t in_size);

/*
 * Before the first byte: once the output ring would be full, it becomes one of `size` bytes, a
 * larger power of two, with all that was printed. They are from `alloc`, which the producer calls;
 * NULL: the ring stays as it is. The first ring's memory is still read afterwards.
 */
void vm_console_grow_to(struct vm_console *c, uint32_t size, vm_console_alloc_fn *alloc, void *ctx);

/*
 * Producer. Short and never waits: what nobody fetched in time is overwritten. True if all before
 * this byte had been shown, so that the consumer must be woken; other bytes need no wake-up.
 */
bool vm_console_put(struct vm_console *c, uint8_t byte);

/*
 * Consumer. Calls `emit` for each line that is complete. Handles a few KiB at a time; true: call
 * again, there is more. If bytes were lost, a line in brackets says how many.
 */
must_check bool vm_console_lines(struct vm_console *c, vm_console_line_fn *emit, void *ctx);

/*
 * Consumer. Is there an unfinished line in hand (a prompt, maybe)? If vm_console_printed has not
 * changed for a while, vm_console_flush_partial shows it; what is printed after it is a new line.
 */
bool vm_console_partial(const struct vm_console *c);
uint64_t vm_console_printed(const struct vm_console *c);
void vm_console_flush_partial(struct vm_console *c, vm_console_line_fn *emit, void *ctx);

/* Consumer. Up to n bytes as they were printed; 0: all is shown. Drops an unfinished line. */
uint32_t vm_console_raw(struct vm_console *c, uint8_t *buf, uint32_t n);

/*
 * Consumer. Everything that the ring still has, as it was printed, the shown as well as the new: at
 * most out_size - 1 bytes. Afterwards all of it counts as shown.
 */
void vm_console_replay(struct vm_console *c, vm_console_bytes_fn *emit, void *ctx);

/* Consumer. Bytes that were overwritten before raw or replay came to them, told once. */
uint64_t vm_console_take_lost(struct vm_console *c);

/* Input. How many of the n bytes had room; and the next byte, or -1. */
must_check uint32_t vm_console_type(struct vm_console *c, const void *bytes, uint32_t n);
int vm_console_next(struct vm_console *c);
