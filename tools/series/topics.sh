#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# topics.sh: does each topic of patches/topics apply alone, by git am, on top of those
# that it depends on and of no others?  And the table of them.
#
#   TOPIC='xen timers'   these alone

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/series/series.sh"
. "$TOP/tools/series/topic.sh"

begin_topics

check_posted
read_topics
TOPIC=${TOPIC:-$(posted_topics)}
for topic in $TOPIC; do
	check_topic "$topic"
done
get_tree "$BASE"
borrow "$TREE" refs/tags/base "$SCRATCH/tree"
failed=
for topic in $TOPIC; do
	(apply_topic "$SCRATCH/tree" "$topic") || { failed="$failed $topic"; continue; }
	printf '%-18s %2d  %-13s %s\n' "$topic" "$(topic_get "$topic" 5 | wc -w)" "$(topic_get "$topic" 2)" \
		"$(topic_get "$topic" 3 | sed 's/^./after &/')"
done
[ -z "$failed" ] || die "these do not apply to linux $(about_tree version):$failed"
step "git am: each topic applies to linux $(about_tree version) with those that it depends on alone"
