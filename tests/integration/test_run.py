"""`make run` and scripts/vm as a user meets them: on a terminal (a pty), and in a pipe."""

import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from pathlib import Path

import pytest
from rig import ROOT, SCALE, make_iso

from machine import kvm_verdict

VM = ROOT / "scripts/vm"
CLEAN_ENV = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL")}


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, args, **env):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.text = ""
        self.process = subprocess.Popen(
            args,
            cwd=ROOT,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            env={**CLEAN_ENV, **env},
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(30)
        os.close(self.master)
        os.close(self.slave)

    def expect(self, pattern, timeout=120):
        deadline = time.monotonic() + timeout * SCALE
        while not re.search(pattern, self.text):
            left = deadline - time.monotonic()
            assert left > 0, f"no {pattern!r} in:\n{self.text}"
            if select.select([self.master], [], [], left)[0]:
                self.text += os.read(self.master, 65536).decode(errors="replace")

    def send(self, data):
        os.write(self.master, data)

    def finish(self, timeout=60):
        """The exit status; the terminal must be as it was."""
        deadline = time.monotonic() + timeout * SCALE
        while self.process.poll() is None:  # a program whose output nobody takes would not end
            assert time.monotonic() < deadline, f"does not end:\n{self.text}"
            if select.select([self.master], [], [], 0.05)[0]:
                self.text += os.read(self.master, 65536).decode(errors="replace")
        while select.select([self.master], [], [], 0)[0]:
            self.text += os.read(self.master, 65536).decode(errors="replace")
        assert termios.tcgetattr(self.slave) == self.before
        return self.process.returncode


@pytest.fixture
def toy_vm(toy, machine_dir):
    """Arguments that boot the toy."""
    machine_dir.mkdir(parents=True, exist_ok=True)
    return [VM, "--dir", machine_dir, make_iso(toy)]


def emulators_in(directory):
    """The processes that run in a directory."""
    found = []
    for cwd in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if cwd.readlink() == directory:
                found.append(int(cwd.parent.name))
        except OSError:
            pass  # it has ended, or is not ours
    return found


def test_make_run_picks_a_machine_boots_and_ends_by_power_off():
    with Terminal(["make", "run", "CPUS=2", "MEM=256"]) as t:
        usable, why = kvm_verdict()
        t.expect(re.escape(why))
        t.expect("run: QEMU with KVM:" if usable else "run: Bochs:")
        t.expect(r"run: 2 CPUs \(.*\), 256 MiB")
        t.expect(r"leave with Ctrl-\]")
        if not usable:
            t.expect(r"booting in Bochs \.\.\. \d+ s")
        t.expect("crvm> ")
        t.send(b"poweroff\r")
        t.expect("has ended: poweroff")
        assert t.finish() == 0, t.text


@pytest.mark.parametrize("machine", ["bochs", "qemu"])
def test_ctrl_right_bracket_leaves(toy_vm, machine_dir, machine):
    with Terminal(toy_vm, MACHINE=machine, CPUS="1", MEM="64") as t:
        t.expect("crvm> ")
        assert emulators_in(machine_dir)
        t.send(b"abc")
        t.expect("crvm> abc")
        t.send(b"\x1d")
        assert t.finish() == 0
        assert r"left with Ctrl-]" in t.text
    assert not emulators_in(machine_dir)


def test_ctrl_c_is_for_the_guest(toy_vm):
    with Terminal(toy_vm, MACHINE="qemu", CPUS="1", MEM="64") as t:
        t.expect("crvm> ")
        t.send(b"\x03\x1a\x04!")
        t.expect("crvm> \x03\x1a\x04!")
        t.send(b"q")
        assert t.finish() == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_everything_and_restores_the_terminal(toy_vm, machine_dir, signum):
    with Terminal(toy_vm, MACHINE="qemu", CPUS="1", MEM="64") as t:
        t.expect("crvm> ")
        assert termios.tcgetattr(t.slave) != t.before
        t.process.send_signal(signum)
        assert t.finish() == 1
        assert f"ended by {signum.name}" in t.text
    assert not emulators_in(machine_dir)


def test_emulator_does_not_survive_us(toy_vm, machine_dir):
    with Terminal(toy_vm, MACHINE="qemu", CPUS="1", MEM="64") as t:
        t.expect("crvm> ")
        t.process.kill()
        t.process.wait()
        deadline = time.monotonic() + 10
        while emulators_in(machine_dir) and time.monotonic() < deadline:
            time.sleep(0.05)  # nobody tells us when the grandchild has gone
    assert not emulators_in(machine_dir)


def test_death_of_the_emulator_is_told(toy_vm, machine_dir):
    with Terminal(toy_vm, MACHINE="bochs", CPUS="1", MEM="64") as t:
        t.expect("crvm> ")
        t.send(b"t")
        t.expect("has ended: crash")
        assert t.finish() == 1
        assert "triple fault" in t.text


def test_piped_input_waits_for_the_prompt_and_the_run_for_the_end(toy_vm):
    env = {**CLEAN_ENV, "MACHINE": "bochs", "CPUS": "1", "MEM": "64"}
    done = subprocess.run(toy_vm, cwd=ROOT, input=b"xyzq", capture_output=True, env=env, timeout=120 * SCALE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.replace(b"\r", b"").endswith(b"crvm> xyz")
    assert b"booting in" not in done.stderr  # nobody looks


@pytest.mark.parametrize("env, message", [({"MACHINE": "vax"}, "MACHINE=vax"), ({"CPUS": "x"}, "CPUS=x")])
def test_wrong_wishes_are_named(toy_vm, env, message):
    done = subprocess.run(toy_vm, cwd=ROOT, capture_output=True, text=True, env={**CLEAN_ENV, **env})
    assert done.returncode == 1 and message in done.stderr
