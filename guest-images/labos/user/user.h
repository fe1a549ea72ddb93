/*
 * What a program may use: the system calls.
 */
#ifndef LABOS_USER_PROGRAM_H
#define LABOS_USER_PROGRAM_H

#include <stdint.h>

#include "numbers.h"

int program_main(uint32_t argument);

static inline uint32_t syscall(uint32_t number, uint32_t a, uint32_t b)
{
	uint32_t answer;

	__asm__ volatile("int %1"
			 : "=a"(answer)
			 : "i"(SYSCALL_VECTOR), "a"(number), "b"(a), "c"(b)
			 : "memory");
	return answer;
}

static inline void write_text(const char *text)
{
	uint32_t size = 0;

	while (text[size])
		size++;
	syscall(SYSCALL_WRITE, (uint32_t)text, size);
}

#endif
