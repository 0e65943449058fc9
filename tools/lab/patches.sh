#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# patches.sh: is each patch of BASE what makes its test green?  For each, boot
# the kernel with the patches before it and the kernel with it as well: what
# patches/BASE/tests declares for this patch must be red, then green.  What is
# declared for several patches together is left to the lab.
#
#   PATCH='svm-ga-log-wakeup'   these patches alone

. "$(dirname "$0")/../lib.sh"

export START KERNEL="${KERNEL:-}"
LAB=$TOP/tools/lab
BASE=${BASE:-$(default_base)}
ARCH=${ARCH:-x86 arm64}
PATCH=${PATCH:-}
check_base "$BASE"
PATCH=$(for patch in $PATCH; do patch_number "$BASE" PATCH "$patch" || exit; done)
TABLE=$TOP/patches/$BASE/tests
RESULTS=$TOP/results/$BASE-patches

# "patch arch test" of what is declared, each once.
declared()
{
	awk -F'\t' '!/^#/ && $5 ~ /^[0-9]+$/ && NF >= 5 {
		n = split($2, arch, ",")
		for (i = 1; i <= n; i++)
			print $5 + 0, arch[i], $1
	}' "$TABLE" | sort -n | uniq
}

slug_of_number()
{
	series_files "$BASE" | slugs | sed -n "$1p"
}

check_hosts $ARCH
for patch in $PATCH; do
	for arch in $ARCH; do
		declared | grep "^$patch $arch " || :
	done | grep -q . ||
		die "no test declares patch PATCH=$(slug_of_number "$patch") for ARCH='$ARCH': choose from $(declared | cut -d' ' -f1 | uniq | while read -r patch; do slug_of_number "$patch"; done | paste -sd' ')"
done

failed=
for arch in $ARCH; do
	for patch in ${PATCH:-$(declared | cut -d' ' -f1 | uniq)}; do
		tests=$(declared | awk -v p="$patch" -v a="$arch" '$1 == p && $2 == a { print $3 }' | paste -sd' ')
		[ -n "$tests" ] || continue
		before=$((patch - 1))
		[ "$before" -gt 0 ] || before=none
		step "$arch: $(slug_of_number "$patch"), tests: $tests"
		prepare "$BASE" "$arch" "$before $patch"
		for patches in $before $patch; do
			echo "$BASE $arch $patches $RESULTS/$arch-$patches $tests"
		done | run_hosts
		awk -f "$LAB/hosts.awk" -f "$LAB/report.awk" -v results="$RESULTS" -v arches="$arch" -v variants="$before $patch" \
			-v patch="$(printf '%04d' "$patch")" "$TABLE" || failed="$failed $arch:$(slug_of_number "$patch")"
	done
done
[ -z "$failed" ] || die "these patches do not make their tests green, or the tests are not red without them:$failed"
