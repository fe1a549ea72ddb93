"""Test guests (tests/guests) in VMs: each batch of tests/guests/cases.py is one boot.

CRVM_GUESTS=a,b runs only these VMs of a batch.
"""

import os
import re
import sys
import time

import pytest

from rig import BUILD, ROOT

sys.path.insert(0, str(ROOT / "tests/guests"))

from cases import BATCHES  # noqa: E402

WANTED = [name for name in os.environ.get("CRVM_GUESTS", "").split(",") if name]

# The prompt is drawn again with each line.
PROMPT = r"(?:crvm> )*"


def chosen(batch):
    return [c for c in batch.cases if not WANTED or c.name in WANTED]


def module_of(index, case, cpus):
    cpu = case.cpu if case.cpu >= 0 else index % cpus
    line = f"guest name={case.name} mem={case.mem} cpu={cpu} vpid={'on' if case.vpid else 'off'}"
    if case.privileged:
        line += " privileged=yes"
    if case.shared:
        line += f' "shared={case.shared}"'
    return BUILD / "guests" / f"{case.file}.bin", line


def lines_of(text, name):
    return re.findall(rf"(?m)^{PROMPT}\[{re.escape(name)}\] (.*)$", text)


def faults_of(case, text, counters):
    """What is wrong with how this VM ran, as lines of text."""
    stop = re.search(rf"(?m)^{PROMPT}VM {re.escape(case.name)} stopped: (.*)$", text)
    said = lines_of(text, case.name)
    if not stop:
        if case.ends:
            yield "it has not stopped"
    elif not re.fullmatch(case.stop, stop[1]):
        yield f"it stopped by {stop[1]!r}, not {case.stop!r}"
    rest = iter(said)
    for pattern in case.lines:
        if not any(re.fullmatch(pattern, line) for line in rest):
            yield f"it did not print {pattern!r} (in this order)"
    bad = [line for line in said if re.fullmatch(case.absent, line)]
    if bad:
        yield from bad
    if case.limits and "all" not in counters.get(case.name, {}):
        yield "`vms` does not tell how often it exited"
    for kind, limit in case.limits.items():
        count = counters.get(case.name, {}).get(kind, 0)
        if count > limit:
            yield f"{count} exits of kind {kind!r}; {limit} are allowed"


def counters_of(text):
    """{VM: {kind of exit: count}} out of what `vms` prints."""
    vms, of = {}, {}
    for line in text.splitlines():
        head = re.match(r"  VM \d+ (\S+): ", line)
        if head:
            of = vms.setdefault(head[1], {})
            continue
        row = re.match(r"\s+(\S.*?)\s+(\d+)\b", line)
        if row:
            of[row[1]] = int(row[2])
    return vms


def wait_for_end(machine, cases, seconds):
    """Until each VM has stopped, or said its last line if it may run for ever; in whatever order."""
    deadline = time.monotonic() + seconds
    for case in cases:
        name = re.escape(case.name)
        last = rf"VM {name} stopped: .*\n" if case.ends else rf"\[{name}\] {case.lines[-1]}\n" if case.lines else ""
        machine.seen = 0
        machine.expect(rf"(?m)^{PROMPT}{last}", timeout=max(1, deadline - time.monotonic()))
    machine.seen = len(machine.text)


@pytest.mark.parametrize("batch", [pytest.param(b, id=b.name) for b in BATCHES if chosen(b)])
def test_guests(boot, batch):
    cases = chosen(batch)
    missing = [c.file for c in cases if not (BUILD / "guests" / f"{c.file}.bin").exists()]
    assert not missing, f"not built (make guests): {missing}"
    modules = [module_of(i, c, batch.cpus) for i, c in enumerate(cases)]
    modules += [(BUILD / "guests" / f"{name}.bin", name) for name in batch.modules]
    machine = boot("bochs", modules=modules, cpus=batch.cpus, mem=batch.mem, extra=list(batch.extra))
    faults = []
    try:
        wait_for_end(machine, cases, batch.seconds)
    except AssertionError as e:
        faults.append(str(e))
    counters = {} if faults else counters_of(machine.ask("vms"))
    text = machine.text
    for case in cases:
        faults += [f"{case.name}: {fault}" for fault in faults_of(case, text, counters)]
    if not faults:
        assert "agree with their rules" in machine.ask("audit")
        machine.type("poweroff")
        machine.expect_end("poweroff")
    assert not faults, "\n".join(faults)


def test_guest_table_is_complete():
    """Every guest is in the table, and every entry can be a VM."""
    sources = {p.stem for mode in ("real", "prot", "long") for p in (ROOT / "tests/guests" / mode).glob("*.c")}
    assert {case.file for batch in BATCHES for case in batch.cases} == sources
    for batch in BATCHES:
        names = [case.name for case in batch.cases]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"[a-z0-9-]{1,15}", name) for name in names)
        assert all(case.cpu < batch.cpus for case in batch.cases)
