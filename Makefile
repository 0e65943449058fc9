# SPDX-License-Identifier: GPL-2.0-only
#
# Every entry point of the project.  `make help` lists them.  The build of the
# module is in Kbuild.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# What the user may set.
BASE ?= v7.2
ARCH ?= x86 arm64
TEST ?=
PATCHES ?=
KERNEL ?=

LAB := BASE='$(BASE)' ARCH='$(ARCH)' TEST='$(TEST)' PATCHES='$(PATCHES)' KERNEL='$(KERNEL)' tools/lab/lab.sh

##help:            this list
.PHONY: help
help:
	@sed -n 's/^##//p' Makefile
	@echo
	@echo "BASE=$(BASE) ARCH='$(ARCH)' TEST='name ...' KERNEL=/path/to/tree PATCHES='none all'"

##lab:             build with and without the series, boot both, run the tests, print the table
.PHONY: lab
lab:
	@$(LAB)

##lab-shell:       a shell in an emulated host with the modules loaded (ARCH=x86 PATCHES=all)
.PHONY: lab-shell
lab-shell:
	@$(LAB) shell

##lab-patches:     each patch alone: its test is red on the tree before it, green on the tree with it
.PHONY: lab-patches
lab-patches:
	@BASE='$(BASE)' ARCH='$(ARCH)' tools/lab/patches.sh

##series-check:    the series applies, each patch builds alone and without a warning, checkpatch
.PHONY: series-check
series-check:
	@BASE='$(BASE)' KERNEL='$(KERNEL)' tools/series/check.sh

##series-selftests: carry tools/testing into the series' selftest patches
.PHONY: series-selftests
series-selftests:
	@tools/series/selftests.sh '$(BASE)' update

##check:           the project's own checks: shellcheck, errors on bad input
.PHONY: check
check:
	@tools/testing/check.sh

##test:            all of it: check, series-check, lab
.PHONY: test
test:
	@tools/lab/setup.sh
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory series-check
	@$(MAKE) --no-print-directory lab

##module:          kvm_lifecycle for the kernel in KDIR (default: the running one's headers)
.PHONY: module
KDIR ?= /lib/modules/$(shell uname -r)/build
module:
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

##clean:           results and the module's objects; the cache stays
.PHONY: clean
clean:
	rm -rf results
	find . -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' -o -name '.*.cmd' \
		-o -name modules.order -o -name Module.symvers | xargs rm -f
