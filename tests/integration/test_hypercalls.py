"""A guest that is a VMM by hypercalls: guest-images/childvm runs a VM of its own and is its serial port."""

import re

from rig import BUILD
from vms import boot_vms, focus, power_off

CHILDVM = (BUILD / "guest-images/childvm.elf", "childvm.elf")


def config(name, privileged):
    return f"[vm {name}]\nboot = multiboot\nkernel = childvm.elf\nmemory = 4M\nprivileged = {privileged}\n"


def test_a_guest_runs_a_child_and_is_its_serial_port(boot, tmp_path):
    vm = boot_vms(boot, tmp_path, config("vmm", "yes") + config("plain", "no"), [CHILDVM], cpus=2)
    vm.seen = 0
    vm.expect(r"\[vmm\] child: hello from the child")
    assert re.search(r"\[plain\] childvm: no child: error 1: this VM needs `privileged = yes`", vm.text)
    vm.expect(r"(?m)^crvm> ")
    assert "agree with their rules" in vm.ask("audit")
    focus(vm, 1, "vmm")
    vm.send("spoken to the child\r")
    vm.expect(r"SPOKEN TO THE CHILD")
    vm.send("\x1b")
    vm.expect(r"child: goodbye")
    vm.expect(r"childvm: the child has ended: HLT with interrupts off")
    vm.expect(r"VM vmm stopped: HLT with interrupts off")
    vm.expect(r"(?m)^crvm> ")
    assert "agree with their rules" in vm.ask("audit")
    power_off(vm)


def free_frames(boot, tmp_path, kernel):
    """Frames that are free after this guest has ended, and one on each CPU has run."""
    modules = [(BUILD / "guests" / f"{name}.bin", name) for name in ("admin", "child", "child-spin", "witness")]
    flat = "boot = flat\nmemory = 4M\nexit-port = on\nprivileged = yes\n"
    text = f"[vm one]\n{flat}kernel = {kernel}\ncpu = 0\n[vm two]\n{flat}kernel = witness\ncpu = 1\n"
    vm = boot_vms(boot, tmp_path, text, modules, cpus=2)
    vm.seen = 0
    vm.expect(r"VM one stopped: debug exit with code 0", timeout=120)
    vm.expect(r"(?m)^crvm> ")
    assert "agree with their rules" in vm.ask("audit")
    free = int(re.search(r"free +(\d+) frames", vm.ask("frames"))[1])
    power_off(vm)
    return free


def test_no_frame_is_lost_by_those_that_come_and_go(boot, tmp_path):
    """VMs and children made and destroyed some 200 times, some of them while they ran."""
    unused = free_frames(boot, tmp_path, "witness")
    assert free_frames(boot, tmp_path, "admin") == unused
    assert free_frames(boot, tmp_path, "child") == unused
