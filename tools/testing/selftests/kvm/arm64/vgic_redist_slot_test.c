// SPDX-License-Identifier: GPL-2.0-only
/*
 * The leftovers of a failed attempt in the vGICv3.
 *
 * A vCPU gets its redistributor, i.e. a slot in one of the regions that
 * userspace provides, while it is being created.  If the creation fails, the
 * VM must be as it was before: the next vCPU gets the slot, no matter how the
 * creation failed and how often, the VM can be initialized and run, and the
 * guest finds the redistributors in the order in which the vCPUs were created,
 * with GICR_TYPER.Last set in the last one.
 *
 * The same goes for the address of an ITS that couldn't be set, and for a vGIC
 * that couldn't be created.
 */
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
#include "gic_v3.h"

#define MAX_VCPUS	4
#define NR_IRQS		64

/* The second region, of which each test chooses whether it follows the first. */
#define REGION0_GPA	GICR_BASE_GPA
#define FAR_GPA		(GICR_BASE_GPA + 16 * KVM_VGIC_V3_REDIST_SIZE)

/* KVM_CREATE_VCPU is tried this often, for lack of a file descriptor. */
#define NR_FAILURES	3

/* No vCPU creation makes as many allocations. */
#define MAX_ALLOCS	500

#define NO_REDIST	(~0ull)

struct vm_gic {
	struct kvm_vm *vm;
	int fd;
	int nr_vcpus;
	struct kvm_vcpu *vcpus[MAX_VCPUS];
};

/* Report GICR_TYPER of the redistributor at @gpa, which is mapped one to one. */
static void guest_code(u64 gpa)
{
	GUEST_SYNC(readq((void *)(gpa + GICR_TYPER)));
	GUEST_DONE();
}

static void vm_gic_create(struct vm_gic *gic)
{
	*gic = (struct vm_gic) {};
	gic->vm = vm_create_with_vgic(MAX_VCPUS, NR_IRQS, &gic->fd);
	virt_map(gic->vm, REGION0_GPA, REGION0_GPA,
		 vm_calc_num_guest_pages(gic->vm->mode, 32 * KVM_VGIC_V3_REDIST_SIZE));
}

static void vm_gic_destroy(struct vm_gic *gic)
{
	close(gic->fd);
	kvm_vm_free(gic->vm);
}

static void set_region(struct vm_gic *gic, u64 gpa, int count, int index)
{
	TEST_ASSERT_EQ(vgic_set_region(gic->fd, gpa, count, index), 0);
}

/* One region for all vCPUs, the count of which is that of the vCPUs. */
static void set_single_region(struct vm_gic *gic, u64 gpa)
{
	kvm_device_attr_set(gic->fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST,
			    &gpa);
}

static void create_vcpu(struct vm_gic *gic)
{
	int id = gic->nr_vcpus++;

	gic->vcpus[id] = vm_vcpu_add(gic->vm, id, guest_code);
}

/* The next vCPU can't be created. */
static void fail_vcpu(struct __test_metadata *_metadata, struct vm_gic *gic)
{
	int r = __vcpu_fd_create_at_limit(gic->vm, gic->nr_vcpus);

	ASSERT_EQ(-EMFILE, r)
		TH_LOG("KVM_CREATE_VCPU without a free file descriptor: want %s, got %s",
		       ret_name(-EMFILE), ret_name(r));
}

static void expect_region(struct __test_metadata *_metadata, struct vm_gic *gic, u64 gpa,
			  int count, int index)
{
	u64 want = REDIST_REGION_ATTR_ADDR(count, gpa, 0, index), attr = index;

	kvm_device_attr_get(gic->fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
			    KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, &attr);
	EXPECT_EQ(want, attr)
		TH_LOG("region %d: want 0x%llx, got 0x%llx", index,
		       (unsigned long long)want, (unsigned long long)attr);
}

static void vgic_init(struct __test_metadata *_metadata, struct vm_gic *gic)
{
	int r = vgic_ctrl_init(gic->fd);

	ASSERT_EQ(0, r)
		TH_LOG("KVM_DEV_ARM_VGIC_CTRL_INIT: want 0, got %s", ret_name(r));
}

/* vCPU@id looks at the redistributor at @gpa, and expects that of vCPU@owner. */
static void expect_redist(struct __test_metadata *_metadata, struct vm_gic *gic, int id,
			  u64 gpa, int owner, bool last)
{
	struct kvm_vcpu *vcpu = gic->vcpus[id];
	struct ucall uc;
	u64 typer = NO_REDIST;
	int r;

	vcpu_args_set(vcpu, 1, gpa);
	r = _vcpu_run(vcpu) ? -errno : 0;
	ASSERT_EQ(0, r)
		TH_LOG("KVM_RUN of vCPU%d: want 0, got %s", id, ret_name(r));

	/* An access that nobody answers to goes to userspace. */
	if (get_ucall(vcpu, &uc) == UCALL_SYNC)
		typer = uc.args[1];
	else
		EXPECT_EQ(KVM_EXIT_MMIO, vcpu->run->exit_reason);

	ASSERT_NE(NO_REDIST, typer)
		TH_LOG("redistributor at 0x%llx: want that of vCPU%d, got none",
		       (unsigned long long)gpa, owner);
	EXPECT_EQ(owner, (typer >> 8) & 0xffff)
		TH_LOG("redistributor at 0x%llx: want that of vCPU%d, got that of vCPU%llu",
		       (unsigned long long)gpa, owner, (unsigned long long)(typer >> 8) & 0xffff);
	EXPECT_EQ(last, !!(typer & GICR_TYPER_LAST))
		TH_LOG("GICR_TYPER.Last of vCPU%d: want %d, got %d", owner, last, !last);

	ASSERT_EQ(0, _vcpu_run(vcpu));
	EXPECT_EQ(UCALL_DONE, get_ucall(vcpu, NULL));
}

FIXTURE(redist_slot)
{
	struct vm_gic gic;
};

FIXTURE_SETUP(redist_slot)
{
	vm_gic_create(&self->gic);
}

FIXTURE_TEARDOWN(redist_slot)
{
	vm_gic_destroy(&self->gic);
}

/* Without any failure, for comparison with the others. */
TEST_F(redist_slot, no_failure)
{
	struct vm_gic *gic = &self->gic;

	create_vcpu(gic);
	set_region(gic, REGION0_GPA, 2, 0);
	create_vcpu(gic);
	vgic_init(_metadata, gic);

	expect_redist(_metadata, gic, 0, REGION0_GPA, 0, false);
	expect_redist(_metadata, gic, 1, REGION0_GPA + KVM_VGIC_V3_REDIST_SIZE, 1, true);
}

/* The region has as many redistributors as the VM is to have vCPUs. */
TEST_F(redist_slot, counted_region)
{
	struct vm_gic *gic = &self->gic;
	int i;

	set_region(gic, REGION0_GPA, 2, 0);
	create_vcpu(gic);
	for (i = 0; i < NR_FAILURES; i++)
		fail_vcpu(_metadata, gic);
	create_vcpu(gic);

	expect_region(_metadata, gic, REGION0_GPA, 2, 0);
	vgic_init(_metadata, gic);

	expect_redist(_metadata, gic, 0, REGION0_GPA, 0, false);
	expect_redist(_metadata, gic, 1, REGION0_GPA + KVM_VGIC_V3_REDIST_SIZE, 1, true);
	expect_region(_metadata, gic, REGION0_GPA, 2, 0);
}

/* More than enough redistributors, but they have to be contiguous. */
TEST_F(redist_slot, single_region)
{
	struct vm_gic *gic = &self->gic;
	u64 addr;

	set_single_region(gic, REGION0_GPA);
	create_vcpu(gic);
	fail_vcpu(_metadata, gic);
	create_vcpu(gic);
	vgic_init(_metadata, gic);

	expect_redist(_metadata, gic, 0, REGION0_GPA, 0, false);
	expect_redist(_metadata, gic, 1, REGION0_GPA + KVM_VGIC_V3_REDIST_SIZE, 1, true);

	kvm_device_attr_get(gic->fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST,
			    &addr);
	EXPECT_EQ(REGION0_GPA, addr);
}

/* The last vCPU of a region fails, and the first one of another. */
TEST_F(redist_slot, two_regions)
{
	struct vm_gic *gic = &self->gic;
	int i;

	set_region(gic, REGION0_GPA, 2, 0);
	set_region(gic, FAR_GPA, 2, 1);
	fail_vcpu(_metadata, gic);
	for (i = 0; i < MAX_VCPUS; i++) {
		create_vcpu(gic);
		if (i < MAX_VCPUS - 1)
			fail_vcpu(_metadata, gic);
	}
	vgic_init(_metadata, gic);

	/* Regions that aren't contiguous: each has a last redistributor. */
	expect_redist(_metadata, gic, 0, REGION0_GPA, 0, false);
	expect_redist(_metadata, gic, 1, REGION0_GPA + KVM_VGIC_V3_REDIST_SIZE, 1, true);
	expect_redist(_metadata, gic, 2, FAR_GPA, 2, false);
	expect_redist(_metadata, gic, 3, FAR_GPA + KVM_VGIC_V3_REDIST_SIZE, 3, true);
}

/* No vCPU is left for the second region, which the first one runs into. */
TEST_F(redist_slot, last_of_contiguous_regions)
{
	struct vm_gic *gic = &self->gic;

	set_region(gic, REGION0_GPA, 2, 0);
	set_region(gic, REGION0_GPA + 2 * KVM_VGIC_V3_REDIST_SIZE, 2, 1);
	create_vcpu(gic);
	create_vcpu(gic);
	fail_vcpu(_metadata, gic);
	vgic_init(_metadata, gic);

	expect_redist(_metadata, gic, 0, REGION0_GPA, 0, false);
	expect_redist(_metadata, gic, 1, REGION0_GPA + KVM_VGIC_V3_REDIST_SIZE, 1, true);
}

/* A vCPU that fails while there's no redistributor for it takes none away. */
TEST_F(redist_slot, full_region)
{
	struct vm_gic *gic = &self->gic;

	set_region(gic, REGION0_GPA, 1, 0);
	create_vcpu(gic);
	fail_vcpu(_metadata, gic);
	set_region(gic, FAR_GPA, 1, 1);
	create_vcpu(gic);
	vgic_init(_metadata, gic);

	expect_redist(_metadata, gic, 0, REGION0_GPA, 0, true);
	expect_redist(_metadata, gic, 1, FAR_GPA, 1, true);
}

/* An ID that is taken, which some kernels find out last. */
TEST_F(redist_slot, duplicate_id)
{
	struct vm_gic *gic = &self->gic;
	int r;

	set_region(gic, REGION0_GPA, 2, 0);
	create_vcpu(gic);
	r = __vcpu_fd_create(gic->vm, 0);
	ASSERT_EQ(-EEXIST, r)
		TH_LOG("KVM_CREATE_VCPU with an ID that is taken: want %s, got %s",
		       ret_name(-EEXIST), ret_name(r));
	create_vcpu(gic);
	vgic_init(_metadata, gic);

	expect_redist(_metadata, gic, 0, REGION0_GPA, 0, false);
	expect_redist(_metadata, gic, 1, REGION0_GPA + KVM_VGIC_V3_REDIST_SIZE, 1, true);
}

/*
 * Each allocation that creating a vCPU takes fails once.  KVM can do without
 * some of them, then there's one more vCPU.
 */
TEST_F(redist_slot, allocation_failures)
{
	struct vm_gic *gic = &self->gic;
	struct fault_injection fi;
	const char *missing;
	int i, r, nr_failed = 0;
	bool injected = true;

	missing = fault_injection_begin(&fi);
	if (missing)
		SKIP(return, "%s", missing);

	set_single_region(gic, REGION0_GPA);
	create_vcpu(gic);

	for (i = 1; injected && i < MAX_ALLOCS; i++) {
		ASSERT_EQ(0, fault_arm(&fi, i));
		r = __vcpu_fd_create(gic->vm, gic->nr_vcpus);
		injected = fault_disarm(&fi);
		if (r >= 0) {
			gic->nr_vcpus++;
			close(r);
			continue;
		}
		nr_failed++;
		EXPECT_EQ(-ENOMEM, r)
			TH_LOG("KVM_CREATE_VCPU, allocation %d fails: want %s, got %s", i,
			       ret_name(-ENOMEM), ret_name(r));
	}
	fault_injection_end(&fi);

	ASSERT_FALSE(injected)
		TH_LOG("KVM_CREATE_VCPU: want less than %d allocations", MAX_ALLOCS);
	/* At least the vCPU, its private IRQs, and a larger MMIO bus. */
	EXPECT_GE(nr_failed, 3)
		TH_LOG("KVM_CREATE_VCPU: want at least 3 failed attempts, got %d", nr_failed);
	vgic_init(_metadata, gic);

	expect_redist(_metadata, gic, 0,
		      REGION0_GPA + (gic->nr_vcpus - 1) * KVM_VGIC_V3_REDIST_SIZE,
		      gic->nr_vcpus - 1, true);
}

/*
 * A region can't be set at first.  That has nothing to do with the redistributors
 * of other regions, and those that it has room for are there the next time.
 */
static bool fail_region(struct __test_metadata *_metadata, struct fault_injection *fi, int nth)
{
	u64 index = 1;
	struct vm_gic gic;
	bool injected;
	int i, r;

	vm_gic_create(&gic);
	set_region(&gic, REGION0_GPA, 1, 0);
	for (i = 0; i < 3; i++)
		create_vcpu(&gic);

	ASSERT_EQ(0, fault_arm(fi, nth));
	r = vgic_set_region(gic.fd, FAR_GPA, 2, 1);
	injected = fault_disarm(fi);

	/* KVM can do without some allocations. */
	if (r) {
		EXPECT_EQ(-ENOMEM, r)
			TH_LOG("region 1, allocation %d fails: want %s, got %s", nth,
			       ret_name(-ENOMEM), ret_name(r));
		r = __kvm_device_attr_get(gic.fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
					  KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
					  &index) ? -errno : 0;
		EXPECT_EQ(-ENOENT, r)
			TH_LOG("region 1 after a failure: want %s, got %s", ret_name(-ENOENT),
			       ret_name(r));
		set_region(&gic, FAR_GPA, 2, 1);
	}

	expect_region(_metadata, &gic, REGION0_GPA, 1, 0);
	expect_region(_metadata, &gic, FAR_GPA, 2, 1);
	vgic_init(_metadata, &gic);
	expect_redist(_metadata, &gic, 0, REGION0_GPA, 0, true);
	expect_redist(_metadata, &gic, 1, FAR_GPA, 1, false);
	expect_redist(_metadata, &gic, 2, FAR_GPA + KVM_VGIC_V3_REDIST_SIZE, 2, true);

	vm_gic_destroy(&gic);
	return injected;
}

TEST(failed_region)
{
	struct fault_injection fi;
	const char *missing;
	int i = 1;

	missing = fault_injection_begin(&fi);
	if (missing)
		SKIP(return, "%s", missing);

	while (fail_region(_metadata, &fi, i) && !_metadata->exit_code && i < MAX_ALLOCS)
		i++;
	fault_injection_end(&fi);

	/* The region, and a larger MMIO bus for each of two vCPUs. */
	EXPECT_GT(i, 3)
		TH_LOG("region 1: want 3 allocations, got %d", i - 1);
}

/* The address can't be set at first, so it is not set. */
TEST_F(redist_slot, its_address)
{
	u64 addr = GITS_BASE_GPA, got;
	struct vm_gic *gic = &self->gic;
	struct fault_injection fi;
	const char *missing;
	bool injected;
	int r, its_fd;

	missing = fault_injection_begin(&fi);
	if (missing)
		SKIP(return, "%s", missing);

	its_fd = kvm_create_device(gic->vm, KVM_DEV_TYPE_ARM_VGIC_ITS);

	ASSERT_EQ(0, fault_arm(&fi, 1));
	r = __kvm_device_attr_set(its_fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE,
				  &addr) ? -errno : 0;
	injected = fault_disarm(&fi);
	fault_injection_end(&fi);
	ASSERT_TRUE(injected)
		TH_LOG("ITS address: want an allocation, got none");
	EXPECT_EQ(-ENOMEM, r)
		TH_LOG("ITS address, 1st attempt: want %s, got %s", ret_name(-ENOMEM), ret_name(r));

	kvm_device_attr_get(its_fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, &got);
	EXPECT_EQ(~0ull, got)
		TH_LOG("ITS address after a failure: want none, got 0x%llx",
		       (unsigned long long)got);

	r = __kvm_device_attr_set(its_fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE,
				  &addr) ? -errno : 0;
	EXPECT_EQ(0, r)
		TH_LOG("ITS address, 2nd attempt: want 0, got %s", ret_name(r));

	r = __kvm_device_attr_set(its_fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE,
				  &addr) ? -errno : 0;
	EXPECT_EQ(-EEXIST, r)
		TH_LOG("ITS address, once more: want %s, got %s", ret_name(-EEXIST), ret_name(r));
	close(its_fd);
}

/* There's no file descriptor for the vGIC, so there's no vGIC. */
TEST(vgic_at_limit)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct rlimit old = exhaust_fds(vm);
	int r;

	r = __kvm_create_device(vm, KVM_DEV_TYPE_ARM_VGIC_V3) < 0 ? -errno : 0;
	restore_fds(&old);
	ASSERT_EQ(-EMFILE, r)
		TH_LOG("KVM_CREATE_DEVICE without a free file descriptor: want %s, got %s",
		       ret_name(-EMFILE), ret_name(r));

	r = __kvm_create_device(vm, KVM_DEV_TYPE_ARM_VGIC_V3);
	EXPECT_GE(r, 0)
		TH_LOG("KVM_CREATE_DEVICE, 2nd attempt: want a vGIC, got %s", ret_name(-errno));
	if (r >= 0)
		close(r);
	kvm_vm_free(vm);
}

int main(int argc, char **argv)
{
	test_disable_default_vgic();
	TEST_REQUIRE(kvm_supports_vgic_v3());

	return test_harness_run(argc, argv);
}
