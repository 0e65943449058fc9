// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM with a vGIC as VMMs set it up, each in its own order of ioctls, from the creation
 * of the VM to a guest that runs, and once more where its state is restored.
 *
 * A thread per vCPU uses its vCPU from the moment that this exists, first in ioctls, and
 * then in KVM_RUN.  It pauses for what can't be done while a vCPU is in use:
 * KVM_CREATE_DEVICE of the vGIC, and register accesses once the vGIC is initialized, or
 * any if it's a GICv2.  All else has to succeed nevertheless:
 *
 *  - GICD_IIDR and GICD_TYPER2 of a GICv3 are written and read between any two steps
 *    from the creation of the vGIC to its initialization.
 *  - The guest sees the GICD_IIDR that was written last, and takes each interrupt once.
 *  - In another VM, set up in the same order and restored, the guest goes on with all of
 *    its registers, and takes the interrupts that were pending.
 *
 * The orders are those of
 *
 *  - QEMU: hw/intc/arm_gicv3_kvm.c (01b5ab8cc08a), hw/intc/arm_gic_kvm.c (0b8fa32f551e),
 *    hw/arm/virt.c (19bd6aafbd18), accel/kvm/kvm-accel-ops.c (12d1a768bdfe)
 *  - Firecracker: src/vmm/src/arch/aarch64/vm.rs (0512e491083d), gic/gicv3/mod.rs
 *    (055fda4dda1d) and gic/gicv2/mod.rs (0afcf9b393fd) there
 *  - crosvm: devices/src/irqchip/kvm/aarch64.rs (2768f223eeaf), with the finalize() of
 *    aarch64/src/lib.rs
 *  - kvmtool: arm/gic.c (d9fdaad02dfd), kvm-cpu.c (0161ed77586b), arm/kvm-cpu.c
 *    (61076240634d)
 *
 * None of them writes GICD_IIDR, which is what they have to do when KVM's changes.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>

#include <linux/bitfield.h>
#include <linux/sizes.h>

#include "kselftest_harness.h"
#include "kvm_lifecycle_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "vgic.h"

#include "gic.h"
#include "gic_v3.h"

#define NR_VCPUS	4
#define NR_IRQS		64
#define STACK_SIZE	SZ_16K

/* How often the registers are accessed between two steps, while the vCPUs are busy. */
#define NR_ACCESSES	50

/* How long to wait for something that takes milliseconds at worst. */
#define PATIENCE_S	20

#define SUBTEST_TIMEOUT_S	120

/* KVM knows this revision, and the next one, which a new VM has. */
#define OLD_REVISION	2

#define GICC_BASE_GPA	(GICD_BASE_GPA + SZ_64K)
#define GICC_CTLR	0x00
#define GICC_PMR	0x04
#define GICC_BPR	0x08
#define GICC_IAR	0x0c
#define GICC_EOIR	0x10
#define GICC_ABPR	0x1c
#define GICC_APR0	0xd0
#define GICR_SGI_BASE	SZ_64K

#define SGI		5
/* Each vCPU has an SPI of its own. */
#define SPI(_cpu)	(MIN_SPI + (_cpu))

/* What a vCPU's guest and the VMM tell each other; no exit is needed, and none survives. */
struct guest_cpu {
	u64 loops;
	u64 sgis_wanted;	/* how many it is to send to the next vCPU */
	u64 sgis_sent;
	u64 sgis_taken;
	u64 spis_taken;
	u64 others_taken;
	u32 iidr;
	u64 typer;		/* of its redistributor */
};

static struct guest_cpu guest_cpus[NR_VCPUS];
static u8 guest_stacks[NR_VCPUS][STACK_SIZE] __aligned(16);
static bool guest_v3;
static u32 guest_dist_done;

static void guest_init_v2(u32 cpu)
{
	u32 spi = SPI(cpu), cfg;

	if (!cpu) {
		writel(1, GICD_BASE_GVA + GICD_CTLR);
		cfg = readl(GICD_BASE_GVA + GICD_ICFGR + MIN_SPI / 4);
		writel(cfg | 0xaa, GICD_BASE_GVA + GICD_ICFGR + MIN_SPI / 4);
		writel(0x08040201, GICD_BASE_GVA + GICD_ITARGETSR + MIN_SPI);
	}
	writel(0xf0, (void *)GICC_BASE_GPA + GICC_PMR);
	writel(1, (void *)GICC_BASE_GPA + GICC_CTLR);
	writel(BIT(SGI), GICD_BASE_GVA + GICD_ISENABLER);
	writel(BIT(spi % 32), GICD_BASE_GVA + GICD_ISENABLER + spi / 32 * 4);
}

static void guest_init_v3(u32 cpu)
{
	int i;

	gic_init(GIC_V3, NR_VCPUS);
	if (!cpu) {
		for (i = 0; i < NR_VCPUS; i++) {
			gic_irq_set_config(SPI(i), true);
			writeq(i, GICD_BASE_GVA + GICD_IROUTER + SPI(i) * 8);
		}
	}
	gic_irq_enable(SGI);
}

static u32 guest_take_irq(void)
{
	u32 irq;

	if (guest_v3) {
		irq = read_sysreg_s(SYS_ICC_IAR1_EL1);
		dsb(sy);
		if (irq < IAR_SPURIOUS) {
			write_sysreg_s(irq, SYS_ICC_EOIR1_EL1);
			isb();
		}
		return irq;
	}

	irq = readl((void *)GICC_BASE_GPA + GICC_IAR);
	if ((irq & 0x3ff) < IAR_SPURIOUS)
		writel(irq, (void *)GICC_BASE_GPA + GICC_EOIR);
	return irq & 0x3ff;
}

static void guest_send_sgi(u32 cpu)
{
	u32 to = (cpu + 1) % NR_VCPUS;

	if (guest_v3) {
		write_sysreg_s((u64)SGI << 24 | BIT(to), SYS_ICC_SGI1R_EL1);
		isb();
	} else {
		writel(BIT(16 + to) | SGI, GICD_BASE_GVA + GICD_SGIR);
	}
}

static void guest_code(void)
{
	u32 cpu = guest_get_vcpuid(), irq;
	struct guest_cpu *g = &guest_cpus[cpu];

	/* vCPU0 does what is done once, and then the others what each of them does. */
	while (cpu && !READ_ONCE(guest_dist_done))
		;
	if (guest_v3)
		guest_init_v3(cpu);
	else
		guest_init_v2(cpu);
	if (!cpu)
		WRITE_ONCE(guest_dist_done, 1);
	if (guest_v3)
		gic_irq_enable(SPI(cpu));

	for (;;) {
		irq = guest_take_irq();
		if (irq == SGI)
			WRITE_ONCE(g->sgis_taken, g->sgis_taken + 1);
		else if (irq == SPI(cpu))
			WRITE_ONCE(g->spis_taken, g->spis_taken + 1);
		else if (irq < IAR_SPURIOUS)
			WRITE_ONCE(g->others_taken, g->others_taken + 1);

		WRITE_ONCE(g->iidr, readl(GICD_BASE_GVA + GICD_IIDR));
		if (guest_v3)
			WRITE_ONCE(g->typer, readq(GICR_BASE_GVA + cpu * KVM_VGIC_V3_REDIST_SIZE +
						   GICR_TYPER));
		if (g->sgis_sent < READ_ONCE(g->sgis_wanted)) {
			guest_send_sgi(cpu);
			WRITE_ONCE(g->sgis_sent, g->sgis_sent + 1);
		}
		WRITE_ONCE(g->loops, g->loops + 1);
	}
}

/* The steps of a VMM, in its own order. */
enum step {
	END,
	CREATE_VCPUS,		/* each by its thread */
	INIT_VCPUS,		/* KVM_ARM_VCPU_INIT, and registers */
	CREATE_GIC,
	SET_DIST,
	SET_REDIST,		/* or the CPU interface of a GICv2 */
	SET_NR_IRQS,
	SET_ROUTES,
	INIT_GIC,
};

static const char * const step_names[] = {
	[CREATE_VCPUS]	= "KVM_CREATE_VCPU",
	[INIT_VCPUS]	= "KVM_ARM_VCPU_INIT",
	[CREATE_GIC]	= "KVM_CREATE_DEVICE",
	[SET_DIST]	= "the distributor's address",
	[SET_REDIST]	= "the redistributors' or CPU interface's address",
	[SET_NR_IRQS]	= "KVM_DEV_ARM_VGIC_GRP_NR_IRQS",
	[SET_ROUTES]	= "KVM_SET_GSI_ROUTING",
	[INIT_GIC]	= "KVM_DEV_ARM_VGIC_CTRL_INIT",
};

enum mode { PAUSED, IOCTLS, RUNNING, GONE };

struct vmm;

struct vmm_vcpu {
	struct vmm *vmm;
	u32 id;
	struct kvm_vcpu *vcpu;
	pthread_t thread;
	enum mode want;
	enum mode is;
	u64 nr_calls;		/* that are done */
	int err;		/* of the first call that failed */
	const char *call;	/* and its name */
	u32 exit_reason;	/* an exit that isn't expected, or 0 */
};

struct vmm {
	struct kvm_vm *vm;
	bool v3;
	int gic_fd;
	int nr_vcpus;
	bool gic_done;		/* it is initialized */
	bool vcpus_done;
	u32 iidr;		/* the one that was written last, or KVM's own */
	struct guest_cpu *guest;
	struct vmm_vcpu vcpus[NR_VCPUS];
};

static void kick(int sig)
{
}

static void vcpu_failed(struct vmm_vcpu *v, const char *call)
{
	if (v->err)
		return;
	v->call = call;
	v->err = -errno;
}

static bool has_failed(struct vmm_vcpu *v)
{
	return READ_ONCE(v->err) || READ_ONCE(v->exit_reason);
}

/* All of these take vcpu->mutex, and don't change what KVM_RUN does. */
static void vcpu_ioctls(struct vmm_vcpu *v)
{
	bool done = __atomic_load_n(&v->vmm->vcpus_done, __ATOMIC_SEQ_CST);
	struct kvm_mp_state mp_state;
	u64 id = v->id;
	struct kvm_one_reg reg = {
		.id = KVM_ARM64_SYS_REG(SYS_TPIDRRO_EL0),
		.addr = (u64)&id,
	};

	/* -ENOEXEC is what a vCPU returns that hasn't been initialized. */
	if (ioctl(v->vcpu->fd, KVM_SET_ONE_REG, &reg) && (done || errno != ENOEXEC))
		vcpu_failed(v, "KVM_SET_ONE_REG");
	if (ioctl(v->vcpu->fd, KVM_GET_ONE_REG, &reg) && (done || errno != ENOEXEC))
		vcpu_failed(v, "KVM_GET_ONE_REG");
	if (ioctl(v->vcpu->fd, KVM_GET_MP_STATE, &mp_state))
		vcpu_failed(v, "KVM_GET_MP_STATE");
}

static void vcpu_run_once(struct vmm_vcpu *v)
{
	if (!__vcpu_run(v->vcpu))
		v->exit_reason = v->vcpu->run->exit_reason ?: -1u;
	else if (errno != EINTR)
		vcpu_failed(v, "KVM_RUN");
	/* It won't get better. */
	if (has_failed(v))
		usleep(POLL_US);
}

static void *vcpu_thread(void *arg)
{
	struct vmm_vcpu *v = arg;
	enum mode mode;

	v->vcpu = __vm_vcpu_add(v->vmm->vm, v->id);
	while ((mode = __atomic_load_n(&v->want, __ATOMIC_SEQ_CST)) != GONE) {
		__atomic_store_n(&v->is, mode, __ATOMIC_SEQ_CST);
		if (mode == IOCTLS)
			vcpu_ioctls(v);
		else if (mode == RUNNING)
			vcpu_run_once(v);
		else
			usleep(100);
		__atomic_add_fetch(&v->nr_calls, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static u64 nr_calls(struct vmm_vcpu *v)
{
	return __atomic_load_n(&v->nr_calls, __ATOMIC_SEQ_CST);
}

/* Returns once each vCPU does that, and no longer what it did before. */
static void set_mode(struct vmm *vmm, enum mode mode)
{
	u64 start = now_ms();
	struct vmm_vcpu *v;
	int i;

	for (i = 0; i < vmm->nr_vcpus; i++) {
		v = &vmm->vcpus[i];
		WRITE_ONCE(v->vcpu->run->immediate_exit, mode != RUNNING);
		__atomic_store_n(&v->want, mode, __ATOMIC_SEQ_CST);
		pthread_kill(v->thread, SIGUSR1);
	}
	if (mode == GONE)
		return;
	for (i = 0; i < vmm->nr_vcpus; i++) {
		v = &vmm->vcpus[i];
		while (__atomic_load_n(&v->is, __ATOMIC_SEQ_CST) != mode) {
			TEST_ASSERT(!timed_out(start, PATIENCE_S),
				    "vCPU%d: want mode %d within %d s, got %d", i, mode,
				    PATIENCE_S, v->is);
			usleep(100);
		}
	}
}

/* A pause for what can't be done while a vCPU is in use.  Returns the mode before. */
static enum mode pause_vcpus(struct vmm *vmm)
{
	enum mode mode = vmm->nr_vcpus ? vmm->vcpus[0].want : PAUSED;

	set_mode(vmm, PAUSED);
	return mode;
}

static void vmm_create(struct vmm *vmm, u32 type)
{
	struct sigaction action = { .sa_handler = kick };

	/* Without SA_RESTART, or KVM_RUN would go on. */
	TEST_ASSERT(!sigaction(SIGUSR1, &action, NULL), "sigaction() failed, errno: %d", errno);

	memset(vmm, 0, sizeof(*vmm));
	vmm->gic_fd = -1;
	vmm->v3 = type == KVM_DEV_TYPE_ARM_VGIC_V3;
	vmm->vm = vm_create(NR_VCPUS);
	virt_map(vmm->vm, GICD_BASE_GPA, GICD_BASE_GPA,
		 vm_calc_num_guest_pages(vmm->vm->mode, vmm->v3 ?
					 SZ_64K + NR_VCPUS * KVM_VGIC_V3_REDIST_SIZE :
					 SZ_64K + KVM_VGIC_V2_CPU_SIZE));
	guest_v3 = vmm->v3;
	sync_global_to_guest(vmm->vm, guest_v3);
	vmm->guest = addr_gva2hva(vmm->vm, (unsigned long)guest_cpus);
}

static void vmm_free(struct vmm *vmm)
{
	int i;

	set_mode(vmm, GONE);
	for (i = 0; i < vmm->nr_vcpus; i++)
		pthread_join(vmm->vcpus[i].thread, NULL);
	if (vmm->gic_fd >= 0)
		close(vmm->gic_fd);
	if (vmm->vm)
		kvm_vm_free(vmm->vm);
}

static void expect_no_failure(struct __test_metadata *_metadata, struct vmm *vmm)
{
	struct vmm_vcpu *v;

	for (v = vmm->vcpus; v < vmm->vcpus + vmm->nr_vcpus; v++) {
		EXPECT_EQ(0, v->err)
			TH_LOG("%s of vCPU%u: want 0, got %s", v->call, v->id, ret_name(v->err));
		EXPECT_EQ(0, v->exit_reason)
			TH_LOG("KVM_RUN of vCPU%u: want no exit, got %u (%s)", v->id,
			       v->exit_reason, exit_reason_str(v->exit_reason));
	}
}

static int gic_get(struct vmm *vmm, u32 group, u64 attr, u64 *val)
{
	*val = 0;
	return __kvm_device_attr_get(vmm->gic_fd, group, attr, val) ? -errno : 0;
}

static int gic_set(struct vmm *vmm, u32 group, u64 attr, u64 val)
{
	return __kvm_device_attr_set(vmm->gic_fd, group, attr, &val) ? -errno : 0;
}

static u32 iidr_with_rev(u32 val, u32 rev)
{
	return (val & ~GICD_IIDR_REVISION_MASK) | FIELD_PREP(GICD_IIDR_REVISION_MASK, rev);
}

/* The first failure of a kind, and how often it was seen. */
struct failures {
	int ret;
	int nr;
};

static void count_failure(struct failures *f, int ret)
{
	if (ret && !f->nr++)
		f->ret = ret;
}

static void expect_none(struct __test_metadata *_metadata, struct failures *f, int of,
			const char *what, enum step after, const char *when)
{
	EXPECT_EQ(0, f->nr)
		TH_LOG("%s %s, after %s: want 0, got %s, %d of %d", what, when, step_names[after],
		       ret_name(f->ret), f->nr, of);
}

/* GICD_IIDR as it is, with paused vCPUs. */
static int read_iidr(struct vmm *vmm)
{
	enum mode mode = pause_vcpus(vmm);
	u64 val;
	int r = gic_get(vmm, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_IIDR, &val);

	set_mode(vmm, mode);
	if (!r)
		vmm->iidr = val;
	return r;
}

static int write_rev(struct vmm *vmm, u32 rev)
{
	u32 val = iidr_with_rev(vmm->iidr, rev);
	int r = gic_set(vmm, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_IIDR, val);

	if (!r)
		vmm->iidr = val;
	return r;
}

static int rewrite_typer2(struct vmm *vmm)
{
	u64 val;
	int r = gic_get(vmm, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_TYPER2, &val);

	return r ?: gic_set(vmm, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_TYPER2, val);
}

/* Has each of the vCPUs begun and ended something since? */
static bool all_did_something(struct vmm *vmm, const u64 *nr_before)
{
	int i;

	for (i = 0; i < vmm->nr_vcpus; i++) {
		if (nr_calls(&vmm->vcpus[i]) < nr_before[i] + 2)
			return false;
	}
	return true;
}

/*
 * Provision the VM's vGIC, again and again, with two revisions in turn, of which the old
 * one is last.  Each of the vCPUs does something meanwhile.
 */
static void provision(struct __test_metadata *_metadata, struct vmm *vmm, enum step after)
{
	const char *when = vmm->gic_done ? "with paused vCPUs" :
			   vmm->nr_vcpus ? "with busy vCPUs" : "without a vCPU";
	struct failures reads = {}, writes = {}, typer2s = {};
	u64 nr_before[NR_VCPUS], val, start = now_ms();
	int i, n, r, wrong = 0;

	if (!vmm->iidr) {
		r = read_iidr(vmm);
		EXPECT_EQ(0, r)
			TH_LOG("GICD_IIDR read %s, after %s: want 0, got %s",
			       vmm->nr_vcpus ? "with paused vCPUs" : "without a vCPU",
			       step_names[after], ret_name(r));
		/* The next step may be the one that makes it possible. */
		if (r)
			return;
	}

	for (i = 0; i < vmm->nr_vcpus; i++)
		nr_before[i] = nr_calls(&vmm->vcpus[i]);

	/* An even number of times. */
	for (n = 0; n < NR_ACCESSES || n % 2 || !all_did_something(vmm, nr_before); n++) {
		TEST_ASSERT(!timed_out(start, PATIENCE_S),
			    "want each vCPU in an ioctl within %d s, one isn't", PATIENCE_S);
		count_failure(&writes, write_rev(vmm, n % 2 ? OLD_REVISION : OLD_REVISION + 1));
		r = gic_get(vmm, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_IIDR, &val);
		count_failure(&reads, r);
		wrong += !r && val != vmm->iidr;
		if (vmm->v3)
			count_failure(&typer2s, rewrite_typer2(vmm));
	}

	expect_none(_metadata, &writes, n, "GICD_IIDR write", after, when);
	expect_none(_metadata, &reads, n, "GICD_IIDR read", after, when);
	expect_none(_metadata, &typer2s, n, "GICD_TYPER2", after, when);
	EXPECT_EQ(0, wrong)
		TH_LOG("GICD_IIDR %s, after %s: want the value written, got another, %d of %d",
		       when, step_names[after], wrong, n);
}

/* A GICv2 can be accessed when it's initialized, or it is thereby. */
static void provision_if_allowed(struct __test_metadata *_metadata, struct vmm *vmm,
				 enum step after)
{
	enum mode mode;

	if (vmm->gic_fd < 0)
		return;
	if (!vmm->gic_done) {
		if (vmm->v3)
			provision(_metadata, vmm, after);
		return;
	}
	mode = pause_vcpus(vmm);
	provision(_metadata, vmm, after);
	set_mode(vmm, mode);
}

static int create_gic(struct vmm *vmm)
{
	enum mode mode = pause_vcpus(vmm);

	vmm->gic_fd = __kvm_create_device(vmm->vm, vmm->v3 ? KVM_DEV_TYPE_ARM_VGIC_V3 :
							     KVM_DEV_TYPE_ARM_VGIC_V2);
	set_mode(vmm, mode);
	return vmm->gic_fd < 0 ? -errno : 0;
}

static void create_vcpu(struct vmm *vmm)
{
	struct vmm_vcpu *v = &vmm->vcpus[vmm->nr_vcpus];
	u64 start = now_ms();

	v->vmm = vmm;
	v->id = vmm->nr_vcpus;
	v->want = IOCTLS;
	TEST_ASSERT(!pthread_create(&v->thread, NULL, vcpu_thread, v), "pthread_create() failed");
	while (__atomic_load_n(&v->is, __ATOMIC_SEQ_CST) != IOCTLS) {
		TEST_ASSERT(!timed_out(start, PATIENCE_S),
			    "vCPU%u: want it within %d s, it isn't there", v->id, PATIENCE_S);
		usleep(100);
	}
	vmm->nr_vcpus++;
}

static void init_vcpu(struct vmm *vmm, u32 id)
{
	struct kvm_vcpu *vcpu = vmm->vcpus[id].vcpu;

	aarch64_vcpu_setup(vcpu, NULL);
	vcpu_set_reg(vcpu, ARM64_CORE_REG(sp_el1), (u64)guest_stacks[id + 1]);
	vcpu_arch_set_entry_point(vcpu, guest_code);
}

static int set_routes(struct vmm *vmm)
{
	struct kvm_irq_routing *routing = kvm_gsi_routing_create();
	int i;

	for (i = 0; i < NR_IRQS - MIN_SPI; i++)
		kvm_gsi_routing_irqchip_add(routing, i, i);
	return _kvm_gsi_routing_write(vmm->vm, routing) ? -errno : 0;
}

static int set_redist(struct vmm *vmm, bool region)
{
	if (!vmm->v3)
		return gic_set(vmm, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU,
			       GICC_BASE_GPA);
	if (region)
		return vgic_set_region(vmm->gic_fd, GICR_BASE_GPA, NR_VCPUS, 0);
	return gic_set(vmm, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST,
		       GICR_BASE_GPA);
}

/* A VM that is ready to run, or to be restored. */
static void set_up(struct __test_metadata *_metadata, struct vmm *vmm, const enum step *steps,
		   bool region)
{
	int i, r;

	for (; *steps != END; steps++) {
		r = 0;
		switch (*steps) {
		case CREATE_VCPUS:
			for (i = 0; i < NR_VCPUS; i++) {
				create_vcpu(vmm);
				if (i < NR_VCPUS - 1)
					provision_if_allowed(_metadata, vmm, *steps);
			}
			break;
		case INIT_VCPUS:
			for (i = 0; i < NR_VCPUS; i++)
				init_vcpu(vmm, i);
			__atomic_store_n(&vmm->vcpus_done, true, __ATOMIC_SEQ_CST);
			break;
		case CREATE_GIC:
			r = create_gic(vmm);
			break;
		case SET_DIST:
			r = gic_set(vmm, KVM_DEV_ARM_VGIC_GRP_ADDR, vmm->v3 ?
				    KVM_VGIC_V3_ADDR_TYPE_DIST : KVM_VGIC_V2_ADDR_TYPE_DIST,
				    GICD_BASE_GPA);
			break;
		case SET_REDIST:
			r = set_redist(vmm, region);
			break;
		case SET_NR_IRQS:
			r = gic_set(vmm, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, NR_IRQS);
			break;
		case SET_ROUTES:
			r = set_routes(vmm);
			break;
		case INIT_GIC:
			r = vgic_ctrl_init(vmm->gic_fd);
			vmm->gic_done = !r;
			break;
		case END:
			break;
		}
		ASSERT_EQ(0, r)
			TH_LOG("%s %s: want 0, got %s", step_names[*steps],
			       vmm->nr_vcpus ? "with busy vCPUs" : "without a vCPU", ret_name(r));
		provision_if_allowed(_metadata, vmm, *steps);
	}
	expect_no_failure(_metadata, vmm);
}

/* Wait until *@val, which a guest counts up, is @want. */
static void expect_count(struct __test_metadata *_metadata, struct vmm *vmm, u64 *val, u64 want,
			 const char *what, u32 cpu)
{
	u64 start = now_ms();

	while (READ_ONCE(*val) < want && !timed_out(start, PATIENCE_S)) {
		if (has_failed(&vmm->vcpus[cpu]))
			break;
		usleep(POLL_US);
	}
	EXPECT_EQ(want, READ_ONCE(*val))
		TH_LOG("%s of vCPU%u: want %llu, got %llu", what, cpu, (unsigned long long)want,
		       (unsigned long long)READ_ONCE(*val));
}

/* The guest of each vCPU goes on. */
static void expect_loops(struct __test_metadata *_metadata, struct vmm *vmm)
{
	u64 start = now_ms(), loops;
	u32 cpu;

	for (cpu = 0; cpu < NR_VCPUS; cpu++) {
		loops = READ_ONCE(vmm->guest[cpu].loops);
		while (READ_ONCE(vmm->guest[cpu].loops) < loops + 2) {
			if (timed_out(start, PATIENCE_S) || has_failed(&vmm->vcpus[cpu]))
				expect_no_failure(_metadata, vmm);
			ASSERT_FALSE(timed_out(start, PATIENCE_S) || has_failed(&vmm->vcpus[cpu]))
				TH_LOG("guest of vCPU%u: want it to go on within %d s, it doesn't",
				       cpu, PATIENCE_S);
			usleep(POLL_US);
		}
	}
}

/* Edge triggered, i.e. each of these is taken once. */
static void raise_spis(struct __test_metadata *_metadata, struct vmm *vmm)
{
	int cpu, level, r;

	for (cpu = 0; cpu < NR_VCPUS; cpu++) {
		for (level = 1; level >= 0; level--) {
			r = _kvm_arm_irq_line(vmm->vm, SPI(cpu), level) ? -errno : 0;
			ASSERT_EQ(0, r)
				TH_LOG("KVM_IRQ_LINE: want 0, got %s", ret_name(r));
		}
	}
}

/* The vCPUs are in KVM_RUN: all that a guest can see of its vGIC is right. */
static void expect_guest(struct __test_metadata *_metadata, struct vmm *vmm, u64 nr)
{
	struct guest_cpu *g = vmm->guest;
	u32 cpu;

	expect_loops(_metadata, vmm);
	raise_spis(_metadata, vmm);
	for (cpu = 0; cpu < NR_VCPUS; cpu++)
		WRITE_ONCE(g[cpu].sgis_wanted, nr);

	for (cpu = 0; cpu < NR_VCPUS; cpu++) {
		expect_count(_metadata, vmm, &g[cpu].spis_taken, nr, "SPIs", cpu);
		expect_count(_metadata, vmm, &g[cpu].sgis_taken, nr, "SGIs", cpu);
		EXPECT_EQ(0, READ_ONCE(g[cpu].others_taken))
			TH_LOG("vCPU%u: want no other interrupt, got %llu", cpu,
			       (unsigned long long)g[cpu].others_taken);
		EXPECT_EQ(vmm->iidr, READ_ONCE(g[cpu].iidr))
			TH_LOG("GICD_IIDR as vCPU%u reads it: want %#x, got %#x", cpu, vmm->iidr,
			       g[cpu].iidr);
		if (vmm->v3)
			EXPECT_EQ(cpu, g[cpu].typer >> 8 & 0xffff)
				TH_LOG("GICR_TYPER's number of redistributor %u: want %u, got %llu",
				       cpu, cpu, (unsigned long long)g[cpu].typer >> 8 & 0xffff);
	}
	expect_no_failure(_metadata, vmm);
}

/* What is saved of a vGIC, in the order in which it is restored. */
struct gic_regs {
	const char *name;
	u32 group;
	u32 offset;		/* or the encoding of a system register */
	int nr;			/* words */
	bool per_vcpu;
	bool fixed;		/* is compared, but can't be restored */
	bool spis;		/* as many words, of private interrupts, come before */
	bool enable;		/* sets bits, and what a new VM has in addition is cleared */
};

/* GICD_ICENABLER and GICR_ICENABLER0, from the register that sets. */
#define TO_ICENABLER	(GICD_ICENABLER - GICD_ISENABLER)

#define DIST(_name, _nr)	{ #_name, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, _name, _nr }
#define SPIS(_name, _nr)							\
	{ #_name, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, _name, _nr, .spis = true }
#define REDIST(_name, _base, _nr)						\
	{ #_name, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, (_base) + (_name), _nr, true }
#define SPI_ENABLE(_name)							\
	{ #_name, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, _name, 1, .spis = true, .enable = true }
#define SYSREG(_name)								\
	{ #_name, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,				\
	  KVM_ARM64_SYS_REG(SYS_##_name) & KVM_DEV_ARM_VGIC_SYSREG_INSTR_MASK, 1, true }
#define BANKED(_name, _nr)							\
	{ #_name, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, _name, _nr, true }
#define CPUIF(_name)		{ #_name, KVM_DEV_ARM_VGIC_GRP_CPU_REGS, _name, 1, true }

/* Without an ITS there are no LPIs, whose tables would be part of it. */
static const struct gic_regs v3_regs[] = {
	{ "GICR_TYPER", KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, GICR_TYPER, 2, true, true },
	DIST(GICD_CTLR, 1),
	REDIST(GICR_CTLR, 0, 1),
	REDIST(GICR_WAKER, 0, 1),
	REDIST(GICR_IGROUPR0, GICR_SGI_BASE, 1),
	{ "GICR_ISENABLER0", KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, GICR_SGI_BASE + GICR_ISENABLER0, 1,
	  .per_vcpu = true, .enable = true },
	REDIST(GICR_ICFGR0, GICR_SGI_BASE, 2),
	REDIST(GICR_IPRIORITYR0, GICR_SGI_BASE, 8),
	REDIST(GICR_ISPENDR0, GICR_SGI_BASE, 1),
	REDIST(GICR_ISACTIVER0, GICR_SGI_BASE, 1),
	DIST(GICD_STATUSR, 1),
	SPI_ENABLE(GICD_ISENABLER),
	SPIS(GICD_IGROUPR, 1),
	SPIS(GICD_IROUTER, 64),
	SPIS(GICD_ICFGR, 2),
	SPIS(GICD_ISPENDR, 1),
	SPIS(GICD_ISACTIVER, 1),
	SPIS(GICD_IPRIORITYR, 8),
	SYSREG(ICC_SRE_EL1),
	SYSREG(ICC_CTLR_EL1),
	SYSREG(ICC_IGRPEN0_EL1),
	SYSREG(ICC_IGRPEN1_EL1),
	SYSREG(ICC_PMR_EL1),
	SYSREG(ICC_BPR0_EL1),
	SYSREG(ICC_BPR1_EL1),
	SYSREG(ICC_AP0R0_EL1),
	SYSREG(ICC_AP1R0_EL1),
	{}
};

static const struct gic_regs v2_regs[] = {
	DIST(GICD_CTLR, 1),
	{ "GICD_ISENABLER0", KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_ISENABLER, 1,
	  .per_vcpu = true, .enable = true },
	BANKED(GICD_IGROUPR, 1),
	BANKED(GICD_ICFGR, 2),
	BANKED(GICD_IPRIORITYR, 8),
	BANKED(GICD_ISPENDR, 1),
	BANKED(GICD_ISACTIVER, 1),
	BANKED(GICD_SPENDSGIR, 4),
	SPI_ENABLE(GICD_ISENABLER),
	SPIS(GICD_IGROUPR, 1),
	SPIS(GICD_ITARGETSR, 8),
	SPIS(GICD_ICFGR, 2),
	SPIS(GICD_ISPENDR, 1),
	SPIS(GICD_ISACTIVER, 1),
	SPIS(GICD_IPRIORITYR, 8),
	CPUIF(GICC_CTLR),
	CPUIF(GICC_PMR),
	CPUIF(GICC_BPR),
	CPUIF(GICC_ABPR),
	CPUIF(GICC_APR0),
	{}
};

#define MAX_GIC_VALUES	512
#define MAX_VCPU_REGS	512
#define MAX_REG_SIZE	256

/* A VM as it was saved, with its memory. */
struct saved_vm {
	u32 iidr;
	u64 gic[MAX_GIC_VALUES];
	struct saved_vcpu {
		int nr;
		u64 ids[MAX_VCPU_REGS];
		u8 vals[MAX_VCPU_REGS][MAX_REG_SIZE];
	} vcpus[NR_VCPUS];
};

enum gic_op { SAVE, RESTORE, COMPARE };

/* All of the registers of a vGIC, with paused vCPUs. */
static void access_gic(struct __test_metadata *_metadata, struct vmm *vmm, struct saved_vm *saved,
		       enum gic_op op)
{
	const struct gic_regs *reg;
	u64 attr, val, *next = saved->gic;
	int cpu, i, r;

	for (reg = vmm->v3 ? v3_regs : v2_regs; reg->name; reg++) {
		for (cpu = 0; cpu < (reg->per_vcpu ? NR_VCPUS : 1); cpu++) {
			for (i = 0; i < reg->nr; i++, next++) {
				TEST_ASSERT(next < saved->gic + MAX_GIC_VALUES, "too many values");
				/* The affinity of a vCPU is its ID. */
				attr = reg->offset + (reg->spis ? reg->nr + i : i) * 4;
				attr |= (u64)cpu << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT;
				r = 0;
				if (op == SAVE)
					r = gic_get(vmm, reg->group, attr, next);
				else if (op == COMPARE)
					r = gic_get(vmm, reg->group, attr, &val);
				else if (reg->enable)
					r = gic_set(vmm, reg->group, attr + TO_ICENABLER, ~0u);
				if (op == RESTORE && !r && !reg->fixed)
					r = gic_set(vmm, reg->group, attr, *next);
				ASSERT_EQ(0, r)
					TH_LOG("%s%+d %s, vCPU%d: want 0, got %s", reg->name, i * 4,
					       op == RESTORE ? "write" : "read", cpu, ret_name(r));
				if (op != COMPARE)
					continue;
				EXPECT_EQ(*next, val)
					TH_LOG("%s%+d of vCPU%d, restored: want %#llx, got %#llx",
					       reg->name, i * 4, cpu, (unsigned long long)*next,
					       (unsigned long long)val);
			}
		}
	}
}

static int one_reg(struct kvm_vcpu *vcpu, unsigned long cmd, u64 id, void *val)
{
	struct kvm_one_reg reg = { .id = id, .addr = (u64)val };

	return ioctl(vcpu->fd, cmd, &reg) ? -errno : 0;
}

static void save_vcpu(struct __test_metadata *_metadata, struct kvm_vcpu *vcpu,
		      struct saved_vcpu *saved)
{
	struct kvm_reg_list *list = vcpu_get_reg_list(vcpu);
	int i, r;

	TEST_ASSERT(list->n <= MAX_VCPU_REGS, "too many registers");
	saved->nr = list->n;
	for (i = 0; i < saved->nr; i++) {
		saved->ids[i] = list->reg[i];
		r = one_reg(vcpu, KVM_GET_ONE_REG, saved->ids[i], saved->vals[i]);
		ASSERT_EQ(0, r)
			TH_LOG("KVM_GET_ONE_REG %#llx: want 0, got %s",
			       (unsigned long long)saved->ids[i], ret_name(r));
	}
	free(list);
}

/* These go on by themselves. */
static bool is_counter(u64 id)
{
	return id == KVM_REG_ARM_TIMER_CNT || id == KVM_REG_ARM_PTIMER_CNT;
}

static void restore_vcpu(struct __test_metadata *_metadata, struct kvm_vcpu *vcpu,
			 struct saved_vcpu *saved)
{
	u8 val[MAX_REG_SIZE];
	int i, r;

	for (i = 0; i < saved->nr; i++) {
		r = one_reg(vcpu, KVM_SET_ONE_REG, saved->ids[i], saved->vals[i]);
		ASSERT_EQ(0, r)
			TH_LOG("KVM_SET_ONE_REG %#llx: want 0, got %s",
			       (unsigned long long)saved->ids[i], ret_name(r));
	}
	for (i = 0; i < saved->nr; i++) {
		memset(val, 0, sizeof(val));
		r = one_reg(vcpu, KVM_GET_ONE_REG, saved->ids[i], val);
		ASSERT_EQ(0, r);
		EXPECT_TRUE(is_counter(saved->ids[i]) || !memcmp(val, saved->vals[i], sizeof(val)))
			TH_LOG("register %#llx of vCPU%u, restored: want %#llx, got %#llx",
			       (unsigned long long)saved->ids[i], vcpu->id,
			       (unsigned long long)*(u64 *)saved->vals[i],
			       (unsigned long long)*(u64 *)val);
	}
}

static void copy_memory(struct vmm *to, struct vmm *from)
{
	struct userspace_mem_region *src = memslot2region(from->vm, 0);
	struct userspace_mem_region *dst = memslot2region(to->vm, 0);

	TEST_ASSERT_EQ(src->region.memory_size, dst->region.memory_size);
	memcpy(dst->host_mem, src->host_mem, src->region.memory_size);
}

FIXTURE(order)
{
	int kmsg;
	struct vmm *vmm;
	struct vmm *restored;
	struct saved_vm *saved;
};

FIXTURE_VARIANT(order)
{
	u32 type;
	bool region;		/* the redistributors are in one of a given size */
	enum step steps[16];
};

/* The vCPUs are there before the vGIC, which is initialized before it has addresses. */
#define QEMU									\
	.region = true,								\
	.steps = { CREATE_VCPUS, INIT_VCPUS, CREATE_GIC, SET_NR_IRQS, INIT_GIC,	\
		   SET_ROUTES, SET_DIST, SET_REDIST }

/* The vCPUs are there before the vGIC, and are initialized after it. */
#define FIRECRACKER								\
	.steps = { CREATE_VCPUS, CREATE_GIC, SET_DIST, SET_REDIST, SET_NR_IRQS,	\
		   INIT_GIC, INIT_VCPUS, SET_ROUTES }

/* The vGIC is there before any vCPU. */
#define CROSVM									\
	.steps = { CREATE_GIC, SET_REDIST, SET_DIST, SET_NR_IRQS, CREATE_VCPUS,	\
		   INIT_VCPUS, INIT_GIC, SET_ROUTES }

/* And has as many interrupts as there are devices, which come last. */
#define KVMTOOL									\
	.steps = { CREATE_GIC, SET_REDIST, SET_DIST, CREATE_VCPUS, INIT_VCPUS,	\
		   SET_NR_IRQS, INIT_GIC, SET_ROUTES }

FIXTURE_VARIANT_ADD(order, qemu) { .type = KVM_DEV_TYPE_ARM_VGIC_V3, QEMU };
FIXTURE_VARIANT_ADD(order, firecracker) { .type = KVM_DEV_TYPE_ARM_VGIC_V3, FIRECRACKER };
FIXTURE_VARIANT_ADD(order, crosvm) { .type = KVM_DEV_TYPE_ARM_VGIC_V3, CROSVM };
FIXTURE_VARIANT_ADD(order, kvmtool) { .type = KVM_DEV_TYPE_ARM_VGIC_V3, KVMTOOL };
FIXTURE_VARIANT_ADD(order, qemu_gicv2) { .type = KVM_DEV_TYPE_ARM_VGIC_V2, QEMU };
FIXTURE_VARIANT_ADD(order, firecracker_gicv2) { .type = KVM_DEV_TYPE_ARM_VGIC_V2, FIRECRACKER };
FIXTURE_VARIANT_ADD(order, crosvm_gicv2) { .type = KVM_DEV_TYPE_ARM_VGIC_V2, CROSVM };
FIXTURE_VARIANT_ADD(order, kvmtool_gicv2) { .type = KVM_DEV_TYPE_ARM_VGIC_V2, KVMTOOL };

FIXTURE_SETUP(order)
{
	bool v3 = variant->type == KVM_DEV_TYPE_ARM_VGIC_V3;
	struct kvm_vm *vm = vm_create_barebones();
	bool missing = __kvm_test_create_device(vm, variant->type);
	const char *no_preinit;

	kvm_vm_free(vm);
	if (missing)
		SKIP(return, "KVM has no GICv%d", v3 ? 3 : 2);
	no_preinit = v3 ? vgic_preinit_missing() : NULL;
	if (no_preinit)
		SKIP(return, "%s", no_preinit);

	self->kmsg = kmsg_open();
	self->vmm = calloc(1, sizeof(*self->vmm));
	self->restored = calloc(1, sizeof(*self->restored));
	self->saved = calloc(1, sizeof(*self->saved));
	ASSERT_TRUE(self->vmm && self->restored && self->saved);
	vmm_create(self->vmm, variant->type);
}

FIXTURE_TEARDOWN(order)
{
	vmm_free(self->vmm);
	if (self->restored->vm)
		vmm_free(self->restored);
	free(self->saved);
	free(self->restored);
	free(self->vmm);
	kmsg_close(_metadata, self->kmsg);
}

TEST_F_TIMEOUT(order, boot, SUBTEST_TIMEOUT_S)
{
	struct vmm *vmm = self->vmm;

	set_up(_metadata, vmm, variant->steps, variant->region);
	set_mode(vmm, RUNNING);
	expect_guest(_metadata, vmm, 1);

	/* With all vCPUs out of the guest, and then it goes on. */
	provision_if_allowed(_metadata, vmm, INIT_GIC);
	expect_guest(_metadata, vmm, 2);
}

TEST_F_TIMEOUT(order, restore, SUBTEST_TIMEOUT_S)
{
	struct vmm *vmm = self->vmm, *to = self->restored;
	struct saved_vm *saved = self->saved;
	u64 val;
	int i;

	set_up(_metadata, vmm, variant->steps, variant->region);
	set_mode(vmm, RUNNING);
	expect_guest(_metadata, vmm, 1);

	/* One of each vCPU's SPIs is pending. */
	set_mode(vmm, PAUSED);
	raise_spis(_metadata, vmm);
	ASSERT_EQ(0, gic_get(vmm, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_IIDR, &val));
	saved->iidr = val;
	access_gic(_metadata, vmm, saved, SAVE);
	for (i = 0; i < NR_VCPUS; i++)
		save_vcpu(_metadata, vmm->vcpus[i].vcpu, &saved->vcpus[i]);

	vmm_create(to, variant->type);
	set_up(_metadata, to, variant->steps, variant->region);
	copy_memory(to, vmm);
	/* The threads use their vCPUs meanwhile. */
	for (i = 0; i < NR_VCPUS; i++)
		restore_vcpu(_metadata, to->vcpus[i].vcpu, &saved->vcpus[i]);
	set_mode(to, PAUSED);
	EXPECT_EQ(saved->iidr, to->iidr)
		TH_LOG("GICD_IIDR before restoring: want %#x, got %#x", saved->iidr, to->iidr);
	access_gic(_metadata, to, saved, RESTORE);
	access_gic(_metadata, to, saved, COMPARE);

	set_mode(to, RUNNING);
	for (i = 0; i < NR_VCPUS; i++)
		expect_count(_metadata, to, &to->guest[i].spis_taken, 2, "pending SPIs", i);
	for (i = 0; i < NR_VCPUS; i++)
		WRITE_ONCE(to->guest[i].sgis_wanted, 2);
	for (i = 0; i < NR_VCPUS; i++)
		expect_count(_metadata, to, &to->guest[i].sgis_taken, 2, "SGIs", i);
	expect_guest(_metadata, to, 3);
}

/* A vGIC comes before the first KVM_RUN, and can't come while a vCPU is in use. */
static void guest_loop(void)
{
	for (;;)
		WRITE_ONCE(guest_cpus[0].loops, guest_cpus[0].loops + 1);
}

static void expect_no_gic(struct __test_metadata *_metadata, struct vmm *vmm, const char *when)
{
	int fd = __kvm_create_device(vmm->vm, vmm->v3 ? KVM_DEV_TYPE_ARM_VGIC_V3 :
							KVM_DEV_TYPE_ARM_VGIC_V2);
	int r = fd < 0 ? -errno : fd;

	EXPECT_EQ(-EBUSY, r)
		TH_LOG("KVM_CREATE_DEVICE of a vGIC %s: want %s, got %s", when, ret_name(-EBUSY),
		       ret_name(r));
	if (fd >= 0)
		close(fd);
}

TEST(gic_after_run)
{
	u64 start = now_ms();
	struct vmm vmm;

	vmm_create(&vmm, kvm_supports_vgic_v3() ? KVM_DEV_TYPE_ARM_VGIC_V3 :
						  KVM_DEV_TYPE_ARM_VGIC_V2);
	create_vcpu(&vmm);
	init_vcpu(&vmm, 0);
	vcpu_arch_set_entry_point(vmm.vcpus[0].vcpu, guest_loop);
	set_mode(&vmm, RUNNING);
	while (!READ_ONCE(vmm.guest[0].loops)) {
		ASSERT_FALSE(timed_out(start, PATIENCE_S));
		usleep(POLL_US);
	}
	expect_no_gic(_metadata, &vmm, "with a vCPU in KVM_RUN");
	set_mode(&vmm, PAUSED);
	expect_no_gic(_metadata, &vmm, "after KVM_RUN");
	expect_no_failure(_metadata, &vmm);
	vmm_free(&vmm);
}

int main(int argc, char **argv)
{
	test_disable_default_vgic();

	return test_harness_run(argc, argv);
}
