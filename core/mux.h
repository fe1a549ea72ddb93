/*
 * The one console for all: each VM's lines with its name in front and the shell below, or one VM in
 * focus, for which it is a plain terminal. Private to core/. Knows where bytes come from and go to,
 * not what a command is.
 */
#pragma once

#include "vm.h"

/* The VM's console, in its arena. E_NOMEM. */
must_check int mux_attach(struct vm *vm);
/* Before the VM is gone: forgets it. Boot CPU. */
void mux_detach(struct vm *vm);
/* A byte that the VM prints. Its CPU, with a device's lock held: short. */
void mux_put(struct vm *vm, uint8_t byte);
/* Shows what it has printed, as far as there is room, before something is said of it. Any CPU, also
 * as mux_put. */
void mux_flush(struct vm *vm);

/* A VM has ended, or else there is news for the boot CPU to look at. As mux_put. */
void mux_wake(void);

/* What was typed: to the shell, or the VM in focus, or a key sequence. Boot CPU's loop. */
void mux_input(const char *bytes, unsigned n);
/* WORK_CONSOLE came: looks after what VMs have printed. Boot CPU's loop. */
void mux_work(void);

/* From now on the console is that VM's, from what it has not shown yet on. Boot CPU. */
void mux_focus(struct vm *vm);
/* Whether a VM has the console. Boot CPU. */
bool mux_has_focus(void);
/* All that its ring still has. Boot CPU. */
void mux_replay(struct vm *vm);
