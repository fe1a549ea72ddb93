/*
 * Which MSRs a guest has and what they do (core/msr_policy.c). What no row names raises #GP.
 * Reaches the vCPU through struct msr_ops only. Knows no backend and no device. Source: Intel SDM
 * Vol. 4, "Model-Specific Registers (MSRs)".
 */
#pragma once

#include <crvm/cpuid_policy.h>
#include <crvm/status.h>
#include <crvm/vcpu.h>

/* The four of struct virt_backend will do, and the host's TSC. */
struct msr_ops {
	uint64_t (*get_reg)(struct vcpu *v, enum vcpu_reg reg);
	void (*set_reg)(struct vcpu *v, enum vcpu_reg reg, uint64_t value);
	void (*get_segment)(struct vcpu *v, enum vcpu_segreg seg, struct vcpu_segment *s);
	void (*set_segment)(struct vcpu *v, enum vcpu_segreg seg, const struct vcpu_segment *s);
	uint64_t (*tsc)(void);
	/* May be NULL: IA32_APIC_BASE has a new value. Only with an APIC in the CPUID policy. */
	void (*apic_base_changed)(struct vcpu *v, uint64_t value);
};

/* One vCPU's. Only its owner CPU touches it. */
struct msr_ctx {
	const struct msr_ops *ops;
	struct vcpu *vcpu;
	const struct cpuid_policy *cpuid;
	uint64_t present;   /* a bit for each row of the table that this guest has */
	uint64_t efer_bits; /* that it may set */
	uint64_t tsc_adjust, apic_base, misc_enable; /* values of the MSRs that live here */
	uint64_t zero;				     /* and of those that have nothing to say */
};

/* As after power-on; INIT changes nothing here. v->id 0 is the bootstrap processor. */
void msr_policy_init(struct msr_ctx *c, const struct msr_ops *ops, struct vcpu *v,
		     const struct cpuid_policy *cpuid);

/* RDMSR and WRMSR of the guest. E_FAULT: #GP(0), and nothing has changed. */
must_check int msr_policy_read(struct msr_ctx *c, uint32_t msr, uint64_t *value);
must_check int msr_policy_write(struct msr_ctx *c, uint32_t msr, uint64_t value);

/*
 * The short way for MSRs that every guest has and that are no more than a value in struct msr_ctx:
 * where it lies, in 64-bit words from the beginning (0: not one of these), and which of its bits a
 * guest may change without further consequences. Read-only ones are not in the second half.
 */
#define MSR_STORED_COUNT 0x1dau
struct msr_stored {
	uint8_t read_at, write_at;
};
extern const struct msr_stored msr_policy_stored_at[MSR_STORED_COUNT];
extern const uint64_t msr_policy_free_bits[sizeof(struct msr_ctx) / 8];

/* The value, or NULL: msr_policy_read knows. */
static inline const uint64_t *msr_policy_stored(const struct msr_ctx *c, uint32_t msr)
{
	unsigned at;

	if (unlikely(msr >= MSR_STORED_COUNT))
		return NULL;
	at = msr_policy_stored_at[msr].read_at;
	return likely(at) ? (const uint64_t *)(const void *)c + at : NULL;
}

/* False: nothing was done, msr_policy_write knows. */
static inline bool msr_policy_store(struct msr_ctx *c, uint32_t msr, uint64_t value)
{
	uint64_t *to;
	unsigned at;

	if (unlikely(msr >= MSR_STORED_COUNT))
		return false;
	at = msr_policy_stored_at[msr].write_at;
	to = (uint64_t *)(void *)c + at;
	if (unlikely(!at || (value ^ *to) & ~msr_policy_free_bits[at]))
		return false;
	*to = value;
	return true;
}

/*
 * The MSRs that the backend switches between guest and host, so that the guest may access them
 * without exit: for virt_backend.intercept_msr. The CPU makes the checks then.
 */
void msr_policy_for_each_passthrough(const struct cpuid_policy *cpuid,
				     void (*fn)(void *ctx, uint32_t msr, bool read, bool write),
				     void *ctx);

/* The policy as a table, for listings; rising MSR numbers. */
struct msr_rule {
	uint32_t msr;
	const char *name;		/* "IA32_EFER" */
	const char *read, *write;	/* the action: "reg", "zero", "fault", ... */
	const char *why;		/* "": nothing to say */
	bool passes_read, passes_write; /* without exit */
};
struct msr_rule msr_policy_rule(unsigned index); /* index < msr_policy_rule_count() */
unsigned msr_policy_rule_count(void);
