// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_lifecycle: AVIC's tables of a VM.
 *
 * Built with KVM's private headers: structures are laid out as in the tree of this build, which
 * must be the one that the running KVM was built from.
 */
#include <linux/kvm_host.h>
#include <linux/mutex.h>

#include "lapic.h"
#include "svm/svm.h"

#include "kvm_lifecycle.h"

/*
 * The table takes a page at least; its size beyond that is private to kvm_amd.
 * With 512 entries that is every ID of xAVIC and of the first x2AVIC processors.
 */
#define KVML_AVIC_ENTRIES	(PAGE_SIZE / sizeof(u64))

struct kvml_avic_vm {
	struct kvml_func notifier;
	struct kvml_vm vm;
};

static const u64 *kvml_physical_table(struct kvm_svm *svm)
{
#ifdef KVML_AVIC_TABLE_PAGES
	struct page *page = svm->avic_physical_id_table_page;

	return page ? page_address(page) : NULL;
#else
	return svm->avic_physical_id_table;
#endif
}

static bool kvml_has_logical_table(struct kvm_svm *svm)
{
#ifdef KVML_AVIC_TABLE_PAGES
	return svm->avic_logical_id_table_page;
#else
	return svm->avic_logical_id_table;
#endif
}

static int kvml_avic_open(void *state)
{
	struct kvml_avic_vm *avic = state;

	return kvml_avic_get(&avic->notifier);
}

static void kvml_avic_close(void *state)
{
	struct kvml_avic_vm *avic = state;

	kvml_vm_put(&avic->vm);
	kvml_func_put(&avic->notifier);
}

static int kvml_avic_write(void *state, char *cmd)
{
	struct kvml_avic_vm *avic = state;

	return kvml_vm_select(&avic->vm, cmd);
}

/*
 * The tables come with the VM or, under kvm->lock, with its first vCPU, and go with the VM, which
 * is held.  Entries are written outside of any common lock.
 */
static int kvml_avic_show(struct seq_file *m, void *state)
{
	struct kvml_avic_vm *avic = state;
	struct kvm *kvm = avic->vm.kvm;
	struct kvm_svm *svm;
	struct kvm_vcpu *vcpu;
	const u64 *table;
	unsigned long i;
	u64 entry;
	int ret;

	if (!kvm)
		return -ENODATA;

	/* A vCPU's creation may be paused, and hold the lock for a while. */
	ret = mutex_lock_interruptible(&kvm->lock);
	if (ret)
		return ret;

	svm = to_kvm_svm(kvm);
	table = kvml_physical_table(svm);
	seq_printf(m, "vm_id %u listed %d physical %d logical %d inhibited 0x%lx\n", svm->avic_vm_id,
		   !hlist_unhashed_lockless(&svm->hnode), !!table, kvml_has_logical_table(svm),
		   READ_ONCE(kvm->arch.apicv_inhibit_reasons));

	for (i = 0; table && i < KVML_AVIC_ENTRIES; i++) {
		entry = READ_ONCE(table[i]);
		if (entry)
			seq_printf(m, "entry %lu 0x%llx\n", i, entry);
	}

	/* Without a vCPU, the walk of older kernels would have no end. */
	if (atomic_read(&kvm->online_vcpus)) {
		kvm_for_each_vcpu(i, vcpu, kvm) {
			struct kvm_lapic *apic = vcpu->arch.apic;

			seq_printf(m, "vcpu %d idx %d backing 0x%llx\n", vcpu->vcpu_id,
				   vcpu->vcpu_idx,
				   apic && apic->regs ? (u64)__pa(apic->regs) : 0);
		}
	}
	mutex_unlock(&kvm->lock);
	return 0;
}

const struct kvml_part kvml_avic = {
	.name = "avic",
	.kvm = true,
	.missing = kvml_avic_missing,
	.state_size = sizeof(struct kvml_avic_vm),
	.open = kvml_avic_open,
	.close = kvml_avic_close,
	.show = kvml_avic_show,
	.write = kvml_avic_write,
};
