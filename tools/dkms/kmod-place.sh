#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# kmod-place.sh place|whole|missing|removed: what a package of make kmod-deb does on a host, which
# has no compiler: its modules are put in their place as one, compared, or taken away as one;
# missing prints the reason why they are not in their place.
#
# It lies in /usr/lib/kvm-lifecycle/RELEASE/tools/dkms.  Beside tools there are modules, config,
# the lines of the kernel's configuration that count, and signed-by.der, if they are signed.

TOP=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
. "$TOP/tools/lib.sh"
. "$TOP/tools/dkms/dkms-host.sh"

# shellcheck disable=SC2034 # for the files below
CERTIFICATE=$TOP/signed-by.der CONFIG=$TOP/config HEADERS=$TOP
ACTION=${1:-} RELEASE=${TOP##*/} FROM=$TOP/modules
PLACED=$(ls "$FROM" | sed 's/\.ko$//')
AGAIN="$TOP/tools/dkms/kmod-place.sh place"
. "$TOP/tools/dkms/dkms-signature.sh"
. "$TOP/tools/dkms/dkms-place.sh"

PROG=kvm-lifecycle
kernel_files "$RELEASE"

skip()
{
	echo "$PROG: $*" >&2
	exit 77
}

# Where the modules cannot be installed whole, those that are there stay.
place()
{
	[ -d "$LIB" ] || skip "there is no kernel $RELEASE in $ROOT/lib/modules: apt install linux-image-$RELEASE"
	discard
	check_signatures
	for module in $PLACED; do
		may_load "$FROM/$module.ko" ||
			die "$FROM/$module.ko is not signed: build the package with SIGN_KEY= and SIGN_CERT="
	done
	room "$ROOT/lib/modules" "$SPACE_LIB"
	to_stage
	if ! put_in_place || ! is_placed || ! index_modules; then
		removed
		die "the modules of $RELEASE could not be installed, and none of them is: make room in $ROOT/lib/modules, then $AGAIN"
	fi
	discard
	refresh_initramfs
}

removed()
{
	[ -d "$LIB" ] || return 0
	take_away
	index_modules || echo "$PROG: modprobe does not find KVM yet: depmod $RELEASE" >&2
	refresh_initramfs
}

# The reason why they are not in their place, for kvm-lifecycle-status.
missing()
{
	check_signatures
	room "$ROOT/lib/modules" "$SPACE_LIB"
	skip "to install it, $AGAIN"
}

case $ACTION in
place)		place ;;
whole)		is_placed ;;
missing)	missing ;;
removed)	removed ;;
*)		die "kmod-place.sh place|whole|missing|removed" ;;
esac
