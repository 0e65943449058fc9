// SPDX-License-Identifier: GPL-2.0-only
/*
 * The vCPUs of a VM of a host in protected mode.
 *
 * The first KVM_RUN has the hypervisor make room for the vCPUs that there are.  A vCPU
 * that is created after it could never run, so that its creation has to fail, and the
 * others go on.
 */
#include "kselftest_harness.h"
#include "kvm_lifecycle_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"

static void guest_code(void)
{
	for (;;)
		GUEST_SYNC(0);
}

FIXTURE(pkvm)
{
	int kmsg;
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[2];
};

FIXTURE_SETUP(pkvm)
{
	if (!kvm_is_protected())
		SKIP(return, "KVM is not in protected mode");

	self->kmsg = kmsg_open();
	self->vm = vm_create(2);
	self->vcpus[0] = vm_vcpu_add(self->vm, 0, guest_code);
}

FIXTURE_TEARDOWN(pkvm)
{
	kvm_vm_free(self->vm);
	kmsg_close(_metadata, self->kmsg);
}

static void expect_run(struct __test_metadata *_metadata, struct kvm_vcpu *vcpu, const char *what)
{
	int r = _vcpu_run(vcpu) ? -errno : 0;

	ASSERT_EQ(0, r)
		TH_LOG("KVM_RUN of %s: want 0, got %s", what, ret_name(r));
	EXPECT_EQ(UCALL_SYNC, get_ucall(vcpu, NULL));
}

TEST_F(pkvm, before_first_run)
{
	self->vcpus[1] = vm_vcpu_add(self->vm, 1, guest_code);
	expect_run(_metadata, self->vcpus[0], "the first vCPU");
	expect_run(_metadata, self->vcpus[1], "the second vCPU");
}

/* A vCPU that exists can run. */
TEST_F(pkvm, after_first_run)
{
	int fd;

	expect_run(_metadata, self->vcpus[0], "the first vCPU");
	fd = __vcpu_fd_create(self->vm, 1);
	EXPECT_EQ(-EBUSY, fd)
		TH_LOG("KVM_CREATE_VCPU after KVM_RUN: want %s, got %s", ret_name(-EBUSY),
		       ret_name(fd));
	if (fd >= 0)
		close(fd);
	expect_run(_metadata, self->vcpus[0], "the first vCPU, again");
}

int main(int argc, char **argv)
{
	test_disable_default_vgic();

	return test_harness_run(argc, argv);
}
