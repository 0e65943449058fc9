#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# dkms-install.sh: the modules for each kernel that has headers and no modules of
# ours yet, and a sentence about each.  The Debian packages run it when they are
# installed, and when a package brings headers or source of a kernel.
#
# It always succeeds: a kernel that keeps its own KVM is no reason to fail the
# installation of packages.  /etc/dkms/no-autoinstall is DKMS' own switch.

TOP=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
. "$TOP/tools/lib.sh"
. "$TOP/tools/dkms/dkms-host.sh"
. "$TOP/tools/dkms/dkms-place.sh"

# build ACTION
build()
{
	"$TOP/tools/dkms/dkms-build.sh" "$1" "$RELEASE" "$headers"
}

is_installed()
{
	dkms status -m "$NAME" -v "$VERSION" -k "$RELEASE" | grep -q ': installed'
}

install_for()
{
	if is_installed; then
		! build whole || return 0
		dkms uninstall -m "$NAME" -v "$VERSION" -k "$RELEASE" || :
	fi
	! build check >/dev/null 2>&1 || build failed >/dev/null ||
		dkms install -m "$NAME" -v "$VERSION" -k "$RELEASE" || :
}

# A patched KVM beside the observer alone is of nobody: up to 0.1 it was in the same package, and
# its removal may have been interrupted.
take_away_orphans()
{
	for OURS in "$ROOT"/lib/modules/*/updates/kvm-lifecycle; do
		[ -d "$OURS" ] || continue
		kernel_files "$(basename "${OURS%/updates/*}")"
		RELEASE=${LIB##*/}
		take_away
		index_modules || echo "$PROG: modprobe does not find KVM yet: depmod $RELEASE" >&2
		refresh_initramfs
		echo "kvm-lifecycle: $RELEASE: a patched KVM that no package has was taken away, and the next boot loads the distribution's"
	done
}

# The next step.  Loaded modules are never touched here.
last_word()
{
	if [ "$NAME" = kvm-lifecycle-kvm ]; then
		"$TOP/tools/dkms/dkms-status.sh" -k "$RELEASE" | tail -n 1
	elif is_installed && build whole; then
		echo 'the observer is installed for the KVM of this kernel: modprobe kvm_lifecycle'
	else
		echo "the observer is not installed for this kernel: $(reason "$RELEASE" "$headers")"
	fi
}

PROG=kvm-lifecycle
behind_all
[ "$NAME" != kvm-lifecycle ] || take_away_orphans
[ ! -e "$ROOT/etc/dkms/no-autoinstall" ] || exit 0
for headers in "$ROOT"/lib/modules/*/build; do
	RELEASE=$(basename "${headers%/build}")
	[ -f "$headers/.config" ] || continue
	install_for
	echo "kvm-lifecycle: $RELEASE: $(last_word)"
done
