#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# busybox.sh ARCH: Debian's static busybox for an emulated host, in
# $CACHE/busybox/.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/lab/apt.sh"

arch_env "$1"
OUT=$CACHE/busybox/$DEB_ARCH

main()
{
	[ -f "$OUT" ] && return
	apt_root
	step "fetching busybox-static for $DEB_ARCH"
	rm -rf "$OUT.tmp"
	mkdir -p "$OUT.tmp"
	(
		cd "$OUT.tmp"
		run_logged "$APT_LOG" in_apt_root apt-get download "busybox-static:$DEB_ARCH" &&
		dpkg-deb -x ./*.deb .
	) || die "cannot fetch busybox-static for $DEB_ARCH: check the network and run the same command again (log: $APT_LOG)"
	mv "$OUT.tmp"/*/busybox "$OUT" 2>/dev/null || mv "$OUT.tmp"/usr/bin/busybox "$OUT"
	rm -rf "$OUT.tmp"
}

mkdir -p "$CACHE/busybox" "$CACHE/logs"
locked "$CACHE/busybox/.lock" main
