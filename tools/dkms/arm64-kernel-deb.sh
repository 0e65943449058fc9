#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# arm64-kernel-deb.sh: Debian packages of an arm64 kernel with the series, by the
# kernel's own bindeb-pkg.  There KVM is part of the kernel's image, which DKMS
# cannot replace.
#
#   BASE=v6.12      which series
#   KERNEL=path     a tree of your own instead of Debian's
#   CONFIG=path     the configuration, e.g. /boot/config-* of the host (default:
#                   that of Debian's kernel)
#
# The packages are in results/arm64-kernel-deb.  Their kernels are named
# VERSION-kvm-lifecycle, so that they lie beside the distribution's.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/lab/apt.sh"

export START KERNEL="${KERNEL:-}"
BASE=${BASE:-$(default_base)}
CONFIG=${CONFIG:-}
RESULTS=$TOP/results/arm64-kernel-deb
LOG=$CACHE/logs/arm64-kernel-deb-$BASE.log
check_base "$BASE"
[ -z "$CONFIG" ] || grep -qs '^CONFIG_ARM64=y' "$CONFIG" ||
	die "CONFIG=$CONFIG is not the configuration of an arm64 kernel: give the path of one, e.g. /boot/config-* of the host"

# Options that the kernel has to have, and a name of its own.
fragment()
{
	cat <<-END
		CONFIG_ARM64=y
		CONFIG_KVM=y
		CONFIG_KPROBES=y
		CONFIG_DEBUG_FS=y
		CONFIG_LOCALVERSION="-kvm-lifecycle"
		CONFIG_LOCALVERSION_AUTO=n
	END
}

# Options of a distribution's configuration that this build does without, where they
# exist: keys that only the distribution has, and debug information, which takes ten
# times the room.
without()
{
	cat <<-END
		CONFIG_SYSTEM_TRUSTED_KEYS=""
		CONFIG_DEBUG_INFO_NONE=y
	END
}

# The configuration of Debian's kernel for arm64, from the package of all of its
# configurations.
debian_config()
{
	series=$(base_get "$BASE" series)
	package=linux-config-$series:arm64
	set -- $(newest package "$package")
	[ $# -eq 2 ] || die "Debian's archive has no $package$(unread): give a configuration with CONFIG=path"
	suite=$2
	fetch_newest package "$package" "$1" || die "Debian's archive does not serve $package: give a configuration with CONFIG=path (log: $APT_LOG)"
	dpkg-deb --fsys-tarfile "$file" | tar -xO --wildcards "./usr/src/linux-config-$series/config.arm64_none_arm64.xz" | xz -dc
}

build_packages()
{
	kmake arm64 "$TREE" "$OBJ" LOCALVERSION= olddefconfig &&
	CONFIG=$OBJ.config check_config &&
	kmake arm64 "$TREE" "$OBJ" LOCALVERSION= KDEB_PKGVERSION="$(cat "$TREE.version")-1" DPKG_FLAGS=-d bindeb-pkg
}

main()
{
	checkout "$TREE" refs/tags/series
	rm -rf "${OBJ%/*}"/*.deb
	mkdir -p "$OBJ"
	fragment >"$OBJ.config"
	if [ -n "$CONFIG" ]; then cat "$CONFIG"; else debian_config; fi >"$OBJ/.config"
	without | cat "$OBJ.config" - >>"$OBJ/.config"
	step "building Debian packages of linux $(cat "$TREE.version") arm64 with the series (log: $LOG)"
	run_logged "$LOG" build_packages || die "the build of the packages failed: see $LOG"
}

get_tree "$BASE"
OBJ=$CACHE/obj/${TREE##*/}-arm64-deb/build
need_space "$CACHE" 12
mkdir -p "$CACHE/obj" "$CACHE/logs"
locked "$CACHE/obj/.lock-${TREE##*/}" main
rm -rf "$RESULTS.tmp"
mkdir -p "$RESULTS.tmp"
cp "${OBJ%/*}"/*.deb "$RESULTS.tmp/"
rm -rf "$RESULTS"
mv "$RESULTS.tmp" "$RESULTS"
for package in "$RESULTS"/linux-image-*.deb; do
	step "$package is built: on the host, apt install ./${package##*/}"
done
