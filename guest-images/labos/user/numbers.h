/*
 * System calls: the numbers that kernel and programs agree on. Also for assembler.
 */
#ifndef LABOS_NUMBERS_H
#define LABOS_NUMBERS_H

#define SYSCALL_VECTOR 0x80 /* number in EAX, arguments in EBX and ECX, answer in EAX */

#define SYSCALL_EXIT  1 /* (code) */
#define SYSCALL_WRITE 2 /* (address, size): bytes written, or -1 */
#define SYSCALL_YIELD 3 /* () */
#define SYSCALL_SLEEP 4 /* (milliseconds) */
#define SYSCALL_ID    5 /* (): the thread's number */
#define SYSCALL_TICKS 6 /* (): since boot */

#define USER_IMAGE	0x40000000 /* where a program lies and begins */
#define USER_HEAP	0x50000000
#define USER_HEAP_SIZE	0x01000000
#define USER_STACK_TOP	0x7ffff000
#define USER_STACK_SIZE 0x00010000

#endif
