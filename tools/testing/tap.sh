# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Results in TAP.  The including script defines state(): the state that a command
# that fails must not change.

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM
number=0
failed=0

# no_settings: as if no setting of the Makefile was given.  make hands its command line on.
no_settings()
{
	# shellcheck disable=SC2046 # a word each
	unset $(sed -n 's/^\([A-Z_]*\) ?=.*/\1/p' "$TOP/Makefile")
}

# any_disk PROJECT: this copy works on any disk.  Kernels that are made up need no room.
any_disk()
{
	echo 'need_space() { :; }' >>"$1/tools/lib.sh"
}

result()
{
	number=$((number + 1))
	if [ "$1" = ok ]; then
		echo "ok $number $2"
	else
		echo "not ok $number $2"
		sed 's/^/# /' "$WORK/output"
		failed=$((failed + 1))
	fi
}

# makefile_of VERSION: the lines of a kernel's top Makefile, e.g. for 7.3.0-rc7.
makefile_of()
{
	echo "$1" | sed 's/\([0-9]*\)\.\([0-9]*\)\.\([0-9]*\)\(.*\)/VERSION = \1\nPATCHLEVEL = \2\nSUBLEVEL = \3\nEXTRAVERSION = \4/'
}

# refuses NAME REGEXP COMMAND...: it fails, says one sentence that matches, and
# changes nothing that counts.
refuses()
{
	_name=$1 _sentence=$2
	shift 2
	before=$(state)
	if "$@" >"$WORK/output" 2>&1 </dev/null; then
		echo "exit status 0" >>"$WORK/output"
		result bad "$_name"
	elif ! grep -qE "$_sentence" "$WORK/output"; then
		echo "no line matches: $_sentence" >>"$WORK/output"
		result bad "$_name"
	elif [ "$before" != "$(state)" ]; then
		echo "something was changed or left behind" >>"$WORK/output"
		result bad "$_name"
	else
		result ok "$_name"
	fi
}

# accepts NAME COMMAND...
accepts()
{
	_name=$1
	shift
	if "$@" >"$WORK/output" 2>&1 </dev/null; then
		result ok "$_name"
	else
		result bad "$_name"
	fi
}

# said NAME REGEXP: in the output of the last command.
said()
{
	if grep -qE "$2" "$WORK/output"; then
		result ok "$1"
	else
		echo "no line matches: $2" >>"$WORK/output"
		result bad "$1"
	fi
}

# skipped NAME REASON
skipped()
{
	number=$((number + 1))
	echo "ok $number $1 # SKIP $2"
}

# report: the plan, a line to read, and the exit status.
report()
{
	echo "1..$number"
	echo "check: $((number - failed)) passed, $failed failed"
	[ "$failed" -eq 0 ]
}
