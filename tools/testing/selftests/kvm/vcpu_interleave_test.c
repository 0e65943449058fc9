// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every function that creates, uses or destroys a VM, a vCPU or a vGIC is held
 * once while others use the same VM.
 *
 * An operation A is recorded by the function tracer: the functions that it runs
 * through, in the order in which it enters them first.  Then A is done again and
 * again, each time on a new VM, and each time another one of these functions is
 * held at its entry (kvm_lifecycle's pause).  Meanwhile operations B are done on
 * the same VM by other threads on other CPUs.  Afterwards:
 *
 *  - A and each B have returned one of the values that are listed for them;
 *  - nobody is stuck, i.e. all have returned soon after A was let go;
 *  - each vCPU has its ID at its index, and AVIC's table has its entry;
 *  - each vCPU is as the vGIC leaves it, and can be run;
 *  - the VM can be destroyed and is gone, and no file descriptor is left;
 *  - the kernel has reported nothing.
 *
 * The test isn't told which bugs to find, or where.
 *
 * The Bs of a group are done at the same time, by a thread each.  If that fails,
 * each of them is done alone, so as to see which of them it takes.
 *
 * All of it takes too long for each run of a test suite.  INTERLEAVE=full in the
 * environment asks for all functions, else as many of them are held as there is
 * time for: KVM's own functions first, else in a random order, which
 * INTERLEAVE_SEED determines.  INTERLEAVE_FUNC names the only one to be held.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sys/mman.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "test_util.h"
#include "kvm_lifecycle_harness.h"
#include "interleave.h"

/* Of one operation A, all of its functions. */
#define SUBTEST_TIMEOUT_S	1800

#define DEFAULT_SEED		1

/* A B may come too late so often, or in this part of the holds that it came in time for. */
#define MAX_LATE		4
#define LATE_PART		4

/* A red sweep stays red: enough is enough. */
#define MAX_REDS		12

static const char * const legend[] = {
	". done, w waited, l late, R red, u unreached, - untried",
	"p can't be probed, a ambiguous, f fatal, k keeps kvm_amd",
};

struct interleave {
	const struct op_a *a;
	int kmsg;
	int kept_vm;
};

FIXTURE(interleave) {
	struct interleave i;
};

FIXTURE_VARIANT(interleave) {
	const char *name;
};

FIXTURE_VARIANT_ADD(interleave, create_vm) { .name = "create_vm" };
FIXTURE_VARIANT_ADD(interleave, create_vcpu) { .name = "create_vcpu" };
FIXTURE_VARIANT_ADD(interleave, destroy_vm) { .name = "destroy_vm" };

#ifdef __x86_64__
FIXTURE_VARIANT_ADD(interleave, ga_log) { .name = "ga_log" };
FIXTURE_VARIANT_ADD(interleave, unload) { .name = "unload" };
#endif

#ifdef __aarch64__
FIXTURE_VARIANT_ADD(interleave, create_vgic) { .name = "create_vgic" };
FIXTURE_VARIANT_ADD(interleave, init_vgic) { .name = "init_vgic" };
FIXTURE_VARIANT_ADD(interleave, vgic_reg) { .name = "vgic_reg" };
FIXTURE_VARIANT_ADD(interleave, vcpu_reg) { .name = "vcpu_reg" };
#endif

static bool is_kvms(const struct func *f)
{
	static const char * const prefixes[] = {
		"kvm_", "__kvm_", "vgic_", "__vgic_", "its_", "avic_", "svm_",
	};
	const struct kernel_symbol *s = &kernel_symbols[f->symbol];
	int i;

	if (s->module)
		return !strncmp(s->module, "kvm", 3);
	for (i = 0; i < (int)ARRAY_SIZE(prefixes); i++) {
		if (!strncmp(s->name, prefixes[i], strlen(prefixes[i])))
			return true;
	}
	return false;
}

/* The stack is unwound for KASAN and lockdep, also on behalf of a probe's handler. */
static bool is_fatal(const struct func *f)
{
	const char *name = kernel_symbols[f->symbol].name;

	return strstr(name, "unwind") || strstr(name, "stack_walk") || strstr(name, "stack_trace");
}

/* A pause point keeps the module that it is in. */
static bool is_of_kvm_amd(const struct func *f)
{
	const char *module = kernel_symbols[f->symbol].module;

	return module && !strcmp(module, "kvm_amd");
}

/* Which one would be held is not up to us if there are several in one place. */
static bool is_ambiguous(const struct func *f)
{
	const struct kernel_symbol *s = &kernel_symbols[f->symbol], *o;

	for (o = kernel_symbols; o < kernel_symbols + nr_kernel_symbols; o++) {
		if (o == s || strcmp(o->name, s->name))
			continue;
		if (s->module ? o->module && !strcmp(o->module, s->module) : !o->module)
			return o->addr != s->addr;
	}
	return false;
}

/* Why A can't be held in this function at all, or 0. */
static char never_held(const struct op_a *a, const struct func *f)
{
	if (is_ambiguous(f))
		return CELL_AMBIGUOUS;
	if (is_fatal(f))
		return CELL_FATAL;
	return a->unloads && is_of_kvm_amd(f) ? CELL_KEPT : 0;
}

static void fill_cells(struct func *f, u32 mask, char cell)
{
	int i;

	for (i = 0; i < il_nr_ops_b; i++) {
		if (mask & BIT(i))
			f->cell[i] = cell;
	}
}

static void take_cells(struct func *f, const struct result *res, u32 mask)
{
	static const char order[] = { CELL_NONE, CELL_UNTRIED, CELL_UNREACHED, CELL_LATE,
				      CELL_WAITED, CELL_DONE, CELL_RED };
	int i;

	for (i = 0; i < il_nr_ops_b; i++) {
		char new = res->status == UNPROBED ? CELL_UNPROBED :
			   res->status == UNREACHED ? CELL_UNREACHED : res->cell[i];

		if (!(mask & BIT(i)))
			continue;
		/* A B that is in several groups: the best that was seen of it. */
		if (new == CELL_UNPROBED ||
		    (memchr(order, new, sizeof(order)) ?: (void *)order) >=
		    (memchr(order, f->cell[i], sizeof(order)) ?: (void *)order))
			f->cell[i] = new;
	}
}

/* KVM's own first in a sample, each part in a random order; else as A enters them. */
static void order_funcs(int *order, int nr, bool full, unsigned int seed)
{
	int i, j, n, *shuffled = calloc(nr, sizeof(int));

	for (i = 0; i < nr; i++)
		shuffled[i] = i;
	for (i = nr - 1; i > 0 && !full; i--) {
		j = rand_r(&seed) % (i + 1);
		n = shuffled[i];
		shuffled[i] = shuffled[j];
		shuffled[j] = n;
	}
	n = 0;
	for (i = 0; i < nr; i++) {
		if (full || is_kvms(&il_program->funcs[shuffled[i]]))
			order[n++] = shuffled[i];
	}
	for (i = 0; i < nr && !full; i++) {
		if (!is_kvms(&il_program->funcs[shuffled[i]]))
			order[n++] = shuffled[i];
	}
	free(shuffled);
}

/* The matrix: a line for each function, with a letter for each B that goes with A. */
static void print_matrix_head(const struct op_a *a, int nr)
{
	char names[512] = "";
	int i, len = 0;

	for (i = 0; i < il_nr_ops_b; i++) {
		if (il_goes_with(&il_ops_b[i], a))
			len += snprintf(names + len, sizeof(names) - len, " %s", il_ops_b[i].name);
	}
	for (i = 0; i < (int)ARRAY_SIZE(legend); i++)
		ksft_print_msg("legend: %s\n", legend[i]);
	ksft_print_msg("matrix %s functions %d operations%s\n", a->op.name, nr, names);
}

static void print_matrix_row(const struct op_a *a, const struct func *f)
{
	char line[MAX_BS + 1];
	int i, n = 0;

	for (i = 0; i < il_nr_ops_b; i++) {
		if (il_goes_with(&il_ops_b[i], a))
			line[n++] = f->cell[i];
	}
	line[n] = '\0';
	ksft_print_msg("matrix %s [%s] %s\n", a->op.name, line, il_probe_name(f));
	fflush(stdout);
}

static const char *not_recorded;
static char recording_failed[128];

static void begin(struct __test_metadata *_metadata, struct interleave *t, const char *name)
{
	const char *missing = not_recorded;
	int i;

	t->kmsg = -1;
	t->kept_vm = -1;
	for (i = 0; strcmp(il_ops_a[i].op.name, name); i++)
		;
	t->a = &il_ops_a[i];
	il_program = &il_programs[i];
	ASSERT_STREQ("", recording_failed);
	if (!missing)
		missing = il_unusable(t->a);
	if (missing)
		SKIP(return, "%s", missing);
	ASSERT_EQ('\0', il_program->missing[0])
		TH_LOG("recording %s: %s", name, il_program->missing);
	t->kmsg = kmsg_open();
	if (t->kmsg < 0)
		SKIP(return, "/dev/kmsg: %s", strerror(-t->kmsg));
	/* Else each VM is the first and the last one, which turn virtualization on and off. */
	if (!t->a->unloads)
		t->kept_vm = il_new_vm(NULL);
}

static void end(struct interleave *t)
{
#ifdef __x86_64__
	if (t->a->unloads && t->kmsg >= 0)
		il_ensure_loaded();
#endif
	if (t->kept_vm >= 0)
		close(t->kept_vm);
	if (t->kmsg >= 0)
		close(t->kmsg);
}

FIXTURE_SETUP(interleave)
{
	begin(_metadata, &self->i, variant->name);
}

FIXTURE_TEARDOWN(interleave)
{
	end(&self->i);
}

/* Mistakes in the recording, and the messages that they must give. */
static const char *record_badly(bool crash)
{
	/* The library's handler would make an exit of it. */
	signal(SIGSEGV, SIG_DFL);
	if (crash)
		raise(SIGSEGV);
	_exit(KSFT_FAIL);
}

static const char *record_nothing(bool full)
{
	return "there is nothing";
}

TEST(recording)
{
	char failed[128] = "";

	EXPECT_STREQ("there is nothing",
		     il_record_in_process(record_nothing, false, failed, sizeof(failed)));
	EXPECT_STREQ("", failed);
	EXPECT_EQ(NULL, il_record_in_process(record_badly, false, failed, sizeof(failed)));
	EXPECT_STREQ("the recording process has ended with exit 1", failed);
	EXPECT_EQ(NULL, il_record_in_process(record_badly, true, failed, sizeof(failed)));
	EXPECT_STREQ("the recording process has ended with SIGSEGV", failed);
}

static void skip_something(struct __test_metadata *_metadata)
{
	SKIP(return, "there is nothing");
}

TEST(skip_after_failure)
{
	struct __test_metadata failed = { .name = "skip", .exit_code = KSFT_FAIL };

	skip_something(&failed);
	EXPECT_EQ(KSFT_FAIL, failed.exit_code);
}

/* The cells of a sweep in which a B came while A was held, and in which it came too late. */
struct tally {
	int met[MAX_BS];
	int late[MAX_BS];
};

static void count_cells(struct tally *t, const char *cell)
{
	int i;

	for (i = 0; i < il_nr_ops_b; i++) {
		t->met[i] += cell[i] == CELL_DONE || cell[i] == CELL_WAITED || cell[i] == CELL_RED;
		t->late[i] += cell[i] == CELL_LATE;
	}
}

/* Which B shows too little for a sweep, or -1. */
static int find_late_b(const struct tally *t)
{
	int i;

	for (i = 0; i < il_nr_ops_b; i++) {
		if (t->late[i] > MAX_LATE && t->late[i] > t->met[i] / LATE_PART)
			return i;
		if (t->late[i] && !t->met[i])
			return i;
	}
	return -1;
}

TEST(tally)
{
	char cell[MAX_BS], *last = &cell[il_nr_ops_b - 1];
	struct tally t = {};
	int i;

	EXPECT_EQ(-1, find_late_b(&t));
	memset(cell, CELL_UNREACHED, sizeof(cell));
	count_cells(&t, cell);
	EXPECT_EQ(-1, find_late_b(&t));
	/* Never in time. */
	*last = CELL_LATE;
	count_cells(&t, cell);
	EXPECT_EQ(last - cell, find_late_b(&t));
	/* Once too late. */
	*last = CELL_WAITED;
	count_cells(&t, cell);
	EXPECT_EQ(-1, find_late_b(&t));
	/* More often than not. */
	*last = CELL_LATE;
	for (i = 0; i < MAX_LATE; i++)
		count_cells(&t, cell);
	EXPECT_EQ(last - cell, find_late_b(&t));
	/* In some of very many. */
	*last = CELL_DONE;
	for (i = 0; i < LATE_PART * (MAX_LATE + 1); i++)
		count_cells(&t, cell);
	EXPECT_EQ(-1, find_late_b(&t));
}

/* The whole sweep, not a sample. */
static bool wants_all(void)
{
	const char *want = getenv("INTERLEAVE");

	return want && !strcmp(want, "full");
}

/* These Bs, at the same time, are red.  Which of them does it take? */
static void blame(struct __test_metadata *_metadata, struct worker *wk,
		  const struct interleave *t, struct func *f, const struct hold *all)
{
	bool found = false;
	struct result res;
	struct hold h;
	int b;

	for (b = 0; b < il_nr_ops_b; b++) {
		if (!(all->mask & BIT(b)))
			continue;
		h = (struct hold) { .func = all->func, .mask = BIT(b) };
		if (h.mask != all->mask) {
			il_hold(wk, t->a, t->kmsg, &h, &res);
			if (res.status != RED)
				continue;
			TH_LOG("%s held in %s(), %s: %s", t->a->op.name, il_probe_name(f),
			       il_ops_b[b].name, res.why);
		}
		f->cell[b] = CELL_RED;
		found = true;
	}
	/* None of them alone: all of them. */
	if (!found)
		fill_cells(f, all->mask, CELL_RED);
}

/* The end of a process that is still there must be as that of any other. */
static void expect_end(struct __test_metadata *_metadata, struct worker *wk)
{
	struct result res = {};

	il_end_worker(wk, &res);
	EXPECT_NE(RED, res.status)
		TH_LOG("the last process: %s", res.why);
}

TEST_F_TIMEOUT(interleave, sweep, SUBTEST_TIMEOUT_S)
{
	const char *seed_text = getenv("INTERLEAVE_SEED"), *only = getenv("INTERLEAVE_FUNC");
	unsigned int seed = seed_text ? strtoul(seed_text, NULL, 10) : DEFAULT_SEED;
	const struct op_a *a = self->i.a;
	bool full = wants_all();
	struct hold h;
	struct worker wk = {};
	int i, g, n, nr, b, *order, nr_red = 0, nr_held = 0, nr_tried = 0;
	struct tally tally = {};
	struct result res;
	u64 start;
	u32 all = 0;

	nr = il_program->nr_funcs;
	ksft_print_msg("%s: %d functions recorded, seed %u\n", a->op.name, nr, seed);

	order = calloc(nr, sizeof(*order));
	ASSERT_NE(NULL, order);
	order_funcs(order, nr, full, seed);
	for (g = 0; g < NR_GROUPS; g++)
		all |= il_group_mask(a, g);
	for (i = 0; i < nr; i++)
		fill_cells(&il_program->funcs[i], all, CELL_UNTRIED);

	print_matrix_head(a, nr);
	start = now_ms();
	for (n = 0; n < nr && nr_red < MAX_REDS && (full || !timed_out(start, a->sample_s)); n++) {
		struct func *f = &il_program->funcs[order[n]];
		bool is_red = false, held = false;
		char never;

		if (only && strcmp(only, kernel_symbols[f->symbol].name))
			continue;
		nr_tried++;
		never = never_held(a, f);
		if (never)
			fill_cells(f, all, never);
		for (g = 0; g < NR_GROUPS && !never; g++) {
			h = (struct hold) { .func = order[n], .mask = il_group_mask(a, g) };
			if (!h.mask)
				continue;
			il_hold(&wk, a, self->i.kmsg, &h, &res);
			take_cells(f, &res, h.mask);
			held |= res.status == HELD;
			if (res.status == RED) {
				is_red = true;
				TH_LOG("%s held in %s(), group %d: %s", a->op.name,
				       il_probe_name(f), g, res.why);
				blame(_metadata, &wk, &self->i, f, &h);
			}
			/*
			 * It's the same with any other Bs.  A may have been there by chance when it
			 * was recorded, e.g. after an interrupt.
			 */
			if (res.status == UNPROBED ||
			    (res.status == UNREACHED && !held && !is_red)) {
				fill_cells(f, all, res.status == UNPROBED ? CELL_UNPROBED :
									    CELL_UNREACHED);
				break;
			}
		}
		nr_red += is_red;
		nr_held += held;
		count_cells(&tally, f->cell);
		print_matrix_row(a, f);
	}
	expect_end(_metadata, &wk);

	ksft_print_msg("%s: %d of %d functions tried, held in %d, red in %d, %llu s\n", a->op.name,
		       nr_tried, nr, nr_held, nr_red,
		       (unsigned long long)(now_ms() - start) / 1000);
	EXPECT_EQ(0, nr_red)
		TH_LOG("%s: %d functions in which it must not be held", a->op.name, nr_red);
	if (only && !nr_held)
		SKIP(return, "%s doesn't come through %s()", a->op.name, only);
	EXPECT_LT(0, nr_held)
		TH_LOG("%s was held nowhere, i.e. nothing was tested", a->op.name);
	b = find_late_b(&tally);
	EXPECT_EQ(-1, b)
		TH_LOG("%s came in time in %d functions, and too late in %d", il_ops_b[b].name,
		       tally.met[b], tally.late[b]);
	free(order);
}

/*
 * Findings of sweeps of kernels without the series, one hold each: a sample may not
 * come as far.  Kernels with the series come through the same functions.
 */
FIXTURE(found) {
	struct interleave i;
};

FIXTURE_VARIANT(found) {
	const char *a;
	const char *function;
	const char *b;
};

#ifdef __x86_64__
FIXTURE_VARIANT_ADD(found, run_before_postcreate) {
	"create_vcpu", "kvm_arch_vcpu_postcreate", "run_blocked"
};

FIXTURE_VARIANT_ADD(found, destroy_during_wakeup) {
	"ga_log", "kvm_vcpu_wake_up", "close"
};
#endif

#ifdef __aarch64__
FIXTURE_VARIANT_ADD(found, create_during_init) {
	"init_vgic", "kvm_set_irq_routing", "create_other"
};

FIXTURE_VARIANT_ADD(found, iidr_while_vcpu_is_busy) {
	"vcpu_reg", "kvm_arm_get_reg", "read_iidr"
};
#endif

FIXTURE_SETUP(found)
{
	begin(_metadata, &self->i, variant->a);
}

FIXTURE_TEARDOWN(found)
{
	end(&self->i);
}

TEST_F_TIMEOUT(found, hold, SUBTEST_TIMEOUT_S)
{
	struct worker wk = {};
	struct hold h = {};
	struct result res;
	int b;

	while (h.func < il_program->nr_funcs &&
	       strcmp(kernel_symbols[il_program->funcs[h.func].symbol].name, variant->function))
		h.func++;
	ASSERT_GT(il_program->nr_funcs, h.func)
		TH_LOG("%s doesn't come through %s()", variant->a, variant->function);
	for (b = 0; strcmp(il_ops_b[b].name, variant->b); b++)
		;
#ifdef __aarch64__
	if (!il_goes_with(&il_ops_b[b], self->i.a))
		SKIP(return, "%s", il_no_preinit_regs);
#endif
	h.mask = BIT(b);
	il_hold(&wk, self->i.a, self->i.kmsg, &h, &res);
	expect_end(_metadata, &wk);
	EXPECT_EQ(HELD, res.status)
		TH_LOG("%s held in %s(), %s: %s", variant->a, variant->function, variant->b,
		       res.status == UNREACHED ? "it didn't come through there" : res.why);
	if (res.status == HELD)
		EXPECT_NE(CELL_LATE, res.cell[b])
			TH_LOG("%s didn't come to begin before %s went on", variant->b, variant->a);
}

int main(int argc, char *argv[])
{
	u64 start = now_ms();

#ifdef __aarch64__
	test_disable_default_vgic();
	TEST_REQUIRE(kvm_supports_vgic_v3());
	il_no_preinit_regs = vgic_preinit_missing();
#endif
	TEST_REQUIRE(!access(KVM_DEV_PATH, R_OK | W_OK));

#ifdef __x86_64__
	kvm_amd_load_command(il_load_command, sizeof(il_load_command));
#endif
	not_recorded = kvm_lifecycle_missing("pause");
	if (!not_recorded)
		not_recorded = kvm_lifecycle_missing("get_vcpu");
	if (!not_recorded)
		not_recorded = load_kernel_symbols();
	if (!not_recorded && sysconf(_SC_NPROCESSORS_ONLN) < 2)
		not_recorded = "two CPUs are needed";
	il_programs = mmap(NULL, il_nr_ops_a * sizeof(*il_programs), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(il_programs != MAP_FAILED, "no memory");
	if (!not_recorded)
		not_recorded = il_record_in_process(il_record_all, wants_all(), recording_failed,
						    sizeof(recording_failed));
	ksft_print_msg("recorded in %llu ms\n", (unsigned long long)(now_ms() - start));

	return test_harness_run(argc, argv);
}
