#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# track.sh: which of Debian's kernels of today take the series: of each linux-source
# of a series that has a base, the newest version in each suite.
#
#   BASE='v6.12 v7.3'   which series (default: all)
#   COMPILE=1           does KVM compile for x86-64 as well
#   TEST=1              is make lab as declared as well: kernels for each, i.e. an hour
#
# The table is printed, and is in results/track.json and Documentation/process/track.rst.
# Results are kept: the key is the package, the patches, and the compiler.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/lab/apt.sh"
. "$TOP/tools/series/series.sh"

export START
ALL=${BASE:-$(bases | paste -sd' ')}
COMPILE=${COMPILE:-}
TEST=${TEST:-}
case $TEST in
''|1)	;;
*)	die "TEST=$TEST: TEST=1 runs the tests of make lab, all of them" ;;
esac
PAGE=$TOP/Documentation/process/track.rst
for base in $ALL; do
	check_base "$base"
done
WORK=$(mktemp -d)
TREE=$CACHE/src/track
LOG=$CACHE/logs/track.log
LAB_TREE=$CACHE/src/track-lab
SCRATCH=$WORK/scratch
trap 'rm -rf "$WORK" "$TREE" "$LAB_TREE"' EXIT
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

# prove: in $proved, whether the lab is as declared with this kernel as it is in $file.  A
# lab that has not come to a verdict says nothing about the kernel.
prove()
{
	_lab=$CACHE/logs/track-lab-$(kernel_version "$TREE").log
	# The tree, the lab's copy of it, and the builds.
	need_space "$CACHE" 16
	step "$BASE: make lab (log: $_lab)"
	rm -rf "$LAB_TREE" "$WORK/results"
	mkdir -p "$LAB_TREE"
	unpack package "$LAB_TREE" || die "cannot unpack $file in $LAB_TREE: make room and run the same command again"
	proved=yes
	env -u START -u TEST -u HOST -u ARCH -u PATCHES -u LEVEL -u OPTIONS -u PARTS -u SURE BASE="$BASE" KERNEL="$LAB_TREE" \
		RESULTS="$WORK/results" "$TOP/tools/lab/lab.sh" >"$_lab" 2>&1 </dev/null || proved=no
	rm -rf "$LAB_TREE"
	[ -f "$WORK/results/results.json" ] || no_verdict
	! grep -q '"cell": "ERROR' "$WORK/results/results.json" || no_verdict
}

no_verdict()
{
	die "the lab has no verdict on linux $(kernel_version "$TREE"): see $_lab, and run the same command again"
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
		echo "$2 $3 $COMPILE $TEST"
		[ -z "$TEST" ] || cat "$TOP/patches/expect" "$TOP/patches/needs" $(find "$TOP/tools/lab" "$TOP/tools/testing/selftests" \
			"$TOP/arch" "$TOP/virt" "$TOP/drivers" -type f ! -name '*.pyc' | sort)
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
	proved=-
	[ -z "$TEST" ] || [ -n "$why" ] || prove
	total=$(series_files "$BASE" | wc -l)
	row=$(printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s' "$BASE" "$2" "$3" "$total" "$(cat "$WORK/there")" "$(cat "$WORK/merged")" "$why" "$compiled" "$proved" "$(date +%F)")
	mkdir -p "${key%/*}"
	echo "$row" >"$key"
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
	"$TOP/tools/series/track.py" table <"$WORK/rows"
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
"$TOP/tools/series/track.py" json <"$WORK/rows" >"$TOP/results/track.json.new"
page >"$PAGE.new"
mv "$TOP/results/track.json.new" "$TOP/results/track.json"
mv "$PAGE.new" "$PAGE"
echo
"$TOP/tools/series/track.py" table <"$WORK/rows"
step "the same: results/track.json, and ${PAGE#"$TOP"/}"
