#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check.sh: is the series of BASE fit to be sent?  It applies with git am; each
# patch is clean for checkpatch --strict, and compiles on top of those before
# it, for every architecture that it touches, without a warning of W=1 and
# sparse that was not there before; its selftests are those of tools/testing;
# and each patch has a test that is declared red without it.
#
# A step that was checked before is not checked again: the key is its content.

. "$(dirname "$0")/../lib.sh"

export START KERNEL="${KERNEL:-}"
BASE=${BASE:-v7.2}
check_base "$BASE"

# FILE_PATH_CHANGES asks for MAINTAINERS: KVM's entries cover these folders.
# CAMELCASE is about GICD_TYPER2_nASSGIcap, which is the kernel's own name.
# GIT_COMMIT_ID and UNKNOWN_COMMIT_ID look commits up in the history, and the
# tree comes from a tarball.
CHECKPATCH_IGNORE=FILE_PATH_CHANGES,CAMELCASE,GIT_COMMIT_ID,UNKNOWN_COMMIT_ID

"$TOP/tools/lab/setup.sh"
one_run
"$TOP/tools/lab/source.sh" "$BASE"
"$TOP/tools/series/sparse.sh"
TREE=$(cat "$CACHE/src/$BASE.path")
STAMPS=$CACHE/checked
mkdir -p "$STAMPS"

commit_number()
{
	if [ "$1" -eq 0 ]; then
		echo refs/tags/base
	else
		git -C "$TREE" rev-list --reverse refs/tags/base..refs/tags/series | sed -n "$1p"
	fi
}

check_format()
{
	mkdir -p "$CACHE/checkpatch"
	for patch in $(series_files "$BASE"); do
		stamp=$STAMPS/format-$(hash_files "$patch")
		[ ! -f "$stamp" ] || continue
		name=$(basename "$patch")
		author=$(sed -n 's/^From: //p' "$patch" | head -n 1)
		# Who submits signs; for checkpatch the author does.
		awk -v s="Signed-off-by: $author" '/^---$/ && !done { print s; done = 1 } { print }' \
			"$patch" >"$CACHE/checkpatch/$name"
		log=$CACHE/logs/checkpatch-$BASE-$name.log
		(cd "$TREE" && run_logged "$log" scripts/checkpatch.pl --strict --no-summary \
			--ignore "$CHECKPATCH_IGNORE" "$CACHE/checkpatch/$name") || {
			cat "$log"
			die "checkpatch --strict finds something in $name: mend the patch (log: $log)"
		}
		touch "$stamp"
	done
	step "checkpatch --strict: clean"
}

# The folders of KVM that patch $1 changes something for, on ARCH $2.
folders()
{
	git -C "$TREE" diff --name-only "$1^" "$1" | awk -v arch="$2" '
		/^(virt\/kvm|include)\//		{ all = 1 }
		$0 ~ "^arch/" arch "/"			{ all = 1 }
		END { if (all) print "arch/" arch "/kvm/" }'
}

compile()
{
	kmake "$arch" "$TREE" "$OBJ" W=1 C=1 CHECK="$CACHE/sparse/sparse" "$@"
}

# The same configuration as the lab's kernels.
configure()
{
	cat $(config_files "$BASE" "$arch") >"$OBJ.config"
	kmake "$arch" "$TREE" "$OBJ" KCONFIG_ALLCONFIG="$OBJ.config" allnoconfig
}

# A warning without its line numbers, so that it is the same after an edit.
warnings()
{
	sed -n 's/:[0-9]*:[0-9]*: \(warning\|error\): /: /p' "$1" | sort -u
}

check_compile()
{
	total=$(series_files "$BASE" | wc -l)
	for arch in x86 arm64 riscv; do
		arch_env "$arch"
		OBJ=$CACHE/obj/check-${TREE##*/}-$arch
		known=$OBJ.warnings
		number=0
		compiled=0
		while [ "$number" -le "$total" ]; do
			commit=$(commit_number "$number")
			where=arch/$arch/kvm/
			[ "$number" -eq 0 ] || where=$(folders "$commit" "$arch")
			number=$((number + 1))
			[ -n "$where" ] || continue
			stamp=$STAMPS/compile-$arch-$( {
				git -C "$TREE" ls-tree "$commit" virt include "arch/$KARCH" Makefile scripts
				cat $(config_files "$BASE" "$arch")
				"${CROSS}gcc" --version | head -n 1
			} | hash_of)
			[ ! -f "$stamp" ] || { cp "$stamp" "$known"; continue; }
			log=$CACHE/logs/compile-$BASE-$arch-$((number - 1)).log
			git -C "$TREE" -c advice.detachedHead=false checkout -q -f --detach "$commit"
			mkdir -p "$OBJ"
			[ "$compiled" -gt 0 ] || run_logged "$log" configure ||
				die "cannot configure the kernel for $arch: see $log"
			run_logged "$log" compile "$where" ||
				die "patch $((number - 1)) of $BASE does not compile for $arch: see $log"
			compiled=$((compiled + 1))
			if [ "$number" -gt 1 ]; then
				new=$(warnings "$log" | comm -23 - "$known" | head -n 3)
				[ -z "$new" ] ||
					die "patch $((number - 1)) of $BASE adds a warning for $arch: $new (log: $log)"
				warnings "$log" | sort -u - "$known" >"$known.new"
			else
				warnings "$log" >"$known.new"
			fi
			mv "$known.new" "$known"
			cp "$known" "$stamp"
		done
		step "$arch: each patch compiles in its turn, W=1 and sparse say nothing new ($compiled compiled now)"
	done
}

# Each patch that changes the kernel has a declared red, or a written reason.
check_declared()
{
	for patch in $(series_files "$BASE"); do
		name=$(basename "$patch")
		number=${name%%-*}
		grep -q '^diff --git a/\(virt\|arch\|include\|drivers\)/' "$patch" || continue
		cut -f5 "$TOP/patches/$BASE/tests" | tr ',' '\n' | grep -qx "$number" ||
		grep -q "^# untested $number: ." "$TOP/patches/$BASE/tests" ||
			die "$name has no test: declare its red in patches/$BASE/tests"
	done
	step "every patch that changes the kernel has a declared red, or a written reason"
}

check_format
check_declared
"$TOP/tools/series/selftests.sh" "$BASE" check
locked "$CACHE/obj/.lock-${TREE##*/}" check_compile
