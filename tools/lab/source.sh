#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# source.sh BASE: have the tree of a base as a git repository and print its
# path.  Tag "base" is the pristine tree, "fixes" the one with the patches of the
# base, and "series" the one with the selftests on top of these.
#
# The source is the first of these that is there: the pinned tree or file in the cache; the
# pinned file of Debian's archive; the newest release of the same series that the archive
# has, if the series applies to it; the pinned release of kernel.org; the pinned file of
# Debian's snapshot archive.  With KERNEL=path it is a copy of the user's tree instead.
#
# With NEWEST=regexp it is the newest release that the archive has, of those whose versions
# begin so.  Another release than the pinned one has a tree of its own, BASE-VERSION.
# Beside a tree lie, as TREE.NAME:
#   version	its version
#   there	the patches that it has already, which are empty commits
#   merged	the patches that apply by git am -3 alone

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/lab/apt.sh"
. "$TOP/tools/lab/elsewhere.sh"
. "$TOP/tools/series/series.sh"

BASE=$1
check_base "$BASE"
KERNEL=${KERNEL:-}
NEWEST=${NEWEST:-}

# A repository is built under another name, and is there when it is complete.
make_repository()
{
	need_space "$CACHE" 12
	rm -rf "$TREE" "$TREE.tmp" "$TREE.there" "$TREE.merged"
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

unpack_file()
{
	step "unpacking linux $what ($kind)"
	unpack "$kind" "$1"
}

# of_pinned COMMAND: in $kind and $file, the pinned file that COMMAND gets.
of_pinned()
{
	for kind in upstream package; do
		_pin=$(base_get "$BASE" "$kind")
		[ -n "$_pin" ] && "$1" "$kind" $_pin && return
	done
	return 1
}

# pinned_version KIND: Debian's version of a pinned file.
pinned_version()
{
	_pin=$(base_get "$BASE" "$1" | cut -d' ' -f2)
	echo "${_pin:-none}"
}

# newest_release: in $TREE, the newest one of this series that Debian's archive has, if
# the series applies to it.  If it doesn't, $reason is set.  A file that was not right
# as the pinned one isn't right as the newest one, either.
newest_release()
{
	if [ -n "$NEWEST" ]; then
		set -- $(newest_kernels "$SERIES" "$NEWEST")
	else
		set -- $(newest_kernels "$SERIES" '' "$(pinned_version upstream)" "$(pinned_version package)")
	fi
	[ $# -gt 0 ] || {
		step "Debian's archive has no other $SERIES$(unread)"
		return 0
	}
	while [ $# -gt 0 ]; do
		kind=$1 suite=$4
		TREE=$CACHE/src/$BASE-$(echo "$3" | tr '~+' '..')
		what="$3, the newest $SERIES of Debian's archive"
		[ ! -d "$TREE" ] || break
		if fetch_newest "$1" "$2" "$3"; then
			make_repository unpack_file
			break
		fi
		shift 4
	done
	[ $# -gt 0 ] || {
		reason="Debian's archive has other releases of $SERIES in its lists and does not serve them"
		return 0
	}
	touch "$TREE" "$TREE".*
	find "$CACHE/src" "$CACHE/obj" -maxdepth 1 -name 'v*-[0-9]*' -mtime +7 -exec rm -rf {} +
	set +e
	(set -e; fit) 2>"$CACHE/logs/newest-$BASE.log"
	_status=$?
	set -e
	reason=$(sed -n '$s/^[^ ]*: //p' "$CACHE/logs/newest-$BASE.log")
	if [ $_status -eq 0 ]; then
		found=yes
		[ -n "$NEWEST" ] || step "linux $PINNED, which patches/$BASE/base pins, is not there: this is $what"
	else
		step "linux $what, is not used: $reason"
	fi
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

	# The tree's content decides, so a changed tree is another tree.
	key=$(tree_state | hash_of)
	TREE=$CACHE/src/user-$key
	[ -d "$TREE" ] || {
		step "copying $KERNEL (it is not changed)"
		make_repository copy_tree
	}
	# Earlier states of such trees are of no use for long.
	touch "$TREE" "$TREE".*
	find "$CACHE/src" "$CACHE/obj" -maxdepth 1 -name 'user-*' -mtime +7 -exec rm -rf {} +
}

# The series on top, as anybody would put it there: git am.
apply_series()
{
	version=$(cat "$TREE.version")
	set -- $(series_files "$BASE" "$version")
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
	set -- $(planned "$BASE" "$version" "$TREE")
	selftest_patches "$TREE" refs/tags/base "$BASE" "$SCRATCH/patches"
	git_am "$TREE" "$CACHE/logs/am-$BASE.log" "$@" $(find "$SCRATCH/patches" -size +0 -name '*.patch' | sort)
	set -- $(planned_there) $THERE
	there=$*
	rm -rf "$SCRATCH"
	echo $MERGED >"$TREE.merged"
	echo "$there" >"$TREE.there"
	[ -z "$there" ] || step "there already in linux $version: $there"
	[ -z "$MERGED" ] || step "git am -3 alone applies to linux $version:$MERGED"
	count=$(git_in "$TREE" rev-list --count refs/tags/base..HEAD)
	git_in "$TREE" tag -f fixes "HEAD~$((count - fixes))" >/dev/null
	git_in "$TREE" tag -f series >/dev/null
	git_in "$TREE" tag -f "series-$key" >/dev/null
	step "git am: $fixes patches of patches/$BASE, $((count - fixes)) of patches/selftests"
}

# No build may run in the tree meanwhile.
fit()
{
	locked "$CACHE/obj/.lock-${TREE##*/}" apply_series
}

# pinned_tree: in $TREE, the pinned kernel or its substitute.
pinned_tree()
{
	SERIES=$(base_get "$BASE" series) PINNED=$(base_get "$BASE" version)
	TREE=$CACHE/src/$BASE
	[ "$(cat "$TREE.version" 2>/dev/null)" = "$PINNED" ] || [ -n "$NEWEST" ] || rm -rf "$TREE"
	what=$PINNED found='' reason=''
	if [ -n "$NEWEST" ]; then
		newest_release
		[ -n "$found" ] || die "${reason:-"Debian's archive has no such $SERIES$(unread)"}"
		return
	fi
	[ ! -d "$TREE" ] || return 0
	if of_pinned cached || of_pinned fetch; then
		make_repository unpack_file
		return
	fi
	newest_release
	[ -z "$found" ] || return 0
	TREE=$CACHE/src/$BASE
	what=$PINNED kind=upstream
	reason=${reason:-"Debian's archive does not have it, nor another $SERIES$(unread)"}
	from_kernel_org "$PINNED" || of_pinned from_snapshot ||
		die "there is no linux $PINNED: $reason; give your own tree with KERNEL=path"
	make_repository unpack_file
}

main()
{
	if [ -n "$KERNEL" ]; then
		user_tree
	else
		pinned_tree
	fi
	fit
	echo "$TREE" >"$CACHE/src/$BASE.path"
}

mkdir -p "$CACHE/src" "$CACHE/obj" "$CACHE/download" "$CACHE/logs"
locked "$CACHE/src/.lock" main
