"""The end of a machine's run."""

import pytest


@pytest.mark.parametrize("kind, firmware", [("bochs", "bios"), ("qemu", "bios"), ("qemu", "uefi")])
def test_poweroff(boot, kind, firmware):
    vm = boot(kind, firmware=firmware)
    vm.ready()
    vm.type("poweroff")
    vm.expect_end("poweroff")


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_reboot(boot, firmware):
    vm = boot("qemu", firmware=firmware)
    vm.ready()
    vm.type("reboot")
    vm.expect_end("reset")


def test_reboot_starts_again(boot):
    vm = boot("qemu", reboot=True)
    vm.ready()
    vm.type("reboot")
    vm.expect("rebooting")
    vm.ready()


def test_reboot_in_bochs_reaches_the_8042(boot):
    """Bochs has no reset register, and its BIOS gives up after a reset by the 8042: it ends there."""
    vm = boot("bochs", cpus=1)
    vm.ready()
    vm.type("reboot")
    vm.expect("rebooting")
    vm.expect_end("crash")


def test_poweroff_without_acpi_says_what_to_do(boot):
    vm = boot("qemu", cpus=1, extra=["-machine", "isapc", "-cpu", "max"])
    vm.ready()
    assert "ACPI        no tables found" in vm.text
    assert "does not power off by ACPI" in vm.ask("poweroff", timeout=60)
