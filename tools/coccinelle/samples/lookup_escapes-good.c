// SPDX-License-Identifier: GPL-2.0-only
// One is used under the lock, the other belongs to a VM that the caller has.
static void sample_notify(unsigned int id, int nr)
{
	struct kvm_vcpu *vcpu;
	struct sample *s;
	unsigned long flags;

	spin_lock_irqsave(&sample_lock, flags);
	list_for_each_entry(s, &sample_list, node) {
		if (s->id == id) {
			vcpu = kvm_get_vcpu(&s->kvm, nr);
			if (vcpu)
				kvm_vcpu_kick(vcpu);
			break;
		}
	}
	spin_unlock_irqrestore(&sample_lock, flags);
}

static void sample_kick(struct kvm *kvm, int nr)
{
	struct kvm_vcpu *vcpu;

	mutex_lock(&kvm->lock);
	vcpu = kvm_get_vcpu(kvm, nr);
	mutex_unlock(&kvm->lock);

	kvm_vcpu_kick(vcpu);
}
