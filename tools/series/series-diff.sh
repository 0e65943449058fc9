#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# series-diff.sh: how do the series differ?  git range-diff of each of BASES with the
# one before it.
#
#   BASES='v7.2 v7.3'   which series; all when it is empty

. "$(dirname "$0")/../lib.sh"

export START
BASES=${BASES:-$(bases | paste -sd' ')}
for base in $BASES; do
	check_base "$base"
done
set -- $BASES
[ $# -gt 1 ] || die "one series has nothing to differ from: give BASES='$(bases | paste -sd' ')'"

one_run
for base; do
	"$TOP/tools/lab/source.sh" "$base"
done

# The commits of a series, from its tree.
range()
{
	_tree=$(cat "$CACHE/src/$1.path")
	echo "$(git -C "$_tree" rev-parse refs/tags/base)..$(git -C "$_tree" rev-parse refs/tags/series)"
}

old=$1
shift
for new; do
	echo
	echo "patches/$old against patches/$new: = equal, ! changed, < only in $old, > only in $new"
	GIT_ALTERNATE_OBJECT_DIRECTORIES=$(cat "$CACHE/src/$old.path")/.git/objects \
	git --no-pager -C "$(cat "$CACHE/src/$new.path")" range-diff "$(range "$old")" "$(range "$new")"
	old=$new
done
