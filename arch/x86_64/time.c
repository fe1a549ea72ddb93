/*
 * The clock: how fast the TSC runs, measured against the best reference that the machine has.
 * Source: Intel SDM Vol. 3B, "Time-Stamp Counter"; IA-PC HPET Specification 1.0a; ACPI 6.4, "Power
 * Management Timer"; Intel 8254 data sheet.
 */
#include <stdatomic.h>

#include <crvm/cpufeat.h>
#include <crvm/hostvm.h>
#include <crvm/log.h>
#include <crvm/status.h>
#include <crvm/time.h>

#define PM_TIMER_HZ 3579545u
#define PIT_HZ	    1193182u
#define MEASURE_MS  10u

static uint64_t entry_tsc;
static uint64_t tsc_khz;
static uint64_t ns_per_tsc_32, tsc_per_ns_32; /* 32.32 fixed point */
static const char *source = "none";
static _Atomic uint64_t waited_ticks;

/* A counter that counts up at a known rate. */
struct reference {
	const char *name;
	uint64_t hz;
	uint64_t mask;
	uint64_t (*read)(const struct reference *r);
	volatile uint64_t *hpet;
	uint16_t port;
	volatile uint32_t *mem;
};

static uint64_t hpet_read(const struct reference *r)
{
	return r->hpet[0xf0 / 8];
}

static uint64_t pm_timer_read(const struct reference *r)
{
	return r->port ? in32(r->port) : *r->mem;
}

/* Channel 2 counts down from 65536 and wraps; its gate is bit 0 of port 61h. */
static uint64_t pit_read(const struct reference *r)
{
	uint32_t lo, hi;

	(void)r;
	out8(0x43, 0x80); /* latch channel 2 */
	lo = in8(0x42);
	hi = in8(0x42);
	return 0xffff - (hi << 8 | lo);
}

static bool hpet_open(struct reference *r, const struct acpi_info *acpi)
{
	uint64_t caps, period;

	if (!acpi->hpet_base)
		return false;
	r->hpet = hostvm_map(acpi->hpet_base, 1024, MAP_W | MAP_UC);
	if (!r->hpet)
		return false;
	caps = r->hpet[0];
	period = caps >> 32; /* femtoseconds */
	if (period < 100000 || period > 100000000) {
		log_warn("HPET at %lx has an impossible period of %lu fs: not used",
			 acpi->hpet_base, period);
		return false;
	}
	r->hpet[0x10 / 8] |= 1; /* ENABLE_CNF */
	r->name = "HPET";
	r->hz = 1000000000000000ul / period;
	r->mask = caps >> 13 & 1 ? ~0ul : 0xffffffff;
	r->read = hpet_read;
	return true;
}

static bool pm_timer_open(struct reference *r, const struct acpi_info *acpi)
{
	if (!acpi->pm_timer.addr)
		return false;
	if (acpi->pm_timer.space == 1 && acpi->pm_timer.addr <= 0xfffc)
		r->port = (uint16_t)acpi->pm_timer.addr;
	else if (acpi->pm_timer.space == 0)
		r->mem = hostvm_map(acpi->pm_timer.addr, 4, MAP_W | MAP_UC);
	if (!r->port && !r->mem)
		return false;
	r->name = "ACPI PM timer";
	r->hz = PM_TIMER_HZ;
	r->mask = acpi->pm_timer_32bit ? 0xffffffff : 0xffffff;
	r->read = pm_timer_read;
	return true;
}

static bool pit_open(struct reference *r, const struct acpi_info *acpi)
{
	(void)acpi;
	out8(0x61, (uint8_t)((in8(0x61) & ~2u) | 1)); /* gate on, speaker off */
	out8(0x43, 0xb4);			      /* channel 2, lo/hi, mode 2 */
	out8(0x42, 0);
	out8(0x42, 0);
	r->name = "PIT";
	r->hz = PIT_HZ;
	r->mask = 0xffff;
	r->read = pit_read;
	return true;
}

/*
 * TSC ticks per millisecond, 0 if the reference does not run. The loop ends by the number of its
 * reads even if the reference stands still: a read takes some 100 ns at least on any machine, so 10
 * ms are over long before.
 */
static uint64_t measure_khz(const struct reference *r)
{
	uint64_t goal = r->hz * MEASURE_MS / 1000, ref = 0, last = r->read(r) & r->mask, tsc;
	unsigned reads = 0, still = 0;

	/* Begin at an edge. */
	while ((r->read(r) & r->mask) == last && still < 1000000)
		still++;
	last = r->read(r) & r->mask;
	tsc = rdtsc();
	while (ref < goal) {
		uint64_t now = r->read(r) & r->mask;

		ref += (now - last) & r->mask;
		last = now;
		if (++reads > 100000000 || (reads > 1000000 && !ref))
			return 0;
	}
	tsc = rdtsc() - tsc;
	if (!ref)
		return 0;
	/* khz = tsc / (ref / hz) / 1000; ref is at most a few times the goal. */
	return tsc * r->hz / ref / 1000;
}

static void count_wait(uint64_t since)
{
	atomic_fetch_add_explicit(&waited_ticks, rdtsc() - since, memory_order_relaxed);
}

uint64_t time_waited_ticks(void)
{
	return atomic_load_explicit(&waited_ticks, memory_order_relaxed);
}

static uint64_t measure(const struct reference *r)
{
	uint64_t start = rdtsc(), khz = measure_khz(r);

	count_wait(start);
	return khz;
}

/* CPUID.15h: TSC = crystal * EBX / EAX; 0 if the CPU does not say. */
static uint64_t cpuid_khz(void)
{
	struct cpuid_regs r;

	if (boot_cpu_features.max_leaf < 0x15)
		return 0;
	r = cpuid(0x15, 0);
	if (!r.eax || !r.ebx || !r.ecx)
		return 0;
	return (uint64_t)r.ecx * r.ebx / r.eax / 1000;
}

static bool agree(uint64_t a, uint64_t b)
{
	uint64_t diff = a > b ? a - b : b - a;

	return diff < a / 100;
}

void time_set_start(uint64_t tsc)
{
	entry_tsc = tsc;
}

int time_init(const struct acpi_info *acpi)
{
	static bool (*const open[])(struct reference *, const struct acpi_info *) = {
		hpet_open, pm_timer_open, pit_open};
	uint64_t said = cpuid_khz();

	for (size_t i = 0; i < array_count(open) && !tsc_khz; i++) {
		struct reference r = {0};

		if (!open[i](&r, acpi))
			continue;
		tsc_khz = measure(&r);
		if (tsc_khz)
			source = r.name;
		else
			log_warn("the %s does not count: trying the next clock", r.name);
	}
	if (said && tsc_khz && agree(said, tsc_khz)) {
		tsc_khz = said;
		source = "CPUID.15h";
	} else if (said && tsc_khz) {
		log_warn(
			"CPUID.15h says that the TSC runs at %lu kHz, the %s measures %lu kHz: the "
			"measurement is used",
			said, source, tsc_khz);
	} else if (said) {
		tsc_khz = said;
		source = "CPUID.15h, unconfirmed";
	}
	if (!tsc_khz)
		return E_NODEV;
	ns_per_tsc_32 = ((uint64_t)1000000 << 32) / tsc_khz;
	tsc_per_ns_32 = (tsc_khz << 32) / 1000000;
	return OK;
}

const char *time_source(void)
{
	return source;
}

uint64_t time_tsc_khz(void)
{
	return tsc_khz;
}

uint64_t time_tsc_to_ns(uint64_t tsc)
{
	return (uint64_t)((unsigned __int128)tsc * ns_per_tsc_32 >> 32);
}

uint64_t time_ns_to_tsc(uint64_t ns)
{
	return (uint64_t)((unsigned __int128)ns * tsc_per_ns_32 >> 32);
}

uint64_t time_ns(void)
{
	return time_tsc_to_ns(rdtsc() - entry_tsc);
}

void time_delay_us(unsigned us)
{
	uint64_t start = rdtsc(), span = time_ns_to_tsc((uint64_t)us * 1000);

	while (rdtsc() - start < span)
		cpu_relax();
	count_wait(start);
}
