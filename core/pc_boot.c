/*
 * How a VM starts: firmware or a kernel into its memory, and its vCPU's first registers. It must
 * not know what an image contains: see load.h.
 */
#include <crvm/log.h>
#include <crvm/status.h>

#include "load.h"
#include "machine.h"
#include "pc.h"
#include "vm.h"

#define FIRMWARE_MIN 16u	  /* bytes: the reset vector */
#define FIRMWARE_MAX (256u << 10) /* what lies below 1 MiB */
#define MIB	     (1u << 20)

enum { ATTR_CODE16 = 0x9b, ATTR_CODE32 = 0xc09b, ATTR_DATA32 = 0xc093 };

static void start_real(struct vm_vcpu *vv, const struct pc_start *s)
{
	const struct vcpu_segment cs = {s->selector, ATTR_CODE16, 0xffff, s->base, false};

	machine.backend->set_segment(&vv->v, SEG_CS, &cs);
	machine.backend->set_reg(&vv->v, REG_RIP, s->ip);
	machine.backend->set_reg(&vv->v, REG_RSP, s->rsp);
}

/* Multiboot Specification, "I386 machine state". */
static void start_prot32(struct vm_vcpu *vv, const struct load_start *s)
{
	const struct virt_backend *b = machine.backend;
	const struct vcpu_segment code = {0x08, ATTR_CODE32, ~0u, 0, false};
	const struct vcpu_segment data = {0x10, ATTR_DATA32, ~0u, 0, false};

	for (unsigned i = SEG_ES; i <= SEG_GS; i++)
		b->set_segment(&vv->v, (enum vcpu_segreg)i, i == SEG_CS ? &code : &data);
	b->set_reg(&vv->v, REG_CR0, CR0_PE | CR0_ET);
	b->set_reg(&vv->v, REG_RIP, s->entry);
	vv->v.gpr[REG_RAX] = s->eax;
	vv->v.gpr[REG_RBX] = s->ebx;
	vv->v.gpr[REG_RDX] = 0;
}

static int fail(const struct vm *vm, int err, const char *text)
{
	log_err("VM %s: %s", vm->name, text);
	return err;
}

/* Ends at 1 MiB, and starts where the CPU does at power-on. */
static int load_firmware(struct vm *vm, struct pc_start *start)
{
	struct vm_image rom = vms_module(vm->config.firmware.name);

	if (rom.len < FIRMWARE_MIN || rom.len > FIRMWARE_MAX || vm->config.mem < MIB) {
		log_err("VM %s: firmware '%s' of %lu bytes: must be %u bytes to %u KiB, and "
			"memory = 1M at least",
			vm->name, vm->config.firmware.name, rom.len, FIRMWARE_MIN,
			FIRMWARE_MAX / 1024);
		return E_INVAL;
	}
	*start = (struct pc_start){
		.real = true, .selector = 0xf000, .base = PC_ROM_BASE, .ip = 0xfff0};
	return gmem_write(&vm->mem, gpa(MIB - rom.len), rom.data, rom.len);
}

/* With CS = 0 where that reaches, as a boot sector expects. */
static int load_flat(struct vm *vm, const struct vm_image *kernel, struct pc_start *start)
{
	uint64_t at = vm->config.at, base = at <= 0xffff ? 0 : at;
	int err = gmem_write(&vm->mem, gpa(at), kernel->data, kernel->len);

	if (err)
		return fail(vm, err, "the kernel does not fit its memory");
	*start = (struct pc_start){
		.real = true,
		.selector = (uint16_t)(base >> 4),
		.base = base,
		.ip = at - base,
		.rsp = at <= 0xffff && at >= 0x1000 ? at : 0x7c00,
	};
	return OK;
}

static int load_kernel(struct vm *vm, const struct vm_image *kernel, struct pc_start *start)
{
	const struct vm_config *c = &vm->config;
	struct load_module modules[VM_MODULE_COUNT_MAX];
	struct load_request r = {
		.image = kernel->data,
		.image_len = kernel->len,
		.name = c->kernel.name[0] ? c->kernel.name : c->name,
		.cmdline = c->cmdline,
		.mem_size = c->mem,
		.modules = modules,
		.module_count = c->module_count,
	};
	char error[200];
	int err;

	for (unsigned i = 0; i < c->module_count; i++) {
		struct vm_image m = vms_module(c->module[i].name);

		modules[i] = (struct load_module){m.data, m.len, c->module[i].name};
	}
	if (c->boot == VM_BOOT_ELF)
		err = load_elf(&vm->mem, &r, &start->kernel, error, sizeof(error));
	else
		err = load_multiboot(&vm->mem, &r, &start->kernel, error, sizeof(error));
	if (err)
		return fail(vm, err, error);
	start->real = false;
	return OK;
}

int pc_load(struct vm *vm, struct pc_start *start)
{
	const struct vm_config *c = &vm->config;
	struct vm_image kernel = c->kernel.name[0] ? vms_module(c->kernel.name) : vm->own;

	switch (c->boot) {
	case VM_BOOT_DISK:
		return load_firmware(vm, start);
	case VM_BOOT_FLAT:
		return load_flat(vm, &kernel, start);
	default:
		return load_kernel(vm, &kernel, start);
	}
}

void pc_start(struct vm *vm, const struct pc_start *start)
{
	if (start->real)
		start_real(vm->vcpu, start);
	else
		start_prot32(vm->vcpu, &start->kernel);
}
