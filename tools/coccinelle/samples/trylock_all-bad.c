// SPDX-License-Identifier: GPL-2.0-only
// The decisive state is read by this function, and by one that it calls.
static int sample_access(struct kvm *kvm)
{
	int ret = 0;

	if (kvm_trylock_all_vcpus(kvm))
		return -EBUSY;

	if (!vgic_initialized(kvm)) { /* finds vgic_initialized */
		ret = -ENXIO;
		goto out;
	}
	sample_read(kvm);
out:
	kvm_unlock_all_vcpus(kvm);
	return ret;
}

static int sample_save(struct kvm *kvm)
{
	if (unlikely(!irqchip_in_kernel(kvm)))
		return -ENXIO;
	return sample_write(kvm);
}

static int sample_attr(struct kvm *kvm)
{
	int ret;

	if (kvm_trylock_all_vcpus(kvm))
		return -EBUSY;
	ret = sample_save(kvm); /* finds irqchip_in_kernel */
	kvm_unlock_all_vcpus(kvm);
	return ret;
}
