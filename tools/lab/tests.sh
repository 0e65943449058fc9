#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# tests.sh BASE ARCH: this project's KVM selftests, static, in
# $CACHE/tests/BASE-ARCH.  They are built by the kernel's own selftest
# makefiles, inside the tree with the whole series; the files come from
# tools/testing/selftests/kvm here.
#
# tests.sh BASE ARCH upstream: the KVM selftests of the pristine tree, all that
# its makefile builds, in $CACHE/tests/upstream-BASE-ARCH.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/series/series.sh"

BASE=$1 ARCH=$2 SUITE=${3:-}
arch_env "$ARCH"
TREE=$(cat "$CACHE/src/$BASE.path")
NAME=${SUITE:+$SUITE-}$BASE-$ARCH

FROM=$(tests_base "$BASE")
if [ "$FROM" != "$BASE" ] && [ -z "$SUITE" ]; then
	KERNEL='' "$TOP/tools/lab/source.sh" "$FROM"
	KERNEL='' "$0" "$FROM" "$ARCH"
	ln -sfn "$(readlink "$CACHE/tests/$FROM-$ARCH")" "$CACHE/tests/$NAME"
	exit
fi

LOG=$CACHE/logs/tests-$NAME.log
COMMIT=refs/tags/base
[ -n "$SUITE" ] || COMMIT=$(git -C "$TREE" rev-parse -q --verify refs/tags/series || echo refs/tags/base)
# Those of Makefile.kvm, and the one that is about the module.
NAMES=$({ sed -n "s/^Make: TEST_GEN_PROGS_$KARCH += \([^ ]*\).*/\1/p" "$TOP"/patches/selftests/[0-9]*
	echo "${NOT_CARRIED%.c}"; } | paste -sd' ')

KEY=$( {
	git -C "$TREE" ls-tree "$COMMIT" tools/testing/selftests/ tools/ include/uapi "arch/$KARCH/include/uapi" |
	grep -v -E '	tools/testing$'
	[ -n "$SUITE" ] || { echo "$NAMES"; hash_files $(find "$TOP/$SELFTESTS" -type f | sort); }
	"${CROSS}gcc" --version | head -n 1
	sed -n '/^build_tests/,/^}/p' "$0"
} | hash_of)
OUT=$CACHE/tests/${SUITE:+$SUITE-}$ARCH-$KEY

build_tests()
{
	src=$OUT.tmp/src obj=$OUT.tmp/obj
	mkdir -p "$src" "$obj" "$OUT.tmp/tests" || return
	# Some selftests have links to headers of the kernel.
	git -C "$TREE" archive "$COMMIT" tools/arch tools/build tools/include tools/scripts \
		tools/lib tools/testing/selftests scripts "arch/$KARCH/tools" \
		include/linux 'drivers/dma/*.h' 'drivers/net/ethernet/intel/*.h' | tar -xf - -C "$src" || return
	[ -n "$SUITE" ] || cp -r "$TOP/$SELFTESTS/." "$src/$SELFTESTS/" || return
	kmake "$ARCH" "$TREE" "$OUT.tmp/headers" INSTALL_HDR_PATH="$OUT.tmp/usr" headers_install || return
	if [ -n "$SUITE" ]; then
		set -- all
	else
		set -- TEST_GEN_PROGS_COMMON= TEST_GEN_PROGS_EXTENDED= TEST_GEN_PROGS_"$KARCH"="$NAMES" \
			$(printf "$obj/%s " $NAMES)
	fi
	CCACHE_DIR=$CACHE/ccache CCACHE_BASEDIR=$OUT.tmp \
	make -s -C "$src/tools/testing/selftests/kvm" -j"$JOBS" OUTPUT="$obj" ARCH="$KARCH" CROSS_COMPILE="$CROSS" \
		CC="ccache ${CROSS}gcc" KHDR_INCLUDES="-isystem $OUT.tmp/usr/include" LDFLAGS=-static "$@" || return
	find "$obj" -type f -perm -100 | while read -r file; do
		"${CROSS}strip" -o "$OUT.tmp/tests/${file##*/}" "$file" || exit
	done
}

main()
{
	if [ ! -d "$OUT" ]; then
		need_space "$CACHE" 3
		checkout "$TREE" "$COMMIT"
		rm -rf "$OUT.tmp"
		step "building the ${SUITE:+$SUITE }selftests for $ARCH (log: $LOG)"
		run_logged "$LOG" build_tests || {
			rm -rf "$OUT.tmp"
			die "the build of the selftests for $ARCH failed: see $LOG"
		}
		[ -n "$SUITE" ] || ! grep -q 'warning:' "$LOG" || die "the selftests build with warnings: see $LOG"
		mv "$OUT.tmp/tests" "$OUT"
		rm -rf "$OUT.tmp"
	fi
	touch "$OUT"
	ln -sfn "$OUT" "$CACHE/tests/$NAME"
}

mkdir -p "$CACHE/tests" "$CACHE/logs"
locked "$CACHE/obj/.lock-${TREE##*/}" main
