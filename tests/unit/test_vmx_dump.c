/*
 * What the dump of a VMCS says, line by line, and how the snapshot for it is taken.
 */
/* needs: vmx/audit.c vmx/audit_controls.c vmx/audit_host.c vmx/audit_guest.c */
/* needs: vmx/audit_segments.c vmx/breakage.c vmx/controls.c vmx/snapshot.c vmx/dump.c */
/* needs: lib/printf.c */
#include "vmcs_sample.h"

#include "../../vmx/dump.h"

/* The log, which must not have to cut a line: 240 bytes with time, CPU and level in front. */
#define LOG_LINE 180
static char text[32768];
static size_t used;
static unsigned lines;
static enum log_level last_level;

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n < 1 || n > LOG_LINE)
		fail_msg("line of %d bytes: %s", n, line);
	assert_null(strchr(line, '\n'));
	assert_true(used + (size_t)n + 2 < sizeof(text));
	used += (size_t)sprintf(text + used, "%s\n", line);
	lines++;
	last_level = level;
}

static int reset(void **state)
{
	(void)state;
	used = lines = 0;
	text[0] = '\0';
	return 0;
}

static void assert_said(const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void assert_not_said(const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" is in:\n%s", part, text);
}

static void fields_are_there_by_name_and_value(void **state)
{
	struct vmcs_snapshot s = sample_long();

	(void)state;
	vmx_dump_snapshot(LOG_WARN, &s);
	assert_int_equal(last_level, LOG_WARN);
	assert_said("RIP=ffffffff81000000");
	assert_said("EFER=d01");
	assert_said("VMCS_LINK=ffffffffffffffff");
	assert_said("EPTP=a05e");
	assert_said("GDTR_BASE=ffffffff80202000");
	assert_in_range(lines, 20, 60);
}

/* Each field that exists is in a table or has its name somewhere; one that does not exist has not.
 */
static void no_field_is_forgotten(void **state)
{
	struct vmcs_snapshot s = sample_long();

	(void)state;
	for (unsigned i = 0; i < SNAP_COUNT; i++)
		s.value[i] = 0x1000 + i;
	vmx_dump_snapshot(LOG_INFO, &s);
	for (unsigned i = 0; i < SNAP_COUNT; i++) {
		char value[16];

		snprintf(value, sizeof(value), "%x", 0x1000 + i);
		assert_said(value);
	}
}

static void missing_fields_are_not_shown(void **state)
{
	struct vmcs_snapshot s = sample_long();

	(void)state;
	vmx_dump_snapshot(LOG_INFO, &s);
	assert_said("TSC_MULTIPLIER");
	assert_said("proc2");
	assert_said("PLE_GAP");
	reset(NULL);
	s.present[SNAP_TSC_MULTIPLIER / 64] &= ~(1ull << SNAP_TSC_MULTIPLIER % 64);
	s.present[SNAP_PROC2_CTLS / 64] &= ~(1ull << SNAP_PROC2_CTLS % 64);
	s.present[SNAP_PLE_GAP / 64] &= ~(1ull << SNAP_PLE_GAP % 64);
	vmx_dump_snapshot(LOG_INFO, &s);
	assert_not_said("TSC_MULTIPLIER");
	assert_not_said("proc2");
	assert_not_said("PLE_GAP");
}

static void controls_are_named_bit_by_bit(void **state)
{
	struct vmcs_snapshot s = sample_prot();

	(void)state;
	vmx_dump_snapshot(LOG_INFO, &s);
	assert_said("pin    0000007f:  external-interrupt exiting;  NMI exiting;  virtual NMIs;  "
		    "VMX-preemption timer;  without a name: 16");
	assert_said("enable EPT;  enable VPID;  unrestricted guest;  without a name: 0");
	assert_said("host address-space size;");
	assert_not_said("IA-32e mode guest");
	assert_not_said("NMI-window exiting");
}

static void segments_are_a_table(void **state)
{
	struct vmcs_snapshot s = sample_real();

	(void)state;
	vmx_dump_snapshot(LOG_INFO, &s);
	assert_said("CS     f000  base 00000000ffff0000  limit 0000ffff  access 0009b: "
		    "code xr acc, DPL 0\n");
	assert_said("TR     0000  base 0000000000000000  limit 0000ffff  access 0008b: "
		    "TSS busy, DPL 0\n");
	assert_said("access 00082: LDT, DPL 0\n");
	reset(NULL);
	s = sample_long();
	sample_segment(&s, SEG_SS, 0x1b, 0, 0xffffffff, 0xc073);
	vmx_dump_snapshot(LOG_INFO, &s);
	assert_said("access 0a09b: code xr acc, DPL 0, L, G\n");
	assert_said("access 0c073: data rw acc, DPL 3, not present, D, G\n");
	assert_said("GS     0000  base ffff888000002000  limit 00000000  access 10000: "
		    "system, DPL 0, not present, unusable\n");
}

static void all_types_of_segments_have_names(void **state)
{
	(void)state;
	for (uint32_t ar = 0; ar < 0x20000; ar += ar < 0x100 ? 1 : 0xfff) {
		struct vmcs_snapshot s = sample_long();

		reset(NULL);
		s.value[SNAP_GUEST_CS_AR] = ar;
		vmx_dump_snapshot(LOG_INFO, &s);
		assert_not_said("(null)");
	}
}

static void exits_are_explained(void **state)
{
	struct vmcs_snapshot s = sample_long();

	(void)state;
	s.value[SNAP_EXIT_REASON] = 10;
	vmx_dump_exit(LOG_INFO, &s);
	assert_said("reason a: CPUID, qualification 0; last instruction error 0: none");
	assert_int_equal(lines, 1);
	reset(NULL);
	s.value[SNAP_EXIT_REASON] = 0x80000021;
	s.value[SNAP_EXIT_QUALIFICATION] = 4;
	vmx_dump_exit(LOG_INFO, &s);
	assert_said("invalid guest state (entry failed)");
	assert_said("VMCS link pointer");
	reset(NULL);
	s.value[SNAP_EXIT_REASON] = 0x80000022;
	vmx_dump_exit(LOG_INFO, &s);
	assert_said("entry 4 of the MSR-load area");
	reset(NULL);
	s.value[SNAP_INSTRUCTION_ERROR] = 7;
	s.value[SNAP_EXIT_REASON] = 0xffffffff;
	s.value[SNAP_EXIT_QUALIFICATION] = ~0ull;
	vmx_dump_exit(LOG_INFO, &s);
	assert_said("7: VM entry: bad control field");
	assert_said("reserved");
}

static void names_of_reasons_and_errors(void **state)
{
	(void)state;
	assert_string_equal(vmx_exit_reason_name(0), "exception or NMI");
	assert_string_equal(vmx_exit_reason_name(48), "EPT violation");
	assert_string_equal(vmx_exit_reason_name(0x80000021), "VM entry: invalid guest state");
	assert_string_equal(vmx_exit_reason_name(35), "reserved");
	assert_string_equal(vmx_exit_reason_name(0xffff), "reserved");
	assert_string_equal(vmx_instruction_error_name(8), "VM entry: bad host-state field");
	assert_string_equal(vmx_instruction_error_name(14), "reserved");
	assert_string_equal(vmx_instruction_error_name(0xffffffff), "reserved");
}

static void every_finding_fits_the_log(void **state)
{
	static const struct {
		const struct audit_section *section;
		size_t count;
	} parts[] = {{audit_controls, 3},
		     {audit_host, 3},
		     {audit_guest_registers, 1},
		     {audit_segments, 1},
		     {audit_guest_rest, 4}};

	(void)state;
	for (size_t p = 0; p < array_count(parts); p++) {
		for (size_t i = 0; i < parts[p].count; i++) {
			const struct audit_section *section = &parts[p].section[i];

			for (size_t n = 0; n < section->rule_count; n++) {
				const struct audit_rule *r = &section->rules[n];
				struct vmx_audit_finding f = {
					.id = r->id,
					.area = section->area,
					.section = section->title,
					.rule = r->text,
					.field_count = r->field_count,
				};

				for (unsigned k = 0; k < r->field_count; k++) {
					unsigned bits = vmcs_index_bits(r->field[k]);

					f.field[k] = r->field[k];
					f.value[k] = ~0ull >> (64 - bits);
				}
				reset(NULL);
				vmx_dump_finding(LOG_ERR, &f);
				assert_int_equal(lines, 3);
				assert_said(r->text);
				assert_said(vmcs_index_name(r->field[r->field_count - 1]));
				assert_said(section->title);
			}
		}
	}
}

static void finding_is_told_in_three_lines(void **state)
{
	struct vmcs_snapshot s = sample_long();
	struct vmx_audit_env env = sample_env();
	struct vmx_audit_finding f;

	(void)state;
	s.value[SNAP_GUEST_CR4] = 0x2000;
	assert_false(vmx_audit(&s, &sample_caps, &env, &f));
	vmx_dump_finding(LOG_ERR, &f);
	assert_string_equal(
		text, "audit  guest state: broken rule guest-ia32e-pae: guest CR4.PAE is 1 if "
		      "\"IA-32e mode guest\" is\n"
		      "audit  GUEST_CR4=0x2000 ENTRY_CTLS=0xd3ff\n"
		      "audit  see Intel SDM Vol. 3C, \"Checks on Guest Control Registers, Debug "
		      "Registers, and MSRs\"\n");
	assert_int_equal(last_level, LOG_ERR);
}

/* A VMCS in which field i holds its encoding, and every third field is missing. */
static unsigned asked;

static bool every_third_is_missing(enum vmcs_field field, uint64_t *value)
{
	if (asked++ % 3 == 2)
		return false;
	*value = 0xabcd00000000u + (unsigned)field;
	return true;
}

static void snapshot_reads_what_exists(void **state)
{
	struct vmcs_snapshot s;

	(void)state;
	memset(&s, 0xa5, sizeof(s));
	sample_try_read = every_third_is_missing;
	asked = 0;
	vmcs_snapshot_take(&s);
	sample_try_read = NULL;
	assert_int_equal(asked, SNAP_COUNT + 1); /* first of all, INSTRUCTION_ERROR */
	for (unsigned i = 0; i < SNAP_COUNT; i++) {
		bool exists = (i + 1) % 3 != 2;

		assert_int_equal(vmcs_snapshot_has(&s, i), exists);
		assert_true(i == SNAP_INSTRUCTION_ERROR ||
			    s.value[i] ==
				    (exists ? 0xabcd00000000u + (unsigned)vmcs_index_field(i) : 0));
	}
}

static void names_and_widths_of_fields(void **state)
{
	(void)state;
	assert_string_equal(vmcs_index_name(SNAP_VPID), "VPID");
	assert_string_equal(vmcs_index_name(SNAP_HOST_RIP), "HOST_RIP");
	assert_string_equal(vmcs_index_name(SNAP_COUNT), "?");
	assert_int_equal(vmcs_index_field(SNAP_GUEST_CR0), 0x6800);
	assert_int_equal(vmcs_index_bits(SNAP_GUEST_CS_SELECTOR), 16);
	assert_int_equal(vmcs_index_bits(SNAP_GUEST_CS_AR), 32);
	assert_int_equal(vmcs_index_bits(SNAP_EPTP), 64);
	assert_int_equal(vmcs_index_bits(SNAP_GUEST_RIP), 64);
}

#define TEST(f) cmocka_unit_test_setup(f, reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fields_are_there_by_name_and_value),
		TEST(no_field_is_forgotten),
		TEST(missing_fields_are_not_shown),
		TEST(controls_are_named_bit_by_bit),
		TEST(segments_are_a_table),
		TEST(all_types_of_segments_have_names),
		TEST(exits_are_explained),
		TEST(names_of_reasons_and_errors),
		TEST(every_finding_fits_the_log),
		TEST(finding_is_told_in_three_lines),
		TEST(snapshot_reads_what_exists),
		TEST(names_and_widths_of_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
