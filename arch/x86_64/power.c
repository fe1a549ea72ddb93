/*
 * Power-off and reboot, by what the ACPI tables say and then by what PCs have always done.
 * Source: ACPI Specification 6.4, "PM1 Control Registers", "Reset Register"; IBM PC AT 8042 command
 * FEh.
 */
#include <crvm/cpu.h>
#include <crvm/hostvm.h>
#include <crvm/log.h>
#include <crvm/power.h>
#include <crvm/string.h>
#include <crvm/time.h>

enum { PM1_SCI_EN = 1u << 0, PM1_SLP_EN = 1u << 13 };

static struct acpi_info power_acpi;

void power_init(const struct acpi_info *acpi)
{
	power_acpi = *acpi;
}

static bool port_of(const struct acpi_gas *gas, uint16_t *port)
{
	*port = (uint16_t)gas->addr;
	return gas->space == 1 && gas->addr && gas->addr <= 0xfffe;
}

/* The firmware hands over in legacy mode on some machines: S5 works in ACPI mode only. */
static void acpi_mode_enable(uint16_t pm1a)
{
	if ((in16(pm1a) & PM1_SCI_EN) || !power_acpi.smi_cmd || !power_acpi.acpi_enable ||
	    power_acpi.smi_cmd > 0xffff)
		return;
	out8((uint16_t)power_acpi.smi_cmd, power_acpi.acpi_enable);
	for (unsigned ms = 0; ms < 300 && !(in16(pm1a) & PM1_SCI_EN); ms++)
		time_delay_us(1000);
}

void power_off(void)
{
	uint16_t pm1a, pm1b;

	if (!power_acpi.s5 || !port_of(&power_acpi.pm1a_cnt, &pm1a))
		return;
	acpi_mode_enable(pm1a);
	out16(pm1a, (uint16_t)((in16(pm1a) & 0x203) | (power_acpi.s5_typa & 7) << 10 | PM1_SLP_EN));
	if (port_of(&power_acpi.pm1b_cnt, &pm1b))
		out16(pm1b, (uint16_t)((in16(pm1b) & 0x203) | (power_acpi.s5_typb & 7) << 10 |
				       PM1_SLP_EN));
	time_delay_us(500000);
}

static void reset_register(void)
{
	const struct acpi_gas *r = &power_acpi.reset;
	uint16_t port;
	volatile uint8_t *mem;

	if (!power_acpi.reset_supported || !r->addr)
		return;
	if (port_of(r, &port)) {
		out8(port, power_acpi.reset_value);
	} else if (r->space == 0) {
		mem = hostvm_map(r->addr, 1, MAP_W | MAP_UC);
		if (mem)
			*mem = power_acpi.reset_value;
	} else if (r->space == 2) {
		/* Configuration space of bus 0: device in bits 47:32, function 31:16, offset 15:0.
		 */
		out32(0xcf8, (uint32_t)(0x80000000 | (r->addr >> 32 & 31) << 11 |
					(r->addr >> 16 & 7) << 8 | (r->addr & 0xfc)));
		out8((uint16_t)(0xcfc + (r->addr & 3)), power_acpi.reset_value);
	}
	time_delay_us(100000);
}

static void reset_8042(void)
{
	if (power_acpi.no_8042)
		return;
	for (unsigned i = 0; i < 1000 && (in8(0x64) & 2); i++)
		time_delay_us(10);
	out8(0x64, 0xfe);
	time_delay_us(100000);
}

void power_reboot(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} packed no_idt = {0, 0};

	irq_disable();
	reset_register();
	reset_8042();
	__asm__ volatile("lidt %0; ud2" : : "m"(no_idt)); /* triple fault */
	power_halt();
}

void power_halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}
