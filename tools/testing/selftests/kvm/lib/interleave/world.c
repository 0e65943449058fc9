// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM and its users, from the beginning to the end of a hold.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sys/ioctl.h>

#include "interleave.h"

/* A B that sleeps for so long is taken to wait for A. */
#define ASLEEP_MS		6

/* To destroy VMs takes long if all that RCU calls comes to a probe. */
#define VM_LEFT_S		30

/* The first thing that is wrong counts. */
void il_red(struct result *res, const char *fmt, ...)
{
	va_list ap;

	if (res->status == RED)
		return;
	res->status = RED;
	va_start(ap, fmt);
	vsnprintf(res->why, sizeof(res->why), fmt, ap);
	va_end(ap);
}

static void kick(int sig)
{
}

/* A signal that was to end a KVM_RUN may come when that has ended. */
static void wait_to_go(struct doer *d)
{
	while (sem_wait(&d->go))
		;
}

/* A thread does nothing in the kernel while A is about to begin, nor after it has ended. */
static void *do_a(void *arg)
{
	struct doer *d = arg;
	struct world *w = d->w;

	pin_tid_to_cpu(0, w->cpu);
	__atomic_store_n(&d->tid, gettid(), __ATOMIC_SEQ_CST);
	for (;;) {
		wait_to_go(d);
		__atomic_store_n(&w->stage, STAGE_SPINNING, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&w->stage, __ATOMIC_SEQ_CST) != STAGE_GO)
			cpu_relax();
		d->ret = d->fn(w);
		__atomic_store_n(&d->done, true, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&w->stage, __ATOMIC_SEQ_CST) == STAGE_GO)
			cpu_relax();
	}
	return NULL;
}

static void *do_b(void *arg)
{
	struct doer *d = arg;

	__atomic_store_n(&d->tid, gettid(), __ATOMIC_SEQ_CST);
	for (;;) {
		wait_to_go(d);
		__atomic_store_n(&d->begun, true, __ATOMIC_SEQ_CST);
		d->ret = d->fn(d->w);
		__atomic_store_n(&d->done, true, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void start_doer(struct world *w, struct doer *d, void *(*thread)(void *),
		       int (*fn)(struct world *w))
{
	char path[64];

	d->w = w;
	d->fn = fn;
	sem_init(&d->go, 0, 0);
	TEST_ASSERT(!pthread_create(&d->thread, NULL, thread, d), "pthread_create()");
	while (!__atomic_load_n(&d->tid, __ATOMIC_SEQ_CST))
		usleep(100);
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", d->tid);
	d->stat_fd = open(path, O_RDONLY | O_CLOEXEC);
	TEST_ASSERT(d->stat_fd >= 0, "%s: %s", path, strerror(errno));
}

static bool is_done(struct doer *d)
{
	return __atomic_load_n(&d->done, __ATOMIC_SEQ_CST);
}

static bool has_begun(struct doer *d)
{
	return __atomic_load_n(&d->begun, __ATOMIC_SEQ_CST);
}

/* Has this thread been asleep for a while? */
static bool is_asleep(struct doer *d)
{
	char buf[128] = "", *p;

	if (pread(d->stat_fd, buf, sizeof(buf) - 1, 0) <= 0)
		return false;
	p = strrchr(buf, ')');
	if (!p || (p[2] != 'D' && p[2] != 'S')) {
		d->asleep_since = 0;
		return false;
	}
	if (!d->asleep_since)
		d->asleep_since = now_ms();
	return now_ms() - d->asleep_since >= ASLEEP_MS;
}

bool il_a_is_done(struct world *w)
{
	if (w->a->kthread)
		return !injector_read(w->ga_log).running;
	return is_done(&w->doer_a);
}

int il_a_tid(struct world *w)
{
	return w->a->kthread ? injector_read(w->ga_log).tid : w->doer_a.tid;
}

/* A's thread waits on its CPU, and not in the kernel. */
void il_make_a_ready(struct world *w)
{
	if (w->a->kthread)
		return;
	w->doer_a.done = false;
	__atomic_store_n(&w->stage, STAGE_READY, __ATOMIC_SEQ_CST);
	sem_post(&w->doer_a.go);
	while (__atomic_load_n(&w->stage, __ATOMIC_SEQ_CST) != STAGE_SPINNING)
		usleep(100);
}

void il_let_a_go(struct world *w)
{
	if (w->a->kthread)
		w->doer_a.ret = w->a->op.fn(w);
	else
		__atomic_store_n(&w->stage, STAGE_GO, __ATOMIC_SEQ_CST);
}

void il_end_a(struct world *w)
{
	if (!w->a->kthread)
		__atomic_store_n(&w->stage, STAGE_IDLE, __ATOMIC_SEQ_CST);
}

static int lowest_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

#ifdef __x86_64__
/* AVIC's tables are right: an entry for each vCPU, with its own page, and no other. */
static void check_avic(struct world *w, struct result *res)
{
	int i, nr_vcpus = 0;
	struct avic_state a;
	u64 entry, backing;

	if (avic_read(w->vm, &a)) {
		il_red(res, "AVIC's tables can't be read");
		return;
	}
	if (!!a.vm_id != a.listed || (a.listed && (!a.physical || !a.logical)))
		il_red(res, "AVIC: VM ID %u, listed %d, physical %d, logical %d", a.vm_id, a.listed,
		       a.physical, a.logical);
	for (i = 0; i < a.nr_vcpus; i++) {
		backing = a.backing[i].val;
		if (!backing)
			continue;
		nr_vcpus++;
		entry = avic_entry(&a, a.backing[i].id);
		if (!entry)
			il_red(res, "vCPU%u: want an entry in AVIC's table, got none",
			       a.backing[i].id);
		else if (!avic_entry_is_of(entry, backing))
			il_red(res, "vCPU%u: entry 0x%llx, but the APIC's page is 0x%llx",
			       a.backing[i].id, (unsigned long long)entry,
			    (unsigned long long)backing);
	}
	if (a.nr_entries != nr_vcpus)
		il_red(res, "want %d entries in AVIC's table, got %d", nr_vcpus, a.nr_entries);
}
#endif

/* Each index has one of these IDs, each ID one index, and there are no more. */
static void check_indices(struct world *w, struct result *res, const u32 *ids, int nr)
{
	int fd = __kvm_lifecycle_open("get_vcpu"), i, j;
	u32 found = 0, id;
	char buf[64];

	for (i = 0; i <= nr; i++) {
		if (fd < 0 || __kvm_lifecycle_write(fd, "%d %d", w->vm, i) ||
		    kvm_lifecycle_read(fd, buf, sizeof(buf)) <= 0) {
			il_red(res, "kvm_get_vcpu(kvm, %d) can't be asked for", i);
			break;
		}
		if (!strncmp(buf, "none", 4)) {
			if (i < nr)
				il_red(res, "index %d: want one of %d vCPUs, got none", i, nr);
			break;
		}
		id = atoi(buf);
		for (j = 0; j < nr && ids[j] != id; j++)
			;
		if (j == nr || (found & BIT(j)))
			il_red(res, "index %d: want another one of %d vCPUs, got vCPU%u", i, nr,
			       id);
		found |= BIT(j);
	}
	if (fd >= 0)
		close(fd);
}

#ifdef __aarch64__
static void configure_vgic(struct world *w)
{
	u32 nr_irqs = 64;
	u64 addr = GICD_BASE_GPA;

	w->gic = il_create_vgic(w);
	TEST_ASSERT(w->gic >= 0, "KVM_CREATE_DEVICE: %s", ret_name(w->gic));
	kvm_device_attr_set(w->gic, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nr_irqs);
	kvm_device_attr_set(w->gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &addr);
	TEST_ASSERT(!vgic_set_region(w->gic, GICR_BASE_GPA, 8, 0), "redistributors");
}

static int init_vcpu_fd(struct world *w, int fd)
{
	struct kvm_vcpu_init init;

	if (ioctl(w->vm, KVM_ARM_PREFERRED_TARGET, &init))
		return -errno;
	return ioctl(fd, KVM_ARM_VCPU_INIT, &init) ? -errno : 0;
}

#define ICC_CTLR_ATTR(_mpidr)								\
	(((u64)(_mpidr) << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT) |				\
	 (KVM_ARM64_SYS_REG(SYS_ICC_CTLR_EL1) & KVM_DEV_ARM_VGIC_SYSREG_INSTR_MASK))

static int get_vgic_reg(int gic, u32 group, u64 id, u64 *val)
{
	struct kvm_device_attr attr = {
		.group = group,
		.attr = id,
		.addr = (u64)(unsigned long)val,
	};

	return ioctl(gic, KVM_GET_DEVICE_ATTR, &attr) ? -errno : 0;
}

/* The vGIC can be initialized, if it isn't, and has then reset each vCPU. */
static void check_vgic(struct world *w, struct result *res, const int *fds, const u32 *ids, int nr)
{
	u64 ctlr, first = 0, val;
	int i, r;

	if (w->gic < 0)
		return;
	r = vgic_ctrl_init(w->gic);
	if (r)
		il_red(res, "KVM_DEV_ARM_VGIC_CTRL_INIT: want 0, got %s", ret_name(r));
	for (i = 0; i < nr; i++) {
		r = init_vcpu_fd(w, fds[i]);
		if (r)
			il_red(res, "KVM_ARM_VCPU_INIT of vCPU%u: want 0, got %s", ids[i],
			       ret_name(r));
	}
	for (i = 0; i < nr; i++) {
		r = get_vgic_reg(w->gic, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, ICC_CTLR_ATTR(ids[i]),
				 &ctlr);
		if (r)
			il_red(res, "ICC_CTLR_EL1 of vCPU%u: want 0, got %s", ids[i], ret_name(r));
		else if (i && ctlr != first)
			il_red(res, "ICC_CTLR_EL1 of vCPU%u: want 0x%llx as of vCPU%u, got 0x%llx",
			       ids[i], (unsigned long long)first, ids[0], (unsigned long long)ctlr);
		else
			first = ctlr;
		val = 0;
		r = get_vgic_reg(w->gic, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
				 ((u64)ids[i] << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT) | GICR_CTLR,
				 &val);
		if (r)
			il_red(res, "GICR_CTLR of vCPU%u: want 0, got %s", ids[i], ret_name(r));
	}
}
#endif

/* The VM, and the other things that A and the Bs find. */
void il_create_world(struct world *w)
{
	int i;

	w->closed = false;
	w->guess_closed = false;
	w->vm = -1;
	w->gic = -1;
	w->guess_vcpu = -1;
	w->vm_id = 0;
	for (i = 0; i < NR_VCPUS; i++)
		w->vcpu[i] = -1;
	for (w->nr_pad = 0; w->nr_pad < w->nr_reaped % MAX_REAPED * FDS_PER_VM; w->nr_pad++)
		w->pad[w->nr_pad] = kvm_dup(w->pause);
	w->next_fd = lowest_fd();
	w->guess_vm = w->next_fd;
#ifdef __x86_64__
	if (w->a->unloads) {
		int users;

		TEST_ASSERT(!il_ensure_loaded(), "kvm_amd can't be loaded");
		users = kvm_amd_users_left(IDLE_S);
		TEST_ASSERT(!users, "want 0 users of kvm_amd, got %d", users);
	}
#endif
	if (w->a->no_vm)
		return;

	w->vm = il_create_vm(w);
	TEST_ASSERT(w->vm >= 0, "KVM_CREATE_VM: %s", ret_name(w->vm));
	w->guess_vm = w->vm;
#ifdef __x86_64__
	TEST_ASSERT(!il_enable_split_irqchip(w), "KVM_CAP_SPLIT_IRQCHIP");
#endif
#ifdef __aarch64__
	if (w->a->setup == VGIC_CONFIGURED)
		configure_vgic(w);
#endif
	for (i = 0; i < NR_VCPUS; i++) {
		w->vcpu[i] = il_fd_or_errno(ioctl(w->vm, KVM_CREATE_VCPU,
						  (unsigned long)VCPU_ID(i)));
		TEST_ASSERT(w->vcpu[i] >= 0, "KVM_CREATE_VCPU: %s", ret_name(w->vcpu[i]));
#ifdef __aarch64__
		TEST_ASSERT(!init_vcpu_fd(w, w->vcpu[i]), "KVM_ARM_VCPU_INIT");
#endif
	}
#ifdef __x86_64__
	if (w->avic) {
		int r = avic_vm_id(w->vm);

		TEST_ASSERT(r > 0, "a VM with a split irqchip has no ID, got %s", ret_name(r));
		w->vm_id = r;
	}
#endif
#ifdef __aarch64__
	if (w->gic >= 0 && !il_no_preinit_regs)
		TEST_ASSERT(!il_access_iidr(w, KVM_GET_DEVICE_ATTR, &w->iidr), "GICD_IIDR");
#endif
	w->guess_vcpu = w->a->op.fn == il_create_vcpu ? lowest_fd() : w->vcpu[1];
}

/* Has this process a VM, as far as KVM knows? */
static bool has_vm(int pid)
{
	struct dirent *e;
	bool found = false;
	char prefix[16];
	DIR *d;

	snprintf(prefix, sizeof(prefix), "%d-", pid);
	d = opendir("/sys/kernel/debug/kvm");
	if (!d)
		return false;
	while (!found && (e = readdir(d)))
		found = !strncmp(e->d_name, prefix, strlen(prefix));
	closedir(d);
	return found;
}

void il_expect_no_vm(struct result *res, int pid)
{
	u64 start = now_ms();

	while (has_vm(pid)) {
		if (timed_out(start, VM_LEFT_S)) {
			il_red(res,
			       "a VM is left %d s after all of its file descriptors were closed",
			       VM_LEFT_S);
			return;
		}
		usleep(POLL_US);
	}
}

void il_expect_no_report(struct world *w, struct result *res)
{
	char line[256];

	while (kmsg_find_splat(w->kmsg, line, sizeof(line)))
		il_red(res, "kernel splat: %s", line);
}

static bool can_run(const struct world *w)
{
#ifdef __aarch64__
	return w->gic >= 0;
#else
	return true;
#endif
}

/* All is as it must be after A and these Bs. */
void il_check_world(struct world *w, struct result *res, u32 mask)
{
	int fds[NR_VCPUS + 3], nr = 0, winners = 0, i, r, fd;
	u32 ids[NR_VCPUS + 3];
	const struct op *op;

	/* Before A has looked at its file descriptor, a B may have closed it. */
	if (!il_may_return(&w->a->op, w->doer_a.ret) && !(w->closed && w->doer_a.ret == -EBADF))
		il_red(res, "%s: want %s, got %s", w->a->op.name,
		       w->a->op.errs[0] ? "success or another errno" : "success",
		    ret_name(w->doer_a.ret));
#ifdef __x86_64__
	if (w->a->unloads) {
		r = il_ensure_loaded() ?: il_use_new_vm(w);
		if (r)
			il_red(res, "a vCPU of a new VM, afterwards: want a vCPU, got %s",
			       ret_name(r));
	}
#endif
	for (i = 0; i < NR_VCPUS && w->vm >= 0; i++) {
		ids[nr] = VCPU_ID(i);
		fds[nr++] = w->vcpu[i];
	}
	if (w->a->op.fn == il_create_vm && w->doer_a.ret >= 0)
		w->vm = w->doer_a.ret;
	if (w->a->op.fn == il_create_vcpu && w->doer_a.ret >= 0) {
		ids[nr] = ID_A;
		fds[nr++] = w->doer_a.ret;
		winners++;
	}
	for (i = 0; i < il_nr_ops_b; i++) {
		op = &il_ops_b[i];
		r = w->doer_b[i].ret;
		if (!(mask & BIT(i)))
			continue;
		if (!il_may_return(op, r))
			il_red(res, "%s: want %s, got %s", op->name,
			       op->ok && !op->errs[0] ? "success" : "what is listed", ret_name(r));
		if (op->fn == il_create_other && r >= 0) {
			ids[nr] = ID_OTHER;
			fds[nr++] = r;
		}
		if (op->fn == il_create_vcpu && r >= 0) {
			ids[nr] = ID_A;
			fds[nr++] = r;
			winners++;
		}
	}
	if (winners > 1)
		il_red(res, "want one vCPU %d, got %d", ID_A, winners);
	if (w->a->op.fn == il_create_vcpu && !winners && w->doer_a.ret == -EEXIST)
		il_red(res, "want a vCPU %d, got none: it exists already", ID_A);

	if (w->vm >= 0 && !w->closed && !w->guess_closed) {
#ifdef __aarch64__
		check_vgic(w, res, fds, ids, nr);
#endif
#ifdef __x86_64__
		if (w->avic && nr)
			check_avic(w, res);
#endif
		check_indices(w, res, ids, nr);
		for (i = 0; i < nr; i++) {
			/* Without a vGIC that is initialized, there's no KVM_RUN on arm64. */
			if (!can_run(w))
				continue;
			r = il_run_fd(w, fds[i], true);
			if (r != -EINTR)
				il_red(res,
				       "KVM_RUN of vCPU%u, with immediate_exit: want %s, got %s",
				       ids[i], ret_name(-EINTR), ret_name(r));
		}
		if (w->a->op.fn == il_create_vm) {
			fd = il_fd_or_errno(ioctl(w->vm, KVM_CREATE_VCPU, (unsigned long)ID_LATER));
			if (fd < 0)
				il_red(res, "a vCPU of the new VM: want a vCPU, got %s",
				       ret_name(fd));
			else
				close(fd);
		}
	}
}

/*
 * To destroy a VM takes long, mostly waiting for RCU.  Do that while the next one is
 * in use.  Its file descriptors must not be those that the next one gets.
 */
static void reap(struct world *w, int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, REAPED_FDS);

	TEST_ASSERT(high >= 0, "F_DUPFD_CLOEXEC: %s", strerror(errno));
	close(fd);
	TEST_ASSERT(write(w->reap[1], &high, sizeof(high)) == sizeof(high), "write to a pipe");
}

static void *do_reap(void *arg)
{
	struct world *w = arg;
	int fd;

	while (read(w->reap[0], &fd, sizeof(fd)) == sizeof(fd))
		close(fd);
	return NULL;
}

void il_destroy_world(struct world *w, struct result *res, u32 mask)
{
	int i;

	if (w->a->op.creates_fd && w->doer_a.ret >= 0 && !w->guess_closed)
		reap(w, w->doer_a.ret);
	for (i = 0; i < il_nr_ops_b; i++) {
		if ((mask & BIT(i)) && il_ops_b[i].creates_fd && w->doer_b[i].ret >= 0)
			reap(w, w->doer_b[i].ret);
	}
	if (!w->closed && !w->a->no_vm) {
		for (i = 0; i < NR_VCPUS; i++) {
			if (w->vcpu[i] >= 0)
				reap(w, w->vcpu[i]);
		}
		if (w->gic >= 0)
			reap(w, w->gic);
		if (w->vm >= 0)
			reap(w, w->vm);
	}
	i = lowest_fd();
	if (i != w->next_fd)
		il_red(res, "want %d to be the next file descriptor, got %d", w->next_fd, i);
	while (w->nr_pad)
		close(w->pad[--w->nr_pad]);
	if (++w->nr_reaped % MAX_REAPED == 0)
		il_expect_no_vm(res, getpid());
}

/* Are all of these Bs done? */
static bool all_done(struct world *w, u32 mask, bool kickable)
{
	int i;

	for (i = 0; i < il_nr_ops_b; i++) {
		if (!(mask & BIT(i)) || is_done(&w->doer_b[i]))
			continue;
#ifdef __x86_64__
		if (!kickable && il_ops_b[i].fn == il_run_guessed_blocked)
			continue;
#endif
		return false;
	}
	return true;
}

/* All Bs have ended, or wait, for A as it seems. */
static bool all_settled(struct world *w, u32 mask)
{
	bool settled = true;
	int i;

	for (i = 0; i < il_nr_ops_b; i++) {
		struct doer *d = &w->doer_b[i];

		if (!(mask & BIT(i)) || is_done(d))
			continue;
		if (!has_begun(d) || il_ops_b[i].patient || !is_asleep(d))
			settled = false;
	}
	return settled;
}

/* Do the Bs while A is held, as long as it is. */
void il_do_bs(struct world *w, struct result *res, u32 mask)
{
	bool inside;
	int i;

	for (i = 0; i < il_nr_ops_b; i++) {
		if (!(mask & BIT(i)))
			continue;
		w->doer_b[i].begun = false;
		w->doer_b[i].done = false;
		w->doer_b[i].asleep_since = 0;
		w->doer_b[i].ret = 0;
		res->cell[i] = CELL_LATE;
		sem_post(&w->doer_b[i].go);
	}

	do {
		usleep(200);
		for (i = 0; i < il_nr_ops_b; i++) {
			struct doer *d = &w->doer_b[i];
			bool done, begun;

			if (!(mask & BIT(i)) || res->cell[i] == CELL_DONE)
				continue;
			/* In this order, so that all was seen while A was held. */
			begun = has_begun(d);
			done = is_done(d);
			if (begun && pause_read(w->pause).inside)
				res->cell[i] = done ? CELL_DONE : CELL_WAITED;
		}
		inside = pause_read(w->pause).inside;
	} while (inside && !all_settled(w, mask));
}

/* A is let go: all return, without anybody's help. */
bool il_wait_for_all(struct world *w, struct result *res, u32 mask)
{
	u64 start = now_ms();
	int i;

	while (!il_a_is_done(w) || !all_done(w, mask, false)) {
		if (!timed_out(start, STUCK_S)) {
			usleep(200);
			continue;
		}
		if (!il_a_is_done(w))
			il_red(res, "%s: want it to return, is stuck for %d s", w->a->op.name,
			       STUCK_S);
		for (i = 0; i < il_nr_ops_b; i++) {
			if ((mask & BIT(i)) && !is_done(&w->doer_b[i]))
				il_red(res, "%s: want it to return, is stuck for %d s",
				       il_ops_b[i].name, STUCK_S);
		}
		return false;
	}

	start = now_ms();
	while (!all_done(w, mask, true)) {
		for (i = 0; i < il_nr_ops_b; i++) {
			if ((mask & BIT(i)) && !is_done(&w->doer_b[i]))
				pthread_kill(w->doer_b[i].thread, SIGUSR1);
		}
		usleep(200);
		if (timed_out(start, STUCK_S)) {
			il_red(res, "KVM_RUN: want it to return when it's interrupted, is stuck");
			return false;
		}
	}
	return true;
}

/* Prerequisites of A and the Bs, from the first to the last hold. */
struct world *il_open_world(const struct op_a *a, int kmsg, int cpu)
{
	struct world *w = calloc(1, sizeof(*w));
	struct sigaction sa = { .sa_handler = kick };
	int i;

	TEST_ASSERT(w, "no memory");
	w->a = a;
	w->kmsg = kmsg;
	w->cpu = cpu;
	w->ga_log = -1;
	w->armed = -1;
	sigaction(SIGUSR1, &sa, NULL);
#ifdef __x86_64__
	w->avic = !a->unloads && !kvm_lifecycle_missing("avic");
	if (w->avic) {
		w->ga_log = __kvm_lifecycle_open("ga_log");
		if (a->kthread)
			pin_tid_to_cpu(injector_read(w->ga_log).tid, w->cpu);
		else
			il_run_beside_a(injector_read(w->ga_log).tid);
	}
#endif
	w->pause = __kvm_lifecycle_open("pause");
	TEST_ASSERT(w->pause >= 0, "kvm_lifecycle's pause: %s", strerror(-w->pause));
	w->dev_kvm = -1;
	if (!a->unloads) {
		w->dev_kvm = open_path_or_exit(KVM_DEV_PATH, O_RDWR);
		w->run_size = ioctl(w->dev_kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	}

	TEST_ASSERT(!pipe2(w->reap, O_CLOEXEC), "pipe2: %s", strerror(errno));
	TEST_ASSERT(!pthread_create(&w->reaper, NULL, do_reap, w), "pthread_create()");
	start_doer(w, &w->doer_a, do_a, a->op.fn);
	for (i = 0; i < il_nr_ops_b; i++) {
		if (il_goes_with(&il_ops_b[i], a))
			start_doer(w, &w->doer_b[i], do_b, il_ops_b[i].fn);
	}
	return w;
}

/* Why this A can't be done on this host, or NULL. */
const char *il_unusable(const struct op_a *a)
{
	const char *missing = a->op.preinit_reg ? il_no_preinit_regs : NULL;

	if (a->kthread)
		missing = kvm_lifecycle_missing("ga_log") ?: kvm_lifecycle_missing("avic");
#ifdef __x86_64__
	if (a->unloads) {
		int users = kvm_amd_users_left(IDLE_S);

		missing = users < 0 ? "kvm_amd isn't loaded" :
			  users ? "others use kvm_amd" : kvm_amd_not_reloadable();
	}
#endif
	return missing;
}
