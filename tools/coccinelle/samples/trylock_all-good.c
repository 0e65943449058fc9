// SPDX-License-Identifier: GPL-2.0-only
// The decisive state is read before the vCPUs are locked; a second look, and a look
// without the vCPUs, are fine.
static int sample_save(struct kvm *kvm)
{
	if (!vgic_initialized(kvm))
		return -ENXIO;
	return sample_write(kvm);
}

static int sample_attr(struct kvm *kvm)
{
	int ret;

	if (!vgic_initialized(kvm))
		return -ENXIO;
	if (kvm_trylock_all_vcpus(kvm))
		return -EBUSY;
	ret = sample_save(kvm);
	kvm_unlock_all_vcpus(kvm);
	if (!ret && irqchip_in_kernel(kvm))
		sample_finish(kvm);
	return ret;
}
