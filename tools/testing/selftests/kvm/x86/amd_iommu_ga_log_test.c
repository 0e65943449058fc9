// SPDX-License-Identifier: GPL-2.0-only
/*
 * The AMD IOMMU's driver hands the entries of its GA Log to a notifier, which
 * is in a module (kvm_amd).  The module may go away once it has unregistered
 * its notifier, i.e. unregistering must not return while the notifier runs, and
 * no call may come after it.  The driver calls the notifier in an interrupt
 * thread, which may be preempted in the middle of a call.
 *
 * A log that is full stops, and entries are lost: the driver has to restart it,
 * whenever it has become full, and to tell the notifier.
 *
 * No IOMMU is needed: kvm_lifecycle gives the driver a log and registers in
 * memory, in a thread like that of the IOMMU, and has a notifier that takes its
 * time.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <sys/resource.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#include "kvm_lifecycle_harness.h"

/* Emulated hosts with all of the kernel's debugging need most of it. */
#define SUBTEST_TIMEOUT_S	120

/* Anything that is waited for happens far sooner, or never. */
#define WAIT_S			20

/*
 * The longest that a call of the notifier lasts, many RCU grace periods.  It
 * ends earlier if unregistering has returned meanwhile.
 */
#define BUSY_US			1000000

/*
 * How often each race is run.  Once is enough to see the bug, the others are to
 * see that once is.
 */
#define NR_RACES		3

/* The notifier comes and goes for so long, with calls of so many us. */
#define STORM_S			2
#define STORM_MIN_ROUNDS	10
#define STORM_BUSY_US		20
#define MAX_COUNT		1000000

/* After this time the thread has processed many more entries. */
#define SETTLE_US		20000

/* How often the thread may be preempted elsewhere than in KVM's notifier. */
#define MAX_PREEMPTIONS		2000

/*
 * It gets the rest of its share of the CPU within some ticks.  After that, with 3 to
 * 88761 of the CPU, the next turn is minutes away.
 */
#define LAST_TURN_MS		100

/* It may have its turn nevertheless, e.g. if the host is slow.  Then nothing was tested. */
#define NR_ATTEMPTS		3

/*
 * The longest that it is kept from going on, and for how long once unloading
 * kvm_amd waits for RCU, not only to unregister the notifier: many grace
 * periods, although RCU's own threads may have to share that CPU.
 */
#define PREEMPTED_S		80
#define RCU_WAIT_S		12

FIXTURE(ga_notifier) {
	int iommu;
	int kmsg;
};

struct iommu_state {
	u32 sent;
	u32 running;
	u32 calls;
	u32 inside;
	u32 unregistered;
	u32 overlapped;
	u32 early;
	u32 going;
	u32 overflows;
	u32 restarts;
	u32 log;
	u32 told;
};

#define STATE_FORMAT \
	"tid %*d sent %u running %u calls %u inside %u unregistered %u overlapped %u early %u " \
	"going %u overflows %u restarts %u log %u told %u"

static struct iommu_state get_state(int fd)
{
	struct iommu_state s;

	kvm_lifecycle_scan(fd, 12, STATE_FORMAT, &s.sent, &s.running, &s.calls, &s.inside,
			   &s.unregistered, &s.overlapped, &s.early, &s.going,
			   &s.overflows, &s.restarts, &s.log, &s.told);
	return s;
}

FIXTURE_SETUP(ga_notifier)
{
	const char *missing = kvm_lifecycle_missing("iommu");

	self->iommu = -1;
	self->kmsg = -1;

	/* Whose notifier is to be put back in the end. */
	if (!missing)
		missing = kvm_lifecycle_missing("ga_log");
	if (missing)
		SKIP(return, "%s", missing);

	self->iommu = kvm_lifecycle_open(_metadata, "iommu");

	self->kmsg = kmsg_open();
	if (self->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-self->kmsg));
}

FIXTURE_TEARDOWN(ga_notifier)
{
	/* Puts KVM's notifier back. */
	if (self->iommu >= 0)
		close(self->iommu);
	kmsg_close(_metadata, self->kmsg);
}

/*
 * Unregister the notifier while it is handling an entry: that must not return
 * before the notifier has.
 */
TEST_F_TIMEOUT(ga_notifier, unregister_waits, SUBTEST_TIMEOUT_S)
{
	struct iommu_state before, after;
	u64 start;
	int i;

	for (i = 0; i < NR_RACES; i++) {
		ASSERT_EQ(0, __kvm_lifecycle_write(self->iommu, "register %d", BUSY_US));
		ASSERT_EQ(0, __kvm_lifecycle_write(self->iommu, "process 1"));

		start = now_ms();
		do {
			before = get_state(self->iommu);
			ASSERT_FALSE(timed_out(start, WAIT_S))
				TH_LOG("the notifier wasn't called in %d s", WAIT_S);
		} while (!before.inside);

		ASSERT_EQ(0, __kvm_lifecycle_write(self->iommu, "unregister"));

		after = get_state(self->iommu);
		ASSERT_EQ(before.unregistered + 1, after.unregistered);
		/* Else nothing was tested. */
		ASSERT_EQ(before.overlapped + 1, after.overlapped)
			TH_LOG("the notifier had returned before it was unregistered");
		EXPECT_EQ(before.early, after.early)
			TH_LOG("the notifier was unregistered while it was running");

		ASSERT_EQ(0, __kvm_lifecycle_write(self->iommu, "stop"));
	}
}

/*
 * The notifier comes and goes while the log is processed all the time: each
 * time it is called while it is registered, and never afterwards.
 */
TEST_F_TIMEOUT(ga_notifier, register_while_processing, SUBTEST_TIMEOUT_S)
{
	struct iommu_state before, after;
	u64 start, wait;
	int i;

	start = now_ms();
	for (i = 0; !timed_out(start, STORM_S) || i < STORM_MIN_ROUNDS; i++) {
		ASSERT_FALSE(timed_out(start, WAIT_S))
			TH_LOG("%d rounds in %d s", i, WAIT_S);

		before = get_state(self->iommu);
		ASSERT_EQ(0, __kvm_lifecycle_write(self->iommu, "register %d", STORM_BUSY_US));
		wait = now_ms();
		do {
			after = get_state(self->iommu);
			/* At first, and whenever the last entry has been processed. */
			if (!after.running)
				ASSERT_EQ(0, __kvm_lifecycle_write(self->iommu, "process %d",
								   MAX_COUNT));
			ASSERT_FALSE(timed_out(wait, WAIT_S))
				TH_LOG("the notifier wasn't called in %d s", WAIT_S);
		} while (after.calls == before.calls);
		ASSERT_EQ(0, __kvm_lifecycle_write(self->iommu, "unregister"));

		/* Entries are still processed, but not by the notifier. */
		before = get_state(self->iommu);
		usleep(SETTLE_US);
		after = get_state(self->iommu);
		EXPECT_EQ(before.calls, after.calls)
			TH_LOG("round %d: the notifier was called after it was unregistered", i);
		EXPECT_EQ(0, after.early)
			TH_LOG("round %d: the notifier was unregistered while it was running", i);
	}

	ASSERT_EQ(0, __kvm_lifecycle_write(self->iommu, "stop"));
}

/* Keeps a CPU from threads of the class SCHED_IDLE, for a limited time. */
struct spinner {
	pthread_t thread;
	int cpu;
	bool runs;
	bool stop;
};

static void *spin(void *arg)
{
	struct spinner *s = arg;
	u64 start;

	pin_tid_to_cpu(0, s->cpu);
	TEST_ASSERT(!setpriority(PRIO_PROCESS, gettid(), -20), "setpriority: %s",
		    strerror(errno));

	start = now_ms();
	WRITE_ONCE(s->runs, true);
	while (!READ_ONCE(s->stop) && !timed_out(start, PREEMPTED_S))
		;
	WRITE_ONCE(s->runs, false);
	return NULL;
}

static void stop_spinner(struct spinner *s)
{
	WRITE_ONCE(s->stop, true);
	pthread_join(s->thread, NULL);
}

/* How often a thread was preempted so far. */
static unsigned long preemptions(int tid)
{
	static const char field[] = "nonvoluntary_ctxt_switches:";
	char path[64], status[4096], *found;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	r = fault_knob_read(path, status, sizeof(status));
	TEST_ASSERT(!r, "%s: %s", path, strerror(-r));
	found = strstr(status, field);
	TEST_ASSERT(found, "%s: no %s", path, field);
	return strtoul(found + strlen(field), NULL, 10);
}

static void start_spinner(struct spinner *s, int cpu)
{
	*s = (struct spinner) { .cpu = cpu };
	TEST_ASSERT(!pthread_create(&s->thread, NULL, spin, s), "no thread");
	while (!READ_ONCE(s->runs))
		usleep(100);
}

/*
 * Is @tid, which a spinner keeps off its CPU, in KVM's notifier to stay there?  @nr is how
 * often it had been preempted by then.
 */
static bool stays_in_notifier(int tid, unsigned long *nr)
{
	u64 start = now_ms();

	if (!thread_is_in(tid, "avic_ga_log_notifier"))
		return false;

	for (*nr = preemptions(tid); now_ms() - start < LAST_TURN_MS; usleep(POLL_US)) {
		unsigned long now = preemptions(tid);

		if (now != *nr) {
			*nr = now;
			start = now_ms();
		}
	}
	return thread_is_in(tid, "avic_ga_log_notifier");
}

/* How unloading kvm_amd went. */
struct unload {
	int ret;
	bool early;		/* while the notifier, preempted, was still in it */
	bool moved;		/* the notifier wasn't kept from going on */
	bool expired;
	u32 going;		/* how often it has come so far that its memory is freed */
};

/* Unload kvm_amd with @tid, which is in its notifier, kept there. */
static struct unload unload_during_notifier(int iommu, int tid, struct spinner *spinner,
					    unsigned long nr_preemptions)
{
	struct racer unloader = { .fn = race_unload_kvm_amd };
	u32 before = get_state(iommu).going;
	struct unload u = {};
	bool waits = false;
	u64 start = 0;

	racer_start(&unloader, -1);
	racer_go(&unloader);
	do {
		usleep(10 * POLL_US);
		if (!READ_ONCE(spinner->stop)) {
			u.expired = !READ_ONCE(spinner->runs);
			u.going = get_state(iommu).going - before;
			u.early = u.going && thread_is_in(tid, "avic_ga_log_notifier");
			/* At last, as the look before relies on it. */
			u.moved = preemptions(tid) != nr_preemptions;
			if (u.expired || u.moved || u.going)
				WRITE_ONCE(spinner->stop, true);
		}
		if (!waits)
			start = now_ms();
		waits = thread_is_in(unloader.tid, "rcu");
		if (waits && timed_out(start, RCU_WAIT_S))
			WRITE_ONCE(spinner->stop, true);
	} while (!racer_done(&unloader));

	u.ret = racer_join(&unloader);
	u.going = get_state(iommu).going - before;
	return u;
}

/*
 * Unload kvm_amd while its notifier, in the middle of handling an entry, is
 * preempted: the notifier must have returned before the module is freed.  If it
 * hasn't, kvm_lifecycle waits for it, so as not to take the machine down.
 */
TEST_F_TIMEOUT(ga_notifier, unload_kvm_amd, NR_ATTEMPTS * SUBTEST_TIMEOUT_S)
{
	const char *missing = kvm_amd_not_reloadable();
	struct sched_param param = {};
	struct spinner spinner;
	struct unload u = {};
	unsigned long nr = 0;
	int attempt, i, tid, cpu;
	bool preempted;
	char load[4096];

	if (missing)
		SKIP(return, "%s", missing);
	if (access("/proc/self/stack", F_OK))
		SKIP(return, "the kernel has no /proc/PID/stack");
	cpu = set_cpu_aside();
	if (cpu < 0)
		SKIP(return, "two CPUs are needed");

	kvm_amd_load_command(load, sizeof(load));

	/* Any other thread on that CPU goes first. */
	tid = injector_read(self->iommu).tid;
	pin_tid_to_cpu(tid, cpu);
	ASSERT_EQ(0, sched_setscheduler(tid, SCHED_IDLE, &param));

	for (attempt = 0; !attempt || (u.moved && attempt < NR_ATTEMPTS); attempt++) {
		preempted = false;
		for (i = 0; i < MAX_PREEMPTIONS && !preempted; i++) {
			if (!get_state(self->iommu).running)
				ASSERT_EQ(0, __kvm_lifecycle_write(self->iommu, "process %d",
								   MAX_COUNT));
			start_spinner(&spinner, cpu);
			preempted = stays_in_notifier(tid, &nr);
			if (!preempted)
				stop_spinner(&spinner);
		}
		ASSERT_TRUE(preempted)
			TH_LOG("preempted %d times, never in KVM's notifier", i);

		u = unload_during_notifier(self->iommu, tid, &spinner, nr);
		stop_spinner(&spinner);
		ASSERT_EQ(0, u.ret)
			TH_LOG("unload kvm_amd: %s", strerror(-u.ret));
		/* Else nothing was tested. */
		EXPECT_EQ(1, u.going);
		ASSERT_EQ(0, system(load));
	}

	ASSERT_FALSE(u.moved)
		TH_LOG("too slow: %d times, the notifier wasn't kept from going on", attempt);
	EXPECT_FALSE(u.expired)
		TH_LOG("kvm_amd was neither unloaded nor kept from it in %d s", PREEMPTED_S);
	EXPECT_FALSE(u.early)
		TH_LOG("kvm_amd was unloaded while its notifier was running");
}

/*
 * Have the driver handle an overflow that has come "early", i.e. before it reads the
 * status, or "late", i.e. after it has read it and before it clears what was set.
 */
static struct iommu_state overrun(struct __test_metadata *_metadata, int iommu, const char *when)
{
	struct iommu_state before = get_state(iommu), after;
	u64 start = now_ms();

	ASSERT_EQ(0, __kvm_lifecycle_write(iommu, "overflow %s", when));
	do {
		usleep(POLL_US);
		after = get_state(iommu);
		ASSERT_FALSE(timed_out(start, WAIT_S))
			TH_LOG("the driver hasn't handled the overflow in %d s", WAIT_S);
	} while (after.running);
	ASSERT_EQ(before.overflows + 1, after.overflows);
	return after;
}

TEST_F_TIMEOUT(ga_notifier, overflow, SUBTEST_TIMEOUT_S)
{
	struct iommu_state before = get_state(self->iommu), after;

	after = overrun(_metadata, self->iommu, "early");
	EXPECT_EQ(before.restarts + 1, after.restarts);
	EXPECT_EQ(1, after.log)
		TH_LOG("the GA Log has overflowed, and is stopped");
}

/* An overflow that the driver clears without having seen it is never handled. */
TEST_F_TIMEOUT(ga_notifier, overflow_between_read_and_clear, SUBTEST_TIMEOUT_S)
{
	struct iommu_state before = get_state(self->iommu), after;

	after = overrun(_metadata, self->iommu, "late");
	EXPECT_EQ(1, after.log)
		TH_LOG("the GA Log has overflowed behind the handler's back, and is stopped");
	EXPECT_EQ(before.restarts + 1, after.restarts);
}

/* Nobody but the notifier can do anything about the entries that were lost. */
TEST_F_TIMEOUT(ga_notifier, overflow_is_told, SUBTEST_TIMEOUT_S)
{
	struct iommu_state before, after;

	ASSERT_EQ(0, __kvm_lifecycle_write(self->iommu, "register 0"));
	before = get_state(self->iommu);
	after = overrun(_metadata, self->iommu, "early");
	EXPECT_EQ(before.told + 1, after.told)
		TH_LOG("an entry was lost, and the notifier was not told");
	EXPECT_EQ(before.calls, after.calls);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(!access(KVM_DEV_PATH, R_OK | W_OK));

	return test_harness_run(argc, argv);
}
