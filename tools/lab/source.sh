#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# source.sh BASE: have the tree of a base as a git repository and print its
# path.  Tag "base" is the pristine tree, "fixes" the one with the patches of the
# base, and "series" the one with the selftests on top of these.
#
# The source comes from Debian's archive.  With KERNEL=path it is a copy of
# the user's tree instead.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/lab/apt.sh"
. "$TOP/tools/series/series.sh"

BASE=$1
check_base "$BASE"
KERNEL=${KERNEL:-}

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
	run_logged "$CACHE/logs/source-$BASE.log" commit_base "$TREE.tmp" ||
		die "cannot make a git repository in $TREE.tmp (log: $CACHE/logs/source-$BASE.log)"
	mv "$TREE.tmp" "$TREE"
}

unpack_any()
{
	for kind in upstream package; do
		if [ -n "$(base_get "$BASE" "$kind")" ] && fetch "$kind" $(base_get "$BASE" "$kind"); then
			step "unpacking linux $(base_get "$BASE" version) ($kind)"
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
	# As the kernel's make asks for it, where somebody has built in the tree.
	for karch in $(arches); do
		for built in .config include/config "arch/$karch/include/generated"; do
			[ ! -e "$1/$built" ] || make -s -C "$1" ARCH="$karch" mrproper || return
		done
	done
}

user_tree()
{
	[ -d "$KERNEL" ] || die "KERNEL=$KERNEL does not exist: give the path of a kernel tree"
	KERNEL=$(cd "$KERNEL" && pwd)
	grep -q '^VERSION = ' "$KERNEL/Makefile" 2>/dev/null ||
		die "KERNEL=$KERNEL is not a Linux kernel tree: give the folder with the kernel's top Makefile"
	have=$(kernel_version "$KERNEL") || have=unknown
	[ "$(base_for "$have")" = "$BASE" ] ||
		die "KERNEL=$KERNEL is $have and patches/$BASE is for $(base_get "$BASE" series): choose another BASE ($(bases | paste -sd' '))"

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
	set -- $(series_files "$BASE" "$(cat "$TREE.version")")
	fixes=$#
	set -- "$@" $(selftest_files "$BASE")
	[ $# -gt 0 ] || return 0
	key=$(hash_files "$@" $(carried $(selftest_files "$BASE") | sed "s#^#$TOP/$SELFTESTS/#"))
	[ "$(git_in "$TREE" rev-parse -q --verify "refs/tags/series-$key" || :)" = \
	  "$(git_in "$TREE" rev-parse -q --verify refs/tags/series || echo none)" ] && return 0

	git_in "$TREE" clean -q -d -f -x
	SCRATCH=$TREE.selftests
	rm -rf "$SCRATCH"
	mkdir "$SCRATCH"
	selftest_patches "$TREE" refs/tags/base "$BASE" "$SCRATCH/patches"
	git_am "$TREE" "$CACHE/logs/am-$BASE.log" $(series_files "$BASE" "$(cat "$TREE.version")") \
		$(find "$SCRATCH/patches" -size +0 -name '*.patch' | sort)
	rm -rf "$SCRATCH"
	git_in "$TREE" tag -f fixes "HEAD~$(($(git_in "$TREE" rev-list --count refs/tags/base..HEAD) - fixes))" >/dev/null
	git_in "$TREE" tag -f series >/dev/null
	git_in "$TREE" tag -f "series-$key" >/dev/null
	step "git am: $fixes patches of patches/$BASE, $(($# - fixes)) of patches/selftests"
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
