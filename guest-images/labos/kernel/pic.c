/*
 * The two interrupt controllers. They run in automatic EOI mode: an interrupt ends for them when
 * the CPU takes it, so nobody sends an EOI. Data sheet "8259A Programmable Interrupt Controller".
 */

#include "timer.h"
#include "trap.h"
#include "x86.h"

enum {
	MASTER = 0x20,
	SLAVE = 0xa0,
	DATA = 1, /* the second port of each */
	ICW1_INIT_ICW4 = 0x11,
	ICW3_MASTER_SLAVE_ON_2 = 0x04,
	ICW3_SLAVE_ID = 0x02,
	ICW4_AUTO_EOI_8086 = 0x03,
	OCW3_NO_SPECIAL_MASK = 0x68, /* ESMM without SMM */
	OCW3_READ_IRR = 0x0a,
	MASK_MASTER = 0xff & ~(1 << 0 | 1 << 1 | 1 << 2 | 1 << 4),
	MASK_SLAVE = 0xff,
};

static void init_chip(uint16_t port, uint8_t vector, uint8_t icw3)
{
	out8(port, ICW1_INIT_ICW4);
	out8(port + DATA, vector);
	out8(port + DATA, icw3);
	out8(port + DATA, ICW4_AUTO_EOI_8086);
	out8(port, OCW3_NO_SPECIAL_MASK);
	out8(port, OCW3_READ_IRR);
}

void pic_init(void)
{
	out8(MASTER + DATA, 0xff);
	out8(SLAVE + DATA, 0xff);
	init_chip(MASTER, VECTOR_IRQ, ICW3_MASTER_SLAVE_ON_2);
	init_chip(SLAVE, VECTOR_IRQ + 8, ICW3_SLAVE_ID);
	out8(MASTER + DATA, MASK_MASTER);
	out8(SLAVE + DATA, MASK_SLAVE);
}
