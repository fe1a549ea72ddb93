"""scripts/usb writes to a whole, unused disk after a question, and to nothing else."""

import shutil
import subprocess

import pytest
from rig import BUILD, ROOT

ISO = BUILD / "crvm.iso"


def usb(device, answer=""):
    return subprocess.run([ROOT / "scripts/usb", ISO, device], input=answer, capture_output=True, text=True)


def losetup(*args):
    done = subprocess.run(["losetup", *args], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


@pytest.fixture
def disk(tmp_path):
    """disk(MiB, *options): a loop device."""
    made = []

    def make(mib, *options):
        image = tmp_path / f"disk-{len(made)}"
        with open(image, "wb") as f:
            f.truncate(mib << 20)
        device = losetup("--find", "--show", *options, image) if shutil.which("losetup") else None
        if not device:
            pytest.skip("no loop devices here (root only)")
        made.append(device)
        return device

    yield make
    for device in made:
        losetup("--detach", device)


def refused(done, why):
    assert done.returncode == 1
    assert why in done.stderr
    return True


def test_without_a_device_lists_the_disks():
    assert refused(usb(""), "DEV=/dev/sdX")


@pytest.mark.parametrize(
    "device, why",
    [("/dev/no-such-disk", "does not exist"), ("/dev/null", "not a block device"), (str(ISO), "not a block device")],
)
def test_what_is_no_disk_is_refused(device, why):
    assert refused(usb(device), why)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """fake(name, script): a program that is found before the real one."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")

    def make(name, script):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)

    return make


def test_disk_of_the_running_system_is_refused(disk, fake):
    device = disk(8)
    fake("findmnt", f"echo {device}")  # where the root file system comes from
    assert refused(usb(device, device + "\n"), "root file system")


def test_writes_after_the_right_answer_and_compares(disk):
    device = disk(8)
    done = usb(device, device + "\n")
    assert done.returncode == 0, done.stderr
    assert f"overwrites everything on {device}" in done.stdout
    with open(device, "rb") as f:
        assert f.read(ISO.stat().st_size) == ISO.read_bytes()


@pytest.mark.parametrize("answer", ["", "\n", "yes\n", "/dev/sda\n"])
def test_any_other_answer_writes_nothing(disk, answer):
    device = disk(8)
    assert refused(usb(device, answer), "nothing was written")
    with open(device, "rb") as f:
        assert not any(f.read())


def test_too_small_a_disk_is_refused(disk):
    device = disk(1)
    assert refused(usb(device, device + "\n"), "too small")


def test_read_only_disk_is_refused(disk):
    device = disk(8, "--read-only")
    assert refused(usb(device, device + "\n"), "read-only")


@pytest.mark.parametrize(
    "kind, why", [("part", "is a partition; say the whole disk, /dev/sdz"), ("crypt", "not a plain disk")]
)
def test_what_is_no_whole_disk_is_refused(disk, fake, kind, why):
    device = disk(8)
    # Not every kernel makes partitions of loop devices.
    fake("lsblk", f"case $2 in TYPE) echo {kind} ;; PKNAME) echo sdz ;; esac")
    assert refused(usb(device, device + "\n"), why)


def test_mounted_disk_is_refused(disk, tmp_path):
    device = disk(16)
    subprocess.run(["mkfs.ext4", "-q", device], check=True)
    mount = tmp_path / "mount"
    mount.mkdir()
    if subprocess.run(["mount", device, mount], capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        assert refused(usb(device, device + "\n"), "in use")
    finally:
        subprocess.run(["umount", mount], check=True)


def test_swap_is_refused(disk):
    device = disk(16)
    subprocess.run(["mkswap", "-q", device], check=True)
    if subprocess.run(["swapon", device], capture_output=True).returncode != 0:
        pytest.skip("no swap here")
    try:
        assert refused(usb(device, device + "\n"), "in use")
    finally:
        subprocess.run(["swapoff", device], check=True)
