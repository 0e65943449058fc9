// SPDX-License-Identifier: GPL-2.0-only
/*
 * The IOMMU logs an interrupt that it can't post because the target vCPU isn't
 * running, and KVM's GA Log notifier then wakes the vCPU.  The notifier runs in
 * a preemptible interrupt thread, for which nobody waits: it must not find a
 * vCPU that is being freed, and the vCPU that it has found must not be freed
 * under it:
 *
 *  - a live vCPU that is blocked is woken, and only that one;
 *  - all vCPUs that are blocked are woken when entries were lost;
 *  - a VM leaves the GA Log list before its vCPUs are destroyed;
 *  - a VM isn't destroyed while one of its vCPUs is being woken.
 *
 * kvm_lifecycle injects the entries from a thread like that of the IOMMU, and
 * holds a chosen task at a chosen function, so that the races are met each time
 * and not once in a million times.
 *
 * With a device, which is an NVMe controller that is bound to vfio-pci and whose
 * PCI address is in the environment variable PCI, there are entries of the IOMMU
 * itself as well: those of the device's interrupts, for a vCPU that is halted.
 */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "kselftest_harness.h"

#include "apic.h"
#include "kvm_util.h"
#include "test_util.h"
#include "processor.h"
#include "kvm_lifecycle_harness.h"
#include "nvme_vfio.h"

/* Emulated hosts with all of the kernel's debugging need most of it. */
#define SUBTEST_TIMEOUT_S	120

/* Anything that is waited for happens far sooner, or never. */
#define WAIT_S			20

#define NR_VCPUS		4

/* Those that lose entries when the log overflows. */
#define NR_VMS			2
#define NR_BLOCKED		(NR_VMS * (NR_VCPUS - 1))

/* Once per vCPU, long enough for many entries. */
#define PAUSE_DESTROY_US	50000

/*
 * How often each race is run.  Once is enough to see the bug, the others are to
 * see that once is.
 */
#define NR_RACES		2

/* A storm goes on for so long, or at least until so many VMs have gone. */
#define STORM_S			3
#define STORM_MIN_VMS		10
#define STORM_MAX_S		60
#define STORM_BURST		500
#define NR_STORMERS		2
/* With a widened gap each wake-up takes longer than getting to a VM's vCPUs does. */
#define STORM_PAUSE_US		50000
#define STORM_PAUSE_HITS	400

/* As large as an entry can name. */
#define MAX_VM_ID		0xfffff

struct ga_log_test {
	struct kvm_vm *vm;
	int vcpu_fds[NR_VCPUS];
	int nr_vcpus;
	u32 vm_id;
	int ga_log;
	int pause;
	int tid;		/* of the thread that injects */
	int kmsg;
};

FIXTURE(ga_log) {
	struct ga_log_test t;
};

static const char *missing_part(void)
{
	static const char * const parts[] = { "avic", "ga_log", "pause" };
	const char *missing;
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(parts); i++) {
		missing = kvm_lifecycle_missing(parts[i]);
		if (missing)
			return missing;
	}
	return NULL;
}

FIXTURE_SETUP(ga_log)
{
	struct ga_log_test *t = &self->t;
	const char *missing = missing_part();

	t->vm = NULL;
	t->nr_vcpus = 0;
	t->ga_log = -1;
	t->pause = -1;
	t->kmsg = -1;

	if (missing)
		SKIP(return, "%s", missing);

	t->ga_log = kvm_lifecycle_open(_metadata, "ga_log");
	t->tid = injector_read(t->ga_log).tid;

	t->pause = kvm_lifecycle_open(_metadata, "pause");

	t->kmsg = kmsg_open();
	if (t->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-t->kmsg));
}

static void free_vm(struct ga_log_test *t)
{
	while (t->nr_vcpus)
		kvm_close(t->vcpu_fds[--t->nr_vcpus]);
	kvm_vm_free(t->vm);
	t->vm = NULL;
}

FIXTURE_TEARDOWN(ga_log)
{
	struct ga_log_test *t = &self->t;

	if (t->pause >= 0)
		close(t->pause);
	/* No entry is being handled any more once the file is closed. */
	if (t->ga_log >= 0)
		close(t->ga_log);
	if (t->vm)
		free_vm(t);
	kmsg_close(_metadata, t->kmsg);
}

/* A VM with raw vCPUs, nothing but file descriptors refers to it. */
static void create_vm(struct __test_metadata *_metadata, struct ga_log_test *t)
{
	int r;

	t->vm = vm_create_raw(true);

	for (t->nr_vcpus = 0; t->nr_vcpus < NR_VCPUS; t->nr_vcpus++) {
		int fd = __vcpu_fd_create(t->vm, t->nr_vcpus);

		ASSERT_LE(0, fd);
		t->vcpu_fds[t->nr_vcpus] = fd;
	}

	r = avic_vm_id(t->vm->fd);
	ASSERT_LT(0, r);
	t->vm_id = r;
}

/* Keep the injecting thread and the test apart.  Returns false if there is one CPU only. */
static bool pin_to_different_cpus(struct ga_log_test *t)
{
	int cpu = set_cpu_aside();

	if (cpu < 0)
		return false;

	pin_tid_to_cpu(t->tid, cpu);
	return true;
}

static void wait_for_injector(struct __test_metadata *_metadata, int fd)
{
	struct injector_state s;
	u64 start = now_ms();

	do {
		usleep(POLL_US);
		s = injector_read(fd);
		ASSERT_FALSE(timed_out(start, WAIT_S))
			TH_LOG("the injector still runs after %d s, %u sent", WAIT_S, s.sent);
	} while (s.running);
}

/* vCPUs other than vCPU0 wait for INIT and SIPI, i.e. block in KVM_RUN. */
struct blocked_vcpu {
	struct kvm_vcpu *vcpu;
	pthread_t thread;
	int r;
	int err;
};

static void kick(int sig)
{
}

static void *run_blocked_vcpu(void *arg)
{
	struct blocked_vcpu *b = arg;

	b->r = __vcpu_run(b->vcpu);
	b->err = errno;
	return NULL;
}

static void wait_for_block(struct __test_metadata *_metadata, struct kvm_vcpu *vcpu)
{
	u64 start = now_ms();

	while (!vcpu_get_stat(vcpu, blocking)) {
		usleep(POLL_US);
		ASSERT_FALSE(timed_out(start, WAIT_S))
			TH_LOG("vCPU%u doesn't block in KVM_RUN", vcpu->id);
	}
}

/* KVM_RUN in a thread of its own, until the vCPU blocks. */
static void start_blocked_vcpu(struct __test_metadata *_metadata, struct blocked_vcpu *b)
{
	/* KVM_RUN is to return, without SA_RESTART. */
	struct sigaction sa = { .sa_handler = kick };

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	ASSERT_EQ(0, pthread_create(&b->thread, NULL, run_blocked_vcpu, b));
	wait_for_block(_metadata, b->vcpu);
}

/* It blocks until it gets a signal. */
static void end_blocked_vcpu(struct __test_metadata *_metadata, struct blocked_vcpu *b)
{
	EXPECT_EQ(1, vcpu_get_stat(b->vcpu, blocking));
	pthread_kill(b->thread, SIGUSR1);
	pthread_join(b->thread, NULL);
	EXPECT_EQ(-1, b->r);
	EXPECT_EQ(EINTR, b->err);
}

/* The wake-up reaches the vCPU that the entry names, while it is blocked. */
TEST_F_TIMEOUT(ga_log, live_wakeup, SUBTEST_TIMEOUT_S)
{
	struct ga_log_test *t = &self->t;
	struct blocked_vcpu blocked[NR_VCPUS] = {};
	u64 before[NR_VCPUS], after;
	u64 start;
	int i, j, vm_id;

	t->vm = vm_create_raw(true);
	for (i = 0; i < NR_VCPUS; i++)
		blocked[i].vcpu = __vm_vcpu_add(t->vm, i);
	vm_id = avic_vm_id(t->vm->fd);
	ASSERT_LT(0, vm_id);

	for (i = 1; i < NR_VCPUS; i++)
		start_blocked_vcpu(_metadata, &blocked[i]);

	for (i = 1; i < NR_VCPUS; i++) {
		for (j = 1; j < NR_VCPUS; j++)
			before[j] = vcpu_get_stat(blocked[j].vcpu, halt_wakeup);

		/* It may have announced that it blocks, but not have gone to sleep yet. */
		start = now_ms();
		do {
			ASSERT_EQ(0, __kvm_lifecycle_write(t->ga_log, "inject %u %d 1 0",
							   vm_id, i));
			wait_for_injector(_metadata, t->ga_log);
			after = vcpu_get_stat(blocked[i].vcpu, halt_wakeup);
		} while (after == before[i] && !timed_out(start, WAIT_S));
		EXPECT_NE(before[i], after)
			TH_LOG("vCPU%d was not woken in %d s", i, WAIT_S);

		for (j = 1; j < NR_VCPUS; j++) {
			if (j == i)
				continue;
			after = vcpu_get_stat(blocked[j].vcpu, halt_wakeup);
			EXPECT_EQ(before[j], after)
				TH_LOG("an entry for vCPU%d woke vCPU%d", i, j);
		}
	}

	for (i = 1; i < NR_VCPUS; i++)
		end_blocked_vcpu(_metadata, &blocked[i]);
}

/*
 * The log has overflowed, and whose entries were lost isn't known: all vCPUs that are
 * blocked are woken, those of each VM.
 */
TEST_F_TIMEOUT(ga_log, overflow, SUBTEST_TIMEOUT_S)
{
	const char *missing = kvm_lifecycle_missing("iommu");
	struct blocked_vcpu blocked[NR_BLOCKED] = {};
	struct kvm_vm *vms[NR_VMS];
	u64 before[NR_BLOCKED];
	int i, j, nr = 0, woken, iommu;
	u64 start;

	if (missing)
		SKIP(return, "%s", missing);

	iommu = kvm_lifecycle_open(_metadata, "iommu");

	for (i = 0; i < NR_VMS; i++) {
		vms[i] = vm_create_raw(true);
		__vm_vcpu_add(vms[i], 0);
		for (j = 1; j < NR_VCPUS; j++)
			blocked[nr++].vcpu = __vm_vcpu_add(vms[i], j);
	}
	for (i = 0; i < nr; i++) {
		start_blocked_vcpu(_metadata, &blocked[i]);
		before[i] = vcpu_get_stat(blocked[i].vcpu, halt_wakeup);
	}

	/* They may have announced that they block, but not have gone to sleep yet. */
	start = now_ms();
	do {
		ASSERT_EQ(0, __kvm_lifecycle_write(iommu, "overflow early"));
		wait_for_injector(_metadata, iommu);
		for (i = 0, woken = 0; i < nr; i++)
			woken += vcpu_get_stat(blocked[i].vcpu, halt_wakeup) != before[i];
	} while (woken < nr && !timed_out(start, WAIT_S));
	EXPECT_EQ(nr, woken)
		TH_LOG("entries were lost, and %d of %d blocked vCPUs were woken", woken, nr);

	for (i = 0; i < nr; i++)
		end_blocked_vcpu(_metadata, &blocked[i]);
	close(iommu);
	for (i = 0; i < NR_VMS; i++)
		kvm_vm_free(vms[i]);
}

/*
 * Entries for a VM whose vCPUs are being freed: hold the destroying task each
 * time that it is about to take a vCPU out of the VM's array, the vCPU itself
 * being freed already.
 */
TEST_F_TIMEOUT(ga_log, lookup_during_destroy, SUBTEST_TIMEOUT_S)
{
	struct ga_log_test *t = &self->t;
	u32 sent, sent_before;
	int i, hits;

	if (!pin_to_different_cpus(t))
		SKIP(return, "two CPUs are needed");

	for (i = 0; i < NR_RACES; i++) {
		create_vm(_metadata, t);

		ASSERT_EQ(0, __kvm_lifecycle_write(t->pause, "xa_erase %d %d %d",
						   gettid(), PAUSE_DESTROY_US,
						   4 * NR_VCPUS));
		ASSERT_EQ(0, __kvm_lifecycle_write(t->ga_log, "inject %u %d 1000000 0",
						   t->vm_id, i % NR_VCPUS));
		sent_before = injector_read(t->ga_log).sent;

		free_vm(t);

		hits = pause_read(t->pause).hits;
		sent = injector_read(t->ga_log).sent;
		ASSERT_EQ(0, __kvm_lifecycle_write(t->pause, "release"));
		ASSERT_EQ(0, __kvm_lifecycle_write(t->ga_log, "stop"));

		/* Else nothing was tested. */
		ASSERT_LE(NR_VCPUS, hits)
			TH_LOG("wanted %d vCPUs to be destroyed slowly, got %d", NR_VCPUS, hits);
		ASSERT_LT(sent_before, sent)
			TH_LOG("no entry was handled while the VM was destroyed");
	}
}

/* How many vCPUs of this process have been destroyed since the last look? */
static int count_destroyed(struct __test_metadata *_metadata, int rec)
{
	char buf[4096], what[16], *line, *save;
	int destroyed = 0;
	ssize_t r;
	int tgid;

	while ((r = kvm_lifecycle_read(rec, buf, sizeof(buf))) > 0) {
		for (line = strtok_r(buf, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			if (sscanf(line, "%15s %d ", what, &tgid) == 2 &&
			    !strcmp(what, "destroy") && tgid == getpid())
				destroyed++;
		}
	}
	ASSERT_EQ(0, r);
	return destroyed;
}

static void *free_vm_thread(void *arg)
{
	free_vm(arg);
	return NULL;
}

static void wait_for_wakeup(struct __test_metadata *_metadata, struct ga_log_test *t)
{
	struct pause_state p;
	u64 start;

	start = now_ms();
	do {
		p = pause_read(t->pause);
		ASSERT_FALSE(timed_out(start, WAIT_S))
			TH_LOG("the notifier didn't call kvm_vcpu_wake_up() in %d s", WAIT_S);
	} while (!p.hits);
	ASSERT_EQ(1, p.inside)
		TH_LOG("too slow: the notifier has finished before the VM was to be destroyed");
}

/*
 * Destroy the VM while the notifier, which has found a vCPU, is held where it is
 * about to wake it.  No vCPU may be destroyed before the notifier has finished.
 */
static void destroy_during_wakeup(struct __test_metadata *_metadata, struct ga_log_test *t,
				  int rec, int nr_vcpus)
{
	int destroyed = 0, early = 0;
	struct pause_state p;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, free_vm_thread, t));

	/*
	 * In this order, so that all that is seen has come before the end.  Let the
	 * notifier go on once the vCPU that it has found is freed.
	 */
	do {
		usleep(POLL_US);
		destroyed += count_destroyed(_metadata, rec);
		p = pause_read(t->pause);
		if (p.inside)
			early = destroyed;
	} while (p.inside && early < nr_vcpus);

	ASSERT_EQ(0, __kvm_lifecycle_write(t->pause, "release"));
	pthread_join(thread, NULL);

	EXPECT_EQ(0, early)
		TH_LOG("%d vCPUs were destroyed while the notifier was to wake one", early);
}

TEST_F_TIMEOUT(ga_log, destroy_during_wakeup, SUBTEST_TIMEOUT_S)
{
	struct ga_log_test *t = &self->t;
	const char *missing = kvm_lifecycle_missing("vcpu_index");
	int i, rec;

	if (missing)
		SKIP(return, "%s", missing);
	if (!pin_to_different_cpus(t))
		SKIP(return, "two CPUs are needed");

	for (i = 0; i < NR_RACES; i++) {
		create_vm(_metadata, t);
		rec = kvm_lifecycle_open(_metadata, "vcpu_index");

		/* Getting to a VM's vCPUs takes much less. */
		pause_arm(t->pause, "kvm_vcpu_wake_up", t->tid, PAUSE_MAX_US);
		ASSERT_EQ(0, __kvm_lifecycle_write(t->ga_log, "inject %u %d 1 0",
						   t->vm_id, i % NR_VCPUS));

		wait_for_wakeup(_metadata, t);
		destroy_during_wakeup(_metadata, t, rec, NR_VCPUS);
		wait_for_injector(_metadata, t->ga_log);
		close(rec);
	}
}

/* Shared by the storm's threads. */
static struct storm {
	bool stop;
	bool widen;
	u32 vm_id;		/* of a VM that lives, or did until just now */
	u64 nr_sent;
	u64 nr_hits;
	int error;
} storm;

static void *storm_thread(void *arg)
{
	unsigned int seed = (unsigned long)arg;
	int ga_log, pause = -1, tid, hits = STORM_PAUSE_HITS, hits_before, r = 0;
	u32 vm_id;

	ga_log = __kvm_lifecycle_open("ga_log");
	if (ga_log < 0) {
		r = ga_log;
		goto out;
	}
	tid = injector_read(ga_log).tid;
	if (storm.widen) {
		pause = __kvm_lifecycle_open("pause");
		r = pause < 0 ? pause : 0;
	}

	while (!r && !READ_ONCE(storm.stop)) {
		if (storm.widen && hits == STORM_PAUSE_HITS) {
			__kvm_lifecycle_write(pause, "release");
			r = __kvm_lifecycle_write(pause, "kvm_vcpu_wake_up %d %d %d", tid,
						  STORM_PAUSE_US, STORM_PAUSE_HITS);
			if (r)
				break;
			hits = 0;
		}

		/* Mostly the VM that comes and goes, else any. */
		vm_id = READ_ONCE(storm.vm_id);
		if (!vm_id || !(rand_r(&seed) % 8))
			vm_id = 1 + rand_r(&seed) % MAX_VM_ID;

		/* One more vCPU than there are. */
		r = __kvm_lifecycle_write(ga_log, "inject %u %u %u 0", vm_id,
					  rand_r(&seed) % (NR_VCPUS + 1), STORM_BURST);
		usleep(storm.widen ? 2 * STORM_PAUSE_US : POLL_US);
		if (!r)
			r = __kvm_lifecycle_write(ga_log, "stop");
		if (r)
			break;

		__sync_fetch_and_add(&storm.nr_sent, injector_read(ga_log).sent);

		if (!storm.widen)
			continue;

		hits_before = hits;
		hits = pause_read(pause).hits;
		__sync_fetch_and_add(&storm.nr_hits, hits - hits_before);
	}

out:
	if (pause >= 0)
		close(pause);
	if (ga_log >= 0)
		close(ga_log);
	if (r)
		WRITE_ONCE(storm.error, r);
	return NULL;
}

static void run_storm(struct __test_metadata *_metadata, struct ga_log_test *t, bool widen)
{
	pthread_t threads[NR_STORMERS];
	int users, users_after, i, nr_vms = 0;
	u64 start;

	users = kvm_amd_users();
	memset(&storm, 0, sizeof(storm));
	storm.widen = widen;

	start = now_ms();
	for (i = 0; i < NR_STORMERS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, storm_thread,
					    (void *)(unsigned long)(i + 1)));

	do {
		create_vm(_metadata, t);
		WRITE_ONCE(storm.vm_id, t->vm_id);
		usleep(widen ? 2 * STORM_PAUSE_US : POLL_US);
		free_vm(t);
		nr_vms++;
	} while (!READ_ONCE(storm.error) && !timed_out(start, STORM_MAX_S) &&
		 (!timed_out(start, STORM_S) || nr_vms < STORM_MIN_VMS));

	WRITE_ONCE(storm.stop, true);
	for (i = 0; i < NR_STORMERS; i++)
		pthread_join(threads[i], NULL);

	ASSERT_EQ(0, storm.error)
		TH_LOG("a storming thread failed: %s", strerror(-storm.error));
	EXPECT_LE(STORM_MIN_VMS, nr_vms)
		TH_LOG("only %d VMs came and went in %d s", nr_vms, STORM_MAX_S);
	EXPECT_LT(0, storm.nr_sent);
	if (widen)
		EXPECT_LT(0, storm.nr_hits)
			TH_LOG("no wake-up was ever slowed down");

	/* Every VM was reaped. */
	start = now_ms();
	while ((users_after = kvm_amd_users()) > users && !timed_out(start, WAIT_S))
		usleep(POLL_US);
	EXPECT_EQ(users, users_after)
		TH_LOG("%d VMs came and went, kvm_amd had %d users before and %d after",
		       nr_vms, users, users_after);
}

TEST_F_TIMEOUT(ga_log, storm, SUBTEST_TIMEOUT_S)
{
	struct ga_log_test *t = &self->t;

	run_storm(_metadata, t, false);
}

TEST_F_TIMEOUT(ga_log, storm_with_slow_wakeups, SUBTEST_TIMEOUT_S)
{
	struct ga_log_test *t = &self->t;

	run_storm(_metadata, t, true);
}

/*
 * From here on, a device raises the interrupts.
 */

/* How often the vCPU is woken; and for how long it is left alone once it is blocked. */
#define NR_WAKEUPS		20
#define SETTLE_US		2000

/* Commands for the device that are on their way while the VM is destroyed. */
#define MAX_IN_FLIGHT		32

#define IRQ_VECTOR		0x60
#define IRQ_GSI			32

/* Bits of the IOMMU's features. */
#define FEATURE_GA		BIT_ULL(7)
#define FEATURE_GAM_VAPIC	BIT_ULL(21)

#define TRACE_DIR		"/sys/kernel/tracing"
#define TRACE_INSTANCE		TRACE_DIR "/instances/kvm_ga_log"
#define TRACE_EVENT		TRACE_INSTANCE "/events/kvm/kvm_avic_ga_log/enable"

FIXTURE(device) {
	struct ga_log_test t;
	struct nvme_vfio nvme;
	struct blocked_vcpu halted;
	u64 *irqs;		/* the guest's count */
	bool tracing;
};

FIXTURE_SETUP(device)
{
	const char *pci = getenv("PCI"), *why;
	struct sigaction sa = { .sa_handler = kick };
	struct ga_log_test *t = &self->t;

	memset(self, 0, sizeof(*self));
	t->ga_log = -1;
	t->pause = -1;
	t->kmsg = -1;
	self->nvme = NVME_VFIO_CLOSED;

	if (!pci || !*pci)
		SKIP(return, "no device is given in PCI");

	/* KVM_RUN is to return, without SA_RESTART. */
	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));

	t->kmsg = kmsg_open();
	if (t->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-t->kmsg));

	why = nvme_vfio_open(&self->nvme, pci);
	if (why)
		SKIP(return, "%s", why);
}

static u64 guest_irqs;

/*
 * Only an interrupt in service counts: QEMU's TCG can deliver an injected one twice, if
 * something else is to be done between VMRUN and the guest's first instruction.
 */
static void guest_irq_handler(struct ex_regs *regs)
{
	u32 isr = x2apic_read_reg(APIC_ISR + APIC_VECTOR_TO_REG_OFFSET(IRQ_VECTOR));

	if (isr & BIT(APIC_VECTOR_TO_BIT_NUMBER(IRQ_VECTOR)))
		WRITE_ONCE(guest_irqs, guest_irqs + 1);
	x2apic_write_reg(APIC_EOI, 0);
}

static void guest_code(void)
{
	x2apic_enable();
	for (;;)
		asm volatile("sti; hlt; cli");
}

/*
 * A VM whose vCPU is halted, and gets the device's interrupts.  KVM doesn't use
 * AVIC for a VM with a PIT that injects missed interrupts again.
 */
static void create_halted_vm(struct __test_metadata *_metadata,
			     FIXTURE_DATA(device) * self, bool avic)
{
	struct {
		struct kvm_irq_routing header;
		struct kvm_irq_routing_entry entry;
	} routing = {
		.header.nr = 1,
		.entry = {
			.gsi = IRQ_GSI,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi.address_lo = APIC_DEFAULT_GPA,
			.u.msi.data = IRQ_VECTOR,
		},
	};
	struct kvm_irqfd irqfd = { .fd = self->nvme.eventfd, .gsi = IRQ_GSI };
	struct kvm_pit_config pit = {};
	struct ga_log_test *t = &self->t;

	t->nr_vcpus = 0;
	t->vm = vm_create_with_one_vcpu(&self->halted.vcpu, guest_code);
	vm_enable_cap(t->vm, KVM_CAP_HALT_POLL, 0);
	if (!avic)
		vm_ioctl(t->vm, KVM_CREATE_PIT2, &pit);
	vm_install_exception_handler(t->vm, IRQ_VECTOR, guest_irq_handler);
	vm_ioctl(t->vm, KVM_SET_GSI_ROUTING, &routing.header);
	vm_ioctl(t->vm, KVM_IRQFD, &irqfd);

	self->irqs = addr_gva2hva(t->vm, (unsigned long)&guest_irqs);
	ASSERT_EQ(0, pthread_create(&self->halted.thread, NULL, run_blocked_vcpu, &self->halted));
	wait_for_block(_metadata, self->halted.vcpu);
	usleep(SETTLE_US);
}

/* The vCPU is blocked, and is left so until KVM_RUN is interrupted. */
static void stop_halted_vcpu(struct __test_metadata *_metadata, FIXTURE_DATA(device) * self)
{
	struct blocked_vcpu *b = &self->halted;

	if (!b->thread)
		return;
	WRITE_ONCE(b->vcpu->run->immediate_exit, 1);
	pthread_kill(b->thread, SIGUSR1);
	pthread_join(b->thread, NULL);
	b->thread = 0;
	EXPECT_EQ(-1, b->r);
	EXPECT_EQ(EINTR, b->err)
		TH_LOG("KVM_RUN of the halted vCPU: %s", strerror(b->err));
}

static void reap(struct __test_metadata *_metadata, struct nvme_vfio *nvme, int nr)
{
	u64 start = now_ms();
	int r;

	while (nr > 0) {
		r = nvme_reap(nvme);
		ASSERT_LE(0, r)
			TH_LOG("the device has refused a command");
		nr -= r;
		ASSERT_FALSE(timed_out(start, WAIT_S))
			TH_LOG("the device has not completed %d commands in %d s", nr, WAIT_S);
	}
}

FIXTURE_TEARDOWN(device)
{
	struct ga_log_test *t = &self->t;

	if (t->pause >= 0)
		close(t->pause);
	stop_halted_vcpu(_metadata, self);
	nvme_vfio_close(&self->nvme);
	if (t->vm)
		free_vm(t);
	if (self->tracing)
		rmdir(TRACE_INSTANCE);
	kmsg_close(_metadata, t->kmsg);
}

/* One interrupt after the other, and each finds the vCPU blocked in HLT. */
static void wake_halted_vcpu(struct __test_metadata *_metadata, FIXTURE_DATA(device) * self)
{
	struct kvm_vcpu *vcpu = self->halted.vcpu;
	u64 before, woken, start;
	int i;

	woken = vcpu_get_stat(vcpu, halt_wakeup);
	for (i = 0; i < NR_WAKEUPS; i++) {
		wait_for_block(_metadata, vcpu);
		usleep(SETTLE_US);
		before = READ_ONCE(*self->irqs);

		nvme_submit(&self->nvme);
		start = now_ms();
		while (READ_ONCE(*self->irqs) == before && !timed_out(start, WAIT_S))
			usleep(POLL_US);
		reap(_metadata, &self->nvme, 1);
		ASSERT_EQ(before + 1, READ_ONCE(*self->irqs))
			TH_LOG("interrupt %d didn't reach the halted vCPU in %d s", i, WAIT_S);
	}
	wait_for_block(_metadata, vcpu);
	EXPECT_EQ(NR_WAKEUPS, READ_ONCE(*self->irqs));

	woken = vcpu_get_stat(vcpu, halt_wakeup) - woken;
	EXPECT_LT(0, woken)
		TH_LOG("the vCPU was never blocked when its interrupts came");
	TH_LOG("%d interrupts, the vCPU was woken %llu times", NR_WAKEUPS,
	       (unsigned long long)woken);
}

/* Without AVIC the device's interrupt goes to the host, and from there to the guest. */
TEST_F_TIMEOUT(device, wakes_halted_vcpu, SUBTEST_TIMEOUT_S)
{
	create_halted_vm(_metadata, self, false);
	wake_halted_vcpu(_metadata, self);
}

/* Whether the kernel's log, in which there may be nothing left of the boot, says @text. */
static bool kernel_says(const char *text)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	bool found = false;
	char buf[8192];
	ssize_t r;

	if (fd < 0)
		return false;
	while (!found && ((r = read(fd, buf, sizeof(buf) - 1)) > 0 || (r < 0 && errno == EPIPE))) {
		buf[r > 0 ? r : 0] = '\0';
		found = strstr(buf, text);
	}
	close(fd);
	return found;
}

/* Why the IOMMU doesn't post interrupts to a vCPU, and log those that it can't, or NULL. */
static const char *posting_missing(void)
{
	static const char param[] = "/sys/module/kvm_amd/parameters/enable_device_posted_irqs";
	static char why[192];
	unsigned long long features = 0;
	FILE *f;

	f = fopen("/sys/class/iommu/ivhd0/amd-iommu/features", "re");
	if (!f)
		return "no AMD IOMMU is in use";
	if (fscanf(f, "%llx", &features) != 1)
		features = 0;
	fclose(f);
	if (!(features & FEATURE_GA) || !(features & FEATURE_GAM_VAPIC)) {
		snprintf(why, sizeof(why),
			 "this IOMMU has no virtual APIC mode (its features are 0x%llx)", features);
		return why;
	}
	/* KVM takes it back if the driver can't post. */
	if (!access(param, R_OK) &&
	    !kvm_get_module_param_bool("kvm_amd", "enable_device_posted_irqs"))
		return "enable_device_posted_irqs is off in kvm_amd";
	if (kernel_says("AMD-Vi: ") && !kernel_says("AMD-Vi: Virtual APIC enabled"))
		return "the IOMMU's driver hasn't enabled the virtual APIC mode";
	return NULL;
}

/* Record the calls of the notifier.  Returns NULL, or why that can't be done. */
static const char *trace_begin(FIXTURE_DATA(device) * self)
{
	/* This process' own mount, the instance is everybody's. */
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tracefs", TRACE_DIR, "tracefs", 0, NULL))
		return "no tracefs";
	/* Of one that was killed. */
	rmdir(TRACE_INSTANCE);
	if (mkdir(TRACE_INSTANCE, 0700))
		return "no tracing instance";
	self->tracing = true;
	return fault_knob_write(TRACE_EVENT, "1") ? "no tracepoint kvm_avic_ga_log" : NULL;
}

/* How many entries came for a vCPU of a VM, or for any VM with the ID 0. */
static int trace_count(u32 vm_id, u32 vcpu)
{
	FILE *f = fopen(TRACE_INSTANCE "/trace", "re");
	u32 entry_vm, entry_vcpu;
	char line[512], *entry;
	int nr = 0;

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		entry = strstr(line, "kvm_avic_ga_log: vmid=");
		if (entry && sscanf(entry, "kvm_avic_ga_log: vmid=%u, vcpuid=%u", &entry_vm,
				    &entry_vcpu) == 2 &&
		    (!vm_id || (entry_vm == vm_id && entry_vcpu == vcpu)))
			nr++;
	}
	fclose(f);
	return nr;
}

/*
 * A held thread keeps its CPU: this test is to run on other CPUs than the threads that
 * handle the IOMMUs' interrupts, which run where the interrupts go.
 */
static void keep_off_iommu_threads(void)
{
	cpu_set_t cpus, theirs;
	char path[300], comm[64];
	struct dirent *e;
	DIR *d;
	int i;

	TEST_ASSERT(!sched_getaffinity(0, sizeof(cpus), &cpus), "sched_getaffinity: %s",
		    strerror(errno));
	d = opendir("/proc");
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		if (!atoi(e->d_name) || fault_knob_read(path, comm, sizeof(comm)) ||
		    strncmp(comm, "irq/", 4) || !strstr(comm, "AMD-Vi") ||
		    sched_getaffinity(atoi(e->d_name), sizeof(theirs), &theirs))
			continue;
		for (i = 0; i < CPU_SETSIZE && CPU_COUNT(&theirs) == 1; i++) {
			if (CPU_ISSET(i, &theirs) && CPU_COUNT(&cpus) > 1)
				CPU_CLR(i, &cpus);
		}
	}
	if (d)
		closedir(d);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(cpus), &cpus), "sched_setaffinity: %s",
		    strerror(errno));
}

/* The prerequisites for entries of the IOMMU, besides the device. */
static const char *entries_missing(FIXTURE_DATA(device) * self)
{
	return posting_missing() ?: kvm_lifecycle_missing("avic") ?: trace_begin(self);
}

/* Each interrupt is posted, logged as the vCPU is blocked, and wakes it. */
TEST_F_TIMEOUT(device, ga_log_entries, SUBTEST_TIMEOUT_S)
{
	const char *missing = entries_missing(self);
	int entries, vm_id;

	if (missing)
		SKIP(return, "%s", missing);

	create_halted_vm(_metadata, self, true);
	vm_id = avic_vm_id(self->t.vm->fd);
	ASSERT_LT(0, vm_id);
	wake_halted_vcpu(_metadata, self);

	entries = trace_count(vm_id, 0);
	TH_LOG("%d entries in the GA Log for %d interrupts", entries, NR_WAKEUPS);
	EXPECT_LT(0, entries)
		TH_LOG("no interrupt was logged, although each found the vCPU blocked");
	EXPECT_EQ(entries, trace_count(0, 0))
		TH_LOG("there were entries for other vCPUs or VMs");
}

/* As with an entry that is injected, but it's the thread of the IOMMU that is held. */
TEST_F_TIMEOUT(device, destroy_during_wakeup, SUBTEST_TIMEOUT_S)
{
	const char *missing = entries_missing(self) ?: kvm_lifecycle_missing("pause") ?:
			      kvm_lifecycle_missing("vcpu_index");
	struct ga_log_test *t = &self->t;
	int i, rec;

	if (missing)
		SKIP(return, "%s", missing);

	keep_off_iommu_threads();
	t->pause = kvm_lifecycle_open(_metadata, "pause");
	for (i = 0; i < NR_RACES; i++) {
		create_halted_vm(_metadata, self, true);
		rec = kvm_lifecycle_open(_metadata, "vcpu_index");

		/* Nobody else has a vCPU to be woken. */
		pause_arm(t->pause, "kvm_vcpu_wake_up", 0, PAUSE_MAX_US);
		nvme_submit(&self->nvme);
		wait_for_wakeup(_metadata, t);
		stop_halted_vcpu(_metadata, self);
		destroy_during_wakeup(_metadata, t, rec, 1);
		close(rec);
		reap(_metadata, &self->nvme, 1);
	}
}

/* VMs go while entries for them are written, and handled. */
TEST_F_TIMEOUT(device, destroy_with_entries_in_flight, SUBTEST_TIMEOUT_S)
{
	const char *missing = entries_missing(self);
	int users = kvm_amd_users(), nr_vms = 0, nr, i;
	struct ga_log_test *t = &self->t;
	unsigned int seed = 1;
	u64 start;

	if (missing)
		SKIP(return, "%s", missing);

	start = now_ms();
	do {
		create_halted_vm(_metadata, self, true);
		nr = 1 + rand_r(&seed) % MAX_IN_FLIGHT;
		for (i = 0; i < nr; i++)
			nvme_submit(&self->nvme);
		stop_halted_vcpu(_metadata, self);
		free_vm(t);
		reap(_metadata, &self->nvme, nr);
		nr_vms++;
	} while (!timed_out(start, STORM_S) || nr_vms < STORM_MIN_VMS);

	TH_LOG("%d VMs, %d entries in the GA Log", nr_vms, trace_count(0, 0));
	EXPECT_LT(0, trace_count(0, 0))
		TH_LOG("no interrupt was logged");
	EXPECT_EQ(users, kvm_amd_users());
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(!access(KVM_DEV_PATH, R_OK | W_OK));
	__TEST_REQUIRE(!access("/sys/module/kvm_amd/parameters/avic", R_OK),
		       "kvm_amd isn't loaded");
	__TEST_REQUIRE(kvm_get_module_param_bool("kvm_amd", "avic"), "AVIC is off in kvm_amd");

	return test_harness_run(argc, argv);
}
