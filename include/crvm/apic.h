/*
 * Local APIC, IOAPIC and the masked 8259 pair (arch/x86_64/lapic.c, ioapic.c).
 * Source: Intel SDM Vol. 3A, "Advanced Programmable Interrupt Controller (APIC)"; Intel 82093AA
 * IOAPIC data sheet; Intel 8259A data sheet.
 */
#pragma once

#include <crvm/acpi.h>
#include <crvm/compiler.h>

/*
 * Chooses xAPIC or x2APIC mode for the machine: x2APIC if present and allowed, or already on. Boot
 * CPU. E_NODEV if there is no local APIC or it cannot be reached.
 */
must_check int lapic_init(uint64_t mmio_base, bool allow_x2apic);
/* Turns this CPU's on, with LVT entries masked but for NMIs of the MADT (`uid`: this CPU's ACPI
 * number). */
void lapic_init_cpu(const struct acpi_info *acpi, uint32_t uid);
bool lapic_is_x2apic(void);
uint32_t lapic_id(void);
void lapic_eoi(void);

/* Fixed interrupt, NMI, INIT and start-up to one CPU, by its APIC ID. */
void lapic_send_fixed(uint32_t apic_id, uint8_t vector);
void lapic_send_nmi(uint32_t apic_id);
void lapic_send_init(uint32_t apic_id);
void lapic_send_startup(uint32_t apic_id, uint8_t page);

/* The timer counts down at the bus clock divided by 1; `deadline`: TSC-deadline mode instead. */
void lapic_timer_mode(bool deadline);
void lapic_timer_count(uint32_t initial); /* 0 stops it */
uint32_t lapic_timer_current(void);

/* Masks both 8259s and moves their vectors to VECTOR_PIC, so that a spurious one cannot look like
 * an exception. */
void pic_disable(void);

/* Masks every input of every IOAPIC; broken ones are reported and left out. */
void ioapic_init(const struct acpi_info *acpi);
/* Routes an ISA interrupt (or a GSI) to a vector on one CPU, unmasked. E_NODEV if no IOAPIC has
 * that input. */
must_check int ioapic_route_isa(const struct acpi_info *acpi, uint8_t irq, uint8_t vector,
				uint32_t apic_id);
must_check int ioapic_route_gsi(uint32_t gsi, bool active_low, bool level, uint8_t vector,
				uint32_t apic_id);
