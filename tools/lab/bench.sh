#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# bench.sh: what the series costs.  The tests named *_perf_test measure it in emulated hosts
# whose time is their instructions, without and with the series, and tools/lab/budgets says
# how much is too much.
#
#   BASE='v7.3 v7.2'         which series, one after the other
#   HOST='amd-bench'         which of the hosts that are a clock (default: all)
#   OPTIONS='-n 64 -r 20'    options for the tests
#   AGAIN=1                  also run hosts that have not changed since
#
# The table is in results/DATE-BASE-bench/bench as well.

. "$(dirname "$0")/../lib.sh"

export START KERNEL="${KERNEL:-}"
BASE=${BASE:-$(default_base)}
each_base $BASE
check_base "$BASE"
CLOCKS=$(lab_hosts config bench | paste -sd' ')
[ -n "${HOST:-}${ARCH:-}" ] || HOST=$CLOCKS
pick_hosts
for host in $HOST; do
	case " $CLOCKS " in
	*" $host "*) ;;
	*)	die "HOST=$host has the detectors of make lab, whose cost is not the series': choose from $CLOCKS" ;;
	esac
done
RESULTS=${RESULTS:-$(new_results "$BASE-bench")}
# The command line of a host with "all" of them turns detectors on.
PATCHES=$(variants "$BASE" none "$(results slugs "$BASE" | tail -n 1)")
BASE=$BASE HOST=$HOST ARCH='' RESULTS=$RESULTS PATCHES=$PATCHES TEST='' LEVEL=full "$TOP/tools/lab/lab.sh"
results bench "$RESULTS" --hosts "$HOST" --variants "$PATCHES" ||
	die "not every measure is within its budget: see above, and tools/lab/budgets"
step "every measure is within its budget, or over it as declared: $RESULTS/bench"
