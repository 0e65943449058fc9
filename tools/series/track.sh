#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# track.sh: what the series make of the kernels that Debian has today: of each
# linux-source of a series that has a base, the newest version in each suite.
#
#   BASE='v6.12 v7.3'   which series (default: all)
#   COMPILE=1           does KVM compile for x86-64 as well
#
# The table is printed, and is in results/track.json and Documentation/process/track.rst.
# What was seen before is not looked at again: the key is the package, the patches, and
# the compiler.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/lab/apt.sh"
. "$TOP/tools/series/series.sh"

export START
ALL=${BASE:-$(bases | paste -sd' ')}
COMPILE=${COMPILE:-}
PAGE=$TOP/Documentation/process/track.rst
for base in $ALL; do
	check_base "$base"
done
WORK=$(mktemp -d)
TREE=$CACHE/src/track
LOG=$CACHE/logs/track.log
SCRATCH=$WORK/scratch
trap 'rm -rf "$WORK" "$TREE"' EXIT
trap 'exit 130' INT TERM HUP

# "BASE PACKAGE VERSION SUITE" of each.
found()
{
	for base in $ALL; do
		package=linux-source-$(base_get "$base" series)
		for suite in $(suites); do
			read_suite "$suite" || continue
			version=$(versions package "$package" "$suite" | sort -uV | tail -n 1)
			[ -z "$version" ] || echo "$base $package $version $suite"
		done
	done
}

# compiles: KVM for x86-64, in the tree with the series.
compiles()
{
	arch_env x86
	OBJ=$TREE.obj CONFIG=$(config_files "$BASE" x86)
	rm -rf "$OBJ"
	mkdir "$OBJ"
	cat $CONFIG >"$OBJ.config"
	_status=0
	{ kmake x86 "$TREE" "$OBJ" KCONFIG_ALLCONFIG="$OBJ.config" allnoconfig &&
	  kmake x86 "$TREE" "$OBJ" $FOLDERS; } >>"$LOG" 2>&1 </dev/null || _status=1
	rm -rf "$OBJ" "$OBJ.config"
	return $_status
}

# Only the files that the series changes are unpacked, unless they are compiled.
unpack_some()
{
	rm -rf "$TREE"
	mkdir -p "$TREE" "$SCRATCH"
	if [ -n "$COMPILE" ]; then
		need_space "$CACHE" 4
		unpack package "$TREE"
		return
	fi
	{ echo Makefile; series_paths $(series_files "$BASE") "$TOP/patches/$BASE"/*/*.patch 2>/dev/null; } | sed 's#^#*/#' >"$WORK/list"
	# tar also complains of the files that the series adds.
	unpack package "$TREE" --wildcards --no-wildcards-match-slash -T "$WORK/list" 2>/dev/null || :
}

try()
{
	version=$(kernel_version "$TREE")
	rm -rf "$SCRATCH"
	mkdir "$SCRATCH"
	git_am "$TREE" "$LOG" $(planned "$BASE" "$version" "$TREE")
	set -- $(planned_there) $THERE
	echo "$*" >"$WORK/there"
	set -- $MERGED
	echo "$*" >"$WORK/merged"
}

# look BASE NAME VERSION: in $row, all that a row of the table has, separated by tabs.
look()
{
	BASE=$1
	key=$CACHE/checked/track-$( {
		echo "$2 $3 $COMPILE"
		cat $(series_files "$BASE") "$TOP/patches/$BASE"/*/*.patch 2>/dev/null || :
		[ -z "$COMPILE" ] || { cat $(config_files "$BASE" x86); gcc --version; }
		cat "$0"
	} | hash_of)
	if [ -f "$key" ]; then
		row=$(cat "$key")
		return
	fi
	row=
	fetch_newest package "$2" "$3" || return 0
	step "$BASE: looking at $2 $3"
	unpack_some
	run_logged "$LOG" commit_base "$TREE" || die "cannot make a git repository in $TREE (log: $LOG)"
	: >"$WORK/there"
	: >"$WORK/merged"
	set +e
	(set -e; try) 2>"$WORK/why"
	status=$?
	set -e
	why=
	[ $status -eq 0 ] || why=$(sed -n '$s/^track.sh: \(.*\) does not apply to linux [^:]*: \(.*\); rebase the patch.*/\1: \2/p' "$WORK/why")
	[ $status -eq 0 ] || [ -n "$why" ] || die "$(tail -n 1 "$WORK/why")"
	compiled=-
	if [ -n "$COMPILE" ] && [ -z "$why" ]; then
		if compiles; then compiled=yes; else compiled=no; fi
	fi
	total=$(series_files "$BASE" | wc -l)
	row=$(printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s' "$BASE" "$2" "$3" "$total" "$(cat "$WORK/there")" "$(cat "$WORK/merged")" "$why" "$compiled" "$(date +%F)")
	mkdir -p "${key%/*}"
	echo "$row" >"$key"
}

# The rows as a table, with what it has no room for behind it.
table()
{
	awk -F'\t' '
	function put(a, b, c, d, e,    i)
	{
		n++
		cell[n, 1] = a; cell[n, 2] = b; cell[n, 3] = c; cell[n, 4] = d; cell[n, 5] = e
		for (i = 1; i <= 5; i++)
			if (length(cell[n, i]) > width[i])
				width[i] = length(cell[n, i])
	}
	function rule(    i, j, text)
	{
		for (i = 1; i <= 5; i++) {
			text = text (i > 1 ? "  " : "")
			for (j = 0; j < width[i]; j++)
				text = text "="
		}
		print text
	}
	BEGIN	{ put("Package", "Suites", "Series", "Patches", "Compiled") }
	{
		there = split($5, slugs, " ")
		put($2 " " $3, $10, $1, $7 != "" ? "do not apply" : ($4 - there) " of " $4, $8)
		if ($7 != "")
			more = more "\n* " $2 " " $3 ": " $7
		if ($5 != "")
			more = more "\n* " $2 " " $3 ", there already: " $5
		if ($6 != "")
			more = more "\n* " $2 " " $3 ", by git am -3 alone: " $6
	}
	END {
		rule()
		for (r = 1; r <= n; r++) {
			text = ""
			for (i = 1; i <= 5; i++)
				text = text sprintf("%-" (i < 5 ? width[i] : 0) "s%s", cell[r, i], i < 5 ? "  " : "")
			print text
			if (r == 1)
				rule()
		}
		rule()
		if (more != "")
			print more
	}' "$WORK/rows"
}

json()
{
	awk -F'\t' '
	function quoted(text)
	{
		gsub(/["\\]/, "\\\\&", text)
		return "\"" text "\""
	}
	function list(text)
	{
		text = quoted(text)
		gsub(/ /, "\", \"", text)
		return "[" (text == "\"\"" ? "" : text) "]"
	}
	BEGIN	{ print "[" }
	{
		printf "%s {\"package\": %s, \"version\": %s, \"suites\": %s, \"base\": %s, \"patches\": %d, \"there\": %s, \"merged\": %s, \"reason\": %s, \"compiled\": %s, \"date\": %s}",
			(NR > 1 ? ",\n" : ""), quoted($2), quoted($3), list($10), quoted($1), $4, list($5), list($6),
			($7 != "" ? quoted($7) : "null"), ($8 == "-" ? "null" : $8 == "yes" ? "true" : "false"), quoted($9)
	}
	END	{ print "\n]" }' "$WORK/rows"
}

page()
{
	cat <<-'END'
	.. SPDX-License-Identifier: GPL-2.0-only

	=======================
	The kernels of Debian
	=======================

	END
	echo "Written by \`\`make track\`\` on $(date +%F): Debian's kernel packages of the series that there is a base for, and the patches"
	echo "that each takes. A patch that is there already is not counted."
	echo
	table
}

"$TOP/tools/lab/setup.sh"
one_run
mkdir -p "$CACHE/src" "$CACHE/logs" "$TOP/results"
found >"$WORK/found"
[ -s "$WORK/found" ] || die "Debian's archive has no linux-source of $ALL$(unread): nothing was changed"
cut -d' ' -f1-3 "$WORK/found" | sort -u -V >"$WORK/each"
: >"$WORK/rows"
while read -r base name version; do
	in=$(awk -v what="$base $name $version" '$1 " " $2 " " $3 == what { print $4 }' "$WORK/found" | paste -sd' ')
	suite=${in%% *}
	look "$base" "$name" "$version" </dev/null
	[ -z "$row" ] || printf '%s\t%s\n' "$row" "$in" >>"$WORK/rows"
done <"$WORK/each"
[ -s "$WORK/rows" ] || die "Debian's archive does not serve any of its kernels: nothing was changed (see the lines above)"
json >"$TOP/results/track.json.new"
page >"$PAGE.new"
mv "$TOP/results/track.json.new" "$TOP/results/track.json"
mv "$PAGE.new" "$PAGE"
echo
table
step "the same: results/track.json, and ${PAGE#"$TOP"/}"
