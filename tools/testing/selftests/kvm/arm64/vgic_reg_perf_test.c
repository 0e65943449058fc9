// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cost of an access to a register of a GICv3's distributor before the vGIC is
 * initialized, by the number of vCPUs that the VM has.
 *
 * A measure is a subtest, see perf_samples.h.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/ioctl.h>

#include "gic_v3.h"
#include "kselftest.h"
#include "kvm_util.h"
#include "perf_samples.h"
#include "test_util.h"

#define DEFAULT_VCPUS	512
#define DEFAULT_ROUNDS	200

static const unsigned int nr_vcpus[] = { 1, 2, 8, 64, 512 };

static const struct access {
	const char *name;
	u64 reg;
	bool write;		/* of the value that was read */
} accesses[] = {
	{ "get_iidr",	.reg = GICD_IIDR },
	{ "set_iidr",	.reg = GICD_IIDR, .write = true },
	{ "get_typer2",	.reg = GICD_TYPER2 },
};

static void access_or_exit(int gic_fd, u64 reg, bool write, u32 *val)
{
	struct kvm_device_attr attr = {
		.group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
		.attr = reg,
		.addr = (u64)(unsigned long)val,
	};

	if (ioctl(gic_fd, write ? KVM_SET_DEVICE_ATTR : KVM_GET_DEVICE_ATTR, &attr))
		ksft_exit_fail_msg("%s, register 0x%llx: %s\n", write ? "write" : "read",
				   (unsigned long long)reg, strerror(errno));
}

static void measure(int gic_fd, const struct access *a, int rounds, unsigned int vcpus)
{
	struct samples s = {};
	u32 val = 0;
	u64 start;
	int i;

	/* For the value, and for what the first access brings into memory. */
	access_or_exit(gic_fd, a->reg, false, &val);
	access_or_exit(gic_fd, a->reg, a->write, &val);
	for (i = 0; i < rounds; i++) {
		start = now_ns();
		access_or_exit(gic_fd, a->reg, a->write, &val);
		add_sample(&s, now_ns() - start);
	}
	report(&s, "%s.vcpus-%u", a->name, vcpus);
	free(s.ns);
}

static void help(const char *name)
{
	printf("usage: %s [-n vCPUs] [-r rounds]\n"
	       "\n"
	       " -n: with so many vCPUs at most (default: %d)\n"
	       " -r: samples of each measure (default: %d)\n",
	       name, DEFAULT_VCPUS, DEFAULT_ROUNDS);
}

int main(int argc, char *argv[])
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
	unsigned int max_vcpus = DEFAULT_VCPUS, rounds = DEFAULT_ROUNDS, n = 0;
	int kvm_fd, vm_fd, *fds, option, i, j, kinds = 0;

	while ((option = getopt(argc, argv, "hn:r:")) != -1) {
		switch (option) {
		case 'n':
			max_vcpus = parse_number(optarg, 'n', DEFAULT_VCPUS);
			break;
		case 'r':
			rounds = parse_number(optarg, 'r', 100000);
			break;
		default:
			help(argv[0]);
			return option == 'h' ? 0 : KSFT_FAIL;
		}
	}

	ksft_print_header();
	kvm_set_files_rlimit(max_vcpus);
	kvm_fd = open_path_or_exit(KVM_DEV_PATH, O_RDWR);
	vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	if (vm_fd < 0)
		ksft_exit_fail_msg("KVM_CREATE_VM: %s\n", strerror(errno));
	if (ioctl(vm_fd, KVM_CREATE_DEVICE, &device))
		ksft_exit_skip("there is no GICv3: %s\n", strerror(errno));
	fds = calloc(max_vcpus, sizeof(*fds));
	TEST_ASSERT(fds, "no memory for %u descriptors", max_vcpus);

	while (kinds < ARRAY_SIZE(nr_vcpus) && nr_vcpus[kinds] <= max_vcpus)
		kinds++;
	ksft_set_plan(kinds * ARRAY_SIZE(accesses));
	for (i = 0; i < kinds; i++) {
		for (; n < nr_vcpus[i]; n++) {
			fds[n] = ioctl(vm_fd, KVM_CREATE_VCPU, (unsigned long)n);
			if (fds[n] < 0)
				ksft_exit_fail_msg("KVM_CREATE_VCPU, index %u: %s\n", n,
						   strerror(errno));
		}
		for (j = 0; j < ARRAY_SIZE(accesses); j++)
			measure(device.fd, &accesses[j], rounds, n);
	}

	while (n)
		close(fds[--n]);
	free(fds);
	close(device.fd);
	close(vm_fd);
	close(kvm_fd);
	ksft_finished();
}
