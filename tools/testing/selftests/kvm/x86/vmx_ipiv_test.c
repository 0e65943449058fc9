// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's entry in VMX's PID-pointer table, from its creation to its end.
 *
 * With IPI virtualization the processor finds the posted-interrupt descriptor of an IPI's
 * target in that table.  The descriptor is initialized before the entry is valid, and the
 * entry is cleared before the descriptor is freed.  kvm_lifecycle has KVM fill the table on
 * a processor without IPI virtualization, too.
 */
#include <string.h>

#include <sys/resource.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#include "processor.h"
#include "kvm_lifecycle_harness.h"

#define NR_VCPUS	4

#define PID_TABLE_ENTRY_VALID	BIT_ULL(0)

/* KVM's vector, and the bits of a descriptor behind its 256 bits for interrupts. */
#define POSTED_INTR_VECTOR	0xf2
#define PI_SN			BIT_ULL(1)
#define PI_NV(control)		((control) >> 16 & 0xff)

FIXTURE(ipiv) {
	struct kvm_vm *vm;
	int file;
	int kmsg;
};

FIXTURE_SETUP(ipiv)
{
	const char *missing = kvm_lifecycle_missing("ipiv");

	if (missing)
		SKIP(return, "%s", missing);
	self->kmsg = kmsg_open();
	self->file = kvm_lifecycle_open(_metadata, "ipiv");
	self->vm = vm_create_raw(true);
}

FIXTURE_TEARDOWN(ipiv)
{
	if (self->vm)
		kvm_vm_free(self->vm);
	close(self->file);
	kmsg_close(_metadata, self->kmsg);
}

/* Does the file have a line on @what of vCPU @id?  Then its numbers. */
static bool find_event(int file, const char *what, u32 id, u64 *entry, u64 *control)
{
	char buf[8192], start[32], *line;
	ssize_t len;

	len = kvm_lifecycle_read(file, buf, sizeof(buf) - 1);
	TEST_ASSERT(len > 0, "read of ipiv: %s", ret_name(len));
	buf[len] = '\0';
	snprintf(start, sizeof(start), "\n%s %u ", what, id);
	line = strstr(buf, start);
	return line && sscanf(line + strlen(start), "entry 0x%lx control 0x%lx",
			      entry, control) == 2;
}

static void create_vcpus(struct __test_metadata *_metadata, struct kvm_vm *vm, int *fd)
{
	int id;

	for (id = 0; id < NR_VCPUS; id++) {
		fd[id] = __vcpu_fd_create(vm, id);
		ASSERT_LE(0, fd[id])
			TH_LOG("KVM_CREATE_VCPU(%d): %s", id, ret_name(fd[id]));
	}
}

/* Another vCPU can send an IPI as soon as the entry is valid. */
TEST_F(ipiv, descriptor_first)
{
	int fd[NR_VCPUS], id;
	u64 entry, control;

	create_vcpus(_metadata, self->vm, fd);
	for (id = 0; id < NR_VCPUS; id++) {
		ASSERT_TRUE(find_event(self->file, "created", id, &entry, &control))
			TH_LOG("vCPU %d: want its creation to be seen", id);
		EXPECT_TRUE(entry & PID_TABLE_ENTRY_VALID)
			TH_LOG("vCPU %d: want a valid entry, got 0x%lx", id, entry);
		EXPECT_EQ(POSTED_INTR_VECTOR, PI_NV(control))
			TH_LOG("vCPU %d is in the table: want vector 0x%x, got 0x%lx", id,
			       POSTED_INTR_VECTOR, PI_NV(control));
		EXPECT_TRUE(control & PI_SN)
			TH_LOG("vCPU %d is in the table: want no notification yet", id);
		close(fd[id]);
	}
}

/* A creation that fails after the entry was written, for want of a descriptor. */
TEST_F(ipiv, cleared_when_creation_fails)
{
	int fd[NR_VCPUS], r;
	struct rlimit old;
	u64 entry, control;

	create_vcpus(_metadata, self->vm, fd);
	old = exhaust_fds(self->vm);
	r = __vcpu_fd_create(self->vm, NR_VCPUS);
	restore_fds(&old);
	ASSERT_EQ(-EMFILE, r)
		TH_LOG("KVM_CREATE_VCPU: want %s, got %s", ret_name(-EMFILE), ret_name(r));

	ASSERT_TRUE(find_event(self->file, "created", NR_VCPUS, &entry, &control))
		TH_LOG("want the vCPU to be built before its creation fails");
	ASSERT_TRUE(entry & PID_TABLE_ENTRY_VALID);
	ASSERT_TRUE(find_event(self->file, "freed", NR_VCPUS, &entry, &control))
		TH_LOG("want the vCPU to be freed");
	EXPECT_EQ(0, entry)
		TH_LOG("vCPU %d is gone: want no entry, got 0x%lx", NR_VCPUS, entry);
	for (r = 0; r < NR_VCPUS; r++)
		close(fd[r]);
}

/* Each entry is cleared with its vCPU. */
TEST_F(ipiv, cleared_with_vm)
{
	int fd[NR_VCPUS], id;
	u64 entry, control;

	create_vcpus(_metadata, self->vm, fd);
	for (id = 0; id < NR_VCPUS; id++)
		close(fd[id]);
	kvm_vm_free(self->vm);
	self->vm = NULL;
	for (id = 0; id < NR_VCPUS; id++) {
		ASSERT_TRUE(find_event(self->file, "freed", id, &entry, &control))
			TH_LOG("vCPU %d: want its end to be seen", id);
		EXPECT_EQ(0, entry)
			TH_LOG("vCPU %d is gone: want no entry, got 0x%lx", id, entry);
	}
}

TEST_HARNESS_MAIN
