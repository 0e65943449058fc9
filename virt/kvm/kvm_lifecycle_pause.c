// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_lifecycle: pause points, to hold a window open that is otherwise nanoseconds wide.
 *
 * A pause is a busy wait in the handler of a kprobe, with preemption and maybe interrupts disabled:
 * the task can't sleep there, its locks stay held, and one processor does nothing else.
 * Hence the bounds.
 */
#include <linux/kprobes.h>
#include <linux/nmi.h>
#include <linux/pid.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>

#include "kvm_lifecycle.h"

#define KVML_PAUSE_POINTS	16
#define KVML_PAUSE_MAX_US	1000000
#define KVML_PAUSE_MAX_HITS	1000	/* times the longest delay fits into 32 bits */
/*
 * Of one command in all: a task that never schedules may call a function again and again, and RCU
 * takes a processor for stalled after 21 seconds, unless it is configured otherwise.
 */
#define KVML_PAUSE_TOTAL_MAX_US	20000000

static atomic_t kvml_pauses = ATOMIC_INIT(0);

struct kvml_pause_point {
	struct kprobe kp;
	struct kvml_func func;
	char symbol[KSYM_NAME_LEN];
	struct pid *tid;
	u64 delay_ns;
	int max_hits;
	bool armed, released;
	atomic_t hits, done;
};

/* A breakpoint of the kernel's counts as an NMI on x86, and an NMI as an interrupt. */
static bool __kprobes notrace kvml_pause_in_interrupt(void)
{
	return hardirq_count() > (in_nmi() ? HARDIRQ_OFFSET : 0) || in_serving_softirq();
}

static int __kprobes notrace kvml_pause_handler(struct kprobe *kp, struct pt_regs *regs)
{
	struct kvml_pause_point *p = container_of(kp, struct kvml_pause_point, kp);
	u64 deadline;

	/* An interrupt that the thread gets is none of its doing. */
	if (p->tid && (p->tid != task_pid(current) || kvml_pause_in_interrupt()))
		return 0;
	if (READ_ONCE(p->released) || !atomic_add_unless(&p->hits, 1, p->max_hits))
		return 0;

	deadline = ktime_get_mono_fast_ns() + p->delay_ns;
	while (!READ_ONCE(p->released) && ktime_get_mono_fast_ns() < deadline) {
		touch_nmi_watchdog();
		cpu_relax();
	}
	atomic_inc(&p->done);
	return 0;
}

static void kvml_pause_disarm(struct kvml_pause_point *p)
{
	if (!p->armed)
		return;

	/* Held threads go on now; unregistering waits until the last one has left. */
	WRITE_ONCE(p->released, true);
	unregister_kprobe(&p->kp);
	kvml_func_put(&p->func);
	put_pid(p->tid);
	p->tid = NULL;
	p->armed = false;
	atomic_dec(&kvml_pauses);
}

/* Held threads go on now, and no thread is held any more, but the probe stays. */
static int kvml_pause_open_up(struct kvml_pause_point *p)
{
	if (!p->armed)
		return -EINVAL;

	WRITE_ONCE(p->released, true);
	/* Handlers run with preemption disabled; threads that come from now on aren't held. */
	synchronize_rcu_expedited();
	return 0;
}

/* As if it had just been armed.  A thread that comes right now is held, or isn't held at all. */
static int kvml_pause_again(struct kvml_pause_point *p)
{
	int ret = kvml_pause_open_up(p);

	if (ret)
		return ret;

	atomic_set(&p->done, 0);
	atomic_set(&p->hits, 0);
	/* Threads that are held from now on find the counters at 0. */
	smp_store_release(&p->released, false);
	return 0;
}

static int kvml_pause_arm(struct kvml_pause_point *p, char **field)
{
	unsigned int tid, delay_us, max_hits;
	struct kvml_func func;
	struct pid *pid = NULL;
	int ret;

	if (kstrtouint(field[1], 10, &tid) || tid > INT_MAX ||
	    kstrtouint(field[2], 10, &delay_us) || !delay_us || delay_us > KVML_PAUSE_MAX_US ||
	    kstrtouint(field[3], 10, &max_hits) || !max_hits || max_hits > KVML_PAUSE_MAX_HITS ||
	    delay_us * max_hits > KVML_PAUSE_TOTAL_MAX_US)
		return -EINVAL;
	if (strlen(field[0]) >= sizeof(p->symbol))
		return -EINVAL;
	if (p->armed)
		return -EBUSY;

	ret = kvml_func_get(field[0], &func);
	if (ret)
		return ret == -ENOENT || ret == -ENOMEM ? ret : -EINVAL;

	/* As the writer sees it; a reference, so that nobody else is taken for it later. */
	if (tid) {
		pid = find_get_pid(tid);
		if (!pid) {
			ret = -EINVAL;
			goto err_func;
		}
	}

	if (!atomic_add_unless(&kvml_pauses, 1, KVML_PAUSE_POINTS)) {
		ret = -EBUSY;
		goto err_pid;
	}

	strscpy(p->symbol, field[0], sizeof(p->symbol));
	p->kp = (struct kprobe) {
		.symbol_name = p->symbol,
		.pre_handler = kvml_pause_handler,
	};
	p->func = func;
	p->tid = pid;
	p->delay_ns = (u64)delay_us * NSEC_PER_USEC;
	p->max_hits = max_hits;
	p->released = false;
	atomic_set(&p->hits, 0);
	atomic_set(&p->done, 0);
	ret = register_kprobe(&p->kp);
	if (!ret) {
		p->armed = true;
		return 0;
	}

	p->tid = NULL;
	ret = ret == -ENOMEM ? ret : -EINVAL;
	atomic_dec(&kvml_pauses);
err_pid:
	put_pid(pid);
err_func:
	kvml_func_put(&func);
	return ret;
}

static int kvml_pause_write(void *state, char *cmd)
{
	struct kvml_pause_point *p = state;
	char *field[4];

	switch (kvml_split(cmd, field, ARRAY_SIZE(field))) {
	case 1:
		if (!strcmp(field[0], "open"))
			return kvml_pause_open_up(p);
		if (!strcmp(field[0], "again"))
			return kvml_pause_again(p);
		if (strcmp(field[0], "release"))
			return -EINVAL;
		kvml_pause_disarm(p);
		return 0;
	case 4:
		return kvml_pause_arm(p, field);
	default:
		return -EINVAL;
	}
}

static int kvml_pause_show(struct seq_file *m, void *state)
{
	struct kvml_pause_point *p = state;
	int hits, done;

	/* In this order: a pause that has begun and that is not known to be over is seen as one that lasts. */
	done = atomic_read_acquire(&p->done);
	hits = atomic_read(&p->hits);
	seq_printf(m, "hits %d inside %d done %d\n", hits, hits - done, done);
	return 0;
}

static void kvml_pause_close(void *state)
{
	kvml_pause_disarm(state);
}

const struct kvml_part kvml_pause = {
	.name = "pause",
	.unsafe = true,
	.state_size = sizeof(struct kvml_pause_point),
	.close = kvml_pause_close,
	.show = kvml_pause_show,
	.write = kvml_pause_write,
};
