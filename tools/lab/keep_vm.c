// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keep a VM, for as long as the emulated host runs.
 *
 * The first VM of a host and its last one change a static key of the scheduler
 * (preempt_notifier_key), i.e. code that other CPUs run all the time.  QEMU 7.2
 * watches a page for changes only once it has translated code of that page, and
 * so can keep the old code if a change came meanwhile.  A vCPU that was scheduled
 * out then is never loaded again, and the host hangs in KVM_RUN, although its
 * memory has the new code.  With a VM that stays, there is no first one and no
 * last one.
 *
 * With "mapping" no file descriptor shows the VM: a vCPU is mapped, and all are closed.
 */
#include <err.h>
#include <fcntl.h>
#include <unistd.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

int main(int argc, char *argv[])
{
	int kvm = open("/dev/kvm", O_RDWR), vm, vcpu;

	vm = ioctl(kvm, KVM_CREATE_VM, 0ul);
	if (vm < 0)
		err(1, "KVM_CREATE_VM");
	if (argc > 1) {
		vcpu = ioctl(vm, KVM_CREATE_VCPU, 0ul);
		if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, vcpu, 0) == MAP_FAILED)
			err(1, "mapping a vCPU");
		close(vcpu);
		close(vm);
		close(kvm);
	}
	for (;;)
		pause();
}
