/*
 * The hypervisor's address space in use (arch/x86_64/hostvm.c).
 */
#pragma once

#include <crvm/boot_info.h>
#include <crvm/hostmap.h>

extern struct hostmap host_map;

/*
 * Builds the real tables from the memory map and switches to them: direct map without execution,
 * image by section. E_NOMEM.
 */
must_check int hostvm_init(const struct boot_info *info);

/*
 * A device's registers (MAP_UC) or memory (MAP_WC, or MAP_R for tables) at their place in the
 * direct map. NULL, with a message, if the address is impossible or already mapped otherwise.
 */
void *hostvm_map(uint64_t addr, uint64_t len, unsigned flags);

/* Stack of `pages` pages with unmapped pages around it; returns its top, 0 if no memory. Boot CPU.
 */
must_check uint64_t hostvm_stack(unsigned pages);
/* Whether an address lies in one of the guard pages. */
bool hostvm_is_guard(uint64_t va);

/* Panics if any page is both writable and executable. */
void hostvm_audit(void);
