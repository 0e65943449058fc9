#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# coverage.sh: how many of the lines of some functions the tests run, with the series.
# gcov counts, in the variant gcov of the lab's hosts; the functions are in the file
# functions.  gcov's own report is in results/DATE-BASE-coverage/HOST-all-gcov/gcov.

. "$(dirname "$0")/../lib.sh"

export START
BASE=${BASE:-$(default_base)}
VARIANT=all-gcov
each_base $BASE
check_base "$BASE"
pick_hosts
for arch in $(arches_of $HOST); do
	sed 's/	.*//; s/,/\n/g' "$TOP/tools/lab/functions" | grep -qxF "$arch" ||
		die "tools/lab/functions names none of $arch, which HOST='$HOST' runs: choose another HOST"
done
RESULTS=${RESULTS:-$(new_results "$BASE-coverage")}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# gcov_of HOST SOURCE: gcov's report on the functions of a source file.
gcov_of()
{
	object=$(basename "$2" .c)
	counts=$(find "$WORK/$1" -name "$object.gcda" -path "*/${2%/*}/*")
	notes=$(find "$CACHE/out/$BASE-$arch-$VARIANT/gcov/" -name "$object.gcno" -path "*/${2%/*}/*")
	for file in "$counts" "$notes"; do
		[ -f "$file" ] ||
			die "there are no counts of $2 in $RESULTS/$1-$VARIANT/gcov.tar: is it in tools/lab/instrumented?"
	done
	rm -rf "$WORK/one"
	mkdir "$WORK/one"
	cp "$counts" "$notes" "$WORK/one"
	(cd "$WORK/one" && "${CROSS}gcov" --json-format --stdout "$object.gcda")
}

# report HOST: a line a function.
report()
{
	[ -f "$RESULTS/$1-$VARIANT/gcov.tar" ] ||
		die "the host has sent no counts, see $RESULTS/$1-$VARIANT/console: run make coverage again"
	arch=$(host_get "$1" arch)
	arch_env "$arch"
	mkdir "$WORK/$1"
	tar -xf "$RESULTS/$1-$VARIANT/gcov.tar" -C "$WORK/$1"
	: >"$RESULTS/$1-$VARIANT/gcov"
	printf '\n%-50s %8s %8s\n' "$1" lines run
	grep -v '^#' "$TOP/tools/lab/functions" | while IFS='	' read -r arches source functions; do
		case ",$arches," in
		*",$arch,"*) ;;
		*) continue ;;
		esac
		echo "$source"
		gcov_of "$1" "$source" >"$WORK/said"
		cat "$WORK/said" >>"$RESULTS/$1-$VARIANT/gcov"
		"$TOP/tools/lab/gcov.py" "$source" "$functions" <"$WORK/said" ||
			die "gcov knows no such function in $source, see $RESULTS/$1-$VARIANT/gcov: mend tools/lab/functions"
	done
}

BASE=$BASE PATCHES=$VARIANT RESULTS=$RESULTS "$TOP/tools/lab/lab.sh"
for host in $HOST; do
	report "$host"
done
