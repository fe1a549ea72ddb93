/*
 * The PC that childvm itself runs on (host.c): COM1 as its console, an alarm made of the PIT, and
 * sleep. Knows nothing of the child.
 */
#pragma once

#include <crvm/compiler.h>

/* What interrupts tell; they do nothing else. */
enum host_event {
	HOST_ALARM = 1u << 0, /* what host_set_alarm asked for, or a little early */
	HOST_INPUT = 1u << 1, /* host_get has a byte */
};

/* Interrupts are on afterwards. */
void host_init(void);

/* Those since the last call. */
unsigned host_take_events(void);
/* Until there are some. */
void host_sleep(void);

/* In so many ns; replaces the last one. More than 50 ms are cut: who is early asks again. */
void host_set_alarm(uint64_t ns);

/* A byte that was typed, or -1. What is not taken stays in the console of CRVM. */
int host_get(void);
void host_put(uint8_t byte);
/* On a line of its own if what was put last has not ended one; at most 200 bytes. */
void host_print(const char *fmt, ...) printf_like(1, 2);

/*
 * Before a hypercall that interrupts can end, so that none is missed: false if there are events.
 * Else interrupts are off until host_vmcall, which lets them in behind the VMCALL's beginning: one
 * that has come meanwhile ends the call, but not before it has begun.
 */
bool host_close_unless_events(void);
int64_t host_vmcall(uint64_t number, uint64_t rdi, uint64_t rsi);
