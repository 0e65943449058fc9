#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# passed.sh STEP SETTINGS: has this step of make test passed here today, with each file of
# the repository, each package of this machine and these settings as they are?  Not so,
# with AGAIN=1.
#
# passed.sh STEP SETTINGS now: it has, if nothing has changed since it was asked for.
#
# For steps that build nothing that others use, and that keep no account of their own.

. "$(dirname "$0")/../lib.sh"

STEP=$1 SETTINGS=$2

# The archive can have another kernel tomorrow.
key_of()
{
	git_in "$TOP" ls-files -z --cached --others --exclude-standard >"$LIST" 2>/dev/null && [ -s "$LIST" ] || return
	{
		echo "$STEP $SETTINGS $(date +%F) $(id -u)"
		(cd "$TOP" && xargs -0 sha256sum 2>/dev/null <"$LIST")
		dpkg-query -W 2>/dev/null
	} | hash_of
}

LIST=$(mktemp)
trap 'rm -f "$LIST"' EXIT
trap 'exit 130' INT TERM
STAMP=$CACHE/checked/$STEP
KEY=$(key_of) || KEY=none
mkdir -p "$CACHE/checked"
if [ "${3:-}" = now ]; then
	[ "$KEY" = none ] || [ "$KEY" != "$(cat "$STAMP.begun" 2>/dev/null)" ] || touch "$STAMP-$KEY"
	rm -f "$STAMP.begun"
elif [ -z "${AGAIN:-}" ] && [ -f "$STAMP-$KEY" ]; then
	step "$STEP: it passed at $(date -r "$STAMP-$KEY" +%H:%M), and nothing has changed since (AGAIN=1 runs it again)"
else
	echo "$KEY" >"$STAMP.begun"
	exit 1
fi
