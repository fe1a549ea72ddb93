"""Guests that make VMs by hypercalls, and end them: nothing is lost. See test_childvm.py for one that runs one."""

import re

from rig import BUILD
from vms import boot_vms, power_off


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
