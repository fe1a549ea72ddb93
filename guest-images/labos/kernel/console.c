/*
 * Joins the console's devices. Input comes from interrupt handlers into a ring; threads wait on a
 * semaphore that counts what lies there.
 */

#include "../boot/layout.h"
#include "console.h"
#include "lib.h"
#include "thread.h"
#include "x86.h"

enum { INPUT_SIZE = 8192 };

static bool has_serial, has_screen, has_printer;
static bool at_line_start = true;
static bool lock_broken;
static struct mutex lock = MUTEX_INIT;

static char input[INPUT_SIZE];
static uint32_t input_head, input_tail; /* count up for ever; the ring's index is their rest */
static uint32_t input_lost;
static struct semaphore input_count = SEMAPHORE_INIT(0);

void console_init(uint16_t options)
{
	if (!(options & OPTION_NO_SERIAL))
		has_serial = serial_init(options & OPTION_SERIAL_OUT2);
	if (!(options & OPTION_NO_SCREEN))
		has_screen = screen_init();
	if (!(options & OPTION_NO_PRINTER))
		has_printer = printer_init();
	keyboard_init();
}

void console_print_devices(void)
{
	print("labos: console:%s%s%s\n", has_serial ? " serial" : "", has_screen ? " screen" : "",
	      has_printer ? " printer" : "");
}

void console_put(char c)
{
	if (has_serial) {
		if (c == '\n')
			serial_put('\r');
		serial_put(c);
	}
	if (has_screen)
		screen_put(c);
	if (has_printer)
		has_printer = printer_put(c);
	at_line_start = c == '\n';
}

void console_lock(void)
{
	if (!lock_broken)
		mutex_lock(&lock);
}

void console_unlock(void)
{
	if (!lock_broken)
		mutex_unlock(&lock);
}

void console_break_lock(void)
{
	lock_broken = true;
}

void console_fresh_line(void)
{
	console_lock();
	if (!at_line_start)
		console_put('\n');
	console_unlock();
}

void console_receive(char c)
{
	if (input_head - input_tail == INPUT_SIZE) {
		input_lost++;
		return;
	}
	input[input_head++ % INPUT_SIZE] = c;
	semaphore_up(&input_count);
}

char console_get(void)
{
	semaphore_down(&input_count);
	return input[input_tail++ % INPUT_SIZE];
}

uint32_t console_lost_count(void)
{
	return input_lost;
}
