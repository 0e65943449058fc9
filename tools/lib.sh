# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# What every script of this project shares: where things are kept, how a step
# and an error look, and how a result appears only when it is complete.

set -eu

# What make and git hand to their children is not meant for the kernel's make.
unset MAKEFLAGS MFLAGS GNUMAKEFLAGS MAKEOVERRIDES
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR

TOP=${TOP:-$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)}
CACHE=${KVM_LIFECYCLE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/kvm-lifecycle}
JOBS=${JOBS:-$(($(nproc) + 1))}
PROG=${0##*/}
START=${START:-$(date +%s)}

# die SENTENCE: one clear sentence with the next thing to do, and exit 1.
die()
{
	echo "$PROG: $*" >&2
	exit 1
}

# step SENTENCE: a line of progress with the time since this script started.
step()
{
	_t=$(($(date +%s) - START))
	printf '[%3d:%02d] %s\n' $((_t / 60)) $((_t % 60)) "$*"
}

case $TOP$CACHE in
*[[:space:]:\'\"]*)
	die "the kernel's build takes no space, colon or quote in a path: move $TOP, or set KVM_LIFECYCLE_CACHE" ;;
esac

# need_space DIRECTORY GIB: refuse to start what the disk cannot hold.
need_space()
{
	mkdir -p "$1" || die "cannot create $1: set KVM_LIFECYCLE_CACHE to a folder that can be written"
	_free=$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1048576) }')
	[ "$_free" -ge "$2" ] ||
		die "only $_free GiB are free in $1 and $2 GiB are needed: make room, or set KVM_LIFECYCLE_CACHE to a folder on a larger disk"
}

# run_logged LOG COMMAND...: run a command with its output in LOG; when it
# fails, show the end of the log, and whether it was the disk that was full.
run_logged()
{
	_log=$1
	shift
	mkdir -p "$(dirname "$_log")"
	"$@" >"$_log" 2>&1 </dev/null && return 0
	if grep -q 'No space left on device' "$_log"; then
		echo "$PROG: the disk is full (see $_log): make room and run the same command again" >&2
	else
		{ grep -nE '(error|Error|ERROR|fatal)[: ]' "$_log" || tail -n 5 "$_log"; } | head -n 8 >&2
	fi
	return 1
}

# hash_of: a key of 16 hexadecimal digits for what is on standard input.
hash_of()
{
	sha256sum | cut -c1-16
}

# hash_files FILE...: the key of names and contents.
hash_files()
{
	sha256sum "$@" | sed "s#$TOP/##" | hash_of
}

# locked FILE COMMAND...: one at a time, and say so when there is a wait.
locked()
{
	_lock=$1
	shift
	mkdir -p "$(dirname "$_lock")"
	(
		flock -n 9 || { step "waiting for another run that holds $_lock"; flock 9; }
		"$@"
	) 9>"$_lock"
}

# one_run: one run at a time has the cache, from its start to its end.
one_run()
{
	[ -z "${LAB_LOCKED:-}" ] || return 0
	mkdir -p "$CACHE" || die "cannot create $CACHE: set KVM_LIFECYCLE_CACHE to a folder that can be written"
	exec 8>"$CACHE/.lock-run"
	flock -n 8 || {
		step "waiting for another run that uses $CACHE"
		flock 8
	}
	export LAB_LOCKED=1
}

# kernel_version TREE: what the top Makefile of a kernel says.
kernel_version()
{
	make -s -C "$1" ARCH=x86 kernelversion 2>/dev/null
}

# base_get BASE KEY: the fields of a line of patches/BASE/base.
base_get()
{
	sed -n "s/^$2[[:space:]]\{1,\}//p" "$TOP/patches/$1/base"
}

bases()
{
	for _f in "$TOP"/patches/*/base; do
		basename "$(dirname "$_f")"
	done
}

check_base()
{
	[ -f "$TOP/patches/$1/base" ] ||
		die "unknown BASE=$1: choose one of $(bases | paste -sd' ')"
}

# check_hosts ARCH...: architectures that an emulated host exists for.
check_hosts()
{
	for _arch; do
		case $_arch in
		x86|arm64) ;;
		*) die "unknown ARCH=$_arch: choose x86, arm64 or both" ;;
		esac
	done
}

# The mbox files of a base, in order.  0000-cover-letter lies outside the glob.
series_files()
{
	for _f in "$TOP/patches/$1"/[0-9]*.patch; do
		[ -f "$_f" ] && echo "$_f"
	done
}

# config_files BASE ARCH: the fragments that a kernel's configuration is made of.
config_files()
{
	echo "$TOP/tools/lab/common.config" "$TOP/tools/lab/$2.config" "$TOP/patches/$1/config"
}

# arch_env ARCH: the kernel's names for an architecture of ours.
arch_env()
{
	case $1 in
	x86)
		CROSS='' KARCH=x86 IMAGE=bzImage IMAGE_PATH=arch/x86/boot/bzImage DEB_ARCH=amd64 ;;
	arm64)
		CROSS=aarch64-linux-gnu- KARCH=arm64 IMAGE=Image IMAGE_PATH=arch/arm64/boot/Image DEB_ARCH=arm64 ;;
	# Compiled, and not run: there is no host for it yet.
	riscv)
		CROSS=riscv64-linux-gnu- KARCH=riscv IMAGE=Image IMAGE_PATH=arch/riscv/boot/Image DEB_ARCH=riscv64 ;;
	*)
		die "unknown ARCH=$1: choose x86 or arm64" ;;
	esac
	export CROSS KARCH IMAGE IMAGE_PATH DEB_ARCH
}

# kmake ARCH SRC OBJ ARGS...: the kernel's make, reproducible and with ccache.
kmake()
{
	arch_env "$1"
	_src=$2
	_obj=$3
	shift 3
	CCACHE_DIR=$CACHE/ccache CCACHE_MAXSIZE=5G CCACHE_BASEDIR=$CACHE \
	KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970' \
	KBUILD_BUILD_USER=kvm-lifecycle KBUILD_BUILD_HOST=lab KBUILD_BUILD_VERSION=1 \
	make -C "$_src" O="$_obj" ARCH="$KARCH" CROSS_COMPILE="$CROSS" \
		CC="ccache ${CROSS}gcc" HOSTCC="ccache gcc" -s -j"$JOBS" "$@"
}
