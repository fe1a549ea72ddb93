/*
 * Which MSRs a guest has and what they do.
 * needs: core/msr_policy.c core/cpuid_policy.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/msr_policy.h>

enum {
	TSC = 0x10,
	PLATFORM_ID = 0x17,
	APIC_BASE = 0x1b,
	TSC_ADJUST = 0x3b,
	BIOS_SIGN = 0x8b,
	MTRRCAP = 0xfe,
	SYSENTER_CS = 0x174,
	SYSENTER_ESP = 0x175,
	SYSENTER_EIP = 0x176,
	MCG_CAP = 0x179,
	MCG_STATUS = 0x17a,
	MISC_ENABLE = 0x1a0,
	DEBUGCTL = 0x1d9,
	PAT = 0x277,
};
#define EFER	  0xc0000080u
#define STAR	  0xc0000081u
#define LSTAR	  0xc0000082u
#define CSTAR	  0xc0000083u
#define FMASK	  0xc0000084u
#define FS_BASE	  0xc0000100u
#define GS_BASE	  0xc0000101u
#define KERNEL_GS 0xc0000102u
#define TSC_AUX	  0xc0000103u

/* A vCPU that is its registers, and a CPU with every feature. */
static uint64_t reg[REG_COUNT], tsc;
static struct vcpu_segment segment[SEG_COUNT];
static unsigned sets, apic_calls;
static uint64_t apic_value;
static struct vcpu vcpu;
static struct cpuid_config config;
static struct cpuid_policy cpuid_policy;
static struct msr_ctx ctx;

static uint64_t get_reg(struct vcpu *v, enum vcpu_reg r)
{
	assert_ptr_equal(v, &vcpu);
	assert_true(r < REG_COUNT);
	return reg[r];
}

static void set_reg(struct vcpu *v, enum vcpu_reg r, uint64_t value)
{
	assert_ptr_equal(v, &vcpu);
	assert_true(r < REG_COUNT);
	reg[r] = value;
	sets++;
}

static void get_segment(struct vcpu *v, enum vcpu_segreg seg, struct vcpu_segment *s)
{
	assert_ptr_equal(v, &vcpu);
	*s = segment[seg];
}

static void set_segment(struct vcpu *v, enum vcpu_segreg seg, const struct vcpu_segment *s)
{
	assert_ptr_equal(v, &vcpu);
	segment[seg] = *s;
	sets++;
}

static uint64_t host_tsc(void)
{
	return tsc;
}

static void apic_base_changed(struct vcpu *v, uint64_t value)
{
	assert_ptr_equal(v, &vcpu);
	apic_calls++;
	apic_value = value;
}

static struct msr_ops msr_ops = {
	get_reg, set_reg, get_segment, set_segment, host_tsc, apic_base_changed,
};

static struct cpuid_regs cpuid_ones(void *c, uint32_t leaf, uint32_t subleaf)
{
	(void)c;
	(void)subleaf;
	if (leaf == 0)
		return (struct cpuid_regs){0x20, 0, 0, 0};
	if (leaf == 0x80000000)
		return (struct cpuid_regs){0x80000008, 0, 0, 0};
	return (struct cpuid_regs){~0u, ~0u, ~0u, ~0u};
}

static void init(void)
{
	static const struct cpu_ops ops = {.cpuid = cpuid_ones};

	cpuid_policy_build(&cpuid_policy, &config, &ops);
	msr_policy_init(&ctx, &msr_ops, &vcpu, &cpuid_policy);
}

static int setup(void **state)
{
	(void)state;
	memset(reg, 0, sizeof(reg));
	memset(segment, 0, sizeof(segment));
	memset(&config, 0, sizeof(config));
	vcpu.id = 0;
	tsc = 1000000;
	sets = apic_calls = 0;
	msr_ops.apic_base_changed = apic_base_changed;
	init();
	return 0;
}

static uint64_t rd(uint32_t msr)
{
	uint64_t v = 0x5555555555555555;

	assert_int_equal(msr_policy_read(&ctx, msr, &v), OK);
	return v;
}

#define wr(msr, v)    assert_int_equal(msr_policy_write(&ctx, msr, v), OK)
#define wr_gp(msr, v) assert_int_equal(msr_policy_write(&ctx, msr, v), E_FAULT)
static void rd_gp(uint32_t msr)
{
	uint64_t v;

	assert_int_equal(msr_policy_read(&ctx, msr, &v), E_FAULT);
}

/* What the guest has, from the design and not from the table. */
static bool is_known(uint32_t msr)
{
	static const uint32_t known[] = {
		0,	    1,		 TSC,	      PLATFORM_ID,  APIC_BASE,	  TSC_ADJUST,
		BIOS_SIGN,  MTRRCAP,	 SYSENTER_CS, SYSENTER_ESP, SYSENTER_EIP, MCG_CAP,
		MCG_STATUS, MISC_ENABLE, DEBUGCTL,    PAT,	    EFER,	  STAR,
		LSTAR,	    CSTAR,	 FMASK,	      FS_BASE,	    GS_BASE,	  KERNEL_GS,
		TSC_AUX};

	for (unsigned i = 0; i < array_count(known); i++)
		if (known[i] == msr)
			return true;
	return false;
}

static void check_existence(uint32_t msr)
{
	uint64_t v;

	assert_int_equal(msr_policy_read(&ctx, msr, &v), is_known(msr) ? OK : E_FAULT);
	if (!is_known(msr))
		wr_gp(msr, 0);
}

static void test_unknown_msrs_fault(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 0x14000; i++) {
		check_existence(i);
		check_existence(0xc0000000 + i);
		check_existence(0x40000000 + i);
		check_existence(0u - i);
		check_existence(0x80000000 + i);
	}
	for (uint32_t i = 0; i < 32; i++)
		check_existence(1u << i);
	assert_int_equal(sets, 0);
}

static void test_registers_of_the_system_calls(void **state)
{
	static const struct {
		uint32_t msr;
		enum vcpu_reg reg;
		bool canonical;
	} rows[] = {
		{STAR, REG_STAR, false},
		{LSTAR, REG_LSTAR, true},
		{CSTAR, REG_CSTAR, true},
		{KERNEL_GS, REG_KERNEL_GS_BASE, true},
		{SYSENTER_ESP, REG_SYSENTER_ESP, true},
		{SYSENTER_EIP, REG_SYSENTER_EIP, true},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(rows); i++) {
		const uint32_t msr = rows[i].msr;

		wr(msr, 0xffff800012345678);
		assert_int_equal(reg[rows[i].reg], 0xffff800012345678);
		assert_int_equal(rd(msr), 0xffff800012345678);
		wr(msr, 0x00007fffffffffff);
		wr(msr, ~0ull);
		reg[rows[i].reg] = 7;
		if (!rows[i].canonical) {
			wr(msr, 0x0123456789abcdef);
			continue;
		}
		wr_gp(msr, 0x0000800000000000);
		wr_gp(msr, 0xffff7fffffffffff);
		wr_gp(msr, 0x8000000000000000);
		wr_gp(msr, 0x0123456789abcdef);
		assert_int_equal(reg[rows[i].reg], 7);
	}
	wr(SYSENTER_CS, 0xabcdef0100000008);
	assert_int_equal(reg[REG_SYSENTER_CS], 8);
	wr(FMASK, 0xffffffff);
	wr_gp(FMASK, 0x100000000);
	assert_int_equal(rd(FMASK), 0xffffffff);
	wr(TSC_AUX, 0xffffffff);
	wr_gp(TSC_AUX, 0x100000000);
	assert_int_equal(reg[REG_TSC_AUX], 0xffffffff);
}

static void test_segment_bases_change_nothing_else(void **state)
{
	const struct vcpu_segment fs = {0x33, 0xc093, 0xffff, 0x1000, false};
	struct vcpu_segment want = fs;

	(void)state;
	segment[SEG_FS] = fs;
	segment[SEG_GS].unusable = true;
	assert_int_equal(rd(FS_BASE), 0x1000);
	wr(FS_BASE, 0xffff888000000000);
	want.base = 0xffff888000000000;
	assert_memory_equal(&segment[SEG_FS].base, &want.base, 8);
	assert_int_equal(segment[SEG_FS].selector, 0x33);
	assert_int_equal(segment[SEG_FS].attr, 0xc093);
	assert_int_equal(segment[SEG_FS].limit, 0xffff);
	wr_gp(FS_BASE, 1ull << 47);
	wr_gp(GS_BASE, 1ull << 63);
	assert_int_equal(rd(FS_BASE), 0xffff888000000000);
	wr(GS_BASE, 0x7000);
	assert_int_equal(segment[SEG_GS].base, 0x7000);
	assert_true(segment[SEG_GS].unusable);
	assert_int_equal(rd(GS_BASE), 0x7000);
}

static void test_efer(void **state)
{
	(void)state;
	wr(EFER, 0x901);
	assert_int_equal(reg[REG_EFER], 0x901);
	wr(EFER, 0x100 | 0x400); /* LMA is the CPU's: ignored */
	assert_int_equal(reg[REG_EFER], 0x100);
	for (unsigned bit = 0; bit < 64; bit++)
		if (bit != 0 && bit != 8 && bit != 10 && bit != 11)
			wr_gp(EFER, 0x100 | 1ull << bit);
	assert_int_equal(reg[REG_EFER], 0x100);
	reg[REG_EFER] = 0xd00; /* long mode is active */
	reg[REG_CR0] = 0x80000001;
	wr_gp(EFER, 0x800);
	wr_gp(EFER, 0xc00);
	wr(EFER, 0x901); /* clearing LMA is ignored too */
	assert_int_equal(reg[REG_EFER], 0xd01);
	assert_int_equal(rd(EFER), 0xd01);
	reg[REG_EFER] = 0; /* 32-bit paging */
	wr_gp(EFER, 0x100);
	wr(EFER, 0x800);
	reg[REG_CR0] = 1;
	wr(EFER, 0x900);
	cpuid_config_withhold(&config, CPUID_F_NX);
	cpuid_config_withhold(&config, CPUID_F_LM);
	init();
	wr_gp(EFER, 0x800);
	wr_gp(EFER, 0x100);
	wr_gp(EFER, 0x400);
	wr(EFER, 1);
	cpuid_config_withhold(&config, CPUID_F_SYSCALL);
	init();
	wr_gp(EFER, 1);
}

static void test_pat_takes_real_memory_types_only(void **state)
{
	(void)state;
	wr(PAT, 0x0007040600070406);
	assert_int_equal(reg[REG_PAT], 0x0007040600070406);
	wr(PAT, 0x0007050100070406);
	for (unsigned slot = 0; slot < 8; slot++)
		for (unsigned type = 0; type < 256; type++) {
			const uint64_t v = (0x0007040600070406 & ~(0xffull << 8 * slot)) |
					   (uint64_t)type << 8 * slot;
			const bool valid = type < 8 && type != 2 && type != 3;

			reg[REG_PAT] = 1;
			assert_int_equal(msr_policy_write(&ctx, PAT, v), valid ? OK : E_FAULT);
			assert_int_equal(reg[REG_PAT], valid ? v : 1);
		}
	assert_int_equal(rd(PAT), 1);
}

static void test_tsc_and_its_adjustment_move_together(void **state)
{
	(void)state;
	assert_int_equal(rd(TSC), 1000000);
	assert_int_equal(rd(TSC_ADJUST), 0);
	wr(TSC, 5000000);
	assert_int_equal(rd(TSC), 5000000);
	assert_int_equal(rd(TSC_ADJUST), 4000000);
	tsc += 10;
	assert_int_equal(rd(TSC), 5000010);
	wr(TSC_ADJUST, 0);
	assert_int_equal(rd(TSC), 1000010);
	assert_int_equal(reg[REG_TSC_OFFSET], 0);
	wr(TSC, 0); /* backwards: the offset is negative */
	assert_int_equal(rd(TSC), 0);
	assert_int_equal(rd(TSC_ADJUST), (uint64_t)-1000010);
	wr(TSC_ADJUST, ~0ull);
	assert_int_equal(rd(TSC), 1000009);
	/* An offset that the VM was given is no adjustment of the guest's. */
	setup(state);
	reg[REG_TSC_OFFSET] = (uint64_t)-1000000;
	assert_int_equal(rd(TSC), 0);
	assert_int_equal(rd(TSC_ADJUST), 0);
	wr(TSC, 500);
	assert_int_equal(rd(TSC_ADJUST), 500);
	wr(TSC_ADJUST, 0);
	assert_int_equal(reg[REG_TSC_OFFSET], (uint64_t)-1000000);
}

static void test_a_vm_without_an_apic(void **state)
{
	(void)state;
	assert_int_equal(rd(APIC_BASE), 0xfee00100);
	wr(APIC_BASE, 0xfee00100);
	wr_gp(APIC_BASE, 0xfee00900);
	wr_gp(APIC_BASE, 0xfee00d00);
	wr_gp(APIC_BASE, 0xfee00500);
	vcpu.id = 1;
	init();
	assert_int_equal(rd(APIC_BASE), 0xfee00000);
	assert_int_equal(apic_calls, 0);
}

static void test_apic_modes(void **state)
{
	enum { OFF = 0xfee00100, XAPIC = 0xfee00900, X2APIC = 0xfee00d00, BAD = 0xfee00500 };
	static const uint32_t mode[4] = {OFF, XAPIC, X2APIC, BAD};
	/* Intel SDM Vol. 3A, "x2APIC State Transitions": from row to column. */
	static const bool allowed[3][4] = {{1, 1, 0, 0}, {1, 1, 1, 0}, {1, 0, 1, 0}};

	(void)state;
	config.apic = true;
	init();
	assert_int_equal(rd(APIC_BASE), XAPIC);
	wr_gp(APIC_BASE, X2APIC);
	config.x2apic = true;
	for (unsigned from = 0; from < 3; from++)
		for (unsigned to = 0; to < 4; to++) {
			init();
			ctx.apic_base = mode[from];
			apic_calls = 0;
			assert_int_equal(msr_policy_write(&ctx, APIC_BASE, mode[to]),
					 allowed[from][to] ? OK : E_FAULT);
			assert_int_equal(rd(APIC_BASE), mode[allowed[from][to] ? to : from]);
			assert_int_equal(apic_calls, allowed[from][to] && from != to);
			if (apic_calls)
				assert_int_equal(apic_value, mode[to]);
		}
	init();
	for (unsigned bit = 0; bit < 64; bit++) /* reserved, or another address */
		if (bit != 8 && bit != 10 && bit != 11)
			wr_gp(APIC_BASE, XAPIC ^ 1ull << bit);
	msr_ops.apic_base_changed = NULL;
	wr(APIC_BASE, OFF);
}

static void test_read_only_and_ignored(void **state)
{
	static const uint32_t zero[] = {0,	 1,	  PLATFORM_ID, BIOS_SIGN,
					MTRRCAP, MCG_CAP, MCG_STATUS,  DEBUGCTL};

	(void)state;
	wr(BIOS_SIGN, ~0ull);
	wr(0, 5);
	wr(1, 5);
	wr(MCG_STATUS, 0);
	wr(DEBUGCTL, 0);
	wr_gp(MCG_STATUS, 1);
	wr_gp(DEBUGCTL, 1);
	wr_gp(DEBUGCTL, 2);
	wr_gp(MCG_CAP, 0);
	wr_gp(MTRRCAP, 0);
	wr_gp(PLATFORM_ID, 0);
	for (unsigned i = 0; i < array_count(zero); i++)
		assert_int_equal(rd(zero[i]), 0);
	assert_int_equal(rd(MISC_ENABLE), 0x1801);
	wr(MISC_ENABLE, 0x1800); /* slow strings */
	assert_int_equal(rd(MISC_ENABLE), 0x1800);
	for (unsigned bit = 1; bit < 64; bit++)
		wr_gp(MISC_ENABLE, 0x1801 ^ 1ull << bit);
	assert_int_equal(rd(MISC_ENABLE), 0x1800);
	assert_int_equal(sets, 0);
}

static void test_msrs_go_with_their_features(void **state)
{
	static const struct {
		uint32_t msr;
		enum cpuid_feature feature;
	} rows[] = {
		{0, CPUID_F_MCE},
		{TSC, CPUID_F_TSC},
		{TSC_ADJUST, CPUID_F_TSC_ADJUST},
		{SYSENTER_CS, CPUID_F_SEP},
		{MCG_CAP, CPUID_F_MCA},
		{PAT, CPUID_F_PAT},
		{STAR, CPUID_F_SYSCALL},
		{FS_BASE, CPUID_F_LM},
		{TSC_AUX, CPUID_F_RDTSCP},
	};

	for (unsigned i = 0; i < array_count(rows); i++) {
		setup(state);
		rd(rows[i].msr);
		cpuid_config_withhold(&config, rows[i].feature);
		init();
		rd_gp(rows[i].msr);
		wr_gp(rows[i].msr, 0);
	}
}

static unsigned passed;

static void pass(void *c, uint32_t msr, bool read, bool write)
{
	static const uint32_t list[] = {SYSENTER_CS, SYSENTER_ESP, SYSENTER_EIP,
					FS_BASE,     GS_BASE,	   KERNEL_GS};
	/* PAT's values are checked; the others a switch need not read, as writes exit. */
	static const uint32_t reads[] = {PAT, STAR, LSTAR, CSTAR, FMASK, TSC_AUX};
	bool found = false;

	for (unsigned i = 0; i < array_count(reads); i++)
		found = found || (reads[i] == msr && !write);

	for (unsigned i = 0; i < array_count(list); i++)
		found = found || (list[i] == msr && write);
	assert_true(found && read);
	assert_true(msr != *(uint32_t *)c);
	passed++;
}

static void test_what_may_go_without_exit(void **state)
{
	uint32_t not = 0;

	(void)state;
	msr_policy_for_each_passthrough(&cpuid_policy, pass, &not );
	assert_int_equal(passed, 12);
	/* What the CPU lacks must stay intercepted: the guest would raise #GP, but read nothing of
	 * ours. */
	cpuid_config_withhold(&config, CPUID_F_RDTSCP);
	init();
	not = TSC_AUX;
	passed = 0;
	msr_policy_for_each_passthrough(&cpuid_policy, pass, &not );
	assert_int_equal(passed, 11);
}

static void test_the_rules_can_be_listed(void **state)
{
	const unsigned n = msr_policy_rule_count();

	(void)state;
	assert_int_equal(n, 25);
	for (unsigned i = 0; i < n; i++) {
		const struct msr_rule r = msr_policy_rule(i);

		assert_true(is_known(r.msr));
		assert_non_null(r.why);
		assert_int_equal(strncmp(r.name, "IA32_", 5), 0);
		if (i > 0)
			assert_true(r.msr > msr_policy_rule(i - 1).msr);
		if (r.msr == PAT) {
			assert_string_equal(r.name, "IA32_PAT");
			assert_string_equal(r.read, "reg");
			assert_string_equal(r.write, "pat");
			assert_true(r.passes_read && !r.passes_write);
		}
	}
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_unknown_msrs_fault),
		t(test_registers_of_the_system_calls),
		t(test_segment_bases_change_nothing_else),
		t(test_efer),
		t(test_pat_takes_real_memory_types_only),
		t(test_tsc_and_its_adjustment_move_together),
		t(test_a_vm_without_an_apic),
		t(test_apic_modes),
		t(test_read_only_and_ignored),
		t(test_msrs_go_with_their_features),
		t(test_what_may_go_without_exit),
		t(test_the_rules_can_be_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
