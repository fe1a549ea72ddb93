"""Several operating systems side by side: they start, keep apart, and what befalls one is its own affair."""

import re

import pytest

from vms import ask_labos, boot_vms, expect_prompts, focus, labos, power_off, report, unfocus


def test_three_at_once(boot, tmp_path):
    names = ["red", "green", "blue"]
    vm = boot_vms(boot, tmp_path, labos("red", "32M") + labos("green") + labos("blue"), cpus=2)
    expect_prompts(vm, names)
    for name in names:
        assert f"[{name}] swap test passed" in vm.text
        assert f"[{name}] file test passed" in vm.text
    vms = report(vm)
    assert [vms[n]["memory"] for n in names] == [32768, 16384, 16384]
    assert {vms[n]["cpu"] for n in names} == {0, 1}, "they are not spread over the CPUs"
    assert all(vms[n]["state"] == "running" for n in names)
    assert "agree with their rules" in vm.ask("audit")
    power_off(vm)


def test_a_keyboard_is_typed_on(boot, tmp_path):
    """Shift and pasting, too: labos reads the codes by IRQ1 and keeps few, so most must wait in the console."""
    vm = boot_vms(boot, tmp_path, labos("pc", input="keyboard"))
    expect_prompts(vm, ["pc"])
    focus(vm, 1, "pc")
    text = 'The "Quick" Fox: {}|~ @#$%^&*()_+ <>?'
    assert ask_labos(vm, f"echo {text}") == f"{text}\n"
    lines = [f"echo line {n} of many" for n in range(40)]
    vm.send("".join(f"{line}\r" for line in lines))
    for line in lines:
        vm.expect(rf"{line}\n{line.removeprefix('echo ')}\n")
    unfocus(vm)
    power_off(vm)


def test_a_cpu_that_lacks_what_can_be_done_without(boot, tmp_path):
    without = "without=preemption-timer,tsc-offset,rdtscp"
    vm = boot_vms(boot, tmp_path, labos("one") + labos("two"), cmdline=without)
    expect_prompts(vm, ["one", "two"])
    for name in ("VMX-preemption timer", "use TSC offsetting", "enable RDTSCP"):
        assert f'without "{name}", as asked' in vm.text
    focus(vm, 2, "two")
    assert "matrix passed" in ask_labos(vm, "matrix")
    unfocus(vm)
    assert "agree with their rules" in vm.ask("audit")
    power_off(vm)


def test_disks_are_private_and_outlive_a_reset(boot, tmp_path):
    vm = boot_vms(boot, tmp_path, labos("one") + labos("two"))
    expect_prompts(vm, ["one", "two"])
    focus(vm, 1, "one")
    ask_labos(vm, "write note only-in-one")
    assert "only-in-one" in ask_labos(vm, "cat note")
    focus(vm, 2, "two")
    assert "note" not in ask_labos(vm, "ls")
    focus(vm, 1, "one")
    vm.send("crash port92\r")
    vm.expect(r"(?m)^labos> ", timeout=60)
    assert "only-in-one" in ask_labos(vm, "cat note")
    unfocus(vm)
    power_off(vm)


LOCAL = {
    "triple": r"VM ill stopped: triple fault",
    "hang": r"VM ill stopped: HLT with interrupts off",
}


@pytest.mark.parametrize("kind", LOCAL)
def test_a_crash_stays_local(boot, tmp_path, kind):
    """The VM stops; the other one keeps time to the tick."""
    vm = boot_vms(boot, tmp_path, labos("ill") + labos("well"))
    expect_prompts(vm, ["ill", "well"])
    before = report(vm)["well"]
    focus(vm, 1, "ill")
    vm.send(f"crash {kind}\r")
    vm.expect(LOCAL[kind])
    vm.expect(r"(?m)^crvm> ")
    focus(vm, 2, "well")
    assert "hello" in ask_labos(vm, "echo hello")
    unfocus(vm)
    vms = report(vm)
    assert vms["ill"]["state"] == "stopped"
    well = vms["well"]
    passed = well["up"] - before["up"]
    assert abs((well["raised"] - before["raised"]) - passed / 10) <= 2
    assert well["merged"] == before["merged"]
    power_off(vm)


@pytest.mark.parametrize("kind", ["8042", "port92"])
def test_a_reset_restarts_the_vm(boot, tmp_path, kind):
    vm = boot_vms(boot, tmp_path, labos("a") + labos("b", restart="never"))
    expect_prompts(vm, ["a", "b"])
    focus(vm, 1, "a")
    vm.send(f"crash {kind}\r")
    vm.expect(r"CRVM firmware")
    vm.expect(r"(?m)^labos> ", timeout=60)
    focus(vm, 2, "b")
    vm.send(f"crash {kind}\r")
    vm.expect(r"VM b stopped: the guest reset the machine \(restart = never\)")
    vm.expect(r"(?m)^crvm> ")
    assert report(vm)["a"]["state"] == "running"
    power_off(vm)


def test_a_crash_restarts_the_vm_if_it_is_told_to(boot, tmp_path):
    vm = boot_vms(boot, tmp_path, labos("phoenix", restart="always"))
    expect_prompts(vm, ["phoenix"])
    for _ in range(5):
        focus(vm, 1, "phoenix")
        vm.send("crash triple\r")
        vm.expect(r"(?m)^labos> ", timeout=60)
        unfocus(vm)
    assert vm.text.count("VM phoenix, vCPU 0: triple fault") == 5
    power_off(vm)


@pytest.mark.parametrize("kind", ["disk", "wild", "nomem", "div0", "userread", "userinsn"])
def test_labos_answers_what_the_machine_tells_it(boot, tmp_path, kind):
    """Errors that the hardware reports end in labos, not in the VM."""
    vm = boot_vms(boot, tmp_path, labos("a", restart="never"))
    expect_prompts(vm, ["a"])
    focus(vm, 1, "a")
    vm.send(f"crash {kind}\r")
    vm.expect(r"(?m)^labos> |panic|halted", timeout=30)
    unfocus(vm)
    assert "a" in report(vm)
    power_off(vm)


def test_bad_sections_are_named_and_good_ones_start(boot, tmp_path):
    config = labos("good") + "[vm bad]\nmemory = lots\n" + "[vm absent]\nmemory = 16M\ndisk0 = nowhere.img\n"
    vm = boot_vms(boot, tmp_path, config)
    expect_prompts(vm, ["good"])
    line = config[: config.index("memory = lots")].count("\n") + 1
    assert re.search(rf"config:{line}:\d+: bad: .*lots", vm.text)
    assert re.search(r"config:\d+:\d+: absent: .*nowhere\.img", vm.text)
    assert "VM bad is left out" in vm.text and "VM absent is left out" in vm.text
    assert list(report(vm)) == ["good"]
    power_off(vm)


def test_one_that_does_not_fit_leaves_the_others_alone(boot, tmp_path):
    vm = boot_vms(boot, tmp_path, labos("small") + labos("huge", "2G") + labos("other"))
    expect_prompts(vm, ["small", "other"])
    assert re.search(r"VM huge cannot be made: no memory \(2097152 KiB wanted, \d+ KiB free\)", vm.text)
    assert list(report(vm)) == ["small", "other"]
    power_off(vm)


def test_without_autostart_it_waits(boot, tmp_path):
    vm = boot_vms(boot, tmp_path, labos("runs") + labos("waits", autostart="no"))
    expect_prompts(vm, ["runs"])
    assert "[waits]" not in vm.text
    assert report(vm)["waits"]["state"] == "created"
    power_off(vm)
