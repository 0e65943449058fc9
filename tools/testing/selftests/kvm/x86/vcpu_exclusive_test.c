// SPDX-License-Identifier: GPL-2.0-only
/*
 * Much of a vCPU's state is protected by vcpu->mutex alone:
 *
 *  - a function that uses such state of a vCPU without holding the mutex is
 *    reported by the kernel, and one that holds it isn't;
 *  - a vCPU whose creation has failed is torn down without the mutex, and that
 *    isn't reported: nobody else can reach it;
 *  - a vCPU's Hyper-V context, which other vCPUs look at without the mutex, is
 *    theirs to find only once it is initialized.
 *
 * kvm_lifecycle makes the calls that KVM itself doesn't make, and holds a task
 * in the middle of the initialization, which otherwise takes a microsecond.
 */
#include <stdio.h>
#include <string.h>

#include <sys/ioctl.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#include "processor.h"
#include "hyperv.h"
#include "kvm_lifecycle_harness.h"

/* Emulated hosts with all of the kernel's debugging need most of it. */
#define SUBTEST_TIMEOUT_S	60

/* Anything that is waited for happens far sooner, or never. */
#define WAIT_S			20

/* They only read, and rely on vcpu->mutex for that. */
#define HV_FUNCTION		"kvm_hv_assist_page_enabled"
#define NESTED_FUNCTION		"nested_svm_get_tdp_cr3"

/* With vCPUs before it or without: the next index is 0, or another one. */
#define NR_CREATIONS		3

/*
 * A Hyper-V context has so many timers, and each is set up by one call.  A
 * hypercall takes much less than one pause.
 */
#define PAUSED_FUNCTION		"hrtimer_setup"
#define PAUSED_FUNCTION_6_12	"hrtimer_init"
#define NR_STIMERS		4

/* HvFlushVirtualAddressSpace, as the TLFS has it. */
#define HV_FLUSH_ALL_PROCESSORS			BIT(0)
#define HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES	BIT(1)

struct hv_tlb_flush {
	u64 address_space;
	u64 flags;
	u64 processor_mask;
} __packed;

struct exclusive_test {
	struct kvm_vm *vm;
	int kmsg;
	int file;	/* of kvm_lifecycle */
};

FIXTURE(exclusive) {
	struct exclusive_test t;
};

FIXTURE_SETUP(exclusive)
{
	struct exclusive_test *t = &self->t;
	const char *missing = lockdep_missing();

	t->vm = NULL;
	t->kmsg = -1;
	t->file = -1;

	if (missing)
		SKIP(return, "%s", missing);

	t->kmsg = kmsg_open();
	if (t->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-t->kmsg));

	rearm_warnings();
}

FIXTURE_TEARDOWN(exclusive)
{
	struct exclusive_test *t = &self->t;

	/* The paused thread goes on. */
	if (t->file >= 0)
		close(t->file);
	if (t->vm)
		kvm_vm_free(t->vm);
	kmsg_close(_metadata, t->kmsg);
}

/* A VM with a vCPU that has both a Hyper-V context and memory for an L2. */
static struct kvm_vcpu *create_vcpu(struct exclusive_test *t)
{
	struct kvm_vcpu *vcpu;
	struct kvm_sregs sregs;

	t->vm = vm_create_raw(true);

	vcpu = __vm_vcpu_add(t->vm, 0);
	if (kvm_has_cap(KVM_CAP_HYPERV_CPUID))
		vcpu_set_hv_cpuid(vcpu);
	else
		vcpu_init_cpuid(vcpu, kvm_get_supported_cpuid());

	if (kvm_cpu_has(X86_FEATURE_SVM)) {
		vcpu_sregs_get(vcpu, &sregs);
		sregs.efer |= EFER_SVME;
		vcpu_sregs_set(vcpu, &sregs);
	}
	return vcpu;
}

TEST_F_TIMEOUT(exclusive, hyperv_unlocked, SUBTEST_TIMEOUT_S)
{
	if (!kvm_has_cap(KVM_CAP_HYPERV_CPUID))
		SKIP(return, "KVM doesn't emulate Hyper-V");

	create_vcpu(&self->t);
	expect_mutex_asserted(_metadata, self->t.kmsg, self->t.vm, 0, HV_FUNCTION, HV_FUNCTION);
}

TEST_F_TIMEOUT(exclusive, nested_unlocked, SUBTEST_TIMEOUT_S)
{
	if (!kvm_cpu_has(X86_FEATURE_SVM))
		SKIP(return, "KVM doesn't support nested SVM");

	create_vcpu(&self->t);
	expect_mutex_asserted(_metadata, self->t.kmsg, self->t.vm, 0, NESTED_FUNCTION,
			      NESTED_FUNCTION);
}

/* Anything but a call of a listed function for a vCPU that exists does nothing. */
TEST_F_TIMEOUT(exclusive, unlocked_bad_commands, SUBTEST_TIMEOUT_S)
{
	static const char * const bad[] = {
		"", "0", "0 locked", HV_FUNCTION, HV_FUNCTION " 0", "0 " HV_FUNCTION " unlocked",
		"0 " HV_FUNCTION " locked 1", "0 " HV_FUNCTION "_", "0 " HV_FUNCTION "+1",
		"0 kvm:" HV_FUNCTION, "0 kvm_hv_vcpu_init",
		/* There is no vCPU but vCPU0. */
		"-1 " HV_FUNCTION, "1 " HV_FUNCTION, "0x " HV_FUNCTION, "2147483647 " HV_FUNCTION,
		"2147483648 " HV_FUNCTION, "4294967296 " HV_FUNCTION,
	};
	const char *missing = kvm_lifecycle_missing("unlocked");
	struct exclusive_test *t = &self->t;
	char text[64];
	struct kvm_vcpu *vcpu;
	int i;

	if (missing)
		SKIP(return, "%s", missing);

	t->file = kvm_lifecycle_open(_metadata, "unlocked");
	vcpu = create_vcpu(t);

	for (i = 0; i < (int)ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(EINVAL, -__kvm_lifecycle_write(t->file, "%d %s", t->vm->fd, bad[i]))
			TH_LOG("'VM %s'", bad[i]);
	}

	/* Neither a vCPU nor nothing at all is a VM. */
	EXPECT_EQ(EINVAL, -__kvm_lifecycle_write(t->file, "%d 0 " HV_FUNCTION, vcpu->fd));
	EXPECT_EQ(EBADF, -__kvm_lifecycle_write(t->file, "-1 0 " HV_FUNCTION));

	ASSERT_LT(0, kvm_lifecycle_read(t->file, text, sizeof(text)));
	EXPECT_STREQ("calls 0\n", text);
}

/* A vCPU that fails at the last step, or for an ID that is taken, dies unlocked. */
TEST_F_TIMEOUT(exclusive, failed_creation, SUBTEST_TIMEOUT_S)
{
	struct exclusive_test *t = &self->t;
	int i;

	create_vcpu(t);

	for (i = 1; i <= NR_CREATIONS; i++) {
		EXPECT_EQ(-EMFILE, __vcpu_fd_create_at_limit(t->vm, i));
		EXPECT_EQ(-EEXIST, __vcpu_fd_create(t->vm, i - 1));

		/* Neither keeps the next one from being created. */
		__vm_vcpu_add(t->vm, i);
	}
}

/* Userspace gives a vCPU Hyper-V's CPUID, which takes a Hyper-V context. */
static int make_first_access(void *vcpu, u64 unused)
{
	vcpu_set_hv_cpuid(vcpu);
	return 0;
}

static void flush_guest_code(gva_t input_gva, gpa_t input_gpa)
{
	struct hv_tlb_flush *flush = (void *)input_gva;

	wrmsr(HV_X64_MSR_GUEST_OS_ID, HYPERV_LINUX_OS_ID);
	memset(flush, 0, sizeof(*flush));
	flush->flags = HV_FLUSH_ALL_PROCESSORS | HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES;
	GUEST_SYNC(0);

	for (;;) {
		hyperv_hypercall(HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE, input_gpa, 0);
		GUEST_SYNC(1);
	}
}

static void run_to_sync(struct __test_metadata *_metadata, struct kvm_vcpu *vcpu, u64 stage)
{
	struct ucall uc;

	vcpu_run(vcpu);
	switch (get_ucall(vcpu, &uc)) {
	case UCALL_SYNC:
		ASSERT_EQ(stage, uc.args[1]);
		break;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
		break;
	default:
		TEST_FAIL("Unexpected exit: %s",
			  exit_reason_str(vcpu->run->exit_reason));
	}
}

/*
 * vCPU0 flushes the TLBs of all vCPUs while vCPU1 gets its Hyper-V context: the
 * queue for it has a lock and a buffer, or isn't there.
 *
 * The last one: lockdep turns itself off after a report of a lock that isn't
 * initialized.
 */
TEST_F_TIMEOUT(exclusive, hyperv_published_too_early, SUBTEST_TIMEOUT_S)
{
	const char *missing = kvm_lifecycle_missing("pause");
	struct exclusive_test *t = &self->t;
	struct racer first = { .fn = make_first_access };
	struct kvm_vcpu *vcpus[2];
	gva_t input;
	int cpu, r;

	if (missing)
		SKIP(return, "%s", missing);
	if (!kvm_has_cap(KVM_CAP_HYPERV_CPUID))
		SKIP(return, "KVM doesn't emulate Hyper-V");
	cpu = set_cpu_aside();
	if (cpu < 0)
		SKIP(return, "two CPUs are needed");

	t->file = kvm_lifecycle_open(_metadata, "pause");

	/* Nothing makes vCPU1 a Hyper-V one yet. */
	t->vm = vm_create_with_vcpus(2, flush_guest_code, vcpus);
	vcpu_set_hv_cpuid(vcpus[0]);
	input = vm_alloc_page(t->vm);
	vcpu_args_set(vcpus[0], 2, input, addr_gva2gpa(t->vm, input));

	run_to_sync(_metadata, vcpus[0], 0);

	first.arg = vcpus[1];
	racer_start(&first, cpu);
	r = __kvm_lifecycle_write(t->file, PAUSED_FUNCTION " %d %d %d", first.tid,
				  PAUSE_MAX_US, NR_STIMERS);
	if (r == -ENOENT)
		r = __kvm_lifecycle_write(t->file, PAUSED_FUNCTION_6_12 " %d %d %d", first.tid,
					  PAUSE_MAX_US, NR_STIMERS);
	ASSERT_EQ(0, r);
	racer_go(&first);
	ASSERT_TRUE(racer_wait_for_pause(&first, t->file, WAIT_S))
		TH_LOG("vCPU1's first use of Hyper-V doesn't set up a timer");

	run_to_sync(_metadata, vcpus[0], 1);

	/* Else nothing was tested. */
	EXPECT_FALSE(racer_done(&first))
		TH_LOG("the hypercall took longer than %d pauses of %d us", NR_STIMERS,
		       PAUSE_MAX_US);

	ASSERT_EQ(0, __kvm_lifecycle_write(t->file, "release"));
	racer_join(&first);

	/* Now there is a queue for vCPU1, too. */
	EXPECT_EQ(1, vcpu_get_msr(vcpus[1], HV_X64_MSR_VP_INDEX));
	run_to_sync(_metadata, vcpus[0], 1);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(!access(KVM_DEV_PATH, R_OK | W_OK));

	return test_harness_run(argc, argv);
}
