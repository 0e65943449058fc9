#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# deb.sh: build the Debian packages of debian/control, check them with lintian, and
# leave them in the project's folder.

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

packages()
{
	sed -n 's/^Package: //p' "$TOP/debian/control"
}

copy_project
step "building the Debian packages (log: $LOG)"
run_logged "$LOG" build || die "cannot build the packages: see $LOG"
"$TOP/tools/dkms/lintian.sh" "$WORK"/*.deb
for package in $(packages); do
	rm -f "$TOP/$package"_*.deb
	mv "$WORK/$package"_*.deb "$TOP/"
	step "$(cd "$TOP" && ls "$package"_*.deb) is built: apt install ./${package}_*.deb"
done
