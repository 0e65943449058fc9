#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# lab-bisect.sh: the first commit of a kernel tree with which a test is red: git bisect run,
# with a kernel and a boot for each step.
#
#   TREE=path          the kernel tree, in git; it is read, and never written to
#   GOOD=v7.2 BAD=v7.3 two of its commits: the test is green on one, and red on the other
#   TEST=name          which test, or TEST=name.subtest: this subtest of it alone
#   HOST=amd           which host; without it, the first default one that has the test
#   BASE=v7.3          whose configuration and tests: without it, of the series for BAD
#
# The verdict on a commit is good (0), bad (1), or skipped (125): it does not build, its host
# does not boot, or the test does not come to its end, skips, or is too slow.  The series is
# on none of these kernels, and the tests are those of BASE for all.
#
# The results are in results/DATE-BASE-bisect: COMMIT/HOST-none for each step, the verdicts in
# verdicts, and git's record in log.
#
# lab-bisect.sh step COMMIT: the verdict on one, as an exit status for git bisect run; 255
# if it has no meaning to go on.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/series/series.sh"

# take_commit COMMIT: build.sh's tree is at this one, whose folder is never another.
take_commit()
{
	git_in "$REPO" tag -f base "$1" >/dev/null &&
	git -C "$REPO" show "$1:Makefile" >"$REPO.kernel/Makefile" &&
	kernel_version "$REPO.kernel" >"$REPO.version" &&
	echo "$REPO" >"$CACHE/src/$BASE.path"
}

# verdict STATUS WHY: the end of a step.
verdict()
{
	printf '%s\t%s\t%s\n' "$commit" "$1" "$2" >>"$RESULTS/verdicts"
	case $1 in 0) _word=good ;; 1) _word=bad ;; 125) _word=skipped ;; *) _word='no verdict' ;; esac
	step "$(git -C "$REPO" log -1 --format='%h %s' "$commit" | cut -c1-60): $_word: $2"
	exit "$1"
}

# part WHAT COMMAND...: a commit with which this fails is skipped; a full disk is no property
# of a commit.
part()
{
	_what=$1
	shift
	! "$@" >"$RESULTS/$name.log" 2>&1 || return 0
	! grep -qE 'the disk is full|GiB are free' "$RESULTS/$name.log" || verdict 255 'the disk is full'
	verdict 125 "$_what: $(sed -n '$s/^[^ ]*: //p' "$RESULTS/$name.log")"
}

one_step()
{
	commit=$(git -C "$REPO" rev-parse "$1")
	name=$(echo "$commit" | cut -c1-12)
	! known=$(grep -m 1 "^$commit	" "$RESULTS/verdicts") || exit "$(echo "$known" | cut -f2)"
	take_commit "$commit" || verdict 125 'it is no kernel'
	part 'it does not build' "$TOP/tools/lab/build.sh" "$BASE" "$(host_get "$HOST" arch)" none
	part 'kvm_lifecycle does not build for it' "$TOP/tools/lab/module.sh" "$BASE" "$(host_get "$HOST" arch)" none
	"$TOP/tools/lab/host.sh" "$BASE" "$HOST" none "$RESULTS/$name/$HOST-none" "$NAME" >"$RESULTS/$name.log" 2>&1 </dev/null ||
		verdict 255 "the host could not be started: $(tail -n 1 "$RESULTS/$name.log")"
	said=$(results outcome "$RESULTS/$name/$HOST-none" "$NAME" --base "$BASE" --host "$HOST" --subtest "$SUBTEST") || verdict 255 'see above'
	verdict "${said%% *}" "${said#* }"
}

if [ "${1:-}" = step ]; then
	one_step "$2"
fi

# commit_of NAME: the commit that the user has given in this variable.
commit_of()
{
	eval "_given=\$$1"
	[ -n "$_given" ] || die "which commits?  Give GOOD=commit, with which the test is green, and BAD=commit, with which it is red"
	tree rev-parse -q --verify "$_given^{commit}" || die "TREE=$TREE has no commit $1=$_given"
}

# host_of TEST: the first host, of those that are meant, that has it.
host_of()
{
	for _host in $HOST; do
		! known_tests "$BASE" "$_host" | grep -qxF -e "$1" || { echo "$_host"; return; }
	done
}

# must STATUS COMMIT NAME WORD: before anything is searched for.
must()
{
	_status=0
	"$0" step "$2" || _status=$?
	[ "$_status" -eq "$1" ] ||
		die "$3 is not $4: $(awk -F'\t' -v commit="$2" '$1 == commit { print $3 }' "$RESULTS/verdicts" | tail -n 1); give other commits, or another TEST"
}

TREE=${TREE:-} GOOD=${GOOD:-} BAD=${BAD:-} TEST=${TEST:-} KERNEL=''
SCRATCH=$(mktemp -d)
REPO=$CACHE/src/bisect
trap 'rm -rf "$SCRATCH"' EXIT
trap 'exit 130' INT TERM HUP
GIT_FOR='git bisect' check_tree
good=$(commit_of GOOD) || exit
bad=$(commit_of BAD) || exit
git -C "$TREE" show "$bad:Makefile" >"$SCRATCH/Makefile" 2>/dev/null || :
BASE=${BASE:-$(base_for "$(kernel_version "$SCRATCH")" || default_base)}
check_base "$BASE"
pick_hosts
[ -n "$TEST" ] || die "which test?  Give TEST=name, or TEST=name.subtest"
NAME=${TEST%%.*}
SUBTEST=${TEST#"$NAME"}
SUBTEST=${SUBTEST#.}
asked=$HOST
HOST=$(host_of "$NAME")
[ -n "$HOST" ] || die "unknown TEST=$NAME for HOST='$asked': choose from $(for host in $asked; do known_tests "$BASE" "$host"; done | sort -u | paste -sd' ')"
RESULTS=$(new_results "$BASE-bisect")
export START BASE HOST NAME SUBTEST RESULTS REPO

theirs=$TREE
get_tree "$BASE"
arch=$(host_get "$HOST" arch)
"$TOP/tools/lab/tests.sh" "$BASE" "$arch"
"$TOP/tools/lab/busybox.sh" "$arch"
emulator_of "$HOST" >/dev/null || exit
need_space "$CACHE" 8

# As the next run of the lab expects it.
# shellcheck disable=SC2317 # the trap calls it
clean_up()
{
	echo "$PINNED" >"$CACHE/src/$BASE.path"
	[ -z "$built" ] || ln -sfn "$built" "$CACHE/out/$BASE-$arch-none"
	rm -rf "$SCRATCH" "$REPO" "$REPO.kernel" "$REPO.version" "$CACHE/obj/bisect-$arch"
}

PINNED=$TREE TREE=$theirs
built=$(readlink "$CACHE/out/$BASE-$arch-none" || :)
rm -rf "$REPO" "$REPO.kernel" "$CACHE/obj/bisect-$arch"
mkdir -p "$REPO.kernel" "$RESULTS"
trap clean_up EXIT
: >"$RESULTS/verdicts"
git clone -q -s -n --no-tags "$TREE" "$REPO" 2>"$SCRATCH/log" || die "cannot read TREE=$TREE: $(tail -n 1 "$SCRATCH/log")"
must 1 "$bad" "BAD=$BAD" bad
must 0 "$good" "GOOD=$GOOD" good
# Of git's own words, the last ones are of use if it fails.
{
	git_in "$REPO" bisect start --no-checkout "$bad" "$good" &&
	git_in "$REPO" bisect run "$0" step BISECT_HEAD
} 2>&1 </dev/null | tee "$SCRATCH/log" | grep --line-buffered '^\[ *[0-9]*:[0-9][0-9]\]' || :
git -C "$REPO" bisect log >"$RESULTS/log" 2>/dev/null || :
first=$(sed -n 's/^# first bad commit: \[\([0-9a-f]*\)\].*/\1/p' "$RESULTS/log")
if [ -n "$first" ]; then
	step "the first bad commit, of $(wc -l <"$RESULTS/verdicts") that were run (results: $RESULTS):"
	git -C "$REPO" log -1 --format='%H%n%an, %as%n%s' "$first"
	exit
fi
left=$(sed -n "s/^# possible first bad commit: \[\([0-9a-f]*\)\].*/\1/p" "$RESULTS/log" | cut -c1-12 | paste -sd' ')
[ -z "$left" ] || die "the others are skipped, and the first bad commit is one of: $left (results: $RESULTS)"
die "git bisect has come to no end: $(tail -n 1 "$SCRATCH/log") (results: $RESULTS)"
