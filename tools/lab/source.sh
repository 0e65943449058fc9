#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# source.sh BASE: have the tree of a base as a git repository and print its
# path.  Tag "base" is the pristine tree, "series" the tree with the series.
#
# The source comes from Debian's archive.  With KERNEL=path it is a copy of
# the user's tree instead.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/lab/apt.sh"

BASE=$1
check_base "$BASE"
KERNEL=${KERNEL:-}
# fetch KIND: the file of one line of the base, checked, in the cache folder.
fetch()
{
	set -- "$1" $(base_get "$BASE" "$1")
	kind=$1 name=$2 version=$3 sha=$4
	file=$CACHE/download/$sha
	if [ ! -f "$file" ]; then
		tmp=$CACHE/download/$sha.tmp
		rm -rf "$tmp"
		mkdir -p "$tmp"
		step "fetching $name $version ($kind)"
		case $kind in
		upstream)
			set -- apt-get source --download-only --tar-only "$name=$version" ;;
		package)
			set -- apt-get download "$name=$version" ;;
		esac
		(cd "$tmp" && run_logged "$APT_LOG" in_apt_root "$@" 2>/dev/null) || {
			rm -rf "$tmp"
			return 1
		}
		mv "$tmp"/* "$file.new"
		rm -rf "$tmp"
		mv "$file.new" "$file"
	fi
	if [ "$(sha256sum "$file" | cut -d' ' -f1)" != "$sha" ]; then
		mv "$file" "$file.bad"
		die "the SHA-256 of $name $version is not the one that patches/$BASE/base pins: the file was kept as $file.bad; compare it with the archive's signed list, then run the same command again"
	fi
}

# unpack KIND DIRECTORY
unpack()
{
	case $1 in
	upstream)
		tar -xf "$file" -C "$2" --strip-components=1 ;;
	package)
		dpkg-deb --fsys-tarfile "$file" |
		tar -xOf - --wildcards './usr/src/linux-source-*.tar.xz' |
		tar -xJf - -C "$2" --strip-components=1 ;;
	esac
}

gone()
{
	! grep -q 'No space left on device' "$APT_LOG" ||
		die "the disk is full: make room and run the same command again (log: $APT_LOG)"
	series=$(base_get "$BASE" series)
	newest=$(in_apt_root apt-cache showsrc linux 2>/dev/null |
		 sed -n "s/^Version: \($series\.[^ ]*\)$/\1/p" | sort -uV | tail -n 1)
	pinned=$(base_get "$BASE" version)
	[ "${newest%-*}" != "$pinned" ] ||
		die "cannot fetch linux $pinned from Debian's archive: check the network and run the same command again (log: $APT_LOG)"
	if [ -n "$newest" ]; then
		die "Debian's archive no longer has linux $pinned: the newest of this series there is $newest; pin it in patches/$BASE/base, or give your own tree with KERNEL=path"
	fi
	die "Debian's archive has neither linux $pinned nor another $series: give your own tree with KERNEL=path"
}

git_kernel()
{
	git -C "$TREE" -c user.name=kvm-lifecycle -c user.email=kvm-lifecycle@localhost.localdomain \
	    -c core.compression=0 -c gc.auto=0 -c core.hooksPath=/dev/null \
	    -c commit.gpgSign=false -c advice.detachedHead=false "$@"
}

# A repository is built under another name, and is there when it is complete.
make_repository()
{
	need_space "$CACHE" 12
	rm -rf "$TREE" "$TREE.tmp"
	mkdir -p "$TREE.tmp"
	"$@" "$TREE.tmp" || {
		rm -rf "$TREE.tmp"
		die "cannot unpack the kernel's source in $TREE.tmp: check the disk and run the same command again"
	}
	kernel_version "$TREE.tmp" >"$TREE.version" ||
		die "cannot read the version of the kernel in $TREE.tmp: remove this folder and run the same command again"
	step "making a git repository of it ($TREE)"
	final=$TREE
	TREE=$final.tmp
	run_logged "$CACHE/logs/source-$BASE.log" commit_all ||
		die "cannot make a git repository in $TREE (log: $CACHE/logs/source-$BASE.log)"
	TREE=$final
	mv "$TREE.tmp" "$TREE"
}

commit_all()
{
	git_kernel init -q -b main &&
	git_kernel add -A -f . &&
	GIT_AUTHOR_DATE='2000-01-01T00:00:00Z' GIT_COMMITTER_DATE='2000-01-01T00:00:00Z' \
	git_kernel commit -q -m "linux $(base_get "$BASE" version)" &&
	git_kernel tag base
}

unpack_any()
{
	for kind in upstream package; do
		if [ -n "$(base_get "$BASE" "$kind")" ] && fetch "$kind"; then
			step "unpacking linux $version ($kind)"
			unpack "$kind" "$1"
			return
		fi
		step "Debian's archive does not have this file now"
	done
	gone
}

# The user's tree is read, and never written to.  The products of a build stay
# out, and so does the user's git.
list_tree()
{
	if git -c safe.directory='*' -C "$KERNEL" ls-files --error-unmatch Makefile >/dev/null 2>&1; then
		git -c safe.directory='*' -C "$KERNEL" ls-files -z -co --exclude-standard
	else
		(cd "$KERNEL" && find . -name .git -prune -o \( -type f -o -type l \) -print0)
	fi
}

# A file that git knows and that is gone is a state as well.
tree_state()
{
	echo "$KERNEL"
	list_tree | (cd "$KERNEL" && xargs -0 stat -c '%n %s %Y' 2>&1) | sort
}

copy_tree()
{
	list_tree | rsync -a --from0 --files-from=- --ignore-missing-args "$KERNEL/" "$1/" || return
	for karch in x86 arm64 riscv; do
		[ ! -d "$1/arch/$karch" ] || make -s -C "$1" ARCH="$karch" mrproper || return
	done
}

user_tree()
{
	[ -d "$KERNEL" ] || die "KERNEL=$KERNEL does not exist: give the path of a kernel tree"
	KERNEL=$(cd "$KERNEL" && pwd)
	grep -q '^VERSION = ' "$KERNEL/Makefile" 2>/dev/null ||
		die "KERNEL=$KERNEL is not a Linux kernel tree: give the folder with the kernel's top Makefile"
	have=$(kernel_version "$KERNEL") || have=unknown
	case $have in
	"$(base_get "$BASE" series)"|"$(base_get "$BASE" series)".*)
		;;
	*)
		die "KERNEL=$KERNEL is $have and patches/$BASE is for $(base_get "$BASE" series): choose another BASE ($(bases | paste -sd' '))" ;;
	esac

	# What the tree holds decides, so a changed tree is another tree.
	key=$(tree_state | hash_of)
	TREE=$CACHE/src/user-$key
	[ -d "$TREE" ] || {
		step "copying $KERNEL (it is not changed)"
		make_repository copy_tree
	}
	# Earlier states of such trees are of no use for long.
	touch "$TREE"
	find "$CACHE/src" "$CACHE/obj" -maxdepth 1 -name 'user-*' -mtime +7 -exec rm -rf {} +
}

# The series on top, as anybody would put it there: git am.
apply_series()
{
	set -- $(series_files "$BASE")
	[ $# -gt 0 ] || return 0
	key=$(hash_files "$@")
	[ "$(git_kernel rev-parse -q --verify "refs/tags/series-$key" || :)" = \
	  "$(git_kernel rev-parse -q --verify refs/tags/series || echo none)" ] && return 0

	log=$CACHE/logs/am-$BASE.log
	git_kernel am --abort >/dev/null 2>&1 || :
	git_kernel checkout -q -f --detach refs/tags/base
	git_kernel clean -q -d -f -x
	for patch; do
		run_logged "$log" git_kernel am -q --committer-date-is-author-date "$patch" 2>/dev/null || {
			file=$(sed -n 's/^error: patch failed: \(.*\):[0-9]*$/\1/p; s/^error: \(.*\): does not exist.*/\1/p' "$log" | sort -u | paste -sd' ')
			git_kernel am --abort >/dev/null 2>&1 || :
			git_kernel checkout -q -f --detach refs/tags/base
			die "$(basename "$patch") does not apply to linux $(kernel_version "$TREE"): ${file:-see the log}; rebase the patch (log: $log)"
		}
	done
	git_kernel tag -f series >/dev/null
	git_kernel tag -f "series-$key" >/dev/null
	step "git am patches/$BASE: $# patches"
}

main()
{
	if [ -n "$KERNEL" ]; then
		user_tree
	else
		TREE=$CACHE/src/$BASE
		if [ -d "$TREE" ] && [ "$(cat "$TREE.version" 2>/dev/null)" != "$(base_get "$BASE" version)" ]; then
			rm -rf "$TREE"
		fi
		[ -d "$TREE" ] || {
			apt_root
			make_repository unpack_any
		}
	fi
	# No build may run in the tree meanwhile.
	locked "$CACHE/obj/.lock-${TREE##*/}" apply_series
	echo "$TREE" >"$CACHE/src/$BASE.path"
}

mkdir -p "$CACHE/src" "$CACHE/obj" "$CACHE/download" "$CACHE/logs"
locked "$CACHE/src/.lock" main
