// SPDX-License-Identifier: GPL-2.0-only
/*
 * Takes two locks that have the names of KVM's in lockdep, and against the order of
 * locking.rst: make lockorder must find that in the records of this host.  Lockdep
 * itself has nothing to report, nobody takes these two in another order.
 */
#include <linux/module.h>
#include <linux/mutex.h>

static struct {
	struct mutex lock;
	struct mutex slots_lock;
} vm, *kvm = &vm;

static int __init inverted_init(void)
{
	mutex_init(&kvm->lock);
	mutex_init(&kvm->slots_lock);

	mutex_lock(&kvm->slots_lock);
	mutex_lock(&kvm->lock);
	mutex_unlock(&kvm->lock);
	mutex_unlock(&kvm->slots_lock);
	return 0;
}

static void __exit inverted_exit(void)
{
}

module_init(inverted_init);
module_exit(inverted_exit);
MODULE_DESCRIPTION("Takes kvm->lock inside kvm->slots_lock");
MODULE_LICENSE("GPL");
