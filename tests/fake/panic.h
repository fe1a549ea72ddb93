/*
 * A panic() for host tests, and what goes with it. A panic that no test expects prints and aborts.
 *
 *	expect_panic(frames_free(base, 0), "HEAD_USED");
 */
#pragma once

#include <setjmp.h>
#include <stdbool.h>

extern jmp_buf fake_panic_env;
extern bool fake_panic_expected;
extern char fake_panic_message[256]; /* the last panic's */
extern char fake_log_line[256];	     /* the last line logged, without level */
extern char fake_log_previous[256];  /* the one before it */
extern unsigned fake_log_count;

/* Fails the test (by abort) if the last panic's message does not contain `text`. */
void fake_panic_match(const char *text, const char *file, int line);

/*
 * Runs a statement that must panic with a message that contains `text`. Locks that it held stay
 * held: see fake_spin_reset. Locals that the statement changes must be volatile.
 */
#define expect_panic(stmt, text)                            \
	do {                                                \
		fake_panic_message[0] = '\0';               \
		fake_panic_expected = true;                 \
		if (setjmp(fake_panic_env) == 0) {          \
			stmt;                               \
		}                                           \
		fake_panic_expected = false;                \
		fake_panic_match(text, __FILE__, __LINE__); \
	} while (0)
