"""labos, the small guest system, on a plain emulated PC: without a hypervisor below it."""

import re
import struct
import subprocess
import sys
import time

import pytest
from rig import BUILD, ROOT, TIMEOUT

from machine import Qemu  # rig has extended the path

IMAGES = BUILD / "guest-images"
MKIMAGE = ROOT / "guest-images/labos/mkimage"
PROMPT = r"(?m)^labos> "
FATAL = r"labos: panic: .*"
MIB = 1 << 20
BLOCK = 4096

OPTIONS_AT = 0x1FC
IDLE_SPINS, NO_SERIAL, NO_SCREEN, NO_PRINTER, SERIAL_OUT2, TICK_LOG = (1 << bit for bit in range(6))


def ide_disk(number, path):
    drive = f"file={path},format=raw,if=none,id=disk{number}"
    return ["-drive", drive, "-device", f"ide-hd,drive=disk{number},bus=ide.{number // 2},unit={number % 2}"]


class Pc:
    """labos in a PC with up to three disks; what it writes stays in this test's directory."""

    def __init__(self, boot, directory):
        self.boot = boot
        self.dir = directory
        self.has_serial = True
        self.printout = directory / "printer.txt"

    def disk(self, name, size=2 * MIB, content=b""):
        path = self.dir / f"{name}.img"
        with open(path, "wb") as f:
            f.truncate(size)
            f.write(content)
        return path

    def image(self, options, base="labos.img"):
        data = bytearray((IMAGES / base).read_bytes())
        data[OPTIONS_AT : OPTIONS_AT + 2] = struct.pack("<H", options)
        path = self.dir / f"labos-{options:02x}.img"
        path.write_bytes(data)
        return path

    def start(self, kind="qemu", image=None, swap=None, files=None, mem=32, extra=()):
        """Boots; the session. `swap` and `files` are disks 1 and 2."""
        image = image or IMAGES / "labos.img"
        disks = [(1, swap), (2, files)]
        if kind == "bochs":
            more = ["ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15"]
            names = {1: "ata0-slave", 2: "ata1-master"}
            more += [f"{names[i]}: type=disk, path={path}, mode=flat" for i, path in disks if path]
        else:
            more = ["-machine", "pc", "-parallel", f"file:{self.printout}", "-rtc", "base=2024-02-29T23:59:30"]
            for i, path in disks:
                more += ide_disk(i, path) if path else []
        return self.boot(kind, iso=image, media="disk", cpus=1, mem=mem, extra=[*more, *extra])

    def start_ready(self, **wanted):
        vm = self.start(**wanted)
        vm.expect(PROMPT, fatal=FATAL)
        return vm


@pytest.fixture
def pc(boot, tmp_path, monkeypatch):
    """QEMU would put the rig's boot disk on the second channel."""
    command = Qemu.command

    def changed(self):
        args = [arg.replace("ide-hd,drive=boot", "ide-hd,bus=ide.0,unit=0,drive=boot") for arg in command(self)]
        return args if machine.has_serial else ["none" if arg == "chardev:com1" else arg for arg in args]

    monkeypatch.setattr(Qemu, "command", changed)
    machine = Pc(boot, tmp_path)
    return machine


def ask(vm, command, timeout=TIMEOUT):
    """Types a command; what it prints, up to the next prompt."""
    vm.type(command)
    vm.expect(re.escape(command) + r"\n", timeout, fatal=FATAL)
    at = vm.seen
    end = vm.expect(PROMPT, timeout, fatal=FATAL).start()
    return vm.text[at:end]


def wait_until_stopped(vm):
    """Until it halts with interrupts off. It has said its last, but may still be idle before the line's end comes."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        registers = vm.machine.hmp("info registers")
        flags = int(re.search(r"EFL=(\w+)", registers)[1], 16)
        if "HLT=1" in registers and not flags & 1 << 9:
            return
        assert time.monotonic() < deadline, f"it does not stop:\n{registers}"


def is_halted(vm):
    return "HLT=1" in vm.machine.hmp("info registers")


def free_kib(vm):
    return int(re.search(r", (\d+) KiB free", ask(vm, "mem")).group(1))


def ticks(vm):
    return int(re.search(r"(\d+) ticks", ask(vm, "ticks")).group(1))


# ---- booting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["qemu", "bochs"])
def test_boots_to_its_prompt(pc, kind):
    """With all disks, and every line in its order. Bochs' serial port needs OUT2 to interrupt."""
    vm = pc.start(kind, image=pc.image(SERIAL_OUT2), swap=pc.disk("swap"), files=pc.disk("files"))
    vm.expect(r"(?m)^labos: a small operating system")
    vm.expect(r"(?m)^labos: console: serial screen printer\n")
    kib = int(vm.expect(r"(?m)^labos: (\d+) KiB of memory\n").group(1))
    assert 31 * 1024 < kib <= 32 * 1024
    for drive, size in enumerate((1024, 2048, 2048)):
        vm.expect(rf"(?m)^labos: disk {drive}: {size} KiB, \S.*\S\n")
    out, back = map(int, vm.expect(r"(?m)^swap test passed: (\d+) pages out, (\d+) in\n").groups())
    assert out >= 48 and back >= 32  # 48 pages, 16 frames
    vm.expect(r"(?m)^labos: disk 2 formatted\n")
    vm.expect(r"(?m)^file test passed\n")
    vm.expect(r"(?m)^labos: 100 ticks\nlabos> ")
    assert ask(vm, "hello") == "hello from user mode\n"
    assert "matrix passed" in ask(vm, "matrix")


@pytest.mark.parametrize("mem", [8, 1024])
def test_memory_sizes(pc, mem):
    vm = pc.start_ready(mem=mem, swap=pc.disk("swap"), files=pc.disk("files"))
    kib = int(re.search(r"labos: (\d+) KiB of memory", vm.text).group(1))
    assert mem * 1024 - 1024 < kib <= mem * 1024
    assert "swap test passed" in vm.text and "file test passed" in vm.text
    assert "spawn passed: 40 children" in ask(vm, "spawn 40")


def test_without_disks_it_says_what_is_left_out(pc):
    vm = pc.start_ready()
    assert "labos: no disk 1: swap test left out\n" in vm.text
    assert "labos: no disk 2: file test left out\n" in vm.text
    assert "there is no file system" in ask(vm, "ls")
    assert "there is no file system" in ask(vm, "write a b")
    assert "left out" in ask(vm, "swaptest")
    assert "left out" in ask(vm, "filetest")
    assert "spawn passed: 3 children" in ask(vm, "spawn 3")


def test_foreign_disks_are_left_alone(pc):
    content = b"somebody's only copy" + bytes(range(256)) * 64
    swap, files = pc.disk("swap", content=content), pc.disk("files", content=content)
    before = swap.read_bytes()
    vm = pc.start_ready(swap=swap, files=files)
    assert "disk 1 holds something else: swap test left out" in vm.text
    assert "disk 2 holds something else: file test left out" in vm.text
    ask(vm, "write a b")
    vm.close()
    assert swap.read_bytes() == before and files.read_bytes() == before


def test_disks_lists_all_four_drives(pc):
    vm = pc.start_ready(swap=pc.disk("swap"), extra=ide_disk(3, pc.disk("fourth", 3 * MIB)))
    lines = ask(vm, "disks").splitlines()
    assert [re.match(r"labos: disk (\d): (\d+) KiB", line).groups() for line in lines] == [
        ("0", "1024"),
        ("1", "2048"),
        ("3", "3072"),
    ]


def test_mkimage_refuses_what_does_not_fit(tmp_path):
    boot, kernel, out = (tmp_path / name for name in ("boot", "kernel", "out"))

    def make(boot_size, kernel_size, *more):
        boot.write_bytes(b"b" * boot_size)
        kernel.write_bytes(b"k" * kernel_size)
        args = [sys.executable, MKIMAGE, "-o", out, "-b", boot, "-k", kernel, "-s", "4", *more]
        return subprocess.run(args, capture_output=True, text=True)

    assert make(508, 3 * 512, "-O", "0x1234").returncode == 0
    assert out.read_bytes() == b"b" * 508 + b"\x34\x12\x55\xaa" + b"k" * 3 * 512
    assert "1 too many" in make(509, 1).stderr
    assert "do not fit" in make(1, 3 * 512 + 1).stderr


# ---- console ------------------------------------------------------------------------------------


def test_line_editing(pc):
    vm = pc.start_ready()
    vm.send("echo wronf\x7fg and\x08\x08\x08done\r")
    vm.expect(r"(?m)^wrong done\n")
    vm.send("rubbish\x15echo clean\r")
    vm.expect(r"(?m)^clean\n")
    vm.send("rubbish\x03echo again\r\n")  # CR LF is one line's end: no second prompt
    at = vm.expect(r"(?m)^again\n").end()
    vm.send("\x08\x08echo first\necho second\r")
    vm.expect(r"(?m)^first\n")
    assert vm.text[at : vm.seen] == "labos> echo first\nfirst\n"
    vm.expect(r"(?m)^second\n")
    vm.expect(PROMPT)
    assert "no command 'ecko'" in ask(vm, "  ecko  ecko")


def test_too_long_a_line_is_cut(pc):
    vm = pc.start_ready()
    vm.send("echo " + "x" * 1000 + "\r")
    assert len(vm.expect(r"(?m)^(x+)\n").group(1)) == 250
    vm.expect(PROMPT)
    assert ask(vm, "echo ok") == "ok\n"


# A paste of 4 KiB is in test_vm_console.py: QEMU without -icount runs by real time, and drops characters that labos
# sends when the host is busy.


def test_input_beyond_the_buffer_is_counted(pc):
    vm = pc.start_ready()
    vm.type("sleep 3")
    vm.expect(r"sleep 3\n")
    vm.send("x" * 9000 + "\r")
    vm.expect(PROMPT)
    vm.send("\r")
    vm.expect(PROMPT)
    assert int(re.search(r"(\d+) characters lost", ask(vm, "mem")).group(1)) == 9001 - 8192


def test_keyboard_and_screen(pc):
    vm = pc.start(image=pc.image(NO_SERIAL))
    vm.expect_screen(r"(?m)^labos>$")
    vm.machine.sendkey("e", "c", "h", "o", "spc", "shift-a", "caps_lock", "b", "shift-b", "caps_lock", "b")
    vm.machine.sendkey("shift-1", "slash", "kp_divide", "x", "backspace", "up", "semicolon", "ret")
    vm.expect_screen(r"(?m)^ABbb!//;$")
    assert vm.text == ""  # nothing on the serial line


def test_screen_scrolls_and_cursor_follows(pc):
    vm = pc.start_ready()
    ask(vm, "help")
    ask(vm, "echo " + "y" * 100)
    vm.send("ec")
    vm.expect_screen(r"(?m)^labos> ec$")
    rows = vm.screen_text().rstrip("\n").split("\n")
    assert rows[24] == "labos> ec"
    assert rows[22:24] == ["y" * 80, "y" * 20]
    assert any(row.startswith("  crash") for row in rows)


def test_printer_gets_a_copy(pc):
    vm = pc.start_ready()
    ask(vm, "echo on paper")
    vm.close()
    paper = pc.printout.read_text()
    assert paper.startswith("labos: a small") and "labos> echo on paper\non paper\n" in paper


def test_devices_can_be_left_out(pc):
    vm = pc.start_ready(image=pc.image(NO_SCREEN | NO_PRINTER))
    assert "labos: console: serial\n" in vm.text
    assert "labos" not in vm.screen_text()
    assert pc.printout.read_text() == ""


def test_machine_without_serial_port(pc):
    """LSR reads FFh: labos must not wait for it."""
    pc.has_serial = False
    vm = pc.start()
    vm.expect_screen(r"(?m)^labos>$")


# ---- time ---------------------------------------------------------------------------------------


def test_ticks_come_once_unless_asked_for(pc):
    vm = pc.start_ready()
    vm.seen = 0
    vm.expect(r"(?m)^labos: 100 ticks\n")
    ask(vm, "sleep 2")  # of its own seconds: 200 ticks
    assert vm.text.count("100 ticks") == 1
    ask(vm, "ticklog on")
    for _ in range(2):
        vm.expect(r"(?m)^labos: 100 ticks\n")
    ask(vm, "ticklog off")
    count = vm.text.count("100 ticks")
    ask(vm, "sleep 2")
    assert vm.text.count("100 ticks") == count


def test_tick_log_from_the_boot_options(pc):
    vm = pc.start_ready(image=pc.image(TICK_LOG))
    for _ in range(2):
        vm.expect(r"(?m)^labos: 100 ticks\n")


def test_ticks_and_sleep_and_date_agree(pc):
    vm = pc.start_ready()
    assert re.fullmatch(r"2024-02-29 23:59:\d\d\n", ask(vm, "date"))
    before, began = ticks(vm), time.monotonic()
    ask(vm, "sleep 2")
    passed, real = ticks(vm) - before, time.monotonic() - began
    assert 200 <= passed <= 300
    assert 1.9 <= real <= 10
    assert "a number up to" in ask(vm, "sleep")
    assert "a number up to" in ask(vm, "sleep 99999999999999999999")
    assert "a number up to" in ask(vm, "sleep -1")


def test_date_turns_over_a_leap_day(pc):
    vm = pc.start_ready(extra=["-rtc", "base=2024-02-29T23:59:57"])
    deadline = time.monotonic() + TIMEOUT
    while "2024-02-29" in (date := ask(vm, "date")) and time.monotonic() < deadline:
        time.sleep(0.3)
    assert re.fullmatch(r"2024-03-01 00:00:0\d\n", date)


def test_idle_halts_the_cpu(pc):
    vm = pc.start_ready()
    assert sum(is_halted(vm) for _ in range(200)) >= 150


def test_busy_image_never_halts(pc):
    vm = pc.start_ready(image=IMAGES / "labos-busy.img")
    assert not any(is_halted(vm) for _ in range(20))
    assert "matrix passed" in ask(vm, "matrix")


def test_busy_thread_is_preempted(pc):
    vm = pc.start_ready()
    ask(vm, "ticklog on")
    vm.type("spin 2")
    vm.expect(r"spin 2\n")
    at = vm.seen
    end = vm.expect(r"spin: (\d+) rounds in 2 seconds")
    assert int(end.group(1)) > 1000
    assert vm.text.count("100 ticks", at, end.start()) in (1, 2)


def test_busy_threads_share_the_cpu(pc):
    """With a clock that counts instructions: the host's load must not make one thread look poor."""
    vm = pc.start_ready(extra=["-icount", "shift=4"])
    said = ask(vm, "spin 2 4")
    rounds = [int(n) for n in re.findall(r"spin: (\d+) rounds in 2 seconds\n", said)]
    assert len(rounds) == 4 and min(rounds) * 2 > max(rounds)


# ---- files --------------------------------------------------------------------------------------


def names(listing):
    return re.findall(r"(?m)^ +(\d+)  (\S+)$", listing)


def test_files(pc):
    vm = pc.start_ready(files=pc.disk("files"))
    free = ask(vm, "ls")
    assert ask(vm, "write poem roses are  red") == ""
    assert ask(vm, "write other x") == ""
    assert names(ask(vm, "ls")) == [("15", "poem"), ("2", "other")]
    assert ask(vm, "cat poem") == "roses are  red\n"
    ask(vm, "write poem shorter")
    assert ask(vm, "cat poem") == "shorter\n"
    assert names(ask(vm, "ls")) == [("8", "poem"), ("2", "other")]
    assert ask(vm, "write blank") == ""
    assert ask(vm, "cat blank") == "\n"
    assert ask(vm, "rm poem") == ""
    assert ask(vm, "rm blank") == ""
    assert "no such file" in ask(vm, "rm poem")
    assert "no such file" in ask(vm, "cat poem")
    assert "a name has" in ask(vm, "cat")
    assert "a name has" in ask(vm, "rm")
    assert "a name has" in ask(vm, "write")
    assert "a name has" in ask(vm, "write " + "n" * 24 + " x")
    assert ask(vm, "write " + "n" * 23 + " x") == ""
    for name in ("other", "n" * 23):
        ask(vm, f"rm {name}")
    assert ask(vm, "ls") == free


def test_files_outlive_a_reboot(pc):
    files = pc.disk("files")
    vm = pc.start_ready(files=files)
    ask(vm, "write kept on the disk")
    vm.close()
    vm = pc.start_ready(files=files)
    assert "formatted" not in vm.text and "file test passed" in vm.text
    assert ask(vm, "cat kept") == "on the disk\n"


def test_full_disk(pc):
    """10 blocks, 4 of them taken; each file takes one. New contents need room beside the old ones."""
    vm = pc.start_ready(files=pc.disk("files", 10 * BLOCK))
    for i in range(6):
        assert ask(vm, f"write file{i} text") == ""
    assert "0 KiB free" in ask(vm, "ls")
    assert "the disk is full" in ask(vm, "write one too many")
    assert "the disk is full" in ask(vm, "write file5 other text")
    assert ask(vm, "cat file5") == "text\n"
    ask(vm, "rm file2")
    assert ask(vm, "write again text") == ""


def labfs(block_count, entries, chain):
    """A file system as labos formats it: entries (name, size, first), chain {block: next}."""
    table = [0xFFFF] * 4 + [0] * (4096 - 4)
    for block, after in chain.items():
        table[block] = after
    super_block = struct.pack("<III", 0x7366616C, 1, block_count).ljust(BLOCK, b"\0")
    directory = b"".join(struct.pack("<24sIHH", *entry, 0) for entry in entries).ljust(BLOCK, b"\0")
    return super_block + directory + struct.pack("<4096H", *table)


def test_format_is_as_documented(pc):
    chain = {4: 6, 6: 0xFFFF, 5: 0xFFFF}
    content = labfs(512, [(b"first", BLOCK + 4, 4), (b"empty", 0, 0xFFFF)], chain)
    content += b"a" * (BLOCK - 1) + b"b" + b"?" * BLOCK + b"cde\n"
    vm = pc.start_ready(files=pc.disk("files", content=content))
    assert "file test passed" in vm.text
    assert ask(vm, "cat first").endswith("aabcde\n")
    assert ask(vm, "cat empty") == ""
    assert f"{(512 - 4 - 3) * 4} KiB free" in ask(vm, "ls")


def test_damaged_files_are_said_to_be(pc):
    """Chains that end early, lead out of the disk, into the table, to a free block; no start at all."""
    firsts = {"early": 4, "nowhere": 5, "table": 6, "free": 7, "none": 0}
    chain = {4: 0xFFFF, 5: 4000, 6: 2, 7: 0}
    content = labfs(512, [(name.encode(), 3 * BLOCK, first) for name, first in firsts.items()], chain)
    vm = pc.start_ready(files=pc.disk("files", content=content))
    for name in firsts:
        assert "the file is damaged" in ask(vm, f"cat {name}")
        assert ask(vm, f"rm {name}") == ""
    assert f"{(512 - 4) * 4} KiB free" in ask(vm, "ls")
    assert "file test passed" in ask(vm, "filetest")


def test_file_that_runs_in_a_circle_ends(pc):
    content = labfs(512, [(b"bad", 4 * BLOCK, 4), (b"N" * 24, 1, 7)], {4: 5, 5: 4, 7: 0xFFFF})
    vm = pc.start_ready(files=pc.disk("files", content=content))
    ask(vm, "cat bad")
    assert names(ask(vm, "ls")) == [(str(4 * BLOCK), "bad"), ("1", "N" * 23)]
    assert ask(vm, "rm bad") == ""
    assert f"{(512 - 4 - 1) * 4} KiB free" in ask(vm, "ls")


@pytest.mark.parametrize("fields", [(0x7366616C, 2, 512), (0x7366616C, 1, 513), (0x7366616C, 1, 7)])
def test_damaged_superblock(pc, fields):
    vm = pc.start_ready(files=pc.disk("files", content=struct.pack("<III", *fields)))
    assert "disk 2 is damaged or too new: file test left out" in vm.text


# ---- programs -----------------------------------------------------------------------------------


def test_programs_give_everything_back(pc):
    vm = pc.start_ready(swap=pc.disk("swap"))
    ask(vm, "hello")
    before = free_kib(vm)
    assert "spawn passed: 100 children" in ask(vm, "spawn 100")
    assert "eat passed" in ask(vm, "eat 1024")
    assert "matrix passed: 4 threads, 40 products each" in ask(vm, "matrix")
    assert "swap test passed" in ask(vm, "swaptest")
    ask(vm, "crash userread")
    ask(vm, "crash userinsn")
    assert free_kib(vm) == before
    assert ", 0 of 512 swap slots used" in ask(vm, "mem")


def test_program_that_needs_more_than_there_is_dies_alone(pc):
    vm = pc.start_ready(swap=pc.disk("swap"))  # 2 MiB
    before = free_kib(vm)
    assert "labos: eat killed: page fault" in ask(vm, "eat 8192")
    assert free_kib(vm) == before
    assert "eat passed" in ask(vm, "eat")


def test_faults_in_user_mode_kill_that_program_only(pc):
    vm = pc.start_ready()
    said = ask(vm, "crash userread")
    assert re.match(r"labos: badread killed: page fault at 4\w{7}, address 00100000\n", said)
    assert said.endswith("badread ended with -1\n")
    assert re.match(r"labos: badinsn killed: general protection fault at 4\w{7}, ", ask(vm, "crash userinsn"))
    assert ask(vm, "badcall") == "badcall: all refused\n"
    assert ask(vm, "hello") == "hello from user mode\n"


# ---- bad ends -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["crash triple", "crash 8042", "crash port92", "reboot"])
def test_resets(pc, command):
    vm = pc.start_ready()
    vm.type(command)
    vm.expect_end("reset")


@pytest.mark.parametrize("command", ["halt", "crash hang", "crash wild", "crash div0"])
def test_stops(pc, command):
    vm = pc.start_ready()
    vm.type(command)
    said = {"halt": "labos: halted", "crash hang": "crash hang"}
    panics = {"crash wild": "page fault, error 2, address e0000000", "crash div0": "division by zero"}
    vm.expect(said.get(command) or f"labos: panic: {panics[command]}", fatal=None)
    wait_until_stopped(vm)


def test_survivable_mishaps(pc):
    vm = pc.start_ready()
    assert re.fullmatch(r"disk 0 answers a bad command with status \w*1, error 04\n", ask(vm, "crash disk"))
    assert "physical address a0000000 reads" in ask(vm, "crash nomem")
    kinds = ask(vm, "crash nonsense").split(":")[1].split()
    assert {"triple", "hang", "8042", "port92", "disk", "wild", "div0"} <= set(kinds)
    assert ask(vm, "hello") == "hello from user mode\n"


def test_help_lists_commands_and_ps_threads(pc):
    vm = pc.start_ready()
    commands = set(re.findall(r"(?m)^  (\w+) ", ask(vm, "help")))
    wanted = "ls cat write rm ps ticks date mem disks hello matrix sleep spawn spin crash halt reboot echo ticklog"
    assert set(wanted.split()) <= commands
    threads = re.findall(r"(?m)^ *(\d+) (\w+) +\d+ ticks  (\w+)$", ask(vm, "ps"))
    assert threads == [("0", "ready", "idle"), ("1", "waiting", "ticker"), ("2", "running", "shell")]
