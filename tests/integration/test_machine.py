"""What CRVM says of a machine: what it has, and what keeps it from running VMs."""

import re
import socket
import subprocess

import pytest
from rig import make_iso

CAN = "This machine can run virtual machines"
CANNOT = r"This machine CANNOT run virtual machines:\n"

NO_VMX = r"No VMX \(Intel VT-x\)[^\n]*\n +seen: CPUID\.1:ECX = 0x[0-9a-f]+: VMX \(bit 5\) clear"
NO_EPT = r"No EPT[^\n]*\n +seen: IA32_VMX_PROCBASED_CTLS2 \(MSR 48Bh\) = 0x[0-9a-f]+: bit 33 clear"
NO_UNRESTRICTED = r"No unrestricted guest[^\n]*\n +seen: IA32_VMX_PROCBASED_CTLS2[^\n]* bit 39 clear"
NOT_INTEL = r'not Intel\'s[^\n]*\n +seen: CPUID\.0: vendor "AuthenticAMD"'

VERDICTS = {
    "p4_prescott_celeron_336": NO_VMX,
    "ryzen": NOT_INTEL,
    "core2_penryn_t9600": NO_EPT,
    "corei5_lynnfield_750": NO_UNRESTRICTED,
}


@pytest.mark.parametrize("model", VERDICTS)
def test_cpu_that_cannot_run_vms_is_told_so(boot, model):
    vm = boot("bochs", model=model, cpus=1)
    vm.expect(CANNOT, timeout=90)
    vm.expect(VERDICTS[model])
    vm.expect(r"\n +do: +\w")
    vm.ready()
    vm.expect_screen(r"seen: [^\0]*do: ")


# The first Intel family that will do, and the newest that Bochs has.
@pytest.mark.parametrize("model", ["corei5_arrandale_m520", "corei7_icelake_u"])
def test_cpu_that_can_run_vms(boot, model):
    vm = boot("bochs", model=model, cpus=2)
    vm.expect(CAN, timeout=90)
    vm.ready()


def test_optional_features_that_are_absent_are_done_without(boot):
    vm = boot("bochs", model="corei5_arrandale_m520", cpus=1)
    vm.ready()
    table = vm.text
    for absent in ("posted interrupts", "EPT accessed/dirty flags", "TSC deadline timer", "x2APIC"):
        assert re.search(rf"absent +{absent} \([^)]+\)+: \w", table), absent
    assert "timers by one-shot APIC timer" in table
    assert CAN in table


def grub_iso(tmp_path, kernel, commands):
    """An ISO whose GRUB runs just these commands."""
    root = tmp_path / "root/boot/grub"
    root.mkdir(parents=True)
    (root.parent / "crvm.elf").write_bytes(kernel.read_bytes())
    (root / "grub.cfg").write_text(commands)
    iso = tmp_path / "own.iso"
    modules = "--install-modules=multiboot multiboot2 normal iso9660 wrmsr rdmsr"
    plain = ["--locales=", "--fonts=", "--themes=", "--compress=xz"]
    subprocess.run(
        ["grub-mkrescue", *plain, modules, "-o", iso, tmp_path / "root"], check=True, capture_output=True
    )
    return iso


def test_vmx_locked_off_by_firmware(boot, kernel, tmp_path):
    """SeaBIOS leaves IA32_FEATURE_CONTROL unlocked; here GRUB locks it without VMX."""
    commands = "wrmsr 0x3a 1\nmultiboot2 /boot/crvm.elf\nset gfxpayload=text\nboot\n"
    vm = boot("bochs", iso=grub_iso(tmp_path, kernel, commands), firmware="seabios", cpus=1)
    vm.expect(CANNOT, timeout=120)
    vm.expect(r"locked off in firmware[^\n]*\n +seen: [^\n]*MSR 3Ah\) = 0x1\b")
    vm.expect(r"do: +[^\n]*firmware setup")


def test_vmx_left_unlocked_is_enabled_and_locked(boot):
    vm = boot("bochs", firmware="seabios", cpus=1)
    vm.expect(CAN, timeout=120)


def test_start_by_multiboot1_is_refused_with_advice(boot, kernel, tmp_path):
    iso = grub_iso(tmp_path, kernel, "multiboot /boot/crvm.elf\nboot\n")
    vm = boot("qemu", iso=iso)
    vm.expect(r"CRVM cannot start: not loaded by Multiboot2\. [^\n]*`multiboot2`[^\n]* = 2badb002h", timeout=60)
    vm.expect_screen("not loaded by")


@pytest.mark.parametrize("model, why", [("qemu32", r"EDX\[29\] = 0"), ("pentium3", "does not exist")])
def test_cpu_without_long_mode_is_refused(boot, model, why):
    vm = boot("qemu", model=model)
    vm.expect(rf"CRVM cannot start: this CPU has no 64-bit mode: [^\n]*{why}", timeout=60)
    vm.expect_screen("no 64-bit mode")


def test_too_little_memory(boot):
    vm = boot("qemu", mem=16)
    vm.expect(CANNOT, timeout=60)
    vm.expect(r"too little memory\n +seen: 1\d{4} KiB of RAM")
    vm.ready()


def test_cpus_that_differ(boot):
    """One CPU without SMAP, as a hot-plugged one in QEMU can be."""
    other = "max-x86_64-cpu,socket-id=1,core-id=0,thread-id=0,smap=off"
    vm = boot("qemu", cpus="1,maxcpus=2,sockets=2", model="max", extra=["-device", other])
    vm.expect(CANNOT, timeout=60)
    vm.expect(r"the CPUs differ\n +seen: CPUID\.7:EBX is [0-9a-f]{8} on CPU 0 but [0-9a-f]{8} on CPU 1")
    vm.expect(r"do: +[^\n]*cpus=")


def test_unknown_and_bad_options_are_named(boot):
    vm = boot("qemu", cmdline="loglevle=debug cpus=many")
    vm.ready()
    assert re.search(r"warn +command line: unknown option 'loglevle[^\n]*known: [^\n]*loglevel", vm.text)
    assert re.search(r"warn +command line: [^\n]*cpus[^\n]*many", vm.text)


def test_table_of_the_machine(boot):
    vm = boot("bochs", cpus=2, mem=256, modules=[("/etc/debian_version", "one"), ("/etc/passwd", "two")])
    vm.ready()
    shown = vm.text
    assert re.search(r'CPU +GenuineIntel "Intel\(R\) Core\(TM\) i7-7800X', shown)
    assert re.search(r"CPUs +2 of 2 running", shown)
    assert re.search(r"memory +255\.\d MiB of RAM", shown)
    assert re.search(r"modules +2, ", shown)
    assert re.search(r"firmware +BIOS, loaded by GRUB", shown)
    assert re.search(r"ACPI +revision 0, tables: RSDT FACP DSDT APIC", shown)
    assert re.search(r"serial +I/O port 3f8h \(COM1\), 115200 baud", shown)
    assert re.search(r"screen +VGA text, 80 columns, 25 rows", shown)


def test_memory_above_4_gib_is_used(boot):
    vm = boot("qemu", mem=6144)
    vm.ready()
    assert re.search(r"memory +6 GiB of RAM up to 200000000h; (5\.9|6) GiB free", vm.text)
    assert "agree" in vm.ask("audit")


def test_iommu_is_listed(boot):
    vm = boot("qemu", extra=["-device", "intel-iommu"])
    vm.ready()
    assert re.search(r"IOMMU +1 unit", vm.text)


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_modules_survive(boot, tmp_path, firmware):
    """Modules lie just above the image; nobody may overwrite them or the symbols."""
    module = tmp_path / "module"
    module.write_bytes(bytes(range(256)) * 8192)
    vm = boot("qemu", firmware=firmware, modules=[module, module])
    vm.ready()
    assert re.search(r"modules +2, 4 MiB", vm.text)
    assert re.search(r"modules +10\d\d frames", vm.ask("frames"))
    assert "agree" in vm.ask("audit")


class SecondLine:
    """A serial line of our own: QEMU connects to it."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(30)
        self.text = ""

    def argument(self):
        return ["-serial", f"tcp:127.0.0.1:{self.server.getsockname()[1]}"]

    def expect(self, pattern, timeout=60):
        if self.text == "":
            self.line = self.server.accept()[0]
            self.line.settimeout(timeout)
        while not re.search(pattern, self.text):
            data = self.line.recv(4096)
            assert data, f"the line closed before {pattern!r}; it had: {self.text[-400:]!r}"
            self.text += data.decode(errors="replace")


@pytest.mark.parametrize("how", ["console=com2", "console=0x2f8,57600", "SPCR", "DBG2"])
def test_console_on_another_port(boot, tmp_path, how):
    """By the command line, and by the firmware's tables."""
    second = SecondLine()
    extra, cmdline = second.argument(), how if "=" in how else ""
    gas = bytes([1, 8, 0, 1]) + (0x2F8).to_bytes(8, "little")
    body = b""
    if how == "SPCR":  # 16550 compatible; the GAS; 8259 interrupt, IRQ 3; 115200 baud (code 7)
        body = bytes([0, 0, 0, 0]) + gas + bytes([1, 3, 0, 0, 0, 0, 7, 0, 1, 0, 0, 0])
        body += bytes([0xFF, 0xFF, 0xFF, 0xFF]) + bytes(80 - 36 - len(body) - 4)
    elif how == "DBG2":  # one device with one address
        name = b".\0"
        size = 22 + 12 + 4 + len(name)
        device = b"\0" + size.to_bytes(2, "little") + b"\1" + len(name).to_bytes(2, "little")
        device += (38).to_bytes(2, "little") + bytes(4) + (0x8000).to_bytes(2, "little") + bytes(4)
        device += (22).to_bytes(2, "little") + (34).to_bytes(2, "little") + gas
        device += (8).to_bytes(4, "little") + name
        body = (44).to_bytes(4, "little") + (1).to_bytes(4, "little") + device
    if body:
        (tmp_path / "table").write_bytes(body)
        extra += ["-acpitable", f"sig={how},rev=2,data={tmp_path / 'table'}"]
    vm = boot("qemu", cmdline=cmdline, extra=extra)
    second.expect("crvm> ")
    assert "I/O port 2f8h" in second.text
    second.line.sendall(b"poweroff\r")
    vm.expect_end("poweroff")
    assert "crvm> " not in vm.text


def test_iso_of_make_iso_says_its_version(boot, kernel):
    vm = boot("qemu", iso=make_iso(kernel, ""))
    vm.expect(r"CRVM \w+", timeout=60)
