/*
 * labos, a teaching operating system: what happens after the boot sector, as a list.
 */

#include "../boot/layout.h"
#include "console.h"
#include "frames.h"
#include "fs.h"
#include "ide.h"
#include "lib.h"
#include "paging.h"
#include "shell.h"
#include "swap.h"
#include "thread.h"
#include "timer.h"
#include "trap.h"

enum { TICK_LOG_PERIOD = 100 };

static volatile bool tick_log;

void kernel_main(void);

void ticker_set_log(bool on)
{
	tick_log = on;
}

/* Says that time passes: once, or again and again. */
static void ticker(void *unused)
{
	uint32_t next = TICK_LOG_PERIOD;
	uint32_t now;

	(void)unused;
	for (;;) {
		now = timer_ticks();
		if (now < next) {
			thread_sleep(next - now);
			continue;
		}
		if (next == TICK_LOG_PERIOD || tick_log) {
			console_fresh_line();
			print("labos: %u ticks\n", TICK_LOG_PERIOD);
		}
		next += TICK_LOG_PERIOD;
	}
}

/* What needs threads and interrupts; then the shell. */
static void second_half(void *unused)
{
	(void)unused;
	ide_init();
	ide_print_disks();
	if (swap_init())
		swap_test();
	if (fs_init())
		file_test();
	/* Prompt and tick line come in this order always. */
	while (timer_ticks() <= TICK_LOG_PERIOD)
		thread_sleep(TICK_LOG_PERIOD + 1 - timer_ticks());
	shell_run(NULL);
}

void kernel_main(void)
{
	uint16_t options = *(const volatile uint16_t *)BOOT_OPTIONS;

	console_init(options);
	print("labos: a small operating system to learn with\n");
	console_print_devices();
	frames_init();
	print("labos: %u KiB of memory\n", frames_memory_kib());
	descriptors_init();
	paging_init();
	pic_init();
	thread_init();
	tick_log = options & OPTION_TICK_LOG;
	if (thread_create("ticker", ticker, NULL, NULL) < 0 ||
	    thread_create("shell", second_half, NULL, NULL) < 0)
		panic("no memory for threads");
	timer_init();
	thread_idle(options & OPTION_IDLE_SPINS);
}
