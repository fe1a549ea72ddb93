/*
 * Virtual machines as configured: the [vm NAME] sections of a text, or the words `guest name=...`
 * on a boot module's command line. Pure functions over untrusted text, with no state of their own;
 * they know no module's contents, no log and no VM. Private to core/, and linked into the host
 * program scripts/check_config.c. docs/configuration.md is the reference of all keys.
 */
#pragma once

#include <crvm/compiler.h>

/* Sizes of strings, with the NUL. */
#define VM_NAME_MAX	   16
#define VM_MODULE_NAME_MAX 64
#define VM_CMDLINE_MAX	   256

#define VM_DISK_COUNT	    4
#define VM_MODULE_COUNT_MAX 4
#define VM_SHARED_COUNT_MAX 4

/* Where what VMs share is in all of them: above their RAM, below devices. */
#define VM_SHARED_BASE	   0xd0000000ul
#define VM_SHARED_END	   0xfc000000ul
#define VM_SHARED_SIZE_MAX (64ul << 20)

#define VM_CONFIG_TEXT_MAX   0x10000u /* bytes of a configuration */
#define VM_CONFIG_LINE_MAX   500u     /* bytes of one line, without its end */
#define VM_CONFIG_ERRORS_MAX 50u      /* told to one sink; what comes after is counted only */

/* A place in the text, both from 1 on, the column in bytes; line 0: on a command line. */
struct vm_config_place {
	unsigned line, column;
};

/* FLAT is 0: so is a configuration that is not made from text (core/selftest.c). */
enum vm_boot {
	VM_BOOT_FLAT,	   /* the kernel's bytes lie at `at`, started there in real mode */
	VM_BOOT_MULTIBOOT, /* Multiboot 1 or 2, with `cmdline` and `module` */
	VM_BOOT_ELF,	   /* started at its entry in 32-bit protected mode */
	VM_BOOT_DISK,	   /* by the firmware, from the first disk that it can */
};

enum vm_console_kind { VM_CONSOLE_SERIAL, VM_CONSOLE_DEBUG, VM_CONSOLE_NONE };
enum vm_input { VM_INPUT_SERIAL, VM_INPUT_KEYBOARD };
enum vm_ticks { VM_TICKS_CATCHUP, VM_TICKS_COALESCE };
enum vm_restart { VM_RESTART_NEVER, VM_RESTART_RESET, VM_RESTART_ALWAYS };

enum vm_disk_kind {
	VM_DISK_NONE,
	VM_DISK_BLANK,	/* zeros */
	VM_DISK_MODULE, /* the module `image` */
	VM_DISK_OWN,	/* the module on whose command line the words were; disk 0 only */
};

/* A boot module by its name. */
struct vm_config_ref {
	char name[VM_MODULE_NAME_MAX];
	struct vm_config_place place; /* of the name */
};

struct vm_config_disk {
	enum vm_disk_kind kind;
	struct vm_config_ref image;
	uint64_t size; /* bytes, a multiple of 512; 0: the image's own */
};

/* Memory that all VMs with this name share. */
struct vm_config_shared {
	char name[VM_NAME_MAX];
	uint64_t size; /* bytes, a multiple of 4 KiB */
	int irq;       /* raised by the others' rings; -1: none */
	struct vm_config_place place;
};

struct vm_config {
	char name[VM_NAME_MAX];
	/* There is an error in it, and nothing but name, bad and place is set. */
	bool bad;
	struct vm_config_place place; /* of its heading */

	uint64_t mem; /* bytes, a multiple of 4 KiB */
	unsigned cpus;
	int cpu; /* physical CPU; -1: any */

	enum vm_boot boot;
	struct vm_config_ref kernel;  /* not with DISK; no name: the words' own module */
	uint64_t at;		      /* FLAT: multiple of 16, below 1 MiB and `mem` */
	char cmdline[VM_CMDLINE_MAX]; /* MULTIBOOT */
	unsigned module_count;	      /* MULTIBOOT */
	struct vm_config_ref module[VM_MODULE_COUNT_MAX];
	struct vm_config_ref firmware; /* DISK */

	struct vm_config_disk disk[VM_DISK_COUNT];
	uint64_t writes; /* bytes of memory that what it writes to them may take; 0: no limit */

	unsigned shared_count;
	struct vm_config_shared shared[VM_SHARED_COUNT_MAX];

	enum vm_console_kind console;
	enum vm_input input; /* where what is typed to it goes */
	enum vm_ticks ticks;
	bool vpid;	 /* keep TLB entries across exits */
	unsigned weight; /* share of a CPU's time, against that of others there */
	bool autostart;
	enum vm_restart restart;
	bool exit_port;	 /* a write to port F4h stops the VM */
	bool privileged; /* its hypercalls may manage VMs */
};

struct vm_config_error {
	struct vm_config_place place;
	const char *vm;	  /* the VM's name; "" outside of any */
	const char *text; /* printable ASCII, below 240 bytes: what is wrong, and what is right */
};

/* Where errors go: zero it but for the first two, keep it for all calls about one text. */
struct vm_config_sink {
	void (*error)(void *ctx, const struct vm_config_error *e);
	void *ctx;
	unsigned count; /* of errors, also those that were not told */
};

/*
 * Reads the sections of a configuration: `size` bytes, or up to a NUL. Returns how many VMs it put
 * into out[max]. A VM in whose section anything is wrong is there as well, marked `bad`; one
 * without a usable name, or of a name that was there before, is not.
 */
unsigned vm_config_parse_text(struct vm_config *out, unsigned max, const char *text, size_t size,
			      struct vm_config_sink *sink);

/* Whether a module's command line is that of a VM: its first word is `guest`. */
bool vm_config_is_guest(const char *text);

/*
 * Reads the words after `guest`. The module itself is the VM's kernel, or disk 0 with boot=disk.
 * 0; E_INVAL with `error` (NUL-terminated) naming the word and what would be right, and *c bad.
 */
must_check int vm_config_parse(struct vm_config *c, const char *text, char *error, size_t size);

/* A boot module, as the boot loader gave it. */
struct vm_config_module {
	const char *name; /* untrusted, NUL-terminated */
	uint64_t length;  /* bytes */
};

/*
 * Whether all modules that a good VM names are there, once each, and can be what they are named
 * for. Images are shared read-only, so any number of VMs may name the same. Returns the number of
 * errors told to `sink`.
 */
unsigned vm_config_check_modules(const struct vm_config *c, const struct vm_config_module *list,
				 unsigned count, struct vm_config_sink *sink);

/* "disk", "multiboot", ...: the words of the configuration. */
const char *vm_config_boot_name(enum vm_boot boot);
