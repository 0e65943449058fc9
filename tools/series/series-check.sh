#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# series-check.sh: is the series of BASE fit to be sent?  It applies with git am, to
# the pinned tree and to those that patches/BASE/base also names; each patch is
# equal to that of another base with the same slug, or the difference is recorded as
# reviewed; is clean for checkpatch --strict; and compiles on top of those before it, for
# every architecture that it touches, without a warning of W=1 and sparse that
# was not there before; each file of the selftests is in one patch; and each patch
# has a test that is declared red without it.
#
#   BASE='v7.2 v7.3'   which series; all when it is empty
#   ARCH='x86 arm64'   which architectures; all when it is empty
#   EACH=no            compile the tree without and with the whole series alone
#   COMPILERS='gcc clang'   with which compilers; gcc, and sparse, when it is empty
#   TOPIC=xen          the patches of this topic alone, on top of those that it depends on
#
# A step that was checked before is not checked again: the key is its content.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/lab/apt.sh"
. "$TOP/tools/series/compile.sh"
. "$TOP/tools/series/series.sh"
. "$TOP/tools/series/topic.sh"

export START KERNEL="${KERNEL:-}"
TOPIC=${TOPIC:-}
EACH=${EACH:-yes}
ARCH=${ARCH:-}
COMPILERS=${COMPILERS:-gcc}
[ -z "$KERNEL" ] || BASE=${BASE:-$(default_base)}
BASE=${BASE:-$(bases | paste -sd' ')}
check_arches "$(arches | paste -sd' ')" $ARCH
each_base $BASE
check_base "$BASE"

for compiler in $COMPILERS; do
	case $compiler in
	gcc|clang) ;;
	*) die "unknown compiler in COMPILERS='$COMPILERS': choose from gcc clang" ;;
	esac
done

# FILE_PATH_CHANGES asks for MAINTAINERS: KVM's entries cover these folders.
# CAMELCASE is about GICD_TYPER2_nASSGIcap, which is the kernel's own name.
# GIT_COMMIT_ID and UNKNOWN_COMMIT_ID look commits up in the history, and the
# tree comes from a tarball.
CHECKPATCH_IGNORE=FILE_PATH_CHANGES,CAMELCASE,GIT_COMMIT_ID,UNKNOWN_COMMIT_ID

get_tree "$BASE"
"$TOP/tools/series/sparse.sh"
case $COMPILERS in
*clang*) "$TOP/tools/series/clang.sh" ;;
esac
STAMPS=$CACHE/checked
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$STAMPS" "$CACHE/obj"

# The patches, and their commits: those after the first one up to the last one.
FIRST=refs/tags/base LAST=refs/tags/fixes
if [ -n "$TOPIC" ]; then
	FIRST=refs/tags/before LAST=refs/tags/topic
	read_topics
	check_topic "$TOPIC"
fi

patches()
{
	if [ -n "$TOPIC" ]; then files_of "$TOPIC"; else series_files "$BASE"; fi
}

commit_number()
{
	if [ "$1" -eq 0 ]; then
		echo $FIRST
	else
		git -C "$TREE" rev-list --reverse $FIRST..$LAST | sed -n "$1p"
	fi
}

check_format()
{
	mkdir -p "$CACHE/checkpatch"
	set -- $(patches)
	if [ -z "$TOPIC" ]; then
		selftest_patches "$TREE" refs/tags/base "$BASE" "$SCRATCH/selftests"
		set -- "$@" "$TOP/patches/$BASE"/*/*.patch "$SCRATCH"/selftests/*.patch
	fi
	bad=
	for patch; do
		[ -f "$patch" ] || continue
		stamp=$STAMPS/format-$(hash_files "$patch")
		[ ! -f "$stamp" ] || continue
		name=$(slug_of "$patch")
		author=$(sed -n '/^From: /{N;s/\n / /;s/^From: //p;q;}' "$patch" | head -n 1)
		# The submitter signs; for checkpatch the author does.
		awk -v s="Signed-off-by: $author" '/^---$/ && !done { print s; done = 1 } { print }' \
			"$patch" >"$CACHE/checkpatch/$name"
		log=$CACHE/logs/checkpatch-$BASE-$name.log
		(cd "$TREE" && scripts/checkpatch.pl --strict --no-summary \
			--ignore "$CHECKPATCH_IGNORE" "$CACHE/checkpatch/$name") >"$log" 2>&1 || {
			cat "$log"
			bad="$bad $name"
			continue
		}
		touch "$stamp"
	done
	[ -z "$bad" ] ||
		die "checkpatch --strict finds something in$bad: mend the patches (logs: $CACHE/logs/checkpatch-$BASE-*.log)"
	step "checkpatch --strict: clean"
}

# The folders of $arch that are compiled after commit $1: those that it changes, or
# all, when it changes their shared code.
folders()
{
	git -C "$TREE" diff --name-only "$1^" "$1" | awk -v arch="$KARCH" -v folders="$FOLDERS" '
	BEGIN	{ n = split(folders, folder, " ") }
	{
		own = 0
		for (i = 1; i <= n; i++)
			if (index($0, folder[i]) == 1)
				own = changed[i] = 1
		if (!own && (/^(virt|include)\// || index($0, "arch/" arch "/") == 1))
			all = 1
	}
	END {
		for (i = 1; i <= n; i++)
			if (all || i in changed)
				print folder[i]
	}'
}

# touched: does any patch change what is compiled for $arch?
touched()
{
	for commit in $(git -C "$TREE" rev-list $FIRST..$LAST); do
		[ -z "$(folders "$commit")" ] || return 0
	done
	return 1
}

# Each file that a patch changes is compiled, or has a reason why it is not.
check_covered()
{
	folders=$(for one in $(arches); do
		arch_env "$one"
		echo "arch/$one/" $FOLDERS
	done | paste -sd' ')
	for patch in $(patches); do
		for file in $(series_paths "$patch" | grep -v -E '^(Documentation|tools|virt|include)/|^MAINTAINERS$'); do
			for folder in $folders; do
				case $file in "$folder"*) continue 2 ;; esac
			done
			reason=$(sed -n 's/^# uncompiled //p' "$TOP/tools/lab/arches" | while IFS=: read -r folder reason; do
				case $file in "$folder"*) echo "$reason" ;; esac
			done)
			[ -n "$reason" ] ||
				die "$(slug_of "$patch") changes $file, which is compiled for no architecture: add its folder to tools/lab/arches"
			step "not compiled: $file of $(slug_of "$patch"):$reason"
		done
	done
}

# name_of: the patch that check_compile has just compiled.
name_of()
{
	if [ "$number" -eq 1 ]; then
		echo "the tree without the ${TOPIC:-series}"
	elif [ "$EACH" = no ]; then
		echo "the whole ${TOPIC:-series}"
	else
		patches | slugs | sed -n "$((number - 1))p"
	fi
}

check_compile()
{
	total=$(patches | wc -l)
	what='each patch compiles in its turn'
	[ "$EACH" = yes ] || what='the whole series compiles'
	for arch in ${ARCH:-$(arches)}; do
		compiler "$arch"
		[ -z "$TOPIC" ] || touched || { step "$arch: no patch of $TOPIC touches it"; continue; }
		known=$OBJ.warnings
		number=0
		compiled=0
		while [ "$number" -le "$total" ]; do
			commit=$(commit_number "$number")
			where=$FOLDERS
			if [ "$EACH" = no ]; then
				[ "$number" -eq 0 ] || [ "$number" -eq "$total" ] || { number=$((number + 1)); continue; }
			elif [ "$number" -gt 0 ]; then
				where=$(folders "$commit")
			fi
			number=$((number + 1))
			[ -n "$where" ] || continue
			stamp=$STAMPS/compile-$arch-$( {
				git -C "$TREE" ls-tree "$commit" virt include "arch/$KARCH" Makefile scripts $(printf '%s\n' $FOLDERS | sed 's#/$##')
				cat $CONFIG
				echo "$TOOLS"
				cat "$TOP/tools/series/compile.sh"
			} | hash_of)
			[ ! -f "$stamp" ] || { cp "$stamp" "$known"; continue; }
			log=$CACHE/logs/compile-${OBJ##*/check-}-$((number - 1)).log
			checkout "$TREE" "$commit"
			mkdir -p "$OBJ"
			[ "$compiled" -gt 0 ] || run_logged "$log" configure ||
				die "cannot configure the kernel for $arch: see $log"
			# Objects that are compiled already give no warnings: compile them again
			# for the first, and after a run that ended before they were looked at.
			if [ "$number" -eq 1 ] || [ -e "$OBJ.unjudged" ]; then
				(cd "$OBJ" && rm -rf virt/kvm $FOLDERS)
			fi
			touch "$OBJ.unjudged"
			run_logged "$log" compile $where ||
				die "$(name_of) of $BASE does not compile for $arch: see $log"
			compiled=$((compiled + 1))
			if [ "$number" -gt 1 ]; then
				new=$(warnings "$log" | comm -23 - "$known" | head -n 3)
				[ -z "$new" ] ||
					die "$(name_of) of $BASE adds a warning for $arch: $new (log: $log)"
				warnings "$log" | sort -u - "$known" >"$known.new"
			else
				warnings "$log" >"$known.new"
			fi
			mv "$known.new" "$known"
			cp "$known" "$stamp"
			rm "$OBJ.unjudged"
		done
		step "$arch: $what, $THEY nothing new with W=1 ($compiled compiled now)"
	done
}

# Each patch that changes the kernel has a red that lab-patches runs, or a written reason,
# and names the commit that it fixes, or there is a reason why it does not.
check_declared()
{
	unproved=$(results unproved "$BASE") || exit
	unfixed=$(results unfixed "$BASE") || exit
	for patch in $(patches); do
		name=$(slug_of "$patch")
		grep -q '^diff --git a/\(virt\|arch\|include\|drivers\)/' "$patch" || continue
		! echo "$unproved" | grep -qxF "$name" ||
			die "$name has no test: declare its red in patches/expect, or in patches/changes why it has none"
		sed '/^---$/q' "$patch" | grep -qE '^Fixes: [0-9a-f]{12} \(".+"\)$' ||
		! echo "$unfixed" | grep -qxF "$name" ||
			die "$name has no line 'Fixes: commit (\"title\")': add it to patches/$BASE, or to patches/changes why there is none"
	done
	step "every patch that changes the kernel has a red that lab-patches runs and a Fixes:, or a written reason"
}

# To the pinned tree itself each patch applies as it is.
check_fit()
{
	version=$(about_tree version)
	[ -z "$KERNEL" ] || return 0
	[ "$version" = "$(base_get "$BASE" version)" ] || {
		step "this is linux $version, and patches/$BASE/base pins $(base_get "$BASE" version)"
		return 0
	}
	slugs=$(about_tree there)
	[ -z "$slugs" ] ||
		die "linux $version, which patches/$BASE/base pins, has $slugs already: make series-edit BASE=$BASE leaves out such patches, and make series-export BASE=$BASE removes them"
	slugs=$(about_tree merged)
	[ -z "$slugs" ] ||
		die "git am -3 alone applies $slugs to linux $version, which patches/$BASE/base pins: make series-edit BASE=$BASE and make series-export BASE=$BASE rewrite such patches"
}

# The trees that the series applies to as well.  Only the files that it changes
# are unpacked.  The archive need not keep such a tree: it is named then.
check_also()
{
	for version in $(base_get "$BASE" also | cut -d' ' -f1 | uniq); do
		set -- $(series_files "$BASE" "$version")
		stamp=$STAMPS/also-$(cat "$@" "$TOP/patches/$BASE/base" | hash_of)-$version
		if [ -f "$stamp" ]; then
			step "git am: applies to linux $version as well"
			continue
		fi
		fetched=
		for kind in upstream package; do
			line=$(base_get "$BASE" also | sed -n "s/^$version $kind //p")
			[ -n "$line" ] && fetch $kind $line && fetched=$kind && break
		done
		if [ -z "$fetched" ]; then
			step "git am: linux $version NOT checked, Debian's archive does not have it now"
			continue
		fi
		scratch=$CACHE/src/also-$BASE
		rm -rf "$scratch"
		mkdir -p "$scratch"
		{ echo Makefile; series_paths "$@"; } | sed 's#^#*/#' >"$scratch.list"
		# tar also complains of the files that the series adds.
		unpack "$fetched" "$scratch" --wildcards --no-wildcards-match-slash -T "$scratch.list" 2>/dev/null || :
		run_logged "$CACHE/logs/also-$BASE.log" commit_base "$scratch" ||
			die "cannot make a git repository in $scratch (log: $CACHE/logs/also-$BASE.log)"
		git_am "$scratch" "$CACHE/logs/also-$BASE.log" "$@"
		[ -z "$MERGED$THERE" ] ||
			die "git am alone does not apply to linux $version:$MERGED$THERE: mend these patches, or put others for it in patches/$BASE/$version"
		rm -rf "$scratch" "$scratch.list"
		touch "$stamp"
		step "git am: applies to linux $version as well"
	done
}

# The commits of a topic are made in the tree itself, where the objects are compiled.
compile_all()
{
	[ -z "$TOPIC" ] || apply_topic "$TREE" "$TOPIC"
	check_compile
}

check_names "$BASE"
if [ -z "$TOPIC" ]; then
	check_fit
	"$TOP/tools/series/series-twins.sh" check
fi
check_format
check_declared
check_covered
if [ -z "$TOPIC" ]; then
	check_also
	check_carriers
fi
for COMPILER in $COMPILERS; do
	locked "$CACHE/obj/.lock-${TREE##*/}" compile_all
done
