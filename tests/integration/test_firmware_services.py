"""The firmware of VMs: disks, memory, keyboard, time (INT 13h, 15h, 16h, 1Ah), register by register in QEMU."""

import struct
import time

import pytest
from firmware_rig import CF, IF, MIB, SCALE, agent, exact, machines, make_disk, pattern, read_map, vm  # noqa: F401

pytestmark = pytest.mark.xdist_group("firmware")

BUFFER = 0x2000
# Drive, sectors, heads: each line of LBA-assisted translation that a disk of these tests shows.
GEOMETRIES = [(0x80, 40 * MIB, 16), (0x81, 700 * MIB, 32), (0x82, 9000 * MIB, 255)]


# ---- INT 13h ------------------------------------------------------------------------------------


def ok(answer, *changed):
    assert (answer.carry, answer.ah) == (False, 0)
    return answer.kept("eax", *changed)


def failed(answer, status, *changed):
    assert (answer.carry, answer.ah) == (True, status)
    return answer.kept("eax", *changed)


def packet(vm, lba, count=1, segment=BUFFER, offset=0, size=16):
    vm.poke(0x1000, 0x20, struct.pack("<BBHHHQ", size, 0, count, offset, segment, lba))


def call_packet(vm, ah, drive, al=0):
    return vm.call(0x13, ax=ah << 8 | al, dx=drive, ds=0x1000, esi=0x20)


@pytest.mark.parametrize("drive,sectors,heads", GEOMETRIES)
def test_geometry(vm, drive, sectors, heads):
    cylinders = min(sectors // (heads * 63), 1024)
    answer = ok(vm.call(0x13, ax=0x0800, dx=drive), "ebx", "ecx", "edx")
    assert (answer.dh, answer.dl, answer.bl) == (heads - 1, 3, 0)
    assert (answer.ch | (answer.cl & 0xC0) << 2, answer.cl & 0x3F) == (cylinders - 1, 63)
    answer = vm.call(0x13, ax=0x1500, dx=drive).kept("eax", "ecx", "edx")
    assert (answer.carry, answer.ah, answer.cx << 16 | answer.dx) == (False, 3, sectors)
    vm.poke(0x1000, 0x20, struct.pack("<H", 30) + b"\xee" * 30)
    ok(vm.call(0x13, ax=0x4800, dx=drive, ds=0x1000, esi=0x20))
    data = vm.peek(0x1000, 0x20, 32)
    assert struct.unpack_from("<HHIIIQH", data) == (26, 2, cylinders, heads, 63, sectors, 512)
    assert data[26:] == b"\xee" * 6


def test_four_disks_at_the_edges_of_translation(machines, agent, tmp_path):
    # 1024 cylinders of 63 sectors are 64512 for each head.
    shapes = [(64512 * 16, 16), (64512 * 16 + 1, 32), (64512 * 128, 128), (64512 * 128 + 1, 255)]
    vm = machines([make_disk(tmp_path / str(i), shapes[i][0], agent) for i in range(4)])
    vm.started()
    for i, (sectors, heads) in enumerate(shapes):
        answer = ok(vm.call(0x13, ax=0x0800, dx=0x80 + i), "ebx", "ecx", "edx")
        assert (answer.dh, answer.dl) == (heads - 1, 4)
        packet(vm, sectors - 1)
        ok(call_packet(vm, 0x42, 0x80 + i))
        assert vm.peek(BUFFER, 0, 512) == pattern(sectors - 1)


def test_reading_by_cylinder_head_sector(vm):
    # Cylinder 0, head 5, sector 10 of 16 heads: 324 and on, three sectors.
    answer = ok(vm.call(0x13, ax=0x0203, bx=0x10, cx=0x000A, dx=0x0580, es=BUFFER))
    assert answer.al == 3
    assert vm.peek(BUFFER, 0x10, 1536) == pattern(324) + pattern(325) + pattern(326)


def test_reading_the_last_cylinders(vm):
    last = 700 * MIB - 1
    cylinder, rest = divmod(last, 32 * 63)
    head, sector = divmod(rest, 63)
    cx = (cylinder & 0xFF) << 8 | cylinder >> 8 << 6 | (sector + 1)
    ok(vm.call(0x13, ax=0x0201, bx=0, cx=cx, dx=head << 8 | 0x81, es=BUFFER))
    assert vm.peek(BUFFER, 0, 512) == pattern(last)
    failed(vm.call(0x13, ax=0x0202, bx=0, cx=cx, dx=head << 8 | 0x81, es=BUFFER), 0x04)


@pytest.mark.parametrize(
    "ax,cx,dx",
    [(0x0200, 1, 0x80), (0x0281, 1, 0x80), (0x0201, 0, 0x80), (0x0201, 1, 0x1080), (0x04FF, 1, 0x80)],
    ids=["count-0", "count-129", "sector-0", "head-16", "verify-255"],
)
def test_wrong_places_and_counts_are_refused(vm, ax, cx, dx):
    assert failed(vm.call(0x13, ax=ax, bx=0, cx=cx, dx=dx, es=BUFFER), 0x01).al == 0


def test_reading_across_segments(vm):
    ok(vm.call(0x13, ax=0x0204, bx=0xFE08, cx=2, dx=0x80, es=BUFFER))
    got = vm.peek(BUFFER, 0xFE08, 0x1F8) + vm.peek(BUFFER + 0x1000, 0, 2048 - 0x1F8)
    assert got == b"".join(pattern(n) for n in (1, 2, 3, 4))


def test_reading_as_much_as_one_call_may(vm):
    packet(vm, 1, count=300, segment=0x3000)
    ok(call_packet(vm, 0x42, 0x80))
    assert vm.word(0x1000, 0x22) == 300
    for n in (1, 127, 128, 129, 256, 257, 300):
        assert vm.peek(0x3000 + (n - 1) * 32, 0, 512) == pattern(n), n
    assert ok(vm.call(0x13, ax=0x0280, bx=0, cx=2, dx=0x80, es=0x3000)).al == 128
    assert vm.peek(0x3000 + 127 * 32, 0, 512) == pattern(128)


def test_writing_and_verifying(machines, agent, tmp_path):
    path = make_disk(tmp_path / "disk", 1000, agent)
    vm = machines([path])
    vm.started()
    vm.poke(BUFFER, 0, b"first " * 100 + b"x" * 424)
    packet(vm, 998, count=2)
    ok(call_packet(vm, 0x43, 0x80))
    packet(vm, 998, count=2)
    ok(call_packet(vm, 0x44, 0x80))
    vm.poke(BUFFER, 0, b"chs " * 128)
    assert ok(vm.call(0x13, ax=0x0301, bx=0, cx=3, dx=0x80, es=BUFFER)).al == 1
    assert ok(vm.call(0x13, ax=0x0402, bx=0, cx=3, dx=0x80, es=BUFFER)).al == 2
    data = path.read_bytes()
    assert data[998 * 512 :] == b"first " * 100 + b"x" * 424
    assert data[2 * 512 : 3 * 512] == b"chs " * 128
    assert data[512:1024] == pattern(1) and data[3 * 512 : 4 * 512] == pattern(3)


@pytest.mark.parametrize("drive,sectors,_heads", GEOMETRIES)
def test_packet_read_at_both_ends(vm, drive, sectors, _heads):
    for lba in (1, 399, sectors - 1):
        packet(vm, lba, offset=0x123)
        ok(call_packet(vm, 0x42, drive))
        assert vm.peek(BUFFER, 0x123, 512) == pattern(lba)


@pytest.mark.parametrize(
    "status,wrong",
    [
        (0x01, {"lba": 0, "size": 15}),
        (0x01, {"lba": 0, "size": 0}),
        (0x04, {"lba": 40 * MIB}),
        (0x04, {"lba": 40 * MIB - 1, "count": 2}),
        (0x04, {"lba": 0xFFFFFFFF, "count": 2}),
        (0x04, {"lba": 1 << 32}),
        (0x04, {"lba": 1 << 63}),
        (0x04, {"lba": 40 * MIB - 3, "count": 0xFFFF}),
        (0x09, {"lba": 0, "segment": 0xFFFF, "offset": 0xFE01}),
        (0x09, {"lba": 0, "segment": 0x8000, "count": 2000}),
    ],
    ids=str,
)
def test_bad_packets_are_refused_and_nothing_is_read(vm, status, wrong):
    vm.poke(BUFFER, 0, b"\xee" * 16)
    packet(vm, **wrong)
    failed(call_packet(vm, 0x42, 0x80), status)
    if status != 0x01:
        assert vm.word(0x1000, 0x22) == 0
    assert vm.peek(BUFFER, 0, 16) == b"\xee" * 16
    answer = vm.call(0x13, ax=0x0100, dx=0x80)
    assert (answer.carry, answer.ah) == (True, status)


def test_packet_with_count_0_does_nothing(vm):
    packet(vm, 5, count=0)
    ok(call_packet(vm, 0x42, 0x80))


def test_packet_at_the_end_of_a_segment(vm):
    vm.poke(0x1000, 0xFFF8, struct.pack("<BBHHH", 16, 0, 1, 0, BUFFER))
    vm.poke(0x1000, 0, struct.pack("<Q", 7))
    ok(vm.call(0x13, ax=0x4200, dx=0x80, ds=0x1000, esi=0xFFF8))
    assert vm.peek(BUFFER, 0, 512) == pattern(7)


def test_extended_write_with_an_unknown_flag_is_refused(vm):
    packet(vm, 5)
    failed(call_packet(vm, 0x43, 0x80, al=3), 0x01)


def test_parameter_buffer_too_small_is_refused(vm):
    vm.poke(0x1000, 0x20, struct.pack("<H", 25) + b"\xee" * 30)
    failed(vm.call(0x13, ax=0x4800, dx=0x80, ds=0x1000, esi=0x20), 0x01)
    assert vm.peek(0x1000, 0x22, 30) == b"\xee" * 30


def test_extensions_are_there(vm):
    answer = vm.call(0x13, ax=0x4100, bx=0x55AA, dx=0x82).kept("eax", "ebx", "ecx")
    assert (answer.carry, answer.ah, answer.bx, answer.cx) == (False, 0x21, 0xAA55, 1)
    failed(vm.call(0x13, ax=0x4100, bx=0x1234, dx=0x80), 0x01)


@pytest.mark.parametrize("drive", [0x83, 0x84, 0xFF])
def test_absent_disks_are_refused(vm, drive):
    for ax in (0x0000, 0x0201, 0x0301, 0x0401, 0x0800, 0x4100, 0x4200, 0x4300, 0x4400, 0x4800):
        packet(vm, 0)
        failed(vm.call(0x13, ax=ax, bx=0x55AA, cx=1, dx=drive, es=BUFFER, ds=0x1000, esi=0x20), 0x01)
    answer = vm.call(0x13, ax=0x1500, dx=drive)
    assert answer.ah == 0


def test_there_are_no_diskettes(vm):
    failed(vm.call(0x13, ax=0x0201, bx=0, cx=1, dx=0, es=BUFFER), 0x80)
    assert ok(vm.call(0x13, ax=0x0800, dx=0), "ebx", "ecx", "edx").dx == 0
    ok(vm.call(0x13, ax=0x0000, dx=0))


def test_reset_leaves_a_disk_that_reads(vm):
    ok(vm.call(0x13, ax=0x0000, dx=0x82))
    packet(vm, 3)
    ok(call_packet(vm, 0x42, 0x82))
    assert vm.peek(BUFFER, 0, 512) == pattern(3)
    failed(vm.call(0x13, ax=0x5500, dx=0x80), 0x01)
    assert vm.call(0x13, ax=0x0100, dx=0x80).ah == 0x01


def test_disk_interrupts_are_left_enabled_and_none_pending(vm):
    def requested():
        vm.outb(0xA0, 0x0A)
        return bool(vm.inb(0xA0) & 0x40)

    ok(vm.call(0x13, ax=0x0204, bx=0, cx=2, dx=0x80, es=BUFFER))
    assert not requested()
    vm.outb(0x1F6, 0xE0)
    vm.outb(0x1F7, 0xEC)
    deadline = time.monotonic() + 2 * SCALE
    while not requested() and time.monotonic() < deadline:
        pass
    assert requested()
    vm.inb(0x1F7)
    ok(vm.call(0x13, ax=0x0000, dx=0x80))


# ---- INT 15h ------------------------------------------------------------------------------------

MAP = [(0, 0x9FC00, 1), (0x9FC00, 0x400, 2), (0xF0000, 0x10000, 2), (0x100000, 63 << 20, 1)]


@pytest.mark.parametrize("size", [20, 24, 0x10000])
def test_memory_map(vm, size):
    assert read_map(vm, size) == MAP


@pytest.mark.parametrize(
    "wrong", [{"edx": 0x534D4151}, {"ecx": 19}, {"ecx": 0}, {"ebx": 4}, {"ebx": 0x10000}, {"ebx": 0xFFFFFFFF}], ids=str
)
def test_wrong_questions_for_the_map_are_refused(vm, wrong):
    vm.poke(0x1000, 0x100, b"\xee" * 24)
    regs = {"eax": 0xE820, "edx": 0x534D4150, "ecx": 20, "ebx": 0, **wrong}
    failed(vm.call(0x15, **regs, es=0x1000, edi=0x100), 0x86)
    assert vm.peek(0x1000, 0x100, 24) == b"\xee" * 24


def test_memory_map_entry_at_the_end_of_a_segment(vm):
    vm.poke(0x1000, 0xFFF0, b"\xee" * 16)
    vm.call(0x15, eax=0xE820, edx=0x534D4150, ecx=20, ebx=1, es=0x1000, edi=0xFFF8)
    data = vm.peek(0x1000, 0xFFF8, 8) + vm.peek(0x1000, 0, 12)
    assert struct.unpack("<QQI", data) == MAP[1]


def test_old_memory_sizes(vm):
    answer = vm.call(0x15, ax=0xE801).kept("eax", "ebx", "ecx", "edx")
    assert (answer.ax, answer.bx, answer.cx, answer.dx) == (15360, 768, 15360, 768)
    assert vm.call(0x15, ax=0x8800).kept("eax").ax == 0xFC00


def descriptors(source, target):
    def entry(base):
        return struct.pack("<HHBBBB", 0xFFFF, base & 0xFFFF, base >> 16 & 0xFF, 0x93, 0, base >> 24)

    return bytes(16) + entry(source) + entry(target) + bytes(16)


def test_block_move_to_high_memory_and_back(vm):
    data = bytes(range(256)) * 4
    vm.poke(BUFFER, 0, data)
    vm.poke(0x1000, 0, descriptors(BUFFER * 16, 0x1234567))
    ok(vm.call(0x15, ax=0x8700, cx=512, es=0x1000, esi=0))
    vm.poke(BUFFER, 0, bytes(1024))
    vm.poke(0x1000, 0, descriptors(0x1234567, BUFFER * 16))
    ok(vm.call(0x15, ax=0x8700, cx=511, es=0x1000, esi=0))
    assert vm.peek(BUFFER, 0, 1024) == data[:1022] + b"\0\0"


def test_block_move_longer_than_a_segment_is_refused(vm):
    vm.poke(0x1000, 0, descriptors(0x300000, 0x400000))
    failed(vm.call(0x15, ax=0x8700, cx=0x8001, es=0x1000, esi=0), 0x02)
    ok(vm.call(0x15, ax=0x8700, cx=0x8000, es=0x1000, esi=0))
    ok(vm.call(0x15, ax=0x8700, cx=0, es=0x1000, esi=0))


def test_a20_gate(vm):
    assert ok(vm.call(0x15, ax=0x2402)).al == 1
    assert ok(vm.call(0x15, ax=0x2403), "ebx").bx == 3
    ok(vm.call(0x15, ax=0x2400))
    assert ok(vm.call(0x15, ax=0x2402)).al == 0
    vm.poke(0, 0x600, b"\x11")
    assert vm.peek(0xFFFF, 0x610, 1) == b"\x11"
    vm.poke(BUFFER, 0, b"\x77" * 2)
    vm.poke(0x1000, 0, descriptors(BUFFER * 16, 0x100600))
    ok(vm.call(0x15, ax=0x8700, cx=1, es=0x1000, esi=0))
    assert vm.peek(0, 0x600, 1) == b"\x11"
    assert ok(vm.call(0x15, ax=0x2402)).al == 0
    ok(vm.call(0x15, ax=0x2401))
    assert vm.peek(0xFFFF, 0x610, 1) == b"\x77"
    failed(vm.call(0x15, ax=0x2404), 0x86)


def wait(exact, ms, code):
    """Runs code, which is to wait CX:DX microseconds, as INT 60h; its registers."""
    exact.poke(0, 0x700, code)
    exact.poke(0, 0x60 * 4, struct.pack("<HH", 0x700, 0))
    us = ms * 1000
    return exact.call(0x60, cx=us >> 16, dx=us & 0xFFFF)


def test_wait(exact):
    # sti; mov bx,[46Ch]; mov ax,8600h; int 15h; mov dx,[46Ch]; sub dx,bx; iret: DX is how many ticks passed.
    code = b"\xfb\x8b\x1e\x6c\x04\xb8\x00\x86\xcd\x15\x8b\x16\x6c\x04\x29\xda\xcf"
    assert wait(exact, 2200, code).dx in (39, 40, 41)
    assert wait(exact, 549, code).dx in (9, 10, 11)
    assert wait(exact, 1, code).dx in (0, 1)
    assert wait(exact, 0, code).dx in (0, 1)


def test_wait_without_interrupts(exact):
    # mov al,0; out 70h,al; in al,71h: the clock's seconds, before (BL) and after (BH).
    seconds = b"\xb0\x00\xe6\x70\xe4\x71"
    code = seconds + b"\x88\xc3\xb8\x00\x86\xcd\x15" + seconds + b"\x88\xc7\xcf"
    ticks = exact.word(0x40, 0x6C)
    answer = wait(exact, 5000, code)
    assert (int(f"{answer.bh:x}") - int(f"{answer.bl:x}")) % 60 in (5, 6)
    assert exact.word(0x40, 0x6C) - ticks < 60


def test_configuration_table(vm):
    answer = ok(vm.call(0x15, ax=0xC000), "ebx", "es")
    table = vm.peek(answer.es, answer.bx, 10)
    assert table[:3] == b"\x08\x00\xfc" and table[5] & 0x04
    assert vm.call(0x15, ax=0xC100).kept("es").es == 0x9FC0


def test_hooks_and_unknown_system_services(vm):
    answer = vm.call(0x15, flags=IF | CF, ax=0x4F1E).kept()
    assert answer.carry
    for ax in (0x9000, 0x9100):
        ok(vm.call(0x15, ax=ax))
    for ax in (0xE881, 0x5300, 0xC200, 0xD800, 0xEC00):
        failed(vm.call(0x15, ax=ax), 0x86)


# ---- INT 16h ------------------------------------------------------------------------------------


def read_keys(vm, count, ah=0x10):
    return [vm.call(0x16, ax=ah << 8).kept("eax").ax for _ in range(count)]


def test_no_key(vm):
    assert vm.call(0x16, ax=0x0100).kept().zero
    assert vm.call(0x16, ax=0x1100).kept().zero


def test_keys_of_the_keyboard(vm):
    vm.keys("a", "shift-a", "ctrl-c", "alt-x", "ret", "shift-1", "f1", "shift-f2", "f12", "esc", "spc", "slash")
    wanted = [0x1E61, 0x1E41, 0x2E03, 0x2D00, 0x1C0D, 0x0221, 0x3B00, 0x5500, 0x8600, 0x011B, 0x3920, 0x352F]
    assert read_keys(vm, 12) == wanted
    vm.keys("up", "left", "delete")
    answer = vm.call(0x16, ax=0x0100)
    assert (answer.zero, answer.ax) == (False, 0x4800)
    assert vm.call(0x16, ax=0x1100).ax == 0x48E0
    assert read_keys(vm, 1, 0x00) + read_keys(vm, 2) == [0x4800, 0x4BE0, 0x53E0]


def test_shift_state_and_locks(vm):
    assert vm.call(0x16, ax=0x0200).kept("eax").al == 0
    vm.keys("caps_lock", "a", "shift-a", "1", "caps_lock", "num_lock")
    assert read_keys(vm, 3) == [0x1E41, 0x1E61, 0x0231]
    assert vm.call(0x16, ax=0x1200).al == 0x20
    vm.keys("kp_7", "num_lock", "kp_7")
    assert read_keys(vm, 2) == [0x4737, 0x4700]
    assert vm.call(0x16, ax=0x0200).al == 0


def test_program_may_take_a_scan_code(vm):
    old = vm.peek(0, 0x15 * 4, 4)
    # cmp ax,4F1Eh; je 1f; jmp far cs:[720h]; 1: clc; retf 2
    code = b"\x3d\x1e\x4f" + b"\x74\x05" + b"\x2e\xff\x2e\x20\x07" + b"\xf8" + b"\xca\x02\x00"
    vm.poke(0, 0x720, old)
    vm.poke(0, 0x700, code)
    vm.poke(0, 0x15 * 4, struct.pack("<HH", 0x700, 0))
    vm.keys("a", "b")
    vm.poke(0, 0x15 * 4, old)
    assert read_keys(vm, 1) == [0x3062]
    assert vm.call(0x16, ax=0x0100).zero


def test_full_buffer_drops_keys_and_lives(vm):
    vm.keys(*"abcdefghijklmnopqr")
    assert [k & 0xFF for k in read_keys(vm, 15)] == list(b"abcdefghijklmno")
    assert vm.call(0x16, ax=0x0100).zero


def test_program_stores_keys(vm):
    for n in range(15):
        assert vm.call(0x16, ax=0x0500, cx=0x4142 + n).kept("eax").al == 0
    assert vm.call(0x16, ax=0x0500, cx=0x1111).al == 1
    assert read_keys(vm, 15) == [0x4142 + n for n in range(15)]


def test_keys_from_the_serial_line(vm):
    vm.com1.ours.sendall(b"aZ1!\r\n\x7f\x08\t\x03 ~")
    assert read_keys(vm, 12) == [
        *(0x1E61, 0x2C5A, 0x0231, 0x0221, 0x1C0D, 0x1C0D),
        *(0x0E08, 0x0E08, 0x0F09, 0x2E03, 0x3920, 0x297E),
    ]
    vm.com1.ours.sendall(b"\x1b[A\x1b[B\x1bOC\x1b[Dq")
    assert read_keys(vm, 5) == [0x48E0, 0x50E0, 0x4DE0, 0x4BE0, 0x1071]
    vm.com1.ours.sendall(b"\x1b")
    assert read_keys(vm, 1) == [0x011B]


def test_more_from_the_serial_line_than_the_buffer_holds(vm):
    text = b"the quick brown fox jumps over the lazy dog 0123456789"
    vm.com1.ours.sendall(text)
    assert bytes(k & 0xFF for k in read_keys(vm, len(text))) == text


def test_spoilt_buffer_pointers_are_survived(vm):
    for head, tail in ((0xFFFF, 0x1E), (0x1F, 0x3D), (0, 0), (0x1E, 0x8000)):
        vm.poke(0x40, 0x1A, struct.pack("<HH", head, tail))
        vm.call(0x16, ax=0x0500, cx=0x1E61)
        assert read_keys(vm, 1) == [0x1E61]
    assert vm.call(0x16, ax=0x0100).zero


# ---- INT 1Ah, INT 08h, INT 1Ch ------------------------------------------------------------------


def test_ticks_began_with_the_clock_and_go_on(vm):
    first = vm.call(0x1A, ax=0x0000).kept("eax", "ecx", "edx")
    assert 0 <= (first.cx << 16 | first.dx) - (6 * 3600 + 30 * 60 + 15) * 18.2065 < 600 * 18.2
    deadline = time.monotonic() + 10 * SCALE
    while vm.call(0x1A, ax=0x0000).dx - first.dx < 5:
        assert time.monotonic() < deadline


def test_midnight(vm):
    before = vm.call(0x1A, ax=0x0000)
    vm.call(0x1A, ax=0x0100, cx=0x0018, dx=0x00AE)
    deadline = time.monotonic() + 10 * SCALE
    while (answer := vm.call(0x1A, ax=0x0000)).cx == 0x18:
        assert (answer.al, answer.dx & 0xFFF0) == (0, 0xA0) and time.monotonic() < deadline
    assert (answer.al, answer.cx) == (1, 0) and answer.dx < 200
    assert vm.call(0x1A, ax=0x0000).al == 0
    vm.call(0x1A, ax=0x0100, cx=before.cx, dx=before.dx)


def test_tick_hook_is_called_with_registers_to_spare(vm):
    old = vm.peek(0, 0x1C * 4, 4)
    # xor ax,ax; cwd; mov ds,ax; inc word [5F0h]; mov cx,ax; iret
    vm.poke(0, 0x5F0, b"\0\0")
    vm.poke(0, 0x5F4, b"\x31\xc0\x99\x8e\xd8\xff\x06\xf0\x05\x89\xc1\xcf")
    vm.poke(0, 0x1C * 4, struct.pack("<HH", 0x5F4, 0))
    deadline = time.monotonic() + 10 * SCALE
    while vm.word(0, 0x5F0) < 5 and time.monotonic() < deadline:
        pass
    vm.poke(0, 0x1C * 4, old)
    assert 5 <= vm.word(0, 0x5F0) < 200


@pytest.mark.parametrize("cpu", ["486", "pentium", "qemu32,-apic", "max"])
def test_interrupts_come_with_and_without_a_local_apic(machines, agent, tmp_path, cpu):
    vm = machines([make_disk(tmp_path / "disk", 16, agent)], extra=["-cpu", cpu])
    vm.started()
    first = vm.call(0x1A, ax=0x0000).dx
    vm.keys("a")
    assert read_keys(vm, 1) == [0x1E61]
    deadline = time.monotonic() + 10 * SCALE
    while vm.call(0x1A, ax=0x0000).dx == first:
        assert time.monotonic() < deadline


def test_clock_and_date(vm):
    answer = vm.call(0x1A, ax=0x0200).kept("eax", "ecx", "edx")
    assert not answer.carry and answer.ch in (0x06, 0x07) and answer.cl <= 0x59 and answer.dh <= 0x59
    answer = vm.call(0x1A, ax=0x0400).kept("eax", "ecx", "edx")
    assert (answer.carry, answer.cx, answer.dx) == (False, 0x2026, 0x1122)


def test_setting_clock_and_date(machines, agent, tmp_path):
    vm = machines([make_disk(tmp_path / "disk", 16, agent)])
    vm.started()
    assert not vm.call(0x1A, ax=0x0300, cx=0x2159, dx=0x4000).carry
    assert not vm.call(0x1A, ax=0x0500, cx=0x2031, dx=0x0329).carry
    answer = vm.call(0x1A, ax=0x0200)
    assert answer.cx == 0x2159 and 0x40 <= answer.dh <= 0x59
    answer = vm.call(0x1A, ax=0x0400)
    assert (answer.cx, answer.dx) == (0x2031, 0x0329)


def test_there_is_no_pci_bios(vm):
    answer = vm.call(0x1A, ax=0xB101, edi=0, edx=0)
    assert answer.carry and answer.ah != 0 and answer.edx != 0x20494350
    failed(vm.call(0x1A, ax=0x7700), 0x86)
