"""scripts/test-ucore: how it judges consoles, sorts folders and adds up. No uCore image is needed: the consoles are
invented, and the one boot has labos pose as a lab."""

import importlib.machinery
import importlib.util
import json
import re
import shutil
import subprocess
import sys

import pytest
from rig import BUILD, ROOT


def load_script():
    loader = importlib.machinery.SourceFileLoader("test_ucore_script", str(ROOT / "scripts/test-ucore"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("test_ucore_script", loader))
    sys.modules[loader.name] = module  # dataclasses look there
    loader.exec_module(module)
    return module


ucore = load_script()
IMAGES = BUILD / "guest-images"

BOOT = "CRVM v1\nVM ucore-1: 131072 KiB, boot = disk\ncrvm> "
TAKEN = "\n--- ucore-1 (Ctrl-A s: back to the shell, Ctrl-A ?: help) ---\n"
START = "CRVM firmware, 131072 KiB of RAM\n(THU.CST) os is loading ...\n\n"
CHECKS = "check_boot_pgdir() succeeded!\ncheck_vmm() succeeded.\n"
SWAP = "count is 5, total is 5\ncheck_swap() succeeded!\n++ setup timer interrupts\n"
TICKS = "100 ticks\n" * 3
QUITS = "".join(f"No.{n} philosopher_{kind} quit\n" for kind in ("sema", "condvar") for n in range(5))


def panic(text, where="kern/process/proc.c:1", who="kernel"):
    return f"{who} panic at {where}:\n    {text}\n"


MONITOR = "Welcome to the kernel debug monitor!!\nType 'help' for a list of commands.\nK> "
THE_END = "init check memory pass.\n" + panic("initproc exit.\n") + MONITOR
SHELL = "user sh is running!!!$ "
ANSWERS = {
    "ls": " @ is  [directory] : @'.'\n   [-]   1(h)   1(b)   1(s)   sh\nlsdir: step 4\n$ ",
    "hello": "Hello world!!.\nhello pass.\n$ ",
    "matrix": "fork ok.\npid 5 done!.\nmatrix pass.\n$ ",
    "forktest": "I am child 0\nforktest pass.\n$ ",
    "sleep": "sleep 1 x 100 slices.\nsleep pass.\n$ ",
    "priority": "main: wait pids over\nstride sched correct result: 1 2 3 4 5\n$ ",
}
GOOD = {
    "lab1": START + TICKS,
    "lab2": START + CHECKS + TICKS,
    "lab3": START + CHECKS + SWAP + TICKS,
    "lab4": START + CHECKS + SWAP + 'To U: "en.., Bye, Bye. :)"\n' + panic("process exit!!.\n") + MONITOR,
    "lab5": START + CHECKS + SWAP + THE_END,
    "lab6": START + CHECKS + "sched class: stride_scheduler\n" + SWAP + THE_END,
    "lab7": START + CHECKS + SWAP + QUITS + THE_END,
}


def judge_of(lab):
    """A judge that has given its VM the console."""
    judge = ucore.Judge(ucore.LABS[lab])
    judge.feed(BOOT)
    assert judge.typed == "\x011"
    judge.typed = ""
    judge.feed(TAKEN)
    judge.clock(1)
    return judge


def judge_text(lab, text, chunk=0):
    judge = judge_of(lab)
    for at in range(0, len(text), chunk or len(text)):
        judge.feed(text[at : at + (chunk or len(text))])
    return judge


# ---- what passes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [0, 1, 7])
@pytest.mark.parametrize("lab", GOOD)
def test_a_good_lab_passes_however_its_text_is_cut(lab, chunk):
    assert judge_text(lab, GOOD[lab], chunk).verdict == "pass"


@pytest.mark.parametrize("lab", GOOD)
def test_without_its_last_line_it_has_not_passed(lab):
    text = GOOD[lab].rstrip().rsplit("\n", 1)[0]
    assert judge_text(lab, text + "\n").verdict is None


SIGNS = {
    "lab1": ["THU.CST"],
    "lab2": ["check_boot_pgdir"],
    "lab3": ["check_boot_pgdir", "check_vmm", "check_swap"],
    "lab4": ["check_vmm", "check_swap", "To U:"],
    "lab5": ["check_vmm", "check_swap", "init check memory"],
    "lab6": ["check_vmm", "sched class", "check_swap", "init check memory"],
    "lab7": ["check_vmm", "check_swap", "No.3 philosopher_sema quit", "init check memory"],
}


@pytest.mark.parametrize("lab, sign", [(lab, sign) for lab, signs in SIGNS.items() for sign in signs])
def test_each_sign_counts(lab, sign):
    lines = GOOD[lab].splitlines(True)
    rest = [line for line in lines if sign not in line]
    assert len(rest) == len(lines) - 1
    assert judge_text(lab, "".join(rest)).verdict != "pass"


@pytest.mark.parametrize("lab", ["lab1", "lab2", "lab3"])
def test_two_times_100_ticks_are_not_enough(lab):
    assert judge_text(lab, GOOD[lab].removesuffix("100 ticks\n")).verdict is None


def run_shell(answers, chunk=0):
    """Lab 8 with these answers; the judge, and what it typed."""
    judge = judge_text("lab8", START + CHECKS + SWAP + SHELL + "No.0 philosopher_sema quit\n" + QUITS, chunk)
    typed = []
    while judge.typed and not judge.verdict:
        line, judge.typed = judge.typed, ""
        typed.append(line)
        answer = line.rstrip("\r") + answers.get(line.rstrip("\r"), "")
        for at in range(0, len(answer), chunk or len(answer)):
            judge.feed(answer[at : at + (chunk or len(answer))])
    return judge, typed


@pytest.mark.parametrize("chunk", [0, 1, 5])
def test_lab8_types_its_commands_one_after_the_other(chunk):
    judge, typed = run_shell(ANSWERS, chunk)
    assert judge.verdict == "pass"
    assert typed == [f"{name}\r" for name in ("ls", "hello", "forktest", "priority", "sleep", "matrix")]


@pytest.mark.parametrize("name", ANSWERS)
def test_lab8_wants_the_end_of_every_command(name):
    judge, typed = run_shell(ANSWERS | {name: ANSWERS[name].replace("\n$ ", "\n")})
    assert judge.verdict is None and typed[-1] == f"{name}\r" and judge.waiting_for() == f"`{name}`"


def test_lab8_waits_for_all_philosophers():
    judge = judge_text("lab8", START + CHECKS + SWAP + SHELL + QUITS.split("\n", 1)[1])
    assert judge.waiting_for() == "ten philosophers quit" and not judge.typed


def test_what_was_shown_with_the_vms_name_before_counts():
    judge = ucore.Judge(ucore.LABS["lab2"])
    shown = "".join(f"[ucore-1] {line}\ncrvm> " for line in (START + CHECKS).split("\n"))
    judge.feed(BOOT + shown)
    judge.feed(TAKEN + TICKS)
    assert judge.verdict == "pass"


def test_one_lost_line_at_the_start_does_not_matter():
    lost = GOOD["lab1"].replace("(THU.CST) os is loading ...", "  entry  0x00100000 (phys)")
    assert judge_text("lab1", lost).verdict == "pass"


# ---- what fails, and why --------------------------------------------------------------------------

TLB = "assertion failed: nr_free_pages_store == nr_free_pages()"


@pytest.mark.parametrize("chunk", [0, 1])
@pytest.mark.parametrize(
    "lab, text, reason",
    [
        ("lab3", START + panic(TLB, "kern/mm/vmm.c:2"), f"kernel panic at kern/mm/vmm.c:2: {TLB}"),
        ("lab5", START + CHECKS + SWAP + panic("initproc exit.\n"), "kernel panic at .*: initproc exit"),
        ("lab4", START + CHECKS + SWAP + panic("process exit!!.\n"), "kernel panic at .*: process exit"),
        ("lab7", START + CHECKS + SWAP + panic("oops", "a.c:1", "user"), "user panic at a.c:1: oops"),
        ("lab1", START + "VM ucore-1 stopped: triple fault\n", "VM ucore-1 stopped: triple fault"),
        ("lab1", START + "VM ucore-1, vCPU 0: triple fault\n", "VM ucore-1, vCPU 0: triple fault"),
        ("lab1", START + "   0.3 cpu0 error VM ucore-1, vCPU 0: triple fault\n", "VM ucore-1, vCPU 0: triple fault"),
        ("lab1", START + "PANIC on CPU 0: check failed\n", "PANIC on CPU 0: check failed"),
        ("lab1", START + "CRVM firmware, 131072 KiB\n", "the VM started again"),
        ("lab1", "No disk to boot from: none has a boot sector.\n", "No disk to boot from"),
    ],
)
def test_signs_of_failure_end_the_test_at_once(lab, text, reason, chunk):
    judge = judge_text(lab, text, chunk)
    assert judge.verdict == "fail" and re.match(reason, judge.reason), judge.reason


def test_another_panic_is_not_the_lab_s_end():
    text = GOOD["lab5"].replace("initproc exit.", "out of memory")
    judge = judge_text("lab5", text)
    assert judge.verdict == "fail" and "out of memory" in judge.reason and 'the panic "initproc exit."' in judge.reason


def test_a_panic_counts_if_a_sign_comes_right_behind_it():
    judge = judge_text("lab2", START + CHECKS + panic("too early") + TICKS)
    assert judge.verdict == "fail" and "too early" in judge.reason


def test_a_sign_counts_if_a_panic_comes_right_behind_it():
    judge = judge_text("lab2", START + CHECKS + "100 ticks\n" + panic("too late"))
    assert judge.verdict == "fail" and "too late" in judge.reason and judge.left == 2


def test_what_comes_after_the_verdict_changes_nothing():
    for late in (panic("late"), "CRVM firmware, 131072 KiB\n"):
        assert judge_text("lab1", GOOD["lab1"] + late).verdict == "pass"


def test_lab8_tells_the_shell_s_error():
    judge, _ = run_shell(ANSWERS | {"matrix": "error: -16 - no such file or directory\n$ "})
    assert judge.verdict == "fail"
    assert judge.reason == "error: -16 - no such file or directory (while waiting for `matrix`)"


@pytest.mark.parametrize(
    "text, reason",
    [
        ("VM ucore-1 is left out: see above\n", "VM ucore-1 is left out: see above"),
        ("VM ucore-1 cannot be made: no memory\n", "VM ucore-1 cannot be made: no memory"),
        ("    0.2 cpu0 error VM ucore-1: disk1: empty\nVM ucore-1 cannot be made\n", "VM ucore-1: disk1: empty"),
    ],
)
def test_without_its_vm_it_fails_before_the_prompt(text, reason):
    judge = ucore.Judge(ucore.LABS["lab1"])
    judge.feed("CRVM v1\n    0.1 cpu0 info  VM ucore-1: 131072 KiB, boot = disk\n" + text)
    assert judge.verdict == "fail" and judge.reason == reason


@pytest.mark.parametrize("line", ["labos: 100 ticks\n", "100 ticks and more\n", "x100 ticks\n"])
def test_other_systems_ticks_do_not_count(line):
    assert judge_text("lab1", START + line * 9).verdict is None


# ---- time -----------------------------------------------------------------------------------------


def test_silence_fails_after_the_step_s_time_of_the_guest():
    judge = judge_text("lab1", "labos: a small system\nlabos> ")
    judge.clock(1 + ucore.START.limit)
    assert judge.verdict is None
    judge.clock(1.1 + ucore.START.limit)
    assert judge.verdict == "fail"
    assert judge.reason == "no uCore's first lines within 15 s; the last line: 'labos> '"


def test_the_last_line_is_told_whole_however_it_came():
    judge = judge_text("lab1", "one\nlast line\n\n", chunk=1)
    judge.clock(100)
    assert judge.reason.endswith("the last line: 'last line'")


def test_time_goes_on_behind_the_verdict():
    judge = judge_text("lab1", GOOD["lab1"])
    judge.clock(1000)
    assert judge.verdict == "pass" and judge.now == 1000


def test_each_step_has_its_own_time():
    judge = judge_text("lab1", START)
    for now in (100, 119, 120):
        judge.clock(now)
    assert judge.verdict is None, "the step began at the first look at the clock behind it"
    judge.feed("100 ticks\n")
    judge.clock(130)
    judge.clock(149)
    assert judge.verdict is None, "each tick has its time"
    judge.clock(151)
    assert judge.verdict == "fail" and "100 ticks" in judge.reason


def test_the_boot_has_a_limit_too():
    judge = ucore.Judge(ucore.LABS["lab1"])
    judge.clock(0.1)
    judge.clock(ucore.BOOT_LIMIT)
    assert judge.verdict is None
    judge.clock(ucore.BOOT_LIMIT + 1)
    assert judge.verdict == "fail" and judge.reason.startswith("no CRVM's prompt within")


def test_the_way_from_the_prompt_to_the_vm_has_its_own_time():
    judge = ucore.Judge(ucore.LABS["lab1"])
    judge.clock(0.1)
    judge.feed(BOOT)  # read late: nobody had the CPU to type anything, and the machine slept fast
    judge.clock(1000)
    assert judge.verdict is None
    judge.clock(1001 + ucore.BOOT_LIMIT)
    assert judge.verdict == "fail"


def test_the_machine_s_end_is_a_failure_unless_all_was_seen():
    judge = judge_text("lab1", START)
    judge.ended("crash: triple fault")
    assert judge.verdict == "fail" and "the machine ended (crash: triple fault)" in judge.reason
    judge = judge_text("lab1", GOOD["lab1"])
    judge.ended("crash")
    assert judge.verdict == "pass"


def test_a_guest_that_prints_for_ever_does_not_fill_memory():
    judge = judge_of("lab1")
    for _ in range(300):
        judge.feed("x" * 1000)
    assert len(judge.text) <= ucore.KEPT
    judge.feed("\n" + START + TICKS)
    assert judge.verdict == "pass"


def test_what_a_guest_prints_cannot_harm_the_terminal():
    judge = judge_text("lab1", START + panic("\x9b31m\x07" + "y" * 999))
    assert judge.verdict == "fail" and judge.reason.isprintable() and len(judge.reason) <= 200


# ---- folders and the table ------------------------------------------------------------------------


def make_folder(tmp_path, *labs):
    for lab in labs:
        (tmp_path / lab).mkdir(parents=True)
        (tmp_path / lab / "ucore.img").write_bytes(bytes(512))
    return tmp_path


@pytest.mark.parametrize(
    "wanted, there, absent, lacking",
    [
        ([], ["lab1", "lab3"], 6, False),
        (["lab3"], ["lab3"], 0, False),
        (["lab1", "lab2"], ["lab1"], 1, True),
        (["lab8"], [], 1, True),
    ],
)
def test_absent_labs_are_a_failure_only_if_named(tmp_path, wanted, there, absent, lacking):
    found = ucore.sort_out(make_folder(tmp_path, "lab1", "lab3", "lab9"), wanted)
    assert (found[0], len(found[1]), found[2]) == (there, absent, lacking)


def run_script(*args, **more):
    command = [ROOT / "scripts/test-ucore", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, **more)


def test_an_empty_folder_fails(tmp_path):
    (tmp_path / "lab1").mkdir()
    done = run_script("--build", tmp_path / "out", tmp_path)
    assert done.returncode == 1 and "there is no labN/ucore.img" in done.stdout
    verdicts = json.loads((tmp_path / "out/ucore.json").read_text())
    assert verdicts == {f"lab{n}": "absent" for n in range(1, 9)}


@pytest.mark.parametrize("args", [["no-such-folder"], [".", "lab9"], [".", "-j", "3"]])
def test_mistakes_of_the_command_line_are_told(tmp_path, args):
    done = run_script("--build", tmp_path / "out", *args, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr and not (tmp_path / "out").exists()


class FakeRun:
    """A lab whose end is known."""

    verdicts = {}
    most = 0
    live = set()

    def __init__(self, name, _folder, _build):
        self.name = name
        self.judge = ucore.Judge(ucore.LABS[name])
        FakeRun.live.add(name)
        FakeRun.most = max(FakeRun.most, len(FakeRun.live))

    def seconds(self):
        return 1.0

    def finish(self):
        FakeRun.live.discard(self.name)

    result = ucore.Run.result


def fake_watch(runs):
    for run in runs:
        verdict = FakeRun.verdicts[run.name]
        if isinstance(verdict, Exception):
            raise verdict
        run.judge.verdict = "pass"
        if verdict != "pass":
            run.judge.fail(verdict)


@pytest.fixture
def faked(monkeypatch, tmp_path):
    monkeypatch.setattr(ucore, "Run", FakeRun)
    monkeypatch.setattr(ucore, "watch", fake_watch)
    monkeypatch.setattr(ucore.signal, "signal", lambda *_: None)
    monkeypatch.setattr(FakeRun, "most", 0)
    FakeRun.live.clear()

    def run(verdicts, *args):
        FakeRun.verdicts = verdicts
        folder = make_folder(tmp_path / "labs", *verdicts)
        status = ucore.main(["--build", str(tmp_path / "out"), str(folder), *args])
        return status, json.loads((tmp_path / "out/ucore.json").read_text())

    return run


def test_all_pass(faked, capsys):
    status, verdicts = faked({f"lab{n}": "pass" for n in range(1, 9)}, "-j", "2")
    assert status == 0 and set(verdicts.values()) == {"pass"} and len(verdicts) == 8
    assert FakeRun.most == 2 and not FakeRun.live
    assert capsys.readouterr().out.count(" pass ") >= 8


def test_one_failure_fails_all_and_tells_why(faked, capsys):
    status, verdicts = faked({"lab1": "pass", "lab2": "kernel panic at x: y"})
    assert status == 1
    assert verdicts["lab1"] == "pass" and verdicts["lab2"] == "fail: kernel panic at x: y"
    assert verdicts["lab3"] == "absent"
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("lab2 ")]
    assert len(rows) == 1 and "FAIL" in rows[0] and rows[0].endswith("kernel panic at x: y")


def test_absent_labs_alone_do_not_fail(faked, capsys):
    assert faked({"lab1": "pass"})[0] == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split() for row in rows if row.startswith("lab8 ")] == [["lab8", "absent"]]


def test_a_named_absent_lab_fails(faked):
    status, verdicts = faked({"lab1": "pass"}, "lab1", "lab8")
    assert status == 1 and verdicts == {"lab1": "pass", "lab8": "absent"}


def test_an_interrupted_run_is_no_pass(faked):
    status, verdicts = faked({"lab1": "pass", "lab2": ucore.Interrupted("SIGTERM"), "lab3": "pass"}, "-j", "1")
    assert status == 1 and not FakeRun.live
    assert verdicts["lab1"] == "pass" and verdicts["lab3"] == "not run"
    assert verdicts["lab2"].startswith("fail: interrupted while waiting for")


# ---- a real machine -------------------------------------------------------------------------------


# xor ax, ax; mov ds, ax; lidt [7C10h], where zeros are; int3
TRIPLE_FAULT = bytes.fromhex("31c08ed80f011e107ccc").ljust(510, b"\0") + b"\x55\xaa"


def test_what_is_not_ucore_fails_with_the_reason(tmp_path):
    """labos poses as lab 1, and counts ticks too; lab 2 has no boot sector, lab 3 an empty disk; lab 4 crashes."""
    names = ["lab1", "lab2", "lab3", "lab4"]
    folder = make_folder(tmp_path / "labs", *names)
    shutil.copy(IMAGES / "labos.img", folder / "lab1/ucore.img")
    (folder / "lab2/ucore.img").write_bytes(bytes(1 << 20))
    (folder / "lab3/swap.img").write_bytes(b"")
    (folder / "lab4/ucore.img").write_bytes(TRIPLE_FAULT.ljust(1 << 20, b"\0"))
    done = run_script("--build", tmp_path / "out", folder, *names)
    verdicts = json.loads((tmp_path / "out/ucore.json").read_text())
    assert done.returncode == 1, done.stdout
    assert verdicts["lab1"].startswith("fail: no uCore's first lines within 15 s; the last line: 'labos"), verdicts
    assert verdicts["lab2"].startswith("fail: No disk to boot from"), verdicts
    assert verdicts["lab3"].startswith("fail: VM ucore-1: disk1: "), verdicts
    # Whether the console was its before it crashed is a matter of luck.
    crash = "fail: VM ucore-1, vCPU 0: triple fault"
    assert verdicts["lab4"] in (crash, f"{crash} (while waiting for uCore's first lines)"), verdicts
    assert "lab1: booting" in done.stdout and "lab2: fail after" in done.stdout
    assert "labos" in (tmp_path / "out/ucore/lab1/serial.log").read_text(errors="replace")
