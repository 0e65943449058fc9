// SPDX-License-Identifier: GPL-2.0-only
/*
 * What VMX makes for guests in real mode can be made again after it couldn't be written.
 *
 * Without unrestricted guests, KVM_SET_TSS_ADDR and KVM_CREATE_VCPU map memory in the
 * caller, make a memslot of it, and write to it.  The write needs pages, and fails if there
 * are none.  The same call succeeds as soon as there is memory.
 */
#include <string.h>

#include <sys/ioctl.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#include "processor.h"
#include "kvm_lifecycle_harness.h"

/* Emulated hosts with all of the kernel's debugging need most of it. */
#define SUBTEST_TIMEOUT_S	240

/* Far more allocations than either ioctl takes. */
#define MAX_NTH			2000

/* As QEMU has it, below the BIOS. */
#define TSS_ADDR		0xfffbd000ul

FIXTURE(rmode) {
	int kmsg;
};

FIXTURE_VARIANT(rmode) {
	/* Returns 0 or -errno. */
	int (*set_up)(struct kvm_vm *vm);
};

static int set_tss_addr(struct kvm_vm *vm)
{
	return __vm_ioctl(vm, KVM_SET_TSS_ADDR, (void *)TSS_ADDR) ? -errno : 0;
}

static int create_vcpu(struct kvm_vm *vm)
{
	int fd = __vcpu_fd_create(vm, 0);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

FIXTURE_VARIANT_ADD(rmode, tss) {
	.set_up = set_tss_addr,
};

FIXTURE_VARIANT_ADD(rmode, identity_map) {
	.set_up = create_vcpu,
};

FIXTURE_SETUP(rmode)
{
	if (!host_cpu_is_intel || kvm_is_unrestricted_guest_enabled())
		SKIP(return, "guests in real mode have no memory of KVM: they are unrestricted");
	self->kmsg = kmsg_open();
}

FIXTURE_TEARDOWN(rmode)
{
	kmsg_close(_metadata, self->kmsg);
}

/* Each allocation of the ioctl fails, alone, or with each one after it. */
static void fail_allocations(struct __test_metadata *_metadata,
			     int (*set_up)(struct kvm_vm *vm), bool onwards)
{
	struct fault_injection fi;
	const char *missing;
	bool failed = true;
	char how[64];
	int nth, r, again;

	missing = fault_injection_begin_onwards(&fi);
	if (missing)
		SKIP(return, "%s", missing);

	for (nth = 1; nth < MAX_NTH && failed; nth++) {
		struct kvm_vm *vm = vm_create_raw(false);

		r = onwards ? fault_arm_onwards(&fi, nth) : fault_arm(&fi, nth);
		ASSERT_EQ(0, r);
		r = set_up(vm);
		failed = fault_disarm_onwards(&fi);

		snprintf(how, sizeof(how), "allocation %d%s failed, %s", nth,
			 onwards ? " and each later one" : "", ret_name(r));
		again = r ? set_up(vm) : 0;
		EXPECT_EQ(0, again)
			TH_LOG("%s, then the same again: want success, got %s", how,
			       ret_name(again));
		kvm_vm_free(vm);
	}
	fault_injection_end(&fi);
	ASSERT_LT(nth, MAX_NTH);
}

TEST_F_TIMEOUT(rmode, allocation_failures, SUBTEST_TIMEOUT_S)
{
	fail_allocations(_metadata, variant->set_up, false);
}

TEST_F_TIMEOUT(rmode, out_of_memory, SUBTEST_TIMEOUT_S)
{
	fail_allocations(_metadata, variant->set_up, true);
}

TEST_HARNESS_MAIN
