// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cost of creating and destroying VMs and vCPUs, by the number of vCPUs that
 * the VM has, with and without an in-kernel interrupt controller, with dense and
 * with sparse IDs.
 *
 * A measure is a subtest, see perf_samples.h.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/ioctl.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "perf_samples.h"
#include "test_util.h"

#define DEFAULT_VCPUS	512
#define DEFAULT_ROUNDS	20

/* The distance of sparse IDs. */
#define SPARSE_STEP	8

/* The VMs begin at different times after a tick, so that it doesn't hit the same call of each. */
#define PHASE_US	211

/* The grace periods that the creation of an irqchip has started are over then. */
#define LATER_US	100000

/* vCPUs are measured in groups, by their index: [first, end). */
static const struct group {
	unsigned int first;
	unsigned int end;
} groups[] = {
	{ 0, 1 }, { 1, 2 }, { 2, 8 }, { 8, 64 }, { 64, 256 }, { 256, 511 },
	{ 511, 512 }, { 512, 1024 }, { 1024, 2048 }, { 2048, 4095 }, { 4095, 4096 },
};

static const struct mode {
	const char *name;
	bool irqchip;
	bool later;		/* LATER_US after the irqchip's creation */
	unsigned int step;	/* of the vCPUs' IDs */
} modes[] = {
	{ "no_irqchip",		.step = 1 },
	{ "irqchip",		.step = 1, .irqchip = true },
	{ "irqchip_later",	.step = 1, .irqchip = true, .later = true },
	{ "sparse",		.step = SPARSE_STEP, .irqchip = true },
};

/* Of one mode; the vCPUs' by group. */
struct measures {
	struct samples create_vm;
	struct samples create_irqchip;
	struct samples create_vcpu[ARRAY_SIZE(groups)];
	struct samples destroy;
};

static void report_mode(const struct mode *mode, struct measures *m)
{
	int i;

	report(&m->create_vm, "%s.create_vm", mode->name);
	if (mode->irqchip)
		report(&m->create_irqchip, "%s.create_irqchip", mode->name);
	for (i = 0; i < ARRAY_SIZE(groups) && m->create_vcpu[i].n; i++)
		report(&m->create_vcpu[i], "%s.create_vcpu.%u-%u", mode->name,
		       groups[i].first, groups[i].end - 1);
	report(&m->destroy, "%s.destroy", mode->name);
}

static void free_measures(struct measures *m)
{
	int i;

	free(m->create_vm.ns);
	free(m->create_irqchip.ns);
	for (i = 0; i < ARRAY_SIZE(groups); i++)
		free(m->create_vcpu[i].ns);
	free(m->destroy.ns);
}

static int vm_ioctl_or_exit(int vm_fd, unsigned long cmd, const char *name, unsigned long arg)
{
	int r = ioctl(vm_fd, cmd, arg);

	if (r < 0)
		ksft_exit_fail_msg("%s: %s\n", name, strerror(errno));
	return r;
}

/* The descriptor of its device, or -1. */
static int create_irqchip(int vm_fd)
{
#if defined(__x86_64__)
	vm_ioctl_or_exit(vm_fd, KVM_CREATE_IRQCHIP, "KVM_CREATE_IRQCHIP", 0);
	return -1;
#elif defined(__aarch64__)
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };

	vm_ioctl_or_exit(vm_fd, KVM_CREATE_DEVICE, "KVM_CREATE_DEVICE, GICv3",
			 (unsigned long)&device);
	return device.fd;
#else
	ksft_exit_skip("this architecture's irqchip isn't known here\n");
#endif
}

/* As VMMs do for VMs of more than 255 vCPUs: on x86, APIC IDs would be shared without. */
static void enable_long_ids(int vm_fd)
{
#ifdef __x86_64__
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X2APIC_API,
		.args = { KVM_X2APIC_API_USE_32BIT_IDS |
			  KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK },
	};

	vm_ioctl_or_exit(vm_fd, KVM_ENABLE_CAP, "KVM_ENABLE_CAP, KVM_CAP_X2APIC_API",
			 (unsigned long)&cap);
#endif
}

/* A VM of @nr vCPUs comes and goes.  What is closed in between isn't measured. */
static void one_vm(int kvm_fd, const struct mode *mode, unsigned int nr, int *fds,
		   struct measures *m)
{
	int vm_fd, irqchip_fd = -1, g = 0;
	unsigned int i;
	u64 start;

	start = now_ns();
	vm_fd = vm_ioctl_or_exit(kvm_fd, KVM_CREATE_VM, "KVM_CREATE_VM", 0);
	add_sample(&m->create_vm, now_ns() - start);

	if (mode->irqchip) {
		start = now_ns();
		irqchip_fd = create_irqchip(vm_fd);
		add_sample(&m->create_irqchip, now_ns() - start);
		enable_long_ids(vm_fd);
	}
	if (mode->later)
		usleep(LATER_US);

	for (i = 0; i < nr; i++) {
		start = now_ns();
		fds[i] = ioctl(vm_fd, KVM_CREATE_VCPU, (unsigned long)i * mode->step);
		start = now_ns() - start;
		if (fds[i] < 0)
			ksft_exit_fail_msg("KVM_CREATE_VCPU, index %u: %s\n", i, strerror(errno));
		while (i >= groups[g].end)
			g++;
		add_sample(&m->create_vcpu[g], start);
	}

	for (i = 0; i < nr; i++)
		close(fds[i]);
	if (irqchip_fd >= 0)
		close(irqchip_fd);
	/* The last reference: KVM destroys the VM and its vCPUs. */
	start = now_ns();
	close(vm_fd);
	add_sample(&m->destroy, now_ns() - start);
}

static unsigned int nr_vcpus(int kvm_fd, const struct mode *mode, unsigned int wanted)
{
	int max_vcpus = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	int max_id = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPU_ID);

	TEST_ASSERT(max_vcpus > 0, "KVM_CAP_MAX_VCPUS: %d", max_vcpus);
	if (max_id <= 0)
		max_id = max_vcpus;
	wanted = min_t(unsigned int, wanted, max_vcpus);
	return min_t(unsigned int, wanted, (max_id - 1) / mode->step + 1);
}

/* The groups of vCPUs that a VM of so many has, perhaps the last one in part. */
static unsigned int nr_groups(unsigned int nr)
{
	unsigned int i = 0;

	while (i < ARRAY_SIZE(groups) && groups[i].first < nr)
		i++;
	return i;
}

static void measure_mode(int kvm_fd, const struct mode *mode, unsigned int nr, int rounds)
{
	struct measures warm_up = {}, m = {};
	int *fds = calloc(nr, sizeof(*fds));
	int i;

	TEST_ASSERT(fds, "no memory for %u descriptors", nr);
	/* Slabs and page tables are there from the second VM on. */
	one_vm(kvm_fd, mode, nr, fds, &warm_up);
	for (i = 0; i < rounds; i++) {
		usleep(i * PHASE_US);
		one_vm(kvm_fd, mode, nr, fds, &m);
	}
	report_mode(mode, &m);
	free_measures(&warm_up);
	free_measures(&m);
	free(fds);
}

static void help(const char *name)
{
	printf("usage: %s [-n vCPUs] [-r rounds]\n"
	       "\n"
	       " -n: vCPUs of each VM, as far as KVM has them (default: %d)\n"
	       " -r: VMs of each kind that are measured, after a first one (default: %d)\n",
	       name, DEFAULT_VCPUS, DEFAULT_ROUNDS);
}

int main(int argc, char *argv[])
{
	unsigned int vcpus = DEFAULT_VCPUS, rounds = DEFAULT_ROUNDS, nr[ARRAY_SIZE(modes)];
	int i, option, kvm_fd, measures = 0;

	while ((option = getopt(argc, argv, "hn:r:")) != -1) {
		switch (option) {
		case 'n':
			vcpus = parse_number(optarg, 'n', groups[ARRAY_SIZE(groups) - 1].end);
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
	kvm_set_files_rlimit(vcpus);
	kvm_fd = open_path_or_exit(KVM_DEV_PATH, O_RDWR);

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		nr[i] = nr_vcpus(kvm_fd, &modes[i], vcpus);
		measures += 2 + modes[i].irqchip + nr_groups(nr[i]);
	}
	ksft_set_plan(measures);
	for (i = 0; i < ARRAY_SIZE(modes); i++)
		measure_mode(kvm_fd, &modes[i], nr[i], rounds);
	close(kvm_fd);
	ksft_finished();
}
