#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# base-new.sh: a new base, from the series of another one.  The kernel comes from
# Debian's archive, and is pinned by its SHA-256; or it is a tree of yours, and pinned
# by git's hash of it.  Each patch is tried with git am -3, and none stops those after
# it: one that needs a hand is left as an empty commit with its message, in its place,
# in the work tree that make series-export writes back.
#
#   FROM=v7.3         the series that is carried over (default: the default base)
#   VERSION=7.4.1     the kernel; with KERNEL it may be left out
#   KERNEL=path       a tree of yours
#   TREE=path         where the series is edited (default: edit/BASE in the cache)

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/lab/apt.sh"
. "$TOP/tools/series/series.sh"

export START KERNEL="${KERNEL:-}"
VERSION=${VERSION:-}
FROM=${FROM:-$(KERNEL='' default_base)}
check_base "$FROM"
if [ -n "$KERNEL" ]; then
	have=$(kernel_version "$KERNEL") ||
		die "KERNEL=$KERNEL is not a Linux kernel tree: give the folder with the kernel's top Makefile"
	VERSION=${VERSION:-$have}
	[ "$VERSION" = "$have" ] || die "KERNEL=$KERNEL is $have and VERSION=$VERSION: give the tree of this version"
fi
SERIES=$(echo "$VERSION" | sed -n 's/^\([0-9]\{1,\}\.[0-9]\{1,\}\)\.[0-9]\{1,\}\(-rc[0-9]\{1,\}\)\{0,1\}$/\1/p')
[ -n "$SERIES" ] || die "which kernel?  Give VERSION=7.4.1 (or 7.4.0-rc2), or KERNEL=/path/to/its/tree"
BASE=v$SERIES
NEW=$TOP/patches/$BASE
EDIT=${TREE:-$CACHE/edit/$BASE}
[ ! -e "$NEW" ] || die "patches/$BASE exists: another $SERIES is pinned in patches/$BASE/base, and its series edited with make series-edit BASE=$BASE"
[ ! -e "$EDIT" ] || die "$EDIT exists: remove it, or name another folder with TREE=path"

SCRATCH=$(mktemp -d)
done=
leave()
{
	[ -n "$done" ] || rm -rf "$NEW" "$EDIT"
	rm -rf "$SCRATCH"
}
trap leave EXIT
trap 'exit 130' INT TERM HUP

pins()
{
	if [ -n "$KERNEL" ]; then
		return
	fi
	debian=$(echo "$VERSION" | sed 's/\.0-rc/~rc/; s/[.+]/\\&/g')-
	pin upstream linux "$debian"
	pin package "linux-source-$SERIES" "$debian"
}

# All files but the patches are those of the other base, until somebody looks at them.
copy_base()
{
	pins >"$SCRATCH/pins"
	[ -n "$KERNEL" ] || [ -s "$SCRATCH/pins" ] ||
		die "Debian's archive does not have linux $VERSION$(unread): give its tree with KERNEL=path"
	mkdir "$NEW"
	find "$TOP/patches/$FROM" -maxdepth 1 -type f ! -name '[0-9]*.patch' ! -name base -exec cp -t "$NEW" {} +
	{
		echo '# SPDX-License-Identifier: GPL-2.0-only'
		echo '# The tree that this series is made for; patches/v7.2/base explains the fields.'
		printf 'version\t\t%s\nseries\t\t%s\n' "$VERSION" "$SERIES"
		sed -n '/^selftests[[:space:]]/p' "$TOP/patches/$FROM/base"
		cat "$SCRATCH/pins"
	} >"$NEW/base"
	cat "$SCRATCH/pins"
}

# copy_rows: the rows of patches/expect for the other base hold for this one, until a
# lab says otherwise.
copy_rows()
{
	[ -f "$TOP/patches/expect" ] || return 0
	awk -F'\t' -v OFS='\t' -v from="$FROM" -v base="$BASE" \
		'!/^#/ && ("," $8 ",") ~ ("," from ",") { $8 = $8 "," base } { print }' "$TOP/patches/expect" >"$SCRATCH/expect"
	cp "$SCRATCH/expect" "$TOP/patches/.expect.new"
	mv "$TOP/patches/.expect.new" "$TOP/patches/expect"
}

# commit_slug SLUG: the last commit, as the next one of the series.
commit_slug()
{
	git_in "$EDIT" reset -q --soft "$(with_slug "$EDIT" HEAD "$1" | recommit "$EDIT" HEAD "$tip" 'HEAD^{tree}')"
	tip=$(git -C "$EDIT" rev-parse HEAD)
}

# apply PATCH: $hand and $there have the patches that gave no commit.
apply()
{
	slug=$(slug_of "$1")
	if git_in "$EDIT" am -q -3 "$1" >"$SCRATCH/am" 2>&1; then
		if [ "$(git -C "$EDIT" rev-parse HEAD)" = "$tip" ]; then
			echo "there already: $slug"
		else
			commit_slug "$slug"
			applied=$((applied + 1))
		fi
		return
	fi
	files=$({ git -C "$EDIT" diff --name-only --diff-filter=U; am_reason "$SCRATCH/am" | sed 's/, /\n/g'; } | grep . | sort -u | paste -sd, | sed 's/,/, /g')
	git_in "$EDIT" am --abort >/dev/null 2>&1 || :
	git_in "$EDIT" reset -q --hard "$tip"
	git mailinfo "$SCRATCH/message" /dev/null <"$1" >"$SCRATCH/info"
	{
		sed -n 's/^Subject: //p' "$SCRATCH/info"
		echo
		cat "$SCRATCH/message"
	} | GIT_AUTHOR_NAME=$(sed -n 's/^Author: //p' "$SCRATCH/info") GIT_AUTHOR_EMAIL=$(sed -n 's/^Email: //p' "$SCRATCH/info") \
	GIT_AUTHOR_DATE=$(sed -n 's/^Date: //p' "$SCRATCH/info") git_in "$EDIT" commit -q --allow-empty --cleanup=whitespace -F -
	commit_slug "$slug"
	echo "needs a hand: $slug: ${files:-see git am -3 $1}"
	hand="$hand $slug"
}

"$TOP/tools/lab/setup.sh"
one_run
KERNEL='' "$TOP/tools/lab/source.sh" "$FROM"
copy_base
"$TOP/tools/lab/source.sh" "$BASE"
SOURCE=$(cat "$CACHE/src/$BASE.path")
[ -z "$KERNEL" ] || printf 'tree\t\t%s\n' "$(git -C "$SOURCE" rev-parse 'refs/tags/base^{tree}')" >>"$NEW/base"

mkdir -p "$(dirname "$EDIT")" || die "cannot create $EDIT: name another folder with TREE=path"
need_space "$(dirname "$EDIT")" 3
git clone -q -s -n "$SOURCE" "$EDIT" 2>/dev/null || die "cannot clone $SOURCE to $EDIT: name another folder with TREE=path"
git -C "$EDIT" remote remove origin
# git am -3 asks for the files that the patches were made on.
echo "$(cat "$CACHE/src/$FROM.path")/.git/objects" >>"$EDIT/.git/objects/info/alternates"
git_in "$EDIT" checkout -q -B "$BASE" refs/tags/base
tip=$(git -C "$EDIT" rev-parse HEAD)
hand=
applied=0
set -- $(series_files "$FROM")
for patch; do
	apply "$patch"
done
if [ -n "$(selftest_files "$BASE")" ]; then
	selftest_patches "$EDIT" refs/tags/base "$BASE" "$SCRATCH/patches"
	for patch in "$SCRATCH"/patches/*.patch; do
		apply "$patch"
	done
fi
git -C "$EDIT" config kvm-lifecycle.state "$(project_state "$BASE")"
copy_rows
done=yes
step "patches/$BASE: linux $VERSION, $applied patches apply, $(echo "$hand" | wc -w) need a hand"
if [ -n "$hand" ]; then
	step "each of these is an empty commit in $EDIT: git rebase -i base there, edit, git apply -3 patches/$FROM/NNNN-SLUG.patch, git commit -a --amend; then make series-export BASE=$BASE"
	exit 0
fi
BASE=$BASE TREE=$EDIT "$TOP/tools/series/series-export.sh"
step "look at the tables of patches/$BASE, which are those of $FROM; then make series-twins, and make series-check BASE=$BASE"
