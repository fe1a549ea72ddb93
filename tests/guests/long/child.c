/*
 * A guest as a VMM: a child in real mode, its ports and memory emulated here, interrupts and halts,
 * ends of all kinds, and mistakes in every call. Needs `privileged = yes`.
 */
#include "hypercall.h"

enum {
	MEM_AT = 0x100000,
	BELL_AT = 0x102000,
	CODE_AT = 0x1000,
	KEY_IO = 0x1111,
	KEY_MEM = 0x2222,
	KEY_BELL = 0x3333,
	CHILD_PORT = 0x3f8,
};

/* Runs at CS = 100h, DS = 0. Each part ends in what its test expects. */
extern const uint8_t child_code[], child_code_end[];
__asm__(".pushsection .rodata\n"
	".code16\n"
	"child_code:\n"
	/* OUT and IN, 1 2 4 bytes */
	"mov $0x3f8, %dx\n"
	"mov $0x12345678, %eax\n"
	"out %al, %dx\n"
	"out %ax, %dx\n"
	"out %eax, %dx\n"
	"in %dx, %al\n"
	"mov %eax, 0x500\n"
	"in %dx, %ax\n"
	"mov %eax, 0x504\n"
	"in %dx, %eax\n"
	"mov %eax, 0x508\n"
	/* where there is nothing, and across the trap's end */
	"mov $0x2f8, %dx\n"
	"in %dx, %al\n"
	"mov %al, 0x50c\n"
	"mov $0x3fe, %dx\n"
	"in %dx, %eax\n"
	"mov %eax, 0x510\n"
	/* memory: read, write, bell */
	"mov $0xffff, %ax\n"
	"mov %ax, %es\n"
	"mov %es:0x10, %bl\n"
	"mov %ax, %es:0x14\n"
	"mov $0x77, %al\n"
	"mov %al, %es:0x2018\n"
	"mov %es:0x2018, %bl\n"
	"mov %bl, 0x514\n"
	/* interrupts: vectors 30h and 31h count */
	"movw $3f - child_code, 0x30 * 4\n"
	"movw $0x100, 0x30 * 4 + 2\n"
	"movw $4f - child_code, 0x31 * 4\n"
	"movw $0x100, 0x31 * 4 + 2\n"
	"movw $5f - child_code, 2 * 4\n"
	"movw $0x100, 2 * 4 + 2\n"
	"sti\n"
	"hlt\n"
	"hlt\n"
	"cli\n"
	"mov $0x3f8, %dx\n"
	"out %al, %dx\n"
	/* a loop that only the parent's interrupts end */
	"1: cmpb $0, 0x520\n"
	"je 1b\n"
	"hlt\n"
	"3: incb 0x530\n"
	"movb $0x30, 0x533\n"
	"iret\n"
	"4: incb 0x531\n"
	"movb $0x31, 0x533\n"
	"iret\n"
	"5: incb 0x532\n"
	"iret\n"
	"child_code_end:\n"
	".code64\n"
	".popsection\n");

static struct hypercall_packet packet;
static struct hypercall_state state;
static struct hypercall_io io;
static struct hypercall_trap trap_asked;

static int64_t set_trap(uint64_t child, uint32_t kind, uint64_t at, uint64_t size, uint64_t key)
{
	trap_asked = (struct hypercall_trap){.kind = kind, .at = at, .size = size, .key = key};
	return hypercall(HYPERCALL_GUEST_SET_TRAP, child, address(&trap_asked), 0, 0);
}

static int64_t resume(uint64_t child)
{
	int64_t kind;

	do
		kind = hypercall(HYPERCALL_VCPU_RESUME, child, address(&packet), 0, 0);
	while (kind == HYPERCALL_PACKET_NONE);
	if (kind > 0)
		CHECK_EQ(packet.kind, kind);
	return kind;
}

static uint32_t child_word(uint64_t child, uint64_t at)
{
	uint32_t word = 0xdeadbeef;

	CHECK_EQ(hypercall(HYPERCALL_GUEST_READ, child, at, address(&word), 4), 0);
	return word;
}

static uint64_t new_child(uint64_t entry, unsigned mode, const void *code, uint64_t len)
{
	uint64_t child = (uint64_t)hypercall(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0);

	CHECK(child - 1 < 8);
	CHECK_EQ(hypercall(HYPERCALL_GUEST_ADD_MEMORY, child, 0, 0x10000, 0), 0);
	CHECK_EQ(hypercall(HYPERCALL_GUEST_WRITE, child, CODE_AT, address(code), len), 0);
	CHECK_EQ(set_trap(child, HYPERCALL_TRAP_IO, CHILD_PORT, 8, KEY_IO), 0);
	CHECK_EQ(set_trap(child, HYPERCALL_TRAP_MEM, MEM_AT, 0x1000, KEY_MEM), 0);
	CHECK_EQ(set_trap(child, HYPERCALL_TRAP_BELL, BELL_AT, 0x1000, KEY_BELL), 0);
	CHECK_EQ(set_trap(child, HYPERCALL_TRAP_IO, CHILD_PORT + 7, 2, 0), HYPERCALL_E_EXIST);
	CHECK_EQ(set_trap(child, HYPERCALL_TRAP_MEM, 0, 0x1000, 0), HYPERCALL_E_EXIST);
	CHECK_EQ(hypercall(HYPERCALL_VCPU_RESUME, child, address(&packet), 0, 0), HYPERCALL_E_BUSY);
	CHECK_EQ(hypercall(HYPERCALL_VCPU_CREATE, child, entry, mode, 0), 0);
	return child;
}

static void expect_io(uint64_t child, unsigned size, bool input, uint32_t data)
{
	CHECK_EQ(resume(child), HYPERCALL_PACKET_IO);
	CHECK_EQ(packet.key, KEY_IO);
	CHECK_EQ(packet.at, CHILD_PORT);
	CHECK_EQ(packet.io.size, size);
	CHECK_EQ(packet.io.input, input);
	CHECK_EQ(packet.io.data, data);
}

static void answer_io(uint64_t child, uint32_t size, uint32_t data)
{
	io = (struct hypercall_io){.size = size, .count = 1, .data = data};
	CHECK_EQ(hypercall(HYPERCALL_VCPU_WRITE_STATE, child, HYPERCALL_WRITE_IO, address(&io), 0),
		 0);
}

static void check_ports(uint64_t child)
{
	expect_io(child, 1, false, 0x78);
	expect_io(child, 2, false, 0x5678);
	expect_io(child, 4, false, 0x12345678);
	expect_io(child, 1, true, 0);
	answer_io(child, 1, 0xffffffaa);
	expect_io(child, 2, true, 0);
	answer_io(child, 2, 0xffffbbcc);
	expect_io(child, 4, true, 0);
	answer_io(child, 4, 0xddeeff11);
	CHECK_EQ(hypercall(HYPERCALL_VCPU_READ_STATE, child, address(&state), 0, 0), 0);
	CHECK_EQ(state.gpr[HYPERCALL_RAX], 0xddeeff11);
	CHECK_EQ(state.gpr[HYPERCALL_RDX] & 0xffff, CHILD_PORT);
}

static void check_memory(uint64_t child)
{
	static const uint8_t read[] = {0x26, 0x8a, 0x1e, 0x10, 0x00};

	CHECK_EQ(resume(child), HYPERCALL_PACKET_MEM);
	CHECK_EQ(packet.key, KEY_MEM);
	CHECK_EQ(packet.at, MEM_AT);
	CHECK_EQ(packet.mem.write, 0);
	CHECK_EQ(packet.mem.length, sizeof(read));
	CHECK_EQ(packet.mem.operand_size, 2);
	CHECK_EQ(packet.mem.mode, 2);
	for (unsigned i = 0; i < sizeof(read); i++)
		CHECK_EQ(packet.mem.instruction[i], read[i]);
	CHECK_EQ(packet.mem.instruction[15], 0);
	CHECK_EQ(resume(child), HYPERCALL_PACKET_MEM);
	CHECK_EQ(packet.at, MEM_AT + 4);
	CHECK_EQ(packet.mem.write, 1);
	CHECK_EQ(resume(child), HYPERCALL_PACKET_BELL);
	CHECK_EQ(packet.key, KEY_BELL);
	CHECK_EQ(packet.at, BELL_AT + 8);
}

static void check_interrupts(uint64_t child)
{
	CHECK_EQ(resume(child), HYPERCALL_PACKET_HALT);
	CHECK_EQ(resume(child), HYPERCALL_PACKET_HALT); /* still */
	CHECK_EQ(child_word(child, 0x500), 0x123456aa);
	CHECK_EQ(child_word(child, 0x504), 0x1234bbcc);
	CHECK_EQ(child_word(child, 0x508), 0xddeeff11);
	CHECK_EQ(child_word(child, 0x50c), 0xff);
	CHECK_EQ(child_word(child, 0x510), 0xffffffff);
	CHECK_EQ(child_word(child, 0x514), 0xff); /* bells cannot be read */
	CHECK_EQ(hypercall(HYPERCALL_VCPU_INTERRUPT, child, 0x30, 0, 0), 0);
	CHECK_EQ(hypercall(HYPERCALL_VCPU_INTERRUPT, child, 0x31, 0, 0), 0);
	CHECK_EQ(hypercall(HYPERCALL_VCPU_INTERRUPT, child, 2, 0, 0), 0);
	CHECK_EQ(child_word(child, 0x530), 0);
	CHECK_EQ(resume(child), HYPERCALL_PACKET_HALT);
	CHECK_EQ(child_word(child, 0x530), 0x30010101); /* all three, the highest first */
	CHECK_EQ(hypercall(HYPERCALL_VCPU_INTERRUPT, child, 0x31, 0, 0), 0);
	expect_io(child, 1, false, 0x77);
	CHECK_EQ(child_word(child, 0x530), 0x31010201);
}

static void check_state(uint64_t child)
{
	CHECK_EQ(hypercall(HYPERCALL_VCPU_READ_STATE, child, address(&state), 0, 0), 0);
	for (unsigned i = 0; i < 16; i++)
		state.gpr[i] = 0x100 + i;
	state.rflags = ~0ul;
	CHECK_EQ(hypercall(HYPERCALL_VCPU_WRITE_STATE, child, HYPERCALL_WRITE_STATE,
			   address(&state), 0),
		 0);
	CHECK_EQ(hypercall(HYPERCALL_GUEST_WRITE, child, 0x520, address("\1"), 1), 0);
	CHECK_EQ(resume(child), HYPERCALL_PACKET_STOPPED);
	CHECK(packet.text[0] == 'H' && packet.text[1] == 'L' && packet.text[2] == 'T');
	CHECK_EQ(hypercall(HYPERCALL_VCPU_READ_STATE, child, address(&state), 0, 0), 0);
	for (unsigned i = 0; i < 16; i++)
		CHECK_EQ(state.gpr[i], 0x100 + i);
	CHECK_EQ(state.rflags & (RFLAGS_DF | RFLAGS_IF | RFLAGS_TF | RFLAGS_VM), RFLAGS_DF);
	CHECK_EQ(resume(child), HYPERCALL_E_BUSY);
}

static void check_mistakes(uint64_t child)
{
	CHECK_EQ(hypercall(HYPERCALL_VCPU_CREATE, child, 0, 0, 0), HYPERCALL_E_BUSY);
	CHECK_EQ(hypercall(HYPERCALL_GUEST_ADD_MEMORY, child, 0x200000, 0x1000, 0),
		 HYPERCALL_E_BUSY);
	CHECK_EQ(set_trap(child, HYPERCALL_TRAP_IO, CHILD_PORT + 7, 2, 0), HYPERCALL_E_BUSY);
	CHECK_EQ(set_trap(child, HYPERCALL_TRAP_IO, 0xffff, 2, 0), HYPERCALL_E_INVAL);
	CHECK_EQ(set_trap(child, HYPERCALL_TRAP_IO, 0, 0, 0), HYPERCALL_E_INVAL);
	CHECK_EQ(set_trap(child, HYPERCALL_TRAP_MEM, 0, 0x1000, 0), HYPERCALL_E_BUSY);
	CHECK_EQ(set_trap(child, HYPERCALL_TRAP_MEM, 0x200800, 0x1000, 0), HYPERCALL_E_INVAL);
	CHECK_EQ(set_trap(child, 3, 0x200000, 0x1000, 0), HYPERCALL_E_INVAL);
	CHECK_EQ(hypercall(HYPERCALL_VCPU_INTERRUPT, child, 256, 0, 0), HYPERCALL_E_INVAL);
	CHECK_EQ(hypercall(HYPERCALL_VCPU_INTERRUPT, 0, 32, 0, 0), HYPERCALL_E_NOENT);
	CHECK_EQ(hypercall(HYPERCALL_VCPU_INTERRUPT, 9, 32, 0, 0), HYPERCALL_E_NOENT);
	CHECK_EQ(hypercall(HYPERCALL_VCPU_INTERRUPT, ~0ul, 32, 0, 0), HYPERCALL_E_NOENT);
	CHECK_EQ(hypercall(HYPERCALL_VCPU_WRITE_STATE, child, 2, address(&state), 0),
		 HYPERCALL_E_INVAL);
	CHECK_EQ(hypercall(HYPERCALL_VCPU_READ_STATE, child, 0x3fffff, 0, 0), HYPERCALL_E_FAULT);
	CHECK_EQ(hypercall(HYPERCALL_GUEST_READ, child, 0xfff8, address(&state), 16),
		 HYPERCALL_E_FAULT);
	CHECK_EQ(hypercall(HYPERCALL_GUEST_READ, child, 0, address(&state), 4097),
		 HYPERCALL_E_INVAL);
	io.size = 3;
	CHECK_EQ(hypercall(HYPERCALL_VCPU_WRITE_STATE, child, HYPERCALL_WRITE_IO, address(&io), 0),
		 HYPERCALL_E_INVAL);
}

/* 64-bit mode, its page table at 0; then a packet at an address that is not RAM; then a #UD with no
 * IDT. */
static void check_long_mode(void)
{
	static const uint8_t code[] = {0xb0, 0x42, 0x48, 0xc1, 0xe0, 0x20, 0xe6, 0xf0,
				       0x66, 0xba, 0xf8, 0x03, 0xee, 0x0f, 0x0b};
	static uint64_t tables[1536];
	uint64_t child = new_child(CODE_AT, HYPERCALL_MODE_64, code, sizeof(code));

	tables[0] = 0x2003;
	tables[512] = 0x3003;
	tables[1024] = 0x83;
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(hypercall(HYPERCALL_GUEST_WRITE, child, i ? 0x1000 + i * 0x1000 : 0,
				   address(&tables[512 * i]), 0x1000),
			 0);
	CHECK_EQ(hypercall(HYPERCALL_VCPU_RESUME, child, 0x400000 - 8, 0, 0), HYPERCALL_E_FAULT);
	expect_io(child, 1, false, 0);
	CHECK_EQ(hypercall(HYPERCALL_VCPU_READ_STATE, child, address(&state), 0, 0), 0);
	CHECK_EQ(state.gpr[HYPERCALL_RAX], 0x42ul << 32);
	CHECK_EQ(state.rip, CODE_AT + 13);
	CHECK_EQ(resume(child), HYPERCALL_PACKET_STOPPED);
	CHECK(packet.text[0] == 't'); /* triple fault */
	CHECK_EQ(hypercall(HYPERCALL_GUEST_DESTROY, child, 0, 0, 0), 0);
}

static void check_all_at_once(void)
{
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(hypercall(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0), i + 1);
	CHECK_EQ(hypercall(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0), HYPERCALL_E_NOMEM);
	CHECK_EQ(hypercall(HYPERCALL_GUEST_ADD_MEMORY, 1, 0, 1ul << 32, 0), HYPERCALL_E_NOMEM);
	CHECK_EQ(hypercall(HYPERCALL_GUEST_ADD_MEMORY, 1, 0x1000, 1ul << 32, 0), HYPERCALL_E_INVAL);
	CHECK_EQ(hypercall(HYPERCALL_GUEST_ADD_MEMORY, 1, ~0ul << 12, 0x2000, 0),
		 HYPERCALL_E_INVAL);
	CHECK_EQ(hypercall(HYPERCALL_GUEST_ADD_MEMORY, 1, 0x1000, 0x2000, 0), 0);
	CHECK_EQ(hypercall(HYPERCALL_GUEST_ADD_MEMORY, 1, 0x2000, 0x1000, 0), HYPERCALL_E_EXIST);
	CHECK_EQ(hypercall(HYPERCALL_GUEST_ADD_MEMORY, 1, 0, 0x1000, 0), 0);
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(hypercall(HYPERCALL_GUEST_DESTROY, i + 1, 0, 0, 0), 0);
	CHECK_EQ(hypercall(HYPERCALL_GUEST_DESTROY, 1, 0, 0, 0), HYPERCALL_E_NOENT);
	/* The last ones are left to whoever ends this VM. */
	CHECK_EQ(hypercall(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0), 1);
	CHECK_EQ(hypercall(HYPERCALL_GUEST_ADD_MEMORY, 1, 0, 0x100000, 0), 0);
}

void guest_main(void)
{
	uint64_t child = new_child(CODE_AT, HYPERCALL_MODE_REAL, child_code,
				   (uint64_t)(child_code_end - child_code));

	check_ports(child);
	check_memory(child);
	check_interrupts(child);
	check_state(child);
	check_mistakes(child);
	CHECK_EQ(hypercall(HYPERCALL_GUEST_DESTROY, child, 0, 0, 0), 0);
	CHECK_EQ(hypercall(HYPERCALL_VCPU_RESUME, child, address(&packet), 0, 0),
		 HYPERCALL_E_NOENT);
	check_long_mode();
	for (unsigned i = 0; i < 100; i++) {
		child = new_child(0, HYPERCALL_MODE_REAL, child_code, 16);
		CHECK_EQ(hypercall(HYPERCALL_GUEST_DESTROY, child, 0, 0, 0), 0);
	}
	check_all_at_once();
}
