#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# lab-count.sh: the lab COUNT times, and the number of failures of each subtest: the rate
# of a red that is left to chance.
#
#   COUNT=20 TEST='a b'     how often, and which tests
#   BASE, HOST, ARCH, PATCHES, KERNEL, OPTIONS   as for lab.sh

. "$(dirname "$0")/../lib.sh"

case $COUNT in
''|*[!0-9]*|0*)	die "unknown COUNT=$COUNT: a number, e.g. 20" ;;
esac
[ -n "${TEST:-}" ] || die "which test?  Give TEST='name ...' with COUNT: all of them $COUNT times would take days"
ALL=$TOP/results/$(date +%Y%m%d-%H%M%S)-count
mkdir -p "$ALL" || die "cannot write to $ALL: give the folder to this user"

number=0
while [ "$number" -lt "$COUNT" ]; do
	number=$((number + 1))
	says='as declared'
	RESULTS=$ALL/$number "$TOP/tools/lab/lab.sh" >"$ALL/$number.log" 2>&1 || says='not as declared'
	[ -n "$(find "$ALL/$number" -name '*.status' 2>/dev/null | head -n 1)" ] || {
		tail -n 3 "$ALL/$number.log" >&2
		die "run $number of $COUNT has run no test: see above, and $ALL/$number.log"
	}
	step "run $number of $COUNT: $says ($ALL/$number)"
done

# A run of a test that did not come to its end is one more line.
find "$ALL" -name '*.ktap' -o -name '*.status' | sort | xargs awk -v count="$COUNT" '
FNR == 1 {
	n = split(FILENAME, part, "/")
	test = part[n]
	sub(/\.(ktap|status)$/, "", test)
	cell = part[n - 1] " " test
}
FILENAME ~ /\.status$/ {
	if (!/^exit [0-4]$/)
		failed[cell " (no end)"]++
	next
}
/^(not )?ok [0-9]+ / {
	name = $0
	sub(/^(not )?ok [0-9]+ /, "", name)
	sub(/ # .*/, "", name)
	seen[cell "." name] = 1
	if (/^not /)
		failed[cell "." name]++
}
END {
	for (name in failed) {
		printf "%4d of %d  %s\n", failed[name], count, name | "sort -k 4"
		delete seen[name]
	}
	close("sort -k 4")
	for (name in seen)
		never++
	printf "%d subtests did not fail in %d runs\n", never, count
}'
