#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# sparse.sh: a sparse that knows the C of today's kernels, in $CACHE/sparse.
# Debian 12's is too old for them (the kernel then skips the check with a
# warning), so the newest of Debian's archive is compiled here.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/lab/apt.sh"

OUT=$CACHE/sparse
LOG=$CACHE/logs/sparse.log

build_sparse()
{
	tar -xf "$file" -C "$OUT.tmp" --strip-components=1 &&
	make -s -C "$OUT.tmp" -j"$JOBS" sparse
}

main()
{
	[ -x "$OUT/sparse" ] && return
	set -- $(newest upstream sparse)
	[ $# -eq 2 ] || die "there is no sparse in Debian's archive$(unread): check the network and run the same command again"
	suite=$2
	fetch_newest upstream sparse "$1" ||
		die "Debian's archive does not serve sparse: check the network and run the same command again"
	step "compiling sparse $1 (log: $LOG)"
	rm -rf "$OUT.tmp"
	mkdir -p "$OUT.tmp"
	run_logged "$LOG" build_sparse || die "cannot compile sparse: see $LOG"
	rm -rf "$OUT"
	mv "$OUT.tmp" "$OUT"
}

mkdir -p "$CACHE/logs"
locked "$CACHE/.lock-sparse" main
