#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# rule.sh RULE FOLDER OUT: what a rule finds in the C files of a folder, in OUT:
# file:line: function(): what text.  Calls are followed from file to file, so all
# that may call each other has to lie in the one folder.

. "$(dirname "$0")/../lib.sh"

RULE=$1
FOLDER=$2
OUT=$3
# Older ones parse less of the kernel's C; this is what Debian 12 has.
OLDEST=1.1.1

grep -q '^// Confidence: ' "$TOP/tools/coccinelle/$RULE.cocci" 2>/dev/null ||
	die "unknown rule $RULE: choose one of tools/coccinelle/*.cocci"
have=$(spatch --version 2>/dev/null | sed -n '1s/^spatch version \([0-9.]*\).*/\1/p')
[ -n "$have" ] ||
	die "there is no Coccinelle: install coccinelle $OLDEST or newer"
[ "$(printf '%s\n' "$OLDEST" "$have" | sort -V | head -n 1)" = "$OLDEST" ] ||
	die "Coccinelle $have is too old: install $OLDEST or newer"
spatch --version | grep -qx 'Python scripting support: yes' ||
	die "this Coccinelle $have cannot run Python, in which the rules follow calls: install Debian's coccinelle, or build it with --enable-python"

# Files that a rule includes are looked for in the current folder.
cd "$TOP/tools/coccinelle"
mkdir -p "$OUT.tmp"
trap 'rm -rf "$OUT.tmp"' EXIT
trap 'exit 130' INT TERM
# Coccinelle goes on, and says that all is well, after an error in one file.
options=$(sed -n 's#^// Options: ##p' "$RULE.cocci")
if ! spatch -D report --very-quiet $options --cocci-file "$RULE.cocci" --dir "$FOLDER" \
	>"$OUT.tmp/found" 2>"$OUT.tmp/errors" </dev/null || grep -qE 'EXN|Traceback|rror:' "$OUT.tmp/errors"; then
	grep -vE '^warning: line' "$OUT.tmp/errors" | head -n 8 >&2
	die "$RULE.cocci cannot be run: see above"
fi
# file:line:from-to: without the columns, which move as easily as lines.
sed -n "s#^$FOLDER/*\([^:]*:[0-9]*\):[0-9]*-[0-9]*: #\1: #p" "$OUT.tmp/found" | sort -t: -k1,1 -k2,2n -u >"$OUT.tmp/sorted"
mv "$OUT.tmp/sorted" "$OUT"
