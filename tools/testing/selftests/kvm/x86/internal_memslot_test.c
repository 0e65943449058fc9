// SPDX-License-Identifier: GPL-2.0-only
/*
 * A KVM_CREATE_VCPU that fails doesn't leave the page at which guests see the APIC.
 *
 * KVM maps that page in the caller's memory, and makes memslots of it, one in each
 * address space of the VM.  A memslot of the user's in the same place, or an
 * allocation that fails, keeps it from doing so.  After that the caller's mappings
 * and the VM's memslots are as before, and the creation succeeds as soon as the cause
 * of its failure is gone.
 */
#include <string.h>

#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#include "processor.h"
#include "apic.h"
#include "kvm_lifecycle_harness.h"

/* Emulated hosts with all of the kernel's debugging need most of it. */
#define SUBTEST_TIMEOUT_S	240

/* Far more allocations than KVM_CREATE_VCPU takes. */
#define MAX_NTH			2000

#define NR_ATTEMPTS		10

#define USER_SLOT		1

/* The address space of system management mode. */
#define AS_SMM			1

#define NO_AS			(-1)

struct memslot_test {
	struct kvm_vm *vm;
	int nr_as;
	void *mem;
	int mappings;
	/* Each allocation fails from one of KVM_CREATE_VCPU's on. */
	bool out_of_memory;
	int kmsg;
};

FIXTURE(memslot) {
	struct memslot_test t;
};

/* With a memslot of the user's alone. */
FIXTURE(user_memslot) {
	struct memslot_test t;
};

/* Shared anonymous mappings, as KVM makes them, and nobody else here. */
static int count_mappings(void)
{
	char line[512];
	int nr = 0;
	FILE *f;

	f = fopen("/proc/self/maps", "re");
	TEST_ASSERT(f, "/proc/self/maps: %s", strerror(errno));
	while (fgets(line, sizeof(line), f))
		nr += !!strstr(line, "/dev/zero");
	fclose(f);
	return nr;
}

/* The user's memslot, of @size, where KVM wants to have its own.  Returns 0 or -errno. */
static int set_user_slot(struct memslot_test *t, int as_id, u64 size)
{
	struct kvm_userspace_memory_region region = {
		.slot = as_id << 16 | USER_SLOT,
		.guest_phys_addr = APIC_DEFAULT_GPA,
		.memory_size = size,
		.userspace_addr = (uintptr_t)t->mem,
	};

	return __vm_ioctl(t->vm, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

static void create_vm(struct memslot_test *t)
{
	t->vm = vm_create_raw(true);
	t->mappings = count_mappings();
}

static void free_vm(struct memslot_test *t)
{
	kvm_vm_free(t->vm);
	t->vm = NULL;
}

static void set_up(struct memslot_test *t)
{
	t->kmsg = kmsg_open();
	t->mem = kvm_mmap(getpagesize(), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1);
	create_vm(t);
}

static void tear_down(struct __test_metadata *_metadata, struct memslot_test *t)
{
	if (t->vm)
		free_vm(t);
	kvm_munmap(t->mem, getpagesize());
	kmsg_close(_metadata, t->kmsg);
}

FIXTURE_SETUP(memslot)
{
	struct memslot_test *t = &self->t;
	int fd;

	set_up(t);
	t->nr_as = vm_check_cap(t->vm, KVM_CAP_MULTI_ADDRESS_SPACE) ?: 1;
	TEST_ASSERT_EQ(set_user_slot(t, 0, getpagesize()), 0);
	fd = __vcpu_fd_create(t->vm, 0);
	if (fd >= 0)
		close(fd);
	free_vm(t);
	if (fd >= 0)
		SKIP(return, "KVM makes no page for the APIC: AVIC and its like are off");
	TEST_ASSERT(fd == -EEXIST, "KVM_CREATE_VCPU: want %s, got %s", ret_name(-EEXIST),
		    ret_name(fd));
	create_vm(t);
}

FIXTURE_TEARDOWN(memslot)
{
	tear_down(_metadata, &self->t);
}

FIXTURE_SETUP(user_memslot)
{
	set_up(&self->t);
}

FIXTURE_TEARDOWN(user_memslot)
{
	tear_down(_metadata, &self->t);
}

/*
 * KVM_CREATE_VCPU has left nothing, where the address space @except has a memslot of the
 * user's.  Without one, i.e. if an allocation has failed, it may have been a later one:
 * the page isn't the vCPU's but the VM's, and may be there as a whole.
 */
static void expect_undone(struct __test_metadata *_metadata, struct memslot_test *t,
			  const char *how, int except)
{
	int as_id, r, nr_slots = 0, nr = count_mappings() - t->mappings;
	bool nothing, all;

	for (as_id = 0; as_id < t->nr_as; as_id++) {
		if (as_id == except)
			continue;
		r = set_user_slot(t, as_id, getpagesize());
		if (r) {
			nr_slots++;
			continue;
		}
		TEST_ASSERT_EQ(set_user_slot(t, as_id, 0), 0);
	}

	/* munmap() takes memory as well, and KVM can't do anything about that. */
	if (t->out_of_memory && nr == 1 && !nr_slots) {
		t->mappings++;
		nr = 0;
	}

	nothing = !nr && !nr_slots;
	all = nr == 1 && nr_slots == t->nr_as;
	EXPECT_TRUE(nothing || (all && except == NO_AS))
		TH_LOG("%s: want %s of the APIC's page, got %d mappings and %d memslots", how,
		       except == NO_AS ? "all or nothing" : "nothing", nr, nr_slots);
}

static void expect_success(struct __test_metadata *_metadata, struct memslot_test *t,
			   const char *how)
{
	int fd = __vcpu_fd_create(t->vm, 0), nr = count_mappings();

	EXPECT_LE(0, fd)
		TH_LOG("%s, then the same again: want a vCPU, got %s", how, ret_name(fd));
	if (fd < 0)
		return;
	EXPECT_EQ(t->mappings + 1, nr)
		TH_LOG("%s, then the same again: want %d shared anonymous mappings, got %d", how,
		       t->mappings + 1, nr);
	close(fd);
}

static void fail_by_user_slot(struct __test_metadata *_metadata, struct memslot_test *t,
			      int as_id)
{
	char how[64];
	int i, r;

	snprintf(how, sizeof(how), "a user's memslot in address space %d", as_id);
	TEST_ASSERT_EQ(set_user_slot(t, as_id, getpagesize()), 0);
	for (i = 0; i < NR_ATTEMPTS; i++) {
		r = __vcpu_fd_create(t->vm, 0);
		ASSERT_EQ(-EEXIST, r)
			TH_LOG("%s: want %s, got %s", how, ret_name(-EEXIST), ret_name(r));
	}
	expect_undone(_metadata, t, how, as_id);
	TEST_ASSERT_EQ(set_user_slot(t, as_id, 0), 0);
	expect_success(_metadata, t, how);
}

TEST_F(memslot, user_slot)
{
	fail_by_user_slot(_metadata, &self->t, 0);
}

TEST_F(memslot, user_slot_of_smm)
{
	struct memslot_test *t = &self->t;

	if (t->nr_as <= AS_SMM)
		SKIP(return, "KVM has no address space of system management mode");
	fail_by_user_slot(_metadata, t, AS_SMM);
}

/* Each allocation of KVM_CREATE_VCPU fails, alone, or with each one after it. */
static void fail_allocations(struct __test_metadata *_metadata, struct memslot_test *t,
			     bool onwards)
{
	struct fault_injection fi;
	const char *missing;
	bool failed = true;
	char how[64];
	int nth, r;

	missing = fault_injection_begin_onwards(&fi);
	if (missing)
		SKIP(return, "%s", missing);

	t->out_of_memory = onwards;
	for (nth = 1; nth < MAX_NTH && failed && !_metadata->exit_code; nth++) {
		r = onwards ? fault_arm_onwards(&fi, nth) : fault_arm(&fi, nth);
		ASSERT_EQ(0, r);
		r = __vcpu_fd_create(t->vm, 0);
		failed = fault_disarm_onwards(&fi);

		snprintf(how, sizeof(how), "allocation %d%s failed, %s", nth,
			 onwards ? " and each later one" : "", ret_name(r));
		if (r < 0) {
			expect_undone(_metadata, t, how, NO_AS);
			expect_success(_metadata, t, how);
		} else {
			close(r);
		}
		free_vm(t);
		create_vm(t);
	}
	fault_injection_end(&fi);
	ASSERT_LT(nth, MAX_NTH);
}

TEST_F_TIMEOUT(memslot, allocation_failures, SUBTEST_TIMEOUT_S)
{
	fail_allocations(_metadata, &self->t, false);
}

TEST_F_TIMEOUT(memslot, out_of_memory, SUBTEST_TIMEOUT_S)
{
	fail_allocations(_metadata, &self->t, true);
}

/* The caller that deletes a memslot may lack memory, and delete it for that reason. */
TEST_F(user_memslot, delete_without_memory)
{
	struct memslot_test *t = &self->t;
	struct fault_injection fi;
	const char *missing;
	int r;

	missing = fault_injection_begin_onwards(&fi);
	if (missing)
		SKIP(return, "%s", missing);

	TEST_ASSERT_EQ(set_user_slot(t, 0, getpagesize()), 0);
	ASSERT_EQ(0, fault_arm_onwards(&fi, 1));
	r = set_user_slot(t, 0, 0);
	fault_disarm_onwards(&fi);
	fault_injection_end(&fi);
	EXPECT_EQ(0, r)
		TH_LOG("deletion of a memslot without memory: want 0, got %s", ret_name(r));
}

TEST_HARNESS_MAIN
