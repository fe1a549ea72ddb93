"""VMX itself: failed entries are explained, VMs are kept apart."""

import re
import subprocess

import pytest
from rig import ROOT


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


WRONG = {
    "a write to a read-only field": "vmcs_write_EXIT_REASON(0);",
    "64 bits into a field of 32": "uint64_t v = 1ul << 40; vmcs_write_PIN_CTLS(v);",
    "32 bits into a field of 16": "uint32_t v = 70000; vmcs_write_VPID(v);",
}


@pytest.mark.parametrize("what", [None, *WRONG])
def test_wrong_vmcs_access_does_not_compile(tmp_path, what):
    """The accessors are typed by the table of fields; the first case shows that a right one compiles."""
    body = WRONG.get(what, "vmcs_write_PIN_CTLS(vmcs_read_EXIT_REASON());")
    (tmp_path / "x.c").write_text(f'#include "vmx/vmcs.h"\nvoid f(void);\nvoid f(void)\n{{\n\t{body}\n}}\n')
    flags = ["-std=gnu17", "-O2", "-mcmodel=kernel", "-fno-pic", "-Wall", "-Wconversion", "-Werror"]
    done = subprocess.run(["gcc", *flags, "-Iinclude", "-I.", "-c", tmp_path / "x.c", "-o", "/dev/null"], cwd=ROOT)
    assert (done.returncode == 0) == (what is None)
