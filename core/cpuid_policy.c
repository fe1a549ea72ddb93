/*
 * What guests see of CPUID. It must not know a vCPU, a backend or the CPU it runs on: the host's
 * leaves come through struct cpu_ops, once.
 */
#include <crvm/cpuid_policy.h>
#include <crvm/string.h>

enum {
	LEAF_HV = 0x40000000,
	LEAF_HV_TIME = 0x40000010,
	LEAF_CACHE = 4,
	LEAF_TOPOLOGY = 0xb,
	LEAF_XSAVE = 0xd,
	LEAF_TSC = 0x15
};
#define LEAF_EXT 0x80000000u

enum { XCR0_X87 = 1, XCR0_SSE = 2, XCR0_AVX = 4 };
#define XSAVE_LEGACY_SIZE 576u /* x87 and SSE state, and the header */

/* The registers that hold feature bits: X(word, leaf, sub-leaf, place in the policy, register). */
#define WORDS(X)                                \
	X(1_ECX, 1, 0, basic[1], ecx)           \
	X(1_EDX, 1, 0, basic[1], edx)           \
	X(6_EAX, 6, 0, basic[6], eax)           \
	X(7_EBX, 7, 0, basic[7], ebx)           \
	X(7_ECX, 7, 0, basic[7], ecx)           \
	X(7_EDX, 7, 0, basic[7], edx)           \
	X(D1_EAX, LEAF_XSAVE, 1, xsave1, eax)   \
	X(X1_ECX, LEAF_EXT + 1, 0, ext[1], ecx) \
	X(X1_EDX, LEAF_EXT + 1, 0, ext[1], edx) \
	X(X7_EDX, LEAF_EXT + 7, 0, ext[7], edx)

enum word {
#define X(word, leaf, subleaf, place, reg) W_##word,
	WORDS(X)
#undef X
		W_COUNT
};

static const struct {
	uint32_t leaf, subleaf;
	uint16_t in_policy, in_regs; /* offsets of the register in these structures */
} words[W_COUNT] = {
#define X(word, leaf, subleaf, place, reg)                                     \
	[W_##word] = {leaf, subleaf, offsetof(struct cpuid_policy, place.reg), \
		      offsetof(struct cpuid_regs, reg)},
	WORDS(X)
#undef X
};

enum rule { HIDE, HOST, XSAVE, AVX, AUX, ALWAYS, APIC, X2APIC, DEADLINE, LOOKUP };

static const struct {
	const char *name, *why;
	uint8_t word, bit, rule;
} features[CPUID_F_COUNT] = {
#define X(name, word, bit, rule, why) [CPUID_F_##name] = {#name, why, W_##word, bit, rule},
	CPUID_FEATURES(X)
#undef X
};

const char *cpuid_feature_name(enum cpuid_feature f)
{
	return features[f].name;
}

const char *cpuid_feature_why(enum cpuid_feature f)
{
	return features[f].why;
}

void cpuid_config_withhold(struct cpuid_config *c, enum cpuid_feature f)
{
	c->withheld[f / 64] |= 1ull << f % 64;
}

static bool is_withheld(const struct cpuid_config *c, enum cpuid_feature f)
{
	return c->withheld[f / 64] >> f % 64 & 1;
}

static uint32_t policy_word(const struct cpuid_policy *p, unsigned word)
{
	return *(const uint32_t *)(const void *)((const char *)p + words[word].in_policy);
}

static void policy_set_bit(struct cpuid_policy *p, unsigned word, unsigned bit)
{
	*(uint32_t *)(void *)((char *)p + words[word].in_policy) |= 1u << bit;
}

/* The host's side of a build. */
struct host {
	const struct cpu_ops *ops;
	uint32_t max_basic, max_ext;
	bool xsave, avx; /* this state exists and is switched */
};

/* A leaf beyond the highest shows data of another: it counts as zeros. */
static struct cpuid_regs host_leaf(const struct host *h, uint32_t leaf, uint32_t subleaf)
{
	if (leaf > (leaf < LEAF_EXT ? h->max_basic : h->max_ext))
		return (struct cpuid_regs){0};
	return h->ops->cpuid(h->ops->ctx, leaf, subleaf);
}

static bool host_has(const struct host *h, enum cpuid_feature f)
{
	const unsigned w = features[f].word;
	const struct cpuid_regs r = host_leaf(h, words[w].leaf, words[w].subleaf);
	uint32_t word;

	memcpy(&word, (const char *)&r + words[w].in_regs, sizeof(word));
	return word >> features[f].bit & 1;
}

static void host_init(struct host *h, const struct cpuid_config *c, const struct cpu_ops *ops)
{
	const uint64_t legacy = XCR0_X87 | XCR0_SSE;
	struct cpuid_regs avx;
	uint64_t xcr0;

	h->ops = ops;
	h->max_basic = ops->cpuid(ops->ctx, 0, 0).eax;
	h->max_ext = ops->cpuid(ops->ctx, LEAF_EXT, 0).eax;
	if (h->max_ext - LEAF_EXT >= 0x10000) /* a CPU without extended leaves */
		h->max_ext = LEAF_EXT;
	xcr0 = c->xcr0 & host_leaf(h, LEAF_XSAVE, 0).eax;
	h->xsave = host_has(h, CPUID_F_XSAVE) && (xcr0 & legacy) == legacy &&
		   !is_withheld(c, CPUID_F_XSAVE);
	/* The AVX state lies behind the header, in an area that its page can hold. */
	avx = host_leaf(h, LEAF_XSAVE, 2);
	h->avx = h->xsave && host_has(h, CPUID_F_AVX) && (xcr0 & XCR0_AVX) &&
		 !is_withheld(c, CPUID_F_AVX) && avx.eax == 256 && avx.ebx >= XSAVE_LEGACY_SIZE &&
		 avx.ebx <= 4096 - 256;
}

static bool rule_shows(const struct host *h, const struct cpuid_config *c, enum cpuid_feature f)
{
	switch ((enum rule)features[f].rule) {
	case HOST:
		return host_has(h, f);
	case XSAVE:
		return h->xsave && host_has(h, f);
	case AVX:
		return h->avx && host_has(h, f);
	case AUX:
		return host_has(h, CPUID_F_RDTSCP) && !is_withheld(c, CPUID_F_RDTSCP) &&
		       host_has(h, f);
	case ALWAYS:
		return true;
	case APIC:
		return c->apic;
	case X2APIC:
		return c->apic && c->x2apic;
	case DEADLINE:
		return c->apic && c->tsc_deadline;
	case HIDE:
	case LOOKUP:
		break;
	}
	return false;
}

static void build_features(struct cpuid_policy *p, const struct cpuid_config *c,
			   const struct host *h)
{
	for (unsigned f = 0; f < CPUID_F_COUNT; f++)
		if (!is_withheld(c, f) && rule_shows(h, c, f))
			policy_set_bit(p, features[f].word, features[f].bit);
}

/* Each vCPU is a package of one core with one thread: no ID bits below the package. */
static void build_identity(struct cpuid_policy *p, const struct cpuid_config *c,
			   const struct host *h)
{
	const struct cpuid_regs vendor = host_leaf(h, 0, 0), r1 = host_leaf(h, 1, 0);

	p->basic[0] = vendor;
	p->basic[1].eax = r1.eax;
	p->basic[1].ebx = c->apic_id << 24 | 1u << 16 | (r1.ebx & 0xff);
	if (cpuid_policy_has(p, CPUID_F_CLFSH))
		p->basic[1].ebx |= r1.ebx & 0xff00;
	p->basic[2] = host_leaf(h, 2, 0);
	p->basic[LEAF_TOPOLOGY].edx = c->apic_id;
	for (unsigned i = 0; i < CPUID_CACHE_MAX; i++) {
		struct cpuid_regs r = host_leaf(h, LEAF_CACHE, i);

		if ((r.eax & 0x1f) == 0) /* no more caches */
			break;
		r.eax &= 0x3ff; /* without the counts of threads and cores that share it */
		p->cache[i] = r;
	}
	p->basic[LEAF_CACHE] = p->cache[0];
}

static void build_extended(struct cpuid_policy *p, const struct cpuid_config *c,
			   const struct host *h)
{
	const bool lm = cpuid_policy_has(p, CPUID_F_LM);
	unsigned phys = host_leaf(h, LEAF_EXT + 8, 0).eax & 0xff;

	p->ext[0].eax = LEAF_EXT + CPUID_EXT_COUNT - 1;
	for (unsigned i = 2; i <= 4; i++)
		p->ext[i] = host_leaf(h, LEAF_EXT + i, 0);
	p->ext[6].ecx = host_leaf(h, LEAF_EXT + 6, 0).ecx;
	if (phys == 0)
		phys = 36;
	if (phys > 48) /* what four levels of nested page table reach */
		phys = 48;
	if (c->phys_bits >= 32 && c->phys_bits < phys)
		phys = c->phys_bits;
	p->ext[8].eax = (lm ? 48u : 32u) << 8 | phys;
}

/*
 * Leaf 15h: TSC = crystal * EBX / EAX. A ratio of 1 keeps guests that multiply in 32 bits right;
 * only a TSC that ECX cannot hold in hertz gets 2.
 */
static void build_time(struct cpuid_policy *p, const struct cpuid_config *c)
{
	const uint32_t ratio = c->tsc_khz > UINT32_MAX / 1000 ? 2 : 1;

	p->tsc_khz = c->tsc_khz;
	if (!c->tsc_leaf || c->tsc_khz == 0 || c->tsc_khz / ratio > UINT32_MAX / 1000)
		return;
	p->basic[LEAF_TSC] = (struct cpuid_regs){
		.eax = 1,
		.ebx = ratio,
		.ecx = (uint32_t)(c->tsc_khz * 1000ull / ratio),
	};
}

static void build_xsave(struct cpuid_policy *p, const struct host *h)
{
	if (!h->xsave)
		return;
	p->xcr0 = XCR0_X87 | XCR0_SSE;
	if (h->avx) {
		const struct cpuid_regs r = host_leaf(h, LEAF_XSAVE, 2);

		p->xcr0 |= XCR0_AVX;
		p->xsave_avx = (struct cpuid_regs){.eax = r.eax, .ebx = r.ebx};
	}
	p->basic[LEAF_XSAVE].eax = (uint32_t)p->xcr0;
	p->basic[LEAF_XSAVE].ecx = cpuid_policy_xsave_size(p, p->xcr0);
}

void cpuid_policy_build(struct cpuid_policy *p, const struct cpuid_config *c,
			const struct cpu_ops *ops)
{
	struct host h;

	memset(p, 0, sizeof(*p));
	host_init(&h, c, ops);
	build_features(p, c, &h);
	build_identity(p, c, &h);
	build_extended(p, c, &h);
	build_time(p, c);
	build_xsave(p, &h);
	p->varies = 1u << 1 | 1u << LEAF_CACHE | 1u << 7 | 1u << LEAF_TOPOLOGY | 1u << LEAF_XSAVE;
	/* Topology counts as there on any CPU that has the leaf; the rest if it says something. */
	p->max_basic = h.max_basic >= LEAF_TOPOLOGY ? LEAF_TOPOLOGY : 1;
	for (uint32_t i = p->max_basic + 1; i < CPUID_BASIC_COUNT; i++) {
		const struct cpuid_regs *r = &p->basic[i];

		if (i != LEAF_TOPOLOGY && (r->eax | r->ebx | r->ecx | r->edx))
			p->max_basic = i;
	}
	p->basic[0].eax = p->max_basic;
}

uint32_t cpuid_policy_xsave_size(const struct cpuid_policy *p, uint64_t xcr0)
{
	return xcr0 & p->xcr0 & XCR0_AVX ? p->xsave_avx.ebx + p->xsave_avx.eax : XSAVE_LEGACY_SIZE;
}

static void get_topology(const struct cpuid_policy *p, uint32_t subleaf, struct cpuid_regs *out)
{
	*out = p->basic[LEAF_TOPOLOGY]; /* edx: the x2APIC ID, at every level */
	out->ecx = subleaf & 0xff;
	if (subleaf < 2) { /* threads, then cores: one of each, in no bits of the ID */
		out->ebx = 1;
		out->ecx |= (subleaf + 1) << 8;
	}
}

static void get_xsave(const struct cpuid_policy *p, uint32_t subleaf, uint64_t xcr0,
		      struct cpuid_regs *out)
{
	*out = (struct cpuid_regs){0};
	if (!p->xcr0)
		return;
	switch (subleaf) {
	case 0:
		*out = p->basic[LEAF_XSAVE];
		out->ebx = cpuid_policy_xsave_size(p, xcr0);
		break;
	case 1:
		*out = p->xsave1;
		/* The compacted area: AVX state right after the header. */
		if (cpuid_policy_has(p, CPUID_F_XSAVEC))
			out->ebx = XSAVE_LEGACY_SIZE +
				   (xcr0 & p->xcr0 & XCR0_AVX ? p->xsave_avx.eax : 0);
		break;
	case 2:
		*out = p->xsave_avx;
		break;
	default:
		break;
	}
}

static __attribute__((noinline)) void get_varying(const struct cpuid_policy *p, uint32_t leaf,
						  uint32_t subleaf, uint64_t cr4, uint64_t xcr0,
						  struct cpuid_regs *out)
{
	switch (leaf) {
	case 1:
		*out = p->basic[1];
		if (cr4 & CR4_OSXSAVE)
			out->ecx |= 1u << features[CPUID_F_OSXSAVE].bit;
		break;
	case LEAF_CACHE:
		*out = subleaf < CPUID_CACHE_MAX ? p->cache[subleaf] : (struct cpuid_regs){0};
		break;
	case LEAF_TOPOLOGY:
		get_topology(p, subleaf, out);
		break;
	case LEAF_XSAVE:
		get_xsave(p, subleaf, xcr0, out);
		break;
	default: /* 7 */
		*out = subleaf == 0 ? p->basic[leaf] : (struct cpuid_regs){0};
		break;
	}
}

static __attribute__((noinline)) void get_not_basic(const struct cpuid_policy *p, uint32_t leaf,
						    uint32_t subleaf, uint64_t cr4, uint64_t xcr0,
						    struct cpuid_regs *out)
{
	static const char name[4] = {'C', 'R', 'V', 'M'};
	uint32_t word;

	if (leaf - LEAF_EXT < CPUID_EXT_COUNT) {
		*out = p->ext[leaf - LEAF_EXT];
		return;
	}
	if (leaf - LEAF_HV > LEAF_HV_TIME - LEAF_HV) {
		cpuid_policy_get(p, p->max_basic, subleaf, cr4, xcr0, out);
		return;
	}
	*out = (struct cpuid_regs){0};
	memcpy(&word, name, sizeof(word));
	if (leaf == LEAF_HV)
		*out = (struct cpuid_regs){LEAF_HV_TIME, word, word, word};
	else if (leaf == LEAF_HV_TIME)
		out->eax = p->tsc_khz;
}

void cpuid_policy_get(const struct cpuid_policy *p, uint32_t leaf, uint32_t subleaf, uint64_t cr4,
		      uint64_t xcr0, struct cpuid_regs *out)
{
	if (unlikely(leaf > p->max_basic))
		get_not_basic(p, leaf, subleaf, cr4, xcr0, out);
	else if (unlikely(p->varies >> leaf & 1))
		get_varying(p, leaf, subleaf, cr4, xcr0, out);
	else
		*out = p->basic[leaf];
}

bool cpuid_policy_has(const struct cpuid_policy *p, enum cpuid_feature f)
{
	return policy_word(p, features[f].word) >> features[f].bit & 1;
}

/* Intel SDM Vol. 3A, "Control Registers": what each flag of CR4 needs. */
static const struct {
	uint8_t feature, bit;
} cr4_needs[] = {
	{CPUID_F_VME, 0},   {CPUID_F_VME, 1},	 {CPUID_F_TSC, 2},   {CPUID_F_DE, 3},
	{CPUID_F_PSE, 4},   {CPUID_F_PAE, 5},	 {CPUID_F_MCE, 6},   {CPUID_F_PGE, 7},
	{CPUID_F_MSR, 8}, /* PCE: RDPMC came with the MSRs */
	{CPUID_F_FXSR, 9},  {CPUID_F_SSE, 10},	 {CPUID_F_UMIP, 11}, {CPUID_F_FSGSBASE, 16},
	{CPUID_F_PCID, 17}, {CPUID_F_XSAVE, 18}, {CPUID_F_SMEP, 20}, {CPUID_F_SMAP, 21},
};

uint64_t cpuid_policy_cr4_bits(const struct cpuid_policy *p)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < array_count(cr4_needs); i++)
		if (cpuid_policy_has(p, cr4_needs[i].feature))
			bits |= 1ull << cr4_needs[i].bit;
	return bits;
}

uint64_t cpuid_policy_efer_bits(const struct cpuid_policy *p)
{
	uint64_t bits = 0;

	if (cpuid_policy_has(p, CPUID_F_SYSCALL))
		bits |= EFER_SCE;
	if (cpuid_policy_has(p, CPUID_F_LM))
		bits |= EFER_LME | EFER_LMA;
	if (cpuid_policy_has(p, CPUID_F_NX))
		bits |= EFER_NXE;
	return bits;
}

unsigned cpuid_policy_phys_bits(const struct cpuid_policy *p)
{
	return p->ext[8].eax & 0xff;
}
