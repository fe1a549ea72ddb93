/*
 * The shell's `devices`: what the registers of a VM's devices hold, read from outside with each
 * device's lock held, which changes nothing in them. It must not know how they work.
 */
#include <crvm/printf.h>
#include <crvm/string.h>

#include "log_priv.h"
#include "pc.h"
#include "shell_priv.h"

/* A device is copied under its lock and printed afterwards: the log is slow. */
#define copy_device(to, from)                      \
	do {                                       \
		spin_lock(&(from)->dev.lock);      \
		memcpy(&(to), (from), sizeof(to)); \
		spin_unlock(&(from)->dev.lock);    \
	} while (0)

static void print_pic(struct pc *pc)
{
	static const char *const names[] = {"master", "slave"};
	static struct pic_pair p;

	copy_device(p, &pc->pic);
	for (unsigned i = 0; i < array_count(names); i++) {
		const struct pic_chip *c = &p.chip[i];

		log_printf(
			"  PIC %-6s  IRR %02x ISR %02x IMR %02x lines %02x ELCR %02x vectors from "
			"%02x%s%s%s\n",
			names[i], pic_chip_irr(c), c->isr, c->imr, c->line, c->elcr,
			c->icw2 & 0xf8u, c->icw4 & 2 ? ", auto EOI" : "",
			c->special_mask ? ", special mask" : "",
			c->ready ? "" : ", not initialised");
	}
	if (p.vector >= 0)
		log_printf("  PIC INT     up, vector %02x\n", (unsigned)p.vector);
	else
		log_printf("  PIC INT     down\n");
}

static void print_pit(struct pc *pc)
{
	static const char *const counting[] = {"stopped", "held by its gate", "running"};
	static struct pit p;
	struct pit_ticks t;

	copy_device(p, &pc->pit);
	for (unsigned i = 0; i < PIT_COUNTER_COUNT; i++) {
		const struct pit_counter *c = &p.counter[i];

		log_printf("  PIT %u       mode %u, count %u, %s%s\n", i, c->mode, c->n,
			   c->counting < array_count(counting) ? counting[c->counting] : "?",
			   c->gate ? "" : ", gate low");
	}
	t = pit_ticks(&p);
	log_printf("  PIT ticks   due %lu, raised %lu, owed %lu, merged %lu\n", t.due, t.raised,
		   t.owed, t.merged);
	log_printf("  port 61h    %02x\n", p.system);
}

static void print_serial(struct pc *pc)
{
	static struct serial_port s;

	copy_device(s, &pc->serial);
	log_printf("  UART        IER %02x FCR %02x LCR %02x MCR %02x LSR %02x MSR %02x SCR %02x\n",
		   s.ier, s.fcr, s.lcr, s.mcr, s.lsr, s.msr, s.scr);
	log_printf("  UART        divisor %u, %u of %u bytes received, interrupt %s\n", s.divisor,
		   s.rx_count, s.rx_size, s.level ? "up" : "down");
}

static void print_rtc(struct pc *pc)
{
	static struct rtc r;
	const uint8_t *c = r.cmos;

	copy_device(r, &pc->rtc);
	log_printf("  RTC         %02x-%02x-%02x %02x:%02x:%02x (%s) A %02x B %02x C %02x D %02x, "
		   "index %02x\n",
		   c[9], c[8], c[7], c[4], c[2], c[0], c[11] & 4 ? "binary, in hex" : "BCD", c[10],
		   c[11], c[12], c[13], r.index);
}

static void print_ide(struct pc *pc, unsigned channel)
{
	static struct ide_channel c;
	char size[16];

	copy_device(c, &pc->ide[channel]);
	log_printf("  IDE %u       drive %u selected, control %02x, interrupt %s\n", channel,
		   c.selected, c.device_control, c.level ? "up" : "down");
	for (unsigned i = 0; i < IDE_DRIVE_COUNT; i++) {
		const struct ide_drive *d = &c.drive[i];
		const struct disk_overlay *o;

		if (!d->disk) {
			log_printf("  IDE %u.%u     no drive\n", channel, i);
			continue;
		}
		o = &pc->disk[2 * channel + i]->overlay;
		log_printf("  IDE %u.%u     %s, status %02x error %02x device %02x, CHS %u/%u/%u, "
			   "next "
			   "LBA %lu, %u sectors to go\n",
			   channel, i, str_size(size, sizeof(size), d->disk->sectors * DISK_SECTOR),
			   d->status, d->error, d->device, d->geometry.cylinders, d->geometry.heads,
			   d->geometry.sectors, d->lba, d->left);
		log_printf("  IDE %u.%u     written: %lu pages of %u bytes, in %lu tables\n",
			   channel, i, o->page_count, DISK_PAGE_SIZE, o->table_count);
	}
}

void shell_devices(char *arg)
{
	struct vm *vm = shell_vm("devices", &arg);

	if (!vm || !shell_end("devices", arg))
		return;
	print_pic(vm->pc);
	print_pit(vm->pc);
	print_serial(vm->pc);
	print_rtc(vm->pc);
	for (unsigned i = 0; i < array_count(vm->pc->ide); i++)
		print_ide(vm->pc, i);
}
