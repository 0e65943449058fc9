// SPDX-License-Identifier: GPL-2.0-only
/*
 * The CPU interfaces of a vGICv2 are numbered by the IDs of the vCPUs, in whatever order
 * these were created: a guest reads its number from GICD_ITARGETSR0, sends SGIs to
 * numbers, has SPIs sent to them, and takes what is sent to its own.
 */
#include <linux/sizes.h>

#include "kselftest_harness.h"
#include "kvm_lifecycle_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"
#include "vgic.h"

#include "gic.h"
#include "gic_v3.h"

#define GICC_BASE_GPA		(GICD_BASE_GPA + SZ_64K)

#define SGIR_TO_LIST(id)	BIT(16 + (id))
#define SGIR_TO_OTHERS		BIT(24)
#define SGIR_TO_SELF		BIT(25)

#define GICC_CTLR		0x00
#define GICC_PMR		0x04
#define GICC_IAR		0x0c
#define GICC_EOIR		0x10

#define SGI			5
#define SPI			MIN_SPI
#define NR_VCPUS		3
#define MAX_VCPUS		8

enum guest_op { READ_DIST, WRITE_DIST, TAKE_IRQ };

/* What the vCPU that runs next is asked for. */
static enum guest_op guest_op;
static u32 guest_offset;
static u32 guest_val;

static void guest_code(void)
{
	u32 val;

	writel(1, (void *)GICC_BASE_GPA + GICC_CTLR);
	writel(0xf0, (void *)GICC_BASE_GPA + GICC_PMR);

	for (;;) {
		val = 0;
		switch (READ_ONCE(guest_op)) {
		case READ_DIST:
			val = readl(GICD_BASE_GVA + guest_offset);
			break;
		case WRITE_DIST:
			writel(guest_val, GICD_BASE_GVA + guest_offset);
			break;
		case TAKE_IRQ:
			val = readl((void *)GICC_BASE_GPA + GICC_IAR);
			if ((val & 0x3ff) != IAR_SPURIOUS)
				writel(val, (void *)GICC_BASE_GPA + GICC_EOIR);
			break;
		}
		GUEST_SYNC(val);
	}
}

FIXTURE(v2)
{
	struct kvm_vm *vm;
	int fd;
	struct kvm_vcpu *vcpus[MAX_VCPUS];	/* by their IDs */
	u32 ids;
};

FIXTURE_VARIANT(v2)
{
	u32 ids[NR_VCPUS];	/* in the order of creation */
};

FIXTURE_VARIANT_ADD(v2, ascending)
{
	.ids = { 0, 1, 2 },
};

FIXTURE_VARIANT_ADD(v2, descending)
{
	.ids = { 2, 1, 0 },
};

FIXTURE_VARIANT_ADD(v2, mixed)
{
	.ids = { 1, 2, 0 },
};

FIXTURE_VARIANT_ADD(v2, gaps)
{
	.ids = { 0, 3, 6 },
};

static u32 run(struct __test_metadata *_metadata, struct kvm_vcpu *vcpu, enum guest_op op,
	       u32 offset, u32 val)
{
	struct ucall uc;

	guest_op = op;
	guest_offset = offset;
	guest_val = val;
	sync_global_to_guest(vcpu->vm, guest_op);
	sync_global_to_guest(vcpu->vm, guest_offset);
	sync_global_to_guest(vcpu->vm, guest_val);
	vcpu_run(vcpu);
	EXPECT_EQ(UCALL_SYNC, get_ucall(vcpu, &uc));
	return uc.args[1];
}

FIXTURE_SETUP(v2)
{
	int i;

	self->vm = vm_create(NR_VCPUS);
	if (__kvm_test_create_device(self->vm, KVM_DEV_TYPE_ARM_VGIC_V2)) {
		kvm_vm_free(self->vm);
		SKIP(return, "KVM has no GICv2");
	}

	self->fd = kvm_create_device(self->vm, KVM_DEV_TYPE_ARM_VGIC_V2);
	vgic_set_addr(self->fd, KVM_VGIC_V2_ADDR_TYPE_DIST, GICD_BASE_GPA);
	vgic_set_addr(self->fd, KVM_VGIC_V2_ADDR_TYPE_CPU, GICC_BASE_GPA);
	virt_map(self->vm, GICD_BASE_GPA, GICD_BASE_GPA,
		 vm_calc_num_guest_pages(self->vm->mode, SZ_64K + KVM_VGIC_V2_CPU_SIZE));

	for (i = 0; i < NR_VCPUS; i++) {
		self->vcpus[variant->ids[i]] = vm_vcpu_add(self->vm, variant->ids[i], guest_code);
		self->ids |= BIT(variant->ids[i]);
	}
	ASSERT_EQ(0, vgic_ctrl_init(self->fd));

	run(_metadata, self->vcpus[0], WRITE_DIST, GICD_CTLR, 1);
}

FIXTURE_TEARDOWN(v2)
{
	close(self->fd);
	kvm_vm_free(self->vm);
}

static u32 own_number(struct __test_metadata *_metadata, struct kvm_vcpu *vcpu)
{
	return ffs(run(_metadata, vcpu, READ_DIST, GICD_ITARGETSR, 0) & 0xff) - 1;
}

/* Each of the vCPUs in @ids takes @iar, and no other takes anything. */
static void expect_taken(struct __test_metadata *_metadata, struct kvm_vcpu **vcpus, u32 ids,
			 u32 iar, const char *what)
{
	u32 id, got, want;

	for (id = 0; id < MAX_VCPUS; id++) {
		if (!vcpus[id])
			continue;
		want = ids & BIT(id) ? iar : IAR_SPURIOUS;
		got = run(_metadata, vcpus[id], TAKE_IRQ, 0, 0);
		EXPECT_EQ(want, got)
			TH_LOG("%s: vCPU with ID %u: want GICC_IAR %#x, got %#x", what, id, want,
			       got);
	}
}

TEST_F(v2, own_number)
{
	u32 i, id, got;

	for (i = 0; i < NR_VCPUS; i++) {
		id = variant->ids[i];
		got = own_number(_metadata, self->vcpus[id]);
		EXPECT_EQ(id, got)
			TH_LOG("vCPU with ID %u: want this number in GICD_ITARGETSR0, got %u", id,
			       got);
	}
}

TEST_F(v2, sgi_to_self)
{
	u32 i, id;

	for (i = 0; i < NR_VCPUS; i++) {
		id = variant->ids[i];
		run(_metadata, self->vcpus[id], WRITE_DIST, GICD_SGIR, SGIR_TO_SELF | SGI);
		expect_taken(_metadata, self->vcpus, BIT(id), SGI | id << 10, "SGI to self");
	}
}

TEST_F(v2, sgi_to_one)
{
	u32 i, id;

	for (i = 0; i < NR_VCPUS; i++) {
		id = variant->ids[i];
		run(_metadata, self->vcpus[0], WRITE_DIST, GICD_SGIR, SGIR_TO_LIST(id) | SGI);
		expect_taken(_metadata, self->vcpus, BIT(id), SGI, "SGI from 0 to one");
	}
}

TEST_F(v2, sgi_to_others)
{
	u32 i, id;

	for (i = 0; i < NR_VCPUS; i++) {
		id = variant->ids[i];
		run(_metadata, self->vcpus[id], WRITE_DIST, GICD_SGIR, SGIR_TO_OTHERS | SGI);
		expect_taken(_metadata, self->vcpus, self->ids & ~BIT(id), SGI | id << 10,
			     "SGI to all others");
	}
}

TEST_F(v2, spi)
{
	u32 i, id;

	run(_metadata, self->vcpus[0], WRITE_DIST, GICD_ISENABLER + SPI / 8, 1);
	for (i = 0; i < NR_VCPUS; i++) {
		id = variant->ids[i];
		run(_metadata, self->vcpus[0], WRITE_DIST, GICD_ITARGETSR + SPI, BIT(id));
		EXPECT_EQ(BIT(id), run(_metadata, self->vcpus[0], READ_DIST, GICD_ITARGETSR + SPI,
				       0) & 0xff);
		kvm_arm_irq_line(self->vm, SPI, 1);
		expect_taken(_metadata, self->vcpus, BIT(id), SPI, "SPI");
		kvm_arm_irq_line(self->vm, SPI, 0);
	}
}

int main(int argc, char **argv)
{
	test_disable_default_vgic();

	return test_harness_run(argc, argv);
}
