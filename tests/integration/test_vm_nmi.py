"""NMIs for a VM by the shell's command `nmi`, as by a PC's NMI button: tests/guests/long/nmi.c tells how many it wants.

What Bochs 2.7 cannot show: that an NMI of the host leaves the guest's blocking alone (there the bit
stays set after such an exit, see docs/limits.md).
"""

import pytest

from rig import BUILD
from vms import focus, power_off, report, unfocus

# Kicks of a VM that runs on the shell's CPU, and on another one.
CPUS = {"same-cpu": (1, 0), "other-cpu": (2, 1)}


def start(boot, where):
    cpus, cpu = CPUS[where]
    guest = BUILD / "guests/nmi.bin"
    return boot("bochs", modules=[(guest, f"guest name=nmi mem=4M cpu={cpu}")], cpus=cpus)


def expect_line(vm, line):
    """From the VM, whether it has the console or not; the prompt before it may have been seen already."""
    vm.expect(rf"\b{line}\n", fatal=r"FAIL nmi.*\n|VM nmi stopped.*\n")


def send_nmis(vm, number):
    for _ in range(number):
        vm.ask("nmi nmi")


def type_letter(vm):
    focus(vm, 1, "nmi")
    vm.send("g")
    expect_line(vm, r"\w+: \d+")
    unfocus(vm)


@pytest.mark.parametrize("where", CPUS)
def test_each_nmi_comes_once_and_when_it_may(boot, where):
    vm = start(boot, where)
    for phase in ("hlt", "running", "cli"):
        expect_line(vm, f"{phase}: 1")
        send_nmis(vm, 1)
    expect_line(vm, "handler: 1")
    send_nmis(vm, 1)
    expect_line(vm, "waits")
    send_nmis(vm, 3)
    type_letter(vm)  # to the phase `nested`
    send_nmis(vm, 1)
    expect_line(vm, "waits")
    send_nmis(vm, 3)
    type_letter(vm)  # to the phase `shadow`
    send_nmis(vm, 8)
    expect_line(vm, "PASS nmi")
    vm.expect(r"VM nmi stopped: debug exit with code 0")
    vm.seen = len(vm.text)
    assert report(vm)["nmi"]["HLT"] == 1
    power_off(vm)


def test_nmi_for_nobody(boot):
    vm = start(boot, "same-cpu")
    vm.ready()
    assert "which VM?" in vm.ask("nmi somebody")
    assert "which VM?" in vm.ask("nmi 2")
    assert "which VM?" in vm.ask("nmi")
    power_off(vm)
