#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# am.sh: put the series on a kernel tree of your own: git am on its current
# branch, with its own settings and hooks.
#
#   TREE=path    the tree; its version says which series
#   BASE=v7.3    this series, for any version
#
# All is decided before the tree is touched, on an index and an object store
# of our own: which patches are there already, and whether the others apply.
# Where they do not, or when git am fails after all, the tree is as it was.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/series/series.sh"

TREE=${TREE:-}
BASE=${BASE:-}
SCRATCH=$(mktemp -d)
touched=

leave()
{
	if [ -n "$touched" ]; then
		tree am --abort >/dev/null 2>&1 || :
		[ "$(tree rev-parse HEAD)" = "$head" ] || tree reset -q --keep "$head"
	fi
	rm -rf "$SCRATCH"
}
trap leave EXIT
trap 'exit 130' INT TERM HUP

# trial INDEX ARGS...: git on a trial index, which leaves no trace in the tree.
trial()
{
	_index=$SCRATCH/$1
	shift
	GIT_INDEX_FILE=$_index GIT_OBJECT_DIRECTORY=$SCRATCH/objects \
	GIT_ALTERNATE_OBJECT_DIRECTORIES="\"$objects\"" git -C "$TREE" "$@"
}

choose_series()
{
	[ -z "$BASE" ] || check_base "$BASE"
	BASE=${BASE:-$(base_for "$version")} ||
		die "TREE=$TREE is $version and the series are for $(for base in $(bases); do base_get "$base" series; done | paste -sd' '): give such a tree, or try one of them all the same with BASE=$(default_base)"
}

check_state()
{
	check_idle TREE "$TREE"
	tree var GIT_COMMITTER_IDENT >/dev/null 2>&1 ||
		die "git does not know who commits: set it with git config --global user.name '...' and git config --global user.email '...'"
}

# The IDs of the patches that the last commits to these files made.
known_ids()
{
	[ -f "$SCRATCH/ids" ] || {
		# Some releases of mainline: more would take minutes.
		old=$(tree rev-list --skip=50000 --max-count=1 HEAD)
		series_paths $(series_files "$BASE" "$version") | {
			set -- "${old:+$old..}HEAD" --
			while read -r path; do
				set -- "$@" "$path"
			done
			tree rev-list --no-merges "$@"
		} | tree diff-tree --stdin -p | tree patch-id --stable | cut -d' ' -f1 >"$SCRATCH/ids"
	}
	cat "$SCRATCH/ids"
}

# $there: the patches that the tree has.  $missing: those that apply, in order.
plan()
{
	mkdir "$SCRATCH/objects"
	objects=$(cd "$TREE" && cd "$(git rev-parse --git-path objects)" && pwd)
	trial have read-tree HEAD
	cp "$SCRATCH/have" "$SCRATCH/want"

	there=$(there_already "$BASE" "$version" trial have | paste -sd' ')

	missing=
	for patch in $(series_files "$BASE" "$version"); do
		slug=$(slug_of "$patch")
		case " $there " in
		*" $slug "*)
			echo "there already: $slug"
			continue ;;
		esac
		if trial want apply --cached "$SCRATCH/$slug" 2>"$SCRATCH/log"; then
			missing="$missing $patch"
		elif known_ids | grep -qxF "$(tree patch-id --stable <"$SCRATCH/$slug" | cut -d' ' -f1)"; then
			echo "there already, and changed since: $slug"
		else
			die "$slug does not apply to $version in TREE=$TREE: $(am_reason "$SCRATCH/log"); nothing was changed"
		fi
	done
	plan_selftests
}

# The selftests, on top of the tree as it will be then.
plan_selftests()
{
	for entry in $(selftest_files "$BASE"); do
		slug=$(slug_of "$entry")
		set --
		for file in $(carried "$entry"); do
			[ "$(trial want rev-parse -q --verify ":$SELFTESTS/$file")" = "$(git hash-object --no-filters "$TOP/$SELFTESTS/$file")" ] ||
				! trial want rev-parse -q --verify ":$SELFTESTS/$file" >/dev/null || set -- "$@" "$SELFTESTS/$file"
		done
		if [ $# -gt 0 ]; then
			tree log --format=%s -- "$@" | grep -qxF "$(sed -n 's/^Subject: //p;/^$/q' "$entry")" ||
				die "$slug does not apply to $version in TREE=$TREE: $1 (there is such a file already); nothing was changed"
			echo "there already, and changed since: $slug"
			continue
		fi
		selftest_patch "$entry" "$SCRATCH/${entry##*/}.patch" trial want
		if [ -s "$SCRATCH/${entry##*/}.patch" ]; then
			missing="$missing $SCRATCH/${entry##*/}.patch"
		else
			echo "there already: $slug"
		fi
	done
}

check_tree
choose_series
check_state
branch=$(tree symbolic-ref -q --short HEAD || echo 'detached HEAD')
echo "patches/$BASE on linux $version in $TREE ($branch)"
plan
set -- $missing
if [ $# -gt 0 ]; then
	touched=yes
	tree am -q "$@" >"$SCRATCH/log" 2>&1 || {
		cat "$SCRATCH/log" >&2
		die "git am failed (its words are above), and TREE=$TREE is as it was"
	}
	touched=
fi
echo "applied: $# of $({ series_files "$BASE" "$version"; selftest_files "$BASE"; } | wc -l) patches"
