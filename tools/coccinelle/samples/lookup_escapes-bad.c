// SPDX-License-Identifier: GPL-2.0-only
// The VM may leave the list, and be freed with its vCPUs, once the lock is dropped.
static void sample_notify(unsigned int id, int nr)
{
	struct kvm_vcpu *vcpu = NULL;
	struct sample *s;
	unsigned long flags;

	spin_lock_irqsave(&sample_lock, flags);
	list_for_each_entry(s, &sample_list, node) {
		if (s->id == id) {
			vcpu = kvm_get_vcpu(&s->kvm, nr);
			break;
		}
	}
	spin_unlock_irqrestore(&sample_lock, flags);

	if (vcpu)
		kvm_vcpu_kick(vcpu); /* finds vcpu */
}
