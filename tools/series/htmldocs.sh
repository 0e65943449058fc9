#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# htmldocs.sh: the kernel's own htmldocs of Documentation/virt/kvm give no warning with
# the series of BASE that they do not give without it.
#
#   BASE='v7.2 v7.3'   which series
#   RST=path           another locking.rst, e.g. one that is being written
#
# The pages with the series are left in results/htmldocs-BASE.

. "$(dirname "$0")/../lib.sh"

export START KERNEL="${KERNEL:-}"
BASE=${BASE:-$(default_base)}
RST=${RST:-}
each_base $BASE
check_base "$BASE"
RESULTS=$TOP/results
check_rst

get_tree "$BASE"
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
trap 'exit 130' INT TERM

# The part of a tree that htmldocs takes.  It finds Sphinx by Debian's Python.  make
# static hands several architectures on; the kernel's make takes one.
htmldocs()
{
	mkdir "$TMP/$1" &&
	git -C "$TREE" archive "refs/tags/$1" Documentation include/uapi MAINTAINERS Makefile arch/x86/Makefile \
		scripts tools | tar -xf - -C "$TMP/$1" || return
	[ "$1" = base ] || [ -z "$RST" ] || cp "$RST" "$TMP/$1/Documentation/virt/kvm/locking.rst" || return
	make -C "$TMP/$1" htmldocs ARCH=x86 SPHINXDIRS=virt/kvm PYTHON3=/usr/bin/python3
}

# A warning without the folder, the line and the messages of the kernel's make.
warnings()
{
	sed -n -e "s#^$TMP/$1/##" -e 's/:[0-9]*: \(WARNING\|ERROR\|CRITICAL\)/: \1/p' "$CACHE/logs/htmldocs-$BASE-$1.log" | sort -u
}

for variant in base series; do
	run_logged "$CACHE/logs/htmldocs-$BASE-$variant.log" htmldocs "$variant" ||
		die "htmldocs of linux $(cat "$TREE.version") fails, $variant: see $CACHE/logs/htmldocs-$BASE-$variant.log"
	warnings "$variant" >"$TMP/$variant.warnings"
done
pages=$(find "$TMP/series" -name locking.html | head -n 1)
[ -n "$pages" ] ||
	die "htmldocs has made no locking.html: see $CACHE/logs/htmldocs-$BASE-series.log"
comm -13 "$TMP/base.warnings" "$TMP/series.warnings" >"$TMP/new"
[ ! -s "$TMP/new" ] ||
	die "htmldocs has a new warning with the series: $(head -n 1 "$TMP/new"); mend the patch (log: $CACHE/logs/htmldocs-$BASE-series.log)"
mkdir -p "$RESULTS"
rm -rf "$RESULTS/htmldocs-$BASE"
cp -r "$(dirname "$pages")" "$RESULTS/htmldocs.tmp"
mv "$RESULTS/htmldocs.tmp" "$RESULTS/htmldocs-$BASE"
step "htmldocs of Documentation/virt/kvm: no new warning with the series of $BASE ($(wc -l <"$TMP/base.warnings") without it), see $RESULTS/htmldocs-$BASE"
