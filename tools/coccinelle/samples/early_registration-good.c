// SPDX-License-Identifier: GPL-2.0-only
// The same, and all of it given back; statistics and fields of the vCPU don't count.
static void sample_slot(struct kvm_vcpu *vcpu, struct sample_region *region)
{
	vcpu->stat.created++;
	vcpu->arch.slot = region->nr_slots++;
	__set_bit(vcpu->arch.slot, region->used);
	WRITE_ONCE(region->table[vcpu->vcpu_id], vcpu->arch.page);
	kvm_io_bus_register_dev(vcpu->kvm, KVM_MMIO_BUS, 0, 1, &vcpu->arch.dev);
}

int kvm_arch_vcpu_create(struct kvm_vcpu *vcpu)
{
	sample_slot(vcpu, vcpu->kvm->arch.region);
	return 0;
}

static void sample_unslot(struct kvm_vcpu *vcpu, struct sample_region *region)
{
	kvm_io_bus_unregister_dev(vcpu->kvm, KVM_MMIO_BUS, &vcpu->arch.dev);
	WRITE_ONCE(region->table[vcpu->vcpu_id], 0);
	__clear_bit(vcpu->arch.slot, region->used);
	region->nr_slots--;
}

void kvm_arch_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	sample_unslot(vcpu, vcpu->kvm->arch.region);
	free_page(vcpu->arch.page);
}
