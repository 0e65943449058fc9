// SPDX-License-Identifier: GPL-2.0-only
/*
 * A new vCPU gets the events for its physical APIC ID: an NMI, or INIT and SIPI, by
 * MSI (KVM_SIGNAL_MSI) or as an IPI of vCPU0.  That goes for the vCPU that was
 * created last, with nothing done since that would have KVM look at all APICs again,
 * and for vCPUs that were created in parallel.
 *
 * An IPI is sent in xAPIC mode by 16-bit code with a data segment at the APIC's
 * base, and in x2APIC mode by KVM_SET_MSRS.
 */
#include <string.h>

#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#include "processor.h"
#include "apic.h"
#include "kvm_lifecycle_harness.h"

/* Emulated hosts with all of the kernel's debugging need most of it. */
#define SUBTEST_TIMEOUT_S	120

/* Anything that is waited for happens far sooner, or never. */
#define WAIT_S			10

/* So long is a creation given that may have to wait for another one. */
#define OVERTAKE_MS		100

#define NR_VCPUS		4

/*
 * A map has room for any xAPIC ID, and for x2APIC IDs up to that of the vCPUs that it
 * is made of, or somewhat beyond.  Where AVIC refuses vCPUs that it can't address, the
 * last one that it can.
 */
#define ID_BEYOND_XAPIC		300
#define ID_OF_AVIC		254

/*
 * IDs within the map of the vCPUs before, beyond it and around its end: a map fills 4 or
 * 8 KiB, less some 540 bytes.  APIC ID 255 is that of all in xAPIC mode.
 */
static const u32 growing_ids[] = {
	1, 2, 5, 253, 254, 256, 257, 441, 442, 443, 444, 445, 446, 447, 258, 512,
	953, 954, 955, 956, 957, 958, 959, 511, 2048, 3000, 300, 3,
};

/* Where SIPI makes a vCPU start: the page's number. */
#define SIPI_VECTOR		0x9f

#define CODE_GPA		0x1000
#define CODE_SLOT		1

/* eax: destination, ebx and ecx: commands; by way of ds, which begins at the APIC. */
static const u8 send_two_ipis[] = {
	0x66, 0xa3, 0x10, 0x03,			/* mov %eax, 0x310: ICR2 */
	0x66, 0x89, 0x1e, 0x00, 0x03,		/* mov %ebx, 0x300: ICR */
	0x66, 0x89, 0x0e, 0x00, 0x03,		/* mov %ecx, 0x300 */
	0xe6, 0x80,				/* out %al, $0x80 */
};

/* The way, and the event. */
static const struct delivery {
	const char *name;
	bool ipi;
	bool init_sipi;
} deliveries[] = {
	{ "NMI to vCPU %u, by MSI",		.ipi = false, .init_sipi = false },
	{ "NMI to vCPU %u, by IPI",		.ipi = true,  .init_sipi = false },
	{ "INIT and SIPI to vCPU %u, by MSI",	.ipi = false, .init_sipi = true },
	{ "INIT and SIPI to vCPU %u, by IPI",	.ipi = true,  .init_sipi = true },
};

struct irqchip {
	bool split;
	bool x2apic;
};

struct apic_test {
	const struct irqchip *irqchip;
	struct kvm_vm *vm;
	struct kvm_run *run;		/* of vCPU0 */
	u32 ids[NR_VCPUS];
	int fds[NR_VCPUS];		/* or -1 */
	u32 last_id;
	int kmsg;
};

FIXTURE(apic_map) {
	struct apic_test t;
};

FIXTURE_VARIANT(apic_map) {
	struct irqchip irqchip;
};

FIXTURE_VARIANT_ADD(apic_map, xapic) {
};

FIXTURE_VARIANT_ADD(apic_map, split_xapic) {
	.irqchip.split = true,
};

FIXTURE_VARIANT_ADD(apic_map, x2apic) {
	.irqchip.x2apic = true,
};

FIXTURE_VARIANT_ADD(apic_map, split_x2apic) {
	.irqchip.split = true,
	.irqchip.x2apic = true,
};

static void set_msr(int fd, u32 index, u64 data)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} msrs = {
		.header.nmsrs = 1,
		.entry = { .index = index, .data = data },
	};

	TEST_ASSERT(ioctl(fd, KVM_SET_MSRS, &msrs) == 1, "KVM_SET_MSRS of 0x%x failed", index);
}

/* vCPU0 sends IPIs, in one of two ways. */
static void prepare_sender(struct kvm_vm *vm, int fd, bool x2apic)
{
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_BLOCKIRQ,
	};
	struct kvm_sregs sregs;

	if (x2apic) {
		TEST_ASSERT(!ioctl(fd, KVM_SET_CPUID2, kvm_get_supported_cpuid()),
			    "KVM_SET_CPUID2: %s", strerror(errno));
		set_msr(fd, MSR_IA32_APICBASE, APIC_DEFAULT_GPA | MSR_IA32_APICBASE_BSP |
			MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE);
		return;
	}

	/*
	 * KVM has to see the access, i.e. neither AVIC nor APICv may.  Where AVIC is
	 * forced on a CPU that doesn't have it, the IPI would end in memory.
	 */
	TEST_ASSERT(!ioctl(fd, KVM_SET_GUEST_DEBUG, &debug),
		    "KVM_SET_GUEST_DEBUG: %s", strerror(errno));

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, CODE_GPA, CODE_SLOT, 1, 0);
	memcpy(addr_gpa2hva(vm, CODE_GPA), send_two_ipis, sizeof(send_two_ipis));

	TEST_ASSERT(!ioctl(fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS: %s", strerror(errno));
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	sregs.ds.base = APIC_DEFAULT_GPA;
	TEST_ASSERT(!ioctl(fd, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS: %s", strerror(errno));
}

static void send_ipis(struct kvm_run *run, int fd, bool x2apic, u32 id, u32 first, u32 second)
{
	struct kvm_regs regs = {
		.rip = CODE_GPA,
		.rflags = 2,
		.rax = id << 24,
		.rbx = first,
		.rcx = second,
	};

	if (x2apic) {
		set_msr(fd, APIC_BASE_MSR + (APIC_ICR >> 4), (u64)id << 32 | first);
		set_msr(fd, APIC_BASE_MSR + (APIC_ICR >> 4), (u64)id << 32 | second);
		return;
	}

	TEST_ASSERT(!ioctl(fd, KVM_SET_REGS, &regs), "KVM_SET_REGS: %s", strerror(errno));
	TEST_ASSERT(!ioctl(fd, KVM_RUN, NULL), "KVM_RUN of vCPU0: %s", strerror(errno));
	TEST_ASSERT(run->exit_reason == KVM_EXIT_IO, "KVM_RUN of vCPU0: want KVM_EXIT_IO, got %s",
		    exit_reason_str(run->exit_reason));
}

/* Returns the result of KVM_SIGNAL_MSI, i.e. the number of vCPUs that got it. */
static int send_msi(struct kvm_vm *vm, u32 id, u32 data)
{
	struct kvm_msi msi = {
		.address_lo = APIC_DEFAULT_GPA | (id & 0xff) << 12,
		.address_hi = id & ~0xffu,
		.data = data,
	};
	int r = __vm_ioctl(vm, KVM_SIGNAL_MSI, &msi);

	return r < 0 ? -errno : r;
}

static bool has_nmi(int fd)
{
	struct kvm_vcpu_events events;

	TEST_ASSERT(!ioctl(fd, KVM_GET_VCPU_EVENTS, &events),
		    "KVM_GET_VCPU_EVENTS: %s", strerror(errno));
	return events.nmi.pending || events.nmi.injected;
}

static bool has_started(int fd)
{
	struct kvm_mp_state mp_state;
	struct kvm_sregs sregs;

	/* INIT and SIPI are handled now. */
	TEST_ASSERT(!ioctl(fd, KVM_GET_MP_STATE, &mp_state),
		    "KVM_GET_MP_STATE: %s", strerror(errno));
	TEST_ASSERT(!ioctl(fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS: %s", strerror(errno));
	return mp_state.mp_state == KVM_MP_STATE_RUNNABLE &&
	       sregs.cs.base == SIPI_VECTOR << 12;
}

static struct kvm_vm *create_empty_vm(const struct irqchip *irqchip)
{
	struct kvm_vm *vm = vm_create_barebones();

	if (irqchip->split)
		vm_enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, SPLIT_IRQCHIP_PINS);
	else
		vm_ioctl(vm, KVM_CREATE_IRQCHIP, NULL);
	if (irqchip->x2apic)
		vm_enable_cap(vm, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS |
			      KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	return vm;
}

static bool has_ids_beyond_xapic(const struct irqchip *irqchip)
{
	struct kvm_vm *vm = create_empty_vm(irqchip);
	int fd = __vcpu_fd_create(vm, ID_BEYOND_XAPIC);

	TEST_ASSERT(fd >= 0 || fd == -EINVAL, "KVM_CREATE_VCPU(%u): %s", ID_BEYOND_XAPIC,
		    strerror(-fd));
	if (fd >= 0)
		kvm_close(fd);
	kvm_vm_free(vm);
	return fd >= 0;
}

FIXTURE_SETUP(apic_map)
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_SIGNAL_MSI));
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_SET_GUEST_DEBUG2) & KVM_GUESTDBG_BLOCKIRQ);

	self->t.irqchip = &variant->irqchip;
	self->t.kmsg = kmsg_open();
	self->t.vm = NULL;
	self->t.last_id = NR_VCPUS - 1;
	if (variant->irqchip.x2apic)
		self->t.last_id = has_ids_beyond_xapic(&variant->irqchip) ?
				  ID_BEYOND_XAPIC : ID_OF_AVIC;
}

static void create_vm(struct apic_test *t)
{
	int i;

	t->vm = create_empty_vm(t->irqchip);
	for (i = 0; i < NR_VCPUS; i++) {
		t->ids[i] = i;
		t->fds[i] = -1;
	}
	t->ids[NR_VCPUS - 1] = t->last_id;

	t->fds[0] = __vcpu_fd_create(t->vm, 0);
	TEST_ASSERT(t->fds[0] >= 0, "KVM_CREATE_VCPU: %s", strerror(-t->fds[0]));
	t->run = kvm_mmap(getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED, t->fds[0]);
	prepare_sender(t->vm, t->fds[0], t->irqchip->x2apic);
}

static void free_vm(struct apic_test *t)
{
	int i;

	if (!t->vm)
		return;

	kvm_munmap(t->run, getpagesize());
	for (i = 0; i < NR_VCPUS; i++) {
		if (t->fds[i] >= 0)
			kvm_close(t->fds[i]);
	}
	kvm_vm_free(t->vm);
	t->vm = NULL;
}

FIXTURE_TEARDOWN(apic_map)
{
	free_vm(&self->t);
	kmsg_close(_metadata, self->t.kmsg);
}

/* To the vCPU that was created last at first: INIT has KVM look at all APICs. */
static void expect_delivery(struct __test_metadata *_metadata, struct apic_test *t,
			    const struct delivery *d)
{
	u32 init = APIC_INT_ASSERT | APIC_DM_INIT, sipi = APIC_DM_STARTUP | SIPI_VECTOR;
	char what[64];
	int i, r;

	for (i = NR_VCPUS - 1; i > 0; i--) {
		u32 id = t->ids[i];
		bool seen;

		if (t->fds[i] < 0)
			continue;

		snprintf(what, sizeof(what), d->name, id);
		if (d->ipi) {
			send_ipis(t->run, t->fds[0], t->irqchip->x2apic, id,
				  d->init_sipi ? init : APIC_DM_NMI,
				  d->init_sipi ? sipi : APIC_DM_NMI);
		} else {
			r = send_msi(t->vm, id, d->init_sipi ? APIC_DM_INIT : APIC_DM_NMI);
			EXPECT_EQ(1, r)
				TH_LOG("%s: want it to be delivered, got %s", what, ret_name(r));
			if (d->init_sipi) {
				r = send_msi(t->vm, id, sipi);
				EXPECT_EQ(1, r)
					TH_LOG("%s: want SIPI to be delivered, got %s", what,
					       ret_name(r));
			}
		}

		seen = d->init_sipi ? has_started(t->fds[i]) : has_nmi(t->fds[i]);
		EXPECT_TRUE(seen)
			TH_LOG("%s: want it to be seen by the vCPU, wasn't", what);
	}
}

TEST_F_TIMEOUT(apic_map, created_last, SUBTEST_TIMEOUT_S)
{
	struct apic_test *t = &self->t;
	int d, i;

	for (d = 0; d < ARRAY_SIZE(deliveries); d++) {
		create_vm(t);
		for (i = 1; i < NR_VCPUS; i++) {
			t->fds[i] = __vcpu_fd_create(t->vm, t->ids[i]);
			ASSERT_LE(0, t->fds[i])
				TH_LOG("KVM_CREATE_VCPU: %s", strerror(-t->fds[i]));
		}
		expect_delivery(_metadata, t, &deliveries[d]);
		free_vm(t);
	}
}

/* Each vCPU gets its NMI as soon as it is there, and so do those before it. */
TEST_F_TIMEOUT(apic_map, created_and_sent_to, SUBTEST_TIMEOUT_S)
{
	u32 last = self->t.last_id == ID_BEYOND_XAPIC ? UINT_MAX : ID_OF_AVIC;
	struct apic_test *t = &self->t;
	u32 ids[ARRAY_SIZE(growing_ids)];
	int fds[ARRAY_SIZE(growing_ids)];
	int i, j, r, nr = 0;

	create_vm(t);
	for (i = 0; i < ARRAY_SIZE(growing_ids); i++) {
		if (growing_ids[i] > last)
			continue;

		ids[nr] = growing_ids[i];
		fds[nr] = __vcpu_fd_create(t->vm, ids[nr]);
		ASSERT_LE(0, fds[nr])
			TH_LOG("KVM_CREATE_VCPU(%u): %s", ids[nr], strerror(-fds[nr]));
		nr++;

		for (j = nr - 1; j >= 0; j--) {
			struct kvm_vcpu_events none = {
				.flags = KVM_VCPUEVENT_VALID_NMI_PENDING,
			};

			r = send_msi(t->vm, ids[j], APIC_DM_NMI);
			ASSERT_EQ(1, r)
				TH_LOG("NMI to vCPU %u, by MSI: want it to be delivered, got %s",
				       ids[j], ret_name(r));
			ASSERT_TRUE(has_nmi(fds[j]))
				TH_LOG("NMI to vCPU %u, after vCPU %u: the vCPU doesn't have it",
				       ids[j], ids[nr - 1]);
			ASSERT_EQ(0, ioctl(fds[j], KVM_SET_VCPU_EVENTS, &none))
				TH_LOG("KVM_SET_VCPU_EVENTS: %s", strerror(errno));
			ASSERT_FALSE(has_nmi(fds[j]));
		}
	}

	for (i = 0; i < nr; i++)
		kvm_close(fds[i]);
	free_vm(t);
}

/* Without x2APIC's IDs, an xAPIC ID is that of each 256th vCPU ID, and all of them get it. */
TEST_F_TIMEOUT(apic_map, shared_id, SUBTEST_TIMEOUT_S)
{
	static const u32 ids[] = { 1, 2, 257, 3, 258 };
	struct apic_test *t = &self->t;
	int fds[ARRAY_SIZE(ids)];
	int i, j, r, want;

	if (t->irqchip->x2apic)
		SKIP(return, "IDs of 32 bits are one vCPU's each");
	if (!has_ids_beyond_xapic(t->irqchip))
		SKIP(return, "KVM has no vCPU %u", ID_BEYOND_XAPIC);

	create_vm(t);
	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		fds[i] = __vcpu_fd_create(t->vm, ids[i]);
		ASSERT_LE(0, fds[i])
			TH_LOG("KVM_CREATE_VCPU(%u): %s", ids[i], strerror(-fds[i]));

		for (want = 0, j = 0; j <= i; j++)
			want += (u8)ids[j] == (u8)ids[i];
		r = send_msi(t->vm, (u8)ids[i], APIC_DM_NMI);
		ASSERT_EQ(want, r)
			TH_LOG("NMI to APIC %u: want it to be delivered to %d vCPUs, got %s",
			       (u8)ids[i], want, ret_name(r));
	}
	while (i--)
		kvm_close(fds[i]);
	free_vm(t);
}

/* The map is made anew for IDs of another format, even if nothing else has changed. */
TEST_F_TIMEOUT(apic_map, format_changes, SUBTEST_TIMEOUT_S)
{
	struct apic_test *t = &self->t;
	int fds[2], i, r;

	if (t->irqchip->x2apic)
		SKIP(return, "IDs have 32 bits from the start");
	if (!has_ids_beyond_xapic(t->irqchip))
		SKIP(return, "KVM has no vCPU %u", ID_BEYOND_XAPIC);

	create_vm(t);
	fds[0] = __vcpu_fd_create(t->vm, ID_BEYOND_XAPIC);
	ASSERT_LE(0, fds[0])
		TH_LOG("KVM_CREATE_VCPU(%u): %s", ID_BEYOND_XAPIC, strerror(-fds[0]));
	r = send_msi(t->vm, (u8)ID_BEYOND_XAPIC, APIC_DM_NMI);
	ASSERT_EQ(1, r)
		TH_LOG("NMI to APIC %u: want it to be delivered, got %s",
		       (u8)ID_BEYOND_XAPIC, ret_name(r));

	vm_enable_cap(t->vm, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS);
	fds[1] = __vcpu_fd_create(t->vm, 1);
	ASSERT_LE(0, fds[1])
		TH_LOG("KVM_CREATE_VCPU(1): %s", strerror(-fds[1]));
	r = send_msi(t->vm, ID_BEYOND_XAPIC, APIC_DM_NMI);
	ASSERT_EQ(1, r)
		TH_LOG("NMI to vCPU %u, by MSI: want it to be delivered, got %s",
		       ID_BEYOND_XAPIC, ret_name(r));

	for (i = 0; i < ARRAY_SIZE(fds); i++)
		kvm_close(fds[i]);
	free_vm(t);
}

/* For a map that has space, none is made anew, and no vCPU has to look at its routes again. */
TEST_F_TIMEOUT(apic_map, others_left_alone, SUBTEST_TIMEOUT_S)
{
	const char *missing = kvm_lifecycle_missing("pause");
	struct apic_test *t = &self->t;
	int i, pause;

	if (missing)
		SKIP(return, "%s", missing);
	pause = kvm_lifecycle_open(_metadata, "pause");

	create_vm(t);
	for (i = 1; i < NR_VCPUS; i++) {
		struct racer r = { .fn = race_create, .arg = t->vm, .val = t->ids[i] };

		racer_start(&r, -1);
		EXPECT_FALSE(racer_go_to(&r, pause, "kvm_make_scan_ioapic_request", WAIT_S))
			TH_LOG("vCPU %u: want the others to be left alone, they weren't",
			       t->ids[i]);
		ASSERT_EQ(0, __kvm_lifecycle_write(pause, "release"));
		t->fds[i] = racer_join(&r);
		ASSERT_LE(0, t->fds[i])
			TH_LOG("KVM_CREATE_VCPU(%u): %s", t->ids[i], strerror(-t->fds[i]));
	}
	free_vm(t);
	close(pause);
}

/* vCPU1 has been reset when the last vCPU's creation begins, but isn't online. */
TEST_F_TIMEOUT(apic_map, created_in_parallel, SUBTEST_TIMEOUT_S)
{
	const char *missing = kvm_lifecycle_missing("pause");
	struct apic_test *t = &self->t;
	int d, cpu, pause;

	if (missing)
		SKIP(return, "%s", missing);
	cpu = set_cpu_aside();
	if (cpu < 0)
		SKIP(return, "two CPUs are needed");
	pause = kvm_lifecycle_open(_metadata, "pause");

	for (d = 0; d < ARRAY_SIZE(deliveries); d++) {
		struct racer last, held;

		create_vm(t);
		held = (struct racer) { .fn = race_create, .arg = t->vm, .val = t->ids[1] };
		last = (struct racer) { .fn = race_create, .arg = t->vm,
					.val = t->ids[NR_VCPUS - 1] };
		racer_start(&held, cpu);
		racer_start(&last, -1);

		ASSERT_TRUE(racer_go_to(&held, pause, "kvm_init_mmu", WAIT_S))
			TH_LOG("kvm_init_mmu() wasn't called in %d s", WAIT_S);
		racer_go(&last);
		racer_done_within(&last, OVERTAKE_MS);
		ASSERT_EQ(0, __kvm_lifecycle_write(pause, "release"));

		t->fds[1] = racer_join(&held);
		t->fds[NR_VCPUS - 1] = racer_join(&last);
		ASSERT_LE(0, t->fds[1])
			TH_LOG("KVM_CREATE_VCPU: %s", strerror(-t->fds[1]));
		ASSERT_LE(0, t->fds[NR_VCPUS - 1])
			TH_LOG("KVM_CREATE_VCPU: %s", strerror(-t->fds[NR_VCPUS - 1]));
		expect_delivery(_metadata, t, &deliveries[d]);
		free_vm(t);
	}
	close(pause);
}

TEST_HARNESS_MAIN
