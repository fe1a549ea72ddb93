/*
 * A vCPU's state for people, and the self-test of what it says about failed entries.
 */
#include <crvm/cpufeat.h>
#include <crvm/frames.h>
#include <crvm/hostmap.h>
#include <crvm/percpu.h>
#include <crvm/printf.h>
#include <crvm/string.h>

#include "breakage.h"
#include "dump.h"
#include "vmx.h"

/* For the auditor: physical memory, where it is RAM. */
static bool read_phys(void *ctx, uint64_t phys, uint8_t bytes[16])
{
	(void)ctx;
	if (frames_owner(hpa(phys)) == FRAME_NONE)
		return false;
	memcpy(bytes, phys_to_virt(hpa(phys)), 16);
	return true;
}

static bool audit(const struct vcpu *v, const struct vmcs_snapshot *s, struct vmx_audit_finding *f)
{
	struct vmx_audit_env env;

	vmx_audit_env_init(&env, &boot_cpu_features);
	env.vmcs = v->virt->vmcs.v;
	env.read = read_phys;
	return vmx_audit(s, &vmx_config.caps, &env, f);
}

static void dump_gprs(const struct vcpu *v)
{
	static const char names[16][4] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
					  "R8",	 "R9",	"R10", "R11", "R12", "R13", "R14", "R15"};
	char text[120];
	size_t used = 0;

	for (unsigned i = 0; i < 16; i++) {
		uint64_t value = i == REG_RSP ? vmcs_read_GUEST_RSP() : v->gpr[i];

		used += (size_t)str_printf(text + used, sizeof(text) - used, "  %-3s %016lx",
					   names[i], value);
		if (i % 4 == 3) {
			log_err("%s", text);
			used = 0;
		}
	}
}

void vmx_dump(struct vcpu *v)
{
	static struct vmcs_snapshot s[CPU_MAX]; /* too large for a stack */
	struct vmcs_snapshot *mine = &s[this_cpu()->index];
	struct vmx_audit_finding f;

	vmcs_snapshot_take(mine);
	dump_gprs(v);
	vmx_dump_snapshot(LOG_ERR, mine);
	if (v->exit.kind != EXIT_ENTRY_FAILED)
		return;
	if (audit(v, mine, &f))
		log_err("no rule of VM entry is broken that CRVM knows");
	else
		vmx_dump_finding(LOG_ERR, &f);
}

/* Each in a state that VM entry accepts; what runs there does not matter. */
static void become_real(struct vcpu *v)
{
	vmx_vcpu_reset(v);
}

static void become_protected(struct vcpu *v)
{
	static const struct vcpu_segment code = {0x08, 0xc09b, ~0u, 0, false};
	static const struct vcpu_segment data = {0x10, 0xc093, ~0u, 0, false};

	vmx_vcpu_reset(v);
	vmx_set_reg(v, REG_CR0, 0x60000011);
	vmx_set_segment(v, SEG_CS, &code);
	vmx_set_segment(v, SEG_SS, &data);
	vmx_set_segment(v, SEG_DS, &data);
	vmx_set_segment(v, SEG_ES, &data);
}

static void become_long(struct vcpu *v)
{
	static const struct vcpu_segment code = {0x08, 0xa09b, ~0u, 0, false};

	become_protected(v);
	vmx_set_reg(v, REG_CR4, CR4_PAE);
	vmx_set_reg(v, REG_EFER, EFER_LME);
	vmx_set_reg(v, REG_CR0, 0x80000011);
	vmx_set_segment(v, SEG_CS, &code);
}

struct tally {
	unsigned tried, wrong;
	void (*line)(void *ctx, const char *text);
	void *ctx;
};

static void tell(struct tally *t, const char *mode, const char *name, const char *what)
{
	char text[200];

	str_printf(text, sizeof(text), "entry self-test, %s, %s: %s", mode, name, what);
	t->line(t->ctx, text);
}

/* One mistake: the entry must fail, and the auditor must name its rule and field. */
static void try_breakage(struct vcpu *v, struct tally *t, const char *mode, unsigned i,
			 const struct vmcs_snapshot *good)
{
	static struct vmcs_snapshot bad;
	struct vmx_audit_finding f;
	char text[120];

	vmx_breakage_apply(i);
	(void)vmx_run(v);
	vmcs_snapshot_take(&bad);
	t->tried++;
	if (v->exit.kind != EXIT_ENTRY_FAILED) {
		t->wrong++;
		tell(t, mode, vmx_breakage_name(i), "the CPU entered all the same");
	} else if (audit(v, &bad, &f)) {
		t->wrong++;
		tell(t, mode, vmx_breakage_name(i), "the auditor found nothing");
	} else if (strcmp(f.id, vmx_breakage_expect(i)) != 0 ||
		   strcmp(vmcs_index_name(f.field[0]), vmx_breakage_expect_field(i)) != 0) {
		t->wrong++;
		str_printf(text, sizeof(text), "named %s (%s), not %s (%s)", f.id,
			   vmcs_index_name(f.field[0]), vmx_breakage_expect(i),
			   vmx_breakage_expect_field(i));
		tell(t, mode, vmx_breakage_name(i), text);
	} else {
		vmx_finding_values(text, sizeof(text), &f);
		tell(t, mode, vmx_breakage_name(i), text);
	}
	vmx_breakage_undo(i, good);
}

unsigned vmx_selftest(struct vcpu *v, void (*line)(void *ctx, const char *text), void *ctx,
		      unsigned *wrong)
{
	static const struct {
		const char *name;
		void (*become)(struct vcpu *v);
	} modes[] = {{"real mode", become_real},
		     {"protected mode", become_protected},
		     {"64-bit mode", become_long}};
	static struct vmcs_snapshot good;
	struct tally t = {.line = line, .ctx = ctx};

	for (size_t m = 0; m < array_count(modes); m++) {
		modes[m].become(v);
		vmcs_snapshot_take(&good);
		for (unsigned i = 0; i < vmx_breakage_count(); i++)
			if (vmx_breakage_possible(i, &good, &vmx_config.caps))
				try_breakage(v, &t, modes[m].name, i, &good);
		/* Unbroken again, it must enter: else the mistakes above proved nothing. */
		(void)vmx_run(v);
		t.tried++;
		if (v->exit.kind == EXIT_ENTRY_FAILED) {
			t.wrong++;
			tell(&t, modes[m].name, "nothing", "the good VMCS was refused");
		}
	}
	*wrong = t.wrong;
	return t.tried;
}
