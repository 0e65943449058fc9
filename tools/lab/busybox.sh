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
	deb=$CACHE/busybox/$DEB_ARCH.deb
	fetch_any "busybox-static:$DEB_ARCH" "$deb" ||
		die "there is no busybox-static for $DEB_ARCH in Debian's archive$(unread): check the network and run the same command again"
	rm -rf "$OUT.tmp"
	dpkg-deb -x "$deb" "$OUT.tmp" || die "cannot unpack $deb: remove it and run the same command again"
	mv "$OUT.tmp"/bin/busybox "$OUT" 2>/dev/null || mv "$OUT.tmp"/usr/bin/busybox "$OUT"
	rm -rf "$OUT.tmp" "$deb"
}

mkdir -p "$CACHE/busybox" "$CACHE/logs"
locked "$CACHE/busybox/.lock" main
