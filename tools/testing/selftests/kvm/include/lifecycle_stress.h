/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Random programs of the calls that make and break VMs: shared by the parts of
 * vcpu_lifecycle_stress.
 *
 *  - calls.c: the calls, and the table of them;
 *  - program.c: programs, from a seed, from a text, and as a text;
 *  - run.c: the process that runs a program;
 *  - watch.c: the process that watches it, and reports its failures;
 *  - minimise.c: the smallest program that still fails.
 */
#ifndef SELFTEST_KVM_LIFECYCLE_STRESS_H
#define SELFTEST_KVM_LIFECYCLE_STRESS_H

#include <pthread.h>
#include <signal.h>

#include "kselftest.h"

#include <linux/sizes.h>

#include "kvm_util.h"
#include "test_util.h"
#include "processor.h"
#include "kvm_lifecycle.h"

#define NR_VMS		2
#define NR_VCPUS	3
#define NR_EVENTFDS	3
#define MAX_THREADS	4
#define MAX_CALLS	96
#define MAX_ARGS	4
#define MAX_ROUNDS	8
#define MAX_ERRNO	134
#define MAX_OPS		96
#define MAX_THEMES	12

/* No file descriptor. */
#define NO_FD		(-1)

#define GUEST_MEMORY	SZ_64K

/* No call takes a tenth of that, on an emulated host with all of its debugging. */
#define STUCK_S		20
/* The same for the trials of a program that is known to have got stuck. */
#define STUCK_AGAIN_S	5

/*
 * Themes.  A call belongs to some of them; a program has the calls of its own
 * theme, and now and then those of others.
 */
enum theme_bit {
	ALWAYS = 1 << 0,
	VCPUS = 1 << 1,		/* creation, guessed file descriptors */
	IRQS = 1 << 2,		/* interrupt controllers, irqfds, routing */
	XEN = 1 << 3,
	GA_LOG = 1 << 4,
	VGIC = 1 << 5,
	PROCESSES = 1 << 6,	/* fork(), SCM_RIGHTS, death */
	FAULTS = 1 << 7,	/* no memory, no file descriptors */
	PAUSES = 1 << 8,
	PARAMS = 1 << 9,	/* capabilities, module parameters */
};

struct theme {
	const char *name;
	u32 calls;
	const char *part;	/* of kvm_lifecycle, without which it makes no sense */
	const char *file;	/* or a file */
};

extern const struct theme stress_themes[];
extern const int stress_nr_themes;

/* The state of a thread.  It's written by the thread, and read by the watcher. */
enum doing { NOTHING_YET, IN_CALL, IN_RUN, BETWEEN, DONE };

struct watched {
	int tid;
	enum doing doing;
	int call;
	u64 since;		/* ms */
	u64 calls;		/* begun so far */
	u64 starts;
	u64 calls_at_run[MAX_THREADS];	/* of each thread, when KVM_RUN was entered */
	u64 kicked;		/* ms, when it was first told to leave KVM_RUN */
	u64 at_vcpu;		/* the @since of a call that turned out to be for a vCPU */
};

/* State that outlives the process that runs a program. */
struct shared {
	struct watched threads[MAX_THREADS];
	u64 count[MAX_THEMES][MAX_OPS][MAX_ERRNO];
	u64 vms, vcpus;
	u64 closes;		/* of descriptors in slots */
	u64 tables_seen;	/* at the end of a program */
	u64 tables_unseen;
	int tables_error;	/* the last one */
	u64 longest;		/* ms, of a call that nobody may hold up */
	int longest_op;
	int failed;		/* the first one says why */
	char why[512];
	char key[128];
};

extern struct shared *stress_shared;

struct call {
	u8 thread;
	u8 op;
	u64 arg[MAX_ARGS];
};

struct program {
	u64 seed;
	int theme;
	int threads;
	int rounds;
	int nr;
	struct call calls[MAX_CALLS];
};

/* Of the process that runs a program: */
struct thread {
	int nr;
	const struct program *p;
	struct watched *w;
	int pause;
	int ga_log;
	int nth;		/* fail-nth */
	bool armed;
	pthread_t pthread;
};

struct vm {
	int fd;
	int vcpus[NR_VCPUS];
	int gic;
	int its;
	u32 ga_id;
};

/* Of the process that runs a program. */
extern struct vm stress_vms[NR_VMS];
extern int stress_eventfds[NR_EVENTFDS];
extern int stress_dev_kvm;
extern size_t stress_run_size;
extern int stress_cpu_aside;
extern bool stress_may_lack_memory;
extern const char *stress_no_preinit_regs;
extern u8 *stress_guest_memory;

/* The slot that this thread's call has looked at was empty. */
extern __thread bool stress_slot_was_empty;

enum kind {
	NO_ARG, VM, VCPU, VCPU_OR_VM, ID, NEXT, AT_ONCE, STATE, US, SLOT, FLAG, CAP, PARAM,
	EVENTFD,
	GSI, DEASSIGN, NR, MSI, DEST, CHIP, KHZ, PORT, XEN_FLAGS, XEN_ATTR, COUNT, INDEX, REGION,
	IRQS_NR, REG, FEATURES, ITS_CTRL, ITS_REG, HOW, NTH, FUNCTION, PAUSE_US, HITS, CPU,
};

struct kind_values {
	const char *name;
	int nr;
	const u64 *values;	/* none: below @nr */
	const char * const *names;	/* of a table's entries */
};

struct op {
	const char *name;
	int (*fn)(struct thread *t, const u64 *a);
	u32 themes;
	int weight;
	u8 kinds[MAX_ARGS];
	bool may_wait;		/* for a vCPU in KVM_RUN */
	bool no_init_no_ebusy;	/* never busy if no vGIC is ever initialized */
	bool guesses;		/* a descriptor */
	int success;		/* an errno that counts as success, e.g. EINTR of KVM_RUN */
	const char *never;	/* why it may have no success */
	const int *errnos;
};

extern const struct op stress_ops[];
extern const int stress_nr_ops;
extern const struct kind_values stress_kinds[];

/* The failure of a program, and the key that it is compared by. */
struct failure {
	char why[512];
	char key[128];
};

/* Of the process that watches. */
extern int stress_kmsg;
extern u64 stress_nr_programs;

/* calls.c */
int stress_op_of(const char *name);
int stress_nr_args(int op);
bool stress_is_away(const struct program *p, struct watched *w);
void stress_count_result(const struct program *p, int op, int err);
void stress_disarm(struct thread *t);
void stress_disarm(struct thread *t);
void stress_save_params(void);
void stress_restore_params(void);
#ifdef __aarch64__
#define ICC_CTLR_EL1	(KVM_ARM64_SYS_REG(SYS_ICC_CTLR_EL1) & KVM_DEV_ARM_VGIC_SYSREG_INSTR_MASK)

int stress_device_attr(int fd, bool set, u32 group, u64 attr, void *val);
#endif

/* program.c */
int stress_theme_of(const char *name);
bool stress_is_of_theme(int op, int theme);
void stress_make_program(struct program *p, int theme, u64 seed);
void stress_make_tour(struct program *p, int theme);
int stress_call_text(char *buf, size_t size, const struct call *c);
char *stress_program_text(const struct program *p);
int stress_parse_program(struct program *p, const char *text);
void stress_print_program(const struct program *p);

/* run.c */
bool stress_has_call(const struct program *p, const char *name);
void __noreturn stress_run_in_child(const struct program *p);

/* watch.c */
void __printf(3, 4) stress_fails(struct failure *f, const char *key, const char *fmt, ...);
bool stress_run_program(const struct program *p, unsigned int stuck_s, struct failure *f);
void stress_print_known(void);

/* minimise.c */
void stress_minimise(const struct program *failing, const struct failure *f, unsigned int seconds);

#endif /* SELFTEST_KVM_LIFECYCLE_STRESS_H */
