// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vGICv2 that userspace doesn't initialize is initialized by the first KVM_RUN, or
 * the first interrupt.
 *
 *  - Neither can be done while a vCPU is being created.  KVM_RUN is to be tried again,
 *    the interrupt waits.
 *  - A failure does the VM no harm: the next attempt succeeds.
 */
#include <linux/sizes.h>

#include "kselftest_harness.h"
#include "kvm_lifecycle_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"
#include "vgic.h"

#include "gic.h"

#define NR_VCPUS	2
#define SPI		MIN_SPI

/* How long to wait for something that takes milliseconds at worst. */
#define WAIT_S		10

/* How long a thread that should have to wait for another one is watched. */
#define OVERTAKE_MS	50

/* Where a vCPU that is being created has been through kvm_vgic_vcpu_init(). */
#define END_OF_CREATE	"kvm_share_hyp"

static void guest_code(void)
{
	GUEST_DONE();
}

struct v2_vm {
	struct kvm_vm *vm;
	int gic_fd;
	struct kvm_vcpu *vcpu0;
};

/* vCPU0, and a vGICv2 that is configured.  Returns false if KVM has none. */
static bool v2_vm_create(struct v2_vm *v)
{
	v->vm = vm_create(NR_VCPUS);
	if (__kvm_test_create_device(v->vm, KVM_DEV_TYPE_ARM_VGIC_V2)) {
		kvm_vm_free(v->vm);
		return false;
	}

	v->gic_fd = kvm_create_device(v->vm, KVM_DEV_TYPE_ARM_VGIC_V2);
	vgic_set_addr(v->gic_fd, KVM_VGIC_V2_ADDR_TYPE_DIST, GICD_BASE_GPA);
	vgic_set_addr(v->gic_fd, KVM_VGIC_V2_ADDR_TYPE_CPU, GICD_BASE_GPA + SZ_64K);
	v->vcpu0 = vm_vcpu_add(v->vm, 0, guest_code);
	return true;
}

static void v2_vm_destroy(struct v2_vm *v)
{
	close(v->gic_fd);
	kvm_vm_free(v->vm);
}

static int run_vcpu0(struct v2_vm *v)
{
	return _vcpu_run(v->vcpu0) ? -errno : 0;
}

static void expect_run(struct __test_metadata *_metadata, struct v2_vm *v, const char *when)
{
	int r = run_vcpu0(v);

	ASSERT_EQ(0, r)
		TH_LOG("KVM_RUN after %s: want 0, got %s", when, ret_name(r));
	EXPECT_EQ(UCALL_DONE, get_ucall(v->vcpu0, NULL));
}

FIXTURE(during_create)
{
	struct v2_vm v;
	struct racer create;
	int kmsg, pause;
};

/* vCPU1 is being created, and is held where the vGIC can't be initialized. */
FIXTURE_SETUP(during_create)
{
	const char *missing = kvm_lifecycle_missing("pause");
	int cpu = set_cpu_aside();

	if (missing)
		SKIP(return, "%s", missing);
	if (cpu < 0)
		SKIP(return, "one CPU, want two");
	if (!v2_vm_create(&self->v))
		SKIP(return, "KVM has no GICv2");

	self->kmsg = kmsg_open();
	self->pause = kvm_lifecycle_open(_metadata, "pause");
	self->create = (struct racer) { .fn = race_create, .arg = self->v.vm, .val = 1 };
	racer_start(&self->create, cpu);
	ASSERT_TRUE(racer_go_to(&self->create, self->pause, END_OF_CREATE, WAIT_S))
		TH_LOG("want a thread in %s(), got none", END_OF_CREATE);
}

FIXTURE_TEARDOWN(during_create)
{
	v2_vm_destroy(&self->v);
	close(self->pause);
	kmsg_close(_metadata, self->kmsg);
}

/* Returns the result of KVM_CREATE_VCPU, which hasn't got any further until now. */
static int end_create(struct __test_metadata *_metadata, FIXTURE_DATA(during_create) * self)
{
	EXPECT_TRUE(pause_read(self->pause).inside)
		TH_LOG("too slow: want a thread in %s() until it is released, it left",
		       END_OF_CREATE);
	__kvm_lifecycle_write(self->pause, "release");
	return racer_join(&self->create);
}

static void expect_vcpu(struct __test_metadata *_metadata, int fd)
{
	ASSERT_GE(fd, 0)
		TH_LOG("KVM_CREATE_VCPU: want a vCPU, got %s", ret_name(fd));
	close(fd);
}

static void expect_try_again(struct __test_metadata *_metadata, struct v2_vm *v)
{
	int r = run_vcpu0(v);

	EXPECT_EQ(-EAGAIN, r)
		TH_LOG("KVM_RUN during KVM_CREATE_VCPU: want %s, got %s", ret_name(-EAGAIN),
		       ret_name(r));
}

TEST_F(during_create, run)
{
	expect_try_again(_metadata, &self->v);
	expect_vcpu(_metadata, end_create(_metadata, self));
	expect_run(_metadata, &self->v, "KVM_CREATE_VCPU");
}

TEST_F(during_create, run_and_failure)
{
	struct rlimit old;
	int r;

	expect_try_again(_metadata, &self->v);
	old = exhaust_fds(self->v.vm);
	r = end_create(_metadata, self);
	restore_fds(&old);
	ASSERT_EQ(-EMFILE, r)
		TH_LOG("KVM_CREATE_VCPU without a free file descriptor: want %s, got %s",
		       ret_name(-EMFILE), ret_name(r));
	expect_run(_metadata, &self->v, "a failed KVM_CREATE_VCPU");
}

static int race_irq_line(void *vm, u64 irq)
{
	return _kvm_arm_irq_line(vm, irq, 1) ? -errno : 0;
}

TEST_F(during_create, irq_line)
{
	struct racer irq_line = { .fn = race_irq_line, .arg = self->v.vm, .val = SPI };

	racer_start(&irq_line, -1);
	racer_go(&irq_line);
	EXPECT_FALSE(racer_done_within(&irq_line, OVERTAKE_MS))
		TH_LOG("KVM_IRQ_LINE during KVM_CREATE_VCPU: want it to wait, it didn't");
	expect_vcpu(_metadata, end_create(_metadata, self));
	racer_join(&irq_line);
	EXPECT_EQ(0, irq_line.ret)
		TH_LOG("KVM_IRQ_LINE during KVM_CREATE_VCPU: want 0, got %s",
		       ret_name(irq_line.ret));
	expect_run(_metadata, &self->v, "KVM_CREATE_VCPU");
}

/* The first KVM_RUN allocates the SPIs, and then the default routing of each of them. */
static const int allocs[] = { 1, 100 };

/* How many in a row can be those that an allocator does without. */
#define MAX_SPARE	10

FIXTURE(no_memory)
{
	struct fault_injection fi;
	int kmsg;
};

FIXTURE_SETUP(no_memory)
{
	const char *missing = fault_injection_begin(&self->fi);

	if (missing)
		SKIP(return, "%s", missing);
	self->kmsg = kmsg_open();
}

FIXTURE_TEARDOWN(no_memory)
{
	fault_injection_end(&self->fi);
	kmsg_close(_metadata, self->kmsg);
}

TEST_F(no_memory, run)
{
	struct v2_vm v;
	int i, nth, r;

	for (i = 0; i < ARRAY_SIZE(allocs); i++) {
		for (nth = allocs[i], r = 0; !r && nth < allocs[i] + MAX_SPARE; nth++) {
			if (!v2_vm_create(&v))
				SKIP(return, "KVM has no GICv2");
			ASSERT_EQ(0, fault_arm(&self->fi, nth));
			r = run_vcpu0(&v);
			EXPECT_TRUE(fault_disarm(&self->fi));
			if (r) {
				EXPECT_EQ(-ENOMEM, r)
					TH_LOG("allocation %d fails: want %s, got %s", nth,
					       ret_name(-ENOMEM), ret_name(r));
				expect_run(_metadata, &v, "one that had no memory");
			}
			v2_vm_destroy(&v);
		}
		EXPECT_NE(0, r)
			TH_LOG("allocations %d to %d: want one that KVM_RUN can't do without",
			       allocs[i], nth - 1);
	}
}

int main(int argc, char **argv)
{
	test_disable_default_vgic();

	return test_harness_run(argc, argv);
}
