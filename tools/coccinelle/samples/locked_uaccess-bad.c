// SPDX-License-Identifier: GPL-2.0-only
// Each way to hold the lock, and each way to get at userspace memory.
static int sample_get(struct kvm *kvm, u32 __user *uaddr)
{
	int ret;

	mutex_lock(&kvm->arch.config_lock);
	ret = put_user(kvm->arch.value, uaddr); /* finds put_user */
	mutex_unlock(&kvm->arch.config_lock);
	return ret;
}

static int sample_set(struct kvm_vcpu *vcpu, u32 __user *uaddr)
{
	u32 val;

	guard(mutex)(&vcpu->kvm->arch.config_lock);
	if (get_user(val, uaddr)) /* finds get_user */
		return -EFAULT;
	vcpu->kvm->arch.value = val;
	return 0;
}

static int sample_filter(struct kvm *kvm, void __user *uaddr)
{
	switch (kvm->arch.value) {
	case 1: {
		guard(mutex)(&kvm->arch.config_lock);

		return copy_to_user(uaddr, &kvm->arch, 8); /* finds copy_to_user */
	}
	}
	return 0;
}

static int sample_inner(struct kvm *kvm, struct sample_attr *attr)
{
	if (copy_from_user(&kvm->arch.value, attr->addr, 4)) /* finds copy_from_user */
		return -EFAULT;
	return 0;
}

static int sample_middle(struct kvm *kvm, struct sample_attr *attr)
{
	return sample_inner(kvm, attr);
}

static int sample_outer(struct kvm *kvm, struct sample_attr *attr)
{
	int ret;

	mutex_lock(&kvm->arch.config_lock);
	ret = sample_middle(kvm, attr);
	mutex_unlock(&kvm->arch.config_lock);
	return ret;
}

static int sample_save(struct kvm *kvm, gpa_t gpa)
{
	return kvm_write_guest(kvm, gpa, &kvm->arch.value, 4); /* finds kvm_write_guest */
}

static int sample_table(struct kvm *kvm, gpa_t gpa)
{
	scoped_guard(mutex, &kvm->arch.config_lock) {
		if (!kvm->arch.value)
			return 0;
		return sample_save(kvm, gpa);
	}
}

static int sample_load(struct kvm *kvm, gpa_t gpa)
{
	int ret;

	scoped_guard(mutex, &kvm->arch.config_lock)
		ret = kvm_read_guest(kvm, gpa, &kvm->arch.value, 4); /* finds kvm_read_guest */
	return ret;
}

static int sample_read_through(struct kvm *kvm, void __user *uaddr)
{
	return PTR_ERR_OR_ZERO(memdup_array_user(uaddr, 2, 4)); /* finds memdup_array_user */
}

static const struct sample_ops sample_ops = {
	.read_through = sample_read_through,
};

static int sample_pointer(struct kvm *kvm, struct sample_ops *ops, void __user *uaddr)
{
	int ret;

	mutex_lock(&kvm->arch.config_lock);
	ret = ops->read_through(kvm, uaddr);
	mutex_unlock(&kvm->arch.config_lock);
	return ret;
}
