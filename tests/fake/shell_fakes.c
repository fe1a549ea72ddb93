/* See shell_fakes.h. They know no test framework. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <crvm/percpu.h>
#include <crvm/status.h>
#include <crvm/time.h>
#include "../../core/console.h"
#include "../../core/log_priv.h"
#include "../../core/machine.h"
#include "../../core/mux.h"
#include "../../core/shared.h"
#include "../../core/shell_priv.h"
#include "shell_fakes.h"

#define VMS	   2u
#define SLOT_BYTES 0x10000u
#define MIB	   0x100000u

char fake_shell_text[1u << 16], fake_shell_calls[1u << 10];
int fake_shell_status;
uint64_t fake_shell_tsc_step;
struct timer *fake_shell_timer;
void (*fake_shell_live)(void);
bool fake_shell_focused;
char fake_shell_input[256];
struct manage_regs fake_shell_regs;
const char *fake_shell_config_error;

struct machine machine;
struct vm *vms[VM_MAX];
unsigned vm_count, cpu_count = 2;
struct percpu percpus[CPU_MAX];

static struct vm vm[VMS], made;
static struct vm_vcpu vcpu[VMS];
static struct pc pc[VMS];
static uint8_t memory[VMS][3][SLOT_BYTES];
static size_t text_length;

static void die(const char *why)
{
	fprintf(stderr, "shell fakes: %s\n", why);
	abort();
}

void log_raw(const char *text, size_t n)
{
	if (text_length + n >= sizeof(fake_shell_text))
		die("too much was printed");
	memcpy(fake_shell_text + text_length, text, n);
	text_length += n;
	fake_shell_text[text_length] = '\0';
}

void log_printf(const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_raw(text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

static void call(const char *fmt, ...) printf_like(1, 2);

static void call(const char *fmt, ...)
{
	const size_t n = strlen(fake_shell_calls);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(fake_shell_calls + n, sizeof(fake_shell_calls) - n, fmt, ap);
	va_end(ap);
}

unsigned shared_peers_on(const struct vm *v, unsigned index)
{
	return v->shared[index].region->peers ? index + 2 : 0;
}

static int operation(const char *name, const struct vm *v)
{
	call("%s %s; ", name, v->name);
	return fake_shell_status;
}

void fake_shell_forget(void)
{
	text_length = 0;
	fake_shell_text[0] = fake_shell_calls[0] = '\0';
}

void fake_shell_begin(void)
{
	fake_shell_forget();
	fake_shell_status = OK;
	fake_shell_tsc_step = 1000;
	fake_shell_timer = NULL;
	fake_shell_live = NULL;
	fake_shell_focused = false;
	fake_shell_config_error = NULL;
	memset(&machine, 0, sizeof(machine));
	memset(vms, 0, sizeof(vms));
	memset(memory, 0, sizeof(memory));
	vm_count = VMS;
	for (unsigned i = 0; i < VMS; i++) {
		vm[i] = (struct vm){.id = (uint16_t)i, .vcpu = &vcpu[i], .pc = &pc[i]};
		vcpu[i] = (struct vm_vcpu){.v.vm = &vm[i], .cpu = &percpus[i]};
		memset(&pc[i], 0, sizeof(pc[i]));
		pc[i].pic.dev.lock = pc[i].pit.dev.lock = pc[i].serial.dev.lock =
			pc[i].rtc.dev.lock = pc[i].ide[0].dev.lock = pc[i].ide[1].dev.lock =
				(struct spinlock)SPINLOCK_INIT(RANK_DEVICE, "device");
		for (unsigned k = 0; k < 3; k++)
			if (gmem_add(&vm[i].mem, gpa(k < 2 ? (uint64_t)k * SLOT_BYTES : MIB),
				     SLOT_BYTES, memory[i][k], false))
				die("gmem_add");
		percpus[i].index = i;
		vms[i] = &vm[i];
	}
	strcpy(vm[0].name, "one");
	strcpy(vm[1].name, "two");
	vm[0].state = VM_RUNNING;
	vm[1].state = VM_PAUSED;
}

uint8_t *fake_shell_memory(unsigned i, uint64_t address)
{
	return address < MIB ? &memory[i][address / SLOT_BYTES][address % SLOT_BYTES]
			     : &memory[i][2][address - MIB];
}

/* core/manage.h */

struct vm *manage_find(const char *name)
{
	for (unsigned i = 0; i < vm_count; i++)
		if (vms[i] && strcmp(vms[i]->name, name) == 0)
			return vms[i];
	return NULL;
}

unsigned manage_create(const char *text, size_t len, struct vm_config_sink *sink)
{
	const struct vm_config_error e = {{2, 5}, "bad", fake_shell_config_error};

	call("create %.*s; ", (int)len, text);
	if (!fake_shell_config_error) {
		if (fake_shell_status)
			return 0;
		made = (struct vm){.name = "c", .vcpu = &vcpu[0], .pc = &pc[0]};
		vms[vm_count++] = &made;
		return 1;
	}
	sink->count++;
	sink->error(sink->ctx, &e);
	return 0;
}

int manage_start(struct vm *v)
{
	return operation("start", v);
}

int manage_pause(struct vm *v)
{
	return operation("pause", v);
}

int manage_resume(struct vm *v)
{
	return operation("resume", v);
}

int manage_reset(struct vm *v)
{
	return operation("reset", v);
}

int manage_stop(struct vm *v)
{
	return operation("stop", v);
}

int manage_destroy(struct vm *v)
{
	const int status = operation("destroy", v);

	if (!status)
		memset(v, 0x5a, sizeof(*v));
	return status;
}

int manage_set_weight(struct vm *v, unsigned weight)
{
	call("weight %s %u; ", v->name, weight);
	return fake_shell_status;
}

int manage_set_cpu(struct vm *v, unsigned cpu)
{
	call("cpu %s %u; ", v->name, cpu);
	return fake_shell_status;
}

int manage_inject_nmi(struct vm *v)
{
	return operation("nmi", v);
}

int manage_inject_irq(struct vm *v, unsigned irq)
{
	call("irq %s %u; ", v->name, irq);
	return irq == PIC_IRQ_CASCADE ? E_INVAL : fake_shell_status;
}

int manage_read(struct vm *v, gpa_t from, void *buf, uint64_t len)
{
	return v->state == VM_RUNNING ? E_BUSY : gmem_read(&v->mem, from, buf, len);
}

int manage_get_regs(struct vm *v, struct manage_regs *r)
{
	if (v->state == VM_RUNNING)
		return E_BUSY;
	*r = fake_shell_regs;
	return OK;
}

/* Others. */

void mux_focus(struct vm *v)
{
	call("focus %s; ", v->name);
	fake_shell_focused = true;
}

void mux_replay(struct vm *v)
{
	call("log %s; ", v->name);
}

bool mux_has_focus(void)
{
	return fake_shell_focused;
}

void report_vms(void)
{
	call("vms; ");
}

void mux_input(const char *bytes, unsigned n)
{
	call("typed %.*s; ", (int)n, bytes);
}

void console_set_input(const char *text)
{
	if (strlen(text) >= sizeof(fake_shell_input))
		die("too long an input line");
	strcpy(fake_shell_input, text);
}

/* Where core/shell.c is linked as well, that is it. */
__attribute__((weak)) void shell_live(void (*stop)(void))
{
	fake_shell_live = stop;
}

unsigned cpuid_policy_phys_bits(const struct cpuid_policy *p)
{
	(void)p;
	return 36;
}

uint64_t vm_console_printed(const struct vm_console *c)
{
	(void)c;
	return 1234;
}

struct pit_ticks pit_ticks(const struct pit *p)
{
	return p->ticks;
}

/* The TSC is the host's own; each look at how long something takes says what the test wants. */
uint64_t time_ns_to_tsc(uint64_t ns)
{
	return fake_shell_tsc_step ? ns : 0;
}

uint64_t time_tsc_to_ns(uint64_t tsc)
{
	return tsc;
}

uint64_t time_tsc_khz(void)
{
	return 1000000;
}

void timer_set(struct timer *t, uint64_t deadline)
{
	(void)deadline;
	fake_shell_timer = t;
}

void timer_cancel(struct timer *t)
{
	if (fake_shell_timer == t)
		fake_shell_timer = NULL;
}

static void machine_command(const char *name, const char *arg)
{
	call("%s(%s); ", name, arg);
}

void shell_machine(char *arg)
{
	machine_command("machine", arg);
}

void shell_cpus(char *arg)
{
	machine_command("cpus", arg);
}

void shell_ping(char *arg)
{
	machine_command("ping", arg);
}

void shell_frames(char *arg)
{
	machine_command("frames", arg);
}

void shell_audit(char *arg)
{
	machine_command("audit", arg);
}

void shell_selftest(char *arg)
{
	machine_command("selftest", arg);
}

void shell_trace(char *arg)
{
	machine_command("trace", arg);
}

void shell_sleep(char *arg)
{
	machine_command("sleep", arg);
}

void shell_loglevel(char *arg)
{
	machine_command("loglevel", arg);
}

void shell_crash(char *arg)
{
	machine_command("crash", arg);
}

void shell_reboot(char *arg)
{
	machine_command("reboot", arg);
}

void shell_poweroff(char *arg)
{
	machine_command("poweroff", arg);
}
