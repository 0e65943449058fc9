#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# coccicheck.sh: the findings of this folder's rules in KVM, on the tree of BASE
# without and with its series, architecture by architecture.  They have to be those
# that patches/BASE/coccicheck declares: holes that the series closes are found
# without it and not with it, and each finding with it has a reason.
#
#   BASE='v7.2 v7.3'   which series; all when it is empty
#   KERNEL=path        a kernel tree of yours instead of the pinned one
#
# Results are kept: the key is the content that was looked at.

. "$(dirname "$0")/../lib.sh"

export START KERNEL="${KERNEL:-}"
[ -z "$KERNEL" ] || BASE=${BASE:-$(default_base)}
BASE=${BASE:-$(bases | paste -sd' ')}
each_base $BASE
check_base "$BASE"

LIST=$TOP/patches/$BASE/coccicheck
[ -f "$LIST" ] ||
	die "patches/$BASE/coccicheck does not exist: write down there what the rules find, see Documentation/virt/kvm/coccicheck.rst"

"$TOP/tools/lab/setup.sh"
STAMPS=$CACHE/checked
SCRATCH=$CACHE/coccinelle-$BASE.$$
RULES=$(cd "$TOP/tools/coccinelle" && grep -l '^// Confidence: ' -- *.cocci | sed 's/\.cocci$//')
mkdir -p "$STAMPS" "$SCRATCH/nothing"
trap 'rm -rf "$SCRATCH"' EXIT
trap 'exit 130' INT TERM

# Rules that cannot be run at all say so once, and not for each architecture.
"$TOP/tools/coccinelle/rule.sh" all "$SCRATCH/nothing" "$SCRATCH/nothing.found" || exit 1

"$TOP/tools/lab/source.sh" "$BASE"
TREE=$(cat "$CACHE/src/$BASE.path")

# KVM of one architecture: one program, in which a name means one function.
paths_of()
{
	echo "virt/kvm include/kvm include/linux/kvm* arch/$1/kvm arch/$1/include/asm/kvm*"
	[ "$1" != x86 ] || echo drivers/iommu/amd
}

# content_of TAG ARCH: the key of a rule's input.
content_of()
{
	git_in "$TREE" ls-tree -r "refs/tags/$1" -- virt/kvm include/kvm include/linux "arch/$2/kvm" "arch/$2/include/asm" drivers/iommu/amd |
	awk '$4 !~ /^(include\/linux|arch\/[^\/]*\/include\/asm)\// || $4 ~ /\/kvm[^\/]*$/' | hash_of
}

# unpack_arch TAG ARCH
unpack_arch()
{
	mkdir -p "$SCRATCH/$1/$2"
	set -f
	git_in "$TREE" archive "refs/tags/$1" -- $(paths_of "$2") | tar -x -C "$SCRATCH/$1/$2"
	set +f
}

# The architectures that have KVM in this tree.
kvm_arches()
{
	git_in "$TREE" ls-tree --name-only "refs/tags/base" arch/ | while read -r folder; do
		! git_in "$TREE" rev-parse -q --verify "refs/tags/base:$folder/kvm" >/dev/null || echo "${folder#arch/}"
	done
}

step "$BASE: Coccinelle over KVM of $(kvm_arches | paste -sd' '), without and with the series"
: >"$SCRATCH/jobs"
for tag in base series; do
	for arch in $(kvm_arches); do
		out=$STAMPS/coccicheck-$( {
			content_of $tag "$arch"
			spatch --version
			cd "$TOP/tools/coccinelle" && cat -- *.cocci rule.sh
		} | hash_of)
		echo "$out" >>"$SCRATCH/$tag.results"
		[ ! -f "$out" ] || continue
		unpack_arch $tag "$arch"
		echo "all $SCRATCH/$tag/$arch $out" >>"$SCRATCH/jobs"
	done
done
# Files that the series doesn't touch are the same in both trees.
sort -u -k 3,3 -o "$SCRATCH/jobs" "$SCRATCH/jobs"
xargs -r -P "$JOBS" -L 1 "$TOP/tools/coccinelle/rule.sh" <"$SCRATCH/jobs" ||
	die "the rules could not be run: see above"
step "$BASE: $(wc -l <"$SCRATCH/jobs") of $(cat "$SCRATCH"/*.results | wc -l) runs were new"

# Code that the architectures share is looked at with each of them.
for tag in base series; do
	sort -u $(cat "$SCRATCH/$tag.results") >"$SCRATCH/$tag.found"
done

awk -v list="patches/$BASE/coccicheck" -v rules="$(echo "$RULES" | paste -sd" ")" \
	-f "$TOP/tools/coccinelle/compare.awk" "$LIST" "$SCRATCH/base.found" "$SCRATCH/series.found" ||
	die "what the rules find in $BASE is not what patches/$BASE/coccicheck declares: mend the code, or the list"
