# SPDX-License-Identifier: GPL-2.0-only
#
# Every entry point of the project.  `make help` lists them.  The build of the
# module is in Kbuild.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# The user's settings.  No BASE: default_base of tools/lib.sh, or all of them.
# BASES is the same, for several.
BASE ?=
BASES ?= $(BASE)
ARCH ?=
TEST ?=
PATCHES ?=
KERNEL ?=
PATCH ?=
TREE ?=
OUT ?=
COUNT ?=
VERSION ?=
EACH ?=
COMPILERS ?=
COMPILE ?=
CONFIG ?=
ALL ?=
LEVEL ?=
AGAIN ?=
HOST ?=
RECORD ?=
RST ?=
FROM ?=
OPTIONS ?=
TIME ?=
SEED ?=
REPLAY ?=
PCI ?=
RESULTS ?=
CHANGED ?=
TOPIC ?=
GOOD ?=
BAD ?=
DEVICE ?=
URL ?=
UNSAFE ?=
KERNEL_PACKAGE ?=
SIGN_KEY ?=
SIGN_CERT ?=
# Variables that scripts take from the environment, for any target.
FOR_SCRIPTS := JOBS HOSTS THREAD KEEP SURE TEST_TIMEOUT BOOT_TIMEOUT GRACE LIMIT RESULTS LAB_LOCKED KVM_LIFECYCLE_CACHE

# A variable that is unknown, or that the target does not take, is a typing error.
given := $(sort $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name))))
wrong := $(if $(given),$(shell awk -f tools/settings.awk -v given='$(given)' -v goals='$(or $(MAKECMDGOALS),help)' \
	-v scripts='$(FOR_SCRIPTS)' -v level='$(MAKELEVEL)' Makefile))
$(if $(wrong),$(error $(wrong)))

# By version; the default one; and those that make test does not leave to another step.
bases = $(shell TOP=$(CURDIR) sh -c '. tools/lib.sh; $(1)')
ALL_BASES := $(call bases,bases)
DEFAULT_BASE := $(call bases,bases default)
TEST_BASES := $(filter-out $(call bases,bases test),$(ALL_BASES))

# HOST names emulated hosts (tools/lab/hosts), ARCH those of an architecture; none: the default ones.
HOSTS_OF := HOST='$(HOST)' ARCH='$(ARCH)'
LAB := BASE='$(BASES)' $(HOSTS_OF) TEST='$(TEST)' PATCHES='$(PATCHES)' KERNEL='$(KERNEL)' OPTIONS='$(OPTIONS)' LEVEL='$(LEVEL)' AGAIN='$(AGAIN)' tools/lab/lab.sh

##help:            this list
.PHONY: help
help:
	@awk -f tools/settings.awk -v help=1 Makefile
	@echo
	@echo "BASE='$(ALL_BASES)' HOST='$(call bases,lab_hosts)' (or ARCH=arm64: by architecture) TEST='name ...' KERNEL=/path/to/tree PATCHES='none all'"

##lab:             build with and without the series, boot both, run the tests that prove the patches, print the table (LEVEL=full: sweeps and storms, too; AGAIN=1: also what has not changed; COUNT=20 TEST=name: how often each subtest fails)
.PHONY: lab
lab:
	@$(if $(COUNT),COUNT='$(COUNT)' $(LAB:lab.sh=lab-count.sh),$(LAB))

##lab-shell:       a shell in an emulated host with the modules loaded (HOST=amd PATCHES=all)
.PHONY: lab-shell
lab-shell:
	@$(LAB) shell

##lab-judge:       the verdict on an old run once more, by the tables as they are now (RESULTS=results/latest)
.PHONY: lab-judge
lab-judge:
	@tools/lab/results.py again '$(or $(RESULTS),results/latest)'

##bench:           what the series costs, in instructions: the same measures without and with it, and their budgets (OPTIONS='-n 64 -r 20')
.PHONY: bench
bench:
	@BASE='$(BASES)' $(HOSTS_OF) OPTIONS='$(OPTIONS)' AGAIN='$(AGAIN)' KERNEL='$(KERNEL)' tools/lab/bench.sh

##coverage:        how many lines of the three areas the tests run, by gcov (TEST='name ...')
.PHONY: coverage
coverage:
	@BASE='$(BASES)' $(HOSTS_OF) TEST='$(TEST)' KERNEL='$(KERNEL)' tools/lab/coverage.sh

##lab-upstream:    the kernel tree's own KVM selftests give the same results with and without the series (ALL=1: the slow ones as well)
.PHONY: lab-upstream
lab-upstream:
	@BASE='$(BASES)' $(HOSTS_OF) TEST='$(TEST)' ALL='$(ALL)' RECORD='$(RECORD)' KERNEL='$(KERNEL)' tools/lab/lab-upstream.sh

##storm:           random programs of KVM's calls for as long as you like, with the series (TIME=2h SEED=1; REPLAY=file: one program)
.PHONY: storm
storm:
	@BASE='$(BASES)' $(HOSTS_OF) TIME='$(TIME)' SEED='$(SEED)' REPLAY='$(REPLAY)' PATCHES='$(PATCHES)' KERNEL='$(KERNEL)' tools/lab/storm.sh

##lab-patches:     each patch alone: its test is red on the tree before it, green on the tree with it (PATCH='svm-ga-log-wakeup ...'; CHANGED=1: those that are not as patches/proved has them)
.PHONY: lab-patches
lab-patches:
	@BASE='$(BASES)' $(HOSTS_OF) PATCH='$(PATCH)' CHANGED='$(CHANGED)' KERNEL='$(KERNEL)' tools/lab/lab-patches.sh

##lab-bisect:      the first commit of a kernel tree with which a test is red (TREE=/path/to/linux GOOD=v7.2 BAD=v7.3 TEST=name, or name.subtest)
.PHONY: lab-bisect
lab-bisect:
	@BASE='$(BASES)' $(HOSTS_OF) TREE='$(TREE)' GOOD='$(GOOD)' BAD='$(BAD)' TEST='$(TEST)' tools/lab/lab-bisect.sh

##interleave:      every function of creating, using and destroying VMs held once, with the matrix (a sample of it is in the lab)
.PHONY: interleave
interleave:
	@BASE='$(BASES)' $(HOSTS_OF) PATCHES='$(PATCHES)' KERNEL='$(KERNEL)' tools/lab/interleave.sh

##kselftest-kit:   the selftests as a tar file for a real host (ARCH=x86 BASE=v7.3), in results/
.PHONY: kselftest-kit
kselftest-kit:
	@BASE='$(BASES)' ARCH='$(ARCH)' KERNEL='$(KERNEL)' tools/kit/kselftest.sh pack

##lava-job:        a job for LAVA that runs the kit on a device (DEVICE=x86 URL=https://where/its/files/are), in results/; nothing is submitted
.PHONY: lava-job
lava-job:
	@BASE='$(BASES)' ARCH='$(ARCH)' DEVICE='$(DEVICE)' URL='$(URL)' OPTIONS='$(OPTIONS)' tools/kit/lava-job.sh

##kselftest:       the same, run on this machine, as root (OPTIONS='--unsafe --load-modules' PCI=0000:01:00.0, see tools/kit/host/README)
.PHONY: kselftest
kselftest:
	@BASE='$(BASES)' KERNEL='$(KERNEL)' OPTIONS='$(OPTIONS)' PCI='$(PCI)' tools/kit/kselftest.sh run

##check-kit:       the kit, unpacked and run in emulated hosts that have busybox alone (ALL=1: all of its tests)
.PHONY: check-kit
check-kit:
	@BASE='$(firstword $(BASES))' $(HOSTS_OF) ALL='$(ALL)' tools/testing/check-kit.sh

##lockorder:       the order of locks that locking.rst describes, against what lockdep saw in the lab (after make lab)
.PHONY: lockorder
lockorder:
	@BASE='$(BASES)' $(HOSTS_OF) RST='$(RST)' FROM='$(FROM)' KERNEL='$(KERNEL)' tools/lockorder/lockorder.sh

##am:              git am of the series that fits a kernel tree of yours (TREE=/path/to/linux)
.PHONY: am
am:
	@BASE='$(BASES)' TREE='$(TREE)' tools/series/am.sh

##series-diff:     git range-diff of the series (BASE='v7.2 v7.3')
.PHONY: series-diff
series-diff:
	@BASES='$(BASES)' tools/series/series-diff.sh

##series-edit:     the series as commits, with the selftests on top, in a work tree for git rebase -i (BASE=v7.3 TREE=folder)
.PHONY: series-edit
series-edit:
	@BASE='$(BASES)' TREE='$(TREE)' KERNEL='$(KERNEL)' tools/series/series-edit.sh

##series-export:   write back what make series-edit has laid out, to patches/ and tools/testing (BASE=v7.3 TREE=folder)
.PHONY: series-export
series-export:
	@BASE='$(BASES)' TREE='$(TREE)' tools/series/series-export.sh

##topics:          each topic of patches/topics applies alone, by git am, on top of those that it depends on (TOPIC='vgic-pre-init ...')
.PHONY: topics
topics:
	@BASE='$(BASES)' TOPIC='$(TOPIC)' tools/series/topics.sh

##posting:         the mails of one topic, to be finished, signed and sent by hand (TOPIC=vgic-pre-init TREE=/path/to/linux of the maintainer's), in results/
.PHONY: posting
posting:
	@BASE='$(BASES)' TOPIC='$(TOPIC)' TREE='$(TREE)' tools/series/posting.sh

##posting-check:   a topic alone: checkpatch, each patch compiled, the rules of stable, somebody to send it to (RESULTS=folder: the finished mails of make posting)
.PHONY: posting-check
posting-check:
	@BASE='$(BASES)' TOPIC='$(TOPIC)' ARCH='$(ARCH)' COMPILERS='$(COMPILERS)' RESULTS='$(RESULTS)' tools/series/posting-check.sh

##series-twins:    write down how patches of one slug differ from base to base, once somebody has looked at it
.PHONY: series-twins
series-twins:
	@tools/series/series-twins.sh update

##base-new:        carry a series over to another kernel (FROM=v7.3 VERSION=7.4.1, from the archive, or KERNEL=/path/to/tree)
.PHONY: base-new
base-new:
	@FROM='$(FROM)' VERSION='$(VERSION)' KERNEL='$(KERNEL)' TREE='$(TREE)' tools/series/base-new.sh

##track:           which of Debian's kernels take the series, and what each has already; a page of it (COMPILE=1: does KVM compile; TEST=1: is make lab as declared)
.PHONY: track
track:
	@BASE='$(BASES)' COMPILE='$(COMPILE)' TEST='$(TEST)' tools/series/track.sh

##base-pin:        pin the newest release of a series that Debian's archive has, if the patches apply to it (BASE=v7.3 VERSION=7.3.5)
.PHONY: base-pin
base-pin:
	@BASE='$(BASES)' VERSION='$(VERSION)' tools/series/base-pin.sh

##series-check:    the series apply, each patch builds alone and without a warning, checkpatch, and twins differ as recorded
.PHONY: series-check
series-check:
	@BASE='$(BASES)' KERNEL='$(KERNEL)' EACH='$(EACH)' ARCH='$(ARCH)' COMPILERS='$(COMPILERS)' tools/series/series-check.sh

##static:          series-check of the tree without and with the whole series, by gcc, sparse and clang with its context analysis
.PHONY: static
static:
	@$(MAKE) --no-print-directory series-check EACH=no ARCH='$(or $(ARCH),x86 arm64)' \
		COMPILERS='$(or $(COMPILERS),gcc clang)'
	@BASE='$(BASES)' KERNEL='$(KERNEL)' tools/testing/static.sh

##coccicheck:      Coccinelle's rules for KVM: they find the holes without the series, and nothing unexplained with it
.PHONY: coccicheck
coccicheck:
	@BASE='$(BASES)' KERNEL='$(KERNEL)' tools/coccinelle/coccicheck.sh

##htmldocs:        the project's pages, and the kernel's own htmldocs of KVM: the series adds no warning (RST=another locking.rst)
.PHONY: htmldocs
htmldocs:
	@tools/lab/setup.sh
	@sphinx-build -q -n -W --keep-going Documentation results/html
	@echo "the project's pages: results/html/virt/kvm/index.html"
	@BASE='$(BASES)' KERNEL='$(KERNEL)' RST='$(RST)' tools/series/htmldocs.sh

##selftests-patches: the patches of the selftests as files, for git am by hand (BASE=v7.3 OUT=folder)
.PHONY: selftests-patches
selftests-patches:
	@BASE='$(BASES)' OUT='$(OUT)' KERNEL='$(KERNEL)' tools/series/selftests-patches.sh

##check:           the project's own scripts: shellcheck, tables, verdict, documentation, Coccinelle's samples, errors on bad input
.PHONY: check
check:
	@tools/lab/setup.sh
	@tools/lab/results.py check --pages
	@tools/lab/results_test.py -q
	@tools/testing/check.sh scripts
	@tools/testing/check-series.sh
	@tools/testing/check-sources.sh
	@tools/testing/check-coccinelle.sh
	@tools/testing/check-dkms.sh
	@tools/testing/check-identity.sh scripts
	@tools/testing/check-lockorder.sh

##check-hosts:     a host that hangs, panics or reports is an error, never green (after a lab); kvm_lifecycle refuses another KVM
.PHONY: check-hosts
check-hosts:
	@BASE='$(firstword $(BASES))' tools/testing/check.sh hosts
	@BASE='$(BASES)' $(HOSTS_OF) tools/testing/check-identity.sh hosts

# All bases at each push would take longer than CI has: the series of a base that is
# not the default one is only compiled, unless BASE names the base, or its file "base"
# names another step.
##test:            check, series-check (the whole series of each base, x86 and arm64), static, htmldocs, coccicheck, lab, lab-patches of what has changed, lockorder, check-hosts and check-kit for the default base (or BASE), and dkms-check for Debian 13; the steps that have passed today with all as it is are not repeated (AGAIN=1: they are)
.PHONY: test
test:
	@times=; for step in check series-check static htmldocs coccicheck lab lab-patches lockorder check-hosts check-kit dkms-check; do \
		echo "== make $$step"; start=$$(date +%s); \
		bases='$(or $(BASES),$(DEFAULT_BASE))'; host='$(HOST)'; arch='$(ARCH)'; \
		case $$step in \
		series-check) bases='$(or $(BASES),$(TEST_BASES))'; arch='x86 arm64' ;; \
		static)	arch='x86 arm64' ;; \
		dkms-check) host=debian-13 ;; \
		esac; \
		once=; case $${step}$(findstring n,$(firstword -$(MAKEFLAGS))) in check|check-hosts|check-kit|dkms-check) \
			once="tools/testing/passed.sh $$step" ;; \
		esac; \
		if [ -z "$$once" ] || ! AGAIN='$(AGAIN)' $$once "$$bases $$host $$arch"; then \
			$(MAKE) --no-print-directory $$step LEVEL=full BASES="$$bases" EACH=no CHANGED=1 AGAIN='$(AGAIN)' ARCH="$$arch" HOST="$$host" || exit; \
			[ -z "$$once" ] || $$once "$$bases $$host $$arch" now || exit; \
		fi; \
		times="$$times $$(($$(date +%s) - start)) $$step"; \
	done; \
	printf '%6d s  make %s\n' $$times

##module:          kvm_lifecycle for the kernel in KDIR (default: the running one's headers); UNSAFE=1: with the parts that drive KVM
.PHONY: module
KDIR ?= /lib/modules/$(shell uname -r)/build
module:
	$(MAKE) -C $(KDIR) M=$(CURDIR) UNSAFE='$(UNSAFE)' modules

##deb:             the Debian packages kvm-lifecycle-dkms, kvm_lifecycle alone, and kvm-lifecycle-kvm-dkms, KVM's modules with the series
.PHONY: deb
deb:
	@tools/lab/setup.sh
	@tools/dkms/deb.sh

##kmod-deb:        KVM's modules with the series as a Debian package for one exact kernel: no compiler on the hosts (KERNEL_PACKAGE=linux-image-6.12.107+deb13-amd64 SIGN_KEY=key.pem SIGN_CERT=key.der), in results/
.PHONY: kmod-deb
kmod-deb:
	@KERNEL_PACKAGE='$(KERNEL_PACKAGE)' SIGN_KEY='$(SIGN_KEY)' SIGN_CERT='$(SIGN_CERT)' tools/dkms/kmod-deb.sh

##arm64-kernel-deb: Debian packages of an arm64 kernel with the series (CONFIG=/path/to/config), where DKMS cannot replace KVM
.PHONY: arm64-kernel-deb
arm64-kernel-deb:
	@BASE='$(BASES)' KERNEL='$(KERNEL)' CONFIG='$(CONFIG)' tools/dkms/arm64-kernel-deb.sh

##dkms-check:      Debian hosts that install the packages: red with the distribution's modules, green with ours (HOST=debian-13: here a Debian host, of tools/dkms/debians)
.PHONY: dkms-check
dkms-check:
	@HOST='$(HOST)' TEST='$(TEST)' tools/dkms/dkms-check.sh

##dkms-status:     which KVM is loaded, and which one is installed (K=release of a kernel)
.PHONY: dkms-status
K ?=
dkms-status:
	@tools/dkms/dkms-status.sh $(if $(K),-k '$(K)')

##clean-cache:     the folder with sources, builds and ccache
.PHONY: clean-cache
clean-cache:
	rm -rf "$${KVM_LIFECYCLE_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/kvm-lifecycle}"

##clean:           results and the module's objects; the cache stays
.PHONY: clean
clean:
	rm -rf results
	find . -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' -o -name '.*.cmd' \
		-o -name kvm_lifecycle_built_for.h -o -name modules.order -o -name Module.symvers | xargs rm -f
