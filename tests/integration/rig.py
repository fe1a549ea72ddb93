"""The test rig: boots an ISO in an emulator and talks to it over the serial line.

A test gets the fixture `boot` (see conftest.py):

    def test_version(boot):
        vm = boot("bochs", cmdline="loglevel=debug", cpus=4)
        vm.expect(r"CRVM")
        vm.ready()                               # waits for the shell's prompt
        assert "CPUs" in vm.ask("boot")          # one command, its output
        vm.type("poweroff")
        vm.expect_end("poweroff")

Each machine's files are in build/integration/TEST/: serial.log (all of it, raw), bochsrc and bochs.log,
output.log. A failure shows what was waited for, the last serial lines, the CPUs' state and the command that
runs this one case again. Time-outs are wall-clock seconds, made longer by CRVM_TIME_SCALE on slow machines.
"""

import codecs
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from machine import Machine, MachineError  # noqa: E402

BUILD = ROOT / os.environ.get("B", "build")
LOGS = BUILD / "integration"
READY = r"crvm> "
# Once one of these lines is there, what is waited for will not come any more.
FATAL = r"PANIC on CPU .*"
SCALE = float(os.environ.get("CRVM_TIME_SCALE", "1"))
BOOT_TIMEOUT = 90
TIMEOUT = 30
TAIL_LINES = 40

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PARTIAL_ESCAPE = re.compile(r"\x1b(\[[0-9;?]*)?$")


class RigFailure(AssertionError):
    """What was expected of the machine did not happen; the text says all there is to know."""


def make_iso(kernel, cmdline="", modules=()):
    """An ISO with this kernel, command line and modules (a path, or a pair path, command line)."""
    args = ["-k", str(kernel), "-c", cmdline]
    digest = hashlib.sha256(cmdline.encode() + b"\0")
    for name in (kernel, ROOT / "iso/grub.cfg", ROOT / "scripts/mkiso"):
        digest.update(Path(name).read_bytes())
    for module in modules:
        path, line = (module, Path(module).name) if isinstance(module, (str, Path)) else module
        digest.update(line.encode() + b"\0" + Path(path).read_bytes())
        args.append(f"{path}={line}")
    iso = LOGS / "iso" / f"{digest.hexdigest()[:16]}.iso"
    iso.parent.mkdir(parents=True, exist_ok=True)
    with open(iso.with_suffix(".lock"), "w") as lock:  # the other worker may want the same one
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not iso.exists():
            subprocess.run([ROOT / "scripts/mkiso", "-o", iso, *args], check=True)
    return iso


class Session:
    """One booted machine and what it said."""

    def __init__(self, spec, directory, rerun):
        shutil.rmtree(directory, ignore_errors=True)
        self.machine = Machine(spec, directory)
        self.dir = self.machine.dir
        self.rerun = rerun
        self.decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.partial = ""  # an escape sequence whose end has not come yet
        self.text = ""  # what was received, without escape sequences and carriage returns
        self.seen = 0  # everything before was matched by an expect()
        self.ended = False
        self.log = open(self.dir / "serial.log", "wb", buffering=0)
        self.machine.start()

    def close(self):
        self.machine.kill()
        self.log.close()

    # ---- receiving ------------------------------------------------------------------------------

    def receive(self, timeout):
        """Takes what comes within `timeout` seconds at most; notes the machine's end."""
        data = self.machine.read(timeout)
        if data is None:
            self.ended = True
            return
        self.log.write(data)
        text = self.partial + self.decoder.decode(data)
        partial = PARTIAL_ESCAPE.search(text)
        self.partial = partial.group() if partial else ""
        text = text[: len(text) - len(self.partial)]
        self.text += ESCAPE.sub("", text).replace("\r", "")

    def expect(self, pattern, timeout=TIMEOUT, fatal=FATAL):
        """Waits until the regular expression matches behind the last match; returns the match.

        `fatal` matching first is a failure, as is the machine's end; None: nothing is fatal.
        """
        __tracebackhide__ = True
        deadline = time.monotonic() + timeout * SCALE
        while True:
            match = re.compile(pattern).search(self.text, self.seen)
            if match:
                self.seen = match.end()
                return match
            if self.ended:
                self.fail(f"the machine ended while waiting for {pattern!r}")
            bad = fatal and re.compile(fatal).search(self.text, self.seen)
            if bad:
                self.linger(2)
                bad = re.compile(fatal).search(self.text, self.seen)
                self.fail(f"{bad.group()!r} while waiting for {pattern!r}")
            left = deadline - time.monotonic()
            if left <= 0:
                self.fail(f"nothing matched {pattern!r} within {timeout * SCALE:g} s")
            self.receive(left)

    def linger(self, seconds):
        """Collects output until there is none for `seconds`: the rest of a dump, for instance."""
        deadline = time.monotonic() + 20
        while not self.ended and time.monotonic() < deadline:
            before = len(self.text)
            self.receive(seconds)
            if len(self.text) == before:
                return

    def ready(self, timeout=BOOT_TIMEOUT):
        """Waits for the shell's prompt after power-on."""
        __tracebackhide__ = True
        return self.expect(READY, timeout)

    def expect_end(self, how="poweroff", timeout=TIMEOUT):
        """Waits for the machine's end, which must be `how`: poweroff, reset or crash."""
        __tracebackhide__ = True
        deadline = time.monotonic() + timeout * SCALE
        while not self.ended:
            left = deadline - time.monotonic()
            if left <= 0:
                self.fail(f"the machine did not end ({how}) within {timeout * SCALE:g} s")
            self.receive(left)
        what, detail = self.machine.ending()
        if what != how:
            self.fail(f"the machine ended by {what} {detail}, not by {how}")

    def expect_screen(self, pattern, timeout=BOOT_TIMEOUT):
        """Waits until the VGA text screen shows the pattern: for machines that say nothing on the line."""
        __tracebackhide__ = True
        deadline = time.monotonic() + timeout * SCALE
        while not re.search(pattern, self.screen_text()):
            if self.ended or time.monotonic() > deadline:
                self.fail(f"the screen did not show {pattern!r} within {timeout * SCALE:g} s")
            self.receive(0.5)

    # ---- sending --------------------------------------------------------------------------------

    def send(self, text):
        """Types exactly this."""
        self.machine.send(text.encode())

    def type(self, line):
        """Types a line and Enter."""
        self.send(line + "\r")

    def ask(self, command, timeout=TIMEOUT):
        """Types a command at the prompt; returns what it prints, up to the next prompt."""
        __tracebackhide__ = True
        self.type(command)
        self.expect(re.escape(command) + r"\n", timeout)
        at = self.seen
        end = self.expect(r"(?m)^" + READY, timeout).start()
        return self.text[at:end]

    def screen_text(self):
        """The VGA text screen as lines."""
        text = self.machine.screen_text()
        self.machine.resume()
        return text

    # ---- failing --------------------------------------------------------------------------------

    def tail(self):
        lines = self.text.splitlines()
        return "\n".join(f"  | {line}" for line in lines[-TAIL_LINES:]) or "  (nothing)"

    def fail(self, why):
        __tracebackhide__ = True
        if self.ended:
            what, detail = self.machine.ending()
            state = f"The machine has ended: {what} {detail}"
        else:
            try:
                state = "CPU state:\n" + self.machine.cpu_state()
            except MachineError as e:
                state = f"CPU state: not to be had: {e}"
            (self.dir / "cpu-state.log").write_text(state + "\n")
        raise RigFailure(
            f"{why}\n\nThe last serial lines (all: {self.dir}/serial.log):\n{self.tail()}\n\n{state}\n\n"
            f"The emulator, in {self.dir}:\n  {self.machine.command_line()}\n"
            f"This case alone:\n  {self.rerun}\n"
        )
