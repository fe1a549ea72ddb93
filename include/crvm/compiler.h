/*
 * Compiler helpers. Any file may use it; it knows nothing but the compiler.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define must_check	  __attribute__((warn_unused_result))
#define printf_like(f, a) __attribute__((format(printf, f, a)))
#define no_return	  __attribute__((noreturn))
#define packed		  __attribute__((packed))
#define aligned_to(n)	  __attribute__((aligned(n)))
#define in_section(s)	  __attribute__((section(s)))

#define array_count(a) (sizeof(a) / sizeof((a)[0]))

/* The struct of type `type` whose member `member` is at `ptr`. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Powers of two only. */
#define align_down(x, a) ((x) & ~((__typeof__(x))(a)-1))
#define align_up(x, a)	 align_down((x) + ((__typeof__(x))(a)-1), a)
