#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# lab.sh [shell]: the main job.  Take the source of BASE, build it without and
# with the series, boot both as emulated hosts, run the selftests there, and
# print the table of red without the series and green with it.
#
#   BASE='v7.3 v7.2'    which series, one after the other
#   HOST='amd arm'      which hosts, of tools/lab/hosts
#   ARCH=arm64          the same, by the architecture of their kernels
#   TEST='a b'          which tests; all of LEVEL when it is empty
#   LEVEL=full          not only the tests that prove the patches, but sweeps and storms, too
#   AGAIN=1             also run hosts that have not changed since they were as declared
#   PATCHES='none all'  which patches each host has: a slug stands for those up to and
#                       with this one
#   SURE=1              no red is left to chance (make interleave)
#   KERNEL=path         a tree of your own instead of Debian's
#   OPTIONS='-t 600'    options for each of the tests; NAME=VALUE: environment
#   PARTS=interleave    a host for each part in this line of a host's file, with these
#                       options as well
#
# The results are in results/DATE-BASE, and results/latest is the last of them: the
# verdict as results.json (KCIDB's schema), results.ktap and junit.xml, the reds in reds,
# in HOST-PATCHES KTAP and kernel log per test, and in red a folder for each test that is
# red, which shows it again on another machine.  Of parts: in HOST-PATCHES.N, and their logs together.

. "$(dirname "$0")/../lib.sh"

export START KERNEL="${KERNEL:-}" OPTIONS="${OPTIONS:-}" AGAIN="${AGAIN:-}"
LAB=$TOP/tools/lab
BASE=${BASE:-$(default_base)}
TEST=${TEST:-}
LEVEL=${LEVEL:-proof}
PATCHES=${PATCHES:-none all}

case $LEVEL in
proof|full) ;;
*)	die "unknown LEVEL=$LEVEL: choose from proof full" ;;
esac
[ -z "$TEST" ] || LEVEL=full
[ "${1:-run}" = shell ] || each_base $BASE
check_base "$BASE"
results check || exit
RESULTS=${RESULTS:-$(new_results "$BASE")}
pick_hosts

PATCHES=$(variants "$BASE" $PATCHES)

known=$(for host in $HOST; do known_tests "$BASE" "$host"; done | sort -u)
[ -n "$known" ] ||
	die "patches/expect declares no test of $BASE for HOST='$HOST': add its name to the rows there, or a line \"like\" to its file"
for test in $TEST; do
	echo "$known" | grep -qxF "$test" ||
		die "unknown TEST=$test for HOST='$HOST': choose from $(echo "$known" | paste -sd' ')"
done

# A test that is not declared would never run.
for file in "$TOP"/tools/testing/selftests/kvm/*_test.c "$TOP"/tools/testing/selftests/kvm/*/*_test.c \
	"$TOP"/tools/testing/selftests/kvm/*_stress.c; do
	name=$(basename "$file" .c)
	cut -f1 "$TOP/patches/expect" | grep -qxF "$name" ||
		die "$name is not in patches/expect: declare what it must show"
done

tests_of()
{
	known_tests "$BASE" "$1" lab "$LEVEL" | if [ -n "$TEST" ]; then
		grep -xF "$(printf '%s\n' $TEST)" || :
	else
		cat
	fi
}

# lines_of HOST PATCHES TEST...: a line for run_hosts, or one for each part.
lines_of()
{
	line="$BASE $1 $2"
	dir=$RESULTS/$1-$2
	parts=
	[ -z "${PARTS:-}" ] || parts=$(host_get "$1" "$PARTS")
	shift 2
	[ $# -gt 0 ] || return 0
	[ -n "$parts" ] || echo "$line $dir $*"
	number=0
	echo "$parts" | tr '|' '\n' | while IFS= read -r part; do
		[ -n "$part" ] || continue
		number=$((number + 1))
		mkdir -p "$dir.$number"
		echo "$OPTIONS $part" >"$dir.$number/options"
		echo "$line $dir.$number $*"
	done
}

# keep_cells: for REUSE, the results of each host on which all was as it must be.
keep_cells()
{
	results good "$RESULTS" | while read -r name; do
		key=$(cat "$RESULTS/$name/cell" 2>/dev/null) || continue
		mkdir -p "$CACHE/cells"
		rm -rf "$CACHE/cells/$key.tmp"
		cp -a "$RESULTS/$name" "$CACHE/cells/$key.tmp"
		rm -rf "$CACHE/cells/$key" "$CACHE/cells/$key.tmp/cell"
		mv "$CACHE/cells/$key.tmp" "$CACHE/cells/$key"
	done
	# Results and boots that no run has taken for a month.
	[ ! -d "$CACHE/cells" ] || find "$CACHE/cells" $(ls -d "$CACHE/boot" 2>/dev/null) -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} +
}

bad=
case ${1:-run} in
shell)
	set -- $PATCHES
	[ $# -eq 1 ] || PATCHES=all
	set -- $HOST
	prepare "$BASE" "$(kernels_of "$1")" "$PATCHES"
	exec "$LAB/host.sh" "$BASE" "$1" "$PATCHES" shell ;;
esac

for patches in $PATCHES; do
	for host in $HOST; do
		[ ! -e "$RESULTS/$host-$patches" ] ||
			die "there are results in $RESULTS/$host-$patches already: name another folder, RESULTS=path"
	done
done
prepare "$BASE" "$(kernels_of $HOST)" "$PATCHES"
# Of parts each is another program, and a rate is of runs.
[ -n "${PARTS:-}" ] || [ -n "${COUNT:-}" ] || export REUSE=1
# The longest runs come first: with the series no test ends early.
for patches in $(printf '%s\n' $PATCHES | tac); do
	for host in $HOST; do
		lines_of "$host" "$patches" $(tests_of "$host")
	done
done | run_hosts
for patches in $PATCHES; do
	for host in $HOST; do
		results join "$RESULTS/$host-$patches"
	done
done

judge --base "$BASE" --hosts "$HOST" --variants "$PATCHES" --tests "$TEST" --sure "${SURE:-}" --level "$LEVEL" ||
	bad=1
keep_cells
[ -z "$bad" ] ||
	die "not every cell is as it must be: see above, and the logs in $RESULTS"
step "every cell is as it must be"
