#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# storm.sh: vcpu_lifecycle_stress for as long as one likes, in the emulated hosts
# of HOST (or ARCH), with the whole series of BASE.
#
#   TIME=2h             for how long: a number with s, m or h
#   SEED=1              the first seed (default: another one each day and second)
#   REPLAY=FILE         run the program in FILE, as the test printed it, instead
#   PATCHES=none        without the series; all-kcsan: with it, in the variant that
#                       looks for data races, see kcsan.config; a slug: up to and with this patch
#
# The results are in results/DATE-BASE-storm/HOST-PATCHES: the host's output, the
# record (seeds, programs, VMs, calls with their results), and, if programs have
# failed, those, as they were and made smaller.

. "$(dirname "$0")/../lib.sh"

export START KERNEL="${KERNEL:-}"
BASE=${BASE:-$(default_base)}
TIME=${TIME:-10m}
SEED=${SEED:-$(date +%s)}
REPLAY=${REPLAY:-}
PATCHES=${PATCHES:-all}
TEST=vcpu_lifecycle_stress

case $TIME in
*[!0-9]*[smh]|[!0-9]*|*[!0-9smh]*)	seconds= ;;
*h)	seconds=$((${TIME%h} * 3600)) ;;
*m)	seconds=$((${TIME%m} * 60)) ;;
*)	seconds=${TIME%s} ;;
esac
[ "${seconds:-0}" -gt 0 ] || die "unknown TIME=$TIME: a number with s, m or h, e.g. 2h"
case $SEED in
''|*[!0-9]*)	die "unknown SEED=$SEED: a number" ;;
esac
[ -z "$REPLAY" ] || [ -f "$REPLAY" ] || die "REPLAY=$REPLAY does not exist: name a file with a program"
export BASE TIME SEED REPLAY PATCHES
each_base $BASE
check_base "$BASE"
PATCHES=$(variants "$BASE" "$PATCHES")
pick_hosts
for host in $HOST; do
	known_tests "$BASE" "$host" | grep -qxF "$TEST" ||
		die "patches/expect does not declare $TEST of $BASE for $host, i.e. what is known of it: choose another BASE or HOST"
done
RESULTS=${RESULTS:-$(new_results "$BASE-storm")}

# progress HOST: the host's progress lines, for as long as this script runs.
progress()
{
	while [ ! -f "$RESULTS/$1-$PATCHES/console.boot" ]; do
		sleep 1
		kill -0 $$ 2>/dev/null || return
	done
	tail --pid=$$ -n +1 -F "$RESULTS/$1-$PATCHES/console.boot" 2>/dev/null |
	awk -v host="$1" '
	/lab: # ([0-9]+:[0-9][0-9] [0-9]+ programs|seed [0-9]+ of|made smaller|can.t be made)/ {
		sub(/.*lab: # /, "")
		print host ": " $0
		fflush()
	}'
}

# record HOST: the record of the run, and the programs that failed.
record()
{
	log=$RESULTS/$1-$PATCHES/$TEST.ktap
	[ -f "$log" ] || return 0
	grep -E '^(# (seeds|calls|tables|known|[0-9]+:|the longest)|(not )?ok )' "$log" >"$log.tmp" || :
	{
		echo "# $BASE $1, patches: $PATCHES, options: $OPTIONS"
		cat "$log.tmp"
	} >"$RESULTS/$1-$PATCHES/record"
	rm "$log.tmp"
	grep -E '^# (program: |seed [0-9]+ of|made smaller)' "$log" | sed 's/^# program: //' >"$RESULTS/$1-$PATCHES/programs.tmp" || :
	if [ -s "$RESULTS/$1-$PATCHES/programs.tmp" ]; then
		mv "$RESULTS/$1-$PATCHES/programs.tmp" "$RESULTS/$1-$PATCHES/programs"
		echo "$1: the programs that failed: $RESULTS/$1-$PATCHES/programs"
	fi
	rm -f "$RESULTS/$1-$PATCHES/programs.tmp"
	sed "s/^/$1: /" "$RESULTS/$1-$PATCHES/record"
}

prepare "$BASE" "$(kernels_of $HOST)" "$PATCHES"
export OPTIONS="-s $SEED -t $seconds" TEST_TIMEOUT=$((seconds + 600))
if [ -n "$REPLAY" ]; then
	TEST_FILE=$(readlink -f "$REPLAY")
	OPTIONS="-r /test_file -t $seconds"
	export TEST_FILE
fi

for host in $HOST; do
	progress "$host" &
done
for host in $HOST; do
	echo "$BASE $host $PATCHES $RESULTS/$host-$PATCHES $TEST"
done | run_hosts

for host in $HOST; do
	record "$host"
done
if [ -n "$REPLAY" ]; then
	for host in $HOST; do
		[ "$(cat "$RESULTS/$host-$PATCHES/$TEST.status")" = 'exit 0' ] ||
			die "the program fails on $host: see above, and the logs in $RESULTS"
	done
	step "the program does not fail"
	exit
fi
judge --base "$BASE" --hosts "$HOST" --variants "$PATCHES" --tests "$TEST" --kind storm ||
	die "the storm has found something: see above, and the logs in $RESULTS"
step "nothing was found"
