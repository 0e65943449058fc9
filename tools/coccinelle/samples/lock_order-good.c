// SPDX-License-Identifier: GPL-2.0-only
// In the order of the documentation, one after the other, and a trylock against it.
static void sample_inside(struct kvm *kvm)
{
	mutex_lock(&kvm->slots_lock);
	mutex_lock(&kvm->irq_lock);
	mutex_unlock(&kvm->irq_lock);
	mutex_unlock(&kvm->slots_lock);
}

static void sample_outside(struct kvm *kvm)
{
	mutex_lock(&kvm->lock);
	sample_inside(kvm);
	mutex_unlock(&kvm->lock);
}

static void sample_after(struct kvm *kvm)
{
	mutex_lock(&kvm->slots_lock);
	mutex_unlock(&kvm->slots_lock);
	sample_outside(kvm);
}

static int sample_try(struct kvm_vcpu *vcpu)
{
	mutex_lock(&vcpu->mutex);
	if (mutex_trylock(&vcpu->kvm->lock))
		mutex_unlock(&vcpu->kvm->lock);
	mutex_unlock(&vcpu->mutex);
	return 0;
}

static void sample_configure(struct kvm *kvm)
{
	kvm_lock_created_vcpus(kvm);
	sample_inside(kvm);
	mutex_unlock(&kvm->lock);
	sample_outside(kvm);
}
