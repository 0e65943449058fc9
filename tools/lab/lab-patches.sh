#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# lab-patches.sh: is each patch of BASE what makes its test green?  For each, boot
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
# The results are in results/DATE-BASE-patches/PATCH/HOST-NUMBER.

. "$(dirname "$0")/../lib.sh"

export START KERNEL="${KERNEL:-}"
BASE=${BASE:-$(default_base)}
PATCH=${PATCH:-}
CHANGED=${CHANGED:-}
each_base $BASE
check_base "$BASE"
pick_hosts
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
	for host in $HOST; do
		grep "^$patch $host " "$WORK/proofs" || :
	done | grep -q . ||
		die "no test declares patch PATCH=$patch for HOST='$HOST': choose from $(cut -d' ' -f1 "$WORK/proofs" | uniq | paste -sd' ')"
done

# proof_of PATCH HOST TEST...: the file that says that all this was found right.
proof_of()
{
	patch=$1 host=$2
	shift 2
	key=$( {
		cat $(series_files "$BASE" | head -n "$number") $(config_files "$BASE" "$(arches_of "$host")") "$TOP/patches/$BASE/base" "$TOP/tools/lab/hosts/$host"
		grep "^$patch	" "$WORK/rows"
		for test; do
			find "$TOP/tools/testing/selftests/kvm" -name "$test.c"
		done | sort | xargs cat "$TOP"/tools/testing/selftests/kvm/include/*
	} | hash_of)
	echo "$CACHE/checked/proof-$BASE-$host-$patch-$key"
}

mkdir -p "$CACHE/checked"
failed=
for host in $HOST; do
	for patch in ${PATCH:-$(cut -d' ' -f1 "$WORK/proofs" | uniq)}; do
		tests=$(sed -n "s/^$patch $host //p" "$WORK/proofs" | paste -sd' ')
		[ -n "$tests" ] || continue
		number=$(grep -nxF "$patch" "$WORK/slugs" | cut -d: -f1)
		proof=$(proof_of "$patch" "$host" $tests)
		if [ -n "$CHANGED" ] && [ -f "$proof" ]; then
			[ "$CHANGED" = list ] || step "$host: $patch: red before, green with it, and nothing has changed"
			continue
		fi
		if [ "$CHANGED" = list ]; then
			echo "$host $patch $proof"
			continue
		fi
		before=$((number - 1))
		[ "$before" -gt 0 ] || before=none
		step "$host: $patch (patch $number), tests: $tests"
		RESULTS=$ALL_RESULTS/$patch
		prepare "$BASE" "$(arches_of "$host")" "$before $number"
		for patches in $before $number; do
			echo "$BASE $host $patches $RESULTS/$host-$patches $tests"
		done | run_hosts
		if results judge "$RESULTS" --base "$BASE" --hosts "$host" --variants "$before $number" --patch "$patch" --kind patches; then
			touch "$proof"
		else
			failed="$failed $host:$patch"
		fi
		ln -sfn "${ALL_RESULTS##*/}" "$TOP/results/latest"
	done
done
[ -z "$failed" ] || die "these patches do not make their tests green, or the tests are not red without them:$failed"
