/*
 * One row of the table of what the machine has (filled by arch/ and vmx/, printed by core/).
 */
#pragma once

#include <crvm/compiler.h>

struct feature {
	const char *name;    /* "VPID" */
	const char *source;  /* where the manual says to look: "IA32_VMX_PROCBASED_CTLS2[37]" */
	const char *without; /* what is done when it is absent; NULL if CRVM cannot do without it */
	bool present;
};
