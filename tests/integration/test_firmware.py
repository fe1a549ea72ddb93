"""The firmware of VMs (guest-images/firmware): power-on, boot, screen, printer; in QEMU and in Bochs, without CRVM."""

import re
import shutil
import struct
import subprocess
import time

import pytest
from firmware_rig import CF, FIRMWARE, IF, ZF, agent, clear, machines, make_disk, read_map, vm  # noqa: F401
from rig import LOGS, SCALE

pytestmark = pytest.mark.xdist_group("firmware")


# ---- power-on -----------------------------------------------------------------------------------


def test_banner_tells_memory_and_disks_on_screen_and_serial(vm):
    line = "CRVM firmware, 65536 KiB of RAM, disks: 80h 40 MiB 81h 700 MiB 82h 9000 MiB"
    assert vm.banner == line + "\r\n"


def test_boot_sector_is_entered_as_the_pc_does(vm):
    drive, cs, ip, ss, sp, ds, es, flags = vm.start_state
    assert (drive, cs, ip) == (0x80, 0, 0x7C00)
    assert (ss, ds, es) == (0, 0, 0) and 0x7000 < sp <= 0x7C00
    assert flags & IF


def test_bios_data_area(vm):
    bda = vm.peek(0x40, 0, 0x100)

    def word(at):
        return struct.unpack_from("<H", bda, at)[0]

    assert [word(i) for i in (0, 2, 4, 6)] == [0x3F8, 0, 0, 0]
    assert word(8) in (0, 0x378)
    assert word(0x0E) == 0x9FC0 and vm.word(0x9FC0, 0) == 1
    assert word(0x13) == 639
    assert (bda[0x49], word(0x4A), word(0x63), bda[0x84]) == (3, 80, 0x3D4, 24)
    assert (word(0x80), word(0x82)) == (0x1E, 0x3E)
    assert bda[0x75] == 3
    assert word(0x10) & 0x0230 == 0x0220 and bool(word(0x10) & 0x4000) == bool(word(8))


def test_every_vector_leads_into_the_rom(vm):
    table = struct.unpack("<512H", vm.peek(0, 0, 1024))
    assert set(table[1::2]) == {0xF000}
    assert vm.peek(0xF000, table[2 * 0x60], 1) == b"\xcf"
    assert len({table[2 * v] for v in (8, 9, *range(0x10, 0x1B))}) == 13


@pytest.mark.parametrize("flags", [0, IF, IF | CF | ZF])
def test_unused_vectors_return_all_as_it_was(vm, flags):
    for vector in (*range(0x00, 0x08), *range(0x0A, 0x10), 0x1B, 0x1C, 0x1D, *range(0x20, 0x70, 7), 0x70, 0x77, 0xFF):
        answer = vm.call(vector, flags=flags, ax=0x1234).kept()
        assert answer.flags & (CF | ZF | IF) == flags, hex(vector)


def test_interrupt_controllers_are_set_up(vm):
    assert vm.inb(0x21) == 0xF8 and vm.inb(0xA1) == 0xFF


def test_rom_ends_as_a_pc_does(vm):
    end = vm.peek(0xF000, 0xFFF0, 16)
    assert end[0] == 0xEA and end[3:5] == b"\x00\xf0"
    assert re.fullmatch(rb"\d\d/\d\d/\d\d", end[5:13]) and end[14] == 0xFC


@pytest.mark.parametrize("mem", [2, 16, 17, 100, 2048])
def test_memory_map_follows_the_size(machines, agent, tmp_path, mem):
    vm = machines([make_disk(tmp_path / "disk", 16, agent)], mem=mem)
    vm.started()
    vm.com1.expect(f"firmware, {mem * 1024} KiB of RAM, disks: 80h 0 MiB\r\n")
    assert read_map(vm)[-1] == (0x100000, (mem - 1) << 20, 1)
    answer = vm.call(0x15, ax=0xE801)
    assert (answer.ax, answer.bx) == (min(mem - 1, 15) * 1024, max(mem - 16, 0) * 16)
    assert vm.call(0x15, ax=0x8800).ax == min((mem - 1) * 1024, 0xFC00)


# ---- INT 10h ------------------------------------------------------------------------------------


def test_teletype_goes_to_screen_and_serial(vm):
    clear(vm)
    for c in b"ab\bX\r\n12":
        vm.call(0x10, ax=0x0E00 | c).kept()
    assert vm.screen(0, 0, 3) == "aX " and vm.screen(1, 0, 3) == "12 "
    assert vm.com1.drain() == "ab\bX\r\n12"
    assert vm.call(0x10, ax=0x0300, bx=0).dx == 0x0102


def test_teletype_wraps_and_scrolls(vm):
    clear(vm)
    vm.call(0x10, ax=0x0200, bx=0, dx=0x184E)
    for c in b"yzw":
        vm.call(0x10, ax=0x0E00 | c)
    assert vm.screen(23, 78, 2) == "yz" and vm.screen(24, 0, 2) == "w "
    assert vm.call(0x10, ax=0x0300, bx=0).dx == 0x1801
    assert vm.com1.drain() == "\x1b[25;79Hyz\r\nw"


def test_cursor_place_outside_the_screen_harms_nothing(vm):
    clear(vm)
    vm.call(0x10, ax=0x0200, bx=0, dx=0xFFFF)
    vm.call(0x10, ax=0x0E41)
    vm.call(0x10, ax=0x0942, bx=7, cx=0xFFFF)
    assert vm.call(0x10, ax=0x0300, bx=0).dx == 0x1800
    assert vm.screen(23, 79, 1) == "A"
    assert vm.peek(0xB800, 4000, 2) == b" \x07"
    clear(vm)


def test_cursor_shape_mode_and_page(vm):
    vm.call(0x10, ax=0x0100, cx=0x2000).kept()
    assert vm.call(0x10, ax=0x0300, bx=0).cx == 0x2000
    assert (vm.call(0x10, ax=0x0F00).ax, vm.call(0x10, ax=0x0F00).bh) == (0x5003, 0)
    vm.call(0x10, ax=0x0502).kept()
    assert vm.call(0x10, ax=0x0F00).bh == 2
    assert vm.word(0x40, 0x4E) == 0x2000
    vm.call(0x10, ax=0x0E51)
    assert vm.peek(0xB800, 0x2000, 1) == b"Q"
    clear(vm)
    assert vm.call(0x10, ax=0x0F00).bh == 0


def test_mode_set_may_keep_the_screen(vm):
    clear(vm)
    vm.call(0x10, ax=0x0E4B)
    vm.call(0x10, ax=0x0083)
    assert vm.screen(0, 0, 1) == "K"
    vm.call(0x10, ax=0x0013)
    assert vm.call(0x10, ax=0x0F00).al == 3
    clear(vm)
    assert vm.screen(0, 0, 1) == " "


def test_scrolling_a_window_up_and_down(vm):
    clear(vm)
    for row in range(5):
        vm.poke(0xB800, row * 160, bytes(x for c in f"{row}abcd" for x in (ord(c), 7)))
    vm.call(0x10, ax=0x0601, bx=0x1F00, cx=0x0101, dx=0x0302).kept()
    assert [vm.screen(r, 0, 5) for r in range(5)] == ["0abcd", "1abcd", "2abcd", "3  cd", "4abcd"]
    assert vm.peek(0xB800, 3 * 160 + 2, 2) == b" \x1f"
    vm.call(0x10, ax=0x0702, bx=0x0700, cx=0x0000, dx=0x0404)
    assert [vm.screen(r, 0, 5) for r in range(5)] == ["     ", "     ", "0abcd", "1abcd", "2abcd"]
    vm.call(0x10, ax=0x0600, bx=0x0700, cx=0x0000, dx=0xFFFF)
    assert vm.screen(4, 0, 5) == "     "
    vm.call(0x10, ax=0x06FF, bx=0x0700, cx=0xFFFF, dx=0x0000).kept()


def test_reading_and_writing_cells(vm):
    clear(vm)
    vm.call(0x10, ax=0x0200, bx=0, dx=0x0305)
    vm.call(0x10, ax=0x0941, bx=0x4E, cx=3).kept()
    assert vm.peek(0xB800, (3 * 80 + 5) * 2, 8) == b"A\x4eA\x4eA\x4e \x07"
    assert vm.call(0x10, ax=0x0800, bx=0).ax == 0x4E41
    vm.call(0x10, ax=0x0A42, bx=0x11, cx=1)
    assert vm.call(0x10, ax=0x0800, bx=0).ax == 0x4E42
    assert vm.call(0x10, ax=0x0300, bx=0).dx == 0x0305
    vm.call(0x10, ax=0x0943, bx=0x11, cx=0)
    assert vm.call(0x10, ax=0x0800, bx=0).ax == 0x4E42


def test_writing_a_string(vm):
    clear(vm)
    vm.poke(0x1000, 0, b"hi\r\nP\x12Q\x34")
    vm.call(0x10, ax=0x1301, bx=0x002A, cx=5, dx=0x0200, es=0x1000, bp=0, ebp=0).kept()
    assert vm.peek(0xB800, 320, 4) == b"h\x2ai\x2a" and vm.screen(3, 0, 2) == "P "
    assert vm.call(0x10, ax=0x0300, bx=0).dx == 0x0301
    vm.call(0x10, ax=0x1302, bx=0, cx=2, dx=0x0500, es=0x1000, ebp=4)
    assert vm.peek(0xB800, 800, 4) == b"P\x12Q\x34"
    assert vm.call(0x10, ax=0x0300, bx=0).dx == 0x0301
    clear(vm)


def test_display_combination_and_unknown_video_services(vm):
    answer = vm.call(0x10, ax=0x1A00)
    assert (answer.al, answer.bx) == (0x1A, 0x0002)
    for ax in (0x4F00, 0x1210, 0xFF00):
        vm.call(0x10, ax=ax).kept()


# ---- INT 11h, 12h, 14h, 17h ---------------------------------------------------------------------


def test_equipment_and_base_memory(vm):
    assert vm.call(0x11).kept("eax").ax == vm.word(0x40, 0x10)
    assert vm.call(0x12).kept("eax").ax == 639


def test_serial_service(vm):
    vm.com1.drain(0.05)
    assert vm.call(0x14, ax=0x0158, dx=0).kept("eax").ah & 0x80 == 0
    assert vm.com1.drain() == "X"
    assert vm.call(0x14, ax=0x0300, dx=0).ah & 0x60 == 0x60
    vm.com1.ours.sendall(b"r")
    answer = vm.call(0x14, ax=0x0200, dx=0)
    assert (answer.al, answer.ah & 0x80) == (ord("r"), 0)
    assert vm.call(0x14, ax=0x0200, dx=0).ah == 0x80
    assert vm.call(0x14, ax=0x0158, dx=3).ah == 0x80
    assert vm.call(0x14, ax=0xFF00, dx=0).ah == 0x80
    assert vm.call(0x14, ax=0x00E3, dx=0).ah & 0x60 == 0x60
    assert vm.inb(0x3FB) == 3


def test_printer_service_without_that_printer(vm):
    assert vm.call(0x17, ax=0x0041, dx=2).kept("eax").ah == 0x01
    assert vm.call(0x17, ax=0x7700, dx=0).ah == 0x01


# ---- booting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("disks", [0, 2])
def test_machine_without_a_boot_sector_says_so_and_stops(machines, tmp_path, disks):
    vm = machines([make_disk(tmp_path / str(i), 100) for i in range(disks)])
    vm.com1.expect("No disk to boot from.*has stopped.\r\n")
    deadline = time.monotonic() + 10 * SCALE
    halted = False
    while not halted and time.monotonic() < deadline:
        vm.monitor.ours.sendall(b"info registers\n")
        registers = vm.monitor.expect(r"EFL=(\w+)[^H]*HLT=(\d)")
        halted = int(registers[1], 16) & IF == 0 and registers[2] == "1"
    assert halted


def test_first_disk_with_a_boot_sector_is_booted(machines, agent, tmp_path):
    vm = machines([None, make_disk(tmp_path / "no", 100), None, make_disk(tmp_path / "yes", 100, agent)])
    assert vm.started()[0] == 0x81
    vm.com1.expect("disks: 80h 0 MiB 81h 0 MiB")


def test_int19_boots_again(machines, agent, tmp_path):
    vm = machines([make_disk(tmp_path / "disk", 100, agent)])
    vm.started()
    vm.com2.ours.sendall(b"I" + struct.pack("<8I4H", *[0] * 10, IF | 2, 0x19))
    assert vm.started()[:3] == (0x80, 0, 0x7C00)


def make_grub_disk(directory, config):
    """Debian's GRUB for BIOS disks: its boot sector, and behind it a core image with this configuration."""
    (directory / "grub.cfg").write_text(config)
    core = directory / "core.img"
    modules = "biosdisk part_msdos echo ls lsmmap date minicmd normal terminal".split()
    command = ["grub-mkimage", "-O", "i386-pc", "-p", "/boot/grub", "-c", directory / "grub.cfg", "-o", core]
    subprocess.run([*command, *modules], check=True)
    disk = directory / "grub.img"
    with open("/usr/lib/grub/i386-pc/boot.img", "rb") as boot:
        disk.write_bytes(boot.read() + core.read_bytes())
    with open(disk, "r+b") as f:
        f.truncate(8 << 20)
    return disk


def test_grub_boots_and_takes_keys(machines, tmp_path):
    vm = machines([make_grub_disk(tmp_path, "echo hello from the disk\ndate\nlsmmap\n")], mem=96)
    vm.com1.expect("GRUB loading")
    vm.com1.expect("hello from the disk")
    vm.com1.expect("2026-11-22 06:3")
    vm.com1.expect(r"base_addr = 0x100000, length = 0x5f00000, available RAM")
    vm.com1.expect("grub> ")
    vm.com1.ours.sendall(b"echo typed-$root\r")
    vm.com1.expect(r"\rtyped-hd0")
    vm.keys("e", "c", "h", "o", "spc", "shift-k", "spc", "minus", "ret")
    vm.com1.expect(r"\rK -")


BOCHSRC = """\
cpu: model=corei7_skylake_x, ips=100000000, reset_on_triple_fault=0
memory: guest=32, host=32
romimage: file={firmware}, address=0xffff0000
vgaromimage: file=/usr/share/vgabios/vgabios.bin
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path={disk}, mode=flat
com1: enabled=1, mode=file, dev=serial.log
display_library: rfb, options="timeout=0"
clock: sync=none
log: bochs.log
panic: action=fatal
plugin_ctrl: unmapped=1, speaker=0
sound: driver=dummy
"""


@pytest.fixture
def bochs(tmp_path):
    """bochs(disk) -> the file that gets what the machine says on COM1."""
    if not shutil.which("bochs"):
        pytest.skip("no bochs")
    directory = LOGS / "firmware-bochs"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    running = []

    def start(disk):
        (directory / "bochsrc").write_text(BOCHSRC.format(firmware=FIRMWARE, disk=disk))
        (directory / "rc").write_text("c\n")
        with open(directory / "output.log", "wb") as log:
            command = ["bochs", "-q", "-f", "bochsrc", "-rc", "rc"]
            running.append(subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        return directory / "serial.log"

    yield start
    for process in running:
        process.kill()
        process.wait()


def test_boots_in_bochs_too(bochs, tmp_path):
    serial = bochs(make_grub_disk(tmp_path, "echo hello from the disk\nlsmmap\n"))
    deadline = time.monotonic() + 60 * SCALE
    text = ""
    while "grub> " not in text and time.monotonic() < deadline:
        time.sleep(0.2)
        text = serial.read_text("latin-1") if serial.exists() else ""
    assert "CRVM firmware, 32768 KiB of RAM, disks: 80h 8 MiB" in text
    assert "hello from the disk" in text
    assert "base_addr = 0x100000, length = 0x1f00000, available RAM" in text
    assert "grub> " in text
