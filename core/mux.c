/* See mux.h. */
#include <crvm/cpu.h>
#include <crvm/log.h>
#include <crvm/printf.h>
#include <crvm/smp.h>
#include <crvm/status.h>
#include <crvm/string.h>
#include <crvm/time.h>

#include "console.h"
#include "console_keys.h"
#include "log_priv.h"
#include "machine.h"
#include "mux.h"
#include "pc.h"

#define SHOW_NS	       2000000ul   /* from a VM's first byte until it is shown */
#define PARTIAL_NS     250000000ul /* until a line without an end is */
#define SCREEN_BASE    0xb8000u	   /* CGA text memory, which is plain RAM */
#define SCREEN_BYTES   0x8000u
#define SCREEN_COLUMNS 80u
#define SCREEN_ROWS    25u

#define ROOM_MIN   40960u /* of the host's serial port: for what 256 bytes, all newlines, become */
#define ROUNDS_MAX 16u	  /* of a few hundred bytes, in which one VM is shown at a time */

/* Held by whoever shows what VMs print: they are read by one CPU at a time. */
static struct spinlock mux_lock = SPINLOCK_INIT(RANK_CONSOLE, "console mux");
static atomic_bool woken; /* the boot CPU has been told, and has not looked yet */

/* The boot CPU's. */
static struct timer show_timer;
static struct console_keys keys;
static struct vm *focus; /* NULL: the shell */
static unsigned turn;	 /* who is shown first, modulo their number */
static bool dropping;	 /* the VM in focus does not read what is typed; said once */

/* Its CPU, in an exit. */
static void *ring_alloc(void *ctx, uint32_t size)
{
	struct vm *vm = ctx;

	return arena_alloc(&vm->arena, size, 64);
}

int mux_attach(struct vm *vm)
{
	void *out = arena_alloc(&vm->arena, VM_CONSOLE_OUT_FIRST, 64);
	void *in = arena_alloc(&vm->arena, VM_CONSOLE_IN_SIZE, 64);

	if (!out || !in)
		return E_NOMEM;
	vm_console_init(&vm->console, out, VM_CONSOLE_OUT_FIRST, in, VM_CONSOLE_IN_SIZE);
	vm_console_grow_to(&vm->console, VM_CONSOLE_OUT_SIZE, ring_alloc, vm);
	return OK;
}

static void unfocus(void);

void mux_detach(struct vm *vm)
{
	if (vm == focus)
		unfocus();
}

void mux_wake(void)
{
	if (!atomic_exchange(&woken, true))
		smp_kick(&percpus[0], WORK_CONSOLE);
}

void mux_put(struct vm *vm, uint8_t byte)
{
	if (unlikely(vm_console_put(&vm->console, byte)))
		mux_wake();
}

/* Output. */

static void show_line(void *ctx, const char *text, uint32_t n)
{
	const struct vm *vm = ctx;

	log_printf("[%s] %.*s\n", vm->name, (int)n, text);
}

static void show_bytes(void *ctx, const uint8_t *bytes, uint32_t n)
{
	(void)ctx;
	log_direct((const char *)bytes, n);
}

/*
 * True if there is more, which must wait until the serial port has sent what it has, or until the
 * others have had their turn: without a serial port, a VM may print for as long as it is shown.
 */
static bool show_raw(struct vm *vm)
{
	uint8_t buf[512];
	uint32_t n;

	for (unsigned i = 0; i < ROUNDS_MAX && console_room() >= ROOM_MIN; i++) {
		n = vm_console_raw(&vm->console, buf, sizeof(buf));
		if (!n)
			return false;
		log_direct((const char *)buf, n);
	}
	return true;
}

static bool show_lines(struct vm *vm)
{
	for (unsigned i = 0; i < ROUNDS_MAX && console_room() >= ROOM_MIN; i++)
		if (!vm_console_lines(&vm->console, show_line, vm))
			return false;
	return true;
}

void mux_flush(struct vm *vm)
{
	spin_lock(&mux_lock);
	/* What there is no room for follows later: it must not push other lines out. */
	if (vm == focus)
		(void)show_raw(vm);
	else if (!show_lines(vm))
		vm_console_flush_partial(&vm->console, show_line, vm);
	spin_unlock(&mux_lock);
}

/* An unfinished line is shown when nothing was printed for a while: true until then. */
static bool show_partial(struct vm *vm, uint64_t now)
{
	uint64_t printed = vm_console_printed(&vm->console);

	if (!vm_console_partial(&vm->console))
		return false;
	if (vm->mux_printed != printed) {
		vm->mux_printed = printed;
		vm->mux_since = now;
	}
	if (now - vm->mux_since < time_ns_to_tsc(PARTIAL_NS))
		return true;
	vm_console_flush_partial(&vm->console, show_line, vm);
	return false;
}

/* A line of our own, whoever has the console. */
static printf_like(1, 2) void say(const char *fmt, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	str_vprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!focus) {
		log_printf("%s\n", text);
		return;
	}
	log_direct(text, strlen(text));
	log_direct("\r\n", 2);
}

static void show_all(struct timer *t);

static void unfocus(void)
{
	console_keys_set_focus(&keys, false);
	spin_lock(&mux_lock);
	focus = NULL;
	spin_unlock(&mux_lock);
	log_hold(false);
	shell_start();
	show_all(&show_timer); /* what the others have printed meanwhile */
}

static void show_all(struct timer *t)
{
	uint64_t now = rdtsc(), wait = 0;

	atomic_store(&woken, false);
	spin_lock(&mux_lock);
	if (console_room() >= ROOM_MIN)
		turn++; /* who comes first may leave no room to the others */
	for (unsigned i = 0; i < vm_count; i++) {
		struct vm *vm = vms[(turn + i) % vm_count];

		if (!vm) {
			continue;
		} else if (focus) {
			if (vm == focus && show_raw(vm))
				wait = SHOW_NS;
		} else if (show_lines(vm)) {
			wait = SHOW_NS;
		} else if (show_partial(vm, now) && !wait) {
			wait = PARTIAL_NS / 2;
		}
	}
	spin_unlock(&mux_lock);
	if (focus && atomic_load(&focus->state) == VM_STOPPED)
		unfocus();
	if (wait)
		timer_set(t, rdtsc() + time_ns_to_tsc(wait));
}

void mux_work(void)
{
	const uint64_t at = rdtsc() + time_ns_to_tsc(SHOW_NS);

	show_timer.fn = show_all;
	/* Never later than it is: this is called for each key as well. */
	if (atomic_load(&woken) && (!show_timer.node.queued || show_timer.node.key > at))
		timer_set(&show_timer, at);
}

/* Input. */

static void input_here(void *arg)
{
	struct vm *vm = arg;

	/* It may have ended meanwhile; then no alarm may be set. */
	if (vm_is_on(vm))
		pc_input(vm->pc);
}

static void type(struct vm *vm, const uint8_t *bytes, unsigned n)
{
	unsigned taken = vm_console_type(&vm->console, bytes, n);

	if (taken < n && !dropping)
		log_direct("\a", 1);
	dropping = taken < n;
	if (!vm_is_on(vm))
		return; /* it will find the bytes when it is on */
	if (smp_call(vm->vcpu[0].cpu, input_here, vm))
		log_warn("VM %s: its CPU does not answer", vm->name);
}

void mux_focus(struct vm *vm)
{
	if (!focus) {
		/* What has been read of a line is not shown again. */
		spin_lock(&mux_lock);
		vm_console_flush_partial(&vm->console, show_line, vm);
		spin_unlock(&mux_lock);
		log_raw("\n", 1);
	}
	console_set_input("");
	log_hold(true);
	spin_lock(&mux_lock);
	focus = vm;
	spin_unlock(&mux_lock);
	console_keys_set_focus(&keys, true);
	say("--- %s (Ctrl-A s: back to the shell, Ctrl-A ?: help) ---", vm->name);
	show_all(&show_timer);
}

bool mux_has_focus(void)
{
	return focus;
}

void mux_replay(struct vm *vm)
{
	spin_lock(&mux_lock);
	vm_console_replay(&vm->console, show_bytes, NULL);
	spin_unlock(&mux_lock);
}

/* The VM's text screen as its CRTC shows it; what is not ASCII as a dot. */
static void show_screen(const struct vm *vm)
{
	const uint8_t *cells = gmem_ptr(&vm->mem, gpa(SCREEN_BASE), SCREEN_BYTES);
	uint32_t at = vga_start(&vm->pc->vga);
	char line[SCREEN_COLUMNS + 1];

	for (unsigned row = 0; cells && row < SCREEN_ROWS; row++) {
		unsigned end = 0;

		for (unsigned i = 0; i < SCREEN_COLUMNS; i++, at++) {
			uint8_t c = cells[2 * at % SCREEN_BYTES];

			line[i] = c >= ' ' && c < 0x7f ? (char)c : c ? '.' : ' ';
			end = line[i] != ' ' ? i + 1 : end;
		}
		line[end] = '\0';
		say("| %s", line);
	}
}

static void focus_number(unsigned n)
{
	if (n && n <= vm_count && vms[n - 1])
		mux_focus(vms[n - 1]);
	else
		say("there is no VM %u: there are %u", n, vm_count);
}

static void focus_step(int step)
{
	unsigned n = focus ? focus->id : step > 0 ? vm_count - 1 : 0;

	for (unsigned tries = 0; tries < vm_count; tries++) {
		n = (n + vm_count + (unsigned)step) % vm_count;
		if (!vms[n])
			continue;
		mux_focus(vms[n]);
		return;
	}
	say("there are no VMs");
}

static void help(void)
{
	say("Ctrl-A and then: 1-9 VM of that number, n next, p previous, s shell,");
	say("r all that the VM has printed, v its text screen, a Ctrl-A itself, ? this");
}

static void key(void *ctx, const struct console_key *k)
{
	(void)ctx;
	if (focus && k->action != KEY_BYTES) /* wherever the VM's cursor is */
		log_direct("\r\n", 2);
	switch (k->action) {
	case KEY_BYTES:
		if (focus)
			type(focus, k->bytes, k->n);
		else
			shell_input((const char *)k->bytes, k->n);
		break;
	case KEY_SHELL:
		if (focus)
			unfocus();
		break;
	case KEY_FOCUS:
		focus_number(k->n);
		break;
	case KEY_NEXT:
	case KEY_PREV:
		focus_step(k->action == KEY_NEXT ? 1 : -1);
		break;
	case KEY_REPLAY:
		if (focus)
			mux_replay(focus);
		break;
	case KEY_SCREEN:
		if (focus)
			show_screen(focus);
		break;
	case KEY_HELP:
		help();
		break;
	case KEY_UNKNOWN:
		say("Ctrl-A and byte %02xh mean nothing: Ctrl-A ? for help", k->bytes[0]);
		break;
	}
}

void mux_input(const char *bytes, unsigned n)
{
	console_keys_feed(&keys, (const uint8_t *)bytes, n, key, NULL);
}
