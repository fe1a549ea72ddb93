"""A VM that makes the vCPU of its child leaves the registers of all other VMs alone."""

import subprocess

from test_childvm import CHILDVM, CONFIG, DISKS, PROMPT
from vms import boot_vms, focus

# Spins on IA32_KERNEL_GS_BASE, which nothing here but a WRMSR or SWAPGS of its own can change.
VICTIM = """
	.code16
	.globl	_start
_start:	cli
	mov	$0xc0000102, %ecx
	mov	$0x12345678, %eax
	xor	%edx, %edx
	wrmsr
	mov	$ready, %si
	call	puts
1:	rdmsr
	cmp	$0x12345678, %eax
	je	1b
	mov	$lost, %si
	call	puts
	hlt
puts:	mov	$0x3f8, %dx
2:	lodsb
	test	%al, %al
	jz	3f
	out	%al, %dx
	jmp	2b
3:	ret
ready:	.asciz	"victim: ready\\n"
lost:	.asciz	"victim: KERNEL_GS_BASE has changed\\n"
"""


def test_a_childs_vcpu_is_made_beside_a_running_vm(boot, tmp_path):
    source, elf, binary = (tmp_path / n for n in ("victim.S", "victim.elf", "victim.bin"))
    source.write_text(VICTIM)
    flags = ["-m32", "-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0x7c00", "-Wl,--build-id=none"]
    subprocess.run(["gcc", *flags, source, "-o", elf], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", elf, binary], check=True)
    config = "[vm victim]\nmemory = 1M\nboot = flat\nkernel = victim.bin\nat = 0x7c00\ncpu = 0\n"
    config += CONFIG.replace("privileged = yes", "cpu = 1\nprivileged = yes")
    vm = boot_vms(boot, tmp_path, config, [CHILDVM, *DISKS, (binary, "victim.bin")], cpus=2)
    vm.expect(r"\[victim\] victim: ready", timeout=60)
    vm.ready()
    focus(vm, 2, "vmm")
    vm.seen = 0
    vm.expect(PROMPT, timeout=100)
    assert "KERNEL_GS_BASE has changed" not in vm.text
