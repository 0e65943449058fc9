#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# lab.sh [shell]: the main job.  Take the source of BASE, build it without and
# with the series, boot both as emulated hosts, run the selftests there, and
# print what was red without the series and green with it.
#
#   BASE='v7.3 v7.2'    which series, one after the other
#   ARCH='x86 arm64'    which hosts (riscv is the third)
#   TEST='a b'          which tests; all when it is empty
#   PATCHES='none all'  which patches each host has: a slug stands for those up to and
#                       with this one
#   SURE=1              no red is left to chance (make interleave)
#   KERNEL=path         a tree of your own instead of Debian's
#   OPTIONS='-t 600'    options for each of the tests; NAME=VALUE: environment
#   PARTS_x86='-v a|-V a'  a host for each part, with these options as well
#
# The results are in results/DATE-BASE, and results/latest is the last of them: the
# verdict as results.json and junit.xml, what was red in reds, and in ARCH-PATCHES KTAP
# and kernel log per test.  Of parts: in ARCH-PATCHES.N, and their logs together.

. "$(dirname "$0")/../lib.sh"

export START KERNEL="${KERNEL:-}" OPTIONS="${OPTIONS:-}"
LAB=$TOP/tools/lab
BASE=${BASE:-$(default_base)}
ARCH=${ARCH:-x86 arm64}
TEST=${TEST:-}
PATCHES=${PATCHES:-none all}

[ "${1:-run}" = shell ] || each_base $BASE
check_base "$BASE"
results check || exit
RESULTS=${RESULTS:-$(new_results "$BASE")}
check_hosts $ARCH

PATCHES=$(variants "$BASE" $PATCHES)

for test in $TEST; do
	for arch in $ARCH; do
		known_tests "$BASE" "$arch"
	done | grep -qxF "$test" ||
		die "unknown TEST=$test for ARCH='$ARCH': choose from $(for arch in $ARCH; do known_tests "$BASE" "$arch"; done | sort -u | paste -sd' ')"
done

# A test that nobody declares would never run.
for file in "$TOP"/tools/testing/selftests/kvm/*_test.c "$TOP"/tools/testing/selftests/kvm/*/*_test.c \
	"$TOP"/tools/testing/selftests/kvm/*_stress.c; do
	name=$(basename "$file" .c)
	cut -f1 "$TOP/patches/expect" | grep -qxF "$name" ||
		die "$name is not in patches/expect: declare what it must show"
done

tests_of()
{
	known_tests "$BASE" "$1" | if [ -n "$TEST" ]; then
		grep -xF "$(printf '%s\n' $TEST)" || :
	else
		cat
	fi
}

# hosts_of ARCH PATCHES TEST...: a line for run_hosts, or one for each part.
hosts_of()
{
	host="$BASE $1 $2"
	dir=$RESULTS/$1-$2
	parts=
	eval "parts=\${PARTS_$1:-}"
	shift 2
	[ $# -gt 0 ] || return 0
	[ -n "$parts" ] || echo "$host $dir $*"
	number=0
	echo "$parts" | tr '|' '\n' | while IFS= read -r part; do
		[ -n "$part" ] || continue
		number=$((number + 1))
		mkdir -p "$dir.$number"
		echo "$OPTIONS $part" >"$dir.$number/options"
		echo "$host $dir.$number $*"
	done
}

case ${1:-run} in
shell)
	set -- $ARCH
	[ $# -eq 1 ] || ARCH=x86
	set -- $PATCHES
	[ $# -eq 1 ] || PATCHES=all
	prepare "$BASE" "$ARCH" "$PATCHES"
	exec "$LAB/host.sh" "$BASE" "$ARCH" "$PATCHES" shell ;;
esac

for patches in $PATCHES; do
	for arch in $ARCH; do
		[ ! -e "$RESULTS/$arch-$patches" ] ||
			die "there are results in $RESULTS/$arch-$patches already: name another folder, RESULTS=path"
	done
done
prepare "$BASE" "$ARCH" "$PATCHES"
# What takes longest comes first: with the series no test ends early.
for patches in $(printf '%s\n' $PATCHES | tac); do
	for arch in $ARCH; do
		hosts_of "$arch" "$patches" $(tests_of "$arch")
	done
done | run_hosts
for patches in $PATCHES; do
	for arch in $ARCH; do
		results join "$RESULTS/$arch-$patches"
	done
done

judge --base "$BASE" --hosts "$ARCH" --variants "$PATCHES" --tests "$TEST" --sure "${SURE:-}" ||
	die "not every cell is as it must be: see above, and the logs in $RESULTS"
step "every cell is as it must be"
