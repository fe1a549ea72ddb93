"""The ISO: small, reproducible, and it boots from everything that GRUB can be loaded from."""

import subprocess

import pytest
from rig import BUILD, ROOT

MKISO = ROOT / "scripts/mkiso"

BOOTS = [
    ("bochs", "cdrom", "bios"),
    ("bochs", "disk", "bios"),
    ("qemu", "cdrom", "bios"),
    ("qemu", "usb", "bios"),
    ("qemu", "cdrom", "uefi"),
    ("qemu", "usb", "uefi"),
    ("kvm", "cdrom", "bios"),
]


@pytest.mark.parametrize("kind, media, firmware", BOOTS, ids=["-".join(b) for b in BOOTS])
def test_boots_to_the_prompt(boot, kind, media, firmware):
    """The very image that `make iso` made."""
    vm = boot(kind, iso=BUILD / "crvm.iso", media=media, firmware=firmware)
    vm.expect("CRVM", timeout=90)
    vm.ready()


def test_is_small():
    assert (BUILD / "crvm.iso").stat().st_size < 16_000_000


def mkiso(out, *args):
    return subprocess.run([MKISO, "-o", out, *args], capture_output=True, text=True)


def test_same_input_gives_the_same_image(toy, tmp_path):
    for name in ("one", "two"):
        assert mkiso(tmp_path / name, "-k", toy, "-c", "a=b", f"{MKISO}=module").returncode == 0
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_texts_with_special_characters_arrive_as_they_are(boot, toy):
    cmdline = r"""a=$b c;d 'e' "f g" \h {i} @MODULES@ & <j|k> #l"""
    vm = boot("qemu", image=toy, cmdline=cmdline, modules=[(MKISO, "x=y $z;#"), MKISO], mem=64)
    shown = vm.ready() and vm.text
    # GRUB takes words apart at blanks and passes quotes and backslashes of a word on with a backslash.
    assert "<" + cmdline.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"') + ">" in shown
    assert "<x=y $z;#>" in shown
    assert "<mkiso>" in shown


def test_kernel_without_multiboot2_header_is_refused(tmp_path):
    done = mkiso(tmp_path / "iso", "-k", "/bin/true")
    assert done.returncode != 0 and "Multiboot2" in done.stderr
    assert not (tmp_path / "iso").exists()


def test_missing_module_is_refused(toy, tmp_path):
    done = mkiso(tmp_path / "iso", "-k", toy, "no-such-file=x")
    assert done.returncode != 0 and "no-such-file" in done.stderr
