#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# kvm-lifecycle-status [-q] [-k RELEASE]: which KVM is loaded, and which one is
# installed.  tools/dkms/kvm-lifecycle-status.8 describes output and status.

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

# file_of MODULE FOLDER
file_of()
{
	find "$LIB/$2" -name "$1.ko" -o -name "$1.ko.*" 2>/dev/null | head -n 1
}

# srcversion_of FILE: nothing for a module that the distribution has built without.
srcversion_of()
{
	[ -z "$1" ] || modinfo -F srcversion "$1"
}

# The module that modprobe takes: updates/ comes first.
installed()
{
	ours=$(file_of "$1" updates)
	if [ -n "$ours" ] && [ -n "$(modinfo -F kvm_lifecycle "$ours")" ]; then
		echo patched
	elif [ -n "$ours" ] && [ "$1" = kvm_lifecycle ]; then
		echo yes
	elif [ -n "$ours" ]; then
		echo other
	elif [ -n "$(file_of "$1" kernel)" ]; then
		echo stock
	else
		echo none
	fi
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
		if [ -n "$have" ] && [ "$have" = "$(srcversion_of "$(file_of "$1" updates)")" ]; then
			installed "$1"
		elif [ "$have" = "$(srcversion_of "$(file_of "$1" kernel)")" ] &&
		     ! grep -q O "$sys/taint" 2>/dev/null; then
			echo stock
		else
			echo other
		fi
	fi
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

# The reason why there is none: a missing package, or the end of the last build.
reason()
{
	why=$("$TOP/tools/dkms/dkms-build.sh" check "$RELEASE" "$LIB/build" 2>&1) || :
	[ -n "$why" ] || why=$("$TOP/tools/dkms/dkms-build.sh" failed "$RELEASE" "$LIB/build") ||
		why="to build it, dkms install kvm-lifecycle/$VERSION -k $RELEASE"
	echo "${why#kvm-lifecycle: }"
}

echo "kernel $RELEASE"
printf '%-14s %-11s %s\n' module loaded installed
reload=
missing=
for module in kvm-amd kvm-intel kvm kvm_lifecycle; do
	now=$(loaded "$module")
	file=$(installed "$module")
	printf '%-14s %-11s %s\n' "$module" "$now" "$file"
	case $module:$now in
	kvm_lifecycle:*)		continue ;;
	*:stock|*:other)		reload="$reload $module" ;;
	esac
	[ "$file" = patched ] || missing="$missing $module"
done
ours=$(file_of kvm updates)
[ -z "$ours" ] || modinfo -F kvm_lifecycle "$ours" | sort | sed 's/^/patch /'

if [ -n "$missing" ]; then
	echo "no patched KVM is installed for this kernel: $(reason)"
	exit 4
elif [ -z "$reload" ]; then
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
