// SPDX-License-Identifier: GPL-2.0-only
/*
 * The registration of an I/O device doesn't start a grace period that nobody waits
 * for: a change of memslots right after it would wait until that is over, as does the
 * first KVM_CREATE_VCPU where KVM makes a slot for the APIC's page.  What isn't freed
 * for that reason is limited.
 */
#include <string.h>

#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#include "kvm_lifecycle_harness.h"
#ifdef __aarch64__
#include "vgic.h"
#endif

/* Anything that is waited for happens far sooner, or never. */
#define WAIT_S		10

#define MMIO_GPA	0x40000000ull
#define MMIO_SIZE	8

/*
 * The buses that were replaced by the first 74 devices have more than 64 KiB, those of the
 * next 31 again.  These numbers are not near: one is above the first, the others add up to
 * more than it, and the last ones alone have less than 64 KiB.
 */
#define NR_MANY		90
#define NR_FEW		60
#define NR_AFTER	30

#define SLOT_GPA	0x10000
#define SLOT		1

struct bus_test {
	struct kvm_vm *vm;
	int eventfd;
	int pause;
	int kmsg;
};

static int do_ioeventfd(struct bus_test *t, u64 nr, u32 flags)
{
	struct kvm_ioeventfd arg = {
		.addr = MMIO_GPA + nr * MMIO_SIZE,
		.len = MMIO_SIZE,
		.fd = t->eventfd,
		.flags = flags,
	};

	return __vm_ioctl(t->vm, KVM_IOEVENTFD, &arg) ? -errno : 0;
}

static int register_ioeventfd(void *arg, u64 nr)
{
	return do_ioeventfd(arg, nr, 0);
}

static int register_zone(void *arg, u64 nr)
{
	struct kvm_coalesced_mmio_zone zone = {
		.addr = MMIO_GPA + nr * MMIO_SIZE,
		.size = MMIO_SIZE,
	};
	struct bus_test *t = arg;

	return __vm_ioctl(t->vm, KVM_REGISTER_COALESCED_MMIO, &zone) ? -errno : 0;
}

#if defined(__x86_64__)
static bool has_irqchip(struct kvm_vm *vm)
{
	return kvm_has_cap(KVM_CAP_IRQCHIP);
}

static int register_irqchip(void *arg, u64 unused)
{
	struct kvm_pit_config pit = {};
	struct bus_test *t = arg;

	if (__vm_ioctl(t->vm, KVM_CREATE_IRQCHIP, NULL))
		return -errno;
	return __vm_ioctl(t->vm, KVM_CREATE_PIT2, &pit) ? -errno : 0;
}
#elif defined(__aarch64__)
static bool has_irqchip(struct kvm_vm *vm)
{
	return !__kvm_test_create_device(vm, KVM_DEV_TYPE_ARM_VGIC_V3);
}

/* The redistributors of two vCPUs. */
static int register_irqchip(void *arg, u64 unused)
{
	u64 redist = MMIO_GPA;
	struct bus_test *t = arg;
	int gic, r;

	__vm_vcpu_add(t->vm, 0);
	gic = __kvm_create_device(t->vm, KVM_DEV_TYPE_ARM_VGIC_V3);
	if (gic < 0)
		return -errno;
	r = __kvm_device_attr_set(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST,
				  &redist) ? -errno : 0;
	if (!r)
		__vm_vcpu_add(t->vm, 1);
	close(gic);
	return r;
}
#endif

FIXTURE(io_bus) {
	struct bus_test t;
};

FIXTURE_SETUP(io_bus)
{
	const char *missing = kvm_lifecycle_missing("pause");
	struct bus_test *t = &self->t;

	if (missing)
		SKIP(return, "%s", missing);

	t->kmsg = kmsg_open();
	t->pause = kvm_lifecycle_open(_metadata, "pause");
	t->vm = vm_create_barebones();
	t->eventfd = kvm_new_eventfd();
}

FIXTURE_TEARDOWN(io_bus)
{
	struct bus_test *t = &self->t;

	if (!t->vm)
		return;

	close(t->eventfd);
	kvm_vm_free(t->vm);
	close(t->pause);
	kmsg_close(_metadata, t->kmsg);
}

/* Has it come to call_srcu()?  @ret is its result. */
static bool starts_grace_period(struct bus_test *t, int (*fn)(void *arg, u64 nr), u64 nr, int *ret)
{
	struct racer r = { .fn = fn, .arg = t, .val = nr };
	bool hit;

	racer_start(&r, -1);
	hit = racer_go_to(&r, t->pause, "call_srcu", WAIT_S);
	__kvm_lifecycle_write(t->pause, "release");
	*ret = racer_join(&r);
	return hit;
}

static void expect_no_grace_period(struct __test_metadata *_metadata, struct bus_test *t,
				   const char *name, int (*fn)(void *arg, u64 nr), int times)
{
	int nr, ret;

	for (nr = 0; nr < times; nr++) {
		EXPECT_FALSE(starts_grace_period(t, fn, nr, &ret))
			TH_LOG("%s: want no grace period to be started, one was", name);
		ASSERT_EQ(0, ret)
			TH_LOG("%s: %s", name, strerror(-ret));
	}
}

TEST_F(io_bus, ioeventfd)
{
	expect_no_grace_period(_metadata, &self->t, "KVM_IOEVENTFD", register_ioeventfd, 2);
}

TEST_F(io_bus, coalesced_zone)
{
	expect_no_grace_period(_metadata, &self->t, "KVM_REGISTER_COALESCED_MMIO", register_zone,
			       2);
}

TEST_F(io_bus, irqchip)
{
	if (!has_irqchip(self->t.vm))
		SKIP(return, "KVM has no such irqchip here");

	expect_no_grace_period(_metadata, &self->t, "the irqchip", register_irqchip, 1);
}

/* Register ioeventfds from @first to @end - 1.  Returns the number of grace periods. */
static int register_many(struct __test_metadata *_metadata, struct bus_test *t, int first, int end)
{
	int nr, ret, hits = 0;

	for (nr = first; nr < end; nr++) {
		hits += starts_grace_period(t, register_ioeventfd, nr, &ret);
		EXPECT_EQ(0, ret)
			TH_LOG("KVM_IOEVENTFD, number %d: %s", nr, strerror(-ret));
	}
	return hits;
}

/* What waits to be freed is limited. */
TEST_F(io_bus, many_devices)
{
	int hits = register_many(_metadata, &self->t, 0, NR_MANY);

	EXPECT_EQ(1, hits)
		TH_LOG("%d devices: want one grace period to be started, got %d", NR_MANY, hits);
}

/* It is freed when somebody waits for a grace period. */
static void expect_freed(struct __test_metadata *_metadata, struct bus_test *t, const char *by,
			 int first)
{
	int hits = register_many(_metadata, t, first, first + NR_AFTER);

	EXPECT_EQ(0, hits)
		TH_LOG("after %s: want no grace period to be started, got %d", by, hits);
}

TEST_F(io_bus, freed_by_memslot)
{
	struct bus_test *t = &self->t;

	register_many(_metadata, t, 0, NR_FEW);
	vm_userspace_mem_region_add(t->vm, VM_MEM_SRC_ANONYMOUS, SLOT_GPA, SLOT, 1, 0);
	expect_freed(_metadata, t, "a new memslot", NR_FEW);
}

TEST_F(io_bus, freed_by_unregistration)
{
	struct bus_test *t = &self->t;
	int ret;

	register_many(_metadata, t, 0, NR_FEW);
	ret = do_ioeventfd(t, 0, KVM_IOEVENTFD_FLAG_DEASSIGN);
	ASSERT_EQ(0, ret)
		TH_LOG("KVM_IOEVENTFD, deassign: %s", strerror(-ret));
	expect_freed(_metadata, t, "an unregistration", NR_FEW);
}

TEST_HARNESS_MAIN
