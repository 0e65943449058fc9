#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check.sh [scripts|hosts]: the project's own tools.  scripts needs no kernel:
# the shell scripts by shellcheck, and each tool's errors and leftovers on bad input, on a
# kernel tree that is made up here.  hosts needs the kernels that the lab has
# built: a host that hangs or panics must be an error, not a red.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/testing/tap.sh"
. "$TOP/tools/series/series.sh"

WHAT=${1:-scripts}
[ "$WHAT" = hosts ] || no_settings
unset HOST ARCH
BASE=${BASE:-$(default_base)}

# A command that fails must not change these: finished builds (an unfinished one has
# the name of a temporary), and a user's kernel tree with its git.
state()
{
	find "$WORK/cache/out" "$WORK/cache/tests" -mindepth 1 -maxdepth 1 ! -name '*.tmp' 2>/dev/null | sort
	[ -d "$WORK/tree/.git" ] || return 0
	cat "$WORK/tree/.git/HEAD"
	git -C "$WORK/tree" show-ref | sort
	git -C "$WORK/tree" ls-files -s
	(cd "$WORK/tree" && find . -path './.git/*' -prune -o -type f -exec sha256sum {} + | sort)
	find "$WORK/tree/.git" -name 'rebase-*' -o -name sequencer -o -name '*_HEAD' ! -name ORIG_HEAD | sort
}

# A tree that answers like a kernel and builds in no time, or, with the file
# $WORK/slow, in a minute.
fake_kernel()
{
	rm -rf "$1"
	mkdir -p "$1/virt/kvm" "$1/arch/x86/kvm" "$1/tools/testing/selftests/kvm" "$1/include"
	echo 'not the real one' >"$1/virt/kvm/kvm_main.c"
	{
		# As the real one: no architecture that does not exist.
		echo 'include arch/$(ARCH)/Makefile'
		makefile_of "$2"
		echo 'allnoconfig: ; @cp $(KCONFIG_ALLCONFIG) $(O)/.config'
		echo 'bzImage: ; @mkdir -p $(O)/arch/x86/boot; if [ -e '"$WORK/slow"' ]; then sleep 60; fi; echo image >$(O)/arch/x86/boot/bzImage'
		echo 'modules: bzImage'
		echo 'mrproper: ; @rm -f .config'
		echo 'run-command: ; @mkdir $(lastword $(KBUILD_RUN_COMMAND))'
	} >"$1/Makefile"
	: >"$1/arch/x86/Makefile"
}

# A copy of the project whose series can be spoilt; it has no selftests.
project()
{
	rm -rf "$WORK/project"
	mkdir "$WORK/project"
	cp -r "$TOP/tools" "$TOP/patches" "$WORK/project/"
	any_disk "$WORK/project"
	rm -rf "$WORK/project/patches/selftests" "$WORK/project/$SELFTESTS"/*
	sed -i '/^selftest-/d' "$WORK/project/patches/changes"
	sed -i '/^[^#]/d' "$WORK/project/patches/proved"
}

# A PATH without the commands that match a regexp.
path_without()
{
	rm -rf "${WORK:?}/bin"
	mkdir "$WORK/bin"
	echo "$PATH" | tr ':' '\n' | while read -r folder; do
		find "$folder" -maxdepth 1 ! -type d 2>/dev/null
	done | grep -vE "/($1)\$" | while read -r file; do
		[ -e "$WORK/bin/${file##*/}" ] || ln -s "$file" "$WORK/bin/"
	done
	echo "$WORK/bin"
}

# An emulated machine in Bochs, by programs that only seem to be it.
bochs_tests()
{
	bochs=$TOP/tools/lab/bochs.sh
	rm -rf "$WORK/bochs"
	mkdir -p "$WORK/bochs/bin"
	for file in kernel initrd cdboot.img BIOS-bochs-latest VGABIOS-lgpl-latest; do
		echo "$file" >"$WORK/bochs/$file"
	done
	cat >"$WORK/bochs/bin/grub-mkrescue" <<-'END'
		#!/bin/sh
		[ "$(cat "$5/boot/kernel" "$5/boot/initrd")" = "$(printf 'kernel\ninitrd')" ] || exit
		cp "$5/boot/grub/grub.cfg" "$4"
	END
	cat >"$WORK/bochs/bin/bochs-bin" <<-'END'
		#!/bin/sh
		echo 'Bochs connected to screen "/dev/null"'
		serial=$(sed -n 's/^com1: .*dev=//p' "$3")
		cd=$(sed -n 's/.*path=\([^,]*\),.*/\1/p' "$3")
		exec >"$serial"
		echo 'Linux version 1'
		grep '^linux ' "$cd"
		grep -E '^(cpu|memory):' "$3"
		echo 'Linux version 1'
		echo 'lab: not seen'
		exec sleep 98765
	END
	chmod +x "$WORK"/bochs/bin/*
	export BXSHARE="$WORK/bochs" GRUB="$WORK/bochs"
	own_path=$PATH
	PATH=$WORK/bochs/bin:$PATH
	set -- -machine pc -cpu m -smp 2 -m 1G -nographic -kernel "$WORK/bochs/kernel" -initrd "$WORK/bochs/initrd"
	refuses 'bochs: an unknown option' '^bochs.sh: unknown option -vga: ' "$bochs" "$@" -vga std
	refuses 'bochs: an option without its value' '^bochs.sh: -append needs a value' "$bochs" "$@" -append
	refuses 'bochs: another machine' '^bochs.sh: it has no -machine q35: ' "$bochs" "$@" -machine q35
	refuses 'bochs: no kernel' "^bochs.sh: there is no file '/nowhere': " "$bochs" "$@" -kernel /nowhere
	refuses 'bochs: no BIOS' '^bochs.sh: there is no /nowhere/BIOS-bochs-latest: apt-get install bochsbios$' env BXSHARE=/nowhere "$bochs" "$@"
	accepts 'bochs: a machine that reboots is ended' timeout 30 "$bochs" "$@" -append 'a=b c'
	said 'bochs: what its kernel is told' '^linux /boot/kernel noxsave a=b c$'
	said 'bochs: what it has' '^memory: guest=1024, host=1024$'
	accepts 'bochs: and nothing after that' sh -c '! "$@" | grep "not seen"' sh timeout 30 "$bochs" "$@"
	accepts 'bochs: no emulator is left' sh -c '! pgrep -f "^sleep 98765"'
	sed -i '/Linux version 1/d' "$WORK/bochs/bin/bochs-bin"
	cp "$WORK/bochs/bin/bochs-bin" "$WORK/bochs/fake"
	printf '#!/bin/sh\necho "no such plugin"\n: >"$(sed -n "s/^com1: .*dev=//p" "$3")"\n' >"$WORK/bochs/bin/bochs-bin"
	refuses 'bochs: it ends at once' '^bochs.sh: the kernel has not started' timeout 30 "$bochs" "$@"
	said 'bochs: it ends at once: its last words' '^no such plugin$'
	cp "$WORK/bochs/fake" "$WORK/bochs/bin/bochs-bin"
	refuses 'bochs: killed' '^lab: not seen$' timeout -k 20 2 "$bochs" "$@"
	accepts 'bochs: killed: no emulator is left' sh -c '! pgrep -f "^sleep 98765"'
	PATH=$own_path
	unset BXSHARE GRUB
}

scripts()
{
	echo TAP version 13
	accepts 'shellcheck finds nothing' \
		shellcheck "$TOP"/tools/*.sh "$TOP"/tools/*/*.sh "$TOP/tools/lab/init" "$TOP/tools/lab/debian-init" "$TOP/tools/lab/show" "$TOP/virt/kvm/identity.sh" \
		"$TOP/.ci/run" "$TOP"/tools/kit/host/run "$TOP"/tools/kit/host/guardian "$TOP"/tools/kit/host/one-test "$TOP"/tools/kit/host/build "$TOP"/tools/kit/host/lava "$TOP"/tools/kit/host/*.sh \
		"$TOP"/debian/*.post* "$TOP"/debian/tests/observer "$TOP"/debian/tests/kvm "$TOP"/debian/tests/functions
	accepts 'the documentation builds without warnings' pages "$TOP/Documentation"
	refuses 'a link to a page that is not there' 'unknown document' bad_link
	accepts 'every file says its licence' all_have_spdx
	accepts 'an error says which script it comes from' names_are_unique
	accepts 'and the script has the name of the target' names_are_targets
	accepts 'no path or host of one machine is in the repository' no_leaks
	accepts 'the selftests find reports, and say that records are lost' kmsg_is_read

	real=$CACHE
	export KVM_LIFECYCLE_CACHE="$WORK/cache"
	mkdir -p "$WORK/cache"
	mkdir -p "$real/sparse"
	ln -s "$real/sparse" "$WORK/cache/sparse"
	lab=$TOP/tools/lab/lab.sh
	settings_tests
	bochs_tests

	refuses 'unknown BASE' '^lab.sh: unknown BASE=v1.0: choose one of ' env BASE=v1.0 "$lab"
	refuses 'one unknown BASE of two' '^lab.sh: unknown BASE=v1.0: choose one of ' env BASE='v7.3 v1.0' "$lab"
	refuses 'unknown ARCH' '^lab.sh: unknown ARCH=sparc: choose from '"$(arches_of $(lab_hosts))"'$' env ARCH=sparc "$lab"
	refuses 'unknown HOST' '^lab.sh: unknown HOST=vax: choose from '"$(lab_hosts | paste -sd' ')"'$' env HOST='amd vax' "$lab"
	refuses 'HOST and ARCH' "^lab.sh: HOST='amd' and ARCH='x86' both say which hosts: give one of them$" env HOST=amd ARCH=x86 "$lab"
	refuses 'a host without a test' "^lab.sh: patches/expect declares no test of v6.12 for HOST='riscv': " env BASE=v6.12 HOST=riscv "$lab"
	refuses 'unknown TEST' '^lab.sh: unknown TEST=nothing ' env TEST=nothing "$lab"
	refuses 'unknown PATCHES' '^lab.sh: unknown PATCHES=99: choose ' env PATCHES=99 "$lab"
	refuses 'dkms-check: an unknown HOST' '^dkms-check.sh: unknown HOST=debian-9: choose from '"$(grep -v '^#' "$TOP/tools/dkms/debians" | cut -f1 | uniq | paste -sd' ')"'$' \
		env HOST='debian-13 debian-9' "$TOP/tools/dkms/dkms-check.sh"
	printf 'CONFIG_X86_64=y\n' >"$WORK/config"
	for config in "$WORK/config" /nowhere; do
		refuses "arm64-kernel-deb: CONFIG=${config##*/}" '^arm64-kernel-deb.sh: CONFIG=.* is not the configuration of an arm64 kernel: ' \
			env CONFIG="$config" "$TOP/tools/dkms/arm64-kernel-deb.sh"
	done
	refuses 'arm64-kernel-deb: unknown BASE' '^arm64-kernel-deb.sh: unknown BASE=v1.0: choose one of ' \
		env BASE=v1.0 "$TOP/tools/dkms/arm64-kernel-deb.sh"
	storm=$TOP/tools/lab/storm.sh
	for time in never 2d h 0 1h30m; do
		refuses "storm: TIME=$time" "^storm.sh: unknown TIME=$time: " env TIME="$time" "$storm"
	done
	refuses 'storm: a SEED that is no number' '^storm.sh: unknown SEED=x: ' env SEED=x "$storm"
	refuses 'storm: REPLAY of nothing' '^storm.sh: REPLAY=/nowhere does not exist: ' env REPLAY=/nowhere "$storm"
	refuses 'storm: a host that it is not declared for' '^storm.sh: patches/expect does not declare vcpu_lifecycle_stress of .* for riscv' \
		env HOST=riscv "$storm"
	refuses 'storm: unknown HOST' '^storm.sh: unknown HOST=vax: ' env HOST=vax "$storm"
	refuses 'coverage: an architecture without functions' '^coverage.sh: tools/lab/functions names none of riscv, ' \
		env HOST=riscv "$TOP/tools/lab/coverage.sh"
	refuses 'storm: unknown PATCHES' '^storm.sh: unknown PATCHES=nothing: ' env PATCHES=nothing "$storm"
	refuses 'a patch without a test' '^lab-patches.sh: no test declares patch PATCH=svm-irte-comment ' \
		env PATCH=svm-irte-comment "$TOP/tools/lab/lab-patches.sh"
	refuses 'KERNEL that does not exist' 'KERNEL=/nowhere does not exist: ' \
		env KERNEL=/nowhere "$lab"
	mkdir "$WORK/empty"
	refuses 'KERNEL that is no kernel tree' 'KERNEL=.* is not a Linux kernel tree: ' \
		env KERNEL="$WORK/empty" "$lab"
	fake_kernel "$WORK/other" 5.10.1
	refuses 'KERNEL of another version' "is 5\.10\.1 and patches/$BASE is for $(base_get "$BASE" series): " \
		env HOST='amd arm' KERNEL="$WORK/other" "$lab"

	fake_kernel "$WORK/fake" 7.2.99
	touch "$WORK/fake/.config"
	cp -r "$WORK/fake" "$WORK/fake.before"
	project
	rm -f "$WORK"/project/patches/v7.2/0*.patch
	{
		echo 'From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001'
		echo 'From: nobody <nobody@localhost.localdomain>'
		echo 'Date: Thu, 1 Jan 2026 00:00:00 +0000'
		echo 'Subject: [PATCH] KVM: change a line that is not there'
		printf '\n---\n'
		printf 'diff --git a/virt/kvm/kvm_main.c b/virt/kvm/kvm_main.c\n'
		printf -- '--- a/virt/kvm/kvm_main.c\n+++ b/virt/kvm/kvm_main.c\n@@ -1 +1 @@\n-the real one\n+another one\n'
	} >"$WORK/project/patches/v7.2/0001-wrong.patch"
	refuses 'a series that does not apply' 'wrong does not apply to linux 7\.2\.99: virt/kvm/kvm_main\.c' \
		env KERNEL="$WORK/fake" "$WORK/project/tools/lab/source.sh" v7.2
	accepts "the user's tree is as it was" diff -r "$WORK/fake" "$WORK/fake.before"

	# The same tree with a series that has nothing to say about it.
	rm "$WORK/project/patches/v7.2/0001-wrong.patch"
	printf '# empty\n' | tee "$WORK/project/tools/lab/common.config" "$WORK/project/tools/lab/x86.config" \
		>"$WORK/project/patches/v7.2/config"
	accepts 'a tree of the user is copied' env ARCH='x86 arm64' KERNEL="$WORK/fake" "$WORK/project/tools/lab/source.sh" v7.2
	accepts 'without what was built in it' sh -c 'test ! -e "$(cat "$1")/.config"' sh "$WORK/cache/src/v7.2.path"
	touch "$WORK/slow"
	refuses 'an interrupted build leaves nothing behind' 'building linux 7.2.99' \
		timeout -s INT 2 "$WORK/project/tools/lab/build.sh" v7.2 x86 none
	rm "$WORK/slow"
	accepts 'the next build works' "$WORK/project/tools/lab/build.sh" v7.2 x86 none
	accepts 'and its product is whole' test -f "$WORK/cache/out/v7.2-x86-none/image" -a -d "$WORK/cache/out/v7.2-x86-none/build"

	proof_tests
	kit_tests
	lava_tests
	am_tests
	series_tests
	bisect_tests
	rm -rf "$WORK/cache/src"
	one_file_is_a_host
	parts

	refuses 'no such package to install' 'these packages are missing and there is no apt-get .*flex' \
		env PATH="$(path_without 'flex|apt-get')" "$TOP/tools/lab/setup.sh"
	accepts 'a user whose PATH lacks sbin' env PATH=/usr/local/bin:/usr/bin:/bin "$TOP/tools/lab/setup.sh"
	refuses 'no cross compiler' 'these packages are missing and there is no apt-get .*gcc-aarch64-linux-gnu' \
		env PATH="$(path_without 'aarch64-linux-gnu-.*|apt-get')" "$TOP/tools/lab/setup.sh"

	# A file system of its own that is nearly full.
	if [ "$(id -u)" -eq 0 ]; then
		mkdir "$WORK/full"
		refuses 'a disk that is too small' 'only 0 GiB are free in .* GiB are needed: ' \
			unshare -m sh -c 'mount -t tmpfs -o size=1m tmpfs "$1" && KVM_LIFECYCLE_CACHE=$1 KERNEL=$2 "$3" v7.2' \
			sh "$WORK/full" "$WORK/fake" "$TOP/tools/lab/source.sh"
		refuses 'a disk that gets full' 'the disk is full' \
			unshare -m sh -c 'mount -t tmpfs -o size=64k tmpfs "$1" && . "$2/tools/lib.sh" && run_logged "$3" dd if=/dev/zero of="$1/file" bs=1k count=999' \
			"$TOP/tools/lab/lab.sh" "$WORK/full" "$TOP" "$WORK/dd.log"
	else
		skipped 'a disk that is too small' 'needs root to mount'
		skipped 'a disk that gets full' 'needs root to mount'
	fi
}

# as_nobody COMMAND...: without root, but with the files that root may read.
as_nobody()
{
	if [ "$(id -u)" -eq 0 ]; then
		unshare --user "$@"
	else
		"$@"
	fi
}

# The steps of make test that are not repeated, in a repository of two scripts.
passed_tests()
{
	mkdir -p "$WORK/passed/tools/testing"
	cp "$TOP/tools/lib.sh" "$WORK/passed/tools/"
	cp "$TOP/tools/testing/passed.sh" "$WORK/passed/tools/testing/"
	git init -q "$WORK/passed"
	step="env KVM_LIFECYCLE_CACHE=$WORK/passed-cache $WORK/passed/tools/testing/passed.sh"
	accepts 'passed: not yet' not $step one ''
	touch "$WORK/passed/new"
	accepts 'passed: now, and a file has changed meanwhile' $step one '' now
	accepts 'passed: that counts for nothing' not $step one ''
	rm "$WORK/passed/new"
	accepts 'passed: nor before the change' not $step one ''
	accepts 'passed: now' $step one '' now
	accepts 'passed: it has' $step one ''
	said 'passed: since then' 'one: it passed at [0-9:]*, and nothing has changed since \(AGAIN=1 runs it again\)$'
	accepts 'passed: another step' not $step two ''
	accepts 'passed: other settings' not $step one v7.3
	accepts 'passed: AGAIN=1' not env AGAIN=1 $step one ''
	touch "$WORK/passed/new"
	accepts 'passed: a file that is new' not $step one ''
	rm "$WORK/passed/new"
	accepts 'passed: the files are as they were' $step one ''
	rm -r "$WORK/passed/.git"
	accepts 'passed: no repository' not $step one ''
	accepts 'passed: no repository, now' $step one '' now
	accepts 'passed: no repository, and it is not remembered' not $step one ''
}

not()
{
	! "$@"
}

# make's errors on variables on its command line, for each target, before it does anything.
settings_tests()
{
	at_top="env -u MAKELEVEL -u MAKEFLAGS -u MAKEOVERRIDES make -n -C $TOP"
	# shellcheck disable=SC2013 # a word each
	for target in $(sed -n 's/^##\([a-z0-9-]*\):.*/\1/p' "$TOP/Makefile" | grep -v '^module$'); do
		refuses "make $target: an unknown variable" '\*\*\* unknown BSAE: did you mean BASE\?' $at_top "$target" BSAE=v7.3
	done
	refuses 'make: the nearest name' ' unknown SEDE: did you mean SEED\?' $at_top storm SEDE=1
	refuses 'make: of two that are as near, the one that the target takes' ' unknown TIEE: did you mean TREE\?' $at_top am TIEE=1
	refuses 'make: a name in small letters' ' unknown base: did you mean BASE\?' $at_top lab base=v7.3
	refuses 'make: a name that is near none' ' unknown NOTHING: see make help' $at_top lab NOTHING=1
	refuses 'make: in a step of make test as well' ' unknown BSAE: ' make -n -C "$TOP" lab BSAE=v7.3
	refuses 'make: a variable that the target does not take' \
		' lab-patches does not take TEST: it takes BASE HOST ARCH PATCH CHANGED KERNEL\.' $at_top lab-patches TEST=one
	refuses 'make: nor any of several targets' ' am series-diff does not take PATCH: it takes BASE TREE\.' $at_top am series-diff PATCH=one
	accepts 'make: one of several targets takes it' $at_top lab lab-patches PATCH=one TEST=one
	accepts 'make: a target without variables' $at_top clean BASES=v7.3 EACH=no
	said 'make: says that they have no effect' '^clean takes no variables, and these have no effect: BASES EACH$'
	accepts 'make: a step of make test gets those of make test' env MAKELEVEL=1 make -n -C "$TOP" lab EACH=no
	refuses 'make: BASE and BASES, each with a value of its own' ' BASE and BASES are one: give BASE alone\.' $at_top lab BASE=v7.2 BASES=v7.3
	accepts 'make: BASE and BASES are one' $at_top lab BASES='v7.2 v7.3'
	said 'make: for the script as well' "^BASE='v7.2 v7.3' "
	accepts 'make: what scripts take from the environment' $at_top lab JOBS=1 HOSTS=1
	mkdir "$WORK/kernel"
	echo 'modules: ;' >"$WORK/kernel/Makefile"
	accepts "make: those of the kernel's make" $at_top module KDIR="$WORK/kernel" W=1
	passed_tests
	accepts 'make help' $at_top -s help
	accepts 'make help: names the variables of each target' sh -c '"$@" | grep -A1 "^storm:" | grep -qx " *BASE HOST ARCH TIME SEED REPLAY PATCHES KERNEL"' \
		sh awk -f "$TOP/tools/settings.awk" -v help=1 "$TOP/Makefile"
	refuses 'series-check: unknown ARCH' '^series-check.sh: unknown ARCH=sparc: choose from x86 arm64 riscv ' \
		env ARCH=sparc "$TOP/tools/series/series-check.sh"
}

# ended PID: it is gone, or nobody has asked for its exit status.
ended()
{
	! grep -q ') [^ZX]' "/proc/$1/stat" 2>/dev/null
}

# A copy of the project whose hosts are made up: the target of an event is right from
# the patch on, and the kernel prints $WORK/said.
made_up_hosts()
{
	project
	cp -r "$TOP/$SELFTESTS/." "$WORK/project/$SELFTESTS/"
	echo 'prepare() { :; }' >>"$WORK/project/tools/lib.sh"
	cat >"$WORK/project/tools/lab/host.sh" <<-'EOT'
		#!/bin/sh
		mkdir -p "$4"
		cd "$4"
		echo '[ 1.0] lab: done' >console
		if [ "$3" != "$NUMBER" ]; then
			printf '[ 1.0] lab: %s\n' 1..1 '# the target was changed to vCPU1, the event went to 0' 'not ok 1 global.evtchn.update_while_sending'
			echo exit 1 >"$5.status"
		else
			echo '[ 1.0] lab: 1..1'
			cat "$SAID"
			echo '[ 1.0] lab: ok 1 global.evtchn.update_while_sending'
			echo exit 0 >"$5.status"
		fi >"$5.log"
	EOT
}

# The verdict of lab-patches on a patch, the record of it, and the run of make test: of
# the patches that have changed since their record, and no more.
proof_tests()
{
	made_up_hosts
	number_of=$(results slugs v7.3 | grep -nx xen-evtchn-target | cut -d: -f1)
	proof="env SAID=$WORK/said NUMBER=$number_of BASE=v7.3 HOST=amd PATCH=xen-evtchn-target $WORK/project/tools/lab/lab-patches.sh"
	record=$WORK/project/patches/proved
	echo '[ 1.0] WARNING: possible circular locking dependency detected' >"$WORK/said"
	refuses 'lab-patches: a report of the kernel with the patch' 'the kernel reported: WARNING: possible circular' $proof
	accepts 'lab-patches: is no proof' sh -c '! grep -v "^#" "$1"' sh "$record"
	: >"$WORK/said"
	accepts 'lab-patches: what was never proved is not run by make test' env CHANGED=1 $proof
	said 'lab-patches: but counted' '\] never proved patch by patch on v7\.3: 1, run make lab-patches BASE=v7\.3 '
	accepts 'lab-patches: nor is it recorded' sh -c '! grep -v "^#" "$1"' sh "$record"
	accepts 'lab-patches: red, then green' $proof
	said 'lab-patches: and the table says so' '^xen_evtchn_target_test +red 1 +green 1$'
	accepts 'lab-patches: and a line of the record' \
		sh -c 'grep -v "^#" "$1" | grep -qE "^v7\.3	amd	xen-evtchn-target	[0-9a-f]{16}\$"' sh "$record"
	accepts 'lab-patches: the record has no mistake' "$WORK/project/tools/lab/results.py" check
	cp "$record" "$WORK/record"
	accepts 'lab-patches: with CHANGED=1' env CHANGED=1 $proof
	said 'lab-patches: it is not run again' '\] proved patch by patch on v7\.3, and nothing has changed: 1$'
	sed -i 's/the event went to/the event goes to/' "$WORK/project/patches/expect"
	refuses 'lab-patches: a changed row, which is not true' 'these patches do not make their tests green' env CHANGED=1 $proof
	accepts 'lab-patches: and the record is as it was' cmp "$record" "$WORK/record"
	sed -i 's/the event goes to/the event went .*to/' "$WORK/project/patches/expect"
	accepts 'lab-patches: a changed row, which is true' env CHANGED=1 $proof
	said 'lab-patches: was run' '^xen_evtchn_target_test +red 1 +green 1$'
	accepts 'lab-patches: one line of the record has changed' test "$(diff "$record" "$WORK/record" | grep -c '^[<>]')" -eq 2
	accepts 'lab-patches: another tree' env KERNEL=/nowhere $proof
	accepts 'lab-patches: once more' env CHANGED=1 $proof
	sed -i '/^[^#]/d' "$record"
	accepts 'lab-patches: another tree is no proof of the base' env KERNEL=/nowhere $proof
	accepts 'lab-patches: and is not recorded' sh -c '! grep -v "^#" "$1"' sh "$record"

	project
	cp -r "$TOP/$SELFTESTS/." "$WORK/project/$SELFTESTS/"
	cp -r "$TOP/patches/selftests" "$WORK/project/patches/"
	changed="env BASE=v7.3 CHANGED=list $WORK/project/tools/lab/lab-patches.sh"
	accepts 'lab-patches: none was ever proved' $changed
	cp "$WORK/output" "$WORK/never"
	accepts 'lab-patches: says so of each' test "$(grep -c '	never$' "$WORK/never")" -eq \
		"$(results proofs v7.3 | cut -d' ' -f1,2 | sort -u | cut -d' ' -f2 | grep -cxF "$(lab_hosts default)")"
	cut -f1-4 "$WORK/never" | sort >>"$record"
	accepts 'lab-patches: nothing has changed' sh -c '[ -z "$("$@")" ]' sh $changed
	echo '/* another */' >>"$WORK/project/tools/testing/selftests/kvm/x86/xen_evtchn_target_test.c"
	echo '/* another */' >>"$WORK/project/$SELFTESTS/include/nvme_vfio.h"
	sed -i 's/virtual counter after a failed/the counter after a failed/' "$WORK/project/patches/expect"
	accepts 'lab-patches: a test, a header of another one and a row have changed' $changed
	cut -f2,3,5 "$WORK/output" >"$WORK/changed"
	printf '%s\t%s\tchanged\n' amd svm-ga-log-wakeup amd ga-log-overflow amd xen-evtchn-target arm vm-counter-start >"$WORK/wanted"
	accepts 'lab-patches: and what they prove is run, and nothing else' diff "$WORK/wanted" "$WORK/changed"
	sed -i 's/^@@ -[0-9]*,/@@ -9,/; s/^Subject: .*/& again/' "$WORK"/project/patches/v7.3/*.patch
	sed -i '0,/^+[^+]/s/^+[^+].*/& another/' "$WORK"/project/patches/v7.3/*-use-before-postcreate.patch
	accepts 'lab-patches: a patch has changed, and the messages and places of all' $changed
	cut -f2,3,5 "$WORK/output" >"$WORK/changed"
	printf '%s\t%s\tchanged\n' amd use-before-postcreate amd svm-ga-log-wakeup amd ga-log-overflow amd xen-evtchn-target arm use-before-postcreate arm vm-counter-start >"$WORK/wanted"
	accepts 'lab-patches: it alone is run' diff "$WORK/wanted" "$WORK/changed"
	echo 'v7.3	amd	vgic-create-comment	0123456789abcdef' >>"$record"
	refuses 'a record of what has no test' \
		'patches/proved:[0-9]*: no test of v7.3 on amd proves vgic-create-comment: take this line out$' "$WORK/project/tools/lab/results.py" check
	sed -i '$d' "$record"
	grep '^v' "$record" | head -n 1 >"$WORK/first"
	cat "$WORK/first" >>"$record"
	refuses 'a record that make lab-patches has not written' 'patches/proved:[0-9]*: the lines are not sorted, ' "$WORK/project/tools/lab/results.py" check
}

# ran NAME COMMAND...: it is right, and the dummy host was started for it.
ran()
{
	rm -f "$dummy/started"
	accepts "$@"
	accepts "$1: the host is started" test -e "$dummy/started"
}

# The red of the dummy host, in a folder that is moved away: its script starts the emulator
# once more, and compares.
red_travels()
{
	accepts 'red: a folder for a test that fails' mv "$WORK/project/results/latest/red/dummy-all-xen_evtchn_target_test" "$WORK/a red"
	accepts 'red: there is no link into the project or the cache' sh -c '! grep -F -e "$1" "$2/show" && [ -z "$(find "$2" -type l)" ]' sh "$WORK" "$WORK/a red"
	accepts 'red: its initramfs has the test' sh -c 'gzip -dc "$1/initramfs" | cpio -t --quiet | grep -qx tests/xen_evtchn_target_test' sh "$WORK/a red"
	mv "$dummy/cache" "$dummy/gone"
	accepts 'red: shown again elsewhere' env PATH="$dummy/bin:$PATH" "$WORK/a red/show"
	said 'red: the same line' '^show: red again, in boot 1 of 1: evtchn.update_while_sending: '
	cp "$dummy/started" "$WORK/output"
	said 'red: on the same machine' '^-machine one,b=c -cpu two -smp 4 -device five -m 4G -accel tcg,thread=multi .* lab\.test=xen_evtchn_target_test$'
	cp "$dummy/bin/dummy-emulator" "$WORK/emulator"
	sed -i 's/the event went to [0-9]/the event went to 17/' "$dummy/bin/dummy-emulator"
	accepts 'red: a number in the line may differ' env PATH="$dummy/bin:$PATH" "$WORK/a red/show"
	sed -i 's/the event went/the event comes/' "$dummy/bin/dummy-emulator"
	refuses 'red: another line' '^show: boot 2 of 2 did not show it$' env PATH="$dummy/bin:$PATH" "$WORK/a red/show" 2
	sed -i 's/not ok 1/ok 1/' "$dummy/bin/dummy-emulator"
	refuses 'red: green' '^show: boot 1 of 1 did not show it$' env PATH="$dummy/bin:$PATH" "$WORK/a red/show"
	sed -i 's/begin xen/began xen/' "$dummy/bin/dummy-emulator"
	refuses 'red: a host that does not boot' '^show: the host did not come as far as the test: ' env PATH="$dummy/bin:$PATH" "$WORK/a red/show"
	refuses 'red: no emulator' '^show: there is no dummy-emulator: apt-get install ' "$WORK/a red/show"
	refuses 'red: TIMES' '^show: unknown TIMES=often: ' "$WORK/a red/show" often
	rm "$WORK/a red/kernel"
	refuses 'red: half a folder' '^show: there is no kernel beside this script: ' env PATH="$dummy/bin:$PATH" "$WORK/a red/show"
	mv "$WORK/emulator" "$dummy/bin/dummy-emulator"
	mv "$dummy/gone" "$dummy/cache"
}

# One more host is one file: its emulator, here a script, is started as the file says,
# and its results are in the table.
one_file_is_a_host()
{
	project
	cp -r "$TOP/$SELFTESTS/." "$WORK/project/$SELFTESTS/"
	cp "$TOP/Makefile" "$WORK/project/"
	# Nothing is built, for any host.
	echo 'prepare() { :; }' >>"$WORK/project/tools/lib.sh"
	dummy=$WORK/dummy
	mkdir -p "$dummy/bin" "$dummy/cache/out/kernel/modules" "$dummy/cache/module/kernel" "$dummy/cache/busybox" "$dummy/cache/tests/v7.3-x86"
	ln -s kernel "$dummy/cache/out/v7.3-x86-all"
	touch "$dummy/cache/out/kernel/image" "$dummy/cache/module/kernel/kvm_lifecycle.ko" "$dummy/cache/busybox/amd64" "$dummy/cache/tests/v7.3-x86/xen_evtchn_target_test"
	cat >"$dummy/bin/dummy-emulator" <<-EOT
		#!/bin/sh
		[ "\$1" != --version ] || exit 0
		echo "\$*" >"$dummy/started"
		while [ "\$1" != -initrd ]; do shift; done
		cpio -i --to-stdout --quiet modules/order <"\$2" >"$dummy/modules"
		printf '[ 1.0] lab: %s\n' 'begin xen_evtchn_target_test' 1..1 'ok 1 global.evtchn.update_while_sending' \
			'exit 0' 'end xen_evtchn_target_test' done
	EOT
	chmod +x "$dummy/bin/dummy-emulator"
	run="env PATH=$dummy/bin:$PATH KVM_LIFECYCLE_CACHE=$dummy/cache LAB_LOCKED=1 make -C $WORK/project lab HOST=dummy BASE=v7.3 PATCHES=all TEST=xen_evtchn_target_test"
	refuses 'a host without a file' '^lab.sh: unknown HOST=dummy: choose from '"$(lab_hosts | paste -sd' ')"'$' $run

	cat >"$WORK/project/tools/lab/hosts/dummy" <<-'EOT'
		label		Dummy
		arch		x86
		like		amd
		package		no-such-command	dummy-package
		emulator	dummy-emulator
		machine		one,b=c
		cpu		two
		smp		3
		memory		4G
		devices		-device five
		cmdline		console=six
		thread		multi
		boot-seconds	7
		module		kvm
		module		kvm-amd avic=1
	EOT
	accepts 'one file is a host' $run
	said 'a host more: it has its label, and the tests of the host that it is like' '^xen_evtchn_target_test +green 1/1$'
	said 'a host more: in the table' '^test +Dummy with$'
	cp "$dummy/started" "$WORK/output"
	said 'a host more: its emulator is started' '^-machine one,b=c -cpu two -smp 3 -device five -m 4G -accel tcg,thread=multi .* -append console=six '
	accepts 'a host more: its modules' test "$(paste -sd, "$dummy/modules")" = 'kvm,kvm-amd avic=1,kvm_lifecycle unsafe=1'
	refuses 'a host more: its package' '^setup.sh: these packages are missing and there is no apt-get to install them: dummy-package$' \
		env HOST=dummy PATH="$(path_without apt-get)" "$WORK/project/tools/lab/setup.sh"
	accepts 'a host more: its package alone' "$WORK/project/tools/lab/setup.sh"
	accepts 'a host more: those of an architecture are the default ones' \
		sh -c 'TOP=$0; . "$0/tools/lib.sh"; test "$(hosts_of x86 riscv | paste -sd" ")" = "$1"' "$WORK/project" "$(hosts_of x86 riscv | paste -sd' ')"
	accepts 'a host more: the tables have no mistake' "$WORK/project/tools/lab/results.py" check
	accepts 'a host more: it is one file, and nothing else' \
		sh -c '[ "$(diff -r "$1/tools" "$2/tools" --exclude=lib.sh)" = "Only in $2/tools/lab/hosts: dummy" ]' sh "$TOP" "$WORK/project"

	# A host that has not changed is not run again.
	rm "$dummy/started"
	accepts 'cells: nothing has changed' $run
	said 'cells: and it is said' '^Dummy with: of [0-9-]+ [0-9:]+, nothing has changed since$'
	accepts 'cells: nor is the host started' test ! -e "$dummy/started"
	ran 'cells: AGAIN=1' $run AGAIN=1
	ran 'cells: other options' $run OPTIONS=-x
	echo changed >"$dummy/cache/tests/v7.3-x86/xen_evtchn_target_test"
	ran 'cells: a test has changed' $run
	rm "$dummy/started"
	touch "$dummy/cache/module/kernel/kvm_lifecycle.ko"
	accepts 'cells: a file that is as it was' $run
	accepts 'cells: and the host is not started' test ! -e "$dummy/started"
	sed -i 's/^smp.*/smp		4/' "$WORK/project/tools/lab/hosts/dummy"
	sed -i "s/1\.\.1 'ok 1 global/1..1 '# a.c:1:x:the event went to 1' 'not ok 1 global/; s/exit 0/exit 1/" "$dummy/bin/dummy-emulator"
	refuses 'cells: the host has changed, and its test fails' '^lab.sh: not every cell is as it must be' $run
	rm "$dummy/started"
	refuses 'cells: a failure is not kept' '^lab.sh: not every cell is as it must be' $run
	accepts 'cells: and the host is started' test -e "$dummy/started"
	red_travels

	# A host that hangs is ended, and by the cause of it.
	sed -i "s/'exit 1' 'end xen_evtchn_target_test' done/'Sending NMI'/" "$dummy/bin/dummy-emulator"
	cat >>"$dummy/bin/dummy-emulator" <<-'EOT'
		echo '[ 2.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:'
		while :; do
			echo '[ 2.0] it says a lot'
			[ -z "$STALLS" ] || echo '[ 2.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:'
			sleep 1
		done
	EOT
	refuses 'hang: nothing ends' 'the test did not come to its end: hung: no test has begun or ended for 7 s' \
		env TEST_TIMEOUT=2 GRACE=5 $run
	said 'hang: a heartbeat' '^\[ *0:[0-9]+\] dummy, patches: all: xen_evtchn_target_test, for [0-9]+ s; 0 of 1 tests have ended$'
	sed -i '3i [ -z "$BOOTS" ] || exec sleep 100' "$dummy/bin/dummy-emulator"
	refuses 'hang: the host says nothing' 'hung: it boots, and has said nothing for 8 s' env BOOTS=1 GRACE=1 $run
	refuses 'hang: a CPU stalls' 'the test did not come to its end: hung: a CPU stalls' env STALLS=1 GRACE=3 $run
	refuses 'hang: the limit of the run' 'the test did not come to its end: hung: the limit of the whole run is over' env LIMIT=1 $run
	refuses 'LEVEL' '^lab.sh: unknown LEVEL=much: choose from proof full$' $run LEVEL=much

	sed -i 's/^cpu/cpus/' "$WORK/project/tools/lab/hosts/dummy"
	refuses 'a host more: a mistake in its file' '^results.py: tools/lab/hosts/dummy:7: unknown cpus: choose from label ' $run
}

# vms FUNCTION: the users that it names, of those in $KIT_PROC and $KIT_SYS.
vms()
{
	WORK=/ours sh -c '. "$0/vms.sh"; "$1"; status=$?; echo "$VMS"; exit $status' "$TOP/tools/kit/host" "$1"
}

nobody_has_vms()
{
	! vms "$1"
}

# someone PID NAME TARGET [VARIABLE]: a process that has this open.
someone()
{
	mkdir -p "$KIT_PROC/$1/fd"
	echo "$2" >"$KIT_PROC/$1/comm"
	ln -s "$3" "$KIT_PROC/$1/fd/5"
	: >"$KIT_PROC/$1/exe"
	printf 'A=b\0%s\0' "${4:-}" >"$KIT_PROC/$1/environ"
}

# Whose VMs a kit sees, and that it does nothing beside them.
others_tests()
{
	export KIT_PROC="$WORK/proc" KIT_SYS="$WORK/sys" KIT_DEV="$WORK/dev"
	mkdir -p "$KIT_PROC/self/fd" "$KIT_PROC/self/ns" "$KIT_PROC/sys/kernel" "$KIT_PROC/sys/vm" "$KIT_SYS" "$KIT_DEV"
	: >"$KIT_PROC/cmdline"
	echo 'flags : fpu svm' >"$KIT_PROC/cpuinfo"
	printf 'cgroup2 %s cgroup2 rw 0 0\n' "$WORK/cgroup" >"$KIT_PROC/mounts"
	printf 'none %s %s rw 0 0\n' "$KIT_SYS/kernel/debug" debugfs "$KIT_SYS/kernel/tracing" tracefs >>"$KIT_PROC/mounts"
	someone 10 editor /dev/null
	accepts 'kit: nobody has VMs' nobody_has_vms others_use_kvm
	someone 20 'one vmm' anon_inode:kvm-vm
	someone 21 vmm2 /dev/kvm
	someone 22 vmm3 'anon_inode:[kvm-gmem]'
	accepts 'kit: whose VMs there are' vms others_use_kvm
	said 'kit: each of them' '^one vmm \(process 20\), vmm2 \(process 21\), vmm3 \(process 22\)$'
	if [ "$(id -u)" -eq 0 ]; then
		for option in '' -u --load-modules -d -p; do
			refuses "kit: beside VMs, run${option:+ $option}" \
				'^run: others use KVM, and a run may break their VMs: one vmm \(process 20\), .*; end them, or add --force$' \
				"$run" $option -o "$WORK/kit/refused"
		done
		refuses 'kit: beside VMs, modules are not touched whatever is forced' \
			"^run: others use KVM, and its modules are not touched meanwhile: one vmm " "$run" --force --load-modules
		accepts 'kit: and nothing is done' [ ! -e "$WORK/kit/refused" ]
	else
		skipped 'kit: what it refuses beside VMs' 'needs root'
	fi
	rm -r "$KIT_PROC"/2?

	printf '#!/bin/sh\necho "ls: /proc/9/fd: Permission denied" >&2\n/bin/ls "$@"\nexit 1\n' >"$WORK/kit/ls"
	chmod +x "$WORK/kit/ls"
	accepts 'kit: a look that fails' env PATH="$WORK/kit:$PATH" sh -c '. "$0"; others_use_kvm && echo "$VMS"' "$WORK/kit/vms.sh"
	said 'kit: counts as somebody' '^perhaps somebody, since it cannot be told \(ls: /proc/9/fd: Permission denied\)$'
	rm "$WORK/kit/ls"
	# A part of the look that cannot be started, or is killed, says nothing.
	for program in ls sed awk sort; do
		printf '#!/bin/sh\nexit 1\n' >"$WORK/kit/$program"
		chmod +x "$WORK/kit/$program"
		for look in others_use_kvm others_came; do
			accepts "kit: a look without $program, $look" env PATH="$WORK/kit:$PATH" WORK=/ours \
				sh -c '. "$0"; "$1" && echo "$VMS"' "$WORK/kit/vms.sh" "$look"
			said 'kit: counts as somebody' '^perhaps somebody, since it cannot be told '
		done
		rm "$WORK/kit/$program"
	done
	ln -s 'pid:[4026532999]' "$KIT_PROC/self/ns/pid"
	accepts 'kit: in a container' vms others_use_kvm
	said 'kit: counts as somebody' '^perhaps somebody, .*outside of this container'
	mkdir -p "$KIT_SYS/kernel/debug/kvm/666-9"
	accepts 'kit: but debugfs shows all VMs' vms others_use_kvm
	said 'kit: also one that no process shows' '^a VM is left \(process 666\)$'
	accepts 'kit: during a run, a test has left it' nobody_has_vms others_came
	someone 666 vmm anon_inode:eventfd
	accepts 'kit: a VM that is in no file descriptor' vms others_came
	said 'kit: has a process' '^vmm \(process 666\)$'
	rm -r "$KIT_PROC/666" "$KIT_SYS/kernel" "$KIT_PROC/self/ns/pid"
	someone 30 vcpu_test anon_inode:kvm-vcpu:0 WORK=/ours
	accepts "kit: a test's own VM" nobody_has_vms others_came
	someone 31 vmm anon_inode:kvm-vcpu:0 WORK=/ours.not
	accepts 'kit: and the VM of others beside it' vms others_came
	said 'kit: is theirs' '^vmm \(process 31\)$'
	rm "$KIT_PROC/31/exe"
	accepts 'kit: who is about to be gone' nobody_has_vms others_came
	# No error of this one is that there is none.
	ln -s exe "$KIT_PROC/31/exe"
	accepts 'kit: whose program cannot be looked at' vms others_came
	said 'kit: is not about to be gone' '^vmm \(process 31\)$'
	rm -r "$KIT_PROC"/3?
	mkdir -p "$KIT_SYS/module/kvm/holders/kvm_lifecycle" "$KIT_SYS/module/kvm/holders/kvm_one"
	echo 1 >"$KIT_SYS/module/kvm/holders/kvm_lifecycle/refcnt"
	accepts 'kit: the count of kvm_lifecycle' nobody_has_vms others_use_kvm
	echo 1 >"$KIT_SYS/module/kvm/holders/kvm_one/refcnt"
	accepts 'kit: the count of a module' vms others_use_kvm
	said 'kit: counts as somebody' '^whoever uses kvm_one$'
	rm "$KIT_SYS/module/kvm/holders/kvm_one/refcnt"
	accepts 'kit: a kernel that does not count' nobody_has_vms others_use_kvm
	mkdir "$KIT_SYS/module/kvm/holders/kvm_one/refcnt"
	accepts 'kit: a count that cannot be read' vms others_use_kvm
	said 'kit: counts as somebody' '^whoever uses kvm_one$'
	rm -r "$KIT_SYS/module"
	mv "$KIT_PROC/self" "$KIT_PROC/elsewhere"
	accepts 'kit: without processes' vms others_use_kvm
	said 'kit: it cannot be told' '^perhaps somebody, since it cannot be told \(no process can be seen\)$'
	mv "$KIT_PROC/elsewhere" "$KIT_PROC/self"

	[ "$(id -u)" -eq 0 ] || return 0
	for name in kernel/panic_on_warn kernel/warn_limit kernel/panic_on_oops kernel/panic_on_rcu_stall \
		kernel/hung_task_panic kernel/softlockup_panic kernel/hardlockup_panic vm/panic_on_oom; do
		echo 2 >"$KIT_PROC/sys/$name"
		refuses "kit: with $name" "^run: the tests look for what the kernel reports, .*: sysctl -w ${name%/*}\.${name#*/}=0, if nobody relies on it\$" "$run"
		echo 0 >"$KIT_PROC/sys/$name"
	done
	for name in panic_on_taint=0x1000 kasan.fault=panic; do
		echo "quiet $name ro" >"$KIT_PROC/cmdline"
		refuses "kit: with $name" "^run: .*: boot without $name\$" "$run"
	done
	echo 'quiet kasan.fault=report' >"$KIT_PROC/cmdline"
}

# machine_state: all files of the made-up machine that a run may change.
machine_state()
{
	(cd "$WORK" && find sys cgroup proc/modules -exec ls -dF {} + && grep -ar '' sys cgroup proc/modules)
}

# A run on a made-up machine, on which the one test changes all that a run puts back, and
# hangs.  Its commands for modules edit the list of them.
machine()
{
	mkdir -p "$WORK/cgroup" "$KIT_SYS/module/kvm/parameters" "$KIT_SYS/module/kvm_amd/parameters" "$KIT_SYS/kernel/debug/failslab" \
		"$KIT_SYS/kernel/tracing/instances"
	echo memory >"$WORK/cgroup/cgroup.subtree_control"
	echo 200000 >"$KIT_SYS/module/kvm/parameters/halt_poll_ns"
	echo N >"$KIT_SYS/kernel/debug/failslab/task-filter"
	ln -sf /dev/null "$KIT_DEV/kvm"
	ln -sf /dev/null "$KIT_DEV/kmsg"
	: >"$WORK/kit/splats"
	mkdir "$WORK/commands"
	printf '#!/bin/sh\n' | tee "$WORK/commands/dmesg" >"$WORK/commands/umount"
	cat >"$WORK/commands/rmmod" <<-'EOT'
		#!/bin/sh
		echo "rmmod $*" >>"$KIT_PROC/commands"
		sed -i "/^$1 /d" "$KIT_PROC/modules"
	EOT
	cat >"$WORK/commands/modprobe" <<-'EOT'
		#!/bin/sh
		if [ "$1" = -D ]; then
			printf 'insmod %s \n' "$KIT_PROC/kvm.ko" "$KIT_PROC/kvm-amd.ko.xz"
			exit
		fi
		echo "modprobe $*" >>"$KIT_PROC/commands"
		sed -i "1i $1 1 0 - Live 0" "$KIT_PROC/modules"
		echo "${2#avic=}" >"$KIT_SYS/module/kvm_amd/parameters/avic"
	EOT
	chmod +x "$WORK/commands"/*
	cat >"$WORK/kit/run_kselftest.sh" <<-'EOT'
		cd "$KIT/kvm"
		"$KIT/one-test" 600 ./one_test
	EOT
	cat >"$WORK/kit/kvm/one_test" <<-'EOT'
		#!/bin/sh
		[ $# -eq 0 ] || exit
		echo 0 >"$KIT_SYS/module/kvm/parameters/halt_poll_ns"
		echo Y >"$KIT_SYS/kernel/debug/failslab/task-filter"
		mkdir "$KIT_SYS/kernel/tracing/instances/kvm_alloc_1" "$(dirname "$KIT_SYS")/cgroup/kvm_vcpu_create_fault"
		echo "kvm_lifecycle 1 0 - Live 0" >>"$KIT_PROC/modules"
		rmmod kvm_amd
		sleep 600 &
		echo $! >"$KIT_PROC/left"
		sleep 600
	EOT
}

# Its modules, as they are loaded and as they are in files, and AVIC is off.
machine_modules()
{
	printf '%s 1 0 - Live 0\n' kvm_amd kvm >"$KIT_PROC/modules"
	echo N >"$KIT_SYS/module/kvm_amd/parameters/avic"
	for _module in kvm kvm_amd; do
		mkdir -p "$KIT_SYS/module/$_module/notes"
		printf '\004\0\0\0 of %s' $_module >"$KIT_SYS/module/$_module/notes/.note.gnu.build-id"
		{
			echo before
			cat "$KIT_SYS/module/$_module/notes/.note.gnu.build-id"
			echo after
		} >"$KIT_PROC/$_module"
	done
	mv "$KIT_PROC/kvm" "$KIT_PROC/kvm.ko"
	xz -c "$KIT_PROC/kvm_amd" >"$KIT_PROC/kvm-amd.ko.xz"
	rm -f "$KIT_PROC/kvm_amd" "$KIT_PROC/commands" "$KIT_PROC/left"
}

# within SECONDS COMMAND...: it comes true.
within()
{
	_tries=$(($1 * 5))
	shift
	until "$@"; do
		_tries=$((_tries - 1))
		[ "$_tries" -gt 0 ] || return
		sleep 0.2
	done
}

# ended_by SIGNAL|terminal: a run whose test is at work ends by this signal, or because its
# terminal is gone; and the machine is as it was.
ended_by()
{
	machine_modules
	machine_state >"$WORK/before"
	rm -rf "$WORK/tmp" "$WORK/kit/results"
	mkdir "$WORK/tmp"
	end=$1
	set -- env PATH="$WORK/commands:$PATH" TMPDIR="$WORK/tmp" "$run" -p -m -t one_test -o "$WORK/kit/results"
	if [ "$end" = terminal ]; then
		end=KILL
		script -qc "$*" /dev/null >"$WORK/said" 2>&1 &
	else
		# As a terminal starts it: in the background, a shell has it ignore two of them, nohup one.
		env --default-signal=INT,QUIT,HUP "$@" >"$WORK/said" 2>&1 &
	fi
	# A signal that comes before the test is at work shows nothing.
	within 180 test -s "$KIT_PROC/left" || {
		kill -KILL $!
		echo 'this host is too slow: the test has not begun in 3 minutes'
		return 1
	}
	kill -"$end" $!
	wait $! || :
	within 60 rmdir "$WORK/tmp" 2>/dev/null
	cat "$WORK/said"
	machine_state | diff "$WORK/before" -
}

# What a run puts back, however it ends; and that it touches no module that it may lose.
machine_tests()
{
	machine
	for way in INT QUIT HUP TERM KILL terminal; do
		accepts "kit: ended by $way, the machine is as it was" ended_by $way
		accepts "kit: ended by $way, no process is left" ended "$(cat "$KIT_PROC/left")"
		accepts "kit: ended by $way, the report is there" grep -qx 'Bail out! interrupted' "$WORK/kit/results/kselftest.ktap"
	done
	accepts 'kit: where KVM is the one of the files, kvm_amd was unloaded' grep -qx 'rmmod kvm_amd' "$KIT_PROC/commands"

	for module in kvm kvm_amd; do
		machine_modules
		echo another >>"$KIT_SYS/module/$module/notes/.note.gnu.build-id"
		not_reloaded "a $module whose file is another one" $module
		machine_modules
		rm "$KIT_SYS/module/$module/notes/.note.gnu.build-id"
		not_reloaded "a $module of which nothing is known" $module
	done
	machine_modules
	rm "$KIT_PROC/kvm.ko"
	not_reloaded 'a kvm without a file' kvm
	machine_modules
	echo >"$KIT_PROC/kvm-amd.ko.xz"
	not_reloaded 'a kvm_amd that cannot be unpacked' kvm_amd
}

# not_reloaded NAME MODULE: no module is touched, since that one might not come back.
not_reloaded()
{
	refuses "kit: $1" \
		"^run: modprobe cannot be shown to load the $2 that is loaded, .*: boot the KVM that is installed, or run without --load-modules\$" \
		env PATH="$WORK/commands:$PATH" "$run" -m --limit 21 -o "$WORK/kit/results"
	accepts "kit: $1 stays" [ ! -e "$KIT_PROC/commands" ]
}

# The errors of a kit before it touches anything, and its verdict on the output of tests.
kit_tests()
{
	kit=$TOP/tools/kit/kselftest.sh
	refuses 'kselftest-kit: unknown ARCH' '^kselftest.sh: unknown ARCH=sparc: choose from '"$(arches_of $(lab_hosts default))"'$' env ARCH='x86 sparc' "$kit" pack
	refuses 'check-kit: a host without a kit' '^check-kit.sh: no kit is run in HOST=riscv: choose from amd arm$' \
		env HOST=riscv "$TOP/tools/testing/check-kit.sh"
	refuses 'kselftest-kit: unknown BASE' '^kselftest.sh: unknown BASE=v1.0: choose one of ' env BASE=v1.0 "$kit" pack
	: >"$WORK/file"
	refuses 'kselftest-kit: results that cannot be written' '^kselftest.sh: cannot write to .*/file/results: ' \
		env RESULTS="$WORK/file/results" "$kit" pack
	refuses 'kselftest: not as root' '^kselftest.sh: the tests need root: sudo make kselftest$' as_nobody "$kit" run
	if [ "$(id -u)" -eq 0 ]; then
		refuses 'kselftest: no /dev/kvm' '^kselftest.sh: there is no /dev/kvm: ' \
			unshare -m sh -c '[ ! -e /dev/kvm ] || mount --bind "$1" /dev/kvm && "$2" run' sh "$WORK/file" "$kit"
	else
		skipped 'kselftest: no /dev/kvm' 'needs root to mount'
	fi

	mkdir -p "$WORK/kit/kvm" "$WORK/a kit"
	cp "$TOP"/tools/kit/host/* "$WORK/kit/"
	printf '#!/bin/sh\n' >"$WORK/kit/kvm/one_test"
	chmod +x "$WORK/kit/kvm/one_test"
	printf '%s\n' ARCH=x86 MACHINE=x86_64 "ALL_TESTS='one_test other_test'" HARMFUL= CANARY= VERSION=none >"$WORK/kit/about"
	run=$WORK/kit/run
	others_tests
	accepts 'kit: the table of needs has four fields a row' awk -F'\t' '!/^#/ && NF != 4 { print; bad = 1 } END { exit bad }' "$WORK/kit/needs"
	refuses 'kit: not as root' '^run: the tests need root: sudo ./run$' as_nobody "$run"
	refuses 'kit: an unknown option' '^run: unknown option --all: see ./run -h$' "$run" --all
	refuses 'kit: a limit that is none' '^run: --limit takes a number of seconds: ' "$run" --limit soon
	refuses 'kit: an unknown test' '^run: unknown test no_test: choose from one_test other_test$' "$run" -t one_test -t no_test
	accepts 'kit: the list of tests' "$run" --list
	said 'kit: a line a test' '^other_test$'
	if [ "$(id -u)" -eq 0 ]; then
		refuses 'kit: results that cannot be written' '^run: the results cannot be written to .*/file/results: ' "$run" -o "$WORK/file/results"
		cp -r "$WORK/kit/." "$WORK/a kit"
		refuses 'kit: a space in the path' "^run: upstream's runner takes no space in a path: move " "$WORK/a kit/run"
		refuses 'kit: a program is missing' '^run: this machine lacks setsid: install ' env PATH="$(path_without setsid)" "$run"
		machine_tests
		chmod -x "$WORK/kit/kvm/one_test"
		refuses 'kit: programs that cannot be run' "^run: the kit's programs cannot be run in " "$run"
		sed -i 's/=x86_64/=pdp11/' "$WORK/kit/about"
		refuses 'kit: for another machine' '^run: this kit is for pdp11 and this machine is x86_64: ' "$run"
	else
		skipped 'kit: what it refuses as root' 'needs root'
	fi
	refuses 'kit: no kernel to build kvm_lifecycle for' '^build: there is no kernel in /nowhere: ' env KDIR=/nowhere "$WORK/kit/build"

	# As upstream's runner calls it; in this folder a test is its output.
	one=$WORK/kit/one-test
	printf '#!/bin/sh\ncd "${0%%/*}/kvm" && export WORK="$1" && shift && exec "$@"\n' >"$WORK/kit/in_kvm"
	printf '#!/bin/sh\nsleep 60 &\necho $! >"$WORK/left"\n[ "$1" = fast ] || sleep 60\nexit 3\n' >"$WORK/kit/kvm/leaves"
	chmod +x "$WORK/kit/in_kvm" "$WORK/kit/kvm/leaves"
	printf 'leaves\tsome reason\n' >"$WORK/left_out"
	refuses 'kit: a test that is left out' '^1\.\.0 # SKIP some reason$' \
		"$WORK/kit/in_kvm" "$WORK" "$one" 9 env --ignore-environment ./leaves
	rm "$WORK/left_out"
	refuses 'kit: no time is left for a test' '^1\.\.0 # SKIP the time for a run is over: ./run --test leaves, ' \
		env KIT_DEADLINE=1 "$WORK/kit/in_kvm" "$WORK" "$one" 9 ./leaves
	someone 40 vmm anon_inode:kvm-vm
	refuses 'kit: others have come since the last test' '^1\.\.0 # SKIP others use KVM: vmm \(process 40\)$' \
		"$WORK/kit/in_kvm" "$WORK" "$one" 9 ./leaves
	rm -r "$KIT_PROC/40"
	refuses 'kit: a test that fails' '^took [0-9] s$' "$WORK/kit/in_kvm" "$WORK" "$one" 9 ./leaves fast
	accepts 'kit: and what it leaves is ended' ended "$(cat "$WORK/left")"
	refuses 'kit: a test that does not end' '^124$' \
		sh -c '"$@"; status=$?; echo $status; exit $status' sh "$WORK/kit/in_kvm" "$WORK" "$one" 1 ./leaves
	accepts 'kit: and what it leaves is ended' ended "$(cat "$WORK/left")"

	printf '%s\n' '#!/bin/sh' 'echo "1..2"' '[ ! -e "$WORK/slow" ] || { echo "ok 1 one"; echo "ok 2 two"; exit; }' 'touch "$WORK/slow"' \
		'echo "# a.c:1:one:too slow: made up"' 'echo "not ok 1 one"' 'echo "ok 2 two"' 'exit 1' >"$WORK/kit/kvm/slow"
	chmod +x "$WORK/kit/kvm/slow"
	accepts 'kit: a test that the machine was too slow for is run again' "$WORK/kit/in_kvm" "$WORK" "$one" 9 ./slow
	said 'kit: and says so' '^once more: the machine was too slow$'
	rm "$WORK/slow"
	{
		printf '%s\n' 'TAP version 13' 1..5 '# selftests: kvm: a_test' '# TAP version 13' '# 1..3' '# ok 1 global.one' \
			'# # a_test.c:1:two:Expected 1 (1) == 2 (2)' '# # a_test.c:2:two:"<&>" is not ]]>' '# not ok 2 two'
		printf '# \001control\n'
		printf '%s\n' '# ok 3 three # SKIP no such thing: get one' '# took 7 s' 'not ok 1 selftests: kvm: a_test # exit=1' \
			'# selftests: kvm: b_test' '# 1..0 # SKIP no <b>' 'ok 2 selftests: kvm: b_test # SKIP no <b>' \
			'# selftests: kvm: c_test' '# 1..2' '# ok 1 one' 'not ok 3 selftests: kvm: c_test # TIMEOUT 9 seconds' \
			'# selftests: kvm: d_test' '# 1..1' '# # in the middle' 'Bail out! interrupted'
	} >"$WORK/ktap"
	accepts 'kit: JUnit' sh -c 'awk -f "$1/ktap.awk" -f "$1/junit.awk" "$2" | tee "$2.xml" &&
		python3 -c "import sys, xml.dom.minidom as dom; dom.parse(sys.argv[1])" "$2.xml"' sh "$TOP/tools/kit/host" "$WORK/ktap"
	said 'kit: JUnit: the numbers' '<testsuites name="kvm-lifecycle" tests="7" failures="3" skipped="2">'
	said 'kit: JUnit: a failure' 'name="two"><failure message="# a_test.c:2:two:&quot;&lt;&amp;&gt;&quot; is not \]\]&gt;">'
	said 'kit: JUnit: a skip' 'name="three"><skipped message="no such thing: get one"/>'
	said 'kit: JUnit: a test as a whole is skipped' 'name="b_test"><skipped message="no &lt;b&gt;"/>'
	said 'kit: JUnit: a test that was out of time' 'name="c_test"><failure message="TIMEOUT 9 seconds, after 1 of 2 subtests">'
	said 'kit: JUnit: a test that was interrupted' 'name="d_test"><failure message="interrupted, after 0 of 1 subtests"># in the middle'
	accepts 'kit: a summary' awk -f "$TOP/tools/kit/host/ktap.awk" -f "$TOP/tools/kit/host/summary.awk" "$WORK/ktap"
	said 'kit: a summary: the numbers' '^all +2 +3 +2$'
	said 'kit: a summary: what was not run' '^Bail out! interrupted; 2 of 5 tests did not come to their end$'
	refuses 'kit: its exit status' '^1 of 1$' sh -c 'awk -f "$1/ktap.awk" -f "$1/status.awk" "$2" || { echo "$? of 1"; exit 1; }' \
		sh "$TOP/tools/kit/host" "$WORK/ktap"
	printf '%s\n' 'TAP version 13' 1..1 '# selftests: kvm: a_test' '# 1..2' '# # a.c:1:one:Expected 1 (1) == 2 (2)' \
		'# # a.c:1:one:too slow: made up' '# not ok 1 one' '# ok 2 two' '# once more: the machine was too slow' '# 1..2' \
		'# ok 1 one' '# ok 2 two' 'ok 1 selftests: kvm: a_test' >"$WORK/ktap"
	accepts 'kit: the second run of a test counts' awk -f "$TOP/tools/kit/host/ktap.awk" -f "$TOP/tools/kit/host/status.awk" "$WORK/ktap"
	sed '0,/^# ok 2 two$/s//# # a.c:2:two:Expected 1 (1) == 2 (2)\n# not ok 2 two/' "$WORK/ktap" >"$WORK/ktap.other"
	sed '0,/^# # a.c:1:one:Expected/s//# # a.c:0:one:Expected 1 (1) == 2 (2)\n&/' "$WORK/ktap" >"$WORK/ktap.same"
	for which in other same; do
		refuses "kit: and another failure of the first one, the $which subtest's" '^1 of 1$' \
			sh -c 'awk -f "$1/ktap.awk" -f "$1/status.awk" "$2" || { echo "$? of 1"; exit 1; }' sh "$TOP/tools/kit/host" "$WORK/ktap.$which"
	done
	printf '%s\n' '^no [a-z]+$	get one' >"$WORK/missing"
	printf '%s\n' '# ok 1 one # SKIP no thing' '# 1..0 # SKIP - no <b>' 'ok 1 selftests: kvm: a_test # SKIP ' '# ok 2 two' \
		'ok 2 selftests: kvm: b_test # SKIP' >"$WORK/ktap"
	accepts 'kit: a reason for each skip' awk -v missing="$WORK/missing" -f "$TOP/tools/kit/host/explain.awk" "$WORK/ktap"
	said 'kit: what to do about it' '^# ok 1 one # SKIP no thing: get one$'
	said "kit: a test's own reason" '^ok 1 selftests: kvm: a_test # SKIP no <b>$'
	said 'kit: no reason' '^ok 2 selftests: kvm: b_test # SKIP the test does not say why$'
}

# lava_jobs: one for each row of the table.
lava_jobs()
{
	grep -v '^#' "$TOP/tools/kit/lava-devices" | while IFS='	' read -r type arch _; do
		env DEVICE="$type" ARCH="$arch" URL=https://files.example/kvm/ RESULTS="$WORK/lava" "$TOP/tools/kit/lava-job.sh" || exit
	done
}

lava_tests()
{
	job=$TOP/tools/kit/lava-job.sh url=URL=https://files.example types=$(grep -v '^#' "$TOP/tools/kit/lava-devices" | cut -f1 | uniq | paste -sd' ')
	refuses 'lava-job: no DEVICE' "^lava-job.sh: which device\\?  Give DEVICE=type, one of $types\$" "$job"
	refuses 'lava-job: an unknown DEVICE' "^lava-job.sh: unknown DEVICE=toaster: choose from $types, or add a line to tools/kit/lava-devices\$" \
		env DEVICE=toaster $url "$job"
	refuses 'lava-job: a DEVICE for several architectures' '^lava-job.sh: DEVICE=qemu is there for x86 arm64: give one of them as ARCH$' env DEVICE=qemu $url "$job"
	refuses 'lava-job: a DEVICE of another architecture' '^lava-job.sh: DEVICE=x86 is not there for ARCH=arm64: choose from x86$' \
		env DEVICE=x86 ARCH=arm64 $url "$job"
	refuses 'lava-job: no URL' '^lava-job.sh: where are the files\?' env DEVICE=x86 "$job"
	refuses 'lava-job: a URL that is a path' '^lava-job.sh: URL=/srv is none that LAVA could fetch from: ' env DEVICE=x86 URL=/srv "$job"
	refuses 'lava-job: OPTIONS for a shell' '^lava-job.sh: URL and OPTIONS go into a shell script: ' env DEVICE=x86 $url OPTIONS='--force; reboot' "$job"
	refuses 'lava-job: an unknown BASE' '^lava-job.sh: unknown BASE=v1.0: ' env DEVICE=x86 $url BASE=v1.0 "$job"
	accepts 'lava-job: one for each device' lava_jobs
	said 'lava-job: what it fetches' '; files in https://files.example/kvm: kernel kvm-lifecycle-kselftest-[0-9.]*-v[0-9.]*-arm64.tar.xz root.ext4.xz$'
	accepts "lava-job: LAVA's schema takes each" test "$(find "$WORK/lava" -name '*.yaml' | wc -l)" -eq "$(grep -vc '^#' "$TOP/tools/kit/lava-devices")"
	accepts "lava-job: the kit of make kselftest-kit" sh -c 'grep -qF "/$2-$3-x86.tar.xz" "$1"' sh "$WORK/lava/lava-x86-x86.yaml" \
		"kvm-lifecycle-kselftest-$(sed -n '1s/.*(\(.*\)).*/\1/p' "$TOP/debian/changelog")" "$(default_base)"
	project
	mkdir -p "$WORK/project/debian"
	cp "$TOP/debian/changelog" "$WORK/project/debian/"
	sed -i 's/visibility: public/visibility: all/' "$WORK/project/tools/kit/lava-job.sh"
	refuses "lava-job: and LAVA's schema speaks" "^lava-job.sh: LAVA's schema does not take .*visibility" \
		env DEVICE=x86 $url "$WORK/project/tools/kit/lava-job.sh"

	# The kit's own part, with a run that leaves this, and LAVA's tool or none.
	mkdir -p "$WORK/lava-kit" "$WORK/lava-bin"
	cp "$TOP"/tools/kit/host/lava "$TOP"/tools/kit/host/*.awk "$WORK/lava-kit/"
	printf '%s\n' 'TAP version 13' 1..2 '# selftests: kvm: a_test' '# 1..3' '# ok 1 global.one' "# not ok 2 two'; reboot" \
		'# ok 3 three # SKIP no' '# took 7 s' 'not ok 1 selftests: kvm: a_test # exit=1' '# selftests: kvm: b_test' '# 1..0 # SKIP no' \
		'ok 2 selftests: kvm: b_test # SKIP no' >"$WORK/lava-ktap"
	printf '#!/bin/sh\nmkdir -p "${0%%/*}/results"; [ "$1" = refuse ] || cp "%s" "${0%%/*}/results/kselftest.ktap"\nexit "${2:-1}"\n' "$WORK/lava-ktap" >"$WORK/lava-kit/run"
	for tool in lava-test-case lava-test-set; do
		printf '#!/bin/sh\necho "${0##*/} $*"\n' >"$WORK/lava-bin/$tool"
	done
	chmod +x "$WORK"/lava-kit/run "$WORK"/lava-bin/*
	refuses 'lava: the results of a run' '^lava-test-set start a_test$' env PATH="$WORK/lava-bin:$PATH" "$WORK/lava-kit/lava" --unsafe
	grep '^lava-' "$WORK/output" >"$WORK/lava-said"
	printf '%s\n' 'set start a_test' 'case one --result pass' 'case two___reboot --result fail' 'case three --result skip' 'set stop' \
		'case a_test-time --result pass --measurement 7 --units seconds' 'set start b_test' 'case b_test --result skip' 'set stop' \
		'case kvm-lifecycle-run --result fail' | sed 's/^/lava-test-/' >"$WORK/lava-wanted"
	accepts 'lava: a case a subtest, in a set a test' diff "$WORK/lava-wanted" "$WORK/lava-said"
	refuses 'lava: without its tool, the signals' '^<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=two___reboot RESULT=fail>$' "$WORK/lava-kit/lava"
	said 'lava: a measurement' '^<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a_test-time RESULT=pass MEASUREMENT=7 UNITS=seconds>$'
	said 'lava: a set' '^<LAVA_SIGNAL_TESTSET START b_test>$'
	refuses 'lava: a run that refuses has no results, not those of another run' '^<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=kvm-lifecycle-run RESULT=fail>$' \
		"$WORK/lava-kit/lava" refuse 2
	accepts 'lava: and no other line' test "$(grep -c LAVA_SIGNAL "$WORK/output")" -eq 1
	accepts 'lava: a run that is green' "$WORK/lava-kit/lava" x 0
	said 'lava: and says so' '^<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=kvm-lifecycle-run RESULT=pass>$'
}

# A kernel tree of a user in $WORK/tree, with the first $2 patches of the series.
user_kernel()
{
	fake_kernel "$WORK/tree" "$1"
	seq 40 >"$WORK/tree/virt/kvm/kvm_main.c"
	seq 40 >"$WORK/tree/virt/kvm/eventfd.c"
	commit_base "$WORK/tree" >/dev/null
	git -C "$WORK/tree" config user.useConfigOnly true
	[ "${2:-0}" -eq 0 ] ||
		git_in "$WORK/tree" am -q $(find "$WORK/project/patches/v7.3" -name '*.patch' | sort | head -n "$2")
}

# edit FILE SED-COMMAND [MESSAGE]: a change of a user, committed with a message.
edit()
{
	sed -i "$2" "$WORK/tree/$1"
	[ $# -eq 2 ] || git_in "$WORK/tree" commit -q -a -m "$3"
}

# Four patches for v7.3, of which the third changes the lines of the second, and the
# fourth adds a file; v7.2 has the first two.
made_up_series()
{
	project
	rm -rf "$WORK"/project/patches/*/[0-9]* "$WORK"/project/patches/*/dkms "$WORK"/project/patches/*/coccicheck \
		"$WORK/project/patches/twins"
	user_kernel 7.3.4
	edit virt/kvm/kvm_main.c 's/^3$/three/' 'KVM: Change line 3'
	edit virt/kvm/kvm_main.c 's/^15$/fifteen/' 'KVM: Change line 15'
	edit virt/kvm/kvm_main.c 's/^16$/sixteen/' 'KVM: Change line 16'
	echo new >"$WORK/tree/virt/kvm/new.c"
	git_in "$WORK/tree" add virt/kvm/new.c
	git_in "$WORK/tree" commit -q -m 'KVM: Add a file'
	printf '%s\n' line-3 line-15 line-16 new-file | write_patches "$WORK/tree" refs/tags/base..HEAD "$WORK/project/patches/v7.3"
	cp "$WORK"/project/patches/v7.3/000[12]-*.patch "$WORK/project/patches/v7.2/"
}

am_tests()
{
	made_up_series
	am=$WORK/project/tools/series/am.sh
	export TREE="$WORK/tree" BASE="" GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
	refuses 'am: a user whom git does not know' '^am.sh: git does not know who commits: ' "$am"
	export GIT_COMMITTER_NAME=user GIT_COMMITTER_EMAIL=user@localhost.localdomain

	refuses 'am: no TREE' '^am.sh: which tree\?' env TREE='' "$am"
	refuses 'am: a TREE that does not exist' 'TREE=/nowhere does not exist: ' env TREE=/nowhere "$am"
	refuses 'am: a TREE that is no kernel' 'is not a Linux kernel tree: ' env TREE="$WORK/empty" "$am"
	refuses 'am: a TREE without git' 'is not a git work tree: ' env TREE="$WORK/fake" "$am"
	refuses 'am: an unknown BASE' '^am.sh: unknown BASE=v1.0: ' env BASE=v1.0 "$am"
	user_kernel 5.10.1
	refuses 'am: another version' "is 5\.10\.1 and the series are for $(for base in $(bases); do base_get "$base" series; done | paste -sd' '): " "$am"

	user_kernel 7.3.4
	edit virt/kvm/eventfd.c 1d
	refuses 'am: a change that is not committed' 'has changes that are not committed \(virt/kvm/eventfd\.c\): ' "$am"
	git -C "$TREE" add -A
	refuses 'am: a change that is staged' 'has changes that are not committed \(virt/kvm/eventfd\.c\): ' "$am"
	user_kernel 7.3.4
	edit virt/kvm/kvm_main.c 's/^3$/another/' 'another line 3'
	git_in "$TREE" am "$WORK"/project/patches/v7.3/0001-*.patch >/dev/null 2>&1 || :
	refuses 'am: another git am in progress' 'is in the middle of a git am' "$am"

	user_kernel 7.3.4
	edit virt/kvm/kvm_main.c 's/^16$/another/' 'another line 16'
	refuses 'am: a patch that does not apply' \
		'^am.sh: line-15 does not apply to 7\.3\.4 .*: virt/kvm/kvm_main\.c \(line 12 .*nothing was changed' "$am"
	user_kernel 7.3.4
	echo mine >"$TREE/virt/kvm/new.c"
	refuses "am: a file of the user's is in the way" 'virt/kvm/new.c: already exists' "$am"
	rm "$TREE/virt/kvm/new.c"
	printf '#!/bin/sh\n! grep -q "line 16" "$1"\n' >"$TREE/.git/hooks/applypatch-msg"
	chmod +x "$TREE/.git/hooks/applypatch-msg"
	refuses "am: a hook of the user's that fails half-way" 'git am failed' "$am"
	printf '#!/bin/sh\n! grep -q "line 16" "$1" || sleep 60\n' >"$TREE/.git/hooks/applypatch-msg"
	refuses 'am: interrupted half-way' '^patches/v7\.3 on linux 7\.3\.4' timeout -s INT 3 "$am"
	refuses "am: another user's tree" 'belongs to another user: ' env GIT_TEST_ASSUME_DIFFERENT_OWNER=1 "$am"

	user_kernel 7.3.4
	accepts 'am: applies the series' "$am"
	said 'am: counts the patches' '^applied: 4 of 4 patches$'
	accepts 'am: once more' "$am"
	said 'am: there is nothing to do' '^applied: 0 of 4 patches$'
	edit virt/kvm/kvm_main.c 's/^14$/another/' 'another line 14'
	accepts 'am: on a tree that went on' "$am"
	said 'am: knows a patch by its commit' '^there already, and changed since: line-15$'
	user_kernel 7.3.4 3
	git_in "$TREE" reset -q --soft base
	git_in "$TREE" commit -q -m 'Three in one'
	accepts 'am: on a tree between versions' "$am"
	said 'am: knows a patch by its content' '^there already: line-15$'
	said 'am: applies the others' '^applied: 1 of 4 patches$'
	accepts 'am: the result is the whole series' \
		sh -c 'grep -qx fifteen "$1/kvm_main.c" && grep -qx sixteen "$1/kvm_main.c" && grep -qx new "$1/new.c"' sh "$TREE/virt/kvm"
	user_kernel 7.3.0-rc7
	accepts 'am: on a release candidate' "$am"
	said 'am: takes the series of the release' '^patches/v7\.3 on linux 7\.3\.0-rc7 '
	user_kernel 7.2.99
	accepts 'am: on an older release' "$am"
	said 'am: takes the series of that one' '^patches/v7\.2 on linux 7\.2\.99 '
	user_kernel 5.10.1
	accepts 'am: a series that the user wants all the same' env BASE=v7.3 "$am"
	unset TREE BASE GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
}

# bisected STATE...: a tree whose commits are so, one after the other, and a lab that tells the
# state of a commit: green, red, other (another subtest is red), broken (it does not
# build), hangs, or full (so is the disk).
bisected()
{
	user_kernel 7.3.4
	_number=0
	for _state; do
		_number=$((_number + 1))
		echo "$_state" >"$WORK/tree/virt/kvm/state"
		echo "$_number" >"$WORK/tree/virt/kvm/number"
		git_in "$WORK/tree" add virt
		git_in "$WORK/tree" commit -q -m "KVM: Commit $_number, $_state"
		git_in "$WORK/tree" tag "c$_number"
	done
}

bisect_tests()
{
	project
	echo 'get_tree() { TREE=$CACHE/src/pinned; echo "$TREE" >"$CACHE/src/$1.path"; }' >>"$WORK/project/tools/lib.sh"
	mkdir -p "$WORK/cache/src" "$WORK/cache/out" "$WORK/bisect-bin"
	printf '#!/bin/sh\necho "QEMU emulator version 10.0"\n' >"$WORK/bisect-bin/qemu-system-x86_64"
	chmod +x "$WORK/bisect-bin/qemu-system-x86_64"
	for script in module tests busybox; do
		printf '#!/bin/sh\n' >"$WORK/project/tools/lab/$script.sh"
	done
	cat >"$WORK/project/tools/lab/build.sh" <<-'EOT'
		#!/bin/sh
		. "$(dirname "$0")/../lib.sh"
		case $(git -C "$(cat "$CACHE/src/$1.path")" show base:virt/kvm/state) in
		broken)	die "the build of linux for $2 failed: see a log" ;;
		full)	echo "build.sh: the disk is full (see a log): make room" >&2; exit 1 ;;
		esac
	EOT
	cat >"$WORK/project/tools/lab/host.sh" <<-'EOT'
		#!/bin/sh
		. "$(dirname "$0")/../lib.sh"
		mkdir -p "$4"
		cd "$4"
		one='ok 1 global.one' two='ok 2 global.two' status='exit 0'
		case $(git -C "$(cat "$CACHE/src/$1.path")" show base:virt/kvm/state) in
		red)	one="not $one" status='exit 1' ;;
		other)	two="not $two" status='exit 1' ;;
		hangs)	echo 'hung: a CPU stalls' >"$5.status"; exit ;;
		esac
		echo "$status" >"$5.status"
		printf '[ 1.0] lab: %s\n' 1..2 '# a.c:1:one:one is bad' "$one" "$two" >"$5.log"
	EOT
	bisect="env PATH=$WORK/bisect-bin:$PATH LAB_LOCKED=1 HOST=amd TREE=$WORK/tree GOOD=c1 BAD=c9 TEST=xen_evtchn_target_test $WORK/project/tools/lab/lab-bisect.sh"

	bisected green green green green green red red red red
	accepts 'lab-bisect' $bisect
	said 'lab-bisect: the first bad commit' '^KVM: Commit 6, red$'
	said 'lab-bisect: why a commit is bad' '\] [0-9a-f]+ KVM: Commit 9, red: bad: one fails: one is bad$'
	said 'lab-bisect: and one is good' '\] [0-9a-f]+ KVM: Commit 1, green: good: 2 subtests pass$'
	accepts 'lab-bisect: the record of it' grep -q '^# first bad commit: .* KVM: Commit 6, red$' "$WORK/project"/results/*-bisect/log
	rm -rf "$WORK/project/results"
	accepts 'lab-bisect: nothing is left behind' test -z "$(find "$WORK/cache" -name 'bisect*')"
	accepts 'lab-bisect: and the lab has its own tree' grep -qx "$WORK/cache/src/pinned" "$WORK/cache/src/v7.3.path"
	bisected green green hangs broken green hangs red red red
	refuses 'lab-bisect: a commit that hangs is skipped' '^lab-bisect.sh: the others are skipped, and the first bad commit is one of: [0-9a-f]{12} [0-9a-f]{12} \(results: ' $bisect
	said 'lab-bisect: and why' 'KVM: Commit 6, hangs: skipped: the test did not come to its end: hung: a CPU stalls$'
	bisected green broken hangs broken green red broken broken red
	rm -rf "$WORK/project/results"
	accepts 'lab-bisect: one that does not build is skipped' $bisect
	said 'lab-bisect: and the first bad commit is found' '^KVM: Commit 6, red$'
	said 'lab-bisect: why it is skipped' 'broken: skipped: it does not build: the build of linux for x86 failed: see a log$'
	accepts 'lab-bisect: 0, 1 and 125' test "$(cut -f2 "$WORK/project"/results/*-bisect/verdicts | sort -nu | paste -sd' ')" = '0 1 125'
	bisected green other other red other other green red red
	refuses 'lab-bisect: a subtest that the test has not' "^lab-bisect.sh: BAD=c9 is not bad: there is no subtest three; " \
		$(echo "$bisect" | sed 's/_test /_test.three /')
	accepts 'lab-bisect: one subtest' $(echo "$bisect" | sed 's/BAD=c9/BAD=c4/; s/_test /_test.one /')
	said 'lab-bisect: and no other one' '^KVM: Commit 4, red$'
	refuses 'lab-bisect: a GOOD that is red' '^lab-bisect.sh: GOOD=c2 is not good: two fails; ' $(echo "$bisect" | sed 's/GOOD=c1/GOOD=c2/')
	refuses 'lab-bisect: a BAD that is green' '^lab-bisect.sh: BAD=c7 is not bad: 2 subtests pass; ' $(echo "$bisect" | sed 's/BAD=c9/BAD=c7/')
	bisected green green green green full full full red red
	refuses 'lab-bisect: a full disk is no verdict' '^lab-bisect.sh: git bisect has come to no end: ' $bisect

	refuses 'lab-bisect: no TREE' '^lab-bisect.sh: which tree\?' $(echo "$bisect" | sed 's/TREE=[^ ]*/TREE=/')
	refuses 'lab-bisect: a TREE without git' 'is not a git work tree: git bisect needs one' $(echo "$bisect" | sed "s#TREE=[^ ]*#TREE=$WORK/fake#")
	refuses 'lab-bisect: no BAD' '^lab-bisect.sh: which commits\?' $(echo "$bisect" | sed 's/BAD=c9/BAD=/')
	refuses 'lab-bisect: an unknown commit' '^lab-bisect.sh: TREE=.* has no commit GOOD=c10$' $(echo "$bisect" | sed 's/GOOD=c1/GOOD=c10/')
	refuses 'lab-bisect: no TEST' '^lab-bisect.sh: which test\?' $(echo "$bisect" | sed 's/TEST=[^ ]*/TEST=/')
	refuses 'lab-bisect: an unknown test' "^lab-bisect.sh: unknown TEST=none for HOST='amd': choose from " $(echo "$bisect" | sed 's/TEST=[^ ]*/TEST=none/')
	refuses 'lab-bisect: an unknown BASE' '^lab-bisect.sh: unknown BASE=v1.0: ' env BASE=v1.0 $bisect
}

# patches/v7.3/base names a release candidate, with an edit, in the archive.
release_candidate()
{
	user_kernel 7.3.0-rc7
	edit virt/kvm/kvm_main.c "$1"
	tar -cJf "$WORK/file" -C "$WORK" tree
	sha=$(sha256sum "$WORK/file" | cut -d' ' -f1)
	mkdir -p "$WORK/cache/download"
	mv "$WORK/file" "$WORK/cache/download/$sha"
	sed -i '/^also/d' "$WORK/project/patches/v7.3/base"
	echo "also 7.3~rc7 upstream linux 7.3~rc7-1 $sha" >>"$WORK/project/patches/v7.3/base"
}

# made_up_tables [FIELDS]: the tables for the copy's series, in which no patch has a test.
made_up_tables()
{
	: >"$WORK/project/patches/expect"
	(cd "$WORK/project/patches" && ls -d ./*/[0-9]*) | sed -n 's#.*/[0-9]*-\(.*\)\.patch$#\1#p; s#^\./selftests/[0-9]*-\([^/.]*\)$#\1#p' |
		sort -u | sed "s/\$/	xen	made up${1:-}/" >"$WORK/project/patches/changes"
}

# The pinned trees, as they would be in the cache.
series_tests()
{
	for base in v7.2 v7.3; do
		tree=$WORK/cache/src/$base
		user_kernel "$(base_get "$base" version)"
		mkdir -p "$WORK/tree/scripts"
		printf '#!/bin/sh\n' >"$WORK/tree/scripts/checkpatch.pl"
		chmod +x "$WORK/tree/scripts/checkpatch.pl"
		rm -rf "$WORK/tree/.git" "$tree"
		commit_base "$WORK/tree"
		mv "$WORK/tree" "$tree"
		base_get "$base" version >"$tree.version"
	done
	diff=$WORK/project/tools/series/series-diff.sh
	refuses 'series-diff: one series alone' '^series-diff.sh: one series has nothing to differ from: ' env BASES=v7.3 "$diff"
	refuses 'series-diff: an unknown BASE' '^series-diff.sh: unknown BASE=v1.0: ' env BASES='v7.3 v1.0' "$diff"
	accepts 'series-diff' env BASES='v7.2 v7.3' "$diff"
	said 'series-diff: a patch of both' '^1: .* = 1: .* KVM: Change line 3$'
	said 'series-diff: a patch of one' '^-: .* > 4: .* KVM: Add a file$'

	check=$WORK/project/tools/series/series-check.sh
	made_up_tables
	refuses 'series-check: a patch without a test' '^series-check.sh: line-3 has no test: ' env BASE=v7.3 "$check"
	release_candidate 's/^40$/forty/'
	made_up_tables '	made up'
	refuses 'series-check: a patch that does not say what it fixes' "^series-check.sh: line-3 has no line 'Fixes: " env BASE=v7.3 "$check"
	made_up_tables '	made up	made up'
	sed -i 's#virt/kvm/new\.c#sound/new.c#' "$WORK"/project/patches/v7.3/0004-*.patch
	refuses 'series-check: a file that nothing compiles' \
		'^series-check.sh: new-file changes sound/new\.c, which is compiled for no architecture: ' env BASE=v7.3 "$check"
	sed -i 's#sound/new\.c#arch/loongarch/new.c#' "$WORK"/project/patches/v7.3/0004-*.patch
	echo new >"$WORK/project/$SELFTESTS/new_test.c"
	refuses 'series-check: a selftest that no patch carries' 'no patch carries .*new_test\.c: ' \
		env BASE=v7.3 "$check"
	said 'series-check: the other trees' 'git am: applies to linux 7\.3~rc7 as well'
	said 'series-check: a reason why a file is not compiled' 'not compiled: arch/loongarch/new\.c of new-file: Debian 12 has no cross compiler'
	release_candidate 's/^4$/four/'
	refuses 'series-check: another tree that it does not apply to' \
		'^series-check.sh: line-3 does not apply to linux 7\.3\.0-rc7: virt/kvm/kvm_main\.c ' env BASE=v7.3 "$check"
}

# part N STATUS LINE...: the results of a host that ran part of a test; its console
# comes from standard input.
part()
{
	dir=$WORK/parts/amd-all.$1
	mkdir -p "$dir"
	echo "$2" >"$dir/shared.status"
	shift 2
	[ $# -eq 0 ] || printf '[    1.000000] lab: %s\n' "$@" >"$dir/shared.log"
	cat >"$dir/console"
}

# verdict FOLDER VARIANT: the table of the hosts' results, by the copy's patches/expect.
verdict()
{
	"$WORK/project/tools/lab/results.py" judge "$1" --base "${BASE:-$(default_base)}" --hosts amd --variants "$2"
}

parts_judged()
{
	rm -rf "$WORK/parts/amd-all"
	results join "$WORK/parts/amd-all"
	verdict "$WORK/parts" all
}

# One test in two hosts: as good as one host, and no better.
parts()
{
	project
	printf 'shared\tamd\t-\tpass\n' >"$WORK/project/patches/expect"
	echo 'lab: done' | part 1 'exit 0' 1..2 'ok 1 global.one' 'ok 2 global.two'
	echo 'lab: done' | part 2 'exit 0' 1..1 'ok 1 global.three'
	accepts 'parts: all of them are counted' parts_judged
	said 'parts: and in one sum' '^shared .*green 3/3'
	echo 'lab: done' | part 2 'exit 1' 1..1 'not ok 1 global.three'
	refuses 'parts: what one has failed in' '^  shared on amd, patches: all: three failed' parts_judged
	echo 'lab: done' | part 2 'exit 0' 1..1 'ok 1 global.two'
	refuses 'parts: a subtest in two of them' 'patches: all: two has reported twice' parts_judged
	echo 'lab: begin' | part 2 'exit 0' 1..1 'ok 1 global.three'
	refuses 'parts: a host that has not come to its end' '^  amd with the series: error: the host did not' parts_judged
	rm "$WORK/parts/amd-all.2/shared.log"
	echo 'lab: nothing' | part 2 'died: not reached'
	refuses 'parts: a host that has not come to the test' '^  shared on amd, patches: all: the test did not come to its end: died' \
		parts_judged
}

# pages DOCUMENTATION: by Sphinx; Documentation/conf.py makes references of links.
pages()
{
	sphinx-build -q -n -W --keep-going "$1" "$WORK/html"
}

bad_link()
{
	cp -r "$TOP/Documentation" "$WORK/Documentation" &&
	echo '`a page <nothing.rst>`__' >>"$WORK/Documentation/virt/kvm/index.rst" &&
	pages "$WORK/Documentation"
}

all_have_spdx()
{
	git -C "$TOP" ls-files -co --exclude-standard | grep -vE '^patches/.*\.patch$|^tools/lab/test_data/|^\.gitignore$|^debian/(changelog|.*\.NEWS|source/format)$' | while read -r file; do
		[ ! -f "$TOP/$file" ] || head -n 3 "$TOP/$file" | grep -q 'SPDX-License-Identifier: GPL-2.0-only' || echo "$file"
	done | if grep .; then return 1; fi
}

names_are_unique()
{
	git -C "$TOP" ls-files -co --exclude-standard | while read -r file; do
		[ ! -f "$TOP/$file" ] || echo "${file##*/}"
	done | grep '\.sh$' | sort | uniq -d | if grep .; then return 1; fi
}

# A script that is a step of several targets is no target's own.
names_are_targets()
{
	awk '
	/^[a-z0-9-]+:/ { target = $0; sub(/:.*/, "", target) }
	/^\t/ {
		while (match($0, /tools\/[a-z]+\/[a-z0-9-]+\.sh/)) {
			script = substr($0, RSTART, RLENGTH)
			$0 = substr($0, RSTART + RLENGTH)
			gsub(/.*\/|\.sh$/, "", script)
			if (script !~ /^(setup|passed)$/ && index(target, script) != 1 && target script !~ /^check.*check-/) {
				print target " runs " script ".sh"
				bad = 1
			}
		}
	}
	END { exit bad }' "$TOP/Makefile"
}

kmsg_is_read()
{
	sed -n '/^\(static \)\?bool kmsg_\(is\|find\)_splat(/,/^}/p' \
		"$TOP/tools/testing/selftests/kvm/lib/kmsg.c" >"$WORK/kmsg.h" &&
	gcc -Wall -Wextra -Werror -I"$WORK" -o "$WORK/kmsg" "$TOP/tools/testing/kmsg.c" &&
	"$WORK/kmsg"
}

no_leaks()
{
	sites=$(apt-get indextargets --format '$(SITE)' 2>/dev/null | sed 's#^[a-z]*://##; s#/.*##' | sort -u | paste -sd'|')
	{
		git -C "$TOP" ls-files -co --exclude-standard -z | (cd "$TOP" && xargs -0 grep -nIF -e "$TOP/")
		[ -z "$sites" ] ||
			git -C "$TOP" ls-files -co --exclude-standard -z | (cd "$TOP" && xargs -0 grep -nIE -e "$sites")
	} | if grep .; then return 1; fi
}

# A made-up test for the host: NAME COMMANDS.
fake_test()
{
	printf '#!/bin/sh\n%s\n' "$2" >"$WORK/cache/tests/fake/$1"
	chmod +x "$WORK/cache/tests/fake/$1"
	printf '%s\tamd\t-\tpass\n' "$1" >>"$WORK/project/patches/expect"
	fakes="$fakes $1"
}

# judged [VARIANT]: the table of the host's results.
judged()
{
	verdict "$WORK/results" "${1:-all}"
}

hosts()
{
	echo TAP version 13
	[ -e "$CACHE/out/$BASE-x86-all/image" ] ||
		die "there is no kernel to boot: run 'make lab BASE=$BASE' first"
	one_run
	mkdir -p "$WORK/cache/tests/fake"
	for folder in out module busybox qemu; do
		ln -s "$CACHE/$folder" "$WORK/cache/$folder"
	done
	ln -s fake "$WORK/cache/tests/$BASE-x86"

	fakes=
	project
	: >"$WORK/project/patches/expect"
	fake_test hang 'sleep 1000'
	fake_test half 'echo 1..2; echo ok 1 global.one'
	fake_test skip 'echo 1..1; echo "ok 1 global.one # SKIP no reason"'
	fake_test absent 'echo 1..2; echo "ok 1 global.one # SKIP no such thing"; echo ok 2 global.two'
	fake_test there 'echo 1..1; echo ok 1 global.one'
	printf '%s\tamd\tone\tskip\tno such thing\n' absent there >>"$WORK/project/patches/expect"
	fake_test report 'echo l >/proc/sysrq-trigger; echo "<4>WARNING: made up" >/dev/kmsg; echo 1..1; echo ok 1 global.one'
	fake_test fail 'echo 1..1; echo not ok 1 global.one; exit 1'
	slow='echo "# a.c:1:one:Expected 1 (1) == 2 (2)"; echo "# a.c:1:one:too slow: made up"; echo not ok 1 global.one; exit 1'
	fake_test slow "echo 1..1; grep -qx hang \"\${0%/*}/../lab.tests\" || { echo ok 1 global.one; exit; }; $slow"
	fake_test slower "echo 1..1; $slow"
	fake_test panic 'echo c >/proc/sysrq-trigger; sleep 1000'
	fake_test after 'echo 1..1; echo ok 1 global.one'
	# In the boot that comes to its end: what a host leaves is from there.
	build=$(readlink -f "$CACHE/out/$BASE-x86-all")/build
	mkdir "$WORK/modules"
	cp "$TOP"/tools/testing/*.c "$WORK/modules"
	echo 'obj-m := inverted.o leaky.o lockless.o' >"$WORK/modules/Kbuild"
	run_logged "$WORK/modules/log" kmake x86 "$build" "$build" M="$WORK/modules" W=1 modules ||
		die "the modules of tools/testing cannot be built: see above"
	(cd "$WORK/modules" && tar -cf "$WORK/modules.tar" ./*.ko)
	export TEST_FILE="$WORK/modules.tar"
	for module in inverted leaky; do
		fake_test "$module" "tar -xf /test_file -C /tmp && insmod /tmp/$module.ko && echo 1..1 && echo ok 1 global.one"
	done
	KVM_LIFECYCLE_CACHE=$WORK/cache TEST_TIMEOUT=5 GRACE=240 "$TOP/tools/lab/host.sh" "$BASE" amd all "$WORK/results/amd-all" $fakes
	fake_test lockless 'tar -xf /test_file -C /tmp && insmod /tmp/lockless.ko && echo 1..1 && echo ok 1 global.one'
	KVM_LIFECYCLE_CACHE=$WORK/cache TEST_TIMEOUT=5 "$TOP/tools/lab/host.sh" "$BASE" amd all "$WORK/lockless/amd-all" lockless
	refuses 'lockdep that is off is an error' '^  amd with the series: error: lockdep is off' verdict "$WORK/lockless" all
	sed -i '/^lockless	/d' "$WORK/project/patches/expect"
	refuses 'the lab fails' '^lab: [0-9]+ passed, [1-9]' judged
	said 'a test that hangs is an error' '^hang .*ERROR'
	said 'a test that stops half-way is an error' '^half .*ERROR'
	said 'a test that is skipped is not green' '^skip .*WRONG'
	said 'a declared skip is not counted as passed' '^absent .*green 1/2'
	said 'a declared skip that runs is not green' '^there .*WRONG'
	said 'a report of the kernel is not green' '^report .*WRONG'
	said 'a test that fails is not green' '^fail .*WRONG'
	said 'a test for which the host is too slow is run again' '^slow .*green 1/1'
	said 'and no red if it is too slow again' '^slower .*ERROR slow'
	said 'a host that panics is an error, not a red' '^panic .*ERROR panicked'
	said 'the next test runs, in a new host' '^after .*green 1/1'
	said 'a leak is made, and the test says nothing' '^leaky .*green 1/1'
	said 'a lock is inverted, and lockdep says nothing' '^inverted .*green 1/1'
	refuses 'lockorder finds the inverted lock' 'CONTRADICTED +kvm->lock > kvm->slots_lock ' \
		env BASE="$BASE" HOST=amd FROM="$WORK/results/amd-all" RESULTS="$WORK/results" "$TOP/tools/lockorder/lockorder.sh"
	said 'and how it was taken' '^ +kvm->slots_lock > kvm->lock$'
	sed -i '1,/lab: begin inverted/d' "$WORK/results/amd-all/console"
	refuses 'a leak is not green' '^  amd with the series: the kernel reported: kmemleak: [0-9]+ new suspected memory leaks' judged
	mv "$WORK/results/amd-all" "$WORK/results/amd-all-kcsan"
	echo 'lab: error: made up' >>"$WORK/results/amd-all-kcsan/console"
	refuses 'an error of a host counts in each of its variants' '^  amd with the series: error: made up' judged all-kcsan
}

case $WHAT in
scripts)	scripts ;;
hosts)		hosts ;;
*)		die "check.sh scripts|hosts" ;;
esac
report
