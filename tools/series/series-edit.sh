#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# series-edit.sh: the series of a base as commits, in a git work tree, for git rebase -i: the
# fixes, and the selftests on top.  Each commit has its slug in a trailer.
# tools/series/series-export.sh writes them back.
#
#   BASE=v7.3     which series
#   TREE=path     where (default: edit/BASE in the cache)

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/series/series.sh"

export START KERNEL="${KERNEL:-}"
BASE=${BASE:-$(default_base)}
check_base "$BASE"
EDIT=${TREE:-$CACHE/edit/$BASE}
[ ! -e "$EDIT" ] ||
	die "$EDIT exists: write its series back (make series-export BASE=$BASE) and remove it, or name another folder with TREE=path"

get_tree "$BASE"
pinned=$(base_get "$BASE" version)
[ "$(cat "$TREE.version")" = "$pinned" ] ||
	die "patches/$BASE is edited on linux $pinned, and this is $(cat "$TREE.version"): make base-pin BASE=$BASE pins another release"
trap 'rm -rf "$EDIT.tmp"' EXIT
trap 'exit 130' INT TERM HUP
rm -rf "$EDIT.tmp"
mkdir -p "$(dirname "$EDIT")" || die "cannot create $EDIT: name another folder with TREE=path"
need_space "$(dirname "$EDIT")" 3
git clone -q -s -n "$TREE" "$EDIT.tmp" 2>/dev/null || die "cannot clone $TREE to $EDIT.tmp: name another folder with TREE=path"
git -C "$EDIT.tmp" remote remove origin
{ series_files "$BASE"; selftest_files "$BASE"; } | slugs >"$EDIT.tmp/.git/slugs"
git -C "$TREE" rev-list --reverse refs/tags/base..refs/tags/series | paste - "$EDIT.tmp/.git/slugs" >"$EDIT.tmp/.git/todo"
tip=$(git -C "$TREE" rev-parse refs/tags/base)
while read -r commit slug; do
	# The kernel has this patch already.
	[ "$(git -C "$TREE" rev-parse "$commit^{tree}")" != "$(git -C "$TREE" rev-parse "$commit^^{tree}")" ] || continue
	tip=$(with_slug "$TREE" "$commit" "$slug" | recommit "$EDIT.tmp" "$commit" "$tip" "$commit^{tree}")
done <"$EDIT.tmp/.git/todo"
git -C "$EDIT.tmp" tag -l | grep -vx base | xargs -r git -C "$EDIT.tmp" tag -d >/dev/null
git -C "$EDIT.tmp" checkout -q -B "$BASE" "$tip"
git -C "$EDIT.tmp" config kvm-lifecycle.state "$(project_state "$BASE")"
rm "$EDIT.tmp/.git/slugs" "$EDIT.tmp/.git/todo"
mv "$EDIT.tmp" "$EDIT"
step "the series of $BASE is in $EDIT: git rebase -i base there, then make series-export BASE=$BASE"
