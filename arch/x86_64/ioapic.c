/*
 * IOAPICs: everything masked but what ioapic_route_* opens.
 * Source: Intel 82093AA I/O APIC data sheet, "Register Description".
 */
#include <crvm/apic.h>
#include <crvm/hostvm.h>
#include <crvm/log.h>
#include <crvm/status.h>

enum { IOAPIC_VERSION = 1, IOAPIC_REDIRECTION = 0x10 };
enum { REDIR_LOW = 1u << 13, REDIR_LEVEL = 1u << 15, REDIR_MASKED = 1u << 16 };

static struct ioapic {
	volatile uint32_t *select, *window;
	uint32_t gsi_base, inputs;
} ioapics[ACPI_IOAPIC_MAX];
static unsigned ioapic_count;

static uint32_t ioapic_read(const struct ioapic *io, uint32_t reg)
{
	*io->select = reg;
	return *io->window;
}

static void ioapic_write(const struct ioapic *io, uint32_t reg, uint32_t v)
{
	*io->select = reg;
	*io->window = v;
}

void ioapic_init(const struct acpi_info *acpi)
{
	for (unsigned i = 0; i < acpi->ioapic_count; i++) {
		uint8_t *base = hostvm_map(acpi->ioapic[i].base, 0x20, MAP_W | MAP_UC);
		struct ioapic *io = &ioapics[ioapic_count];
		uint32_t version;

		if (!base)
			continue;
		io->select = (volatile uint32_t *)(void *)base;
		io->window = (volatile uint32_t *)(void *)(base + 0x10);
		io->gsi_base = acpi->ioapic[i].gsi_base;
		version = ioapic_read(io, IOAPIC_VERSION);
		if (version == ~0u || !version) {
			log_warn("IOAPIC %u at %lx does not answer (version %08x): left out",
				 acpi->ioapic[i].id, acpi->ioapic[i].base, version);
			continue;
		}
		io->inputs = (version >> 16 & 0xff) + 1;
		for (uint32_t n = 0; n < io->inputs; n++)
			ioapic_write(io, IOAPIC_REDIRECTION + 2 * n, REDIR_MASKED);
		ioapic_count++;
	}
}

int ioapic_route_gsi(uint32_t gsi, bool active_low, bool level, uint8_t vector, uint32_t apic_id)
{
	for (unsigned i = 0; i < ioapic_count; i++) {
		const struct ioapic *io = &ioapics[i];
		uint32_t n = gsi - io->gsi_base;

		if (n >= io->inputs)
			continue;
		ioapic_write(io, IOAPIC_REDIRECTION + 2 * n + 1, apic_id << 24);
		ioapic_write(io, IOAPIC_REDIRECTION + 2 * n,
			     vector | (active_low ? REDIR_LOW : 0) | (level ? REDIR_LEVEL : 0));
		return OK;
	}
	return E_NODEV;
}

int ioapic_route_isa(const struct acpi_info *acpi, uint8_t irq, uint8_t vector, uint32_t apic_id)
{
	for (unsigned i = 0; i < acpi->override_count; i++)
		if (acpi->override[i].irq == irq)
			return ioapic_route_gsi(acpi->override[i].gsi, acpi->override[i].active_low,
						acpi->override[i].level, vector, apic_id);
	return ioapic_route_gsi(irq, false, false, vector, apic_id);
}
