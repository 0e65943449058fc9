// SPDX-License-Identifier: GPL-2.0-only
/*
 * Access to the vGICv3's registers around its initialization.
 *
 * Userspace provisions GICD_IIDR and GICD_TYPER2 before the vGIC is initialized
 * but after vCPU0 was created, i.e. when other threads may well be setting up
 * vCPUs.  Such accesses must not depend on the state of the vCPUs:
 *
 *  - Before initialization, every access to the two registers succeeds, no
 *    matter how many vCPUs are busy in an ioctl, and every other register is
 *    refused with -EBUSY, no matter how idle the vCPUs are.
 *  - The two registers can be accessed before there is any vCPU.
 *  - After initialization, every register can be accessed if and only if no
 *    vCPU is busy, else it is refused with -EBUSY.
 *  - An access that can't be done for another reason, because the vGIC isn't
 *    initialized or the ITS has no address, is refused for that reason, no matter
 *    how busy the vCPUs are.
 *  - No access that was let through because the vGIC wasn't initialized takes
 *    effect after it was.
 *  - No access waits for a page fault of a thread that sets up something else.
 *
 * A busy vCPU is one that sits in KVM_GET_ONE_REG, with vcpu->mutex held, on a
 * page that userfaultfd doesn't provide until the vCPU is released: every
 * attempt to lock all vCPUs fails.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <linux/bitfield.h>
#include <linux/sizes.h>
#include <linux/userfaultfd.h>

#include "kselftest_harness.h"
#include "kvm_lifecycle_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"
#include "vgic.h"

#include "gic.h"
#include "gic_v3.h"

#define MAX_VCPUS	64
#define NR_IRQS		64

/* How often each register is accessed while the vCPUs are busy. */
#define NR_ACCESSES	100

/* How long to wait for something that takes milliseconds at worst. */
#define PATIENCE_MS	20000

/* How long an access may take that waits for nobody. */
#define BOUND_MS	2000

/* How often KVM_DEV_ARM_VGIC_CTRL_INIT races with a writer. */
#define NR_RACES	5
#define NR_RACE_WRITES	20

/*
 * How long a racing thread is kept where the other must not overtake it, once
 * the other is on its way.
 */
#define OVERTAKE_MS	100

#define GICR_SGI_BASE	SZ_64K

#define DIST(_name, _offset)		\
	{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, _offset, _name }
#define REDIST(_name, _vcpu, _offset)	\
	{ KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, MPIDR_ATTR(_vcpu) | (_offset), _name }
#define SYSREG(_vcpu, _reg)		\
	{ KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,					\
	  MPIDR_ATTR(_vcpu) |							\
	  (KVM_ARM64_SYS_REG(SYS_##_reg) & KVM_DEV_ARM_VGIC_SYSREG_INSTR_MASK),	\
	  #_reg }
#define LEVEL(_name, _vcpu, _intid)	\
	{ KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO,					\
	  MPIDR_ATTR(_vcpu) |							\
	  (VGIC_LEVEL_INFO_LINE_LEVEL << KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT) | \
	  (_intid), _name }

/* The affinity, as in MPIDR_EL1, of the vCPUs with an ID below 16 is the ID. */
#define MPIDR_ATTR(_vcpu)	((u64)(_vcpu) << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT)

struct vgic_reg {
	u32 group;
	u64 attr;
	const char *name;
};

static const struct vgic_reg iidr = DIST("GICD_IIDR", GICD_IIDR);
static const struct vgic_reg typer2 = DIST("GICD_TYPER2", GICD_TYPER2);

/* One of each kind: all of these can be accessed once the vGIC is initialized. */
static const struct vgic_reg other_regs[] = {
	DIST("GICD_CTLR", GICD_CTLR),
	DIST("GICD_TYPER", GICD_TYPER),
	DIST("GICD_STATUSR", GICD_STATUSR),
	DIST("GICD_IGROUPR1", GICD_IGROUPR + 4),
	DIST("GICD_ISENABLER1", GICD_ISENABLER + 4),
	DIST("GICD_ICENABLER1", GICD_ICENABLER + 4),
	DIST("GICD_ISPENDR1", GICD_ISPENDR + 4),
	DIST("GICD_ICPENDR1", GICD_ICPENDR + 4),
	DIST("GICD_ISACTIVER1", GICD_ISACTIVER + 4),
	DIST("GICD_ICACTIVER1", GICD_ICACTIVER + 4),
	DIST("GICD_IPRIORITYR8", GICD_IPRIORITYR + 32),
	DIST("GICD_ICFGR2", GICD_ICFGR + 8),
	DIST("GICD_IROUTER32", GICD_IROUTER + 32 * 8),
	DIST("GICD_PIDR2", GICD_PIDR2),
	REDIST("GICR_CTLR", 0, GICR_CTLR),
	REDIST("GICR_IIDR", 0, GICR_IIDR),
	/* The offsets of GICD_IIDR and GICD_TYPER2, but another frame. */
	REDIST("GICR_TYPER", 0, GICR_TYPER),
	REDIST("GICR_TYPER.hi", 0, GICR_TYPER + 4),
	REDIST("GICR_TYPER of vCPU1", 1, GICR_TYPER),
	REDIST("GICR_WAKER", 0, GICR_WAKER),
	REDIST("GICR_PROPBASER", 0, GICR_PROPBASER),
	REDIST("GICR_PENDBASER", 1, GICR_PENDBASER),
	REDIST("GICR_PIDR2", 0, GICR_PIDR2),
	REDIST("GICR_IGROUPR0", 0, GICR_SGI_BASE + GICR_IGROUPR0),
	REDIST("GICR_ISENABLER0", 0, GICR_SGI_BASE + GICR_ISENABLER0),
	REDIST("GICR_ISPENDR0", 1, GICR_SGI_BASE + GICR_ISPENDR0),
	REDIST("GICR_IPRIORITYR0", 0, GICR_SGI_BASE + GICR_IPRIORITYR0),
	REDIST("GICR_ICFGR0", 1, GICR_SGI_BASE + GICR_ICFGR0),
	SYSREG(0, ICC_PMR_EL1),
	SYSREG(0, ICC_BPR0_EL1),
	SYSREG(0, ICC_AP0R0_EL1),
	SYSREG(1, ICC_AP1R0_EL1),
	SYSREG(0, ICC_BPR1_EL1),
	SYSREG(1, ICC_CTLR_EL1),
	SYSREG(0, ICC_SRE_EL1),
	SYSREG(0, ICC_IGRPEN0_EL1),
	SYSREG(1, ICC_IGRPEN1_EL1),
	LEVEL("line level of PPIs", 0, 0),
	LEVEL("line level of PPIs of vCPU1", 1, 0),
	LEVEL("line level of SPIs", 0, 32),
};

struct vm_gic {
	struct kvm_vm *vm;
	int fd;
	int nr_vcpus;
	struct kvm_vcpu *vcpus[MAX_VCPUS];
	u64 values[ARRAY_SIZE(other_regs)];
};

static u32 guest_running, guest_stop;

static void guest_code(void)
{
	WRITE_ONCE(guest_running, 1);
	while (!READ_ONCE(guest_stop))
		;
	GUEST_DONE();
}

/* All accessors return 0 or -errno. */
static int vgic_access(struct vm_gic *gic, const struct vgic_reg *reg, bool write, void *val)
{
	int r;

	if (write)
		r = __kvm_device_attr_set(gic->fd, reg->group, reg->attr, val);
	else
		r = __kvm_device_attr_get(gic->fd, reg->group, reg->attr, val);

	return r ? -errno : 0;
}

static int vgic_write(struct vm_gic *gic, const struct vgic_reg *reg, u64 val)
{
	return vgic_access(gic, reg, true, &val);
}

static int vgic_read(struct vm_gic *gic, const struct vgic_reg *reg, u64 *val)
{
	*val = 0;
	return vgic_access(gic, reg, false, val);
}

/* With idle vCPUs.  Returns false if such registers don't exist. */
static bool read_preinit(struct __test_metadata *_metadata, struct vm_gic *gic, u64 *iidr_val,
			 u64 *typer2_val)
{
	int r = vgic_read(gic, &iidr, iidr_val);

	if (r == -EBUSY)
		return false;
	ASSERT_EQ(0, r);
	ASSERT_EQ(0, vgic_read(gic, &typer2, typer2_val));
	return true;
}

static u32 iidr_with_rev(u32 val, u32 rev)
{
	return (val & ~GICD_IIDR_REVISION_MASK) | FIELD_PREP(GICD_IIDR_REVISION_MASK, rev);
}

/* Every vCPU is created, the vGIC is configured, but it is not initialized. */
static void vm_gic_create(struct vm_gic *gic, int nr_vcpus)
{
	gic->nr_vcpus = nr_vcpus;
	gic->vm = vm_create_with_vcpus(nr_vcpus, guest_code, gic->vcpus);
	gic->fd = __vgic_v3_setup(gic->vm, nr_vcpus, NR_IRQS);
	TEST_ASSERT(gic->fd >= 0, KVM_IOCTL_ERROR(KVM_CREATE_DEVICE, gic->fd));
}

static void vm_gic_destroy(struct vm_gic *gic)
{
	close(gic->fd);
	kvm_vm_free(gic->vm);
}

/* Threads that are held in an ioctl, on a page of theirs, until they are released. */
struct holder {
	pthread_t thread;
	int fd;
	unsigned long cmd;
	struct kvm_device_attr attr;
	void *page;
	u64 val;
	int ret;
};

struct held_vcpus {
	int uffd;
	int nr;
	size_t page_size;
	void *area;
	struct holder holders[MAX_VCPUS];
};

static void *holder_fn(void *arg)
{
	struct holder *h = arg;

	h->ret = ioctl(h->fd, h->cmd, h->cmd == KVM_GET_ONE_REG ? h->page : &h->attr) ? -errno : 0;
	return NULL;
}

/*
 * Return 0 once each of the holders is held, or -errno if this kernel doesn't let
 * the test handle page faults of the kernel.
 */
static int hold(struct held_vcpus *held, int nr)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffd_msg msg;
	struct pollfd pfd;
	int i, r;

	held->uffd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (held->uffd < 0)
		return -errno;

	held->nr = nr;
	held->page_size = getpagesize();
	held->area = kvm_mmap(nr * held->page_size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1);

	r = ioctl(held->uffd, UFFDIO_API, &api);
	TEST_ASSERT(!r, KVM_IOCTL_ERROR(UFFDIO_API, r));

	reg.range.start = (u64)held->area;
	reg.range.len = nr * held->page_size;
	r = ioctl(held->uffd, UFFDIO_REGISTER, &reg);
	TEST_ASSERT(!r, KVM_IOCTL_ERROR(UFFDIO_REGISTER, r));

	for (i = 0; i < nr; i++) {
		struct holder *h = &held->holders[i];

		h->page = held->area + i * held->page_size;
		h->attr.addr = (u64)h->page;
		pthread_create(&h->thread, NULL, holder_fn, h);
	}

	pfd.fd = held->uffd;
	pfd.events = POLLIN;
	for (i = 0; i < nr; i++) {
		r = poll(&pfd, 1, PATIENCE_MS);
		TEST_ASSERT(r == 1, "Want %d threads held after %u ms, got %d",
			    nr, PATIENCE_MS, i);
		r = read(held->uffd, &msg, sizeof(msg));
		TEST_ASSERT(r == sizeof(msg) && msg.event == UFFD_EVENT_PAGEFAULT,
			    "Want a page fault, got event 0x%x (read returned %d)",
			    msg.event, r);
	}

	return 0;
}

/* Copy the page at @src to each page. */
static void release(struct held_vcpus *held, const void *src, size_t len)
{
	void *page = kvm_mmap(held->page_size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int i, r;

	memcpy(page, src, len);
	for (i = 0; i < held->nr; i++) {
		struct uffdio_copy copy = {
			.src = (u64)page,
			.dst = (u64)held->holders[i].page,
			.len = held->page_size,
		};

		r = ioctl(held->uffd, UFFDIO_COPY, &copy);
		TEST_ASSERT(!r, KVM_IOCTL_ERROR(UFFDIO_COPY, r));
	}

	for (i = 0; i < held->nr; i++)
		pthread_join(held->holders[i].thread, NULL);

	kvm_munmap(page, held->page_size);
	kvm_munmap(held->area, held->nr * held->page_size);
	close(held->uffd);
}

/* KVM touches the page with vcpu->mutex held, and not before.  Returns 0 or -errno. */
static int hold_vcpus(struct held_vcpus *held, struct vm_gic *gic, int nr)
{
	int i;

	for (i = 0; i < nr; i++) {
		held->holders[i].fd = gic->vcpus[i]->fd;
		held->holders[i].cmd = KVM_GET_ONE_REG;
	}

	return hold(held, nr);
}

static void release_vcpus(struct held_vcpus *held)
{
	struct kvm_one_reg reg = {
		.id = ARM64_CORE_REG(regs.pc),
		.addr = (u64)&held->holders[0].val,
	};
	int i;

	release(held, &reg, sizeof(reg));
	for (i = 0; i < held->nr; i++)
		TEST_ASSERT(!held->holders[i].ret, "KVM_GET_ONE_REG of vCPU%d: want 0, got %s",
			    i, ret_name(held->holders[i].ret));
}

/*
 * Access a register again and again.  Writes go through the @nr_vals values in
 * turn, reads have to return the first one.
 */
static void expect_accesses(struct __test_metadata *_metadata, struct vm_gic *gic,
			    const struct vgic_reg *reg, bool write, const u64 *vals, int nr_vals,
			    const char *when)
{
	u64 val, deadline = now_ms() + PATIENCE_MS;
	int i, ret, got = 0, bad = 0, wrong = 0;

	for (i = 0; i < NR_ACCESSES && now_ms() < deadline; i++) {
		if (write)
			ret = vgic_write(gic, reg, vals[i % nr_vals]);
		else
			ret = vgic_read(gic, reg, &val);

		if (ret) {
			got = ret;
			bad++;
		} else if (!write && val != vals[0]) {
			wrong++;
		}
	}

	EXPECT_EQ(0, bad)
		TH_LOG("%s %s %s: want %s, got %s, %d of %d", reg->name,
		       write ? "write" : "read", when, ret_name(0), ret_name(got), bad, i);
	EXPECT_EQ(0, wrong)
		TH_LOG("%s read %s: want 0x%llx, got another value, %d of %d",
		       reg->name, when, (unsigned long long)vals[0], wrong, i);
}

static void expect_access(struct __test_metadata *_metadata, struct vm_gic *gic,
			  const struct vgic_reg *reg, bool write, u64 val, int want,
			  const char *when)
{
	int got = write ? vgic_write(gic, reg, val) : vgic_read(gic, reg, &val);

	EXPECT_EQ(want, got)
		TH_LOG("%s %s %s: want %s, got %s", reg->name, write ? "write" : "read",
		       when, ret_name(want), ret_name(got));
}

static void expect_value(struct __test_metadata *_metadata, struct vm_gic *gic,
			 const struct vgic_reg *reg, u32 want, const char *when)
{
	u64 got;
	int r = vgic_read(gic, reg, &got);

	EXPECT_EQ(0, r)
		TH_LOG("%s read %s: want 0, got %s", reg->name, when, ret_name(r));
	EXPECT_EQ(want, (u32)got)
		TH_LOG("%s %s: want 0x%x, got 0x%x", reg->name, when, want, (u32)got);
}

/* Nothing but GICD_IIDR and GICD_TYPER2 is accessible before initialization. */
static void expect_others_busy(struct __test_metadata *_metadata, struct vm_gic *gic,
			       const char *when)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(other_regs); i++) {
		expect_access(_metadata, gic, &other_regs[i], false, 0, -EBUSY, when);
		expect_access(_metadata, gic, &other_regs[i], true, gic->values[i], -EBUSY, when);
	}
}

/*
 * 2, 8 and 64 vCPUs, all of them busy, and an uninitialized vGIC.
 */
FIXTURE(busy_vcpus)
{
	struct vm_gic gic;
	struct held_vcpus held;
	char when[64];
	u64 iidr, typer2;
	bool preinit;
};

FIXTURE_VARIANT(busy_vcpus)
{
	int nr;
};

FIXTURE_VARIANT_ADD(busy_vcpus, held_2) { .nr = 2, };
FIXTURE_VARIANT_ADD(busy_vcpus, held_8) { .nr = 8, };
FIXTURE_VARIANT_ADD(busy_vcpus, held_64) { .nr = 64, };

FIXTURE_SETUP(busy_vcpus)
{
	int r;

	vm_gic_create(&self->gic, variant->nr);
	self->preinit = read_preinit(_metadata, &self->gic, &self->iidr, &self->typer2);

	snprintf(self->when, sizeof(self->when), "with %d busy vCPUs", variant->nr);

	r = hold_vcpus(&self->held, &self->gic, variant->nr);
	if (r)
		SKIP(return, "userfaultfd: %s", strerror(-r));
}

FIXTURE_TEARDOWN(busy_vcpus)
{
	release_vcpus(&self->held);
	vm_gic_destroy(&self->gic);
}

TEST_F(busy_vcpus, write)
{
	u64 revs[] = { iidr_with_rev(self->iidr, 2), iidr_with_rev(self->iidr, 3) };

	if (!self->preinit)
		SKIP(return, VGIC_NO_PREINIT);

	expect_accesses(_metadata, &self->gic, &iidr, true, revs, ARRAY_SIZE(revs),
			self->when);
	expect_accesses(_metadata, &self->gic, &typer2, true, &self->typer2, 1, self->when);
}

TEST_F(busy_vcpus, read)
{
	if (!self->preinit)
		SKIP(return, VGIC_NO_PREINIT);

	expect_accesses(_metadata, &self->gic, &iidr, false, &self->iidr, 1, self->when);
	expect_accesses(_metadata, &self->gic, &typer2, false, &self->typer2, 1, self->when);
}

TEST_F(busy_vcpus, other_registers)
{
	expect_others_busy(_metadata, &self->gic, self->when);
}

/*
 * No vCPU, and an uninitialized vGIC.
 */
FIXTURE(no_vcpu)
{
	struct vm_gic gic;
};

FIXTURE_SETUP(no_vcpu)
{
	struct vm_gic gic;
	u64 val, val2;
	bool preinit;

	vm_gic_create(&gic, 1);
	preinit = read_preinit(_metadata, &gic, &val, &val2);
	vm_gic_destroy(&gic);
	if (!preinit)
		SKIP(return, VGIC_NO_PREINIT);

	self->gic.vm = vm_create(2);
	self->gic.fd = __vgic_v3_setup(self->gic.vm, 2, NR_IRQS);
	ASSERT_GE(self->gic.fd, 0);
}

FIXTURE_TEARDOWN(no_vcpu)
{
	vm_gic_destroy(&self->gic);
}

/* All but the two registers, those of the distributor and those of vCPUs. */
static void expect_others_invalid(struct __test_metadata *_metadata, struct vm_gic *gic,
				  const char *when)
{
	int i, r;

	for (i = 0; i < ARRAY_SIZE(other_regs); i++) {
		expect_access(_metadata, gic, &other_regs[i], false, 0, -EINVAL, when);
		expect_access(_metadata, gic, &other_regs[i], true, 0, -EINVAL, when);

		if (other_regs[i].group == KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO)
			continue;
		r = __kvm_has_device_attr(gic->fd, other_regs[i].group,
					  other_regs[i].attr) ? -errno : 0;
		EXPECT_EQ(-EINVAL, r)
			TH_LOG("%s exists %s: want %s, got %s", other_regs[i].name, when,
			       ret_name(-EINVAL), ret_name(r));
	}
}

TEST_F(no_vcpu, read)
{
	u64 val = 0;

	expect_access(_metadata, &self->gic, &iidr, false, 0, 0, "without a vCPU");
	expect_access(_metadata, &self->gic, &typer2, false, 0, 0, "without a vCPU");

	/* ARM's implementation of KVM's product. */
	vgic_read(&self->gic, &iidr, &val);
	EXPECT_EQ(0x4b00043b, val & ~GICD_IIDR_REVISION_MASK)
		TH_LOG("GICD_IIDR without a vCPU: want 0x4b00x43b, got 0x%x", (u32)val);
	vgic_read(&self->gic, &typer2, &val);
	EXPECT_EQ(0, val & ~GICD_TYPER2_nASSGIcap)
		TH_LOG("GICD_TYPER2 without a vCPU: want nASSGIcap or nothing, got 0x%x",
		       (u32)val);
}

/* The vGIC of the vCPUs works with the values that are written without any vCPU. */
TEST_F(no_vcpu, write)
{
	const struct vgic_reg gicr_ctlr = REDIST("GICR_CTLR", 1, GICR_CTLR);
	u64 iidr_val = 0, typer2_val = 0;
	int i;

	vgic_read(&self->gic, &iidr, &iidr_val);
	vgic_read(&self->gic, &typer2, &typer2_val);
	iidr_val = iidr_with_rev(iidr_val, 2);

	expect_access(_metadata, &self->gic, &iidr, true, iidr_val, 0, "without a vCPU");
	expect_access(_metadata, &self->gic, &typer2, true, typer2_val, 0, "without a vCPU");
	expect_access(_metadata, &self->gic, &iidr, true, ~iidr_val, -EINVAL,
		      "with all bits flipped");
	expect_access(_metadata, &self->gic, &typer2, true, ~typer2_val, -EINVAL,
		      "with all bits flipped");
	expect_value(_metadata, &self->gic, &iidr, iidr_val, "without a vCPU");

	for (i = 0; i < 2; i++)
		vm_vcpu_add(self->gic.vm, i, guest_code);
	expect_value(_metadata, &self->gic, &iidr, iidr_val, "with two vCPUs");
	ASSERT_EQ(0, vgic_ctrl_init(self->gic.fd));

	/* Revision 2 doesn't have GICR_CTLR.{IR,CES}. */
	expect_value(_metadata, &self->gic, &iidr, iidr_val, "after init");
	expect_value(_metadata, &self->gic, &typer2, typer2_val, "after init");
	expect_value(_metadata, &self->gic, &gicr_ctlr, 0, "with revision 2");
}

TEST_F(no_vcpu, exists)
{
	const struct vgic_reg *regs[] = { &iidr, &typer2 };
	int i, r;

	for (i = 0; i < ARRAY_SIZE(regs); i++) {
		r = __kvm_has_device_attr(self->gic.fd, regs[i]->group,
					  regs[i]->attr) ? -errno : 0;
		EXPECT_EQ(0, r)
			TH_LOG("%s exists without a vCPU: want 0, got %s", regs[i]->name,
			       ret_name(r));
	}
}

TEST_F(no_vcpu, bad_pointer)
{
	const struct vgic_reg *regs[] = { &iidr, &typer2 };
	int i, write, r;

	for (i = 0; i < ARRAY_SIZE(regs); i++) {
		for (write = 0; write < 2; write++) {
			r = vgic_access(&self->gic, regs[i], write, NULL);
			EXPECT_EQ(-EFAULT, r)
				TH_LOG("%s %s at NULL without a vCPU: want %s, got %s",
				       regs[i]->name, write ? "write" : "read",
				       ret_name(-EFAULT), ret_name(r));
		}
	}
}

TEST_F(no_vcpu, other_registers)
{
	expect_others_invalid(_metadata, &self->gic, "without a vCPU");
}

/*
 * Two idle vCPUs and an uninitialized vGIC.
 */
FIXTURE(vgic)
{
	struct vm_gic gic;
	struct held_vcpus held;
	u64 iidr, typer2;
	bool preinit;
};

FIXTURE_SETUP(vgic)
{
	vm_gic_create(&self->gic, 2);
	self->preinit = read_preinit(_metadata, &self->gic, &self->iidr, &self->typer2);
}

FIXTURE_TEARDOWN(vgic)
{
	vm_gic_destroy(&self->gic);
}

TEST_F(vgic, other_registers_before_init)
{
	struct vgic_reg reg;
	char name[32];

	expect_others_busy(_metadata, &self->gic, "before init");

	/*
	 * The offset has to match exactly, and so does the group.  Go through
	 * the dense part of the frames word by word and spot-check the rest.
	 */
	reg.name = name;
	for (reg.attr = 0; reg.attr < SZ_64K; reg.attr += reg.attr < SZ_4K ? 4 : SZ_256) {
		/* One wrong register is enough, there can be a thousand. */
		if (_metadata->exit_code)
			break;

		reg.group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS;
		snprintf(name, sizeof(name), "GICD+0x%llx", (unsigned long long)reg.attr);
		if (reg.attr != GICD_IIDR && reg.attr != GICD_TYPER2)
			expect_access(_metadata, &self->gic, &reg, false, 0, -EBUSY, "before init");

		reg.group = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS;
		snprintf(name, sizeof(name), "GICR+0x%llx", (unsigned long long)reg.attr);
		expect_access(_metadata, &self->gic, &reg, false, 0, -EBUSY, "before init");
	}

	reg.group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS;
	for (reg.attr = GICD_IIDR + 1; reg.attr < GICD_IIDR + 8; reg.attr++) {
		if (reg.attr == GICD_TYPER2)
			continue;
		snprintf(name, sizeof(name), "GICD+0x%llx", (unsigned long long)reg.attr);
		expect_access(_metadata, &self->gic, &reg, true, 0, -EBUSY, "before init");
	}
}

TEST_F(vgic, errors_before_init)
{
	const struct vgic_reg ctlr = DIST("GICD_CTLR", GICD_CTLR);
	const struct vgic_reg no_vcpu = REDIST("GICR_CTLR of no vCPU", 2, GICR_CTLR);
	const struct {
		const struct vgic_reg *reg;
		bool write;
		int want;
	} bad_pointer[] = {
		/* A value is read before, and returned after, all other checks. */
		{ &iidr, true, -EFAULT },
		{ &iidr, false, self->preinit ? -EFAULT : -EBUSY },
		{ &typer2, true, -EFAULT },
		{ &typer2, false, self->preinit ? -EFAULT : -EBUSY },
		{ &ctlr, true, -EFAULT },
		{ &ctlr, false, -EBUSY },
		{ &no_vcpu, true, -EINVAL },
		{ &no_vcpu, false, -EINVAL },
	};
	int i, got;

	for (i = 0; i < ARRAY_SIZE(bad_pointer); i++) {
		got = vgic_access(&self->gic, bad_pointer[i].reg, bad_pointer[i].write, NULL);
		EXPECT_EQ(bad_pointer[i].want, got)
			TH_LOG("%s %s at NULL: want %s, got %s", bad_pointer[i].reg->name,
			       bad_pointer[i].write ? "write" : "read",
			       ret_name(bad_pointer[i].want), ret_name(got));
	}

	expect_access(_metadata, &self->gic, &no_vcpu, false, 0, -EINVAL, "before init");
	expect_access(_metadata, &self->gic, &no_vcpu, true, 0, -EINVAL, "before init");
}

TEST_F(vgic, iidr_values)
{
	u32 latest = FIELD_GET(GICD_IIDR_REVISION_MASK, self->iidr);
	u32 good = self->iidr;
	int rev, r, bit;
	char when[64];

	if (!self->preinit)
		SKIP(return, VGIC_NO_PREINIT);

	/* A VM gets the latest revision, 2 and 3 have always been settable. */
	EXPECT_GE(latest, 3);

	for (rev = 0; rev <= FIELD_MAX(GICD_IIDR_REVISION_MASK); rev++) {
		u32 val = iidr_with_rev(self->iidr, rev);

		snprintf(when, sizeof(when), "of revision %d", rev);
		if (rev >= 2 && rev <= latest) {
			expect_access(_metadata, &self->gic, &iidr, true, val, 0, when);
			good = val;
		} else if (rev == 1) {
			/* Known to some kernels only. */
			r = vgic_write(&self->gic, &iidr, val);
			if (!r)
				good = val;
			else
				EXPECT_EQ(-EINVAL, r)
					TH_LOG("GICD_IIDR write %s: want 0 or %s, got %s", when,
					       ret_name(-EINVAL), ret_name(r));
		} else {
			expect_access(_metadata, &self->gic, &iidr, true, val, -EINVAL, when);
		}
		expect_value(_metadata, &self->gic, &iidr, good, when);
	}

	/* Only the revision can be changed. */
	for (bit = 0; bit < 32; bit++) {
		if (BIT(bit) & GICD_IIDR_REVISION_MASK)
			continue;
		snprintf(when, sizeof(when), "with bit %d flipped", bit);
		expect_access(_metadata, &self->gic, &iidr, true, good ^ BIT(bit), -EINVAL, when);
		expect_value(_metadata, &self->gic, &iidr, good, when);
	}
}

TEST_F(vgic, typer2_values)
{
	u32 good = self->typer2;
	char when[64];
	int bit;

	if (!self->preinit)
		SKIP(return, VGIC_NO_PREINIT);

	/* Bits other than nASSGIcap, or not supported by the hardware, are fixed. */
	for (bit = 0; bit < 32; bit++) {
		if ((BIT(bit) & GICD_TYPER2_nASSGIcap) && (self->typer2 & GICD_TYPER2_nASSGIcap))
			continue;
		snprintf(when, sizeof(when), "with bit %d flipped", bit);
		expect_access(_metadata, &self->gic, &typer2, true, good ^ BIT(bit), -EINVAL, when);
		expect_value(_metadata, &self->gic, &typer2, good, when);
	}

	if (self->typer2 & GICD_TYPER2_nASSGIcap) {
		good &= ~GICD_TYPER2_nASSGIcap;
		expect_access(_metadata, &self->gic, &typer2, true, good, 0, "without nASSGIcap");
		expect_value(_metadata, &self->gic, &typer2, good, "without nASSGIcap");
	}

	ASSERT_EQ(0, vgic_ctrl_init(self->gic.fd));

	expect_access(_metadata, &self->gic, &typer2, true, good, 0, "unchanged, after init");
	expect_access(_metadata, &self->gic, &typer2, true, good ^ GICD_TYPER2_nASSGIcap, -EBUSY,
		      "with nASSGIcap flipped, after init");
	expect_value(_metadata, &self->gic, &typer2, good, "after init");
}

/* The initialized vGIC works with the values that are written while vCPUs are busy. */
TEST_F(vgic, iidr_used_by_init)
{
	const struct vgic_reg gicr_ctlr = REDIST("GICR_CTLR", 1, GICR_CTLR);
	int r;

	if (!self->preinit)
		SKIP(return, VGIC_NO_PREINIT);

	r = hold_vcpus(&self->held, &self->gic, 2);
	if (r)
		SKIP(return, "userfaultfd: %s", strerror(-r));

	/* Revision 2 doesn't have GICR_CTLR.{IR,CES}. */
	expect_value(_metadata, &self->gic, &iidr, self->iidr, "before init, 2 busy vCPUs");
	expect_access(_metadata, &self->gic, &iidr, true, iidr_with_rev(self->iidr, 2), 0,
		      "before init, 2 busy vCPUs");
	r = vgic_ctrl_init(self->gic.fd);
	release_vcpus(&self->held);
	ASSERT_EQ(0, r);

	expect_value(_metadata, &self->gic, &iidr, iidr_with_rev(self->iidr, 2), "after init");
	expect_value(_metadata, &self->gic, &gicr_ctlr, 0, "with revision 2");

	/* That the bits are there with revision 3 makes sure that they can be missed. */
	expect_access(_metadata, &self->gic, &iidr, true, iidr_with_rev(self->iidr, 3), 0,
		      "after init");
	expect_value(_metadata, &self->gic, &gicr_ctlr, GICR_CTLR_IR | GICR_CTLR_CES,
		     "with revision 3");
}

/* A vGIC that was provisioned before its initialization delivers interrupts after it. */
TEST_F(vgic, spi_after_init)
{
	const struct vgic_reg setup[] = {
		DIST("GICD_CTLR", GICD_CTLR),
		DIST("GICD_IGROUPR1", GICD_IGROUPR + 4),
		DIST("GICD_ICFGR2", GICD_ICFGR + 8),
		DIST("GICD_ISENABLER1", GICD_ISENABLER + 4),
	};
	/* Group 1 is on, and the first SPI is in it, edge-triggered and enabled. */
	const u64 values[] = { GICD_CTLR_ENABLE_SS_G1, BIT(0), BIT(1), BIT(0) };
	const struct vgic_reg ispendr = DIST("GICD_ISPENDR1", GICD_ISPENDR + 4);
	unsigned int i;

	if (!self->preinit)
		SKIP(return, VGIC_NO_PREINIT);

	expect_access(_metadata, &self->gic, &iidr, true, self->iidr, 0, "before init");
	ASSERT_EQ(0, vgic_ctrl_init(self->gic.fd));

	for (i = 0; i < ARRAY_SIZE(setup); i++)
		expect_access(_metadata, &self->gic, &setup[i], true, values[i], 0, "after init");

	expect_value(_metadata, &self->gic, &ispendr, 0, "before the SPI");
	kvm_arm_irq_line(self->gic.vm, MIN_SPI, 1);
	expect_value(_metadata, &self->gic, &ispendr, BIT(0), "after the SPI");
}

static void read_all_regs(struct __test_metadata *_metadata, struct vm_gic *gic)
{
	int i, r;

	for (i = 0; i < ARRAY_SIZE(other_regs); i++) {
		r = vgic_read(gic, &other_regs[i], &gic->values[i]);
		EXPECT_EQ(0, r)
			TH_LOG("%s read after init, idle vCPUs: want 0, got %s",
			       other_regs[i].name, ret_name(r));
	}
}

static void expect_all_busy(struct __test_metadata *_metadata, struct vm_gic *gic,
			    u64 iidr_val, u64 typer2_val, const char *when)
{
	expect_others_busy(_metadata, gic, when);
	expect_access(_metadata, gic, &iidr, false, 0, -EBUSY, when);
	expect_access(_metadata, gic, &iidr, true, iidr_val, -EBUSY, when);
	expect_access(_metadata, gic, &typer2, false, 0, -EBUSY, when);
	expect_access(_metadata, gic, &typer2, true, typer2_val, -EBUSY, when);
}

TEST_F(vgic, after_init_held_vcpu)
{
	int r;

	ASSERT_EQ(0, vgic_ctrl_init(self->gic.fd));
	ASSERT_EQ(0, vgic_read(&self->gic, &iidr, &self->iidr));
	ASSERT_EQ(0, vgic_read(&self->gic, &typer2, &self->typer2));
	read_all_regs(_metadata, &self->gic);

	r = hold_vcpus(&self->held, &self->gic, 1);
	if (r)
		SKIP(return, "userfaultfd: %s", strerror(-r));

	expect_all_busy(_metadata, &self->gic, iidr_with_rev(self->iidr, 2), self->typer2,
			"after init, held vCPU");
	release_vcpus(&self->held);

	expect_value(_metadata, &self->gic, &iidr, self->iidr, "after init");
	read_all_regs(_metadata, &self->gic);
}

static void expect_save(struct __test_metadata *_metadata, struct vm_gic *gic, int want,
			const char *when)
{
	int r = __kvm_device_attr_set(gic->fd, KVM_DEV_ARM_VGIC_GRP_CTRL,
				      KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, NULL) ? -errno : 0;

	EXPECT_EQ(want, r)
		TH_LOG("KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES %s: want %s, got %s", when,
		       ret_name(want), ret_name(r));
}

TEST_F(vgic, save_pending_tables)
{
	int r;

	expect_save(_metadata, &self->gic, -ENXIO, "before init, idle vCPUs");
	r = hold_vcpus(&self->held, &self->gic, 1);
	if (r)
		SKIP(return, "userfaultfd: %s", strerror(-r));
	expect_save(_metadata, &self->gic, -ENXIO, "before init, held vCPU");

	ASSERT_EQ(0, vgic_ctrl_init(self->gic.fd));
	expect_save(_metadata, &self->gic, -EBUSY, "after init, held vCPU");
	release_vcpus(&self->held);
	expect_save(_metadata, &self->gic, 0, "after init, idle vCPUs");
}

static void expect_its_access(struct __test_metadata *_metadata, int its_fd, bool write,
			      int want, const char *when)
{
	u64 val = 0;
	int r;

	if (write)
		r = __kvm_device_attr_set(its_fd, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, GITS_CTLR, &val);
	else
		r = __kvm_device_attr_get(its_fd, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, GITS_CTLR, &val);
	if (r)
		r = -errno;

	EXPECT_EQ(want, r)
		TH_LOG("GITS_CTLR %s, %s: want %s, got %s", write ? "write" : "read", when,
		       ret_name(want), ret_name(r));
}

TEST_F(vgic, its_without_address)
{
	u64 addr = GITS_BASE_GPA;
	int its_fd, write, r;

	its_fd = kvm_create_device(self->gic.vm, KVM_DEV_TYPE_ARM_VGIC_ITS);

	for (write = 0; write < 2; write++)
		expect_its_access(_metadata, its_fd, write, -ENXIO, "no address, idle vCPUs");

	r = hold_vcpus(&self->held, &self->gic, 1);
	if (r)
		SKIP(return, "userfaultfd: %s", strerror(-r));
	for (write = 0; write < 2; write++)
		expect_its_access(_metadata, its_fd, write, -ENXIO, "no address, held vCPU");

	kvm_device_attr_set(its_fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, &addr);
	for (write = 0; write < 2; write++)
		expect_its_access(_metadata, its_fd, write, -EBUSY, "held vCPU");
	release_vcpus(&self->held);
	for (write = 0; write < 2; write++)
		expect_its_access(_metadata, its_fd, write, 0, "idle vCPUs");

	close(its_fd);
}

static void *run_fn(void *arg)
{
	vcpu_run(arg);
	return NULL;
}

TEST_F(vgic, after_init_running_vcpu)
{
	struct kvm_vcpu *vcpu = self->gic.vcpus[1];
	u64 deadline = now_ms() + PATIENCE_MS;
	pthread_t thread;

	ASSERT_EQ(0, vgic_ctrl_init(self->gic.fd));
	ASSERT_EQ(0, vgic_read(&self->gic, &iidr, &self->iidr));
	ASSERT_EQ(0, vgic_read(&self->gic, &typer2, &self->typer2));
	read_all_regs(_metadata, &self->gic);

	guest_running = 0;
	guest_stop = 0;
	sync_global_to_guest(self->gic.vm, guest_running);
	sync_global_to_guest(self->gic.vm, guest_stop);
	pthread_create(&thread, NULL, run_fn, vcpu);

	do {
		ASSERT_LT(now_ms(), deadline)
			TH_LOG("want a running vCPU after %u ms, got none", PATIENCE_MS);
		usleep(1000);
		sync_global_from_guest(self->gic.vm, guest_running);
	} while (!guest_running);

	expect_all_busy(_metadata, &self->gic, iidr_with_rev(self->iidr, 2), self->typer2,
			"after init, running vCPU");

	guest_stop = 1;
	sync_global_to_guest(self->gic.vm, guest_stop);
	pthread_join(thread, NULL);
	EXPECT_EQ(UCALL_DONE, get_ucall(vcpu, NULL));

	expect_value(_metadata, &self->gic, &iidr, self->iidr, "after init");
	read_all_regs(_metadata, &self->gic);
}

/*
 * A writer of GICD_IIDR that doesn't stop when the vGIC gets initialized.  All
 * vCPUs are held: a write succeeds as long as the vGIC is not initialized, and
 * fails from then on.
 */
struct racing_writer {
	pthread_t thread;
	struct vm_gic *gic;
	u32 vals[2];
	u32 last;		/* the last value that was written successfully */
	int attempts;
	bool init_done;
	int busy;		/* refused with -EBUSY */
	int early_busy;		/* ditto, among the first NR_RACE_WRITES */
	int other;		/* any other error */
	int after_busy;		/* succeeded, after one was refused */
	int after_init;		/* succeeded, but started after CTRL_INIT returned */
};

static void *racing_writer_fn(void *arg)
{
	struct racing_writer *w = arg;
	int i, r, late = 0;
	bool init_done;

	for (i = 0; late < NR_RACE_WRITES; i++) {
		init_done = __atomic_load_n(&w->init_done, __ATOMIC_SEQ_CST);
		late += init_done;

		r = vgic_write(w->gic, &iidr, w->vals[i % 2]);
		if (!r) {
			w->last = w->vals[i % 2];
			w->after_busy += !!w->busy;
			w->after_init += init_done;
		} else if (r == -EBUSY) {
			w->busy++;
			w->early_busy += i < NR_RACE_WRITES;
		} else {
			w->other++;
		}
		__atomic_store_n(&w->attempts, i + 1, __ATOMIC_SEQ_CST);
	}

	return NULL;
}

TEST(init_races_with_writes)
{
	u64 deadline = now_ms() + PATIENCE_MS;
	struct held_vcpus held;
	struct vm_gic gic;
	int i, r;
	u64 val, val2;

	for (i = 0; i < NR_RACES; i++) {
		struct racing_writer w = { .gic = &gic };

		vm_gic_create(&gic, 2);
		if (!read_preinit(_metadata, &gic, &val, &val2)) {
			vm_gic_destroy(&gic);
			SKIP(return, VGIC_NO_PREINIT);
		}
		w.vals[0] = iidr_with_rev(val, 2);
		w.vals[1] = iidr_with_rev(val, 3);
		w.last = val;

		r = hold_vcpus(&held, &gic, 2);
		if (r)
			SKIP(return, "userfaultfd: %s", strerror(-r));

		pthread_create(&w.thread, NULL, racing_writer_fn, &w);
		while (__atomic_load_n(&w.attempts, __ATOMIC_SEQ_CST) < NR_RACE_WRITES) {
			ASSERT_LT(now_ms(), deadline)
				TH_LOG("want %d writes, got %d", NR_RACE_WRITES, w.attempts);
			usleep(100);
		}

		r = vgic_ctrl_init(gic.fd);
		__atomic_store_n(&w.init_done, true, __ATOMIC_SEQ_CST);
		pthread_join(w.thread, NULL);
		release_vcpus(&held);

		EXPECT_EQ(0, r)
			TH_LOG("KVM_DEV_ARM_VGIC_CTRL_INIT: want 0, got %s", ret_name(r));
		EXPECT_EQ(0, w.early_busy)
			TH_LOG("GICD_IIDR write before init: want 0, got %s, %d of %d",
			       ret_name(-EBUSY), w.early_busy, NR_RACE_WRITES);
		EXPECT_EQ(0, w.other)
			TH_LOG("GICD_IIDR write: want 0 or %s, got another error, %d of %d",
			       ret_name(-EBUSY), w.other, w.attempts);
		EXPECT_EQ(0, w.after_busy)
			TH_LOG("GICD_IIDR write after one was refused: want %s, got 0, %d of %d",
			       ret_name(-EBUSY), w.after_busy, w.attempts);
		EXPECT_EQ(0, w.after_init)
			TH_LOG("GICD_IIDR write after init, held vCPU: want %s, got 0, %d of %d",
			       ret_name(-EBUSY), w.after_init, NR_RACE_WRITES);
		expect_value(_metadata, &gic, &iidr, w.last, "after the race");

		vm_gic_destroy(&gic);
		if (_metadata->exit_code)
			break;
	}
}

/*
 * The same race, step by step: kvm_lifecycle's pause points keep one of the
 * threads where the other must not overtake it.
 */
static int race_write(void *gic, u64 val)
{
	return vgic_write(gic, &iidr, val);
}

static int race_init(void *gic, u64 unused)
{
	return vgic_ctrl_init(((struct vm_gic *)gic)->fd);
}

/*
 * Let @first go until it enters @function and keep it there, then let @second
 * go.  @overtaken tells if @second returned while @first was still there.
 */
static void race(struct __test_metadata *_metadata, int pause, int cpu, const char *function,
		 struct racer *first, struct racer *second, bool *overtaken)
{
	bool done, inside;
	u64 end;

	racer_start(first, cpu);
	racer_start(second, -1);

	ASSERT_TRUE(racer_go_to(first, pause, function, PATIENCE_MS / 1000))
		TH_LOG("want a thread in %s(), got none (it returned %s)", function,
		       racer_done(first) ? ret_name(first->ret) : "nothing");

	racer_go(second);
	while (!racer_started(second))
		usleep(100);

	*overtaken = false;
	end = now_ms() + OVERTAKE_MS;
	do {
		usleep(POLL_US);
		done = racer_done(second);
		/* If @first is there now, it was when @second was done. */
		inside = pause_read(pause).inside;
		*overtaken |= done && inside;
	} while (inside && !*overtaken && now_ms() < end);

	EXPECT_TRUE(inside)
		TH_LOG("too slow: want the thread in %s() for %u ms, it left", function,
		       OVERTAKE_MS);

	__kvm_lifecycle_write(pause, "release");
	racer_join(first);
	racer_join(second);
}

/* A write that found the vGIC uninitialized is over before it's initialized. */
TEST_F(vgic, init_waits_for_write)
{
	struct racer writer = {
		.fn = race_write,
		.arg = &self->gic,
		.val = iidr_with_rev(self->iidr, 2),
	};
	struct racer init = { .fn = race_init, .arg = &self->gic };
	const char *missing = kvm_lifecycle_missing("pause");
	int pause, cpu = set_cpu_aside();
	bool overtaken;

	if (!self->preinit)
		SKIP(return, VGIC_NO_PREINIT);
	if (missing)
		SKIP(return, "%s", missing);
	if (cpu < 0)
		SKIP(return, "one CPU, want two");

	pause = __kvm_lifecycle_open("pause");
	if (pause < 0)
		SKIP(return, "module kvm_lifecycle: pause: %s", strerror(-pause));

	race(_metadata, pause, cpu, "vgic_v3_dist_uaccess", &writer, &init, &overtaken);
	close(pause);

	EXPECT_FALSE(overtaken)
		TH_LOG("want CTRL_INIT to wait for the write of GICD_IIDR, it didn't");
	EXPECT_EQ(0, writer.ret)
		TH_LOG("GICD_IIDR write before init: want 0, got %s", ret_name(writer.ret));
	EXPECT_EQ(0, init.ret)
		TH_LOG("KVM_DEV_ARM_VGIC_CTRL_INIT: want 0, got %s", ret_name(init.ret));
	expect_value(_metadata, &self->gic, &iidr, writer.val, "after init");
}

/* A write that comes too late to be over before init is one after init. */
TEST_F(vgic, write_waits_for_init)
{
	struct racer writer = {
		.fn = race_write,
		.arg = &self->gic,
		.val = iidr_with_rev(self->iidr, 2),
	};
	struct racer init = { .fn = race_init, .arg = &self->gic };
	const char *missing = kvm_lifecycle_missing("pause");
	int pause, r, cpu = set_cpu_aside();
	bool overtaken;

	if (!self->preinit)
		SKIP(return, VGIC_NO_PREINIT);
	if (missing)
		SKIP(return, "%s", missing);
	if (cpu < 0)
		SKIP(return, "one CPU, want two");

	pause = __kvm_lifecycle_open("pause");
	if (pause < 0)
		SKIP(return, "module kvm_lifecycle: pause: %s", strerror(-pause));

	/* With a held vCPU, the write succeeds if and only if it misses the init. */
	r = hold_vcpus(&self->held, &self->gic, 1);
	if (r)
		SKIP(return, "userfaultfd: %s", strerror(-r));

	race(_metadata, pause, cpu, "kvm_vgic_setup_default_irq_routing", &init, &writer,
	     &overtaken);
	close(pause);
	release_vcpus(&self->held);

	EXPECT_EQ(0, init.ret)
		TH_LOG("KVM_DEV_ARM_VGIC_CTRL_INIT: want 0, got %s", ret_name(init.ret));
	EXPECT_EQ(-EBUSY, writer.ret)
		TH_LOG("GICD_IIDR write during init, held vCPU: want %s, got %s%s",
		       ret_name(-EBUSY), ret_name(writer.ret),
		       overtaken ? ", before init was done" : "");
	expect_value(_metadata, &self->gic, &iidr, self->iidr, "after init");
}

/*
 * A thread that sets or gets an attribute, with its argument on a page that isn't there
 * yet.  It's the business of nobody else, however long that takes.
 */
FIXTURE(held_attr)
{
	struct vm_gic gic;
	struct held_vcpus held;
	bool preinit;
};

FIXTURE_VARIANT(held_attr)
{
	const char *name;
	unsigned long cmd;
	u32 group;
	u64 attr;
	bool init;		/* the vGIC is initialized */
	u64 arg;
	int want;
};

#define PMU_ATTR(_attr, _arg, _want)						\
	.name = #_attr, .cmd = KVM_SET_DEVICE_ATTR,				\
	.group = KVM_ARM_VCPU_PMU_V3_CTRL, .attr = _attr, .arg = _arg, .want = _want

FIXTURE_VARIANT_ADD(held_attr, pmu_irq)
{
	PMU_ATTR(KVM_ARM_VCPU_PMU_V3_IRQ, MIN_PPI + 7, 0),
};

/* One event is filtered. */
FIXTURE_VARIANT_ADD(held_attr, pmu_filter)
{
	PMU_ATTR(KVM_ARM_VCPU_PMU_V3_FILTER, 1 << 16, 0),
};

FIXTURE_VARIANT_ADD(held_attr, pmu_set_pmu)
{
	PMU_ATTR(KVM_ARM_VCPU_PMU_V3_SET_PMU, -1u, -ENXIO),
};

FIXTURE_VARIANT_ADD(held_attr, pmu_nr_counters)
{
	PMU_ATTR(KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS, 0, 0),
};

FIXTURE_VARIANT_ADD(held_attr, maint_irq)
{
	.name = "KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ",
	.cmd = KVM_GET_DEVICE_ATTR,
	.group = KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ,
};

#define PMR_ATTR(_cmd)								\
	.name = "KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS", .cmd = _cmd,		\
	.group = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,				\
	.attr = KVM_ARM64_SYS_REG(SYS_ICC_PMR_EL1) & KVM_DEV_ARM_VGIC_SYSREG_INSTR_MASK, \
	.init = true

FIXTURE_VARIANT_ADD(held_attr, sysreg_set)
{
	PMR_ATTR(KVM_SET_DEVICE_ATTR),
};

FIXTURE_VARIANT_ADD(held_attr, sysreg_get)
{
	PMR_ATTR(KVM_GET_DEVICE_ATTR),
};

FIXTURE_SETUP(held_attr)
{
	struct holder *h = &self->held.holders[0];
	struct kvm_vcpu_init init;
	u64 val, val2;
	bool pmu = variant->group == KVM_ARM_VCPU_PMU_V3_CTRL;
	int r;

	if (pmu && !kvm_has_cap(KVM_CAP_ARM_PMU_V3))
		SKIP(return, "KVM has no PMU");

	self->gic.nr_vcpus = 1;
	self->gic.vm = vm_create(1);
	kvm_get_default_vcpu_target(self->gic.vm, &init);
	if (pmu)
		init.features[0] |= BIT(KVM_ARM_VCPU_PMU_V3);
	self->gic.vcpus[0] = aarch64_vcpu_add(self->gic.vm, 0, &init, guest_code);
	self->gic.fd = __vgic_v3_setup(self->gic.vm, 1, NR_IRQS);
	ASSERT_GE(self->gic.fd, 0);
	self->preinit = read_preinit(_metadata, &self->gic, &val, &val2);

	h->fd = pmu ? self->gic.vcpus[0]->fd : self->gic.fd;
	h->cmd = variant->cmd;
	h->attr.group = variant->group;
	h->attr.attr = variant->attr;
	if (ioctl(h->fd, KVM_HAS_DEVICE_ATTR, &h->attr)) {
		vm_gic_destroy(&self->gic);
		SKIP(return, "no %s", variant->name);
	}
	if (variant->init)
		ASSERT_EQ(0, vgic_ctrl_init(self->gic.fd));

	r = hold(&self->held, 1);
	if (r)
		SKIP(return, "userfaultfd: %s", strerror(-r));
}

FIXTURE_TEARDOWN(held_attr)
{
	vm_gic_destroy(&self->gic);
}

static int race_read_iidr(void *gic, u64 unused)
{
	u64 val;

	return vgic_read(gic, &iidr, &val);
}

/* Old kernels have no access before init, but this has always been possible. */
static int race_set_nr_irqs(void *gic, u64 unused)
{
	u32 nr = NR_IRQS;
	int r = __kvm_device_attr_set(((struct vm_gic *)gic)->fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0,
				      &nr) ? -errno : 0;

	/* __vgic_v3_setup() did so before. */
	return r == -EBUSY ? 0 : r;
}

TEST_F(held_attr, access)
{
	bool use_iidr = self->preinit || variant->init;
	struct racer other = {
		.fn = use_iidr ? race_read_iidr : race_set_nr_irqs,
		.arg = &self->gic,
	};
	bool done;

	racer_start(&other, -1);
	racer_go(&other);
	done = racer_done_within(&other, BOUND_MS);
	release(&self->held, &variant->arg, sizeof(variant->arg));
	racer_join(&other);

	EXPECT_TRUE(done)
		TH_LOG("%s while %s sits in a page fault: want it done within %u ms, it isn't",
		       use_iidr ? "GICD_IIDR read" : "KVM_DEV_ARM_VGIC_GRP_NR_IRQS",
		       variant->name, BOUND_MS);
	EXPECT_EQ(0, other.ret)
		TH_LOG("%s while %s sits in a page fault: want 0, got %s",
		       use_iidr ? "GICD_IIDR read" : "KVM_DEV_ARM_VGIC_GRP_NR_IRQS",
		       variant->name, ret_name(other.ret));
	EXPECT_EQ(variant->want, self->held.holders[0].ret)
		TH_LOG("%s after a page fault: want %s, got %s", variant->name,
		       ret_name(variant->want), ret_name(self->held.holders[0].ret));
}

int main(int argc, char **argv)
{
	test_disable_default_vgic();
	TEST_REQUIRE(kvm_supports_vgic_v3());

	return test_harness_run(argc, argv);
}
