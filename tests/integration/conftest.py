"""Fixtures of the integration tests, and --case, which selects by a plain part of a test's name."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rig import BUILD, LOGS, ROOT, SCALE, RigFailure, Session, make_iso  # noqa: E402

from machine import Spec, kvm_verdict  # noqa: E402  (rig has extended the path)


def pytest_addoption(parser):
    parser.addoption("--case", default="", help="only tests whose id contains this text")


def pytest_collection_modifyitems(config, items):
    case = config.getoption("--case")
    dropped = [item for item in items if case not in item.nodeid]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if case in item.nodeid]


@pytest.fixture(autouse=True)
def limit():
    """No test runs for more than ten minutes, whatever it waits for."""

    def too_long(_signum, _frame):
        raise RigFailure("the test took more than ten minutes")

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(int(600 * SCALE))
    yield
    signal.alarm(0)


def case_of(request):
    """The test's id from the file name on: what K= takes."""
    return request.node.nodeid.rsplit("/", 1)[-1]


@pytest.fixture
def kernel():
    """The hypervisor under test."""
    return Path(os.environ.get("KERNEL") or BUILD / "crvm.elf").resolve()


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """A tiny Multiboot2 program that obeys single letters (toy.S)."""
    elf = tmp_path_factory.mktemp("toy") / "toy.elf"
    flags = ["-m32", "-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0x100000", "-Wl,--build-id=none"]
    subprocess.run(["gcc", *flags, ROOT / "tests/integration/toy.S", "-o", elf], check=True)
    return elf


@pytest.fixture
def machine_dir(request):
    """Where this test's emulator files go."""
    return LOGS / re.sub(r"[^A-Za-z0-9_.-]+", "-", case_of(request)).strip("-")


@pytest.fixture
def boot(request, machine_dir, kernel):
    """boot(kind="bochs", cmdline="", modules=(), kernel=..., iso=..., **Spec) -> rig.Session"""
    sessions = []

    def start(kind="bochs", cmdline="", modules=(), image=None, iso=None, **wanted):
        if kind == "kvm":
            usable, why = kvm_verdict()
            if not usable:
                pytest.skip(why)
        iso = iso or make_iso(image or kernel, cmdline, modules)
        directory = machine_dir / f"machine-{len(sessions)}" if sessions else machine_dir
        rerun = f"make test-integration K='{case_of(request)}'"
        wanted.setdefault("reboot", False)
        session = Session(Spec(kind, str(iso), **wanted), directory, rerun)
        sessions.append(session)
        return session

    yield start
    for session in sessions:
        session.close()
