# CRVM: every target, with `make help`. Variables a user may set: MACHINE CPUS MEM MODEL DEV DEPS CC V.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

B := build
# The distribution's Python: pytest and its plugins come from Debian packages.
PY := /usr/bin/python3
CC := gcc
HOSTCC := gcc
CLANG := clang
Q := $(if $(V),,@)

include scripts/build.mk
include tests/unit/unit.mk
include tests/fuzz/fuzz.mk
include guest-images/firmware/firmware.mk
include guest-images/labos/labos.mk
include guest-images/clock64/clock64.mk
include guest-images/childvm/childvm.mk
include scripts/run.mk
include scripts/config.mk
include scripts/ucore.mk
include scripts/nested.mk
include tests/tests.mk
include tests/guests/guests.mk
include tests/bench/bench.mk

.PHONY: all help clean
all: $(B)/crvm.elf ## build the hypervisor: build/crvm.elf

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | \
	  awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'
	@echo 'Variables: MACHINE=bochs|qemu|kvm CPUS=n MEM=MiB MODEL=name (run), DEV=/dev/sdX (usb), DEPS=check, V=1'

clean: ## delete everything that was built
	rm -rf $(B) compile_commands.json
