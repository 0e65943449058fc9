// SPDX-License-Identifier: GPL-2.0-only
/*
 * The IOMMU logs an interrupt that it can't post because the target vCPU isn't
 * running, and KVM's GA Log notifier then wakes the vCPU.  The notifier runs in
 * a preemptible interrupt thread, for which nobody waits: it must not find a
 * vCPU that is being freed, and the vCPU that it has found must not be freed
 * under it:
 *
 *  - a live vCPU that is blocked is woken, and only that one;
 *  - a VM leaves the GA Log list before its vCPUs are destroyed;
 *  - a VM isn't destroyed while one of its vCPUs is being woken.
 *
 * kvm_lifecycle injects the entries from a thread like that of the IOMMU, and
 * holds a chosen task at a chosen function, so that the races are met each time
 * and not once in a million times.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sys/ioctl.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#include "processor.h"
#include "kvm_lifecycle.h"

/* Emulated hosts with all of the kernel's debugging need most of it. */
#define SUBTEST_TIMEOUT_S	120

/* Anything that is waited for happens far sooner, or never. */
#define WAIT_S			20

#define NR_VCPUS		4

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
#define STORM_PAUSE_HITS	1000

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

/* The VM's ID, or 0.  Must not keep a reference to the VM, hence the close. */
static u32 get_vm_id(struct kvm_vm *vm)
{
	int fd = __kvm_lifecycle_open("avic");
	char buf[4096];
	u32 id = 0;

	if (fd < 0)
		return 0;

	if (__kvm_lifecycle_write(fd, "%d", vm->fd) ||
	    kvm_lifecycle_read(fd, buf, sizeof(buf)) <= 0 ||
	    sscanf(buf, "vm_id %u ", &id) != 1)
		id = 0;
	close(fd);
	return id;
}

/* A VM with raw vCPUs, nothing but file descriptors refers to it. */
static void create_vm(struct __test_metadata *_metadata, struct ga_log_test *t)
{
	t->vm = vm_create_raw(true);

	for (t->nr_vcpus = 0; t->nr_vcpus < NR_VCPUS; t->nr_vcpus++) {
		int fd = __vcpu_fd_create(t->vm, t->nr_vcpus);

		ASSERT_LE(0, fd);
		t->vcpu_fds[t->nr_vcpus] = fd;
	}

	t->vm_id = get_vm_id(t->vm);
	ASSERT_NE(0, t->vm_id);
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

/* The wake-up reaches the vCPU that the entry names, while it is blocked. */
TEST_F_TIMEOUT(ga_log, live_wakeup, SUBTEST_TIMEOUT_S)
{
	struct ga_log_test *t = &self->t;
	struct sigaction sa = { .sa_handler = kick };
	struct blocked_vcpu blocked[NR_VCPUS] = {};
	u64 before[NR_VCPUS], after;
	u64 start;
	u32 vm_id;
	int i, j;

	/* KVM_RUN is to return, without SA_RESTART. */
	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));

	t->vm = vm_create_raw(true);
	for (i = 0; i < NR_VCPUS; i++)
		blocked[i].vcpu = __vm_vcpu_add(t->vm, i);
	vm_id = get_vm_id(t->vm);
	ASSERT_NE(0, vm_id);

	for (i = 1; i < NR_VCPUS; i++) {
		ASSERT_EQ(0, pthread_create(&blocked[i].thread, NULL, run_blocked_vcpu,
					    &blocked[i]));
		wait_for_block(_metadata, blocked[i].vcpu);
	}

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

	for (i = 1; i < NR_VCPUS; i++) {
		EXPECT_EQ(1, vcpu_get_stat(blocked[i].vcpu, blocking));
		pthread_kill(blocked[i].thread, SIGUSR1);
		pthread_join(blocked[i].thread, NULL);
		EXPECT_EQ(-1, blocked[i].r);
		EXPECT_EQ(EINTR, blocked[i].err);
	}
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

/*
 * Destroy the VM while the notifier, which has found the vCPU, is about to wake
 * it.  No vCPU may be destroyed before the notifier has finished.
 */
TEST_F_TIMEOUT(ga_log, destroy_during_wakeup, SUBTEST_TIMEOUT_S)
{
	struct ga_log_test *t = &self->t;
	const char *missing = kvm_lifecycle_missing("vcpu_index");
	struct pause_state p;
	u64 start;
	int i, rec, destroyed, early;
	pthread_t thread;

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

		start = now_ms();
		do {
			p = pause_read(t->pause);
			ASSERT_FALSE(timed_out(start, WAIT_S))
				TH_LOG("the notifier didn't call kvm_vcpu_wake_up() in %d s",
				       WAIT_S);
		} while (!p.hits);
		ASSERT_EQ(1, p.inside)
			TH_LOG("the notifier has finished before the VM was to be destroyed");

		ASSERT_EQ(0, pthread_create(&thread, NULL, free_vm_thread, t));

		/*
		 * In this order, so that what is seen has come before the end.
		 * Let the notifier go on once what it has found is freed.
		 */
		early = 0;
		destroyed = 0;
		do {
			usleep(POLL_US);
			destroyed += count_destroyed(_metadata, rec);
			p = pause_read(t->pause);
			if (p.inside)
				early = destroyed;
		} while (p.inside && early < NR_VCPUS);

		ASSERT_EQ(0, __kvm_lifecycle_write(t->pause, "release"));
		pthread_join(thread, NULL);
		wait_for_injector(_metadata, t->ga_log);
		close(rec);

		EXPECT_EQ(0, early)
			TH_LOG("%d vCPUs were destroyed while the notifier was to wake vCPU%d",
			       early, i % NR_VCPUS);
	}
}

/* What the storm's threads share. */
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

/* Each VM, i.e. each of its file descriptors, has a reference to the module. */
static int kvm_amd_users(void)
{
	char buf[32] = "";
	int fd = open("/sys/module/kvm_amd/refcnt", O_RDONLY);

	if (fd < 0)
		return -1;
	if (read(fd, buf, sizeof(buf) - 1) < 0)
		buf[0] = '\0';
	close(fd);
	return atoi(buf);
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

int main(int argc, char *argv[])
{
	TEST_REQUIRE(!access(KVM_DEV_PATH, R_OK | W_OK));
	__TEST_REQUIRE(!access("/sys/module/kvm_amd/parameters/avic", R_OK),
		       "kvm_amd isn't loaded");
	__TEST_REQUIRE(kvm_get_module_param_bool("kvm_amd", "avic"), "AVIC is off in kvm_amd");

	return test_harness_run(argc, argv);
}
