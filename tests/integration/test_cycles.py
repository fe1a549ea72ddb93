"""A thousand VMs and two hundred children are made and destroyed by a guest, and no frame is lost."""

import re

from rig import BUILD
from vms import boot_vms, power_off

FLAT = "boot = flat\nexit-port = on\nmemory = 4M\n"


def frames(vm):
    """{owner: frames} as the shell tells it."""
    found = {owner: int(n) for owner, n in re.findall(r"(?m)^ +(\S.*?) +(\d+) frames", vm.ask("frames"))}
    assert {"free", "hypervisor", "total"} <= found.keys()
    return found


def test_a_thousand_vms_leave_no_trace(boot, tmp_path):
    # `first` has run before the frames are counted: what a CPU needs for its first VM is taken once.
    text = f"[vm first]\n{FLAT}kernel = witness\n"
    text += f"[vm cycles]\n{FLAT}kernel = cycles\nprivileged = yes\nautostart = no\n"
    modules = [(BUILD / "guests" / f"{name}.bin", name) for name in ("cycles", "witness", "real-mode")]
    vm = boot_vms(boot, tmp_path, text, modules)
    vm.seen = 0
    vm.expect(r"VM first stopped: debug exit with code 0")
    vm.expect(r"(?m)^crvm> ")
    before = frames(vm)
    vm.type("start cycles")
    vm.expect(r"VM cycles stopped: debug exit with code 0", timeout=120)
    vm.expect(r"(?m)^crvm> ")
    assert len(set(re.findall(r"VM (by-\d-\d{4}): \d+ KiB, boot = flat", vm.text))) == 1000
    # Both kinds of ends: by themselves and from outside.
    assert re.search(r"VM by-\d-\d+ stopped: debug exit with code 0", vm.text)
    assert re.search(r"VM by-\d-\d+ stopped: from outside", vm.text)
    assert frames(vm) == before
    assert "agree with their rules" in vm.ask("audit")
    power_off(vm)
