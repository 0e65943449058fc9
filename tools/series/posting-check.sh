#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# posting-check.sh: is a topic of patches/topics fit to be posted?  It is no more than a
# reader takes, keeps the rules of stable where it asks for stable, has somebody to be sent
# to, and series-check.sh has nothing to say of its patches: it compiles them one by one, on
# top of those that it depends on and of no others.
#
#   TOPIC=name      which topic
#   ARCH, COMPILERS as of series-check.sh
#   RESULTS=folder  instead, the mails of make posting, once the sender has finished them:
#                   no place is left, each is signed by its author and goes to somebody

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/series/series.sh"
. "$TOP/tools/series/topic.sh"

begin_topics
MAILS=${RESULTS:-}

# stable-kernel-rules.rst: so many lines, with context.
STABLE=100

check_stable()
{
	for _patch in $(files_of "$TOPIC"); do
		sed '/^---$/q' "$_patch" | grep -qi '^Cc:.*stable@' || continue
		_lines=$(sed -n '/^diff --git /,$p' "$_patch" | wc -l)
		[ "$_lines" -le "$STABLE" ] ||
			die "$(slug_of "$_patch") asks for stable and has $_lines lines with context, $STABLE are the most: make it smaller, or drop its Cc: stable"
		sed '/^---$/q' "$_patch" | grep -q '^Fixes: ' ||
			die "$(slug_of "$_patch") asks for stable and has no Fixes: stable cannot tell which kernels need it"
	done
	step "stable: $STABLE lines at most, and Fixes:, where it is asked for"
}

# header FILE NAME: of a mail, the lines of a header as one.
header()
{
	awk -v name="$2: " '/^$/ { exit } /^[^ \t]/ { mine = index($0, name) == 1; if (mine) $0 = substr($0, length(name) + 1) } mine' "$1" |
		tr -s ' \t\n' ' ' | sed 's/ $//'
}

check_mails()
{
	[ -d "$MAILS" ] || die "RESULTS=$MAILS is no folder: name one that make posting has made"
	[ -n "$(find "$MAILS" -maxdepth 1 -name '0000-cover-letter.patch' -o -maxdepth 1 -name '*-0000-cover-letter.patch')" ] ||
		die "RESULTS=$MAILS has no cover letter: name a folder that make posting has made"
	for _mail in "$MAILS"/*.patch; do
		_name=${_mail##*/}
		for _field in From To Cc Subject; do
			[ -n "$(header "$_mail" $_field)" ] || die "$_name has no $_field: make the mails again"
		done
		! header "$_mail" From | grep -q '@localhost' ||
			die "$_name is from '$(header "$_mail" From)', who is nobody: its author is the one who signs it"
		! header "$_mail" Subject | grep -qF '***' || die "$_name has *** in its subject: finish the cover letter, and take it out"
		_left=$(grep -m 1 '^\*\*\* ' "$_mail" || :)
		[ -z "$_left" ] || die "$_name has a place that is left to the sender: $_left"
		case $_name in
		*0000-cover-letter.patch)
			grep -qE '^base-commit: [0-9a-f]{40}' "$_mail" ||
				die "$_name has no base-commit: make the mails with TREE=/path/to/the/maintainers/tree" ;;
		*)	sed '/^---$/q' "$_mail" | grep -qxF "Signed-off-by: $(header "$_mail" From)" ||
				die "$_name is not signed by its author, $(header "$_mail" From): git interpret-trailers --in-place --trailer does it" ;;
		esac
	done
	step "$MAILS: nothing is left to do but to send them, git send-email --dry-run first"
}

if [ -n "$MAILS" ]; then
	check_mails
	exit
fi
check_posted
read_topics
check_topic "$TOPIC"
get_tree "$BASE"
check_stable
get_addresses "$TREE" $(files_of "$TOPIC")
step "get_maintainer.pl: $(wc -l <"$SCRATCH/to") maintainers, $(wc -l <"$SCRATCH/cc") reviewers and lists"
borrow "$TREE" refs/tags/base "$SCRATCH/tree"
apply_topic "$SCRATCH/tree" "$TOPIC"
step "git am: $TOPIC applies to linux $(about_tree version) with those that it depends on alone"
rm -rf "$SCRATCH"
BASE=$BASE TOPIC=$TOPIC KERNEL='' exec "$TOP/tools/series/series-check.sh"
