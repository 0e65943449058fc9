// SPDX-License-Identifier: GPL-2.0-only
// Before the lock is taken, after it is dropped, and with another lock.
static int sample_get(struct kvm *kvm, u32 __user *uaddr)
{
	u32 val;

	mutex_lock(&kvm->arch.config_lock);
	val = kvm->arch.value;
	mutex_unlock(&kvm->arch.config_lock);
	return put_user(val, uaddr);
}

static int sample_set(struct kvm_vcpu *vcpu, u32 __user *uaddr)
{
	u32 val;

	if (get_user(val, uaddr))
		return -EFAULT;

	guard(mutex)(&vcpu->kvm->arch.config_lock);
	vcpu->kvm->arch.value = val;
	return 0;
}

static int sample_attr(struct kvm *kvm, void __user *uaddr)
{
	u32 val;

	switch (kvm->arch.value) {
	case 1: {
		guard(mutex)(&kvm->arch.config_lock);

		return 0;
	}
	case 2:
		return copy_from_user(&val, uaddr, sizeof(val));
	}

	scoped_guard(mutex, &kvm->arch.config_lock)
		val = kvm->arch.value;

	return copy_to_user(uaddr, &val, sizeof(val));
}

static int sample_other(struct kvm *kvm, gpa_t gpa)
{
	int ret;

	mutex_lock(&kvm->slots_lock);
	ret = kvm_read_guest(kvm, gpa, &kvm->arch.value, 4);
	mutex_unlock(&kvm->slots_lock);
	return ret;
}
