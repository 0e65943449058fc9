// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's index is -1 for as long as the vCPU can't be reached: from its
 * allocation until it is put into the VM's array, and again on every path that
 * takes a failed creation back.  Otherwise a vCPU that is being created, or is
 * being destroyed because its creation failed, looks like vCPU0 or like
 * whichever vCPU gets the index next.
 *
 * The index is observed with kvm_lifecycle, which records it on entry to
 * kvm_arch_vcpu_create(), kvm_arch_vcpu_postcreate() and
 * kvm_arch_vcpu_destroy().
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <sys/ioctl.h>
#include <sys/resource.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#include "processor.h"
#include "kvm_lifecycle.h"

/* Emulated hosts with all of the kernel's debugging need most of it. */
#define SUBTEST_TIMEOUT_S	120

/* Far more allocations than creating one vCPU takes. */
#define MAX_NTH			2000

#define MAX_EVENTS		64
#define NO_INDEX		(-1)

/* IDs that differ from every index in use, so that neither passes for the other. */
#define VCPU_ID(idx)		((idx) + 2)

/* A dirty ring of 64 KiB, large enough for the ring to need more than one page. */
#define DIRTY_RING_ENTRIES	4096

/* The index at which an xarray gets its second level. */
#define XA_SECOND_LEVEL		64

#define SPLIT_IRQCHIP_PINS	24

enum event_type { EV_CREATE, EV_POSTCREATE, EV_DESTROY, NR_EVENT_TYPES };

static const char * const event_names[] = { "create", "postcreate", "destroy" };

/* What was recorded of one vCPU ID since the last look. */
struct events {
	int nr[NR_EVENT_TYPES];
	int idx[NR_EVENT_TYPES];	/* of the last one */
};

FIXTURE(vcpu_index) {
	struct fault_injection fi;
	struct kvm_vm *vm;
	int vcpu_fds[KVM_MAX_VCPUS];
	int nr_vcpus;
	int rec;
	int kmsg;
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

static struct kvm_vm *create_vm(const FIXTURE_VARIANT(vcpu_index) *variant)
{
	struct kvm_vm *vm = vm_create_barebones();

#ifdef __x86_64__
	if (variant->split_irqchip)
		vm_enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, SPLIT_IRQCHIP_PINS);
#endif
	return vm;
}

FIXTURE_SETUP(vcpu_index)
{
	const char *missing = kvm_lifecycle_missing("vcpu_index");

	self->fi.nth_fd = -1;
	self->vm = NULL;
	self->nr_vcpus = 0;
	self->rec = -1;
	self->kmsg = -1;

	if (missing)
		SKIP(return, "%s", missing);

	self->rec = __kvm_lifecycle_open("vcpu_index");
	ASSERT_LE(0, self->rec)
		TH_LOG("open vcpu_index: %s", strerror(-self->rec));

	self->kmsg = kmsg_open();
	if (self->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-self->kmsg));

	self->vm = create_vm(variant);
}

FIXTURE_TEARDOWN(vcpu_index)
{
	int i;

	fault_injection_end(&self->fi);

	for (i = 0; i < self->nr_vcpus; i++)
		kvm_close(self->vcpu_fds[i]);
	if (self->vm)
		kvm_vm_free(self->vm);
	if (self->rec >= 0)
		close(self->rec);
	if (self->kmsg >= 0) {
		EXPECT_NO_SPLAT(self->kmsg);
		close(self->kmsg);
	}
}

/* KVM_CREATE_VCPU, returns 0 or -errno. */
static int create_vcpu(FIXTURE_DATA(vcpu_index) *self, u32 id)
{
	int fd = __vm_ioctl(self->vm, KVM_CREATE_VCPU, (void *)(unsigned long)id);

	if (fd < 0)
		return -errno;

	self->vcpu_fds[self->nr_vcpus++] = fd;
	return 0;
}

/* KVM_CREATE_VCPU without a free file descriptor, the last step that can fail. */
static int create_vcpu_without_fd(FIXTURE_DATA(vcpu_index) *self, u32 id)
{
	struct rlimit old, limit;
	int fd, r;

	TEST_ASSERT(!getrlimit(RLIMIT_NOFILE, &old), "getrlimit: %s", strerror(errno));

	fd = kvm_dup(self->vm->fd);
	kvm_close(fd);

	/* The lowest free descriptor is just beyond the limit. */
	limit.rlim_cur = fd;
	limit.rlim_max = old.rlim_max;
	TEST_ASSERT(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit: %s", strerror(errno));

	r = create_vcpu(self, id);

	TEST_ASSERT(!setrlimit(RLIMIT_NOFILE, &old), "setrlimit: %s", strerror(errno));
	return r;
}

/* All that this process has done with vCPUs of the given ID since the last look. */
static void read_events(struct __test_metadata *_metadata,
			FIXTURE_DATA(vcpu_index) *self, u32 id, struct events *ev)
{
	char buf[4096], what[16], *line, *save;
	int tgid, tid, ev_id, idx, i;
	unsigned long lost;
	ssize_t r;

	memset(ev, 0, sizeof(*ev));

	for (;;) {
		r = kvm_lifecycle_read(self->rec, buf, sizeof(buf));
		ASSERT_LE(0, r)
			TH_LOG("read vcpu_index: %s", strerror(-r));
		if (!r)
			break;

		for (line = strtok_r(buf, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			ASSERT_NE(1, sscanf(line, "lost %lu", &lost))
				TH_LOG("%lu events were lost", lost);
			ASSERT_EQ(5, sscanf(line, "%15s %d %d %d %d", what, &tgid, &tid,
					    &ev_id, &idx))
				TH_LOG("vcpu_index: '%s'", line);
			if (tgid != getpid() || (u32)ev_id != id)
				continue;

			for (i = 0; i < NR_EVENT_TYPES; i++) {
				if (strcmp(what, event_names[i]))
					continue;
				ev->nr[i]++;
				ev->idx[i] = idx;
			}
		}
	}
}

/* A creation that must work and get the given index. */
static void expect_created(struct __test_metadata *_metadata,
			   FIXTURE_DATA(vcpu_index) *self, u32 id, int idx)
{
	struct events ev;
	int r;

	r = create_vcpu(self, id);
	ASSERT_EQ(0, r)
		TH_LOG("creation of vCPU %u: %s", id, strerror(-r));

	read_events(_metadata, self, id, &ev);
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
 * What a creation that failed may have shown: the index is -1 whenever it is
 * looked at, and the vCPU was never announced.  Returns true if the creation
 * got beyond kvm_arch_vcpu_create() and was taken back.
 */
static bool expect_unwound(struct __test_metadata *_metadata,
			   FIXTURE_DATA(vcpu_index) *self, u32 id, const char *how)
{
	struct events ev;

	read_events(_metadata, self, id, &ev);

	if (ev.nr[EV_CREATE]) {
		EXPECT_EQ(NO_INDEX, ev.idx[EV_CREATE])
			TH_LOG("%s: wanted index -1 in kvm_arch_vcpu_create(), got %d",
			       how, ev.idx[EV_CREATE]);
	}
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
	struct events ev;
	int i;

	for (i = 0; i < 2; i++)
		expect_created(_metadata, self, VCPU_ID(i), i);

	while (self->nr_vcpus)
		kvm_close(self->vcpu_fds[--self->nr_vcpus]);
	kvm_vm_free(self->vm);
	self->vm = NULL;

	/* A vCPU that was reachable keeps its index to its end. */
	i = 1;
	read_events(_metadata, self, VCPU_ID(i), &ev);
	EXPECT_EQ(1, ev.nr[EV_DESTROY]);
	EXPECT_EQ(i, ev.idx[EV_DESTROY])
		TH_LOG("vCPU%d: index %d in kvm_arch_vcpu_destroy()", i, ev.idx[EV_DESTROY]);
}

/* No file descriptor for the first vCPU, and for the second one. */
TEST_F_TIMEOUT(vcpu_index, fd_failure, SUBTEST_TIMEOUT_S)
{
	int i, r;

	for (i = 0; i < 2; i++) {
		r = create_vcpu_without_fd(self, VCPU_ID(i));
		ASSERT_EQ(-EMFILE, r);
		EXPECT_TRUE(expect_unwound(_metadata, self, VCPU_ID(i), "EMFILE"));

		expect_created(_metadata, self, VCPU_ID(i), i);
	}
}

/* An ID that is in use, where that is found only after the vCPU was built. */
TEST_F_TIMEOUT(vcpu_index, duplicate_id, SUBTEST_TIMEOUT_S)
{
	bool built;
	int i, r;

	for (i = 0; i < 2; i++) {
		expect_created(_metadata, self, VCPU_ID(i), i);

		r = create_vcpu(self, VCPU_ID(i));
		ASSERT_EQ(-EEXIST, r);
		built = expect_unwound(_metadata, self, VCPU_ID(i), "EEXIST");
	}

	expect_created(_metadata, self, VCPU_ID(i), i);

	if (!built && !_metadata->exit_code)
		SKIP(return, "KVM refuses a duplicate ID before it builds the vCPU");
}

/*
 * The array can't take the vCPU.  Index 0 needs no memory, index 1 needs the
 * array's first node, and index 64 the next one.
 */
TEST_F_TIMEOUT(vcpu_index, array_failure, SUBTEST_TIMEOUT_S)
{
	static const int indices[] = { 1, XA_SECOND_LEVEL };
	const char *missing;
	struct events ev;
	int i, r, armed;

	if (kvm_check_cap(KVM_CAP_MAX_VCPUS) <= XA_SECOND_LEVEL)
		SKIP(return, "KVM supports %d vCPUs, not more than %d",
		     kvm_check_cap(KVM_CAP_MAX_VCPUS), XA_SECOND_LEVEL);

	missing = fault_injection_begin(&self->fi);
	if (missing)
		SKIP(return, "%s", missing);

	for (i = 0; i < (int)ARRAY_SIZE(indices); i++) {
		u32 id = VCPU_ID(indices[i]);

		while (self->nr_vcpus < indices[i])
			ASSERT_EQ(0, create_vcpu(self, VCPU_ID(self->nr_vcpus)));
		read_events(_metadata, self, id, &ev);

		armed = fault_arm_cache(&self->fi, "radix_tree_node");
		r = create_vcpu(self, id);
		fault_disarm_cache(&self->fi);
		if (armed)
			SKIP(return, "can't make one slab cache fail: %s", strerror(-armed));

		ASSERT_EQ(-ENOMEM, r)
			TH_LOG("index %d: wanted ENOMEM (the array), got %s",
			       indices[i], strerror(-r));
		EXPECT_TRUE(expect_unwound(_metadata, self, id, "ENOMEM from xa_insert()"));

		expect_created(_metadata, self, id, indices[i]);
	}
}

/*
 * Fail the first allocation of a creation, then the second, and so on until a
 * creation has no allocation left that fails.  Returns how many failed after
 * kvm_arch_vcpu_create() had succeeded.
 */
static int fail_each_allocation(struct __test_metadata *_metadata,
				FIXTURE_DATA(vcpu_index) *self)
{
	int max_vcpus = min_t(int, kvm_check_cap(KVM_CAP_MAX_VCPUS), KVM_MAX_VCPUS);
	unsigned int nth, nr_failures = 0, nr_unwound = 0;
	struct events ev;
	bool failed;
	char how[64];
	int r;

	for (nth = 1; nth < MAX_NTH; nth++) {
		u32 id = VCPU_ID(self->nr_vcpus);

		ASSERT_LT(self->nr_vcpus, max_vcpus);
		ASSERT_EQ(0, fault_arm(&self->fi, nth));
		r = create_vcpu(self, id);
		failed = fault_disarm(&self->fi);

		if (!r) {
			/* Nothing failed, or something that can be done without. */
			read_events(_metadata, self, id, &ev);
			EXPECT_EQ(NO_INDEX, ev.idx[EV_CREATE]);
			EXPECT_EQ(self->nr_vcpus - 1, ev.idx[EV_POSTCREATE]);
			if (!failed)
				break;
			continue;
		}

		nr_failures++;
		ASSERT_TRUE(failed)
			TH_LOG("no allocation failed, but the creation did: %s", strerror(-r));
		snprintf(how, sizeof(how), "allocation %u failed (%s)", nth, strerror(-r));
		if (expect_unwound(_metadata, self, id, how))
			nr_unwound++;

		/* One of these is enough to read. */
		if (_metadata->exit_code)
			break;
	}

	ASSERT_LT(nth, MAX_NTH);
	if (!_metadata->exit_code)
		EXPECT_LT(0, nr_failures);

	/* Whatever failed, the next creation works. */
	expect_created(_metadata, self, VCPU_ID(self->nr_vcpus), self->nr_vcpus);

	return nr_unwound;
}

TEST_F_TIMEOUT(vcpu_index, allocation_failures, SUBTEST_TIMEOUT_S)
{
	const char *missing;

	/* Index 0 differs from the others, it needs no memory in the array. */
	expect_created(_metadata, self, VCPU_ID(0), 0);

	missing = fault_injection_begin(&self->fi);
	if (missing)
		SKIP(return, "%s", missing);

	fail_each_allocation(_metadata, self);
}

/* The dirty ring is allocated after the vCPU was built. */
TEST_F_TIMEOUT(vcpu_index, dirty_ring_failure, SUBTEST_TIMEOUT_S)
{
	u32 size = DIRTY_RING_ENTRIES * sizeof(struct kvm_dirty_gfn);
	int nr_without, nr_with;
	const char *missing;

	if (!kvm_has_cap(KVM_CAP_DIRTY_LOG_RING) &&
	    !kvm_has_cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL))
		SKIP(return, "KVM has no dirty ring");

	missing = fault_injection_begin(&self->fi);
	if (missing)
		SKIP(return, "%s", missing);

	expect_created(_metadata, self, VCPU_ID(0), 0);
	nr_without = fail_each_allocation(_metadata, self);
	if (_metadata->exit_code)
		return;

	while (self->nr_vcpus)
		kvm_close(self->vcpu_fds[--self->nr_vcpus]);
	kvm_vm_free(self->vm);
	self->vm = create_vm(variant);
	vm_enable_dirty_ring(self->vm, size);

	expect_created(_metadata, self, VCPU_ID(0), 0);
	nr_with = fail_each_allocation(_metadata, self);
	if (_metadata->exit_code)
		return;

	/* The ring's own allocations were among those that failed. */
	EXPECT_LT(nr_without, nr_with);
}

/* kvm_get_vcpu() has no vCPU for an index that no vCPU has. */
FIXTURE(get_vcpu) {
	struct kvm_vm *vm;
	int vcpu_fds[2];
	int get;
	int kmsg;
};

FIXTURE_SETUP(get_vcpu)
{
	const char *missing = kvm_lifecycle_missing("get_vcpu");
	int i;

	self->vm = NULL;
	self->get = -1;
	self->kmsg = -1;

	if (missing)
		SKIP(return, "%s", missing);

	self->get = __kvm_lifecycle_open("get_vcpu");
	ASSERT_LE(0, self->get)
		TH_LOG("open get_vcpu: %s", strerror(-self->get));

	self->kmsg = kmsg_open();
	if (self->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-self->kmsg));

	self->vm = vm_create_barebones();
	for (i = 0; i < (int)ARRAY_SIZE(self->vcpu_fds); i++) {
		self->vcpu_fds[i] = __vm_ioctl(self->vm, KVM_CREATE_VCPU,
					       (void *)(unsigned long)VCPU_ID(i));
		ASSERT_LE(0, self->vcpu_fds[i]);
	}
}

FIXTURE_TEARDOWN(get_vcpu)
{
	int i;

	if (self->vm) {
		for (i = 0; i < (int)ARRAY_SIZE(self->vcpu_fds); i++)
			kvm_close(self->vcpu_fds[i]);
		kvm_vm_free(self->vm);
	}
	if (self->get >= 0)
		close(self->get);
	if (self->kmsg >= 0) {
		EXPECT_NO_SPLAT(self->kmsg);
		close(self->kmsg);
	}
}

static void expect_get_vcpu(struct __test_metadata *_metadata,
			    FIXTURE_DATA(get_vcpu) *self, int idx, const char *want)
{
	char got[32];
	ssize_t r;

	ASSERT_EQ(0, __kvm_lifecycle_write(self->get, "%d %d", self->vm->fd, idx));

	r = kvm_lifecycle_read(self->get, got, sizeof(got));
	ASSERT_LT(0, r);
	got[strcspn(got, "\n")] = '\0';

	EXPECT_STREQ(want, got)
		TH_LOG("kvm_get_vcpu(kvm, %d): wanted vCPU %s, got %s", idx, want, got);
}

TEST_F(get_vcpu, online_index)
{
	char want[16];
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(self->vcpu_fds); i++) {
		snprintf(want, sizeof(want), "%d", VCPU_ID(i));
		expect_get_vcpu(_metadata, self, i, want);
	}
}

TEST_F(get_vcpu, index_beyond_online)
{
	int nr = ARRAY_SIZE(self->vcpu_fds);

	expect_get_vcpu(_metadata, self, nr, "none");
	expect_get_vcpu(_metadata, self, nr + 1, "none");
	expect_get_vcpu(_metadata, self, INT_MAX, "none");
}

TEST_F(get_vcpu, negative_index)
{
	expect_get_vcpu(_metadata, self, -1, "none");
	expect_get_vcpu(_metadata, self, -2, "none");
	expect_get_vcpu(_metadata, self, INT_MIN, "none");
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(!access(KVM_DEV_PATH, R_OK | W_OK));

	return test_harness_run(argc, argv);
}
