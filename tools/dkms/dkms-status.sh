#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# kvm-lifecycle-status [-q] [-k RELEASE]: which KVM is loaded, which one is installed,
# and which one the next boot loads.  tools/dkms/kvm-lifecycle-status.8 describes output
# and status.

TOP=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
. "$TOP/tools/lib.sh"
. "$TOP/tools/dkms/dkms-host.sh"

PROG=kvm-lifecycle-status
RUNNING=$(uname -r)
RELEASE=$RUNNING

while getopts k:q option; do
	case $option in
	k)	RELEASE=$OPTARG ;;
	q)	exec >/dev/null ;;
	*)	echo "usage: $PROG [-q] [-k RELEASE]" >&2
		exit 1 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 0 ] || die "unknown argument $1: usage: $PROG [-q] [-k RELEASE]"
kernel_files "$RELEASE"
[ -d "$LIB" ] || die "there is no kernel $RELEASE in $ROOT/lib/modules: name one that is installed with -k"

# file_of MODULE: the one that modprobe takes.
file_of()
{
	awk -F: -v lib="$LIB/" -v module="$1" '
	{
		name = $1
		sub(/.*\//, "", name)
		sub(/\.ko.*/, "", name)
		if (name == module)
			print lib $1
	}' "$LIB/modules.dep" 2>/dev/null
}

# stock_file_of MODULE: the distribution's.
stock_file_of()
{
	find "$LIB/kernel" -name "$1.ko" -o -name "$1.ko.*" 2>/dev/null | head -n 1
}

# srcversion_of FILE: nothing for a module that the distribution has built without.
srcversion_of()
{
	[ ! -f "$1" ] || modinfo -F srcversion "$1"
}

installed()
{
	file=$(file_of "$1")
	if [ ! -f "$file" ]; then
		echo none
	elif [ "$1" = kvm_lifecycle ]; then
		echo yes
	elif [ -n "$(modinfo -F kvm_lifecycle "$file")" ]; then
		echo patched
	else
		case $file in
		"$LIB"/kernel/*)	echo stock ;;
		*)			echo other ;;
		esac
	fi
}

# The next boot takes a module of the initramfs, or that of modprobe.
next_boot()
{
	case $(echo "$initramfs" | grep "/$1\.ko") in
	'')			installed "$1" ;;
	*/updates/kvm-lifecycle/*)	echo patched ;;
	*/kernel/*)		echo stock ;;
	unknown*)		echo unknown ;;
	*)			echo other ;;
	esac
}

# The loaded module, by its srcversion in /sys, compared with the files.  A module
# without srcversion that comes from the kernel's own build is stock.
loaded()
{
	sys=$ROOT/sys/module/$(echo "$1" | tr - _)
	if [ "$RELEASE" != "$RUNNING" ]; then
		echo '-'
	elif [ ! -e "$sys/initstate" ]; then
		echo 'not loaded'
	elif [ "$1" = kvm_lifecycle ]; then
		echo yes
	else
		have=$(cat "$sys/srcversion" 2>/dev/null || :)
		if [ -n "$have" ] && [ "$have" = "$(srcversion_of "$(file_of "$1")")" ]; then
			installed "$1"
		elif [ "$have" = "$(srcversion_of "$(stock_file_of "$1")")" ] &&
		     ! grep -q O "$sys/taint" 2>/dev/null; then
			echo stock
		else
			echo other
		fi
	fi
}

# together STATE...: of the modules that are one KVM.
together()
{
	set -- $(printf '%s\n' "$@" | grep -vx -e - | sort -u)
	case $# in
	0)	echo - ;;
	1)	echo "$1" ;;
	*)	echo mixed ;;
	esac
}

# The users that a reload would have to stop, in words.
users()
{
	vms=$(find "$ROOT/sys/kernel/debug/kvm" -mindepth 1 -maxdepth 1 -name '[0-9]*-[0-9]*' 2>/dev/null | wc -l)
	if [ "$vms" -gt 0 ]; then
		echo "$vms VM$([ "$vms" -eq 1 ] && echo ' is' || echo 's are') running"
	elif cat "$ROOT"/sys/module/kvm_amd/refcnt "$ROOT"/sys/module/kvm_intel/refcnt 2>/dev/null | grep -qv '^0$'; then
		echo '/dev/kvm is open'
	fi
}

# As it is, no word can be said about any of its modules.
initramfs=$(initramfs_kvm) || initramfs=$(printf 'unknown/%s.ko\n' kvm kvm-amd kvm-intel)
echo "kernel $RELEASE"
printf '%-14s %-11s %-11s %s\n' module loaded installed 'next boot'
all_loaded='' all_installed='' all_next='' reload='' stale=
for module in kvm-amd kvm-intel kvm kvm_lifecycle; do
	now=$(loaded "$module")
	file=$(installed "$module")
	next=$(next_boot "$module")
	printf '%-14s %-11s %-11s %s\n' "$module" "$now" "$file" "$next"
	[ "$module" != kvm_lifecycle ] || continue
	case $now in
	stock|other)	stale=yes reload="$reload $module" ;;
	patched)	reload="$reload $module" ;;
	'not loaded')	now=- ;;
	esac
	all_loaded="$all_loaded $now" all_installed="$all_installed $file" all_next="$all_next $next"
done
now=$(together $all_loaded) file=$(together $all_installed) next=$(together $all_next)
printf '%-14s %-11s %-11s %s\n' 'all of KVM' "$now" "$file" "$next"
[ "$file" = stock ] || [ "$file" = none ] || modinfo -F kvm_lifecycle "$(file_of kvm)" | sort | sed 's/^/patch /'

if [ "$file" != patched ] && [ -d "$OURS" ]; then
	echo "the patched KVM is there, and modprobe does not take all of it: depmod $RELEASE, and look again"
	exit 5
elif [ "$file" != patched ]; then
	echo "no patched KVM is installed for this kernel: $(reason "$RELEASE" "$LIB/build")"
	exit 4
elif [ "$next" = unknown ]; then
	echo "the patched KVM is installed, and what the next boot loads from $INITRAMFS cannot be told: apt install initramfs-tools-core"
	exit 5
elif [ "$next" != patched ]; then
	echo "the patched KVM is installed, and the next boot loads another one from $INITRAMFS: update-initramfs -u -k $RELEASE"
	exit 5
elif [ -z "$stale" ]; then
	echo "the patched KVM is installed$([ "$RELEASE" != "$RUNNING" ] || echo ', and what is loaded of KVM is patched')"
	exit 0
elif [ -n "$(users)" ]; then
	echo "the patched KVM is installed and not loaded, and $(users): reload KVM or reboot when this has ended"
	exit 3
else
	vendor=$(echo "$reload" | grep -o 'kvm-[a-z]*' | head -n 1)
	echo "the patched KVM is installed and not loaded, and nothing uses KVM: modprobe -r$reload && modprobe ${vendor:-kvm}"
	exit 2
fi
