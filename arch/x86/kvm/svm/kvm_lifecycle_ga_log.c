// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_lifecycle: entries of the IOMMU's Guest Virtual APIC Log, made up.
 *
 * avic_ga_log_notifier() runs in the IOMMU's threaded interrupt handler, that is, in a preemptible
 * task which nobody waits for when a VM goes away.  A kthread does as well.
 */
#include <linux/bitops.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include <asm/svm.h>

#include "kvm_lifecycle.h"

#define KVML_GA_MAX_COUNT	1000000
#define KVML_GA_MAX_GAP_US	100000

/*
 * A tag holds the VM's ID above the vCPU's number: its index, up to 6.12 its ID.  Hardware doesn't
 * look at it; KVM gives the vCPU as many bits as an entry number of the physical ID table has.
 */
#define KVML_GA_VCPU_MASK	AVIC_PHYSICAL_MAX_INDEX_MASK
#define KVML_GA_VCPU_BITS	HWEIGHT32(AVIC_PHYSICAL_MAX_INDEX_MASK)

/*
 * An injection belongs to the thread while running is set, and to write() while it is not.  Each
 * side gives it away with a release, and sees that it is its own with an acquire.
 */
struct kvml_injector {
	struct kvml_func notifier;
	struct task_struct *task;
	wait_queue_head_t wait;
	bool running, stop;
	u32 tag, count, gap_us, sent;
};

/* The notifier may end the thread, e.g. by an oops; then nobody else clears running. */
static bool kvml_injector_dead(struct kvml_injector *inj)
{
	return READ_ONCE(inj->task->exit_state);
}

static bool kvml_injector_running(struct kvml_injector *inj)
{
	/* Pairs with kvml_injector_set(). */
	return smp_load_acquire(&inj->running) && !kvml_injector_dead(inj);
}

static void kvml_injector_set(struct kvml_injector *inj, bool running)
{
	/* Pairs with kvml_injector_running(). */
	smp_store_release(&inj->running, running);
	wake_up_all(&inj->wait);
}

static int kvml_injector_thread(void *data)
{
	struct kvml_injector *inj = data;
	int (*notify)(u32 ga_tag) = (void *)inj->notifier.entry;
	u32 sent;

	for (;;) {
		wait_event_idle(inj->wait, kvml_injector_running(inj) || kthread_should_stop());
		if (kthread_should_stop())
			return 0;

		for (sent = 0; sent < inj->count; ) {
			if (READ_ONCE(inj->stop) || kthread_should_stop())
				break;
			notify(inj->tag);
			WRITE_ONCE(inj->sent, ++sent);
			if (inj->gap_us)
				usleep_range(inj->gap_us, inj->gap_us + inj->gap_us / 8 + 1);
			else
				cond_resched();
		}
		kvml_injector_set(inj, false);
	}
}

static int kvml_ga_log_open(void *state)
{
	struct kvml_injector *inj = state;
	int ret;

	ret = kvml_avic_get(&inj->notifier);
	if (ret)
		return ret;

	init_waitqueue_head(&inj->wait);
	inj->task = kthread_create(kvml_injector_thread, inj, "kvm_ga_log");
	if (IS_ERR(inj->task)) {
		kvml_func_put(&inj->notifier);
		return PTR_ERR(inj->task);
	}
	/* It may be gone before close(). */
	get_task_struct(inj->task);
	wake_up_process(inj->task);
	return 0;
}

static void kvml_ga_log_close(void *state)
{
	struct kvml_injector *inj = state;

	kthread_stop_put(inj->task);
	kvml_func_put(&inj->notifier);
}

static int kvml_ga_log_write(void *state, char *cmd)
{
	unsigned int vm_id, vcpu, count, gap_us;
	struct kvml_injector *inj = state;
	char *field[5];
	long left;
	int n;

	n = kvml_split(cmd, field, ARRAY_SIZE(field));
	if (n == 1 && !strcmp(field[0], "stop")) {
		/* No call is in progress any more once stop has returned. */
		WRITE_ONCE(inj->stop, true);
		do {
			/* A thread that dies doesn't wake anybody up. */
			left = wait_event_killable_timeout(inj->wait, !kvml_injector_running(inj), HZ);
		} while (!left);
		return min(left, 0);
	}

	if (n != 5 || strcmp(field[0], "inject") ||
	    kstrtouint(field[1], 10, &vm_id) || !vm_id || vm_id > U32_MAX >> KVML_GA_VCPU_BITS ||
	    kstrtouint(field[2], 10, &vcpu) || vcpu > KVML_GA_VCPU_MASK ||
	    kstrtouint(field[3], 10, &count) || !count || count > KVML_GA_MAX_COUNT ||
	    kstrtouint(field[4], 10, &gap_us) || gap_us > KVML_GA_MAX_GAP_US)
		return -EINVAL;
	if (kvml_injector_dead(inj))
		return -ESRCH;
	if (kvml_injector_running(inj))
		return -EBUSY;

	inj->tag = vm_id << KVML_GA_VCPU_BITS | vcpu;
	inj->count = count;
	inj->gap_us = gap_us;
	inj->sent = 0;
	inj->stop = false;
	kvml_injector_set(inj, true);
	return 0;
}

static int kvml_ga_log_show(struct seq_file *m, void *state)
{
	struct kvml_injector *inj = state;
	bool running = kvml_injector_running(inj);

	seq_printf(m, "tid %d sent %u running %d\n", task_pid_nr(inj->task),
		   READ_ONCE(inj->sent), running);
	return 0;
}

const struct kvml_part kvml_ga_log = {
	.name = "ga_log",
	.unsafe = true,
	.kvm = true,
	.missing = kvml_avic_missing,
	.state_size = sizeof(struct kvml_injector),
	.open = kvml_ga_log_open,
	.close = kvml_ga_log_close,
	.show = kvml_ga_log_show,
	.write = kvml_ga_log_write,
};
