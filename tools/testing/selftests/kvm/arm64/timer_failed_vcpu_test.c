// SPDX-License-Identifier: GPL-2.0-only
/*
 * The virtual counter of a VM is one for all vCPUs, and goes on when another vCPU is
 * created, or its creation fails: from the creation of the VM, from the value that was
 * restored, or from the offset that userspace has chosen.
 */
#include <unistd.h>

#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "kvm_lifecycle_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"
#include "arch_timer.h"

/* The counter goes by this much at least, it takes far less to read it. */
#define AGE_MS		1000

FIXTURE(counter)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	u64 before;
};

/* A value that no counter of a new VM has, and the one that is restored. */
#define RESTORED	1000000000000ull

static void guest_code(void)
{
	for (;;)
		GUEST_SYNC(timer_get_cntct(VIRTUAL));
}

static u64 read_counter(struct kvm_vcpu *vcpu)
{
	return vcpu_get_reg(vcpu, KVM_REG_ARM_TIMER_CNT);
}

FIXTURE_SETUP(counter)
{
	u64 start = timer_get_cntct(VIRTUAL);

	self->vm = vm_create(1);
	self->vcpu = vm_vcpu_add(self->vm, 0, guest_code);
	usleep(AGE_MS * 1000);
	self->before = read_counter(self->vcpu);
	ASSERT_LT(self->before, RESTORED);

	/* It starts with the VM, and isn't the host's. */
	ASSERT_LE(self->before, timer_get_cntct(VIRTUAL) - start);

	/* Not even a loaded machine reads it twice in so long a time. */
	ASSERT_GE(self->before, msec_to_cycles(AGE_MS) / 2)
		TH_LOG("virtual counter of a VM that is %u ms old: got %llu only", AGE_MS,
		       (unsigned long long)self->before);
}

FIXTURE_TEARDOWN(counter)
{
	kvm_vm_free(self->vm);
}

static void expect_counter_went_on(struct __test_metadata *_metadata, struct kvm_vcpu *vcpu,
				   u64 before, const char *when)
{
	u64 now = read_counter(vcpu);

	EXPECT_GE(now, before)
		TH_LOG("virtual counter after %s: want %llu at least, got %llu", when,
		       (unsigned long long)before, (unsigned long long)now);
}

TEST_F(counter, no_file_descriptor)
{
	ASSERT_EQ(-EMFILE, __vcpu_fd_create_at_limit(self->vm, 1));
	expect_counter_went_on(_metadata, self->vcpu, self->before, "a failed KVM_CREATE_VCPU");
}

TEST_F(counter, duplicate_id)
{
	ASSERT_EQ(-EEXIST, __vcpu_fd_create(self->vm, 0));
	expect_counter_went_on(_metadata, self->vcpu, self->before,
			       "a KVM_CREATE_VCPU with an ID that is taken");
}

/* The physical counter's offset is one for all vCPUs as well. */
TEST_F(counter, physical)
{
	u64 now;

	if (__vcpu_set_reg(self->vcpu, KVM_REG_ARM_PTIMER_CNT, RESTORED))
		SKIP(return, "no KVM_REG_ARM_PTIMER_CNT");

	vm_vcpu_add(self->vm, 1, guest_code);
	now = vcpu_get_reg(self->vcpu, KVM_REG_ARM_PTIMER_CNT);
	EXPECT_GE(now, RESTORED)
		TH_LOG("physical counter after %s and %s: want %llu at least, got %llu",
		       "KVM_REG_ARM_PTIMER_CNT", "KVM_CREATE_VCPU", RESTORED,
		       (unsigned long long)now);
}

/* The counter of both vCPUs is the one that there was. */
TEST_F(counter, created)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(self->vm, 1, guest_code);

	expect_counter_went_on(_metadata, self->vcpu, self->before, "KVM_CREATE_VCPU");
	expect_counter_went_on(_metadata, vcpu, self->before, "KVM_CREATE_VCPU, of the new vCPU");
}

TEST_F(counter, restored)
{
	vcpu_set_reg(self->vcpu, KVM_REG_ARM_TIMER_CNT, RESTORED);
	vm_vcpu_add(self->vm, 1, guest_code);
	expect_counter_went_on(_metadata, self->vcpu, RESTORED,
			       "KVM_REG_ARM_TIMER_CNT and KVM_CREATE_VCPU");
}

static u64 run_and_read_counter(struct __test_metadata *_metadata, struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	vcpu_run(vcpu);
	EXPECT_EQ(UCALL_SYNC, get_ucall(vcpu, &uc));
	return uc.args[1];
}

TEST_F(counter, seen_by_guest)
{
	u64 before, now;

	if (kvm_is_protected())
		SKIP(return, "in protected mode no vCPU can be created after the first KVM_RUN");

	before = run_and_read_counter(_metadata, self->vcpu);
	vm_vcpu_add(self->vm, 1, guest_code);
	now = run_and_read_counter(_metadata, self->vcpu);
	EXPECT_GE(now, before)
		TH_LOG("CNTVCT_EL0 after KVM_CREATE_VCPU: want %llu at least, got %llu",
		       (unsigned long long)before, (unsigned long long)now);
}

/* Userspace has chosen an offset, which no vCPU changes. */
TEST_F(counter, chosen_offset)
{
	struct kvm_arm_counter_offset offset = {};
	u64 before;
	int fd;

	if (__vm_ioctl(self->vm, KVM_ARM_SET_COUNTER_OFFSET, &offset))
		SKIP(return, "no KVM_ARM_SET_COUNTER_OFFSET");

	before = read_counter(self->vcpu);
	fd = __vcpu_fd_create(self->vm, 1);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(-EMFILE, __vcpu_fd_create_at_limit(self->vm, 2));
	expect_counter_went_on(_metadata, self->vcpu, before, "KVM_CREATE_VCPU, chosen offset");
	close(fd);
}

int main(int argc, char **argv)
{
	test_disable_default_vgic();

	return test_harness_run(argc, argv);
}
