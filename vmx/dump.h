/*
 * A VMCS for people: its fields by name, controls bit by bit, why the guest was left, and which
 * rule of VM entry is broken. Private to vmx/. Writes to the log, reads no VMCS: only snapshots.
 */
#pragma once

#include <crvm/log.h>

#include "audit.h"
#include "snapshot.h"

/* Basic exit reason (bits 15:0 of the exit reason): "CPUID", ...; "reserved" for unknown ones. */
const char *vmx_exit_reason_name(uint32_t reason);
/* VM-instruction error: what VMLAUNCH and others fail with. */
const char *vmx_instruction_error_name(uint32_t error);

/* The exit reason, and what a failed entry says of itself. */
void vmx_dump_exit(enum log_level level, const struct vmcs_snapshot *s);
/* Everything: exit, controls, guest with its segments, host. */
void vmx_dump_snapshot(enum log_level level, const struct vmcs_snapshot *s);
/* Three lines: the rule, the values, the place in the manual. */
void vmx_dump_finding(enum log_level level, const struct vmx_audit_finding *f);
