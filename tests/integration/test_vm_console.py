"""The one console for all VMs: lines with names, focus, replay, paste."""

import re

from vms import ask_labos, boot_vms, expect_prompts, focus, labos, power_off, unfocus


def test_focus_is_a_plain_terminal(boot, tmp_path):
    vm = boot_vms(boot, tmp_path, labos("one") + labos("two"))
    expect_prompts(vm, ["one", "two"])
    focus(vm, 1, "one")
    assert ask_labos(vm, "echo plain") == "plain\n"
    focus(vm, 2, "two")
    assert ask_labos(vm, "echo other") == "other\n"
    unfocus(vm)
    power_off(vm)


def test_what_others_print_meanwhile_is_shown_later(boot, tmp_path):
    """The VM that is not in focus prints a line each second; they come when the shell is back."""
    vm = boot_vms(boot, tmp_path, labos("one") + labos("two"))
    expect_prompts(vm, ["one", "two"])
    focus(vm, 2, "two")
    ask_labos(vm, "ticklog on")
    focus(vm, 1, "one")
    ask_labos(vm, "sleep 3", timeout=60)
    at = vm.seen
    assert "[two]" not in vm.text[at:]
    unfocus(vm)
    vm.expect(r"\[two\] labos: \d+00 ticks\n")
    power_off(vm)


def test_replay_and_screen(boot, tmp_path):
    vm = boot_vms(boot, tmp_path, labos("one"))
    expect_prompts(vm, ["one"])
    focus(vm, 1, "one")
    ask_labos(vm, "echo remember me")
    vm.send("\x01r")
    vm.expect(r"swap test passed[\s\S]*remember me\n")
    vm.send("\x01v")
    vm.expect(r"\| remember me\n")
    unfocus(vm)
    assert "remember me" in vm.ask("log one")
    power_off(vm)


def test_key_sequences(boot, tmp_path):
    vm = boot_vms(boot, tmp_path, labos("one") + labos("two"))
    expect_prompts(vm, ["one", "two"])
    vm.send("\x01n")
    vm.expect(r"--- one \(")
    vm.send("\x01n")
    vm.expect(r"--- two \(")
    vm.send("\x01p")
    vm.expect(r"--- one \(")
    vm.send("\x01?")
    vm.expect(r"Ctrl-A and then: .*")
    vm.send("\x017")
    vm.expect(r"there is no VM 7: there are 2")
    vm.send("\x01x")
    vm.expect(r"mean nothing")
    unfocus(vm)
    assert "which VM?" in vm.ask("focus nobody")
    power_off(vm)


def test_a_paste_of_4_kib_loses_nothing(boot, tmp_path):
    vm = boot_vms(boot, tmp_path, labos("one") + labos("two"))
    expect_prompts(vm, ["one", "two"])
    focus(vm, 1, "one")
    lines = [f"echo line {i:03} {'x' * 40}" for i in range(76)]
    text = "\r".join(lines) + "\r"
    assert len(text) >= 4096
    vm.send(text)
    for i in range(76):
        vm.expect(rf"(?m)^line {i:03} x{{40}}\n", timeout=60)
    unfocus(vm)
    assert not re.search("lost", vm.text)
    power_off(vm)


def test_a_screen_and_a_keyboard_do(boot):
    """QEMU, since Bochs' keyboard cannot be pressed: the shell, with no serial port."""
    vm = boot("qemu", cmdline="console=none")
    vm.expect_screen(r"(?m)^crvm>")
    vm.machine.sendkey("h", "e", "l", "p", "ret")
    vm.expect_screen(r"switches the machine off")
    vm.machine.sendkey("p", "o", "w", "e", "r", "o", "f", "f", "ret")
    vm.expect_end("poweroff")
