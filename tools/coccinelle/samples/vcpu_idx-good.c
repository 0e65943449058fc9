// SPDX-License-Identifier: GPL-2.0-only
// The index is read once the vCPU is online, or after looking whether there is one.
static void sample_mark(struct kvm_vcpu *vcpu)
{
	set_bit(vcpu->vcpu_idx, vcpu->kvm->arch.mask);
}

int kvm_arch_vcpu_create(struct kvm_vcpu *vcpu)
{
	vcpu->arch.slot = vcpu->vcpu_id;
	return 0;
}

void kvm_arch_vcpu_postcreate(struct kvm_vcpu *vcpu)
{
	sample_mark(vcpu);
}

void kvm_arch_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	if (vcpu->vcpu_idx < 0)
		vcpu->arch.failed = true;
}
