#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# selftests-patches.sh: the selftest patches of a base as files, for git am by hand, in
# the tree that the base pins or in one of its fixes.
#
#   BASE=v7.3    which base
#   OUT=folder   where they are to be (default: results/BASE/selftests)

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/series/series.sh"

export START KERNEL="${KERNEL:-}"
BASE=${BASE:-$(default_base)}
OUT=${OUT:-}
check_base "$BASE"
[ -n "$(selftest_files "$BASE")" ] ||
	die "there are no selftest patches for $BASE: its own selftests are too old for them (patches/$BASE/base, selftests)"
[ -z "$OUT" ] || [ ! -e "$OUT" ] ||
	die "OUT=$OUT exists: name a folder that does not"
OUT=${OUT:-$TOP/results/$BASE/selftests}
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT
trap 'exit 130' INT TERM HUP

check_carriers
get_tree "$BASE"
selftest_patches "$TREE" refs/tags/base "$BASE" "$SCRATCH/out"
{ mkdir -p "$(dirname "$OUT")" && rm -rf "$OUT" "$OUT.tmp" && cp -r "$SCRATCH/out" "$OUT.tmp" && mv "$OUT.tmp" "$OUT"; } ||
	die "cannot write to $OUT: name another folder with OUT=path"
step "git am $OUT/*.patch"
