#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# posting.sh: the mails of one topic of patches/topics, as a folder of results/.  Nothing
# is sent, and nothing is signed: both are up to the sender, and what only the sender can
# know has a place in the cover letter, which begins with ***.
#
#   TOPIC=name   which topic
#   TREE=path    the maintainers' kernel tree, in git: the mails are made for its HEAD.
#                Without it they are made for the pinned kernel, to be read: a
#                tarball is no commit that a maintainer knows.
#
# The mails are git's.  b4 0.12 ("b4 prep --format-patch") leaves out To and Cc, does not
# name the patches that a base lacks, and has range-diffs on the screen alone.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/series/series.sh"
. "$TOP/tools/series/topic.sh"

begin_topics
SOURCE=${TREE:-}
OUT=$(new_results "posting-$TOPIC")
POSTED=$TOP/patches/posted
trap 'rm -rf "$SCRATCH" "$OUT.tmp"' EXIT

# The project's commit says later what was posted.
check_project()
{
	project=$(git -C "$TOP" rev-parse -q --verify HEAD 2>/dev/null) ||
		die "$TOP is no git repository, and a posting names the commit that it was made of: clone the project with git"
	_dirty=$(git -C "$TOP" status --porcelain patches | head -n 3 | cut -c4- | paste -sd' ')
	[ -z "$_dirty" ] || die "patches/ has changes that are not committed ($_dirty), and a posting names the commit that it was made of: commit them first"
}

# get_source: in $SOURCE and $commit, what the mails are made for.
get_source()
{
	if [ -z "$SOURCE" ]; then
		get_tree "$BASE"
		SOURCE=$TREE commit=refs/tags/base known=
		version=$(about_tree version)
		return
	fi
	TREE=$SOURCE
	check_tree
	SOURCE=$TREE commit=HEAD known=yes
	[ -n "$(git -C "$SOURCE" for-each-ref --count=1 --contains HEAD refs/remotes refs/tags)" ] ||
		die "HEAD of TREE=$SOURCE is in no branch that was fetched, nor in a tag: nobody else knows it as a base; check out $(topic_get "$TOPIC" 2)"
}

# leave_out: the empty commits, of the patches in $there.
leave_out()
{
	there='' _before=$(git -C "$REPO" rev-parse refs/tags/before) _new_before=$pin _tip=$pin
	for _commit in $(git -C "$REPO" rev-list --reverse "$pin..refs/tags/topic"); do
		_content=$(git -C "$REPO" rev-parse "$_commit^{tree}")
		if [ "$_content" = "$(git -C "$REPO" rev-parse "$_commit^^{tree}")" ]; then
			there="$there $(git -C "$REPO" log -1 --format=%s "$_commit")"
		else
			_tip=$(git -C "$REPO" log -1 --format=%B "$_commit" | recommit "$REPO" "$_commit" "$_tip" "$_content")
		fi
		[ "$_commit" != "$_before" ] || _new_before=$_tip
	done
	git_in "$REPO" tag -f before "$_new_before" >/dev/null
	git_in "$REPO" tag -f topic "$_tip" >/dev/null
}

# The row of the last posting in patches/posted.
last_posting()
{
	[ ! -f "$POSTED" ] || awk -F'\t' -v topic="$TOPIC" '$1 == topic' "$POSTED" | tail -n 1
}

# range_diff ROW: in $old, the commit of the last posting, on those of other topics.
range_diff()
{
	old='' old_why=''
	[ -n "$1" ] || return 0
	_old_commit=$(echo "$1" | cut -f4)
	_old_base=$(echo "$1" | cut -f3)
	mkdir "$SCRATCH/old"
	git -C "$TOP" archive "$_old_commit" patches 2>"$SCRATCH/log" | tar -x -C "$SCRATCH/old" 2>/dev/null ||
		die "patches/posted names commit $_old_commit, which the project does not have: $(tail -n 1 "$SCRATCH/log")"
	_files=$(awk -F'\t' -v topic="$TOPIC" '$2 == topic { print $1 }' "$SCRATCH/old/patches/changes" | while read -r _slug; do
		ls "$SCRATCH/old/patches/$_old_base"/[0-9]*-"$_slug.patch" 2>/dev/null || :
	done | sort)
	[ -n "$_files" ] || die "patches/posted has a posting of $TOPIC, and commit $_old_commit of the project has no such patches"
	git_in "$REPO" tag -f base before >/dev/null
	if (git_am "$REPO" "$CACHE/logs/topic-$BASE.log" $_files) 2>"$SCRATCH/why"; then
		old=$(git -C "$REPO" rev-parse HEAD)
	else
		old_why=$(sed 's/^[^ ]*: //' "$SCRATCH/why")
	fi
	git_in "$REPO" tag -f base "$pin" >/dev/null
}

# proved: "patch host test" of the proofs in patches/proved that are of this topic as it is now.
proved()
{
	results proofs "$BASE" | while read -r _slug _host _test; do
		case " $(topic_get "$TOPIC" 5) " in *" $_slug "*) ;; *) continue ;; esac
		! cut -f1-3 "$TOP/patches/proved" 2>/dev/null | grep -qxF "$BASE	$_host	$_slug" || echo "$_slug $_host $_test"
	done >"$SCRATCH/proofs"
	[ -s "$SCRATCH/proofs" ] || return 0
	CHANGED=list HOST=$(cut -d' ' -f2 "$SCRATCH/proofs" | sort -u | paste -sd' ') ARCH='' KERNEL='' \
	PATCH=$(cut -d' ' -f1 "$SCRATCH/proofs" | uniq | paste -sd' ') "$TOP/tools/lab/lab-patches.sh" >"$SCRATCH/changed" ||
		die "lab-patches.sh cannot tell which proofs are of the patches as they are now: see above"
	while read -r _slug _host _test; do
		cut -f2,3 "$SCRATCH/changed" | grep -qxF "$_host	$_slug" || echo "$_slug $_host $_test"
	done <"$SCRATCH/proofs"
}

# text: lines as a mail has them; those after the first begin with $1.
text()
{
	fold -s -w 72 | sed "s/ *\$//; 2,\$s/^/${1:-}/"
}

# What was tested, and what was not, by the tables of the project alone.
say_results()
{
	proved >"$SCRATCH/proved"
	echo 'Results'
	echo '-------'
	if [ -s "$SCRATCH/proved" ]; then
		echo "In emulated hosts (QEMU TCG), linux $(base_get "$BASE" version): the test fails on the kernel before the patch, and passes on the one with it." | text
		sed 's/^\([^ ]*\) \([^ ]*\) \(.*\)$/- \1: \3 (host \2)/' "$SCRATCH/proved"
		echo
	fi
	echo 'Not tested:'
	echo '- hardware: nothing was run on it'
	results unproved "$BASE" >"$SCRATCH/unproved"
	unrecorded=
	for _slug in $(topic_get "$TOPIC" 5); do
		! cut -d' ' -f1 "$SCRATCH/proved" | grep -qxF "$_slug" || continue
		_why=$(awk -F'\t' -v slug="$_slug" '$1 == slug && $4 != "-" { print $4 }' "$TOP/patches/changes")
		if [ -n "$_why" ]; then
			echo "- $_slug: $_why" | text '  '
		elif ! grep -qxF "$_slug" "$SCRATCH/unproved"; then
			unrecorded="$unrecorded $_slug"
		fi
	done
	[ -z "$unrecorded" ] || echo "- no proof is recorded for these as they are now:$unrecorded" | text '  '
}

say_cover()
{
	echo "*** SUBJECT HERE *** $(cover_get "$TOPIC" Subject)"
	echo
	cover_text "$TOPIC"
	echo
	if [ -n "$(topic_get "$TOPIC" 3)" ]; then
		echo 'This goes on top of, in this order:'
		for _topic in $(topic_get "$TOPIC" 3); do
			echo "- \"$(cover_get "$_topic" Subject)\" ($(topic_get "$_topic" 5 | wc -w))"
		done
		echo
	fi
	say_results
	echo
	if [ -n "$old_why" ]; then
		echo "*** CHANGES since v$last: say in words what has changed.  There is no range-diff, as the last posting does not apply here: $old_why" | text '\*\*\* '
		echo
	elif [ -n "$last" ]; then
		echo "*** CHANGES since v$last: say in words what the range-diff below shows, and who asked for it." | text '\*\*\* '
		echo
	fi
	cat <<-END
	*** TOOLS: the sender says here what Documentation/process/generated-content.rst
	*** asks for: which tools, given which input, made which part of this, and how
	*** it was tested; and adds Assisted-by: where coding-assistants.rst wants it.
	END
	[ -n "$known" ] || cat <<-END

	*** BASE: these mails are made for linux $version of Debian's archive, which is no
	*** commit of $(topic_get "$TOPIC" 2): make them again with TREE=/path/to/that/tree.
	END
}

write_mails()
{
	version_of=${last:+-v$((last + 1))}
	say_cover >"$SCRATCH/cover"
	git_in "$REPO" checkout -q -B topic-branch refs/tags/topic
	git_in "$REPO" config branch.topic-branch.description "$(cat "$SCRATCH/cover")"
	mkdir -p "$OUT.tmp"
	set -- --cover-letter --cover-from-description=subject --subject-prefix="$(cover_get "$TOPIC" Prefix | grep . || echo PATCH)" \
		--stat=72 --no-signature -o "$OUT.tmp" $version_of
	while read -r _address; do
		set -- "$@" --to="$_address"
	done <"$SCRATCH/to"
	while read -r _address; do
		set -- "$@" --cc="$_address"
	done <"$SCRATCH/cc"
	[ -z "$known" ] || set -- "$@" --base="$pin"
	[ -z "$old" ] || set -- "$@" --range-diff="refs/tags/before..$old"
	git_in "$REPO" format-patch -q "$@" refs/tags/before..topic-branch >"$SCRATCH/log" 2>&1 ||
		die "git format-patch fails: $(tail -n 1 "$SCRATCH/log")"
	printf '%s\t%s\t%s\t%s\tDATE\tMESSAGE-ID\n' "$TOPIC" "$((${last:-0} + 1))" "$BASE" "$project" >"$OUT.tmp/posted"
}

check_posted
read_topics
check_topic "$TOPIC"
check_project
get_source
REPO=$SCRATCH/tree
borrow "$SOURCE" "$commit" "$REPO"
pin=$(git -C "$REPO" rev-parse refs/tags/base)
apply_topic "$REPO" "$TOPIC"
leave_out
GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_CONFIG_GLOBAL GIT_CONFIG_NOSYSTEM
[ "$(git -C "$REPO" rev-parse topic)" != "$(git -C "$REPO" rev-parse before)" ] ||
	die "linux $version has all patches of $TOPIC already: there is nothing to post"
git -C "$REPO" format-patch -q -N -o "$SCRATCH/plain" refs/tags/before..refs/tags/topic
get_addresses "$SOURCE" "$SCRATCH"/plain/*
row=$(last_posting)
last=$(echo "$row" | cut -f2)
range_diff "$row"
write_mails
mv "$OUT.tmp" "$OUT"
[ -z "$there" ] || step "left out, as linux $version has them:$there"
[ ! -s "$SCRATCH/merged" ] || [ -z "$(cat "$SCRATCH/merged")" ] || step "git am -3 alone applies$(cat "$SCRATCH/merged"): read these mails with care"
step "$(find "$OUT" -name '*.patch' | wc -l) mails, for $(wc -l <"$SCRATCH/to") maintainers and $(wc -l <"$SCRATCH/cc") others, for linux $version: $OUT"
step "left to the sender: $(grep -h '^\*\*\* [A-Z]*[: ]' "$OUT"/*cover-letter.patch | cut -d' ' -f2 | tr -d : | paste -sd' ' | sed 's/^/the places *** /'), the author, and the signature"
