/*
 * core/vms.c: which VMs come of the boot modules, and which do not. Creation and start are
 * stand-ins.
 * needs: core/vms.c core/vm_config.c core/config_keys.c core/config_check.c core/config_report.c
 * needs: core/config_modules.c lib/text.c lib/printf.c tests/fake/panic.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/status.h>
#include "../../core/machine.h"
#include "../../core/vm.h"
#include "panic.h"

struct machine machine;
struct vm *vms[VM_MAX];
unsigned vm_count;
uintptr_t direct_map_base;

static struct vm made[VM_MAX];
static unsigned starts, holds;
static int create_error, start_error;
static bool said_any;

int vm_create(const struct vm_config *config, const struct vm_image *own, struct vm **out)
{
	(void)out;
	if (create_error)
		return create_error;
	made[vm_count] = (struct vm){.config = *config, .own = *own};
	memcpy(made[vm_count].name, config->name, sizeof(config->name));
	vms[vm_count] = &made[vm_count];
	vm_count++;
	return OK;
}

int vm_start(struct vm *vm)
{
	assert_int_equal(holds, 1);
	starts++;
	if (!start_error)
		atomic_store(&vm->state, VM_RUNNING);
	return start_error;
}

void vm_hold(void)
{
	holds++;
}

void vm_unhold(bool any)
{
	holds--;
	said_any = any;
}

static int vms_setup(void **state)
{
	(void)state;
	memset(&machine, 0, sizeof(machine));
	memset(vms, 0, sizeof(vms));
	vm_count = starts = holds = fake_log_count = 0;
	create_error = start_error = OK;
	said_any = false;
	return 0;
}

static void module(const char *cmdline, const char *content)
{
	struct boot_module *m = &machine.boot.module[machine.boot.module_count++];

	snprintf(m->cmdline, sizeof(m->cmdline), "%s", cmdline);
	m->start = (uintptr_t)content;
	m->end = m->start + strlen(content);
}

static void expect_vms(const char *names)
{
	char all[256] = "";

	for (unsigned i = 0; i < vm_count; i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s ", vms[i]->name);
	assert_string_equal(all, names);
}

static void test_each_module_makes_its_vms(void **state)
{
	(void)state;
	module("config", "[vm a]\nkernel = k\nboot = flat\n[vm b]\nkernel = k\nboot = flat\n"
			 "autostart = no\n");
	module("k", "kernel");
	module("guest name=c boot=flat", "own kernel");
	module("config", "[vm d]\nkernel = k\nboot = flat\n");
	vms_start();
	expect_vms("a b c d ");
	assert_int_equal(starts, 3);
	assert_true(said_any);
	assert_int_equal(made[2].own.len, strlen("own kernel"));
	assert_null(made[0].own.data);
}

static void test_on_an_unfit_machine_there_are_none(void **state)
{
	(void)state;
	module("guest name=c boot=flat", "own kernel");
	machine.verdict.count = 1;
	vms_start();
	expect_vms("");
}

static void test_modules_are_found_by_their_first_word(void **state)
{
	(void)state;
	module("firmware and more", "rom");
	module("firm", "other");
	assert_int_equal(vms_module("firmware").len, 3);
	assert_int_equal(vms_module("firm").len, 5);
	assert_null(vms_module("fir").data);
	assert_null(vms_module("firmware and").data);
	assert_null(vms_module("none").data);
}

/* Both ways to configure a VM, with a module that is not there. */
static void test_a_missing_module_leaves_the_vm_out(void **state)
{
	(void)state;
	module("config", "[vm a]\nkernel = k\nboot = flat\n"
			 "[vm b]\nkernel = k2\nboot = flat\n");
	module("k2", "kernel");
	module("guest name=c boot=flat disk1=missing", "own kernel");
	module("guest name=d boot=multiboot module=missing", "own kernel");
	module("guest name=e boot=disk", "own disk");
	vms_start();
	expect_vms("b ");
	assert_int_equal(starts, 1);
}

static void test_a_name_is_given_once(void **state)
{
	(void)state;
	module("guest name=c boot=flat", "one");
	module("guest name=c boot=flat", "another");
	vms_start();
	expect_vms("c ");
	assert_int_equal(made[0].own.len, 3);
}

static void test_bad_words_are_told(void **state)
{
	(void)state;
	module("guest nonsense=1", "x");
	module("config", "[vm a]\nnonsense = 1\n");
	vms_start();
	expect_vms("");
	assert_true(fake_log_count >= 3);
	assert_false(said_any);
}

static void test_errors_in_creation_and_start_leave_the_others(void **state)
{
	(void)state;
	module("guest name=a boot=flat", "x");
	module("guest name=b boot=flat", "x");
	start_error = E_INVAL;
	vms_start();
	assert_int_equal(starts, 2);
	assert_int_equal(holds, 0);
	assert_false(said_any);
	vms_setup(NULL);
	create_error = E_NOMEM;
	module("guest name=a boot=flat", "x");
	vms_start();
	expect_vms("");
}

/* Later ones only: those that run or were stopped are left alone. */
static void test_autostart_is_for_new_ones(void **state)
{
	struct vm_config_sink sink = {0};
	static const char text[] = "[vm b]\nkernel = k\nboot = flat\n";

	(void)state;
	module("k", "kernel");
	module("guest name=a boot=flat", "x");
	vms_start();
	atomic_store(&made[0].state, VM_STOPPED);
	assert_int_equal(vms_create(text, sizeof(text) - 1, &sink), 1);
	vms_autostart();
	assert_int_equal(starts, 2);
	assert_int_equal(atomic_load(&made[0].state), VM_STOPPED);
	assert_int_equal(atomic_load(&made[1].state), VM_RUNNING);
}

#define T(name) cmocka_unit_test_setup(name, vms_setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_each_module_makes_its_vms),
		T(test_on_an_unfit_machine_there_are_none),
		T(test_modules_are_found_by_their_first_word),
		T(test_a_missing_module_leaves_the_vm_out),
		T(test_a_name_is_given_once),
		T(test_bad_words_are_told),
		T(test_errors_in_creation_and_start_leave_the_others),
		T(test_autostart_is_for_new_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
