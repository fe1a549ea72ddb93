"""guest-images/childvm, a guest that is a VMM: it boots labos in a VM of its own, on CRVM's device models."""

import re

from rig import BUILD, ROOT
from vms import ask_labos, boot_vms, focus, labos, power_off, report, unfocus

CHILDVM = (BUILD / "guest-images/childvm.elf", "childvm.elf")
DISKS = ("labos.img", "labos-swap.img", "labos-fs.img")
CONFIG = (ROOT / "guest-images/childvm/crvm.conf").read_text()
PLAIN = "[vm plain]\nmemory = 2M\nboot = multiboot\nkernel = childvm.elf\nmodule = firmware\n"
PROMPT = r"(?m)^labos> "
COUNTS = r"childvm: in (\d+) ms: packets: (\d+) I/O, (\d+) halts, "


def boot_child(boot, tmp_path, config=CONFIG, **wanted):
    """CRVM with childvm, which has the focus, at the prompt of labos in the child."""
    vm = boot_vms(boot, tmp_path, config, [CHILDVM, *DISKS], **wanted)
    vm.ready()
    focus(vm, 1, "vmm")
    vm.seen = 0
    vm.expect(PROMPT, timeout=90)
    return vm


def audit(vm):
    assert "agree with their rules" in vm.ask("audit")


def test_labos_works_in_the_child(boot, tmp_path):
    vm = boot_child(boot, tmp_path, CONFIG + PLAIN)
    assert re.search(r"\[vmm\] childvm: making a VM of my own\n", vm.text)
    assert re.search(r"\[plain\] childvm: no child: error 1: this VM needs `privileged = yes`\n", vm.text)
    assert "CRVM firmware, 8192 KiB of RAM, disks: 80h 1 MiB 81h 4 MiB 82h 4 MiB" in vm.text
    assert "swap test passed" in vm.text and "file test passed" in vm.text
    assert ask_labos(vm, "echo spoken to the child") == "spoken to the child\n"
    assert re.findall(r"disk (\d): (\d+) KiB, CHILDVM DISK\n", ask_labos(vm, "disks")) == [
        ("0", "1024"),
        ("1", "4096"),
        ("2", "4096"),
    ]
    assert ask_labos(vm, "hello") == "hello from user mode\n"
    assert "passed" in ask_labos(vm, "matrix")
    # Interrupts of its timer, of its serial port, and packets: none makes another one get lost.
    vm.send("".join(f"echo line {n}\r" for n in range(40)))
    at = vm.seen
    vm.expect(r"(?m)^line 39\nlabos> ", timeout=60)
    assert re.findall(r"(?m)^line (\d+)$", vm.text[at:]) == [str(n) for n in range(40)]
    # Its disks are childvm's memory, which a reset of the child leaves alone.
    ask_labos(vm, "write notes kept over a reset")
    vm.send("reboot\r")
    vm.expect(r"childvm: the child has reset itself\n")
    vm.expect(PROMPT, timeout=60)
    assert ask_labos(vm, "cat notes") == "kept over a reset\n"
    unfocus(vm)
    audit(vm)
    focus(vm, 1, "vmm")
    vm.send("halt\r")
    vm.expect(r"childvm: the child has ended: HLT with interrupts off\n")
    vm.expect(r"VM vmm stopped: HLT with interrupts off")
    vm.expect(r"(?m)^crvm> ")
    audit(vm)
    power_off(vm)


def test_a_crash_of_the_child_is_its_own(boot, tmp_path):
    """On another CPU than the one that does what hypercalls ask for."""
    vm = boot_child(boot, tmp_path, CONFIG + "cpu = 1\n", cpus=2)
    vm.send("crash triple\r")
    vm.expect(r"childvm: the child has ended: triple fault")
    vm.expect(r"VM vmm stopped: HLT with interrupts off")
    vm.expect(r"(?m)^crvm> ")
    audit(vm)
    vm.ask("start 1")
    vm.expect(r"labos: 100 ticks", timeout=60)
    focus(vm, 1, "vmm")
    vm.send("crash port92\r")
    vm.expect(r"childvm: the child has reset itself\n")
    vm.expect(PROMPT, timeout=60)
    # Its VM can be pulled away from under it.
    unfocus(vm)
    assert "VM vmm stopped" in vm.ask("stop 1")
    audit(vm)
    power_off(vm)


def test_the_child_keeps_time(boot, tmp_path):
    """What its timer has counted, beside the time in which childvm ran it."""
    vm = boot_child(boot, tmp_path)
    vm.send("sleep 5\rticks\rhalt\r")
    ticks = int(vm.expect(r"(?m)^(\d+) ticks", timeout=60)[1])
    ms = int(vm.expect(COUNTS)[1])
    print(f"{ticks} ticks in {ms} ms")
    assert ticks >= 600
    assert 10 * ticks <= ms <= 10 * ticks + 1000
    vm.expect(r"(?m)^crvm> ")
    power_off(vm)


def test_what_a_boot_in_the_child_costs(boot, tmp_path):
    """CPU time from power-on to the prompt, where `halt` waits already: in the child, and without one."""
    direct = labos("direct", memory="8M", disk1="labos-swap.img", disk2="labos-fs.img", autostart="no")
    vm = boot_vms(boot, tmp_path, CONFIG + "autostart = no\n" + direct, [CHILDVM, *DISKS])
    vm.ready()
    for number, name in (1, "vmm"), (2, "direct"):
        vm.ask(f"start {number}")
        focus(vm, number, name)
        vm.expect(r"swap test passed", timeout=60)
        vm.send("halt\r")
        vm.expect(rf"VM {name} stopped: HLT with interrupts off", timeout=60)
        vm.expect(r"(?m)^crvm> ")
    counts = re.search(COUNTS, vm.text)
    cost = report(vm)
    child, alone = cost["vmm"]["ran"], cost["direct"]["ran"]
    print(f"labos to its prompt: {child} ms of CPU in the child, {alone} ms alone; {counts[0]}")
    assert child < 6 * alone
    assert int(counts[2]) < 15000
    power_off(vm)
