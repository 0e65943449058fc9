#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# format.sh BASE REPOSITORY FROM: write the commits FROM..HEAD of a kernel
# repository as the series of BASE.  Numbers, dates and hashes do not change
# when the content does not.

. "$(dirname "$0")/../lib.sh"

BASE=$1 REPOSITORY=$2 FROM=$3
check_base "$BASE"
git -C "$REPOSITORY" format-patch -q --zero-commit --no-signature --full-index -n -o "$TOP/patches/$BASE" "$FROM..HEAD"
