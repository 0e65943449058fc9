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
	cd "$OUT.tmp" &&
	in_apt_root apt-get source --download-only --tar-only sparse &&
	tar -xf ./*.tar.* --strip-components=1 &&
	make -s -j"$JOBS" sparse
}

main()
{
	[ -x "$OUT/sparse" ] && return
	apt_root
	step "compiling sparse (log: $LOG)"
	rm -rf "$OUT.tmp"
	mkdir -p "$OUT.tmp"
	run_logged "$LOG" build_sparse ||
		die "cannot get sparse from Debian's archive: check the network and run the same command again (log: $LOG)"
	rm -rf "$OUT"
	mv "$OUT.tmp" "$OUT"
}

mkdir -p "$CACHE/logs"
locked "$CACHE/.lock-sparse" main
