#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# rule.sh RULE|all FOLDER OUT: the findings of a rule, or of all, in the C files of a
# folder, in OUT: file:line: rule: function(): subject text.  Calls are followed from
# file to file, so files that may call each other have to lie in the one folder.

. "$(dirname "$0")/../lib.sh"

RULE=$1
FOLDER=$2
OUT=$3
# Older ones parse less of the kernel's C; Debian 12 has this one.
OLDEST=1.1.1

cd "$TOP/tools/coccinelle"
# The others are included by these.
all=$(grep -l '^// Confidence: ' -- *.cocci)
rules=$all
[ "$RULE" = all ] || rules=$(echo "$all" | grep -xF "$RULE.cocci") ||
	die "unknown rule $RULE: choose all, or one of $(echo "$all" | sed 's/\.cocci$//' | paste -sd' ')"
have=$(spatch --version 2>/dev/null | sed -n '1s/^spatch version \([0-9.]*\).*/\1/p')
[ -n "$have" ] ||
	die "there is no Coccinelle: install coccinelle $OLDEST or newer"
[ "$(printf '%s\n' "$OLDEST" "$have" | sort -V | head -n 1)" = "$OLDEST" ] ||
	die "Coccinelle $have is too old: install $OLDEST or newer"
spatch --version | grep -qx 'Python scripting support: yes' ||
	die "this Coccinelle $have cannot run Python, in which the rules follow calls: install Debian's coccinelle, or build it with --enable-python"

mkdir -p "$OUT.tmp"
trap 'rm -rf "$OUT.tmp"' EXIT
trap 'exit 130' INT TERM
# As one, so that the C is parsed, and the calls are looked at, once for all.
{
	printf 'virtual org\nvirtual report\n'
	cat finding.cocci callgraph.cocci
	sed -e '/^virtual /d' -e '/^#include /d' $rules
} >"$OUT.tmp/rules.cocci"
# Coccinelle goes on, and says that all is well, after an error in one file.
if ! spatch -D report --very-quiet --no-includes --include-headers --cocci-file "$OUT.tmp/rules.cocci" --dir "$FOLDER" \
	>"$OUT.tmp/found" 2>"$OUT.tmp/errors" </dev/null || grep -qE 'EXN|Traceback|rror:' "$OUT.tmp/errors"; then
	grep -vE '^warning: line' "$OUT.tmp/errors" | head -n 8 >&2
	die "the rules cannot be run ($RULE): see above"
fi
# file:line:from-to: without the columns, which move as easily as lines.
sed -n "s#^$FOLDER/*\([^:]*:[0-9]*\):[0-9]*-[0-9]*: #\1: #p" "$OUT.tmp/found" | sort -u | sort -t: -k1,1 -k2,2n >"$OUT.tmp/sorted"
mv "$OUT.tmp/sorted" "$OUT"
