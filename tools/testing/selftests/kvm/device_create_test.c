// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device of which userspace gets no file descriptor doesn't exist: when
 * KVM_CREATE_DEVICE has failed, it has used up no descriptor, and the same call
 * succeeds as soon as the cause of the failure is gone.
 *
 * The devices are those of which a VM can have only one.
 */
#include <string.h>

#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#include "kvm_lifecycle_harness.h"

struct device_test {
	struct kvm_vm *vm;
	struct kvm_create_device *arg;	/* has a page to itself */
	int next_fd;
	int kmsg;
};

FIXTURE(device) {
	struct device_test t;
};

FIXTURE_VARIANT(device) {
	u32 type;
	int second;			/* the error of a second one */
};

FIXTURE_VARIANT_ADD(device, vfio) {
	.type = KVM_DEV_TYPE_VFIO,
	.second = -EBUSY,
};

#ifdef __aarch64__
FIXTURE_VARIANT_ADD(device, vgic_v3) {
	.type = KVM_DEV_TYPE_ARM_VGIC_V3,
	.second = -EEXIST,
};
#endif

FIXTURE_SETUP(device)
{
	struct device_test *t = &self->t;

	t->kmsg = kmsg_open();
	t->vm = vm_create_barebones();
	t->arg = kvm_mmap(getpagesize(), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1);
	t->arg->type = variant->type;
	t->next_fd = next_fd(t->vm);
	if (__kvm_test_create_device(t->vm, variant->type))
		SKIP(return, "KVM has no such device: %s", strerror(errno));
}

FIXTURE_TEARDOWN(device)
{
	struct device_test *t = &self->t;

	kvm_munmap(t->arg, getpagesize());
	kvm_vm_free(t->vm);
	kmsg_close(_metadata, t->kmsg);
}

/* Returns the descriptor, or -errno. */
static int create_device(struct device_test *t)
{
	return __vm_ioctl(t->vm, KVM_CREATE_DEVICE, t->arg) ? -errno : (int)t->arg->fd;
}

static void protect_argument(struct device_test *t, int prot)
{
	TEST_ASSERT(!mprotect(t->arg, getpagesize(), prot), "mprotect: %s", strerror(errno));
}

/* A creation has returned @r. */
static void expect_failure(struct __test_metadata *_metadata, struct device_test *t,
			   const char *how, int want, int r)
{
	int fd = next_fd(t->vm);

	EXPECT_EQ(want, r)
		TH_LOG("KVM_CREATE_DEVICE, %s: want %s, got %s", how, ret_name(want),
		       ret_name(r));
	EXPECT_EQ(t->next_fd, fd)
		TH_LOG("KVM_CREATE_DEVICE, %s: want %d to be the next descriptor, got %d", how,
		       t->next_fd, fd);
}

/* The same call succeeds, and its descriptor is that of a device. */
static int expect_success(struct __test_metadata *_metadata, struct device_test *t,
			  const char *how)
{
	struct kvm_device_attr attr = { .group = ~0 };
	int fd = create_device(t), r;

	ASSERT_LE(0, fd)
		TH_LOG("KVM_CREATE_DEVICE, %s, then the same again: want a descriptor, got %s",
		       how, ret_name(fd));
	r = ioctl(fd, KVM_HAS_DEVICE_ATTR, &attr) ? -errno : 0;
	EXPECT_EQ(-ENXIO, r)
		TH_LOG("KVM_HAS_DEVICE_ATTR: want %s, got %s", ret_name(-ENXIO), ret_name(r));
	return fd;
}

TEST_F(device, read_only_argument)
{
	struct device_test *t = &self->t;
	static const char how[] = "read-only argument";
	int r;

	protect_argument(t, PROT_READ);
	r = create_device(t);
	protect_argument(t, PROT_READ | PROT_WRITE);

	expect_failure(_metadata, t, how, -EFAULT, r);
	close(expect_success(_metadata, t, how));
}

TEST_F(device, no_file_descriptor)
{
	struct device_test *t = &self->t;
	static const char how[] = "no descriptor";
	struct rlimit old = exhaust_fds(t->vm);
	int r = create_device(t);

	restore_fds(&old);
	expect_failure(_metadata, t, how, -EMFILE, r);
	close(expect_success(_metadata, t, how));
}

TEST_F(device, second)
{
	struct device_test *t = &self->t;
	int fd = expect_success(_metadata, t, "first");

	t->next_fd = next_fd(t->vm);
	expect_failure(_metadata, t, "second", variant->second, create_device(t));
	close(fd);
}

TEST_F(device, test_only)
{
	struct device_test *t = &self->t;
	int fd;

	t->arg->flags = KVM_CREATE_DEVICE_TEST;
	protect_argument(t, PROT_READ);
	EXPECT_EQ(0, create_device(t))
		TH_LOG("KVM_CREATE_DEVICE_TEST, read-only argument: want 0, got %s",
		       strerror(errno));
	protect_argument(t, PROT_READ | PROT_WRITE);
	fd = next_fd(t->vm);
	EXPECT_EQ(t->next_fd, fd);
	t->arg->flags = 0;
	close(expect_success(_metadata, t, "test"));
}

TEST_HARNESS_MAIN
