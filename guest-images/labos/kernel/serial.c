/*
 * The serial port: 9600 baud, 8 bits, no FIFO. Sends by polling, receives by IRQ 4.
 * Names from the data sheet "PC16550D Universal Asynchronous Receiver/Transmitter with FIFOs".
 */

#include "console.h"
#include "x86.h"

enum {
	COM1 = 0x3f8,
	RBR = COM1 + 0,
	THR = COM1 + 0,
	DLL = COM1 + 0,
	IER = COM1 + 1,
	DLM = COM1 + 1,
	IIR = COM1 + 2,
	FCR = COM1 + 2,
	LCR = COM1 + 3,
	MCR = COM1 + 4,
	LSR = COM1 + 5,
	IER_ERBFI = 0x01,
	LCR_8N1 = 0x03,
	LCR_DLAB = 0x80,
	MCR_OUT2 = 0x08,
	LSR_DR = 0x01,
	LSR_THRE = 0x20,
	DIVISOR = 12, /* 115200 / 9600 */
	POLLS_MAX = 200000,
	BYTES_MAX = 4096, /* per interrupt: a broken port must not hold us for ever */
};

bool serial_init(bool out2)
{
	out8(FCR, 0);
	out8(LCR, LCR_DLAB);
	out8(DLL, DIVISOR);
	out8(DLM, 0);
	out8(LCR, LCR_8N1);
	/* On PCs OUT2 lets the interrupt through to the PIC; many emulated ports do not care. */
	out8(MCR, out2 ? MCR_OUT2 : 0);
	out8(IER, IER_ERBFI);
	if (in8(LSR) == 0xff)
		return false;
	/* Old events would keep the line up, and the PIC waits for an edge. */
	in8(IIR);
	in8(RBR);
	return true;
}

void serial_put(char c)
{
	uint32_t i;

	for (i = 0; i < POLLS_MAX && !(in8(LSR) & LSR_THRE); i++)
		;
	out8(THR, (uint8_t)c);
}

void serial_interrupt(void)
{
	uint32_t i;

	for (i = 0; i < BYTES_MAX && (in8(LSR) & LSR_DR); i++)
		console_receive((char)in8(RBR));
}
