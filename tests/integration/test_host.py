"""The host kernel: CPUs, time, memory protection, exceptions, panic."""

import re

import pytest

PANIC_END = r"halted \(panic=halt\)"


@pytest.mark.parametrize("cpus", [1, 2, 4, 8])
@pytest.mark.parametrize("x2apic", ["on", "off"])
def test_all_cpus_start_and_answer(boot, cpus, x2apic):
    vm = boot("bochs", cpus=cpus, mem=128, cmdline=f"x2apic={x2apic}")
    vm.ready()
    assert f"CPUs        {cpus} of {cpus} running" in vm.text
    assert ("x2APIC mode" if x2apic == "on" else "xAPIC mode") in vm.text
    answers = vm.ask("ping")
    assert re.findall(r"CPU (\d+) answered in \d+ ns", answers) == [str(i) for i in range(cpus)]
    assert len(re.findall(r"(?m)^ +\d+ +\d+  online", vm.ask("cpus"))) == cpus


def test_all_cpus_start_under_uefi(boot):
    vm = boot("qemu", cpus=4, firmware="uefi", model="max")
    vm.ready()
    assert "CPUs        4 of 4 running" in vm.text
    assert len(re.findall(r"answered in", vm.ask("ping"))) == 4


def test_cpus_option_limits(boot):
    vm = boot("qemu", cpus=4, cmdline="cpus=3")
    vm.ready()
    assert "CPUs        3 of 4 running" in vm.text


# With 4 CPUs in Bochs an instruction is a TSC tick, so this is what the path to "all CPUs up" costs, waits
# included.
def test_boot_to_all_cpus_up_is_short(boot):
    vm = boot("bochs", cpus=4, mem=512)
    ticks = vm.expect(r"4 CPUs up, (\d+) TSC ticks", timeout=90).group(1)
    assert 0 < int(ticks) < 30_000_000


# No PCI, no ACPI, no IOAPIC.
ISA_PC = ["-machine", "isapc", "-cpu", "max"]
CLOCKS = [("HPET", []), ("ACPI PM timer", ["-no-hpet"]), ("PIT", ISA_PC)]


def test_clocks_agree(boot):
    """The TSC measured by three references on one host: within 2 %."""
    mhz = []
    for name, extra in CLOCKS:
        vm = boot("qemu", cpus=1, extra=extra)
        mhz.append(float(vm.expect(rf"TSC at ([\d.]+) MHz by {name};", timeout=60).group(1)))
        vm.close()
    assert max(mhz) / min(mhz) < 1.02, mhz


@pytest.mark.parametrize("model", ["corei7_skylake_x", "corei5_arrandale_m520", "corei7_icelake_u"])
def test_clock_is_right(boot, model):
    """Bochs' TSC runs at 100 MHz by its own PIT, HPET and PM timer, whatever CPUID.15h says."""
    vm = boot("bochs", cpus=1, model=model)
    mhz = float(vm.expect(r"TSC at ([\d.]+) MHz by", timeout=90).group(1))
    assert 99.8 < mhz < 100.2


@pytest.mark.parametrize("model, mode", [("corei7_skylake_x", "TSC deadline"), ("corei5_arrandale_m520", "one-shot")])
def test_timers_fire_on_time(boot, model, mode):
    vm = boot("bochs", cpus=1, model=model)
    vm.expect(f"timers by {mode}", timeout=90)
    vm.ready()
    for us in (1000, 250_000):
        vm.type(f"sleep {us}")
        slept = int(vm.expect(rf"slept (\d+) us \(asked for {us}\)").group(1))
        assert us <= slept < us * 1.01 + 100


CRASHES = {
    "panic": "asked for by the shell",
    "read": r"#PF page fault in the hypervisor: read of 0000000000000010, not mapped",
    "write-text": r"#PF page fault in the hypervisor: write of ffffffff8[0-9a-f]{7}, not permitted",
    "write-alias": r"#PF page fault in the hypervisor: write of ffff8000[0-9a-f]{8}, not permitted",
    "execute": r"#PF page fault in the hypervisor: execution of ffffffff8[0-9a-f]{7}, not permitted",
    "opcode": "#UD invalid opcode in the hypervisor",
    "gp": "#GP general protection in the hypervisor: error code 0",
    "stack": r"#DF double fault in the hypervisor: stack overflow, [0-9a-f]+ lies in a guard page",
    "ranks": r"lock crash-low \(rank 1\) taken while ranks [0-9a-f]+ are held",
    "check": r"check failed: machine\.backend == NULL \(core/crash\.c:\d+\)",
    "other-cpu": "asked for by the shell, on another CPU",
}
# Where it happened: the function that the backtrace must name.
WHERE = {"execute": "shell_crash", "other-cpu": "panic_here", "ranks": "spin_lock"}


@pytest.mark.parametrize("kind", CRASHES)
def test_crash_is_explained(boot, kind):
    vm = boot("qemu", cpus=2, model="max")
    vm.ready()
    vm.type(f"crash {kind}")
    cpu = 1 if kind == "other-cpu" else 0
    vm.expect(rf"cpu{cpu} +error PANIC on CPU {cpu}: [^\n]*{CRASHES[kind]}", fatal=None)
    where = WHERE.get(kind, "crash_" + kind.replace("-", "_"))
    vm.expect(rf"#\d +[0-9a-f]{{16}}  {where}\+0x", fatal=None)
    vm.expect(rf"CPU {1 - cpu} was at [0-9a-f]{{16}}  \w+\+0x", fatal=None)
    vm.expect(PANIC_END, fatal=None)
    assert vm.text.count("PANIC on CPU") == 1
    vm.expect_screen(f"CPU {cpu} panicked: ")


@pytest.mark.parametrize("kind", ["stack", "write-text", "other-cpu"])
def test_crash_is_explained_in_bochs(boot, kind):
    """The same where the emulator is stricter and NMIs go by x2APIC."""
    vm = boot("bochs", cpus=2)
    vm.ready()
    vm.type(f"crash {kind}")
    vm.expect(CRASHES[kind], fatal=None)
    vm.expect(r"CPU [01] was at [0-9a-f]{16}  \w+\+0x", fatal=None)
    vm.expect(PANIC_END, fatal=None)


def test_panic_can_reboot(boot):
    vm = boot("qemu", cmdline="panic=reboot")
    vm.ready()
    vm.type("crash panic")
    vm.expect(r"rebooting in 5 s", fatal=None)
    vm.expect_end("reset")


def test_unexpected_nmi_is_survived_and_reported(boot):
    vm = boot("qemu")
    vm.ready()
    vm.type("crash nmi")
    vm.expect(r"warn +an NMI came that nobody expected")
    assert "answered" in vm.ask("ping")


def test_audit_passes_after_boot(boot):
    vm = boot("bochs", cpus=2)
    vm.ready()
    assert "agree" in vm.ask("audit")
    total = [int(n) for n in re.findall(r"(\d+) frames", vm.ask("frames"))]
    assert sum(total[:-1]) == total[-1]
