"""What VM exits cost, in instructions, against the figures reached before (tests/bench/ceiling.json).

Bochs advances the TSC by one for each instruction, so the figures are exact and the same in every run.
"""

import importlib.machinery
import importlib.util
import json

import pytest

from rig import BUILD, ROOT


def load_bench():
    loader = importlib.machinery.SourceFileLoader("bench", str(ROOT / "scripts/bench"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench", loader))
    loader.exec_module(module)
    return module


bench = load_bench()
HELP = "`make bench` shows the table; `make bench-ceiling` makes the present figures the ceiling"


def complaints(figures, ceiling):
    """A line for each figure that is above its ceiling or has none."""
    for key in bench.KEYS:
        if key not in ceiling:
            yield f"{key}: {figures[key]} instructions, and no ceiling; {HELP}"
        elif figures[key] > ceiling[key]:
            more = figures[key] - ceiling[key]
            yield f"{key}: {figures[key]} instructions, {more} above the ceiling of {ceiling[key]}; {HELP}"


MEASURED = [key for key in bench.ROWS if key != "boot_to_guest"]
CONSOLE = "\n".join(
    [f"crvm> [bench] bench {key} {100 + i} {i} {200 + i}" for i, key in enumerate(MEASURED)]
    + ["[bench] bench done", "    first entered 5000 TSC ticks after the boot loader's jump, 1000 of them spent"]
)


def test_console_is_parsed():
    figures = bench.parse_console(CONSOLE)
    assert figures["cpuid"] == 100 and figures["boot_to_guest"] == 4000
    assert bench.spread(CONSOLE)["cpuid"] == (0, 200)


@pytest.mark.parametrize("lost", ["bench cpuid", "bench rep_ins_512", "bench done", "first entered"])
def test_a_missing_figure_is_an_error(lost):
    with pytest.raises(bench.BenchError):
        bench.parse_console("\n".join(line for line in CONSOLE.splitlines() if lost + " " not in line + " "))


def test_table_marks_missed_goals():
    figures = bench.parse_console(CONSOLE)
    lines = list(bench.table(figures | {"cpuid": 101, "vmcall": 100}, {}))
    assert any(line.startswith("CPUID, leaf 0") and "100 !" in line for line in lines)
    assert any(line.startswith("VMCALL") and "!" not in line for line in lines)
    assert lines[-1].startswith("goals missed: ") and "CPUID, leaf 0" in lines[-1]


def test_complaints_say_by_how_much():
    figures = bench.parse_console(CONSOLE)
    ceiling = {key: figures[key] for key in bench.KEYS}
    assert not list(complaints(figures, ceiling))
    assert not list(complaints(figures, ceiling | {"cpuid": 1000}))
    (line,) = complaints(figures, ceiling | {"cpuid": 90})
    assert line.startswith("cpuid: 100 instructions, 10 above the ceiling of 90")
    del ceiling["vmcall"]
    assert [line.split(":")[0] for line in complaints(figures, ceiling)] == ["vmcall"]


def test_no_figure_exceeds_its_ceiling(boot):
    guest = BUILD / "bench/bench.bin"
    vm = boot("bochs", cpus=1, modules=[(guest, bench.GUEST), (guest, bench.KERNEL)])
    vm.expect(bench.DONE, timeout=bench.TIMEOUT)
    vm.ready()
    vm.ask("vms")
    figures = bench.parse_console(vm.text)
    ceiling = json.loads(bench.CEILING.read_text())
    assert not list(complaints(figures, ceiling))
