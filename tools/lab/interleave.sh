#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# interleave.sh: all of vcpu_interleave_test, of which the lab runs a sample.
# Each operation is held at each of its functions, on the hosts of HOST (or ARCH) without
# and with the series of BASE (PATCHES).  Beside the test's log is the matrix,
# as text and as a picture: vcpu_interleave_test.matrix and .svg.

. "$(dirname "$0")/../lib.sh"

BASE=${BASE:-$(default_base)}
PATCHES=${PATCHES:-none all}

each_base $BASE
check_base "$BASE"
PATCHES=$(variants "$BASE" $PATCHES)
pick_hosts
RESULTS=$(new_results "$BASE-interleave")
export START BASE PATCHES RESULTS TEST=vcpu_interleave_test
export SURE=1
export OPTIONS=INTERLEAVE=full TEST_TIMEOUT="${TEST_TIMEOUT:-5400}"
export PARTS=interleave

status=0
"$TOP/tools/lab/lab.sh" || status=$?

for patches in $PATCHES; do
	for host in $HOST; do
		file=$RESULTS/$host-$patches/$TEST
		[ -f "$file.log" ] || continue
		sed -n 's/^.*lab: # \(matrix\|legend:\) //p' "$file.log" >"$file.matrix"
		awk -f "$TOP/tools/lab/matrix.awk" "$file.log" >"$file.svg.tmp" ||
			die "no function was held on $host with patches: $patches, see $file.log"
		mv "$file.svg.tmp" "$file.svg"
		step "the matrix of $host with patches: $patches is in $file.matrix and .svg"
	done
done
exit $status
