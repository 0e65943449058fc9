#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# series-twins.sh check|update: patches of one slug, in two bases, or in a base and for
# another kernel that takes it in another form, say and do the same, or how they differ
# was looked at: that is in patches/twins/ONE..OTHER, which update writes.

. "$(dirname "$0")/../lib.sh"

ACTION=${1:-check}
RECORD=$TOP/patches/twins
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH" "$RECORD.new"' EXIT
trap 'exit 130' INT TERM HUP

# pairs: "slug file file name" for each patch and its next twin.
pairs()
{
	for base in $(bases); do
		for patch in $(series_files "$base"); do
			slug=$(slug_of "$patch")
			older=$(sed -n "s#^$slug ##p" "$SCRATCH/last")
			[ -z "$older" ] || echo "$slug $older $patch $(basename "$(dirname "$older")")..$base"
			sed -i "/^$slug /d" "$SCRATCH/last"
			echo "$slug $patch" >>"$SCRATCH/last"
			for other in "$TOP/patches/$base"/*/"$slug.patch"; do
				[ ! -f "$other" ] || echo "$slug $patch $other $base..$(basename "$(dirname "$other")")"
			done
		done
	done
}

# differences FOLDER: a file a pair of bases.
differences()
{
	mkdir -p "$1"
	: >"$SCRATCH/last"
	pairs | while read -r slug one other name; do
		awk -f "$TOP/tools/series/twins.awk" "$one" >"$SCRATCH/one"
		awk -f "$TOP/tools/series/twins.awk" "$other" >"$SCRATCH/other"
		! cmp -s "$SCRATCH/one" "$SCRATCH/other" || continue
		[ -f "$1/$name" ] || {
			echo '# SPDX-License-Identifier: GPL-2.0-only'
			echo "# How patches of one slug differ: - ${name%..*}, + ${name#*..}.  make series-twins writes this; look at it."
		} >"$1/$name"
		{
			printf '\n== %s\n' "$slug"
			diff -U0 "$SCRATCH/one" "$SCRATCH/other" | sed '1,2d; s/^@@ .* @@$/@@/'
		} >>"$1/$name"
	done
}

# changed DIFF: the patches whose record has changed, with the changes.
changed()
{
	awk '
	/^\+\+\+ /		{ name = $2; sub(/.*\//, "", name); next }
	/^(diff |--- |@@ -)/	{ next }
	/^.== /			{ slug = $2 }
	/^[-+]/ && slug		{
		if (said != name slug)
			print "== " slug " (" name ")"
		said = name slug
		print
	}' "$1"
}

rm -rf "$RECORD.new"
case $ACTION in
check)
	differences "$SCRATCH/twins"
	mkdir -p "$RECORD"
	diff -ruN -U 99999 "$RECORD" "$SCRATCH/twins" >"$SCRATCH/diff" || {
		changed "$SCRATCH/diff" >&2
		die "$(changed "$SCRATCH/diff" | sed -n 's/^== //p' | paste -sd,) differ in a way that nobody has looked at (+ is not recorded, - is no longer so): make the patches equal, or run make series-twins and look at patches/twins"
	}
	step "patches of one slug are equal, or differ as patches/twins says" ;;
update)
	differences "$RECORD.new"
	rm -rf "$RECORD"
	mv "$RECORD.new" "$RECORD"
	step "written: patches/twins; git diff shows what is to be looked at" ;;
*)	die "series-twins.sh check|update" ;;
esac
