// SPDX-License-Identifier: GPL-2.0-only
/*
 * The calls of a storm: their code, the values that they may return, and their
 * arguments.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lifecycle_stress.h"

/* For a thread that guesses a file descriptor, until somebody has opened it. */
#define GUESS_MS	20

/* How long threads wait for each other, at the start of a round and later. */
#define START_MS	4000
#define MEET_MS		5

struct shared *stress_shared;
struct vm stress_vms[NR_VMS];
int stress_eventfds[NR_EVENTFDS];
int stress_dev_kvm;
size_t stress_run_size;
int stress_cpu_aside = -1;
bool stress_may_lack_memory;
const char *stress_no_preinit_regs;
u8 *stress_guest_memory;
__thread bool stress_slot_was_empty;

static int arrived;
static pid_t twin;
static pthread_mutex_t twin_lock = PTHREAD_MUTEX_INITIALIZER;

void stress_count_result(const struct program *p, int op, int err)
{
	u64 *count = &stress_shared->count[p->theme][op][err < MAX_ERRNO ? err : MAX_ERRNO - 1];

	__atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

/* ---- slots: the thread that empties a slot closes the descriptor in it ---- */

static int look(int *slot)
{
	int fd = __atomic_load_n(slot, __ATOMIC_SEQ_CST);

	stress_slot_was_empty |= fd < 0;
	return fd;
}

/* Threads that have looked at the slot before find that something was closed. */
static int put(int *slot, int fd)
{
	int old = __atomic_exchange_n(slot, fd, __ATOMIC_SEQ_CST);

	if (old < 0)
		return 0;
	__atomic_fetch_add(&stress_shared->closes, 1, __ATOMIC_SEQ_CST);
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
	return look(&stress_vms[vm].fd);
}

static int vcpu_fd(u64 vm, u64 vcpu)
{
	return look(&stress_vms[vm].vcpus[vcpu]);
}

/* ---- VMs and vCPUs ---- */

static int do_create_vm(struct thread *t, const u64 *a)
{
	int fd = do_ioctl(stress_dev_kvm, KVM_CREATE_VM, 0);

	if (fd >= 0)
		__atomic_fetch_add(&stress_shared->vms, 1, __ATOMIC_RELAXED);
	return opened_into(&stress_vms[a[0]].fd, fd);
}

static int do_close_vm(struct thread *t, const u64 *a)
{
	return put(&stress_vms[a[0]].fd, NO_FD);
}

/* All that keeps a VM, so that it's gone. */
static int do_destroy_vm(struct thread *t, const u64 *a)
{
	struct vm *vm = &stress_vms[a[0]];
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
		__atomic_fetch_add(&stress_shared->vcpus, 1, __ATOMIC_RELAXED);
	return opened_into(&stress_vms[a[0]].vcpus[a[1]], fd);
}

static int do_close_vcpu(struct thread *t, const u64 *a)
{
	return put(&stress_vms[a[0]].vcpus[a[1]], NO_FD);
}

static void enters_run(struct thread *t)
{
	int i;

	for (i = 0; i < t->p->threads; i++)
		t->w->calls_at_run[i] = __atomic_load_n(&stress_shared->threads[i].calls,
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
		run = mmap(NULL, stress_run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (run == MAP_FAILED)
			return -errno;
		run->immediate_exit = 1;
	}
	enters_run(t);
	r = do_ioctl(fd, KVM_RUN, 0);
	if (run != MAP_FAILED) {
		run->immediate_exit = 0;
		munmap(run, stress_run_size);
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
	int fd = dup(stress_dev_kvm);

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
		__atomic_fetch_add(&stress_shared->vcpus, 1, __ATOMIC_RELAXED);
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

/* A mapping that outlives the descriptor. */
static int do_map_and_close(struct thread *t, const u64 *a)
{
	int *slot = &stress_vms[a[0]].vcpus[a[1]];
	struct kvm_run *run = mmap(NULL, stress_run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
				   look(slot), 0);
	int r;

	if (run == MAP_FAILED)
		return -errno;
	r = put(slot, NO_FD);
	run->immediate_exit = 1;
	usleep(a[2]);
	run->immediate_exit = 0;
	munmap(run, stress_run_size);
	return r;
}

static int do_set_memory(struct thread *t, const u64 *a)
{
	struct kvm_userspace_memory_region region = {
		.slot = a[1],
		.flags = a[2] ? KVM_MEM_LOG_DIRTY_PAGES : 0,
		.guest_phys_addr = a[1] * GUEST_MEMORY,
		.memory_size = a[3] ? GUEST_MEMORY : 0,
		.userspace_addr = (uintptr_t)stress_guest_memory,
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

/* A thread in KVM_RUN stays there until the others have gone on. */
static bool anybody_runs(const struct program *p)
{
	int i;

	for (i = 0; i < p->threads; i++) {
		if (__atomic_load_n(&stress_shared->threads[i].doing, __ATOMIC_SEQ_CST) == IN_RUN)
			return true;
	}
	return false;
}

/* It has ended, or its call can't return before the others go on. */
static bool cannot_come(const struct program *p, struct watched *w)
{
	return __atomic_load_n(&w->doing, __ATOMIC_SEQ_CST) == DONE ||
	       (anybody_runs(p) && stress_is_away(p, w));
}

/* All others have come to the same start, or can't. */
static int do_start(struct thread *t, const u64 *a)
{
	u64 start = now_ms(), nr;
	int i;

	nr = __atomic_add_fetch(&t->w->starts, 1, __ATOMIC_SEQ_CST);
	for (i = 0; i < t->p->threads; i++) {
		struct watched *w = &stress_shared->threads[i];

		while (__atomic_load_n(&w->starts, __ATOMIC_SEQ_CST) < nr) {
			if (cannot_come(t->p, w))
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

void stress_save_params(void)
{
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(params); i++) {
		if (fault_knob_read(params[i].path, params[i].old, sizeof(params[i].old)))
			params[i].old[0] = '\0';
	}
}

void stress_restore_params(void)
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
	int fd = get_eventfd(&stress_eventfds[a[1]]);

	if (fd < 0)
		return fd;
	irqfd.fd = fd;
	return do_ioctl(vm_fd(a[0]), KVM_IRQFD, &irqfd);
}

static int do_signal_eventfd(struct thread *t, const u64 *a)
{
	u64 one = 1;

	return write(look(&stress_eventfds[a[0]]), &one, sizeof(one)) < 0 ? -errno : 0;
}

static int do_close_eventfd(struct thread *t, const u64 *a)
{
	return put(&stress_eventfds[a[0]], NO_FD);
}

static int do_ioeventfd(struct thread *t, const u64 *a)
{
	struct kvm_ioeventfd io = {
		.addr = 0x10000000 + a[2] * 0x1000,
		.len = 4,
		.flags = a[3] ? KVM_IOEVENTFD_FLAG_DEASSIGN : 0,
	};

	io.fd = get_eventfd(&stress_eventfds[a[1]]);
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

/* The ID that hardware would put into entries, also when the VM is gone. */
static int do_ga_id(struct thread *t, const u64 *a)
{
	int id = avic_vm_id(vm_fd(a[0]));

	if (id > 0)
		__atomic_store_n(&stress_vms[a[0]].ga_id, id, __ATOMIC_SEQ_CST);
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
	if (stress_cpu_aside >= 0) {
		CPU_ZERO(&one);
		CPU_SET(stress_cpu_aside, &one);
		sched_setaffinity(injector_read(t->ga_log).tid, sizeof(one), &one);
	}
	return 0;
}

static int do_ga_log(struct thread *t, const u64 *a)
{
	u32 id = __atomic_load_n(&stress_vms[a[0]].ga_id, __ATOMIC_SEQ_CST);
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
int stress_device_attr(int fd, bool set, u32 group, u64 attr, void *val)
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
	return create_device(vm_fd(a[0]), &stress_vms[a[0]].gic, KVM_DEV_TYPE_ARM_VGIC_V3);
}

static int do_create_its(struct thread *t, const u64 *a)
{
	return create_device(vm_fd(a[0]), &stress_vms[a[0]].its, KVM_DEV_TYPE_ARM_VGIC_ITS);
}

static int do_close_device(struct thread *t, const u64 *a)
{
	return put(a[1] ? &stress_vms[a[0]].its : &stress_vms[a[0]].gic, NO_FD);
}

static int do_vgic_irqs(struct thread *t, const u64 *a)
{
	u32 nr = a[1];

	return stress_device_attr(look(&stress_vms[a[0]].gic), true,
				  KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nr);
}

static int do_vgic_dist(struct thread *t, const u64 *a)
{
	u64 addr = GICD_BASE_GPA;

	return stress_device_attr(look(&stress_vms[a[0]].gic), true, KVM_DEV_ARM_VGIC_GRP_ADDR,
				  KVM_VGIC_V3_ADDR_TYPE_DIST, &addr);
}

/* Regions one after the other, or one that has no limit. */
static int do_vgic_region(struct thread *t, const u64 *a)
{
	int fd = look(&stress_vms[a[0]].gic);
	u64 addr = GICR_BASE_GPA;

	if (a[2]) {
		addr = REDIST_REGION_ATTR_ADDR(a[2], GICR_BASE_GPA + a[1] * SZ_1M, 0, a[1]);
		return stress_device_attr(fd, true, KVM_DEV_ARM_VGIC_GRP_ADDR,
					  KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, &addr);
	}
	return stress_device_attr(fd, true, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST,
				  &addr);
}

static int do_vgic_init(struct thread *t, const u64 *a)
{
	return stress_device_attr(look(&stress_vms[a[0]].gic), true, KVM_DEV_ARM_VGIC_GRP_CTRL,
				  KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
}

static int do_vgic_save(struct thread *t, const u64 *a)
{
	return stress_device_attr(look(&stress_vms[a[0]].gic), true, KVM_DEV_ARM_VGIC_GRP_CTRL,
				  KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, NULL);
}

/*
 * GICD_IIDR: before the vGIC is initialized it is the VM's alone, i.e. nobody
 * can be busy with it.
 */
static int do_gicd_iidr(struct thread *t, const u64 *a)
{
	u32 val = 0;
	int fd = look(&stress_vms[a[0]].gic), r;

	r = stress_device_attr(fd, false, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_IIDR, &val);
	if (!r && a[1])
		r = stress_device_attr(fd, true, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_IIDR, &val);
	return r;
}

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
	int fd = look(&stress_vms[a[0]].gic), r;
	u64 attr = vgic_regs[a[1]].reg | a[2] << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT;
	u64 val = 0;

	r = stress_device_attr(fd, false, vgic_regs[a[1]].group, attr, &val);
	if (!r && a[3])
		r = stress_device_attr(fd, true, vgic_regs[a[1]].group, attr, &val);
	return r;
}

static int do_its_addr(struct thread *t, const u64 *a)
{
	u64 addr = GITS_BASE_GPA;

	return stress_device_attr(look(&stress_vms[a[0]].its), true, KVM_DEV_ARM_VGIC_GRP_ADDR,
				  KVM_VGIC_ITS_ADDR_TYPE, &addr);
}

static int do_its_ctrl(struct thread *t, const u64 *a)
{
	return stress_device_attr(look(&stress_vms[a[0]].its), true, KVM_DEV_ARM_VGIC_GRP_CTRL,
				  a[1], NULL);
}

static int do_its_reg(struct thread *t, const u64 *a)
{
	u64 val = 0;

	return stress_device_attr(look(&stress_vms[a[0]].its), false,
				  KVM_DEV_ARM_VGIC_GRP_ITS_REGS, a[1], &val);
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
		put(&stress_vms[i].fd, NO_FD);
		for (j = 0; j < NR_VCPUS; j++)
			put(&stress_vms[i].vcpus[j], NO_FD);
		put(&stress_vms[i].gic, NO_FD);
		put(&stress_vms[i].its, NO_FD);
	}
	for (i = 0; i < NR_EVENTFDS; i++)
		put(&stress_eventfds[i], NO_FD);
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
	int *slot = a[1] < NR_VCPUS ? &stress_vms[a[0]].vcpus[a[1]] : &stress_vms[a[0]].fd;
	int socks[2], r;
	pid_t pid;

	/* A socket whose inode can't be had is ENFILE. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks))
		return errno == ENFILE ? -ENOMEM : -errno;
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
	int *slot = a[1] < NR_VCPUS ? &stress_vms[a[0]].vcpus[a[1]] : &stress_vms[a[0]].fd;
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

/* A twin doesn't live for long: wait for one to be born. */
static int do_kill_twin(struct thread *t, const u64 *a)
{
	u64 start = now_ms();
	int r = -ESRCH;

	do {
		pthread_mutex_lock(&twin_lock);
		if (twin)
			r = kill(twin, SIGKILL) ? -errno : 0;
		pthread_mutex_unlock(&twin_lock);
	} while (r == -ESRCH && now_ms() - start < GUESS_MS);
	return r;
}

/* Nobody will be there to count it. */
static int do_die(struct thread *t, const u64 *a)
{
	usleep(a[0]);
	stress_count_result(t->p, t->p->calls[t->w->call].op, 0);
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

void stress_disarm(struct thread *t)
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
		fd = dup(stress_dev_kvm);
		if (fd < 0)
			return -errno;
		close(fd);
		limit.rlim_cur = fd;
	}
	return setrlimit(RLIMIT_NOFILE, &limit) ? -errno : 0;
}

/* ---- pauses ---- */

/* A paused thread has its CPU to itself: one that is to overtake it needs another CPU. */
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

/* The pause that was armed last, of any thread. */
static int last_pause = NO_FD;

static int arm_pause(struct thread *t, const char *function, int tid, u64 us, u64 hits)
{
	/* Without memory the kernel can't remove a probe, and nobody is told. */
	if (stress_may_lack_memory)
		return -EOPNOTSUPP;
	if (t->pause < 0)
		t->pause = __kvm_lifecycle_open("pause");
	if (t->pause < 0)
		return t->pause;
	__kvm_lifecycle_write(t->pause, "release");
	__atomic_store_n(&last_pause, t->pause, __ATOMIC_SEQ_CST);
	return __kvm_lifecycle_write(t->pause, "%s %d %llu %llu", function, tid,
				     (unsigned long long)us, (unsigned long long)hits);
}

/* This thread, as soon as it comes to a function. */
static int do_pause(struct thread *t, const u64 *a)
{
	return arm_pause(t, pause_functions[a[0]], gettid(), a[1], a[2]);
}

/* The thread that is to be paused has come to its function, or has had the time to. */
static int do_until_paused(struct thread *t, const u64 *a)
{
	int fd = __atomic_load_n(&last_pause, __ATOMIC_SEQ_CST);
	u64 start = now_ms();
	char buf[128];
	int hits;

	for (;;) {
		/* Its thread can have ended, and closed it. */
		if (kvm_lifecycle_read(fd, buf, sizeof(buf)) <= 0 ||
		    sscanf(buf, "hits %d", &hits) != 1)
			return -ENOENT;
		if (hits)
			return 0;
		if (now_ms() - start >= a[0] / 1000)
			return -ETIMEDOUT;
		usleep(1000);
	}
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

/* The library's handler would make an exit of it. */
static int do_crash(struct thread *t, const u64 *a)
{
	signal(SIGSEGV, SIG_DFL);
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

/* Arguments: the name of one in a program, and its values. */
#define VALUES(...)	.nr = ARRAY_SIZE(((const u64[]){ __VA_ARGS__ })),	\
			.values = (const u64[]){ __VA_ARGS__ }

const struct kind_values stress_kinds[] = {
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

/* The error of KVM_CREATE_VCPU once the vGIC is initialized. */
#ifdef __aarch64__
#define VGIC_IS_INITIALIZED EBUSY
#define NEVER_IRQCHIP	"it is a GICv2, which a GICv3 needn't have"
#define NEVER_MSI	"an ITS takes no MSI without a device's ID"
#else
#define VGIC_IS_INITIALIZED 0
#define NEVER_IRQCHIP	NULL
#define NEVER_MSI	NULL
#endif
#define NEVER_TWIN	"a twin lives for a few ms, and a slow host can miss each"

const struct op stress_ops[] = {
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
	{ "kill_twin", do_kill_twin, PROCESSES, 3, {}, ERRNOS(ESRCH), .never = NEVER_TWIN },
	{ "die", do_die, PROCESSES, 2, { US } },
	{ "fail", do_fail, FAULTS, 12, { NTH }, ERRNOS(ENOENT, EACCES, EPERM) },
	{ "limit_fds", do_limit_fds, FAULTS, 3, { FLAG } },
	{ "pin", do_pin, PAUSES | GA_LOG, 3, { CPU } },
	{ "pause", do_pause, PAUSES, 10, { FUNCTION, PAUSE_US, HITS },
	  ERRNOS(ENOENT, EOPNOTSUPP, EPERM, EBUSY) },
	{ "until_paused", do_until_paused, 0, 0, { US }, ERRNOS(ENOENT, ETIMEDOUT) },
	{ "crash", do_crash },
	{ "exit", do_exit },
	{ "stay", do_stay },
	{ "fail_oddly", do_fail_oddly },
	{ "fail_badly", do_fail_badly },
};

static_assert(ARRAY_SIZE(stress_ops) <= MAX_OPS);

const int stress_nr_ops = ARRAY_SIZE(stress_ops);

/* It is done, in KVM_RUN, or may have to wait for a thread that is. */
bool stress_is_away(const struct program *p, struct watched *w)
{
	enum doing doing = __atomic_load_n(&w->doing, __ATOMIC_SEQ_CST);

	return doing == DONE || doing == IN_RUN ||
	       (doing == IN_CALL && (stress_ops[p->calls[w->call].op].may_wait ||
				     w->at_vcpu == __atomic_load_n(&w->since, __ATOMIC_SEQ_CST)));
}

int stress_op_of(const char *name)
{
	int i;

	for (i = 0; i < stress_nr_ops; i++) {
		if (!strcmp(stress_ops[i].name, name))
			return i;
	}
	return -1;
}

int stress_nr_args(int op)
{
	int i;

	for (i = 0; i < MAX_ARGS && stress_ops[op].kinds[i]; i++)
		;
	return i;
}
