// SPDX-License-Identifier: GPL-2.0-only
// The index is read two calls away, one of them through a pointer, and on the
// way of a failed creation.
struct timer_ops {
	void (*prepare)(struct kvm_vcpu *vcpu);
};

static void sample_prepare(struct kvm_vcpu *vcpu)
{
	vcpu->arch.slot = vcpu->vcpu_idx; /* finds vcpu_idx<-kvm_arch_vcpu_create */
}

static const struct timer_ops sample_ops = {
	.prepare = sample_prepare,
};

static void sample_timer(struct kvm_vcpu *vcpu)
{
	vcpu->arch.ops->prepare(vcpu);
}

int kvm_arch_vcpu_create(struct kvm_vcpu *vcpu)
{
	sample_timer(vcpu);
	return 0;
}

static void sample_release(struct kvm_vcpu *vcpu)
{
	clear_bit(vcpu->vcpu_idx, vcpu->kvm->arch.mask); /* finds vcpu_idx<-kvm_arch_vcpu_destroy */
}

void kvm_arch_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	sample_release(vcpu);
}
