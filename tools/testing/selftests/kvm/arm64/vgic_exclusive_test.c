// SPDX-License-Identifier: GPL-2.0-only
/*
 * Userspace's accesses to a vCPU's vGIC registers rely on vcpu->mutex: one that
 * is made without holding it is reported by the kernel, and none is otherwise,
 * before and after the vGIC is initialized, with and without a vCPU.
 *
 * kvm_lifecycle makes the call that KVM itself doesn't make.
 */
#include <stdio.h>
#include <string.h>

#include "kselftest_harness.h"
#include "kvm_lifecycle.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "vgic.h"

#include "gic_v3.h"

#define NR_IRQS		64
#define NR_VCPUS	2

#define FUNCTION	"vgic_v3_redist_uaccess"

/* Where the assertion is. */
#define ASSERTED_AT	" at vgic_uaccess+"

#define ATTR(_vcpu, _offset)	((u64)(_vcpu) << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT | (_offset))

FIXTURE(exclusive) {
	struct kvm_vm *vm;
	int gic, kmsg;
};

/* No vCPU is run. */
static void guest_code(void)
{
}

/* Why lockdep can't report anything, or NULL. */
static const char *lockdep_missing(void)
{
	char line[128];
	int on = -1;
	FILE *f;

	f = fopen("/proc/lockdep_stats", "re");
	if (!f)
		return "no lockdep (CONFIG_PROVE_LOCKING)";
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " debug_locks: %d", &on) == 1)
			break;
	}
	fclose(f);

	return on == 1 ? NULL : "lockdep has turned itself off after an earlier report";
}

static bool panics_on_warning(void)
{
	FILE *f = fopen("/proc/sys/kernel/panic_on_warn", "re");
	int on = 0;

	if (!f)
		return false;
	if (fscanf(f, "%d", &on) != 1)
		on = 0;
	fclose(f);
	return on;
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

	/* A place in the code warns once, let it do so again. */
	fault_knob_write("/sys/kernel/debug/clear_warn_once", "1");

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
	EXPECT_NO_SPLAT(self->kmsg);
	close(self->kmsg);
}

TEST_F(exclusive, redist_unlocked)
{
	const char *missing = kvm_lifecycle_missing("unlocked");
	bool warned = false;
	char line[512];
	int file, r;

	if (missing)
		SKIP(return, "%s", missing);
	if (panics_on_warning())
		SKIP(return, "panic_on_warn is set, and a warning is what is tested for");

	file = __kvm_lifecycle_open("unlocked");
	ASSERT_GE(file, 0)
		TH_LOG("open unlocked: %s", strerror(-file));

	r = __kvm_lifecycle_write(file, "%d 1 " FUNCTION " locked", self->vm->fd);
	ASSERT_EQ(0, r)
		TH_LOG(FUNCTION "() with vcpu->mutex: %s", strerror(-r));
	while (kmsg_find_splat(self->kmsg, line, sizeof(line))) {
		TH_LOG(FUNCTION "() with vcpu->mutex: wanted no report, got '%s'", line);
		_metadata->exit_code = KSFT_FAIL;
	}

	ASSERT_EQ(0, __kvm_lifecycle_write(file, "%d 1 " FUNCTION, self->vm->fd));
	while (kmsg_find_splat(self->kmsg, line, sizeof(line))) {
		if (strstr(line, "WARNING:") && strstr(line, ASSERTED_AT)) {
			warned = true;
			continue;
		}
		TH_LOG("kernel splat: %s", line);
		_metadata->exit_code = KSFT_FAIL;
	}
	EXPECT_TRUE(warned)
		TH_LOG(FUNCTION "() without vcpu->mutex: wanted a warning of lockdep, got none");

	close(file);
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

	for (pass = 0; pass < 2; pass++) {
		when = pass ? "after" : "before";
		for (i = 0; i < ARRAY_SIZE(regs); i++) {
			r = __kvm_device_attr_get(self->gic, regs[i].group, regs[i].attr, &val[i]);
			EXPECT_EQ(pass || i < 2 ? 0 : EBUSY, r ? errno : 0)
				TH_LOG("read of register %d %s init", i, when);
			r = __kvm_device_attr_set(self->gic, regs[i].group, regs[i].attr, &val[i]);
			EXPECT_EQ(pass || i < 2 ? 0 : EBUSY, r ? errno : 0)
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
