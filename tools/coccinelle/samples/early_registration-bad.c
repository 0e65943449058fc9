// SPDX-License-Identifier: GPL-2.0-only
// A slot, a table's entry, a bit and a device on the bus, none of which is given
// back if the creation fails.
static void sample_slot(struct kvm_vcpu *vcpu, struct sample_region *region)
{
	vcpu->arch.slot = region->next_slot++; /* finds next_slot++ */
	__set_bit(vcpu->arch.slot, region->used); /* finds used */
	WRITE_ONCE(region->table[vcpu->vcpu_id], vcpu->arch.page); /* finds table[] */
	kvm_io_bus_register_dev(vcpu->kvm, KVM_MMIO_BUS, 0, 1, &vcpu->arch.dev); /* finds kvm_io_bus_register_dev */
}

int kvm_arch_vcpu_create(struct kvm_vcpu *vcpu)
{
	sample_slot(vcpu, vcpu->kvm->arch.region);
	return 0;
}

void kvm_arch_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	free_page(vcpu->arch.page);
}
