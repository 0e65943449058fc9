# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2154,SC2034
#
# KVM's modules, put in their place as one and taken away as one.
#
# The including script defines skip(), and sets $PLACED, the names of the modules, $FROM,
# the folder that has them, and $AGAIN, the command that repeats an installation.

# The room that an installation takes, in MiB.
SPACE_LIB=32

# room FOLDER MIB: before anything is written.
room()
{
	free=$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1024) }')
	[ "$free" -ge "$2" ] ||
		skip "only $free MiB are free in $1 and $2 are needed: make room in this file system"
}

discard()
{
	rm -rf "$STAGE" "$STAGE.old"
}

# copied: the copies, complete and on the disk.
copied()
{
	mkdir "$STAGE" || return
	for module in $PLACED; do
		cp "$FROM/$module.ko" "$STAGE/" || return
	done
	sync "$STAGE"/* || return
	for module in $PLACED; do
		cmp "$FROM/$module.ko" "$STAGE/$module.ko" || return
	done
}

# Where no kernel looks.
to_stage()
{
	[ "$(stat -c %d "$LIB")" = "$(stat -c %d "$ROOT/lib/modules")" ] ||
		die "$LIB is a file system of its own, in which modules cannot be installed as one: make it a folder of $ROOT/lib/modules, then $AGAIN"
	copied || {
		discard
		die "the modules of $RELEASE cannot be copied to $ROOT/lib/modules, see above: make room there, then $AGAIN"
	}
}

put_in_place()
{
	[ -d "$STAGE" ] &&
	mkdir -p "$LIB/updates" &&
	{ [ ! -d "$OURS" ] || mv -T "$OURS" "$STAGE.old"; } &&
	mv -T "$STAGE" "$OURS" &&
	sync "$LIB/updates"
}

is_placed()
{
	for module in $PLACED; do
		cmp -s "$FROM/$module.ko" "$OURS/$module.ko" || return
	done
}

# The distribution's are where they always were: all of ours go in one step.
take_away()
{
	[ ! -d "$OURS" ] || {
		rm -rf "$STAGE.old"
		mv -T "$OURS" "$STAGE.old"
	}
	discard
	rmdir "$LIB/updates" 2>/dev/null || :
}

index_modules()
{
	depmod ${ROOT:+-b "$ROOT"} "$RELEASE"
}

# An initramfs with KVM would load its own before that of /lib/modules, or a part of it.
refresh_initramfs()
{
	[ -n "$(initramfs_kvm)" ] || return 0
	if ! index_modules || ! update-initramfs -u -k "$RELEASE"; then
		echo "$PROG: $INITRAMFS has another KVM than $LIB: update-initramfs -u -k $RELEASE" >&2
	fi
}
