/*
 * The log on the screen (arch/x86_64/screen*.c): VGA text or a linear framebuffer, a scrolling
 * terminal of lines without attributes beyond one colour per write. Knows no log. The caller locks.
 * Source: IBM VGA text mode (80x25 at B8000h, CRTC registers 0Ch-0Fh); Multiboot2
 * framebuffer tag.
 */
#pragma once

#include <crvm/boot_info.h>
#include <crvm/compiler.h>

enum screen_color { SCREEN_NORMAL, SCREEN_DIM, SCREEN_WARN, SCREEN_ERROR };

struct screen_ops {
	/* Draws characters at column x of row y, all of one colour. */
	void (*put)(void *ctx, unsigned x, unsigned y, const char *s, unsigned n,
		    enum screen_color color);
	/* Moves everything up by one row and clears the last one. */
	void (*scroll)(void *ctx);
	void (*clear)(void *ctx);
	void (*cursor)(void *ctx, unsigned x, unsigned y); /* may be NULL */
	void *ctx;
};

struct screen {
	const struct screen_ops *ops;
	unsigned columns, rows; /* 0: there is no screen, and every call does nothing */
	unsigned x, y;
};

/*
 * Prepares `s` for what the boot loader left. `map` makes `len` bytes at a physical address
 * accessible (write combining if asked) or returns NULL. With fb NONE, and vga_allowed, assumes VGA
 * text at B8000h. False: no usable screen, s->columns is 0. One screen per machine: its state is
 * static.
 */
bool screen_init(struct screen *s, const struct boot_framebuffer *fb, bool vga_allowed,
		 void *(*map)(uint64_t addr, uint64_t len, bool write_combining));

/* Writes text; understands \n, \r, \b and \t; every other control byte and non-ASCII byte shows as
 * '?'. Wraps and scrolls. */
void screen_write(struct screen *s, const char *text, size_t n, enum screen_color color);
