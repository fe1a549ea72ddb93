/*
 * A vCPU's state for people: what core/ asks for when a VM is stopped.
 */
#include "vmcs.h"
#include "vmx.h"

#include <crvm/log.h>

void vmx_dump(struct vcpu *v)
{
	log_err("  RAX %016lx  RBX %016lx  RCX %016lx", v->gpr[REG_RAX], v->gpr[REG_RBX],
		v->gpr[REG_RCX]);
	log_err("  RIP %016lx  RSP %016lx", vmcs_read_GUEST_RIP(), vmcs_read_GUEST_RSP());
}
