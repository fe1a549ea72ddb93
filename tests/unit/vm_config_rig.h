/*
 * For the tests of the configuration's parser: parses texts that end where memory ends, keeps VMs
 * and errors, and checks of each error what holds for all.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <crvm/compiler.h>
#include <crvm/status.h>
#include "../../core/vm_config.h"

#define RIG_VMS	   8
#define RIG_ERRORS 64

static struct vm_config vms[RIG_VMS];
static unsigned vm_count;

/* "LINE:COLUMN: text", "LINE:COLUMN: NAME: text" */
static char errors[RIG_ERRORS][300];
static unsigned error_count; /* told */

static void rig_error(void *ctx, const struct vm_config_error *e)
{
	assert_ptr_equal(ctx, errors);
	assert_true(error_count < RIG_ERRORS);
	assert_in_range(strlen(e->text), 1, 239);
	for (const char *s = e->text; *s; s++)
		assert_in_range(*s, ' ', '~');
	snprintf(errors[error_count++], sizeof(errors[0]), "%u:%u: %s%s%s", e->place.line,
		 e->place.column, e->vm, e->vm[0] ? ": " : "", e->text);
}

static struct vm_config_sink rig_sink(void)
{
	error_count = 0;
	memset(errors, 0, sizeof(errors));
	return (struct vm_config_sink){rig_error, errors, 0};
}

static inline unsigned parse_bytes(const char *text, size_t size, unsigned max)
{
	struct vm_config_sink sink = rig_sink();
	char *copy = malloc(size + !size);

	assert_non_null(copy);
	memcpy(copy, text, size);
	memset(vms, 0xa5, sizeof(vms));
	vm_count = vm_config_parse_text(vms, max, copy, size, &sink);
	assert_true(vm_count <= max);
	for (size_t i = vm_count * sizeof(vms[0]); i < sizeof(vms); i++)
		assert_int_equal(((uint8_t *)vms)[i], 0xa5);
	free(copy);
	return sink.count;
}

/* The number of errors. */
static inline unsigned parse(const char *text)
{
	return parse_bytes(text, strlen(text), RIG_VMS);
}

/* One good VM, no error. */
static inline const struct vm_config *good(const char *text)
{
	if (parse(text))
		fail_msg("\"%s\" was refused: %s", text, errors[0]);
	assert_int_equal(vm_count, 1);
	assert_false(vms[0].bad);
	return &vms[0];
}

/* A VM of which only the name is left. */
static inline void assert_bad(const struct vm_config *c, const char *name)
{
	struct vm_config only;

	memset(&only, 0, sizeof(only));
	strcpy(only.name, name);
	only.bad = true;
	only.place = c->place;
	assert_true(c->bad);
	assert_memory_equal(c, &only, sizeof(only));
}

/* Exactly this one error. */
static inline void refused(const char *text, const char *error)
{
	unsigned count = parse(text);

	assert_string_equal(errors[0], error);
	assert_int_equal(count, 1);
	assert_int_equal(error_count, 1);
}

/* One VM `a` with these lines from line 2 on; it boots from a disk. */
static inline const char *section(const char *lines)
{
	static char text[2048];

	snprintf(text, sizeof(text), "[vm a]\n%s\ndisk0 = x", lines);
	return text;
}
