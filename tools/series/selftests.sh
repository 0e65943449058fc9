#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# selftests.sh BASE check|update: tools/testing/selftests/kvm is the source of
# the selftests, and the series' "KVM: selftests:" patches carry them.  check
# says whether they are equal; update puts the files into the patches, whose
# messages stay, and writes the series again.

. "$(dirname "$0")/../lib.sh"

BASE=$1 ACTION=$2
check_base "$BASE"
export START
FROM=$(tests_base "$BASE")
if [ "$FROM" != "$BASE" ]; then
	step "the selftests of $BASE are those of $FROM"
	exit
fi
get_tree "$BASE"
SELFTESTS=tools/testing/selftests/kvm

check()
{
	# kvm_lifecycle_test is about the module, which is not in the kernel.
	(cd "$TOP" && find "$SELFTESTS" -type f ! -name kvm_lifecycle_test.c) | while read -r file; do
		git -C "$TREE" show "refs/tags/series:$file" 2>/dev/null | cmp -s - "$TOP/$file" || echo "$file"
	done
}

update()
{
	work=$CACHE/src/update-$BASE
	rm -rf "$work"
	git -C "$TREE" worktree prune
	# The files of the series alone, for git looks at each file of a work tree, and what
	# tells it how to name a hunk.
	git -C "$TREE" worktree add -q --no-checkout --detach "$work" refs/tags/base
	{
		echo .gitattributes
		series_paths $(series_files "$BASE")
	} | sed 's#^#/#' | git -C "$work" sparse-checkout set --no-cone --stdin
	git -C "$work" checkout -q
	for patch in $(series_files "$BASE"); do
		git_in "$work" am -q "$patch"
		for file in $(git -C "$work" diff --name-only HEAD^ HEAD -- "$SELFTESTS"); do
			[ -f "$TOP/$file" ] || continue
			cp "$TOP/$file" "$work/$file"
			git -C "$work" add -f "$file"
		done
		git_in "$work" commit -q --amend --no-edit --allow-empty
	done
	rm -f $(series_files "$BASE")
	"$TOP/tools/series/format.sh" "$BASE" "$work" refs/tags/base
	git -C "$TREE" worktree remove --force "$work"
}

case $ACTION in
check)
	different=$(check | paste -sd' ')
	[ -z "$different" ] ||
		die "the selftest patches of $BASE are not equal to $different: run 'make series-selftests BASE=$BASE'"
	step "the selftest patches are equal to $SELFTESTS" ;;
update)
	update
	"$TOP/tools/lab/source.sh" "$BASE" ;;
esac
