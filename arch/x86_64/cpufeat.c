/*
 * What the physical CPU offers to the host kernel, as data: the table below names every feature
 * once. Knows nothing of VMX (vmx/caps.c).
 */
#include <crvm/cpufeat.h>
#include <crvm/string.h>

struct cpu_features boot_cpu_features;

enum reg { LEAF1_ECX, LEAF1_EDX, LEAF7_EBX, LEAF7_ECX, EXT1_EDX, EXT7_EDX, LEAF6_EAX };

static const struct {
	const char *name, *source, *without;
	uint8_t reg, bit;
} table[CPUF_COUNT] = {
	[CPUF_NX] = {"NX (execute disable)", "CPUID.80000001h:EDX[20]",
		     "data pages cannot be made non-executable", EXT1_EDX, 20},
	[CPUF_GB_PAGES] = {"1 GiB pages (host)", "CPUID.80000001h:EDX[26]",
			   "2 MiB pages in the direct map", EXT1_EDX, 26},
	[CPUF_SMEP] = {"SMEP", "CPUID.7:EBX[7]", "no such protection", LEAF7_EBX, 7},
	[CPUF_SMAP] = {"SMAP", "CPUID.7:EBX[20]", "no such protection", LEAF7_EBX, 20},
	[CPUF_UMIP] = {"UMIP", "CPUID.7:ECX[2]", "no such protection", LEAF7_ECX, 2},
	[CPUF_PAT] = {"PAT", "CPUID.1:EDX[16]", "framebuffer uncached, drawing is slow", LEAF1_EDX,
		      16},
	[CPUF_X2APIC] = {"x2APIC", "CPUID.1:ECX[21]", "xAPIC by MMIO, APIC IDs below 255",
			 LEAF1_ECX, 21},
	[CPUF_TSC_DEADLINE] = {"TSC deadline timer", "CPUID.1:ECX[24]", "one-shot APIC timer",
			       LEAF1_ECX, 24},
	[CPUF_INVARIANT_TSC] = {"invariant TSC", "CPUID.80000007h:EDX[8]",
				"time may drift when the CPU changes frequency", EXT7_EDX, 8},
	[CPUF_ARAT] = {"APIC timer always runs", "CPUID.6:EAX[2]",
		       "CPUs never sleep deeper than HLT", LEAF6_EAX, 2},
	[CPUF_XSAVE] = {"XSAVE", "CPUID.1:ECX[26]", "guests get SSE state only", LEAF1_ECX, 26},
	[CPUF_AVX] = {"AVX", "CPUID.1:ECX[28]", "guests see no AVX", LEAF1_ECX, 28},
	[CPUF_PCID] = {"PCID", "CPUID.1:ECX[17]", "guests see no PCID", LEAF1_ECX, 17},
};

static void copy_reg(char *to, uint32_t reg)
{
	memcpy(to, &reg, 4);
}

/* Firmware and hypervisors may put anything into these texts. */
static void make_printable(char *s)
{
	for (; *s; s++)
		if (*s < 0x20 || *s > 0x7e)
			*s = '?';
}

static void read_brand(struct cpu_features *f, const struct cpu_ops *ops)
{
	const char *start = f->brand;

	if (f->max_ext_leaf < 0x80000004)
		return;
	for (uint32_t i = 0; i < 3; i++) {
		struct cpuid_regs r = ops->cpuid(ops->ctx, 0x80000002 + i, 0);

		copy_reg(f->brand + 16 * i, r.eax);
		copy_reg(f->brand + 16 * i + 4, r.ebx);
		copy_reg(f->brand + 16 * i + 8, r.ecx);
		copy_reg(f->brand + 16 * i + 12, r.edx);
	}
	f->brand[48] = '\0';
	make_printable(f->brand);
	while (*start == ' ')
		start++;
	memmove(f->brand, start, strlen(start) + 1);
}

void cpufeat_read(struct cpu_features *f, const struct cpu_ops *ops)
{
	struct cpuid_regs r = ops->cpuid(ops->ctx, 0, 0);

	memset(f, 0, sizeof(*f));
	f->max_leaf = r.eax;
	copy_reg(f->vendor, r.ebx);
	copy_reg(f->vendor + 4, r.edx);
	copy_reg(f->vendor + 8, r.ecx);
	make_printable(f->vendor);

	f->leaf1 = ops->cpuid(ops->ctx, 1, 0);
	f->stepping = f->leaf1.eax & 15;
	f->model = f->leaf1.eax >> 4 & 15;
	f->family = f->leaf1.eax >> 8 & 15;
	if (f->family == 6 || f->family == 15)
		f->model |= (f->leaf1.eax >> 16 & 15) << 4;
	if (f->family == 15)
		f->family += f->leaf1.eax >> 20 & 0xff;
	if (f->max_leaf >= 7)
		f->leaf7 = ops->cpuid(ops->ctx, 7, 0);

	f->max_ext_leaf = ops->cpuid(ops->ctx, 0x80000000, 0).eax;
	if (f->max_ext_leaf >= 0x80000001)
		f->ext1 = ops->cpuid(ops->ctx, 0x80000001, 0);
	if (f->max_ext_leaf >= 0x80000007)
		f->ext7 = ops->cpuid(ops->ctx, 0x80000007, 0);
	f->phys_bits = 36;
	if (f->max_ext_leaf >= 0x80000008)
		f->phys_bits = ops->cpuid(ops->ctx, 0x80000008, 0).eax & 0xff;
	if (f->phys_bits < 32 || f->phys_bits > 52)
		f->phys_bits = 36;
	if (f->max_leaf >= 6)
		f->leaf6_eax = ops->cpuid(ops->ctx, 6, 0).eax;
	read_brand(f, ops);

	f->hypervisor = f->leaf1.ecx >> 31;
	if (f->hypervisor) {
		r = ops->cpuid(ops->ctx, 0x40000000, 0);
		copy_reg(f->hypervisor_vendor, r.ebx);
		copy_reg(f->hypervisor_vendor + 4, r.ecx);
		copy_reg(f->hypervisor_vendor + 8, r.edx);
		make_printable(f->hypervisor_vendor);
	}
}

static uint32_t feature_word(const struct cpu_features *f, enum reg reg)
{
	switch (reg) {
	case LEAF1_ECX:
		return f->leaf1.ecx;
	case LEAF1_EDX:
		return f->leaf1.edx;
	case LEAF7_EBX:
		return f->leaf7.ebx;
	case LEAF7_ECX:
		return f->leaf7.ecx;
	case EXT1_EDX:
		return f->ext1.edx;
	case EXT7_EDX:
		return f->ext7.edx;
	case LEAF6_EAX:
		return f->leaf6_eax;
	}
	return 0;
}

bool cpufeat_has(const struct cpu_features *f, enum cpu_feature feature)
{
	return feature_word(f, (enum reg)table[feature].reg) >> table[feature].bit & 1;
}

const struct feature *cpufeat_table(const struct cpu_features *f)
{
	static struct feature rows[CPUF_COUNT];

	for (unsigned i = 0; i < CPUF_COUNT; i++)
		rows[i] = (struct feature){table[i].name, table[i].source, table[i].without,
					   cpufeat_has(f, (enum cpu_feature)i)};
	return rows;
}

void cpufeat_compare(const struct cpu_features *boot, const struct cpu_features *other,
		     unsigned cpu, struct verdict *v)
{
	static const struct {
		const char *name;
		uint8_t reg;
		uint32_t ignore; /* bits that follow CR4 */
	} word[] = {
		{"CPUID.1:ECX", LEAF1_ECX, 1u << 27}, {"CPUID.1:EDX", LEAF1_EDX, 0},
		{"CPUID.7:EBX", LEAF7_EBX, 0},	      {"CPUID.7:ECX", LEAF7_ECX, 1u << 4},
		{"CPUID.80000001h:EDX", EXT1_EDX, 0}, {"CPUID.80000007h:EDX", EXT7_EDX, 0},
	};

	for (size_t i = 0; i < array_count(word); i++) {
		uint32_t a = feature_word(boot, (enum reg)word[i].reg) & ~word[i].ignore;
		uint32_t b = feature_word(other, (enum reg)word[i].reg) & ~word[i].ignore;

		if (a == b)
			continue;
		verdict_add(
			v, "the CPUs differ",
			"update firmware and microcode, or start with cpus=N so that only equal "
			"CPUs are used (cpus=1 always works)",
			"%s is %08x on CPU 0 but %08x on CPU %u (bits %08x)", word[i].name, a, b,
			cpu, a ^ b);
		return;
	}
}

void cpufeat_enable(const struct cpu_features *f)
{
	uint64_t cr4 = read_cr4() | CR4_PAE | CR4_PGE | CR4_MCE;
	uint64_t efer = rdmsr(MSR_EFER);

	if (cpufeat_has(f, CPUF_SMEP))
		cr4 |= CR4_SMEP;
	if (cpufeat_has(f, CPUF_SMAP))
		cr4 |= CR4_SMAP;
	if (cpufeat_has(f, CPUF_UMIP))
		cr4 |= CR4_UMIP;
	write_cr4(cr4);
	write_cr0((read_cr0() | CR0_WP | CR0_NE | CR0_MP) & ~(uint64_t)(1u << 29 | 1u << 30));
	if (cpufeat_has(f, CPUF_NX))
		wrmsr(MSR_EFER, efer | EFER_NXE);
	/* The power-on value but for entry 1: write combining (SDM Vol. 3A, "Page Attribute
	 * Table"). */
	if (cpufeat_has(f, CPUF_PAT))
		wrmsr(MSR_PAT, 0x0007040600070106);
}

static struct cpuid_regs native_cpuid(void *ctx, uint32_t leaf, uint32_t subleaf)
{
	(void)ctx;
	return cpuid(leaf, subleaf);
}
static int native_rdmsr(void *ctx, uint32_t msr, uint64_t *v)
{
	(void)ctx;
	return rdmsr_safe(msr, v);
}
static int native_wrmsr(void *ctx, uint32_t msr, uint64_t v)
{
	(void)ctx;
	return wrmsr_safe(msr, v);
}

const struct cpu_ops cpu_ops_native = {native_cpuid, native_rdmsr, native_wrmsr, NULL};
