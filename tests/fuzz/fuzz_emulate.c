/*
 * A hostile guest: its registers, segments, page tables, code and the exit it makes are taken from
 * the input. The emulator always ends, stays within guest memory (which lies between forbidden
 * pages; the rest is ASan's), keeps the code of an exit in range, and says the same with a cache as
 * without one.
 * needs: core/gwalk.c core/decode.c core/emu_mem.c core/emu_alu.c
 * needs: core/emulate.c core/emu_string.c core/emu_fetch.c core/string_io.c
 * needs: core/io_bus.c mm/gmem.c tests/fake/spinlock.c tests/fake/panic.c
 */
#include <stdint.h>
#include <stdio.h>

#include "emu_machine.h"
#include "input.h"

#define require(cond)                                           \
	do {                                                    \
		if (!(cond)) {                                  \
			fprintf(stderr, "broken: %s\n", #cond); \
			abort();                                \
		}                                               \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small, so that an input fills much of it: RAM, ROM. */
#define PAGES 6u

/* Any value, but often one that leads somewhere. */
static uint64_t take_address(struct input *in)
{
	uint8_t kind = (uint8_t)take(in, 1);
	uint64_t low = take(in, 2);

	switch (kind & 7) {
	case 0:
		return take(in, 8);
	case 1:
		return EM_MMIO + (low & 0x3fff);
	case 2:
		return (kind >> 3 & 7) * PAGE_SIZE - (low & 15);
	case 3:
		return 0xffffffffffff0000 | low;
	default:
		return low % (PAGES * PAGE_SIZE);
	}
}

static void mode_take(struct input *in)
{
	static const uint16_t attr[] = {EM_CODE64, EM_CODE32, EM_CODE16, EM_DATA32,
					0xc097,	   0xc099,    0xf3};
	uint8_t kind = (uint8_t)take(in, 1);

	for (unsigned i = 0; i < SEG_COUNT; i++) {
		uint8_t k = (uint8_t)take(in, 1);

		em.segment[i] = (struct vcpu_segment){
			.limit = k & 0x10 ? (uint32_t)take(in, 4) : ~0u,
			.base = k & 0x20 ? take_address(in) : 0,
			.attr = attr[(k & 0xf) % array_count(attr)],
			.unusable = k >> 6 == 3,
		};
	}
	em.segment[SEG_CS].attr = attr[kind % 3];
	em.reg[REG_CR0] = (kind & 4 ? CR0_PE : 0) | (kind & 8 ? CR0_PE | CR0_PG : 0) |
			  (kind & 16 ? CR0_WP : 0);
	em.reg[REG_CR4] = take(in, 4);
	em.reg[REG_EFER] = take(in, 2);
	if ((em.reg[REG_CR0] & CR0_PG) && kind & 32) {
		em.reg[REG_EFER] |= EFER_LMA;
		em.reg[REG_CR4] |= CR4_PAE;
	}
	if (!(em.reg[REG_CR0] & CR0_PG))
		em.reg[REG_EFER] &= ~(uint64_t)EFER_LMA;
	em.reg[REG_CR3] = take_address(in);
	for (unsigned i = 0; i < 4; i++)
		em.reg[REG_PDPTE0 + i] = take_address(in);
	em.reg[REG_RFLAGS] = take(in, 3) | 2;
}

static void exit_take(struct input *in)
{
	uint8_t kind = (uint8_t)take(in, 1);

	if (kind & 1) {
		em.v.exit = (struct vcpu_exit){.kind = EXIT_PORT, .insn_len = 2};
		em.v.exit.port.port = kind & 2 ? EM_PORT : (uint16_t)take(in, 2);
		em.v.exit.port.size = (uint8_t)(1u << (kind >> 2 & 3) % 3);
		em.v.exit.port.in = kind & 16;
		em.v.exit.port.string = true;
		em.v.exit.port.rep = kind & 32;
		em.v.exit.port.addr_size = (uint8_t)(2u << (kind >> 6) % 3);
		em.v.exit.port.segment = (uint8_t)(take(in, 1) % 6);
		return;
	}
	em.v.exit = (struct vcpu_exit){.kind = EXIT_NESTED_FAULT};
	em.v.exit.fault.linear_valid = kind & 2;
	em.v.exit.fault.page_walk = kind & 4;
	em.v.exit.fault.access = kind >> 3 & 7;
	em.v.exit.fault.allowed = kind >> 6;
	em.v.exit.fault.linear = take_address(in);
	em.v.exit.fault.gpa = take_address(in);
}

static void machine_take(struct input *in)
{
	static const struct spinlock lock = SPINLOCK_INIT(RANK_DEVICE, "test");
	static uint8_t *host;

	if (!host)
		host = malloc(PAGES * PAGE_SIZE); /* ASan guards both ends */
	require(host);
	memset(&em, 0, sizeof(em));
	em_arena_used = 0;
	em.buffer_device = em.port_device = (struct device){.name = "device", .lock = lock};
	require(gmem_add(&em.mem, gpa(0), (PAGES - 1) * PAGE_SIZE, host, false) == OK);
	require(gmem_add(&em.mem, gpa((PAGES - 1) * PAGE_SIZE), PAGE_SIZE,
			 host + (PAGES - 1) * PAGE_SIZE, true) == OK);
	require(io_bus_init(&em.mmio, 1ul << 52, 1, NULL) == OK);
	require(io_bus_init(&em.ports, 0x10000, 1, NULL) == OK);
	require(io_bus_add(&em.mmio, &(struct io_region){EM_MMIO, EM_MMIO_SIZE, &em_buffer_ops,
							 &em.buffer_device, "buffer"}) == OK);
	require(io_bus_add(&em.ports, &(struct io_region){EM_PORT, 4, &em_port_ops, &em.port_device,
							  "port"}) == OK);
	require(io_bus_freeze(&em.mmio, NULL) == OK && io_bus_freeze(&em.ports, NULL) == OK);
	em.env = (struct emu_env){&em.v, &em_backend, &em.mem, &em.mmio, &em.ports, &em.cache, 46};
	mode_take(in);
	exit_take(in);
	for (unsigned i = 0; i < 16; i++)
		em.v.gpr[i] = take_address(in);
	em.reg[REG_RSP] = take_address(in);
	em.reg[REG_RIP] = take_address(in);
	/* What is left is memory: code and page tables, repeated until it is full. */
	memset(host, 0, PAGES * PAGE_SIZE);
	for (size_t at = 0, n = (size_t)(in->end - in->p); n && at < PAGES * PAGE_SIZE; at += n)
		memcpy(host + at, in->p, n < PAGES * PAGE_SIZE - at ? n : PAGES * PAGE_SIZE - at);
}

static enum emu_kind run(void)
{
	enum emu_kind kind;

	em.result = (struct emu_result){0};
	em.log_count = em.port_calls = 0;
	kind = em.v.exit.kind == EXIT_PORT ? string_io(&em.env, STRING_IO_MAX, &em.result)
					   : emulate_insn(&em.env, &em.result);
	require(kind <= EMU_UNKNOWN);
	require(kind != EMU_UNKNOWN || em.result.byte_count <= INSN_LEN_MAX);
	require(kind != EMU_EXCEPTION || em.result.vector == EXC_UD || em.result.vector == EXC_GP ||
		em.result.vector == EXC_SS || em.result.vector == EXC_PF);
	require(em.v.exit.insn_len <= INSN_LEN_MAX);
	require(em.port_calls <= STRING_IO_MAX && em.log_count <= 8 * STRING_IO_MAX);
	return kind;
}

/* The rest of the state after a run; the buses' hints and the log may differ. */
struct outcome {
	enum emu_kind kind;
	uint64_t gpr[16], reg[REG_COUNT];
	uint8_t buffer[EM_MMIO_SIZE];
	uint8_t insn_len;
};

static void note(struct outcome *o, enum emu_kind kind)
{
	memset(o, 0, sizeof(*o));
	o->kind = kind;
	o->insn_len = em.v.exit.insn_len;
	memcpy(o->gpr, em.v.gpr, sizeof(o->gpr));
	memcpy(o->reg, em.reg, sizeof(o->reg));
	memcpy(o->buffer, em.buffer, sizeof(o->buffer));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome with, without;
	struct input in = {data, data + size};
	uint64_t rip;

	machine_take(&in);
	em.env.cache = NULL;
	note(&without, run());

	in.p = data;
	machine_take(&in);
	note(&with, run()); /* fills the cache */
	require(!memcmp(&with, &without, sizeof(with)));

	/* Again from where it began, now perhaps from the cache. */
	struct emu_cache cache = em.cache;

	in.p = data;
	machine_take(&in);
	em.cache = cache;
	rip = em.reg[REG_RIP];
	note(&with, run());
	require(!memcmp(&with, &without, sizeof(with)));
	require(em.reg[REG_RIP] == rip); /* skip_insn's to change */
	return 0;
}
