#!/bin/sh
# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0-only
#
# The test of a host, for busybox alone: kvm_lifecycle and a KVM that it was not built
# for.  In the archive test_file: look, and those of these files that exist:
#   kvm_lifecycle.ko.other	built for that one
#   kvm_lifecycle.ko.unknown	built for none
#   kvm.ko, kvm-amd.ko		the other KVM
# In a Debian host with the package that one is the distribution's own.  KVM and
# kvm_lifecycle are loaded.

TESTS=${0%/*}
FILES=/tmp/files
MODULES=/lib/modules/$(uname -r)
number=0
failed=0

# report NAME: on the lines of /tmp/lines, each of which begins with "right" or "wrong".
report()
{
	number=$((number + 1))
	sed 's/^/# /' /tmp/lines
	if [ -s /tmp/lines ] && ! grep -qv '^right: ' /tmp/lines; then
		echo "ok $number global.$1"
	else
		echo "not ok $number global.$1"
		failed=1
	fi
	: >/tmp/lines
}

# do_all COMMAND
do_all()
{
	sh -c "$1" >/tmp/output 2>&1 || echo "wrong: $1: $(cat /tmp/output)" >>/tmp/lines
}

# lifecycle COMMAND [REGEXP]: load it so; its message then is this, or none.
lifecycle()
{
	rmmod kvm_lifecycle
	echo "loading kvm_lifecycle for $number" >/dev/kmsg
	do_all "$1"
	dmesg | sed "1,/loading kvm_lifecycle for $number\$/d" | sed -n 's/.*\] kvm_lifecycle: //p' >/tmp/said
	if [ -n "${2:-}" ] && [ "$(wc -l </tmp/said)" -eq 1 ] && grep -qE "$2" /tmp/said; then
		echo "right: it says: $(cat /tmp/said)"
	elif [ -z "${2:-}" ] && [ ! -s /tmp/said ]; then
		echo "right: it says nothing"
	else
		echo "wrong: it says: $(cat /tmp/said)"
	fi >>/tmp/lines
}

look()
{
	"$FILES/look" "$@" >>/tmp/lines 2>&1
}

another='^(kvm|the kernel) has the build ID [0-9a-f]{12}, and kvm_lifecycle was built for [0-9a-f]{12}: .* no file can be opened'
: >/tmp/lines
echo TAP version 13
mkdir -p "$FILES"
tar -xf "${TESTS%/*}/test_file" -C "$FILES" || exit

unsafe=unsafe=1
mine="insmod ${TESTS%/*}/modules/kvm_lifecycle.ko $unsafe"
load="modprobe kvm-amd avic=1 force_avic=1"
unload='rmmod kvm_amd && rmmod kvm'
other=
stock=$MODULES/kernel/arch/x86/kvm
if [ -f "$FILES/kvm.ko" ]; then
	other="insmod $FILES/kvm.ko && insmod $FILES/kvm-amd.ko avic=1 force_avic=1"
elif [ -n "$(find "$MODULES/updates" -name 'kvm.ko*' 2>/dev/null)" ]; then
	# The package's, in which nothing drives KVM.
	mine='modprobe kvm_lifecycle'
	unsafe=
	other="modprobe -a irqbypass ccp && insmod $(echo "$stock"/kvm.ko*) && insmod $(echo "$stock"/kvm-amd.ko*) avic=1 force_avic=1"
fi

lifecycle "$mine"
look works
report own

if [ -z "$unsafe" ]; then
	rmmod kvm_lifecycle
	echo 'loading kvm_lifecycle with unsafe=1' >/dev/kmsg
	if $mine unsafe=1 2>/dev/null; then
		echo 'wrong: it takes unsafe=1' >>/tmp/lines
	else
		dmesg | sed '1,/loading kvm_lifecycle with unsafe=1$/d' |
			sed -n 's/.*\] kvm_lifecycle: \(built without UNSAFE=1, .*\)/right: it says: \1/p' >>/tmp/lines
	fi
	do_all "$mine"
	report production
fi

if [ -f "$FILES/kvm_lifecycle.ko.other" ]; then
	lifecycle "insmod $FILES/kvm_lifecycle.ko.other $unsafe" "$another"
	look refused
	report other

	lifecycle "insmod $FILES/kvm_lifecycle.ko.unknown $unsafe" \
		'^kvm_lifecycle was built without the build ID of (kvm|the kernel): build it again with KVML_KVM='
	look refused
	report unknown
fi

if [ -n "$other" ]; then
	# As after the installation of a package, before the next boot.
	do_all "$unload && $other"
	lifecycle "$mine" "$another"
	look refused
	report pending

	do_all "$unload && $load"
	look works
	report again

	look held "$unload && $other" "$unload && $load"
	report held

	do_all "$unload"
	lifecycle "$mine"
	grep '^get_vcpu ' /sys/kernel/debug/kvm_lifecycle/parts |
		sed 's/^get_vcpu unavailable: KVM is not loaded$/right: &/' >>/tmp/lines
	do_all "$other"
	look refused
	do_all "$unload && $load"
	look works
	report later
fi
echo "1..$number"
exit $failed
