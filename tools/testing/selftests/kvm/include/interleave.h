/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An operation that is held at each of its functions while others use the same VM:
 * shared by the parts of vcpu_interleave_test.
 *
 *  - ops.c: the operations, and the tables of them;
 *  - world.c: a VM with its users, and its required state afterwards;
 *  - record.c: which functions an operation runs through;
 *  - hold.c: one hold, by a process of its own.
 */
#ifndef SELFTEST_KVM_INTERLEAVE_H
#define SELFTEST_KVM_INTERLEAVE_H

#include <pthread.h>
#include <semaphore.h>

#include "kvm_util.h"
#include "test_util.h"
#include "processor.h"
#include "kvm_lifecycle.h"
#include "func_trace.h"
#ifdef __aarch64__
#include "gic_v3.h"
#endif

/* A thread that hasn't returned so long after A was let go is stuck. */
#define STUCK_S			10

/* How long references to a VM, and thus to kvm_amd, may outlive the last close(). */
#define IDLE_S			5

#define MAX_FUNCS		4096

/* VMs that are being destroyed at the same time, and the lowest of their file descriptors. */
#define MAX_REAPED		8
#define REAPED_FDS		256

/*
 * A VM in debugfs is named after its file descriptor.  Hence those of VMs that live
 * at the same time must differ, and each VM starts so far from the one before it.
 */
#define FDS_PER_VM		8

/* vCPUs that are there before, their IDs, and those that are created. */
#define NR_VCPUS		2
#define VCPU_ID(idx)		((idx) + 2)
#define ID_A			8
#define ID_OTHER		9
#define ID_LATER		10

#define MAX_BS			24

/* The result of a function and a B. */
enum {
	CELL_NONE	= ' ',	/* this B doesn't go with this A */
	CELL_DONE	= '.',	/* B began and ended while A was held there */
	CELL_WAITED	= 'w',	/* B began while A was held, and ended after it went on */
	CELL_LATE	= 'l',	/* B didn't come to begin before A went on */
	CELL_RED	= 'R',
	CELL_UNPROBED	= 'p',	/* the kernel doesn't let this function be probed */
	CELL_AMBIGUOUS	= 'a',	/* there are several functions of that name */
	CELL_UNREACHED	= 'u',	/* A didn't come through there this time */
	CELL_FATAL	= 'f',	/* the handling of a probe runs through there itself */
	CELL_KEPT	= 'k',	/* to hold kvm_amd there keeps it from being unloaded */
	CELL_UNTRIED	= '-',	/* not in the sample */
};

struct world;

/* The errors that an operation may return; success is 0, or 1 for a file descriptor. */
#define MAX_ERRS 5

struct op {
	const char *name;
	int (*fn)(struct world *w);
	bool ok;			/* it may succeed ... */
	int errs[MAX_ERRS];		/* ... or fail so, 0 ends the list */
	bool creates_fd;
	bool preinit_reg;		/* accesses a register before the vGIC's initialization */
	const char *as;			/* of Bs: the As that it goes with */
	unsigned int group;		/* of Bs: those that are done at the same time */
	bool patient;			/* of Bs: it may sleep for reasons of its own */
};

struct op_a {
	struct op op;
	bool no_vm;			/* there's no VM before */
	bool kthread;			/* done by kvm_lifecycle's ga_log thread */
	bool unloads;			/* kvm_amd, which nobody may use before */
	int setup;			/* of arm64's vGIC */
	const char *first;		/* the function with which it begins */
	int sample_s;			/* how long a sample of it may take */
};

enum { GROUP_USE, GROUP_INIT, GROUP_RUN, GROUP_CLOSE, GROUP_DIE, NR_GROUPS };

enum { VGIC_NONE, VGIC_CONFIGURED };

struct doer {
	pthread_t thread;
	sem_t go;
	int tid;
	int stat_fd;
	bool begun;
	bool done;
	int ret;
	int (*fn)(struct world *w);
	struct world *w;
	u64 asleep_since;
};

/* Shared by the threads of the process that does it all. */
struct world {
	const struct op_a *a;
	int cpu;			/* A's own */
	int dev_kvm;
	int run_size;
	int pause;
	int armed;			/* the function that the probe is at, or -1 */
	int delay_us;
	int ga_log;
	int kmsg;
	bool avic;

	int vm;
	int gic;
	int vcpu[NR_VCPUS];
	bool closed;			/* VM and vCPUs, by an operation */
	bool guess_closed;
	int guess_vm;			/* the one that A is about to create, or an existing one */
	int guess_vcpu;
	u32 vm_id;
	u32 iidr;
	int next_fd;

	pthread_t reaper;
	int reap[2];
	int nr_reaped;
	int pad[FDS_PER_VM * MAX_REAPED];
	int nr_pad;

	struct doer doer_a;
	int stage;			/* of A's thread */
	struct doer doer_b[MAX_BS];
};

enum { STAGE_IDLE, STAGE_READY, STAGE_SPINNING, STAGE_GO };

/* One function held once. */
struct hold {
	int func;
	u32 mask;			/* of the Bs */
};

enum { HELD, RED, UNPROBED, UNREACHED };

struct result {
	int status;
	char cell[MAX_BS];
	char why[512];
};

struct func {
	int symbol;
	char cell[MAX_BS];
};

/* The result of recording an operation. */
struct program {
	int nr_funcs;
	struct func funcs[MAX_FUNCS];
	char missing[512];
};

struct worker {
	pid_t pid;
	int to;
	int from;
	int output;		/* its message if an assertion of its fails */
};

/* ops.c */
extern const struct op il_ops_b[];
extern const int il_nr_ops_b;
extern const struct op_a il_ops_a[];
extern const int il_nr_ops_a;

/* Why no register can be accessed before the vGIC is initialized, or NULL. */
extern const char *il_no_preinit_regs;

int il_fd_or_errno(int fd);
int il_new_vm(struct world *w);
int il_create_vm(struct world *w);
int il_create_vcpu(struct world *w);
int il_create_other(struct world *w);
int il_run_fd(struct world *w, int fd, bool immediate);
int il_die(struct world *w);
bool il_may_return(const struct op *op, int ret);
bool il_goes_with(const struct op *b, const struct op_a *a);
u32 il_group_mask(const struct op_a *a, int group);
#ifdef __x86_64__
extern char il_load_command[4096];
int il_run_guessed_blocked(struct world *w);
int il_enable_split_irqchip(struct world *w);
void il_run_beside_a(int tid);
int il_ensure_loaded(void);
int il_use_new_vm(struct world *w);
#endif
#ifdef __aarch64__
int il_create_vgic(struct world *w);
int il_access_iidr(struct world *w, unsigned long cmd, u32 *val);
#endif

/* world.c */
void __printf(2, 3) il_red(struct result *res, const char *fmt, ...);
bool il_a_is_done(struct world *w);
int il_a_tid(struct world *w);
void il_make_a_ready(struct world *w);
void il_let_a_go(struct world *w);
void il_end_a(struct world *w);
void il_create_world(struct world *w);
void il_expect_no_vm(struct result *res, int pid);
void il_expect_no_report(struct world *w, struct result *res);
void il_check_world(struct world *w, struct result *res, u32 mask);
void il_destroy_world(struct world *w, struct result *res, u32 mask);
void il_do_bs(struct world *w, struct result *res, u32 mask);
bool il_wait_for_all(struct world *w, struct result *res, u32 mask);
struct world *il_open_world(const struct op_a *a, int kmsg, int cpu);
const char *il_unusable(const struct op_a *a);

/* record.c */
extern struct program *il_programs;
extern struct program *il_program;

const char *il_record_all(bool full);
const char *il_record_in_process(const char *(*record)(bool full), bool full, char *failed,
				 size_t size);

/* hold.c */
const char *il_probe_name(const struct func *f);
void il_end_worker(struct worker *wk, struct result *res);
void il_hold(struct worker *wk, const struct op_a *a, int kmsg, const struct hold *h,
	     struct result *res);

#endif /* SELFTEST_KVM_INTERLEAVE_H */
