// SPDX-License-Identifier: GPL-2.0-only
/*
 * The process that runs a program.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "lifecycle_stress.h"

/* Errors of any call. */
static const int any_errnos[] = {
	EINVAL, EINTR,
#ifdef __aarch64__
	EIO,	/* KVM_RUN of a VM whose vGIC isn't all there is the end of that VM */
#endif
	0,
};

/* And for a descriptor that is guessed, that isn't there, or that somebody has closed meanwhile. */
static const int no_fd_errnos[] = { EBADF, ENOTTY, 0 };

static bool may_lack_fds;
static bool vgic_may_be_initialized;

static void __printf(2, 3) failed(const char *key, const char *fmt, ...)
{
	va_list ap;

	if (__atomic_exchange_n(&stress_shared->failed, 1, __ATOMIC_SEQ_CST))
		return;
	snprintf(stress_shared->key, sizeof(stress_shared->key), "%s", key);
	va_start(ap, fmt);
	vsnprintf(stress_shared->why, sizeof(stress_shared->why), fmt, ap);
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
	if (op->no_init_no_ebusy && !stress_no_preinit_regs && !vgic_may_be_initialized &&
	    err == EBUSY)
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
	const struct op *op = &stress_ops[c->op];
	struct watched *w = t->w;
	u64 closes = __atomic_load_n(&stress_shared->closes, __ATOMIC_SEQ_CST);
	bool armed = t->armed, no_fd;
	char text[128], key[64];
	u64 ms;
	int r;

	stress_slot_was_empty = false;
	begins(w, nr);
	r = op->fn(t, c->arg);
	__atomic_store_n(&w->doing, BETWEEN, __ATOMIC_SEQ_CST);
	if (armed)
		stress_disarm(t);

	ms = now_ms() - w->since;
	if (!op->may_wait && ms > stress_shared->longest) {
		stress_shared->longest = ms;
		stress_shared->longest_op = c->op;
	}
	stress_count_result(t->p, c->op, r < 0 ? -r : 0);
	no_fd = op->guesses || stress_slot_was_empty ||
		__atomic_load_n(&stress_shared->closes, __ATOMIC_SEQ_CST) != closes;
	if (r < 0 && !is_expected(op, -r, armed, no_fd)) {
		stress_call_text(text, sizeof(text), c);
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
		stress_shared->tables_seen++;
	} else {
		stress_shared->tables_unseen++;
		stress_shared->tables_error = err;
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
		if (stress_vms[i].fd < 0)
			continue;
		r = avic ? avic_read(stress_vms[i].fd, &a) : -EOPNOTSUPP;
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
		for (id = 0; id < 16 && stress_vms[i].gic >= 0; id++) {
			attr = (u64)id << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT | ICC_CTLR_EL1;
			val = 0;
			r = stress_device_attr(stress_vms[i].gic, false,
					       KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, attr, &val);
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

bool stress_has_call(const struct program *p, const char *name)
{
	int i, op = stress_op_of(name);

	for (i = 0; i < p->nr; i++) {
		if (p->calls[i].op == op)
			return true;
	}
	return false;
}

void stress_run_in_child(const struct program *p)
{
	struct sigaction sa = { .sa_handler = on_kick };
	struct thread threads[MAX_THREADS];
	struct rlimit limit = { 256, 256 };
	int i, j;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	sigaction(SIGUSR1, &sa, NULL);
	setrlimit(RLIMIT_NOFILE, &limit);
	may_lack_fds = stress_has_call(p, "limit_fds");
	stress_may_lack_memory = stress_has_call(p, "fail");
	vgic_may_be_initialized = stress_has_call(p, "vgic_init");
	if (stress_has_call(p, "pause_ga_log"))
		stress_cpu_aside = set_cpu_aside();
	stress_dev_kvm = open(KVM_DEV_PATH, O_RDWR | O_CLOEXEC);
	stress_run_size = ioctl(stress_dev_kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	stress_guest_memory = mmap(NULL, GUEST_MEMORY, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (stress_dev_kvm < 0 || (ssize_t)stress_run_size <= 0 ||
	    stress_guest_memory == MAP_FAILED) {
		failed("beginning", "no program was run: %s, or its memory: %s", KVM_DEV_PATH,
		       strerror(errno));
		_exit(KSFT_FAIL);
	}
	for (i = 0; i < NR_VMS; i++) {
		stress_vms[i].fd = NO_FD;
		for (j = 0; j < NR_VCPUS; j++)
			stress_vms[i].vcpus[j] = NO_FD;
		stress_vms[i].gic = NO_FD;
		stress_vms[i].its = NO_FD;
	}
	for (i = 0; i < NR_EVENTFDS; i++)
		stress_eventfds[i] = NO_FD;

	for (i = 0; i < p->threads; i++) {
		threads[i] = (struct thread){
			.nr = i,
			.p = p,
			.w = &stress_shared->threads[i],
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
