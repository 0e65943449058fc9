// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random programs of the calls that make and break VMs, vCPUs and interrupt
 * controllers, by several threads at once.
 *
 * A program is a list of (thread, call, arguments).  It follows from its seed,
 * i.e. the same seed gives the same text; the interleaving of the threads does
 * not, hence each program is run for some rounds.  It is run by a process of its
 * own, and fails if
 *
 *  - the kernel has reported anything meanwhile;
 *  - a call doesn't return.  Only a vCPU's own calls may wait for a vCPU that is
 *    in KVM_RUN, which is interrupted only once all others have gone on without;
 *  - a call fails with an errno that isn't listed for it;
 *  - hardware's table of a VM names a vCPU that the VM doesn't have (AVIC);
 *  - its process doesn't come to its end, unless a call has it killed;
 *  - a process, a VM or a file descriptor is left behind.
 *
 * A storm begins with a tour of each theme, a program in which each of its calls
 * has to succeed, and fails if it creates no VM and no vCPU afterwards.
 *
 * A program that fails is printed, and is then made smaller for as long as it
 * still fails.  It can be run again from its seed (-s) or from its text (-r).
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include <sys/mman.h>
#include <sys/prctl.h>

#include "lifecycle_stress.h"

/* The seeds 1, 2, 3, ... for so long in all, unless told otherwise. */
#define DEFAULT_SEED	1
#define DEFAULT_TIME_S	60

/* For making a program smaller. */
#define MINIMISE_S	20

#define PROGRESS_S	10

/* A race that is widened is met at once, or nearly so. */
#define FOUND_TRIES	3

/* Of so many programs of a theme, one creates a VM and a vCPU, for any seed. */
#define FLOOR_SEEDS	10

/* How often a tour may be run until each of its calls has succeeded. */
#define TOUR_TRIES	5

/*
 * Programs that once found something.  Others wait for the pause, which is long
 * enough for them to get to where they must not be, and the thread that has asked
 * for it must not end meanwhile.
 */
static const struct found {
	const char *name;
	const char *part;
	const char *text;
} found[] = {
#ifdef __x86_64__
	{ "run_before_postcreate", "pause",
	  "theme pauses seed 0 threads 2 rounds 2\n"
	  "0 pin cpu=1\n"
	  "1 pin cpu=0\n"
	  "0 create_vm vm=0\n"
	  "0 enable_cap vm=0 cap=3\n"
	  "0 create_vcpu vm=0 vcpu=0 id=0\n"
	  "0 pause function=kvm_arch_vcpu_postcreate us=1000000 hits=1\n"
	  "0 start\n"
	  "1 start\n"
	  "0 create_vcpu vm=0 vcpu=1 id=1\n"
	  "1 until_paused us=10000000\n"
	  "1 run_next below=1 at_once=0\n"
	  "0 destroy_vm vm=0\n" },
	{ "destroy_during_wakeup", "ga_log",
	  "theme ga_log seed 0 threads 2 rounds 2\n"
	  "0 create_vm vm=0\n"
	  "0 enable_cap vm=0 cap=3\n"
	  "0 create_vcpu vm=0 vcpu=0 id=0\n"
	  "0 ga_id vm=0\n"
	  "1 pause_ga_log us=1000000\n"
	  "0 start\n"
	  "1 start\n"
	  "1 ga_log vm=0 vcpu=0 count=1 us=0\n"
	  "1 sleep us=1500000\n"
	  "0 until_paused us=10000000\n"
	  "0 destroy_vm vm=0\n" },
#endif
#ifdef __aarch64__
	{ "iidr_while_vcpu_is_busy", "pause",
	  "theme vgic seed 0 threads 2 rounds 4\n"
	  "0 pin cpu=0\n"
	  "1 pin cpu=1\n"
	  "0 create_vm vm=0\n"
	  "0 create_vgic vm=0\n"
	  "0 create_vcpu vm=0 vcpu=0 id=0\n"
	  "0 vcpu_init vm=0 vcpu=0 features=0\n"
	  "1 pause function=kvm_arm_get_reg us=1000000 hits=1\n"
	  "0 start\n"
	  "1 start\n"
	  "1 get_reg vm=0 vcpu=0 on=0\n"
	  "0 until_paused us=10000000\n"
	  "0 gicd_iidr vm=0 on=1\n"
	  "0 destroy_vm vm=0\n" },
	{ "create_during_vgic_init", "pause",
	  "theme vgic_pauses seed 0 threads 2 rounds 1\n"
	  "0 pin cpu=1\n"
	  "1 pin cpu=0\n"
	  "0 create_vm vm=0\n"
	  "0 create_vgic vm=0\n"
	  "0 vgic_irqs vm=0 nr=64\n"
	  "0 vgic_dist vm=0\n"
	  "0 vgic_region vm=0 index=0 count=0\n"
	  "0 create_vcpu vm=0 vcpu=0 id=0\n"
	  "0 vcpu_init vm=0 vcpu=0 features=0\n"
	  "0 pause function=kvm_vgic_setup_default_irq_routing us=1000000 hits=1\n"
	  "0 start\n"
	  "1 start\n"
	  "0 vgic_init vm=0\n"
	  "1 until_paused us=10000000\n"
	  "1 create_vcpu vm=0 vcpu=1 id=1\n"
	  "1 vcpu_init vm=0 vcpu=1 features=0\n" },
#endif
};

static const char *progress_theme = "";

struct options {
	u64 seed;
	u64 programs;		/* of each theme, 0: no limit */
	unsigned int time_s;
	unsigned int minimise_s;
	bool print;
	const char *replay;
	const char *theme;
};

static const char *found_missing(const struct found *found)
{
	const char *missing = kvm_lifecycle_missing(found->part);

	if (!missing && strstr(found->text, "gicd_iidr"))
		missing = stress_no_preinit_regs;
	return missing;
}

static const char *theme_missing(const struct theme *theme)
{
	const char *missing = theme->part ? kvm_lifecycle_missing(theme->part) : NULL;
	static char reason[128];

	if (!missing && theme->file && access(theme->file, W_OK)) {
		snprintf(reason, sizeof(reason), "%s: %s", theme->file, strerror(errno));
		missing = reason;
	}
	if (!missing && (theme->calls & PARAMS))
		missing = change_missing("parameters");
#ifdef __x86_64__
	if (!missing && (theme->calls & XEN) && !kvm_has_cap(KVM_CAP_XEN_HVM))
		missing = "KVM has no support for Xen guests";
#endif
	return missing;
}

static void print_progress(u64 start, u64 seed)
{
	u64 s = (now_ms() - start) / 1000;

	ksft_print_msg("%llu:%02llu %llu programs, %llu VMs, %llu vCPUs, at seed %llu of %s\n",
		       (unsigned long long)s / 60, (unsigned long long)s % 60,
		       (unsigned long long)stress_nr_programs,
		       (unsigned long long)stress_shared->vms,
		       (unsigned long long)stress_shared->vcpus, (unsigned long long)seed,
		       progress_theme);
}

/* Calls by kind, with their results. */
static void print_counts(void)
{
	char line[512];
	int i, err, len;

	/* Planted faults aren't among a storm's calls. */
	for (i = 0; i < stress_op_of("crash"); i++) {
		len = snprintf(line, sizeof(line), "calls: %s", stress_ops[i].name);
		for (err = 0; err < MAX_ERRNO && len < (int)sizeof(line) - 32; err++) {
			u64 nr = 0;
			int theme;

			for (theme = 0; theme < stress_nr_themes; theme++)
				nr += stress_shared->count[theme][i][err];
			if (nr)
				len += snprintf(line + len, sizeof(line) - len, " %s %llu",
						err ? strerrorname_np(err) ?: "?" : "done",
						(unsigned long long)nr);
		}
		ksft_print_msg("%s\n", line);
	}
	len = snprintf(line, sizeof(line), "tables: looked at %llu",
		       (unsigned long long)stress_shared->tables_seen);
	if (stress_shared->tables_unseen)
		snprintf(line + len, sizeof(line) - len, ", not at %llu: %s",
			 (unsigned long long)stress_shared->tables_unseen,
			 ret_name(-stress_shared->tables_error));
	ksft_print_msg("%s\n", line);
	stress_print_known();
	ksft_print_msg("the longest call took %llu ms: %s\n",
		       (unsigned long long)stress_shared->longest,
		       stress_ops[stress_shared->longest_op].name);
}

/* Run it, and report its failure.  Returns true if there is none. */
static bool try_program(const struct program *p, unsigned int minimise_s, struct failure *f)
{
	if (stress_run_program(p, STUCK_S, f))
		return true;
	ksft_print_msg("seed %llu of %s: %s\n", (unsigned long long)p->seed,
		       stress_themes[p->theme].name, f->why);
	stress_print_program(p);
	if (minimise_s)
		stress_minimise(p, f, minimise_s);
	return false;
}

/* The same seed gives the same text, and the text gives the same program. */
static bool same_seed_same_program(void)
{
	struct program a, b, c;
	char *text, *again;
	int theme, seed;
	bool ok = true;

	for (theme = 0; theme < stress_nr_themes; theme++) {
		for (seed = 0; seed < 100 && ok; seed++) {
			stress_make_program(&a, theme, seed);
			stress_make_program(&b, theme, seed);
			text = stress_program_text(&a);
			again = stress_program_text(&b);
			if (strcmp(text, again) || stress_parse_program(&c, text)) {
				ok = false;
			} else {
				free(again);
				again = stress_program_text(&c);
				ok = !strcmp(text, again);
			}
			if (!ok)
				ksft_print_msg("seed %d of %s gives two programs:\n%s\n%s\n", seed,
					       stress_themes[theme].name, text, again);
			free(text);
			free(again);
		}
	}
	return ok;
}

static u64 successes(int theme, int op)
{
	const u64 *count = stress_shared->count[theme][op];

	return count[0] + (stress_ops[op].success ? count[stress_ops[op].success] : 0);
}

/* A theme's calls that have never succeeded, with their results.  Returns their number. */
static int list_failures(char *buf, size_t size, int theme)
{
	int op, err, len = 0, nr = 0;

	buf[0] = '\0';
	for (op = 0; op < stress_nr_ops; op++) {
		if (!stress_is_of_theme(op, theme) || stress_ops[op].never || successes(theme, op))
			continue;
		nr++;
		if (len > (int)size - 64)
			continue;
		len += snprintf(buf + len, size - len, " %s (", stress_ops[op].name);
		for (err = 1; err < MAX_ERRNO && !stress_shared->count[theme][op][err]; err++)
			;
		len += snprintf(buf + len, size - len, "%s)",
				err < MAX_ERRNO ? ret_name(-err) : "not called");
	}
	return nr;
}

/*
 * Each call of a theme can succeed.  A call that takes two threads may take more than
 * one trial, but nothing may go wrong in any of them.
 */
static bool try_tour(int theme, struct failure *f)
{
	struct program p;
	char list[384];
	int i;

	stress_make_tour(&p, theme);
	for (i = 0; i < TOUR_TRIES; i++) {
		if (!try_program(&p, 0, f))
			return false;
		if (!list_failures(list, sizeof(list), theme))
			return true;
	}
	stress_print_program(&p);
	stress_fails(f, "tour", "the tour of %s: no success of%s", stress_themes[theme].name, list);
	return false;
}

/* After the tour, a theme has gone on to create VMs and vCPUs. */
static bool try_floor(int theme, const u64 *of_tour, struct failure *f)
{
	u64 vms = successes(theme, stress_op_of("create_vm")) - of_tour[0];
	u64 vcpus = successes(theme, stress_op_of("create_vcpu")) - of_tour[1];

	if (vms && vcpus)
		return true;
	stress_fails(f, "floor", "the storm of %s: want a VM and a vCPU, got %llu and %llu",
		     stress_themes[theme].name, (unsigned long long)vms, (unsigned long long)vcpus);
	return false;
}

/* Programs that are wrong, and the failures that they must give. */
static const struct {
	const char *call;
	const char *key;
	unsigned int stuck_s;
} planted[] = {
	{ "crash", "SIGSEGV", STUCK_S },
	{ "exit", "exit 1", STUCK_S },
	{ "stay", "stuck stay", STUCK_AGAIN_S },
	{ "fail_oddly", "fail_oddly -1 (EXDEV)", STUCK_S },
	{ "fail_badly", "fail_badly -1 (EBADF)", STUCK_S },
};

static bool find_planted_faults(void)
{
	struct program p = { .threads = 1, .rounds = 1, .nr = 1 };
	u64 none[2] = {};
	struct failure f;
	bool ok = true;
	char list[384];
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(planted); i++) {
		p.calls[0].op = stress_op_of(planted[i].call);
		if (stress_run_program(&p, planted[i].stuck_s, &f) ||
		    strcmp(f.key, planted[i].key)) {
			ksft_print_msg("planted %s: want '%s', got '%s'\n", planted[i].call,
				       planted[i].key, f.key);
			ok = false;
		}
	}
	/* Nothing has been done yet that a storm is to do. */
	memset(stress_shared->count, 0, sizeof(stress_shared->count));
	for (i = 0; i < stress_nr_themes; i++) {
		f.key[0] = '\0';
		if (!list_failures(list, sizeof(list), i) || try_floor(i, none, &f)) {
			ksft_print_msg("%s: no call has succeeded, and that is enough\n",
				       stress_themes[i].name);
			ok = false;
		}
	}
	return ok;
}

/*
 * As often as it takes to be sure that it doesn't fail any more.  Without the pause
 * there is nothing to be sure of.
 */
static bool try_found(const struct found *found)
{
	int i, until_paused = stress_op_of("until_paused");
	struct program p;
	struct failure f;
	u64 paused;

	i = stress_parse_program(&p, found->text);
	TEST_ASSERT(!i, "%s: line %d is wrong", found->name, i);
	paused = successes(p.theme, until_paused);
	for (i = 0; i < FOUND_TRIES; i++)
		if (!try_program(&p, 0, &f))
			return false;
	paused = successes(p.theme, until_paused) - paused;
	if (!paused)
		ksft_print_msg("%s: no thread was paused in %d tries, this host is too slow\n",
			       found->name, FOUND_TRIES);
	return paused;
}

static bool replay(const struct options *o)
{
	u64 start = now_ms(), nr = 0;
	static char text[SZ_64K];
	struct program p;
	struct failure failure;
	bool ok = true;
	FILE *f;
	int bad;

	f = fopen(o->replay, "re");
	if (!f)
		ksft_exit_fail_msg("%s: %s: name a program's text\n", o->replay, strerror(errno));
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	bad = stress_parse_program(&p, text);
	if (bad)
		ksft_exit_fail_msg("%s:%d: not a line of a program: see what -p prints\n",
				   o->replay, bad);
	while (ok && (o->programs ? nr++ < o->programs : !timed_out(start, o->time_s)))
		ok = try_program(&p, o->minimise_s, &failure);
	return ok;
}

static bool is_over(const struct options *o, u64 start, u64 seed, bool enough)
{
	if (o->programs)
		return seed >= o->seed + o->programs;
	/* However slow the host is, one program of each theme, and more if that wasn't enough. */
	return seed > o->seed && timed_out(start, o->time_s) &&
	       (enough || seed >= o->seed + FLOOR_SEEDS);
}

/* The tours, then a program of each theme in turn.  A theme ends with its first failure. */
static void storm(const struct options *o, const bool *wanted, bool *ok, struct failure *f)
{
	u64 start, said, seed = o->seed, of_tour[MAX_THEMES][2];
	int theme, i, skipped = 0;
	struct failure ignored;
	struct program p;
	bool enough;

	memset(stress_shared->count, 0, sizeof(stress_shared->count));
	for (theme = 0; theme < stress_nr_themes; theme++) {
		if (!wanted[theme])
			continue;
		progress_theme = stress_themes[theme].name;
		ok[theme] = try_tour(theme, &f[theme]);
		of_tour[theme][0] = successes(theme, stress_op_of("create_vm"));
		of_tour[theme][1] = successes(theme, stress_op_of("create_vcpu"));
	}

	theme = 0;
	start = now_ms();
	said = start;
	for (;;) {
		enough = true;
		for (i = 0; i < stress_nr_themes && enough; i++) {
			ignored.key[0] = '\0';
			enough = !wanted[i] || !ok[i] || try_floor(i, of_tour[i], &ignored);
		}
		if (skipped >= stress_nr_themes || is_over(o, start, seed, enough))
			break;
		if (wanted[theme] && ok[theme]) {
			skipped = 0;
			progress_theme = stress_themes[theme].name;
			stress_make_program(&p, theme, seed);
			ok[theme] = try_program(&p, o->minimise_s, &f[theme]);
		} else {
			skipped++;
		}
		if (timed_out(said, PROGRESS_S)) {
			said = now_ms();
			print_progress(start, seed);
		}
		if (++theme == stress_nr_themes) {
			theme = 0;
			seed++;
		}
	}
	print_progress(start, seed);
	ksft_print_msg("seeds %llu to %llu, the last one perhaps not of each theme\n",
		       (unsigned long long)o->seed, (unsigned long long)seed - !theme);
	/* With fewer programs on request, this need not be so. */
	for (i = 0; i < stress_nr_themes; i++) {
		if (wanted[i] && ok[i] && (!o->programs || o->programs >= FLOOR_SEEDS))
			ok[i] = try_floor(i, of_tour[i], &f[i]);
	}
}

static void usage(const char *name)
{
	int i;

	printf("%s [-s SEED] [-t SECONDS] [-n PROGRAMS] [-T THEME] [-m SECONDS] [-p] [-r FILE]\n"
	       " -s: the first seed (default: %d), then come the next ones\n"
	       " -t: for so long (default: %d)\n"
	       " -n: so many programs of each theme, for however long\n"
	       " -T: one theme:", name, DEFAULT_SEED, DEFAULT_TIME_S);
	for (i = 0; i < stress_nr_themes; i++)
		printf(" %s", stress_themes[i].name);
	printf("\n"
	       " -m: for how long to make a failing program smaller, 0: not at all (default: %d)\n"
	       " -p: print programs instead of running them\n"
	       " -r: run the program that is in this file, as -p prints it\n", MINIMISE_S);
}

static void parse_options(int argc, char **argv, struct options *o)
{
	int c;

	*o = (struct options){
		.seed = DEFAULT_SEED,
		.time_s = DEFAULT_TIME_S,
		.minimise_s = MINIMISE_S,
	};
	while ((c = getopt(argc, argv, "s:t:n:T:m:pr:h")) != -1) {
		switch (c) {
		case 's':
			o->seed = strtoull(optarg, NULL, 0);
			break;
		case 't':
			o->time_s = atoi_positive("-t", optarg);
			break;
		case 'n':
			o->programs = atoi_positive("-n", optarg);
			break;
		case 'T':
			if (stress_theme_of(optarg) < 0) {
				usage(argv[0]);
				exit(KSFT_FAIL);
			}
			o->theme = optarg;
			break;
		case 'm':
			o->minimise_s = atoi_non_negative("-m", optarg);
			break;
		case 'p':
			o->print = true;
			break;
		case 'r':
			o->replay = optarg;
			break;
		default:
			usage(argv[0]);
			exit(c == 'h' ? KSFT_PASS : KSFT_FAIL);
		}
	}
}

static void print_programs(const struct options *o)
{
	struct program p;
	char *text;
	int theme;
	u64 i;

	for (theme = 0; theme < stress_nr_themes; theme++) {
		if (o->theme && strcmp(o->theme, stress_themes[theme].name))
			continue;
		for (i = 0; i < (o->programs ?: 1); i++) {
			stress_make_program(&p, theme, o->seed + i);
			text = stress_program_text(&p);
			printf("%s", text);
			free(text);
		}
	}
}

static void skip(const char *prefix, const char *name, const char *reason)
{
	char text[64];

	snprintf(text, sizeof(text), "%s%s", prefix, name);
	ksft_test_result_code(KSFT_SKIP, text, "%s\n", reason);
}

int main(int argc, char *argv[])
{
	bool wanted[MAX_THEMES], ok[MAX_THEMES];
	const char *missing[MAX_THEMES];
	static struct failure failures[MAX_THEMES];
	struct fault_injection fi;
	struct options o;
	int i;

	parse_options(argc, argv, &o);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (o.print) {
		print_programs(&o);
		return KSFT_PASS;
	}

	ksft_print_header();
	ksft_set_plan(o.replay ? 1 : o.theme ? 2 + ARRAY_SIZE(found) + 1 :
		      2 + ARRAY_SIZE(found) + stress_nr_themes);
	stress_kmsg = kmsg_open();
	if (stress_kmsg < 0)
		ksft_exit_skip("/dev/kmsg: %s\n", strerror(-stress_kmsg));
	i = open(KVM_DEV_PATH, O_RDWR);
	if (i < 0)
		ksft_exit_skip(KVM_DEV_PATH ": %s\n", strerror(errno));
	close(i);
	stress_shared = mmap(NULL, sizeof(*stress_shared), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (stress_shared == MAP_FAILED)
		ksft_exit_fail_msg("mmap: %s\n", strerror(errno));
#ifdef __aarch64__
	stress_no_preinit_regs = vgic_preinit_missing();
#endif
	/* Wait here for the leftovers of the programs. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	stress_save_params();
	/* Only slabs: a page that a fault doesn't get is asked for again. */
	if (!fault_injection_begin(&fi))
		fault_knob_write(FAULT_PAGE "min-order", "99");

	if (o.replay) {
		ok[0] = replay(&o);
		print_counts();
		fault_injection_end(&fi);
		ksft_test_result(ok[0], "replay\n");
		ksft_finished();
	}

	for (i = 0; i < stress_nr_themes; i++) {
		ok[i] = true;
		missing[i] = NULL;
		wanted[i] = !o.theme || !strcmp(o.theme, stress_themes[i].name);
		if (!wanted[i])
			continue;
		missing[i] = theme_missing(&stress_themes[i]);
		if (missing[i])
			missing[i] = strdup(missing[i]);
		wanted[i] = !missing[i];
	}
	ksft_test_result(same_seed_same_program(), "same_seed_same_program\n");
	ksft_test_result(find_planted_faults(), "planted_faults\n");
	for (i = 0; i < (int)ARRAY_SIZE(found); i++) {
		const char *reason = found_missing(&found[i]);

		if (reason)
			skip("found.", found[i].name, reason);
		else
			ksft_test_result(try_found(&found[i]), "found.%s\n", found[i].name);
	}
	storm(&o, wanted, ok, failures);
	print_counts();
	fault_injection_end(&fi);
	for (i = 0; i < stress_nr_themes; i++) {
		/* Once more, next to the result. */
		if (!ok[i])
			ksft_print_msg("%s\n", failures[i].why);
		if (missing[i])
			skip("storm.", stress_themes[i].name, missing[i]);
		else if (wanted[i])
			ksft_test_result(ok[i], "storm.%s\n", stress_themes[i].name);
	}
	ksft_finished();
}
