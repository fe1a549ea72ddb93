/*
 * What test guests are written with: console, checks, exceptions. GUEST_BITS says in which mode the
 * C code runs: 16 (real mode), 32 (protected mode without paging), 64 (4 GiB mapped to themselves).
 * It must not know what the hypervisor under it is: judge by the Intel SDM.
 *
 * A case defines guest_main; a line `PASS name` or `FAIL name` comes after it by itself.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void guest_main(void);

/* ---- console and checks ------------------------------------------------------------------ */

__attribute__((format(printf, 1, 2))) void print(const char *fmt, ...);
/* Prints the verdict and ends this VM. */
_Noreturn void guest_end(void);
/* Ends this VM with this exit code. */
_Noreturn void guest_exit(unsigned code);

/* Counts a failure; after a few the guest ends. */
void check_failed(const char *what, const char *file, int line, uint64_t got, uint64_t want);

#define CHECK(cond)                                                         \
	do {                                                                \
		if (!(cond))                                                \
			check_failed(#cond, __FILE_NAME__, __LINE__, 0, 1); \
	} while (0)

#define CHECK_EQ(a, b)                                                                    \
	do {                                                                              \
		uint64_t got_ = (uint64_t)(a), want_ = (uint64_t)(b);                     \
		if (got_ != want_)                                                        \
			check_failed(#a " == " #b, __FILE_NAME__, __LINE__, got_, want_); \
	} while (0)

/* ---- exceptions -------------------------------------------------------------------------- */

enum { DE, DB, NMI, BP, OF, BR, UD, NM, DF, TS = 10, NP, SS, GP, PF, MF = 16, AC, MC, XM };
#define NO_TRAP	  0xffu
#define USER_DONE 0x40u /* INT 40h: how code in ring 3 ends */

#if GUEST_BITS == 64
struct trap_frame {
	unsigned long r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	unsigned long vector, error, rip, cs, rflags, rsp, ss;
};
#define W "q"
#elif GUEST_BITS == 32
struct trap_frame {
	unsigned long es, ds, rdi, rsi, rbp, unused, rbx, rdx, rcx, rax;
	unsigned long vector, error, rip, cs, rflags, rsp, ss;
	unsigned long v86_es, v86_ds, v86_fs, v86_gs;
};
#define W "l"
#else
struct trap_frame {
	uint16_t es, ds;
	uint32_t rdi, rsi, rbp, unused, rbx, rdx, rcx, rax;
	uint32_t vector;
	uint16_t rip, cs, rflags;
};
#define W "l"
#endif

/* The last exception. */
struct trap {
	unsigned vector; /* NO_TRAP: none since it was set to that */
	unsigned count;
	unsigned long error, rip, rflags, cs, cr2;
};
extern volatile struct trap trap;
/* Sees each exception first; true: go on with what it made of the frame. */
extern bool (*volatile trap_hook)(struct trap_frame *f);
/* Where to go on after the next exception; 0: it ends the guest. */
extern volatile unsigned long trap_resume;
extern volatile unsigned long trap_insn;

void trap_init(void);

#define OUT(...) __VA_ARGS__
#define IN(...)	 __VA_ARGS__

/*
 * Executes one instruction that may fault; the vector, or NO_TRAP. Checks that the exception points
 * at it.
 */
#define TRY(insn, out, in, ...)                                                                \
	({                                                                                     \
		trap.vector = NO_TRAP;                                                         \
		__asm__ volatile("mov" W " $771f, trap_resume\n\t"                             \
				 "mov" W " $770f, trap_insn\n"                                 \
				 "770:\t" insn "\n"                                            \
				 "771:\tmov" W " $0, trap_resume"                              \
				 : out:in                                                      \
				 : "memory", "cc", ##__VA_ARGS__);                             \
		if (trap.vector != NO_TRAP && trap.rip != trap_insn)                           \
			check_failed("RIP of the exception at " insn, __FILE_NAME__, __LINE__, \
				     trap.rip, trap_insn);                                     \
		trap.vector;                                                                   \
	})

/* ---- ring 3 and virtual-8086 mode -------------------------------------------------------- */

#if GUEST_BITS != 16
extern unsigned long gdt[];
extern uint8_t gdt_pointer[];

/* Runs `fn` in ring 3 until INT 40h or an exception; its vector. */
unsigned user_call(void (*fn)(void), unsigned long rflags);
unsigned user_enter(unsigned long rip, unsigned long rsp, unsigned long rflags);
_Noreturn void user_leave(unsigned vector);
#define USER_END() __asm__ volatile("int $0x40")
/* Lets ring 3 and virtual-8086 mode use a port, whatever IOPL says. */
void port_allow(uint16_t port);
void idt_set(unsigned vector, unsigned long handler, unsigned type_dpl);
#endif
#if GUEST_BITS == 32
unsigned vm86_enter(unsigned long ip, unsigned long segment, unsigned long rflags);
#endif
#if GUEST_BITS == 64
extern uint64_t boot_pml4[512], boot_pdpt[512], boot_pd[2048];
#endif
