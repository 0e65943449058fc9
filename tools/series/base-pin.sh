#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# base-pin.sh: pin another release of the series of BASE, the newest one that Debian's
# archive has: its version and the SHA-256 of its files, in patches/BASE/base.  It is
# pinned if the series applies to it.
#
#   BASE=v7.3        which base
#   VERSION=7.3.5    this release (default: the newest one)

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/lab/apt.sh"

export START
BASE=${BASE:-$(default_base)}
VERSION=${VERSION:-}
each_base $BASE
check_base "$BASE"
FILE=$TOP/patches/$BASE/base
SERIES=$(base_get "$BASE" series)
case $VERSION. in
.|"$SERIES".*) ;;
*) die "VERSION=$VERSION is no $SERIES: make base-new makes a new base" ;;
esac
trap 'rm -f "$FILE.new" "$FILE.pins"' EXIT
trap 'exit 130' INT TERM HUP

"$TOP/tools/lab/setup.sh"
one_run
begins=
[ -z "$VERSION" ] || begins=$(echo "$VERSION" | sed 's/\.0-rc/~rc/; s/[.+]/\\&/g')-
set -- $(newest_kernels "$SERIES" "$begins")
[ $# -gt 0 ] || die "Debian's archive has no linux ${VERSION:-$SERIES}$(unread): nothing was changed"
version=$(kernel_of "$3")
begins=$(echo "${3%-*}" | sed 's/[.+]/\\&/g')-
if [ "$version" = "$(base_get "$BASE" version)" ]; then
	step "patches/$BASE/base pins linux $version, and Debian's archive has no newer one: nothing was changed"
	exit 0
fi
KERNEL='' NEWEST=$begins "$TOP/tools/lab/source.sh" "$BASE"
TREE=$(cat "$CACHE/src/$BASE.path")
{
	pin upstream linux "$begins"
	pin package "linux-source-$SERIES" "$begins"
} >"$FILE.pins"
[ -s "$FILE.pins" ] || die "Debian's archive does not serve linux $version now: nothing was changed (log: $APT_LOG)"
awk -v version="$version" -v pins="$FILE.pins" '
function put()
{
	while ((getline line <pins) > 0)
		print line
}
$1 == "version"				{ sub(/[^ \t]+$/, version) }
/^(upstream|package|tree)[ \t]/		{ put(); next }
					{ print }
END					{ put() }' "$FILE" >"$FILE.new"
mv "$FILE.new" "$FILE"
step "patches/$BASE/base pins linux $version: make series-check BASE=$BASE, then make lab BASE=$BASE"
[ -z "$(about_tree there)$(about_tree merged)" ] ||
	step "make series-edit BASE=$BASE and make series-export BASE=$BASE come first: they fit the patches that are named above"
