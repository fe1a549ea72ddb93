/*
 * An image in memory that is opened and read, for test_disk_image.c and test_disk_qcow2.c.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <crvm/status.h>
#include "../../core/disk_priv.h"

static struct disk_image image;
static char error[160];
static uint8_t *file; /* on the heap with nothing behind it, so that ASan sees each byte too far */
static uint64_t file_len;

static inline int teardown(void **state)
{
	(void)state;
	free(file);
	file = NULL;
	return 0;
}

static inline uint8_t *file_make(uint64_t len)
{
	free(file);
	file = malloc(len);
	assert_non_null(file);
	file_len = len;
	return file;
}

static inline int try_open(uint64_t declared)
{
	memset(&image, 0xee, sizeof(image));
	memset(error, 'x', sizeof(error));
	return disk_image_open(&image, file, file_len, declared, error, sizeof(error));
}

static inline void expect_good(uint64_t declared, uint64_t sectors)
{
	int rc = try_open(declared);

	if (rc != OK)
		fail_msg("%.*s", (int)sizeof(error), error);
	assert_int_equal(image.sectors, sectors);
}

static inline void expect_bad(uint64_t declared, int rc, const char *text)
{
	assert_int_equal(try_open(declared), rc);
	assert_non_null(memchr(error, 0, sizeof(error)));
	if (!strstr(error, text))
		fail_msg("\"%s\" does not say \"%s\"", error, text);
}

static inline void expect_bytes(uint64_t at, uint8_t value, uint64_t len)
{
	uint8_t *p = malloc(len);

	memset(p, ~value, len);
	assert_int_equal(disk_image_read(&image, at, len, p), OK);
	for (uint64_t n = 0; n < len; n++)
		assert_int_equal(p[n], value);
	free(p);
	assert_int_equal(disk_image_is_zero(&image, at, len), value == 0 || len == 0);
}

#define t(name) cmocka_unit_test_teardown(name, teardown)
