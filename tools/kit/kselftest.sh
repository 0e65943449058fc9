#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# kselftest.sh pack: the selftests as one file for a real host, for each of ARCH, in
# results/kvm-lifecycle-kselftest-VERSION-BASE-ARCH.tar.xz.  Besides the tests,
# kvm_lifecycle's source and upstream's runner it has the files of tools/kit/host.
#
# kselftest.sh run: the same on this machine, with OPTIONS for its command.

. "$(dirname "$0")/../lib.sh"

ACTION=$1
export KERNEL="${KERNEL:-}"
HERE=$TOP/tools/kit/host
RESULTS=${RESULTS:-$TOP/results}
# Of a test that is harmless, one that is red on every base without the series.
CANARY='vcpu_create_test used_before_postcreate'

# tests ARCH [TEXT]: those that patches/expect declares for it, in order; or those that
# have a reason with this text.  On any base: a kit may meet any.
tests()
{
	for host in $(hosts_of "$1"); do
		results tests "$BASE" "$host" --any "${2:-}"
	done | awk '!seen[$0]++' | paste -sd' '
}

# upstream FILE: of the tree that the tests are built in.
upstream()
{
	git -C "$TREE" show "$COMMIT:tools/testing/selftests/$1"
}

# As upstream's `make install` lays it out, and one function after all others.
runner()
{
	mkdir "$KIT/kselftest"
	for file in run_kselftest.sh kselftest/runner.sh kselftest/prefix.pl kselftest/ktap_helpers.sh; do
		upstream "$file" >"$KIT/$file" || die "linux in $TREE has no tools/testing/selftests/$file: choose another BASE"
		chmod 755 "$KIT/$file"
	done
	grep -q '^tap_timeout()$' "$KIT/kselftest/runner.sh" ||
		die "upstream's runner starts its tests in another way: adapt $PROG to kselftest/runner.sh of $TREE"
	cat >>"$KIT/kselftest/runner.sh" <<-'EOT'

	# For machines with busybox alone: /dev/stdout is made by udev, and what starts a
	# test is in place of the one above, which takes coreutils' timeout.
	[ -L /dev/stdout ] || logfile=/proc/self/fd/1
	tap_timeout()
	{
		"$BASE_DIR/one-test" "$kselftest_timeout" $1
	}
	EOT
	printf 'kvm:%s\n' $ALL >"$KIT/kselftest-list.txt"
}

# machine ARCH: as uname -m has it, which is the first part of the cross compiler's name.
machine()
{
	arch_env "$1"
	echo "${CROSS:-$(uname -m)}" | cut -d- -f1
}

fill()
{
	mkdir "$KIT" "$KIT/kvm" "$KIT/module"
	cp "$HERE"/* "$KIT/"
	mv "$KIT/build" "$KIT/module/"
	sed -n 's/^all	//p; s/^stall	//p' "$TOP/tools/lab/splats" >"$KIT/splats"
	(cd "$TOP" && cp -r --parents Kbuild $(git ls-files -co --exclude-standard virt arch drivers) "$KIT/module/")
	for test in $ALL; do
		cp "$CACHE/tests/$BASE-$1/$test" "$KIT/kvm/"
	done
	runner
	cat >"$KIT/about" <<-EOT
		# SPDX-License-Identifier: GPL-2.0-only
		# shellcheck shell=sh disable=SC2034
		ARCH=$1
		MACHINE=$(machine "$1")
		ALL_TESTS='$ALL'
		# What reports of the kernel tell of, where it lacks the series.
		HARMFUL='$(tests "$1" 'kernel splat: ')'
		CANARY='$CANARY'
	EOT
	key=$(cd "$KIT" && find . -type f | sort | xargs sha256sum | hash_of)
	echo "VERSION='$VERSION-$BASE $1 $key'" >>"$KIT/about"
}

# The same files give the same archive, for any user and at any time.
pack()
{
	NAME=kvm-lifecycle-kselftest-$VERSION-$BASE-$1
	KIT=$WORK/$NAME
	ALL=$(tests "$1")
	fill "$1"
	tar -C "$WORK" -c --sort=name --format=gnu --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u+rw,go=rX-w "$NAME" |
		xz -T1 >"$RESULTS/.$NAME.tmp"
	mv "$RESULTS/.$NAME.tmp" "$RESULTS/$NAME.tar.xz"
	step "made $RESULTS/$NAME.tar.xz"
}

KITS=$(arches_of $(lab_hosts default))
ARCH=${ARCH:-$KITS}
case $ACTION in
pack)	BASE=${BASE:-$(default_base)} ;;
run)
	case $(uname -m) in
	x86_64)	ARCH=x86 ;;
	*)	die "the kit is made on x86-64, and this machine is $(uname -m): make kselftest-kit there, and carry it here" ;;
	esac
	BASE=${BASE:-$(base_for "$(uname -r)" || default_base)}
	[ "$(id -u)" -eq 0 ] || die "the tests need root: sudo make kselftest"
	[ -c /dev/kvm ] || die "there is no /dev/kvm: load KVM (modprobe kvm_amd or kvm_intel), on a machine whose firmware has virtualization on" ;;
*)	die "kselftest.sh pack|run" ;;
esac
check_base "$BASE"
check_arches "$KITS" $ARCH

{ mkdir -p "$RESULTS" && : >"$RESULTS/.kit.tmp" && rm "$RESULTS/.kit.tmp"; } 2>/dev/null ||
	die "cannot write to $RESULTS: give the folder to this user"
VERSION=$(package_version)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM
prepare "$BASE" "$ARCH" ''
TREE=$(cat "$CACHE/src/$(tests_base "$BASE").path")
COMMIT=$(git -C "$TREE" rev-parse -q --verify refs/tags/series || echo refs/tags/base)
for arch in $ARCH; do
	pack "$arch"
done
if [ "$ACTION" = run ]; then
	trap - EXIT INT TERM
	"$KIT/run" --output "$RESULTS/kselftest" ${OPTIONS:-} || status=$?
	rm -rf "$WORK"
	exit "${status:-0}"
fi
