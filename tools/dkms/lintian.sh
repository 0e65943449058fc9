#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# lintian.sh DEB...: lintian finds no error and no warning.

. "$(dirname "$0")/../lib.sh"

# The project has no mail host.
lintian --allow-root --fail-on error,warning --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "$@" 2>&1 ||
	die "lintian finds what is above in $(echo "$@" | sed 's#[^ ]*/##g')"
