#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-coccinelle.sh: each rule of tools/coccinelle finds its mistakes in its bad
# sample and nothing in its good one; the errors of coccicheck.sh on bad input, and
# when the list and the findings differ.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/testing/tap.sh"

no_settings

# A command that fails must not leave a result behind.
state()
{
	find "$WORK/out" "$WORK/cache/checked" -type f 2>/dev/null | sort
}

RULE=$TOP/tools/coccinelle/rule.sh
CHECK=$TOP/tools/coccinelle/coccicheck.sh
SAMPLES=$TOP/tools/coccinelle/samples

# finds RULE SAMPLE: the rule runs, and finds the lines with such a comment at their
# end, /* finds SUBJECT */, and no others.
finds()
{
	rm -rf "$WORK/sample" "$WORK/out"
	mkdir "$WORK/sample" "$WORK/out"
	cp "$SAMPLES/$2.c" "$WORK/sample/"
	"$RULE" "$1" "$WORK/sample" "$WORK/out/found" || return
	sed -n 's/^[^:]*:\([0-9]*\): '"$1"': [^ ]* \([^ ]*\) .*/\1 \2/p' "$WORK/out/found" | sort >"$WORK/have"
	sed -n '/finds/{=;s#.*/\* finds \(.*\) \*/$#\1#p}' "$SAMPLES/$2.c" | paste -d' ' - - | sort >"$WORK/want"
	diff -u "$WORK/want" "$WORK/have"
}

# A spatch that prints $1, and does nothing.
fake_spatch()
{
	mkdir -p "$WORK/bin"
	printf '#!/bin/sh\ncat <<X\n%s\nX\n' "$1" >"$WORK/bin/spatch"
	chmod +x "$WORK/bin/spatch"
}

compare()
{
	awk -v list=list -v rules=rule -f "$TOP/tools/coccinelle/compare.awk" "$WORK/list" "$WORK/base" "$WORK/series"
}

declare_holes()
{
	printf '%s\trule\tvirt/kvm/a.c\tfirst\tx\tmended\n%s\trule\tvirt/kvm/a.c\tsecond\ty\tharmless\n' \
		"$1" "$2" >"$WORK/list"
}

echo TAP version 13
rules=$(grep -l '^// Confidence: ' "$TOP"/tools/coccinelle/*.cocci)
for rule in $rules; do
	rule=$(basename "$rule" .cocci)
	accepts "$rule: its bad sample has findings to find" grep -q '/\* finds .* \*/$' "$SAMPLES/$rule-bad.c"
	accepts "$rule finds them" finds "$rule" "$rule-bad"
	accepts "$rule finds nothing in the good sample" finds "$rule" "$rule-good"
	accepts "$rule says what it is in the kernel's form" \
		sh -c 'for line in "^/// ." "^// Confidence: (High|Moderate|Low)$" "^// Options: " "^virtual report$" "^virtual org$"; do grep -qE "$line" "$1" || exit; done' sh "$TOP/tools/coccinelle/$rule.cocci"
done

export KVM_LIFECYCLE_CACHE="$WORK/cache"
mkdir -p "$WORK/cache"
refuses 'an unknown BASE' '^coccicheck.sh: unknown BASE=v1.0: choose one of ' env BASE=v1.0 "$CHECK"
refuses 'one unknown BASE of two' '^coccicheck.sh: unknown BASE=v1.0: choose one of ' env BASE='v7.3 v1.0' "$CHECK"
refuses 'a rule that does not exist' '^rule.sh: unknown rule nothing: choose ' "$RULE" nothing "$WORK" "$WORK/out/found"
fake_spatch 'spatch version 1.0.8 compiled with OCaml version 4.08.1
Python scripting support: yes'
refuses 'a Coccinelle that is too old' '^rule.sh: Coccinelle 1\.0\.8 is too old: ' \
	env PATH="$WORK/bin:$PATH" BASE=v7.3 "$CHECK"
lines=$(wc -l <"$WORK/output")
accepts 'it is said once' test "$lines" = 1
fake_spatch 'spatch version 1.2 compiled with OCaml version 4.14.1
Python scripting support: no'
refuses 'a Coccinelle without Python' '^rule.sh: this Coccinelle 1\.2 cannot run Python' \
	env PATH="$WORK/bin:$PATH" "$RULE" vcpu_idx "$SAMPLES" "$WORK/out/found"
fake_spatch ''
refuses 'no Coccinelle' '^rule.sh: there is no Coccinelle: ' \
	env PATH="$WORK/bin:$PATH" "$RULE" vcpu_idx "$SAMPLES" "$WORK/out/found"
mkdir -p "$WORK/project"
cp -r "$TOP/tools" "$WORK/project/"
sed -i 's/^reads = {}$/reads = nothing/' "$WORK/project/tools/coccinelle/vcpu_idx.cocci"
refuses 'a rule that breaks' '^rule.sh: the rules cannot be run \(vcpu_idx\): ' \
	env TOP="$WORK/project" "$WORK/project/tools/coccinelle/rule.sh" vcpu_idx "$SAMPLES" "$WORK/out/found"

# A tree with a hole that its series closes: the samples, as architectures.
tree=$WORK/cache/src/v7.3
mkdir -p "$tree/virt/kvm" "$tree/include/kvm" "$tree/include/linux"
for folder in virt/kvm include/kvm include/linux; do
	echo 'struct kvm;' >"$tree/$folder/kvm.h"
done
for arch in x86 arm64; do
	mkdir -p "$tree/arch/$arch/kvm" "$tree/arch/$arch/include/asm"
	echo 'struct kvm;' >"$tree/arch/$arch/include/asm/kvm.h"
	cp "$SAMPLES/lookup_escapes-good.c" "$tree/arch/$arch/kvm/a.c"
done
mkdir -p "$tree/drivers/iommu/amd"
echo 'struct kvm;' >"$tree/drivers/iommu/amd/kvm.h"
version=$(base_get v7.3 version)
makefile_of "$version" >"$tree/Makefile"
echo "$version" >"$tree.version"
cp "$SAMPLES/lookup_escapes-bad.c" "$tree/arch/x86/kvm/a.c"
commit_base "$tree"
cp "$SAMPLES/lookup_escapes-good.c" "$tree/arch/x86/kvm/a.c"
git_in "$tree" commit -q -a -m 'mend it'
git_in "$tree" tag series
cp -r "$TOP/tools" "$WORK/project/"
mkdir -p "$WORK/project/patches/v7.3"
cp "$TOP/patches/v7.3/base" "$WORK/project/patches/v7.3/"
list=$WORK/project/patches/v7.3/coccicheck
check_project()
{
	env TOP="$WORK/project" BASE=v7.3 "$WORK/project/tools/coccinelle/coccicheck.sh"
}
refuses 'a base without a list' '^coccicheck.sh: patches/v7.3/coccicheck does not exist: ' check_project
for rule in $rules; do
	echo "# no hole $(basename "$rule" .cocci): made up"
done >"$list"
printf 'fixed\tlookup_escapes\tarch/x86/kvm/a.c\tsample_notify\tvcpu\tmended\n' >>"$list"
accepts 'a tree with a hole, and the series that closes it' check_project
said 'each content is looked at once' ' 3 of 4 runs were new$'
accepts 'once more' check_project
said 'it is not looked at again' ' 0 of 4 runs were new$'
sed -i '$d' "$list"
refuses 'the same without the line' 'not declared as fixed: arch/x86/kvm/a.c:[0-9]*: lookup_escapes: sample_notify' check_project

printf 'virt/kvm/a.c:%s: rule: %s(): %s told\n' 1 first x 2 second y >"$WORK/base"
printf 'virt/kvm/a.c:9: rule: second(): y told\n' >"$WORK/series"
declare_holes fixed stays
accepts 'a list that is right, whatever the lines' compare
said 'what is left is printed with its reason' 'harmless$'
declare_holes fixed fixed
refuses 'a hole that is not closed' 'declared as fixed, and found with the series' compare
declare_holes stays stays
refuses 'a finding that is gone' 'declared to stay, and no longer found' compare
sed -i 1d "$WORK/list"
refuses 'a rule without a hole, and without a reason' 'declares no hole that rule finds' compare
declare_holes fixed stays
sed -i 2d "$WORK/list"
refuses 'a new finding' 'not declared: virt/kvm/a.c:9: rule: second' compare
declare_holes fixed stays
sed -i 1d "$WORK/base"
refuses 'a hole that the rule does not find any more' 'declared as fixed, and not found without the series' compare
printf 'stays rule virt/kvm/a.c second y harmless\n' >"$WORK/list"
refuses 'a line without tabs' 'line 1 is not: ' compare
report
