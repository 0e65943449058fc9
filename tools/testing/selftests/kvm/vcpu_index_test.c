// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's index is -1 for as long as the vCPU can't be reached: from its
 * allocation until it is put into the VM's array, and again on every path that
 * takes a failed creation back.  Otherwise a vCPU that is being created, or is
 * being destroyed because its creation failed, looks like vCPU0 or like the next
 * vCPU that gets the index.
 *
 * The index is observed with kvm_lifecycle, which records it on entry to
 * kvm_arch_vcpu_create(), kvm_arch_vcpu_postcreate() and
 * kvm_arch_vcpu_destroy().
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <sys/ioctl.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#include "processor.h"
#include "kvm_lifecycle_harness.h"
#ifdef __x86_64__
#include "hyperv.h"
#include "svm_util.h"
#include "vmx.h"
#endif

/* Emulated hosts with all of the kernel's debugging need most of it. */
#define SUBTEST_TIMEOUT_S	120

/* Far more allocations than creating one vCPU takes. */
#define MAX_NTH			2000

/* Calls that can be counted, see count_calls(). */
#define MAX_CALLS		1000

/* IDs that differ from every index in use, so that neither passes for the other. */
#define VCPU_ID(idx)		((idx) + 2)

/* A small dirty ring, but one for which hardware's own log leaves some room. */
#define DIRTY_RING_ENTRIES	1024

/* The index at which an xarray gets its second level. */
#define XA_SECOND_LEVEL		64

struct index_test {
	struct fault_injection fi;
	struct kvm_vm *vm;
	int vcpu_fds[KVM_MAX_VCPUS];
	int nr_vcpus;
	int rec;
	int kmsg;
};

FIXTURE(vcpu_index) {
	struct index_test t;
};

FIXTURE_VARIANT(vcpu_index) {
	bool split_irqchip;
};

FIXTURE_VARIANT_ADD(vcpu_index, no_irqchip) {
	.split_irqchip = false,
};

#ifdef __x86_64__
/* An in-kernel local APIC takes more to create, and more to take back. */
FIXTURE_VARIANT_ADD(vcpu_index, split_irqchip) {
	.split_irqchip = true,
};
#endif

FIXTURE_SETUP(vcpu_index)
{
	struct index_test *t = &self->t;
	const char *missing = kvm_lifecycle_missing("vcpu_index");

	t->fi.nth_fd = -1;
	t->vm = NULL;
	t->nr_vcpus = 0;
	t->rec = -1;
	t->kmsg = -1;

	if (missing)
		SKIP(return, "%s", missing);

	t->rec = kvm_lifecycle_open(_metadata, "vcpu_index");

	t->kmsg = kmsg_open();
	if (t->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-t->kmsg));

	t->vm = vm_create_raw(variant->split_irqchip);
}

static void free_vm(struct index_test *t)
{
	while (t->nr_vcpus)
		kvm_close(t->vcpu_fds[--t->nr_vcpus]);
	kvm_vm_free(t->vm);
	t->vm = NULL;
}

FIXTURE_TEARDOWN(vcpu_index)
{
	struct index_test *t = &self->t;

	fault_injection_end(&t->fi);

	if (t->vm)
		free_vm(t);
	if (t->rec >= 0)
		close(t->rec);
	kmsg_close(_metadata, t->kmsg);
}

/* Returns 0, or the -errno of the creation. */
static int keep_vcpu(struct index_test *t, int fd)
{
	if (fd < 0)
		return fd;

	t->vcpu_fds[t->nr_vcpus++] = fd;
	return 0;
}

static int create_vcpu(struct index_test *t, u32 id)
{
	return keep_vcpu(t, __vcpu_fd_create(t->vm, id));
}

static int create_vcpu_without_fd(struct index_test *t, u32 id)
{
	return keep_vcpu(t, __vcpu_fd_create_at_limit(t->vm, id));
}

/* A creation that must work and get the given index. */
static void expect_created(struct __test_metadata *_metadata,
			   struct index_test *t, u32 id, int idx)
{
	struct vcpu_events ev;
	int r;

	r = create_vcpu(t, id);
	ASSERT_EQ(0, r)
		TH_LOG("creation of vCPU %u: %s", id, strerror(-r));

	read_vcpu_events(_metadata, t->rec, id, &ev);
	ASSERT_EQ(1, ev.nr[EV_CREATE]);
	EXPECT_EQ(NO_INDEX, ev.idx[EV_CREATE])
		TH_LOG("vCPU %u: wanted index -1 in kvm_arch_vcpu_create(), got %d",
		       id, ev.idx[EV_CREATE]);
	ASSERT_EQ(1, ev.nr[EV_POSTCREATE]);
	EXPECT_EQ(idx, ev.idx[EV_POSTCREATE])
		TH_LOG("vCPU %u: wanted index %d in kvm_arch_vcpu_postcreate(), got %d",
		       id, idx, ev.idx[EV_POSTCREATE]);
	EXPECT_EQ(0, ev.nr[EV_DESTROY]);
}

/*
 * The record of a failed creation: the index is -1 whenever it is looked at, and
 * the vCPU was never announced.  Returns true if the creation got beyond
 * kvm_arch_vcpu_create() and was taken back.
 */
static bool expect_unwound(struct __test_metadata *_metadata,
			   struct index_test *t, u32 id, const char *how)
{
	struct vcpu_events ev;

	read_vcpu_events(_metadata, t->rec, id, &ev);

	if (ev.nr[EV_CREATE]) {
		EXPECT_EQ(NO_INDEX, ev.idx[EV_CREATE])
			TH_LOG("%s: wanted index -1 in kvm_arch_vcpu_create(), got %d",
			       how, ev.idx[EV_CREATE]);
	}
	EXPECT_GE(ev.nr[EV_CREATE], ev.nr[EV_DESTROY])
		TH_LOG("%s: a vCPU was destroyed that had not been built", how);
	EXPECT_EQ(0, ev.nr[EV_POSTCREATE])
		TH_LOG("%s: kvm_arch_vcpu_postcreate() called for a failed creation", how);
	if (ev.nr[EV_DESTROY]) {
		EXPECT_EQ(NO_INDEX, ev.idx[EV_DESTROY])
			TH_LOG("%s: wanted index -1 in kvm_arch_vcpu_destroy(), got %d",
			       how, ev.idx[EV_DESTROY]);
	}

	return ev.nr[EV_DESTROY];
}

/* vCPU0 and vCPU1, from creation to the VM's end. */
TEST_F_TIMEOUT(vcpu_index, create_and_destroy, SUBTEST_TIMEOUT_S)
{
	struct index_test *t = &self->t;
	struct vcpu_events ev;
	int i;

	for (i = 0; i < 2; i++)
		expect_created(_metadata, t, VCPU_ID(i), i);

	free_vm(t);

	/* A vCPU that was reachable keeps its index to its end. */
	i = 1;
	read_vcpu_events(_metadata, t->rec, VCPU_ID(i), &ev);
	EXPECT_EQ(1, ev.nr[EV_DESTROY]);
	EXPECT_EQ(i, ev.idx[EV_DESTROY])
		TH_LOG("vCPU%d: index %d in kvm_arch_vcpu_destroy()", i, ev.idx[EV_DESTROY]);
}

/* No file descriptor for the first vCPU, and for the second one. */
TEST_F_TIMEOUT(vcpu_index, fd_failure, SUBTEST_TIMEOUT_S)
{
	struct index_test *t = &self->t;
	int i, r;

	for (i = 0; i < 2; i++) {
		r = create_vcpu_without_fd(t, VCPU_ID(i));
		ASSERT_EQ(-EMFILE, r);
		EXPECT_TRUE(expect_unwound(_metadata, t, VCPU_ID(i), "EMFILE"));

		expect_created(_metadata, t, VCPU_ID(i), i);
	}
}

/* An ID that is in use: no vCPU is built for it, and no index is lost. */
TEST_F_TIMEOUT(vcpu_index, duplicate_id, SUBTEST_TIMEOUT_S)
{
	struct index_test *t = &self->t;
	int i, r;

	for (i = 0; i < 2; i++) {
		expect_created(_metadata, t, VCPU_ID(i), i);

		r = create_vcpu(t, VCPU_ID(i));
		ASSERT_EQ(-EEXIST, r);
		EXPECT_FALSE(expect_unwound(_metadata, t, VCPU_ID(i), "EEXIST"))
			TH_LOG("EEXIST: wanted no vCPU to be built for an ID that is taken");
	}

	expect_created(_metadata, t, VCPU_ID(i), i);
}

/*
 * The array can't take the vCPU.  Index 0 needs no memory, index 1 needs the
 * array's first node, and index 64 the next one.  If the kernel reserves an entry
 * before it uses it, as 6.12 does, the first node is there since index 0.
 */
TEST_F_TIMEOUT(vcpu_index, array_failure, SUBTEST_TIMEOUT_S)
{
	struct index_test *t = &self->t;
	static const int indices[] = { 1, XA_SECOND_LEVEL };
	const char *missing;
	struct vcpu_events ev;
	int i, r, armed;

	if (kvm_check_cap(KVM_CAP_MAX_VCPUS) <= XA_SECOND_LEVEL)
		SKIP(return, "KVM supports %d vCPUs, not more than %d",
		     kvm_check_cap(KVM_CAP_MAX_VCPUS), XA_SECOND_LEVEL);

	missing = fault_injection_begin(&t->fi);
	if (missing)
		SKIP(return, "%s", missing);

	for (i = 0; i < (int)ARRAY_SIZE(indices); i++) {
		u32 id = VCPU_ID(indices[i]);

		while (t->nr_vcpus < indices[i])
			ASSERT_EQ(0, create_vcpu(t, VCPU_ID(t->nr_vcpus)));
		read_vcpu_events(_metadata, t->rec, id, &ev);

		armed = fault_arm_cache(&t->fi, "radix_tree_node");
		r = create_vcpu(t, id);
		fault_disarm_cache(&t->fi);
		if (armed)
			SKIP(return, "can't make one slab cache fail: %s", strerror(-armed));

		if (!r && indices[i] < XA_SECOND_LEVEL)
			continue;

		ASSERT_EQ(-ENOMEM, r)
			TH_LOG("index %d: wanted ENOMEM (the array), got %s",
			       indices[i], strerror(-r));
		EXPECT_TRUE(expect_unwound(_metadata, t, id, "ENOMEM from xa_insert()"));

		expect_created(_metadata, t, id, indices[i]);
	}
}

/* Count the calls that this thread makes, and don't hold them up. */
static int count_calls(struct __test_metadata *_metadata, const char *function)
{
	int fd = kvm_lifecycle_open(_metadata, "pause");

	ASSERT_EQ(0, __kvm_lifecycle_write(fd, "%s %d 1 %d", function, gettid(), MAX_CALLS));
	return fd;
}

static int nr_calls(struct __test_metadata *_metadata, int fd)
{
	int hits = pause_read(fd).hits;

	ASSERT_LT(hits, MAX_CALLS);
	return hits;
}

/*
 * Fail the first allocation of a creation, then the second, and so on until a
 * creation has no allocation left that fails.  If asked for, count the failures
 * that undid the vCPU, but found no dirty ring to free.
 */
static void fail_each_allocation(struct __test_metadata *_metadata,
				 struct index_test *t, unsigned int *nr_without_ring)
{
	int max_vcpus = min_t(int, kvm_check_cap(KVM_CAP_MAX_VCPUS), KVM_MAX_VCPUS);
	unsigned int nth, nr_failures = 0;
	int r, calls = 0, ring_free = -1;
	struct vcpu_events ev;
	bool failed;
	char how[64];

	if (nr_without_ring)
		ring_free = count_calls(_metadata, "kvm_dirty_ring_free");

	for (nth = 1; nth < MAX_NTH; nth++) {
		u32 id = VCPU_ID(t->nr_vcpus);

		if (ring_free >= 0)
			calls = nr_calls(_metadata, ring_free);

		ASSERT_LT(t->nr_vcpus, max_vcpus);
		ASSERT_EQ(0, fault_arm(&t->fi, nth));
		r = create_vcpu(t, id);
		failed = fault_disarm(&t->fi);

		if (!r) {
			/* Nothing failed, or something that can be done without. */
			read_vcpu_events(_metadata, t->rec, id, &ev);
			EXPECT_EQ(NO_INDEX, ev.idx[EV_CREATE]);
			EXPECT_EQ(t->nr_vcpus - 1, ev.idx[EV_POSTCREATE]);
			if (!failed)
				break;
			continue;
		}

		nr_failures++;
		ASSERT_TRUE(failed)
			TH_LOG("no allocation failed, but the creation did: %s", strerror(-r));
		snprintf(how, sizeof(how), "allocation %u failed (%s)", nth, strerror(-r));
		if (expect_unwound(_metadata, t, id, how) && ring_free >= 0 &&
		    nr_calls(_metadata, ring_free) == calls)
			(*nr_without_ring)++;

		/* One of these is enough to read. */
		if (_metadata->exit_code)
			break;
	}

	if (ring_free >= 0)
		close(ring_free);

	ASSERT_LT(nth, MAX_NTH);
	if (!_metadata->exit_code)
		EXPECT_LT(0, nr_failures);

	/* After each failure, the next creation works. */
	expect_created(_metadata, t, VCPU_ID(t->nr_vcpus), t->nr_vcpus);
}

TEST_F_TIMEOUT(vcpu_index, allocation_failures, SUBTEST_TIMEOUT_S)
{
	struct index_test *t = &self->t;
	const char *missing = fault_injection_begin(&t->fi);

	if (missing)
		SKIP(return, "%s", missing);

	/* Index 0 differs from the others, it needs no memory in the array. */
	expect_created(_metadata, t, VCPU_ID(0), 0);
	fail_each_allocation(_metadata, t, NULL);
}

/*
 * The same with a dirty ring, which is allocated after the vCPU was built, i.e.
 * there are failures that undo the vCPU, but have no ring to free.
 */
TEST_F_TIMEOUT(vcpu_index, ring_allocation_failures, SUBTEST_TIMEOUT_S)
{
	struct index_test *t = &self->t;
	unsigned int nr_without_ring = 0;
	const char *missing;

	if (!kvm_has_cap(KVM_CAP_DIRTY_LOG_RING) &&
	    !kvm_has_cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL))
		SKIP(return, "KVM has no dirty ring");

	missing = kvm_lifecycle_missing("pause");
	if (!missing)
		missing = fault_injection_begin(&t->fi);
	if (missing)
		SKIP(return, "%s", missing);

	vm_enable_dirty_ring(t->vm, DIRTY_RING_ENTRIES * sizeof(struct kvm_dirty_gfn));

	expect_created(_metadata, t, VCPU_ID(0), 0);
	fail_each_allocation(_metadata, t, &nr_without_ring);
	if (!_metadata->exit_code)
		EXPECT_LT(0, nr_without_ring);
}

/* kvm_get_vcpu() has no vCPU for an index that no vCPU has. */
struct get_vcpu_test {
	struct kvm_vm *vm;
	int vcpu_fds[2];
	int get;
	int kmsg;
};

FIXTURE(get_vcpu) {
	struct get_vcpu_test t;
};

FIXTURE_SETUP(get_vcpu)
{
	struct get_vcpu_test *t = &self->t;
	const char *missing = kvm_lifecycle_missing("get_vcpu");
	int i;

	t->vm = NULL;
	t->get = -1;
	t->kmsg = -1;

	if (missing)
		SKIP(return, "%s", missing);

	t->get = kvm_lifecycle_open(_metadata, "get_vcpu");

	t->kmsg = kmsg_open();
	if (t->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-t->kmsg));

	t->vm = vm_create_barebones();
	for (i = 0; i < (int)ARRAY_SIZE(t->vcpu_fds); i++) {
		t->vcpu_fds[i] = __vcpu_fd_create(t->vm, VCPU_ID(i));
		ASSERT_LE(0, t->vcpu_fds[i]);
	}
}

FIXTURE_TEARDOWN(get_vcpu)
{
	struct get_vcpu_test *t = &self->t;
	int i;

	if (t->vm) {
		for (i = 0; i < (int)ARRAY_SIZE(t->vcpu_fds); i++)
			kvm_close(t->vcpu_fds[i]);
		kvm_vm_free(t->vm);
	}
	if (t->get >= 0)
		close(t->get);
	kmsg_close(_metadata, t->kmsg);
}

static void expect_get_vcpu(struct __test_metadata *_metadata,
			    struct get_vcpu_test *t, int idx, const char *want)
{
	char got[32];
	ssize_t r;

	ASSERT_EQ(0, __kvm_lifecycle_write(t->get, "%d %d", t->vm->fd, idx));

	r = kvm_lifecycle_read(t->get, got, sizeof(got));
	ASSERT_LT(0, r);
	got[strcspn(got, "\n")] = '\0';

	EXPECT_STREQ(want, got)
		TH_LOG("kvm_get_vcpu(kvm, %d): wanted vCPU %s, got %s", idx, want, got);
}

TEST_F(get_vcpu, online_index)
{
	struct get_vcpu_test *t = &self->t;
	char want[16];
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(t->vcpu_fds); i++) {
		snprintf(want, sizeof(want), "%d", VCPU_ID(i));
		expect_get_vcpu(_metadata, t, i, want);
	}
}

TEST_F(get_vcpu, index_beyond_online)
{
	struct get_vcpu_test *t = &self->t;
	int nr = ARRAY_SIZE(t->vcpu_fds);

	expect_get_vcpu(_metadata, t, nr, "none");
	expect_get_vcpu(_metadata, t, nr + 1, "none");
	expect_get_vcpu(_metadata, t, INT_MAX, "none");
}

TEST_F(get_vcpu, negative_index)
{
	struct get_vcpu_test *t = &self->t;

	expect_get_vcpu(_metadata, t, -1, "none");
	expect_get_vcpu(_metadata, t, -2, "none");
	expect_get_vcpu(_metadata, t, INT_MIN, "none");
}

#ifdef __x86_64__
#define XEN_NO_VCPU_ID		0xffffffffu

#define L2_STACK_SIZE		64

/* Tells userspace that L2 runs, without anything that L1 intercepts. */
#define PORT_L2_RUNS		0x2000

FIXTURE(x86) {
	int kmsg;
};

FIXTURE_SETUP(x86)
{
	self->kmsg = kmsg_open();
	if (self->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-self->kmsg));
}

FIXTURE_TEARDOWN(x86)
{
	kmsg_close(_metadata, self->kmsg);
}

/*
 * KVM can't know the guest's own numbering of its vCPUs, and must not make one
 * up from an index that the vCPU doesn't have yet: no vCPU has a Xen vCPU ID
 * until userspace sets it.
 */
TEST_F_TIMEOUT(x86, xen_default_id, SUBTEST_TIMEOUT_S)
{
	struct kvm_xen_vcpu_attr attr = { .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID };
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	int i;

	if (!(kvm_check_cap(KVM_CAP_XEN_HVM) & KVM_XEN_HVM_CONFIG_EVTCHN_SEND))
		SKIP(return, "KVM doesn't emulate Xen's event channels");

	vm = vm_create_barebones();

	for (i = 0; i < 2; i++) {
		vcpu = __vm_vcpu_add(vm, VCPU_ID(i));

		vcpu_ioctl(vcpu, KVM_XEN_VCPU_GET_ATTR, &attr);
		EXPECT_EQ(XEN_NO_VCPU_ID, attr.u.vcpu_id)
			TH_LOG("vCPU%d: wanted no Xen vCPU ID (0x%x), got %u", i,
			       XEN_NO_VCPU_ID, attr.u.vcpu_id);

		/* That isn't an ID, and can't be set as one. */
		attr.u.vcpu_id = XEN_NO_VCPU_ID;
		EXPECT_EQ(-1, __vcpu_ioctl(vcpu, KVM_XEN_VCPU_SET_ATTR, &attr));
		EXPECT_EQ(EINVAL, errno);

		attr.u.vcpu_id = i;
		vcpu_ioctl(vcpu, KVM_XEN_VCPU_SET_ATTR, &attr);
		attr.u.vcpu_id = XEN_NO_VCPU_ID;
		vcpu_ioctl(vcpu, KVM_XEN_VCPU_GET_ATTR, &attr);
		EXPECT_EQ(i, attr.u.vcpu_id);
	}

	kvm_vm_free(vm);
}

static void l2_guest_code(void)
{
	for (;;)
		asm volatile("inb %%dx, %%al" : : [port] "d" (PORT_L2_RUNS) : "rax");
}

/* Later than 7.2 they have a stack for L2 themselves, and ignore this one. */
typedef void (*setup_vmx_t)(struct vmx_pages *vmx, void *guest_rip, void *guest_rsp);
typedef void (*setup_svm_t)(struct svm_test_data *svm, void *guest_rip, void *guest_rsp);

static void l1_vmx_code(struct vmx_pages *vmx)
{
	void *setup = prepare_vmcs;
	unsigned long l2_stack[L2_STACK_SIZE];

	GUEST_ASSERT(prepare_for_vmx_operation(vmx));
	GUEST_ASSERT(load_vmcs(vmx));
	((setup_vmx_t)setup)(vmx, l2_guest_code, &l2_stack[L2_STACK_SIZE]);
	GUEST_ASSERT(!vmlaunch());
	GUEST_ASSERT(0);
}

static void l1_svm_code(struct svm_test_data *svm)
{
	void *setup = generic_svm_setup;
	unsigned long l2_stack[L2_STACK_SIZE];

	((setup_svm_t)setup)(svm, l2_guest_code, &l2_stack[L2_STACK_SIZE]);
	/* Exits to userspace, not to L1. */
	svm->vmcb->control.intercept &= ~BIT_ULL(INTERCEPT_IOIO_PROT);
	run_guest(svm->vmcb, svm->vmcb_gpa);
	GUEST_ASSERT(0);
}

static void l1_guest_code(void *data)
{
	if (this_cpu_has(X86_FEATURE_VMX))
		l1_vmx_code(data);
	else
		l1_svm_code(data);
}

/*
 * Code that uses a vCPU's nested or Hyper-V state asserts that the vCPU is
 * locked, or can't be reached by anyone else.  The latter is true of a vCPU
 * whose creation failed, and of one that dies with its VM, be it while L2 runs.
 */
TEST_F_TIMEOUT(x86, nested_and_hyperv_teardown, SUBTEST_TIMEOUT_S)
{
	struct index_test t = {};
	struct kvm_nested_state *state;
	struct kvm_vcpu *vcpu;
	struct kvm_run *run;
	gva_t nested_gva;

	if (!kvm_cpu_has(X86_FEATURE_VMX) && !kvm_cpu_has(X86_FEATURE_SVM))
		SKIP(return, "KVM doesn't support nested virtualization");
	if (!kvm_has_cap(KVM_CAP_NESTED_STATE))
		SKIP(return, "KVM can't show nested state");

	t.vm = vm_create_with_one_vcpu(&vcpu, l1_guest_code);
	if (kvm_has_cap(KVM_CAP_HYPERV_CPUID)) {
		vcpu_set_hv_cpuid(vcpu);
		vcpu_set_msr(vcpu, HV_X64_MSR_VP_INDEX, vcpu->id);
	}

	if (kvm_cpu_has(X86_FEATURE_VMX))
		vcpu_alloc_vmx(t.vm, &nested_gva);
	else
		vcpu_alloc_svm(t.vm, &nested_gva);
	vcpu_args_set(vcpu, 1, nested_gva);

	run = vcpu->run;
	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
	ASSERT_EQ(PORT_L2_RUNS, run->io.port);

	state = calloc(1, kvm_check_cap(KVM_CAP_NESTED_STATE));
	ASSERT_NE(NULL, state);
	state->size = kvm_check_cap(KVM_CAP_NESTED_STATE);
	vcpu_nested_state_get(vcpu, state);
	EXPECT_TRUE(state->flags & KVM_STATE_NESTED_GUEST_MODE)
		TH_LOG("L2 doesn't run, flags 0x%x", state->flags);
	free(state);

	EXPECT_EQ(-EMFILE, create_vcpu_without_fd(&t, VCPU_ID(1)));

	kvm_vm_free(t.vm);
}
#endif

int main(int argc, char *argv[])
{
	TEST_REQUIRE(!access(KVM_DEV_PATH, R_OK | W_OK));

	return test_harness_run(argc, argv);
}
