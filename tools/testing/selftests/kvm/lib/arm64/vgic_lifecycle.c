// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vGIC on its way to being initialized.
 */
#include "kvm_lifecycle.h"

/* The address of what @attr stands for, of a vGIC or an ITS. */
void vgic_set_addr(int fd, u64 attr, u64 addr)
{
	kvm_device_attr_set(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, attr, &addr);
}

/* A VM without vCPUs, and its vGICv3, which has everything but redistributors. */
struct kvm_vm *vm_create_with_vgic(unsigned int nr_vcpus, u32 nr_irqs, int *gic_fd)
{
	struct kvm_vm *vm = vm_create(nr_vcpus);

	*gic_fd = kvm_create_device(vm, KVM_DEV_TYPE_ARM_VGIC_V3);
	kvm_device_attr_set(*gic_fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nr_irqs);
	vgic_set_addr(*gic_fd, KVM_VGIC_V3_ADDR_TYPE_DIST, GICD_BASE_GPA);
	return vm;
}

/* Why GICD_IIDR can't be read before the vGIC is initialized, though no vCPU is busy, or NULL. */
const char *vgic_preinit_missing(void)
{
	struct kvm_create_device gic = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
	int kvm = open_path_or_exit(KVM_DEV_PATH, O_RDWR), vm, vcpu, err = 0;
	const char *missing = NULL;
	u32 iidr;

	vm = ioctl(kvm, KVM_CREATE_VM, 0ul);
	TEST_ASSERT(vm >= 0, KVM_IOCTL_ERROR(KVM_CREATE_VM, vm));
	if (ioctl(vm, KVM_CREATE_DEVICE, &gic)) {
		missing = "KVM has no GICv3";
		goto out;
	}
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0ul);
	TEST_ASSERT(vcpu >= 0, KVM_IOCTL_ERROR(KVM_CREATE_VCPU, vcpu));
	if (__kvm_device_attr_get(gic.fd, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_IIDR, &iidr))
		err = errno;
	TEST_ASSERT(!err || err == EBUSY, "GICD_IIDR: want 0 or EBUSY, got %s", strerror(err));
	if (err)
		missing = VGIC_NO_PREINIT;
	close(vcpu);
	close(gic.fd);
out:
	close(vm);
	close(kvm);
	return missing;
}

/* Room for the redistributors of @count vCPUs at @gpa.  Returns 0 or -errno. */
int vgic_set_region(int gic_fd, u64 gpa, int count, int index)
{
	u64 attr = REDIST_REGION_ATTR_ADDR(count, gpa, 0, index);

	return __kvm_device_attr_set(gic_fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
				     KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, &attr) ? -errno : 0;
}

/* Returns 0 or -errno. */
int vgic_ctrl_init(int gic_fd)
{
	return __kvm_device_attr_set(gic_fd, KVM_DEV_ARM_VGIC_GRP_CTRL,
				     KVM_DEV_ARM_VGIC_CTRL_INIT, NULL) ? -errno : 0;
}
