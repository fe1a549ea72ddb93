"""Sharing CPUs and memory: ticks, weights, sleepers, and how many VMs fit.

Bochs counts instructions, so shares and ticks are exact and the same in every run. SLOW makes its CPU a tenth as
fast, so that a minute of the guests' time does not take a minute of ours; all clocks in it agree.
"""

import datetime
import re
import subprocess

import pytest
from rig import ROOT
from vms import IMAGES, ask_labos, boot_vms, expect_prompts, focus, labos, power_off, report, unfocus

SLOW = "cpu: ips=10000000"
BUSY = ("labos-busy.img",)


def busy(name, **keys):
    """A VM that never sleeps, pinned to CPU 0."""
    return labos(name, disk0="labos-busy.img", disk1="", disk2="", cpu=0, **keys)


def run_for(vm, seconds):
    """Lets that much of the machine's time go by."""
    vm.type(f"sleep {int(seconds * 1e6)}")
    vm.expect(r"slept \d+ us", timeout=300)


def free_kib(vm):
    return 4 * int(re.search(r"free +(\d+) frames", vm.ask("frames"))[1])


def shares(vm, names, seconds):
    """Milliseconds that each had of the CPU meanwhile."""
    before = report(vm)
    run_for(vm, seconds)
    after = report(vm)
    return [after[n]["ran"] - before[n]["ran"] for n in names]


@pytest.mark.parametrize("cmdline", ["", "without=preemption-timer"])
def test_equal_weights_get_equal_time(boot, tmp_path, cmdline):
    """Slices end by the VMX-preemption timer, or by the local APIC's."""
    names = ["a", "b", "c"]
    vm = boot_vms(boot, tmp_path, "".join(busy(n) for n in names), BUSY, extra=[SLOW], cmdline=cmdline)
    expect_prompts(vm, names)
    ran = shares(vm, names, 10)
    assert sum(ran) > 9500, "somebody else had the CPU"
    for r in ran:
        assert abs(r / (sum(ran) / 3) - 1) < 0.03, ran
    vms = report(vm)
    of_timer = [vms[n].get("deadline", 0) for n in names]
    assert any(of_timer) != bool(cmdline), of_timer
    power_off(vm)


def test_time_is_shared_by_weight(boot, tmp_path):
    names = ["a", "b", "c"]
    config = "".join(busy(n, weight=w) for n, w in zip(names, (100, 200, 400)))
    vm = boot_vms(boot, tmp_path, config, BUSY, extra=[SLOW])
    expect_prompts(vm, names)
    ran = shares(vm, names, 10)
    for r, weight in zip(ran, (1, 2, 4)):
        assert abs(r / (sum(ran) * weight / 7) - 1) < 0.05, ran
    power_off(vm)


def test_no_tick_is_lost_in_a_minute(boot, tmp_path):
    """Three busy VMs on one CPU, catching up: ticks are as many as time says. One coalesces: its ticks merge."""
    names = ["a", "b", "c"]
    config = busy("a") + busy("b") + busy("c", ticks="coalesce")
    vm = boot_vms(boot, tmp_path, config, BUSY, extra=[SLOW])
    expect_prompts(vm, names)
    before = report(vm)
    run_for(vm, 60)
    after = report(vm)
    passed = {n: {k: after[n][k] - before[n][k] for k in ("up", "due", "raised", "merged")} for n in names}
    for name in names:
        p = passed[name]
        assert abs(p["due"] - p["up"] * 0.1) <= 2, (name, p)
    for name in ("a", "b"):
        assert passed[name]["merged"] == 0
        assert abs(passed[name]["raised"] - passed[name]["due"]) <= 3, passed
    merged = passed["c"]["merged"] / passed["c"]["due"]
    assert 0.28 < merged < 0.38, "of three ticks in a round, one comes while the last one waits"
    focus(vm, 1, "a")  # what the guest itself has counted
    first, up = int(re.search(r"\d+", ask_labos(vm, "ticks"))[0]), after["a"]["up"]
    unfocus(vm)
    now = report(vm)["a"]["up"]
    assert up / 10 - 300 <= first <= now / 10
    power_off(vm)


def clock(text):
    date = re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text)[0]
    return datetime.datetime.strptime(date, "%Y-%m-%d %H:%M:%S").timestamp()


def test_the_clock_is_right(boot, tmp_path):
    """The guest's RTC against CRVM's clock, read before and after: while all sleep, time in Bochs flies."""
    vm = boot_vms(boot, tmp_path, labos("a"))
    expect_prompts(vm, ["a"])
    for _ in range(10):
        before = clock(vm.ask("machine"))
        focus(vm, 1, "a")
        guest = clock(ask_labos(vm, "date"))
        unfocus(vm)
        after = clock(vm.ask("machine"))
        if after - before <= 1:
            break
    assert after - before <= 1 and before - 1 <= guest <= after, (before, guest, after)
    power_off(vm)


def test_a_sleeping_vm_costs_nothing(boot, tmp_path):
    """Exits of a VM that waits in HLT: those of its timer, at most three for each tick."""
    vm = boot_vms(boot, tmp_path, labos("a"))
    expect_prompts(vm, ["a"])
    before = report(vm)["a"]
    run_for(vm, 5)
    after = report(vm)["a"]
    ticks = after["raised"] - before["raised"]
    assert abs(ticks - (after["up"] - before["up"]) / 10) <= 2
    assert after["all"] - before["all"] <= 3 * ticks
    assert after["ran"] - before["ran"] <= 0.01 * (after["up"] - before["up"])
    power_off(vm)


def test_64_vms_in_2_gib(boot, tmp_path):
    names = [f"vm-{i}" for i in range(1, 65)]
    config = "".join(labos(n, disk1="", disk2="") for n in names)
    vm = boot_vms(boot, tmp_path, config, mem=2048)
    expect_prompts(vm, names, timeout=400)
    before = report(vm)
    run_for(vm, 2)
    after = report(vm)
    for name in names:
        up = after[name]["up"] - before[name]["up"]
        assert abs(after[name]["raised"] - before[name]["raised"] - up / 10) <= 20, name
    assert "agree with their rules" in vm.ask("audit", timeout=60)
    power_off(vm)


def test_one_more_vm_costs_little(boot, tmp_path):
    """docs/limits.md: what it takes beside its RAM with one disk; and more once it has printed 8 KiB."""
    vm = boot_vms(boot, tmp_path, labos("a", disk1="", disk2=""))
    expect_prompts(vm, ["a"])
    before = free_kib(vm)
    vm.type("create " + vm.ask("config a").strip().replace("[vm a]", "[vm b]"))
    vm.expect(r"\[b\] labos>", timeout=60)
    cost = before - free_kib(vm) - 16384
    assert cost == report(vm)["b"]["beside"] <= 80
    focus(vm, 2, "b")
    end = len(vm.text) + 12000
    while len(vm.text) < end:
        ask_labos(vm, "help")
    unfocus(vm)
    assert cost < before - free_kib(vm) - 16384 <= cost + 64 + 4
    vm.send("\x012\x01r")
    vm.expect(r"(?s)--- b .*to learn with.*labos> $", timeout=60)
    unfocus(vm)
    power_off(vm)


def test_images_of_other_formats(boot, tmp_path):
    """A qcow2 copy of the system, on a disk larger than it."""
    small = tmp_path / "labos.qcow2"
    subprocess.run([ROOT / "scripts/sparse-disk", "-f", "raw", IMAGES / "labos.img", small], check=True)
    assert small.stat().st_size < (IMAGES / "labos.img").stat().st_size / 2
    vm = boot_vms(boot, tmp_path, labos("a", disk0="small size=64M"), [(small, "small")])
    expect_prompts(vm, ["a"])
    assert "disk 0: 65536 KiB" in vm.text
    power_off(vm)
