"""What the tests of whole VMs share: configurations as text, and labos (guest-images/labos) in them."""

import re
import time


from rig import BUILD

IMAGES = BUILD / "guest-images"
LABOS_PROMPT = r"labos> "
SHELL = "\x01s"  # Ctrl-A s


def labos(name, memory="16M", disk0="labos.img", **keys):
    """A section of a configuration; further keys as `key=value`, with _ for -."""
    lines = [f"[vm {name}]", f"memory = {memory}", f"disk0 = {disk0}"]
    keys = {"disk1": "blank:8M", "disk2": "blank:4M"} | keys
    lines += [f"{key.replace('_', '-')} = {value}" for key, value in keys.items() if value]
    return "\n".join(lines) + "\n"


def boot_vms(boot, tmp_path, config, modules=("labos.img",), **wanted):
    """Boots CRVM with this configuration, the firmware, and these images (names, or pairs path, name)."""
    text = tmp_path / "test.conf"
    text.write_text(config)
    named = [(IMAGES / m, m) if isinstance(m, str) else m for m in modules]
    wanted.setdefault("cpus", 1)
    return boot(modules=[(text, "config"), (IMAGES / "firmware.bin", "firmware"), *named], **wanted)


def expect_prompts(vm, names, timeout=90):
    """Until each of these VMs shows the prompt of labos, in whatever order."""
    deadline = time.monotonic() + timeout
    for name in names:
        vm.seen = 0
        vm.expect(rf"(?m)\[{name}\] labos>", timeout=max(1, deadline - time.monotonic()))
    vm.seen = len(vm.text)


def focus(vm, number, name):
    vm.send(f"\x01{number}")
    vm.expect(rf"--- {name} \(.*\) ---\n")


def unfocus(vm):
    vm.send(SHELL)
    vm.expect(r"(?m)^crvm> ")


def ask_labos(vm, command, timeout=30):
    """A command for labos, which has the focus: what it prints up to the next prompt."""
    vm.send(command + "\r")
    vm.expect(re.escape(command) + r"\n", timeout)
    at = vm.seen
    end = vm.expect(r"(?m)^" + LABOS_PROMPT, timeout).start()
    return vm.text[at:end]


def report(vm, timeout=120):
    """What `vms` tells of each VM by its name: state, cpu, ran, up, due, raised, ..., and counts by kind of exit."""
    vms, of = {}, {}
    for line in vm.ask("vms", timeout).splitlines():
        if head := re.match(r"  VM \d+ (\S+): (\w+), (\d+) KiB, CPU (\d+)", line):
            of = vms.setdefault(head[1], {"state": head[2], "memory": int(head[3]), "cpu": int(head[4])})
        elif time_line := re.search(
            r"ran (\d+) of (\d+) ms; PIT ticks: (\d+) due, (\d+) raised, (\d+) owed, (\d+) merged", line
        ):
            of.update(zip(("ran", "up", "due", "raised", "owed", "merged"), map(int, time_line.groups())))
        elif beside := re.search(r"beside its RAM: (\d+) KiB, of these (\d+) KiB", line):
            of.update(beside=int(beside[1]), overlay=int(beside[2]))
        elif row := re.match(r"\s+(\S.*?)\s+(\d+)\s+\d+\s+\d+\s+\d+$", line):
            of[row[1]] = int(row[2])
    return vms


def power_off(vm):
    vm.type("poweroff")
    vm.expect_end("poweroff")


