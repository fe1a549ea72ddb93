/*
 * The backend's self-test, on a VM made for it and gone afterwards: the shell's `selftest`.
 */
#include <crvm/cpu.h>
#include <crvm/string.h>
#include <crvm/time.h>

#include "log_priv.h"
#include "machine.h"
#include "vm.h"

static void print(void *ctx, const char *text)
{
	(void)ctx;
	log_printf("%s\n", text);
}

void selftest(void)
{
	const struct virt_backend *b = machine.backend;
	static const uint8_t hlt = 0xf4;
	const struct vm_image image = {&hlt, sizeof(hlt)};
	struct vm_config config = {
		.mem = 64 << 10, .at = 0x7c00, .cpus = 1, .cpu = 0, .vpid = true};
	uint64_t free = frames_count(FRAME_FREE);
	unsigned tried, wrong = 0;
	struct vm *vm;
	struct vcpu *v;

	if (machine.verdict.count || !b->selftest) {
		log_printf("selftest: this machine cannot run VMs\n");
		return;
	}
	sched_unload();
	(void)str_copy(config.name, sizeof(config.name), "selftest", 8);
	if (vm_create(&config, &image, &vm))
		return;
	v = &vm->vcpu[0].v;
	irq_disable();
	b->vcpu_load(v);
	v->deadline = rdtsc() + time_ns_to_tsc(1000000);
	tried = b->selftest(v, print, NULL, &wrong);
	b->vcpu_unload(v);
	irq_enable();
	vm_destroy(vm);
	log_printf("selftest: %u entries tried, %u not as they should be; %lu frames lost\n", tried,
		   wrong, free - frames_count(FRAME_FREE));
}
