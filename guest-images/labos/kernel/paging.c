/*
 * The kernel's page tables and the spaces. "Intel 64 and IA-32 Architectures Software Developer's
 * Manual", volume 3: 32-Bit Paging.
 */

#include "frames.h"
#include "lib.h"
#include "paging.h"
#include "swap.h"
#include "x86.h"

enum {
	PTE_PRESENT = 1 << 0,
	PTE_WRITE = 1 << 1,
	PTE_USER = 1 << 2,
	PTE_ACCESSED = 1 << 5,
	TABLE_ENTRIES = 1024,
	TABLE_SPAN = TABLE_ENTRIES * PAGE_SIZE,
	FLAG_BITS = PAGE_SIZE - 1,
};

static uint32_t *kernel_directory;

/* A page table or directory, empty. */
static uint32_t *create_table(void)
{
	uint32_t *table = (uint32_t *)frames_alloc(1);

	if (table)
		memset(table, 0, PAGE_SIZE);
	return table;
}

void paging_init(void)
{
	uint32_t address = 0;
	uint32_t i;

	kernel_directory = create_table();
	while (kernel_directory && address < frames_memory_end()) {
		uint32_t *table = create_table();

		if (!table)
			panic("no memory for page tables");
		kernel_directory[address / TABLE_SPAN] = (uint32_t)table | PTE_PRESENT | PTE_WRITE;
		for (i = 0; i < TABLE_ENTRIES; i++, address += PAGE_SIZE)
			table[i] = address | PTE_PRESENT | PTE_WRITE;
		/* Page 0 stays out, so that a null pointer faults. */
		if (address == TABLE_SPAN)
			table[0] = 0;
	}
	if (!kernel_directory)
		panic("no memory");
	write_cr3((uint32_t)kernel_directory);
	write_cr0(read_cr0() | CR0_PG | CR0_WP | CR0_NE);
}

bool paging_map_page(uint32_t address)
{
	uint32_t *entry = &kernel_directory[address / TABLE_SPAN];

	if (!*entry) {
		uint32_t *table = create_table();

		if (!table)
			return false;
		*entry = (uint32_t)table | PTE_PRESENT | PTE_WRITE;
	}
	((uint32_t *)(*entry & ~(uint32_t)FLAG_BITS))[address / PAGE_SIZE % TABLE_ENTRIES] =
		address | PTE_PRESENT | PTE_WRITE;
	return true;
}

struct space *space_create(uint32_t limit)
{
	struct space *space = (struct space *)frames_alloc(1);
	uint32_t *directory = create_table();

	_Static_assert(sizeof(*space) <= PAGE_SIZE, "a space fits in a frame");
	if (!space || !directory) {
		if (space)
			frames_free((uint32_t)space, 1);
		if (directory)
			frames_free((uint32_t)directory, 1);
		return NULL;
	}
	memset(space, 0, sizeof(*space));
	memcpy(directory, kernel_directory, PAGE_SIZE);
	space->directory = (uint32_t)directory;
	space->limit = limit < SPACE_FRAMES_MAX ? limit : SPACE_FRAMES_MAX;
	return space;
}

void space_add_region(struct space *space, uint32_t begin, uint32_t end)
{
	if (space->region_count == SPACE_REGION_MAX)
		panic("a space has too many regions");
	space->regions[space->region_count++] = (struct region){begin, end};
}

static void destroy_entry(uint32_t entry)
{
	if (entry & PTE_PRESENT)
		frames_free(entry & ~(uint32_t)FLAG_BITS, 1);
	else if (entry)
		swap_free(entry / PAGE_SIZE);
}

/* The caller has left the space. */
void space_destroy(struct space *space)
{
	const uint32_t *directory = (const uint32_t *)space->directory;
	uint32_t i, j;

	for (i = WINDOW_BEGIN / TABLE_SPAN; i < WINDOW_END / TABLE_SPAN; i++) {
		const uint32_t *table = (const uint32_t *)(directory[i] & ~(uint32_t)FLAG_BITS);

		if (!table)
			continue;
		for (j = 0; j < TABLE_ENTRIES; j++)
			destroy_entry(table[j]);
		frames_free((uint32_t)table, 1);
	}
	frames_free(space->directory, 1);
	frames_free((uint32_t)space, 1);
}

void space_activate(const struct space *space)
{
	uint32_t directory = space ? space->directory : (uint32_t)kernel_directory;

	if (read_cr3() != directory)
		write_cr3(directory);
}

bool space_is_window(uint32_t address)
{
	return address >= WINDOW_BEGIN && address < WINDOW_END;
}

bool space_covers(const struct space *space, uint32_t address, uint32_t size)
{
	uint32_t i;

	for (i = 0; i < space->region_count; i++) {
		const struct region *region = &space->regions[i];

		if (address >= region->begin && address < region->end &&
		    size <= region->end - address)
			return true;
	}
	return false;
}

/* The page table entry of an address in the window; NULL if there is no memory for its table. */
static uint32_t *find_entry(struct space *space, uint32_t address)
{
	uint32_t *entry = (uint32_t *)space->directory + address / TABLE_SPAN;
	uint32_t *table = (uint32_t *)(*entry & ~(uint32_t)FLAG_BITS);

	if (!table) {
		table = create_table();
		if (!table)
			return NULL;
		*entry = (uint32_t)table | PTE_PRESENT | PTE_WRITE | PTE_USER;
	}
	return &table[address / PAGE_SIZE % TABLE_ENTRIES];
}

/* Second chance: a page that was touched since the hand last came by is spared this time. */
static uint32_t *choose_victim(struct space *space)
{
	for (;;) {
		uint32_t page = space->resident[space->hand];
		uint32_t *entry = find_entry(space, page);

		if (!(*entry & PTE_ACCESSED))
			return entry;
		*entry &= ~(uint32_t)PTE_ACCESSED;
		invlpg(page);
		space->hand = (space->hand + 1) % space->resident_count;
	}
}

/* Sends one page to the disk. Its place in `resident` is then the last one, free for another. */
static bool evict(struct space *space)
{
	uint32_t slot = swap_alloc();
	uint32_t *entry;
	uint32_t page, frame;

	if (!slot)
		return false;
	if (space->resident_count == 0) {
		swap_free(slot);
		return false;
	}
	entry = choose_victim(space);
	page = space->resident[space->hand];
	frame = *entry & ~(uint32_t)FLAG_BITS;
	if (!swap_write(slot, (const void *)frame)) {
		swap_free(slot);
		return false;
	}
	*entry = slot * PAGE_SIZE; /* not present; the CPU does not look at the rest */
	invlpg(page);
	frames_free(frame, 1);
	space->out_count++;
	space->resident[space->hand] = space->resident[--space->resident_count];
	/* On to the next, or the page that came here last would go first. */
	space->hand = space->resident_count ? (space->hand + 1) % space->resident_count : 0;
	return true;
}

static uint32_t take_frame(struct space *space)
{
	uint32_t frame;

	if (space->resident_count >= space->limit && !evict(space))
		return 0;
	frame = frames_alloc(1);
	if (!frame && evict(space))
		frame = frames_alloc(1);
	return frame;
}

static bool fill(struct space *space, uint32_t entry, uint32_t frame)
{
	if (!entry) {
		memset((void *)frame, 0, PAGE_SIZE);
		return true;
	}
	if (!swap_read(entry / PAGE_SIZE, (void *)frame))
		return false;
	swap_free(entry / PAGE_SIZE);
	space->in_count++;
	return true;
}

bool space_bring_page(struct space *space, uint32_t address)
{
	uint32_t *entry;
	uint32_t frame;

	if (!space_covers(space, address, 1))
		return false;
	entry = find_entry(space, address);
	if (!entry)
		return false;
	frame = take_frame(space);
	if (!frame)
		return false;
	if (!fill(space, *entry, frame)) {
		frames_free(frame, 1);
		return false;
	}
	*entry = frame | PTE_PRESENT | PTE_WRITE | PTE_USER;
	space->resident[space->resident_count++] = address & ~(uint32_t)FLAG_BITS;
	return true;
}
