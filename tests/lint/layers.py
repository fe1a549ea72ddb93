#!/usr/bin/python3
"""Do the arrows between the layers point downward? Proved twice: from the sources and from the objects.

    layers.py includes FILE...       every #include in sources and headers
    layers.py symbols OBJECT_ROOT    every undefined symbol in OBJECT_ROOT/DIRECTORY/*.o (nm)

The tables below are the rules; docs/architecture.md explains them.
"""

import re
import subprocess
import sys
from pathlib import Path

# Which layer each header of include/crvm/ belongs to. A header that is not here is an error: decide.
HEADERS = {
    "base": "addr compiler event feature status",  # words without code
    "up": "log panic",  # the only calls that go upward
    "lock": "spinlock",  # provided by arch, used by any layer
    "lib": "date heap printf ring string verdict",
    "boot": "boot_info",
    "mm": "arena frames gmem hostmap",
    "arch": "acpi apic cpu cpufeat fpu hostvm mtrr percpu power ps2kbd screen smp symbols time trap uart16550"
    " wallclock",
    "seam": "vcpu virt",  # between core and a backend
    "device": "device disk io",
    "core": "cmdline cpuid_policy decode emulate exit_stats gwalk hypercall inject io_bus msr_policy nested_audit"
    " string_io trace",
}

# What a directory, or a header of that layer, may include.
INCLUDES = {
    "base": "base",
    "up": "base",
    "lock": "base",
    "seam": "base lock lib mm seam",
    "device": "base lock lib device",
    "lib": "base lib",
    "boot": "base lib boot",
    "mm": "base up lock lib mm",
    "arch": "base up lock lib boot mm arch",
    "vmx": "base up lock lib mm arch seam",
    "devices": "base lib device",
    "core": "base up lock lib boot mm arch seam device core",
}

# Freestanding headers of the compiler, and generated ones with the only directory that may include them.
SYSTEM = {"limits.h", "stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h"}
GENERATED = {"version.h": "core", "font.h": "arch"}

# Whose functions and data a directory may use.
CALLS = {
    "lib": "lib",
    "boot": "boot lib",
    "mm": "mm lib",
    "arch": "arch mm boot lib",
    "vmx": "vmx arch mm lib",
    "devices": "devices lib",
    "core": "core devices arch mm boot lib",
}

# Single symbols beyond that, each with its reason.
EXCEPTIONS = {
    ("mm", "log_write"): "upward by design",
    ("mm", "panic"): "upward by design",
    ("arch", "log_write"): "upward by design",
    ("arch", "panic"): "upward by design",
    ("vmx", "log_write"): "upward by design",
    ("vmx", "panic"): "upward by design",
    ("mm", "spin_lock"): "locks are for every layer",
    ("mm", "spin_unlock"): "locks are for every layer",
    ("mm", "spin_lock_irqsave"): "locks are for every layer",
    ("mm", "spin_unlock_irqrestore"): "locks are for every layer",
    ("boot", "hv_main"): "where start.S hands over",
    ("boot", "ap_main"): "where trampoline.S hands over",
    ("boot", "smp_ap_slot"): "how trampoline.S finds its stack",
    ("boot", "smp_ap_slot_count"): "how trampoline.S finds its stack",
    ("arch", "panic_at"): "panic, with the registers of an exception",
    ("core", "vmx_backend"): "the one backend there is; all else goes through it",
}

LAYER_OF = {name: layer for layer, names in HEADERS.items() for name in names.split()}


def layer_of_header(name):
    """The layer of <crvm/NAME>, or None. Each device model's header lies in crvm/devices/."""
    if name.startswith("devices/"):
        return "device"
    return LAYER_OF.get(name[: -len(".h")])


def directory_of(path):
    """The layer whose rules hold for a file: its directory, or for include/crvm/X.h the header's layer."""
    parts = Path(path).parts
    if parts[0] == "include":
        return layer_of_header("/".join(parts[2:]))
    return parts[0]


def include_fault(path, layer, name, quoted):
    """What is wrong with one #include, or None."""
    if quoted:
        if (Path(path).parent / name).is_file():
            return None
        return None if GENERATED.get(name) == layer else f'"{name}" is not in the same directory'
    if name.startswith("crvm/"):
        target = layer_of_header(name[len("crvm/") :])
        if target is None:
            return f"<{name}> has no layer in HEADERS"
        if target not in INCLUDES[layer].split():
            return f"{layer} may not include <{name}> (layer {target})"
        return None
    if name in SYSTEM or GENERATED.get(name) == layer:
        return None
    return f"<{name}> is neither ours nor freestanding"


def check_includes(paths):
    faults = []
    for path in paths:
        layer = directory_of(path)
        if layer not in INCLUDES:
            faults.append(f"{path}: no layer: name it in HEADERS")
            continue
        for number, line in enumerate(Path(path).read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*(?:<([^>]+)>|"([^"]+)")', line)
            if not match:
                continue
            fault = include_fault(path, layer, match[1] or match[2], bool(match[2]))
            if fault:
                faults.append(f"{path}:{number}: {fault}")
    return faults


def symbols_of(objects):
    """(defined, undefined): for each symbol the layers whose objects define it, or the objects that use it."""
    defined, undefined = {}, {}
    for layer, path in objects:
        out = subprocess.run(["nm", "-g", path], check=True, capture_output=True, text=True).stdout
        for line in out.splitlines():
            *_, kind, name = line.split()
            if kind in "Uwv":
                undefined.setdefault(name, []).append((layer, path))
            else:
                defined.setdefault(name, set()).add(layer)
    return defined, undefined


def check_symbols(root):
    root = Path(root)
    objects = [(p.relative_to(root).parts[0], p) for p in sorted(root.rglob("*.o"))]
    if not objects:
        return [f"{root}: no objects"]
    defined, undefined = symbols_of(objects)
    script = Path("boot/crvm.lds").read_text()
    by_linker = set(re.findall(r"(?m)^\s*(?:PROVIDE\()?(\w+)\s*=", script))
    faults = []
    for name, users in sorted(undefined.items()):
        if name in by_linker or name == "_GLOBAL_OFFSET_TABLE_":
            continue
        for layer, path in users:
            homes = defined.get(name, set())
            if homes & set(CALLS[layer].split()) or (layer, name) in EXCEPTIONS:
                continue
            home = ", ".join(sorted(homes)) or "nothing"
            faults.append(f"{path.relative_to(root)}: {layer} may not use {name} (defined by {home})")
    return faults


def main():
    what, *args = sys.argv[1:]
    faults = check_includes(args) if what == "includes" else check_symbols(args[0])
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
