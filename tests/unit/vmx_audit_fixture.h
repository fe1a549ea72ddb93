/*
 * For tests that ask the auditor about a snapshot `s`: a CPU and an environment, new for each test,
 * and short words.
 */
#pragma once

#include "vmcs_sample.h"

static struct vmx_caps caps;
static struct vmx_audit_env env;

static inline int reset(void **state)
{
	(void)state;
	caps = sample_caps;
	env = sample_env();
	return 0;
}

#define V(f)		      (s.value[SNAP_##f])
#define GOOD(what)	      assert_good(&s, &caps, &env, what)
#define BREAKS(what, rule, f) assert_breaks(&s, &caps, &env, what, rule, SNAP_##f)
#define TOP		      (1ull << SAMPLE_PHYS_BITS)
#define TEST(f)		      cmocka_unit_test_setup(f, reset)
