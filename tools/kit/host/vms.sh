# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Whether others use KVM.  Users may be there unseen: an error of the look counts
# as somebody.  KIT_PROC and KIT_SYS are for tests of these functions.

KIT_PROC=${KIT_PROC:-/proc}
KIT_SYS=${KIT_SYS:-/sys}

# open_kvm: the processes that have KVM, a VM or a part of one open, a line each; and
# after "!" why there may be more.
open_kvm()
{
	# Errors come after all else, not in the middle of a line.  That a process has gone
	# meanwhile is none.
	{
		_errors=$(ls -l "$KIT_PROC/self/fd" "$KIT_PROC"/[0-9]*/fd 2>&1 >&3 |
			sed -e '/No such file or directory$/d' -e '/No such process$/d')
		[ -z "$_errors" ] || echo "!$_errors"
	} 3>&1 | awk '
	/^\/.*\/fd:$/ { n = split($0, part, "/"); pid = part[n - 1]; seen[pid] = 1 }
	/ -> (\/dev\/kvm|anon_inode:\[?kvm.*)$/ && pid != "self" && !found[pid]++ { print pid }
	/^!/
	END { if (!("self" in seen)) print "!no process can be seen" }
	'
	# In a container only its own processes can be seen.
	case $(ls -l "$KIT_PROC/self/ns/pid" 2>/dev/null) in
	''|*'pid:[4026531836]')	;;
	*)	ls -d "$KIT_SYS/kernel/debug/kvm" >/dev/null 2>&1 ||
		echo '!the processes outside of this container cannot be seen' ;;
	esac
}

# made_vms: the processes that have made the VMs that there are, also those of which no
# process has anything open that can be seen.
made_vms()
{
	for _vm in "$KIT_SYS"/kernel/debug/kvm/[0-9]*-*; do
		[ ! -d "$_vm" ] || echo "${_vm##*/}" | cut -d- -f1
	done
}

# is_ours PID: it is of this run, whose WORK all of its processes have, or is about to be gone.
is_ours()
{
	tr '\0' '\n' 2>/dev/null <"$KIT_PROC/$1/environ" | grep -qxF "WORK=$WORK" || [ ! -e "$KIT_PROC/$1/exe" ]
} 2>/dev/null

not_ours()
{
	while read -r _pid; do
		case $_pid in
		!*)	echo "$_pid" ;;
		*)	is_ours "$_pid" || echo "$_pid" ;;
		esac
	done
}

# named: such lines, in words.
named()
{
	sort -u | while read -r _pid; do
		case $_pid in
		!*)	echo "perhaps somebody, since it cannot be told (${_pid#!})" ;;
		*)	_name=$(tr -cd ' -~' 2>/dev/null <"$KIT_PROC/$_pid/comm") || _name='a VM is left'
			echo "$_name (process $_pid)" ;;
		esac
	done 2>/dev/null | awk '{ printf "%s%s", separator, $0; separator = ", " }'
}

# others_use_kvm: sets $VMS.  To be called before this run itself uses KVM.  The count
# of a module, kvm_amd or another one, includes users that are not seen otherwise.
others_use_kvm()
{
	VMS=$({ open_kvm; made_vms; } | named)
	for _module in "$KIT_SYS"/module/kvm/holders/*; do
		[ "${_module##*/}" != kvm_lifecycle ] || continue
		[ -n "$VMS" ] || [ "$(cat "$_module/refcnt" 2>/dev/null || echo 0)" -eq 0 ] ||
			VMS="whoever uses ${_module##*/}"
	done
	[ -n "$VMS" ]
}

# others_came: the same during a run.  A VM whose maker is gone was left by a test.
others_came()
{
	VMS=$({ open_kvm; made_vms; } | not_ours | named)
	[ -n "$VMS" ]
}
