"""Memory that VMs share, and their doorbells, as a person at the shell sees them. What guests see: batch
`doorbells` of test_guests.py."""

import re

from rig import BUILD
from vms import boot_vms, power_off

MODULES = [(BUILD / "guests" / f"{name}.bin", name) for name in ("ring-ping", "ring-pong", "ring-alone")]


def guest(name, kernel, *lines):
    keys = ["boot = flat", "memory = 4M", f"kernel = {kernel}", "exit-port = on", *lines]
    return "\n".join([f"[vm {name}]", *keys]) + "\n"


def frames(vm, owner):
    return int(re.search(rf"{owner} +(\d+) frames", vm.ask("frames"))[1])


def ended(vm, *names):
    for name in names:
        vm.seen = 0
        vm.expect(rf"VM {name} stopped: debug exit with code 0")
    vm.expect(r"(?m)^crvm> ")


def test_a_paused_peer_gets_its_ring_when_it_goes_on(boot, tmp_path):
    """On another CPU, and after it has moved to the one that rings."""
    text = guest("pong", "ring-pong", "shared = box:64K irq=10", "cpu = 1")
    text += guest("ping", "ring-ping", "shared = box:64K irq=5", "cpu = 0", "autostart = no")
    vm = boot_vms(boot, tmp_path, text, MODULES, cpus=2)
    vm.ready()
    assert "box, 64 KiB at d0000000, IRQ 10; other VMs there: 0 on; rings: 0" in vm.ask("info pong")
    vm.ask("sleep 10000")
    vm.expect(r"slept")
    vm.ask("pause pong")
    vm.ask("start ping")
    vm.expect(r"\[ping\] asks")
    vm.ask("cpu pong 0")
    assert "other VMs there: 1 on; rings: 1" in vm.ask("info pong")
    assert "other VMs there: 1 on; rings: 0" in vm.ask("info ping")
    assert "stopped" not in vm.ask("vms")
    vm.ask("resume pong")
    ended(vm, "ping", "pong")
    assert "[pong] PASS ring-pong" in vm.text and "[ping] PASS ring-ping" in vm.text
    assert "shared = box:64K irq=10" in vm.ask("config pong")
    assert "agree with their rules" in vm.ask("audit")
    power_off(vm)


def test_a_region_ends_with_its_last_vm(boot, tmp_path):
    """Its frames are free again, and its contents gone: the pair runs twice."""
    text = "".join(guest(f"alone-{cpu}", "ring-alone", f"cpu = {cpu}") for cpu in (0, 1))
    vm = boot_vms(boot, tmp_path, text, MODULES, cpus=2)
    ended(vm, "alone-0", "alone-1")
    free = frames(vm, "free")
    assert frames(vm, "shared") == 0
    flat = "; boot = flat; memory = 4M; exit-port = on"
    for _ in range(2):
        vm.ask(f"create [vm ping]; kernel = ring-ping; shared = box:64K irq=5; cpu = 0; autostart = no{flat}")
        vm.ask(f"create [vm pong]; kernel = ring-pong; shared = box:64K irq=10; cpu = 1; autostart = no{flat}")
        assert 16 <= frames(vm, "shared") <= 20
        said = vm.ask(f"create [vm big]; kernel = ring-pong; shared = box:128K{flat}")
        assert "VM big: shared region 'box' has 64 KiB, not 128 KiB: all VMs must agree" in said
        assert "no VM was made" in said
        vm.text, vm.seen = "", 0
        vm.ask("start ping")
        vm.ask("start pong")
        ended(vm, "ping", "pong")
        assert "agree with their rules" in vm.ask("audit")
        vm.ask("destroy ping")
        assert 16 <= frames(vm, "shared") <= 20
        vm.ask("destroy pong")
        assert frames(vm, "shared") == 0
        assert frames(vm, "free") == free
    power_off(vm)
