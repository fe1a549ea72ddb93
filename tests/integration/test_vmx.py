"""VMX itself: failed entries are explained, VMs are kept apart."""

import re


def test_every_failed_entry_is_explained(boot):
    """Some 450 mistakes, one at a time: the CPU refuses each, and the auditor names the very rule and field."""
    vm = boot("bochs", cpus=1)
    vm.ready()
    shown = vm.ask("selftest", timeout=120)
    tried, wrong, lost = map(
        int, re.search(r"(\d+) entries tried, (\d+) not as they should be; (\d+) frames lost", shown).groups()
    )
    assert tried > 400
    assert (wrong, lost) == (0, 0), shown
    log = (vm.dir / "bochs.log").read_text(errors="replace")
    refused = len(re.findall("VMENTER FAIL|VMFAIL|PDPTRs Checks Failed", log))
    assert refused >= tried - 3, "Bochs refused fewer than we were told"
    assert "agree" in vm.ask("audit")
