/*
 * Shell commands on the life of VMs: words around core/manage.h. They must not know how a line is
 * typed, nor how a VM is run.
 */
#include <crvm/cpu.h>
#include <crvm/printf.h>
#include <crvm/status.h>
#include <crvm/string.h>
#include <crvm/time.h>

#include "log_priv.h"
#include "machine.h"
#include "manage.h"
#include "mux.h"
#include "pc.h"
#include "shared.h"
#include "shell_priv.h"

void shell_vms(char *arg)
{
	(void)arg;
	report_vms();
}

static void print_disk(const struct vm *vm, unsigned i)
{
	static const char *const where[] = {"primary master", "primary slave", "secondary master",
					    "secondary slave"};
	const struct pc_disk *d = vm->pc->disk[i];
	char size[16];

	if (d)
		log_printf("  disk%u     %s, %s, %s; written: %lu KiB\n", i,
			   d->image.kind == DISK_IMAGE_BLANK ? "blank"
							     : vm->config.disk[i].image.name,
			   str_size(size, sizeof(size), d->disk.sectors * DISK_SECTOR), where[i],
			   d->overlay.page_count * (DISK_PAGE_SIZE / 1024));
}

static void print_shared(const struct vm *vm, unsigned i)
{
	const struct vm_shared *s = &vm->shared[i];
	char line[16] = "no IRQ";

	if (s->irq >= 0)
		str_printf(line, sizeof(line), "IRQ %d", s->irq);
	log_printf("  shared%u   %s, %lu KiB at %lx, %s; other VMs there: %u on; rings: %u\n", i,
		   s->region->name, s->region->size / 1024, s->region->at, line,
		   shared_peers_on(vm, i), atomic_load(&s->rings));
}

void shell_info(char *arg)
{
	const struct vm *vm = shell_vm("info", &arg);
	const struct vm_vcpu *vv;
	struct exit_counter sum = {0};

	if (!vm || !shell_end("info", arg))
		return;
	vv = &vm->vcpu[0];
	for (unsigned i = 0; i < EXIT_KIND_COUNT; i++)
		sum.count += vv->stats.kind[i].count;
	log_printf("  name      %s, VM %u, %s\n", vm->name, vm->id + 1u, shell_state(vm));
	log_printf("  memory    %lu KiB, and %lu KiB beside it\n", vm->config.mem / 1024,
		   (vm->arena.frame_count * PAGE_SIZE - vm->config.mem) / 1024);
	if (vv->cpu)
		log_printf("  CPU       %u, weight %u\n", vv->cpu->index, vm->config.weight);
	else
		log_printf("  CPU       none yet, weight %u\n", vm->config.weight);
	log_printf("  boot      %s\n", vm_config_boot_name(vm->config.boot));
	for (unsigned i = 0; i < PC_DISK_COUNT; i++)
		print_disk(vm, i);
	for (unsigned i = 0; i < vm->shared_count; i++)
		print_shared(vm, i);
	log_printf("  ran       %lu ms of %lu, with %lu exits\n",
		   time_tsc_to_ns(vv->ran_ticks) / 1000000,
		   time_tsc_to_ns((vm->paused_tsc ? vm->paused_tsc : rdtsc()) - vm->zero_tsc) /
			   1000000,
		   sum.count);
	log_printf("  printed   %lu bytes\n", vm_console_printed(&vm->console));
	if (vm->exit_code >= 0)
		log_printf("  ended     with code %d\n", vm->exit_code);
}

/* Creating. */

static void create_error(void *ctx, const struct vm_config_error *e)
{
	(void)ctx;
	log_printf("create: entry %u, column %u: %s%s%s\n", e->place.line, e->place.column, e->vm,
		   e->vm[0] ? ": " : "", e->text);
}

void shell_create(char *arg)
{
	static struct vm *before[VM_MAX];
	struct vm_config_sink sink = {.error = create_error};
	unsigned made = 0;

	if (machine.verdict.count) {
		log_printf("create: this machine cannot run VMs: `machine` says why\n");
		return;
	}
	if (!*arg) {
		shell_wrong("create", "what? a configuration with ; for line ends");
		return;
	}
	memset(before, 0, sizeof(before));
	for (unsigned i = 0; i < vm_count; i++)
		before[i] = vms[i];
	shell_config_lines(arg);
	if (!manage_create(arg, strlen(arg), &sink) && !sink.count)
		shell_wrong("create", "there is no [vm NAME] in it");
	for (unsigned i = 0; i < vm_count; i++) {
		if (!vms[i] || vms[i] == before[i])
			continue;
		log_printf("VM %u %s is made, and %s\n", i + 1, vms[i]->name, shell_state(vms[i]));
		made++;
	}
	if (!made)
		log_printf("create: no VM was made\n");
}

/* Longer than one log_printf takes. */
static void print_text(const char *text)
{
	log_raw(text, strlen(text));
	log_raw("\n", 1);
}

void shell_config(char *arg)
{
	static char text[1536];
	const struct vm *vm = shell_vm("config", &arg);

	if (!vm || !shell_end("config", arg))
		return;
	if (vm->own.data)
		log_printf("config: VM %s is made of a boot module of its own, whose name create "
			   "does not know\n",
			   vm->name);
	else if (!shell_config_text(&vm->config, text, sizeof(text)))
		log_printf("config: VM %s: it is longer than a line\n", vm->name);
	else
		print_text(text);
}

/* On and off. */

struct operation {
	const char *name;
	int (*run)(struct vm *vm);
	const char *wanted, *done; /* states; done NULL: manage says it */
};

static void operate(const struct operation *o, char *arg)
{
	struct vm *vm = shell_vm(o->name, &arg);
	int err;

	if (!vm || !shell_end(o->name, arg))
		return;
	err = o->run(vm);
	if (err)
		shell_failed(o->name, vm, err, o->wanted);
	else if (o->done)
		log_printf("VM %s %s\n", vm->name, o->done);
}

void shell_start_vm(char *arg)
{
	operate(&(struct operation){"start", manage_start, "created or stopped", "is running"},
		arg);
}

void shell_pause(char *arg)
{
	operate(&(struct operation){"pause", manage_pause, "running", "is paused"}, arg);
}

void shell_resume(char *arg)
{
	operate(&(struct operation){"resume", manage_resume, "paused", "goes on"}, arg);
}

void shell_reset(char *arg)
{
	operate(&(struct operation){"reset", manage_reset, "running or paused", "begins again"},
		arg);
}

void shell_stop(char *arg)
{
	operate(&(struct operation){"stop", manage_stop, "running or paused", NULL}, arg);
}

void shell_destroy(char *arg)
{
	struct vm *vm = shell_vm("destroy", &arg);
	char name[VM_NAME_MAX];
	int err;

	if (!vm || !shell_end("destroy", arg))
		return;
	memcpy(name, vm->name, sizeof(name)); /* which goes with it */
	err = manage_destroy(vm);
	if (err)
		shell_failed("destroy", vm, err, "created or stopped: stop it first");
	else
		log_printf("VM %s is gone\n", name);
}

/* Sharing. */

void shell_weight(char *arg)
{
	struct vm *vm = shell_vm("weight", &arg);
	const char *word = shell_word(&arg);
	uint64_t n;
	int err;

	if (!vm || !shell_end("weight", arg) ||
	    !shell_number("weight", "the weight", word, 1, 1000, &n))
		return;
	err = manage_set_weight(vm, (unsigned)n);
	if (err)
		shell_failed("weight", vm, err, "there");
	else
		log_printf("VM %s has weight %lu\n", vm->name, n);
}

void shell_cpu(char *arg)
{
	struct vm *vm = shell_vm("cpu", &arg);
	const char *word = shell_word(&arg);
	uint64_t n;
	int err;

	if (!vm || !shell_end("cpu", arg) ||
	    !shell_number("cpu", "the CPU", word, 0, cpu_count - 1, &n))
		return;
	err = manage_set_cpu(vm, (unsigned)n);
	if (err == E_NODEV)
		shell_wrong("cpu", "CPU %lu is not online: `cpus` lists them", n);
	else if (err)
		shell_failed("cpu", vm, err, "there");
	else
		log_printf("VM %s is on CPU %lu\n", vm->name, n);
}

/* Console and lines. */

void shell_focus(char *arg)
{
	struct vm *vm = shell_vm("focus", &arg);

	if (vm && shell_end("focus", arg))
		mux_focus(vm);
}

void shell_log(char *arg)
{
	struct vm *vm = shell_vm("log", &arg);

	if (!vm || !shell_end("log", arg))
		return;
	mux_replay(vm);
	log_raw("\n", 1); /* it may have ended in a prompt */
}

void shell_inject(char *arg)
{
	struct vm *vm = shell_vm("inject", &arg);
	const char *what = shell_word(&arg), *word = shell_word(&arg);
	const bool nmi = strcmp(what, "nmi") == 0;
	uint64_t irq = 0;
	int err;

	if (!vm || !shell_end("inject", arg))
		return;
	if ((!nmi && strcmp(what, "irq") != 0) || (nmi && *word)) {
		shell_wrong("inject", "what? nmi, or irq and a number, not '%.40s%s%.40s'", what,
			    *word ? " " : "", word);
		return;
	}
	if (!nmi && !shell_number("inject", "the interrupt", word, 0, PC_IRQ_COUNT - 1, &irq))
		return;
	if (nmi) {
		shell_nmi(vm->name);
		return;
	}
	err = manage_inject_irq(vm, (unsigned)irq);
	if (err == E_INVAL)
		shell_wrong("inject", "irq %lu is the line between the two interrupt controllers",
			    irq);
	else if (err)
		shell_failed("inject", vm, err, "running or paused");
	else
		log_printf("VM %s gets IRQ %lu\n", vm->name, irq);
}

void shell_nmi(char *arg)
{
	struct vm *vm = shell_vm("nmi", &arg);
	int err;

	if (!vm || !shell_end("nmi", arg))
		return;
	err = manage_inject_nmi(vm);
	if (err)
		shell_failed("nmi", vm, err, "running or paused");
	else
		log_printf("VM %s gets an NMI\n", vm->name);
}
