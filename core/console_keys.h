/*
 * The key sequences of the console (console_keys.c): finds those that begin with Ctrl-A in what is
 * typed, and passes on the rest. A pure state machine; knows no VM, no shell and no terminal.
 *
 *	Ctrl-A 1 ... 9		focus VM 1 to 9
 *	Ctrl-A n, Ctrl-A p	next, previous VM
 *	Ctrl-A ?, Ctrl-A h	help
 *	Ctrl-A Ctrl-A, Ctrl-A a	a Ctrl-A itself
 *
 * and while a VM has the focus:
 *
 *	Ctrl-A s, Ctrl-A Esc	back to the shell
 *	Ctrl-A r		what the VM has printed, once more
 *	Ctrl-A v		the VM's text screen
 */
#pragma once

#include <crvm/compiler.h>

#define CONSOLE_KEYS_ESCAPE 0x01 /* Ctrl-A */

enum console_key_action {
	KEY_BYTES, /* for the shell or the VM in focus: bytes[0..n) */
	KEY_SHELL,
	KEY_FOCUS, /* on VM number n, 1 to 9, which need not exist */
	KEY_NEXT,
	KEY_PREV,
	KEY_REPLAY,
	KEY_SCREEN,
	KEY_HELP,
	KEY_UNKNOWN, /* no such sequence: the byte after Ctrl-A is bytes[0], n is 1 */
};

struct console_key {
	enum console_key_action action;
	const uint8_t *bytes; /* KEY_BYTES, KEY_UNKNOWN; valid during the call */
	uint32_t n;
};

typedef void console_keys_fn(void *ctx, const struct console_key *key);

struct console_keys {
	bool focus;  /* a VM has it; else the shell */
	bool escape; /* the last byte was Ctrl-A */
};

/* In the shell, no key half typed. */
void console_keys_init(struct console_keys *k);
/* Who has the focus from now on; may be called from within the callback. */
void console_keys_set_focus(struct console_keys *k, bool vm);
/* Calls `fn` for each sequence and for runs of bytes between them, as long as can be, in order. */
void console_keys_feed(struct console_keys *k, const uint8_t *bytes, uint32_t n,
		       console_keys_fn *fn, void *ctx);
