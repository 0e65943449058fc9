/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Access to the kvm_lifecycle module, and to the kernel's own reports.
 *
 * kvm_lifecycle observes a vCPU's life through debugfs, and with its "unsafe"
 * parameter widens race windows and drives the GA Log notifier.  It is not
 * part of the kernel: a test that needs one of its parts must skip, with the
 * reason, where the part is missing.
 *
 * All state belongs to the open file, i.e. close() undoes everything that was
 * done through the file.
 */
#ifndef SELFTEST_KVM_LIFECYCLE_H
#define SELFTEST_KVM_LIFECYCLE_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/syscall.h>

#include <linux/compiler.h>
#include <linux/kernel.h>

#include "kvm_util.h"
#include "test_util.h"
#ifdef __aarch64__
#include <linux/sizes.h>

#include "gic.h"
#include "gic_v3.h"
#include "vgic.h"
#endif

#define KVM_LIFECYCLE_DIR "/sys/kernel/debug/kvm_lifecycle"

/* The longest that a pause point holds a task each time. */
#define PAUSE_MAX_US		1000000

/* How often a thread that waits for another one looks. */
#define POLL_US			1000

#define SPLIT_IRQCHIP_PINS	24

static inline u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

/* Have @s seconds gone by since @start, which is in ms? */
static inline bool timed_out(u64 start, unsigned int s)
{
	return now_ms() - start >= s * 1000ull;
}

const char *ret_name(int ret);
int __kvm_lifecycle_open(const char *file);
int __printf(2, 3) __kvm_lifecycle_write(int fd, const char *fmt, ...);
ssize_t kvm_lifecycle_read(int fd, char *buf, size_t len);
const char *kvm_lifecycle_missing(const char *part);

static inline bool kvm_lifecycle_available(const char *part)
{
	return !kvm_lifecycle_missing(part);
}

void __scanf(3, 4) kvm_lifecycle_scan(int fd, int nr, const char *fmt, ...);

#define AVIC_ENTRY_VALID	BIT_ULL(63)
#define AVIC_MAX_VCPUS		512

struct avic_value {
	u32 id;		/* of a vCPU */
	u64 val;
};

/* The AVIC state of a VM. */
struct avic_state {
	u32 vm_id;		/* 0: none */
	int listed;		/* the GA Log notifier finds it */
	int physical;		/* there is such a table */
	int logical;
	unsigned long inhibits;
	int nr_entries;		/* of the physical ID table that aren't 0 */
	struct avic_value entries[AVIC_MAX_VCPUS];
	int nr_vcpus;		/* and the page of each one's local APIC, or 0 */
	struct avic_value backing[AVIC_MAX_VCPUS];
};

int avic_read(int vm_fd, struct avic_state *a);
u64 avic_entry(const struct avic_state *a, u32 id);
u64 avic_backing(const struct avic_state *a, u32 id);

/* Is this entry valid, and that of the vCPU with this page?  The entry may have the C-bit. */
static inline bool avic_entry_is_of(u64 entry, u64 backing)
{
	return (entry & AVIC_ENTRY_VALID) && backing && (entry & backing) == backing;
}

int avic_vm_id(int vm_fd);

/* The index of a vCPU that nobody else can reach. */
#define NO_INDEX		(-1)

/* The thread that handles the entries that ga_log injects, or iommu processes. */
struct injector_state {
	int tid;
	u32 sent;
	int running;
};

struct injector_state injector_read(int fd);

/* The pauses begun since the pause point was armed, those that last, those over. */
struct pause_state {
	int hits;
	int inside;
	int done;
};

struct pause_state pause_read(int fd);
void pause_arm(int fd, const char *function, int tid, int us);
int set_cpu_aside(void);
void pin_tid_to_cpu(int tid, int cpu);

/*
 * A thread that does one thing when it's told to: its creator gives @fn and its
 * arguments, and @ret is the result of @fn, once the racer is done.
 */
struct racer {
	int (*fn)(void *arg, u64 val);
	void *arg;
	u64 val;
	int ret;

	pthread_t thread;
	int cpu;
	int tid;
	bool go;
	bool started;
	bool done;
};

void racer_start(struct racer *r, int cpu);

static inline void racer_go(struct racer *r)
{
	__atomic_store_n(&r->go, true, __ATOMIC_SEQ_CST);
}

/* It is on its way, if not done. */
static inline bool racer_started(struct racer *r)
{
	return __atomic_load_n(&r->started, __ATOMIC_SEQ_CST);
}

static inline bool racer_done(struct racer *r)
{
	return __atomic_load_n(&r->done, __ATOMIC_SEQ_CST);
}

bool racer_done_within(struct racer *r, int ms);
int racer_join(struct racer *r);
bool racer_wait_for_pause(struct racer *r, int pause, unsigned int s);
bool racer_go_to(struct racer *r, int pause, const char *function, unsigned int s);
int kmsg_open(void);
bool kmsg_find_splat(int fd, char *line, size_t len);

const char *lockdep_missing(void);
bool panics_on_warning(void);
const char *change_missing(const char *what);
struct kvm_vm *vm_create_raw(bool split_irqchip);
int __vcpu_fd_create(struct kvm_vm *vm, u32 id);
int race_create(void *arg, u64 id);
int next_fd(struct kvm_vm *vm);
struct rlimit exhaust_fds(struct kvm_vm *vm);
void restore_fds(const struct rlimit *old);
int __vcpu_fd_create_at_limit(struct kvm_vm *vm, u32 id);

/*
 * Fault injection into the allocations of the calling thread: the n-th one, the
 * n-th one and all that follow, or each one from a slab cache.  The kernel's
 * knobs are global, but only threads that ask for it are affected.
 */
#define FAULT_FAILSLAB	"/sys/kernel/debug/failslab/"
#define FAULT_PAGE	"/sys/kernel/debug/fail_page_alloc/"

struct fault_injection {
	int nth_fd;
	int make_fd;
	char slab_knob[128];
	struct {
		const char *path;
		const char *value;
		char old[32];
	} knobs[12];
};

int fault_knob_write(const char *path, const char *value);
int fault_knob_read(const char *path, char *value, size_t len);
bool thread_is_in(int tid, const char *function);
void print_stack(int tid);
void fault_injection_end(struct fault_injection *fi);
const char *fault_injection_begin(struct fault_injection *fi);
int fault_arm(struct fault_injection *fi, unsigned int nth);
unsigned int fault_left(struct fault_injection *fi);
bool fault_disarm(struct fault_injection *fi);
const char *fault_injection_begin_onwards(struct fault_injection *fi);
int fault_arm_onwards(struct fault_injection *fi, unsigned int nth);
bool fault_disarm_onwards(struct fault_injection *fi);
int fault_filter_cache(struct fault_injection *fi, const char *cache);
int fault_arm_cache(struct fault_injection *fi, const char *cache);
void fault_disarm_cache(struct fault_injection *fi);
void rearm_warnings(void);

#ifdef __x86_64__
int kvm_amd_users(void);
int kvm_amd_users_left(unsigned int s);
bool kvm_amd_file(char *path, size_t size);
const char *kvm_amd_not_reloadable(void);

#define KVM_AMD_LOAD	"modprobe kvm_amd"

void kvm_amd_load_command(char *cmd, size_t size);
int unload_kvm_amd(void);
int race_unload_kvm_amd(void *unused, u64 unused2);
#endif

#ifdef __aarch64__
/* Old kernels let nobody access any register before init. */
#define VGIC_NO_PREINIT	"no register can be accessed before init"

void vgic_set_addr(int fd, u64 attr, u64 addr);
struct kvm_vm *vm_create_with_vgic(unsigned int nr_vcpus, u32 nr_irqs, int *gic_fd);
const char *vgic_preinit_missing(void);
int vgic_set_region(int gic_fd, u64 gpa, int count, int index);
int vgic_ctrl_init(int gic_fd);
bool kvm_is_protected(void);
#endif

#endif /* SELFTEST_KVM_LIFECYCLE_H */
