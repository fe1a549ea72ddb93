/*
 * The isolation audit: no VM reaches what is not its own. It must not know how a backend lays out
 * its tables, nor what a VM's memory is used for: it believes the frame table and the VM's own
 * answers.
 */
#include <crvm/nested_audit.h>
#include <crvm/status.h>

#define PHYS_LIMIT (1ull << 52)

struct audit {
	const struct nested_audit_vm *vm;
	struct nested_offence *found; /* kind NESTED_NONE as long as there is none */
	uint64_t next;		      /* the lowest gpa that may come next */
	uint64_t page_count;
};

/* Consecutive frames of one page with the same owner. */
struct run {
	uint64_t gpa, hpa, len;
	unsigned flags;
	frame_owner_t owner;
};

const char *nested_offence_text(enum nested_offence_kind kind)
{
	static const char *const text[] = {
#define X(name, text) [NESTED_##name] = text,
		NESTED_OFFENCES(X)
#undef X
	};

	return (unsigned)kind < array_count(text) ? text[kind] : "?";
}

static bool ask(nested_audit_fn *fn, const struct audit *a, const struct run *r)
{
	return fn(a->vm->ctx, gpa(r->gpa), hpa(r->hpa), r->len, r->flags);
}

static enum nested_offence_kind run_judge(const struct audit *a, const struct run *r)
{
	if (r->owner == FRAME_FREE)
		return NESTED_FREE;
	if (r->owner == FRAME_IMAGE || r->owner == FRAME_TABLE)
		return NESTED_HYPERVISOR;
	if (r->owner == a->vm->owner)
		return a->vm->ram && !ask(a->vm->ram, a, r) ? NESTED_NOT_RAM : NESTED_NONE;
	if (r->owner >= FRAME_VM0)
		return NESTED_OTHER_VM;
	if (r->owner == FRAME_MODULE && (r->flags & NESTED_W))
		return NESTED_WRITABLE;
	return a->vm->allowed && ask(a->vm->allowed, a, r) ? NESTED_NONE : NESTED_UNEXPECTED;
}

static void offence_fill(const struct audit *a, const struct run *r, enum nested_offence_kind kind)
{
	a->found->kind = kind;
	a->found->gpa = gpa(r->gpa);
	a->found->hpa = hpa(r->hpa);
	a->found->flags = r->flags;
	a->found->owner = r->owner;
}

/* A run that is not good as a whole may be so in parts, such as two devices side by side. */
static bool run_check(struct audit *a, const struct run *r)
{
	if (run_judge(a, r) == NESTED_NONE) {
		a->page_count += r->len / PAGE_SIZE;
		return true;
	}
	for (uint64_t o = 0; o < r->len; o += PAGE_SIZE) {
		struct run page = *r;
		enum nested_offence_kind kind;

		page.gpa += o;
		page.hpa += o;
		page.len = PAGE_SIZE;
		kind = run_judge(a, &page);
		if (kind != NESTED_NONE) {
			offence_fill(a, &page, kind);
			return false;
		}
		a->page_count++;
	}
	return true;
}

/* The walk's promises: whole pages in rising order, none twice, none beyond any memory. */
static bool page_is_sound(const struct audit *a, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags)
{
	return (gpa.v | hpa.v | len) % PAGE_SIZE == 0 && len > 0 && gpa.v >= a->next &&
	       gpa.v <= PHYS_LIMIT && len <= PHYS_LIMIT - gpa.v && hpa.v <= PHYS_LIMIT &&
	       len <= PHYS_LIMIT - hpa.v && (flags & ~(unsigned)NESTED_RWX) == 0;
}

static bool audit_page(void *ctx, gpa_t gpa, hpa_t hpa_start, uint64_t len, unsigned flags)
{
	struct audit *a = ctx;
	struct run r = {.gpa = gpa.v, .hpa = hpa_start.v, .flags = flags};
	uint64_t end = hpa_start.v + len;

	if (!page_is_sound(a, gpa, hpa_start, len, flags)) {
		r.owner = frames_owner(hpa_start);
		offence_fill(a, &r, NESTED_BROKEN);
		return false;
	}
	a->next = gpa.v + len;
	r.owner = frames_owner(hpa_start);
	while (r.hpa < end) {
		uint64_t next = r.hpa + PAGE_SIZE;
		frame_owner_t owner = FRAME_NONE;

		while (next < end && (owner = frames_owner(hpa(next))) == r.owner)
			next += PAGE_SIZE;
		r.len = next - r.hpa;
		if (!run_check(a, &r))
			return false;
		r.gpa += r.len;
		r.hpa = next;
		r.owner = owner;
	}
	return true;
}

static bool owners_are_sound(const struct nested_audit_vm *vms, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (vms[i].owner < FRAME_VM0 || vms[i].owner >= FRAME_OWNER_MAX)
			return false;
		for (unsigned j = 0; j < i; j++)
			if (vms[i].owner == vms[j].owner)
				return false;
	}
	return true;
}

int nested_audit(const struct virt_backend *b, const struct nested_audit_vm *vms, unsigned count,
		 struct nested_offence *first, uint64_t *pages)
{
	uint64_t page_count = 0;

	*first = (struct nested_offence){.kind = NESTED_NONE};
	if (!owners_are_sound(vms, count))
		return E_INVAL;
	for (unsigned i = 0; i < count && first->kind == NESTED_NONE; i++) {
		struct audit a = {.vm = &vms[i], .found = first};

		first->vm = i;
		b->nested_walk(vms[i].vm, audit_page, &a);
		page_count += a.page_count;
	}
	if (pages)
		*pages = page_count;
	return first->kind == NESTED_NONE ? OK : E_PERM;
}
