// SPDX-License-Identifier: GPL-2.0-only
/*
 * An outbound Xen event channel that KVM handles names its target vCPU by ID,
 * and KVM remembers the vCPU's index.  Once userspace has changed the target,
 * events go to the new one, also if a vCPU was sending an event meanwhile.
 *
 * kvm_lifecycle holds the sender where it looks the target up.
 */
#include <string.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#include "processor.h"
#include "kvm_lifecycle_harness.h"

/* Emulated hosts with all of the kernel's debugging need most of it. */
#define SUBTEST_TIMEOUT_S	120

/* Anything that is waited for happens far sooner, or never. */
#define WAIT_S			20

/*
 * How often each race is run.  Once is enough to see the bug, the others are to
 * see that once is.
 */
#define NR_RACES		4

#define NR_VCPUS		2

#define XEN_HYPERCALL_MSR	0x40000000

#define __HYPERVISOR_event_channel_op	32
#define EVTCHNOP_send			4
#define EVTCHNSTAT_interdomain		2

#define SEND_PORT		127
#define PORT			15

/* A page for shared_info, and one for the vCPUs' vcpu_info. */
#define SHINFO_GPA		0xc0000000ull
#define SHINFO_SLOT		10
#define VCPU_INFO_GPA(i)	(SHINFO_GPA + PAGE_SIZE + (i) * sizeof(struct vcpu_info))

struct evtchn_send {
	u32 port;
};

struct vcpu_info {
	u8 evtchn_upcall_pending;
	u8 evtchn_upcall_mask;
	unsigned long evtchn_pending_sel;
	u8 others[48];
};

struct shared_info {
	struct vcpu_info vcpu_info[32];
	unsigned long evtchn_pending[64];
	unsigned long evtchn_mask[64];
};

FIXTURE(evtchn) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[NR_VCPUS];
	struct shared_info *shinfo;
	struct vcpu_info *vi[NR_VCPUS];
	int pause;
	int kmsg;
};

/* Sends one event each time that it is run. */
static void guest_code(void)
{
	struct evtchn_send s = { .port = SEND_PORT };

	for (;;) {
		GUEST_SYNC(0);
		xen_hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_send, &s);
	}
}

static void set_target(struct kvm_vm *vm, int vcpu_id, u32 flags)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_EVTCHN,
		.u.evtchn.send_port = SEND_PORT,
		.u.evtchn.type = EVTCHNSTAT_interdomain,
		.u.evtchn.flags = flags,
		.u.evtchn.deliver.port.port = PORT,
		.u.evtchn.deliver.port.vcpu = vcpu_id,
		.u.evtchn.deliver.port.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL,
	};

	vm_ioctl(vm, KVM_XEN_HVM_SET_ATTR, &attr);
}

static void run_to_sync(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	vcpu_run(vcpu);
	TEST_ASSERT(get_ucall(vcpu, &uc) == UCALL_SYNC, "Unexpected exit, %s",
		    exit_reason_str(vcpu->run->exit_reason));
}

FIXTURE_SETUP(evtchn)
{
	const char *missing = kvm_lifecycle_missing("pause");
	u32 need = KVM_XEN_HVM_CONFIG_SHARED_INFO | KVM_XEN_HVM_CONFIG_EVTCHN_2LEVEL |
		   KVM_XEN_HVM_CONFIG_EVTCHN_SEND;
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL | KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
		.msr = XEN_HYPERCALL_MSR,
	};
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_LONG_MODE,
		.u.long_mode = 1,
	};
	int i;

	self->vm = NULL;
	self->pause = -1;
	self->kmsg = -1;

	if (missing)
		SKIP(return, "%s", missing);
	if ((kvm_check_cap(KVM_CAP_XEN_HVM) & need) != need)
		SKIP(return, "KVM_CAP_XEN_HVM lacks event channels");

	self->pause = kvm_lifecycle_open(_metadata, "pause");
	self->kmsg = kmsg_open();
	if (self->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-self->kmsg));

	self->vm = vm_create_with_vcpus(NR_VCPUS, guest_code, self->vcpus);
	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, SHINFO_GPA, SHINFO_SLOT, 2, 0);
	self->shinfo = addr_gpa2hva(self->vm, SHINFO_GPA);

	vm_ioctl(self->vm, KVM_XEN_HVM_CONFIG, &config);
	vm_ioctl(self->vm, KVM_XEN_HVM_SET_ATTR, &attr);
	attr.type = KVM_XEN_ATTR_TYPE_SHARED_INFO;
	attr.u.shared_info.gfn = SHINFO_GPA / PAGE_SIZE;
	vm_ioctl(self->vm, KVM_XEN_HVM_SET_ATTR, &attr);

	for (i = 0; i < NR_VCPUS; i++) {
		struct kvm_xen_vcpu_attr vi = {
			.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
			.u.gpa = VCPU_INFO_GPA(i),
		};

		vcpu_ioctl(self->vcpus[i], KVM_XEN_VCPU_SET_ATTR, &vi);
		self->vi[i] = addr_gpa2hva(self->vm, VCPU_INFO_GPA(i));
	}

	set_target(self->vm, 0, 0);
	run_to_sync(self->vcpus[0]);
}

FIXTURE_TEARDOWN(evtchn)
{
	if (self->pause >= 0)
		close(self->pause);
	if (self->vm)
		kvm_vm_free(self->vm);
	kmsg_close(_metadata, self->kmsg);
}

static int race_send(void *vcpu, u64 unused)
{
	run_to_sync(vcpu);
	return 0;
}

/* Send one event, and tell which vCPU has got it; -1 if none has, 2 if both have. */
static int get_receiver(struct shared_info *shinfo, struct vcpu_info **vi, struct kvm_vcpu *sender)
{
	int i;

	memset(shinfo->evtchn_pending, 0, sizeof(shinfo->evtchn_pending));
	for (i = 0; i < NR_VCPUS; i++) {
		vi[i]->evtchn_upcall_pending = 0;
		vi[i]->evtchn_pending_sel = 0;
	}

	run_to_sync(sender);

	if (vi[0]->evtchn_upcall_pending && vi[1]->evtchn_upcall_pending)
		return 2;
	return vi[0]->evtchn_upcall_pending ? 0 : vi[1]->evtchn_upcall_pending ? 1 : -1;
}

/* Without a race events go where userspace wants them. */
TEST_F_TIMEOUT(evtchn, update, SUBTEST_TIMEOUT_S)
{
	int i;

	for (i = 0; i < NR_RACES; i++) {
		set_target(self->vm, i % NR_VCPUS, KVM_XEN_EVTCHN_UPDATE);
		EXPECT_EQ(i % NR_VCPUS, get_receiver(self->shinfo, self->vi, self->vcpus[0]));
		EXPECT_EQ(i % NR_VCPUS, get_receiver(self->shinfo, self->vi, self->vcpus[0]));
	}
}

/* Change the target while vCPU0 sends an event, and has found the old target. */
TEST_F_TIMEOUT(evtchn, update_while_sending, SUBTEST_TIMEOUT_S)
{
	int i, old, new, receiver, cpu, too_slow = 0;
	bool in_time;

	cpu = set_cpu_aside();
	if (cpu < 0)
		SKIP(return, "two CPUs are needed");

	for (i = 0; i < NR_RACES; i++) {
		struct racer sender = { .fn = race_send, .arg = self->vcpus[0] };

		old = i % NR_VCPUS;
		new = !old;

		/* Have the old one looked up again. */
		set_target(self->vm, new, KVM_XEN_EVTCHN_UPDATE);
		set_target(self->vm, old, KVM_XEN_EVTCHN_UPDATE);
		memset(self->shinfo->evtchn_pending, 0, sizeof(self->shinfo->evtchn_pending));

		racer_start(&sender, cpu);
		ASSERT_TRUE(racer_go_to(&sender, self->pause, "xa_load", WAIT_S))
			TH_LOG("vCPU0 didn't look up the target in %d s", WAIT_S);

		set_target(self->vm, new, KVM_XEN_EVTCHN_UPDATE);

		in_time = pause_read(self->pause).inside;

		ASSERT_EQ(0, __kvm_lifecycle_write(self->pause, "release"));
		racer_join(&sender);

		/* A slow host may take longer than a pause.  Then nothing was tested. */
		if (!in_time) {
			ASSERT_LT(too_slow++, NR_RACES)
				TH_LOG("the event was sent before the target was changed");
			i--;
			continue;
		}

		receiver = get_receiver(self->shinfo, self->vi, self->vcpus[0]);
		EXPECT_EQ(new, receiver)
			TH_LOG("the target was changed to vCPU%d, the event went to %d", new,
			       receiver);
	}
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_XEN_HVM));

	return test_harness_run(argc, argv);
}
