/*
 * The exit handlers among each other. Private to core/exits*.c.
 */
#pragma once

#include "vm.h"

/* An exception for the guest; ACT_STOP if it shuts the guest down. */
enum exit_action exit_raise(struct vm_vcpu *vv, uint8_t vector, bool has_error, uint32_t error);

/* exits_cpu.c */
enum exit_action exit_rdmsr(struct vm_vcpu *vv);
enum exit_action exit_wrmsr(struct vm_vcpu *vv);
enum exit_action exit_hypercall(struct vm_vcpu *vv);
enum exit_action exit_xsetbv(struct vm_vcpu *vv);

/* exits_cr.c */
enum exit_action exit_cr_access(struct vm_vcpu *vv);

/* exits_mem.c */
enum exit_action exit_port_string(struct vm_vcpu *vv);
/* After string_io or emulate_insn. */
enum exit_action exit_emulated(struct vm_vcpu *vv, enum emu_kind kind, const struct emu_result *r);
enum exit_action exit_nested_fault(struct vm_vcpu *vv);
