"""The shell for managing VMs: the examples of docs/shell.md, the keys, the table each second."""

import re

import pytest

from rig import ROOT
from vms import boot_vms, expect_prompts, labos, power_off, report

UP, LEFT, HOME, END, DELETE = "\x1b[A", "\x1b[D", "\x1b[H", "\x1b[F", "\x1b[3~"


@pytest.fixture
def vm(boot, tmp_path):
    """Two VMs with labos, each on a CPU."""
    session = boot_vms(boot, tmp_path, labos("one") + labos("two"), cpus=2)
    expect_prompts(session, ["one", "two"])
    session.ask("cpus")  # the prompt stands alone now
    return session


def examples(text):
    """[(command, expected lines)] of the blocks in which something is typed at the prompt."""
    found = []
    for block in re.findall(r"(?ms)^```\n(.*?)^```$", text):
        for line in block.splitlines():
            if line.startswith("crvm> "):
                found.append((line[len("crvm> ") :], []))
            elif found:
                found[-1][1].append(line)
    return found


def pattern_of(lines):
    """Numbers may be others, blanks more or less; `...` is anything."""
    rows = []
    for line in lines:
        if line == "...":
            rows.append(r"(?:.*\n)*?")
            continue
        words = [r"[0-9a-f.]+" if re.fullmatch(r"[0-9a-f.]*[0-9][0-9a-f.]*", w) else re.escape(w) for w in line.split()]
        row = r" +".join(words).replace(r"\.\.\.", r".*")
        rows.append(r" *" + re.sub(r"=1[0-9]*\b", r"=\\d+", row) + r" *\n")
    return "".join(rows)


def test_the_examples_are_true(vm):
    shown = examples((ROOT / "docs/shell.md").read_text())
    assert len(shown) > 25
    for command, lines in shown:
        got = vm.ask(command, timeout=60)
        assert re.fullmatch(pattern_of(lines), got), f"{command}\n{got}\nis not\n{pattern_of(lines)}"
    assert "agree with their rules" in vm.ask("audit")
    power_off(vm)


def test_a_vm_made_from_anothers_configuration_runs(vm):
    """config's line under another name, twice over; destroyed, it leaves nothing behind."""
    free = vm.ask("frames")
    line = vm.ask("config one").strip().replace("[vm one]", "[vm three]")
    for _ in range(2):
        vm.type("create " + line)
        vm.expect(r"VM 3 three is made, and running\n")
        vm.expect(r"\[three\] labos>", timeout=60)
        assert report(vm)["three"]["memory"] == 16384
        vm.ask("stop three")
        assert "VM three is gone" in vm.ask("destroy three")
        assert "three" not in report(vm)
    assert re.search(r"free +\d+", vm.ask("frames"))[0] == re.search(r"free +\d+", free)[0]
    power_off(vm)


def test_a_paused_vm_stands_still(vm):
    vm.ask("pause two")
    first, second = [vm.ask("regs two") + vm.ask("mem two 100000 256") for _ in range(2)]
    assert first == second
    before = report(vm)
    assert before["two"]["state"] == "paused"
    after = report(vm)
    assert after["two"]["raised"] == before["two"]["raised"] and after["one"]["raised"] > before["one"]["raised"]
    vm.ask("resume two")
    assert report(vm)["two"]["raised"] >= before["two"]["raised"]
    power_off(vm)


def test_top_until_a_key(vm):
    vm.type("top")
    for _ in range(2):
        vm.expect(r"VM name +state +CPU +share +exits/s +ticks owed\n")
        vm.expect(r" 1 one +running +\d+ +\d+\.\d% +\d+ +\d+\n")
        vm.expect(r" 2 two +running +\d+ +\d+\.\d% +\d+ +\d+\n")
    vm.send(UP)  # a whole sequence is one key
    vm.expect(r"(?m)^crvm> ")
    assert "CPU 0 answered" in vm.ask("ping")
    vm.type("top")
    vm.expect("any key")
    vm.send("\x012")  # so does a VM that gets the console
    vm.expect(r"--- two \(")
    vm.send("\x01s")
    vm.expect(r"(?m)^crvm> ")
    at = len(vm.text)
    vm.ask("ping")
    vm.ask("sleep 2000000")
    vm.expect(r"slept \d+ us")
    assert "ticks owed" not in vm.text[at:]
    power_off(vm)


def test_keys(boot):
    vm = boot("qemu")
    vm.ready()
    vm.send("g" + LEFT + "in" + HOME + "px" + LEFT + DELETE + "\r")  # pin + g
    vm.expect(r"CPU 0 answered in")
    vm.ready()
    vm.send("rubbish" + UP + "\r")
    vm.expect(r"CPU 0 answered in")
    vm.ready()
    vm.send("cpus rest" + "\x17\x7f\r")
    vm.expect(r"APIC ID +state")
    vm.ready()
    vm.send("pong" + LEFT * 3 + DELETE + "i" + END + "\r")
    vm.expect(r"CPU 0 answered in")
    vm.ready()
    vm.send("pon\x03frames\x02\x02\x0bes\r")
    vm.expect(r"hypervisor +\d+ frames")


def test_tab(boot):
    vm = boot("qemu")
    vm.ready()
    vm.send("sel\t\r")
    vm.expect(r"selftest: this machine cannot run VMs")
    vm.ready()
    vm.send("st\t\t")
    vm.expect(r"\n  start  stop  stats\ncrvm> st")
    vm.send("\x15logl\td\t\r")
    vm.expect(r"loglevel debug \n")
    vm.ready()
    assert "this machine cannot run VMs" in vm.ask("create [vm a]; disk0 = x")
    assert "there are none; create makes one" in vm.ask("start")


def test_the_cursor_survives_a_log_line(boot):
    """In mid-line: what is typed afterwards goes where it was."""
    vm = boot("bochs", cpus=1)
    vm.ready()
    vm.type("sleep 500000")
    vm.expect(r"crvm> ")
    vm.send("png" + LEFT * 2)
    vm.expect(r"slept \d+ us \(asked for 500000\)\ncrvm> png\x08\x08")
    vm.send("i\r")
    vm.expect(r"CPU 0 answered")


def test_a_long_line(boot):
    """Longer than the terminal: shown in part while it is typed, and whole when it is entered."""
    vm = boot("bochs", cpus=1)
    vm.ready()
    words = " ".join(f"word{i:03}" for i in range(150))
    vm.send("loglevel " + words)
    vm.send(HOME + END + "\r")
    vm.expect(re.escape("loglevel " + words) + r"\nloglevel: one of err, warn, info, debug, not 'word000")
    vm.ready()
    vm.send("x" * 1536 + "\r")
    vm.expect(r"the line is too long, and nothing was done: at most 1535 characters\n")


def test_a_bracketed_paste(boot):
    vm = boot("qemu")
    vm.ready()
    vm.send("\x1b[200~ping\rcp\tus\r\x1b[201~")
    vm.expect(r"CPU 0 answered")
    vm.expect(r"'cp' could be:  cpu  cpus\n")
