#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# patches.sh: is each patch of BASE what makes its test green?  For each, boot
# the kernel with the patches before it and the kernel with it as well: what
# patches/expect declares for this patch must be red, then green, or red for
# another patch that is still to come.  What is declared for several patches
# together is run for the last of them.
#
#   PATCH='svm-ga-log-wakeup xen-evtchn-target'   these patches alone
#   CHANGED=1   those alone that have changed since this command found them right:
#               the patch, one before it, its rows in patches/expect, or its test
#   CHANGED=list   print these, with the file that would say that it was right
#
# The results are in results/DATE-BASE-patches/PATCH/ARCH-NUMBER.

. "$(dirname "$0")/../lib.sh"

export START KERNEL="${KERNEL:-}"
BASE=${BASE:-$(default_base)}
ARCH=${ARCH:-x86 arm64}
PATCH=${PATCH:-}
CHANGED=${CHANGED:-}
each_base $BASE
check_base "$BASE"
check_hosts $ARCH
results check || exit
ALL_RESULTS=$(new_results "$BASE-patches")
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM

# "patch host test" of what is declared, in the order of the series.
results proofs "$BASE" >"$WORK/proofs"
results proof-rows "$BASE" >"$WORK/rows"
results slugs "$BASE" >"$WORK/slugs"

for patch in $PATCH; do
	for arch in $ARCH; do
		grep "^$patch $arch " "$WORK/proofs" || :
	done | grep -q . ||
		die "no test declares patch PATCH=$patch for ARCH='$ARCH': choose from $(cut -d' ' -f1 "$WORK/proofs" | uniq | paste -sd' ')"
done

# proof_of PATCH ARCH TEST...: the file that says that all this was found right.
proof_of()
{
	patch=$1 arch=$2
	shift 2
	key=$( {
		cat $(series_files "$BASE" | head -n "$number") $(config_files "$BASE" "$arch") "$TOP/patches/$BASE/base"
		grep "^$patch	" "$WORK/rows"
		for test; do
			find "$TOP/tools/testing/selftests/kvm" -name "$test.c"
		done | sort | xargs cat "$TOP"/tools/testing/selftests/kvm/include/*
	} | hash_of)
	echo "$CACHE/checked/proof-$BASE-$arch-$patch-$key"
}

mkdir -p "$CACHE/checked"
failed=
for arch in $ARCH; do
	for patch in ${PATCH:-$(cut -d' ' -f1 "$WORK/proofs" | uniq)}; do
		tests=$(sed -n "s/^$patch $arch //p" "$WORK/proofs" | paste -sd' ')
		[ -n "$tests" ] || continue
		number=$(grep -nxF "$patch" "$WORK/slugs" | cut -d: -f1)
		proof=$(proof_of "$patch" "$arch" $tests)
		if [ -n "$CHANGED" ] && [ -f "$proof" ]; then
			[ "$CHANGED" = list ] || step "$arch: $patch: red before, green with it, and nothing has changed"
			continue
		fi
		if [ "$CHANGED" = list ]; then
			echo "$arch $patch $proof"
			continue
		fi
		before=$((number - 1))
		[ "$before" -gt 0 ] || before=none
		step "$arch: $patch (patch $number), tests: $tests"
		RESULTS=$ALL_RESULTS/$patch
		prepare "$BASE" "$arch" "$before $number"
		for patches in $before $number; do
			echo "$BASE $arch $patches $RESULTS/$arch-$patches $tests"
		done | run_hosts
		if results judge "$RESULTS" --base "$BASE" --hosts "$arch" --variants "$before $number" --patch "$patch" --kind patches; then
			touch "$proof"
		else
			failed="$failed $arch:$patch"
		fi
		ln -sfn "${ALL_RESULTS##*/}" "$TOP/results/latest"
	done
done
[ -z "$failed" ] || die "these patches do not make their tests green, or the tests are not red without them:$failed"
