#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# host.sh BASE HOST PATCHES RESULTS TEST...: boot an emulated host and run the
# tests there.  In RESULTS: console (the host's output, of every boot),
# and for each test TEST.log (its lines and the kernel's, in order), TEST.ktap
# (its lines alone) and TEST.status: "exit N", "hung: WHY", "panicked" or "died".
# Of a kernel with lockdep and the series also lockdep_stats, lockdep and
# lockdep_chains, as /proc had them at the end, and in kernel which build of the
# lab that was.  Of the variant gcov also gcov.tar, of debugfs.  If something failed, boot
# has the machine, and where its kernel and initramfs are kept, see verdict/travel.py.
#
# With REUSE=1 the results are taken from the cache, if their inputs are the same as in
# a run that lab.sh has kept; the file taken then has the time of that run, and the file
# cell the key.
#
# host.sh BASE HOST PATCHES shell: a shell in it.
#
# OPTIONS, or those in RESULTS/options, are options for each of the tests, and those of
# the form NAME=VALUE are in their environment; TEST_FILE is a file that they find as
# /test_file.
#
# With SUITE=upstream the tests are those that tests.sh builds under that name;
# with SUITE=kit those that tools/testing/check-kit.sh has put there.
#
# The machine is data: tools/lab/hosts/HOST.

. "$(dirname "$0")/../lib.sh"

BASE=$1 HOST=$2 PATCHES=$3 RESULTS=$4
shift 4
SHELL_ONLY=
if [ "$RESULTS" = shell ]; then
	SHELL_ONLY=1
	RESULTS=$(mktemp -d)
	trap 'rm -rf "$RESULTS"' EXIT
fi
[ ! -f "$RESULTS/options" ] || OPTIONS=$(cat "$RESULTS/options")
ARCH=$(host_get "$HOST" arch)
arch_env "$ARCH"
kernel=$(kernel_of "$HOST")
OUT=$(readlink -f "$CACHE/out/$BASE-$ARCH-$PATCHES${kernel#"$ARCH"}")
TESTS=$CACHE/tests/${SUITE:+$SUITE-}$BASE-$ARCH
MODULE=$CACHE/module/${OUT##*/}
# Some of upstream's tests give a guest as much as 1 GiB.
MEMORY=$(host_get "$HOST" memory)
[ -z "${SUITE:-}" ] || MEMORY=2G
# The longest one takes a third of it on a fast machine, and two thirds on a slow one.
TEST_TIMEOUT=${TEST_TIMEOUT:-900}
# The longest time without progress.
GRACE=${GRACE:-60}
BOOT_TIMEOUT=${BOOT_TIMEOUT:-$(host_get "$HOST" boot-seconds)}
THREAD=${THREAD:-$(host_get "$HOST" thread)}
DEVICES=$(host_get "$HOST" devices)
EMULATOR=$(emulator_of "$HOST")
MACHINE="$EMULATOR -machine $(host_get "$HOST" machine) -cpu $(host_get "$HOST" cpu) -smp $(host_get "$HOST" smp)"

# The tests wait for grace periods more than for anything else.
CMDLINE="$(host_get "$HOST" cmdline) rcutree.jiffies_till_first_fqs=0"
# Leaks and orders of locks without the series prove nothing about it.  From 7.0 on,
# a sheaf of the allocator goes on pointing at objects that it has handed out, and
# kmemleak takes that for a reference: caches that are debugged have no sheaves.
if [ "${PATCHES#all}" != "$PATCHES" ] && [ "${SUITE:-}" != kit ]; then
	CMDLINE="$CMDLINE lab.lockdep slab_debug=F"
else
	CMDLINE="$CMDLINE kmemleak=off"
fi

# A kernel of a distribution, with its own initrd and root file system: the lab's
# files are on a second disk, which debian-init unpacks.
ROOT=$OUT/root.img
INITRD=$RESULTS/archive
if [ -f "$ROOT" ]; then
	INITRD=$OUT/initrd
	BOOT_TIMEOUT=240
	MEMORY=2G
	# SRSO: it says WARNING about an emulated CPU without microcode.
	CMDLINE="$CMDLINE root=/dev/vda rw init=/lab/start slub_debug=FZP spec_rstack_overflow=off"
	DEVICES=''
	MACHINE="$MACHINE -drive file=$ROOT,format=raw,if=virtio,snapshot=on -drive file=$RESULTS/archive,format=raw,if=virtio,readonly=on"
fi

# The modules in the order of their dependence, with their parameters.  The last one is
# KVM's, and a root file system's modprobe finds its dependences.
modules()
{
	host_get "$HOST" module | if [ -f "$ROOT" ]; then tail -n 1; else cat; fi
	echo kvm_lifecycle unsafe=1
}

# make_root [TEST...]: the files of the host besides its kernel, in $RESULTS/root, with
# these tests or all.
make_root()
{
	root=$RESULTS/root
	rm -rf "$root"
	mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/tests" "$root/modules"
	cp "$CACHE/busybox/$DEB_ARCH" "$root/bin/busybox"
	"${CROSS}gcc" -Wall -Werror -static -o "$root/bin/keep_vm" "$TOP/tools/lab/keep_vm.c" ||
		die "cannot build keep_vm.c for $ARCH: see above"
	cp "$TOP/tools/lab/init" "$root/init"
	modules >"$root/modules/order"
	echo "${OPTIONS:-}" >"$root/lab.options"
	[ -z "${TEST_FILE:-}" ] || cp "$TEST_FILE" "$root/test_file"
	cp "$OUT"/modules/*.ko "$root/modules/" 2>/dev/null || :
	cp "$MODULE/kvm_lifecycle.ko" "$root/modules/"
	[ -z "${SUITE:-}" ] || set --
	for file in "$TESTS"/*; do
		case " $* " in
		'  '|*" ${file##*/} "*) cp "$file" "$root/tests/" ;;
		esac
	done
}

# The initramfs, and the hash of each of its files.
pack()
{
	(cd "$RESULTS/root" && find . | cpio -o -H newc --quiet -R 0:0)
}

contents()
{
	(cd "$RESULTS/root" && find . -type f -exec sha256sum {} + | sort)
}

# archive TEST...: the list goes into a file, a command line has too little room
# for it.  Not compressed: an emulated CPU takes longer to expand it than to copy
# it.
archive()
{
	printf '%s\n' "$@" >"$RESULTS/root/lab.tests"
	pack >"$RESULTS/archive"
}

# The machine and the kernel's command line, for tests and for a shell alike.
QEMU="$MACHINE $DEVICES -m $MEMORY -accel tcg,thread=$THREAD -nographic -no-reboot -nodefaults -serial mon:stdio"
CMDLINE="$CMDLINE panic=-1 kasan_multi_shot printk.devkmsg=on loglevel=8"

# boot COMMAND-LINE: the last thing that a shell does.
boot()
{
	exec $QEMU -kernel "$OUT/image" -initrd "$INITRD" -append "$CMDLINE $*"
}

# failed_here: has a test failed, or not come to its end?
failed_here()
{
	grep -qs '^not ok ' "$RESULTS"/*.ktap || grep -qsvE '^exit [04]$' "$RESULTS"/*.status
}

# keep_boot: the kernel and the initramfs, in $CACHE/boot once for all hosts that have the
# same, and in the file boot the machine to boot them in.
keep_boot()
{
	rm -f "$RESULTS/root/lab.tests"
	_key=$({ contents; sha256sum <"$OUT/image"; } | hash_of)
	_kept=$CACHE/boot/$_key
	mkdir -p "$CACHE/boot"
	[ -d "$_kept" ] || {
		_new=$_kept.$$
		mkdir "$_new"
		# The build and this one are in one file system.
		ln "$OUT/image" "$_new/kernel" 2>/dev/null || cp "$OUT/image" "$_new/kernel"
		pack | gzip -n >"$_new/initramfs"
		mv -T "$_new" "$_kept" 2>/dev/null || rm -rf "$_new"
	}
	touch "$_kept"
	# shellcheck disable=SC2046 # the words of a line
	set -- $(host_get "$HOST" emulator)
	printf '%s\t%s\n' kept "$_kept" program "$1" package "${2:-}" machine "${QEMU#"$EMULATOR" }" \
		cmdline "$CMDLINE lab.timeout=$TEST_TIMEOUT" seconds "$((BOOT_TIMEOUT + TEST_TIMEOUT + GRACE))" >"$RESULTS/boot"
}

# The messages that a kernel repeats about a CPU that is stalled.
STALLS=$(sed -n 's/^stall	//p' "$TOP/tools/lab/splats" | paste -sd'|')

# since_progress: how many tests have ended, and the one that runs, or boot-LINES; and how
# often a CPU has stalled since.
since_progress()
{
	awk -v stalls="$STALLS" '
	/lab: (begin|end) /	{ ended += / end /; test = $NF; stalled = 0 }
	$0 ~ stalls		{ stalled++ }
	END			{ print ended + 0, test ? test : "boot-" NR, stalled + 0 }' "$RESULTS/console.boot"
}

# watch_host PID TESTS: wait for a host, and say each $GRACE seconds how far it is.  One is
# hung, and is ended, if it boots and says nothing, if no test begins or ends for longer
# than any may take, if a CPU still stalls when the kernel looks for the second time, and
# at $DEADLINE.  The reason is in $hung.
watch_host()
{
	hung=
	trap 'kill "$1" 2>/dev/null || :; exit 130' INT TERM
	progress=$(date +%s) beat=$progress looked=$progress was=''
	while kill -0 "$1" 2>/dev/null; do
		sleep 1
		now=$(date +%s)
		[ $((now - looked)) -ge 5 ] || continue
		looked=$now
		is=$(since_progress)
		[ "${is% *}" = "${was% *}" ] || progress=$now
		was=$is
		test=${is#* }
		test=${test% *}
		seconds=$((TEST_TIMEOUT + GRACE))
		nothing='no test has begun or ended'
		case $test in
		boot-*)	seconds=$((BOOT_TIMEOUT + GRACE)) nothing='it boots, and has said nothing' ;;
		esac
		if [ $((now - progress)) -gt "$seconds" ]; then
			hung="$nothing for $seconds s"
		elif [ "${is##* }" -gt 1 ]; then
			hung="a CPU stalls, see the log"
		elif [ -n "${DEADLINE:-}" ] && [ "$now" -gt "$DEADLINE" ]; then
			hung="the limit of the whole run is over"
		elif [ $((now - beat)) -ge "$GRACE" ]; then
			beat=$now
			step "$HOST, patches: $PATCHES: $test, for $((now - progress)) s; ${is%% *} of $2 tests have ended"
		fi
		[ -n "$hung" ] || continue
		kill "$1" 2>/dev/null || :
		sleep 5
		kill -9 "$1" 2>/dev/null || :
	done
	trap - INT TERM
	wait "$1" || :
}

# cell TEST...: the key of all that these tests' results depend on.
cell()
{
	{
		echo "$MACHINE $DEVICES $MEMORY $THREAD $CMDLINE $TEST_TIMEOUT ${OUT##*/} $*"
		# shellcheck disable=SC2086 # the emulator and its version
		${MACHINE%% *} --version
		contents
		hash_files "$TOP/tools/lab/host.sh" "$TOP/tools/lab/verdict/logs.py" "$TOP/tools/lab/splats"
	} | hash_of
}

# take_cell TEST...: the results of an equal run, if there is one.
take_cell()
{
	key=$(cell "$@")
	kept=$CACHE/cells/$key
	if [ -z "${AGAIN:-}" ] && [ -d "$kept" ]; then
		cp -a "$kept/." "$RESULTS/"
		date -r "$kept/kernel" '+%Y-%m-%d %H:%M' >"$RESULTS/taken"
		touch "$kept"
		_boot=$(sed -n 's/^kept	//p' "$RESULTS/boot" 2>/dev/null || :)
		[ ! -d "$_boot" ] || touch "$_boot"
		step "$HOST, patches: $PATCHES: nothing has changed since $(cat "$RESULTS/taken"), whose results are taken (AGAIN=1 runs it again)"
	else
		echo "$key" >"$RESULTS/cell"
		return 1
	fi
}

run_tests()
{
	mkdir -p "$RESULTS"
	rm -f "$RESULTS"/*.log "$RESULTS"/*.ktap "$RESULTS"/*.status "$RESULTS"/console "$RESULTS"/lockdep* "$RESULTS"/gcov.tar "$RESULTS/kernel" "$RESULTS/boot"
	make_root "$@"
	if [ -n "${REUSE:-}" ] && take_cell "$@"; then
		rm -rf "$RESULTS/root"
		return
	fi
	# A host that a test took down is booted again for those after it, and a test for which
	# the host was too slow has a second boot.
	while [ $# -gt 0 ]; do
		archive "$@"
		boot "lab.timeout=$TEST_TIMEOUT" >"$RESULTS/console.boot" 2>&1 </dev/null &
		watch_host $! $#
		before=$(find "$RESULTS" -name '*.log' | wc -l)
		left=$(results take "$RESULTS" "$hung" "$@")
		# shellcheck disable=SC2086 # names of tests
		set -- $left
		[ "$(find "$RESULTS" -name '*.log' | wc -l)" -gt "$before" ] || break
		[ -z "${DEADLINE:-}" ] || [ "$(date +%s)" -le "$DEADLINE" ] || break
	done
	for test; do
		echo "${hung:+hung: $hung; }the host did not come as far as this test, see $RESULTS/console" |
		sed '/^hung/!s/^/died: /' >"$RESULTS/$test.status"
	done
	echo "${OUT##*/}" >"$RESULTS/kernel"
	# Upstream's tests and the kit's have no reds of ours, and a disk does not travel.
	[ -n "${SUITE:-}" ] || [ -f "$ROOT" ] || ! failed_here || keep_boot
	rm -rf "$RESULTS/root" "$RESULTS/archive"
}

if [ -n "$SHELL_ONLY" ]; then
	make_root
	archive
	(boot lab.shell)
else
	run_tests "$@"
fi
