// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation that it takes to create a VM, a vCPU or a vGIC, and to run a vCPU
 * for the first time, fails once.
 *
 * An operation is done over and over again: its first allocation fails, then the
 * second one, and so on, until it succeeds because nothing was left to fail.
 * After each failure the errno is -ENOMEM, the file table, the IDs, the indices
 * and hardware's tables are as before, and the same operation succeeds.  In the
 * end nothing has leaked.
 *
 * A site is the call stack of an allocation.  The function tracer shows all of
 * those that an operation reaches, fail-nth says which one has failed, and the
 * kernel's log names it, too.  The test fails if a site was reached and was not
 * made to fail, or if one can fail without the operation failing and it isn't
 * known why that does no harm.  The sites are written to a file.
 */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "cgroup_util.h"
#include "kvm_util.h"
#include "test_util.h"
#include "processor.h"
#include "kvm_lifecycle_harness.h"
#include "alloc_trace.h"

/* Emulated hosts with all of the kernel's debugging need most of it. */
#define SUBTEST_TIMEOUT_S	240

/* Far more allocations than any operation takes. */
#define MAX_NTH			2000

/* Anything that is waited for happens far sooner, or never. */
#define WAIT_S			20

/* Never comes. */
#define NTH_NONE		1000000

#define MAX_SITES		2048

/* How often a site is tried that is only reached now and then. */
#define MAX_TRIES		30

/* The innermost frames of a stack, which are those of fault injection. */
#define MAX_HEAD		6

/* More pages than a vCPU takes. */
#define MAX_LIMITS		64

/* VMs, none of which takes less than a page, and all of which give it back. */
#define NR_CHARGED_VMS		100

/* All of them are made in far less, also by a host that is busy. */
#define VMS_WAIT_S		100

/* IDs that differ from every index in use, so that neither passes for the other. */
#define VCPU_ID(idx)		((idx) + 2)

/* A small dirty ring, but one for which hardware's own log leaves some room. */
#define DIRTY_RING_ENTRIES	1024

/* The index at which an xarray gets its second level. */
#define XA_SECOND_LEVEL		64

/* Stands for the highest ID that there is. */
#define LAST_ID			UINT_MAX

/* For the vCPUs of any operation. */
#define NR_REDISTS		2
#define NR_IRQS			64

#define SITES_FILE		"/tmp/vcpu_create_fault_sites.txt"

static const char *sites_path(void)
{
	return getenv("SITES") ?: SITES_FILE;
}

/*
 * Allocations that an allocator, or the kernel's debugging, makes on its own
 * behalf while it serves another one, if its stock has run out.  For the caller,
 * the allocation that is being served fails, i.e. that is the site.
 */
struct inner {
	const char *prefix;	/* of the function's name */
	const char *debugging;	/* nobody notices, and the site is this one */
};

static const struct inner inners[] = {
	{ "kmemleak_", "kmemleak's record of an allocation" },
	{ "__create_object", "kmemleak's record of an allocation" },
	{ "stack_depot_save", "the stack that KASAN or kmemleak remembers" },
	{ "kasan_populate_vmalloc", "KASAN's shadow of an allocation" },
	{ "__kasan_populate_vmalloc", "KASAN's shadow of an allocation" },
	{ "__kfree_rcu_sheaf", "where kfree_rcu() collects what it frees" },
	{ "___slab_alloc" },
	{ "__slab_alloc" },
	{ "allocate_slab" },
	{ "new_slab" },
	{ "refill_objects" },
	{ "__refill_objects" },
	{ "refill_sheaf" },
	{ "__pcs_replace_empty_main" },
	{ "alloc_slab_obj_exts" },
	{ "__memcg_slab_post_alloc_hook" },
	/* Allocates a single page if it can't have the lists of the CPU. */
	{ "alloc_pages_bulk" },
	{ "pcpu_" },
};

/* Functions of the allocators: their caller wants the memory. */
static const char * const allocators[] = {
	"kmem_cache_", "__kmem_cache_", "__kmalloc", "___kmalloc", "kmalloc", "__kvmalloc",
	"kvmalloc", "kmemdup",
	"__vmalloc", "vmalloc", "vzalloc", "alloc_vmap_area", "__get_vm_area_node", "vmap_",
	"__vmap_", "__alloc_", "alloc_pages", "alloc_frozen_pages", "get_free_pages",
	"get_zeroed_page",
	"__pte_alloc_kernel", "__pmd_alloc", "__pud_alloc", "__p4d_alloc",
	"xas_", "__xas_", "__xa_", "mas_",
};

/*
 * Allocations by these stay, so that they are not asked for the next time.  The
 * sheaf is for the nodes of a maple tree: one that has been split has room.
 */
static const char * const stocks[] = {
	"__pte_alloc_kernel", "__pmd_alloc", "__pud_alloc", "__p4d_alloc", "__kfree_rcu_sheaf",
	"kmem_cache_prefill_sheaf",
	"stack_depot_save",
	/* Takes a page on its own if somebody else is at the lists of the CPU. */
	"alloc_pages_bulk",
};

/* Sites that fail without the operation failing, and why that does no harm. */
static const struct {
	const char *prefix;	/* of the name of a function on the stack */
	const char *why;
} harmless[] = {
	/* For lack of pages in a row; those that vmalloc() takes are not all seen. */
	{ "__kvmalloc_node", "vmalloc() is tried instead" },
	{ "debugfs_", "debugfs shows less" },
	{ "vgic_its_debug_init", "debugfs shows less" },
	{ "kvm_uevent_notify_change", "nobody is told that there is one VM more, or less" },
	{ "kvm_recalculate_apic_map",
	  "interrupts are sent without a map, and without AVIC, until an APIC changes" },
};

/* Sites whose failure has another errno than -ENOMEM. */
static const struct {
	const char *prefix;
	int err;
} errors[] = {
	/* An inode of tmpfs, for the page at which guests see the APIC. */
	{ "shmem_alloc_inode", -ENOSPC },
};

/* The kind of allocation that fails. */
enum kind { SLABS, PAGES };

struct site {
	char *name;
	const char *caller;	/* the end of the name, from the allocation's caller on */
	const char *debugging;
	bool stock;
	enum kind kind;		/* of the last one */
	bool by_success;	/* reached by an operation that succeeded */
	bool logged;		/* the kernel's log says that it has failed */
	bool retried;		/* something else was tried instead, and failed, too */
	unsigned int failed;	/* alone */
	unsigned int fatal;	/* ... so that the operation failed */
	bool failed_onwards;	/* as did each allocation after it */
	bool first;		/* of those that failed */
	bool more;		/* allocations come after it, though it has failed */
	unsigned int at;	/* where it was seen last */
};

static struct site sites[MAX_SITES];
static int nr_sites;

/* The stacks that were seen, by a hash of their addresses, and whose they are. */
static struct {
	u64 hash;
	struct site *site;
} stacks_seen[4 * MAX_SITES];

/* An operation's surroundings. */
struct env {
	const struct op *op;
	u32 vcpu_id;
	struct kvm_vm *vm;
	int dev_kvm;
	int vcpu_fds[XA_SECOND_LEVEL];
	int nr_vcpus;
	struct kvm_run *run;	/* vCPU0's, if it is to run */
	int gic_fd;
	int its_fd;
	int new_fd;		/* the descriptor that the operation has created */
	int next_fd;
	int rec;
	bool avic;
	struct avic_state before;
};

/* The state of the vGIC before the operation. */
enum vgic { NO_VGIC, VGIC, VGIC_WITH_REGION, VGIC_WITH_ITS, VGIC_INITIALIZED };

struct op {
	/* Returns 0, a file descriptor, or -errno. */
	int (*run)(struct env *e);
	/* Actions that the VM must be capable of afterwards. */
	void (*use)(struct __test_metadata *_metadata, struct env *e);
	u32 id;			/* of a vCPU */
	int nr_vcpus;		/* that are there before */
	bool split_irqchip;
	bool ring;
	bool no_fd;		/* it creates no file descriptor */
	bool uses_bus;		/* it has to take a device off the MMIO bus if it fails */
	enum vgic vgic;
	const char *cache;	/* fail allocations from this slab cache alone ... */
	const char *caller;	/* ... which functions with this in their name make */
};

/* The slab caches of a vCPU's own memory, and no others. */
static const char * const caches[] = {
	"kvm_vcpu",
#ifdef __x86_64__
	"x86_emulator",
#endif
};

/* How many objects a slab cache has handed out, or -1 if that isn't known. */
static long slab_objects(const char *cache)
{
	char path[128], buf[64];

	/* Objects that wait to be used again, by a CPU or by KASAN, count as handed out. */
	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", cache);
	fault_knob_write(path, "1");

	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/objects", cache);
	if (fault_knob_read(path, buf, sizeof(buf)))
		return -1;
	return strtol(buf, NULL, 10);
}

struct fault_test {
	struct env e;
	struct fault_injection fi;
	struct alloc_trace trace;
	int kmsg;		/* for the kernel's reports */
	int log;		/* for the reports of fault injection */
	bool verbose;
	bool go_on;		/* after a failure of all allocations */
	enum kind kind;
	long objects[ARRAY_SIZE(caches)];
};

FIXTURE(fault) {
	struct fault_test t;
};

FIXTURE_VARIANT(fault) {
	const char *name;
	struct op op;
};

static int create_vm(struct env *e)
{
	int fd = ioctl(e->dev_kvm, KVM_CREATE_VM, 0ul);

	return fd < 0 ? -errno : fd;
}

static void use_new_vm(struct __test_metadata *_metadata, struct env *e)
{
	int fd = ioctl(e->new_fd, KVM_CREATE_VCPU, 0ul);

	ASSERT_LE(0, fd)
		TH_LOG("a vCPU of the VM: want a vCPU, got %s", ret_name(-errno));
	close(fd);
}

static int create_vcpu(struct env *e)
{
	return __vcpu_fd_create(e->vm, e->vcpu_id);
}

FIXTURE_VARIANT_ADD(fault, vm) {
	.name = "vm",
	.op = { .run = create_vm, .use = use_new_vm },
};

FIXTURE_VARIANT_ADD(fault, first_vcpu) {
	.name = "first_vcpu",
	.op = { .run = create_vcpu, .id = VCPU_ID(0) },
};

FIXTURE_VARIANT_ADD(fault, second_vcpu) {
	.name = "second_vcpu",
	.op = { .run = create_vcpu, .id = VCPU_ID(1), .nr_vcpus = 1 },
};

/* Only the array of vCPUs differs from the second vCPU. */
FIXTURE_VARIANT_ADD(fault, vcpu64) {
	.name = "vcpu64",
	.op = {
		.run = create_vcpu,
		.id = VCPU_ID(XA_SECOND_LEVEL),
		.nr_vcpus = XA_SECOND_LEVEL,
		.cache = "radix_tree_node",
		.caller = "xas_",
	},
};

FIXTURE_VARIANT_ADD(fault, dirty_ring) {
	.name = "dirty_ring",
	.op = { .run = create_vcpu, .id = VCPU_ID(1), .nr_vcpus = 1, .ring = true },
};

#ifdef __x86_64__
/* With AVIC, its tables are allocated for the first vCPU. */
FIXTURE_VARIANT_ADD(fault, irqchip_first_vcpu) {
	.name = "irqchip_first_vcpu",
	.op = { .run = create_vcpu, .id = VCPU_ID(0), .split_irqchip = true },
};

FIXTURE_VARIANT_ADD(fault, irqchip_second_vcpu) {
	.name = "irqchip_second_vcpu",
	.op = { .run = create_vcpu, .id = VCPU_ID(1), .nr_vcpus = 1, .split_irqchip = true },
};

/* Hardware can't address it, i.e. with AVIC the whole VM does without AVIC. */
FIXTURE_VARIANT_ADD(fault, irqchip_last_id) {
	.name = "irqchip_last_id",
	.op = { .run = create_vcpu, .id = LAST_ID, .nr_vcpus = 1, .split_irqchip = true },
};
#endif

#ifdef __aarch64__
static int create_device(struct env *e, u64 type)
{
	struct kvm_create_device dev = { .type = type };

	return __vm_ioctl(e->vm, KVM_CREATE_DEVICE, &dev) ? -errno : (int)dev.fd;
}

static int create_vgic(struct env *e)
{
	return create_device(e, KVM_DEV_TYPE_ARM_VGIC_V3);
}

static int create_its(struct env *e)
{
	return create_device(e, KVM_DEV_TYPE_ARM_VGIC_ITS);
}

/* Exactly as many redistributors as there will be vCPUs. */
static int set_region(struct env *e)
{
	return vgic_set_region(e->gic_fd, GICR_BASE_GPA, NR_REDISTS, 0);
}

static int init_vgic(struct env *e)
{
	return vgic_ctrl_init(e->gic_fd);
}

static int set_its_address(struct env *e)
{
	u64 addr = GITS_BASE_GPA;

	return __kvm_device_attr_set(e->its_fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
				     KVM_VGIC_ITS_ADDR_TYPE, &addr) ? -errno : 0;
}

static void use_new_vgic(struct __test_metadata *_metadata, struct env *e)
{
	u32 nr_irqs = NR_IRQS;

	kvm_device_attr_set(e->new_fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nr_irqs);
}

/* The vGIC is initialized, which can be done twice, and the vCPUs could run. */
static void prepare_run(struct env *e)
{
	int size = ioctl(e->dev_kvm, KVM_GET_VCPU_MMAP_SIZE, 0), i, r;
	struct kvm_vcpu_init init;

	r = vgic_ctrl_init(e->gic_fd);
	TEST_ASSERT(!r, "KVM_DEV_ARM_VGIC_CTRL_INIT: want 0, got %s", ret_name(r));

	vm_ioctl(e->vm, KVM_ARM_PREFERRED_TARGET, &init);
	for (i = 0; i < e->nr_vcpus; i++) {
		r = ioctl(e->vcpu_fds[i], KVM_ARM_VCPU_INIT, &init) ? -errno : 0;
		TEST_ASSERT(!r, "KVM_ARM_VCPU_INIT of vCPU%d: want 0, got %s", i, ret_name(r));
	}

	if (!e->run)
		e->run = kvm_mmap(size, PROT_READ | PROT_WRITE, MAP_SHARED, e->vcpu_fds[0]);
	e->run->immediate_exit = 1;
}

/* The first KVM_RUN maps the vGIC, for which each vCPU must have a redistributor. */
static int run_vcpu0(struct env *e)
{
	int r = ioctl(e->vcpu_fds[0], KVM_RUN, 0) ? -errno : 0;

	return r == -EINTR ? 0 : r;
}

static void use_vgic(struct __test_metadata *_metadata, struct env *e)
{
	int r;

	prepare_run(e);
	r = run_vcpu0(e);
	EXPECT_EQ(0, r)
		TH_LOG("KVM_RUN of vCPU0, with immediate_exit: want %s, got %s", ret_name(-EINTR),
		       ret_name(r));
}

FIXTURE_VARIANT_ADD(fault, vgic) {
	.name = "vgic",
	.op = { .run = create_vgic, .use = use_new_vgic, .nr_vcpus = 2 },
};

FIXTURE_VARIANT_ADD(fault, vgic_region) {
	.name = "vgic_region",
	.op = {
		.run = set_region,
		.use = use_vgic,
		.nr_vcpus = 2,
		.vgic = VGIC,
		.no_fd = true,
		.uses_bus = true,
	},
};

FIXTURE_VARIANT_ADD(fault, vgic_init) {
	.name = "vgic_init",
	.op = {
		.run = init_vgic,
		.use = use_vgic,
		.nr_vcpus = 2,
		.vgic = VGIC_WITH_REGION,
		.no_fd = true,
	},
};

FIXTURE_VARIANT_ADD(fault, vgic_vcpu) {
	.name = "vgic_vcpu",
	.op = {
		.run = create_vcpu,
		.use = use_vgic,
		.id = VCPU_ID(1),
		.nr_vcpus = 1,
		.vgic = VGIC_WITH_REGION,
		.uses_bus = true,
	},
};

FIXTURE_VARIANT_ADD(fault, first_run) {
	.name = "first_run",
	.op = {
		.run = run_vcpu0,
		.use = use_vgic,
		.nr_vcpus = 1,
		.vgic = VGIC_INITIALIZED,
		.no_fd = true,
	},
};

FIXTURE_VARIANT_ADD(fault, its) {
	.name = "its",
	.op = { .run = create_its, .nr_vcpus = 1, .vgic = VGIC },
};

FIXTURE_VARIANT_ADD(fault, its_address) {
	.name = "its_address",
	.op = { .run = set_its_address, .nr_vcpus = 1, .vgic = VGIC_WITH_ITS, .no_fd = true },
};
#endif

static bool creates_vcpu(const struct op *op)
{
	return op->run == create_vcpu;
}

FIXTURE_SETUP(fault)
{
	struct env *e = &self->t.e;
	const char *missing;
	int i;

	*e = (struct env) {
		.op = &variant->op,
		.dev_kvm = -1,
		.gic_fd = -1,
		.its_fd = -1,
		.new_fd = -1,
		.rec = -1,
	};
	self->t.fi.nth_fd = -1;
	self->t.trace.func.instance[0] = '\0';
	self->t.log = -1;
	self->t.verbose = false;
	self->t.go_on = false;
	self->t.kmsg = kmsg_open();
	if (self->t.kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-self->t.kmsg));
	for (i = 0; i < (int)ARRAY_SIZE(caches); i++) {
		self->t.objects[i] = slab_objects(caches[i]);
		if (self->t.objects[i] < 0)
			SKIP(return, "no count of the objects of the slab cache %s", caches[i]);
	}

	if (variant->op.ring && !kvm_has_cap(KVM_CAP_DIRTY_LOG_RING) &&
	    !kvm_has_cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL))
		SKIP(return, "KVM has no dirty ring");
	if (variant->op.nr_vcpus >= kvm_check_cap(KVM_CAP_MAX_VCPUS))
		SKIP(return, "KVM supports %d vCPUs, not more than %d",
		     kvm_check_cap(KVM_CAP_MAX_VCPUS), variant->op.nr_vcpus);

	missing = kvm_lifecycle_missing("vcpu_index");
#ifdef __x86_64__
	/* Without AVIC there are no tables to look at. */
	if (!missing && variant->op.split_irqchip &&
	    !access("/sys/module/kvm_amd/parameters/avic", R_OK) &&
	    kvm_get_module_param_bool("kvm_amd", "avic")) {
		missing = kvm_lifecycle_missing("avic");
		if (!missing)
			e->avic = true;
	}
#endif
	if (missing)
		SKIP(return, "%s", missing);

	self->t.log = kmsg_open();
	ASSERT_LE(0, self->t.log);
	e->rec = kvm_lifecycle_open(_metadata, "vcpu_index");
	e->dev_kvm = open_path_or_exit(KVM_DEV_PATH, O_RDWR);
	e->vcpu_id = e->op->id == LAST_ID ? kvm_check_cap(KVM_CAP_MAX_VCPU_ID) - 1 : e->op->id;
}

FIXTURE_TEARDOWN(fault)
{
	struct env *e = &self->t.e;
	int i;

	alloc_trace_end(&self->t.trace);
	if (variant->op.cache && self->t.fi.nth_fd >= 0)
		fault_disarm_cache(&self->t.fi);
	fault_injection_end(&self->t.fi);
	if (e->rec >= 0)
		close(e->rec);
	if (self->t.log >= 0)
		close(self->t.log);
	for (i = 0; i < (int)ARRAY_SIZE(caches) && !e->vm; i++) {
		long objects = slab_objects(caches[i]);

		EXPECT_EQ(self->t.objects[i], objects)
			TH_LOG("%s: %ld objects before, %ld after", caches[i], self->t.objects[i],
			       objects);
	}
	kmsg_close(_metadata, self->t.kmsg);
}

static void read_avic(struct __test_metadata *_metadata, struct env *e, struct avic_state *a)
{
	int r = e->avic ? avic_read(e->vm->fd, a) : 0;

	ASSERT_EQ(0, r)
		TH_LOG("avic: %s", strerror(-r));
}

/* The vCPUs, the vGIC and the VM that an operation finds. */
static void env_create(struct __test_metadata *_metadata, struct env *e)
{
	struct vcpu_events ev;
	int i, fd;

	e->vm = vm_create_raw(e->op->split_irqchip);
	if (e->op->ring)
		vm_enable_dirty_ring(e->vm, DIRTY_RING_ENTRIES * sizeof(struct kvm_dirty_gfn));
#ifdef __aarch64__
	if (e->op->vgic >= VGIC) {
		u32 nr_irqs = NR_IRQS;
		u64 addr = GICD_BASE_GPA;

		e->gic_fd = kvm_create_device(e->vm, KVM_DEV_TYPE_ARM_VGIC_V3);
		kvm_device_attr_set(e->gic_fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nr_irqs);
		kvm_device_attr_set(e->gic_fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
				    KVM_VGIC_V3_ADDR_TYPE_DIST, &addr);
	}
	if (e->op->vgic == VGIC_WITH_REGION || e->op->vgic == VGIC_INITIALIZED)
		TEST_ASSERT_EQ(set_region(e), 0);
	if (e->op->vgic == VGIC_WITH_ITS)
		e->its_fd = kvm_create_device(e->vm, KVM_DEV_TYPE_ARM_VGIC_ITS);
#endif
	for (i = 0; i < e->op->nr_vcpus; i++) {
		fd = __vcpu_fd_create(e->vm, VCPU_ID(i));
		TEST_ASSERT(fd >= 0, "vCPU of index %d: %s", i, ret_name(fd));
		e->vcpu_fds[e->nr_vcpus++] = fd;
	}
#ifdef __aarch64__
	if (e->op->vgic == VGIC_INITIALIZED)
		prepare_run(e);
#endif

	read_avic(_metadata, e, &e->before);
	read_vcpu_events(_metadata, e->rec, e->vcpu_id, &ev);
	e->next_fd = next_fd(e->vm);
}

static void env_destroy(struct env *e)
{
	int *fds[] = { &e->new_fd, &e->its_fd, &e->gic_fd };
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			kvm_close(*fds[i]);
		*fds[i] = -1;
	}
	if (e->run)
		kvm_munmap(e->run, ioctl(e->dev_kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
	e->run = NULL;
	while (e->nr_vcpus)
		kvm_close(e->vcpu_fds[--e->nr_vcpus]);
	kvm_vm_free(e->vm);
	e->vm = NULL;
}

/* Changes of another vCPU change nothing for vCPU0. */
static void expect_first_entry(struct __test_metadata *_metadata, struct env *e,
			       const struct avic_state *a, const char *how)
{
	u64 before = avic_entry(&e->before, VCPU_ID(0)), after = avic_entry(a, VCPU_ID(0));

	if (e->vcpu_id == VCPU_ID(0))
		return;
	EXPECT_EQ(before, after)
		TH_LOG("%s: the entry of vCPU %u was 0x%llx, is 0x%llx", how, VCPU_ID(0),
		       (unsigned long long)before, (unsigned long long)after);
}

/* Nothing is left of an operation that has failed. */
static void expect_undone(struct __test_metadata *_metadata, struct env *e, bool onwards,
			  const char *how)
{
	struct avic_state a;
	struct vcpu_events ev;
	u64 entry;
	int fd;

	fd = next_fd(e->vm);
	EXPECT_EQ(e->next_fd, fd)
		TH_LOG("%s: want %d to be the next file descriptor, got %d", how, e->next_fd, fd);

	if (!creates_vcpu(e->op))
		return;

	read_vcpu_events(_metadata, e->rec, e->vcpu_id, &ev);
	if (ev.nr[EV_CREATE])
		EXPECT_EQ(NO_INDEX, ev.idx[EV_CREATE])
			TH_LOG("%s: want index -1 in kvm_arch_vcpu_create(), got %d", how,
			       ev.idx[EV_CREATE]);
	EXPECT_EQ(0, ev.nr[EV_POSTCREATE])
		TH_LOG("%s: kvm_arch_vcpu_postcreate() was called", how);
	if (ev.nr[EV_DESTROY])
		EXPECT_EQ(NO_INDEX, ev.idx[EV_DESTROY])
			TH_LOG("%s: want index -1 in kvm_arch_vcpu_destroy(), got %d", how,
			       ev.idx[EV_DESTROY]);

	if (!e->avic)
		return;
	read_avic(_metadata, e, &a);
	entry = avic_entry(&a, e->vcpu_id);
	EXPECT_EQ(0, entry)
		TH_LOG("%s: want no entry for vCPU %u, got 0x%llx", how, e->vcpu_id,
		       (unsigned long long)entry);
	expect_first_entry(_metadata, e, &a, how);
	/*
	 * If there's no memory for the map of all local APICs either, KVM does without
	 * it, and without AVIC, until the next time that it is asked for one.
	 */
	if (!onwards)
		EXPECT_EQ(e->before.inhibits, a.inhibits)
			TH_LOG("%s: AVIC's inhibits were 0x%lx, are 0x%lx", how,
			       e->before.inhibits, a.inhibits);
	EXPECT_TRUE((a.physical && a.logical) || (!a.vm_id && !a.listed))
		TH_LOG("%s: VM ID %u, listed %d, but physical %d logical %d", how, a.vm_id,
		       a.listed, a.physical, a.logical);
}

/*
 * The VM may use AVIC if it could before.  If there was no memory for the map of
 * all local APICs, it may once the map is made anew, e.g. for another vCPU.
 */
static void expect_inhibits(struct __test_metadata *_metadata, struct env *e, const char *how)
{
	struct avic_state a;
	int fd;

	read_avic(_metadata, e, &a);
	if (a.inhibits == e->before.inhibits)
		return;

	fd = __vcpu_fd_create(e->vm, e->vcpu_id + 1);
	ASSERT_LE(0, fd)
		TH_LOG("%s, another vCPU: want a vCPU, got %s", how, ret_name(fd));
	close(fd);
	read_avic(_metadata, e, &a);
	EXPECT_EQ(e->before.inhibits, a.inhibits)
		TH_LOG("%s: AVIC's inhibits were 0x%lx, are 0x%lx", how, e->before.inhibits,
		       a.inhibits);
}

/* All that belongs to an operation that has succeeded is there. */
static void expect_done(struct __test_metadata *_metadata, struct env *e, const char *how)
{
	struct avic_state a;
	struct vcpu_events ev;
	u64 entry, backing;

	if (creates_vcpu(e->op)) {
		read_vcpu_events(_metadata, e->rec, e->vcpu_id, &ev);
		EXPECT_EQ(NO_INDEX, ev.idx[EV_CREATE])
			TH_LOG("%s: want index -1 in kvm_arch_vcpu_create(), got %d", how,
			       ev.idx[EV_CREATE]);
		EXPECT_EQ(1, ev.nr[EV_POSTCREATE]);
		EXPECT_EQ(e->op->nr_vcpus, ev.idx[EV_POSTCREATE])
			TH_LOG("%s: want index %d, got %d", how, e->op->nr_vcpus,
			       ev.idx[EV_POSTCREATE]);
		EXPECT_EQ(0, ev.nr[EV_DESTROY]);
		if (e->avic) {
			read_avic(_metadata, e, &a);
			EXPECT_TRUE(a.vm_id && a.listed && a.physical && a.logical)
				TH_LOG("%s: VM ID %u, listed %d, physical %d, logical %d", how,
				       a.vm_id, a.listed, a.physical, a.logical);
			expect_first_entry(_metadata, e, &a, how);
		}
		if (e->avic && e->op->id != LAST_ID) {
			expect_inhibits(_metadata, e, how);
			entry = avic_entry(&a, e->vcpu_id);
			backing = avic_backing(&a, e->vcpu_id);
			EXPECT_TRUE(avic_entry_is_of(entry, backing))
				TH_LOG("%s: entry 0x%llx, but the APIC's page is 0x%llx", how,
				       (unsigned long long)entry, (unsigned long long)backing);
		}
	}
	if (e->op->use)
		e->op->use(_metadata, e);
}

static bool begins_with(const char *name, const char *prefix)
{
	return !strncmp(name, prefix, strlen(prefix));
}

static bool begins_with_any(const char *name, const char * const *prefixes, int nr)
{
	int i;

	for (i = 0; i < nr; i++) {
		if (begins_with(name, prefixes[i]))
			return true;
	}
	return false;
}

/* The next function on a site's stack, or NULL. */
static const char *next_frame(const char *frame)
{
	const char *next = strstr(frame, " < ");

	return next ? next + strlen(" < ") : NULL;
}

static bool is_inner(const char *name, const struct inner **inner)
{
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(inners); i++) {
		if (!begins_with(name, inners[i].prefix))
			continue;
		*inner = &inners[i];
		return true;
	}
	return false;
}

/* Is this where a stack leaves the system call? */
static bool is_syscall_entry(const char *name)
{
	static const char * const entries[] = {
		"__x64_sys_", "__arm64_sys_", "__riscv_sys_", "__se_sys_", "__do_sys_",
		"do_syscall", "invoke_syscall", "x64_sys_call", "entry_SYSCALL",
	};

	return begins_with_any(name, entries, ARRAY_SIZE(entries));
}

/*
 * Name a site by its functions, with the offsets that tell two calls in one
 * function apart, from the function of the allocator that was called outwards.
 */
static struct site *site_of_names(int nr, const char * const *names, const u64 *offsets)
{
	const char *debugging = NULL, *frame, *next;
	const struct inner *inner;
	bool stock = false;
	struct site *site;
	int i, start = 0, len = 0;
	char buf[8192];

	for (i = 0; i < nr && !is_syscall_entry(names[i]); i++) {
		if (i < MAX_HEAD && begins_with(names[i], "should_fail"))
			start = i + 1;
		if (is_inner(names[i], &inner)) {
			start = i + 1;
			debugging = inner->debugging ?: debugging;
			stock |= begins_with_any(names[i], stocks, ARRAY_SIZE(stocks));
		}
	}
	nr = i;

	if (debugging) {
		snprintf(buf, sizeof(buf), "%s", debugging);
	} else {
		buf[0] = '\0';
		for (i = start; i < nr; i++) {
			len += snprintf(buf + len, sizeof(buf) - len, "%s%s",
					i > start ? " < " : "", names[i]);
			if (i > start)
				len += snprintf(buf + len, sizeof(buf) - len, "+0x%llx",
						(unsigned long long)offsets[i]);
			TEST_ASSERT(len < (int)sizeof(buf), "a call stack is too long");
		}
	}

	for (i = 0; i < nr_sites; i++) {
		if (!strcmp(sites[i].name, buf))
			return &sites[i];
	}
	TEST_ASSERT(nr_sites < MAX_SITES, "more than %d sites", MAX_SITES);
	site = &sites[nr_sites++];
	site->name = strdup(buf);
	site->debugging = debugging;
	site->stock = stock;
	site->caller = site->name;
	for (frame = site->name; !debugging && frame; frame = next) {
		next = next_frame(frame);
		site->stock |= begins_with_any(frame, stocks, ARRAY_SIZE(stocks));
		if (!begins_with_any(frame, allocators, ARRAY_SIZE(allocators)))
			break;
		site->caller = next ?: frame;
	}
	return site;
}

static struct site *site_of_stack(const struct trace_stack *s)
{
	const char *names[TRACE_MAX_FRAMES];
	u64 offsets[TRACE_MAX_FRAMES];
	u64 hash = 14695981039346656037ull;
	int i, slot;

	for (i = 0; i < s->nr; i++)
		hash = (hash ^ s->ip[i]) * 1099511628211ull;

	for (slot = hash % ARRAY_SIZE(stacks_seen); stacks_seen[slot].site;
	     slot = (slot + 1) % ARRAY_SIZE(stacks_seen)) {
		if (stacks_seen[slot].hash == hash)
			return stacks_seen[slot].site;
	}

	for (i = 0; i < s->nr; i++)
		names[i] = name_of_address(s->ip[i], &offsets[i]);
	stacks_seen[slot].hash = hash;
	stacks_seen[slot].site = site_of_names(s->nr, names, offsets);
	return stacks_seen[slot].site;
}

/*
 * The site that the log says has failed, or NULL: the kernel says nothing of an
 * allocation with __GFP_NOWARN.
 */
static struct site *site_in_log(int fd)
{
	char buf[8192], *text, *end;
	static char names[TRACE_MAX_FRAMES][128];
	const char *ptrs[TRACE_MAX_FRAMES];
	u64 offsets[TRACE_MAX_FRAMES];
	unsigned long long offset;
	bool forced = false, in_trace = false;
	int nr = 0;
	ssize_t r;

	for (;;) {
		r = read(fd, buf, sizeof(buf) - 1);
		if (r < 0 && (errno == EPIPE || errno == EINTR))
			continue;
		if (r <= 0)
			break;
		buf[r] = '\0';
		text = strchr(buf, ';');
		if (atoi(buf) >> 3 || !text)
			continue;
		text++;
		end = strchr(text, '\n');
		if (end)
			*end = '\0';

		if (strstr(text, "FAULT_INJECTION: forcing a failure")) {
			/* The first one is the one that was asked for. */
			if (forced)
				in_trace = false;
			forced = !nr;
			continue;
		}
		if (forced && !nr && !strncasecmp(text, "Call trace:", 11)) {
			in_trace = true;
			continue;
		}
		if (!in_trace || strchr(text, '?'))
			continue;
		if (nr < TRACE_MAX_FRAMES &&
		    sscanf(text, " %127[^+ ]+0x%llx/", names[nr], &offset) == 2) {
			ptrs[nr] = names[nr];
			offsets[nr++] = offset;
		} else if (!strstr(text, "<TASK>")) {
			in_trace = false;
		}
	}

	/* The functions that print the stack come first. */
	for (r = 0; r < nr && strcmp(ptrs[r], "should_fail_ex"); r++)
		;
	return r < nr ? site_of_names(nr - r, ptrs + r, offsets + r) : NULL;
}

static void set_verbose(struct fault_test *ft, bool on)
{
	if (ft->verbose == on)
		return;
	fault_knob_write(FAULT_FAILSLAB "verbose", on ? "2" : "0");
	fault_knob_write(FAULT_PAGE "verbose", on ? "2" : "0");
	ft->verbose = on;
}

/*
 * Whether slabs or pages fail is a matter of their own: one allocation more or
 * less, as the stock of a slab has it, would make each count another one.
 */
static void set_kind(struct fault_test *ft, enum kind kind)
{
	ft->kind = kind;
	fault_knob_write(FAULT_PAGE "min-order", kind == PAGES ? "0" : "99");
	fault_knob_write(FAULT_FAILSLAB "cache-filter",
			 kind == PAGES || ft->e.op->cache ? "Y" : "N");
}

/* The tracer sees allocations of any kind, fail-nth only those that may fail. */
static void drop_others(struct alloc_trace *t, enum kind kind, const char *caller)
{
	const char *want = kind == PAGES ? "should_fail_alloc_page" : "should_failslab";
	int i, j, nr = 0;
	u64 offset;

	for (i = 0; i < t->nr; i++) {
		const struct trace_stack *s = &t->stacks[i];

		/* After it come the allocator's function, and its caller. */
		for (j = 0; j + 2 < s->nr && j < MAX_HEAD; j++) {
			if (!strcmp(name_of_address(s->ip[j], &offset), want))
				break;
		}
		if (j + 2 < s->nr && j < MAX_HEAD &&
		    (!caller || strstr(name_of_address(s->ip[j + 2], &offset), caller)))
			t->stacks[nr++] = *s;
	}
	t->nr = nr;
}

/*
 * Do the operation, with a failure of the @nth allocation, or from it @onwards.
 * @failed is the site that failed, if any.
 */
static int run_op(struct __test_metadata *_metadata, struct fault_test *ft, unsigned int nth,
		  bool onwards, struct site **failed)
{
	struct fault_injection *fi = &ft->fi;
	struct alloc_trace *t = &ft->trace;
	struct site *site, *logged;
	unsigned int left;
	int r, i, first;
	bool fault;

	alloc_trace_switch(t, true);
	ASSERT_EQ(0, onwards ? fault_arm_onwards(fi, nth) : fault_arm(fi, nth));
	r = ft->e.op->run(&ft->e);
	left = fault_left(fi);
	fault = fault_disarm_onwards(fi);
	alloc_trace_switch(t, false);
	alloc_trace_read(t);
	drop_others(t, ft->kind, ft->e.op->caller);

	/* The tracer and fail-nth have seen the same allocations. */
	if (fault) {
		ASSERT_LE(nth, t->nr)
			TH_LOG("fail-nth has failed allocation %u, the tracer saw %d", nth, t->nr);
	} else {
		ASSERT_EQ(nth - left, t->nr)
			TH_LOG("fail-nth has counted %u allocations, the tracer %d", nth - left,
			       t->nr);
	}

	first = fault ? (int)nth - 1 : t->nr;
	*failed = NULL;
	for (i = 0; i < t->nr; i++) {
		site = site_of_stack(&t->stacks[i]);
		site->at = i + 1;
		site->kind = ft->kind;
		site->by_success |= !fault;
		if (i == first)
			*failed = site;
		if (onwards && i >= first)
			site->failed_onwards = true;
		else if (i == first)
			site->failed++;
	}

	if (*failed && ft->verbose && !onwards) {
		logged = site_in_log(ft->log);
		if (logged) {
			EXPECT_EQ(logged, *failed)
				TH_LOG("allocation %u: the log says '%s' has failed, not '%s'", nth,
				       logged->name, (*failed)->name);
			(*failed)->logged = true;
		}
	}

	if (r >= 0 && !ft->e.op->no_fd)
		ft->e.new_fd = r;
	return r;
}

/* The next allocation that is not the kernel's debugging's, from the @i-th on, or NULL. */
static struct site *next_site(const struct alloc_trace *t, int i)
{
	for (; i < t->nr; i++) {
		struct site *site = site_of_stack(&t->stacks[i]);

		if (!site->debugging)
			return site;
	}
	return NULL;
}

/* Where on a site's stack it is known to do no harm.  Returns NULL, or @why. */
static const char *find_harmless(const struct site *site, const char **why)
{
	const char *frame;
	int i;

	for (frame = site->name; frame; frame = next_frame(frame)) {
		for (i = 0; i < (int)ARRAY_SIZE(harmless); i++) {
			if (!begins_with(frame, harmless[i].prefix))
				continue;
			*why = harmless[i].why;
			return frame;
		}
	}
	return NULL;
}

static int errno_of(const struct site *site)
{
	const char *frame;
	int i;

	for (frame = site->name; frame; frame = next_frame(frame)) {
		for (i = 0; i < (int)ARRAY_SIZE(errors); i++) {
			if (begins_with(frame, errors[i].prefix))
				return errors[i].err;
		}
	}
	return -ENOMEM;
}

/* The site that fails may give the operation another errno than -ENOMEM. */
static bool is_errno_of(const struct alloc_trace *t, int first, int last, int r)
{
	int i;

	for (i = first; i < last && i < t->nr; i++) {
		if (errno_of(site_of_stack(&t->stacks[i])) == r)
			return true;
	}
	return false;
}

/*
 * Have the operation fail at its @nth allocation, and see that it is undone and
 * can be done.  Returns the site, or NULL if there was no such allocation.
 */
static struct site *fail_nth(struct __test_metadata *_metadata, struct fault_test *ft,
			     unsigned int nth, bool onwards)
{
	struct alloc_trace *t = &ft->trace;
	struct site *failed, *next = NULL;
	struct env *e = &ft->e;
	char how[80];
	int r, retry;

	env_create(_metadata, e);
	r = run_op(_metadata, ft, nth, onwards, &failed);
	snprintf(how, sizeof(how), "%s %u%s failed, %s", ft->kind == PAGES ? "page" : "slab", nth,
		 onwards ? " and each later one" : "", ret_name(r));
	if (failed) {
		next = next_site(t, nth);
		failed->more |= !!next;
	}

	if (r < 0) {
		ASSERT_NE(NULL, failed)
			TH_LOG("no allocation failed, but the operation did: %s", ret_name(r));
		EXPECT_TRUE(is_errno_of(t, nth - 1, onwards ? t->nr : (int)nth, r))
			TH_LOG("%s: want %s", how, ret_name(errno_of(failed)));
		if (!onwards)
			failed->fatal++;
		else if (next && !strcmp(next->caller, failed->caller))
			failed->retried = true;

		expect_undone(_metadata, e, onwards, how);
		/*
		 * Whether the VM has survived that is the matter of another test;
		 * and without any memory, KVM removes all of an I/O bus when a
		 * device is taken off it, after which the VM is of no use.
		 */
		if (onwards && (!ft->go_on || e->op->uses_bus)) {
			env_destroy(e);
			return failed;
		}
		retry = e->op->run(e);
		EXPECT_LE(0, retry)
			TH_LOG("%s, then the same again: want success, got %s", how,
			       ret_name(retry));
		if (!e->op->no_fd)
			e->new_fd = retry;
	}
	if (!_metadata->exit_code)
		expect_done(_metadata, e, how);
	EXPECT_NO_SPLAT(ft->kmsg);
	if (_metadata->exit_code)
		TH_LOG("%s: %s", how, failed ? failed->name : "-");
	env_destroy(e);

	return failed;
}

/*
 * Some sites are reached over and over again, e.g. for each file in debugfs: the
 * first time and the last one are enough.
 */
static bool is_reached_later(struct site **ref, int nr_ref, int i)
{
	int next;

	for (next = i + 1; next < nr_ref; next++) {
		if (ref[next] == ref[i])
			return true;
	}
	return false;
}

static bool is_failed_enough(struct site **ref, int nr_ref, int i)
{
	return ref[i]->failed && (ref[i]->debugging || is_reached_later(ref, nr_ref, i));
}

/*
 * An allocation of an allocator for itself, if its stock has run out or if its first
 * attempt has failed, need not fail as long as the call of the allocator does.  Nor
 * need a site that is reached only after a failure, if it has failed without one.
 */
static bool has_failed_elsewhere(const struct site *site)
{
	const char *frame, *why;
	size_t len = 0;
	int i;

	if (site->by_success && !site->stock)
		return false;

	/* From the allocator to where it is known to do no harm. */
	frame = find_harmless(site, &why);
	if (frame)
		len = (next_frame(frame) ?: frame + strlen(frame)) - site->name;
	for (i = 0; i < nr_sites; i++) {
		if (site->caller != site->name && !strcmp(sites[i].caller, site->caller) &&
		    (sites[i].fatal || sites[i].retried || sites[i].failed_onwards))
			return true;
		if (len && sites[i].failed && !strncmp(sites[i].name, site->name, len))
			return true;
	}
	return false;
}

static const char *site_verdict(const struct site *site)
{
	const char *why;

	if (site->debugging)
		return "debugging";
	if (!site->by_success || !site->failed)
		return "instead";
	if (site->fatal)
		return "fails";
	return find_harmless(site, &why) ? "harmless" : "retried";
}

/* Each site was made to fail, and is known to matter, or not to. */
static void judge_sites(struct __test_metadata *_metadata, const struct op *op,
			const char *variant_name)
{
	int i, reached = 0, fatal = 0, retried = 0, harmless_sites = 0, instead = 0, debugging = 0;
	int logged = 0;
	const char *path = sites_path();
	FILE *f;

	f = fopen(path, "ae");
	ASSERT_NE(NULL, f)
		TH_LOG("%s: %s", path, strerror(errno));
	for (i = 0; i < nr_sites; i++) {
		struct site *site = &sites[i];
		const char *why = NULL;

		EXPECT_TRUE(site->failed || (site->debugging && site->stock) ||
			    (!site->by_success && site->failed_onwards) ||
			    has_failed_elsewhere(site))
			TH_LOG("was reached, and could not be made to fail: %s", site->name);

		if (site->debugging) {
			debugging++;
		} else if (!site->by_success || !site->failed) {
			instead++;
		} else {
			reached++;
			logged += site->logged;
			if (site->fatal) {
				fatal++;
			} else if (site->retried && !find_harmless(site, &why)) {
				retried++;
			} else {
				harmless_sites++;
				EXPECT_TRUE(!!find_harmless(site, &why))
					TH_LOG("fails, and nobody says why that is harmless: %s",
					       site->name);
			}
		}
		fprintf(f, "%s\t%s\t%u\t%s\t%s\t%s\n", variant_name, site_verdict(site),
			site->failed, site->logged ? "logged" : "-", why ?: "-", site->name);
	}
	fclose(f);
	ksft_print_msg("sites: %d reached, %d fail the operation, %d harmless\n", reached,
		       fatal + retried, harmless_sites);
	ksft_print_msg("sites: %d of these fail it only if what is tried instead fails, too\n",
		       retried);
	ksft_print_msg("sites: %d of these are named by the kernel's log as well\n", logged);
	ksft_print_msg("sites: %d are reached only after a failure, %d are the debugging's own\n",
		       instead, debugging);
	EXPECT_LT(0, fatal + retried);

	/* Nobody is warned if it's the array of vCPUs that has no memory. */
	if (!op->cache)
		EXPECT_LT(0, logged)
			TH_LOG("the kernel's log names no site: nothing was compared");
}

/* Returns NULL, or the reason why allocations can't be made to fail, or be seen. */
static const char *begin_faults(struct fault_test *ft)
{
	const char *missing = fault_injection_begin_onwards(&ft->fi);

	if (!missing && ft->e.op->cache && fault_filter_cache(&ft->fi, ft->e.op->cache))
		missing = "can't make one slab cache fail";
	return missing ?: alloc_trace_begin(&ft->trace);
}

/* The operation's allocations if nothing fails.  Returns their number. */
static int reference(struct __test_metadata *_metadata, struct fault_test *ft, enum kind kind,
		     struct site **ref)
{
	struct env *e = &ft->e;
	struct site *failed;
	int i;

	set_kind(ft, kind);
	env_create(_metadata, e);
	ASSERT_LE(0, run_op(_metadata, ft, NTH_NONE, false, &failed));
	expect_done(_metadata, e, "no failure");
	for (i = 0; i < ft->trace.nr; i++)
		ref[i] = site_of_stack(&ft->trace.stacks[i]);
	env_destroy(e);
	return ft->trace.nr;
}

/*
 * Have a site fail, and whichever others fail until this one does.  One of an
 * allocator's stock that has failed in the site's place does so again, as only a
 * success fills the stock.
 */
static bool fail_site(struct __test_metadata *_metadata, struct fault_test *ft,
		      struct site *site, bool onwards)
{
	struct site *ref[TRACE_MAX_CALLS], *failed, *last = NULL;
	int i;

	for (i = 0; i < MAX_TRIES && !_metadata->exit_code; i++) {
		failed = fail_nth(_metadata, ft, site->at, onwards);
		if (failed == site)
			return true;
		if (failed && failed == last && site->by_success)
			reference(_metadata, ft, site->kind, ref);
		last = failed;
	}
	return false;
}

/*
 * Is a site that is tried instead of this one, or is needed to undo it, still to fail?
 * Where a failure does no harm, that is known of the site that was tried instead.
 */
static bool has_more_to_fail(const struct site *site)
{
	const char *why, *other;
	int i;

	if (!site->more || site->retried)
		return false;
	if (!find_harmless(site, &why))
		return true;
	for (i = 0; i < nr_sites; i++) {
		if (!sites[i].by_success && !sites[i].failed && !sites[i].failed_onwards &&
		    find_harmless(&sites[i], &other) && other == why)
			return true;
	}
	return false;
}

/* Fail each allocation of one kind. */
static int fail_each(struct __test_metadata *_metadata, struct fault_test *ft, enum kind kind)
{
	struct site *failed, *ref[TRACE_MAX_CALLS];
	int i, nr_ref = reference(_metadata, ft, kind, ref);
	unsigned int nth;

	for (nth = 1; nth < MAX_NTH && !_metadata->exit_code; nth++) {
		if ((int)nth <= nr_ref && is_failed_enough(ref, nr_ref, nth - 1))
			continue;
		set_verbose(ft, (int)nth > nr_ref || !ref[nth - 1]->failed);
		failed = fail_nth(_metadata, ft, nth, false);
		if (!failed)
			break;
	}
	set_verbose(ft, false);
	ASSERT_LT(nth, MAX_NTH);

	/* Those that are reached now and then, as an allocator's stock has it. */
	for (i = 0; i < nr_sites; i++) {
		struct site *site = &sites[i];

		if (site->by_success && site->kind == kind && !site->stock && !site->failed)
			fail_site(_metadata, ft, site, false);
	}

	for (i = 0; i < nr_sites; i++) {
		struct site *site = &sites[i];

		if (site->kind == kind && !site->debugging && has_more_to_fail(site))
			fail_site(_metadata, ft, site, true);
	}
	return nr_ref;
}

TEST_F_TIMEOUT(fault, sweep, SUBTEST_TIMEOUT_S)
{
	const char *missing = begin_faults(&self->t);
	u64 start = now_ms();
	int slabs, pages = 0;

	if (missing)
		SKIP(return, "%s", missing);

	slabs = fail_each(_metadata, &self->t, SLABS);
	if (!variant->op.cache && !_metadata->exit_code)
		pages = fail_each(_metadata, &self->t, PAGES);

	ksft_print_msg("allocations: %d of slabs, %d of pages; %llu ms\n", slabs, pages,
		       (unsigned long long)(now_ms() - start));
	if (!_metadata->exit_code)
		judge_sites(_metadata, &variant->op, variant->name);
}

/*
 * There's no memory any more from an allocation on, until the operation has
 * failed: undoing it has none either.
 */
TEST_F_TIMEOUT(fault, out_of_memory, SUBTEST_TIMEOUT_S)
{
	const char *missing = begin_faults(&self->t);
	struct site *ref[TRACE_MAX_CALLS];
	int i, nr_ref, nr_failed = 0;

	if (missing)
		SKIP(return, "%s", missing);

	self->t.go_on = true;
	nr_ref = reference(_metadata, &self->t, SLABS, ref);
	for (i = 0; i < nr_ref && !_metadata->exit_code; i++) {
		if (ref[i]->debugging || (ref[i]->first && is_reached_later(ref, nr_ref, i)))
			continue;
		ref[i]->first = true;
		fail_nth(_metadata, &self->t, i + 1, true);
		nr_failed++;
	}
	if (!_metadata->exit_code)
		EXPECT_LT(0, nr_failed);
}

/* There's no file descriptor left for the new object. */
TEST_F_TIMEOUT(fault, no_file_descriptor, SUBTEST_TIMEOUT_S)
{
	struct env *e = &self->t.e;
	struct rlimit old;
	int r;

	env_create(_metadata, e);
	old = exhaust_fds(e->vm);
	r = e->op->run(e);
	restore_fds(&old);

	if (e->op->no_fd) {
		EXPECT_EQ(0, r)
			TH_LOG("nothing has a file descriptor: want success, got %s", ret_name(r));
	} else {
		EXPECT_EQ(-EMFILE, r)
			TH_LOG("no file descriptor: want %s, got %s", ret_name(-EMFILE),
			       ret_name(r));
		expect_undone(_metadata, e, false, "no file descriptor");
		r = e->op->run(e);
		EXPECT_LE(0, r)
			TH_LOG("no file descriptor, then the same again: want success, got %s",
			       ret_name(r));
		e->new_fd = r;
	}
	if (!_metadata->exit_code)
		expect_done(_metadata, e, "no file descriptor");
	EXPECT_NO_SPLAT(self->t.kmsg);
	env_destroy(e);
}

/* Creations that are refused, and one that must not be. */
FIXTURE(refused) {
	struct kvm_vm *vm;
	int kmsg;
};

FIXTURE_SETUP(refused)
{
	self->vm = NULL;
	self->kmsg = kmsg_open();
	if (self->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-self->kmsg));
	self->vm = vm_create_raw(false);
}

FIXTURE_TEARDOWN(refused)
{
	if (self->vm)
		kvm_vm_free(self->vm);
	kmsg_close(_metadata, self->kmsg);
}

TEST_F(refused, ids)
{
	int max_id = kvm_check_cap(KVM_CAP_MAX_VCPU_ID) ?: kvm_check_cap(KVM_CAP_MAX_VCPUS);
	int free_fd = next_fd(self->vm), fd, i, r;
	static const u64 beyond[] = { INT_MAX, UINT_MAX, 1ull << 32, ULONG_MAX };

	fd = __vcpu_fd_create(self->vm, 0);
	ASSERT_LE(0, fd);

	r = __vcpu_fd_create(self->vm, 0);
	EXPECT_EQ(-EEXIST, r)
		TH_LOG("ID in use: want %s, got %s", ret_name(-EEXIST), ret_name(r));
	r = __vcpu_fd_create(self->vm, max_id);
	EXPECT_EQ(-EINVAL, r)
		TH_LOG("ID %d: want %s, got %s", max_id, ret_name(-EINVAL), ret_name(r));
	for (i = 0; i < (int)ARRAY_SIZE(beyond); i++) {
		r = __vm_ioctl(self->vm, KVM_CREATE_VCPU, (void *)beyond[i]) < 0 ? -errno : 0;
		EXPECT_EQ(-EINVAL, r)
			TH_LOG("ID 0x%llx: want %s, got %s", (unsigned long long)beyond[i],
			       ret_name(-EINVAL), ret_name(r));
	}

	kvm_close(fd);
	EXPECT_EQ(free_fd, next_fd(self->vm));
	fd = __vcpu_fd_create(self->vm, 1);
	EXPECT_LE(0, fd);
	kvm_close(fd);
}

static int nr_signals;

static void count_signal(int sig)
{
	nr_signals++;
}

/*
 * A signal that arrives in the middle of a creation waits until the creation is
 * done: nothing in it is interruptible, and EINTR isn't documented.
 */
TEST_F(refused, signal_pending)
{
	struct sigaction sa = { .sa_handler = count_signal };
	struct racer c = { .fn = race_create, .arg = self->vm, .val = VCPU_ID(0) };
	const char *missing = kvm_lifecycle_missing("pause");
	int pause, cpu, fd;

	if (missing)
		SKIP(return, "%s", missing);
	cpu = set_cpu_aside();
	if (cpu < 0)
		SKIP(return, "two CPUs are needed");

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	pause = kvm_lifecycle_open(_metadata, "pause");
	racer_start(&c, cpu);
	ASSERT_TRUE(racer_go_to(&c, pause, "kvm_arch_vcpu_create", WAIT_S))
		TH_LOG("kvm_arch_vcpu_create() wasn't called in %d s", WAIT_S);
	ASSERT_EQ(0, pthread_kill(c.thread, SIGUSR1));
	EXPECT_EQ(0, nr_signals);

	fd = racer_join(&c);
	close(pause);
	EXPECT_LE(0, fd)
		TH_LOG("KVM_CREATE_VCPU with a pending signal: want a vCPU, got %s", ret_name(fd));
	EXPECT_EQ(1, nr_signals);
	kvm_close(fd);

	/* As if nothing had happened. */
	fd = __vcpu_fd_create(self->vm, VCPU_ID(0));
	EXPECT_EQ(-EEXIST, fd);
	fd = __vcpu_fd_create(self->vm, VCPU_ID(1));
	EXPECT_LE(0, fd);
	kvm_close(fd);
}

/* A process with a limit on its memory, and its task. */
struct limited {
	int turn;	/* of the process if odd, of the test if even */
	int r;
	bool fds_differ;
};

static bool wait_for_turn(struct limited *l, int odd, unsigned int s)
{
	u64 start = now_ms();

	while ((__atomic_load_n(&l->turn, __ATOMIC_SEQ_CST) & 1) != odd) {
		if (timed_out(start, s))
			return false;
		usleep(POLL_US);
	}
	return true;
}

static void next_turn(struct limited *l)
{
	__atomic_fetch_add(&l->turn, 1, __ATOMIC_SEQ_CST);
}

/*
 * Create a vCPU, until there's memory for it.  A page that has to be found while
 * there's no memory would end the process, or keep it forever.  Then do it for
 * many VMs, and take them all along.
 */
static void create_within_limit(struct limited *l, const char *cgroup)
{
	struct kvm_vm *vm;
	int fd, i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (cg_enter_current(cgroup) || fault_knob_write("/proc/self/oom_score_adj", "-1000") ||
	    mlockall(MCL_CURRENT | MCL_FUTURE))
		_exit(KSFT_SKIP);

	vm = vm_create_raw(false);
	fd = next_fd(vm);
	next_turn(l);
	do {
		if (!wait_for_turn(l, 1, VMS_WAIT_S))
			_exit(KSFT_FAIL);
		l->r = __vcpu_fd_create(vm, VCPU_ID(0));
		l->fds_differ = l->r < 0 && next_fd(vm) != fd;
		next_turn(l);
	} while (l->r < 0);

	if (!wait_for_turn(l, 1, VMS_WAIT_S))
		_exit(KSFT_FAIL);
	for (i = 0; i < NR_CHARGED_VMS && l->r >= 0; i++)
		l->r = __vcpu_fd_create(vm_create_raw(false), VCPU_ID(0));
	next_turn(l);
	_exit(wait_for_turn(l, 1, VMS_WAIT_S) ? KSFT_PASS : KSFT_FAIL);
}

/* The memory cgroup has no room, and then a page more each time, until it has. */
TEST_F_TIMEOUT(refused, memory_limit, SUBTEST_TIMEOUT_S)
{
	char root[PATH_MAX], limit[32], *cgroup;
	int status, tries, nr_failed = 0;
	struct limited *l;
	long current;
	u64 start;
	pid_t pid;

	if (cg_find_controller_root(root, sizeof(root), "memory"))
		SKIP(return, "no cgroup v2 with the memory controller");
	if (cg_read_strstr(root, "cgroup.subtree_control", "memory") &&
	    cg_write(root, "cgroup.subtree_control", "+memory"))
		SKIP(return, "can't enable the memory controller for a child cgroup");

	cgroup = cg_name(root, "kvm_vcpu_create_fault");
	ASSERT_NE(NULL, cgroup);
	cg_destroy(cgroup);
	ASSERT_EQ(0, cg_create(cgroup));
	l = kvm_mmap(sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	*l = (struct limited) { .turn = 1 };

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		create_within_limit(l, cgroup);
	ASSERT_TRUE(wait_for_turn(l, 0, WAIT_S))
		TH_LOG("the process isn't ready after %d s", WAIT_S);

	/* Also takes back the stocks of the CPUs. */
	ASSERT_EQ(0, cg_write(cgroup, "memory.max", "0"));
	current = cg_read_long(cgroup, "memory.current");
	for (tries = 0; tries < MAX_LIMITS; tries++) {
		snprintf(limit, sizeof(limit), "%ld", current + tries * (long)getpagesize());
		ASSERT_EQ(0, cg_write(cgroup, "memory.max", limit));

		next_turn(l);
		ASSERT_TRUE(wait_for_turn(l, 0, WAIT_S))
			TH_LOG("%d pages: KVM_CREATE_VCPU doesn't return in %d s", tries, WAIT_S);
		if (l->r >= 0)
			break;
		nr_failed++;
		EXPECT_EQ(-ENOMEM, l->r)
			TH_LOG("%d pages: want %s, got %s", tries, ret_name(-ENOMEM),
			       ret_name(l->r));
		EXPECT_FALSE(l->fds_differ)
			TH_LOG("%d pages: a file descriptor is lost", tries);
	}
	EXPECT_LE(0, l->r)
		TH_LOG("%d pages: want a vCPU, got %s", tries, ret_name(l->r));
	EXPECT_LT(0, nr_failed)
		TH_LOG("no memory at all: want %s, got a vCPU", ret_name(-ENOMEM));
	ksft_print_msg("memory limit: a vCPU after %d failures, a page apart\n", nr_failed);

	/* As many pages as VMs tell whether one of these is still charged for anything large. */
	ASSERT_EQ(0, cg_write(cgroup, "memory.max", "max"));
	if (l->r >= 0) {
		next_turn(l);
		ASSERT_TRUE(wait_for_turn(l, 0, VMS_WAIT_S));
		EXPECT_LE(0, l->r)
			TH_LOG("no limit: want %d VMs with a vCPU each, got %s", NR_CHARGED_VMS,
			       ret_name(l->r));
		EXPECT_LT(NR_CHARGED_VMS * (long)getpagesize(),
			  cg_read_long(cgroup, "memory.current"));
		next_turn(l);
	} else {
		kill(pid, SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);

	/* Some of it is freed by RCU, and some is in the stocks of CPUs. */
	start = now_ms();
	do {
		usleep(POLL_US);
		ASSERT_EQ(0, cg_write(cgroup, "memory.max", "0"));
		current = cg_read_long(cgroup, "memory.current");
	} while (current >= NR_CHARGED_VMS * (long)getpagesize() && !timed_out(start, WAIT_S));
	EXPECT_GT(NR_CHARGED_VMS * (long)getpagesize(), current)
		TH_LOG("%ld bytes are charged to a group whose only process is gone, with %d VMs",
		       current, NR_CHARGED_VMS);
	ksft_print_msg("memory: %ld bytes are charged after the end of %d VMs\n", current,
		       NR_CHARGED_VMS);

	cg_destroy(cgroup);
	free(cgroup);
}

int main(int argc, char *argv[])
{
	FILE *f;

	TEST_REQUIRE(!access(KVM_DEV_PATH, R_OK | W_OK));

	load_kernel_symbols();
	f = fopen(sites_path(), "we");
	__TEST_REQUIRE(f, "can't write the list of sites, see SITES");
	fprintf(f, "# operation, what a failure does, failures, log, reason, call stack\n");
	fclose(f);
	ksft_print_msg("the sites are in %s\n", sites_path());

	return test_harness_run(argc, argv);
}
