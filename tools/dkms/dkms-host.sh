# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2034
#
# Shared by the scripts of the packages: the host that they run on, and its kernels.
# KVM_LIFECYCLE_ROOT=path is where installed files, /proc and /sys are looked for.

# What dkms.conf says, where there is one.
NAME=$(sed -n 's/^PACKAGE_NAME="\(.*\)"/\1/p' "$TOP/dkms.conf" 2>/dev/null || :)
VERSION=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$TOP/dkms.conf" 2>/dev/null || :)
ROOT=${KVM_LIFECYCLE_ROOT:-}
DKMS=$ROOT/var/lib/dkms

# kernel_files RELEASE: what a kernel has of KVM.
kernel_files()
{
	LIB=$ROOT/lib/modules/$1
	# Ours, and where they are made: the rename from there is all of their installation.
	OURS=$LIB/updates/kvm-lifecycle
	STAGE=$ROOT/lib/modules/.kvm-lifecycle-$1
	# A build that has failed: the versions that it was made of, the reason, and its log.
	RECORD=$ROOT/var/lib/$NAME/$1
	INITRAMFS=$ROOT/boot/initrd.img-$1
}

# reason RELEASE HEADERS: why there are none: a missing package, or the end of the last build.
reason()
{
	_build=$TOP/tools/dkms/dkms-build.sh
	# A package for one kernel.
	[ -f "$_build" ] || {
		_why="the package for it is kvm-lifecycle-kvm-$1"
		[ "$1" != "${TOP##*/}" ] || _why=$("$TOP/tools/dkms/kmod-place.sh" missing 2>&1) || :
		echo "${_why#kvm-lifecycle: }"
		return
	}
	_why=$("$_build" check "$1" "$2" 2>&1) || :
	[ -n "$_why" ] || _why=$("$_build" failed "$1" "$2") ||
		_why="to build it, dkms install $NAME/$VERSION -k $1"
	echo "${_why#kvm-lifecycle: }"
}

# initramfs_kvm: the modules of KVM in the initramfs, which are loaded before /lib/modules is there.
initramfs_kvm()
{
	[ -f "$INITRAMFS" ] || return 0
	_list=$(lsinitramfs "$INITRAMFS" 2>/dev/null || lsinitrd "$INITRAMFS" 2>/dev/null) || return
	echo "$_list" | grep -oE '[^[:space:]]*/kvm(-amd|-intel)?\.ko[.a-z0-9]*$' || :
}

# behind_all: guests come first, and so does whoever waits for this host.
behind_all()
{
	renice -n 19 -p $$ >/dev/null 2>&1 || :
	ionice -c 3 -p $$ 2>/dev/null || :
}
