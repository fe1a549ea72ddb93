/*
 * The keyboard controller of a PC, an 8042 with its keyboard (devices/kbc.c): ports 60h and 64h,
 * the A20 gate, the reset line. It has a second port, but no mouse is plugged in: what is sent
 * there is answered as a real controller does that hears nothing (FEh with "timeout"). Knows no
 * console, no interrupt chip and no VM: see struct kbc_ops. Text comes by ops.type, a character
 * when all keys before have been read: what the guest does not take stays where it is.
 *
 * At power-on it is in the state that a PC's BIOS leaves, since guests started without one never
 * set it up: IRQ1 enabled, translation to set 1 on, the keyboard scanning, the second port
 * disabled, the system flag set, A20 open.
 *
 * Time: after a byte was read, the next one comes KBC_BYTE_NS later and not at once, for software
 * that reads a byte twice relies on the pause that a real cable makes.
 *
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
 * Controller"; Intel UPI-42 data sheet. DDh and DFh (A20) are what later chips added.
 */
#pragma once

#include <crvm/device.h>
#include <crvm/devices/keyboard.h>

#define KBC_REGION_COUNT 2u
#define KBC_RAM_SIZE	 32u
#define KBC_BYTE_NS	 500000u

enum kbc_port { KBC_PORT_DATA = 0x60, KBC_PORT_COMMAND = 0x64 /* read: status */ };

enum kbc_status {
	KBC_OBF = 1u << 0, /* port 60h has a byte to read */
	KBC_IBF = 1u << 1, /* never set: what is written is taken at once */
	KBC_SYS = 1u << 2,
	KBC_CMD = 1u << 3,	/* the last write went to 64h */
	KBC_UNLOCKED = 1u << 4, /* always: no key locks the keyboard */
	KBC_AUX_OBF = 1u << 5,	/* and that byte is the second port's */
	KBC_TIMEOUT = 1u << 6,	/* and says that nobody answered */
	KBC_PARITY = 1u << 7,
};

/* Controller RAM byte 0, written by command 60h, read by 20h. */
enum kbc_command_byte {
	KBC_INT1 = 1u << 0,
	KBC_INT2 = 1u << 1,
	KBC_SYSTEM = 1u << 2, /* shown as KBC_SYS */
	KBC_DISABLE1 = 1u << 4,
	KBC_DISABLE2 = 1u << 5,
	KBC_TRANSLATE = 1u << 6, /* set 2 -> set 1 */
};

enum kbc_output_port {
	KBC_OUT_RESET = 1u << 0, /* low: the CPU's reset */
	KBC_OUT_A20 = 1u << 1,
	KBC_OUT_IRQ1 = 1u << 4, /* bits 4 and 5 are read only here: the state of the wires */
	KBC_OUT_IRQ12 = 1u << 5,
};

enum kbc_command {
	KBC_RAM_READ = 0x20,  /* to 3Fh: the byte of RAM with that number, modulo 32 */
	KBC_RAM_WRITE = 0x60, /* to 7Fh; a byte follows, as for all below that say "byte" */
	KBC_DISABLE_2 = 0xa7,
	KBC_ENABLE_2 = 0xa8,
	KBC_TEST_2 = 0xa9,
	KBC_SELF_TEST = 0xaa,
	KBC_TEST_1 = 0xab,
	KBC_DISABLE_1 = 0xad,
	KBC_ENABLE_1 = 0xae,
	KBC_INPUT_READ = 0xc0,
	KBC_OUTPUT_READ = 0xd0,
	KBC_OUTPUT_WRITE = 0xd1, /* byte */
	KBC_ECHO_1 = 0xd2,	 /* byte; comes back as if from the keyboard */
	KBC_ECHO_2 = 0xd3,	 /* byte; ... from the second port */
	KBC_SEND_2 = 0xd4,	 /* byte */
	KBC_A20_OFF = 0xdd,
	KBC_A20_ON = 0xdf,
	KBC_TEST_INPUTS = 0xe0,
	KBC_PULSE = 0xf0, /* to FFh: pulls those of output bits 0 to 3 low whose bit is 0 here */
};

enum kbc_answer {
	KBC_SELF_TEST_OK = 0x55,
	KBC_TEST_OK = 0x00,
	KBC_NO_DEVICE = 0xfe, /* with KBC_TIMEOUT */
	KBC_INPUTS = 0xb0,    /* C0h: not locked, colour screen; the rest as an AT with all RAM */
};

/*
 * All called with the device's lock held. type, a20 and reset may be NULL; timer calls kbc_expired.
 * a20 tells what this device's gate is set to, at every write to it: who made both this and port
 * 92h decides what the wire is. reset must not enter the device.
 */
struct kbc_ops {
	struct irq_line irq1, irq12;
	int (*type)(void *ctx); /* the next character to type (keyboard_type), or -1: none now */
	void (*a20)(void *ctx, bool on);
	void (*reset)(void *ctx);
	struct device_clock clock;
	struct device_timer timer;
	void *ctx;
};

struct kbc {
	struct device dev;
	struct kbc_ops ops;
	struct keyboard keyboard;
	uint8_t status; /* as port 64h gives it */
	uint8_t out;	/* as port 60h gives it */
	uint8_t held;	/* a byte of the keyboard's that an answer of the controller displaced */
	uint8_t output; /* KBC_OUT_RESET, KBC_OUT_A20 */
	uint8_t awaits; /* command whose byte is to come on port 60h, or 0 */
	bool out_is_key, has_held;
	bool released;	     /* translation has seen F0h */
	bool line[2];	     /* IRQ1, IRQ12 */
	bool armed;	     /* the timer is set */
	uint64_t not_before; /* when the keyboard's next byte may come */
	uint8_t ram[KBC_RAM_SIZE];
};

/* Calls nobody. */
void kbc_init(struct kbc *k, const struct kbc_ops *ops);

/* What to add to the VM's port bus: region `i` < KBC_REGION_COUNT. */
struct io_region kbc_region(struct kbc *k, unsigned i);

/* The timer's deadline has come. */
void kbc_expired(struct kbc *k);

/* A byte as the host's keyboard sends it (set 1, prefixes and break codes included). False: the
 * keyboard's buffer is full; give it again later. */
bool kbc_key(struct kbc *k, uint8_t scancode_set1_byte);

/* ops.type has begun to have characters; harmless if it has none. */
void kbc_type_ready(struct kbc *k);
