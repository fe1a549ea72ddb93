/*
 * Prints a snapshot of a VMCS, compactly: fields that are 0 are only named. It must not know what
 * is right or wrong; that is the auditor's.
 * Source: Intel SDM Vol. 3D, Appendix C, "VMX Basic Exit Reasons"; Vol. 3C, "VM-Instruction Error
 * Numbers", "VM-Entry Failures During or After Loading Guest State".
 */
#include "dump.h"

#include <crvm/printf.h>
#include <crvm/string.h>
#include <crvm/vcpu.h>

#include "ctl_bits.h"

static const char *const exit_reasons[] = {
	[0] = "exception or NMI",
	[1] = "external interrupt",
	[2] = "triple fault",
	[3] = "INIT signal",
	[4] = "start-up IPI",
	[5] = "I/O SMI",
	[6] = "other SMI",
	[7] = "interrupt window",
	[8] = "NMI window",
	[9] = "task switch",
	[10] = "CPUID",
	[11] = "GETSEC",
	[12] = "HLT",
	[13] = "INVD",
	[14] = "INVLPG",
	[15] = "RDPMC",
	[16] = "RDTSC",
	[17] = "RSM",
	[18] = "VMCALL",
	[19] = "VMCLEAR",
	[20] = "VMLAUNCH",
	[21] = "VMPTRLD",
	[22] = "VMPTRST",
	[23] = "VMREAD",
	[24] = "VMRESUME",
	[25] = "VMWRITE",
	[26] = "VMXOFF",
	[27] = "VMXON",
	[28] = "control-register access",
	[29] = "MOV DR",
	[30] = "I/O instruction",
	[31] = "RDMSR",
	[32] = "WRMSR",
	[33] = "VM entry: invalid guest state",
	[34] = "VM entry: MSR loading",
	[36] = "MWAIT",
	[37] = "monitor trap flag",
	[39] = "MONITOR",
	[40] = "PAUSE",
	[41] = "VM entry: machine check",
	[43] = "TPR below threshold",
	[44] = "APIC access",
	[45] = "virtualized EOI",
	[46] = "GDTR or IDTR access",
	[47] = "LDTR or TR access",
	[48] = "EPT violation",
	[49] = "EPT misconfiguration",
	[50] = "INVEPT",
	[51] = "RDTSCP",
	[52] = "VMX-preemption timer",
	[53] = "INVVPID",
	[54] = "WBINVD or WBNOINVD",
	[55] = "XSETBV",
	[56] = "APIC write",
	[57] = "RDRAND",
	[58] = "INVPCID",
	[59] = "VMFUNC",
	[60] = "ENCLS",
	[61] = "RDSEED",
	[62] = "page-modification log full",
	[63] = "XSAVES",
	[64] = "XRSTORS",
	[65] = "PCONFIG",
	[66] = "sub-page permission event",
	[67] = "UMWAIT",
	[68] = "TPAUSE",
	[69] = "LOADIWKEY",
	[70] = "ENCLV",
	[72] = "ENQCMD PASID translation",
	[73] = "ENQCMDS PASID translation",
	[74] = "bus lock",
	[75] = "instruction timeout",
	[76] = "SEAMCALL",
	[77] = "TDCALL",
	[78] = "RDMSRLIST",
	[79] = "WRMSRLIST",
};

static const char *const instruction_errors[] = {
	[0] = "none",
	[1] = "VMCALL in VMX root operation",
	[2] = "VMCLEAR: bad address",
	[3] = "VMCLEAR: the VMXON region",
	[4] = "VMLAUNCH: the VMCS is not clear",
	[5] = "VMRESUME: the VMCS is not launched",
	[6] = "VMRESUME: after VMXOFF",
	[7] = "VM entry: bad control field",
	[8] = "VM entry: bad host-state field",
	[9] = "VMPTRLD: bad address",
	[10] = "VMPTRLD: the VMXON region",
	[11] = "VMPTRLD: wrong revision",
	[12] = "VMREAD or VMWRITE: no such field",
	[13] = "VMWRITE: read-only field",
	[15] = "VMXON in VMX root operation",
	[16] = "VM entry: bad executive-VMCS pointer",
	[17] = "VM entry: executive VMCS is not launched",
	[18] = "VM entry: executive-VMCS pointer is not the VMXON pointer",
	[19] = "VMCALL to the SMM monitor: the VMCS is not clear",
	[20] = "VMCALL to the SMM monitor: bad VM-exit controls",
	[22] = "VMCALL to the SMM monitor: wrong MSEG revision",
	[23] = "VMXOFF under dual-monitor treatment",
	[24] = "VMCALL to the SMM monitor: bad features",
	[25] = "VM entry: bad controls in the executive VMCS",
	[26] = "VM entry: blocked by MOV SS",
	[28] = "INVEPT or INVVPID: bad operand",
};

enum {
	REASON_ENTRY_FAILED = 1u << 31,
	REASON_FAILED_MSR = 34,
	AR_UNUSABLE = 1u << 16,
	LINE_COLUMNS = 132,
};

static const char *table_name(const char *const *table, size_t count, uint32_t i)
{
	return i < count && table[i] ? table[i] : "reserved";
}

const char *vmx_exit_reason_name(uint32_t reason)
{
	return table_name(exit_reasons, array_count(exit_reasons), reason & 0xffff);
}

const char *vmx_instruction_error_name(uint32_t error)
{
	return table_name(instruction_errors, array_count(instruction_errors), error);
}

/* Lines filled with words, each line with the group's name in front. */
struct dump_line {
	enum log_level level;
	const char *group;
	size_t used;
	char text[LINE_COLUMNS + 1];
};

static void line_flush(struct dump_line *l)
{
	if (l->used)
		log_write(l->level, "%-7s%s", l->group, l->text);
	l->used = 0;
}

static void line_add(struct dump_line *l, const char *word)
{
	size_t length = strlen(word);

	if (l->used && l->used + 2 + length > LINE_COLUMNS)
		line_flush(l);
	l->used += (size_t)str_printf(l->text + l->used, sizeof(l->text) - l->used, "%s%s",
				      l->used ? "  " : "", word);
	if (l->used > LINE_COLUMNS)
		l->used = LINE_COLUMNS;
}

static const char *failed_qualification(uint64_t qualification)
{
	switch (qualification) {
	case 2:
		return "PDPTEs";
	case 3:
		return "NMI while STI blocks";
	case 4:
		return "VMCS link pointer";
	default:
		return "no hint";
	}
}

void vmx_dump_exit(enum log_level level, const struct vmcs_snapshot *s)
{
	uint32_t reason = (uint32_t)s->value[SNAP_EXIT_REASON];
	uint32_t error = (uint32_t)s->value[SNAP_INSTRUCTION_ERROR];
	unsigned long long qualification = s->value[SNAP_EXIT_QUALIFICATION];

	log_write(level,
		  "exit   reason %x: %s%s, qualification %llx; last instruction error %u: %s",
		  reason, vmx_exit_reason_name(reason),
		  reason & REASON_ENTRY_FAILED ? " (entry failed)" : "", qualification, error,
		  vmx_instruction_error_name(error));
	if (!(reason & REASON_ENTRY_FAILED))
		return;
	if ((reason & 0xffff) == REASON_FAILED_MSR)
		log_write(level, "exit   entry %llu of the MSR-load area was refused",
			  qualification);
	else
		log_write(level, "exit   the CPU hints at: %s",
			  failed_qualification(qualification));
}

static bool field_in_table(enum vmcs_index i)
{
	return (i >= SNAP_GUEST_ES_SELECTOR && i <= SNAP_GUEST_TR_SELECTOR) ||
	       (i >= SNAP_GUEST_ES_LIMIT && i <= SNAP_GUEST_TR_LIMIT) ||
	       (i >= SNAP_GUEST_ES_AR && i <= SNAP_GUEST_TR_AR) ||
	       (i >= SNAP_GUEST_ES_BASE && i <= SNAP_GUEST_TR_BASE) || i == SNAP_PIN_CTLS ||
	       i == SNAP_PROC_CTLS || i == SNAP_PROC2_CTLS || i == SNAP_EXIT_CTLS ||
	       i == SNAP_ENTRY_CTLS;
}

/* Bits 11:10 of an encoding. */
enum field_type { TYPE_CONTROL, TYPE_EXIT, TYPE_GUEST, TYPE_HOST };

/* The group's name stands in front of the line. */
static const char *short_name(enum vmcs_index i)
{
	const char *name = vmcs_index_name(i);

	if (strncmp(name, "GUEST_", 6) == 0)
		return name + 6;
	return strncmp(name, "HOST_", 5) == 0 ? name + 5 : name;
}

/* Fields of one type that are 0, or those that are not. */
static void dump_fields(struct dump_line *l, const struct vmcs_snapshot *s, enum field_type type,
			bool zero)
{
	char word[64];

	for (unsigned n = 0; n < SNAP_COUNT; n++) {
		enum vmcs_index i = (enum vmcs_index)n;

		if (((uint32_t)vmcs_index_field(i) >> 10 & 3) != (uint32_t)type ||
		    !vmcs_snapshot_has(s, i) || field_in_table(i) || (s->value[i] == 0) != zero)
			continue;
		if (zero) {
			line_add(l, short_name(i));
			continue;
		}
		str_printf(word, sizeof(word), "%s=%llx", short_name(i),
			   (unsigned long long)s->value[i]);
		line_add(l, word);
	}
	line_flush(l);
}

static void dump_group(enum log_level level, const struct vmcs_snapshot *s, enum field_type type,
		       const char *group)
{
	struct dump_line line = {.level = level, .group = group};

	dump_fields(&line, s, type, false);
	line_add(&line, "zero:");
	dump_fields(&line, s, type, true);
}

static const struct {
	enum ctl_word word;
	uint32_t bit;
	const char *name;
} ctl_bits[] = {
#define X(word, id, bit, name) {CTL_##word, 1u << (bit), name},
	VMX_CTL_BITS(X)
#undef X
};

static void dump_word(enum log_level level, const char *group, enum ctl_word word, uint32_t value)
{
	struct dump_line line = {.level = level, .group = group};
	uint32_t rest = value;
	char text[80];

	str_printf(text, sizeof(text), "%08x:", value);
	line_add(&line, text);
	for (size_t i = 0; i < array_count(ctl_bits); i++) {
		if (ctl_bits[i].word != word || !(value & ctl_bits[i].bit))
			continue;
		rest &= ~ctl_bits[i].bit;
		str_printf(text, sizeof(text), "%s;", ctl_bits[i].name);
		line_add(&line, text);
	}
	str_printf(text, sizeof(text), "without a name: %x", rest);
	line_add(&line, text);
	line_flush(&line);
}

static void dump_controls(enum log_level level, const struct vmcs_snapshot *s)
{
	dump_word(level, "pin", CTL_PIN, (uint32_t)s->value[SNAP_PIN_CTLS]);
	dump_word(level, "proc", CTL_PROC, (uint32_t)s->value[SNAP_PROC_CTLS]);
	if (vmcs_snapshot_has(s, SNAP_PROC2_CTLS))
		dump_word(level, "proc2", CTL_PROC2, (uint32_t)s->value[SNAP_PROC2_CTLS]);
	dump_word(level, "exit", CTL_EXIT, (uint32_t)s->value[SNAP_EXIT_CTLS]);
	dump_word(level, "entry", CTL_ENTRY, (uint32_t)s->value[SNAP_ENTRY_CTLS]);
}

/* "code, conforming, readable, accessed" and the like: Vol. 3A, "Segment Descriptors". */
static const char *type_name(uint32_t ar)
{
	static const char *const code_data[16] = {
		"data r",      "data r acc",	  "data rw",	  "data rw acc",
		"data r down", "data r down acc", "data rw down", "data rw down acc",
		"code x",      "code x acc",	  "code xr",	  "code xr acc",
		"code x conf", "code x conf acc", "code xr conf", "code xr conf acc",
	};
	static const char *const system[16] = {
		[1] = "TSS16", [2] = "LDT", [3] = "TSS16 busy", [9] = "TSS", [11] = "TSS busy",
	};
	unsigned type = ar & 15;

	if (ar >> 4 & 1)
		return code_data[type];
	return system[type] ? system[type] : "system";
}

static void dump_segment(enum log_level level, const struct vmcs_snapshot *s, unsigned seg)
{
	static const char *const names[SEG_COUNT] = {"ES", "CS", "SS",	 "DS",
						     "FS", "GS", "LDTR", "TR"};
	uint32_t ar = (uint32_t)s->value[SNAP_GUEST_ES_AR + seg];

	log_write(level,
		  "%-7s%04llx  base %016llx  limit %08llx  access %05x: %s, DPL %u%s%s%s%s%s",
		  names[seg], (unsigned long long)s->value[SNAP_GUEST_ES_SELECTOR + seg],
		  (unsigned long long)s->value[SNAP_GUEST_ES_BASE + seg],
		  (unsigned long long)s->value[SNAP_GUEST_ES_LIMIT + seg], ar, type_name(ar),
		  ar >> 5 & 3, ar >> 7 & 1 ? "" : ", not present", ar >> 13 & 1 ? ", L" : "",
		  ar >> 14 & 1 ? ", D" : "", ar >> 15 & 1 ? ", G" : "",
		  ar & AR_UNUSABLE ? ", unusable" : "");
}

void vmx_dump_snapshot(enum log_level level, const struct vmcs_snapshot *s)
{
	vmx_dump_exit(level, s);
	dump_group(level, s, TYPE_EXIT, "info");
	dump_controls(level, s);
	dump_group(level, s, TYPE_CONTROL, "ctl");
	dump_group(level, s, TYPE_GUEST, "guest");
	for (unsigned seg = 0; seg < SEG_COUNT; seg++)
		dump_segment(level, s, seg);
	dump_group(level, s, TYPE_HOST, "host");
}

void vmx_dump_finding(enum log_level level, const struct vmx_audit_finding *f)
{
	char values[176];

	log_write(level, "audit  %s: broken rule %s: %s", f->area, f->id, f->rule);
	vmx_finding_values(values, sizeof(values), f);
	log_write(level, "audit  %s", values);
	log_write(level, "audit  see Intel SDM Vol. 3C, \"%s\"", f->section);
}
