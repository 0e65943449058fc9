// SPDX-License-Identifier: GPL-2.0-only
// In one function, in a function that is called, after a trylock, and once more
// while it is held.
static void sample_direct(struct kvm *kvm)
{
	mutex_lock(&kvm->slots_lock);
	mutex_lock(&kvm->lock); /* finds kvm->lock/slots_lock@sample_direct */
	mutex_unlock(&kvm->lock);
	mutex_unlock(&kvm->slots_lock);
}

static void sample_route(struct kvm *kvm)
{
	guard(mutex)(&kvm->slots_lock); /* finds slots_lock/config_lock@sample_attr */
	sample_update(kvm);
}

static int sample_attr(struct kvm *kvm)
{
	if (!mutex_trylock(&kvm->arch.config_lock))
		return -EBUSY;
	sample_route(kvm);
	mutex_unlock(&kvm->arch.config_lock);
	return 0;
}

static void sample_create(struct kvm *kvm)
{
	mutex_lock(&kvm->lock);
	sample_again(kvm);
	mutex_unlock(&kvm->lock);
}

static void sample_again(struct kvm *kvm)
{
	mutex_lock(&kvm->lock); /* finds kvm->lock/kvm->lock@sample_create */
	mutex_unlock(&kvm->lock);
}

static void sample_configure(struct kvm *kvm)
{
	mutex_lock(&kvm->slots_lock);
	kvm_lock_created_vcpus(kvm); /* finds kvm->lock/slots_lock@sample_configure */
	mutex_unlock(&kvm->lock);
	mutex_unlock(&kvm->slots_lock);
}

static void sample_all(struct kvm *kvm)
{
	kvm_lock_stable_vcpus(kvm);
	sample_again_all(kvm);
	kvm_unlock_stable_vcpus(kvm);
}

static void sample_again_all(struct kvm *kvm)
{
	mutex_lock(&kvm->lock); /* finds kvm->lock/kvm->lock@sample_all */
	mutex_unlock(&kvm->lock);
}
