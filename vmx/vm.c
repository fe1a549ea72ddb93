/*
 * A VM's share of the backend: nested page table and the two kinds of bitmap. Default deny: every
 * port and every MSR exits, ports from 8000h on whatever is asked, so that all VMs share that half.
 * Source: Intel SDM Vol. 3C, "I/O-Bitmap Addresses", "MSR-Bitmap Address".
 */
#include "vmx.h"

#include <crvm/cpufeat.h>
#include <crvm/frames.h>
#include <crvm/hostmap.h>
#include <crvm/log.h>
#include <crvm/mtrr.h>
#include <crvm/status.h>
#include <crvm/string.h>

static uint8_t memtype_of(const void *ctx, uint64_t addr, uint64_t len)
{
	return mtrr_type(ctx, addr, len);
}

/* Of all VMs: a page of ones, made once. */
static const uint8_t *high_ports;

int vmx_vm_setup(void)
{
	hpa_t frame;

	if (frames_alloc(0, FRAME_HV, &frame))
		return E_NOMEM;
	memset(phys_to_virt(frame), 0xff, PAGE_SIZE);
	high_ports = phys_to_virt(frame);
	return OK;
}

int vmx_vm_init(struct virt_vm **out, struct arena *arena, uint16_t vm_id, bool use_vpid)
{
	struct ept_caps caps = ept_caps_from(&vmx_config.caps, boot_cpu_features.phys_bits);
	const struct ept_memtype memtype = {memtype_of, &vmx_config.mtrr};
	struct virt_vm *vm = arena_alloc(arena, sizeof(*vm), 64);
	hpa_t bitmaps;

	if (!vm || ept_init(&vm->ept, arena, &caps, &memtype) || arena_frames(arena, 1, &bitmaps))
		return E_NOMEM;
	vm->io_bitmap_high = high_ports;
	vm->arena = arena;
	vm->id = vm_id;
	vm->use_vpid = use_vpid && (vmx_config.controls.word[CTL_PROC2] & PROC2_CTL_VPID) &&
		       vmx_tlb_invvpid_type(&vmx_config.caps) != VMX_TLB_NONE;
	vm->ept.use_vpid = vm->use_vpid;
	vm->io_bitmap = phys_to_virt(bitmaps);
	vm->msr_bitmap = vm->io_bitmap + PAGE_SIZE;
	memset(vm->io_bitmap, 0xff, 2 * PAGE_SIZE);
	*out = vm;
	return OK;
}

int vmx_nested_map(struct virt_vm *vm, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags)
{
	return ept_map(&vm->ept, gpa, hpa, len, flags);
}

int vmx_nested_protect(struct virt_vm *vm, gpa_t gpa, uint64_t len, unsigned flags)
{
	return ept_protect(&vm->ept, gpa, len, flags);
}

int vmx_nested_query(const struct virt_vm *vm, gpa_t gpa, hpa_t *hpa, unsigned *flags,
		     uint64_t *page_size)
{
	return ept_query(&vm->ept, gpa, hpa, flags, page_size);
}

void vmx_nested_walk(const struct virt_vm *vm,
		     bool (*fn)(void *ctx, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags),
		     void *ctx)
{
	ept_walk(&vm->ept, fn, ctx);
}

static void set_bit(uint8_t *map, uint32_t bit, bool on)
{
	uint8_t mask = (uint8_t)(1u << (bit & 7));

	map[bit / 8] = (uint8_t)(on ? map[bit / 8] | mask : map[bit / 8] & ~mask);
}

void vmx_intercept_port(struct virt_vm *vm, uint16_t port, bool exits)
{
	if (port < 8 * PAGE_SIZE)
		set_bit(vm->io_bitmap, port, exits);
}

/* 1 KiB each: reads of 0-1FFFh, reads of C0000000h-C0001FFFh, writes of both. Others always exit.
 */
void vmx_intercept_msr(struct virt_vm *vm, uint32_t msr, bool read_exits, bool write_exits)
{
	uint8_t *map = vm->msr_bitmap;

	if (msr >= 0xc0000000 && msr <= 0xc0001fff)
		map += 1024;
	else if (msr > 0x1fff)
		return;
	set_bit(map, msr & 0x1fff, read_exits);
	set_bit(map + 2048, msr & 0x1fff, write_exits);
}
