// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that race with each other, each on a CPU of its own if need be.
 */
#include "kvm_lifecycle.h"

/*
 * A thread at a pause point keeps its CPU to itself.  Take a CPU away from this
 * task, and from the threads that it creates, which inherit that.  Returns the
 * CPU, or -1 if this task has only one.  It's the last one, as SRCU does its
 * work on the first.
 */
int set_cpu_aside(void)
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
void pin_tid_to_cpu(int tid, int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	TEST_ASSERT(!sched_setaffinity(tid, sizeof(cpus), &cpus),
		    "sched_setaffinity() to CPU%d failed, errno: %d", cpu, errno);
}

static void *racer_thread(void *arg)
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
void racer_start(struct racer *r, int cpu)
{
	int err;

	r->cpu = cpu;
	err = pthread_create(&r->thread, NULL, racer_thread, r);
	TEST_ASSERT(!err, "pthread_create: %s", strerror(err));
	while (!__atomic_load_n(&r->tid, __ATOMIC_SEQ_CST))
		usleep(100);
}

/* Is it done, now or within so many milliseconds? */
bool racer_done_within(struct racer *r, int ms)
{
	u64 end = now_ms() + ms;

	while (!racer_done(r) && now_ms() < end)
		usleep(POLL_US);

	return racer_done(r);
}

/* Returns the result of the racer. */
int racer_join(struct racer *r)
{
	pthread_join(r->thread, NULL);
	return r->ret;
}

/*
 * Wait until the racer has come to a pause point.  Returns false if it is done
 * without, or still hasn't come after @s seconds.
 */
bool racer_wait_for_pause(struct racer *r, int pause, unsigned int s)
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
bool racer_go_to(struct racer *r, int pause, const char *function, unsigned int s)
{
	pause_arm(pause, function, r->tid, PAUSE_MAX_US);
	racer_go(r);
	return racer_wait_for_pause(r, pause, s);
}

/*
 * Is this thread in a function whose name has @function in it?  The stack of a thread that
 * runs can't be relied on, and may be empty.
 */
bool thread_is_in(int tid, const char *function)
{
	char path[64], stack[4096];

	snprintf(path, sizeof(path), "/proc/%d/stack", tid);
	return !fault_knob_read(path, stack, sizeof(stack)) && strstr(stack, function);
}

/* Where a thread is, as the kernel tells it. */
void print_stack(int tid)
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
