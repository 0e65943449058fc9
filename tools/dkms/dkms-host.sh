# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2034
#
# Shared by the scripts of the DKMS package: the host that they run on, and its kernels.
# KVM_LIFECYCLE_ROOT=path is where installed files, /proc and /sys are looked for.

VERSION=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$TOP/dkms.conf")
ROOT=${KVM_LIFECYCLE_ROOT:-}
DKMS=$ROOT/var/lib/dkms
