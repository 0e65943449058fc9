# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Processes of a test can leave its process group, and do; a session is left on
# purpose only.

# new_session FILE COMMAND...: in a session whose number is in FILE.  It is there before
# the look for $WORK/over, and end_sessions() does it the other way round: no command
# begins unseen.
new_session()
{
	setsid sh -c 'echo $$ >"$0" && [ ! -e "$WORK/over" ] && exec "$@"' "$@"
}

# in_session SID: the processes in a session; a zombie holds nothing any more.
in_session()
{
	# The name, in parentheses, may have spaces in it.
	cat /proc/[0-9]*/stat 2>/dev/null |
	awk -v sid="$1" '{ pid = $1; sub(/^.*\) /, "") } $4 == sid && $1 != "Z" { print pid }'
}

nap()
{
	sleep 0.3 2>/dev/null || sleep 1
}

# wait_for FILE NAPS: so long at most.
wait_for()
{
	_naps=$2
	until [ -e "$1" ] || [ "$_naps" -eq 0 ]; do
		nap
		_naps=$((_naps - 1))
	done
}

# end_session FILE: the session whose number is in FILE, if there is one; it takes
# no longer than its processes can be held in the kernel.
end_session()
{
	[ -s "$1" ] || return 0
	_session=$(cat "$1")
	for _pass in 1 2 3 4 5 6 7 8 9 10; do
		_pids=$(in_session "$_session")
		[ -n "$_pids" ] || break
		kill -9 $_pids 2>/dev/null
		nap
	done
	rm -f "$1"
	[ -z "$_pids" ] || {
		echo "run: processes that cannot be killed: $_pids" >&2
		return 1
	}
}

# end_sessions: all of a run, and no other begins.
end_sessions()
{
	: >"$WORK/over"
	_failed=0
	for _file in "$WORK/job" "$WORK/test"; do
		end_session "$_file" || _failed=1
	done
	return $_failed
}
