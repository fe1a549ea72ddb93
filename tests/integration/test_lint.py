"""The lints find what they are for."""

import subprocess
import sys

import pytest
from rig import ROOT

sys.path.insert(0, str(ROOT / "tests/lint"))

import layers  # noqa: E402
import text  # noqa: E402


@pytest.mark.parametrize(
    "path, line, fault",
    [
        ("devices/uart.c", "#include <crvm/virt.h>", "devices may not include <crvm/virt.h>"),
        ("devices/uart.c", "#include <crvm/cpu.h>", "devices may not include <crvm/cpu.h>"),
        ("core/vm.c", '#include "vmcs.h"', '"vmcs.h" is not in the same directory'),
        ("mm/frames.c", "#include <crvm/acpi.h>", "mm may not include <crvm/acpi.h>"),
        ("lib/string.c", "#include <crvm/log.h>", "lib may not include <crvm/log.h>"),
        ("lib/string.c", "#include <string.h>", "neither ours nor freestanding"),
        ("vmx/exit.c", "#  include <crvm/no_such.h>", "no layer in HEADERS"),
        ("mm/frames.c", '#include "version.h"', "not in the same directory"),
    ],
)
def test_wrong_include_is_found(tmp_path, monkeypatch, path, line, fault):
    monkeypatch.chdir(tmp_path)
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(f"/* x */\n{line}\n")
    faults = layers.check_includes([path])
    assert len(faults) == 1 and faults[0].startswith(f"{path}:2: ") and fault in faults[0]


def test_header_without_a_layer_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    header = tmp_path / "include/crvm/no_such.h"
    header.parent.mkdir(parents=True)
    header.write_text("")
    assert "no layer" in layers.check_includes(["include/crvm/no_such.h"])[0]


def build(tmp_path, name, source):
    target = tmp_path / "hv" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-ffreestanding", "-x", "c", "-c", "-", "-o", target], input=source, text=True, check=True)


def test_call_upward_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)  # for the linker script
    build(tmp_path, "core/vm.o", "void vm_stop(void) {} void log_write(void) {} void panic(void) {}")
    build(tmp_path, "mm/a.o", "void vm_stop(void), log_write(void); void f(void) { log_write(); vm_stop(); }")
    build(tmp_path, "lib/b.o", "void log_write(void); void g(void) { log_write(); }")
    faults = layers.check_symbols(tmp_path / "hv")
    assert sorted(faults) == [
        "lib/b.o: lib may not use log_write (defined by core)",
        "mm/a.o: mm may not use vm_stop (defined by core)",
    ]


@pytest.mark.parametrize(
    "name, content, fault",
    [
        ("a.c", "/* x */\nint x; \n", "blanks at the end"),
        ("a.c", "int x;\n", "does not open with a comment"),
        ("a.c", "/* x */", "no newline"),
        ("a.c", "/* x */\n" + "\n" * 600, "more than 600 lines"),
        ("a.c", "/* x */\nint f(void)\n{\n" + "\t;\n" * 61 + "}\n", "function of 61 lines"),
        ("a.py", "def f():\n" + "    pass\n" * 61, "function of 61 lines"),
        ("a.py", "def f(:\n", "syntax error"),
        ("a.md", "see /home/" "someone/x\n", "path of one machine"),
        ("a.py", "#" * 121 + "\n", "longer than 120 columns"),
    ],
)
def test_bad_text_is_found(tmp_path, name, content, fault):
    (tmp_path / name).write_text(content)
    assert any(fault in what for _, what in text.file_faults(tmp_path / name))


def test_limits_themselves_are_allowed(tmp_path):
    good = tmp_path / "a.c"
    good.write_text("/* x */\nint f(void)\n{\n" + "\t;\n" * 60 + "}\n" + "/* */\n" * 500)
    assert not list(text.file_faults(good))
