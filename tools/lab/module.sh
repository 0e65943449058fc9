#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# module.sh BASE ARCH PATCHES: kvm_lifecycle for one built kernel, in
# $CACHE/module/KERNEL/kvm_lifecycle.ko, with the parts that drive KVM.  It is built outside
# the repository.

. "$(dirname "$0")/../lib.sh"

BASE=$1 ARCH=$2 PATCHES=$3
arch_env "$ARCH"
KERNEL_OUT=$(readlink -f "$CACHE/out/$BASE-$ARCH-$PATCHES")
OUT=$CACHE/module/${KERNEL_OUT##*/}
LOG=$CACHE/logs/module-$BASE-$ARCH-$PATCHES.log
KEY=$(cd "$TOP" && hash_files tools/lab/module.sh Kbuild $(find virt arch drivers -name '*.[ch]' -o -name '*.sh' -o -name Kbuild | sort))

build_module()
{
	mkdir -p "$OUT.tmp"
	(cd "$TOP" && cp -r --parents Kbuild virt arch drivers "$OUT.tmp") &&
	kmake "$ARCH" "$KERNEL_OUT/build" "$KERNEL_OUT/build" M="$OUT.tmp" W=1 KCSAN_SANITIZE=n UNSAFE=1 \
		KVML_KVM="$(kvm_of "$KERNEL_OUT")" modules
}

if [ "$(cat "$OUT/key" 2>/dev/null)" != "$KEY" ]; then
	rm -rf "$OUT" "$OUT.tmp"
	mkdir -p "$CACHE/module"
	step "building kvm_lifecycle for $ARCH with patches: $PATCHES (log: $LOG)"
	run_logged "$LOG" build_module || die "the build of kvm_lifecycle failed: see $LOG"
	! grep -q 'warning:' "$LOG" || die "kvm_lifecycle builds with warnings: see $LOG"
	echo "$KEY" >"$OUT.tmp/key"
	mv "$OUT.tmp" "$OUT"
fi
