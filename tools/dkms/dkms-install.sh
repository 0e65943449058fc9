#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# dkms-install.sh: the modules for each kernel that has headers and no modules of
# ours yet, and a sentence about each.  The Debian package runs it when it is
# installed, and when a package brings headers or source of a kernel.
#
# It always succeeds: a kernel that keeps its own KVM is no reason to fail the
# installation of packages.  /etc/dkms/no-autoinstall is DKMS' own switch.

TOP=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
. "$TOP/tools/lib.sh"
. "$TOP/tools/dkms/dkms-host.sh"

[ ! -e "$ROOT/etc/dkms/no-autoinstall" ] || exit 0

# build ACTION
build()
{
	"$TOP/tools/dkms/dkms-build.sh" "$1" "$release" "$headers"
}

install_for()
{
	if dkms status -m kvm-lifecycle -v "$VERSION" -k "$release" | grep -q ': installed'; then
		! build whole || return 0
		dkms uninstall -m kvm-lifecycle -v "$VERSION" -k "$release" || :
	fi
	! build check >/dev/null 2>&1 || build failed >/dev/null ||
		dkms install -m kvm-lifecycle -v "$VERSION" -k "$release" || :
}

behind_all
for headers in "$ROOT"/lib/modules/*/build; do
	release=$(basename "${headers%/build}")
	[ -f "$headers/.config" ] || continue
	install_for
	# Loaded modules are never touched here; the next step is printed.
	echo "kvm-lifecycle: $release: $("$TOP/tools/dkms/dkms-status.sh" -k "$release" | tail -n 1)"
done
