#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# clang.sh: a clang with the context analysis that today's kernels ask for, as
# $CACHE/clang/clang.  Debian 12's is too old for that, so the one of a newer
# suite is unpacked here, with the C library that it needs and sees alone.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/lab/apt.sh"

# The oldest one that has it.
LLVM=23
OUT=$CACHE/clang
LOG=$CACHE/logs/clang.log

unpack_clang()
{
	libraries=$(needed_by "libclang-cpp$LLVM") &&
	unpack_packages "$OUT.tmp/root" "clang-$LLVM" "libclang-common-$LLVM-dev" $libraries &&
	foreign_program "$OUT" "usr/lib/llvm-$LLVM/bin/clang"
}

# find_clang: in $suite, this one; or in $LLVM as well, the newest one that there is.
find_clang()
{
	! look_for package "clang-$LLVM" || return 0
	set -- $(for _in in $(suites); do
		! read_suite "$_in" || in_suite "$_in" 60 apt-cache pkgnames clang- | sed -n "s/^clang-\([0-9]*\)\$/\1 $_in/p"
	done | sort -n | tail -n 1)
	[ "${1:-0}" -gt "$LLVM" ] ||
		die "there is no clang-$LLVM or newer in Debian's archive$(unread): check the network and run the same command again"
	step "Debian's archive does not have clang-$LLVM, and clang-$1 is taken"
	LLVM=$1 suite=$2
}

main()
{
	[ -x "$OUT/clang" ] && return
	find_clang
	step "unpacking clang-$LLVM of Debian's $suite (log: $LOG)"
	rm -rf "$OUT.tmp" "$OUT"
	mkdir -p "$OUT.tmp"
	run_logged "$LOG" unpack_clang ||
		die "cannot get clang-$LLVM from Debian's $suite: check the network and run the same command again (log: $LOG)"
	mv "$OUT.tmp" "$OUT"
	"$OUT/clang" --version >"$LOG" 2>&1 || {
		rm -rf "$OUT"
		die "clang-$LLVM of Debian's archive does not run here: see $LOG"
	}
}

mkdir -p "$CACHE/logs"
locked "$CACHE/.lock-clang" main
