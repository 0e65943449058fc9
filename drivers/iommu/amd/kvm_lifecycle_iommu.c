// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_lifecycle: let the IOMMU's driver process a GA Log that is made up and may overflow, and
 * register another notifier for it.
 *
 * The driver reads the log from memory and its ends from the IOMMU's registers: if the registers
 * are memory, too, no IOMMU is needed.  iommu_poll_ga_log() runs in a threaded interrupt handler,
 * i.e. in a preemptible task.  A kthread does as well.
 */
#include <linux/amd-iommu.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "amd_iommu_types.h"

#include "kvm_lifecycle.h"

#define KVML_IOMMU_MAX_COUNT	1000000
#define KVML_IOMMU_MAX_BUSY_US	5000000
#define KVML_IOMMU_GOING_MAX_S	30

/* Up to and with the registers of the GA Log. */
#define KVML_IOMMU_MMIO_SIZE	(MMIO_GA_TAIL_OFFSET + sizeof(u64))

/* Each entry names vCPU 1 of the VM ID 0, which no VM has. */
#define KVML_IOMMU_ENTRY	((u64)GA_GUEST_NR << 60 | 1)

/* The tag by which the driver says that entries were lost, if it does: AMD_IOMMU_GA_TAG_LOST. */
#define KVML_IOMMU_TAG_LOST	0

/* The bits of the status register that the driver clears by writing 1. */
#define KVML_IOMMU_W1C		(MMIO_STATUS_GALOG_INT_MASK | MMIO_STATUS_GALOG_OVERFLOW_MASK)

/*
 * The log belongs to the thread while running is set, and to write() while it is not.  Each side
 * gives it away with a release, and sees that it is its own with an acquire.
 *
 * While kvm_notifier is held, KVM's notifier is not the registered one, and KVM can't be unloaded.
 */
struct kvml_iommu {
	struct amd_iommu *iommu;
	void *mmio;
	struct kvml_func poll, kvm_notifier;
	struct task_struct *task;
	wait_queue_head_t wait;
	bool replaced, running, stop;
	u32 count, sent;
	u64 busy_ns;
	/* The calls of the notifier. */
	u32 calls, inside;
	/* Unregistrations, those of them that had to wait for a call, and those that didn't wait. */
	u32 unregistered, overlapped, early;
	/* How often kvm_amd went, i.e. had unregistered its notifier. */
	u32 going;
	/*
	 * The thread is to handle an overflow; has the driver read the status before it comes; the
	 * status register of the hardware; how often the driver has restarted the log, and has told
	 * this module's notifier of entries that were lost.
	 */
	bool overflow, late, probed;
	u32 status, overflows, restarts, told;
	struct kvml_func handler;
	struct kprobe written;
	struct kretprobe restarted;
	struct notifier_block module_nb;
};

/* There is one notifier in the system. */
static struct kvml_iommu *kvml_iommu;

/* The driver may end the thread, e.g. by an oops; then nobody else clears running. */
static bool kvml_iommu_dead(struct kvml_iommu *s)
{
	return READ_ONCE(s->task->exit_state);
}

static bool kvml_iommu_running(struct kvml_iommu *s)
{
	/* Pairs with kvml_iommu_set_running(). */
	return smp_load_acquire(&s->running) && !kvml_iommu_dead(s);
}

static void kvml_iommu_set_running(struct kvml_iommu *s, bool running)
{
	/* Pairs with kvml_iommu_running(). */
	smp_store_release(&s->running, running);
	wake_up_all(&s->wait);
}

/* Unlike KVM's notifier it takes its time, and like that one can be preempted meanwhile. */
static int kvml_iommu_notify(u32 ga_tag)
{
	struct kvml_iommu *s = READ_ONCE(kvml_iommu);
	int (*kvm_notify)(u32 ga_tag) = (void *)s->kvm_notifier.entry;
	u32 unregistered;
	ktime_t deadline;

	/* Entries of hardware are meant for KVM. */
	if (current != s->task)
		return kvm_notify(ga_tag);

	if (ga_tag == KVML_IOMMU_TAG_LOST) {
		WRITE_ONCE(s->told, s->told + 1);
		return 0;
	}

	/* Once it has been unregistered, the result is known. */
	unregistered = READ_ONCE(s->unregistered);
	WRITE_ONCE(s->calls, s->calls + 1);
	smp_store_mb(s->inside, 1);
	deadline = ktime_add_ns(ktime_get(), READ_ONCE(s->busy_ns));
	while (ktime_before(ktime_get(), deadline) && !READ_ONCE(s->stop) &&
	       READ_ONCE(s->unregistered) == unregistered)
		cpu_relax();
	smp_store_release(&s->inside, 0);
	return 0;
}

/*
 * Memory keeps what the driver writes to the status register, hardware clears the bits that are 1.
 * That has to be done after each write, and before the next read: the driver calls
 * iommu_poll_ga_log() after one of its writes, and returns from amd_iommu_restart_ga_log() after the
 * other one.
 */
static void __kprobes notrace kvml_iommu_hardware(struct kvml_iommu *s)
{
	void __iomem *status = s->iommu->mmio_base + MMIO_STATUS_OFFSET;

	s->status &= ~(readl(status) & KVML_IOMMU_W1C);
	writel(s->status, status);
}

static int __kprobes notrace kvml_iommu_written(struct kprobe *kp, struct pt_regs *regs)
{
	struct kvml_iommu *s = container_of(kp, struct kvml_iommu, written);

	if (current != s->task || !s->overflow)
		return 0;

	/* Since the driver has read the status, and before its write. */
	if (s->late) {
		s->late = false;
		s->status |= MMIO_STATUS_GALOG_OVERFLOW_MASK;
		s->status &= ~MMIO_STATUS_GALOG_RUN_MASK;
	}
	kvml_iommu_hardware(s);
	return 0;
}

static int __kprobes notrace kvml_iommu_restarted(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct kvml_iommu *s = READ_ONCE(kvml_iommu);
	void __iomem *mmio = s->iommu->mmio_base;

	/* The driver leaves a log alone that runs. */
	if (current != s->task || !s->overflow || s->status & MMIO_STATUS_GALOG_RUN_MASK)
		return 0;

	if (readq(mmio + MMIO_CONTROL_OFFSET) & BIT_ULL(CONTROL_GALOG_EN)) {
		s->restarts++;
		s->status |= MMIO_STATUS_GALOG_RUN_MASK;
	}
	kvml_iommu_hardware(s);
	return 0;
}

/* The log is full, and the driver gets its interrupt. */
static void kvml_iommu_overflow(struct kvml_iommu *s)
{
	irqreturn_t (*handler)(int irq, void *data) = (void *)s->handler.entry;
	void __iomem *mmio = s->iommu->mmio_base;

	if (s->late)
		s->status = MMIO_STATUS_GALOG_INT_MASK | MMIO_STATUS_GALOG_RUN_MASK;
	else
		s->status = MMIO_STATUS_GALOG_OVERFLOW_MASK;
	writel(s->status, mmio + MMIO_STATUS_OFFSET);
	writeq(BIT_ULL(CONTROL_GALOG_EN) | BIT_ULL(CONTROL_GAINT_EN), mmio + MMIO_CONTROL_OFFSET);
	s->overflows++;
	handler(0, s->iommu);
}

static int kvml_iommu_thread(void *data)
{
	struct kvml_iommu *s = data;
	void (*poll)(struct amd_iommu *iommu) = (void *)s->poll.entry;
	void __iomem *mmio = s->iommu->mmio_base;
	u32 sent;

	for (;;) {
		wait_event_idle(s->wait, kvml_iommu_running(s) || kthread_should_stop());
		if (kthread_should_stop())
			return 0;

		for (sent = 0; sent < s->count; ) {
			if (READ_ONCE(s->stop) || kthread_should_stop())
				break;
			if (s->overflow) {
				kvml_iommu_overflow(s);
			} else {
				/* As hardware does it after it has written an entry. */
				writel((readl(mmio + MMIO_GA_TAIL_OFFSET) + GA_ENTRY_SIZE) % GA_LOG_SIZE,
				       mmio + MMIO_GA_TAIL_OFFSET);
				poll(s->iommu);
			}
			WRITE_ONCE(s->sent, ++sent);
			cond_resched();
		}
		kvml_iommu_set_running(s, false);
	}
}

/*
 * kvm_amd has unregistered its notifier, and is about to be freed.  Where that doesn't wait for the
 * thread, wait here: that shows the bug, and the machine survives.
 */
static int kvml_iommu_module_notify(struct notifier_block *nb, unsigned long state, void *data)
{
	struct kvml_iommu *s = container_of(nb, struct kvml_iommu, module_nb);
	struct module *mod = data;

	if (state != MODULE_STATE_GOING || strcmp(mod->name, "kvm_amd"))
		return NOTIFY_DONE;

	WRITE_ONCE(s->stop, true);
	WRITE_ONCE(s->going, s->going + 1);
	wait_event_timeout(s->wait, !kvml_iommu_running(s), KVML_IOMMU_GOING_MAX_S * HZ);
	return NOTIFY_DONE;
}

static void kvml_iommu_free(struct kvml_iommu *s)
{
	kvfree(s->mmio);
	if (s->iommu)
		kvfree(s->iommu->ga_log);
	kvfree(s->iommu);
	kvml_func_put(&s->poll);
	WRITE_ONCE(kvml_iommu, NULL);
}

static const char *kvml_iommu_missing(void)
{
	return kvml_func_exists("iommu_poll_ga_log") ? NULL :
	       "the kernel has no function iommu_poll_ga_log(), or has it inlined";
}

static int kvml_iommu_open(void *state)
{
	struct kvml_iommu *s = state;
	u64 *entry;
	int i, ret;

	if (cmpxchg(&kvml_iommu, NULL, s))
		return -EBUSY;

	ret = kvml_func_get("iommu_poll_ga_log", &s->poll);
	if (ret) {
		WRITE_ONCE(kvml_iommu, NULL);
		return ret == -ENOMEM ? ret : -EOPNOTSUPP;
	}

	ret = -ENOMEM;
	s->mmio = kvzalloc(KVML_IOMMU_MMIO_SIZE, GFP_KERNEL_ACCOUNT);
	s->iommu = kvzalloc(sizeof(*s->iommu), GFP_KERNEL_ACCOUNT);
	if (!s->mmio || !s->iommu)
		goto err;
	s->iommu->mmio_base = (u8 __iomem __force *)s->mmio;
	s->iommu->ga_log = kvmalloc(GA_LOG_SIZE, GFP_KERNEL_ACCOUNT);
	if (!s->iommu->ga_log)
		goto err;
	entry = (u64 *)s->iommu->ga_log;
	for (i = 0; i < GA_LOG_ENTRIES; i++)
		entry[i] = KVML_IOMMU_ENTRY;

	init_waitqueue_head(&s->wait);
	s->task = kthread_create(kvml_iommu_thread, s, "kvm_iommu");
	if (IS_ERR(s->task)) {
		ret = PTR_ERR(s->task);
		goto err;
	}
	/* Its calls may end it, by an oops. */
	get_task_struct(s->task);
	wake_up_process(s->task);

	s->module_nb.notifier_call = kvml_iommu_module_notify;
	ret = register_module_notifier(&s->module_nb);
	if (!ret)
		return 0;

	kthread_stop_put(s->task);
err:
	kvml_iommu_free(s);
	return ret;
}

static int kvml_iommu_register(struct kvml_iommu *s, u64 busy_ns)
{
	int ret;

	if (!s->replaced) {
		/* Without KVM's notifier there is nothing to put back. */
		ret = kvml_avic_get(&s->kvm_notifier);
		if (ret)
			return -ENOENT;
		s->replaced = true;
	}

	WRITE_ONCE(s->busy_ns, busy_ns);
	return amd_iommu_register_ga_log_notifier(kvml_iommu_notify);
}

static int kvml_iommu_unregister(struct kvml_iommu *s)
{
	bool overlapped = READ_ONCE(s->inside);

	if (!s->replaced)
		return -ENOENT;

	amd_iommu_register_ga_log_notifier(NULL);
	s->early += smp_load_acquire(&s->inside);
	s->overlapped += overlapped;
	WRITE_ONCE(s->unregistered, s->unregistered + 1);
	return 0;
}

static void kvml_iommu_restore(struct kvml_iommu *s)
{
	if (!s->replaced)
		return;

	amd_iommu_register_ga_log_notifier((void *)s->kvm_notifier.entry);
	/*
	 * An interrupt thread may still be in this module's notifier: this file is there to show
	 * that unregistering doesn't wait for it.
	 */
	synchronize_rcu_tasks();
	synchronize_rcu();
	kvml_func_put(&s->kvm_notifier);
	s->replaced = false;
}

/* Become the hardware of the status register, at the first overflow. */
static int kvml_iommu_probe(struct kvml_iommu *s)
{
	int ret;

	if (s->probed)
		return 0;

	ret = kvml_func_get("amd_iommu_int_thread_galog", &s->handler);
	if (ret)
		return ret == -ENOMEM ? ret : -EOPNOTSUPP;

	s->written = (struct kprobe) {
		.symbol_name = "iommu_poll_ga_log",
		.pre_handler = kvml_iommu_written,
	};
	ret = register_kprobe(&s->written);
	if (ret)
		goto err_handler;

	s->restarted = (struct kretprobe) {
		.kp.symbol_name = "amd_iommu_restart_ga_log",
		.handler = kvml_iommu_restarted,
	};
	ret = register_kretprobe(&s->restarted);
	if (ret)
		goto err_written;

	s->probed = true;
	return 0;

err_written:
	unregister_kprobe(&s->written);
err_handler:
	kvml_func_put(&s->handler);
	return ret == -ENOMEM ? ret : -EOPNOTSUPP;
}

static void kvml_iommu_unprobe(struct kvml_iommu *s)
{
	if (!s->probed)
		return;

	unregister_kretprobe(&s->restarted);
	unregister_kprobe(&s->written);
	kvml_func_put(&s->handler);
}

static void kvml_iommu_close(void *state)
{
	struct kvml_iommu *s = state;

	WRITE_ONCE(s->stop, true);
	kthread_stop_put(s->task);
	kvml_iommu_unprobe(s);
	unregister_module_notifier(&s->module_nb);
	kvml_iommu_restore(s);
	kvml_iommu_free(s);
}

static int kvml_iommu_write(void *state, char *cmd)
{
	bool overflow, late = false;
	struct kvml_iommu *s = state;
	unsigned int number;
	char *field[2];
	long left;
	int n, ret;

	n = kvml_split(cmd, field, ARRAY_SIZE(field));
	if (n == 1 && !strcmp(field[0], "stop")) {
		WRITE_ONCE(s->stop, true);
		do {
			/* A thread that dies doesn't wake anybody up. */
			left = wait_event_killable_timeout(s->wait, !kvml_iommu_running(s), HZ);
		} while (!left);
		return min(left, 0);
	}
	if (n == 1 && !strcmp(field[0], "unregister"))
		return kvml_iommu_unregister(s);
	if (n == 1 && !strcmp(field[0], "restore")) {
		/* The thread must not be in the notifier that forgets where KVM's is. */
		if (kvml_iommu_running(s))
			return -EBUSY;
		kvml_iommu_restore(s);
		return 0;
	}

	if (n != 2)
		return -EINVAL;
	overflow = !strcmp(field[0], "overflow");
	if (overflow) {
		late = !strcmp(field[1], "late");
		if (!late && strcmp(field[1], "early"))
			return -EINVAL;
		number = 1;
	} else if (kstrtouint(field[1], 10, &number)) {
		return -EINVAL;
	}
	if (!strcmp(field[0], "register")) {
		if (number > KVML_IOMMU_MAX_BUSY_US)
			return -EINVAL;
		return kvml_iommu_register(s, (u64)number * NSEC_PER_USEC);
	}
	if (!overflow &&
	    (strcmp(field[0], "process") || !number || number > KVML_IOMMU_MAX_COUNT))
		return -EINVAL;
	if (kvml_iommu_dead(s))
		return -ESRCH;
	if (kvml_iommu_running(s))
		return -EBUSY;
	/* Older kernels call KVM's notifier even if KVM is gone. */
	if (!s->replaced && kvml_avic_missing())
		return -ENOENT;
	ret = overflow ? kvml_iommu_probe(s) : 0;
	if (ret)
		return ret;

	s->overflow = overflow;
	s->late = late;
	s->count = number;
	s->sent = 0;
	s->stop = false;
	kvml_iommu_set_running(s, true);
	return 0;
}

static int kvml_iommu_show(struct seq_file *m, void *state)
{
	struct kvml_iommu *s = state;
	bool running = kvml_iommu_running(s);

	seq_printf(m, "tid %d sent %u running %d calls %u inside %u\n", task_pid_nr(s->task),
		   READ_ONCE(s->sent), running, READ_ONCE(s->calls), READ_ONCE(s->inside));
	seq_printf(m, "unregistered %u overlapped %u early %u going %u\n", s->unregistered,
		   s->overlapped, s->early, READ_ONCE(s->going));
	seq_printf(m, "overflows %u restarts %u log %d told %u\n", READ_ONCE(s->overflows),
		   READ_ONCE(s->restarts), !!(READ_ONCE(s->status) & MMIO_STATUS_GALOG_RUN_MASK),
		   READ_ONCE(s->told));
	return 0;
}

const struct kvml_part kvml_iommu_part = {
	.name = "iommu",
	.unsafe = true,
	.kernel = true,
	.missing = kvml_iommu_missing,
	.state_size = sizeof(struct kvml_iommu),
	.open = kvml_iommu_open,
	.close = kvml_iommu_close,
	.show = kvml_iommu_show,
	.write = kvml_iommu_write,
};
