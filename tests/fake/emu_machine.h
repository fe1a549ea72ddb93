/*
 * A machine for tests of the emulator: one vCPU that is an array of registers, some RAM, ROM, a
 * device that is a buffer, a string port, and page tables to order. One for each test program. It
 * knows no test framework.
 */
#pragma once

#include <stdlib.h>
#include <string.h>
#include <crvm/cpu.h>
#include <crvm/emulate.h>
#include <crvm/gwalk.h>
#include <crvm/string_io.h>

#define EM_LOW_SIZE   0x80000ul /* RAM from 0 */
#define EM_ROM	      0xf0000ul
#define EM_ROM_SIZE   0x10000ul
#define EM_HIGH	      0x100000ul
#define EM_HIGH_SIZE  0x40000ul
#define EM_MMIO	      0xfec00000ul
#define EM_MMIO_SIZE  0x3000ul
#define EM_TABLES     0x40000ul /* page tables are built here, */
#define EM_TABLES_END EM_LOW_SIZE
#define EM_PORT	      0x1f0u
#define EM_LOG	      64u

enum em_attr { /* of segments */
	       EM_CODE64 = 0xa09b,
	       EM_CODE32 = 0xc09b,
	       EM_CODE16 = 0x009b,
	       EM_DATA32 = 0xc093,
	       EM_DATA16 = 0x0093,
};

struct em_access {
	bool write;
	uint64_t offset, value;
	unsigned size;
};

static struct em {
	struct vcpu v;
	struct emu_env env;
	struct emu_cache cache;
	struct emu_result result;
	uint64_t reg[REG_COUNT];
	struct vcpu_segment segment[SEG_COUNT];
	struct gmem mem;
	struct io_bus mmio, ports;
	struct device buffer_device, port_device;
	uint8_t buffer[EM_MMIO_SIZE];
	struct em_access log[EM_LOG]; /* of the buffer device */
	unsigned log_count, reg_calls;
	uint8_t port_data[65536]; /* what OUTS sent, or INS will get */
	unsigned port_at, port_calls, port_many_calls;
	uint64_t tables_next;
} em;

static uint8_t em_low[EM_LOW_SIZE] aligned_to(4096), em_rom[EM_ROM_SIZE] aligned_to(4096),
	em_high[EM_HIGH_SIZE] aligned_to(4096);
static uint8_t em_arena[16384] aligned_to(64);
static size_t em_arena_used;

/* All that io_bus_freeze wants of an arena. */
void *arena_alloc(struct arena *a, size_t size, size_t align)
{
	void *p = em_arena + align_up(em_arena_used, align);

	(void)a;
	em_arena_used = align_up(em_arena_used, align) + size;
	if (em_arena_used > sizeof(em_arena))
		abort();
	return p;
}

static uint64_t em_get_reg(struct vcpu *v, enum vcpu_reg reg)
{
	em.reg_calls++;
	if (reg < 16 && reg != REG_RSP)
		return v->gpr[reg];
	return em.reg[reg];
}

static void em_set_reg(struct vcpu *v, enum vcpu_reg reg, uint64_t value)
{
	em.reg_calls++;
	if (reg < 16 && reg != REG_RSP)
		v->gpr[reg] = value;
	else
		em.reg[reg] = value;
}

static void em_get_segment(struct vcpu *v, enum vcpu_segreg seg, struct vcpu_segment *s)
{
	(void)v;
	em.reg_calls++;
	*s = em.segment[seg];
}

static const struct virt_backend em_backend = {
	.name = "registers",
	.get_reg = em_get_reg,
	.set_reg = em_set_reg,
	.get_segment = em_get_segment,
};

static void em_note(bool write, uint64_t offset, unsigned size, uint64_t value)
{
	em.log[em.log_count++ % EM_LOG] = (struct em_access){write, offset, value, size};
}

static uint64_t em_buffer_read(void *dev, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	(void)dev;
	if (offset > EM_MMIO_SIZE || size > EM_MMIO_SIZE - offset)
		abort();
	memcpy(&value, em.buffer + offset, size);
	em_note(false, offset, size, value);
	return value;
}

static void em_buffer_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	(void)dev;
	if (offset > EM_MMIO_SIZE || size > EM_MMIO_SIZE - offset)
		abort();
	memcpy(em.buffer + offset, &value, size);
	em_note(true, offset, size, value);
}

static uint64_t em_port_read(void *dev, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	(void)dev;
	(void)offset;
	em.port_calls++;
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)em.port_data[em.port_at++ % sizeof(em.port_data)] << 8 * i;
	return value;
}

static void em_port_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	(void)dev;
	(void)offset;
	em.port_calls++;
	for (unsigned i = 0; i < size; i++)
		em.port_data[em.port_at++ % sizeof(em.port_data)] = (uint8_t)(value >> 8 * i);
}

static uint32_t em_port_read_many(void *dev, uint64_t offset, unsigned size, void *buf,
				  uint32_t count)
{
	em.port_many_calls++;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t value = em_port_read(dev, offset, size);

		memcpy((uint8_t *)buf + (size_t)i * size, &value, size);
	}
	return count;
}

static uint32_t em_port_write_many(void *dev, uint64_t offset, unsigned size, const void *buf,
				   uint32_t count)
{
	em.port_many_calls++;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t value = 0;

		memcpy(&value, (const uint8_t *)buf + (size_t)i * size, size);
		em_port_write(dev, offset, size, value);
	}
	return count;
}

static const struct io_ops em_buffer_ops = {
	.read = em_buffer_read,
	.write = em_buffer_write,
	.sizes = 15,
};
static const struct io_ops em_port_ops = {
	.read = em_port_read,
	.write = em_port_write,
	.read_many = em_port_read_many,
	.write_many = em_port_write_many,
	.sizes = 7,
};

static inline void em_must(bool ok)
{
	if (!ok)
		abort();
}

/* Nothing mapped yet, real mode, all registers 0. */
static inline void em_reset(void)
{
	static const struct spinlock lock = SPINLOCK_INIT(RANK_DEVICE, "test");

	memset(&em, 0, sizeof(em));
	memset(em_low, 0, sizeof(em_low));
	memset(em_rom, 0, sizeof(em_rom));
	memset(em_high, 0, sizeof(em_high));
	em_arena_used = 0;
	em.buffer_device = (struct device){.name = "buffer", .lock = lock};
	em.port_device = (struct device){.name = "port", .lock = lock};
	em_must(gmem_add(&em.mem, gpa(0), EM_LOW_SIZE, em_low, false) == OK);
	em_must(gmem_add(&em.mem, gpa(EM_ROM), EM_ROM_SIZE, em_rom, true) == OK);
	em_must(gmem_add(&em.mem, gpa(EM_HIGH), EM_HIGH_SIZE, em_high, false) == OK);
	em_must(io_bus_init(&em.mmio, 1ul << 46, 1, NULL) == OK);
	em_must(io_bus_init(&em.ports, 0x10000, 1, NULL) == OK);
	em_must(io_bus_add(&em.mmio, &(struct io_region){EM_MMIO, EM_MMIO_SIZE, &em_buffer_ops,
							 &em.buffer_device, "buffer"}) == OK);
	em_must(io_bus_add(&em.ports, &(struct io_region){EM_PORT, 4, &em_port_ops, &em.port_device,
							  "port"}) == OK);
	em_must(io_bus_freeze(&em.mmio, NULL) == OK && io_bus_freeze(&em.ports, NULL) == OK);
	em.env = (struct emu_env){&em.v, &em_backend, &em.mem, &em.mmio, &em.ports, &em.cache, 46};
	for (unsigned i = 0; i < SEG_COUNT; i++)
		em.segment[i] = (struct vcpu_segment){.limit = 0xffff, .attr = EM_DATA16};
	em.segment[SEG_CS].attr = EM_CODE16;
	em.reg[REG_RFLAGS] = 2;
	em.tables_next = EM_TABLES;
}

/* Guest memory as the host sees it; it must be there. */
static inline uint8_t *em_ram(uint64_t at)
{
	uint8_t *p = gmem_ptr(&em.mem, gpa(at), 1);

	em_must(p);
	return p;
}

static inline uint64_t em_table_new(void)
{
	uint64_t at = em.tables_next;

	em_must(at < EM_TABLES_END);
	em.tables_next += PAGE_SIZE;
	return at;
}

/* The entry (of 8 bytes) for `la` in the table that translates from bit `shift` up; makes the
 * tables on the way. */
static inline uint64_t *em_entry(uint64_t la, unsigned shift)
{
	bool pae = !(em.reg[REG_EFER] & EFER_LMA);
	uint64_t table;

	if (pae) {
		uint64_t *top = &em.reg[REG_PDPTE0 + (la >> 30 & 3)];

		if (shift == 30)
			return top;
		if (!(*top & 1))
			*top = em_table_new() | 1;
		table = *top;
	} else {
		if (!em.reg[REG_CR3])
			em.reg[REG_CR3] = em_table_new();
		table = em.reg[REG_CR3];
	}
	for (unsigned s = pae ? 21 : 39;; s -= 9) {
		uint64_t *e = (uint64_t *)(void *)em_ram((table & 0xffffffffff000) | (la >> s & 511)
											     << 3);

		if (s == shift)
			return e;
		if (!(*e & 1))
			*e = em_table_new() | 7;
		table = *e;
	}
}

/* Maps one 4 KiB page, in PAE paging or 4-level paging. */
static inline void em_map(uint64_t la, uint64_t phys, uint64_t bits)
{
	*em_entry(la, 12) = phys | bits;
}

/* 32-bit paging, likewise. */
static inline void em_map32(uint32_t la, uint32_t phys, uint32_t bits)
{
	uint32_t *e;

	if (!em.reg[REG_CR3])
		em.reg[REG_CR3] = em_table_new();
	e = (uint32_t *)(void *)em_ram(em.reg[REG_CR3] + (la >> 22) * 4);
	if (!(*e & 1))
		*e = (uint32_t)em_table_new() | 7;
	e = (uint32_t *)(void *)em_ram((*e & 0xfffff000) + (la >> 12 & 1023) * 4);
	*e = phys | bits;
}

static inline void em_mode_64(void)
{
	em.reg[REG_CR0] = CR0_PE | CR0_PG | CR0_WP;
	em.reg[REG_CR4] = CR4_PAE;
	em.reg[REG_EFER] = EFER_LME | EFER_LMA | EFER_NXE;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		em.segment[i] = (struct vcpu_segment){.limit = 0xffffffff, .attr = EM_DATA32};
	em.segment[SEG_CS].attr = EM_CODE64;
}

/* Flat 32-bit segments; paging off. */
static inline void em_mode_32(void)
{
	em.reg[REG_CR0] = CR0_PE;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		em.segment[i] = (struct vcpu_segment){.limit = 0xffffffff, .attr = EM_DATA32};
	em.segment[SEG_CS].attr = EM_CODE32;
}

/* The paging state that the registers make, for gwalk_translate. */
static inline struct gwalk_state em_paging(unsigned cpl)
{
	struct gwalk_state p = {
		.cr0 = em.reg[REG_CR0],
		.cr3 = em.reg[REG_CR3],
		.cr4 = em.reg[REG_CR4],
		.efer = em.reg[REG_EFER],
		.rflags = em.reg[REG_RFLAGS],
		.cpl = (uint8_t)cpl,
		.phys_bits = 46,
	};

	memcpy(p.pdpte, &em.reg[REG_PDPTE0], sizeof(p.pdpte));
	return p;
}
