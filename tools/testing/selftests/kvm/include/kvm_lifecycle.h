/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Access to the kvm_lifecycle module, and to the kernel's own reports.
 *
 * kvm_lifecycle observes a vCPU's life through debugfs, and with its "unsafe"
 * parameter widens race windows and drives the GA Log notifier.  It is not
 * part of the kernel: a test that needs one of its parts must skip, with the
 * reason, where the part is missing.
 *
 * All state belongs to the open file, i.e. close() undoes everything that was
 * done through the file.
 */
#ifndef SELFTEST_KVM_LIFECYCLE_H
#define SELFTEST_KVM_LIFECYCLE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include <linux/compiler.h>
#include <linux/kernel.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#ifdef __aarch64__
#include <linux/sizes.h>

#include "gic.h"
#include "gic_v3.h"
#include "vgic.h"
#endif

#define KVM_LIFECYCLE_DIR "/sys/kernel/debug/kvm_lifecycle"

/* The longest that a pause point holds a task each time. */
#define PAUSE_MAX_US		1000000

/* How often a thread that waits for another one looks. */
#define POLL_US			1000

#define SPLIT_IRQCHIP_PINS	24

static inline u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

/* Have @s seconds gone by since @start, which is in ms? */
static inline bool timed_out(u64 start, unsigned int s)
{
	return now_ms() - start >= s * 1000ull;
}

/*
 * What a system call returned, given its result or -errno, as a message has it.
 * The text is good for the next three calls.
 */
static inline const char *ret_name(int ret)
{
	const char *name = ret < 0 ? strerrorname_np(-ret) : NULL;
	static char buf[4][32];
	static int i;

	i = (i + 1) % ARRAY_SIZE(buf);
	if (name)
		snprintf(buf[i], sizeof(buf[i]), "-1 (%s)", name);
	else
		snprintf(buf[i], sizeof(buf[i]), "%d", ret);
	return buf[i];
}

/*
 * Open a file of the module.  Read-write where the file can be written, else
 * read-only.  Returns the file descriptor or -errno.
 */
static inline int __kvm_lifecycle_open(const char *file)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), KVM_LIFECYCLE_DIR "/%s", file);

	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 && (errno == EACCES || errno == EINVAL))
		fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* The same, but the test fails if the file can't be opened. */
static inline int kvm_lifecycle_open(struct __test_metadata *_metadata, const char *file)
{
	int fd = __kvm_lifecycle_open(file);

	ASSERT_LE(0, fd)
		TH_LOG("open %s: %s", file, strerror(-fd));
	return fd;
}

/* Write one command.  Returns 0 or -errno. */
static inline int __printf(2, 3) __kvm_lifecycle_write(int fd, const char *fmt, ...)
{
	char buf[256];
	ssize_t len, r;
	va_list ap;

	va_start(ap, fmt);
	len = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);

	if (len < 0 || len >= (ssize_t)sizeof(buf))
		return -E2BIG;

	r = write(fd, buf, len);
	if (r < 0)
		return -errno;

	return r == len ? 0 : -EIO;
}

/*
 * Read a file's current text, NUL terminated.  Returns the number of bytes
 * without the NUL, or -errno.  Files that stream, i.e. hand out each line only
 * once, are read from where the last read ended.
 */
static inline ssize_t kvm_lifecycle_read(int fd, char *buf, size_t len)
{
	ssize_t r;

	r = pread(fd, buf, len - 1, 0);
	if (r < 0 && errno == ESPIPE)
		r = read(fd, buf, len - 1);
	if (r < 0) {
		buf[0] = '\0';
		return -errno;
	}

	buf[r] = '\0';
	return r;
}

/*
 * Why a part of the module can't be used, as one line, or NULL if it can.  The
 * text is good until the next call.
 */
static inline const char *kvm_lifecycle_missing(const char *part)
{
	static char reason[256];
	char buf[4096], *line, *save;
	size_t len = strlen(part);
	int fd, r;

	if (access(KVM_LIFECYCLE_DIR, F_OK)) {
		snprintf(reason, sizeof(reason), "module kvm_lifecycle: %s: %s",
			 KVM_LIFECYCLE_DIR, strerror(errno));
		return reason;
	}

	fd = __kvm_lifecycle_open("parts");
	if (fd < 0) {
		snprintf(reason, sizeof(reason), "module kvm_lifecycle: parts: %s",
			 strerror(-fd));
		return reason;
	}

	r = kvm_lifecycle_read(fd, buf, sizeof(buf));
	close(fd);
	if (r < 0) {
		snprintf(reason, sizeof(reason), "module kvm_lifecycle: parts: %s",
			 strerror(-r));
		return reason;
	}

	for (line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, part, len) || line[len] != ' ')
			continue;
		if (!strcmp(line + len + 1, "ready"))
			return NULL;
		snprintf(reason, sizeof(reason), "module kvm_lifecycle: %.200s", line);
		return reason;
	}

	snprintf(reason, sizeof(reason), "module kvm_lifecycle has no part '%s'", part);
	return reason;
}

static inline bool kvm_lifecycle_available(const char *part)
{
	return !kvm_lifecycle_missing(part);
}

/* Get the @nr values that a file's current text must begin with. */
static inline void __scanf(3, 4) kvm_lifecycle_scan(int fd, int nr, const char *fmt, ...)
{
	char buf[4096];
	va_list ap;
	int r, n;

	r = kvm_lifecycle_read(fd, buf, sizeof(buf));
	va_start(ap, fmt);
	n = vsscanf(buf, fmt, ap);
	va_end(ap);
	TEST_ASSERT(r > 0 && n == nr, "Want '%s', got '%s' (%d)", fmt, buf, r);
}

#define AVIC_ENTRY_VALID	BIT_ULL(63)
#define AVIC_MAX_VCPUS		512

struct avic_value {
	u32 id;		/* of a vCPU */
	u64 val;
};

/* What a VM has of AVIC. */
struct avic_state {
	u32 vm_id;		/* 0: none */
	int listed;		/* the GA Log notifier finds it */
	int physical;		/* there is such a table */
	int logical;
	unsigned long inhibits;
	int nr_entries;		/* of the physical ID table that aren't 0 */
	struct avic_value entries[AVIC_MAX_VCPUS];
	int nr_vcpus;		/* and the page of each one's local APIC, or 0 */
	struct avic_value backing[AVIC_MAX_VCPUS];
};

/*
 * What kvm_lifecycle's part "avic" shows of the VM @vm_fd, to which no reference is
 * kept.  Returns 0 or -errno: -EBADMSG if it can't be understood.
 */
static inline int avic_read(int vm_fd, struct avic_state *a)
{
	char buf[65536], *line, *save;
	unsigned long long val;
	int fd, r, nr = 0;
	u32 id;

	memset(a, 0, sizeof(*a));
	fd = __kvm_lifecycle_open("avic");
	if (fd < 0)
		return fd;
	r = __kvm_lifecycle_write(fd, "%d", vm_fd);
	if (!r)
		r = kvm_lifecycle_read(fd, buf, sizeof(buf));
	close(fd);
	if (r < 0)
		return r;
	if (r == sizeof(buf) - 1)
		return -E2BIG;

	for (line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save), nr++) {
		if (!nr) {
			if (sscanf(line, "vm_id %u listed %d physical %d logical %d inhibited %lx",
				   &a->vm_id, &a->listed, &a->physical, &a->logical,
				   &a->inhibits) != 5)
				return -EBADMSG;
		} else if (sscanf(line, "entry %u 0x%llx", &id, &val) == 2) {
			if (a->nr_entries == AVIC_MAX_VCPUS)
				return -E2BIG;
			a->entries[a->nr_entries++] = (struct avic_value) { id, val };
		} else if (sscanf(line, "vcpu %u idx %*d backing 0x%llx", &id, &val) == 2) {
			if (a->nr_vcpus == AVIC_MAX_VCPUS)
				return -E2BIG;
			a->backing[a->nr_vcpus++] = (struct avic_value) { id, val };
		} else {
			return -EBADMSG;
		}
	}
	return nr ? 0 : -EBADMSG;
}

/* What the physical ID table has for the vCPU ID @id. */
static inline u64 avic_entry(const struct avic_state *a, u32 id)
{
	int i;

	for (i = 0; i < a->nr_entries; i++) {
		if (a->entries[i].id == id)
			return a->entries[i].val;
	}
	return 0;
}

/* The page of the local APIC of the vCPU @id, or 0. */
static inline u64 avic_backing(const struct avic_state *a, u32 id)
{
	int i;

	for (i = 0; i < a->nr_vcpus; i++) {
		if (a->backing[i].id == id)
			return a->backing[i].val;
	}
	return 0;
}

/* Is this entry valid, and that of the vCPU with this page?  The entry may have the C-bit. */
static inline bool avic_entry_is_of(u64 entry, u64 backing)
{
	return (entry & AVIC_ENTRY_VALID) && backing && (entry & backing) == backing;
}

/* The ID under which the GA Log knows a VM, 0 for none, or -errno. */
static inline int avic_vm_id(int vm_fd)
{
	struct avic_state a;

	return avic_read(vm_fd, &a) ?: (int)a.vm_id;
}

/* The index of a vCPU that nobody else can reach. */
#define NO_INDEX		(-1)

enum vcpu_event { EV_CREATE, EV_POSTCREATE, EV_DESTROY, NR_VCPU_EVENTS };

static const char * const vcpu_event_names[] = { "create", "postcreate", "destroy" };

/* What vcpu_index has recorded of one vCPU ID since the last look. */
struct vcpu_events {
	int nr[NR_VCPU_EVENTS];
	int idx[NR_VCPU_EVENTS];	/* of the last one */
};

/* All that this process has done with vCPUs of the ID @id since the last look at @rec. */
static inline void read_vcpu_events(struct __test_metadata *_metadata, int rec, u32 id,
				    struct vcpu_events *ev)
{
	char buf[4096], what[16], *line, *save;
	int tgid, tid, ev_id, idx, i, n;
	unsigned long lost;
	ssize_t r;

	memset(ev, 0, sizeof(*ev));

	for (;;) {
		r = kvm_lifecycle_read(rec, buf, sizeof(buf));
		ASSERT_LE(0, r)
			TH_LOG("read vcpu_index: %s", strerror(-r));
		if (!r)
			break;

		for (line = strtok_r(buf, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			n = sscanf(line, "lost %lu", &lost);
			ASSERT_NE(1, n)
				TH_LOG("%lu events were lost", lost);

			n = sscanf(line, "%15s %d %d %d %d", what, &tgid, &tid, &ev_id, &idx);
			ASSERT_EQ(5, n)
				TH_LOG("vcpu_index: '%s'", line);
			if (tgid != getpid() || (u32)ev_id != id)
				continue;

			for (i = 0; i < NR_VCPU_EVENTS; i++) {
				if (strcmp(what, vcpu_event_names[i]))
					continue;
				ev->nr[i]++;
				ev->idx[i] = idx;
			}
		}
	}
}

/* The thread that handles what is injected by ga_log, or processed by iommu. */
struct injector_state {
	int tid;
	u32 sent;
	int running;
};

static inline struct injector_state injector_read(int fd)
{
	struct injector_state s;

	kvm_lifecycle_scan(fd, 3, "tid %d sent %u running %d", &s.tid, &s.sent, &s.running);
	return s;
}

/* The pauses begun since the pause point was armed, those that last, those over. */
struct pause_state {
	int hits;
	int inside;
	int done;
};

static inline struct pause_state pause_read(int fd)
{
	struct pause_state p;

	kvm_lifecycle_scan(fd, 3, "hits %d inside %d done %d", &p.hits, &p.inside, &p.done);
	return p;
}

/* Hold a thread at the next entry of @function for @us at most. */
static inline void pause_arm(int fd, const char *function, int tid, int us)
{
	int r = __kvm_lifecycle_write(fd, "%s %d %d 1", function, tid, us);

	TEST_ASSERT(!r, "pause at %s(): want 0, got %s", function, ret_name(r));
}

/*
 * A thread at a pause point keeps its CPU to itself.  Take a CPU away from this
 * task, and from the threads that it creates, which inherit that.  Returns the
 * CPU, or -1 if this task has only one.  It's the last one, as SRCU does its
 * work on the first.
 */
static inline int set_cpu_aside(void)
{
	cpu_set_t cpus;
	int cpu;

	TEST_ASSERT(!sched_getaffinity(0, sizeof(cpus), &cpus),
		    "sched_getaffinity() failed, errno: %d", errno);
	if (CPU_COUNT(&cpus) < 2)
		return -1;

	for (cpu = CPU_SETSIZE - 1; !CPU_ISSET(cpu, &cpus); cpu--)
		;
	CPU_CLR(cpu, &cpus);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(cpus), &cpus),
		    "sched_setaffinity() to all but CPU%d failed, errno: %d", cpu, errno);
	return cpu;
}

/* For any thread, also one of the kernel.  0 is the calling thread. */
static inline void pin_tid_to_cpu(int tid, int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	TEST_ASSERT(!sched_setaffinity(tid, sizeof(cpus), &cpus),
		    "sched_setaffinity() to CPU%d failed, errno: %d", cpu, errno);
}

/*
 * A thread that does one thing when it's told to: whoever starts it gives @fn
 * and its arguments, and @ret is what @fn returned, once the racer is done.
 */
struct racer {
	int (*fn)(void *arg, u64 val);
	void *arg;
	u64 val;
	int ret;

	pthread_t thread;
	int cpu;
	int tid;
	bool go;
	bool started;
	bool done;
};

static inline void *racer_thread(void *arg)
{
	struct racer *r = arg;

	if (r->cpu >= 0)
		pin_tid_to_cpu(0, r->cpu);

	__atomic_store_n(&r->tid, gettid(), __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&r->go, __ATOMIC_SEQ_CST))
		usleep(100);

	__atomic_store_n(&r->started, true, __ATOMIC_SEQ_CST);
	r->ret = r->fn(r->arg, r->val);
	__atomic_store_n(&r->done, true, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Returns once there is a thread with a tid, on @cpu if that isn't -1. */
static inline void racer_start(struct racer *r, int cpu)
{
	int err;

	r->cpu = cpu;
	err = pthread_create(&r->thread, NULL, racer_thread, r);
	TEST_ASSERT(!err, "pthread_create: %s", strerror(err));
	while (!__atomic_load_n(&r->tid, __ATOMIC_SEQ_CST))
		usleep(100);
}

static inline void racer_go(struct racer *r)
{
	__atomic_store_n(&r->go, true, __ATOMIC_SEQ_CST);
}

/* It is on its way, if not done. */
static inline bool racer_started(struct racer *r)
{
	return __atomic_load_n(&r->started, __ATOMIC_SEQ_CST);
}

static inline bool racer_done(struct racer *r)
{
	return __atomic_load_n(&r->done, __ATOMIC_SEQ_CST);
}

/* Is it done, now or within so many milliseconds? */
static inline bool racer_done_within(struct racer *r, int ms)
{
	u64 end = now_ms() + ms;

	while (!racer_done(r) && now_ms() < end)
		usleep(POLL_US);

	return racer_done(r);
}

/* Returns what the racer returned. */
static inline int racer_join(struct racer *r)
{
	pthread_join(r->thread, NULL);
	return r->ret;
}

/*
 * Wait until the racer has come to a pause point.  Returns false if it is done
 * without, or still hasn't come after @s seconds.
 */
static inline bool racer_wait_for_pause(struct racer *r, int pause, unsigned int s)
{
	u64 start = now_ms();
	bool hit, done;

	do {
		usleep(POLL_US);
		/* In this order, so that a racer that is done has been seen there. */
		done = racer_done(r);
		hit = pause_read(pause).hits;
	} while (!hit && !done && !timed_out(start, s));

	return hit;
}

/* Let the racer go until it is in @function, and keep it there.  Returns as above. */
static inline bool racer_go_to(struct racer *r, int pause, const char *function, unsigned int s)
{
	pause_arm(pause, function, r->tid, PAUSE_MAX_US);
	racer_go(r);
	return racer_wait_for_pause(r, pause, s);
}

/*
 * Open the kernel log at its end, i.e. only what is logged from now on counts.
 * Returns the file descriptor or -errno.
 */
static inline int kmsg_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;

	if (lseek(fd, 0, SEEK_END) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}

	return fd;
}

/*
 * Is this line of the log the head of a report that the kernel has broken one
 * of its own rules?  Memory leaks aren't looked for: kmemleak reports minutes
 * later, in whichever test then runs.
 */
static inline bool kmsg_is_splat(const char *text)
{
	/* Extended regular expressions, the same as the lab's. */
	static const char * const kmsg_splats[] = {
		"BUG: ",
		"BUG [^ ]+ \\(",
		"WARNING: ",
		"K[AC]SAN",
		"UBSAN:",
		"kernel BUG at",
		"Oops",
		"Kernel panic",
		"general protection fault",
		"[Uu]nable to handle",
		"Internal error: ",
		"refcount_t: ",
		"list_(add|del) corruption",
		"INFO: task ",
		"INFO: rcu",
		"stalls on CPUs",
		"soft lockup",
		"nobody cared",
		"unchecked MSR access",
		"trying to register non-static key",
		"possible (circular|recursive) locking",
		"suspicious RCU",
		"DEBUG_LOCKS_WARN_ON",
	};
	static regex_t any;
	static bool ready;
	char all[1024] = "";
	int i;

	for (i = 0; !ready && i < (int)ARRAY_SIZE(kmsg_splats); i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? "|" : "",
			 kmsg_splats[i]);
	if (!ready)
		TEST_ASSERT(strlen(all) < sizeof(all) - 1 &&
			    !regcomp(&any, all, REG_EXTENDED | REG_NOSUB),
			    "no regular expression: %s", all);
	ready = true;

	return !regexec(&any, text, 0, NULL, 0);
}

/*
 * The first kernel report since kmsg_open() or since the last report that was
 * found.  The thread that provokes a report must have been joined before, reports
 * are in the log once the reporting task has gone on.  Records that were
 * overwritten before they were read count as one: nobody knows what they said.
 */
static inline bool kmsg_find_splat(int fd, char *line, size_t len)
{
	char buf[8192], *text, *end;
	ssize_t r;

	for (;;) {
		r = read(fd, buf, sizeof(buf) - 1);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EPIPE) {
			snprintf(line, len,
				 "the kernel's log: records were overwritten before they were read");
			return true;
		}
		if (r <= 0)
			return false;
		buf[r] = '\0';

		/* What processes wrote has a facility other than the kernel's. */
		if (atoi(buf) >> 3)
			continue;

		/* "prio,sequence,time,flags;text\n key=value\n ..." */
		text = strchr(buf, ';');
		if (!text)
			continue;
		text++;
		end = strchr(text, '\n');
		if (end)
			*end = '\0';

		if (!kmsg_is_splat(text))
			continue;

		snprintf(line, len, "%s", text);
		return true;
	}
}

/*
 * Fail the subtest if the kernel has reported anything since kmsg_open(), for
 * use in tests and fixtures built on kselftest_harness.h.
 */
#define EXPECT_NO_SPLAT(kmsg_fd)						\
do {										\
	char __line[512];							\
										\
	while (kmsg_find_splat(kmsg_fd, __line, sizeof(__line))) {		\
		TH_LOG("kernel splat: %s", __line);				\
		_metadata->exit_code = KSFT_FAIL;				\
	}									\
} while (0)

/* The end of a fixture whose kmsg_open() may have failed. */
static inline void kmsg_close(struct __test_metadata *_metadata, int fd)
{
	if (fd < 0)
		return;

	EXPECT_NO_SPLAT(fd);
	close(fd);
}

/* Why lockdep can't report anything, or NULL. */
static inline const char *lockdep_missing(void)
{
	static char reason[128];
	char line[128];
	int on = -1;
	FILE *f;

	f = fopen("/proc/lockdep_stats", "re");
	if (!f) {
		snprintf(reason, sizeof(reason),
			 "lockdep (CONFIG_PROVE_LOCKING): /proc/lockdep_stats: %s",
			 strerror(errno));
		return reason;
	}
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " debug_locks: %d", &on) == 1)
			break;
	}
	fclose(f);

	if (on == 1)
		return NULL;
	return on ? "/proc/lockdep_stats doesn't say whether lockdep is on" :
		    "lockdep has turned itself off after an earlier report";
}

static inline bool panics_on_warning(void)
{
	FILE *f = fopen("/proc/sys/kernel/panic_on_warn", "re");
	int on = 0;

	if (!f)
		return false;
	if (fscanf(f, "%d", &on) != 1)
		on = 0;
	fclose(f);
	return on;
}

/*
 * What a test changes for all VMs of the host, and not for its own alone, has to be
 * allowed: MAY_CHANGE in the environment names it, e.g. "parameters modules".
 * Returns NULL, or why @what isn't changed.
 */
static inline const char *change_missing(const char *what)
{
	const char *may = getenv("MAY_CHANGE");
	static char reason[64];

	if (may && strstr(may, what))
		return NULL;
	snprintf(reason, sizeof(reason), "MAY_CHANGE in the environment doesn't name %s", what);
	return reason;
}

/*
 * A VM for raw vCPUs, i.e. nothing but file descriptors.  On x86 it may have an
 * in-kernel local APIC.
 */
static inline struct kvm_vm *vm_create_raw(bool split_irqchip)
{
	struct kvm_vm *vm = vm_create_barebones();

#ifdef __x86_64__
	if (split_irqchip)
		vm_enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, SPLIT_IRQCHIP_PINS);
#endif
	return vm;
}

/* KVM_CREATE_VCPU, returns the vCPU's file descriptor or -errno. */
static inline int __vcpu_fd_create(struct kvm_vm *vm, u32 id)
{
	int fd = __vm_ioctl(vm, KVM_CREATE_VCPU, (void *)(unsigned long)id);

	return fd < 0 ? -errno : fd;
}

/* For a racer: the same, of the VM @arg. */
static inline int race_create(void *arg, u64 id)
{
	return __vcpu_fd_create(arg, id);
}

/* The lowest free file descriptor, i.e. the next one that is handed out. */
static inline int next_fd(struct kvm_vm *vm)
{
	int fd = kvm_dup(vm->fd);

	kvm_close(fd);
	return fd;
}

/* There's no free file descriptor until they are restored.  Returns the limit. */
static inline struct rlimit exhaust_fds(struct kvm_vm *vm)
{
	struct rlimit old, limit;

	TEST_ASSERT(!getrlimit(RLIMIT_NOFILE, &old), "getrlimit: %s", strerror(errno));

	/* The lowest free descriptor is just beyond the limit. */
	limit.rlim_cur = next_fd(vm);
	limit.rlim_max = old.rlim_max;
	TEST_ASSERT(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit: %s", strerror(errno));
	return old;
}

static inline void restore_fds(const struct rlimit *old)
{
	TEST_ASSERT(!setrlimit(RLIMIT_NOFILE, old), "setrlimit: %s", strerror(errno));
}

/* KVM_CREATE_VCPU without a free file descriptor, the last step that can fail. */
static inline int __vcpu_fd_create_at_limit(struct kvm_vm *vm, u32 id)
{
	struct rlimit old = exhaust_fds(vm);
	int fd = __vcpu_fd_create(vm, id);

	restore_fds(&old);
	return fd;
}

/*
 * Fault injection into the allocations of the calling thread: the n-th one, the
 * n-th one and all that follow, or each one from a slab cache.  The kernel's
 * knobs are global, but only threads that ask for it are affected.
 */
#define FAULT_FAILSLAB	"/sys/kernel/debug/failslab/"
#define FAULT_PAGE	"/sys/kernel/debug/fail_page_alloc/"

struct fault_injection {
	int nth_fd;
	int make_fd;
	char slab_knob[128];
	struct {
		const char *path;
		const char *value;
		char old[32];
	} knobs[12];
};

static inline int fault_knob_write(const char *path, const char *value)
{
	int fd, r = 0;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		r = -errno;
	close(fd);
	return r;
}

static inline int fault_knob_read(const char *path, char *value, size_t len)
{
	ssize_t r;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = read(fd, value, len - 1);
	if (r < 0)
		r = -errno;
	close(fd);
	value[r < 0 ? 0 : r] = '\0';
	return r < 0 ? r : 0;
}

/*
 * Is this thread in a function whose name has @function in it?  What the kernel tells of
 * a thread that runs can't be relied on, and it may not tell anything.
 */
static inline bool thread_is_in(int tid, const char *function)
{
	char path[64], stack[4096];

	snprintf(path, sizeof(path), "/proc/%d/stack", tid);
	return !fault_knob_read(path, stack, sizeof(stack)) && strstr(stack, function);
}

/* Where a thread is, as the kernel tells it. */
static inline void print_stack(int tid)
{
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stack", tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		ksft_print_msg("  %s", line);
	if (f)
		fclose(f);
}

static inline void fault_injection_end(struct fault_injection *fi)
{
	int i;

	if (fi->nth_fd < 0)
		return;

	for (i = ARRAY_SIZE(fi->knobs) - 1; i >= 0; i--) {
		if (fi->knobs[i].old[0])
			fault_knob_write(fi->knobs[i].path, fi->knobs[i].old);
	}
	if (fi->make_fd >= 0)
		close(fi->make_fd);
	close(fi->nth_fd);
	fi->nth_fd = -1;
}

/*
 * Let allocations that may sleep fail, too, as nearly all of KVM's do.  Returns
 * NULL, or the reason why faults can't be injected.
 */
static inline const char *fault_injection_begin(struct fault_injection *fi)
{
	static char reason[192];
	int i, r;

	*fi = (struct fault_injection) {
		.knobs = {
			{ FAULT_FAILSLAB "verbose", "0" },
			{ FAULT_FAILSLAB "times", "-1" },
			{ FAULT_FAILSLAB "task-filter", "Y" },
			{ FAULT_FAILSLAB "probability", "0" },
			{ FAULT_FAILSLAB "ignore-gfp-wait", "N" },
			{ FAULT_PAGE "verbose", "0" },
			{ FAULT_PAGE "times", "-1" },
			{ FAULT_PAGE "task-filter", "Y" },
			{ FAULT_PAGE "probability", "0" },
			{ FAULT_PAGE "min-order", "0" },
			{ FAULT_PAGE "ignore-gfp-wait", "N" },
			/* vmalloc()'s pages, on any machine. */
			{ FAULT_PAGE "ignore-gfp-highmem", "N" },
		},
	};

	fi->nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fi->nth_fd < 0) {
		snprintf(reason, sizeof(reason), "no fault injection: fail-nth: %s",
			 strerror(errno));
		return reason;
	}
	fi->make_fd = open("/proc/thread-self/make-it-fail", O_RDWR | O_CLOEXEC);

	for (i = 0; i < (int)ARRAY_SIZE(fi->knobs); i++) {
		r = fault_knob_read(fi->knobs[i].path, fi->knobs[i].old,
				    sizeof(fi->knobs[i].old));
		if (!r)
			r = fault_knob_write(fi->knobs[i].path, fi->knobs[i].value);
		if (r) {
			snprintf(reason, sizeof(reason), "no fault injection: %s: %s",
				 fi->knobs[i].path, strerror(-r));
			fi->knobs[i].old[0] = '\0';
			fault_injection_end(fi);
			return reason;
		}
	}

	return NULL;
}

/* Fail the @nth allocation from now on. */
static inline int fault_arm(struct fault_injection *fi, unsigned int nth)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%u", nth);

	return pwrite(fi->nth_fd, buf, len, 0) == len ? 0 : -errno;
}

/* How many allocations are left until one fails, 0 if it has. */
static inline unsigned int fault_left(struct fault_injection *fi)
{
	char buf[16] = "";

	TEST_ASSERT(pread(fi->nth_fd, buf, sizeof(buf) - 1, 0) > 0,
		    "fail-nth: %s", strerror(errno));
	return strtoul(buf, NULL, 10);
}

/* Stop failing.  Returns true if an allocation did fail. */
static inline bool fault_disarm(struct fault_injection *fi)
{
	unsigned int left = fault_left(fi);

	fault_arm(fi, 0);
	return !left;
}

/* Allocations may fail with certainty, if fault_arm_onwards() asks for it. */
static inline int fault_begin_onwards(void)
{
	int r = fault_knob_write(FAULT_FAILSLAB "probability", "100");

	return r ?: fault_knob_write(FAULT_PAGE "probability", "100");
}

/*
 * Fail the @nth allocation from now on, and each one after it: fail-nth comes
 * first, and the probability counts as soon as it has run out.
 */
static inline int fault_arm_onwards(struct fault_injection *fi, unsigned int nth)
{
	int r = fault_arm(fi, nth);

	return r ?: write(fi->make_fd, "1", 1) == 1 ? 0 : -errno;
}

/* Like fault_disarm().  What is written to open files takes no memory. */
static inline bool fault_disarm_onwards(struct fault_injection *fi)
{
	TEST_ASSERT(write(fi->make_fd, "0", 1) == 1, "make-it-fail: %s", strerror(errno));
	return fault_disarm(fi);
}

/* Let allocations from one slab cache fail, and no others: none from other caches, no pages. */
static inline int fault_filter_cache(struct fault_injection *fi, const char *cache)
{
	int r;

	snprintf(fi->slab_knob, sizeof(fi->slab_knob), "/sys/kernel/slab/%s/failslab", cache);

	r = fault_knob_write(fi->slab_knob, "1");
	if (!r)
		r = fault_knob_write(FAULT_FAILSLAB "cache-filter", "Y");
	if (!r)
		r = fault_knob_write(FAULT_PAGE "min-order", "99");
	return r;
}

/* Fail each allocation from one slab cache, and none from any other. */
static inline int fault_arm_cache(struct fault_injection *fi, const char *cache)
{
	int r;

	r = fault_filter_cache(fi, cache);
	if (!r)
		r = fault_knob_write("/proc/thread-self/make-it-fail", "1");
	if (!r)
		r = fault_knob_write(FAULT_FAILSLAB "probability", "100");
	return r;
}

static inline void fault_disarm_cache(struct fault_injection *fi)
{
	fault_knob_write(FAULT_FAILSLAB "probability", "0");
	fault_knob_write("/proc/thread-self/make-it-fail", "0");
	fault_knob_write(FAULT_PAGE "min-order", "0");
	fault_knob_write(FAULT_FAILSLAB "cache-filter", "N");
	fault_knob_write(fi->slab_knob, "0");
}

/*
 * A place in the code warns once.  Let it do so again, e.g. if the test is run
 * twice.  Where that isn't possible there is one warning per boot.
 */
static inline void rearm_warnings(void)
{
	fault_knob_write("/sys/kernel/debug/clear_warn_once", "1");
}

/*
 * @function relies on the vCPU's mutex, and lockdep says so: @where, which is
 * @function or one that it calls, warns if the mutex isn't held, and doesn't if
 * it is.
 */
static inline void expect_mutex_asserted(struct __test_metadata *_metadata, int kmsg,
					 struct kvm_vm *vm, u32 vcpu_id, const char *function,
					 const char *where)
{
	const char *missing = kvm_lifecycle_missing("unlocked");
	char line[512], at[64];
	bool warned = false;
	int file, r;

	if (missing)
		SKIP(return, "%s", missing);
	if (panics_on_warning())
		SKIP(return, "panic_on_warn is set, and a warning is what is tested for");

	EXPECT_NO_SPLAT(kmsg);
	file = kvm_lifecycle_open(_metadata, "unlocked");

	r = __kvm_lifecycle_write(file, "%d %u %s locked", vm->fd, vcpu_id, function);
	if (r == -ENOENT)
		SKIP(return, "this kernel has no %s()", function);
	ASSERT_EQ(0, r)
		TH_LOG("%s() with vcpu->mutex: %s", function, strerror(-r));
	while (kmsg_find_splat(kmsg, line, sizeof(line))) {
		TH_LOG("%s() with vcpu->mutex: wanted no report, got '%s'", function, line);
		_metadata->exit_code = KSFT_FAIL;
	}

	ASSERT_EQ(0, __kvm_lifecycle_write(file, "%d %u %s", vm->fd, vcpu_id, function));
	snprintf(at, sizeof(at), " %s+", where);
	while (kmsg_find_splat(kmsg, line, sizeof(line))) {
		if (strstr(line, "WARNING:") && strstr(line, at)) {
			warned = true;
			continue;
		}
		TH_LOG("kernel splat: %s", line);
		_metadata->exit_code = KSFT_FAIL;
	}
	EXPECT_TRUE(warned)
		TH_LOG("%s() without vcpu->mutex: wanted a warning of lockdep, got none",
		       function);

	close(file);
}

#ifdef __x86_64__
/*
 * The references to kvm_amd, of which each VM, i.e. each of its file descriptors,
 * has one.  -1: it isn't loaded, or is built in.
 */
static inline int kvm_amd_users(void)
{
	char buf[32] = "";
	int fd = open("/sys/module/kvm_amd/refcnt", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (read(fd, buf, sizeof(buf) - 1) < 0)
		buf[0] = '\0';
	close(fd);
	return atoi(buf);
}

/* The same, once those that leave within @s seconds are gone: what is freed late. */
static inline int kvm_amd_users_left(unsigned int s)
{
	u64 start = now_ms();
	int users;

	while ((users = kvm_amd_users()) > 0 && !timed_out(start, s))
		usleep(POLL_US);
	return users;
}

/* The file that modprobe loads kvm_amd from. */
static inline bool kvm_amd_file(char *path, size_t size)
{
	char dir[128], line[1024];
	struct utsname name;
	bool found = false;
	FILE *f;

	uname(&name);
	snprintf(dir, sizeof(dir), "/lib/modules/%s", name.release);
	snprintf(path, size, "%s/modules.dep", dir);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		*strchrnul(line, ':') = '\0';
		found = strstr(line, "kvm-amd.ko");
	}
	fclose(f);
	snprintf(path, size, "%s/%s", dir, line);
	return found;
}

/* Why kvm_amd can't be unloaded and loaded again, or NULL if it can. */
static inline const char *kvm_amd_not_reloadable(void)
{
	char path[1280];

	if (kvm_amd_file(path, sizeof(path)))
		return change_missing("modules");
	return "kvm_amd isn't a module that modprobe finds";
}

#define KVM_AMD_LOAD	"modprobe kvm_amd"

/* The command that loads kvm_amd as it is loaded now: KVM_AMD_LOAD and parameters. */
static inline void kvm_amd_load_command(char *cmd, size_t size)
{
	const char *dir = "/sys/module/kvm_amd/parameters";
	char path[512], value[128];
	struct dirent *e;
	ssize_t r;
	DIR *d;
	int fd;

	snprintf(cmd, size, KVM_AMD_LOAD);
	d = opendir(dir);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		r = fd < 0 ? -1 : read(fd, value, sizeof(value) - 1);
		if (fd >= 0)
			close(fd);
		if (r <= 0)
			continue;
		value[r] = '\0';
		*strchrnul(value, '\n') = '\0';
		snprintf(cmd + strlen(cmd), size - strlen(cmd), " %s=%s", e->d_name, value);
	}
	if (d)
		closedir(d);
}

/* Returns 0 or -errno; doesn't wait for users of the module. */
static inline int unload_kvm_amd(void)
{
	return syscall(SYS_delete_module, "kvm_amd", O_NONBLOCK) ? -errno : 0;
}

/* For a racer. */
static inline int race_unload_kvm_amd(void *unused, u64 unused2)
{
	return unload_kvm_amd();
}
#endif

#ifdef __aarch64__
/* Old kernels let nobody access any register before init. */
#define VGIC_NO_PREINIT	"no register can be accessed before init"

/* A VM without vCPUs, and its vGICv3, which has everything but redistributors. */
static inline struct kvm_vm *vm_create_with_vgic(unsigned int nr_vcpus, u32 nr_irqs, int *gic_fd)
{
	struct kvm_vm *vm = vm_create(nr_vcpus);
	u64 addr = GICD_BASE_GPA;

	*gic_fd = kvm_create_device(vm, KVM_DEV_TYPE_ARM_VGIC_V3);
	kvm_device_attr_set(*gic_fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nr_irqs);
	kvm_device_attr_set(*gic_fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST,
			    &addr);
	return vm;
}

/* Why GICD_IIDR can't be read before the vGIC is initialized, though no vCPU is busy, or NULL. */
static inline const char *vgic_preinit_missing(void)
{
	struct kvm_create_device gic = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
	int kvm = open_path_or_exit(KVM_DEV_PATH, O_RDWR), vm, vcpu, err = 0;
	const char *missing = NULL;
	u32 iidr;

	vm = ioctl(kvm, KVM_CREATE_VM, 0ul);
	TEST_ASSERT(vm >= 0, KVM_IOCTL_ERROR(KVM_CREATE_VM, vm));
	if (ioctl(vm, KVM_CREATE_DEVICE, &gic)) {
		missing = "KVM has no GICv3";
		goto out;
	}
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0ul);
	TEST_ASSERT(vcpu >= 0, KVM_IOCTL_ERROR(KVM_CREATE_VCPU, vcpu));
	if (__kvm_device_attr_get(gic.fd, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_IIDR, &iidr))
		err = errno;
	TEST_ASSERT(!err || err == EBUSY, "GICD_IIDR: want 0 or EBUSY, got %s", strerror(err));
	if (err)
		missing = VGIC_NO_PREINIT;
	close(vcpu);
	close(gic.fd);
out:
	close(vm);
	close(kvm);
	return missing;
}

/* Room for the redistributors of @count vCPUs at @gpa.  Returns 0 or -errno. */
static inline int vgic_set_region(int gic_fd, u64 gpa, int count, int index)
{
	u64 attr = REDIST_REGION_ATTR_ADDR(count, gpa, 0, index);

	return __kvm_device_attr_set(gic_fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
				     KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, &attr) ? -errno : 0;
}

/* Returns 0 or -errno. */
static inline int vgic_ctrl_init(int gic_fd)
{
	return __kvm_device_attr_set(gic_fd, KVM_DEV_ARM_VGIC_GRP_CTRL,
				     KVM_DEV_ARM_VGIC_CTRL_INIT, NULL) ? -errno : 0;
}
#endif

#endif /* SELFTEST_KVM_LIFECYCLE_H */
