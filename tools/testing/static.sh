#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# static.sh: would make static have noticed?  It has compiled the tree of BASE with
# the series.  Here a file of it is changed for the worse, compiled again, and put
# back: a wrong lock in each of the places whose locks clang knows, and mistakes that
# gcc, clang and sparse warn of.  And would make htmldocs have noticed a bad locking.rst?

. "$(dirname "$0")/../lib.sh"

export START KERNEL="${KERNEL:-}"
BASE=${BASE:-$(default_base)}
each_base $BASE
check_base "$BASE"

get_tree "$BASE"
"$TOP/tools/series/sparse.sh"
"$TOP/tools/series/clang.sh"

. "$TOP/tools/series/compile.sh"
. "$TOP/tools/testing/tap.sh"

state()
{
	ls -A "$TOP"
}

# The compiler, the architecture, the file, a function in it, the old and the new
# text, the target of make, and the warning; a tab between.
cases()
{
	sed 's/^	*//' <<-'END'
	clang	x86	arch/x86/kvm/svm/avic.c	avic_ga_log_notifier	guard(spinlock_irqsave)(&svm_vm_data_hash_lock)	guard(mutex)(&kvm_lock)	arch/x86/kvm/svm/avic.o	reading variable 'svm_vm_data_hash' requires holding spinlock
	clang	arm64	arch/arm64/kvm/vgic/vgic-kvm-device.c	vgic_v3_attr_regs_access	mutex_lock(&dev->kvm->arch.config_lock)	mutex_lock(&dev->kvm->slots_lock)	arch/arm64/kvm/vgic/vgic-kvm-device.o	'vgic_v3_dist_uaccess' requires holding mutex
	clang	x86	virt/kvm/kvm_main.c	kvm_vm_ioctl_create_vcpu	mutex_lock(&kvm->lock)	mutex_lock(&kvm->slots_lock)	arch/x86/kvm/	requires holding mutex 'kvm->lock'
	clang	x86	arch/x86/kvm/svm/avic.c	avic_ga_log_notifier	struct kvm_vcpu *vcpu;	struct kvm_vcpu *vcpu; int unused;	arch/x86/kvm/svm/avic.o	unused variable 'unused'
	gcc	x86	arch/x86/kvm/svm/avic.c	avic_ga_log_notifier	struct kvm_vcpu *vcpu;	struct kvm_vcpu *vcpu; int unused;	arch/x86/kvm/svm/avic.o	unused variable
	gcc	arm64	arch/arm64/kvm/vgic/vgic-kvm-device.c	vgic_v3_attr_regs_access	struct kvm_vcpu *vcpu;	struct kvm_vcpu *vcpu = 0;	arch/arm64/kvm/vgic/vgic-kvm-device.o	Using plain integer as NULL pointer
	END
}

# worse FILE FUNCTION OLD NEW: this text, in each line of that function.
worse()
{
	awk -v name="$2(" -v old="$3" -v new="$4" '
	/^[a-z].*\(/ && index($0, name)	{ inside = 1 }
	inside && (i = index($0, old)) {
		$0 = substr($0, 1, i - 1) new substr($0, i + length(old))
		changed = 1
	}
	/^}/ { inside = 0 }
	{ print }
	END { exit !changed }
	' "$TREE/$1" >"$WORK/worse" || {
		echo "$1 has no '$3' in $2()"
		return 1
	}
	cat "$WORK/worse" >"$TREE/$1"
}

# says FILE WARNING: the compiler now gives a warning that is new to series-check.sh.
says()
{
	checkout "$TREE" refs/tags/series
	worse "$1" "$FUNCTION" "$OLD" "$NEW" || return
	compile "$WHAT" >"$WORK/log" 2>&1 || { tail -n 5 "$WORK/log"; return 1; }
	warnings "$WORK/log" | comm -23 - "$OBJ.warnings" | tee "$WORK/new"
	grep -qF "$2" "$WORK/new"
}

echo 'TAP version 13'
trap 'checkout "$TREE" refs/tags/series; rm -rf "$WORK"' EXIT
cases >"$WORK/cases"
while IFS='	' read -r COMPILER arch file FUNCTION OLD NEW WHAT warning; do
	compiler "$arch"
	name="$COMPILER, $arch: $FUNCTION() with $NEW"
	[ -f "$OBJ/.config" ] || {
		mkdir -p "$OBJ"
		configure >"$WORK/output" 2>&1 </dev/null || { result bad "$name"; continue; }
	}
	if [ "$COMPILER" = clang ] && [ -n "${warning##*unused*}" ] && [ ! -s "$OBJ.context" ]; then
		skipped "$name" "linux $(cat "$TREE.version") cannot have its locks checked by a compiler"
	else
		accepts "$name" says "$file" "$warning"
	fi
done <"$WORK/cases"

git -C "$TREE" show refs/tags/series:Documentation/virt/kvm/locking.rst >"$WORK/locking.rst"
printf '\n%s\n' '``vcpu->mutex' >>"$WORK/locking.rst"
refuses 'htmldocs: locking.rst with an open literal' 'new warning with the series: .*locking.rst: WARNING: Inline literal' \
	env RST="$WORK/locking.rst" "$TOP/tools/series/htmldocs.sh"
report
