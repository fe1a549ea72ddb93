"""scripts/trace-decode on small logs. What the C side writes is taken from tests/unit/test_trace.c."""

import json
import re
import subprocess

import pytest

from rig import ROOT

KINDS = ["trace kind 5 port I/O", "trace kind 9 MSR (read)"]
LOG = [
    "    1.000000 cpu0 info  CRVM starts",
    "crvm> trace",
    "trace begin version=1 tsc_khz=2000000",
    *KINDS,
    "trace cpu 0 written=70000 size=4096",
    "trace . 10000 1 0 5 1e 3f80008 7c00 96",
    "trace . 13000 2 1 9 1f 174 ffffffff81000000 0",
    "trace cpu a written=1 size=4096",
    "trace . 12000 1 0 9 1f c0000080 7c02 7d0",
    "trace end",
    "crvm> ",
]


def decode(lines, *args):
    text = lines if isinstance(lines, bytes) else "\n".join(lines).encode()
    return subprocess.run([ROOT / "scripts/trace-decode", *args], input=text, capture_output=True, timeout=60)


def shown(lines, *args):
    run = decode(lines, *args)
    assert run.returncode == 0 and not run.stderr, run.stderr
    return run.stdout.decode().splitlines()


def slices(lines, *args):
    events = json.loads("\n".join(shown(lines, "--perfetto", *args)))["traceEvents"]
    return [e for e in events if e["ph"] == "X"], [e for e in events if e["ph"] == "M"]


def test_text_is_in_the_order_of_time():
    lines = shown(LOG)
    assert lines[0] == "cpu 0: 70000 exits in all, the ring holds 4096"
    assert lines[1] == "cpu 10: 1 exits in all, the ring holds 4096"
    assert [line.split()[0] for line in lines[2:]] == ["0.000", "4.096", "6.144"]
    assert "cpu 0  vm 1 vcpu 0  port I/O    rip 0000000000007c00  raw 1e info 03f80008  0.075 us, 150 " in lines[2]
    assert "cpu 10 " in lines[3] and "MSR (read)" in lines[3] and lines[3].endswith("1.000 us, 2000 cycles")
    assert lines[4].endswith("not finished")


def test_perfetto_has_a_slice_for_each_exit():
    events, names = slices(LOG)
    assert [(e["name"], e["ts"], e["dur"], e["pid"], e["tid"]) for e in events] == [
        ("port I/O", 0, 0.075, 1, 0),
        ("MSR (read)", 4.096, 1, 1, 0),
        ("MSR (read)", 6.144, 0, 2, 1),
    ]
    assert events[1]["args"] == {"cpu": 10, "rip": "0x7c02", "raw": "0x1f", "info": "0xc0000080", "cycles": 2000}
    assert {(e["name"], e["pid"], e.get("tid"), e["args"]["name"]) for e in names} == {
        ("process_name", 1, None, "VM 1"),
        ("process_name", 2, None, "VM 2"),
        ("thread_name", 1, 0, "vCPU 0"),
        ("thread_name", 2, 1, "vCPU 1"),
    }


def test_the_c_side_writes_what_is_read_here():
    """Each literal line of the unit test's dump, in its order: read without a complaint, all records found."""
    source = (ROOT / "tests/unit/test_trace.c").read_text()
    body = source[source.index("void test_dump_format") : source.index("void test_dump_keeps_to_its_limit")]
    dump = [line for line in re.findall(r'"(trace [^"]*)"', body) if "%" not in line]
    assert dump[0].startswith("trace begin") and dump[-1] == "trace end"
    records = [line for line in dump if line.startswith("trace . ")]
    events, _ = slices(dump)
    assert len(events) == len(records) == 3
    assert [e["name"] for e in events] == ["kind 5", "kind 9", "kind 255"]
    assert events[1]["dur"] == round(0x1000 * 1000 / 2992968, 3)
    assert events[2]["pid"] == events[2]["tid"] == 0xFFFF


def test_log_prefixes_and_line_ends_do_not_matter():
    dressed = [f"\x1b[2K    1.234567 cpu3 info  {line}\r" for line in LOG]
    assert shown(dressed) == shown(LOG)


def test_the_last_dump_is_shown_unless_told():
    second = [line.replace("7c00", "beef") for line in LOG]
    assert "beef" in "\n".join(shown(LOG + second))
    assert shown(LOG + second, "--dump", "0") == shown(LOG)


def test_a_file_is_read_as_stdin_is(tmp_path):
    path = tmp_path / "console.log"
    path.write_bytes(b"\xff\xfe noise\n" + "\r\n".join(LOG).encode())
    run = subprocess.run([ROOT / "scripts/trace-decode", path], capture_output=True, text=True, timeout=60)
    assert run.stdout.splitlines() == shown(LOG)


def test_a_dump_cut_off_is_shown_and_said():
    run = decode(LOG[:7])
    assert run.returncode == 0
    assert b"no end" in run.stderr
    assert b"port I/O" in run.stdout


@pytest.mark.parametrize(
    "broken",
    [
        "trace . 10000 1 0 5 1e 3f80008 7c00",
        "trace . 10000 1 0 5 1e 3f80008 7c00 96 1",
        "trace . 10000000000000000 1 0 5 1e 3f80008 7c00 96",
        "trace . xyz 1 0 5 1e 3f80008 7c00 96",
        "trace . 10000 1 0 5 1e 3f8    1.0 cpu1 warn  hello",
        "trace cpu 0",
        "trace kind 5",
    ],
)
def test_damaged_lines_are_told_and_left_out(broken):
    run = decode([*LOG[:6], broken, *LOG[6:]])
    assert run.returncode == 0
    assert b"1 lines make no sense: 7" in run.stderr
    assert run.stdout.decode().splitlines() == shown(LOG)


@pytest.mark.parametrize(
    "lines",
    [[], ["nothing here"], ["trace begin version=2 tsc_khz=1000"], ["trace begin version=1 tsc_khz=0", "trace end"]],
)
def test_a_log_without_a_dump_is_an_error(lines):
    run = decode(lines)
    assert run.returncode == 1
    assert b"0 dumps" in run.stderr
    assert not run.stdout


def test_an_empty_dump_is_no_error():
    lines = ["trace begin version=1 tsc_khz=1000", "trace cpu 0 written=0 size=16", "trace end"]
    assert shown(lines) == ["cpu 0: 0 exits in all, the ring holds 16"]
    assert slices(lines) == ([], [])
