"""scripts/crvm-client against a shell in a machine, and scripts/exit-chart on what `stats VM raw` prints."""

import os
import pty
import socket
import subprocess
import threading
import tty

import pytest

from rig import ROOT

STATS = """\
crvm> stats one raw
stats begin version=1 vm=one state=running tsc_khz=100000 tsc=1000 ran=500000
stats ticks due=134 raised=134 owed=0 merged=0
stats exit 6 300 3000 64 port I/O
stats exit 11 100 9000 195 HLT
stats end
crvm> stats two raw
\x1b[K  stats begin version=1 vm=two state=running tsc_khz=100000 tsc=1000 ran=100000
stats exit 8 1 160 160 CPUID\r
stats end
crvm> stats one raw
stats begin version=1 vm=one state=running tsc_khz=100000 tsc=2000 ran=900000
stats exit 6 310 3900 64 port I/O
stats exit 11 140 9100 195 HLT
stats end
stats begin version=1 vm=one state=running tsc_khz=100000 tsc=2000 ran=900000
stats exit 6 999 3900 64 cut off
"""


def chart(text, *args):
    run = subprocess.run(
        [ROOT / "scripts/exit-chart", "--width", "70", *args], input=text, capture_output=True, text=True, timeout=60
    )
    return run.returncode, run.stdout.splitlines(), run.stderr


def test_chart_of_counts():
    code, lines, _ = chart(STATS)
    assert code == 0
    assert lines[0] == "VM one: 450 exits; ran 9 ms"
    assert lines[1].startswith("  port I/O                          310  68.9% #")
    assert lines[2].startswith("  HLT                               140  31.1% #")
    assert len(lines[1]) == 70
    assert abs(lines[2].count("#") / lines[1].count("#") - 140 / 310) < 0.05
    assert lines[3:] == ["VM two: 1 exits; ran 1 ms", lines[4]] and "CPUID" in lines[4]


def test_chart_of_cycles():
    code, lines, _ = chart(STATS, "--by", "cycles")
    assert code == 0
    assert [line.split()[:2] for line in lines[1:3]] == [["HLT", "9100"], ["port", "I/O"]]


def test_chart_of_what_was_added():
    code, lines, _ = chart(STATS, "--since")
    assert code == 0
    assert lines[0] == "VM one: 50 exits; ran 4 ms"
    assert lines[1].split()[:2] == ["HLT", "40"] and lines[2].split()[:3] == ["port", "I/O", "10"]


NO_COUNTERS = ["", "crvm> vms\n", STATS.replace("version=1", "version=2"), "stats begin version=1\n"]


@pytest.mark.parametrize("text", NO_COUNTERS)
def test_chart_without_counters(text):
    code, lines, error = chart(text)
    assert (code, lines) == (1, []) and error.startswith("exit-chart: ")


def client(where, *command, timeout="30"):
    run = subprocess.run(
        [ROOT / "scripts/crvm-client", "-d", where, "-t", timeout, *command],
        capture_output=True,
        text=True,
        timeout=120,
    )
    return run.returncode, run.stdout, run.stderr


class Bridge:
    """Carries bytes between a file descriptor and the machine's serial line, until stopped."""

    def __init__(self, vm, read, write):
        self.vm, self.read, self.write, self.over = vm, read, write, False
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self.to_machine, self.from_machine)]
        for thread in self.threads:
            thread.start()

    def to_machine(self):
        while data := self.read():
            self.vm.machine.send(data)

    def from_machine(self):
        while not self.over:
            data = self.vm.machine.read(0.2)
            if data is None:
                return
            if data:
                self.write(data)

    def stop(self):
        self.over = True
        self.threads[1].join()


def test_client_over_tcp(boot):
    vm = boot("qemu", cpus=2)
    vm.ready()
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"127.0.0.1:{server.getsockname()[1]}"

        def serve(count):
            for _ in range(count):
                connection, _ = server.accept()
                with connection:
                    bridge = Bridge(vm, lambda c=connection: c.recv(4096), connection.sendall)
                    bridge.threads[0].join()
                    bridge.stop()

        thread = threading.Thread(target=serve, args=(5,), daemon=True)
        thread.start()
        code, out, _ = client(where, "ping")
        assert code == 0 and out.startswith("CPU 0 answered in ") and out.count("\n") == 2
        code, out, _ = client(where, "loglevel", "loud")
        assert code == 1 and out.startswith("loglevel: one of err, warn, info, debug, not 'loud'")
        assert client(where, "pi")[0] == 0
        assert client(where, "nonsense")[:2] == (1, "no command 'nonsense': type help for the list\n")
        assert client(where, "s")[0] == 1
        thread.join()


def test_client_over_a_pseudo_terminal(boot):
    vm = boot("qemu")
    vm.ready()
    vm.send("half a comm")
    master, slave = pty.openpty()
    tty.setraw(slave)
    bridge = Bridge(vm, lambda: os.read(master, 4096), lambda data: os.write(master, data))
    code, out, error = client(os.ttyname(slave), "frames")
    assert code == 0 and "hypervisor" in out, error
    bridge.stop()


def test_client_without_an_answer(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        code, _, error = client(f"127.0.0.1:{server.getsockname()[1]}", "vms", timeout="0.5")
        assert code == 2 and "no answer" in error
    assert client(str(tmp_path / "nothing"), "vms")[0] == 2
    assert client("", "vms")[0] == 2
    assert client("x:1", "two\nlines")[0] == 2
