/*
 * Addresses, one type for each address space, so that one cannot be passed for another.
 * Any file may use it.
 */
#pragma once

#include <crvm/compiler.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ul

/* Host-physical, guest-physical and guest-linear addresses. */
typedef struct {
	uint64_t v;
} hpa_t;
typedef struct {
	uint64_t v;
} gpa_t;
typedef struct {
	uint64_t v;
} gva_t;

static inline hpa_t hpa(uint64_t v)
{
	return (hpa_t){v};
}
static inline gpa_t gpa(uint64_t v)
{
	return (gpa_t){v};
}
static inline gva_t gva(uint64_t v)
{
	return (gva_t){v};
}
