"""The machines that CRVM is booted in: Bochs, QEMU, QEMU with KVM.

Used by scripts/vm (`make run`) and by tests/integration. A machine has one serial port, connected to a socket
of ours; it writes everything else (configuration, logs) into a directory of its own. It knows
nothing about what is booted.

    spec = Spec(kind="bochs", iso="build/crvm.iso", cpus=2)
    with Machine(spec, "build/run") as m:
        m.start()
        data = m.read(timeout=5)     # b"": nothing came; None: the machine has ended
        m.send(b"help\\r")
        print(m.ending())
"""

import ctypes
import fcntl
import json
import os
import re
import select
import shlex
import signal
import socket
import struct
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

OVMF_CODE = "/usr/share/OVMF/OVMF_CODE.fd"
BOCHS_BIOS = "/usr/share/bochs/BIOS-bochs-latest"
SEABIOS = "/usr/share/seabios/bios.bin"
BOCHS_MODEL = "corei7_skylake_x"


@dataclass
class Spec:
    """What machine is wanted. Lists hold extra lines of bochsrc, or extra arguments of QEMU."""

    kind: str  # bochs, qemu, kvm
    iso: str
    media: str = "cdrom"  # cdrom, disk (Bochs, QEMU: an IDE disk), usb (QEMU only)
    firmware: str = "bios"  # bios, uefi (QEMU only), seabios (Bochs: leaves VMX unlocked)
    cpus: int = 2
    mem: int = 512  # MiB
    model: str = ""  # Bochs: CPU model; QEMU: -cpu; "": a good default
    extra: list = field(default_factory=list)
    reset_on_triple_fault: bool = False
    reboot: bool = True  # False: QEMU ends where the machine would start again


class MachineError(Exception):
    """The machine could not be started, or does not answer."""


# ---- choosing -----------------------------------------------------------------------------------

KVM_GET_API_VERSION = 0xAE00
KVM_CREATE_VM = 0xAE01
KVM_GET_SUPPORTED_CPUID = 0xC008AE05
KVM_GET_MSRS = 0xC008AE88
MSR_VMX_PROCBASED_CTLS2 = 0x48B


def kvm_cpuid(fd, leaf):
    """The registers (eax, ebx, ecx, edx) that KVM can offer a guest for one CPUID leaf."""
    count = 256
    buf = bytearray(8 + 40 * count)
    struct.pack_into("II", buf, 0, count, 0)
    fcntl.ioctl(fd, KVM_GET_SUPPORTED_CPUID, buf)
    for i in range(struct.unpack_from("I", buf)[0]):
        function, index, _flags, *regs = struct.unpack_from("7I", buf, 8 + 40 * i)
        if function == leaf and index == 0:
            return regs
    return [0, 0, 0, 0]


def kvm_feature_msr(fd, msr):
    """The value that KVM can offer for a VMX capability MSR; 0 if it has none."""
    buf = bytearray(struct.pack("IIIIQ", 1, 0, msr, 0, 0))
    try:
        done = fcntl.ioctl(fd, KVM_GET_MSRS, buf)
    except OSError:
        return 0
    return struct.unpack_from("Q", buf, 16)[0] if done == 1 else 0


def kvm_verdict(path="/dev/kvm"):
    """(True, why) if this host's KVM can run a hypervisor like CRVM in a VM, else (False, why)."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as e:
        hint = "; you are not in group kvm" if isinstance(e, PermissionError) else ""
        return False, f"no KVM: {path}: {e.strerror}{hint}"
    try:
        if fcntl.ioctl(fd, KVM_GET_API_VERSION) != 12:
            return False, "KVM speaks an unknown API version"
        os.close(fcntl.ioctl(fd, KVM_CREATE_VM, 0))
        if not kvm_cpuid(fd, 1)[2] & 1 << 5:
            return False, (
                "KVM works, but does not offer VMX to guests (CPUID.1:ECX bit 5 is 0): this CPU has"
                " none, or kvm_intel was loaded without nested=1"
            )
        allowed = kvm_feature_msr(fd, MSR_VMX_PROCBASED_CTLS2) >> 32
        for bit, name in ((1, "EPT"), (7, "unrestricted guest")):
            if not allowed & 1 << bit:
                return False, f"KVM offers VMX to guests, but without {name}"
        return True, "KVM offers VMX with EPT and unrestricted guest"
    except OSError as e:
        return False, f"KVM cannot be used: {e.strerror}"
    finally:
        os.close(fd)


def choose(wanted=""):
    """(kind, why) for MACHINE=wanted; "" lets us choose."""
    if wanted and wanted not in ("bochs", "qemu", "kvm"):
        raise MachineError(f"MACHINE={wanted}: there is bochs, qemu and kvm")
    if wanted == "qemu":
        return "qemu", "as asked; without KVM it has no VMX, so CRVM will say that it cannot run VMs"
    if wanted == "bochs":
        return "bochs", "as asked"
    usable, why = kvm_verdict()
    if wanted == "kvm":
        return "kvm", f"as asked; {why}"
    return ("kvm" if usable else "bochs"), why


# ---- the machine --------------------------------------------------------------------------------


def die_with_parent():
    """In the child: when we die, however that happens, the emulator must not live on."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Machine:
    """One emulated computer. Not started twice."""

    start_timeout = 60

    def __new__(cls, spec, directory):
        return super().__new__(Bochs if spec.kind == "bochs" else Qemu)

    def __init__(self, spec, directory):
        self.spec = spec
        self.dir = Path(directory).resolve()
        self.dir.mkdir(parents=True, exist_ok=True)
        self.process = None
        self.serial = None  # the connected socket
        self.alive = None  # reads as end of file once the process has ended
        self.killed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def fileno(self):
        """For select: readable if there is serial output, or if the machine has ended."""
        return self.serial.fileno()

    def command(self):
        """The argument list, once start() has prepared it."""
        raise NotImplementedError

    def command_line(self):
        return shlex.join(self.command())

    def launch(self, stdin, pass_fds=()):
        alive, child_end = os.pipe()
        self.alive = os.fdopen(alive, "rb")
        try:
            with open(self.dir / "output.log", "wb") as out:
                self.process = subprocess.Popen(
                    self.command(),
                    cwd=self.dir,
                    stdin=stdin,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    pass_fds=(child_end, *pass_fds),
                    start_new_session=True,  # Ctrl-C at the terminal is for us, not for it
                    preexec_fn=die_with_parent,
                )
        except FileNotFoundError as e:
            raise MachineError(f"{e.filename} is not installed (scripts/deps)") from e
        finally:
            os.close(child_end)

    def read(self, timeout=None):
        """Serial output: bytes; b"" if none came in `timeout` seconds; None after the end."""
        if not select.select([self.serial], [], [], timeout)[0]:
            return b""
        try:
            return self.serial.recv(65536) or None
        except ConnectionResetError:
            return None

    def send(self, data):
        """Types on the serial line."""
        try:
            self.serial.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has ended; read() tells

    def wait(self, timeout):
        """True if the process ended within `timeout` seconds."""
        try:
            self.process.wait(timeout)
            return True
        except subprocess.TimeoutExpired:
            return False

    def ending(self, timeout=10):
        """How it ended: (what, detail); what is poweroff, reset, killed, crash, or running."""
        if self.process is None:
            return "crash", "never started"
        if not self.wait(timeout):
            return "running", ""
        if self.killed:
            return "killed", ""
        return self.judge_ending()

    def judge_ending(self):
        raise NotImplementedError

    def kill(self):
        """Ends it at once, in whatever state it is."""
        if self.process and self.process.poll() is None:
            self.killed = True
            self.process.kill()
            self.process.wait()
        for f in (self.serial, self.alive):
            if f:
                f.close()

    def output(self):
        """What the emulator itself printed."""
        try:
            return (self.dir / "output.log").read_text(errors="replace")
        except FileNotFoundError:
            return ""


class Bochs(Machine):
    """Bochs with its debugger on a pipe. Deterministic: the guest's clock counts instructions."""

    # `speaker=0` and the dummy driver: Bochs 2.7 dies in its sound mixer on hosts with a broken ALSA.
    # `timeout=0`: do not wait for a VNC viewer. One may still connect, to port 5900 or the next free one.
    CONFIG = """\
cpu: model={model}, count={cpus}, ips=100000000, reset_on_triple_fault={triple}
memory: guest={mem}, host={mem}
romimage: file={bios}{bios_options}
vgaromimage: file=/usr/share/vgabios/vgabios.bin
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: {drive}
boot: {boot}
com1: enabled=1, mode=socket-client, dev=127.0.0.1:{port}
display_library: rfb, options="timeout=0"
clock: sync=none, time0=1700000000
log: bochs.log
panic: action=fatal
plugin_ctrl: unmapped=1, speaker=0
sound: driver=dummy
"""

    def configuration(self, port):
        spec = self.spec
        iso = Path(spec.iso).resolve()
        if spec.media == "cdrom":
            drive = f'type=cdrom, path="{iso}", status=inserted'
        elif spec.media == "disk":
            drive = f'type=disk, path="{iso}", mode=volatile'
        else:
            raise MachineError(f"Bochs cannot boot from {spec.media}")
        if spec.firmware not in ("bios", "seabios"):
            raise MachineError(f"Bochs has no {spec.firmware} firmware")
        own_bios = spec.firmware == "bios"
        text = self.CONFIG.format(
            model=spec.model or BOCHS_MODEL,
            cpus=spec.cpus,
            mem=spec.mem,
            triple=int(spec.reset_on_triple_fault),
            bios=BOCHS_BIOS if own_bios else SEABIOS,
            bios_options=", options=fastboot" if own_bios else "",
            drive=drive,
            boot=spec.media,
            port=port,
        )
        return text + "".join(f"{line}\n" for line in spec.extra)

    def command(self):
        return ["bochs", "-q", "-f", "bochsrc"]

    def start(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            text = self.configuration(server.getsockname()[1])
            (self.dir / "bochsrc").write_text(text)
            (self.dir / "bochs.log").unlink(missing_ok=True)
            self.launch(subprocess.PIPE)
            ready = select.select([server, self.alive], [], [], self.start_timeout)[0]
            if server not in ready or not self.await_output(self.at_prompt, self.start_timeout):
                self.kill()
                raise MachineError("Bochs did not start:\n" + self.trouble())
            self.serial = server.accept()[0]
        self.resume()

    def at_prompt(self):
        """Whether the machine stands still, and the debugger waits for a command."""
        return re.search(r"<bochs:\d+> $", self.output()) is not None

    def await_output(self, condition, timeout):
        """True once condition() holds, which looks at the debugger's output; False if Bochs ended or time ran out."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline or self.process.poll() is not None:
                return False
            select.select([self.alive], [], [], 0.01)  # the output is a file: nothing tells when it grows
        return True

    def interrupt(self, timeout):
        """Stops the machine. Bochs forgets a signal that comes just as it begins to run: one is sent each second."""
        deadline = time.monotonic() + timeout
        while not self.at_prompt() and time.monotonic() < deadline and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.await_output(self.at_prompt, 1)

    def debugger(self, *commands):
        try:
            self.process.stdin.write(("\n".join(commands) + "\n").encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended

    def ask_debugger(self, *commands, timeout=30):
        """Stops the machine (it stays stopped), runs debugger commands, returns what they print."""
        mark = "0xfeedc0de0badf00d"  # `? NUMBER` prints it, and its decimal value: then all before was answered
        at = len(self.output())
        self.interrupt(timeout)
        self.debugger(*commands, f"? {mark}")
        if self.await_output(lambda: f"\n{mark} " in self.output()[at:] and self.at_prompt(), timeout):
            return self.output()[at:]
        return self.output()[at:] + "\n(the debugger did not answer in full)"

    def cpu_state(self):
        """Registers and backtrace of every CPU."""
        commands = []
        for cpu in range(self.spec.cpus):
            commands += [f"set $cpu={cpu}", "r", "creg", "sreg", "bt 12", "u /4"]
        return self.ask_debugger(*commands)

    def resume(self):
        """Goes on after cpu_state() or screen_text(); returns when the debugger has read that."""
        self.debugger("c")
        self.await_output(lambda: not self.at_prompt(), self.start_timeout)

    def screen_text(self):
        """All VGA text memory, for the debugger cannot tell which 25 of these lines are shown. Stops the machine."""
        text = self.ask_debugger("xp /16384hx 0xb8000")
        rows = re.findall(r"^0x0*b[89a-f][0-9a-f]{3} .*?>:((?:[ \t]+0x[0-9a-f]{4}\b)+)", text, re.M)
        return text_screen([int(v, 16) & 0xFF for row in rows for v in row.split()])

    def judge_ending(self):
        text = self.output()
        if "soft power off" in text or "Shutdown port" in text:
            return "poweroff", ""
        if "3rd (" in text:
            return "crash", "triple fault"
        return "crash", self.trouble()

    def trouble(self, lines=15):
        """The last complaints in Bochs' log and output."""
        try:
            log = (self.dir / "bochs.log").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            log = []
        bad = [s for s in log if re.match(r"\d+[ep]\[", s) or ">>PANIC<<" in s or "VMFAIL" in s]
        out = [s for s in self.output().splitlines() if s.strip() and not s.startswith("ALSA lib")]
        code = self.process.returncode if self.process else None
        return "\n".join(
            [f"exit status {code}; {self.dir}/bochs.log says:", *bad[-lines:], "output:", *out[-lines:]]
        )


class Qemu(Machine):
    """QEMU, by TCG (no VMX) or KVM; controlled by QMP."""

    def __init__(self, spec, directory):
        super().__init__(spec, directory)
        self.qmp = None
        self.qmp_buf = b""
        self.qmp_fd = None
        self.serial_fd = None
        self.events = []

    def command(self):
        spec = self.spec
        iso = Path(spec.iso).resolve()
        drive = f"if=none,id=boot,format=raw,snapshot=on,file={str(iso).replace(',', ',,')}"
        args = [
            "qemu-system-x86_64", "-nodefaults", "-display", "none", "-vga", "std",
            "-machine", "q35,accel=" + ("kvm" if spec.kind == "kvm" else "tcg"),
            "-smp", str(spec.cpus), "-m", str(spec.mem),
            "-chardev", f"socket,id=com1,fd={self.serial_fd}", "-serial", "chardev:com1",
            "-chardev", f"socket,id=qmp,fd={self.qmp_fd}", "-mon", "chardev=qmp,mode=control",
        ]  # fmt: skip
        model = spec.model or ("host" if spec.kind == "kvm" else "")
        if model:
            args += ["-cpu", model]
        if spec.firmware == "uefi":
            args += ["-drive", f"if=pflash,format=raw,readonly=on,file={OVMF_CODE}"]
            args += ["-drive", "if=pflash,format=raw,snapshot=on,file=" + self.uefi_variables()]
        elif spec.firmware not in ("bios", "seabios"):
            raise MachineError(f"QEMU has no {spec.firmware} firmware")
        args += ["-drive", drive + (",media=cdrom" if spec.media == "cdrom" else "")]
        if spec.media == "usb":
            args += ["-device", "qemu-xhci", "-device", "usb-storage,drive=boot,bootindex=0"]
        elif spec.media == "cdrom":
            args += ["-device", "ide-cd,drive=boot,bootindex=0"]
        else:
            args += ["-device", "ide-hd,drive=boot,bootindex=0"]
        if not spec.reboot:
            args += ["-no-reboot"]
        return args + list(spec.extra)

    @staticmethod
    def uefi_variables():
        return OVMF_CODE.replace("CODE", "VARS")

    def start(self):
        self.serial, serial_child = socket.socketpair()
        self.qmp, qmp_child = socket.socketpair()
        self.serial_fd, self.qmp_fd = serial_child.fileno(), qmp_child.fileno()
        with serial_child, qmp_child:
            self.launch(subprocess.DEVNULL, (self.serial_fd, self.qmp_fd))
        try:
            self.qmp_receive("QMP", self.start_timeout)
            self.qmp_command("qmp_capabilities")
        except MachineError:
            self.kill()
            raise MachineError("QEMU did not start:\n" + self.output()) from None

    def qmp_receive(self, key, timeout):
        """The next message that has `key`; events on the way are kept."""
        deadline = time.monotonic() + timeout
        while True:
            line, newline, rest = self.qmp_buf.partition(b"\n")
            if newline:
                self.qmp_buf = rest
                message = json.loads(line)
                if "event" in message:
                    self.events.append(message)
                if key in message:
                    return message
                if "error" in message:
                    raise MachineError(message["error"]["desc"])
                continue
            left = max(0, deadline - time.monotonic())
            data = b""
            if select.select([self.qmp], [], [], left)[0]:
                try:
                    data = self.qmp.recv(65536)
                except ConnectionResetError:
                    pass
            if not data:
                raise MachineError(f"QEMU's monitor did not answer\n{self.output()}")
            self.qmp_buf += data

    def qmp_command(self, name, timeout=30, **arguments):
        message = {"execute": name, "arguments": arguments}
        try:
            self.qmp.sendall(json.dumps(message).encode() + b"\n")
        except OSError as e:
            raise MachineError(f"QEMU's monitor is gone: {e}") from e
        return self.qmp_receive("return", timeout)["return"]

    def hmp(self, line):
        """A command of QEMU's human monitor."""
        return self.qmp_command("human-monitor-command", **{"command-line": line}).replace("\r", "")

    def cpu_state(self):
        return self.hmp("info registers -a")

    def resume(self):
        """Nothing to do: looking does not stop QEMU."""

    def screen_text(self):
        """The VGA text screen: 25 lines from where the CRTC starts to show."""
        was_running = self.qmp_command("query-status")["running"]
        self.hmp("stop")  # the guest may be between writing the CRTC's index and its data
        try:
            start = 2 * (self.crtc(0x0C) << 8 | self.crtc(0x0D))
            text = self.hmp(f"xp /2000hx {0xB8000 + start:#x}")
        finally:
            if was_running:
                self.hmp("cont")
        words = re.findall(r"0x([0-9a-f]{4})\b", re.sub(r"(?m)^.*?:", "", text))
        return text_screen([int(w, 16) & 0xFF for w in words])

    def crtc(self, register):
        """A register of the VGA's CRT controller, of a colour mode; its index is left as it was."""
        index = self.read_port(0x3D4)
        self.hmp(f"o /b 0x3d4 {register:#x}")
        value = self.read_port(0x3D5)
        self.hmp(f"o /b 0x3d4 {index:#x}")
        return value

    def read_port(self, port):
        return int(self.hmp(f"i /b {port:#x}").split("=")[1], 16)

    def screendump(self, path):
        """Writes what the screen shows as PPM."""
        self.qmp_command("screendump", filename=str(Path(path).resolve()))

    def sendkey(self, *keys):
        """Presses keys of the PS/2 keyboard, one after the other: "a", "shift-a", "ret"."""
        for key in keys:
            self.hmp(f"sendkey {key}")

    def judge_ending(self):
        try:
            while True:
                self.qmp_receive("nothing has this key", 1)
        except MachineError:
            pass
        for event in self.events:
            if event["event"] == "SHUTDOWN":
                reason = event["data"]["reason"]
                what = {"guest-shutdown": "poweroff", "guest-reset": "reset"}.get(reason, "crash")
                return what, reason
        return "crash", f"exit status {self.process.returncode}: {self.output().strip()}"

    def trouble(self):
        return self.output().strip()

    def kill(self):
        super().kill()
        if self.qmp:
            self.qmp.close()


def text_screen(cells, columns=80):
    """Character codes of a text screen as lines without trailing blanks."""
    text = "".join(chr(c) if 32 <= c < 127 else " " if c in (0, 255) else "?" for c in cells)
    return "\n".join(text[i : i + columns].rstrip() for i in range(0, len(text), columns))
