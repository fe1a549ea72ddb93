/*
 * The PC around a VM's vCPU: its devices, and the wires, alarms, clocks and buses that join them.
 * Private to core/.
 *
 * All of it lives on the VM's CPU: alarms are queued there, and whoever enters from elsewhere goes
 * through smp_call.
 */
#pragma once

#include <crvm/devices/debug.h>
#include <crvm/devices/ide.h>
#include <crvm/devices/kbc.h>
#include <crvm/devices/pic8259.h>
#include <crvm/devices/pit8254.h>
#include <crvm/devices/port92.h>
#include <crvm/devices/printer.h>
#include <crvm/devices/rtc.h>
#include <crvm/devices/serial.h>
#include <crvm/devices/testdev.h>
#include <crvm/devices/vga.h>
#include <crvm/inject.h>
#include <crvm/time.h>

#include "disk_priv.h"
#include "load.h"

#define PC_IRQ_COUNT  16u
#define PC_DISK_COUNT 4u /* primary master, slave, secondary master, slave */
#define PC_ROM_BASE   0xf0000u
#define PC_ROM_SIZE   0x10000u

struct vm;
struct pc;

struct pc_line {
	struct pc *pc;
	unsigned irq;
	bool up;    /* as its device has it */
	bool pulse; /* held up by pc_pulse, until it is acknowledged */
};

struct pc_alarm {
	struct timer timer;
	struct pc *pc;
	struct device *dev;
	void (*expired)(struct pc *pc);
	uint64_t deadline; /* DEVICE_NEVER: none */
};

enum pc_alarm_index { PC_ALARM_PIT, PC_ALARM_RTC, PC_ALARM_SERIAL, PC_ALARM_KBC, PC_ALARM_COUNT };

/* One that the configuration names. */
struct pc_disk {
	struct disk_image image;
	struct disk_overlay overlay;
	struct disk disk;
	uint8_t buffer[IDE_BUFFER_SIZE];
};

struct pc {
	struct vm *vm;
	int64_t ticks; /* of the TSC: its time when it was looked at last */
	struct pic_pair pic;
	struct pit pit;
	struct rtc rtc;
	struct serial_port serial;
	struct kbc kbc;
	struct ide_channel ide[2];
	struct vga vga;
	struct printer printer;
	struct port92 port92;
	struct debug_device debug;
	struct testdev test;
	struct pc_line line[PC_IRQ_COUNT];
	_Atomic uint32_t bells; /* lines that are to be pulsed: a bit each */
	struct pc_alarm alarm[PC_ALARM_COUNT];
	struct irq_source irq;
	struct pc_disk *disk[PC_DISK_COUNT]; /* NULL: none */
	uint64_t written;		     /* bytes that overlays have taken */
	bool limit_told;		     /* that it may not take more */
	uint8_t *spare_page, *spare_end;     /* for overlays: pc_disks.c */
};

/*
 * All devices and the frozen buses, in the VM's arena; vm->pc is set. Disks are opened. E_NOMEM,
 * E_INVAL with a log line. Boot CPU, before the VM runs.
 */
must_check int pc_build(struct vm *vm);
/* Every device as at power-on; the clock starts at 0. The VM's CPU, its vCPU not running. */
void pc_reset(struct pc *pc);
/* No alarm rings any more. The VM's CPU. */
void pc_stop(struct pc *pc);
/* Its clock stands still, and no alarm rings until pc_resume; that also after pc_stop. The VM's
 * CPU. */
void pc_pause(struct pc *pc);
void pc_resume(struct pc *pc);
/* An interrupt on a line, whatever its device does; ends as it is acknowledged. The VM's CPU. */
void pc_pulse(struct pc *pc, unsigned irq);
/* The same, soon: also within an exit. Any CPU; the VM is on. */
void pc_ring(struct pc *pc, unsigned irq);
/* Bytes wait in the VM's console. The VM's CPU. */
void pc_input(struct pc *pc);

/* pc_disks.c: images and overlays as the configuration says. E_INVAL, E_NOENT, E_NOMEM, logged. */
must_check int pc_disks_open(struct pc *pc);
/* Pages that all overlays hold. */
uint64_t pc_disks_pages(const struct pc *pc);

/* Where a vCPU starts. */
struct pc_start {
	bool real; /* mode; all but the last is for it */
	uint16_t selector;
	uint64_t base, ip; /* CS's base need not be 16 times the selector */
	uint64_t rsp;
	struct load_start kernel;
};

/*
 * pc_boot.c: firmware or kernel into the VM's memory. E_INVAL, E_NOENT, E_NOMEM, logged. The VM's
 * CPU, its vCPU not running; with interrupts on, for images can be large.
 */
must_check int pc_load(struct vm *vm, struct pc_start *start);
/* And the vCPU, which is reset and loaded, to where it starts. */
void pc_start(struct vm *vm, const struct pc_start *start);
