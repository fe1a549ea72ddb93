"""The table of test guests: what each is, with how much memory, on which CPU, and how it must end.

A batch is one boot: its guests run side by side, one VM each. `file` names build/guests/FILE.bin, made
from tests/guests/{real,prot,long}/FILE.c. A guest that must pass prints `PASS FILE` and ends by the
debug-exit port with code 0; one that must be stopped names the reason instead.

Slips of good hypervisors, and where they would be found:

    shadow of STI and MOV SS after an emulated instruction    single-step, shadow, debug-regs, windows-*
    ticks lost in `sti; hlt; cli`, or while others run        windows-*, irq-hlt, ticks-busy, ticks-idle
    interrupts lost, doubled, in the wrong order              irq-order, irq-events
    a debug trap dropped by an interrupt at the same time     irq-events
    a sleeping VM that costs exits                            irq-hlt, ticks-idle
    upper bits of RAX after IN                                port-io
    string I/O                                                strings, string-fault, prot-strings, real-strings
    accesses across a region's end                            port-io, mmio-mov
    events lost or combined wrongly                           double-fault, stop-delivery, stop-gate, real-inject
    types of events                                           double-fault, real-inject, debug-regs, stop-irq
    limits of GDTR and IDTR, LDTR after an exit               prot-mode, prot-ldt
    guests that miss a TLB flush                              exit-flushes
    starvation by a guest that exits, or never exits          busy, busy-exits, busy-strings

NMIs are sent by the shell: test_vm_nmi.py has the guest `nmi` for itself, here it only sleeps.

What no case can show here: a second delivery of an event. All RAM of a VM is mapped from the start,
so an exit in mid-delivery is an access to what is not RAM, and stops the VM (stop-irq, stop-delivery,
stop-idt); tests/unit/test_inject*.c show the rest.
"""

from dataclasses import dataclass, field

PASSED = r"debug exit with code 0"


@dataclass
class Case:
    file: str
    name: str = ""  # of the VM; "": as the file
    mem: str = "4M"
    cpu: int = -1  # -1: in turn
    vpid: bool = True
    privileged: bool = False
    shared: str = ""  # as in a configuration
    stop: str = PASSED  # why the VM stops: all of the text must match
    lines: tuple = None  # expected, in this order, among what it prints; None: PASS
    absent: str = r"FAIL .*"  # must not be printed
    ends: bool = True  # False: it may also run for ever
    limits: dict = field(default_factory=dict)  # exits at most, by the words of `vms`

    def __post_init__(self):
        self.name = self.name or self.file
        if self.lines is None:
            self.lines = (rf"PASS {self.file}",) if self.stop == PASSED else ()


@dataclass
class Batch:
    name: str
    cases: list
    cpus: int = 2
    mem: int = 512  # MiB of the machine
    seconds: int = 60  # from power-on to the end of all guests
    extra: tuple = ()  # lines of bochsrc
    modules: tuple = ()  # guests that only lie there, as boot modules


def cases(*names, **more):
    return [Case(name, **more) for name in names]


def stops(name, stop, **more):
    return Case(name, stop=stop, lines=("before",), absent="after|FAIL .*", **more)


REAL = [
    *cases("real-mode", "real-inject", "real-strings", mem="64K"),
    Case("real-unreal"),
]

PROT = cases(
    "prot-mode",
    "prot-4m",
    "prot-pae",
    "prot-vm86",
    "prot-strings",
    "prot-sysenter",
    "prot-mmio",
    "prot-ldt",
    "prot-oracle",
)

STOPS = [
    stops("stop-task", r"hardware task switch .*"),
    stops("stop-hlt", r"HLT with interrupts off"),
    stops("stop-triple", r"triple fault"),
    stops("stop-tables", r"page table at guest-physical 40000000, where there is no memory .*"),
    stops("stop-code", r"code at guest-physical 400000, where there is no memory .*"),
    stops("stop-undecoded", r"the instruction at RIP [0-9a-f]+, .*fed10000, cannot be emulated; bytes: db 0.( ..)*"),
    stops("stop-idt", r"delivery of vector 6 accesses guest-physical fed107f.*"),
    stops("stop-delivery", r"delivery of vector 1 accesses guest-physical fed107f.*"),
    stops("stop-irq", r"delivery of vector 33 accesses guest-physical fed107f.*"),
    Case(
        "self-check",
        stop=r"debug exit with code 1",
        lines=(
            r"FAIL self-check: two == 3 self-check.c:11",
            r"  got 2, want 3, exception 255",
            r"FAIL self-check: two == 4 self-check.c:12",
            r"FAIL self-check: .* self-check.c:13",
            r"  got 6, want d, exception 6",
            r"FAIL self-check: 3 checks",
        ),
        absent=r"PASS .*",
    ),
    Case(
        "self-trap",
        stop=r"debug exit with code 2",
        lines=(r"FAIL self-trap: unexpected exception 6, error 0, CS:RIP 18:[0-9a-f]+, CR2 0",),
        absent=r"PASS .*",
    ),
    stops("stop-gate", r"hardware task switch .*"),
    Case("witness"),
]

LONG = cases(
    "cpuid",
    "msr",
    "efer",
    "port-io",
    "strings",
    "string-fault",
    "mmio-mov",
    "mmio-alu",
    "mmio-strings",
    "mmio-code",
    "cr0",
    "cr4",
    "smap",
    "xsetbv",
    "debug-regs",
    "single-step",
    "shadow",
    "flags",
    "vmcall",
    "vmx",
    "forbidden",
    "syscall",
    "paging",
    "double-fault",
    "compat",
    "leave-long",
    "fpu-traps",
    "hidden",
    "walk-oracle",
)
LONG += [Case("exit-flushes", vpid=False), Case("paging", name="paging-no-vpid", vpid=False)]
LONG.append(Case("tsc", limits={"all": 100}))

def pair(name, cpu, **more):
    return [Case(f"{name}-a", cpu=cpu, **more), Case(f"{name}-b", cpu=cpu, **more)]


# Those of a pair share a CPU, and both CPUs are busy at the same time.
SHARED = [
    *pair("fpu", 0),
    *pair("registers", 0),
    *pair("scan", 1),
    Case("busy", name="busy-a", cpu=1),
    Case("busy", name="busy-b", cpu=1),
]

# One leaves its guest all the time, by quick exits, the other never.
TURNS = [
    Case("busy-strings", cpu=0),
    Case("busy-exits", cpu=0),
    Case("busy", cpu=0),
    Case("busy-exits", name="exits-a", cpu=1),
    Case("busy-exits", name="exits-b", cpu=1),
]

# One VM on each CPU.
PARALLEL = [Case("spin", name=f"spin-{i}", cpu=i) for i in range(4)]

# The 8259A, 8254, RTC, 8042 and UART of each VM interrupt it, several VMs on a CPU.
INTERRUPTS = [
    *cases("ticks-real", "windows-real", mem="64K"),
    *cases("ticks-prot", "windows-prot", "ticks-long", "windows-long", "irq-order", "irq-events"),
]

# A second beside one that leaves the CPU to nobody. Who sleeps makes an exit for each time he is
# woken, and hardly any other but port I/O.
SLEEPER = {"host interrupt": 20, "deadline": 30, "interrupt window": 40}
BESIDE = [
    *cases("ticks-busy", "hog"),
    Case("ticks-idle", limits={"HLT": 1010, **SLEEPER}),
    *[Case("irq-hlt", name=f"irq-hlt-{i}", limits={"HLT": 13, **SLEEPER}) for i in (1, 2)],
    Case("nmi", stop=".*", lines=(r"hlt: 1",), ends=False, limits={"HLT": 1, **SLEEPER}),
]

# What comes of these is anybody's guess; the witnesses on the same CPUs are what counts.
ANY = r".*"
CHAOS = [
    Case("chaos", lines=(r"seed 20240229c0ffee, 1000000 operations", r"PASS chaos")),
    Case("witness"),
]
WILD = [
    Case("witness", name="witness-0", cpu=0),
    Case("witness", name="witness-1", cpu=1),
    *[
        Case(f"chaos-wild-{i}", cpu=i % 2, stop=ANY, lines=(r"seed [0-9a-f]+",), absent="", ends=False)
        for i in range(1, 7)
    ],
]

# The longest first: batches run on all cores of the host.
HYPERCALLS = [
    Case("child", cpu=0, privileged=True),
    Case("child", name="child-too", cpu=1, privileged=True),
    Case("hypercall", lines=(r"written whole", r"PASS hypercall")),
]

ADMINS = [
    Case("admin", name="admin-1", cpu=0, privileged=True),
    Case("admin", name="admin-2", cpu=1, privileged=True),
    Case("child-spin", cpu=1, lines=(), ends=False, privileged=True),
]

# That no frame is lost is for test_cycles.py.
CYCLES = [Case("cycles", name=f"cycles-{i}", cpu=i % 2, privileged=True) for i in (1, 2)]


def shares(file, cpu, region, irq, **more):
    return Case(file, cpu=cpu, shared=f"{region}:64K irq={irq}", **more)


# A pair on two CPUs, one on the same, and one that is alone beside them.
DOORBELLS = [
    shares("ring-ping", 0, "box-1", 5, name="ping-1", lines=("asks", r"PASS ring-ping")),
    shares("ring-pong", 1, "box-1", 10, name="pong-1"),
    shares("ring-ping", 1, "box-2", 5, name="ping-2", lines=("asks", r"PASS ring-ping")),
    shares("ring-pong", 1, "box-2", 10, name="pong-2"),
    Case("ring-alone", cpu=0),
    stops("ring-code", r"code at guest-physical [d-f][0-9a-f]{7}, where there is memory for data only .*",
          shared="code:64K"),
]

BATCHES = [
    Batch("chaos", CHAOS, cpus=1, seconds=200),
    Batch("stops", STOPS, cpus=1),
    Batch("modes", REAL + PROT, cpus=1),
    Batch("cpu", LONG, cpus=1),
    Batch("shared", SHARED),
    Batch("turns", TURNS),
    Batch("interrupts", INTERRUPTS, cpus=1),
    Batch("beside", BESIDE, cpus=1),
    Batch("parallel", PARALLEL, cpus=4),
    Batch("memory", [Case("memory", mem="512M"), Case("spin", name="beside")], cpus=1, mem=768),
    Batch("wild", WILD),
    Batch("hypercalls", HYPERCALLS),
    Batch("doorbells", DOORBELLS),
    Batch("admins", ADMINS, seconds=150, modules=("witness", "child-spin")),
    Batch("cycles", CYCLES, seconds=90, modules=("real-mode",)),
]
