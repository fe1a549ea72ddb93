/*
 * The life of a VM: made from its configuration in one arena, started, stopped.
 */
#include <crvm/cpufeat.h>
#include <crvm/fpu.h>
#include <crvm/hostmap.h>
#include <crvm/log.h>
#include <crvm/msr_policy.h>
#include <crvm/printf.h>
#include <crvm/smp.h>
#include <crvm/status.h>
#include <crvm/string.h>
#include <crvm/time.h>

#include "log_priv.h"
#include "machine.h"
#include "vm.h"

#define QUICK_NS     10000ul /* that quick exits may keep run() from returning */
#define TESTDEV_PORT 0xe000u
#define TESTDEV_MMIO 0xfed10000ul

struct vm *vms[VM_MAX];
unsigned vm_count;

static void print_line(struct vm *vm)
{
	log_printf("[%s] %.*s\n", vm->name, (int)vm->line_len, vm->line);
	vm->line_len = 0;
}

static void debug_tx(void *ctx, uint8_t byte)
{
	struct vm *vm = ctx;

	if (byte == '\n') {
		print_line(vm);
		return;
	}
	if (vm->line_len == sizeof(vm->line))
		print_line(vm);
	vm->line[vm->line_len++] = byte >= ' ' && byte < 0x7f ? (char)byte : '?';
}

static void debug_exit(void *ctx, uint32_t code)
{
	struct vm *vm = ctx;

	vm->exit_code = (int)(code & 0xff);
	vm_stop(&vm->vcpu[0], false, "debug exit with code %d", vm->exit_code);
}

static unsigned count_running(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < vm_count; i++)
		n += atomic_load(&vms[i]->state) == VM_RUNNING;
	return n;
}

void vm_stop(struct vm_vcpu *vv, bool dump, const char *fmt, ...)
{
	struct vm *vm = vv->v.vm;
	char why[200];
	va_list ap;

	va_start(ap, fmt);
	str_vprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (vm->line_len)
		print_line(vm);
	for (unsigned i = 0; i < vm->config.cpus; i++) {
		atomic_store(&vm->vcpu[i].stopped, true);
		atomic_fetch_or(&vm->vcpu[i].v.requests, REQ_STOP);
	}
	if (dump) {
		log_err("VM %s, vCPU %u: %s", vm->name, vv->v.id, why);
		machine.backend->dump(&vv->v);
	}
	atomic_store(&vm->state, VM_STOPPED);
	log_printf("VM %s stopped: %s\n", vm->name, why);
	if (!count_running())
		log_printf("all VMs have stopped\n");
}

static int map_block(void *ctx, uint64_t offset, hpa_t base, uint64_t len)
{
	struct vm *vm = ctx;
	int err = gmem_add(&vm->mem, gpa(offset), len, phys_to_virt(base), false);

	if (!err)
		err = machine.backend->nested_map(vm->virt, gpa(offset), base, len, NESTED_RWX);
	return err;
}

static int add_region(struct io_bus *b, struct io_region r)
{
	return io_bus_add(b, &r);
}

static int build_devices(struct vm *vm)
{
	const struct debug_ops ops = {debug_tx, debug_exit, vm};
	int err;

	io_bus_init(&vm->ports, 0x10000);
	io_bus_init(&vm->mmio, 1ul << 48);
	debug_init(&vm->debug, &ops);
	testdev_init(&vm->test);
	err = add_region(&vm->ports, testdev_port_region(&vm->test, TESTDEV_PORT));
	for (unsigned i = 0; !err && i < DEBUG_REGION_COUNT; i++)
		err = add_region(&vm->ports, debug_region(&vm->debug, i));
	if (!err)
		err = add_region(&vm->mmio, testdev_mmio_region(&vm->test, TESTDEV_MMIO));
	if (!err)
		err = io_bus_freeze(&vm->ports, &vm->arena);
	if (!err)
		err = io_bus_freeze(&vm->mmio, &vm->arena);
	return err;
}

static void pass_msr(void *ctx, uint32_t msr, bool read, bool write)
{
	struct vm *vm = ctx;

	machine.backend->intercept_msr(vm->virt, msr, !read, !write);
}

static uint64_t host_tsc(void)
{
	return rdtsc();
}

/* The backend's functions are known at boot only. */
static const struct msr_ops *msr_ops(void)
{
	static struct msr_ops ops;

	ops = (struct msr_ops){
		.get_reg = machine.backend->get_reg,
		.set_reg = machine.backend->set_reg,
		.get_segment = machine.backend->get_segment,
		.set_segment = machine.backend->set_segment,
		.tsc = host_tsc,
	};
	return &ops;
}

static int build_vcpu(struct vm *vm)
{
	struct vm_vcpu *vv = arena_alloc(&vm->arena, sizeof(*vv), 64);

	if (!vv)
		return E_NOMEM;
	vm->vcpu = vv;
	vv->v.vm = vm;
	vv->v.deadline = ~0ul;
	vv->v.quick = &vcpu_quick;
	vv->quick_ticks = (uint32_t)time_ns_to_tsc(QUICK_NS);
	vv->xcr0 = 1;
	vv->fpu = arena_alloc(&vm->arena, fpu_area_size(), FPU_AREA_ALIGN);
	if (!vv->fpu)
		return E_NOMEM;
	fpu_area_reset(vv->fpu);
	vv->emu_env = (struct emu_env){
		.v = &vv->v,
		.backend = machine.backend,
		.mem = &vm->mem,
		.mmio = &vm->mmio,
		.ports = &vm->ports,
		.cache = &vv->emu,
		.phys_bits = (uint8_t)cpuid_policy_phys_bits(&vm->cpuid),
	};
	msr_policy_init(&vv->msr, msr_ops(), &vv->v, &vm->cpuid);
	return machine.backend->vcpu_init(&vv->v, vm->virt, &vm->arena);
}

/* Real mode at `at`: with CS = 0 where that reaches, as a boot sector expects. */
static void start_at(struct vm_vcpu *vv, uint64_t at)
{
	const struct virt_backend *b = machine.backend;
	uint64_t base = at <= 0xffff ? 0 : at;
	struct vcpu_segment cs = {(uint16_t)(base >> 4), 0x9b, 0xffff, base, false};

	b->vcpu_load(&vv->v);
	b->set_segment(&vv->v, SEG_CS, &cs);
	b->set_reg(&vv->v, REG_RIP, at - base);
	b->set_reg(&vv->v, REG_RSP, at <= 0xffff && at >= 0x1000 ? at : 0x7c00);
	if (b->offers(VIRT_TSC_OFFSET))
		b->set_reg(&vv->v, REG_TSC_OFFSET, 0 - rdtsc());
	b->vcpu_unload(&vv->v);
}

static int vm_build(struct vm *vm, const void *image, uint64_t image_len)
{
	struct cpuid_config cpuid = {
		.tsc_khz = (uint32_t)time_tsc_khz(),
		.xcr0 = fpu_xcr0_mask(),
	};
	int err = machine.backend->vm_init(&vm->virt, &vm->arena, vm->id, vm->config.vpid);

	if (!machine.backend->offers(VIRT_RDTSCP))
		cpuid_config_withhold(&cpuid, CPUID_F_RDTSCP);
	cpuid_policy_build(&vm->cpuid, &cpuid, &cpu_ops_native);
	if (!err)
		err = arena_blocks(&vm->arena, vm->config.mem, map_block, vm);
	if (!err)
		err = build_devices(vm);
	if (!err)
		err = build_vcpu(vm);
	if (!err)
		err = gmem_write(&vm->mem, gpa(vm->config.at), image, image_len);
	if (err)
		return err;
	msr_policy_for_each_passthrough(&vm->cpuid, pass_msr, vm);
	machine.backend->intercept_port(vm->virt, 0x80, false);
	start_at(&vm->vcpu[0], vm->config.at);
	return OK;
}

int vm_create(const struct vm_config *config, const void *image, uint64_t image_len)
{
	struct arena arena;
	struct vm *vm;
	int err = E_NOMEM;

	if (vm_count == VM_MAX) {
		log_err("VM %s: there are %u VMs already", config->name, VM_MAX);
		return E_NOMEM;
	}
	arena_init(&arena, (frame_owner_t)(FRAME_VM0 + vm_count));
	vm = arena_alloc(&arena, sizeof(*vm), 64);
	if (vm) {
		vm->arena = arena;
		vm->id = (uint16_t)vm_count;
		vm->config = *config;
		vm->exit_code = -1;
		memcpy(vm->name, config->name, sizeof(vm->name));
		err = vm_build(vm, image, image_len);
		arena = vm->arena;
	}
	if (err) {
		log_err("VM %s cannot be made: %s (%lu KiB wanted, %lu KiB free)", config->name,
			status_name(err), config->mem / 1024, frames_count(FRAME_FREE) * 4);
		arena_destroy(&arena);
		return err;
	}
	vms[vm_count++] = vm;
	return OK;
}

static void start_here(void *arg)
{
	struct vm *vm = arg;

	for (unsigned i = 0; i < vm->config.cpus; i++)
		sched_add(&vm->vcpu[i], this_cpu());
}

static void vm_start(struct vm *vm)
{
	unsigned cpu = vm->config.cpu >= 0 ? (unsigned)vm->config.cpu : vm->id % cpu_count;

	if (cpu >= cpu_count || atomic_load(&percpus[cpu].state) != CPU_ONLINE) {
		log_warn("VM %s: there is no CPU %u, CPU 0 is used", vm->name, cpu);
		cpu = 0;
	}
	atomic_store(&vm->state, VM_RUNNING);
	if (smp_call(&percpus[cpu], start_here, vm))
		log_err("VM %s: CPU %u does not answer", vm->name, cpu);
}

void vm_start_all(void)
{
	const struct boot_info *b = &machine.boot;

	if (machine.verdict.count)
		return;
	for (unsigned i = 0; i < b->module_count; i++) {
		const struct boot_module *m = &b->module[i];
		struct vm_config config;
		char error[160];

		if (!vm_config_is_guest(m->cmdline))
			continue;
		if (vm_config_parse(&config, m->cmdline, error, sizeof(error)))
			log_err("module %u: %s", i, error);
		else if (!vm_create(&config, phys_to_virt(hpa(m->start)), m->end - m->start))
			log_info("VM %s: %lu KiB, image of %lu bytes at %lx", config.name,
				 config.mem / 1024, m->end - m->start, config.at);
	}
	/* All at once: none has a head start in what it sees of the others. */
	for (unsigned i = 0; i < vm_count; i++)
		vm_start(vms[i]);
}
