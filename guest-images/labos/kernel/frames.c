/*
 * One bit for each frame below 1 GiB: set if it is used, or no memory at all.
 */

#include "../boot/layout.h"
#include "frames.h"
#include "lib.h"
#include "x86.h"

enum {
	FRAME_COUNT = FRAMES_MEMORY_MAX / PAGE_SIZE,
	FIRST_FRAME =
		0x100000 / PAGE_SIZE, /* below lie the BIOS' data, our boot sector, the screen */
	WORD_BITS = 32,
	E820_USABLE = 1,
};

/* "Advanced Configuration and Power Interface Specification": INT 15H, E820H. */
struct map_entry {
	uint64_t base, length;
	uint32_t type;
} __attribute__((packed));
_Static_assert(sizeof(struct map_entry) == 20, "as the BIOS writes it");

extern char kernel_end[];

static uint32_t used[FRAME_COUNT / WORD_BITS];
static uint32_t free_count;
static uint32_t next_word; /* where the last search ended */
static uint64_t usable_bytes;
static uint32_t memory_end;

static bool is_used(uint32_t frame)
{
	return used[frame / WORD_BITS] & 1u << frame % WORD_BITS;
}

static void mark(uint32_t frame, bool is)
{
	if (is_used(frame) == is)
		return;
	used[frame / WORD_BITS] ^= 1u << frame % WORD_BITS;
	free_count += is ? -1u : 1u;
}

/* The frames that lie wholly in a range, or with `is` those that it touches. */
static void mark_range(uint64_t begin, uint64_t end, bool is)
{
	uint32_t frame, last;

	if (end > FRAMES_MEMORY_MAX)
		end = FRAMES_MEMORY_MAX;
	if (begin >= end)
		return;
	frame = (uint32_t)(is ? begin : begin + PAGE_SIZE - 1) / PAGE_SIZE;
	last = (uint32_t)(is ? end + PAGE_SIZE - 1 : end) / PAGE_SIZE;
	for (; frame < last; frame++)
		mark(frame, is);
}

/* Twice over the map: what is usable first, then what some other entry takes away again. */
static void read_map(bool usable)
{
	const struct map_entry *entry = (const struct map_entry *)(MEMORY_MAP + 4);
	uint32_t count = *(const volatile uint32_t *)MEMORY_MAP;
	uint32_t i;

	if (count > MEMORY_MAP_MAX)
		count = MEMORY_MAP_MAX;
	for (i = 0; i < count; i++, entry++) {
		uint64_t end = entry->base + entry->length;

		if (end < entry->base || (entry->type == E820_USABLE) != usable)
			continue;
		mark_range(entry->base, end, !usable);
		if (!usable)
			continue;
		usable_bytes += entry->length;
		if (end > memory_end)
			memory_end = end > FRAMES_MEMORY_MAX ? FRAMES_MEMORY_MAX : (uint32_t)end;
	}
}

void frames_init(void)
{
	memset(used, 0xff, sizeof(used));
	read_map(true);
	read_map(false);
	mark_range(0, FIRST_FRAME * PAGE_SIZE, true);
	mark_range(FIRST_FRAME * PAGE_SIZE, (uint32_t)kernel_end, true);
}

/* Is there room for `count` frames from this one on? If not, `*frame` goes behind the obstacle. */
static bool fits(uint32_t *frame, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		if (*frame + i >= FRAME_COUNT || is_used(*frame + i)) {
			*frame += i + 1;
			return false;
		}
	}
	return true;
}

static uint32_t find(uint32_t begin, uint32_t end, uint32_t count)
{
	uint32_t frame = begin;

	while (frame < end) {
		if (frame % WORD_BITS == 0 && used[frame / WORD_BITS] == UINT32_MAX)
			frame += WORD_BITS;
		else if (fits(&frame, count))
			return frame;
	}
	return 0;
}

uint32_t frames_alloc(uint32_t count)
{
	uint32_t flags = irq_save();
	uint32_t frame = find(next_word * WORD_BITS, FRAME_COUNT, count);
	uint32_t i;

	if (!frame)
		frame = find(FIRST_FRAME, FRAME_COUNT, count);
	for (i = 0; frame && i < count; i++)
		mark(frame + i, true);
	next_word = frame / WORD_BITS;
	irq_restore(flags);
	return frame * PAGE_SIZE;
}

void frames_free(uint32_t address, uint32_t count)
{
	uint32_t flags = irq_save();
	uint32_t i;

	for (i = 0; i < count; i++) {
		if (!is_used(address / PAGE_SIZE + i))
			panic("frame %x is freed twice", address + i * PAGE_SIZE);
		mark(address / PAGE_SIZE + i, false);
	}
	irq_restore(flags);
}

uint32_t frames_free_count(void)
{
	return free_count;
}

uint32_t frames_memory_kib(void)
{
	return (uint32_t)(usable_bytes >> 10);
}

uint32_t frames_memory_end(void)
{
	return memory_end;
}
