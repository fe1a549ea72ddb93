/*
 * The FPU, SSE and AVX state of vCPUs (arch/x86_64/fpu.c). The hypervisor itself never uses these
 * registers, so a guest's state stays in them while its vCPU is loaded and is moved only when
 * another takes its place. Source: Intel SDM Vol. 1, "Managing State Using the XSAVE Feature Set".
 */
#pragma once

#include <crvm/compiler.h>

#define FPU_AREA_ALIGN 64u

/* On each CPU, after cpufeat_enable. */
void fpu_init_cpu(void);
/* Bytes of a save area. */
size_t fpu_area_size(void);
/* The bits that a guest may set in XCR0: x87, SSE, AVX as far as present; 0 without XSAVE. */
uint64_t fpu_xcr0_mask(void);
/* Whether a guest may load this into XCR0. */
bool fpu_xcr0_valid(uint64_t xcr0);
/* The state after reset. */
void fpu_area_reset(uint8_t *area);
/* Moves all state from and to the CPU; after the latter XCR0 is `xcr0`, the guest's. */
void fpu_save(uint8_t *area);
void fpu_restore(const uint8_t *area, uint64_t xcr0);
/* The one, then the other; XCR0 is `from_xcr0` before. */
void fpu_switch(uint8_t *from, uint64_t from_xcr0, const uint8_t *to, uint64_t to_xcr0);
/* Changes XCR0 of the running guest. */
void fpu_set_xcr0(uint64_t xcr0);
