#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# series-export.sh: write back a series that tools/series/series-edit.sh has laid out
# as commits: the fixes to patches/BASE, the selftests to tools/testing and
# patches/selftests.  A commit is a fix or a selftest by the files that it changes, at
# any place.  Nothing is replaced before all of it is written.
#
#   BASE=v7.3     which series
#   TREE=path     where it is (default: edit/BASE in the cache)

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/series/series.sh"

BASE=${BASE:-$(default_base)}
check_base "$BASE"
EDIT=${TREE:-$CACHE/edit/$BASE}
SCRATCH=$(mktemp -d)
NEW=$TOP/patches/.$BASE.new NEW_ENTRIES=$TOP/patches/.selftests.new NEW_TESTS=$TOP/${SELFTESTS%/*}/.kvm.new
trap 'rm -rf "$SCRATCH" "$NEW" "$NEW_ENTRIES" "$NEW_TESTS"' EXIT
trap 'exit 130' INT TERM HUP

edit()
{
	git -C "$EDIT" "$@"
}

check_edit()
{
	state=$(git -C "$EDIT" config kvm-lifecycle.state 2>/dev/null) ||
		die "TREE=$EDIT was not made by make series-edit: run that first"
	version=$(base_get "$BASE" version)
	pin=$(edit rev-parse -q --verify 'refs/tags/base^{commit}' || echo HEAD)
	edit show "$pin:Makefile" >"$SCRATCH/Makefile"
	[ "$(kernel_version "$SCRATCH")" = "$version" ] ||
		die "TREE=$EDIT is not linux $version, which patches/$BASE/base pins: is it the tree of another base?"
	edit merge-base --is-ancestor "$pin" HEAD ||
		die "HEAD of TREE=$EDIT is not based on the tag base, i.e. on linux $version: git rebase --onto base"
	for tree in "$CACHE/src/$BASE" $(base_get "$BASE" tree); do
		case $tree in
		/*)	[ "$(cat "$tree.version" 2>/dev/null)" = "$version" ] || continue
			tree=$(git -C "$tree" rev-parse 'refs/tags/base^{tree}') ;;
		esac
		[ "$tree" = "$(edit rev-parse "$pin^{tree}")" ] ||
			die "the tag base of TREE=$EDIT is not the linux $version that patches/$BASE/base pins: run make series-edit again"
	done
	check_idle TREE "$EDIT"
	[ "$state" = "$(project_state "$BASE")" ] ||
		die "patches/$BASE or the selftests have changed since make series-edit made $EDIT: run that again with another TREE, and git cherry-pick your commits there"
	[ -z "$(edit rev-list --merges "$pin..HEAD")" ] ||
		die "TREE=$EDIT has a merge: a series is a line of commits, git rebase base makes one"
}

# say COMMIT: as an error names it.
say()
{
	edit log -1 --format='%h ("%s")' "$1"
}

# without_selftests COMMIT: the tree of a fix as if no selftest came before it.
without_selftests()
{
	have=$(edit rev-parse -q --verify "$1:$SELFTESTS" || :)
	want=$(edit rev-parse -q --verify "$pin:$SELFTESTS" || :)
	if [ "$have" = "$want" ]; then
		edit rev-parse "$1^{tree}"
		return
	fi
	in_index "$EDIT" read-tree "$1"
	[ -z "$have" ] || in_index "$EDIT" rm -r -q -f --cached "$SELFTESTS"
	[ -z "$want" ] || in_index "$EDIT" read-tree --prefix="$SELFTESTS/" "$want"
	in_index "$EDIT" write-tree
}

# Each commit is a line of "fixes" or of "selftests": itself and its slug.
sort_commits()
{
	: >"$SCRATCH/fixes"
	: >"$SCRATCH/selftests"
	for commit in $(edit rev-list --reverse "$pin..HEAD"); do
		slug=$(slug_in "$EDIT" "$commit")
		[ -n "$slug" ] ||
			die "commit $(say "$commit") has no slug: give it one that is short and stays, with a line 'Slug: some-name' at the end of its message (git rebase -i, reword)"
		case $slug in
		*[!a-z0-9-]*|-*|*-)	die "commit $(say "$commit"): the slug '$slug' is not made of a-z, 0-9 and - between them" ;;
		esac
		! cut -d' ' -f2 "$SCRATCH/fixes" "$SCRATCH/selftests" | grep -qx -e "$slug" ||
			die "two commits have the slug $slug, one of them $(say "$commit"): give it another one, or make one commit of both"
		edit diff-tree --no-commit-id --name-only -r "$commit" >"$SCRATCH/paths"
		[ -s "$SCRATCH/paths" ] ||
			die "commit $(say "$commit") is empty: its change is still to be made there (git rebase -i base, edit), or it is to go (drop)"
		if ! grep -q "^$SELFTESTS/" "$SCRATCH/paths"; then
			echo "$commit $slug" >>"$SCRATCH/fixes"
		elif ! grep -qv "^$SELFTESTS/" "$SCRATCH/paths"; then
			echo "$commit $slug" >>"$SCRATCH/selftests"
		else
			die "commit $(say "$commit") changes selftests and other files: make two commits of it"
		fi
	done
}

write_fixes()
{
	rm -rf "$NEW"
	cp -r "$TOP/patches/$BASE" "$NEW"
	rm -f "$NEW"/[0-9]*.patch
	tip=$pin
	while read -r commit slug; do
		tip=$(without_slug "$EDIT" "$commit" | recommit "$EDIT" "$commit" "$tip" "$(without_selftests "$commit")")
	done <"$SCRATCH/fixes"
	cut -d' ' -f2 "$SCRATCH/fixes" | write_patches "$EDIT" "$pin..$tip" "$NEW"
	for other in "$NEW"/*/*.patch; do
		[ ! -f "$other" ] || cut -d' ' -f2 "$SCRATCH/fixes" | grep -qx "$(slug_of "$other")" ||
			die "patches/$BASE/${other#"$NEW"/} is for another kernel, and there is no commit with this slug any more: remove the file"
	done
}

# lines_of COMMIT: its lines of Makefile.kvm, in the form of an entry, with the program
# that each line comes after, if it is not where it would be without.
lines_of()
{
	edit show "$1^:$MAKEFILE" >"$SCRATCH/before"
	edit show "$1:$MAKEFILE" >"$SCRATCH/after"
	diff "$SCRATCH/before" "$SCRATCH/after" | sed -n 's/^> //p' >"$SCRATCH/added"
	! diff "$SCRATCH/before" "$SCRATCH/after" | grep -vqE '^(> [A-Z_a-z0-9]+ \+= [^ ]+|[0-9,]+a[0-9,]+)$' ||
		die "commit $(say "$1") changes more of $MAKEFILE than to add 'VARIABLE += program' to it: a patch of the selftests adds lines"
	sed 's/^/Make: /' "$SCRATCH/added" >"$SCRATCH/lines"
	add_lines "$SCRATCH/lines" "$SCRATCH/before" 2>/dev/null | cmp -s - "$SCRATCH/after" ||
	awk 'NR == FNR { added[$0] = 1; next } $0 in added { print "Make: " $0 " after " previous } { previous = $3 }' \
		"$SCRATCH/added" "$SCRATCH/after" >"$SCRATCH/lines"
	add_lines "$SCRATCH/lines" "$SCRATCH/before" 2>/dev/null | cmp -s - "$SCRATCH/after" ||
		die "commit $(say "$1") puts lines in places of $MAKEFILE that are not behind one of the same variable: move them"
	cat "$SCRATCH/lines"
}

# The old entry's lines stay as they are where they still say the same.
same_lines()
{
	[ -f "$1" ] && add_lines "$1" "$SCRATCH/before" 2>/dev/null | cmp -s - "$SCRATCH/after"
}

write_selftests()
{
	rm -rf "$NEW_ENTRIES" "$NEW_TESTS"
	mkdir -p "$NEW_ENTRIES" "$NEW_TESTS"
	[ ! -f "$TOP/$SELFTESTS/$NOT_CARRIED" ] || cp "$TOP/$SELFTESTS/$NOT_CARRIED" "$NEW_TESTS/"
	number=0
	while read -r commit slug; do
		number=$((number + 1))
		entry=$NEW_ENTRIES/$(printf '%04d' $number)-$slug
		edit diff-tree --no-commit-id --name-only -r "$commit" >"$SCRATCH/paths"
		{
			echo 'SPDX-License-Identifier: GPL-2.0-only'
			edit log -1 --format='From: %an <%ae>%nDate: %aD%nSubject: %s' "$commit"
		} >"$entry"
		found=
		while read -r path; do
			file=${path#"$SELFTESTS"/}
			[ "$path" != "$MAKEFILE" ] || continue
			! edit cat-file -e "$pin:$path" 2>/dev/null ||
				die "commit $(say "$commit") changes $path, which is the kernel's own: a patch of the selftests adds files"
			edit cat-file -e "HEAD:$path" 2>/dev/null || continue
			[ ! -e "$NEW_TESTS/$file" ] || continue
			mkdir -p "$(dirname "$NEW_TESTS/$file")"
			edit cat-file blob "HEAD:$path" >"$NEW_TESTS/$file"
			echo "File: $file" >>"$entry"
			found=yes
		done <"$SCRATCH/paths"
		if grep -qxF "$MAKEFILE" "$SCRATCH/paths"; then
			lines_of "$commit" >"$SCRATCH/said"
			old=$(find "$TOP/patches/selftests" -name "[0-9][0-9][0-9][0-9]-$slug")
			if same_lines "$old"; then grep '^Make: ' "$old"; else cat "$SCRATCH/said"; fi >>"$entry"
			found=yes
		fi
		[ -n "$found" ] ||
			die "commit $(say "$commit") only changes files that commits before it bring: put it into these (git rebase -i base, fixup)"
		{
			echo
			without_slug "$EDIT" "$commit" | sed 1,2d
		} >>"$entry"
	done <"$SCRATCH/selftests"
}

# put NEW OLD: one folder in the place of another.
put()
{
	mv "$2" "$1.old"
	mv "$1" "$2"
	rm -rf "$1.old"
}

check_edit
sort_commits
own=$(tests_base "$BASE")
[ "$own" = "$BASE" ] || [ ! -s "$SCRATCH/selftests" ] ||
	die "the selftests of $BASE are built in the tree of $own: commit $(say "$(head -n 1 "$SCRATCH/selftests" | cut -d' ' -f1)") is to be made there (make series-edit BASE=$own)"
write_fixes
[ "$own" != "$BASE" ] || write_selftests
put "$NEW" "$TOP/patches/$BASE"
[ "$own" != "$BASE" ] || {
	put "$NEW_ENTRIES" "$TOP/patches/selftests"
	put "$NEW_TESTS" "$TOP/$SELFTESTS"
}
edit config kvm-lifecycle.state "$(project_state "$BASE")"
step "written: $(wc -l <"$SCRATCH/fixes") patches of patches/$BASE, $(wc -l <"$SCRATCH/selftests") of patches/selftests"
