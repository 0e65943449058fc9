#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# lab-patches.sh: does each patch of BASE make its test green?  For each, boot the
# kernel with the patches before it and the kernel with it as well: the rows of
# patches/expect for this patch must be red, then green, or red for another patch
# that is still to come.  Rows of several patches together are run for the last
# of them.
#
#   PATCH='svm-ga-log-wakeup xen-evtchn-target'   these patches alone
#   CHANGED=1   those alone that are not as patches/proved has them: the patch, its rows
#               in patches/expect, or its test, i.e. all files of the test's own patch
#   CHANGED=list   print their lines for that file, and those that it does not have, with
#               "changed" or "never" at the end
#
# The results are in results/DATE-BASE-patches/PATCH/HOST-NUMBER, and the proofs in
# patches/proved.  With KERNEL= the tree is another one, and no proof is written.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/series/series.sh"

export START KERNEL="${KERNEL:-}"
TREE=
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

# "patch host test" of each declared row, in the order of the series.
results proofs "$BASE" >"$WORK/proofs"
results proof-rows "$BASE" >"$WORK/rows"
results slugs "$BASE" >"$WORK/slugs"

for patch in $PATCH; do
	for host in $HOST; do
		grep "^$patch $host " "$WORK/proofs" || :
	done | grep -q . ||
		die "no test declares patch PATCH=$patch for HOST='$HOST': choose from $(cut -d' ' -f1 "$WORK/proofs" | uniq | paste -sd' ')"
done

# line_of PATCH HOST TEST...: of patches/proved, as it would be now.
line_of()
{
	patch=$1 host=$2
	shift 2
	key=$( {
		git patch-id --stable <"$(series_files "$BASE" | sed -n "${number}p")" | cut -d' ' -f1
		awk -F'\t' -v OFS='\t' -v patch="$patch" -v host="$host" '
			$1 == patch && index("," $3 ",", "," host ",") { $3 = ""; print }' "$WORK/rows"
		for test; do
			find "$TOP/$SELFTESTS" -name "$test.c"
			entry=$(grep -lE "^File: (.*/)?$test\.c$" "$TOP"/patches/selftests/[0-9]* 2>/dev/null) || continue
			carried "$entry" | sed "s#^#$TOP/$SELFTESTS/#"
		done | sort -u | xargs cat
	} | hash_of)
	printf '%s\t%s\t%s\t%s\n' "$BASE" "$host" "$patch" "$key"
}

# write_down LINE: in patches/proved, in place of another one of this patch.
write_down()
{
	_key=$(echo "$1" | cut -f1-3)
	{
		grep '^#' "$PROVED"
		{ grep -v -e '^#' -e "^$_key	" "$PROVED" || :; echo "$1"; } | sort
	} >"$TOP/patches/.proved.new"
	mv "$TOP/patches/.proved.new" "$PROVED"
}

PROVED=$TOP/patches/proved
same=0 never=0
failed=
for host in $HOST; do
	for patch in ${PATCH:-$(cut -d' ' -f1 "$WORK/proofs" | uniq)}; do
		tests=$(sed -n "s/^$patch $host //p" "$WORK/proofs" | paste -sd' ')
		[ -n "$tests" ] || continue
		number=$(grep -nxF "$patch" "$WORK/slugs" | cut -d: -f1)
		line=$(line_of "$patch" "$host" $tests)
		if [ -n "$CHANGED" ]; then
			state=changed
			grep -q "^$BASE	$host	$patch	" "$PROVED" || state=never
			! grep -qxF "$line" "$PROVED" || state=same
			case $CHANGED-$state in
			*-same) same=$((same + 1)); continue ;;
			list-*) printf '%s\t%s\n' "$line" "$state"; continue ;;
			*-never) never=$((never + 1)); continue ;;
			esac
		fi
		before=$((number - 1))
		[ "$before" -gt 0 ] || before=none
		step "$host: $patch (patch $number), tests: $tests"
		RESULTS=$ALL_RESULTS/$patch
		prepare "$BASE" "$(kernels_of "$host")" "$before $number"
		case " $(about_tree there) " in *" $patch "*)
			step "$host: linux $(about_tree version) has $patch already, and there is nothing to prove"
			continue ;;
		esac
		for patches in $before $number; do
			echo "$BASE $host $patches $RESULTS/$host-$patches $tests"
		done | run_hosts
		if results judge "$RESULTS" --base "$BASE" --hosts "$host" --variants "$before $number" --patch "$patch" --kind patches \
			--linux "$(about_tree version)" --there "$(about_tree there)"; then
			# Of the pinned kernel, and not of one that takes its place.
			case $KERNEL$(about_tree version) in
			''|"$(base_get "$BASE" version)") locked "$CACHE/.lock-proved" write_down "$line" ;;
			esac
		else
			failed="$failed $host:$patch"
		fi
		ln -sfn "${ALL_RESULTS##*/}" "$TOP/results/latest"
	done
done
if [ -n "$CHANGED" ] && [ "$CHANGED" != list ]; then
	[ "$same" -eq 0 ] || step "proved patch by patch on $BASE, and nothing has changed: $same"
	[ "$never" -eq 0 ] || step "never proved patch by patch on $BASE: $never, run make lab-patches BASE=$BASE (CHANGED=list names them)"
fi
[ -z "$failed" ] || die "these patches do not make their tests green, or the tests are not red without them:$failed"
