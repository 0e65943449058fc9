// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cost of an entry of the GA Log in KVM's notifier, by the number of VMs that it
 * may be for, and of destroying a VM, which leaves the notifier's list.
 *
 *  - awake: the vCPU isn't blocked, there is nobody to wake;
 *  - blocked: the vCPU is woken, finds nothing to do and blocks again.  Its thread
 *    has the notifier's CPU and a higher priority, so that this is over before the
 *    next entry;
 *  - two_threads: as awake, of two IOMMUs at a time, i.e. their entries together.
 *
 * kvm_lifecycle calls the notifier, from a thread like that of the IOMMU.  The cost of
 * its loop is a part of what is measured.  A measure is a subtest, see perf_samples.h.
 */
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/ioctl.h>

#include "kselftest.h"
#include "kvm_lifecycle.h"
#include "kvm_util.h"
#include "perf_samples.h"
#include "test_util.h"

#define DEFAULT_VMS	4096
#define DEFAULT_ROUNDS	20

/* More than there is time for; the thread is told to stop. */
#define ENTRIES		1000000

/* A measure is of so many entries, to be precise enough in whole nanoseconds. */
#define UNIT		1000

/* A round gives the mean of its entries.  It lasts so long, or until there are UNIT. */
#define ROUND_US	5000
#define WAIT_S		20

#define NR_INJECTORS	2

static const unsigned int nr_listed[] = { 1, 256, 4096 };

/* It was created first.  A VM that comes later is found sooner. */
struct target {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[2];
	pthread_t thread;		/* of vCPU1 */
	unsigned int vm_id;
};

static int injectors[NR_INJECTORS];

static u64 sent_by(int nr)
{
	u64 sent = 0;
	int i;

	for (i = 0; i < nr; i++)
		sent += injector_read(injectors[i]).sent;
	return sent;
}

static void wait_for_first_entry(int fd)
{
	u64 start = now_ms();

	while (!injector_read(fd).sent) {
		usleep(POLL_US);
		if (timed_out(start, WAIT_S))
			ksft_exit_fail_msg("no entry in %d s\n", WAIT_S);
	}
}

/* A round is over.  Returns the number of entries since @before. */
static u64 wait_for_entries(int nr, u64 before)
{
	u64 sent, start = now_ms();

	do {
		usleep(ROUND_US);
		sent = sent_by(nr) - before;
		if (timed_out(start, WAIT_S))
			ksft_exit_fail_msg("%llu entries in %d s\n", (unsigned long long)sent,
					   WAIT_S);
	} while (sent < UNIT);
	return sent;
}

static void write_or_exit(int fd, const char *cmd)
{
	int r = __kvm_lifecycle_write(fd, "%s", cmd);

	if (r)
		ksft_exit_fail_msg("ga_log, '%s': %s\n", cmd, ret_name(r));
}

/* The time for UNIT entries, of @nr threads together. */
static u64 one_round(struct target *t, int nr, int vcpu)
{
	u64 sent, wakeups, start, time;
	char cmd[64];
	int i;

	snprintf(cmd, sizeof(cmd), "inject %u %d %d 0", t->vm_id, vcpu, ENTRIES);
	for (i = 0; i < nr; i++)
		write_or_exit(injectors[i], cmd);
	for (i = 0; i < nr; i++)
		wait_for_first_entry(injectors[i]);

	wakeups = vcpu_get_stat(t->vcpus[1], halt_wakeup);
	sent = sent_by(nr);
	start = now_ns();
	sent = wait_for_entries(nr, sent);
	time = now_ns() - start;
	wakeups = vcpu_get_stat(t->vcpus[1], halt_wakeup) - wakeups;

	for (i = 0; i < nr; i++) {
		if (!injector_read(injectors[i]).running)
			ksft_exit_fail_msg("%d entries are too few for a round\n", ENTRIES);
		write_or_exit(injectors[i], "stop");
	}
	/* With several CPUs it is missed now and then. */
	if (vcpu ? wakeups * 100 < sent * 99 : wakeups)
		ksft_exit_fail_msg("vCPU1 was woken %llu times by %llu entries for vCPU%d\n",
				   (unsigned long long)wakeups, (unsigned long long)sent, vcpu);
	return time * UNIT / sent;
}

static void measure_entries(struct target *t, int nr, int vcpu, int rounds, const char *name,
			    unsigned int vms)
{
	struct samples s = {};
	int i;

	one_round(t, nr, vcpu);
	for (i = 0; i < rounds; i++)
		add_sample(&s, one_round(t, nr, vcpu));
	report(&s, "%s.%d_entries.vms-%u", name, UNIT, vms);
	free(s.ns);
}

/* With a local APIC and a first vCPU, a VM is on the list. */
static int create_vm_or_exit(int kvm_fd, unsigned int nr)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_SPLIT_IRQCHIP,
		.args = { SPLIT_IRQCHIP_PINS },
	};
	int vm_fd, vcpu_fd = -1;

	vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	if (vm_fd >= 0 && !ioctl(vm_fd, KVM_ENABLE_CAP, &cap))
		vcpu_fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	if (vcpu_fd < 0)
		ksft_exit_fail_msg("no VM with a vCPU, besides %u: %s\n", nr, strerror(errno));
	close(vcpu_fd);
	return vm_fd;
}

static void measure_destroy(int kvm_fd, int rounds, unsigned int vms)
{
	struct samples s = {};
	int i, fd;
	u64 start;

	for (i = 0; i < rounds; i++) {
		fd = create_vm_or_exit(kvm_fd, vms);
		start = now_ns();
		close(fd);
		add_sample(&s, now_ns() - start);
	}
	report(&s, "destroy.vms-%u", vms);
	free(s.ns);
}

static void ignore(int sig)
{
}

/* An AP that waits for INIT and SIPI blocks, until it gets a signal. */
static void *run_vcpu1(void *arg)
{
	int r = __vcpu_run(arg);

	if (r != -1 || errno != EINTR)
		ksft_exit_fail_msg("KVM_RUN of vCPU1: want EINTR, got %d (%s)\n", r,
				   strerror(errno));
	return NULL;
}

static void start_vcpu1(struct target *t, int cpu)
{
	struct sched_param param = { .sched_priority = 1 };
	pthread_attr_t attr;
	cpu_set_t cpus;
	int r;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
	pthread_attr_setschedparam(&attr, &param);
	r = pthread_create(&t->thread, &attr, run_vcpu1, t->vcpus[1]);
	if (r)
		ksft_exit_fail_msg("a thread for vCPU1: %s\n", strerror(r));
	pthread_attr_destroy(&attr);
	while (!vcpu_get_stat(t->vcpus[1], blocking))
		usleep(POLL_US);
}

static void stop_vcpu1(struct target *t)
{
	while (pthread_tryjoin_np(t->thread, NULL) == EBUSY) {
		pthread_kill(t->thread, SIGUSR1);
		usleep(POLL_US);
	}
}

static void create_target(struct target *t)
{
	struct avic_state avic;
	int i, r;

	t->vm = vm_create_raw(true);
	for (i = 0; i < ARRAY_SIZE(t->vcpus); i++)
		t->vcpus[i] = __vm_vcpu_add(t->vm, i);
	r = avic_read(t->vm->fd, &avic);
	if (r || !avic.listed)
		ksft_exit_fail_msg("the VM isn't listed: %s\n", ret_name(r));
	t->vm_id = avic.vm_id;
}

static void help(const char *name)
{
	printf("usage: %s [-n VMs] [-r rounds]\n"
	       "\n"
	       " -n: with so many VMs at most (default: %d)\n"
	       " -r: samples of each measure (default: %d)\n",
	       name, DEFAULT_VMS, DEFAULT_ROUNDS);
}

int main(int argc, char *argv[])
{
	unsigned int max_vms = DEFAULT_VMS, vms = 1, rounds = DEFAULT_ROUNDS;
	struct sigaction sa = { .sa_handler = ignore };
	struct target t = {};
	const char *missing;
	int kvm_fd, *fds, cpu, option, i, measures = 0;
	bool two;

	while ((option = getopt(argc, argv, "hn:r:")) != -1) {
		switch (option) {
		case 'n':
			max_vms = parse_number(optarg, 'n', DEFAULT_VMS);
			break;
		case 'r':
			rounds = parse_number(optarg, 'r', 1000);
			break;
		default:
			help(argv[0]);
			return option == 'h' ? 0 : KSFT_FAIL;
		}
	}

	ksft_print_header();
	missing = kvm_lifecycle_missing("avic") ?: kvm_lifecycle_missing("ga_log");
	if (missing)
		ksft_exit_skip("%s\n", missing);

	kvm_set_files_rlimit(max_vms);
	kvm_fd = open_path_or_exit(KVM_DEV_PATH, O_RDWR);
	fds = calloc(max_vms, sizeof(*fds));
	TEST_ASSERT(fds, "no memory for %u descriptors", max_vms);
	sigaction(SIGUSR1, &sa, NULL);
	create_target(&t);

	/* The notifier has a CPU for itself, if there is another one for the rest. */
	cpu = set_cpu_aside();
	two = cpu >= 0;
	for (i = 0; i < NR_INJECTORS; i++) {
		injectors[i] = __kvm_lifecycle_open("ga_log");
		if (injectors[i] < 0)
			ksft_exit_fail_msg("ga_log: %s\n", ret_name(injectors[i]));
	}
	if (two)
		pin_tid_to_cpu(injector_read(injectors[0]).tid, cpu);

	for (i = 0; i < ARRAY_SIZE(nr_listed) && nr_listed[i] <= max_vms; i++)
		measures += 3 + two;
	ksft_set_plan(measures);

	for (i = 0; i < ARRAY_SIZE(nr_listed) && nr_listed[i] <= max_vms; i++) {
		for (; vms < nr_listed[i]; vms++)
			fds[vms] = create_vm_or_exit(kvm_fd, vms);
		measure_entries(&t, 1, 0, rounds, "awake", vms);
		start_vcpu1(&t, max(cpu, 0));
		measure_entries(&t, 1, 1, rounds, "blocked", vms);
		stop_vcpu1(&t);
		if (two)
			measure_entries(&t, 2, 0, rounds, "two_threads", vms);
		measure_destroy(kvm_fd, rounds, vms);
	}

	while (vms > 1)
		close(fds[--vms]);
	free(fds);
	for (i = 0; i < NR_INJECTORS; i++)
		close(injectors[i]);
	kvm_vm_free(t.vm);
	close(kvm_fd);
	ksft_finished();
}
