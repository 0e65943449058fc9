#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# build.sh BASE ARCH PATCHES: a kernel with the first PATCHES patches of the
# series ("none" and "all" are numbers too).  With a variant's name behind it, e.g.
# all-kcsan, it has the options in tools/lab/kcsan.config as well, and the objects
# in the file instrumented are instrumented.  Its folder is printed last, as
# $CACHE/out/BASE-ARCH-PATCHES links to it, and it holds:
#   image	the kernel
#   modules/	the modules of KVM, if they are modules
#   build/	the files for the build of an external module
#   gcov/	gcov's files of the instrumented objects, in the variant gcov
#
# One source tree and one object tree an architecture serve all of them, one
# after the other: git checkout touches the files that differ and no more.
# The name of a finished build is the hash of its inputs.

. "$(dirname "$0")/../lib.sh"

BASE=$1 ARCH=$2 NAME=$3
PATCHES=${NAME%%-*}
VARIANT=${NAME#"$PATCHES"}
VARIANT=${VARIANT#-}
check_base "$BASE"
arch_env "$ARCH"
TREE=$(cat "$CACHE/src/$BASE.path")
OBJ=$CACHE/obj/${TREE##*/}-$ARCH${VARIANT:+-$VARIANT}
CONFIG=$(config_files "$BASE" "$ARCH")
OBJECTS=
INSTRUMENT=
if [ -n "$VARIANT" ]; then
	[ -f "$TOP/tools/lab/$VARIANT.config" ] || die "unknown variant $VARIANT of a host: there is no tools/lab/$VARIANT.config"
	CONFIG="$CONFIG $TOP/tools/lab/$VARIANT.config"
fi
case $VARIANT in
kcsan|gcov)
	OBJECTS=$TOP/tools/lab/instrumented
	# An object's own variable is looked at first.
	INSTRUMENT="KCSAN_SANITIZE=n $(awk -v arch="$ARCH" '$1 == arch { print "KCSAN_SANITIZE_" $2 ".o=y GCOV_PROFILE_" $2 ".o=y" }' "$OBJECTS" | paste -sd' ')" ;;
esac

commit_of()
{
	case $1 in
	none)	echo refs/tags/base ;;
	all)	git -C "$TREE" rev-parse -q --verify refs/tags/series || echo refs/tags/base ;;
	*)	git -C "$TREE" rev-list --reverse refs/tags/base..refs/tags/series | sed -n "$1p" ;;
	esac
}

COMMIT=$(commit_of "$PATCHES")
[ -n "$COMMIT" ] || die "patches/$BASE has no patch number $PATCHES"

# Only inputs that can change the result: selftests and documents do not.
KEY=$( {
	git -C "$TREE" ls-tree "$COMMIT" | grep -v -E '	(Documentation|tools|samples|LICENSES|CREDITS|MAINTAINERS)$'
	git -C "$TREE" ls-tree "$COMMIT" tools/ | grep -v -E '	tools/testing$'
	sha256sum $CONFIG $OBJECTS | cut -d' ' -f1
	"${CROSS}gcc" --version | head -n 1
	sed -n '/^build_kernel/,/^}/p' "$0"
} | hash_of)
OUT=$CACHE/out/$ARCH-$KEY
LOG=$CACHE/logs/build-$BASE-$ARCH-$NAME.log

build_kernel()
{
	cat $CONFIG >"$OBJ.config"
	kmake "$ARCH" "$TREE" "$OBJ" KCONFIG_ALLCONFIG="$OBJ.config" allnoconfig &&
	check_config &&
	kmake "$ARCH" "$TREE" "$OBJ" $INSTRUMENT "$IMAGE" modules &&
	cp "$OBJ/$IMAGE_PATH" "$OUT.tmp/image" &&
	cp "$OBJ/.config" "$OUT.tmp/config" &&
	{ [ "$VARIANT" != gcov ] || (cd "$OBJ" && find . -name '*.gcno' | cpio -pdm --quiet "$OUT.tmp/gcov"); } &&
	mkdir "$OUT.tmp/modules" &&
	find "$OBJ" -name '*.ko' -exec cp -t "$OUT.tmp/modules" {} + &&
	kmake "$ARCH" "$TREE" "$OBJ" run-command \
		KBUILD_RUN_COMMAND='CC=same HOSTCC=same $(srctree)/scripts/package/install-extmod-build '"$OUT.tmp/build" &&
	cp "$OBJ/.config" "$OUT.tmp/build/" &&
	(cd "$TREE" && find "arch/$KARCH/kvm" virt/kvm drivers/iommu/amd -name '*.h' | cpio -pdm --quiet "$OUT.tmp/build")
}

main()
{
	if [ ! -d "$OUT" ]; then
		need_space "$CACHE" 6
		checkout "$TREE" "$COMMIT"
		rm -rf "$OUT.tmp"
		mkdir -p "$OBJ" "$OUT.tmp"
		step "building linux $(cat "$TREE.version") $ARCH with patches: $NAME (log: $LOG)"
		run_logged "$LOG" build_kernel || {
			rm -rf "$OUT.tmp"
			die "the build of linux for $ARCH with patches: $NAME failed: see $LOG"
		}
		cp "$LOG" "$OUT.tmp/log"
		mv "$OUT.tmp" "$OUT"
		step "built linux for $ARCH with patches: $NAME"
		# Builds that no run has used for a month.
		find "$CACHE/out" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} +
	fi
	touch "$OUT"
	ln -sfn "$OUT" "$CACHE/out/$BASE-$ARCH-$NAME"
}

mkdir -p "$CACHE/out" "$CACHE/obj" "$CACHE/logs"
locked "$CACHE/obj/.lock-${TREE##*/}" main
