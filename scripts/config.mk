# build/check-config: the hypervisor's parser of VM configurations as a host program.

CHECK_CONFIG_SRC := scripts/check_config.c core/vm_config.c $(sort $(wildcard core/config_*.c)) lib/text.c lib/printf.c
CHECK_CONFIG_OBJ := $(CHECK_CONFIG_SRC:%.c=$(B)/host/%.o)
HOST_CFLAGS := -std=gnu17 -O1 -g -Iinclude -D_GNU_SOURCE $(filter-out -Wmissing-prototypes -Wmissing-declarations \
	-Wredundant-decls,$(WARNINGS))
FILE ?= iso/crvm.conf

$(B)/host/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(HOST_CFLAGS) -MMD -MP -c $< -o $@

$(B)/check-config: $(CHECK_CONFIG_OBJ)
	$(Q)$(HOSTCC) $^ -o $@

-include $(CHECK_CONFIG_OBJ:.o=.d)

# DIR=directory: also whether all modules that it names are files there.
.PHONY: check-config
check-config: $(B)/check-config ## check a configuration of VMs (FILE=iso/crvm.conf DIR=directory)
	@$(B)/check-config $(if $(DIR),-d '$(DIR)') '$(FILE)'
