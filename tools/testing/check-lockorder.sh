#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-lockorder.sh: the rules that make lockorder reads out of a document, and its
# findings in dumps of lockdep, with a kernel tree, a document and dumps that are made
# up here.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/testing/tap.sh"

no_settings
PROJECT=$WORK/project
TREE=$WORK/cache/src/v7.3
RESULTS=$PROJECT/results/20260101-000000-v7.3
export KVM_LIFECYCLE_CACHE="$WORK/cache"

# A run must not change these: the tree, and the results of the lab.
state()
{
	git -C "$TREE" show-ref
	git -C "$TREE" status --short
	(cd "$WORK" && find dump project/results -name 'lockdep*' -exec sha256sum {} + | sort)
}

# The sources say how lockdep calls the locks.
kernel()
{
	mkdir -p "$TREE/virt/kvm" "$TREE/arch/arm64/kvm" "$TREE/Documentation/virt/kvm" "$PROJECT"
	makefile_of 7.3.4 >"$TREE/Makefile"
	echo 7.3.4 >"$TREE.version"
	{
		echo 'DEFINE_MUTEX(kvm_lock);'
		for lock in kvm-\>lock vcpu-\>mutex kvm-\>slots_lock kvm-\>irq_lock kvm-\>irqfds.resampler_lock \
			    kvm-\>new_lock; do
			echo "mutex_init(&$lock);"
		done
		echo 'rwlock_init(&(kvm)->mmu_lock);'
		echo 'if (init_srcu_struct(&kvm->srcu))'
		echo 'if (init_srcu_struct(&kvm->irq_srcu))'
	} >"$TREE/virt/kvm/kvm_main.c"
	for lock in kvm-\>arch.config_lock its-\>cmd_lock its-\>its_lock; do
		echo "mutex_init(&$lock);"
	done >"$TREE/arch/arm64/kvm/arm.c"
	echo 'raw_spin_lock_init(&irq->irq_lock);' >>"$TREE/arch/arm64/kvm/arm.c"
	echo 'nothing yet' >"$TREE/Documentation/virt/kvm/locking.rst"
	commit_base "$TREE"

	# The series brings the document, and a lock that is in it.
	document >"$TREE/Documentation/virt/kvm/locking.rst"
	echo 'mutex_init(&vcpu->pid_lock);' >>"$TREE/virt/kvm/kvm_main.c"
	cp -r "$TOP/tools" "$TOP/patches" "$PROJECT/"
	rm -rf "$PROJECT"/patches/v7.3/[0-9]* "$PROJECT/patches/selftests"
	git_in "$TREE" commit -q -a -m 'Documentation: KVM: Order the locks'
	git_in "$TREE" format-patch -q -o "$PROJECT/patches/v7.3" base
	git_in "$TREE" checkout -q -f --detach base
	mkdir -p "$WORK/cache/out/made-up"
	ln -s made-up "$WORK/cache/out/v7.3-x86-all"
	ln -s made-up "$WORK/cache/out/v7.3-arm64-all"
}

document()
{
	cat <<-'END'
	=================
	KVM Lock Overview
	=================

	1. Acquisition Orders
	---------------------

	The acquisition orders for mutexes are as follows:

	- cpus_read_lock() is taken outside kvm_lock

	- kvm->lock is taken outside vcpu->mutex, and vcpu->mutex is taken outside
	  both kvm->slots_lock and the kvm->irq_lock, e.g. by ioctls.  Nobody knows
	  vcpu->mutex better.

	- kvm->lock is taken outside kvm->irq_lock

	- MMU notifiers take kvm->mmu_lock.  MMU notifiers must not take either
	  kvm->slots_lock or kvm->irq_lock.

	For SRCU:

	- ``synchronize_srcu(&kvm->srcu)`` is called inside critical sections for
	  kvm->lock and kvm->slots_lock.  These locks _cannot_ be taken inside a
	  kvm->srcu read-side critical section; that is, the following is broken::

	      srcu_read_lock(&kvm->srcu);
	      kvm->irq_lock is taken outside kvm->lock

	- Any other lock can be taken inside a kvm->srcu read-side critical section

	- kvm->srcu read-side critical sections can be entered with any lock held

	- kvm_try() tries to take kvm->lock with vcpu->mutex held

	On arm64:

	- kvm->lock and kvm->srcu are taken outside kvm->arch.config_lock.
	  ``synchronize_srcu(&kvm->srcu)`` must not be called with it held.

	- kvm->arch.config_lock is taken outside kvm->irq_lock, as it is, and outside
	  vcpu->pid_lock.  ``synchronize_srcu(&kvm->irq_srcu)`` is called with it held.

	- The locks of the VGIC are taken inside kvm->arch.config_lock, in this order:

	  - its->cmd_lock
	  - its->its_lock, with IRQs disabled
	  - vgic_irq->irq_lock

	On x86:

	- kvm_lock is taken outside the runqueue lock (AMD only), which is taken outside
	  the scheduler's locks, i.e. a task's pi_lock

	- critical sections for vcpu->pid_lock must also take kvm->mmu_lock

	- vcpu->pid_lock is taken inside any lock that a task may hold

	2. Reference
	------------

	vcpu->mutex is taken outside kvm->lock
	END
}

# The rules that are in there, as rules.awk has to say them.
rules()
{
	cat <<-'END'
	order any cpus_read_lock() > kvm_lock
	order any kvm->lock > vcpu->mutex
	order any vcpu->mutex > kvm->slots_lock
	order any vcpu->mutex > kvm->irq_lock
	unread any
	order any kvm->lock > kvm->irq_lock
	order any MMU notifiers > kvm->mmu_lock
	never any MMU notifiers > kvm->slots_lock
	never any MMU notifiers > kvm->irq_lock
	order any kvm->lock > kvm->srcu
	order any kvm->slots_lock > kvm->srcu
	other any kvm->srcu > *
	enter any * > kvm->srcu
	order arm64 kvm->lock > kvm->arch.config_lock
	order arm64 kvm->srcu > kvm->arch.config_lock
	order arm64 kvm->arch.config_lock > kvm->irq_lock
	order arm64 kvm->arch.config_lock > vcpu->pid_lock
	order arm64 kvm->arch.config_lock > kvm->irq_srcu
	order arm64 kvm->arch.config_lock > its->cmd_lock
	order arm64 its->cmd_lock > its->its_lock
	order arm64 its->its_lock > vgic_irq->irq_lock
	order x86 kvm_lock > runqueue lock
	order x86 runqueue lock > pi_lock
	order x86 kvm->mmu_lock > vcpu->pid_lock
	enter x86 * > vcpu->pid_lock
	END
}

grammar()
{
	git -C "$TREE" grep -hoE '\(&[^;]*' refs/tags/base -- virt arch | sed 's/^(//; s/)*$//' >"$WORK/classes"
	printf '%s\n' kvm_lock '&vcpu->pid_lock' >>"$WORK/classes"
	sed -i 's/^&(kvm$/\&(kvm)->mmu_lock/' "$WORK/classes"
	awk -f "$TOP/tools/lockorder/rules.awk" "$TOP/tools/lockorder/locks" "$WORK/classes" "$WORK/rst" |
	awk -F'\t' '{ print $1 " " $2 ($1 == "unread" ? "" : " " $4 " > " $5) }' >"$WORK/got"
	rules | diff - "$WORK/got"
}

# held FOLDER [CHAIN...]: the files of lockdep on a host where tasks took these
# locks, in this order: "A B C".  A lock with a "?" was only tried.
held()
{
	folder=$1
	shift
	rm -rf "$folder"
	mkdir -p "$folder"
	printf ' lock-classes: %20d [max: 8192]\n debug_locks: %20d\n' 20 1 >"$folder/lockdep_stats"
	echo made-up >"$folder/kernel"
	printf '%s\n' "$@" | awk -v folder="$folder" '
	function line(name) {
		if (!(name in key)) {
			key[name] = sprintf("%016x", ++nkey)
			printf "%s OPS: %7d FD: %4d BD: %4d +.+.: %s\n\n", key[name], 1, 1, 1, name > (folder "/lockdep")
		}
		return sprintf("[%s] %s\n", key[name], name)
	}
	BEGIN {
		print "all lock classes:" > (folder "/lockdep")
		print "all lock chains:" > (folder "/lockdep_chains")
	}
	{
		text = ""
		for (i = 1; i <= NF; i++) {
			tried = sub(/^\?/, "", $i)
			text = text line($i)
			if (!tried && !(text in done)) {
				done[text] = 1
				printf "irq_context: 0\n%s\n", text > (folder "/lockdep_chains")
			}
		}
	}'
}

# Chains that the document describes, in the words of lockdep.
good()
{
	held "$1" 'cpu_hotplug_lock kvm_lock &rq->__lock' '&kvm->lock &vcpu->mutex &kvm->slots_lock &kvm->srcu' \
		'&vcpu->mutex#2 &kvm->irq_lock/1' '&kvm->slots_lock &mm->mmap_lock mmu_notifier_invalidate_range_start &(kvm)->mmu_lock' \
		'&kvm->srcu &vcpu->pid_lock' '&vcpu->mutex &kvm->irq_lock' '&vcpu->mutex ?&kvm->lock &kvm->srcu' \
		"${2:-}"
}

lockorder()
{
	env BASE=v7.3 "$@" "$PROJECT/tools/lockorder/lockorder.sh"
}

# finds NAME REGEXP CHAIN: one more chain than the document describes is found.
finds()
{
	good "$WORK/dump" "$3"
	refuses "$1" "$2" lockorder HOST="${4:-amd}" FROM="$WORK/dump"
}

kernel
document >"$WORK/rst"
accepts 'the grammar' grammar

mkdir -p "$RESULTS"
echo {} >"$RESULTS/results.json"
good "$RESULTS/amd-all"
good "$RESULTS/arm-all" '&kvm->lock &kvm->arch.config_lock &its->cmd_lock &its->its_lock &irq->irq_lock'
accepts 'locks in the documented order' lockorder
said 'a rule that was seen' '^  seen +kvm->lock > vcpu->mutex \(line [0-9]+\)$'
said 'with a chain' '^ +cpus_read_lock\(\) > kvm_lock$'
said 'a rule that was never seen' '^  never seen +runqueue lock > pi_lock '
said 'and why' '^ +pi_lock was not taken$'
said 'what must not be taken, and was not' '^  kept +never MMU notifiers > kvm->slots_lock '
said 'a sentence that cannot be read' '^  line [0-9]+: Nobody knows vcpu->mutex better$'
said 'what was seen on no host' '^  runqueue lock > pi_lock$'
said 'the order of a list' '^  seen +its->its_lock > vgic_irq->irq_lock '
said 'x86 in one line' '^lockorder: amd: 13 rules: 8 seen, 1 in steps, 2 kept, 2 never seen, 0 contradicted; 0 orders undocumented; 1 sentences not read$'
said 'an order in steps' '^  in steps +kvm->lock > kvm->irq_lock '
accepts 'the graph' grep -q '<svg ' "$RESULTS/lockorder-amd.svg"

finds 'a lock that is inverted' 'CONTRADICTED +kvm->lock > vcpu->mutex ' '&vcpu->mutex &kvm->lock'
said 'says the chain' '^ +vcpu->mutex > kvm->lock$'
accepts 'and is red in the graph' grep -q 'stroke="red"' "$RESULTS/lockorder-amd.svg"
finds 'a lock that is inverted in steps' 'CONTRADICTED +kvm->lock > vcpu->mutex ' '&kvm->slots_lock &driver->lock &kvm->lock'
said 'says the steps' '^ +vcpu->mutex > (kvm->slots_lock > )?&driver->lock > kvm->lock$|^ +vcpu->mutex > kvm->slots_lock > kvm->lock$'
finds 'a lock that an MMU notifier must not take' 'CONTRADICTED +never MMU notifiers > kvm->slots_lock ' \
	'mmu_notifier_invalidate_range_start &kvm->slots_lock'
finds 'a lock inside of SRCU that is taken outside of it' 'CONTRADICTED +kvm->slots_lock > kvm->srcu ' '&kvm->srcu &kvm->slots_lock'
finds 'an order that is not documented' 'UNDOCUMENTED +kvm->irq_lock > kvm->new_lock$' '&kvm->irq_lock &kvm->new_lock'
accepts 'and is orange in the graph' grep -q 'stroke="orange"' "$RESULTS/lockorder-amd.svg"
finds 'what an MMU notifier takes' 'UNDOCUMENTED +MMU notifiers > kvm->new_lock$' 'mmu_notifier_invalidate_range_start &kvm->new_lock'
finds 'a lock that is taken while another one was tried' 'UNDOCUMENTED +kvm->irq_lock > kvm->new_lock$' \
	'&kvm->irq_lock ?&kvm->lock &kvm->new_lock'
finds 'a rule of another architecture' 'UNDOCUMENTED +kvm->irq_lock > vcpu->pid_lock$' '&kvm->irq_lock &vcpu->pid_lock' arm

sed 's/kvm->lock is taken outside vcpu->mutex, and/vcpu->mutex is taken outside kvm->lock, and/' "$WORK/rst" >"$WORK/wrong"
refuses 'a sentence that is wrong' 'CONTRADICTED +vcpu->mutex > kvm->lock ' lockorder RST="$WORK/wrong" HOST=amd
sed 's/^- kvm->lock is taken outside vcpu->mutex, and/-/' "$WORK/rst" >"$WORK/wrong"
refuses 'a sentence that is missing' 'UNDOCUMENTED +kvm->lock > vcpu->mutex$' lockorder RST="$WORK/wrong" HOST=amd
sed 's/vcpu->pid_lock/vcpu->mutex/' "$WORK/rst" >"$WORK/wrong"
refuses 'a lock that the series adds and nobody orders' '^lockorder.sh: the series adds vcpu->pid_lock, and .* has no order of it: ' lockorder RST="$WORK/wrong" HOST=amd

# Bad input: one sentence.
refuses 'unknown BASE' '^lockorder.sh: unknown BASE=v1.0: ' lockorder BASE=v1.0
refuses 'unknown ARCH' '^lockorder.sh: unknown ARCH=sparc: ' lockorder ARCH=sparc
refuses 'no such document' '^lockorder.sh: RST=/nowhere does not exist: ' lockorder RST=/nowhere
refuses 'one host for two architectures' '^lockorder.sh: FROM=.* is one host, and HOST=' lockorder FROM="$WORK/dump"
sed 's/kvm_lock is taken/kvm_newer_lock is taken/' "$WORK/rst" >"$WORK/wrong"
refuses 'a document of another version' '^lockorder.sh: .* orders kvm_newer_lock, and that is no lock of this kernel: ' lockorder RST="$WORK/wrong"
printf 'Locks\n-----\n\nkvm->lock protects a lot.\n' >"$WORK/wrong"
refuses 'a document that cannot be read' '^lockorder.sh: .* has no sentence under "Acquisition Orders" ' lockorder RST="$WORK/wrong"
good "$WORK/dump"
rm "$WORK/dump/lockdep_chains"
refuses 'a kernel without lockdep' "^lockorder.sh: there is no lockdep_chains in .*: run 'make lab BASE=v7.3 HOST=amd'" lockorder HOST=amd FROM="$WORK/dump"
good "$WORK/dump"
sed -i '/debug_locks/s/1/0/' "$WORK/dump/lockdep_stats"
rm "$WORK/dump/lockdep" "$WORK/dump/lockdep_chains"
refuses 'a kernel whose lockdep is off' '^lockorder.sh: lockdep was turned off by an earlier report ' lockorder HOST=amd FROM="$WORK/dump"
good "$WORK/dump"
sed -i 's/: &kvm->lock$/: _T->lock/' "$WORK/dump/lockdep"
refuses 'a kernel whose locks have other names' '^lockorder.sh: lockdep knows no &kvm->lock in .*/lockdep, ' lockorder HOST=amd FROM="$WORK/dump"
good "$WORK/dump"
echo 'Linux version 7.3.4' >"$WORK/dump/lockdep_chains"
refuses 'a log that is not of lockdep' '^lockorder.sh: .*/lockdep_chains has no chain of locks in it' lockorder HOST=amd FROM="$WORK/dump"
cp "$WORK/dump/lockdep_chains" "$WORK/dump/lockdep_stats"
refuses 'statistics that are not of lockdep' '^lockorder.sh: .*/lockdep_stats does not say debug_locks' lockorder HOST=amd FROM="$WORK/dump"
echo another >"$RESULTS/amd-all/kernel"
refuses 'results of another kernel' "^lockorder.sh: .*/amd-all is from another kernel .*: run 'make lab BASE=v7.3 HOST=amd'" lockorder
rm -rf "$RESULTS/amd-all"
refuses 'no results' "^lockorder.sh: there is no .*/amd-all: run 'make lab BASE=v7.3 HOST=amd'" lockorder
report
