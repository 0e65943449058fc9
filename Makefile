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
PATCH ?=

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

##lab-patches:     each patch alone: its test is red on the tree before it, green on the tree with it (PATCH='5 12')
.PHONY: lab-patches
lab-patches:
	@BASE='$(BASE)' ARCH='$(ARCH)' PATCH='$(PATCH)' KERNEL='$(KERNEL)' tools/lab/patches.sh

##series-check:    the series applies, each patch builds alone and without a warning, checkpatch
.PHONY: series-check
series-check:
	@BASE='$(BASE)' KERNEL='$(KERNEL)' tools/series/check.sh

##series-selftests: carry tools/testing into the series' selftest patches
.PHONY: series-selftests
series-selftests:
	@tools/series/selftests.sh '$(BASE)' update

##check:           the project's own scripts: shellcheck, documentation, errors on bad input
.PHONY: check
check:
	@tools/lab/setup.sh
	@tools/testing/check.sh scripts

##check-hosts:     a host that hangs, panics or reports is an error, never green (after a lab)
.PHONY: check-hosts
check-hosts:
	@tools/testing/check.sh hosts

##test:            check, series-check, lab and check-hosts
.PHONY: test
test:
	@for step in check series-check lab check-hosts; do \
		echo "== make $$step"; $(MAKE) --no-print-directory $$step || exit; \
	done

##module:          kvm_lifecycle for the kernel in KDIR (default: the running one's headers)
.PHONY: module
KDIR ?= /lib/modules/$(shell uname -r)/build
module:
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

##clean-cache:     the folder with sources, builds and ccache
.PHONY: clean-cache
clean-cache:
	rm -rf "$${KVM_LIFECYCLE_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/kvm-lifecycle}"

##clean:           results and the module's objects; the cache stays
.PHONY: clean
clean:
	rm -rf results
	find . -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' -o -name '.*.cmd' \
		-o -name modules.order -o -name Module.symvers | xargs rm -f
