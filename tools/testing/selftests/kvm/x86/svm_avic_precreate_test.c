// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything that AVIC needs per VM, i.e. the physical and the logical ID table
 * and the ID under which the GA Log finds the VM, is set up with the VM's first
 * vCPU, if and only if the VM has an in-kernel local APIC:
 *
 *  - a VM without an in-kernel local APIC gets nothing, and pays for nothing;
 *  - the first vCPU gets all of it, further vCPUs leave it as it is;
 *  - a creation that fails, before, within or after the set-up, doesn't keep
 *    the next one from completing it, not even if an in-kernel local APIC comes
 *    in between;
 *  - nor does it keep the VM from using AVIC because of the vCPU's ID.
 *
 * A vCPU's entry in the physical ID table names a page of the vCPU's local APIC,
 * which hardware writes to: a creation that fails must not leave an entry behind,
 * nor change that of another vCPU.
 *
 * The state is observed with kvm_lifecycle, and the cost independently of it by
 * the charge of the memory cgroup.
 */
#include <stdio.h>
#include <string.h>

#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "cgroup_util.h"
#include "kvm_util.h"
#include "test_util.h"
#include "processor.h"
#include "kvm_lifecycle_harness.h"

/* Emulated hosts with all of the kernel's debugging need most of it. */
#define SUBTEST_TIMEOUT_S	180

/* Far more allocations than creating one vCPU takes. */
#define MAX_NTH			2000

/* Anything that is waited for happens far sooner, or never. */
#define WAIT_S			20

#define MAX_VCPUS		4

/* VM IDs aren't the test's own, other VMs of the machine may take some. */
#define NR_VMS_WITHOUT_ID	16

/*
 * VMs of each kind whose charge is compared.  A group's count is exact to a
 * few pages, which must not matter against one page of each VM.
 */
#define NR_CHARGED_VMS		16

/*
 * Memory that RCU frees is still charged for a grace period.  Afterwards
 * memory.stat is exact if more has changed since the kernel last collected it
 * from all CPUs than 64 pages per CPU, else it may lag behind by as much.
 */
#define MEMCG_SETTLE_S		2
#define MEMCG_CHURN_SIZE	(16 << 20)

enum irqchip { NO_IRQCHIP, FULL_IRQCHIP, SPLIT_IRQCHIP };

struct avic_test {
	struct fault_injection fi;
	struct kvm_vm *vm;
	int vcpu_fds[MAX_VCPUS];
	int nr_vcpus;
	int kmsg;
};

FIXTURE(avic) {
	struct avic_test t;
};

FIXTURE_SETUP(avic)
{
	struct avic_test *t = &self->t;
	const char *missing = kvm_lifecycle_missing("avic");

	t->fi.nth_fd = -1;
	t->vm = NULL;
	t->nr_vcpus = 0;
	t->kmsg = -1;

	if (missing)
		SKIP(return, "%s", missing);

	t->kmsg = kmsg_open();
	if (t->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-t->kmsg));
}

static void free_vm(struct avic_test *t)
{
	while (t->nr_vcpus)
		kvm_close(t->vcpu_fds[--t->nr_vcpus]);
	kvm_vm_free(t->vm);
	t->vm = NULL;
}

FIXTURE_TEARDOWN(avic)
{
	struct avic_test *t = &self->t;

	fault_injection_end(&t->fi);

	if (t->vm)
		free_vm(t);
	kmsg_close(_metadata, t->kmsg);
}

static void create_irqchip(struct kvm_vm *vm, enum irqchip irqchip)
{
	switch (irqchip) {
	case NO_IRQCHIP:
		break;
	case FULL_IRQCHIP:
		vm_create_irqchip(vm);
		break;
	case SPLIT_IRQCHIP:
		vm_enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, SPLIT_IRQCHIP_PINS);
		break;
	}
}

/* Returns 0, or the -errno of the creation. */
static int keep_vcpu(struct avic_test *t, int fd)
{
	if (fd < 0)
		return fd;

	t->vcpu_fds[t->nr_vcpus++] = fd;
	return 0;
}

static int create_vcpu(struct avic_test *t, u32 id)
{
	return keep_vcpu(t, __vcpu_fd_create(t->vm, id));
}

static int create_vcpu_without_fd(struct avic_test *t, u32 id)
{
	return keep_vcpu(t, __vcpu_fd_create_at_limit(t->vm, id));
}

static void get_avic_state(struct __test_metadata *_metadata,
			   struct avic_test *t, struct avic_state *state)
{
	int i, r = avic_read(t->vm->fd, state);

	ASSERT_EQ(0, r)
		TH_LOG("avic: %s", strerror(-r));
	for (i = 0; i < state->nr_entries; i++)
		ASSERT_GT(MAX_VCPUS, state->entries[i].id);
}

static void expect_nothing(struct __test_metadata *_metadata,
			   struct avic_test *t, const char *when)
{
	struct avic_state state;

	get_avic_state(_metadata, t, &state);

	EXPECT_EQ(0, state.vm_id)
		TH_LOG("%s: wanted no VM ID, got %u", when, state.vm_id);
	EXPECT_EQ(0, state.listed)
		TH_LOG("%s: the VM is on the GA Log list", when);
	EXPECT_EQ(0, state.physical)
		TH_LOG("%s: the physical ID table is allocated", when);
	EXPECT_EQ(0, state.logical)
		TH_LOG("%s: the logical ID table is allocated", when);
}

/* All is set up, and vCPU @id has a valid entry with its own APIC's page. */
static void expect_set_up(struct __test_metadata *_metadata, struct avic_test *t,
			  u32 id, struct avic_state *state)
{
	u64 entry, backing;

	get_avic_state(_metadata, t, state);
	entry = avic_entry(state, id);
	backing = avic_backing(state, id);

	EXPECT_NE(0, state->vm_id)
		TH_LOG("vCPU %u was created, but the VM has no ID", id);
	EXPECT_EQ(1, state->listed)
		TH_LOG("vCPU %u was created, but the VM isn't on the GA Log list", id);
	EXPECT_EQ(1, state->physical)
		TH_LOG("vCPU %u was created, but there is no physical ID table", id);
	EXPECT_EQ(1, state->logical)
		TH_LOG("vCPU %u was created, but there is no logical ID table", id);

	EXPECT_NE(0, backing);
	EXPECT_TRUE(entry & AVIC_ENTRY_VALID)
		TH_LOG("vCPU %u: entry 0x%llx isn't valid", id, (unsigned long long)entry);
	EXPECT_TRUE(avic_entry_is_of(entry, backing))
		TH_LOG("vCPU %u: entry 0x%llx, but the APIC's page is 0x%llx", id,
		       (unsigned long long)entry, (unsigned long long)backing);
}

/* Why the VM may not use AVIC. */
static unsigned long get_inhibits(struct __test_metadata *_metadata, struct avic_test *t)
{
	struct avic_state state;

	get_avic_state(_metadata, t, &state);
	return state.inhibits;
}

/*
 * Hardware can't address a vCPU with a large ID, for whose sake the whole VM
 * does without AVIC; but only if there is such a vCPU.
 */
TEST_F_TIMEOUT(avic, failure_of_unaddressable_vcpu, SUBTEST_TIMEOUT_S)
{
	struct avic_test *t = &self->t;
	unsigned long before, after;
	u32 id = kvm_check_cap(KVM_CAP_MAX_VCPU_ID) - 1;
	int r;

	t->vm = vm_create_raw(true);
	ASSERT_EQ(0, create_vcpu(t, 0));
	before = get_inhibits(_metadata, t);

	r = create_vcpu_without_fd(t, id);
	if (r == -EINVAL)
		SKIP(return, "KVM has no vCPU that AVIC can't address");
	ASSERT_EQ(-EMFILE, r);
	after = get_inhibits(_metadata, t);
	EXPECT_EQ(before, after)
		TH_LOG("vCPU %u couldn't be created, and AVIC is inhibited: 0x%lx, was 0x%lx", id,
		       after, before);

	/* With such a vCPU it is, and stays so if another one can't be created. */
	ASSERT_EQ(0, create_vcpu(t, id));
	after = get_inhibits(_metadata, t);
	if (after == before)
		SKIP(return, "this processor's AVIC can address vCPU %u", id);
	ASSERT_EQ(-EMFILE, create_vcpu_without_fd(t, id - 1));
	EXPECT_EQ(after, get_inhibits(_metadata, t))
		TH_LOG("vCPU %u couldn't be created, and AVIC isn't inhibited any more", id - 1);
}

/* No in-kernel local APIC: nothing, with any calls on vCPUs. */
TEST_F_TIMEOUT(avic, no_irqchip, SUBTEST_TIMEOUT_S)
{
	struct avic_test *t = &self->t;

	t->vm = vm_create_barebones();
	expect_nothing(_metadata, t, "new VM");

	ASSERT_EQ(0, create_vcpu(t, 0));
	expect_nothing(_metadata, t, "one vCPU");

	ASSERT_EQ(0, create_vcpu(t, 1));
	expect_nothing(_metadata, t, "two vCPUs");
}

static void test_first_vcpu(struct __test_metadata *_metadata, struct avic_test *t,
			    enum irqchip irqchip)
{
	struct avic_state first, second;

	t->vm = vm_create_barebones();
	create_irqchip(t->vm, irqchip);
	expect_nothing(_metadata, t, "irqchip, no vCPU");

	ASSERT_EQ(0, create_vcpu(t, 0));
	expect_set_up(_metadata, t, 0, &first);

	ASSERT_EQ(0, create_vcpu(t, 1));
	expect_set_up(_metadata, t, 1, &second);

	EXPECT_EQ(first.vm_id, second.vm_id);
	EXPECT_EQ(avic_backing(&first, 0), avic_backing(&second, 0));
	EXPECT_EQ(avic_entry(&first, 0), avic_entry(&second, 0))
		TH_LOG("the second vCPU changed the first one's entry");
}

TEST_F_TIMEOUT(avic, first_vcpu_full_irqchip, SUBTEST_TIMEOUT_S)
{
	struct avic_test *t = &self->t;

	test_first_vcpu(_metadata, t, FULL_IRQCHIP);
}

TEST_F_TIMEOUT(avic, first_vcpu_split_irqchip, SUBTEST_TIMEOUT_S)
{
	struct avic_test *t = &self->t;

	test_first_vcpu(_metadata, t, SPLIT_IRQCHIP);
}

/* An in-kernel local APIC may appear after a failed creation. */
static void test_late_irqchip(struct __test_metadata *_metadata, struct avic_test *t,
			      enum irqchip irqchip)
{
	struct avic_state failed, retried;

	t->vm = vm_create_barebones();
	ASSERT_EQ(-EMFILE, create_vcpu_without_fd(t, 0));
	expect_nothing(_metadata, t, "failed creation, no irqchip");

	create_irqchip(t->vm, irqchip);
	expect_nothing(_metadata, t, "failed creation, then an irqchip");

	/* The last step fails, the set-up is done and stays. */
	ASSERT_EQ(-EMFILE, create_vcpu_without_fd(t, 0));
	get_avic_state(_metadata, t, &failed);
	EXPECT_EQ(1, failed.listed);
	EXPECT_EQ(1, failed.physical);
	EXPECT_EQ(1, failed.logical);

	ASSERT_EQ(0, create_vcpu(t, 0));
	expect_set_up(_metadata, t, 0, &retried);
	EXPECT_EQ(failed.vm_id, retried.vm_id);
}

TEST_F_TIMEOUT(avic, failure_then_full_irqchip, SUBTEST_TIMEOUT_S)
{
	struct avic_test *t = &self->t;

	test_late_irqchip(_metadata, t, FULL_IRQCHIP);
}

TEST_F_TIMEOUT(avic, failure_then_split_irqchip, SUBTEST_TIMEOUT_S)
{
	struct avic_test *t = &self->t;

	test_late_irqchip(_metadata, t, SPLIT_IRQCHIP);
}

/*
 * Fail each allocation of the set-up in turn, i.e. of the first creation until a
 * failure leaves a VM that is set up.  A VM without its tables isn't listed, and
 * the next creation completes the set-up.
 */
TEST_F_TIMEOUT(avic, allocation_failures, SUBTEST_TIMEOUT_S)
{
	struct avic_test *t = &self->t;
	unsigned int nth, nr_incomplete = 0;
	bool failed, complete = false;
	struct avic_state state;
	const char *missing;
	int r;

	missing = fault_injection_begin(&t->fi);
	if (missing)
		SKIP(return, "%s", missing);

	for (nth = 1; nth < MAX_NTH && !complete; nth++) {
		t->vm = vm_create_raw(true);

		ASSERT_EQ(0, fault_arm(&t->fi, nth));
		r = create_vcpu(t, 0);
		failed = fault_disarm(&t->fi);

		if (r) {
			ASSERT_TRUE(failed)
				TH_LOG("no allocation failed, but the creation did: %s",
				       strerror(-r));

			get_avic_state(_metadata, t, &state);
			complete = state.physical && state.logical;
			nr_incomplete += !complete;
			EXPECT_TRUE(complete || !state.vm_id)
				TH_LOG("allocation %u failed: VM ID %u, but physical %d logical %d",
				       nth, state.vm_id, state.physical, state.logical);
			EXPECT_TRUE(complete || !state.listed)
				TH_LOG("allocation %u failed: listed, but physical %d logical %d",
				       nth, state.physical, state.logical);

			r = create_vcpu(t, 0);
			ASSERT_EQ(0, r)
				TH_LOG("allocation %u failed, then the next creation: %s",
				       nth, strerror(-r));
		}

		expect_set_up(_metadata, t, 0, &state);
		free_vm(t);

		/* One of these is enough to read. */
		if (_metadata->exit_code)
			return;
	}

	EXPECT_TRUE(complete);
	EXPECT_LE(2, nr_incomplete)
		TH_LOG("wanted either table's allocation to fail, got %u failures",
		       nr_incomplete);
}

/* There's no entry for an ID that no vCPU has. */
static void expect_no_entry(struct __test_metadata *_metadata, struct avic_test *t,
			    u32 id, const char *why)
{
	struct avic_state state;
	u64 entry;

	get_avic_state(_metadata, t, &state);
	entry = avic_entry(&state, id);
	EXPECT_EQ(0, entry)
		TH_LOG("vCPU%u, %s: wanted no entry, got 0x%llx", id, why,
		       (unsigned long long)entry);
}

/* The last step of a creation fails, the vCPU was complete. */
TEST_F_TIMEOUT(avic, entry_of_failed_creation, SUBTEST_TIMEOUT_S)
{
	struct avic_test *t = &self->t;
	struct avic_state state;

	t->vm = vm_create_raw(true);
	ASSERT_EQ(0, create_vcpu(t, 0));
	expect_no_entry(_metadata, t, 1, "which was never created");

	ASSERT_EQ(-EMFILE, create_vcpu_without_fd(t, 1));
	expect_no_entry(_metadata, t, 1, "whose creation has failed");
	expect_set_up(_metadata, t, 0, &state);

	ASSERT_EQ(0, create_vcpu(t, 1));
	expect_set_up(_metadata, t, 1, &state);
}

/* Each allocation fails in turn, some of them after the entry was written. */
TEST_F_TIMEOUT(avic, entry_after_allocation_failures, SUBTEST_TIMEOUT_S)
{
	struct avic_test *t = &self->t;
	unsigned int nth, nr_failures = 0;
	struct avic_state state;
	const char *missing;
	bool failed;
	char why[64];
	int r;

	missing = fault_injection_begin(&t->fi);
	if (missing)
		SKIP(return, "%s", missing);

	for (nth = 1; nth < MAX_NTH && !_metadata->exit_code; nth++) {
		if (!t->vm) {
			t->vm = vm_create_raw(true);
			ASSERT_EQ(0, create_vcpu(t, 0));
		}

		ASSERT_EQ(0, fault_arm(&t->fi, nth));
		r = create_vcpu(t, 1);
		failed = fault_disarm(&t->fi);
		if (!r && !failed)
			break;
		if (!r) {
			/* It can be done without. */
			free_vm(t);
			continue;
		}

		nr_failures++;
		ASSERT_TRUE(failed)
			TH_LOG("no allocation failed, but the creation did: %s", strerror(-r));
		snprintf(why, sizeof(why), "whose allocation %u has failed", nth);
		expect_no_entry(_metadata, t, 1, why);
	}

	EXPECT_LT(0, nr_failures);
	if (!_metadata->exit_code)
		expect_set_up(_metadata, t, 1, &state);
}

/* Somebody tries to create a vCPU that exists. */
TEST_F_TIMEOUT(avic, entry_of_duplicate_id, SUBTEST_TIMEOUT_S)
{
	struct avic_test *t = &self->t;
	struct avic_state before, after;

	t->vm = vm_create_raw(true);
	ASSERT_EQ(0, create_vcpu(t, 0));
	expect_set_up(_metadata, t, 0, &before);

	ASSERT_EQ(-EEXIST, create_vcpu(t, 0));
	get_avic_state(_metadata, t, &after);
	EXPECT_EQ(avic_entry(&before, 0), avic_entry(&after, 0))
		TH_LOG("vCPU0's entry was 0x%llx, is 0x%llx after its ID was refused",
		       (unsigned long long)avic_entry(&before, 0),
		       (unsigned long long)avic_entry(&after, 0));
	EXPECT_EQ(avic_backing(&before, 0), avic_backing(&after, 0));
}

/*
 * The creation of vCPU1 fails, and while it is being undone, somebody else
 * creates vCPU1, as soon as the ID is free.  The entry is that one's then.
 */
TEST_F_TIMEOUT(avic, entry_taken_over, SUBTEST_TIMEOUT_S)
{
	struct avic_test *t = &self->t;
	struct racer c = { .fn = race_create, .val = 1 };
	struct avic_state state;
	const char *missing;
	int pause, cpu, r;
	struct rlimit old;
	u64 start;

	missing = kvm_lifecycle_missing("pause");
	if (missing)
		SKIP(return, "%s", missing);
	cpu = set_cpu_aside();
	if (cpu < 0)
		SKIP(return, "two CPUs are needed");

	t->vm = vm_create_raw(true);
	ASSERT_EQ(0, create_vcpu(t, 0));

	pause = kvm_lifecycle_open(_metadata, "pause");
	c.arg = t->vm;
	racer_start(&c, cpu);

	old = exhaust_fds(t->vm);
	ASSERT_TRUE(racer_go_to(&c, pause, "kvm_arch_vcpu_destroy", WAIT_S))
		TH_LOG("kvm_arch_vcpu_destroy() wasn't called in %d s", WAIT_S);
	restore_fds(&old);

	start = now_ms();
	do {
		r = create_vcpu(t, 1);
	} while (r == -EEXIST && !timed_out(start, WAIT_S));
	EXPECT_EQ(0, r)
		TH_LOG("the ID whose creation had failed: %s", strerror(-r));

	EXPECT_EQ(-EMFILE, racer_join(&c));
	close(pause);
	expect_set_up(_metadata, t, 1, &state);
	expect_set_up(_metadata, t, 0, &state);
}

static u32 create_vm_with_id(struct __test_metadata *_metadata, struct avic_test *t)
{
	struct avic_state state;

	t->vm = vm_create_raw(true);
	ASSERT_EQ(0, create_vcpu(t, 0));
	expect_set_up(_metadata, t, 0, &state);
	return state.vm_id;
}

/* VMs that live at the same time have different IDs. */
TEST_F_TIMEOUT(avic, ids_differ, SUBTEST_TIMEOUT_S)
{
	struct avic_test *t = &self->t;
	int first_vcpu, second_vcpu;
	struct kvm_vm *first;
	struct avic_state state;
	u32 id;

	id = create_vm_with_id(_metadata, t);
	first = t->vm;
	first_vcpu = t->vcpu_fds[0];
	t->nr_vcpus = 0;

	EXPECT_NE(id, create_vm_with_id(_metadata, t));
	second_vcpu = t->vcpu_fds[0];
	free_vm(t);

	/* The first VM's ID is still its own. */
	t->vm = first;
	t->vcpu_fds[0] = first_vcpu;
	t->nr_vcpus = 1;
	expect_set_up(_metadata, t, 0, &state);
	EXPECT_EQ(id, state.vm_id);
	ASSERT_LE(0, second_vcpu);
}

/* IDs are a limited resource, VMs that can't use one don't take any. */
TEST_F_TIMEOUT(avic, ids_for_irqchips_only, SUBTEST_TIMEOUT_S)
{
	struct avic_test *t = &self->t;
	struct kvm_vm *vms[NR_VMS_WITHOUT_ID];
	int vcpus[NR_VMS_WITHOUT_ID];
	u32 before, after;
	int i;

	before = create_vm_with_id(_metadata, t);
	free_vm(t);

	for (i = 0; i < NR_VMS_WITHOUT_ID; i++) {
		vms[i] = vm_create_barebones();
		vcpus[i] = __vcpu_fd_create(vms[i], 0);
		ASSERT_LE(0, vcpus[i]);
	}

	after = create_vm_with_id(_metadata, t);

	for (i = 0; i < NR_VMS_WITHOUT_ID; i++) {
		kvm_close(vcpus[i]);
		kvm_vm_free(vms[i]);
	}

	/* IDs are handed out in ascending order, until they start again at 1. */
	if (after > before)
		EXPECT_LT(after - before, NR_VMS_WITHOUT_ID)
			TH_LOG("%d VMs without an irqchip, and the next VM ID went from %u to %u",
			       NR_VMS_WITHOUT_ID, before, after);
}

struct charge {
	const char *name;
	enum irqchip irqchip;
	bool create_vcpu;
	long kernel;		/* bytes, all VMs */
	char *cgroup;
	pid_t pid;
	int done_fd;		/* the child has made its VMs */
	int stop_fd;		/* the child is no longer needed */
};

/* In the child, and so without anything that could be charged beside the VMs. */
static void make_charged_vms(struct charge *c)
{
	struct kvm_enable_cap split = {
		.cap = KVM_CAP_SPLIT_IRQCHIP,
		.args = { SPLIT_IRQCHIP_PINS },
	};
	struct kvm_enable_cap max_id = {
		.cap = KVM_CAP_MAX_VCPU_ID,
		.args = { MAX_VCPUS },
	};
	int kvm_fd, vm_fd, i;

	if (cg_enter_current(c->cgroup))
		_exit(EIO);

	kvm_fd = open(KVM_DEV_PATH, O_RDWR);
	if (kvm_fd < 0)
		_exit(errno);

	for (i = 0; i < NR_CHARGED_VMS; i++) {
		vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0ul);
		if (vm_fd < 0)
			_exit(errno);
		/* No more vCPU IDs than a physical ID table of one page has. */
		if (ioctl(vm_fd, KVM_ENABLE_CAP, &max_id))
			_exit(errno);
		if (c->irqchip == SPLIT_IRQCHIP && ioctl(vm_fd, KVM_ENABLE_CAP, &split))
			_exit(errno);
		if (c->create_vcpu &&
		    (ioctl(vm_fd, KVM_CREATE_VCPU, 0ul) >= 0 || errno != ENOMEM))
			_exit(errno ?: EEXIST);
	}
}

/* Make memory.stat be exact when it is read next. */
static void settle_charge(void)
{
	void *mem;

	sleep(MEMCG_SETTLE_S);
	mem = kvm_mmap(MEMCG_CHURN_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1);
	kvm_munmap(mem, MEMCG_CHURN_SIZE);
}

static void start_charge(struct __test_metadata *_metadata, struct charge *c, const char *root)
{
	int done[2], stop[2];
	char buf;

	c->cgroup = cg_name(root, c->name);
	ASSERT_NE(NULL, c->cgroup);
	cg_destroy(c->cgroup);
	ASSERT_EQ(0, cg_create(c->cgroup));

	ASSERT_EQ(0, pipe(done));
	ASSERT_EQ(0, pipe(stop));

	c->pid = fork();
	ASSERT_LE(0, c->pid);
	if (!c->pid) {
		close(done[0]);
		close(stop[1]);
		/* The test may end early. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		make_charged_vms(c);
		settle_charge();
		if (write(done[1], "", 1) == 1 && read(stop[0], &buf, 1) == 1)
			_exit(0);
		_exit(EIO);
	}

	close(done[1]);
	close(stop[0]);
	c->done_fd = done[0];
	c->stop_fd = stop[1];
}

/* Round to pages per VM. */
static long charged_pages(struct charge *after, struct charge *before)
{
	long unit = (long)NR_CHARGED_VMS * getpagesize();

	return (after->kernel - before->kernel + unit / 2) / unit;
}

/* Needs nothing but the memory cgroup and fault injection. */
FIXTURE(charge) {
	struct fault_injection fi;
	int kmsg;
};

FIXTURE_SETUP(charge)
{
	const char *missing;

	self->fi.nth_fd = -1;
	self->kmsg = kmsg_open();
	if (self->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-self->kmsg));

	missing = fault_injection_begin(&self->fi);
	if (missing)
		SKIP(return, "%s", missing);
}

FIXTURE_TEARDOWN(charge)
{
	fault_injection_end(&self->fi);
	kmsg_close(_metadata, self->kmsg);
}

/*
 * Let the first vCPU's creation fail as soon as the VM is set up for it, so that
 * the set-up is all that the creation is charged for: both of AVIC's tables,
 * i.e. two pages for so few vCPU IDs, or nothing without an in-kernel local
 * APIC.  A table that the creation isn't charged for was paid for before, by
 * VMs that will never use it, too.
 */
TEST_F_TIMEOUT(charge, memcg, SUBTEST_TIMEOUT_S)
{
	struct charge none_vm = { "kvm_avic_none_vm", NO_IRQCHIP, false };
	struct charge none_vcpu = { "kvm_avic_none_vcpu", NO_IRQCHIP, true };
	struct charge split_vm = { "kvm_avic_split_vm", SPLIT_IRQCHIP, false };
	struct charge split_vcpu = { "kvm_avic_split_vcpu", SPLIT_IRQCHIP, true };
	struct charge *charges[] = { &none_vm, &none_vcpu, &split_vm, &split_vcpu };
	char root[PATH_MAX], buf;
	int i, r, status;

	if (cg_find_controller_root(root, sizeof(root), "memory"))
		SKIP(return, "no cgroup v2 with the memory controller");
	if (cg_read_strstr(root, "cgroup.subtree_control", "memory") &&
	    cg_write(root, "cgroup.subtree_control", "+memory"))
		SKIP(return, "can't enable the memory controller for a child cgroup");

	/* Children inherit that they are to fail. */
	r = fault_arm_cache(&self->fi, "kvm_vcpu");
	if (r) {
		fault_disarm_cache(&self->fi);
		SKIP(return, "can't make one slab cache fail: %s", strerror(-r));
	}

	for (i = 0; i < (int)ARRAY_SIZE(charges); i++)
		start_charge(_metadata, charges[i], root);

	for (i = 0; i < (int)ARRAY_SIZE(charges); i++)
		EXPECT_EQ(1, read(charges[i]->done_fd, &buf, 1));

	fault_disarm_cache(&self->fi);

	for (i = 0; i < (int)ARRAY_SIZE(charges); i++) {
		struct charge *c = charges[i];

		c->kernel = cg_read_key_long(c->cgroup, "memory.stat", "kernel ");
		EXPECT_LT(0, c->kernel)
			TH_LOG("%s: no 'kernel' in memory.stat", c->name);

		EXPECT_EQ(1, write(c->stop_fd, "", 1));
		close(c->stop_fd);
		close(c->done_fd);
		EXPECT_EQ(c->pid, waitpid(c->pid, &status, 0));
		EXPECT_TRUE(WIFEXITED(status));
		EXPECT_EQ(0, WEXITSTATUS(status))
			TH_LOG("%s: VMs couldn't be made: %s", c->name,
			       strerror(WEXITSTATUS(status)));
		cg_destroy(c->cgroup);
		free(c->cgroup);
	}

	TH_LOG("%d VMs: no irqchip %ld bytes, with set-up %ld; split irqchip %ld, with set-up %ld",
	       NR_CHARGED_VMS, none_vm.kernel, none_vcpu.kernel, split_vm.kernel,
	       split_vcpu.kernel);

	EXPECT_EQ(0, charged_pages(&none_vcpu, &none_vm))
		TH_LOG("no irqchip: wanted the set-up to be charged nothing, got %ld pages per VM",
		       charged_pages(&none_vcpu, &none_vm));
	EXPECT_EQ(2, charged_pages(&split_vcpu, &split_vm))
		TH_LOG("split irqchip: wanted the set-up to be charged 2 pages per VM, got %ld",
		       charged_pages(&split_vcpu, &split_vm));
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(!access(KVM_DEV_PATH, R_OK | W_OK));
	__TEST_REQUIRE(!access("/sys/module/kvm_amd/parameters/avic", R_OK),
		       "kvm_amd isn't loaded");
	__TEST_REQUIRE(kvm_get_module_param_bool("kvm_amd", "avic"), "AVIC is off in kvm_amd");

	return test_harness_run(argc, argv);
}
