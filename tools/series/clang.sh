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

# The interpreter of an ELF file is an absolute path.
unpack_clang()
{
	llvm=$OUT.tmp/root/usr/lib/llvm-$LLVM
	libraries=$(in_suite "$suite" 60 apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
		--no-breaks --no-replaces --no-enhances "libclang-cpp$LLVM" | grep -E '^[a-z0-9]' | sort -u) &&
	mkdir "$OUT.tmp/packages" &&
	(cd "$OUT.tmp/packages" && in_suite "$suite" "$FILE_SECONDS" apt-get download "clang-$LLVM" "libclang-common-$LLVM-dev" $libraries) &&
	for package in "$OUT.tmp/packages"/*_amd64.deb "$OUT.tmp/packages"/*_all.deb; do
		[ ! -f "$package" ] || dpkg-deb -x "$package" "$OUT.tmp/root" || return
	done &&
	rm -r "$OUT.tmp/packages" &&
	patchelf --set-interpreter "$OUT/root/usr/lib64/ld-linux-x86-64.so.2" "$llvm/bin/clang" &&
	cat >"$OUT.tmp/clang" <<-END
		#!/bin/sh
		LD_LIBRARY_PATH=$OUT/root/usr/lib/x86_64-linux-gnu exec $OUT/root/usr/lib/llvm-$LLVM/bin/clang "\$@"
	END
	chmod +x "$OUT.tmp/clang"
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
