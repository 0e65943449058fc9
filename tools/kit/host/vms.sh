# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Whether others use KVM.  Users may be there unseen: an error of the look counts
# as somebody.  KIT_PROC and KIT_SYS are for tests of these functions.

KIT_PROC=${KIT_PROC:-/proc}
KIT_SYS=${KIT_SYS:-/sys}

# Lines of the functions below are processes; after "!", reasons why there may be more;
# and after ".", looks that have come to their end.  A program that does not start or is
# killed says nothing, hence the latter.

# listed ARGUMENT...: ls; its errors come after all else, not in the middle of a line.
# That something has gone meanwhile is none.
listed()
{
	{
		_errors=$(ls "$@" 2>&1 >&3 | sed -e '/No such file or directory$/d' -e '/No such process$/d') ||
			_errors='the errors of ls are lost'
		[ -z "$_errors" ] || echo "!$_errors"
	} 3>&1
}

# open_kvm: the processes that have KVM, a VM or a part of one open.
open_kvm()
{
	listed -l "$KIT_PROC/self/fd" "$KIT_PROC"/[0-9]*/fd | awk '
	/^\/.*\/fd:$/ { n = split($0, part, "/"); pid = part[n - 1]; seen[pid] = 1 }
	/ -> (\/dev\/kvm|anon_inode:\[?kvm.*)$/ && pid != "self" && !found[pid]++ { print pid }
	/^!/
	END { print "self" in seen ? ".processes" : "!no process can be seen" }
	'
	# In a container only its own processes can be seen.
	case $(ls -l "$KIT_PROC/self/ns/pid" 2>/dev/null) in
	''|*'pid:[4026531836]')	;;
	*)	[ -d "$KIT_SYS/kernel/debug/kvm" ] || echo '!the processes outside of this container cannot be seen' ;;
	esac
}

# made_vms: the processes that have made the VMs that there are, also those of which no
# process has anything open that can be seen.
made_vms()
{
	_vms=$KIT_SYS/kernel/debug/kvm
	if [ ! -d "$_vms" ]; then
		echo .debugfs
		return
	fi
	listed -a "$_vms" | awk -F- '
	$0 == "." { seen = 1 }
	/^[0-9]+-/ { print $1 }
	/^!/
	END { print seen ? ".debugfs" : "!no VM can be seen" }
	'
}

# is_ours PID: it is of this run, whose WORK all of its processes have, or is about to be
# gone: it has no program any more.
is_ours()
{
	tr '\0' '\n' 2>/dev/null <"$KIT_PROC/$1/environ" | grep -qxF "WORK=$WORK" ||
		case $(ls -L "$KIT_PROC/$1/exe" 2>&1) in
		*': No such file or directory'|*': No such process') ;;
		*)	return 1 ;;
		esac
} 2>/dev/null

not_ours()
{
	while read -r _pid; do
		case $_pid in
		[!0-9]*) echo "$_pid" ;;
		*)	is_ours "$_pid" || echo "$_pid" ;;
		esac
	done
}

# named: such lines, in words; or "nobody".
named()
{
	sort -u | while read -r _pid; do
		case $_pid in
		.*)	echo "$_pid" ;;
		!*)	echo "perhaps somebody, since it cannot be told (${_pid#!})" ;;
		*)	_name=$(tr -cd ' -~' 2>/dev/null <"$KIT_PROC/$_pid/comm") || _name='a VM is left'
			echo "$_name (process $_pid)" ;;
		esac
	done 2>/dev/null | awk '
	/^\./ { looks++; next }
	{ printf "%s%s", separator, $0; separator = ", " }
	END { if (!separator && looks == 2) print "nobody" }
	'
}

# anybody: whether $VMS is not "nobody".  If it is empty, the looks have not come to their end.
anybody()
{
	: "${VMS:=perhaps somebody, since it cannot be told (the look fails)}"
	[ "$VMS" != nobody ]
}

# others_use_kvm: sets $VMS.  To be called before this run itself uses KVM.  The count
# of a module, kvm_amd or another one, includes users that are not seen otherwise.
others_use_kvm()
{
	VMS=$({ open_kvm; made_vms; } | named)
	! anybody || return 0
	for _module in "$KIT_SYS"/module/kvm/holders/*; do
		if [ "${_module##*/}" != kvm_lifecycle ] && [ -e "$_module/refcnt" ]; then
			[ "$(cat "$_module/refcnt" 2>/dev/null)" = 0 ] || VMS="whoever uses ${_module##*/}"
		fi
	done
	anybody
}

# others_came: the same during a run.  A VM whose maker is gone was left by a test.
others_came()
{
	VMS=$({ open_kvm; made_vms; } | not_ours | named)
	anybody
}
