// SPDX-License-Identifier: GPL-2.0-only
/*
 * Userspace's accesses to a vCPU's vGIC registers rely on vcpu->mutex: one that
 * is made without holding it is reported by the kernel, and none is otherwise,
 * before and after the vGIC is initialized, with and without a vCPU.
 *
 * kvm_lifecycle makes the call that KVM itself doesn't make.
 */
#include <string.h>

#include "kselftest_harness.h"
#include "kvm_lifecycle_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "vgic.h"

#include "gic_v3.h"

#define NR_IRQS		64
#define NR_VCPUS	2

#define ATTR(_vcpu, _offset)	((u64)(_vcpu) << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT | (_offset))

FIXTURE(exclusive) {
	struct kvm_vm *vm;
	int gic, kmsg;
};

/* No vCPU is run. */
static void guest_code(void)
{
}

FIXTURE_SETUP(exclusive)
{
	const char *missing = lockdep_missing();
	int i;

	if (missing)
		SKIP(return, "%s", missing);

	self->kmsg = kmsg_open();
	if (self->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-self->kmsg));

	rearm_warnings();

	self->vm = vm_create(NR_VCPUS);
	for (i = 0; i < NR_VCPUS; i++)
		vm_vcpu_add(self->vm, i, guest_code);
	self->gic = __vgic_v3_setup(self->vm, NR_VCPUS, NR_IRQS);
	ASSERT_GE(self->gic, 0);
}

FIXTURE_TEARDOWN(exclusive)
{
	close(self->gic);
	kvm_vm_free(self->vm);
	kmsg_close(_metadata, self->kmsg);
}

TEST_F(exclusive, redist_unlocked)
{
	expect_mutex_asserted(_metadata, self->kmsg, self->vm, 1, "vgic_v3_redist_uaccess",
			      "vgic_uaccess");
}

/* All that userspace can do, or try to do, isn't reported. */
TEST_F(exclusive, accesses)
{
	const struct {
		u32 group;
		u64 attr;
	} regs[] = {
		{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_IIDR },
		{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_TYPER2 },
		{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_CTLR },
		{ KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, ATTR(0, GICR_CTLR) },
		{ KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, ATTR(1, GICR_TYPER) },
		{ KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
		  ATTR(1, KVM_ARM64_SYS_REG(SYS_ICC_PMR_EL1) &
			  KVM_DEV_ARM_VGIC_SYSREG_INSTR_MASK) },
		{ KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO,
		  ATTR(1, VGIC_LEVEL_INFO_LINE_LEVEL << KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT) },
	};
	u64 val[ARRAY_SIZE(regs)] = {};
	const char *when;
	int i, pass, r;
	bool preinit;

	/* The first two can be accessed before init, and up to 6.12 none. */
	preinit = !__kvm_device_attr_get(self->gic, regs[0].group, regs[0].attr, &val[0]);

	for (pass = 0; pass < 2; pass++) {
		when = pass ? "after" : "before";
		for (i = 0; i < ARRAY_SIZE(regs); i++) {
			r = __kvm_device_attr_get(self->gic, regs[i].group, regs[i].attr, &val[i]);
			EXPECT_EQ(pass || (preinit && i < 2) ? 0 : EBUSY, r ? errno : 0)
				TH_LOG("read of register %d %s init", i, when);
			r = __kvm_device_attr_set(self->gic, regs[i].group, regs[i].attr, &val[i]);
			EXPECT_EQ(pass || (preinit && i < 2) ? 0 : EBUSY, r ? errno : 0)
				TH_LOG("write of register %d %s init", i, when);
		}
		if (!pass)
			__vgic_v3_init(self->gic);
	}
	EXPECT_NO_SPLAT(self->kmsg);
}

int main(int argc, char **argv)
{
	test_disable_default_vgic();
	TEST_REQUIRE(kvm_supports_vgic_v3());

	return test_harness_run(argc, argv);
}
