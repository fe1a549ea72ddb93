/*
 * See clock.h. Of all alarms the host has one, the next. Each rings once at most before the child
 * goes on, so that a device which wants one in the past keeps nobody waiting.
 */
#include <crvm/hypercall.h>
#include "clock.h"
#include "host.h"

static struct alarm {
	uint64_t deadline;
	void (*ring)(void);
} alarms[CLOCK_ALARM_COUNT];

static uint64_t now_ns;
static bool now_known;
static bool changed;		      /* a deadline, since clock_arm */
static uint64_t armed = DEVICE_NEVER; /* what the host's alarm is set to */

uint64_t clock_now(void)
{
	if (!now_known)
		now_ns = (uint64_t)hypercall(HYPERCALL_TIME, 0, 0, 0, 0);
	now_known = true;
	return now_ns;
}

void clock_forget(void)
{
	now_known = false;
}

static uint64_t device_now(void *ctx)
{
	(void)ctx;
	return clock_now();
}

struct device_clock clock_device(void)
{
	return (struct device_clock){device_now, NULL};
}

static void set(void *ctx, uint64_t deadline)
{
	struct alarm *a = ctx;

	a->deadline = deadline;
	changed = true;
}

struct device_timer clock_timer(enum clock_alarm i, void (*ring)(void))
{
	alarms[i] = (struct alarm){DEVICE_NEVER, ring};
	return (struct device_timer){set, &alarms[i]};
}

void clock_set_if_unset(enum clock_alarm i, uint64_t ns)
{
	if (alarms[i].deadline == DEVICE_NEVER)
		set(&alarms[i], clock_now() + ns);
}

static void ring(struct alarm *a)
{
	a->deadline = DEVICE_NEVER;
	if (a->ring)
		a->ring();
}

void clock_ring(bool rang)
{
	uint64_t now;

	if (!rang && !changed)
		return;
	changed = true;
	if (rang) {
		armed = DEVICE_NEVER;
		clock_forget();
	}
	now = clock_now();
	for (unsigned i = 0; i < CLOCK_ALARM_COUNT; i++)
		if (alarms[i].deadline <= now)
			ring(&alarms[i]);
}

void clock_arm(void)
{
	uint64_t next = DEVICE_NEVER, now;

	if (!changed)
		return;
	changed = false;
	for (unsigned i = 0; i < CLOCK_ALARM_COUNT; i++)
		if (alarms[i].deadline < next)
			next = alarms[i].deadline;
	if (next == DEVICE_NEVER || next == armed)
		return;
	armed = next;
	now = clock_now();
	host_set_alarm(next > now ? next - now : 0);
}
