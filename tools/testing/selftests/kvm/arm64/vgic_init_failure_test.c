// SPDX-License-Identifier: GPL-2.0-only
/*
 * The initialization of a vGICv3 that fails for want of memory leaves nothing behind: the
 * number of interrupts may still be set, vCPUs may be created, and the next attempt is for
 * all of them.  With an ITS, and a GICv4, each vCPU has a vPE then, and the host has an
 * interrupt for it, its doorbell.
 */
#include <dirent.h>

#include "kselftest_harness.h"
#include "kvm_lifecycle_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"
#include "vgic.h"

#include "gic.h"

#define NR_VCPUS	2
/* Another number of interrupts than a vGIC has by default. */
#define NR_IRQS		128
/* The fewest, each of which is an allocation more. */
#define MIN_NR_IRQS	64
#define MAX_ALLOCS	10000
/* How often an initialization fails in a row, at the allocation before the last one. */
#define STEPS		4
/* With a GICv4, an initialization allocates all that a host's interrupt has, twice. */
#define SUBTEST_TIMEOUT_S	240

static void guest_code(void)
{
	GUEST_DONE();
}

FIXTURE(failure)
{
	int kmsg;
	struct fault_injection fi;
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[NR_VCPUS];
	int gic_fd;
	int its_fd;
};

FIXTURE_VARIANT(failure)
{
	bool its;
};

FIXTURE_VARIANT_ADD(failure, gicv3)
{
	.its = false,
};

FIXTURE_VARIANT_ADD(failure, its)
{
	.its = true,
};

FIXTURE_SETUP(failure)
{
	const char *missing;

	self->kmsg = kmsg_open();
	missing = kvm_supports_vgic_v3() ? fault_injection_begin(&self->fi) : "KVM has no GICv3";
	if (missing) {
		kmsg_close(_metadata, self->kmsg);
		SKIP(return, "%s", missing);
	}
}

FIXTURE_TEARDOWN(failure)
{
	fault_injection_end(&self->fi);
	kmsg_close(_metadata, self->kmsg);
}

/* A vGIC that could be initialized.  If @nr_irqs is 0, it has as many as by default. */
static void create_vm(FIXTURE_DATA(failure) * self, bool its, int nr_vcpus, u32 nr_irqs)
{
	int i;

	self->vm = vm_create(NR_VCPUS);
	self->gic_fd = kvm_create_device(self->vm, KVM_DEV_TYPE_ARM_VGIC_V3);
	vgic_set_addr(self->gic_fd, KVM_VGIC_V3_ADDR_TYPE_DIST, GICD_BASE_GPA);
	TEST_ASSERT_EQ(vgic_set_region(self->gic_fd, GICR_BASE_GPA, NR_VCPUS, 0), 0);
	if (nr_irqs)
		kvm_device_attr_set(self->gic_fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nr_irqs);
	self->its_fd = its ? vgic_its_setup(self->vm) : -1;
	for (i = 0; i < nr_vcpus; i++)
		self->vcpus[i] = vm_vcpu_add(self->vm, i, guest_code);
}

static void free_vm(FIXTURE_DATA(failure) * self)
{
	if (self->its_fd >= 0)
		close(self->its_fd);
	close(self->gic_fd);
	kvm_vm_free(self->vm);
}

/* Does the initialization fail, as its @nth allocation does?  It may have less. */
static bool fail_init(struct __test_metadata *_metadata, FIXTURE_DATA(failure) * self, int nth)
{
	bool injected;
	int r;

	ASSERT_EQ(0, fault_arm(&self->fi, nth));
	r = vgic_ctrl_init(self->gic_fd);
	injected = fault_disarm(&self->fi);
	if (!r)
		return false;

	EXPECT_TRUE(injected);
	EXPECT_EQ(-ENOMEM, r)
		TH_LOG("allocation %d fails: want %s, got %s", nth, ret_name(-ENOMEM),
		       ret_name(r));
	return true;
}

/* How many allocations there are. */
static int count_allocs(struct __test_metadata *_metadata, FIXTURE_DATA(failure) * self, bool its,
			int nr_vcpus, u32 nr_irqs)
{
	int left;

	create_vm(self, its, nr_vcpus, nr_irqs);
	ASSERT_EQ(0, fault_arm(&self->fi, MAX_ALLOCS));
	EXPECT_EQ(0, vgic_ctrl_init(self->gic_fd));
	left = fault_left(&self->fi);
	ASSERT_FALSE(fault_disarm(&self->fi))
		TH_LOG("initialization: want less than %d allocations", MAX_ALLOCS);
	free_vm(self);
	return MAX_ALLOCS - left;
}

/* An interrupt that /proc does not show, for want of memory, cannot be taken away there. */
static void expect_no_splat_but_of_proc(struct __test_metadata *_metadata, int kmsg)
{
	char line[512];

	while (kmsg_find_splat(kmsg, line, sizeof(line)))
		EXPECT_NE(NULL, strstr(line, " remove_proc_entry+"))
			TH_LOG("kernel splat: %s", line);
}

/*
 * The initialization fails as early as it can, for want of the SPIs, and as late: the
 * last allocations are of what it can do without.  @then follows.
 */
static void fail_early_and_late(struct __test_metadata *_metadata, FIXTURE_DATA(failure) * self,
				bool its, void (*then)(struct __test_metadata *_metadata,
						       FIXTURE_DATA(failure) * self, int nth))
{
	int nth = count_allocs(_metadata, self, its, 1, 0);
	bool failed;

	for (failed = false; !failed && nth > 1; nth--) {
		create_vm(self, its, 1, 0);
		failed = fail_init(_metadata, self, nth);
		if (failed)
			then(_metadata, self, nth);
		free_vm(self);
	}
	EXPECT_TRUE(failed);
	expect_no_splat_but_of_proc(_metadata, self->kmsg);

	create_vm(self, its, 1, 0);
	EXPECT_TRUE(fail_init(_metadata, self, 1));
	then(_metadata, self, 1);
	free_vm(self);
	EXPECT_NO_SPLAT(self->kmsg);
}

static void set_nr_irqs(struct __test_metadata *_metadata, FIXTURE_DATA(failure) * self, int nth)
{
	u32 nr_irqs = NR_IRQS;
	int r;

	r = __kvm_device_attr_set(self->gic_fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nr_irqs) ?
	    -errno : 0;
	EXPECT_EQ(0, r)
		TH_LOG("allocation %d failed, then KVM_DEV_ARM_VGIC_GRP_NR_IRQS: want 0, got %s",
		       nth, ret_name(r));
	EXPECT_EQ(0, vgic_ctrl_init(self->gic_fd));
}

static void add_vcpu(struct __test_metadata *_metadata, FIXTURE_DATA(failure) * self, int nth)
{
	int i;

	self->vcpus[1] = vm_vcpu_add(self->vm, 1, guest_code);
	ASSERT_EQ(0, vgic_ctrl_init(self->gic_fd));
	for (i = 0; i < NR_VCPUS; i++) {
		vcpu_run(self->vcpus[i]);
		EXPECT_EQ(UCALL_DONE, get_ucall(self->vcpus[i], NULL));
	}
}

static int host_irqs(void)
{
	DIR *dir = opendir("/sys/kernel/irq");
	int nr = 0;

	TEST_ASSERT(dir, "/sys/kernel/irq: %s", strerror(errno));
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

TEST_F_TIMEOUT(failure, nr_irqs, SUBTEST_TIMEOUT_S)
{
	fail_early_and_late(_metadata, self, variant->its, set_nr_irqs);
}

TEST_F_TIMEOUT(failure, another_vcpu, SUBTEST_TIMEOUT_S)
{
	fail_early_and_late(_metadata, self, variant->its, add_vcpu);
}

/* Each attempt fails a step before the last one did, and finds what that has left. */
TEST_F_TIMEOUT(failure, step_by_step, SUBTEST_TIMEOUT_S)
{
	int nth, step, before = host_irqs();

	for (nth = count_allocs(_metadata, self, variant->its, NR_VCPUS, MIN_NR_IRQS); nth; nth--) {
		create_vm(self, variant->its, NR_VCPUS, MIN_NR_IRQS);
		for (step = 0; step < STEPS && step < nth; step++) {
			/* It can do without this allocation. */
			if (!fail_init(_metadata, self, nth - step))
				break;
		}
		if (step == STEPS || step == nth)
			EXPECT_EQ(0, vgic_ctrl_init(self->gic_fd));
		free_vm(self);
	}
	expect_no_splat_but_of_proc(_metadata, self->kmsg);
	EXPECT_EQ(before, host_irqs())
		TH_LOG("interrupts of the host: want %d as before, got %d", before, host_irqs());
}

int main(int argc, char **argv)
{
	test_disable_default_vgic();

	return test_harness_run(argc, argv);
}
