"""The console: serial both ways without loss, the screen, the shell's line."""

import re

import pytest


def test_help_lists_every_command(boot):
    vm = boot("qemu")
    vm.ready()
    commands = re.findall(r"(?m)^  (\w+) ", vm.ask("help"))
    assert {"help", "machine", "cpus", "frames", "audit", "reboot", "poweroff"} <= set(commands)
    assert "no command 'hlep': type help" in vm.ask("hlep")
    assert "takes no argument" in vm.ask("cpus 3")


def test_line_editing(boot):
    vm = boot("qemu")
    vm.ready()
    vm.send("pinx\x7fg\r")
    vm.expect(r"CPU 0 answered")
    vm.ready()
    vm.send("rubbish\x15cpus\r")
    vm.expect(r"APIC ID  state")


@pytest.mark.parametrize("kind", ["bochs", "qemu"])
def test_no_typed_byte_is_lost(boot, kind):
    """200 lines pasted at once: each is answered."""
    vm = boot(kind, cpus=1)
    vm.ready()
    vm.send("".join(f"word{i:04}\r" for i in range(200)))
    for i in range(200):
        vm.expect(rf"no command 'word{i:04}'", timeout=60)


def test_log_lines_have_time_cpu_and_level(boot):
    vm = boot("qemu")
    vm.ready()
    assert re.search(r"(?m)^ +\d+\.\d{6} cpu\d+ info  \d CPUs up", vm.text)


def test_input_survives_a_log_line(boot):
    """A log line that comes while someone types goes above the line being typed."""
    vm = boot("bochs", cpus=1)
    vm.ready()
    vm.type("sleep 500000")
    vm.expect(r"crvm> ")
    vm.send("pi")
    vm.expect(r"slept \d+ us \(asked for 500000\)\ncrvm> pi")
    vm.send("ng\r")
    vm.expect(r"CPU 0 answered")


def test_loglevel(boot):
    vm = boot("qemu", cmdline="loglevel=err")
    vm.ready()
    assert "CPUs up" not in vm.text
    vm.ask("loglevel warn")
    vm.type("crash nmi")
    vm.expect(r"warn +an NMI came")


@pytest.mark.parametrize("kind", ["bochs", "qemu"])
def test_text_screen_shows_the_log(boot, kind):
    vm = boot(kind, cpus=1)
    vm.ready()
    vm.expect_screen(r"run virtual machines[^\0]*\ncrvm>\s*\Z")


def test_text_screen_scrolls_past_the_end_of_its_memory(boot):
    """204 lines fit: after more than those the picture starts at the beginning again."""
    vm = boot("qemu", cpus=1)
    vm.ready()
    starts = []
    for _ in range(8):
        vm.ask("help")
        shown = [line.rstrip() for line in vm.text.splitlines()[-25:]]
        vm.expect_screen(r"\A" + re.escape("\n".join(shown)) + r"\Z")
        starts.append(vm.machine.crtc(0x0C) << 8 | vm.machine.crtc(0x0D))
    assert starts != sorted(starts)
    assert all(start % 80 == 0 and start <= 179 * 80 for start in starts)


def test_screen_off(boot):
    vm = boot("qemu", cmdline="screen=off")
    vm.ready()
    assert "screen      none" in vm.text
    assert "This machine:" not in vm.screen_text()


def lit_pixels(ppm):
    """Share of pixels that are not black, of a binary PPM."""
    header, size = 0, []
    while len(size) < 4:
        end = min(ppm.index(c, header) for c in (b" ", b"\n") if c in ppm[header:])
        size.append(ppm[header:end])
        header = end + 1
    pixels = ppm[header:]
    lit = sum(1 for i in range(0, len(pixels), 3) if pixels[i : i + 3] != b"\0\0\0")
    return int(size[1]), int(size[2]), lit * 3 / len(pixels)


def test_framebuffer_shows_the_log_under_uefi(boot, machine_dir):
    vm = boot("qemu", firmware="uefi")
    vm.ready()
    assert re.search(r"screen +framebuffer, 128 columns, 48 rows", vm.text)
    vm.machine.screendump(machine_dir / "screen.ppm")
    width, height, lit = lit_pixels((machine_dir / "screen.ppm").read_bytes())
    assert (width, height) == (1024, 768)
    assert 0.01 < lit < 0.5


def test_no_console_at_all_still_runs(boot):
    """console=none: the screen alone shows the log."""
    vm = boot("qemu", cmdline="console=none")
    vm.expect_screen(r"crvm>")
    assert "crvm> " not in vm.text
