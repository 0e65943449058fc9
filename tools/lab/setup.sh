#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Install what tools/lab/packages and the files of the emulated hosts list (the default
# ones, and those in HOST) and this machine lacks.

. "$(dirname "$0")/../lib.sh"

# An installed file is the proof, not the package database: a user may bring
# a compiler or QEMU of his own in PATH.
missing()
{
	{
		cat "$TOP/tools/lab/packages"
		for host in $(lab_hosts); do
			case " $(lab_hosts default | paste -sd' ') ${HOST:-} " in
			*" $host "*) host_get "$host" package ;;
			esac
		done
	} | while read -r proof package; do
		case $proof in
		''|'#'*)
			continue ;;
		/*)
			[ -e "$proof" ] || echo "$package" ;;
		*)
			command -v "$proof" >/dev/null || echo "$package" ;;
		esac
	done | sort -u
}

[ "$(uname -m)" = x86_64 ] || die "the lab builds on x86-64 only, and this machine is $(uname -m)"
packages=$(missing | paste -sd' ')
[ -n "$packages" ] || exit 0

if ! command -v apt-get >/dev/null; then
	die "these packages are missing and there is no apt-get to install them: $packages"
fi
can_be_root ||
	die "these packages are missing: run as root 'apt-get install $packages', or install sudo"

log=$CACHE/logs/setup.log
step "installing $packages (log: $log)"
install_all()
{
	as_root apt-get update &&
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
}
run_logged "$log" install_all ||
	die "cannot install $packages: install them by hand and run the same command again (log: $log)"

packages=$(missing | paste -sd' ')
[ -z "$packages" ] || die "still missing after their installation: $packages"
