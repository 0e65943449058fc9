# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The state of this machine that a run may change: `run` writes it down in $WORK, and
# `guardian` restores it.  KIT_PROC, KIT_SYS and KIT_DEV are for tests of both.

KIT_PROC=${KIT_PROC:-/proc}
KIT_SYS=${KIT_SYS:-/sys}
KIT_DEV=${KIT_DEV:-/dev}

CGROUP=$(awk '$3 == "cgroup2" { print $2; exit }' "$KIT_PROC/mounts")
# A kernel may have none.
MODULES=$KIT_PROC/modules
[ -e "$MODULES" ] || MODULES=/dev/null
# Of KVM's modules the one that can be on this processor, as /sys/module calls it.
case $(grep -m 1 -ow -e svm -e vmx "$KIT_PROC/cpuinfo") in
svm)	VENDOR=kvm_amd ;;
vmx)	VENDOR=kvm_intel ;;
*)	VENDOR=none ;;
esac

loaded()
{
	grep -q "^$1 " "$MODULES"
}

# not_in FILE: the lines of standard input that are not lines of FILE; are_in FILE:
# the first words that are.  With an empty FILE, grep -f is not the same everywhere.
not_in()
{
	awk -v file="$1" 'BEGIN { while ((getline line <file) > 0) have[line] = 1 } !($0 in have)'
}

are_in()
{
	awk -v file="$1" 'BEGIN { while ((getline line <file) > 0) have[line] = 1 } $1 in have { print $1 }'
}

modules()
{
	cut -d' ' -f1 "$MODULES" | sort
}

kvm_modules()
{
	modules | grep -E '^(kvm|irqbypass)'
}

parameters()
{
	grep -H '' "$KIT_SYS"/module/$1/parameters/* 2>/dev/null
}

# From grep's output for module parameters.
names_and_values()
{
	sed 's#^.*/\([^/:]*\):\(.*\)$#\1=\2#' | paste -sd' '
}

# may_change WHAT: whether this run may, see MAY_CHANGE in `run`.
may_change()
{
	case " $MAY_CHANGE " in
	*" $1 "*)	return 0 ;;
	esac
	return 1
}

# Left changed by a killed test: the knobs of fault injection, and parameters.
knobs()
{
	grep -H '' "$KIT_SYS"/kernel/debug/failslab/* "$KIT_SYS"/kernel/debug/fail_page_alloc/* \
		"$KIT_SYS"/kernel/slab/*/failslab 2>/dev/null
	! may_change parameters || parameters 'kvm*'
}

memory_cgroups()
{
	[ -z "$CGROUP" ] || grep -qw memory "$CGROUP/cgroup.subtree_control"
}

# The cgroups and tracing instances of a test that is killed.
folders()
{
	[ -z "$CGROUP" ] || ls -d "$CGROUP"/kvm_avic_* "$CGROUP/kvm_vcpu_create_fault"
	ls -d "$KIT_SYS"/kernel/tracing/instances/kvm_*
} 2>/dev/null

# All of it, as lines that can be compared.
state()
{
	kvm_modules | sed 's/^/module /'
	for _module in kvm kvm_amd kvm_intel; do
		parameters "$_module"
	done
	knobs
	memory_cgroups || echo "no memory controller in $CGROUP"
	folders
}

# record: what restore() needs; all of it, or nothing.
record()
{
	modules >"$WORK/modules"
	parameters "$VENDOR" >"$WORK/parameters"
	knobs >"$WORK/knobs"
	folders >"$WORK/folders"
	memory_cgroups || : >"$WORK/no-memory"
	state >"$WORK/state.tmp"
	mv "$WORK/state.tmp" "$WORK/state"
}

# restore: each difference that stays is printed.
restore()
{
	[ -e "$WORK/state" ] || return 0
	# A kernel takes a while to free the resources of a killed process.
	for _pass in 1 2 3 4 5; do
		restore_knobs
		restore_modules
		state >"$WORK/state.now"
		! cmp -s "$WORK/state" "$WORK/state.now" || return 0
		sleep 1
	done
	{
		echo 'run: this machine is not as it was; before the run (-), and now (+):'
		not_in "$WORK/state.now" <"$WORK/state" | sed 's/^/- /'
		not_in "$WORK/state" <"$WORK/state.now" | sed 's/^/+ /'
	} >&2
	return 1
}

restore_knobs()
{
	knobs >"$WORK/knobs.now"
	not_in "$WORK/knobs.now" <"$WORK/knobs" | while read -r _line; do
		echo "${_line##*:}" >"${_line%:*}"
	done
	rmdir $(folders | not_in "$WORK/folders")
	[ ! -e "$WORK/no-memory" ] || ! memory_cgroups || echo -memory >"$CGROUP/cgroup.subtree_control"
} 2>/dev/null

restore_modules()
{
	if may_change modules && loaded "$VENDOR" && ! parameters "$VENDOR" | cmp -s - "$WORK/parameters"; then
		rmmod "$VENDOR" 2>/dev/null
	fi
	# A run that is killed in its modprobe has not written down what that has loaded.
	kvm_modules | not_in "$WORK/modules" >>"$WORK/loaded"
	# In /proc/modules, a module comes after its users.
	for _module in $(are_in "$WORK/loaded" <"$MODULES"); do
		rmmod "$_module" 2>/dev/null
	done
	if grep -qx "$VENDOR" "$WORK/modules" && ! loaded "$VENDOR"; then
		modprobe "$VENDOR" $(names_and_values <"$WORK/parameters")
	fi
}
