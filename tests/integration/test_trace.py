"""The `trace` command: what left the guests, from the rings to scripts/trace-decode."""

import re
import subprocess

from rig import BUILD, ROOT

GUEST = "guest name=bench mem=16M cpu=0"


def decode(text):
    run = subprocess.run([ROOT / "scripts/trace-decode"], input=text.encode(), capture_output=True, timeout=60)
    assert run.returncode == 0 and not run.stderr, run.stderr
    return run.stdout.decode().splitlines()


def test_trace_shows_the_last_exits(boot):
    vm = boot("bochs", cpus=1, modules=[(BUILD / "bench/bench.bin", GUEST)])
    vm.expect("all VMs have stopped", timeout=120)
    vm.ready()
    lines = decode(vm.ask("trace 20"))
    assert re.fullmatch(r"cpu 0: \d+ exits in all, the ring holds 1024", lines[0])
    assert len(lines) == 21
    # Nearly the last thing that the guest does is REP INS, again and again; an exit takes a microsecond or more there.
    rows = [re.search(r"cpu 0  vm 0 vcpu 0  (\S.*?)  +rip .* (\d+) cycles", line) for line in lines[1:]]
    strings = [row for row in rows if row[1] == "port I/O"]
    assert len(strings) >= 15
    assert {row[1] for row in rows} <= {"port I/O", "deadline", "hypercall"}
    assert all(int(row[2]) > 100 for row in strings)
    everything = decode(vm.ask("trace 100000"))
    assert len(everything) == 1024


def test_trace_needs_a_number(boot):
    vm = boot("qemu", cpus=1)
    vm.ready()
    for wrong in ("0", "-1", "x", "onn"):
        assert "how many exits" in vm.ask(f"trace {wrong}")
    assert "quick exits are recorded too" in vm.ask("trace on")
    assert "quick exits are not recorded" in vm.ask("trace off")
    assert vm.ask("trace").count("trace kind") > 20
