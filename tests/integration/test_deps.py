"""scripts/deps against invented package managers: what it finds missing, and how it installs that."""

import os
import subprocess

import pytest
from rig import ROOT

DPKG_QUERY = """#!/bin/sh
# Knows the packages in the file `installed`.
shift 3
for p; do grep -qx "$p" $FAKE/installed && echo "ii $p"; done
exit 1
"""
APT_GET = """#!/bin/sh
echo "apt-get $*" >> $FAKE/calls
for p; do case $p in -*|*=*|update|install) ;; *) echo "$p" >> $FAKE/installed ;; esac; done
"""
SUDO = """#!/bin/sh
echo "sudo $*" >> $FAKE/calls
"$@"
"""


@pytest.fixture
def deps(tmp_path):
    """deps(*jobs, user=0, installed=..., **environment)"""

    def write(name, text):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def run(*jobs, uid=0, installed=(), without=(), **env):
        write("dpkg-query", DPKG_QUERY)
        write("apt-get", APT_GET)
        write("sudo", SUDO)
        write("id", f"#!/bin/sh\necho {uid}\n")
        (tmp_path / "installed").write_text("".join(p + "\n" for p in installed))
        (tmp_path / "calls").write_text("")
        for tool in ("sh", "env", "sed", "tr", "sort", "grep", "cat"):
            link = tmp_path / tool
            if not link.exists():
                link.symlink_to(f"/usr/bin/{tool}")
        for name in without:
            (tmp_path / name).unlink()
        env = {"PATH": str(tmp_path), "FAKE": str(tmp_path), **env}
        done = subprocess.run([ROOT / "scripts/deps", *jobs], env=env, capture_output=True, text=True)
        done.calls = (tmp_path / "calls").read_text()
        return done

    return run


ISO_PACKAGES = ["grub-common", "grub-pc-bin", "grub-efi-amd64-bin", "xorriso", "mtools"]


def test_check_names_what_is_missing_and_installs_nothing(deps):
    done = deps("iso", installed=ISO_PACKAGES[:3], DEPS="check")
    assert done.returncode == 1
    assert "missing Debian packages (for: iso): mtools xorriso" in done.stderr
    assert not done.calls


def test_check_is_content_when_all_is_there(deps):
    done = deps("iso", installed=ISO_PACKAGES, DEPS="check")
    assert done.returncode == 0 and "nothing is missing" in done.stderr


def test_nothing_is_said_or_done_when_all_is_there(deps):
    done = deps("iso", installed=ISO_PACKAGES)
    assert done.returncode == 0 and not done.stderr and not done.calls


def test_root_installs_only_what_is_missing(deps):
    done = deps("iso", installed=ISO_PACKAGES[1:])
    assert done.returncode == 0, done.stderr
    update, install = done.calls.splitlines()
    assert update.endswith(" update")
    assert install.endswith("install -y --no-install-recommends grub-common")


def test_others_install_by_sudo_and_are_told(deps):
    done = deps("iso", uid=1000)
    assert done.returncode == 0, done.stderr
    assert "sudo" in done.stderr
    assert done.calls.startswith("sudo env DEBIAN_FRONTEND=noninteractive apt-get")


def test_without_sudo_the_command_is_shown(deps):
    done = deps("iso", uid=1000, without=["sudo"])
    assert done.returncode == 1
    assert "apt-get install --no-install-recommends" in done.stderr and "xorriso" in done.stderr


def test_bochs_brings_its_smallest_gui_along_but_is_content_with_any(deps):
    assert "bochs bochs-term" in deps("run-bochs").calls
    assert not deps("run-bochs", installed=["bochs", "bochsbios", "vgabios"]).calls


def test_failed_installation_is_noticed(deps, tmp_path):
    done = deps("iso", installed=ISO_PACKAGES[1:], without=["apt-get"])
    assert done.returncode != 0


def test_unknown_job_is_an_error(deps):
    assert deps("everything").returncode != 0


def test_real_list_is_satisfied_here():
    """What the tests themselves run on."""
    done = subprocess.run([ROOT / "scripts/deps", "test"], env={**os.environ, "DEPS": "check"}, capture_output=True)
    assert done.returncode == 0, done.stderr
