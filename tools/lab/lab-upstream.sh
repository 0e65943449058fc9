#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# lab-upstream.sh: do KVM's own tests have the same results with the series?  Run
# the KVM selftests of the pristine tree of BASE on the emulated hosts, without
# and with the series, and compare.  patches/BASE/upstream lists those that do
# not pass there, and why.
#
#   BASE=v7.3           which series
#   HOST='amd arm'      which hosts, or by ARCH
#   TEST='a b'          these tests alone
#   ALL=1               also those that take too long for an emulated CPU
#   RECORD=1            print the lines for patches/BASE/upstream
#
# The results are in results/DATE-BASE-upstream/HOST-PATCHES.

. "$(dirname "$0")/../lib.sh"

export START KERNEL="${KERNEL:-}"
BASE=${BASE:-$(default_base)}
TEST=${TEST:-}
PATCHES='none all'
LIST=$TOP/patches/$BASE/upstream
RESULTS=$(new_results "$BASE-upstream")

# Twice the time that a test may take before it is listed as too slow, so that
# one that just passes does not fail on a machine that is busy.
export TEST_TIMEOUT="${TEST_TIMEOUT:-120}" LIMIT="${LIMIT:-7200}"

each_base $BASE
check_base "$BASE"
pick_hosts
[ -f "$LIST" ] || die "there is no $LIST: write one, with RECORD=1"

# The tests of a host in their order.  Those that make lockdep report, and so turn
# it off, come last.
tests_of()
{
	arch=$(host_get "$1" arch)
	ls "$CACHE/tests/upstream-$BASE-$arch/" |
	awk -F'\t' -v host="$1" -v arch="$arch" -v only="$TEST" -v all="${ALL:-}" '
		FILENAME != "-" {
			if (!/^#/ && ("," $2 ",") ~ (",(" arch "|" host "),")) {
				slow[$1] = $3 == "time"
				last[$1] = $5 != ""
			}
			next
		}
		only ? !index(" " only " ", " " $1 " ") : slow[$1] && !all { next }
		last[$1] { later = later $1 "\n"; next }
		{ print }
		END { printf "%s", later }' "$LIST" -
}

prepare "$BASE" "$(kernels_of $HOST)" "$PATCHES" upstream

mkdir -p "$RESULTS"
for host in $HOST; do
	tests_of "$host" >"$RESULTS/$host.tests"
done
for test in $TEST; do
	grep -qxF "$test" "$RESULTS"/*.tests ||
		die "unknown TEST=$test: choose from those in $CACHE/tests/upstream-$BASE-*"
done

for host in $HOST; do
	for patches in $PATCHES; do
		[ ! -s "$RESULTS/$host.tests" ] ||
			echo "$BASE $host $patches $RESULTS/$host-$patches $(paste -sd' ' "$RESULTS/$host.tests")"
	done
done | SUITE=upstream run_hosts

results upstream "$RESULTS" --list "$LIST" --hosts "$HOST" --variants "$PATCHES" --record "${RECORD:-}" ||
	die "the results with the series are not those without it, or not those in $LIST: see above, and the logs in $RESULTS"
