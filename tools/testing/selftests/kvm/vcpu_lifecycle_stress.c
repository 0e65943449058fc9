// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random programs of the calls that make and break VMs, vCPUs and interrupt
 * controllers, by several threads at once.
 *
 * A program is a list of (thread, call, arguments).  It follows from its seed,
 * i.e. the same seed gives the same text; what the threads do to each other does
 * not, hence each program is run for some rounds.  It is run by a process of its
 * own, and fails if
 *
 *  - the kernel has reported anything meanwhile;
 *  - a call doesn't return.  Only a vCPU's own calls may wait for a vCPU that is
 *    in KVM_RUN, which is interrupted only once all others have gone on without;
 *  - a call fails with an errno that isn't listed for it;
 *  - hardware's table of a VM names a vCPU that the VM doesn't have (AVIC);
 *  - its process doesn't come to its end, unless a call has it killed;
 *  - a process, a VM or a file descriptor is left behind.
 *
 * A storm begins with a tour of each theme, a program in which each of its calls
 * has to succeed, and fails if it creates no VM and no vCPU afterwards.
 *
 * A program that fails is printed, and is then made smaller for as long as it
 * still fails.  It can be run again from its seed (-s) or from its text (-r).
 */
#include <dirent.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest.h"

#include <linux/sizes.h>

#include "kvm_util.h"
#include "test_util.h"
#include "processor.h"
#include "kvm_lifecycle.h"

#define NR_VMS		2
#define NR_VCPUS	3
#define NR_EVENTFDS	3
#define MAX_THREADS	4
#define MAX_CALLS	96
#define MAX_ARGS	4
#define MAX_ROUNDS	8
#define MAX_ERRNO	134

/* What has no file descriptor. */
#define NO_FD		(-1)

/* No call takes a tenth of that, on an emulated host with all of its debugging. */
#define STUCK_S		20
/* The same for the trials of a program that is known to have got stuck. */
#define STUCK_AGAIN_S	5

/* After so long it is looked up what a call waits for. */
#define ASK_S		3

/* A whole program, and what it leaves to others to be freed. */
#define PROGRAM_S	60
#define END_S		15

/* The seeds 1, 2, 3, ... for so long in all, unless told otherwise. */
#define DEFAULT_SEED	1
#define DEFAULT_TIME_S	60

/* For making a program smaller, and how often a smaller one may try to fail. */
#define MINIMISE_S	20
#define MINIMISE_TRIES	3

/* For a thread that guesses a file descriptor, until somebody has opened it. */
#define GUESS_MS	20

/* How long threads wait for each other, at the start of a round and later. */
#define START_MS	2000
#define MEET_MS		5

/* KVM_RUN is interrupted when each of the others has begun so many calls since. */
#define RUN_CALLS	3

#define PROGRESS_S	10

/* A race that is widened is met at once, or nearly so. */
#define FOUND_TRIES	3

/*
 * Themes.  A call belongs to some of them; a program has the calls of its own
 * theme, and now and then those of others.
 */
enum theme_bit {
	ALWAYS = 1 << 0,
	VCPUS = 1 << 1,		/* creation, guessed file descriptors */
	IRQS = 1 << 2,		/* interrupt controllers, irqfds, routing */
	XEN = 1 << 3,
	GA_LOG = 1 << 4,
	VGIC = 1 << 5,
	PROCESSES = 1 << 6,	/* fork(), SCM_RIGHTS, death */
	FAULTS = 1 << 7,	/* no memory, no file descriptors */
	PAUSES = 1 << 8,
	PARAMS = 1 << 9,	/* capabilities, module parameters */
};

static const struct theme {
	const char *name;
	u32 calls;
	const char *part;	/* of kvm_lifecycle, without which it makes no sense */
	const char *file;	/* or a file */
} themes[] = {
	{ "vcpus", VCPUS },
	{ "irqs", IRQS },
#ifdef __x86_64__
	{ "xen", XEN },
	{ "ga_log", GA_LOG, .part = "ga_log" },
#endif
#ifdef __aarch64__
	{ "vgic", VGIC },
	{ "vgic_pauses", VGIC | PAUSES, .part = "pause" },
#endif
	{ "processes", PROCESSES | VCPUS },
	{ "params", PARAMS },
	{ "faults", FAULTS | VCPUS, .file = FAULT_FAILSLAB "probability" },
	{ "pauses", PAUSES | VCPUS, .part = "pause" },
};

/* What a thread is at.  It's written by the thread, and read by who watches it. */
enum doing { NOTHING_YET, IN_CALL, IN_RUN, BETWEEN, DONE };

struct watched {
	int tid;
	enum doing doing;
	int call;
	u64 since;		/* ms */
	u64 calls;		/* begun so far */
	u64 starts;
	u64 calls_at_run[MAX_THREADS];	/* of each thread, when KVM_RUN was entered */
	u64 kicked;		/* ms, when it was first told to leave KVM_RUN */
	u64 at_vcpu;		/* the @since of a call that turned out to be for a vCPU */
};

#define MAX_OPS		96
#define MAX_THEMES	12

/* How often a tour may be run until each of its calls has succeeded. */
#define TOUR_TRIES	5

/* What outlives the process that runs a program. */
static struct shared {
	struct watched threads[MAX_THREADS];
	u64 count[MAX_THEMES][MAX_OPS][MAX_ERRNO];
	u64 vms, vcpus;
	u64 closes;		/* of what was in a slot */
	u64 tables_seen;	/* at the end of a program */
	u64 tables_unseen;
	int tables_error;	/* the last one */
	u64 longest;		/* ms, of a call that nobody may hold up */
	int longest_op;
	int failed;		/* the first one says why */
	char why[512];
	char key[128];
} *shared;

struct call {
	u8 thread;
	u8 op;
	u64 arg[MAX_ARGS];
};

struct program {
	u64 seed;
	int theme;
	int threads;
	int rounds;
	int nr;
	struct call calls[MAX_CALLS];
};

/* Of the process that runs a program: */
struct thread {
	int nr;
	const struct program *p;
	struct watched *w;
	int pause;
	int ga_log;
	int nth;		/* fail-nth */
	bool armed;
	pthread_t pthread;
};

/* The slot that this thread's call has looked at was empty. */
static __thread bool slot_was_empty;

static struct vm {
	int fd;
	int vcpus[NR_VCPUS];
	int gic;
	int its;
	u32 ga_id;
} vms[NR_VMS];

static int eventfds[NR_EVENTFDS];
static int dev_kvm;
static size_t run_size;
static int arrived;
static pid_t twin;
static pthread_mutex_t twin_lock = PTHREAD_MUTEX_INITIALIZER;
static int cpu_aside = -1;
static bool may_lack_fds;
static bool may_lack_memory;
static bool vgic_may_be_initialized;
static const char *no_preinit_regs;
static u8 *guest_memory;
#define GUEST_MEMORY	SZ_64K

static void count_result(const struct program *p, int op, int err)
{
	u64 *count = &shared->count[p->theme][op][err < MAX_ERRNO ? err : MAX_ERRNO - 1];

	__atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

/* ---- slots: whoever empties a slot closes what was in it ---- */

static int look(int *slot)
{
	int fd = __atomic_load_n(slot, __ATOMIC_SEQ_CST);

	slot_was_empty |= fd < 0;
	return fd;
}

/* Whoever has looked at the slot before finds that something was closed. */
static int put(int *slot, int fd)
{
	int old = __atomic_exchange_n(slot, fd, __ATOMIC_SEQ_CST);

	if (old < 0)
		return 0;
	__atomic_fetch_add(&shared->closes, 1, __ATOMIC_SEQ_CST);
	return close(old) ? -errno : 0;
}

static int opened_into(int *slot, int fd)
{
	if (fd >= 0)
		put(slot, fd);
	return fd < 0 ? fd : 0;
}

static int do_ioctl(int fd, unsigned long request, const void *arg)
{
	int r = ioctl(fd, request, arg);

	return r < 0 ? -errno : r;
}

static int vm_fd(u64 vm)
{
	return look(&vms[vm].fd);
}

static int vcpu_fd(u64 vm, u64 vcpu)
{
	return look(&vms[vm].vcpus[vcpu]);
}

/* ---- VMs and vCPUs ---- */

static int do_create_vm(struct thread *t, const u64 *a)
{
	int fd = do_ioctl(dev_kvm, KVM_CREATE_VM, 0);

	if (fd >= 0)
		__atomic_fetch_add(&shared->vms, 1, __ATOMIC_RELAXED);
	return opened_into(&vms[a[0]].fd, fd);
}

static int do_close_vm(struct thread *t, const u64 *a)
{
	return put(&vms[a[0]].fd, NO_FD);
}

/* All that keeps a VM, so that it's gone. */
static int do_destroy_vm(struct thread *t, const u64 *a)
{
	struct vm *vm = &vms[a[0]];
	int i;

	for (i = 0; i < NR_VCPUS; i++)
		put(&vm->vcpus[i], NO_FD);
	put(&vm->gic, NO_FD);
	put(&vm->its, NO_FD);
	return put(&vm->fd, NO_FD);
}

static int do_create_vcpu(struct thread *t, const u64 *a)
{
	int fd = do_ioctl(vm_fd(a[0]), KVM_CREATE_VCPU, (void *)a[2]);

	if (fd >= 0)
		__atomic_fetch_add(&shared->vcpus, 1, __ATOMIC_RELAXED);
	return opened_into(&vms[a[0]].vcpus[a[1]], fd);
}

static int do_close_vcpu(struct thread *t, const u64 *a)
{
	return put(&vms[a[0]].vcpus[a[1]], NO_FD);
}

static void enters_run(struct thread *t)
{
	int i;

	for (i = 0; i < t->p->threads; i++)
		t->w->calls_at_run[i] = __atomic_load_n(&shared->threads[i].calls,
							__ATOMIC_SEQ_CST);
	__atomic_store_n(&t->w->kicked, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&t->w->doing, IN_RUN, __ATOMIC_SEQ_CST);
}

/* With @at_once, KVM_RUN does all that there is to be done before the guest is entered. */
static int run_fd(struct thread *t, int fd, bool at_once)
{
	struct kvm_run *run = MAP_FAILED;
	int r;

	if (at_once) {
		run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (run == MAP_FAILED)
			return -errno;
		run->immediate_exit = 1;
	}
	enters_run(t);
	r = do_ioctl(fd, KVM_RUN, 0);
	if (run != MAP_FAILED) {
		run->immediate_exit = 0;
		munmap(run, run_size);
	}
	return r;
}

static int do_run(struct thread *t, const u64 *a)
{
	return run_fd(t, vcpu_fd(a[0], a[1]), a[2]);
}

/*
 * The file descriptor that somebody else is about to get: the lowest free one, or,
 * as KVM reserves it first, one that is a little lower.
 */
static int guess(u64 below)
{
	int fd = dup(dev_kvm);

	if (fd < 0)
		return fd;
	close(fd);
	return fd - below;
}

static int do_run_next(struct thread *t, const u64 *a)
{
	int fd = guess(a[0]), r;
	u64 start = now_ms();

	do {
		r = run_fd(t, fd, a[1]);
	} while (r == -EBADF && now_ms() - start < GUESS_MS);
	return r;
}

/* Any call of a vCPU that takes its mutex. */
static int do_mp_state_next(struct thread *t, const u64 *a)
{
	struct kvm_mp_state state = {};
	int fd = guess(a[0]), r;
	u64 start = now_ms();

	do {
		r = do_ioctl(fd, KVM_GET_MP_STATE, &state);
	} while (r == -EBADF && now_ms() - start < GUESS_MS);
	return r;
}

static int do_create_vcpu_next(struct thread *t, const u64 *a)
{
	int fd = guess(a[0]), r;
	u64 start = now_ms();

	do {
		r = do_ioctl(fd, KVM_CREATE_VCPU, (void *)a[1]);
	} while (r == -EBADF && now_ms() - start < GUESS_MS);
	if (r >= 0) {
		__atomic_fetch_add(&shared->vcpus, 1, __ATOMIC_RELAXED);
		close(r);
		r = 0;
	}
	return r;
}

static int do_get_mp_state(struct thread *t, const u64 *a)
{
	struct kvm_mp_state state = {};

	return do_ioctl(vcpu_fd(a[0], a[1]), KVM_GET_MP_STATE, &state);
}

static int do_set_mp_state(struct thread *t, const u64 *a)
{
	struct kvm_mp_state state = { .mp_state = a[2] };

	return do_ioctl(vcpu_fd(a[0], a[1]), KVM_SET_MP_STATE, &state);
}

/* A mapping that outlives the descriptor, and what it gives access to. */
static int do_map_and_close(struct thread *t, const u64 *a)
{
	int *slot = &vms[a[0]].vcpus[a[1]];
	struct kvm_run *run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
				   look(slot), 0);
	int r;

	if (run == MAP_FAILED)
		return -errno;
	r = put(slot, NO_FD);
	run->immediate_exit = 1;
	usleep(a[2]);
	run->immediate_exit = 0;
	munmap(run, run_size);
	return r;
}

static int do_set_memory(struct thread *t, const u64 *a)
{
	struct kvm_userspace_memory_region region = {
		.slot = a[1],
		.flags = a[2] ? KVM_MEM_LOG_DIRTY_PAGES : 0,
		.guest_phys_addr = a[1] * GUEST_MEMORY,
		.memory_size = a[3] ? GUEST_MEMORY : 0,
		.userspace_addr = (uintptr_t)guest_memory,
	};

	return do_ioctl(vm_fd(a[0]), KVM_SET_USER_MEMORY_REGION, &region);
}

static int do_sleep(struct thread *t, const u64 *a)
{
	usleep(a[0]);
	return 0;
}

/* Wait until all threads are here, or have had the time to. */
static int do_meet(struct thread *t, const u64 *a)
{
	int nr = __atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
	int all = (nr + t->p->threads - 1) / t->p->threads * t->p->threads;
	u64 start = now_ms();

	while (__atomic_load_n(&arrived, __ATOMIC_SEQ_CST) < all) {
		if (now_ms() - start >= MEET_MS)
			return -ETIMEDOUT;
		sched_yield();
	}
	return 0;
}

static bool is_away(const struct program *p, struct watched *w);

/* All others have come to the same start, or can't. */
static int do_start(struct thread *t, const u64 *a)
{
	u64 start = now_ms(), nr;
	int i;

	nr = __atomic_add_fetch(&t->w->starts, 1, __ATOMIC_SEQ_CST);
	for (i = 0; i < t->p->threads; i++) {
		struct watched *w = &shared->threads[i];

		while (__atomic_load_n(&w->starts, __ATOMIC_SEQ_CST) < nr) {
			if (is_away(t->p, w))
				break;
			if (now_ms() - start >= START_MS)
				return -ETIMEDOUT;
			sched_yield();
		}
	}
	return 0;
}

/* ---- capabilities and module parameters ---- */

static const struct {
	u32 cap;
	u64 arg;
} caps[] = {
	{ KVM_CAP_HALT_POLL, 1000 },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 1 },
#ifdef __x86_64__
	{ KVM_CAP_DIRTY_LOG_RING, SZ_64K },
	{ KVM_CAP_SPLIT_IRQCHIP, SPLIT_IRQCHIP_PINS },
	{ KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS },
	{ KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_LINT0_REENABLED },
	{ KVM_CAP_MAX_VCPU_ID, 8 },
	{ KVM_CAP_X86_DISABLE_EXITS, KVM_X86_DISABLE_EXITS_PAUSE },
	{ KVM_CAP_X86_APIC_BUS_CYCLES_NS, 10 },
	{ KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1 },
#endif
#ifdef __aarch64__
	{ KVM_CAP_DIRTY_LOG_RING_ACQ_REL, SZ_64K },
	{ KVM_CAP_ARM_NISV_TO_USER, 0 },
	{ KVM_CAP_ARM_SYSTEM_SUSPEND, 0 },
#endif
};

static int do_enable_cap(struct thread *t, const u64 *a)
{
	struct kvm_enable_cap cap = { .cap = caps[a[1]].cap, .args[0] = caps[a[1]].arg };

	return do_ioctl(vm_fd(a[0]), KVM_ENABLE_CAP, &cap);
}

static struct param {
	const char *path;
	const char *values[2];
	char old[32];
} params[] = {
	{ "/sys/module/kvm/parameters/halt_poll_ns", { "0", "200000" } },
	{ "/sys/module/kvm/parameters/halt_poll_ns_grow_start", { "0", "10000" } },
	{ "/sys/module/kvm/parameters/halt_poll_ns_shrink", { "0", "2" } },
#ifdef __x86_64__
	{ "/sys/module/kvm/parameters/min_timer_period_us", { "0", "200" } },
	{ "/sys/module/kvm/parameters/pi_inject_timer", { "0", "1" } },
	{ "/sys/module/kvm/parameters/nx_huge_pages", { "0", "1" } },
	{ "/sys/module/kvm/parameters/nx_huge_pages_recovery_period_ms", { "1", "1000" } },
	{ "/sys/module/kvm/parameters/eager_page_split", { "0", "1" } },
	{ "/sys/module/kvm_amd/parameters/dump_invalid_vmcb", { "0", "1" } },
#endif
};

static int do_set_param(struct thread *t, const u64 *a)
{
	if (change_missing("parameters"))
		return -EPERM;
	return fault_knob_write(params[a[0]].path, params[a[0]].values[a[1]]);
}

static void save_params(void)
{
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(params); i++) {
		if (fault_knob_read(params[i].path, params[i].old, sizeof(params[i].old)))
			params[i].old[0] = '\0';
	}
}

static void restore_params(void)
{
	char now[sizeof(params[0].old)];
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(params); i++) {
		if (!params[i].old[0] || fault_knob_read(params[i].path, now, sizeof(now)) ||
		    !strcmp(now, params[i].old))
			continue;
		fault_knob_write(params[i].path, params[i].old);
	}
}

/* ---- interrupts ---- */

static int do_create_irqchip(struct thread *t, const u64 *a)
{
	return do_ioctl(vm_fd(a[0]), KVM_CREATE_IRQCHIP, 0);
}

/* There's always one in a slot that is asked for. */
static int get_eventfd(int *slot)
{
	int fd = look(slot);

	if (fd < 0) {
		fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (fd < 0)
			return -errno;
		opened_into(slot, fd);
	}
	return fd;
}

static int do_irqfd(struct thread *t, const u64 *a)
{
	struct kvm_irqfd irqfd = {
		.gsi = a[2],
		.flags = a[3] ? KVM_IRQFD_FLAG_DEASSIGN : 0,
	};
	int fd = get_eventfd(&eventfds[a[1]]);

	if (fd < 0)
		return fd;
	irqfd.fd = fd;
	return do_ioctl(vm_fd(a[0]), KVM_IRQFD, &irqfd);
}

static int do_signal_eventfd(struct thread *t, const u64 *a)
{
	u64 one = 1;

	return write(look(&eventfds[a[0]]), &one, sizeof(one)) < 0 ? -errno : 0;
}

static int do_close_eventfd(struct thread *t, const u64 *a)
{
	return put(&eventfds[a[0]], NO_FD);
}

static int do_ioeventfd(struct thread *t, const u64 *a)
{
	struct kvm_ioeventfd io = {
		.addr = 0x10000000 + a[2] * 0x1000,
		.len = 4,
		.flags = a[3] ? KVM_IOEVENTFD_FLAG_DEASSIGN : 0,
	};

	io.fd = get_eventfd(&eventfds[a[1]]);
	if (io.fd < 0)
		return io.fd;
	return do_ioctl(vm_fd(a[0]), KVM_IOEVENTFD, &io);
}

static int do_set_routing(struct thread *t, const u64 *a)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entries[4];
	} r = {};
	u32 i;

	for (i = 0; i < a[1]; i++) {
		struct kvm_irq_routing_entry *e = &r.entries[i];

		e->gsi = i;
		if (a[2]) {
			e->type = KVM_IRQ_ROUTING_MSI;
#ifdef __x86_64__
			e->u.msi.address_lo = 0xfee00000 | i << 12;
			e->u.msi.data = 0x40 + i;
#else
			e->u.msi.address_lo = GITS_BASE_GPA + 0x10040;
			e->u.msi.data = i;
#endif
		} else {
			e->type = KVM_IRQ_ROUTING_IRQCHIP;
			e->u.irqchip.pin = i;
		}
	}
	r.head.nr = a[1];
	return do_ioctl(vm_fd(a[0]), KVM_SET_GSI_ROUTING, &r);
}

static int do_signal_msi(struct thread *t, const u64 *a)
{
	struct kvm_msi msi = {
#ifdef __x86_64__
		.address_lo = 0xfee00000 | (u32)a[1] << 12,
		.data = 0x50,
#else
		.address_lo = GITS_BASE_GPA + 0x10040,
		.data = a[1],
#endif
	};
	int r = do_ioctl(vm_fd(a[0]), KVM_SIGNAL_MSI, &msi);

	return r > 0 ? 0 : r;
}

#ifdef __x86_64__
static int do_irq_line(struct thread *t, const u64 *a)
{
	struct kvm_irq_level level = { .irq = a[1], .level = a[2] };

	return do_ioctl(vm_fd(a[0]), KVM_IRQ_LINE, &level);
}

static int do_create_pit(struct thread *t, const u64 *a)
{
	struct kvm_pit_config pit = {};

	return do_ioctl(vm_fd(a[0]), KVM_CREATE_PIT2, &pit);
}

/* Of the VM, and of all of its vCPUs. */
static int do_vm_state(struct thread *t, const u64 *a)
{
	struct kvm_irqchip chip = { .chip_id = a[1] };
	struct kvm_clock_data clock = {};
	int fd = vm_fd(a[0]), r;

	if (a[1] > KVM_IRQCHIP_IOAPIC) {
		r = do_ioctl(fd, KVM_GET_CLOCK, &clock);
		return r ?: do_ioctl(fd, KVM_SET_CLOCK, &clock);
	}
	r = do_ioctl(fd, KVM_GET_IRQCHIP, &chip);
	return r ?: do_ioctl(fd, KVM_SET_IRQCHIP, &chip);
}

static int do_lapic(struct thread *t, const u64 *a)
{
	struct kvm_lapic_state lapic = {};
	int fd = vcpu_fd(a[0], a[1]);
	int r = do_ioctl(fd, KVM_GET_LAPIC, &lapic);

	/* The ID, which the VM's map of all local APICs is made from. */
	if (a[2])
		*(u32 *)(lapic.regs + 0x20) = a[2] << 24;
	return r ?: do_ioctl(fd, KVM_SET_LAPIC, &lapic);
}

static int do_set_tsc_khz(struct thread *t, const u64 *a)
{
	int fd = a[1] < NR_VCPUS ? vcpu_fd(a[0], a[1]) : vm_fd(a[0]);

	return do_ioctl(fd, KVM_SET_TSC_KHZ, (void *)a[2]);
}

/* A vCPU's Hyper-V context is allocated for the first one to ask. */
static int do_enable_synic(struct thread *t, const u64 *a)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HYPERV_SYNIC };

	return do_ioctl(vcpu_fd(a[0], a[1]), KVM_ENABLE_CAP, &cap);
}

static int do_nmi(struct thread *t, const u64 *a)
{
	return do_ioctl(vcpu_fd(a[0], a[1]), KVM_NMI, 0);
}

/* ---- Xen ---- */

static int do_xen_config(struct thread *t, const u64 *a)
{
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL | KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
		.msr = 0x40000000,
	};

	return do_ioctl(vm_fd(a[0]), KVM_XEN_HVM_CONFIG, &config);
}

static int do_xen_target(struct thread *t, const u64 *a)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_EVTCHN,
		.u.evtchn.send_port = 1 + a[1],
		.u.evtchn.type = 2,	/* EVTCHNSTAT_interdomain */
		.u.evtchn.flags = a[3],
		.u.evtchn.deliver.port.port = 1 + a[1],
		.u.evtchn.deliver.port.vcpu = a[2],
		.u.evtchn.deliver.port.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL,
	};

	return do_ioctl(vm_fd(a[0]), KVM_XEN_HVM_SET_ATTR, &attr);
}

static int do_xen_shared_info(struct thread *t, const u64 *a)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_SHARED_INFO,
		.u.shared_info.gfn = a[1] ? 0 : KVM_XEN_INVALID_GFN,
	};

	return do_ioctl(vm_fd(a[0]), KVM_XEN_HVM_SET_ATTR, &attr);
}

static int do_xen_vcpu(struct thread *t, const u64 *a)
{
	struct kvm_xen_vcpu_attr attr = { .type = a[2] };

	if (a[2] == KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID)
		attr.u.vcpu_id = a[1];
	else
		attr.u.gpa = a[1] * 64;
	return do_ioctl(vcpu_fd(a[0], a[1]), KVM_XEN_VCPU_SET_ATTR, &attr);
}

static int do_xen_send(struct thread *t, const u64 *a)
{
	struct kvm_irq_routing_xen_evtchn event = {
		.port = 1 + a[1],
		.vcpu = a[2],
		.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL,
	};
	int r = do_ioctl(vm_fd(a[0]), KVM_XEN_HVM_EVTCHN_SEND, &event);

	return r > 0 ? 0 : r;
}

/* ---- the GA Log ---- */

/* What hardware would put into entries, and goes on to when the VM is gone. */
static int do_ga_id(struct thread *t, const u64 *a)
{
	int id = avic_vm_id(vm_fd(a[0]));

	if (id > 0)
		__atomic_store_n(&vms[a[0]].ga_id, id, __ATOMIC_SEQ_CST);
	return id < 0 ? id : 0;
}

static int open_ga_log(struct thread *t)
{
	cpu_set_t one;

	if (t->ga_log >= 0)
		return 0;
	t->ga_log = __kvm_lifecycle_open("ga_log");
	if (t->ga_log < 0)
		return t->ga_log;
	/* It may be paused, and the program's threads are to overtake it. */
	if (cpu_aside >= 0) {
		CPU_ZERO(&one);
		CPU_SET(cpu_aside, &one);
		sched_setaffinity(injector_read(t->ga_log).tid, sizeof(one), &one);
	}
	return 0;
}

static int do_ga_log(struct thread *t, const u64 *a)
{
	u32 id = __atomic_load_n(&vms[a[0]].ga_id, __ATOMIC_SEQ_CST);
	int r = open_ga_log(t);

	return r ?: __kvm_lifecycle_write(t->ga_log, "inject %u %llu %llu %llu", id ?: 1,
					  (unsigned long long)a[1], (unsigned long long)a[2],
					  (unsigned long long)a[3]);
}

static int do_ga_log_stop(struct thread *t, const u64 *a)
{
	int r = open_ga_log(t);

	return r ?: __kvm_lifecycle_write(t->ga_log, "stop");
}
#endif /* __x86_64__ */

/* ---- the vGIC ---- */

#ifdef __aarch64__
static int device_attr(int fd, bool set, u32 group, u64 attr, void *val)
{
	struct kvm_device_attr da = { .group = group, .attr = attr, .addr = (uintptr_t)val };

	return do_ioctl(fd, set ? KVM_SET_DEVICE_ATTR : KVM_GET_DEVICE_ATTR, &da);
}

static int create_device(int vm, int *slot, u32 type)
{
	struct kvm_create_device dev = { .type = type };
	int r = do_ioctl(vm, KVM_CREATE_DEVICE, &dev);

	return r ?: opened_into(slot, dev.fd);
}

static int do_create_vgic(struct thread *t, const u64 *a)
{
	return create_device(vm_fd(a[0]), &vms[a[0]].gic, KVM_DEV_TYPE_ARM_VGIC_V3);
}

static int do_create_its(struct thread *t, const u64 *a)
{
	return create_device(vm_fd(a[0]), &vms[a[0]].its, KVM_DEV_TYPE_ARM_VGIC_ITS);
}

static int do_close_device(struct thread *t, const u64 *a)
{
	return put(a[1] ? &vms[a[0]].its : &vms[a[0]].gic, NO_FD);
}

static int do_vgic_irqs(struct thread *t, const u64 *a)
{
	u32 nr = a[1];

	return device_attr(look(&vms[a[0]].gic), true, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nr);
}

static int do_vgic_dist(struct thread *t, const u64 *a)
{
	u64 addr = GICD_BASE_GPA;

	return device_attr(look(&vms[a[0]].gic), true, KVM_DEV_ARM_VGIC_GRP_ADDR,
			   KVM_VGIC_V3_ADDR_TYPE_DIST, &addr);
}

/* Regions one after the other, or one that has no limit. */
static int do_vgic_region(struct thread *t, const u64 *a)
{
	int fd = look(&vms[a[0]].gic);
	u64 addr = GICR_BASE_GPA;

	if (a[2]) {
		addr = REDIST_REGION_ATTR_ADDR(a[2], GICR_BASE_GPA + a[1] * SZ_1M, 0, a[1]);
		return device_attr(fd, true, KVM_DEV_ARM_VGIC_GRP_ADDR,
				   KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, &addr);
	}
	return device_attr(fd, true, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST,
			   &addr);
}

static int do_vgic_init(struct thread *t, const u64 *a)
{
	return device_attr(look(&vms[a[0]].gic), true, KVM_DEV_ARM_VGIC_GRP_CTRL,
			   KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
}

static int do_vgic_save(struct thread *t, const u64 *a)
{
	return device_attr(look(&vms[a[0]].gic), true, KVM_DEV_ARM_VGIC_GRP_CTRL,
			   KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, NULL);
}

/*
 * GICD_IIDR: before the vGIC is initialized it is the VM's alone, i.e. nobody
 * can be busy with it.
 */
static int do_gicd_iidr(struct thread *t, const u64 *a)
{
	u32 val = 0;
	int fd = look(&vms[a[0]].gic), r;

	r = device_attr(fd, false, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_IIDR, &val);
	if (!r && a[1])
		r = device_attr(fd, true, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_IIDR, &val);
	return r;
}

#define ICC_CTLR_EL1	(KVM_ARM64_SYS_REG(SYS_ICC_CTLR_EL1) & KVM_DEV_ARM_VGIC_SYSREG_INSTR_MASK)

static const struct {
	u32 group;
	u32 reg;
} vgic_regs[] = {
	{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x0 },	/* GICD_CTLR */
	{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x4 },	/* GICD_TYPER */
	{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0xc },	/* GICD_TYPER2 */
	{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x104 },	/* GICD_ISENABLER1 */
	{ KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x0 },	/* GICR_CTLR */
	{ KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x8 },	/* GICR_TYPER */
	{ KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x10100 },	/* GICR_ISENABLER0 */
	{ KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, ICC_CTLR_EL1 },
	{ KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, 0 },
};

static int do_vgic_reg(struct thread *t, const u64 *a)
{
	int fd = look(&vms[a[0]].gic), r;
	u64 attr = vgic_regs[a[1]].reg | a[2] << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT;
	u64 val = 0;

	r = device_attr(fd, false, vgic_regs[a[1]].group, attr, &val);
	if (!r && a[3])
		r = device_attr(fd, true, vgic_regs[a[1]].group, attr, &val);
	return r;
}

static int do_its_addr(struct thread *t, const u64 *a)
{
	u64 addr = GITS_BASE_GPA;

	return device_attr(look(&vms[a[0]].its), true, KVM_DEV_ARM_VGIC_GRP_ADDR,
			   KVM_VGIC_ITS_ADDR_TYPE, &addr);
}

static int do_its_ctrl(struct thread *t, const u64 *a)
{
	return device_attr(look(&vms[a[0]].its), true, KVM_DEV_ARM_VGIC_GRP_CTRL, a[1], NULL);
}

static int do_its_reg(struct thread *t, const u64 *a)
{
	u64 val = 0;

	return device_attr(look(&vms[a[0]].its), false, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, a[1],
			   &val);
}

static int do_vcpu_init(struct thread *t, const u64 *a)
{
	struct kvm_vcpu_init init = {};
	int r = do_ioctl(vm_fd(a[0]), KVM_ARM_PREFERRED_TARGET, &init);

	init.features[0] = a[2];
	return r ?: do_ioctl(vcpu_fd(a[0], a[1]), KVM_ARM_VCPU_INIT, &init);
}

static int do_get_reg(struct thread *t, const u64 *a)
{
	u64 val = 0;
	struct kvm_one_reg reg = {
		.id = a[2] ? KVM_REG_ARM_TIMER_CNT : ARM64_CORE_REG(regs.pc),
		.addr = (uintptr_t)&val,
	};

	return do_ioctl(vcpu_fd(a[0], a[1]), KVM_GET_ONE_REG, &reg);
}

/* For which all vCPUs are locked. */
static int do_counter_offset(struct thread *t, const u64 *a)
{
	struct kvm_arm_counter_offset offset = { .counter_offset = a[1] };

	return do_ioctl(vm_fd(a[0]), KVM_ARM_SET_COUNTER_OFFSET, &offset);
}

static int do_irq_line(struct thread *t, const u64 *a)
{
	struct kvm_irq_level level = {
		.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | (32 + a[1]),
		.level = a[2],
	};

	return do_ioctl(vm_fd(a[0]), KVM_IRQ_LINE, &level);
}
#endif /* __aarch64__ */

/* ---- processes ---- */

static void close_all_slots(void)
{
	int i, j;

	for (i = 0; i < NR_VMS; i++) {
		put(&vms[i].fd, NO_FD);
		for (j = 0; j < NR_VCPUS; j++)
			put(&vms[i].vcpus[j], NO_FD);
		put(&vms[i].gic, NO_FD);
		put(&vms[i].its, NO_FD);
	}
	for (i = 0; i < NR_EVENTFDS; i++)
		put(&eventfds[i], NO_FD);
}

/* How a process ends that has the descriptors as well. */
enum ends { EXITS, CLOSES_AND_EXITS, IS_KILLED, NR_ENDS };

static int end_child(pid_t pid, enum ends how, u64 us)
{
	int status;

	if (how == IS_KILLED) {
		usleep(us);
		kill(pid, SIGKILL);
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? -WEXITSTATUS(status) : 0;
}

static void __noreturn be_child(enum ends how)
{
	if (how == CLOSES_AND_EXITS)
		close_all_slots();
	while (how == IS_KILLED)
		pause();
	_exit(0);
}

/* A VM belongs to the memory of the process that has created it. */
static int do_fork(struct thread *t, const u64 *a)
{
	pid_t pid = fork();
	int r;

	if (pid < 0)
		return -errno;
	if (!pid) {
		r = do_ioctl(vm_fd(a[0]), KVM_CREATE_VCPU, (void *)7ul);
		if (r != -EIO && r != -EBADF)
			_exit(EPROTO);
		be_child(a[1]);
	}
	return end_child(pid, a[1], a[2]);
}

static int send_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec iov = { .iov_base = "", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(sock, &msg, 0) < 0 ? -errno : 0;
}

static int receive_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))] = {}, byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	int fd;

	if (recvmsg(sock, &msg, 0) < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&msg);
	if (!c)
		return -EBADMSG;
	memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

/*
 * The slot's descriptor goes to another process, which then has the only one.
 * One that is killed may leave it in the socket, where nobody will take it.
 */
static int do_pass(struct thread *t, const u64 *a)
{
	int *slot = a[1] < NR_VCPUS ? &vms[a[0]].vcpus[a[1]] : &vms[a[0]].fd;
	int socks[2], r;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks))
		return -errno;
	r = send_fd(socks[0], look(slot));
	if (r)
		goto out;
	put(slot, NO_FD);
	pid = fork();
	if (!pid) {
		if (a[2] != IS_KILLED || a[3])
			ioctl(receive_fd(socks[1]), KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP);
		be_child(a[2]);
	}
	r = pid < 0 ? -errno : end_child(pid, a[2], a[3]);
out:
	close(socks[0]);
	close(socks[1]);
	return r;
}

/* The same, but it's the other process that takes the descriptor. */
static int do_take(struct thread *t, const u64 *a)
{
	int *slot = a[1] < NR_VCPUS ? &vms[a[0]].vcpus[a[1]] : &vms[a[0]].fd;
	int parent = getpid(), fd = look(slot), pidfd;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		close_all_slots();
		pidfd = syscall(SYS_pidfd_open, parent, 0);
		ioctl(syscall(SYS_pidfd_getfd, pidfd, fd, 0), KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP);
		be_child(a[2]);
	}
	usleep(a[3]);
	put(slot, NO_FD);
	return end_child(pid, a[2], a[3]);
}

/* A process with the same memory, and descriptors of its own. */
static int twin_fn(void *arg)
{
	const u64 *a = arg;
	int i, fd;

	for (i = 0; i < 8; i++) {
		fd = ioctl(vm_fd(a[0]), KVM_CREATE_VCPU, a[1]);
		if (fd >= 0 && a[2])
			close(fd);
	}
	close(vm_fd(a[0]));
	syscall(SYS_exit, 0);
	return 0;
}

static int do_twin(struct thread *t, const u64 *a)
{
	static char stacks[MAX_THREADS][SZ_16K];
	int status;
	pid_t pid;

	/* It borrows this thread's local storage, i.e. one of them has to wait. */
	pid = clone(twin_fn, stacks[t->nr] + SZ_16K,
		    CLONE_VM | CLONE_VFORK | CLONE_PARENT_SETTID | SIGCHLD, (void *)a, &twin);
	if (pid < 0)
		return -errno;

	/* It is dead, and its ID is its own until it has been waited for. */
	pthread_mutex_lock(&twin_lock);
	if (twin == pid)
		twin = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	pthread_mutex_unlock(&twin_lock);
	return 0;
}

static int do_kill_twin(struct thread *t, const u64 *a)
{
	int r = -ESRCH;

	pthread_mutex_lock(&twin_lock);
	if (twin)
		r = kill(twin, SIGKILL) ? -errno : 0;
	pthread_mutex_unlock(&twin_lock);
	return r;
}

/* Nobody will be there to count it. */
static int do_die(struct thread *t, const u64 *a)
{
	usleep(a[0]);
	count_result(t->p, t->p->calls[t->w->call].op, 0);
	kill(getpid(), SIGKILL);
	return 0;
}

/* ---- faults ---- */

/* The n-th slab that this thread's next call asks for. */
static int do_fail(struct thread *t, const u64 *a)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%llu", (unsigned long long)a[0]);

	if (t->nth < 0)
		t->nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (t->nth < 0)
		return -errno;
	t->armed = pwrite(t->nth, buf, len, 0) == len;
	return t->armed ? 0 : -errno;
}

static void disarm(struct thread *t)
{
	if (pwrite(t->nth, "0", 1, 0) == 1)
		t->armed = false;
}

/* As few descriptors as are open now, or enough. */
static int do_limit_fds(struct thread *t, const u64 *a)
{
	struct rlimit limit;
	int fd;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -errno;
	limit.rlim_cur = 256;
	if (a[0]) {
		fd = dup(dev_kvm);
		if (fd < 0)
			return -errno;
		close(fd);
		limit.rlim_cur = fd;
	}
	return setrlimit(RLIMIT_NOFILE, &limit) ? -errno : 0;
}

/* ---- pauses ---- */

/* A paused thread has its CPU to itself: who is to overtake it needs another one. */
static int do_pin(struct thread *t, const u64 *a)
{
	cpu_set_t cpus, one;
	int cpu, nr = a[0];

	if (sched_getaffinity(getpid(), sizeof(cpus), &cpus))
		return -errno;
	nr %= CPU_COUNT(&cpus);
	for (cpu = 0; !CPU_ISSET(cpu, &cpus) || nr--; cpu++)
		;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return sched_setaffinity(0, sizeof(one), &one) ? -errno : 0;
}

static const char * const pause_functions[] = {
	"kvm_arch_vcpu_precreate",
	"kvm_arch_vcpu_create",
	"kvm_arch_vcpu_postcreate",
	"kvm_arch_vcpu_postcreate",
	"kvm_arch_vcpu_destroy",
	"kvm_destroy_vcpus",
	"kvm_arch_destroy_vm",
	"kvm_vcpu_wake_up",
	"anon_inode_create_getfile",
	"fd_install",
	"xa_erase",
	"kvm_io_bus_register_dev",
	"kvm_io_bus_unregister_dev",
	"kvm_setup_default_irq_routing",
#ifdef __x86_64__
	"kvm_create_lapic",
	"kvm_free_lapic",
	"kvm_synchronize_tsc",
	"avic_vcpu_precreate",
	"avic_init_vcpu",
	"avic_vcpu_free",
	"avic_vm_pre_destroy",
	"avic_vm_destroy",
	"kvm_xen_destroy_vm",
#endif
#ifdef __aarch64__
	"kvm_vgic_vcpu_init",
	"kvm_vgic_vcpu_destroy",
	"kvm_vgic_setup_default_irq_routing",
	"kvm_share_hyp",
	"vgic_register_redist_iodev",
	"kvm_vgic_create",
	"kvm_vgic_destroy",
	"kvm_timer_vcpu_init",
	"kvm_arm_get_reg",
#endif
};

static int arm_pause(struct thread *t, const char *function, int tid, u64 us, u64 hits)
{
	/* Without memory the kernel can't remove a probe, and nobody is told. */
	if (may_lack_memory)
		return -EOPNOTSUPP;
	if (t->pause < 0)
		t->pause = __kvm_lifecycle_open("pause");
	if (t->pause < 0)
		return t->pause;
	__kvm_lifecycle_write(t->pause, "release");
	return __kvm_lifecycle_write(t->pause, "%s %d %llu %llu", function, tid,
				     (unsigned long long)us, (unsigned long long)hits);
}

/* This thread, as soon as it comes to a function. */
static int do_pause(struct thread *t, const u64 *a)
{
	return arm_pause(t, pause_functions[a[0]], gettid(), a[1], a[2]);
}

#ifdef __x86_64__
/* The thread that handles the GA Log, each time that it wakes a vCPU. */
static int do_pause_ga_log(struct thread *t, const u64 *a)
{
	int r = open_ga_log(t);

	return r ?: arm_pause(t, "kvm_vcpu_wake_up", injector_read(t->ga_log).tid, a[0], 20);
}
#endif

/* ---- planted faults ---- */

static int do_crash(struct thread *t, const u64 *a)
{
	raise(SIGSEGV);
	return 0;
}

static int do_exit(struct thread *t, const u64 *a)
{
	_exit(KSFT_FAIL);
}

static int do_stay(struct thread *t, const u64 *a)
{
	for (;;)
		pause();
	return 0;
}

static int do_fail_oddly(struct thread *t, const u64 *a)
{
	return -EXDEV;
}

/* Of a descriptor that nobody has closed. */
static int do_fail_badly(struct thread *t, const u64 *a)
{
	return -EBADF;
}

/* ---- the table of calls ---- */

/* Arguments: what one is called in a program, and what it may be. */
#define VALUES(...)	.nr = ARRAY_SIZE(((const u64[]){ __VA_ARGS__ })),	\
			.values = (const u64[]){ __VA_ARGS__ }

enum kind {
	NO_ARG, VM, VCPU, VCPU_OR_VM, ID, NEXT, AT_ONCE, STATE, US, SLOT, FLAG, CAP, PARAM,
	EVENTFD,
	GSI, DEASSIGN, NR, MSI, DEST, CHIP, KHZ, PORT, XEN_FLAGS, XEN_ATTR, COUNT, INDEX, REGION,
	IRQS_NR, REG, FEATURES, ITS_CTRL, ITS_REG, HOW, NTH, FUNCTION, PAUSE_US, HITS, CPU,
};

static const struct {
	const char *name;
	int nr;
	const u64 *values;	/* none: below @nr */
	const char * const *names;	/* of a table's entries */
} kinds[] = {
	[VM]		= { "vm", VALUES(0, 0, 0, 0, 1) },
	[VCPU]		= { "vcpu", NR_VCPUS },
	[VCPU_OR_VM]	= { "vcpu", NR_VCPUS + 1 },
	[ID]		= { "id", VALUES(0, 0, 1, 1, 2, 2, 3, 4, 5, 63, 254, 255, 256, 511, 512,
					 4095, 4096, 0xffffffff, 0x100000000) },
	[NEXT]		= { "below", VALUES(0, 0, 0, 1, 1, 1, 2, 3) },
	[AT_ONCE]	= { "at_once", 2 },
	[STATE]		= { "state", VALUES(KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_UNINITIALIZED,
					    KVM_MP_STATE_INIT_RECEIVED, KVM_MP_STATE_HALTED,
					    KVM_MP_STATE_STOPPED) },
	[US]		= { "us", VALUES(0, 50, 200, 1000, 3000) },
	[SLOT]		= { "slot", VALUES(0, 1, 0xffff) },
	[FLAG]		= { "on", 2 },
	[CAP]		= { "cap", ARRAY_SIZE(caps) },
	[PARAM]		= { "param", ARRAY_SIZE(params) },
	[EVENTFD]	= { "eventfd", NR_EVENTFDS },
	[GSI]		= { "gsi", VALUES(0, 1, 2, 23, 24, 1023, 4095) },
	[DEASSIGN]	= { "deassign", VALUES(0, 0, 1) },
	[NR]		= { "nr", VALUES(0, 1, 4) },
	[MSI]		= { "msi", 2 },
	[DEST]		= { "dest", VALUES(0, 1, 2, 255) },
	[CHIP]		= { "chip", VALUES(0, 1, 2, 3) },
	[KHZ]		= { "khz", VALUES(1000000, 2000000) },
	[PORT]		= { "port", VALUES(0, 1) },
	[XEN_FLAGS]	= { "flags", VALUES(0, 1, 2, 4) },
	[XEN_ATTR]	= { "type", VALUES(0, 1, 6) },
	[COUNT]		= { "count", VALUES(1, 100, 3000) },
	[INDEX]		= { "index", VALUES(0, 1, 2) },
	[REGION]	= { "count", VALUES(0, 1, 2, 4) },
	[IRQS_NR]	= { "nr", VALUES(64, 64, 32, 1024, 1025) },
#ifdef __aarch64__
	[REG]		= { "reg", ARRAY_SIZE(vgic_regs) },
	[FEATURES]	= { "features", VALUES(0, 1 << KVM_ARM_VCPU_POWER_OFF,
					       1 << KVM_ARM_VCPU_PSCI_0_2) },
	[ITS_CTRL]	= { "ctrl", VALUES(KVM_DEV_ARM_VGIC_CTRL_INIT,
					   KVM_DEV_ARM_ITS_SAVE_TABLES,
					   KVM_DEV_ARM_ITS_RESTORE_TABLES,
					   KVM_DEV_ARM_ITS_CTRL_RESET) },
	[ITS_REG]	= { "reg", VALUES(0, 8, 0x100) },
#endif
	[HOW]		= { "how", NR_ENDS },
	[NTH]		= { "nth", VALUES(1, 2, 3, 4, 5, 7, 9, 12, 16, 20, 25, 30) },
	[FUNCTION]	= { "function", ARRAY_SIZE(pause_functions), .names = pause_functions },
	[PAUSE_US]	= { "us", VALUES(1000, 5000, 20000) },
	[CPU]		= { "cpu", VALUES(0, 1) },
	[HITS]		= { "hits", VALUES(1, 1, 4) },
};

#define ERRNOS(...)	.errnos = (const int[]){ __VA_ARGS__, 0 }

/* What KVM_CREATE_VCPU says once the vGIC is initialized. */
#ifdef __aarch64__
#define VGIC_IS_INITIALIZED EBUSY
#define NEVER_IRQCHIP	"it is a GICv2, which a GICv3 needn't have"
#define NEVER_MSI	"an ITS takes no MSI without a device's ID"
#else
#define VGIC_IS_INITIALIZED 0
#define NEVER_IRQCHIP	NULL
#define NEVER_MSI	NULL
#endif

/* What any call may say. */
static const int any_errnos[] = {
	EINVAL, EINTR,
#ifdef __aarch64__
	EIO,	/* KVM_RUN of a VM whose vGIC isn't all there is the end of that VM */
#endif
	0,
};

/* And for a descriptor that is guessed, that isn't there, or that somebody has closed meanwhile. */
static const int no_fd_errnos[] = { EBADF, ENOTTY, 0 };

static const struct op {
	const char *name;
	int (*fn)(struct thread *t, const u64 *a);
	u32 themes;
	int weight;
	u8 kinds[MAX_ARGS];
	bool may_wait;		/* for a vCPU in KVM_RUN */
	bool no_init_no_ebusy;	/* never busy if no vGIC is ever initialized */
	bool guesses;		/* a descriptor */
	int success;		/* what is one as well, e.g. EINTR of KVM_RUN */
	const char *never;	/* why it has no success */
	const int *errnos;
} ops[] = {
	{ "create_vm", do_create_vm, ALWAYS, 3, { VM } },
	{ "close_vm", do_close_vm, ALWAYS, 1, { VM } },
	{ "destroy_vm", do_destroy_vm, ALWAYS, 2, { VM } },
	{ "create_vcpu", do_create_vcpu, ALWAYS, 10, { VM, VCPU, ID },
	  ERRNOS(EEXIST, VGIC_IS_INITIALIZED) },
	{ "close_vcpu", do_close_vcpu, ALWAYS, 4, { VM, VCPU } },
	{ "run", do_run, ALWAYS, 5, { VM, VCPU, AT_ONCE }, .may_wait = true, .success = EINTR,
	  ERRNOS(EAGAIN, EFAULT, ENODEV, ENOEXEC, EPERM, ENXIO, EBUSY, EACCES) },
	{ "sleep", do_sleep, ALWAYS, 2, { US } },
	{ "start", do_start, 0, 0, {}, ERRNOS(ETIMEDOUT) },
	{ "meet", do_meet, ALWAYS, 4, {}, ERRNOS(ETIMEDOUT) },
	{ "run_next", do_run_next, VCPUS | PAUSES, 8, { NEXT, AT_ONCE }, .may_wait = true,
	  .guesses = true, .success = EINTR,
	  ERRNOS(EAGAIN, EFAULT, ENODEV, ENOEXEC, EPERM, ENXIO, EBUSY, EACCES) },
	{ "mp_state_next", do_mp_state_next, VCPUS | PAUSES, 4, { NEXT }, .may_wait = true,
	  .guesses = true },
	{ "create_vcpu_next", do_create_vcpu_next, VCPUS, 3, { NEXT, ID }, .guesses = true,
	  ERRNOS(EEXIST, VGIC_IS_INITIALIZED) },
	{ "get_mp_state", do_get_mp_state, VCPUS, 3, { VM, VCPU }, .may_wait = true },
	{ "set_mp_state", do_set_mp_state, VCPUS | IRQS, 4, { VM, VCPU, STATE },
	  .may_wait = true },
	{ "map_and_close", do_map_and_close, VCPUS, 3, { VM, VCPU, US }, ERRNOS(ENODEV, EACCES) },
	{ "set_memory", do_set_memory, VCPUS | XEN, 3, { VM, SLOT, FLAG, AT_ONCE },
	  ERRNOS(EEXIST) },
	{ "enable_cap", do_enable_cap, PARAMS | IRQS, 8, { VM, CAP },
	  ERRNOS(EEXIST, EBUSY, EPERM, ENXIO) },
	{ "set_param", do_set_param, PARAMS, 4, { PARAM, FLAG }, ERRNOS(ENOENT, EACCES, EPERM) },
	{ "create_irqchip", do_create_irqchip, IRQS, 2, { VM }, .never = NEVER_IRQCHIP,
	  ERRNOS(EEXIST, ENODEV) },
	{ "irqfd", do_irqfd, IRQS, 8, { VM, EVENTFD, GSI, DEASSIGN },
	  ERRNOS(EAGAIN, EBUSY, ENOENT, ENODEV) },
	{ "signal_eventfd", do_signal_eventfd, IRQS, 4, { EVENTFD }, ERRNOS(EAGAIN) },
	{ "close_eventfd", do_close_eventfd, IRQS, 3, { EVENTFD } },
	{ "ioeventfd", do_ioeventfd, IRQS, 4, { VM, EVENTFD, INDEX, DEASSIGN },
	  ERRNOS(EEXIST, ENOENT) },
	{ "set_routing", do_set_routing, IRQS, 5, { VM, NR, MSI } },
	{ "signal_msi", do_signal_msi, IRQS, 4, { VM, DEST }, .never = NEVER_MSI,
	  ERRNOS(EPERM, ENODEV) },
	{ "irq_line", do_irq_line, IRQS | VGIC, 3, { VM, NR, FLAG }, ERRNOS(ENXIO, EBUSY) },
#ifdef __x86_64__
	{ "create_pit", do_create_pit, IRQS, 2, { VM }, ERRNOS(EEXIST, ENOENT) },
	{ "vm_state", do_vm_state, IRQS, 2, { VM, CHIP }, ERRNOS(ENXIO) },
	{ "lapic", do_lapic, IRQS, 5, { VM, VCPU, DEST }, .may_wait = true },
	{ "set_tsc_khz", do_set_tsc_khz, VCPUS | PARAMS, 2, { VM, VCPU_OR_VM, KHZ },
	  .may_wait = true },
	{ "enable_synic", do_enable_synic, IRQS | VCPUS, 2, { VM, VCPU }, .may_wait = true },
	{ "nmi", do_nmi, IRQS, 2, { VM, VCPU }, .may_wait = true },
	{ "xen_config", do_xen_config, XEN, 3, { VM } },
	{ "xen_target", do_xen_target, XEN, 8, { VM, PORT, VCPU, XEN_FLAGS },
	  ERRNOS(EEXIST, ENOENT) },
	{ "xen_shared_info", do_xen_shared_info, XEN, 3, { VM, FLAG }, ERRNOS(EFAULT) },
	{ "xen_vcpu", do_xen_vcpu, XEN, 6, { VM, VCPU, XEN_ATTR }, .may_wait = true,
	  ERRNOS(EFAULT) },
	{ "xen_send", do_xen_send, XEN, 8, { VM, PORT, VCPU }, ERRNOS(ENOENT, EPERM, EFAULT) },
	{ "ga_id", do_ga_id, GA_LOG, 4, { VM }, ERRNOS(ENOENT, EOPNOTSUPP, EPERM) },
	{ "ga_log", do_ga_log, GA_LOG, 8, { VM, VCPU, COUNT, US },
	  ERRNOS(EBUSY, ENOENT, EOPNOTSUPP, EPERM) },
	{ "ga_log_stop", do_ga_log_stop, GA_LOG, 1, {}, ERRNOS(ENOENT, EOPNOTSUPP, EPERM) },
	{ "pause_ga_log", do_pause_ga_log, GA_LOG, 3, { PAUSE_US },
	  ERRNOS(EBUSY, ENOENT, EOPNOTSUPP, EPERM) },
#endif
#ifdef __aarch64__
	{ "create_vgic", do_create_vgic, VGIC | IRQS, 4, { VM },
	  ERRNOS(EEXIST, EBUSY, ENODEV, E2BIG) },
	{ "create_its", do_create_its, VGIC | IRQS, 2, { VM }, ERRNOS(ENODEV, EBUSY) },
	{ "close_device", do_close_device, VGIC, 2, { VM, FLAG } },
	{ "vgic_irqs", do_vgic_irqs, VGIC, 2, { VM, IRQS_NR }, ERRNOS(EBUSY, ENXIO) },
	{ "vgic_dist", do_vgic_dist, VGIC | IRQS, 4, { VM }, ERRNOS(EEXIST, ENODEV) },
	{ "vgic_region", do_vgic_region, VGIC | IRQS, 6, { VM, INDEX, REGION },
	  ERRNOS(EEXIST, ENODEV, E2BIG, ENOENT) },
	{ "vgic_init", do_vgic_init, VGIC | IRQS, 6, { VM }, ERRNOS(EBUSY, ENODEV, ENXIO) },
	{ "vgic_save", do_vgic_save, VGIC, 2, { VM }, ERRNOS(EBUSY, ENXIO, EFAULT) },
	{ "gicd_iidr", do_gicd_iidr, VGIC, 6, { VM, FLAG }, .no_init_no_ebusy = true,
	  ERRNOS(EBUSY, ENXIO) },
	{ "vgic_reg", do_vgic_reg, VGIC, 6, { VM, REG, VCPU, FLAG }, ERRNOS(EBUSY, ENXIO) },
	/* EBUSY: the later one of two at once, though arm-vgic-its.rst knows EEXIST alone. */
	{ "its_addr", do_its_addr, VGIC | IRQS, 3, { VM }, ERRNOS(EEXIST, EBUSY, ENODEV, ENXIO) },
	{ "its_ctrl", do_its_ctrl, VGIC | IRQS, 4, { VM, ITS_CTRL },
	  ERRNOS(EBUSY, ENXIO, ENODEV, EFAULT, EACCES) },
	{ "its_reg", do_its_reg, VGIC, 2, { VM, ITS_REG }, ERRNOS(EBUSY, ENXIO) },
	{ "vcpu_init", do_vcpu_init, ALWAYS, 8, { VM, VCPU, FEATURES }, .may_wait = true,
	  ERRNOS(ENODEV, ENOENT) },
	{ "get_reg", do_get_reg, VGIC | VCPUS, 5, { VM, VCPU, FLAG }, .may_wait = true,
	  ERRNOS(ENOEXEC, ENOENT) },
	{ "counter_offset", do_counter_offset, VCPUS | PARAMS, 2, { VM, US }, ERRNOS(EBUSY) },
#endif
	{ "fork", do_fork, PROCESSES, 3, { VM, HOW, US } },
	{ "pass", do_pass, PROCESSES, 4, { VM, VCPU_OR_VM, HOW, US } },
	{ "take", do_take, PROCESSES, 4, { VM, VCPU_OR_VM, HOW, US } },
	{ "twin", do_twin, PROCESSES, 4, { VM, ID, FLAG } },
	{ "kill_twin", do_kill_twin, PROCESSES, 3, {}, ERRNOS(ESRCH) },
	{ "die", do_die, PROCESSES, 2, { US } },
	{ "fail", do_fail, FAULTS, 12, { NTH }, ERRNOS(ENOENT, EACCES, EPERM) },
	{ "limit_fds", do_limit_fds, FAULTS, 3, { FLAG } },
	{ "pin", do_pin, PAUSES | GA_LOG, 3, { CPU } },
	{ "pause", do_pause, PAUSES, 10, { FUNCTION, PAUSE_US, HITS },
	  ERRNOS(ENOENT, EOPNOTSUPP, EPERM, EBUSY) },
	{ "crash", do_crash },
	{ "exit", do_exit },
	{ "stay", do_stay },
	{ "fail_oddly", do_fail_oddly },
	{ "fail_badly", do_fail_badly },
};

static_assert(ARRAY_SIZE(ops) <= MAX_OPS);
static_assert(ARRAY_SIZE(themes) <= MAX_THEMES);

/* It is done, in KVM_RUN, or may have to wait for who is. */
static bool is_away(const struct program *p, struct watched *w)
{
	enum doing doing = __atomic_load_n(&w->doing, __ATOMIC_SEQ_CST);

	return doing == DONE || doing == IN_RUN ||
	       (doing == IN_CALL && (ops[p->calls[w->call].op].may_wait ||
				     w->at_vcpu == __atomic_load_n(&w->since, __ATOMIC_SEQ_CST)));
}

static int op_of(const char *name)
{
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(ops); i++) {
		if (!strcmp(ops[i].name, name))
			return i;
	}
	return -1;
}

static int nr_args(int op)
{
	int i;

	for (i = 0; i < MAX_ARGS && ops[op].kinds[i]; i++)
		;
	return i;
}

/* ---- from a seed to a program ---- */

/* SplitMix64: a small generator, which is good enough from any seed. */
static u64 random_next(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static u64 random_below(u64 *state, u64 n)
{
	return random_next(state) % n;
}

static bool one_in(u64 *state, u64 n)
{
	return !random_below(state, n);
}

static u64 random_arg(u64 *state, enum kind kind)
{
	u64 i = random_below(state, kinds[kind].nr);

	return kinds[kind].values ? kinds[kind].values[i] : i;
}

static void add_call(struct program *p, int thread, const char *name, u64 a0, u64 a1, u64 a2)
{
	struct call *c = &p->calls[p->nr++];

	*c = (struct call){ .thread = thread, .op = op_of(name), .arg = { a0, a1, a2 } };
}

/* What most programs need first.  It's made of ordinary calls, like the rest. */
static void add_beginning(struct program *p, u64 *state)
{
	int i, nr = random_below(state, 3);

	add_call(p, 0, "create_vm", 0, 0, 0);
#ifdef __x86_64__
	i = random_below(state, 4);
	if (i < 2)
		add_call(p, 0, "enable_cap", 0, 3, 0);
	else if (i < 3)
		add_call(p, 0, "create_irqchip", 0, 0, 0);
#else
	if (!one_in(state, 3)) {
		add_call(p, 0, "create_vgic", 0, 0, 0);
		add_call(p, 0, "vgic_irqs", 0, 64, 0);
		add_call(p, 0, "vgic_dist", 0, 0, 0);
		if (!one_in(state, 3))
			add_call(p, 0, "vgic_region", 0, 0, random_below(state, 3));
		if (themes[p->theme].calls & (VGIC | IRQS))
			add_call(p, 0, "create_its", 0, 0, 0);
	}
#endif
	for (i = 0; i < nr; i++) {
		add_call(p, 0, "create_vcpu", 0, i, i);
#ifdef __aarch64__
		add_call(p, 0, "vcpu_init", 0, i, random_below(state, 2));
#endif
	}
#ifdef __x86_64__
	if (themes[p->theme].calls & GA_LOG) {
		add_call(p, 0, "create_vcpu", 0, 2, 3);
		add_call(p, 0, "ga_id", 0, 0, 0);
	}
#endif
	if (one_in(state, 3))
		add_call(p, 0, "create_vm", 1, 0, 0);
	for (i = 0; i < p->threads; i++)
		add_call(p, i, "start", 0, 0, 0);
}

static bool is_of_theme(int op, int theme)
{
	return ops[op].weight && (ops[op].themes & (ALWAYS | themes[theme].calls));
}

static int random_op(u64 *state, u32 calls)
{
	int i, total = 0;
	u64 n;

	for (i = 0; i < (int)ARRAY_SIZE(ops); i++)
		total += ops[i].themes & calls ? ops[i].weight : 0;
	n = random_below(state, total);
	for (i = 0; ; i++) {
		if (!(ops[i].themes & calls))
			continue;
		if (n < (u64)ops[i].weight)
			return i;
		n -= ops[i].weight;
	}
}

static void make_program(struct program *p, int theme, u64 seed)
{
	u64 state = seed * ARRAY_SIZE(themes) + theme;
	u32 calls = ALWAYS | themes[theme].calls;
	int i, j, nr;

	*p = (struct program){ .seed = seed, .theme = theme };
	p->threads = 2 + random_below(&state, MAX_THREADS - 1);
	p->rounds = 1 + random_below(&state, MAX_ROUNDS);
	for (i = 0; i < (int)ARRAY_SIZE(themes); i++) {
		if (one_in(&state, 5))
			calls |= themes[i].calls;
	}
	/* These can't be had together, see arm_pause(). */
	if (themes[theme].calls & FAULTS)
		calls &= ~PAUSES;
	else if (calls & PAUSES)
		calls &= ~FAULTS;
	add_beginning(p, &state);
	nr = 6 + random_below(&state, MAX_CALLS / 3);
	for (i = 0; i < nr && p->nr < MAX_CALLS; i++) {
		struct call *c = &p->calls[p->nr++];

		c->thread = random_below(&state, p->threads);
		c->op = random_op(&state, calls);
		for (j = 0; j < nr_args(c->op); j++)
			c->arg[j] = random_arg(&state, ops[c->op].kinds[j]);
	}
	if (p->nr < MAX_CALLS)
		add_call(p, random_below(&state, p->threads), "destroy_vm", 0, 0, 0);
}

/* ---- programs as text ---- */

static int call_text(char *buf, size_t size, const struct call *c)
{
	int i, len = snprintf(buf, size, "%d %s", c->thread, ops[c->op].name);

	for (i = 0; i < nr_args(c->op); i++) {
		enum kind kind = ops[c->op].kinds[i];

		len += snprintf(buf + len, size - len, " %s=", kinds[kind].name);
		if (kinds[kind].names)
			len += snprintf(buf + len, size - len, "%s", kinds[kind].names[c->arg[i]]);
		else
			len += snprintf(buf + len, size - len, "%llu",
					(unsigned long long)c->arg[i]);
	}
	return len;
}

static char *program_text(const struct program *p)
{
	size_t size = (p->nr + 2) * 128;
	char *buf = malloc(size);
	int i, len;

	TEST_ASSERT(buf, "out of memory");
	len = sprintf(buf, "theme %s seed %llu threads %d rounds %d\n", themes[p->theme].name,
		      (unsigned long long)p->seed, p->threads, p->rounds);
	for (i = 0; i < p->nr; i++) {
		len += call_text(buf + len, size - len, &p->calls[i]);
		buf[len++] = '\n';
	}
	buf[len] = '\0';
	return buf;
}

static int theme_of(const char *name)
{
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(themes); i++) {
		if (!strcmp(themes[i].name, name))
			return i;
	}
	return -1;
}

/* The start of a program's line, without what a log may have put before it, or NULL. */
static char *line_start(char *line)
{
	char *start = strstr(line, "program: ");

	start = start ? start + strlen("program: ") : line;
	start += strspn(start, " \t");
	return *start == '#' || !*start ? NULL : start;
}

/* A number, or a name from the kind's table. */
static bool parse_value(enum kind kind, const char *text, u64 *val)
{
	char *end;
	int i;

	for (i = 0; kinds[kind].names && i < kinds[kind].nr; i++) {
		if (!strcmp(kinds[kind].names[i], text)) {
			*val = i;
			return true;
		}
	}
	*val = strtoull(text, &end, 0);
	/* An index is one of a table. */
	return end > text && !*end && (kinds[kind].values || *val < (u64)kinds[kind].nr);
}

static bool parse_call(struct program *p, const char *text)
{
	struct call *c = &p->calls[p->nr];
	char name[32], val[64];
	unsigned int thread;
	int i, op, len;

	if (p->nr == MAX_CALLS || sscanf(text, "%u %31s%n", &thread, name, &len) != 2)
		return false;
	op = op_of(name);
	if (op < 0 || thread >= (unsigned int)p->threads)
		return false;
	*c = (struct call){ .thread = thread, .op = op };
	for (i = 0; i < nr_args(op); i++) {
		enum kind kind = ops[op].kinds[i];

		text += len;
		if (sscanf(text, " %31[^= ]=%63s%n", name, val, &len) != 2 ||
		    strcmp(name, kinds[kind].name) || !parse_value(kind, val, &c->arg[i]))
			return false;
	}
	p->nr++;
	return true;
}

/* Returns the number of the line that is wrong, or 0. */
static int parse_program(struct program *p, const char *text)
{
	char *copy = strdup(text), *line, *next = copy, theme[32];
	unsigned long long seed;
	int nr = 0, bad = 0;

	*p = (struct program){};
	while (!bad && (line = strsep(&next, "\n"))) {
		nr++;
		line = line_start(line);
		if (!line)
			continue;
		if (!p->threads) {
			if (strncmp(line, "theme ", strlen("theme ")))
				continue;
			if (sscanf(line, "theme %31s seed %llu threads %d rounds %d", theme, &seed,
				   &p->threads, &p->rounds) != 4 ||
			    theme_of(theme) < 0 || p->threads < 1 || p->threads > MAX_THREADS ||
			    p->rounds < 1)
				bad = nr;
			p->theme = theme_of(theme);
			p->seed = seed;
		} else if (!parse_call(p, line)) {
			bad = nr;
		}
	}
	free(copy);
	return bad ?: p->threads ? 0 : nr;
}

/*
 * Programs that once found something.  A pause is long enough for others to get
 * to where they must not be, and the thread that has asked for it must not end
 * meanwhile.
 */
static const struct found {
	const char *name;
	const char *part;
	const char *text;
} found[] = {
#ifdef __x86_64__
	{ "run_before_postcreate", "pause",
	  "theme pauses seed 0 threads 2 rounds 2\n"
	  "0 pin cpu=1\n"
	  "1 pin cpu=0\n"
	  "0 create_vm vm=0\n"
	  "0 enable_cap vm=0 cap=3\n"
	  "0 create_vcpu vm=0 vcpu=0 id=0\n"
	  "0 pause function=kvm_arch_vcpu_postcreate us=50000 hits=1\n"
	  "0 start\n"
	  "1 start\n"
	  "0 create_vcpu vm=0 vcpu=1 id=1\n"
	  "1 sleep us=10000\n"
	  "1 run_next below=1 at_once=0\n"
	  "0 destroy_vm vm=0\n" },
	{ "destroy_during_wakeup", "ga_log",
	  "theme ga_log seed 0 threads 2 rounds 2\n"
	  "0 create_vm vm=0\n"
	  "0 enable_cap vm=0 cap=3\n"
	  "0 create_vcpu vm=0 vcpu=0 id=0\n"
	  "0 ga_id vm=0\n"
	  "1 pause_ga_log us=1000000\n"
	  "0 start\n"
	  "1 start\n"
	  "1 ga_log vm=0 vcpu=0 count=1 us=0\n"
	  "1 sleep us=1500000\n"
	  "0 sleep us=100000\n"
	  "0 destroy_vm vm=0\n" },
#endif
#ifdef __aarch64__
	{ "iidr_while_vcpu_is_busy", "pause",
	  "theme vgic seed 0 threads 2 rounds 4\n"
	  "0 pin cpu=0\n"
	  "1 pin cpu=1\n"
	  "0 create_vm vm=0\n"
	  "0 create_vgic vm=0\n"
	  "0 create_vcpu vm=0 vcpu=0 id=0\n"
	  "0 vcpu_init vm=0 vcpu=0 features=0\n"
	  "1 pause function=kvm_arm_get_reg us=100000 hits=1\n"
	  "0 start\n"
	  "1 start\n"
	  "1 get_reg vm=0 vcpu=0 on=0\n"
	  "0 sleep us=5000\n"
	  "0 gicd_iidr vm=0 on=1\n"
	  "0 destroy_vm vm=0\n" },
	{ "create_during_vgic_init", "pause",
	  "theme vgic_pauses seed 0 threads 2 rounds 1\n"
	  "0 pin cpu=1\n"
	  "1 pin cpu=0\n"
	  "0 create_vm vm=0\n"
	  "0 create_vgic vm=0\n"
	  "0 vgic_irqs vm=0 nr=64\n"
	  "0 vgic_dist vm=0\n"
	  "0 vgic_region vm=0 index=0 count=0\n"
	  "0 create_vcpu vm=0 vcpu=0 id=0\n"
	  "0 vcpu_init vm=0 vcpu=0 features=0\n"
	  "0 pause function=kvm_vgic_setup_default_irq_routing us=100000 hits=1\n"
	  "0 start\n"
	  "1 start\n"
	  "0 vgic_init vm=0\n"
	  "1 sleep us=10000\n"
	  "1 create_vcpu vm=0 vcpu=1 id=1\n"
	  "1 vcpu_init vm=0 vcpu=1 features=0\n" },
#endif
};

/*
 * A tour: each call of a theme in an order, and with arguments, for which it succeeds.
 * Lines with "+" are for all themes, the others for those that their call belongs to.
 */
static const char * const tour[] = {
	"0 limit_fds on=0",
	"+0 create_vm vm=1",
	"0 create_vcpu_next below=1 id=0",
	"+0 close_vm vm=1",
	"+0 create_vm vm=0",
	"0 set_memory vm=0 slot=0 on=0 at_once=1",
	"0 set_param param=0 on=0",
#ifdef __x86_64__
	"+0 enable_cap vm=0 cap=3",
	"0 set_tsc_khz vm=0 vcpu=3 khz=1000000",
	"+0 create_vcpu vm=0 vcpu=0 id=0",
	"0 mp_state_next below=1",
	"0 run_next below=1 at_once=1",
	"0 lapic vm=0 vcpu=0 dest=0",
	"0 enable_synic vm=0 vcpu=0",
	"0 nmi vm=0 vcpu=0",
	"0 irqfd vm=0 eventfd=0 gsi=0 deassign=0",
	"0 set_routing vm=0 nr=1 msi=1",
	"0 create_vm vm=1",
	"0 create_irqchip vm=1",
	"0 create_pit vm=1",
	"0 vm_state vm=1 chip=3",
	"0 xen_config vm=0",
	"0 xen_shared_info vm=0 on=1",
	"0 xen_vcpu vm=0 vcpu=0 type=0",
	"0 xen_target vm=0 port=0 vcpu=0 flags=0",
	"0 xen_send vm=0 port=0 vcpu=0",
	"0 ga_id vm=0",
	"0 pause_ga_log us=1000",
	"0 ga_log vm=0 vcpu=0 count=1 us=0",
	"0 ga_log_stop",
#endif
#ifdef __aarch64__
	"0 enable_cap vm=0 cap=0",
	"+0 create_vcpu vm=0 vcpu=0 id=0",
	"0 mp_state_next below=1",
	"0 run_next below=1 at_once=1",
	"+0 create_vgic vm=0",
	"0 vgic_irqs vm=0 nr=64",
	"+0 vgic_dist vm=0",
	"+0 vgic_region vm=0 index=0 count=0",
	"0 create_its vm=0",
	"0 its_addr vm=0",
	"+0 vcpu_init vm=0 vcpu=0 features=0",
	"+0 vgic_init vm=0",
	"0 its_ctrl vm=0 ctrl=0",
	"0 its_reg vm=0 reg=0",
	"0 gicd_iidr vm=0 on=1",
	"0 vgic_reg vm=0 reg=0 vcpu=0 on=1",
	"0 vgic_save vm=0",
	"0 get_reg vm=0 vcpu=0 on=0",
	"0 counter_offset vm=0 us=0",
	"0 irqfd vm=0 eventfd=0 gsi=0 deassign=0",
	"0 set_routing vm=0 nr=1 msi=0",
#endif
	"0 signal_eventfd eventfd=0",
	"0 close_eventfd eventfd=0",
	"0 ioeventfd vm=0 eventfd=1 index=0 deassign=0",
	"0 signal_msi vm=0 dest=0",
	"0 irq_line vm=0 nr=1 on=1",
	"0 get_mp_state vm=0 vcpu=0",
	"0 set_mp_state vm=0 vcpu=0 state=0",
	"+0 run vm=0 vcpu=0 at_once=1",
	"0 map_and_close vm=0 vcpu=0 us=0",
	"+0 create_vcpu vm=0 vcpu=1 id=1",
	"0 fork vm=0 how=0 us=0",
	"0 take vm=0 vcpu=3 how=0 us=0",
	"+0 create_vm vm=0",
	"+0 create_vcpu vm=0 vcpu=1 id=1",
	"0 pass vm=0 vcpu=1 how=0 us=0",
	"0 pin cpu=0",
	"0 pause function=kvm_arch_vcpu_destroy us=1000 hits=1",
	"+0 create_vcpu vm=0 vcpu=2 id=2",
	"+0 close_vcpu vm=0 vcpu=2",
	"0 fail nth=30",
	"+0 sleep us=0",
	"+0 start",
	"+1 start",
	"+0 meet",
	"+1 meet",
	"1 twin vm=0 id=4 on=1",
	"0 sleep us=200",
	"0 kill_twin",
	"0 sleep us=200",
	"0 kill_twin",
	"0 sleep us=1000",
	"0 kill_twin",
	"0 sleep us=1000",
	"0 kill_twin",
	"0 sleep us=3000",
	"0 kill_twin",
	"+0 start",
	"+1 start",
	"+0 destroy_vm vm=0",
	"0 die us=0",
};

static void make_tour(struct program *p, int theme)
{
	const char *line;
	char name[32];
	int i;

	*p = (struct program){ .theme = theme, .threads = 2, .rounds = 1 };
	for (i = 0; i < (int)ARRAY_SIZE(tour); i++) {
		line = tour[i] + (*tour[i] == '+');
		TEST_ASSERT(sscanf(line, "%*u %31s", name) == 1, "tour: '%s'", line);
		if (line != tour[i] || is_of_theme(op_of(name), theme))
			TEST_ASSERT(parse_call(p, line), "tour: '%s'", line);
	}
}

static void print_program(const struct program *p)
{
	char *text = program_text(p), *line, *next = text;

	while ((line = strsep(&next, "\n"))) {
		if (*line)
			ksft_print_msg("program: %s\n", line);
	}
	free(text);
}

/* ---- the process that runs a program ---- */

static void __printf(2, 3) failed(const char *key, const char *fmt, ...)
{
	va_list ap;

	if (__atomic_exchange_n(&shared->failed, 1, __ATOMIC_SEQ_CST))
		return;
	snprintf(shared->key, sizeof(shared->key), "%s", key);
	va_start(ap, fmt);
	vsnprintf(shared->why, sizeof(shared->why), fmt, ap);
	va_end(ap);
}

static bool is_in(const int *errnos, int err)
{
	for (; errnos && *errnos; errnos++) {
		if (*errnos == err)
			return true;
	}
	return false;
}

static bool is_expected(const struct op *op, int err, bool no_memory, bool no_fd)
{
	if (op->no_init_no_ebusy && !no_preinit_regs && !vgic_may_be_initialized && err == EBUSY)
		return false;
	if (is_in(any_errnos, err) || is_in(op->errnos, err))
		return true;
	if (no_fd && is_in(no_fd_errnos, err))
		return true;
	/* An inode of tmpfs that can't be had is ENOSPC. */
	if (no_memory && (err == ENOMEM || err == ENOSPC))
		return true;
	return may_lack_fds && err == EMFILE;
}

/* The watcher must not take the last call's time for this one's. */
static void begins(struct watched *w, int call)
{
	__atomic_store_n(&w->call, call, __ATOMIC_SEQ_CST);
	__atomic_store_n(&w->since, now_ms(), __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&w->calls, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&w->doing, IN_CALL, __ATOMIC_SEQ_CST);
}

static void run_call(struct thread *t, int nr)
{
	const struct call *c = &t->p->calls[nr];
	const struct op *op = &ops[c->op];
	struct watched *w = t->w;
	u64 closes = __atomic_load_n(&shared->closes, __ATOMIC_SEQ_CST);
	bool armed = t->armed, no_fd;
	char text[128], key[64];
	u64 ms;
	int r;

	slot_was_empty = false;
	begins(w, nr);
	r = op->fn(t, c->arg);
	__atomic_store_n(&w->doing, BETWEEN, __ATOMIC_SEQ_CST);
	if (armed)
		disarm(t);

	ms = now_ms() - w->since;
	if (!op->may_wait && ms > shared->longest) {
		shared->longest = ms;
		shared->longest_op = c->op;
	}
	count_result(t->p, c->op, r < 0 ? -r : 0);
	no_fd = op->guesses || slot_was_empty ||
		__atomic_load_n(&shared->closes, __ATOMIC_SEQ_CST) != closes;
	if (r < 0 && !is_expected(op, -r, armed, no_fd)) {
		call_text(text, sizeof(text), c);
		snprintf(key, sizeof(key), "%s %s", op->name, ret_name(r));
		failed(key, "unexpected errno: %s: %s", text, ret_name(r));
	}
}

static void *thread_fn(void *arg)
{
	struct thread *t = arg;
	int i, round;

	t->w->tid = gettid();
	for (round = 0; round < t->p->rounds; round++) {
		for (i = 0; i < t->p->nr; i++) {
			if (t->p->calls[i].thread == t->nr)
				run_call(t, i);
		}
	}
	if (t->pause >= 0)
		close(t->pause);
	if (t->ga_log >= 0)
		close(t->ga_log);
	__atomic_store_n(&t->w->doing, DONE, __ATOMIC_SEQ_CST);
	return NULL;
}

static void count_table(int err)
{
	if (!err) {
		shared->tables_seen++;
	} else {
		shared->tables_unseen++;
		shared->tables_error = err;
	}
}

#ifdef __x86_64__
/* With nobody at it any more, each entry of a VM's table is that of a vCPU that it has. */
static void check_tables(void)
{
	bool avic = kvm_lifecycle_available("avic");
	struct avic_state a;
	int i, j, n, r;

	for (i = 0; i < NR_VMS; i++) {
		if (vms[i].fd < 0)
			continue;
		r = avic ? avic_read(vms[i].fd, &a) : -EOPNOTSUPP;
		count_table(-r);
		if (avic && r)
			failed("no table", "AVIC's table can't be read: %s", ret_name(r));
		if (r)
			continue;
		for (n = 0; n < a.nr_entries; n++) {
			for (j = 0; j < a.nr_vcpus; j++) {
				if (avic_entry_is_of(a.entries[n].val, a.backing[j].val))
					break;
			}
			if (j == a.nr_vcpus && (a.entries[n].val & AVIC_ENTRY_VALID))
				failed("avic", "AVIC's table: 0x%llx for ID %u is no vCPU's",
				       (unsigned long long)a.entries[n].val, a.entries[n].id);
		}
	}
}
#else
/* A vCPU that vgic_init() hasn't seen reads as if it had all of the priority bits. */
static void check_tables(void)
{
	u64 attr, val;
	int i, r;
	u32 id;

	for (i = 0; i < NR_VMS; i++) {
		for (id = 0; id < 16 && vms[i].gic >= 0; id++) {
			attr = (u64)id << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT | ICC_CTLR_EL1;
			val = 0;
			r = device_attr(vms[i].gic, false, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, attr,
					&val);
			/* There's no such vCPU. */
			if (r == -EINVAL)
				continue;
			count_table(-r);
			if (r)
				continue;
			if ((val >> 8 & 7) == 7)
				failed("vgic_reset",
				       "ICC_CTLR_EL1 of vCPU %u is 0x%llx, i.e. vgic_init() hasn't seen it",
				       id, (unsigned long long)val);
		}
	}
}
#endif

static void on_kick(int sig)
{
}

static bool has_call(const struct program *p, const char *name)
{
	int i, op = op_of(name);

	for (i = 0; i < p->nr; i++) {
		if (p->calls[i].op == op)
			return true;
	}
	return false;
}

static void __noreturn run_in_child(const struct program *p)
{
	struct sigaction sa = { .sa_handler = on_kick };
	struct thread threads[MAX_THREADS];
	struct rlimit limit = { 256, 256 };
	int i, j;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	sigaction(SIGUSR1, &sa, NULL);
	setrlimit(RLIMIT_NOFILE, &limit);
	may_lack_fds = has_call(p, "limit_fds");
	may_lack_memory = has_call(p, "fail");
	vgic_may_be_initialized = has_call(p, "vgic_init");
	if (has_call(p, "pause_ga_log"))
		cpu_aside = set_cpu_aside();
	dev_kvm = open(KVM_DEV_PATH, O_RDWR | O_CLOEXEC);
	run_size = ioctl(dev_kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	guest_memory = mmap(NULL, GUEST_MEMORY, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (dev_kvm < 0 || (ssize_t)run_size <= 0 || guest_memory == MAP_FAILED) {
		failed("beginning", "no program was run: %s, or its memory: %s", KVM_DEV_PATH,
		       strerror(errno));
		_exit(KSFT_FAIL);
	}
	for (i = 0; i < NR_VMS; i++) {
		vms[i].fd = NO_FD;
		for (j = 0; j < NR_VCPUS; j++)
			vms[i].vcpus[j] = NO_FD;
		vms[i].gic = NO_FD;
		vms[i].its = NO_FD;
	}
	for (i = 0; i < NR_EVENTFDS; i++)
		eventfds[i] = NO_FD;

	for (i = 0; i < p->threads; i++) {
		threads[i] = (struct thread){
			.nr = i,
			.p = p,
			.w = &shared->threads[i],
			.pause = NO_FD,
			.ga_log = NO_FD,
			.nth = NO_FD,
		};
		errno = pthread_create(&threads[i].pthread, NULL, thread_fn, &threads[i]);
		if (errno) {
			failed("beginning", "no program was run: no thread: %s", strerror(errno));
			_exit(KSFT_FAIL);
		}
	}
	for (i = 0; i < p->threads; i++)
		pthread_join(threads[i].pthread, NULL);
	check_tables();
	_exit(KSFT_PASS);
}

/* ---- the process that watches it ---- */

/* What was wrong with a program, and what another failure is compared by. */
struct failure {
	char why[512];
	char key[128];
};

static int kmsg;
static u64 nr_programs;
static const char *progress_theme = "";

/* May the others go on while @w is in KVM_RUN?  What has to wait for that doesn't count. */
static bool others_go_on(const struct program *p, const struct watched *w)
{
	int i;

	for (i = 0; i < p->threads; i++) {
		struct watched *o = &shared->threads[i];

		if (o == w || is_away(p, o))
			continue;
		if (__atomic_load_n(&o->calls, __ATOMIC_SEQ_CST) < w->calls_at_run[i] + RUN_CALLS)
			return false;
	}
	return true;
}

/*
 * Tell threads to leave KVM_RUN once that has held up nobody.  Returns the thread
 * that is stuck, or NULL.
 */
static struct watched *watch(const struct program *p, pid_t pid, unsigned int stuck_s)
{
	u64 now = now_ms();
	int i;

	for (i = 0; i < p->threads; i++) {
		struct watched *w = &shared->threads[i];
		enum doing doing = __atomic_load_n(&w->doing, __ATOMIC_SEQ_CST);
		u64 since = __atomic_load_n(&w->since, __ATOMIC_SEQ_CST);
		u64 kicked = __atomic_load_n(&w->kicked, __ATOMIC_SEQ_CST);

		if (doing == IN_CALL && !ops[p->calls[w->call].op].may_wait) {
			/*
			 * Has it come to a vCPU where the call is for a VM?  Descriptors are
			 * guessed, and numbers reused: any ioctl waits for the vCPU's mutex then.
			 */
			if (now > since + ASK_S * 1000 && w->at_vcpu != since &&
			    thread_is_in(w->tid, " kvm_vcpu_ioctl+"))
				w->at_vcpu = since;
			if (now > since + stuck_s * 1000 && w->at_vcpu != since)
				return w;
		}
		if (doing != IN_RUN)
			continue;
		if (kicked && now > kicked + stuck_s * 1000)
			return w;
		if (!others_go_on(p, w))
			continue;
		if (!kicked)
			__atomic_store_n(&w->kicked, now, __ATOMIC_SEQ_CST);
		syscall(SYS_tgkill, pid, w->tid, SIGUSR1);
	}
	return NULL;
}

/* The VMs that there are, by the folders that KVM has for them: a hash and a number. */
static int count_vms(void)
{
	DIR *dir = opendir("/sys/kernel/debug/kvm");
	struct dirent *e;
	int nr = 0, a, b;

	while (dir && (e = readdir(dir)))
		nr += sscanf(e->d_name, "%d-%d", &a, &b) == 2;
	if (dir)
		closedir(dir);
	return nr;
}

/* How many files and VMs keep KVM's module in use, or -1 if it isn't a module. */
static int count_uses(void)
{
	static const char * const modules[] = { "kvm_amd", "kvm_intel" };
	char path[64], buf[16];
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(modules); i++) {
		snprintf(path, sizeof(path), "/sys/module/%s/refcnt", modules[i]);
		if (!fault_knob_read(path, buf, sizeof(buf)))
			return atoi(buf);
	}
	return -1;
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int nr = 0;

	while (dir && readdir(dir))
		nr++;
	if (dir)
		closedir(dir);
	return nr;
}

/* Wait for all that descends from this process.  Returns false if some of it doesn't end. */
static bool reap_all(pid_t group)
{
	u64 start = now_ms();
	pid_t pid;

	for (;;) {
		kill(-group, SIGKILL);
		pid = waitpid(-1, NULL, WNOHANG);
		if (pid < 0 && errno == ECHILD)
			return true;
		if (timed_out(start, END_S))
			return false;
		if (!pid)
			usleep(POLL_US);
	}
}

/* Only the first one counts, what follows may be its consequence. */
static void __printf(3, 4) fails(struct failure *f, const char *key, const char *fmt, ...)
{
	va_list ap;

	if (f->key[0])
		return;
	snprintf(f->key, sizeof(f->key), "%s", key);
	va_start(ap, fmt);
	vsnprintf(f->why, sizeof(f->why), fmt, ap);
	va_end(ap);
}

/* A splat without addresses, files, numbers of lines, CPUs and processes. */
static void splat_key(char *key, size_t size, const char *text)
{
	const char *end = text + strcspn(text, "+"), *function = end;

	/* What WARN() says ends with "FUNCTION+", after "at FILE:LINE" in older kernels. */
	if (!strncmp(text, "WARNING: ", strlen("WARNING: ")) && strstr(text, " at ") && *end) {
		while (function[-1] != ' ')
			function--;
		snprintf(key, size, "at %.*s", (int)(end - function), function);
	} else {
		snprintf(key, size, "%.*s", (int)(end - text), text);
	}
}

/* What the kernel says whatever a vCPU's life is like, by its key, and why. */
static struct known {
	const char *key;
	const char *why;
	u64 nr;
} known[] = {
	{ "at __kvm_gpc_refresh",
	  "KVM_XEN_HVM_EVTCHN_SEND to a vCPU with vcpu_info, in a VM without shared_info" },
	{ "BUG: KCSAN: data-race in kvm_arch_vcpu_put",
	  "KVM_XEN_HVM_CONFIG while a vCPU is scheduled out, which asks for the MSR's number" },
};

static bool is_known(const char *key)
{
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(known); i++) {
		if (strcmp(known[i].key, key))
			continue;
		known[i].nr++;
		return true;
	}
	return false;
}

static void print_known(void)
{
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(known); i++) {
		if (known[i].nr)
			ksft_print_msg("known: %llu reports \"%s\": %s\n",
				       (unsigned long long)known[i].nr, known[i].key, known[i].why);
	}
}

static void check_kmsg(struct failure *f)
{
	char text[512], key[128];

	while (kmsg_find_splat(kmsg, text, sizeof(text))) {
		splat_key(key, sizeof(key), text);
		if (!is_known(key))
			fails(f, key, "kernel splat: %s", text);
	}
}

static void stuck_call(const struct program *p, pid_t pid, struct watched *w, unsigned int s,
		       struct failure *f)
{
	const struct call *c = &p->calls[w->call];
	char text[128], key[64];

	call_text(text, sizeof(text), c);
	snprintf(key, sizeof(key), "stuck %s", ops[c->op].name);
	fails(f, key, "stuck: %s: not back after %u s", text, s);
	print_stack(w->tid);
}

/* How a program's process ends that nobody has killed. */
static void expect_end(const struct program *p, int status, struct failure *f)
{
	char key[32];

	if (WIFEXITED(status) && WEXITSTATUS(status) == KSFT_PASS)
		return;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && has_call(p, "die"))
		return;
	if (WIFSIGNALED(status))
		snprintf(key, sizeof(key), "SIG%s", sigabbrev_np(WTERMSIG(status)) ?: "?");
	else
		snprintf(key, sizeof(key), "exit %d", WEXITSTATUS(status));
	fails(f, key, "the process that runs the program has ended with %s", key);
}

/* Run a program once.  Returns true if nothing is wrong with it. */
static bool run_program(const struct program *p, unsigned int stuck_s, struct failure *f)
{
	int vms_before = count_vms(), uses_before = count_uses(), fds_before = count_fds();
	pid_t pid, ended = 0;
	u64 start = now_ms();
	struct watched *w;
	int status = 0;

	f->key[0] = '\0';
	memset(shared->threads, 0, sizeof(shared->threads));
	shared->failed = 0;
	nr_programs++;

	pid = fork();
	TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
	if (!pid)
		run_in_child(p);

	while (!f->key[0] && !(ended = waitpid(pid, &status, WNOHANG))) {
		w = watch(p, pid, stuck_s);
		if (w)
			stuck_call(p, pid, w, stuck_s, f);
		else if (timed_out(start, PROGRAM_S))
			fails(f, "stuck", "stuck: the program isn't over after %d s", PROGRAM_S);
		usleep(POLL_US);
	}
	if (!reap_all(pid))
		fails(f, "left process", "left: a process doesn't end %d s after SIGKILL", END_S);
	if (has_call(p, "set_param") && !change_missing("parameters"))
		restore_params();

	start = now_ms();
	while (!f->key[0] && (count_vms() > vms_before || count_uses() > uses_before)) {
		if (timed_out(start, END_S))
			fails(f, "left VM", "left: %d VMs, %d uses of KVM's module",
			      count_vms() - vms_before, count_uses() - uses_before);
		usleep(POLL_US);
	}
	if (count_fds() != fds_before)
		fails(f, "left fd", "left: %d file descriptors, there were %d", count_fds(),
		      fds_before);
	check_kmsg(f);
	if (shared->failed)
		fails(f, shared->key, "%s", shared->why);
	if (ended == pid)
		expect_end(p, status, f);
	return !f->key[0];
}

static bool still_fails(const struct program *p, const struct failure *failure)
{
	struct failure f;
	int i;

	for (i = 0; i < MINIMISE_TRIES; i++) {
		rearm_warnings();
		if (!run_program(p, STUCK_AGAIN_S, &f) && !strcmp(failure->key, f.key))
			return true;
	}
	return false;
}

static void remove_calls(struct program *p, int first, int nr)
{
	memmove(&p->calls[first], &p->calls[first + nr],
		(p->nr - first - nr) * sizeof(p->calls[0]));
	p->nr -= nr;
}

/* Leave out what can be left out, halves first, then single calls. */
static void minimise(const struct program *failing, const struct failure *f, unsigned int seconds)
{
	struct program p = *failing, smaller;
	u64 start = now_ms();
	int first, nr;
	bool removed;

	if (lockdep_missing() && strstr(f->why, "kernel splat: ") && strstr(f->why, "lock")) {
		ksft_print_msg("can't be made smaller: lockdep reports once per boot\n");
		return;
	}
	if (!still_fails(&p, f)) {
		ksft_print_msg("can't be made smaller: it didn't fail again in %d trials\n",
			       MINIMISE_TRIES);
		return;
	}
	for (nr = p.nr / 2; nr; nr = removed ? nr : nr / 2) {
		removed = false;
		for (first = p.nr - nr; first >= 0; first -= nr) {
			if (timed_out(start, seconds))
				goto out;
			smaller = p;
			remove_calls(&smaller, first, nr);
			if (!still_fails(&smaller, f))
				continue;
			p = smaller;
			removed = true;
			first = first < p.nr ? first : p.nr;
		}
		if (nr > p.nr)
			nr = p.nr;
	}
	smaller = p;
	smaller.rounds = 1;
	if (still_fails(&smaller, f))
		p = smaller;
out:
	ksft_print_msg("made smaller, from %d calls to %d%s: %s\n", failing->nr, p.nr,
		       timed_out(start, seconds) ? " when time was up" : "", f->why);
	if (p.nr < failing->nr || p.rounds < failing->rounds)
		print_program(&p);
}

/* ---- what the test does ---- */

struct options {
	u64 seed;
	u64 programs;		/* of each theme, 0: no limit */
	unsigned int time_s;
	unsigned int minimise_s;
	bool print;
	const char *replay;
	const char *theme;
};

static const char *found_missing(const struct found *found)
{
	const char *missing = kvm_lifecycle_missing(found->part);

	if (!missing && strstr(found->text, "gicd_iidr"))
		missing = no_preinit_regs;
	return missing;
}

static const char *theme_missing(const struct theme *theme)
{
	const char *missing = theme->part ? kvm_lifecycle_missing(theme->part) : NULL;
	static char reason[128];

	if (!missing && theme->file && access(theme->file, W_OK)) {
		snprintf(reason, sizeof(reason), "%s: %s", theme->file, strerror(errno));
		missing = reason;
	}
	if (!missing && (theme->calls & PARAMS))
		missing = change_missing("parameters");
#ifdef __x86_64__
	if (!missing && (theme->calls & XEN) && !kvm_has_cap(KVM_CAP_XEN_HVM))
		missing = "KVM has no support for Xen guests";
#endif
	return missing;
}

static void print_progress(u64 start, u64 seed)
{
	u64 s = (now_ms() - start) / 1000;

	ksft_print_msg("%llu:%02llu %llu programs, %llu VMs, %llu vCPUs, at seed %llu of %s\n",
		       (unsigned long long)s / 60, (unsigned long long)s % 60,
		       (unsigned long long)nr_programs, (unsigned long long)shared->vms,
		       (unsigned long long)shared->vcpus, (unsigned long long)seed, progress_theme);
}

/* Calls by kind, with what they returned. */
static void print_counts(void)
{
	char line[512];
	int i, err, len;

	/* What is planted isn't among a storm's calls. */
	for (i = 0; i < op_of("crash"); i++) {
		len = snprintf(line, sizeof(line), "calls: %s", ops[i].name);
		for (err = 0; err < MAX_ERRNO && len < (int)sizeof(line) - 32; err++) {
			u64 nr = 0;
			int theme;

			for (theme = 0; theme < (int)ARRAY_SIZE(themes); theme++)
				nr += shared->count[theme][i][err];
			if (nr)
				len += snprintf(line + len, sizeof(line) - len, " %s %llu",
						err ? strerrorname_np(err) ?: "?" : "done",
						(unsigned long long)nr);
		}
		ksft_print_msg("%s\n", line);
	}
	len = snprintf(line, sizeof(line), "tables: looked at %llu",
		       (unsigned long long)shared->tables_seen);
	if (shared->tables_unseen)
		snprintf(line + len, sizeof(line) - len, ", not at %llu: %s",
			 (unsigned long long)shared->tables_unseen,
			 ret_name(-shared->tables_error));
	ksft_print_msg("%s\n", line);
	print_known();
	ksft_print_msg("the longest call took %llu ms: %s\n", (unsigned long long)shared->longest,
		       ops[shared->longest_op].name);
}

/* Run it, and say what is wrong with it.  Returns true if nothing is. */
static bool try_program(const struct program *p, unsigned int minimise_s, struct failure *f)
{
	if (run_program(p, STUCK_S, f))
		return true;
	ksft_print_msg("seed %llu of %s: %s\n", (unsigned long long)p->seed,
		       themes[p->theme].name, f->why);
	print_program(p);
	if (minimise_s)
		minimise(p, f, minimise_s);
	return false;
}

/* The same seed gives the same text, and the text gives the same program. */
static bool same_seed_same_program(void)
{
	struct program a, b, c;
	char *text, *again;
	int theme, seed;
	bool ok = true;

	for (theme = 0; theme < (int)ARRAY_SIZE(themes); theme++) {
		for (seed = 0; seed < 100 && ok; seed++) {
			make_program(&a, theme, seed);
			make_program(&b, theme, seed);
			text = program_text(&a);
			again = program_text(&b);
			if (strcmp(text, again) || parse_program(&c, text)) {
				ok = false;
			} else {
				free(again);
				again = program_text(&c);
				ok = !strcmp(text, again);
			}
			if (!ok)
				ksft_print_msg("seed %d of %s gives two programs:\n%s\n%s\n", seed,
					       themes[theme].name, text, again);
			free(text);
			free(again);
		}
	}
	return ok;
}

static u64 successes(int theme, int op)
{
	const u64 *count = shared->count[theme][op];

	return count[0] + (ops[op].success ? count[ops[op].success] : 0);
}

/* Which calls of a theme have never succeeded, with what they returned.  Returns their number. */
static int list_failures(char *buf, size_t size, int theme)
{
	int op, err, len = 0, nr = 0;

	buf[0] = '\0';
	for (op = 0; op < (int)ARRAY_SIZE(ops); op++) {
		if (!is_of_theme(op, theme) || ops[op].never || successes(theme, op))
			continue;
		nr++;
		if (len > (int)size - 64)
			continue;
		len += snprintf(buf + len, size - len, " %s (", ops[op].name);
		for (err = 1; err < MAX_ERRNO && !shared->count[theme][op][err]; err++)
			;
		len += snprintf(buf + len, size - len, "%s)",
				err < MAX_ERRNO ? ret_name(-err) : "not called");
	}
	return nr;
}

/*
 * Each call of a theme can succeed.  What takes two threads may take more than one
 * trial, but nothing may go wrong in any of them.
 */
static bool try_tour(int theme, struct failure *f)
{
	struct program p;
	char list[384];
	int i;

	make_tour(&p, theme);
	for (i = 0; i < TOUR_TRIES; i++) {
		if (!try_program(&p, 0, f))
			return false;
		if (!list_failures(list, sizeof(list), theme))
			return true;
	}
	print_program(&p);
	fails(f, "tour", "the tour of %s: no success of%s", themes[theme].name, list);
	return false;
}

/* After the tour, a theme has gone on to create VMs and vCPUs. */
static bool try_floor(int theme, const u64 *of_tour, struct failure *f)
{
	u64 vms = successes(theme, op_of("create_vm")) - of_tour[0];
	u64 vcpus = successes(theme, op_of("create_vcpu")) - of_tour[1];

	if (vms && vcpus)
		return true;
	fails(f, "floor", "the storm of %s: %llu VMs and %llu vCPUs were created, want one of each",
	      themes[theme].name, (unsigned long long)vms, (unsigned long long)vcpus);
	return false;
}

/* Programs that are wrong, and how that has to show. */
static const struct {
	const char *call;
	const char *key;
	unsigned int stuck_s;
} planted[] = {
	{ "crash", "SIGSEGV", STUCK_S },
	{ "exit", "exit 1", STUCK_S },
	{ "stay", "stuck stay", STUCK_AGAIN_S },
	{ "fail_oddly", "fail_oddly -1 (EXDEV)", STUCK_S },
	{ "fail_badly", "fail_badly -1 (EBADF)", STUCK_S },
};

static bool find_planted_faults(void)
{
	struct program p = { .threads = 1, .rounds = 1, .nr = 1 };
	u64 none[2] = {};
	struct failure f;
	bool ok = true;
	char list[384];
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(planted); i++) {
		p.calls[0].op = op_of(planted[i].call);
		if (run_program(&p, planted[i].stuck_s, &f) || strcmp(f.key, planted[i].key)) {
			ksft_print_msg("planted %s: want '%s', got '%s'\n", planted[i].call,
				       planted[i].key, f.key);
			ok = false;
		}
	}
	/* Nothing has been done yet that a storm is to do. */
	memset(shared->count, 0, sizeof(shared->count));
	for (i = 0; i < (int)ARRAY_SIZE(themes); i++) {
		f.key[0] = '\0';
		if (!list_failures(list, sizeof(list), i) || try_floor(i, none, &f)) {
			ksft_print_msg("%s: no call has succeeded, and that is enough\n",
				       themes[i].name);
			ok = false;
		}
	}
	return ok;
}

/* As often as it takes to be sure that it doesn't fail any more. */
static bool try_found(const struct found *found)
{
	struct program p;
	struct failure f;
	bool ok = true;
	int i;

	i = parse_program(&p, found->text);
	TEST_ASSERT(!i, "%s: line %d is wrong", found->name, i);
	for (i = 0; i < FOUND_TRIES && ok; i++)
		ok = try_program(&p, 0, &f);
	return ok;
}

static bool replay(const struct options *o)
{
	u64 start = now_ms(), nr = 0;
	static char text[SZ_64K];
	struct program p;
	struct failure failure;
	bool ok = true;
	FILE *f;
	int bad;

	f = fopen(o->replay, "re");
	if (!f)
		ksft_exit_fail_msg("%s: %s: name a program's text\n", o->replay, strerror(errno));
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	bad = parse_program(&p, text);
	if (bad)
		ksft_exit_fail_msg("%s:%d: not a line of a program: see what -p prints\n",
				   o->replay, bad);
	while (ok && (o->programs ? nr++ < o->programs : !timed_out(start, o->time_s)))
		ok = try_program(&p, o->minimise_s, &failure);
	return ok;
}

static bool is_over(const struct options *o, u64 start, u64 seed)
{
	if (o->programs)
		return seed >= o->seed + o->programs;
	/* However slow the host is, one program of each theme. */
	return seed > o->seed && timed_out(start, o->time_s);
}

/* The tours, then a program of each theme in turn.  A theme ends with its first failure. */
static void storm(const struct options *o, const bool *wanted, bool *ok, struct failure *f)
{
	u64 start, said, seed = o->seed, of_tour[ARRAY_SIZE(themes)][2];
	int theme, skipped = 0;
	struct program p;

	memset(shared->count, 0, sizeof(shared->count));
	for (theme = 0; theme < (int)ARRAY_SIZE(themes); theme++) {
		if (!wanted[theme])
			continue;
		progress_theme = themes[theme].name;
		ok[theme] = try_tour(theme, &f[theme]);
		of_tour[theme][0] = successes(theme, op_of("create_vm"));
		of_tour[theme][1] = successes(theme, op_of("create_vcpu"));
	}

	theme = 0;
	start = now_ms();
	said = start;
	while (skipped < (int)ARRAY_SIZE(themes) && !is_over(o, start, seed)) {
		if (wanted[theme] && ok[theme]) {
			skipped = 0;
			progress_theme = themes[theme].name;
			make_program(&p, theme, seed);
			ok[theme] = try_program(&p, o->minimise_s, &f[theme]);
		} else {
			skipped++;
		}
		if (timed_out(said, PROGRESS_S)) {
			said = now_ms();
			print_progress(start, seed);
		}
		if (++theme == ARRAY_SIZE(themes)) {
			theme = 0;
			seed++;
		}
	}
	print_progress(start, seed);
	ksft_print_msg("seeds %llu to %llu, the last one perhaps not of each theme\n",
		       (unsigned long long)o->seed, (unsigned long long)seed - !theme);
	for (theme = 0; theme < (int)ARRAY_SIZE(themes); theme++) {
		if (wanted[theme] && ok[theme])
			ok[theme] = try_floor(theme, of_tour[theme], &f[theme]);
	}
}

static void usage(const char *name)
{
	int i;

	printf("%s [-s SEED] [-t SECONDS] [-n PROGRAMS] [-T THEME] [-m SECONDS] [-p] [-r FILE]\n"
	       " -s: the first seed (default: %d), then come the next ones\n"
	       " -t: for so long (default: %d)\n"
	       " -n: so many programs of each theme, for however long\n"
	       " -T: one theme:", name, DEFAULT_SEED, DEFAULT_TIME_S);
	for (i = 0; i < (int)ARRAY_SIZE(themes); i++)
		printf(" %s", themes[i].name);
	printf("\n"
	       " -m: for how long to make a failing program smaller, 0: not at all (default: %d)\n"
	       " -p: print programs instead of running them\n"
	       " -r: run the program that is in this file, as -p prints it\n", MINIMISE_S);
}

static void parse_options(int argc, char **argv, struct options *o)
{
	int c;

	*o = (struct options){
		.seed = DEFAULT_SEED,
		.time_s = DEFAULT_TIME_S,
		.minimise_s = MINIMISE_S,
	};
	while ((c = getopt(argc, argv, "s:t:n:T:m:pr:h")) != -1) {
		switch (c) {
		case 's':
			o->seed = strtoull(optarg, NULL, 0);
			break;
		case 't':
			o->time_s = atoi_positive("-t", optarg);
			break;
		case 'n':
			o->programs = atoi_positive("-n", optarg);
			break;
		case 'T':
			if (theme_of(optarg) < 0) {
				usage(argv[0]);
				exit(KSFT_FAIL);
			}
			o->theme = optarg;
			break;
		case 'm':
			o->minimise_s = atoi_non_negative("-m", optarg);
			break;
		case 'p':
			o->print = true;
			break;
		case 'r':
			o->replay = optarg;
			break;
		default:
			usage(argv[0]);
			exit(c == 'h' ? KSFT_PASS : KSFT_FAIL);
		}
	}
}

static void print_programs(const struct options *o)
{
	struct program p;
	char *text;
	int theme;
	u64 i;

	for (theme = 0; theme < (int)ARRAY_SIZE(themes); theme++) {
		if (o->theme && strcmp(o->theme, themes[theme].name))
			continue;
		for (i = 0; i < (o->programs ?: 1); i++) {
			make_program(&p, theme, o->seed + i);
			text = program_text(&p);
			printf("%s", text);
			free(text);
		}
	}
}

static void skip(const char *prefix, const char *name, const char *reason)
{
	char text[64];

	snprintf(text, sizeof(text), "%s%s", prefix, name);
	ksft_test_result_code(KSFT_SKIP, text, "%s\n", reason);
}

int main(int argc, char *argv[])
{
	bool wanted[ARRAY_SIZE(themes)], ok[ARRAY_SIZE(themes)];
	const char *missing[ARRAY_SIZE(themes)];
	static struct failure failures[ARRAY_SIZE(themes)];
	struct fault_injection fi;
	struct options o;
	int i;

	parse_options(argc, argv, &o);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (o.print) {
		print_programs(&o);
		return KSFT_PASS;
	}

	ksft_print_header();
	ksft_set_plan(o.replay ? 1 : o.theme ? 2 + ARRAY_SIZE(found) + 1 :
		      2 + ARRAY_SIZE(found) + ARRAY_SIZE(themes));
	kmsg = kmsg_open();
	if (kmsg < 0)
		ksft_exit_skip("/dev/kmsg: %s\n", strerror(-kmsg));
	i = open(KVM_DEV_PATH, O_RDWR);
	if (i < 0)
		ksft_exit_skip(KVM_DEV_PATH ": %s\n", strerror(errno));
	close(i);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		ksft_exit_fail_msg("mmap: %s\n", strerror(errno));
#ifdef __aarch64__
	no_preinit_regs = vgic_preinit_missing();
#endif
	/* What the programs leave behind is waited for here. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	save_params();
	/* Only slabs: a page that a fault doesn't get is asked for again. */
	if (!fault_injection_begin(&fi))
		fault_knob_write(FAULT_PAGE "min-order", "99");

	if (o.replay) {
		ok[0] = replay(&o);
		print_counts();
		fault_injection_end(&fi);
		ksft_test_result(ok[0], "replay\n");
		ksft_finished();
	}

	for (i = 0; i < (int)ARRAY_SIZE(themes); i++) {
		ok[i] = true;
		missing[i] = NULL;
		wanted[i] = !o.theme || !strcmp(o.theme, themes[i].name);
		if (!wanted[i])
			continue;
		missing[i] = theme_missing(&themes[i]);
		if (missing[i])
			missing[i] = strdup(missing[i]);
		wanted[i] = !missing[i];
	}
	ksft_test_result(same_seed_same_program(), "same_seed_same_program\n");
	ksft_test_result(find_planted_faults(), "planted_faults\n");
	for (i = 0; i < (int)ARRAY_SIZE(found); i++) {
		const char *reason = found_missing(&found[i]);

		if (reason)
			skip("found.", found[i].name, reason);
		else
			ksft_test_result(try_found(&found[i]), "found.%s\n", found[i].name);
	}
	storm(&o, wanted, ok, failures);
	print_counts();
	fault_injection_end(&fi);
	for (i = 0; i < (int)ARRAY_SIZE(themes); i++) {
		/* Once more, next to the result. */
		if (!ok[i])
			ksft_print_msg("%s\n", failures[i].why);
		if (missing[i])
			skip("storm.", themes[i].name, missing[i]);
		else if (wanted[i])
			ksft_test_result(ok[i], "storm.%s\n", themes[i].name);
	}
	ksft_finished();
}
