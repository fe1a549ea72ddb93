/*
 * What the files of the configuration's parser share (core/vm_config.c, core/config_*.c). Must not
 * be known to anything else; core/vm_config.h is what others see.
 */
#pragma once

#include "vm_config.h"

#define CONFIG_MESSAGE_MAX 240 /* what the log takes in one line */

/* config_report.c: errors in words. */

struct config_report {
	struct vm_config_sink *sink;
	const char *vm; /* of which errors are told; "" for none */
	bool failed;	/* there was one, told or not */
};

void config_report_error(struct config_report *r, struct vm_config_place place, const char *fmt,
			 ...) printf_like(3, 4);

/* Somebody's text as it can be shown: control bytes as \xNN, its end as "..." if it is long. */
struct config_shown {
	char text[48];
};
const char *config_report_show(struct config_shown *s, const char *text, size_t len);

/* The word of a set that was probably meant. */
struct config_guess {
	const char *word;
	const char *nearest; /* NULL: none is near */
	unsigned distance;
};
void config_report_guess(struct config_guess *g, const char *candidate);

/* config_keys.c: the table of keys, and one VM in the making. */

enum config_key_id {
	CONFIG_NAME,
	CONFIG_MEMORY,
	CONFIG_CPUS,
	CONFIG_CPU,
	CONFIG_BOOT,
	CONFIG_KERNEL,
	CONFIG_AT,
	CONFIG_CMDLINE,
	CONFIG_MODULE,
	CONFIG_DISK0,
	CONFIG_DISK1,
	CONFIG_DISK2,
	CONFIG_DISK3,
	CONFIG_WRITES,
	CONFIG_SHARED,
	CONFIG_FIRMWARE,
	CONFIG_CONSOLE,
	CONFIG_INPUT,
	CONFIG_TICKS,
	CONFIG_VPID,
	CONFIG_WEIGHT,
	CONFIG_AUTOSTART,
	CONFIG_RESTART,
	CONFIG_EXIT_PORT,
	CONFIG_PRIVILEGED,
	CONFIG_KEY_COUNT,
};

/* Where keys may stand. */
enum config_form {
	CONFIG_SECTION = 1, /* [vm NAME] */
	CONFIG_WORDS = 2,   /* guest name=... */
};

struct config_entry {
	const char *key;
	const char *value; /* NULL: there is none */
	struct vm_config_place key_place, value_place;
};

struct config_vm {
	struct vm_config *c;
	enum config_form form;
	struct vm_config_place seen[CONFIG_KEY_COUNT]; /* column 0: not yet */
};

/* All defaults; the name is the caller's to set. */
void config_keys_begin(struct config_vm *v, struct vm_config *c, enum config_form form);
void config_keys_set(struct config_vm *v, const struct config_entry *e, struct config_report *r);
bool config_keys_is_name(const char *s);
#define CONFIG_NAME_VALID "1 to 15 of a-z 0-9 -"

/* config_check.c: what the keys together must obey; fills in what depends on others. */
void config_check_vm(struct config_vm *v, struct config_report *r);
/* Before it: whether a VM agrees with those before it about what they share. */
void config_check_shared(const struct vm_config *c, const struct vm_config *before, unsigned count,
			 struct config_report *r);
