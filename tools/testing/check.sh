#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check.sh [scripts|hosts]: the project's own tools.  scripts needs no kernel:
# the shell scripts by shellcheck, and what each tool says and leaves behind on bad input, on a
# kernel tree that is made up here.  hosts needs the kernels that the lab has
# built: a host that hangs or panics must be an error, not a red.

. "$(dirname "$0")/../lib.sh"

WHAT=${1:-scripts}
BASE=${BASE:-v7.2}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM
number=0
failed=0

result()
{
	number=$((number + 1))
	if [ "$1" = ok ]; then
		echo "ok $number $2"
	else
		echo "not ok $number $2"
		sed 's/^/# /' "$WORK/output"
		failed=$((failed + 1))
	fi
}

# What a build has finished.  What it was at has the name of a temporary.
products()
{
	find "$WORK/cache/out" "$WORK/cache/tests" -mindepth 1 -maxdepth 1 ! -name '*.tmp' 2>/dev/null | sort
}

# refuses NAME REGEXP COMMAND...: it fails, says one sentence that matches, and
# no finished product appears in the cache.
refuses()
{
	_name=$1 _sentence=$2
	shift 2
	before=$(products)
	if "$@" >"$WORK/output" 2>&1 </dev/null; then
		echo "exit status 0" >>"$WORK/output"
		result bad "$_name"
	elif ! grep -qE "$_sentence" "$WORK/output"; then
		echo "no line matches: $_sentence" >>"$WORK/output"
		result bad "$_name"
	elif [ "$before" != "$(products)" ]; then
		echo "something was left behind" >>"$WORK/output"
		result bad "$_name"
	else
		result ok "$_name"
	fi
}

# accepts NAME COMMAND...
accepts()
{
	_name=$1
	shift
	if "$@" >"$WORK/output" 2>&1 </dev/null; then
		result ok "$_name"
	else
		result bad "$_name"
	fi
}

# A tree that answers like a kernel and builds in no time, or, with the file
# $WORK/slow, in a minute.
fake_kernel()
{
	mkdir -p "$1/virt/kvm" "$1/arch/x86/kvm" "$1/tools/testing/selftests/kvm" "$1/include"
	echo 'not the real one' >"$1/virt/kvm/kvm_main.c"
	{
		# As the real one: no architecture that does not exist.
		echo 'include arch/$(ARCH)/Makefile'
		echo 'VERSION = 7'
		echo 'PATCHLEVEL = 2'
		echo 'kernelversion: ; @echo '"$2"
		echo 'allnoconfig: ; @cp $(KCONFIG_ALLCONFIG) $(O)/.config'
		echo 'bzImage: ; @mkdir -p $(O)/arch/x86/boot; if [ -e '"$WORK/slow"' ]; then sleep 60; fi; echo image >$(O)/arch/x86/boot/bzImage'
		echo 'modules: bzImage'
		echo 'mrproper: ;'
		echo 'run-command: ; @mkdir $(lastword $(KBUILD_RUN_COMMAND))'
	} >"$1/Makefile"
	: >"$1/arch/x86/Makefile"
}

# A copy of the project whose series can be spoilt.
project()
{
	rm -rf "$WORK/project"
	mkdir "$WORK/project"
	cp -r "$TOP/tools" "$TOP/patches" "$WORK/project/"
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

scripts()
{
	echo TAP version 13
	accepts 'shellcheck finds nothing' \
		shellcheck "$TOP"/tools/*.sh "$TOP"/tools/*/*.sh "$TOP/tools/lab/init" "$TOP/.ci/run"
	accepts 'the documentation builds without warnings' docs
	accepts 'every file says its licence' all_have_spdx
	accepts 'no path or host of one machine is in the repository' no_leaks

	real=$CACHE
	export KVM_LIFECYCLE_CACHE="$WORK/cache"
	mkdir -p "$WORK/cache" "$real/apt"
	ln -s "$real/apt" "$WORK/cache/apt"
	lab=$TOP/tools/lab/lab.sh

	refuses 'unknown BASE' '^lab.sh: unknown BASE=v1.0: choose one of ' env BASE=v1.0 "$lab"
	refuses 'unknown ARCH' '^lab.sh: unknown ARCH=sparc: choose ' env ARCH=sparc "$lab"
	refuses 'unknown TEST' '^lab.sh: unknown TEST=nothing ' env TEST=nothing "$lab"
	refuses 'unknown PATCHES' '^lab.sh: unknown PATCHES=99: choose ' env PATCHES=99 "$lab"
	refuses 'a patch without a test' '^patches.sh: no test declares patch PATCH=1 ' \
		env PATCH=1 "$TOP/tools/lab/patches.sh"
	refuses 'KERNEL that does not exist' 'KERNEL=/nowhere does not exist: ' \
		env KERNEL=/nowhere "$lab"
	mkdir "$WORK/empty"
	refuses 'KERNEL that is no kernel tree' 'KERNEL=.* is not a Linux kernel tree: ' \
		env KERNEL="$WORK/empty" "$lab"
	fake_kernel "$WORK/other" 5.10.1
	refuses 'KERNEL of another version' 'is 5\.10\.1 and patches/v7\.2 is for 7\.2: ' \
		env ARCH='x86 arm64' KERNEL="$WORK/other" "$lab"

	fake_kernel "$WORK/fake" 7.2.99
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
	refuses 'a series that does not apply' '0001-wrong\.patch does not apply to linux 7\.2\.99: virt/kvm/kvm_main\.c' \
		env KERNEL="$WORK/fake" "$WORK/project/tools/lab/source.sh" v7.2
	accepts "the user's tree is as it was" diff -r "$WORK/fake" "$WORK/fake.before"

	# The same tree with a series that has nothing to say about it.
	rm "$WORK/project/patches/v7.2/0001-wrong.patch"
	printf '# empty\n' | tee "$WORK/project/tools/lab/common.config" "$WORK/project/tools/lab/x86.config" \
		>"$WORK/project/patches/v7.2/config"
	accepts 'a tree of the user is copied' env ARCH='x86 arm64' KERNEL="$WORK/fake" "$WORK/project/tools/lab/source.sh" v7.2
	touch "$WORK/slow"
	refuses 'an interrupted build leaves nothing behind' 'building linux 7.2.99' \
		timeout -s INT 2 "$WORK/project/tools/lab/build.sh" v7.2 x86 none
	rm "$WORK/slow"
	accepts 'the next build works' "$WORK/project/tools/lab/build.sh" v7.2 x86 none
	accepts 'and its product is whole' test -f "$WORK/cache/out/v7.2-x86-none/image" -a -d "$WORK/cache/out/v7.2-x86-none/build"

	sha=$(base_get v7.2 upstream | cut -d' ' -f3)
	mkdir -p "$WORK/cache/download"
	echo 'not the kernel' >"$WORK/cache/download/$sha"
	refuses 'a wrong checksum' 'the SHA-256 of linux .* is not the one that patches/v7\.2/base pins: ' \
		"$TOP/tools/lab/source.sh" v7.2
	project
	sed -i 's/7\.2\.13/7.2.987/; s/-source-7\.2 7\.2\.[^ ]*/-source-7.2 7.2.987-1/' "$WORK/project/patches/v7.2/base"
	refuses 'a pinned version that is gone' 'no longer has linux 7\.2\.987: the newest of this series there is 7\.2\.' \
		"$WORK/project/tools/lab/source.sh" v7.2
	refuses 'no such package to install' 'these packages are missing and there is no apt-get .*qemu-system-x86' \
		env PATH="$(path_without 'qemu-system-.*|apt-get')" "$TOP/tools/lab/setup.sh"
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
		number=$((number + 2))
		echo "ok $((number - 1)) a disk that is too small # SKIP needs root to mount"
		echo "ok $number a disk that gets full # SKIP needs root to mount"
	fi
}

# Links between the pages are files: rst2html does not look at those.
docs()
{
	for page in "$TOP"/Documentation/virt/kvm/*.rst; do
		rst2html --halt=warning "$page" >/dev/null || return
		sed -n 's/.*<\([a-z_-]*\.rst\)>`__.*/\1/p' "$page" | while read -r link; do
			[ -f "$TOP/Documentation/virt/kvm/$link" ] || echo "$page: $link does not exist"
		done
	done | if grep .; then return 1; fi
}

all_have_spdx()
{
	git -C "$TOP" ls-files -co --exclude-standard | grep -vE '^patches/.*/[0-9]*-.*\.patch$|^\.gitignore$' | while read -r file; do
		[ ! -f "$TOP/$file" ] || head -n 3 "$TOP/$file" | grep -q 'SPDX-License-Identifier: GPL-2.0-only' || echo "$file"
	done | if grep .; then return 1; fi
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
	printf '%s\tx86\t-\t-\t-\n' "$1" >>"$WORK/table"
	fakes="$fakes $1"
}

judged()
{
	awk -f "$TOP/tools/lab/report.awk" -v results="$WORK/results" -v arches=x86 -v variants=all "$WORK/table"
}

# says NAME REGEXP: a line of the table.
says()
{
	if grep -qE "$2" "$WORK/judged"; then
		result ok "$1"
	else
		cp "$WORK/judged" "$WORK/output"
		result bad "$1"
	fi
}

hosts()
{
	echo TAP version 13
	[ -e "$CACHE/out/$BASE-x86-all/image" ] ||
		die "there is no kernel to boot: run 'make lab BASE=$BASE' first"
	one_run
	mkdir -p "$WORK/cache/tests/fake"
	for folder in out module busybox; do
		ln -s "$CACHE/$folder" "$WORK/cache/$folder"
	done
	ln -s fake "$WORK/cache/tests/$BASE-x86"

	fakes=
	fake_test hang 'sleep 1000'
	fake_test half 'echo 1..2; echo ok 1 global.one'
	fake_test skip 'echo 1..1; echo "ok 1 global.one # SKIP no reason"'
	fake_test report 'echo l >/proc/sysrq-trigger; echo "<4>WARNING: made up" >/dev/kmsg; echo 1..1; echo ok 1 global.one'
	fake_test fail 'echo 1..1; echo not ok 1 global.one; exit 1'
	fake_test panic 'echo c >/proc/sysrq-trigger; sleep 1000'
	fake_test after 'echo 1..1; echo ok 1 global.one'
	KVM_LIFECYCLE_CACHE=$WORK/cache TEST_TIMEOUT=5 "$TOP/tools/lab/host.sh" "$BASE" x86 all "$WORK/results/x86-all" $fakes
	refuses 'the lab fails' '^lab: [0-9]+ passed, [1-9]' judged
	judged >"$WORK/judged" || :
	says 'a test that hangs is an error' '^hang .*ERROR'
	says 'a test that stops half-way is an error' '^half .*ERROR'
	says 'a test that is skipped is not green' '^skip .*WRONG'
	says 'a report of the kernel is not green' '^report .*WRONG'
	says 'a test that fails is not green' '^fail .*WRONG'
	says 'a host that panics is an error, not a red' '^panic .*ERROR panicked'
	says 'the next test runs, in a new host' '^after .*green 1/1'
}

case $WHAT in
scripts)	scripts ;;
hosts)		hosts ;;
*)		die "check.sh scripts|hosts" ;;
esac
echo "1..$number"
echo "check: $((number - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
