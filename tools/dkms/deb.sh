#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# deb.sh: build the Debian package kvm-lifecycle-dkms, check it with lintian, and
# leave it in the project's folder.

. "$(dirname "$0")/../lib.sh"

LOG=$CACHE/logs/deb.log
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM

copy_project()
{
	mkdir "$WORK/src"
	(cd "$TOP" && git ls-files -co --exclude-standard -z | tar -c --null --ignore-failed-read -T - 2>/dev/null) |
	tar -x -C "$WORK/src"
}

build()
{
	cd "$WORK/src" && dpkg-buildpackage -us -uc -b
}

copy_project
step "building the Debian package (log: $LOG)"
run_logged "$LOG" build || die "cannot build the package: see $LOG"
# The project has no mail host.
lintian --fail-on error,warning --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog \
	"$WORK"/*.deb 2>"$WORK/log" ||
	die "lintian finds what is above in the package"
rm -f "$TOP"/kvm-lifecycle-dkms_*.deb
cp "$WORK"/kvm-lifecycle-dkms_*.deb "$TOP/"
step "$(cd "$TOP" && ls kvm-lifecycle-dkms_*.deb) is built: apt install ./kvm-lifecycle-dkms_*.deb"
