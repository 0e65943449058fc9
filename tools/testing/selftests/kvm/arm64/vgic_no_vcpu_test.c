// SPDX-License-Identifier: GPL-2.0-only
/*
 * The initialization of a vGIC before there is any vCPU.
 *
 * It would keep every vCPU from being created, so it's refused, with -ENODEV, and
 * leaves nothing behind: vCPUs can be created, the vGIC is initialized for them,
 * and they run.  A GICv2 is initialized by the first interrupt as well.
 */
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include <linux/sizes.h>

#include "kselftest_harness.h"
#include "kvm_lifecycle_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"
#include "vgic.h"

#include "gic.h"

#define NR_VCPUS	2

static void guest_code(void)
{
	GUEST_DONE();
}

FIXTURE(no_vcpu)
{
	struct kvm_vm *vm;
	int fd;
};

FIXTURE_VARIANT(no_vcpu)
{
	u32 type;
	const char *missing;
};

FIXTURE_VARIANT_ADD(no_vcpu, gicv2)
{
	.type = KVM_DEV_TYPE_ARM_VGIC_V2,
	.missing = "KVM has no GICv2",
};

FIXTURE_VARIANT_ADD(no_vcpu, gicv3)
{
	.type = KVM_DEV_TYPE_ARM_VGIC_V3,
	.missing = "KVM has no GICv3",
};

/* No vCPU, and a vGIC that is configured. */
FIXTURE_SETUP(no_vcpu)
{
	self->vm = vm_create(NR_VCPUS);
	if (__kvm_test_create_device(self->vm, variant->type)) {
		kvm_vm_free(self->vm);
		SKIP(return, "%s", variant->missing);
	}

	self->fd = kvm_create_device(self->vm, variant->type);
	if (variant->type == KVM_DEV_TYPE_ARM_VGIC_V2) {
		vgic_set_addr(self->fd, KVM_VGIC_V2_ADDR_TYPE_DIST, GICD_BASE_GPA);
		vgic_set_addr(self->fd, KVM_VGIC_V2_ADDR_TYPE_CPU, GICD_BASE_GPA + SZ_64K);
	} else {
		vgic_set_addr(self->fd, KVM_VGIC_V3_ADDR_TYPE_DIST, GICD_BASE_GPA);
		vgic_set_addr(self->fd, KVM_VGIC_V3_ADDR_TYPE_REDIST, GICR_BASE_GPA);
	}
}

FIXTURE_TEARDOWN(no_vcpu)
{
	close(self->fd);
	kvm_vm_free(self->vm);
}

static void expect_ret(struct __test_metadata *_metadata, int got, int want, const char *what)
{
	EXPECT_EQ(want, got)
		TH_LOG("%s without a vCPU: want %s, got %s", what, ret_name(want), ret_name(got));
}

/* It's as if nothing had happened so far. */
static void expect_usable(struct __test_metadata *_metadata, struct kvm_vm *vm, int gic_fd,
			  const char *what)
{
	struct kvm_vcpu *vcpus[NR_VCPUS];
	int i, r, fd;

	fd = __vcpu_fd_create(vm, NR_VCPUS);
	ASSERT_GE(fd, 0)
		TH_LOG("KVM_CREATE_VCPU after %s: want a vCPU, got %s", what, ret_name(fd));
	close(fd);

	for (i = 0; i < NR_VCPUS; i++)
		vcpus[i] = vm_vcpu_add(vm, i, guest_code);

	r = vgic_ctrl_init(gic_fd);
	ASSERT_EQ(0, r)
		TH_LOG("KVM_DEV_ARM_VGIC_CTRL_INIT after %s: want 0, got %s", what, ret_name(r));

	for (i = 0; i < NR_VCPUS; i++) {
		vcpu_run(vcpus[i]);
		ASSERT_EQ(UCALL_DONE, get_ucall(vcpus[i], NULL));
	}
}

TEST_F(no_vcpu, ctrl_init)
{
	expect_ret(_metadata, vgic_ctrl_init(self->fd), -ENODEV, "KVM_DEV_ARM_VGIC_CTRL_INIT");
	expect_usable(_metadata, self->vm, self->fd, "KVM_DEV_ARM_VGIC_CTRL_INIT");
}

/* A GICv3 is never initialized implicitly. */
TEST_F(no_vcpu, irq_line)
{
	int want = variant->type == KVM_DEV_TYPE_ARM_VGIC_V2 ? -ENODEV : -EBUSY;

	expect_ret(_metadata, _kvm_arm_irq_line(self->vm, MIN_SPI, 1) ? -errno : 0, want,
		   "KVM_IRQ_LINE");
	expect_usable(_metadata, self->vm, self->fd, "KVM_IRQ_LINE");
}

/* No eventfd can initialize it. */
TEST_F(no_vcpu, irqfd)
{
	struct kvm_irq_routing *routing = kvm_gsi_routing_create();
	struct kvm_irqfd irqfd = { .fd = eventfd(0, 0) };
	int r;

	ASSERT_GE((int)irqfd.fd, 0);
	kvm_gsi_routing_irqchip_add(routing, 0, 0);
	kvm_gsi_routing_write(self->vm, routing);

	r = __vm_ioctl(self->vm, KVM_IRQFD, &irqfd) ? -errno : 0;
	expect_ret(_metadata, r, -EAGAIN, "KVM_IRQFD");
	expect_usable(_metadata, self->vm, self->fd, "KVM_IRQFD");
	close(irqfd.fd);
}

int main(int argc, char **argv)
{
	test_disable_default_vgic();

	return test_harness_run(argc, argv);
}
