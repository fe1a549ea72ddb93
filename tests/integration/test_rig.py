"""The rig's own tests, with a toy instead of the hypervisor: what it reports can be believed."""

import re

import pytest
from machine import kvm_verdict
from rig import LOGS, RigFailure

MACHINES = ["bochs", "qemu"]


@pytest.fixture(params=MACHINES)
def vm(request, boot, toy):
    session = boot(request.param, image=toy, cpus=1, mem=64)
    session.expect("CRVM's toy")
    session.ready()
    return session


def test_echoes_both_ways_without_loss(vm):
    text = "".join(chr(c) for c in range(ord("A"), ord("Z"))) * 8
    vm.send(text)
    assert vm.expect(r"[A-Z]{200}").group() == text


def test_power_off_is_recognised(vm):
    vm.send("q")
    vm.expect_end("poweroff")


def test_triple_fault_is_no_power_off(vm):
    vm.send("t")
    with pytest.raises(RigFailure, match="not by poweroff"):
        vm.expect_end("poweroff")


def test_time_out_shows_all_that_helps(vm, request):
    vm.send("XYZZYh")
    with pytest.raises(RigFailure) as failure:
        vm.expect("this will not come", timeout=3)
    text = str(failure.value)
    assert "'this will not come' within 3" in text
    assert "| crvm> XYZZY" in text
    assert "600dcafe" in text.lower()  # what the toy put in a register
    assert f"make test-integration K='{request.node.nodeid.rsplit('/')[-1]}'" in text
    assert (vm.dir / "serial.log").read_bytes().endswith(b"XYZZY")
    assert LOGS in vm.dir.parents


def test_end_of_the_machine_ends_the_waiting(vm):
    vm.send("q")
    with pytest.raises(RigFailure, match="ended while waiting"):
        vm.expect("this will not come", timeout=60)


def test_panic_ends_the_waiting(vm):
    vm.send("p")
    with pytest.raises(RigFailure, match="'PANIC on CPU 0: asked for it' while waiting"):
        vm.expect("this will not come", timeout=60)


def test_text_screen_can_be_read(vm):
    assert vm.screen_text().startswith("AB")
    vm.send("-goes on-")
    vm.expect("-goes on-")


def test_kvm_runs_or_says_why_not(boot, toy):
    vm = boot("kvm", image=toy, cpus=1, mem=64)  # skips without nested VMX
    vm.ready()
    assert kvm_verdict()[0]


def test_bochs_debugger_answers_however_soon_it_is_asked_again(boot, toy):
    """A signal that comes just when the machine goes on must not be lost, nor break the command that is being read."""
    vm = boot("bochs", image=toy, cpus=2, mem=64)
    vm.ready()
    times = []
    for _ in range(150):
        answer = vm.machine.ask_debugger("ptime", timeout=5)
        times += re.findall(r"(?m)^ptime: (\d+)$", answer) or [answer]
        vm.machine.resume()
    assert all(map(str.isdecimal, times)), [text for text in times if not text.isdecimal()]
    assert len(times) == 150 and sorted(times, key=int) == times and times[0] != times[-1]


def test_boots_in_bochs_are_identical_to_the_instruction(boot, toy):
    """What makes a failure in Bochs repeatable."""
    ticks = []
    for _ in range(2):
        vm = boot("bochs", image=toy, cpus=2, mem=64)
        vm.ready()
        registers = vm.machine.ask_debugger("set $cpu=0", "r")
        ticks.append(re.search(r"rdi: (\S+)", registers).group(1))  # the toy's RDTSC at the prompt
        vm.close()
    assert ticks[0] == ticks[1] != "00000000_00000000"
