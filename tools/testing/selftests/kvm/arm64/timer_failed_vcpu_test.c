// SPDX-License-Identifier: GPL-2.0-only
/*
 * By default, the virtual counter of a VM starts over with each vCPU that is
 * created.  It doesn't with one that isn't: the VM has nothing to do with an
 * attempt that fails.
 */
#include <unistd.h>

#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "kvm_lifecycle_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "arch_timer.h"

/* The counter goes by this much at least, it takes far less to read it. */
#define AGE_MS		1000

FIXTURE(counter)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	u64 before;
};

/* The vCPU isn't run. */
static void guest_code(void)
{
}

static u64 read_counter(struct kvm_vcpu *vcpu)
{
	return vcpu_get_reg(vcpu, KVM_REG_ARM_TIMER_CNT);
}

FIXTURE_SETUP(counter)
{
	self->vm = vm_create(1);
	self->vcpu = vm_vcpu_add(self->vm, 0, guest_code);
	usleep(AGE_MS * 1000);
	self->before = read_counter(self->vcpu);

	/* Not even a loaded machine reads it twice in so long a time. */
	ASSERT_GE(self->before, msec_to_cycles(AGE_MS))
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

/* What is tested for can be told from what a vCPU that is created does. */
TEST_F(counter, created)
{
	int fd = __vcpu_fd_create(self->vm, 1);
	u64 now = read_counter(self->vcpu);

	ASSERT_GE(fd, 0);
	EXPECT_LT(now, self->before)
		TH_LOG("virtual counter after KVM_CREATE_VCPU: want less than %llu, got %llu",
		       (unsigned long long)self->before, (unsigned long long)now);
	close(fd);
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
