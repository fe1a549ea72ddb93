/*
 * Takes a snapshot of the current VMCS. It must not know what any field means.
 */
#include "snapshot.h"

static const struct {
	enum vmcs_field field;
	const char *name;
} fields[SNAP_COUNT] = {
#define X(name, encoding, width, access) [SNAP_##name] = {VMCS_##name, #name},
	VMCS_FIELDS(X)
#undef X
};

void vmcs_snapshot_take(struct vmcs_snapshot *s)
{
	uint64_t error = 0;
	/* A VMREAD of a field that the CPU lacks fails, and this field then says so. */
	bool has_error = vmcs_try_read(VMCS_INSTRUCTION_ERROR, &error);

	*s = (struct vmcs_snapshot){0};
	for (unsigned i = 0; i < SNAP_COUNT; i++) {
		uint64_t value;

		if (!vmcs_try_read(fields[i].field, &value))
			continue;
		s->value[i] = value;
		s->present[i / 64] |= 1ull << (i % 64);
	}
	if (has_error)
		s->value[SNAP_INSTRUCTION_ERROR] = error;
}

const char *vmcs_index_name(enum vmcs_index i)
{
	return (unsigned)i < SNAP_COUNT ? fields[i].name : "?";
}

enum vmcs_field vmcs_index_field(enum vmcs_index i)
{
	return fields[i].field;
}

unsigned vmcs_index_bits(enum vmcs_index i)
{
	switch ((uint32_t)fields[i].field >> 13 & 3) {
	case VMCS_WIDTH_16:
		return 16;
	case VMCS_WIDTH_32:
		return 32;
	default:
		return 64;
	}
}
