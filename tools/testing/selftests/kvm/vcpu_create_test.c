// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CREATE_VCPU against other users of the VM meanwhile:
 *
 *  - a vCPU can't be used before it is complete, not even by a thread that
 *    guesses its file descriptor, and such a thread doesn't keep others from
 *    using the VM;
 *  - vCPUs of one VM are created in parallel: a vCPU that is being built keeps
 *    neither other vCPUs from being created nor the VM from being used, but
 *    its ID is taken;
 *  - a creation that fails undoes its own changes, and nothing else, and nobody
 *    is refused because of a vCPU that then isn't created;
 *  - a call that needs all vCPUs of the VM never sees a half-made one, and since
 *    7.3 is not refused because there is one, but waits for it.
 *
 * kvm_lifecycle holds the creating thread at a chosen place.  That the others
 * can go on meanwhile is seen by the order of events and not by a clock: they
 * have to be back before the pause is over.  A pause is a second at most, and
 * a busy machine may need longer for anything, so that each such case has a
 * few attempts: where they have to wait, none of them can succeed.
 *
 * "vcpu_create_test -b [NR_VCPUS]" doesn't test, but prints how long it takes
 * to create NR_VCPUS vCPUs with one thread, and with one per CPU.
 */
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sys/ioctl.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#include "processor.h"
#include "kvm_lifecycle_harness.h"

/* Emulated hosts with all of the kernel's debugging need most of it. */
#define SUBTEST_TIMEOUT_S	120

/* Anything that is waited for happens far sooner, or never. */
#define WAIT_S			10

/* So long is a KVM_CREATE_VCPU given that somebody in KVM_RUN might keep waiting. */
#define BLOCKED_S		5

/* See above: for the case that the machine is so slow that a pause is too short. */
#define NR_ATTEMPTS		2

/* IDs that differ from each other, and from every index in use. */
#define ID_FIRST		2
#define ID_PAUSED		5
#define ID_OTHER		7

#define BENCH_VCPUS		64
#define BENCH_ROUNDS		20

/* Messages of failures. */
#define USED_BEFORE_POSTCREATE \
	"wanted vCPU %u to be usable after kvm_arch_vcpu_postcreate(), was used before it"
#define BLOCKED_BY_RUNNING_OTHER \
	"wanted KVM_CREATE_VCPU to return while another vCPU is in KVM_RUN, didn't in %d s"
#define BLOCKED_BY_RUNNING_OWN \
	"wanted KVM_CREATE_VCPU to return while its vCPU is in KVM_RUN, didn't in %d s"
#define HAD_TO_WAIT \
	"%s: wanted it to be done while another vCPU is being built, had to wait %d times"
#define UNDONE_ID_WAS_REFUSED \
	"the ID of a vCPU that is being undone: wanted a vCPU, got %s"
#define UNDONE_VCPU_COUNTED \
	"KVM_ENABLE_CAP while the only vCPU is being undone: wanted success, got %s"
#define NO_DIRTY_RING "KVM doesn't support dirty rings"
#define TOO_SLOW "too slow: want a thread in kvm_arch_vcpu_destroy() until it is released, it left"
#define HAD_TO_WAIT_FOR_UNDONE \
	"wanted vCPUs to be created while another one is being undone, had to wait %d times"

struct create_test {
	struct kvm_vm *vm;
	int paused_cpu;
	int fds[2 * NR_ATTEMPTS + 8];
	int nr_fds;
	int pause;
	int kmsg;
};

FIXTURE(create) {
	struct create_test t;
};

FIXTURE_VARIANT(create) {
	bool irqchip;
};

FIXTURE_VARIANT_ADD(create, no_irqchip) {
	.irqchip = false,
};

#ifdef __x86_64__
/* An in-kernel local APIC takes more to create, and more to take back. */
FIXTURE_VARIANT_ADD(create, irqchip) {
	.irqchip = true,
};
#endif

static void set_up(struct __test_metadata *_metadata, struct create_test *t, bool irqchip)
{
	const char *missing = kvm_lifecycle_missing("pause");

	t->vm = NULL;
	t->nr_fds = 0;
	t->pause = -1;
	t->kmsg = -1;

	if (missing)
		SKIP(return, "%s", missing);
	t->paused_cpu = set_cpu_aside();
	if (t->paused_cpu < 0)
		SKIP(return, "two CPUs are needed");

	t->pause = kvm_lifecycle_open(_metadata, "pause");

	t->kmsg = kmsg_open();
	if (t->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-t->kmsg));

	t->vm = vm_create_raw(irqchip);
}

static void free_vm(struct create_test *t)
{
	while (t->nr_fds)
		kvm_close(t->fds[--t->nr_fds]);
	kvm_vm_free(t->vm);
	t->vm = NULL;
}

static void tear_down(struct __test_metadata *_metadata, struct create_test *t)
{
	if (t->pause >= 0)
		close(t->pause);
	if (t->vm)
		free_vm(t);
	kmsg_close(_metadata, t->kmsg);
}

FIXTURE_SETUP(create)
{
	set_up(_metadata, &self->t, variant->irqchip);
}

FIXTURE_TEARDOWN(create)
{
	tear_down(_metadata, &self->t);
}

/* For tests that need only one variant of the above. */
FIXTURE(create_once) {
	struct create_test t;
};

FIXTURE_SETUP(create_once)
{
	set_up(_metadata, &self->t, false);
}

FIXTURE_TEARDOWN(create_once)
{
	tear_down(_metadata, &self->t);
}

/* Returns 0, or the -errno of the creation. */
static int keep_vcpu(struct create_test *t, int fd)
{
	if (fd < 0)
		return fd;

	TEST_ASSERT(t->nr_fds < (int)ARRAY_SIZE(t->fds), "Too many vCPUs");
	t->fds[t->nr_fds++] = fd;
	return 0;
}

static int create_vcpu(struct create_test *t, u32 id)
{
	return keep_vcpu(t, __vcpu_fd_create(t->vm, id));
}

/* A thread that creates one vCPU, on the CPU for the thread that is paused. */
static void start_creator(struct create_test *t, struct racer *c, u32 id)
{
	*c = (struct racer) { .fn = race_create, .arg = t->vm, .val = id };
	racer_start(c, t->paused_cpu);
}

static bool is_paused(struct create_test *t)
{
	return pause_read(t->pause).inside;
}

/* Returns once the creator is held at the entry of @function. */
static void pause_creator(struct __test_metadata *_metadata, struct create_test *t,
			  struct racer *c, const char *function)
{
	ASSERT_TRUE(racer_go_to(c, t->pause, function, WAIT_S))
		TH_LOG("%s() wasn't called in %d s", function, WAIT_S);
}

/* Let the creator go on, and return the result of KVM_CREATE_VCPU. */
static int end_creator(struct __test_metadata *_metadata, struct create_test *t,
		       struct racer *c)
{
	ASSERT_EQ(0, __kvm_lifecycle_write(t->pause, "release"));
	return keep_vcpu(t, racer_join(c));
}

/* Uses a vCPU as soon as there is a file descriptor to use it by. */
struct guesser {
	pthread_t thread;
	unsigned long ioctl;
	int fd;
	bool stop;
	bool done;
	int r;			/* 0 or -errno */
};

static void *guesser_thread(void *arg)
{
	struct kvm_mp_state mp_state;
	struct guesser *g = arg;
	int r;

	do {
		r = ioctl(g->fd, g->ioctl, g->ioctl == KVM_RUN ? NULL : &mp_state);
		r = r < 0 ? -errno : 0;
	} while (r == -EBADF && !READ_ONCE(g->stop));

	WRITE_ONCE(g->r, r);
	WRITE_ONCE(g->done, true);
	return NULL;
}

/*
 * kvm_arch_vcpu_postcreate() is part of the creation, e.g. on x86 the vCPU's TSC
 * isn't in sync before, and on RISC-V the vCPU isn't powered off.  A vCPU ioctl()
 * must be handled after it.
 */
TEST_F_TIMEOUT(create, used_before_postcreate, SUBTEST_TIMEOUT_S)
{
	struct guesser g = { .ioctl = KVM_GET_MP_STATE };
	struct create_test *t = &self->t;
	struct racer c;
	bool used_early;

	if (!kvm_check_cap(KVM_CAP_MP_STATE))
		SKIP(return, "KVM doesn't support KVM_GET_MP_STATE");

	ASSERT_EQ(0, create_vcpu(t, ID_FIRST));

	start_creator(t, &c, ID_PAUSED);
	g.fd = next_fd(t->vm);
	ASSERT_EQ(0, pthread_create(&g.thread, NULL, guesser_thread, &g));

	pause_creator(_metadata, t, &c, "kvm_arch_vcpu_postcreate");
	do {
		usleep(POLL_US);
		/* In this order, so that all that is seen has come before the end. */
		used_early = READ_ONCE(g.done);
		used_early &= is_paused(t);
	} while (!used_early && is_paused(t));

	ASSERT_EQ(0, end_creator(_metadata, t, &c));
	WRITE_ONCE(g.stop, true);
	pthread_join(g.thread, NULL);

	EXPECT_EQ(g.fd, c.ret);
	EXPECT_EQ(0, g.r)
		TH_LOG("KVM_GET_MP_STATE: %s", strerror(-g.r));
	EXPECT_FALSE(used_early)
		TH_LOG(USED_BEFORE_POSTCREATE, ID_PAUSED);
}

#ifdef __x86_64__
static void kick(int sig)
{
}

/*
 * A vCPU other than vCPU0 waits for INIT and SIPI, i.e. sits in KVM_RUN until
 * it gets a signal.  Its creation must not wait for that, as it would keep all
 * others from using the VM for as long.
 */
TEST_F_TIMEOUT(create_once, run_before_postcreate, SUBTEST_TIMEOUT_S)
{
	struct sigaction sa = { .sa_handler = kick };
	struct guesser g = { .ioctl = KVM_RUN };
	struct racer c, third;
	struct create_test *t = &self->t;
	bool in_time, own_in_time;
	u64 start;

	/* It's the in-kernel local APIC that makes the vCPU wait. */
	free_vm(t);
	t->vm = vm_create_raw(true);

	/* KVM_RUN is to return, without SA_RESTART. */
	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	ASSERT_EQ(0, create_vcpu(t, 0));

	start_creator(t, &c, ID_PAUSED);
	start_creator(t, &third, ID_OTHER);
	g.fd = next_fd(t->vm);
	ASSERT_EQ(0, pthread_create(&g.thread, NULL, guesser_thread, &g));

	pause_creator(_metadata, t, &c, "kvm_arch_vcpu_postcreate");
	racer_go(&third);

	start = now_ms();
	do {
		usleep(POLL_US);
		in_time = racer_done(&third);
		own_in_time = racer_done(&c);
	} while (!(in_time && own_in_time) && !timed_out(start, BLOCKED_S));

	EXPECT_TRUE(in_time)
		TH_LOG(BLOCKED_BY_RUNNING_OTHER, BLOCKED_S);
	EXPECT_TRUE(own_in_time)
		TH_LOG(BLOCKED_BY_RUNNING_OWN, BLOCKED_S);
	EXPECT_FALSE(READ_ONCE(g.done))
		TH_LOG("wanted KVM_RUN to wait for a signal, returned %s", strerror(-g.r));

	WRITE_ONCE(g.stop, true);
	while (!READ_ONCE(g.done)) {
		pthread_kill(g.thread, SIGUSR1);
		usleep(POLL_US);
	}
	pthread_join(g.thread, NULL);
	EXPECT_EQ(-EINTR, g.r);

	EXPECT_EQ(0, end_creator(_metadata, t, &c));
	EXPECT_EQ(g.fd, c.ret);
	EXPECT_EQ(0, keep_vcpu(t, racer_join(&third)));
}
#endif

/* A call that is made while a vCPU is being built, and the result it must have. */
struct meanwhile {
	const char *what;
	int (*fn)(struct create_test *t);
	int want;
	bool first;		/* not with the first vCPU, which takes more */
	bool may_wait;		/* the result may depend on the other vCPU's creation */
};

/*
 * Do it while vCPU ID_PAUSED is being built.  The result has to be right each
 * time; that nothing had to wait for the other vCPU has to be seen once.
 */
static void test_meanwhile(struct __test_metadata *_metadata, struct create_test *t,
			   const struct meanwhile *m, bool irqchip)
{
	bool seen = false;
	int i, r;

	for (i = 0; i < NR_ATTEMPTS && !seen && !_metadata->exit_code; i++) {
		struct racer c;

		if (m->first)
			ASSERT_EQ(0, create_vcpu(t, ID_FIRST));

		start_creator(t, &c, ID_PAUSED);
		pause_creator(_metadata, t, &c, "kvm_arch_vcpu_create");

		r = m->fn(t);
		seen = m->may_wait || is_paused(t);

		EXPECT_EQ(m->want, r)
			TH_LOG("%s: wanted %s, got %s", m->what, strerror(-m->want),
			       strerror(-r));
		r = end_creator(_metadata, t, &c);
		EXPECT_EQ(0, r)
			TH_LOG("the vCPU that was being built meanwhile: %s", strerror(-r));

		/* Its ID is taken now. */
		EXPECT_EQ(-EEXIST, create_vcpu(t, ID_PAUSED));

		free_vm(t);
		t->vm = vm_create_raw(irqchip);
	}

	EXPECT_TRUE(seen)
		TH_LOG(HAD_TO_WAIT, m->what, i);
}

static int create_other(struct create_test *t)
{
	return create_vcpu(t, ID_OTHER);
}

TEST_F_TIMEOUT(create, other_id_meanwhile, SUBTEST_TIMEOUT_S)
{
	static const struct meanwhile m = {
		.what = "KVM_CREATE_VCPU of another ID",
		.fn = create_other,
		.want = 0,
		.first = true,
	};

	test_meanwhile(_metadata, &self->t, &m, variant->irqchip);
}

static int create_same(struct create_test *t)
{
	return create_vcpu(t, ID_PAUSED);
}

TEST_F_TIMEOUT(create, same_id_meanwhile, SUBTEST_TIMEOUT_S)
{
	static const struct meanwhile m = {
		.what = "KVM_CREATE_VCPU of the same ID",
		.fn = create_same,
		.want = -EEXIST,
		.first = true,
		.may_wait = true,
	};

	test_meanwhile(_metadata, &self->t, &m, variant->irqchip);
}

static bool has_dirty_ring(void)
{
	return kvm_has_cap(KVM_CAP_DIRTY_LOG_RING) ||
	       kvm_has_cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL);
}

/* The ring's size can't be changed once there is a vCPU. */
static int enable_dirty_ring(struct create_test *t)
{
	struct kvm_enable_cap cap = {
		.cap = kvm_has_cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL) ?
		       KVM_CAP_DIRTY_LOG_RING_ACQ_REL : KVM_CAP_DIRTY_LOG_RING,
		.args = { 65536 },
	};

	return __vm_ioctl(t->vm, KVM_ENABLE_CAP, &cap) ? -errno : 0;
}

TEST_F_TIMEOUT(create, vm_used_meanwhile, SUBTEST_TIMEOUT_S)
{
	static const struct meanwhile m = {
		.what = "KVM_ENABLE_CAP",
		.fn = enable_dirty_ring,
		.want = -EINVAL,
		.first = true,
	};

	if (!has_dirty_ring())
		SKIP(return, NO_DIRTY_RING);

	test_meanwhile(_metadata, &self->t, &m, variant->irqchip);
}

/*
 * One creation fails at its last step, for lack of a file descriptor, and while
 * it is being undone, others are to succeed.  The ID that has failed stays taken
 * until all is undone, and is free then, for which another creation of it waits.
 */
TEST_F_TIMEOUT(create, failure_meanwhile, SUBTEST_TIMEOUT_S)
{
	struct create_test *t = &self->t;
	struct rlimit old;
	bool seen = false;
	int i, r;

	for (i = 0; i < NR_ATTEMPTS && !seen && !_metadata->exit_code; i++) {
		struct racer c;

		ASSERT_EQ(0, create_vcpu(t, ID_FIRST));
		start_creator(t, &c, ID_PAUSED);

		old = exhaust_fds(t->vm);
		pause_creator(_metadata, t, &c, "kvm_arch_vcpu_destroy");
		restore_fds(&old);

		r = create_vcpu(t, ID_OTHER);
		EXPECT_EQ(0, r)
			TH_LOG("another ID: %s", strerror(-r));
		seen = is_paused(t);

		r = create_vcpu(t, ID_PAUSED);
		EXPECT_EQ(0, r)
			TH_LOG(UNDONE_ID_WAS_REFUSED, strerror(-r));

		r = end_creator(_metadata, t, &c);
		EXPECT_EQ(-EMFILE, r)
			TH_LOG("wanted no file descriptor, got %s", strerror(-r));

		/* Both have succeeded. */
		EXPECT_EQ(-EEXIST, create_vcpu(t, ID_PAUSED));
		EXPECT_EQ(-EEXIST, create_vcpu(t, ID_OTHER));

		free_vm(t);
		t->vm = vm_create_raw(variant->irqchip);
	}

	EXPECT_TRUE(seen)
		TH_LOG(HAD_TO_WAIT_FOR_UNDONE, i);
}

/* A VM whose only vCPU isn't created has none, and hasn't had one. */
TEST_F_TIMEOUT(create, only_vcpu_fails_meanwhile, SUBTEST_TIMEOUT_S)
{
	struct create_test *t = &self->t;
	struct rlimit old;
	struct racer c;
	int r;

	if (!has_dirty_ring())
		SKIP(return, NO_DIRTY_RING);

	start_creator(t, &c, ID_PAUSED);

	old = exhaust_fds(t->vm);
	pause_creator(_metadata, t, &c, "kvm_arch_vcpu_destroy");
	restore_fds(&old);

	ASSERT_TRUE(is_paused(t))
		TH_LOG(TOO_SLOW);
	r = enable_dirty_ring(t);
	EXPECT_EQ(0, r)
		TH_LOG(UNDONE_VCPU_COUNTED, strerror(-r));

	r = end_creator(_metadata, t, &c);
	EXPECT_EQ(-EMFILE, r)
		TH_LOG("wanted no file descriptor, got %s", strerror(-r));
	EXPECT_EQ(0, create_vcpu(t, ID_PAUSED));
}

#ifdef __aarch64__
/*
 * A vCPU must not miss a change of all vCPUs of the VM, e.g. all of them have the
 * in-kernel GIC or none has.  The change is done once the vCPU is built, or refused
 * while it is being built.
 */
static void test_all_vcpus(struct __test_metadata *_metadata, struct create_test *t,
			   const char *what, int (*fn)(struct create_test *t))
{
	struct racer c;
	bool early;
	int r;

	ASSERT_EQ(0, create_vcpu(t, 0));

	start_creator(t, &c, 1);
	pause_creator(_metadata, t, &c, "kvm_arch_vcpu_create");

	r = fn(t);
	early = is_paused(t);

	ASSERT_EQ(0, end_creator(_metadata, t, &c));

	if (!r) {
		EXPECT_FALSE(early)
			TH_LOG("%s: done while a vCPU was being built", what);
	} else {
		EXPECT_TRUE(early && r == -EBUSY)
			TH_LOG("%s, %s a vCPU was being built: %s", what,
			       early ? "while" : "after", strerror(-r));
	}
}

static int create_vgic(struct create_test *t)
{
	int fd = __kvm_create_device(t->vm, KVM_DEV_TYPE_ARM_VGIC_V3);

	if (fd < 0)
		return -errno;

	kvm_close(fd);
	return 0;
}

TEST_F_TIMEOUT(create_once, vgic_meanwhile, SUBTEST_TIMEOUT_S)
{
	if (__kvm_test_create_device(self->t.vm, KVM_DEV_TYPE_ARM_VGIC_V3))
		SKIP(return, "KVM doesn't emulate a GICv3");

	test_all_vcpus(_metadata, &self->t, "KVM_CREATE_DEVICE of a GICv3", create_vgic);
}

static int set_counter_offset(struct create_test *t)
{
	struct kvm_arm_counter_offset offset = { .counter_offset = 4096 };

	return __vm_ioctl(t->vm, KVM_ARM_SET_COUNTER_OFFSET, &offset) ? -errno : 0;
}

TEST_F_TIMEOUT(create_once, counter_offset_meanwhile, SUBTEST_TIMEOUT_S)
{
	if (!kvm_has_cap(KVM_CAP_COUNTER_OFFSET))
		SKIP(return, "KVM doesn't support KVM_ARM_SET_COUNTER_OFFSET");

	test_all_vcpus(_metadata, &self->t, "KVM_ARM_SET_COUNTER_OFFSET", set_counter_offset);
}
#endif

#ifndef __x86_64__
/*
 * No vCPU more than KVM supports, and those that are being built do count.  On
 * x86, these are too many for an emulated host.
 */
TEST_F_TIMEOUT(create_once, max_vcpus, SUBTEST_TIMEOUT_S)
{
	int max = kvm_check_cap(KVM_CAP_MAX_VCPUS), i, r;
	struct create_test *t = &self->t;
	struct racer c;
	int *fds;

	kvm_set_files_rlimit(max);

	fds = calloc(max, sizeof(*fds));
	ASSERT_NE(NULL, fds);
	for (i = 0; i < max - 1; i++) {
		fds[i] = __vcpu_fd_create(t->vm, i);
		ASSERT_LE(0, fds[i]);
	}

	start_creator(t, &c, max - 1);
	pause_creator(_metadata, t, &c, "kvm_arch_vcpu_create");
	r = create_vcpu(t, max);
	EXPECT_EQ(-EINVAL, r)
		TH_LOG("vCPU %d of %d: wanted EINVAL, got %s", max + 1, max, strerror(-r));
	EXPECT_EQ(0, end_creator(_metadata, t, &c));

	while (i)
		kvm_close(fds[--i]);
	free(fds);
}
#endif

struct bench {
	pthread_t thread;
	struct kvm_vm *vm;
	int first;
	int nr;
	int *fds;
};

static bool bench_go;

static void *bench_thread(void *arg)
{
	struct bench *b = arg;
	int i;

	while (!READ_ONCE(bench_go))
		sched_yield();
	for (i = b->first; i < b->first + b->nr; i++) {
		b->fds[i] = __vcpu_fd_create(b->vm, i);
		TEST_ASSERT(b->fds[i] >= 0, "vCPU %d: %s", i, strerror(-b->fds[i]));
	}
	return NULL;
}

/* Returns microseconds. */
static u64 bench_once(int nr_vcpus, int nr_threads)
{
	struct bench *b = calloc(nr_threads, sizeof(*b));
	int *fds = calloc(nr_vcpus, sizeof(*fds));
	struct kvm_vm *vm = vm_create_raw(true);
	struct timespec start, elapsed;
	int i, next = 0;

	bench_go = false;
	for (i = 0; i < nr_threads; i++) {
		b[i].vm = vm;
		b[i].fds = fds;
		b[i].first = next;
		b[i].nr = nr_vcpus / nr_threads + (i < nr_vcpus % nr_threads);
		next += b[i].nr;
		pthread_create(&b[i].thread, NULL, bench_thread, &b[i]);
	}
	usleep(10000);

	clock_gettime(CLOCK_MONOTONIC, &start);
	WRITE_ONCE(bench_go, true);
	for (i = 0; i < nr_threads; i++)
		pthread_join(b[i].thread, NULL);
	elapsed = timespec_elapsed(start);

	for (i = 0; i < nr_vcpus; i++)
		kvm_close(fds[i]);
	kvm_vm_free(vm);
	free(fds);
	free(b);
	return elapsed.tv_sec * 1000000ull + elapsed.tv_nsec / 1000;
}

static int bench(int nr_vcpus)
{
	int nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	u64 t, best[2] = { ULLONG_MAX, ULLONG_MAX };
	int i, j;

	kvm_set_files_rlimit(nr_vcpus);

	/* The best of several, alternating, and one to warm up. */
	bench_once(nr_vcpus, 1);
	for (i = 0; i < BENCH_ROUNDS; i++) {
		for (j = 0; j < 2; j++) {
			t = bench_once(nr_vcpus, j ? nr_cpus : 1);
			best[j] = min(best[j], t);
		}
	}

	printf("%d vCPUs: 1 thread %lu us, %d threads %lu us, ratio %lu.%02lu\n", nr_vcpus,
	       best[0], nr_cpus, best[1], best[0] / best[1], best[0] * 100 / best[1] % 100);
	return 0;
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(!access(KVM_DEV_PATH, R_OK | W_OK));

	if (argc > 1 && !strcmp(argv[1], "-b"))
		return bench(argc > 2 ? atoi_positive("NR_VCPUS", argv[2]) : BENCH_VCPUS);

	return test_harness_run(argc, argv);
}
