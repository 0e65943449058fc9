# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Shared by the tools of the topics of patches/topics: what a topic is made of, and the
# commits of one alone, on top of the topics that it depends on.

# More is for nobody to review at a time (submitting-patches.rst).
MOST=15

# begin_topics: the settings and the scratch folder that the tools of topics begin with.
# shellcheck disable=SC2034 # for the caller
begin_topics()
{
	export START
	BASE=${BASE:-$(default_base)}
	TOPIC=${TOPIC:-}
	SCRATCH=$(mktemp -d)
	trap 'rm -rf "$SCRATCH"' EXIT
	trap 'exit 130' INT TERM HUP
}

# check_posted: BASE is the one that is posted.
check_posted()
{
	check_base "$BASE"
	[ "$BASE" = "$(bases default)" ] ||
		die "BASE=$BASE is not posted: maintainers take BASE=$(bases default), and stable takes what mainline has, see Documentation/process/posting.rst"
}

# read_topics: all of them, in $SCRATCH/topics.
read_topics()
{
	results topics "$BASE" >"$SCRATCH/topics" || exit
}

# topic_get TOPIC FIELD: 2 is the tree, 3 what it depends on, 4 what it is about, and 5
# its patches; nothing for a minus.
topic_get()
{
	awk -F'\t' -v topic="$1" -v field="$2" '$1 == topic && $field != "-" { print $field }' "$SCRATCH/topics"
}

posted_topics()
{
	awk -F'\t' '$2 != "-" { print $1 }' "$SCRATCH/topics"
}

# check_topic TOPIC: there is one of this name, and it can be posted.
check_topic()
{
	[ -n "$1" ] || die "which topic?  Give TOPIC=name, one of $(posted_topics | paste -sd' ')"
	cut -f1 "$SCRATCH/topics" | grep -qxF -e "$1" ||
		die "unknown TOPIC=$1: choose from $(posted_topics | paste -sd' ')"
	[ -n "$(topic_get "$1" 2)" ] || die "$1 is not posted: $(topic_get "$1" 4)"
	_count=$(topic_get "$1" 5 | wc -w)
	[ "$_count" -gt 0 ] || die "$1 has no patch in patches/$BASE, and there is nothing to post"
	[ "$_count" -le "$MOST" ] ||
		die "$1 has $_count patches, and $MOST are the most: make two topics of it, in patches/topics and patches/changes"
	cover_get "$1" Subject | grep -q . ||
		die "patches/covers/$1 has no line 'Subject: ...': a mail needs one"
}

# cover_get TOPIC FIELD, cover_text TOPIC: of its cover letter.
cover_get()
{
	sed -n "/^\$/q; s/^$2: //p" "$TOP/patches/covers/$1"
}

cover_text()
{
	sed '1,/^$/d' "$TOP/patches/covers/$1"
}

# files_of TOPIC...: their patches, for the kernel in $TREE.
files_of()
{
	series_files "$BASE" "$(kernel_version "$TREE")" >"$SCRATCH/files"
	for _topic; do
		for _slug in $(topic_get "$_topic" 5); do
			grep -E "/([0-9]+-)?$_slug\.patch$" "$SCRATCH/files"
		done
	done
}

# borrow REPOSITORY COMMIT FOLDER: a repository of ours, whose tag "base" is this commit,
# and which has the files alone that the series changes.
borrow()
{
	_base=$(git -C "$1" rev-parse "$2^{commit}")
	git clone -q -s -n --no-tags "$1" "$3" 2>"$SCRATCH/log" ||
		die "cannot read the repository in $1: $(tail -n 1 "$SCRATCH/log")"
	git_in "$3" tag base "$_base"
	{ echo Makefile; series_paths $(series_files "$BASE"); } | sed 's#^#/#' |
		git_in "$3" sparse-checkout set --no-cone --stdin
}

# apply_topic REPOSITORY TOPIC: in the repository, on its tag "base": the tag "topic", and the
# tag "before" of the topics that it depends on.  Empty commits are what was there.
apply_topic()
{
	set -- "$1" "$2" "$(topic_get "$2" 5 | wc -w)" $(files_of $(topic_get "$2" 3) "$2")
	_repository=$1 _name=$2 _own=$3
	shift 3
	mkdir -p "$CACHE/logs"
	(git_am "$_repository" "$CACHE/logs/topic-$BASE.log" "$@" && echo "$MERGED" >"$SCRATCH/merged") 2>"$SCRATCH/why" ||
		die "$_name does not apply alone: $(sed 's/^[^ ]*: //' "$SCRATCH/why"), or name the topic that it needs in patches/topics"
	git_in "$_repository" tag -f before "HEAD~$_own" >/dev/null
	git_in "$_repository" tag -f topic >/dev/null
}

# addresses TREE OPTIONS PATCH...: of get_maintainer.pl, for all patches.
addresses()
{
	_tree=$1 _options=$2
	shift 2
	for _patch; do
		(cd "$_tree" && scripts/get_maintainer.pl --nogit --nogit-fallback --norolestats $_options "$_patch") 2>"$SCRATCH/log" ||
			die "scripts/get_maintainer.pl of $_tree fails: $(tail -n 1 "$SCRATCH/log")"
	done >"$SCRATCH/found"
	awk '!seen[$0]++' "$SCRATCH/found"
}

# get_addresses TREE PATCH...: in $SCRATCH/to the maintainers, in $SCRATCH/cc reviewers and lists.
get_addresses()
{
	_from=$1
	shift
	addresses "$_from" '--nor --nol' "$@" >"$SCRATCH/to"
	addresses "$_from" '' "$@" >"$SCRATCH/every"
	grep -vxF -f "$SCRATCH/to" "$SCRATCH/every" >"$SCRATCH/cc" || :
	for _who in to cc; do
		[ -s "$SCRATCH/$_who" ] ||
			die "scripts/get_maintainer.pl of $_from names nobody as $_who for $TOPIC: is its MAINTAINERS whole?"
	done
}
