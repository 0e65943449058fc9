#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# emulator.sh PROGRAM PACKAGE: prints the QEMU that emulated hosts run in.  Under QEMU 7.2
# of Debian 12, a CPU of an emulated host that runs a guest takes, now and then, no more
# interrupts.  Where the machine's own is that old, the one of a newer suite is unpacked
# in $CACHE/qemu, with the libraries that it needs and sees alone.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/lab/apt.sh"

PROGRAM=$1 PACKAGE=$2
# The oldest one under which that was not seen.
LEAST=10
OUT=$CACHE/qemu/$PROGRAM
LOG=$CACHE/logs/$PROGRAM.log

# major PROGRAM: of its version, or nothing.
major()
{
	"$1" --version 2>/dev/null | sed -n 's/^QEMU emulator version \([0-9]*\).*/\1/p'
}

unpack_qemu()
{
	packages=$(needed_by "$PACKAGE") &&
	unpack_packages "$OUT.tmp/root" $packages &&
	foreign_program "$OUT" "usr/bin/$PROGRAM" "-L $OUT/root/usr/share/qemu -L $OUT/root/usr/share/seabios"
}

# find_qemu: in $suite, the first one that has one, and all that this needs.
find_qemu()
{
	[ -z "$NO_ARCHIVE" ] || return 1
	for suite in trixie sid; do
		read_suite "$suite" || continue
		_major=$(versions package "$PACKAGE" "$suite" | sed -n '1s/^\([0-9]*:\)\{0,1\}\([0-9]*\).*/\2/p')
		[ "${_major:-0}" -lt "$LEAST" ] || return 0
	done
	return 1
}

# is_new PROGRAM: and it runs.
is_new()
{
	_is=$(major "$1")
	[ "${_is:-0}" -ge "$LEAST" ]
}

# Once a run: the hosts of a run come here one after the other.
main()
{
	! is_new "$OUT/$PROGRAM" || return 0
	[ "$(cat "$OUT.failed" 2>/dev/null)" != "$LAB_RUN" ] || return 0
	if find_qemu; then
		step "unpacking $PACKAGE of Debian's $suite (log: $LOG)"
		rm -rf "$OUT.tmp" "$OUT"
		mkdir -p "$OUT.tmp"
		if run_logged "$LOG" unpack_qemu; then
			mv "$OUT.tmp" "$OUT"
			! is_new "$OUT/$PROGRAM" || return 0
			step "$PACKAGE of Debian's $suite does not run here (log: $LOG)"
		else
			check_disk "$LOG"
			step "$PACKAGE of Debian's $suite cannot be fetched or unpacked: check the network (log: $LOG)"
		fi
		rm -rf "$OUT.tmp" "$OUT"
	fi
	[ -n "$own" ] || die "no $PACKAGE $LEAST or newer is here or in Debian's archive$(unread): check the network and run the same command again"
	step "this machine's $PROGRAM $own is taken, whose hosts hang now and then$(unread)"
	echo "$LAB_RUN" >"$OUT.failed"
}

own=$(major "$PROGRAM")
if is_new "$PROGRAM"; then
	echo "$PROGRAM"
	exit
fi
mkdir -p "$CACHE/logs" "$CACHE/qemu"
locked "$CACHE/qemu/.lock-$PROGRAM" main >&2
if [ -x "$OUT/$PROGRAM" ]; then echo "$OUT/$PROGRAM"; else echo "$PROGRAM"; fi
