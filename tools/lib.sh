# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Shared by every script of this project: where things are kept, how a step and
# an error look, and how a result appears only when it is complete.

set -eu

# Variables that make and git hand to their children are not for the kernel's make.
unset MAKEFLAGS MFLAGS GNUMAKEFLAGS MAKEOVERRIDES
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR

# Debian has modinfo and depmod where a user who is not root does not look.
export PATH="$PATH:/usr/sbin:/sbin"

# The output of tools is parsed here, and sorted lists are compared.
export LC_ALL=C.UTF-8

TOP=${TOP:-$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)}
CACHE=${KVM_LIFECYCLE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/kvm-lifecycle}
JOBS=${JOBS:-$(($(nproc) + 1))}
# Not more emulated hosts at a time than processors: QEMU 7.2 can miss that one
# CPU of a host changes code which another one is just translating (see
# tools/lab/keep_vm.c), and the longer that takes, the likelier.
HOSTS=${HOSTS:-$(nproc)}
PROG=${0##*/}
START=${START:-$(date +%s)}
# Shared by one command and all scripts that it calls.
export LAB_RUN="${LAB_RUN:-$START.$$}"

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

# as_root COMMAND...: with sudo, if this is not root.
as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# can_be_root: whether as_root can work at all.
can_be_root()
{
	[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null
}

# need_space DIRECTORY GIB: refuse to start without room on the disk.
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

# hash_of: a key of 16 hexadecimal digits for standard input.
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

# package_version: of the Debian packages, and of the kit.
package_version()
{
	sed -n '1s/.*(\(.*\)).*/\1/p' "$TOP/debian/changelog"
}

# kernel_version TREE: the version in the top Makefile of a kernel, e.g. 7.3.0-rc7.
kernel_version()
{
	awk '
	/^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) *=/ {
		name = $1
		sub(/=.*/, "", name)
		text = $0
		sub(/^[^=]*=[ \t]*/, "", text)
		part[name] = text
	}
	END {
		if (part["VERSION"] !~ /^[0-9]+$/ || part["PATCHLEVEL"] !~ /^[0-9]+$/)
			exit 1
		print part["VERSION"] "." part["PATCHLEVEL"] "." part["SUBLEVEL"] part["EXTRAVERSION"]
	}' "$1/Makefile" 2>/dev/null
}

# base_get BASE KEY: the fields of a line of patches/BASE/base.
base_get()
{
	sed -n "s/^$2[[:space:]]\{1,\}//p" "$TOP/patches/$1/base"
}

# tests_base BASE: in the tree of which base its selftests are built.
tests_base()
{
	_from=$(base_get "$1" selftests)
	echo "${_from:-$1}"
}

# bases [FIELD]: all of them, by version; or those whose file "base" has such a line.
bases()
{
	for _f in "$TOP"/patches/*/base; do
		if [ -f "$_f" ] && grep -q "^${1:-}" "$_f"; then
			basename "$(dirname "$_f")"
		fi
	done | sort -V
}

# base_for VERSION: the series that is made for such a kernel.
base_for()
{
	for _base in $(bases); do
		case $1 in
		"$(base_get "$_base" series)".*) echo "$_base"; return ;;
		esac
	done
	return 1
}

# default_base: the base without BASE: the one for KERNEL, or else the one with the
# line "default".
default_base()
{
	base_for "$(kernel_version "${KERNEL:-/dev/null}")" || bases default | head -n 1
}

check_base()
{
	[ -f "$TOP/patches/$1/base" ] ||
		die "unknown BASE=$1: choose one of $(bases | paste -sd' ')"
}

# each_base BASE...: this script again for each of several bases, and none is
# left out because another one failed.  With one, go on.
each_base()
{
	[ $# -gt 1 ] || return 0
	_failed=
	for _base; do
		check_base "$_base"
	done
	for _base; do
		echo "== $_base"
		BASE=$_base "$0" || _failed="$_failed $_base"
	done
	[ -z "$_failed" ] || die "failed for:$_failed"
	exit 0
}

# arches: all of them that the series is compiled for.
arches()
{
	awk '!/^#/ { print $1 }' "$TOP/tools/lab/arches"
}

# check_arches CHOICES ARCH...: each of these architectures is one of those.
check_arches()
{
	_choices=$1
	shift
	for _arch; do
		case " $_choices " in
		*" $_arch "*) ;;
		*) die "unknown ARCH=$_arch: choose from $_choices" ;;
		esac
	done
}

# host_get HOST KEY: the values of the lines of tools/lab/hosts/HOST that begin with KEY.
host_get()
{
	sed -n "s/^$2[[:space:]]\{1,\}//p" "$TOP/tools/lab/hosts/$1"
}

# emulator_of HOST: the program that it runs in.  One with its package comes from a newer
# suite, if this machine's own is too old; a script of the lab is beside it.
emulator_of()
{
	# shellcheck disable=SC2046 # the words of a line
	set -- $(host_get "$1" emulator)
	case $#:$1 in
	1:*.sh)	echo "$TOP/tools/lab/$1" ;;
	1:*)	echo "$1" ;;
	*)	"$TOP/tools/lab/emulator.sh" "$@" ;;
	esac
}

# lab_hosts [KEY [VALUE]]: the emulated hosts, or those whose files have such a line.
lab_hosts()
{
	for _f in "$TOP"/tools/lab/hosts/*; do
		_f=${_f##*/}
		[ $# -eq 0 ] || host_get "$_f" "$1" | grep -qx "${2:-.*}" || continue
		echo "$_f"
	done
}

# hosts_of ARCH...: the hosts that an architecture stands for: those of "default", or
# all of them if none is.
hosts_of()
{
	for _arch; do
		lab_hosts arch "$_arch" | grep -xF "$(lab_hosts default)" || lab_hosts arch "$_arch"
	done
}

# arches_of HOST...: the architectures of their kernels.
arches_of()
{
	for _host; do
		host_get "$_host" arch
	done | awk '!seen[$0]++' | paste -sd' '
}

# kernel_of HOST: its kernel, by the architecture, and with its configuration as in x86-light.
kernel_of()
{
	_config=$(host_get "$1" config)
	echo "$(host_get "$1" arch)${_config:+-$_config}"
}

# kernels_of HOST...: theirs.
kernels_of()
{
	for _host; do
		kernel_of "$_host"
	done | awk '!seen[$0]++' | paste -sd' '
}

# pick_hosts: in HOST, the hosts that the user means by HOST or by ARCH, or by neither.
# ARCH is empty from then on, also for the scripts that are called.
pick_hosts()
{
	[ -z "${HOST:-}" ] || [ -z "${ARCH:-}" ] ||
		die "HOST='$HOST' and ARCH='$ARCH' both say which hosts: give one of them"
	check_arches "$(arches_of $(lab_hosts))" ${ARCH:-}
	[ -z "${ARCH:-}" ] || HOST=$(hosts_of $ARCH | paste -sd' ')
	HOST=${HOST:-$(lab_hosts default | paste -sd' ')}
	for _host in $HOST; do
		lab_hosts | grep -qxF -e "$_host" ||
			die "unknown HOST=$_host: choose from $(lab_hosts | paste -sd' ')"
	done
	ARCH=
	export HOST ARCH
}

# results COMMAND...: the reader of the tables of patches/ and of the output of hosts.
results()
{
	"$TOP/tools/lab/results.py" "$@"
}

# known_tests BASE HOST [KERNEL [LEVEL]]: the tests of patches/expect for this host, in order.
known_tests()
{
	results tests "$1" "$2" --kernel "${3:-lab}" --level "${4:-full}"
}

# new_results NAME: the folder of a run that begins now.  None is ever removed here.
new_results()
{
	echo "$TOP/results/$(date +%Y%m%d-%H%M%S)-$1"
}

# last_results NAME: of the last run of this name that came to its verdict.
last_results()
{
	for _verdict in "$TOP/results"/[0-9]*-"$1"/results.json; do
		[ ! -f "$_verdict" ] || _last=${_verdict%/*}
	done
	echo "${_last:-$TOP/results/none-$1}"
}

# about_tree NAME: a file of tools/lab/source.sh on $TREE: version, there or merged.
about_tree()
{
	cat "${TREE:-}.$1" 2>/dev/null || :
}

# judge ARGS...: the verdict on $RESULTS, which is the latest from then on.
judge()
{
	_status=0
	results judge "$RESULTS" --linux "$(about_tree version)" --there "$(about_tree there)" "$@" || _status=$?
	[ "${RESULTS%/*}" != "$TOP/results" ] || ln -sfn "${RESULTS##*/}" "$TOP/results/latest"
	return $_status
}

# check_rst: RST, if it is set, is another locking.rst.
check_rst()
{
	[ -z "$RST" ] || [ -f "$RST" ] ||
		die "RST=$RST does not exist: name a file like Documentation/virt/kvm/locking.rst"
}

# series_files BASE [VERSION]: the mbox files of a base, NNNN-SLUG.patch, in order.
# A kernel that takes some of them in another form only has these as SLUG.patch in
# patches/BASE/VERSION.  0000-cover-letter lies outside the glob.
series_files()
{
	for _f in "$TOP/patches/$1"/[0-9]*.patch; do
		[ -f "$_f" ] || continue
		_other=${_f##*/}
		_other=$TOP/patches/$1/${2:-none}/${_other#*-}
		[ ! -f "$_other" ] || _f=$_other
		echo "$_f"
	done
}

# slugs: the slugs of the files on standard input, by which patches are known:
# numbers are the order of a series and nothing else.
slugs()
{
	sed 's#.*/##; s/^[0-9]*-//; s/\.patch$//'
}

slug_of()
{
	echo "$1" | slugs
}

# patch_number BASE OPTION SLUG: the place of a patch in its series, by its slug or
# by that place itself; OPTION is the variable in which the user has named it.
patch_number()
{
	series_files "$1" | slugs | awk -v which="$3" '$0 == which || NR == which { print NR; found = 1 } END { exit !found }' ||
	die "unknown $2=$3: choose ${4:-}a slug of a patch in patches/$1, e.g. $(series_files "$1" | slugs | head -n 1), or a number from 1 to $(series_files "$1" | wc -l)"
}

# variants BASE NAME...: hosts by how many patches their kernels have: none, all,
# all-VARIANT, or the number of a patch, i.e. those up to and with it.
variants()
{
	_base=$1
	shift
	_variants=
	for _variant; do
		case $_variant in
		none|all|all-kcsan|all-gcov) ;;
		*)	_variant=$(patch_number "$_base" PATCHES "$_variant" 'none, all, all-kcsan, all-gcov, ') || exit ;;
		esac
		_variants="$_variants $_variant"
	done
	echo "${_variants# }"
}

# series_paths PATCH...: the files that patches change.
series_paths()
{
	sed -n 's#^diff --git a/\(.*\) b/\(.*\)$#\1\n\2#p' "$@" | sort -u
}

# config_files BASE ARCH: the fragments that a kernel's configuration is made of.
config_files()
{
	echo "$TOP/tools/lab/common.config" "$TOP/tools/lab/$2.config" "$TOP/patches/$1/config"
}

# check_config: has the kernel in $OBJ taken each line of the fragments $CONFIG?
# A host without the detector that somebody asked for would show a false green.
check_config()
{
	awk '
	!/^CONFIG_/		{ next }
				{ name = $0; sub(/=.*/, "", name) }
	FILENAME == ARGV[1]	{ have[name] = $0; next }
				{ want[name] = $0 }
	END {
		for (name in want)
			if (want[name] == name "=n" ? name in have : have[name] != want[name]) {
				print "error: the kernel does not take " want[name]
				failed = 1
			}
		exit failed
	}' "$OBJ/.config" $CONFIG
}

# arch_env ARCH: the fields of an architecture in tools/lab/arches.
arch_env()
{
	set -- "$1" $(awk -v arch="$1" '!/^#/ && $1 == arch' "$TOP/tools/lab/arches")
	[ $# -gt 1 ] || die "unknown ARCH=$1: choose from $(arches | paste -sd' ')"
	KARCH=$1 CROSS=${3#-} DEB_ARCH=$4 IMAGE=$5 IMAGE_PATH=arch/$1/boot/$5
	shift 5
	FOLDERS=$*
	export CROSS KARCH IMAGE IMAGE_PATH DEB_ARCH FOLDERS
}

# kmake ARCH SRC OBJ ARGS...: the kernel's make, reproducible and with ccache.
# COMPILER is gcc or, after tools/series/clang.sh, clang.
kmake()
{
	arch_env "$1"
	_src=$2
	_obj=$3
	shift 3
	_cc=${CROSS}gcc
	[ "${COMPILER:-gcc}" = gcc ] || _cc=$CACHE/clang/clang
	CCACHE_DIR=$CACHE/ccache CCACHE_MAXSIZE=5G CCACHE_BASEDIR=$CACHE \
	KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970' \
	KBUILD_BUILD_USER=kvm-lifecycle KBUILD_BUILD_HOST=lab KBUILD_BUILD_VERSION=1 \
	make -C "$_src" O="$_obj" ARCH="$KARCH" CROSS_COMPILE="$CROSS" \
		CC="ccache $_cc" HOSTCC="ccache gcc" -s -j"$JOBS" "$@"
}

# kvm_of FOLDER: KVML_KVM for the kernel that build.sh has left in there.
kvm_of()
{
	{
		find "$1/modules" -name 'kvm*.ko'
		echo "$1/image"
	} | sort | paste -sd' '
}

# get_tree BASE: have this kernel with its series in git, in $TREE, for the rest of
# the run.
# shellcheck disable=SC2034 # for the caller
get_tree()
{
	"$TOP/tools/lab/setup.sh"
	one_run
	"$TOP/tools/lab/source.sh" "$1"
	TREE=$(cat "$CACHE/src/$1.path")
}

# prepare BASE KERNELS PATCHES [SUITE]: all that emulated hosts are made of, for
# each of kernels_of and each number of patches.
prepare()
{
	_base=$1 _kernels=$2 _variants=$3
	shift 3
	get_tree "$_base"
	for _variant in $_variants; do
		for _kernel in $_kernels; do
			_arch=${_kernel%%-*}
			"$TOP/tools/lab/build.sh" "$_base" "$_arch" "$_variant${_kernel#"$_arch"}"
			"$TOP/tools/lab/module.sh" "$_base" "$_arch" "$_variant${_kernel#"$_arch"}"
		done
	done
	for _arch in $(printf '%s\n' $_kernels | sed 's/-.*//' | sort -u); do
		"$TOP/tools/lab/tests.sh" "$_base" "$_arch" "$@"
		"$TOP/tools/lab/busybox.sh" "$_arch"
	done
}

# make_look ARCH TESTS FILES: the test that looks whether kvm_lifecycle knows KVM, and in FILES
# the program that it needs in TEST_FILE, an archive.
make_look()
{
	arch_env "$1"
	cp "$TOP/tools/testing/other-kvm.sh" "$2/other_kvm"
	"${CROSS}gcc" -D_GNU_SOURCE -Wall -Werror -static -o "$3/look" "$TOP/tools/testing/look.c" ||
		die "cannot build look.c for $1: see above"
}

# run_hosts: boot the hosts on standard input: host.sh's arguments, a line a host.  None
# is up after LIMIT seconds.
run_hosts()
{
	LIMIT=${LIMIT:-$((1800 + 2 * ${TEST_TIMEOUT:-900}))}
	# Before the clock runs.
	mkdir -p "$RESULTS"
	cat >"$RESULTS/started"
	cut -d' ' -f2 "$RESULTS/started" | sort -u | while read -r _host; do
		emulator_of "$_host" >/dev/null || exit
	done || exit
	DEADLINE=$(($(date +%s) + LIMIT))
	export DEADLINE
	step "running the tests in emulated hosts, $HOSTS at a time, for $((LIMIT / 60)) minutes at most (results: $RESULTS)"
	xargs -P "$HOSTS" -L 1 "$TOP/tools/lab/host.sh" <"$RESULTS/started" ||
		die "a host could not be started: see above, and the logs in $RESULTS"
	rm "$RESULTS/started"
	step "the hosts are down"
}

# git_in TREE ARGS...: git in a repository of ours, without the user's settings.
git_in()
{
	_git=$1
	shift
	git -C "$_git" -c user.name=kvm-lifecycle -c user.email=kvm-lifecycle@localhost.localdomain \
	    -c core.compression=0 -c gc.auto=0 -c core.hooksPath=/dev/null \
	    -c commit.gpgSign=false -c advice.detachedHead=false "$@"
}

# checkout TREE COMMIT: the files of a commit, in a tree of ours.
checkout()
{
	git_in "$1" checkout -q -f --detach "$2" ||
		die "cannot check out $2 in $1: remove this folder and run the same command again"
}

# commit_base TREE: the files of a folder as a repository, with the tag "base".
commit_base()
{
	git_in "$1" init -q -b main &&
	git_in "$1" add -A -f . &&
	GIT_AUTHOR_DATE='2000-01-01T00:00:00Z' GIT_COMMITTER_DATE='2000-01-01T00:00:00Z' \
	git_in "$1" commit -q -m "linux $(kernel_version "$1")" &&
	git_in "$1" tag base
}

# am_reason LOG: which files git could not change, and why.
am_reason()
{
	sed -n -e 's/^error: patch failed: \(.*\):\([0-9]*\)$/\1 (line \2 is not as the patch expects)/p' \
	       -e 's/^error: \(.*\): does not exist in index$/\1 (there is no such file)/p' \
	       -e 's/^error: \(.*\): already exists in .*$/\1 (there is such a file already)/p' "$1" |
	sort -u | paste -sd, | sed 's/,/, /g'
}

# lend_blobs TREE PATCH: the blobs that git am -3 asks for, of the other trees in the cache.
lend_blobs()
{
	sed -n 's/^index \([0-9a-f]\{40\}\)\.\..*/\1/p' "$2" | while read -r _blob; do
		! git -C "$1" cat-file -e "$_blob" 2>/dev/null || continue
		for _lender in "$CACHE"/src/*/.git; do
			git --git-dir="$_lender" cat-file -e "$_blob" 2>/dev/null || continue
			git --git-dir="$_lender" cat-file blob "$_blob" | git -C "$1" hash-object -w --no-filters --stdin >/dev/null
			break
		done
	done
}

# git_am TREE LOG PATCH...: put the series on the tag "base", as anybody would; a patch
# without a diff is an empty commit.  Those that apply by git am -3 alone are in $MERGED,
# and those of which it leaves nothing, empty as well, in $THERE.
git_am()
{
	_tree=$1 _am_log=$2
	shift 2
	MERGED='' THERE=''
	git_in "$_tree" am --abort >/dev/null 2>&1 || :
	checkout "$_tree" refs/tags/base
	while [ $# -gt 0 ]; do
		! run_logged "$_am_log" am_in "$_tree" "$@" 2>/dev/null || break
		_why=$(am_reason "$_am_log")
		_next=$(cat "$_tree/$(git_in "$_tree" rev-parse --git-path rebase-apply/next)" 2>/dev/null || echo 1)
		git_in "$_tree" am --quit >/dev/null 2>&1 || :
		shift $((_next - 1))
		lend_blobs "$_tree" "$1"
		checkout "$_tree" HEAD
		_before=$(git -C "$_tree" rev-parse HEAD)
		run_logged "$_am_log-3" am_in "$_tree" -3 "$1" 2>/dev/null || {
			git_in "$_tree" am --abort >/dev/null 2>&1 || :
			checkout "$_tree" refs/tags/base
			die "$(slug_of "$1") does not apply to linux $(kernel_version "$_tree"): ${_why:-see the log}; rebase the patch (log: $_am_log)"
		}
		if [ "$(git -C "$_tree" rev-parse HEAD)" != "$_before" ]; then
			MERGED="$MERGED $(slug_of "$1")"
		else
			THERE="$THERE $(slug_of "$1")"
			git_in "$_tree" commit -q --allow-empty -m "$(slug_of "$1")"
		fi
		shift
	done
}

am_in()
{
	_repository=$1
	shift
	git_in "$_repository" am -q --empty=keep --committer-date-is-author-date "$@"
}
