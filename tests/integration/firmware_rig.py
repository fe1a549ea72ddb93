"""What the tests of the firmware share: QEMU's machine without PCI, and an agent in it that calls interrupts.

The agent is firmware_agent.S, a boot sector that obeys commands on COM2, so that each service can be checked register
by register from Python; COM1 stays the firmware's console. There is no CRVM in this.
"""

import re
import select
import socket
import struct
import subprocess
import time

import pytest
from rig import BUILD, ROOT, SCALE

FIRMWARE = BUILD / "guest-images/firmware.bin"
TIMEOUT = 15 * SCALE
CF, ZF, IF = 1, 0x40, 0x200
NAMES = ("eax", "ebx", "ecx", "edx", "esi", "edi", "ebp", "esp")
GARBAGE = {"eax": 0xA5A50000, "ebx": 0xB1B10000, "ecx": 0xC2C20000, "edx": 0xD3D30000, "esi": 0xE4E40000}
GARBAGE |= {"edi": 0xF5F50000, "ebp": 0x16161616}
MIB = 2048  # sectors


# ---- a machine and its agent --------------------------------------------------------------------


class Wire:
    """One end of a byte stream; the other is the emulator's."""

    def __init__(self):
        self.ours, self.theirs = socket.socketpair()
        self.text = ""
        self.dead = False  # it did not answer once: nobody waits long for it again

    def read(self, size, timeout=TIMEOUT):
        data = b""
        deadline = time.monotonic() + (0.1 if self.dead else timeout)
        while len(data) < size:
            if not select.select([self.ours], [], [], max(0, deadline - time.monotonic()))[0]:
                self.dead = True
                raise AssertionError(f"{size} bytes expected, {data!r} came")
            more = self.ours.recv(size - len(data))
            assert more, "the machine has ended"
            data += more
        return data

    def drain(self, quiet=0.3):
        """What comes until nothing comes any more."""
        while select.select([self.ours], [], [], quiet)[0]:
            more = self.ours.recv(4096)
            if not more:
                break
            self.text += more.decode("latin-1")
        text, self.text = self.text, ""
        return text

    def expect(self, pattern, timeout=TIMEOUT):
        deadline = time.monotonic() + timeout
        while not (match := re.search(pattern, self.text)):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.ours], [], [], left)[0]:
                raise AssertionError(f"{pattern!r} did not come, but {self.text!r}")
            more = self.ours.recv(4096)
            assert more, f"the machine ended: {self.text!r}"
            self.text += more.decode("latin-1")
        self.text = self.text[match.end() :]
        return match


class Machine:
    """QEMU with the firmware; `disks` by position, None: there is no such disk."""

    def __init__(self, disks=(), mem=64, extra=()):
        self.com1, self.com2, self.monitor = Wire(), Wire(), Wire()
        wires = (self.com1, self.com2, self.monitor)
        args = ["qemu-system-i386", "-machine", "isapc", "-cpu", "qemu32", "-vga", "none", "-net", "none"]
        args += ["-display", "none", "-no-reboot", "-bios", str(FIRMWARE), "-m", str(mem)]
        args += ["-rtc", "base=2026-11-22T06:30:15"]
        for i, wire in enumerate(wires):
            args += ["-chardev", f"socket,id=w{i},fd={wire.theirs.fileno()}"]
        args += ["-serial", "chardev:w0", "-serial", "chardev:w1", "-mon", "chardev=w2"]
        for i, disk in enumerate(disks):
            if disk:
                args += ["-drive", f"file={disk},format=raw,if=ide,index={i},media=disk"]
        self.process = subprocess.Popen(
            args + list(extra), pass_fds=[w.theirs.fileno() for w in wires], stdin=subprocess.DEVNULL
        )
        for wire in wires:
            wire.theirs.close()

    def close(self):
        self.process.kill()
        self.process.wait()

    def started(self):
        """Waits for the agent; returns drive, cs, ip, ss, sp, ds, es, flags."""
        assert self.com2.read(1) == b"A"
        return struct.unpack("<B7H", self.com2.read(15))

    def call(self, vector, flags=IF, **regs):
        """INT vector; registers by full name, or 16-bit names, which leave garbage in the upper half."""
        values = dict(GARBAGE)
        segments = {"ds": 0, "es": 0}
        for name, value in regs.items():
            if name in segments:
                segments[name] = value
            elif name in values:
                values[name] = value
            else:
                values["e" + name] = values["e" + name] & 0xFFFF0000 | value
        self.sent = dict(values, esp=0x5EED0000, **segments)
        words = [self.sent[n] for n in NAMES] + [segments["ds"], segments["es"], flags | 2, vector]
        self.com2.ours.sendall(b"I" + struct.pack("<8I4H", *words))
        return Answer(self.com2.read(40), self.sent)

    def peek(self, segment, offset, size):
        self.com2.ours.sendall(b"R" + struct.pack("<3H", offset, segment, size))
        return self.com2.read(size)

    def poke(self, segment, offset, data):
        self.com2.ours.sendall(b"W" + struct.pack("<3H", offset, segment, len(data)) + data)
        assert self.com2.read(1) == b"k"

    def word(self, segment, offset):
        return struct.unpack("<H", self.peek(segment, offset, 2))[0]

    def inb(self, port):
        self.com2.ours.sendall(b"i" + struct.pack("<H", port))
        return self.com2.read(1)[0]

    def outb(self, port, value):
        self.com2.ours.sendall(b"o" + struct.pack("<HB", port, value))
        assert self.com2.read(1) == b"k"

    def keys(self, *names):
        for name in names:
            self.monitor.ours.sendall(f"sendkey {name} 20\n".encode())
            time.sleep(0.15 * SCALE)

    def screen(self, row, column=0, size=80):
        return self.peek(0xB800, (row * 80 + column) * 2, size * 2)[::2].decode("latin-1")


class Answer:
    """Registers after an interrupt."""

    def __init__(self, data, sent):
        *words, self.ds, self.es, self.flags, _vector = struct.unpack("<8I4H", data)
        for name, value in zip(NAMES, words):
            setattr(self, name, value)
            setattr(self, name[1:], value & 0xFFFF)
        for letter in "abcd":
            setattr(self, letter + "l", getattr(self, letter + "x") & 0xFF)
            setattr(self, letter + "h", getattr(self, letter + "x") >> 8)
        self.carry, self.zero = bool(self.flags & CF), bool(self.flags & ZF)
        self.sent = sent
        # Nobody may lose the stack, its upper half, or the interrupt flag.
        assert self.esp == 0x5EED7BF0, hex(self.esp)

    def kept(self, *changed):
        """All registers but these are as they were."""
        names = set(NAMES + ("ds", "es")) - set(changed) - {"esp"}
        different = {n: hex(getattr(self, n)) for n in names if getattr(self, n) != self.sent[n]}
        assert not different, different
        return self


@pytest.fixture(scope="session")
def agent(tmp_path_factory):
    """The agent's boot sector."""
    out = tmp_path_factory.mktemp("agent") / "agent.bin"
    flags = ["-m32", "-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0x7c00", "-Wl,--build-id=none", "-Wl,-e,start"]
    source = ROOT / "tests/integration/firmware_agent.S"
    subprocess.run(["gcc", *flags, "-Wl,--oformat=binary", source, "-o", out], check=True)
    assert out.stat().st_size == 512
    return out.read_bytes()


def pattern(lba):
    """Sector `lba` of a test disk."""
    return (struct.pack("<I", lba) * 128)[:512]


def make_disk(path, sectors, boot=b""):
    """A disk whose first 400 sectors and last 8 tell their number; the rest is a hole."""
    with open(path, "wb") as f:
        f.truncate(sectors * 512)
        for lba in [*range(min(400, sectors)), *range(max(0, sectors - 8), sectors)]:
            f.seek(lba * 512)
            f.write(pattern(lba))
        f.seek(0)
        f.write(boot or pattern(0)[:510] + b"\0\0")
    return path


@pytest.fixture
def machines():
    """machines(disks, mem) -> Machine, ended after the test."""
    running = []

    def start(*args, **kwargs):
        running.append(Machine(*args, **kwargs))
        return running[-1]

    yield start
    for machine in running:
        machine.close()


@pytest.fixture(scope="module")
def vm(agent, tmp_path_factory):
    """One machine for all tests that leave it as it was: three disks, one in each kind of geometry."""
    where = tmp_path_factory.mktemp("disks")
    sizes = {0: 40 * MIB, 1: 700 * MIB, 3: 9000 * MIB}
    disks = [make_disk(where / str(i), sizes[i], agent if i == 0 else b"") if i in sizes else None for i in range(4)]
    machine = Machine(disks)
    machine.start_state = machine.started()
    machine.banner = machine.com1.drain()
    yield machine
    machine.close()


@pytest.fixture(scope="module")
def exact(agent, tmp_path_factory):
    """A machine whose time is the count of its instructions: exact, however busy the host is."""
    disk = make_disk(tmp_path_factory.mktemp("exact") / "disk", 16, agent)
    machine = Machine([disk], extra=["-icount", "shift=10", "-rtc", "base=2026-11-22T06:30:15,clock=vm"])
    machine.started()
    yield machine
    machine.close()


def clear(vm):
    """An empty screen, and nothing on the way to us."""
    vm.call(0x10, ax=0x0003)
    vm.com1.drain(0.05)


def read_map(vm, size=20):
    """The E820 map: (start, length, type) of each entry."""
    entries, ebx = [], 0
    while True:
        vm.poke(0x1000, 0x100, b"\xee" * 32)
        regs = {"eax": 0xE820, "edx": 0x534D4150, "ecx": size, "ebx": ebx}
        answer = vm.call(0x15, **regs, es=0x1000, edi=0x100).kept("eax", "ebx", "ecx")
        assert (answer.carry, answer.eax, answer.ecx) == (False, 0x534D4150, min(size, 24))
        data = vm.peek(0x1000, 0x100, 32)
        assert data[answer.ecx :] == b"\xee" * (32 - answer.ecx)
        assert answer.ecx == 20 or data[20:24] == b"\1\0\0\0"
        entries.append(struct.unpack_from("<QQI", data))
        ebx = answer.ebx
        if ebx == 0:
            return entries
        assert len(entries) < 20
