# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Shared by the tools of the series.  The selftests are in tools/testing/selftests/kvm
# and nowhere else: patches/selftests/NNNN-SLUG has the message of each of their
# patches, the files that it carries (File:) and its lines of Makefile.kvm (Make:), and
# the patch is made of these when it is needed, for the tree at hand.
#
# A line of Makefile.kvm goes behind the last one of its variable whose program is in
# the same folder, or behind the program that is named:
#
#   Make: TEST_GEN_PROGS_x86 += x86/one_test
#   Make: TEST_GEN_PROGS_x86 += x86/one_test after x86/other_test

SELFTESTS=tools/testing/selftests/kvm
MAKEFILE=$SELFTESTS/Makefile.kvm
# About the module, which is not in the kernel.
NOT_CARRIED=kvm_lifecycle_test.c

# selftest_files BASE: the entries of its selftest patches, in order.  Where "base"
# names another base for the selftests, there are none.
selftest_files()
{
	[ "$(tests_base "$1")" = "$1" ] || return 0
	for _f in "$TOP"/patches/selftests/[0-9]*; do
		[ ! -f "$_f" ] || echo "$_f"
	done
}

# carried ENTRY...: the files that these carry.
carried()
{
	[ $# -eq 0 ] || sed -n 's/^File: //p' "$@"
}

# check_names BASE: slugs are as they have to be, and each name of one is right.
check_names()
{
	series_files "$1" | sed 's#.*/##' | grep -vE '^[0-9]{4}-[a-z0-9]+(-[a-z0-9]+)*\.patch$' >"$SCRATCH/names" || :
	[ ! -s "$SCRATCH/names" ] ||
		die "patches/$1/$(head -n 1 "$SCRATCH/names"): a patch is called NNNN-SLUG.patch, with a slug of a-z, 0-9 and - between them"
	series_files "$1" | slugs | sort >"$SCRATCH/slugs"
	_slug=$(uniq -d "$SCRATCH/slugs" | head -n 1)
	[ -z "$_slug" ] || die "patches/$1 has two patches with the slug $_slug: give one of them another"
	_slug=$(for _other in "$TOP/patches/$1"/*/*.patch; do
		[ ! -f "$_other" ] || grep -qx "$(slug_of "$_other")" "$SCRATCH/slugs" || echo "${_other#"$TOP"/}"
	done | head -n 1)
	[ -z "$_slug" ] || die "$_slug is in the place of no patch: patches/$1 has none of this slug"
	_slug=$(sed -n 's/^\([^#[:space:]]*\)[[:space:]].*/\1/p' "$TOP/patches/$1/dkms" 2>/dev/null | grep -vxF -f "$SCRATCH/slugs" | head -n 1)
	[ -z "$_slug" ] || die "patches/$1/dkms names $_slug, and patches/$1 has no such patch: mend the table"
	_slug=$(sed -n 's/^fixed	.*	\([a-z0-9-]*\): [^	]*$/\1/p' "$TOP/patches/$1/coccicheck" 2>/dev/null | grep -vxF -f "$SCRATCH/slugs" | head -n 1)
	[ -z "$_slug" ] || die "patches/$1/coccicheck names $_slug, and patches/$1 has no such patch: mend the table"
}

# check_carriers: each file of the selftests is in one patch, and each that a patch
# names is there.
check_carriers()
{
	carried "$TOP"/patches/selftests/[0-9]* | sort >"$SCRATCH/carried"
	(cd "$TOP/$SELFTESTS" && find . -type f ! -name "$NOT_CARRIED" | sed 's#^\./##') | sort >"$SCRATCH/files"
	_file=$(uniq -d "$SCRATCH/carried" | head -n 1)
	[ -z "$_file" ] || die "two patches carry $SELFTESTS/$_file: leave one of the lines 'File: $_file' in patches/selftests"
	_file=$(comm -13 "$SCRATCH/carried" "$SCRATCH/files" | head -n 1)
	[ -z "$_file" ] || die "no patch carries $SELFTESTS/$_file: add 'File: $_file' to one of patches/selftests, or a new one, see Documentation/process/hacking.rst"
	_file=$(comm -23 "$SCRATCH/carried" "$SCRATCH/files" | head -n 1)
	[ -z "$_file" ] || die "there is no $SELFTESTS/$_file: take 'File: $_file' out of patches/selftests"
}

# add_lines ENTRY MAKEFILE: Makefile.kvm with the lines of a selftest patch.
add_lines()
{
	awk '
	function folder(name) { return name ~ /\// ? substr(name, 1, index(name, "/")) : "" }
	FILENAME == ARGV[1] {
		if (/^Make: /)
			todo[++n] = substr($0, 7)
		next
	}
	{ line[++lines] = $0 }
	END {
		for (i = 1; i <= n; i++) {
			split(todo[i], word, " ")
			where = 0
			for (j = 1; j <= lines; j++) {
				split(line[j], have, " ")
				if (have[1] != word[1] || have[2] !~ /^\+?=$/)
					continue
				if (have[3] == word[3])
					break
				if (word[4] == "after" ? have[3] == word[5] : folder(have[3]) == folder(word[3]))
					where = j
			}
			if (j <= lines)
				continue
			if (!where) {
				print todo[i] >"/dev/stderr"
				exit 1
			}
			for (j = lines++; j > where; j--)
				line[j + 1] = line[j]
			line[where + 1] = word[1] " " word[2] " " word[3]
		}
		for (j = 1; j <= lines; j++)
			print line[j]
	}' "$1" "$2"
}

# add_selftest ENTRY COMMAND...: the files and lines of a selftest patch into the index
# of git, as COMMAND calls it.
add_selftest()
{
	_entry=$1
	shift
	: >"$SCRATCH/add"
	for _file in $(carried "$_entry"); do
		[ -f "$TOP/$SELFTESTS/$_file" ] ||
			die "there is no $SELFTESTS/$_file: take 'File: $_file' out of ${_entry#"$TOP"/}"
		_blob=$("$@" hash-object -w --no-filters "$TOP/$SELFTESTS/$_file")
		printf '100644 %s\t%s\n' "$_blob" "$SELFTESTS/$_file" >>"$SCRATCH/add"
	done
	if grep -q '^Make: ' "$_entry"; then
		"$@" show ":$MAKEFILE" >"$SCRATCH/makefile" 2>/dev/null ||
			die "this tree has no $MAKEFILE: are its selftests too old for ${_entry#"$TOP"/}? (a line 'selftests' in patches/BASE/base names another base for them)"
		add_lines "$_entry" "$SCRATCH/makefile" >"$SCRATCH/makefile.new" 2>"$SCRATCH/line" ||
			die "$MAKEFILE of this tree has no place for '$(cat "$SCRATCH/line")': name a program in ${_entry#"$TOP"/} that it comes after"
		_blob=$("$@" hash-object -w --no-filters "$SCRATCH/makefile.new")
		printf '100644 %s\t%s\n' "$_blob" "$MAKEFILE" >>"$SCRATCH/add"
	fi
	"$@" update-index --add --index-info <"$SCRATCH/add"
}

# selftest_patch ENTRY OUT COMMAND...: add_selftest, and its changes as a patch, which is
# empty where all of it was there.
selftest_patch()
{
	_entry=$1 _out=$2
	shift 2
	_before=$("$@" write-tree)
	add_selftest "$_entry" "$@"
	_after=$("$@" write-tree)
	: >"$_out"
	[ "$_before" != "$_after" ] || return 0
	{
		echo 'From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001'
		sed '1,/^$/ { /^\(SPDX-License-Identifier\|File\|Make\): /d; s/^Subject: /&[PATCH] / }' "$_entry"
		echo ---
		"$@" diff-tree -p --stat --summary --full-index "$_before" "$_after"
	} >"$_out"
}

# in_index TREE ARGS...: git in a repository of ours, with an index of its own.
in_index()
{
	GIT_INDEX_FILE=$SCRATCH/index git_in "$@"
}

# selftest_patches TREE COMMIT BASE OUT: the selftest patches of a base for a commit, as
# OUT/NNNN-SLUG.patch.
selftest_patches()
{
	_repository=$1 _dir=$4
	in_index "$1" read-tree "$2"
	mkdir -p "$4"
	for _one in $(selftest_files "$3"); do
		selftest_patch "$_one" "$_dir/${_one##*/}.patch" in_index "$_repository"
	done
}

# there_already BASE VERSION COMMAND...: the slugs of the patches that an index has, of
# which git is as COMMAND calls it; it has none of them then.  In $SCRATCH/SLUG is the
# diff of each patch.
there_already()
{
	_base=$1 _version=$2
	shift 2
	# Backwards, as a later patch may have changed the lines of an earlier one.
	for _one in $(series_files "$_base" "$_version" | tac); do
		_slug=$(slug_of "$_one")
		git mailinfo /dev/null "$SCRATCH/$_slug" <"$_one" >/dev/null
		! "$@" apply --cached -R "$SCRATCH/$_slug" 2>/dev/null || echo "$_slug"
	done
}

# planned BASE VERSION TREE: the files of a series for git_am in a repository of ours.  Of a
# patch that its tag "base" has already, there is the message alone.
planned()
{
	mkdir -p "$SCRATCH/there"
	in_index "$3" read-tree refs/tags/base
	_there=$(there_already "$1" "$2" in_index "$3" | paste -sd' ')
	for _patch in $(series_files "$1" "$2"); do
		case " $_there " in
		*" $(slug_of "$_patch") "*)
			sed '/^---$/,$d' "$_patch" >"$SCRATCH/there/${_patch##*/}"
			_patch=$SCRATCH/there/${_patch##*/} ;;
		esac
		echo "$_patch"
	done
}

# planned_there: the slugs of these patches.
planned_there()
{
	ls "$SCRATCH/there" | slugs | paste -sd' '
}

# check_idle WHAT TREE: a work tree is in the middle of nothing, and all is committed.
check_idle()
{
	for _state in rebase-apply rebase-merge sequencer MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD; do
		(cd "$2" && [ ! -e "$(git rev-parse --git-path "$_state")" ]) ||
			die "$1=$2 is in the middle of a git am, rebase, merge or cherry-pick (git status says which): end it first"
	done
	_dirty=$(git -C "$2" --no-optional-locks status --porcelain --untracked-files=no | head -n 3 | cut -c4- | paste -sd' ')
	[ -z "$_dirty" ] ||
		die "$1=$2 has changes that are not committed ($_dirty): commit them, or put them away with git stash"
}

# recommit REPOSITORY COMMIT PARENT TREE: the commit again, on another parent, with
# another tree and with the message on standard input.
recommit()
{
	GIT_AUTHOR_NAME=$(git -C "$1" log -1 --format=%an "$2") GIT_AUTHOR_EMAIL=$(git -C "$1" log -1 --format=%ae "$2") \
	GIT_AUTHOR_DATE=$(git -C "$1" log -1 --format=%aD "$2") git_in "$1" commit-tree "$4" -p "$3"
}

# with_slug REPOSITORY COMMIT SLUG, slug_in, without_slug REPOSITORY COMMIT: while a
# series is edited, each of its commits has its slug in a trailer.
with_slug()
{
	git -C "$1" log -1 --format=%B "$2" | git interpret-trailers --no-divider --if-exists replace --trailer "Slug: $3"
}

slug_in()
{
	git -C "$1" log -1 --format=%B "$2" | sed -n 's/^Slug: *//p' | tail -n 1
}

without_slug()
{
	git -C "$1" log -1 --format=%B "$2" | sed '/^Slug: /d' | git stripspace
}

# project_state BASE: the state of the project that an edit of this base began with.
project_state()
{
	hash_files $(series_files "$1") "$TOP"/patches/selftests/[0-9]* $(carried "$TOP"/patches/selftests/[0-9]* | sed "s#^#$TOP/$SELFTESTS/#")
}

# write_patches REPOSITORY RANGE FOLDER: commits as NNNN-SLUG.patch; the slugs come from
# standard input.  Nothing in there changes when the content does not, and no user's
# settings count.
write_patches()
{
	mkdir -p "$3"
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 git -C "$1" format-patch -q -N --zero-commit \
		--no-signature --full-index --numbered-files -o "$3" "$2"
	_number=0
	while read -r _slug; do
		_number=$((_number + 1))
		mv "$3/$_number" "$3/$(printf '%04d' $_number)-$_slug.patch"
	done
}

# tree ARGS...: git in a kernel tree of the user's.
tree()
{
	git -C "$TREE" "$@"
}

# check_tree: it is one, in git; $version is its version, and $head its commit.  GIT_FOR is the
# command that wants it.
# shellcheck disable=SC2034 # for the caller
check_tree()
{
	[ -n "$TREE" ] || die "which tree?  Give TREE=/path/to/linux"
	[ -d "$TREE" ] || die "TREE=$TREE does not exist: give the path of a kernel tree"
	TREE=$(cd "$TREE" && pwd -P)
	version=$(kernel_version "$TREE") ||
		die "TREE=$TREE is not a Linux kernel tree: give the folder with the kernel's top Makefile"
	if ! top=$(tree rev-parse --show-toplevel 2>"$SCRATCH/log"); then
		! grep -q 'dubious ownership' "$SCRATCH/log" ||
			die "TREE=$TREE belongs to another user: run this command as that user"
		die "TREE=$TREE is not a git work tree: ${GIT_FOR:-git am} needs one (git init, git add and git commit make one)"
	fi
	[ "$top" = "$TREE" ] ||
		die "TREE=$TREE is a folder in the git work tree $top: ${GIT_FOR:-git am} needs the kernel at the top of one"
	head=$(tree rev-parse -q --verify HEAD) ||
		die "TREE=$TREE has no commit yet: commit the kernel first"
}
