// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs: from a seed, from a text, and as a text.
 */
#include <stdio.h>
#include <string.h>

#include "lifecycle_stress.h"

const struct theme stress_themes[] = {
	{ "vcpus", VCPUS },
	{ "irqs", IRQS },
#ifdef __x86_64__
	{ "xen", XEN },
	{ "ga_log", GA_LOG, .part = "ga_log" },
#endif
#ifdef __aarch64__
	{ "vgic", VGIC },
	{ "vgic_pauses", VGIC | PAUSES, .part = "pause" },
#endif
	{ "processes", PROCESSES | VCPUS },
	{ "params", PARAMS },
	{ "faults", FAULTS | VCPUS, .file = FAULT_FAILSLAB "probability" },
	{ "pauses", PAUSES | VCPUS, .part = "pause" },
};

static_assert(ARRAY_SIZE(stress_themes) <= MAX_THEMES);

const int stress_nr_themes = ARRAY_SIZE(stress_themes);

/* ---- from a seed to a program ---- */

/* SplitMix64: a small generator, which is good enough from any seed. */
static u64 random_next(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static u64 random_below(u64 *state, u64 n)
{
	return random_next(state) % n;
}

static bool one_in(u64 *state, u64 n)
{
	return !random_below(state, n);
}

static u64 random_arg(u64 *state, enum kind kind)
{
	u64 i = random_below(state, stress_kinds[kind].nr);

	return stress_kinds[kind].values ? stress_kinds[kind].values[i] : i;
}

static void add_call(struct program *p, int thread, const char *name, u64 a0, u64 a1, u64 a2)
{
	struct call *c = &p->calls[p->nr++];

	*c = (struct call){ .thread = thread, .op = stress_op_of(name), .arg = { a0, a1, a2 } };
}

/* The first calls of most programs.  They are ordinary calls, like the rest. */
static void add_beginning(struct program *p, u64 *state)
{
	int i, nr = random_below(state, 3);

	add_call(p, 0, "create_vm", 0, 0, 0);
#ifdef __x86_64__
	i = random_below(state, 4);
	if (i < 2)
		add_call(p, 0, "enable_cap", 0, 3, 0);
	else if (i < 3)
		add_call(p, 0, "create_irqchip", 0, 0, 0);
#else
	if (!one_in(state, 3)) {
		add_call(p, 0, "create_vgic", 0, 0, 0);
		add_call(p, 0, "vgic_irqs", 0, 64, 0);
		add_call(p, 0, "vgic_dist", 0, 0, 0);
		if (!one_in(state, 3))
			add_call(p, 0, "vgic_region", 0, 0, random_below(state, 3));
		if (stress_themes[p->theme].calls & (VGIC | IRQS))
			add_call(p, 0, "create_its", 0, 0, 0);
	}
#endif
	for (i = 0; i < nr; i++) {
		add_call(p, 0, "create_vcpu", 0, i, i);
#ifdef __aarch64__
		add_call(p, 0, "vcpu_init", 0, i, random_below(state, 2));
#endif
	}
#ifdef __x86_64__
	if (stress_themes[p->theme].calls & GA_LOG) {
		add_call(p, 0, "create_vcpu", 0, 2, 3);
		add_call(p, 0, "ga_id", 0, 0, 0);
	}
#endif
	if (one_in(state, 3))
		add_call(p, 0, "create_vm", 1, 0, 0);
	for (i = 0; i < p->threads; i++)
		add_call(p, i, "start", 0, 0, 0);
}

bool stress_is_of_theme(int op, int theme)
{
	u32 calls = ALWAYS | stress_themes[theme].calls;

	return stress_ops[op].weight && (stress_ops[op].themes & calls);
}

static int random_op(u64 *state, u32 calls)
{
	int i, total = 0;
	u64 n;

	for (i = 0; i < stress_nr_ops; i++)
		total += stress_ops[i].themes & calls ? stress_ops[i].weight : 0;
	n = random_below(state, total);
	for (i = 0; ; i++) {
		if (!(stress_ops[i].themes & calls))
			continue;
		if (n < (u64)stress_ops[i].weight)
			return i;
		n -= stress_ops[i].weight;
	}
}

void stress_make_program(struct program *p, int theme, u64 seed)
{
	u64 state = seed * ARRAY_SIZE(stress_themes) + theme;
	u32 calls = ALWAYS | stress_themes[theme].calls;
	int i, j, nr;

	*p = (struct program){ .seed = seed, .theme = theme };
	p->threads = 2 + random_below(&state, MAX_THREADS - 1);
	p->rounds = 1 + random_below(&state, MAX_ROUNDS);
	for (i = 0; i < stress_nr_themes; i++) {
		if (one_in(&state, 5))
			calls |= stress_themes[i].calls;
	}
	/* These can't be had together, see arm_pause(). */
	if (stress_themes[theme].calls & FAULTS)
		calls &= ~PAUSES;
	else if (calls & PAUSES)
		calls &= ~FAULTS;
	add_beginning(p, &state);
	nr = 6 + random_below(&state, MAX_CALLS / 3);
	for (i = 0; i < nr && p->nr < MAX_CALLS; i++) {
		struct call *c = &p->calls[p->nr++];

		c->thread = random_below(&state, p->threads);
		c->op = random_op(&state, calls);
		for (j = 0; j < stress_nr_args(c->op); j++)
			c->arg[j] = random_arg(&state, stress_ops[c->op].kinds[j]);
	}
	if (p->nr < MAX_CALLS)
		add_call(p, random_below(&state, p->threads), "destroy_vm", 0, 0, 0);
}

/* ---- programs as text ---- */

int stress_call_text(char *buf, size_t size, const struct call *c)
{
	int i, len = snprintf(buf, size, "%d %s", c->thread, stress_ops[c->op].name);

	for (i = 0; i < stress_nr_args(c->op); i++) {
		enum kind kind = stress_ops[c->op].kinds[i];

		len += snprintf(buf + len, size - len, " %s=", stress_kinds[kind].name);
		if (stress_kinds[kind].names)
			len += snprintf(buf + len, size - len, "%s",
					stress_kinds[kind].names[c->arg[i]]);
		else
			len += snprintf(buf + len, size - len, "%llu",
					(unsigned long long)c->arg[i]);
	}
	return len;
}

char *stress_program_text(const struct program *p)
{
	size_t size = (p->nr + 2) * 128;
	char *buf = malloc(size);
	int i, len;

	TEST_ASSERT(buf, "out of memory");
	len = sprintf(buf, "theme %s seed %llu threads %d rounds %d\n",
		      stress_themes[p->theme].name, (unsigned long long)p->seed, p->threads,
		      p->rounds);
	for (i = 0; i < p->nr; i++) {
		len += stress_call_text(buf + len, size - len, &p->calls[i]);
		buf[len++] = '\n';
	}
	buf[len] = '\0';
	return buf;
}

int stress_theme_of(const char *name)
{
	int i;

	for (i = 0; i < stress_nr_themes; i++) {
		if (!strcmp(stress_themes[i].name, name))
			return i;
	}
	return -1;
}

/* The start of a program's line, without the prefix of a log, or NULL. */
static char *line_start(char *line)
{
	char *start = strstr(line, "program: ");

	start = start ? start + strlen("program: ") : line;
	start += strspn(start, " \t");
	return *start == '#' || !*start ? NULL : start;
}

/* A number, or a name from the kind's table. */
static bool parse_value(enum kind kind, const char *text, u64 *val)
{
	char *end;
	int i;

	for (i = 0; stress_kinds[kind].names && i < stress_kinds[kind].nr; i++) {
		if (!strcmp(stress_kinds[kind].names[i], text)) {
			*val = i;
			return true;
		}
	}
	*val = strtoull(text, &end, 0);
	/* An index is one of a table. */
	return end > text && !*end &&
	       (stress_kinds[kind].values || *val < (u64)stress_kinds[kind].nr);
}

static bool parse_call(struct program *p, const char *text)
{
	struct call *c = &p->calls[p->nr];
	char name[32], val[64];
	unsigned int thread;
	int i, op, len;

	if (p->nr == MAX_CALLS || sscanf(text, "%u %31s%n", &thread, name, &len) != 2)
		return false;
	op = stress_op_of(name);
	if (op < 0 || thread >= (unsigned int)p->threads)
		return false;
	*c = (struct call){ .thread = thread, .op = op };
	for (i = 0; i < stress_nr_args(op); i++) {
		enum kind kind = stress_ops[op].kinds[i];

		text += len;
		if (sscanf(text, " %31[^= ]=%63s%n", name, val, &len) != 2 ||
		    strcmp(name, stress_kinds[kind].name) || !parse_value(kind, val, &c->arg[i]))
			return false;
	}
	p->nr++;
	return true;
}

/* Returns the number of the line that is wrong, or 0. */
int stress_parse_program(struct program *p, const char *text)
{
	char *copy = strdup(text), *line, *next = copy, theme[32];
	unsigned long long seed;
	int nr = 0, bad = 0;

	*p = (struct program){};
	while (!bad && (line = strsep(&next, "\n"))) {
		nr++;
		line = line_start(line);
		if (!line)
			continue;
		if (!p->threads) {
			if (strncmp(line, "theme ", strlen("theme ")))
				continue;
			if (sscanf(line, "theme %31s seed %llu threads %d rounds %d", theme, &seed,
				   &p->threads, &p->rounds) != 4 ||
			    stress_theme_of(theme) < 0 || p->threads < 1 ||
			    p->threads > MAX_THREADS || p->rounds < 1)
				bad = nr;
			p->theme = stress_theme_of(theme);
			p->seed = seed;
		} else if (!parse_call(p, line)) {
			bad = nr;
		}
	}
	free(copy);
	return bad ?: p->threads ? 0 : nr;
}

/*
 * A tour: each call of a theme in an order, and with arguments, for which it succeeds.
 * Lines with "+" are for all themes, the others for those that their call belongs to.
 */
static const char * const tour[] = {
	"0 limit_fds on=0",
	"+0 create_vm vm=1",
	"0 create_vcpu_next below=1 id=0",
	"+0 create_vcpu vm=1 vcpu=0 id=1",
#ifdef __aarch64__
	"0 vcpu_init vm=1 vcpu=0 features=0",
#endif
	"0 mp_state_next below=1",
	"0 run_next below=1 at_once=1",
	"+0 close_vcpu vm=1 vcpu=0",
	"+0 close_vm vm=1",
	"+0 create_vm vm=0",
	"0 set_memory vm=0 slot=0 on=0 at_once=1",
	"0 set_param param=0 on=0",
#ifdef __x86_64__
	"+0 enable_cap vm=0 cap=3",
	"0 set_tsc_khz vm=0 vcpu=3 khz=1000000",
	"+0 create_vcpu vm=0 vcpu=0 id=0",
	"0 lapic vm=0 vcpu=0 dest=0",
	"0 enable_synic vm=0 vcpu=0",
	"0 nmi vm=0 vcpu=0",
	"0 irqfd vm=0 eventfd=0 gsi=0 deassign=0",
	"0 set_routing vm=0 nr=1 msi=1",
	"0 create_vm vm=1",
	"0 create_irqchip vm=1",
	"0 create_pit vm=1",
	"0 vm_state vm=1 chip=3",
	"0 xen_config vm=0",
	"0 xen_shared_info vm=0 on=1",
	"0 xen_vcpu vm=0 vcpu=0 type=0",
	"0 xen_target vm=0 port=0 vcpu=0 flags=0",
	"0 xen_send vm=0 port=0 vcpu=0",
	"0 ga_id vm=0",
	"0 pause_ga_log us=1000",
	"0 ga_log vm=0 vcpu=0 count=1 us=0",
	"0 ga_log_stop",
#endif
#ifdef __aarch64__
	"0 enable_cap vm=0 cap=0",
	"+0 create_vcpu vm=0 vcpu=0 id=0",
	"+0 create_vgic vm=0",
	"0 vgic_irqs vm=0 nr=64",
	"+0 vgic_dist vm=0",
	"+0 vgic_region vm=0 index=0 count=0",
	"0 create_its vm=0",
	"0 its_addr vm=0",
	"+0 vcpu_init vm=0 vcpu=0 features=0",
	"+0 vgic_init vm=0",
	"0 its_ctrl vm=0 ctrl=0",
	"0 its_reg vm=0 reg=0",
	"0 gicd_iidr vm=0 on=1",
	"0 vgic_reg vm=0 reg=0 vcpu=0 on=1",
	"0 vgic_save vm=0",
	"0 get_reg vm=0 vcpu=0 on=0",
	"0 counter_offset vm=0 us=0",
	"0 irqfd vm=0 eventfd=0 gsi=0 deassign=0",
	"0 set_routing vm=0 nr=1 msi=0",
	"0 close_device vm=0 on=1",
#endif
	"0 signal_eventfd eventfd=0",
	"0 close_eventfd eventfd=0",
	"0 ioeventfd vm=0 eventfd=1 index=0 deassign=0",
	"0 signal_msi vm=0 dest=0",
	"0 irq_line vm=0 nr=1 on=1",
	"0 get_mp_state vm=0 vcpu=0",
	"0 set_mp_state vm=0 vcpu=0 state=0",
	"+0 run vm=0 vcpu=0 at_once=1",
	"0 map_and_close vm=0 vcpu=0 us=0",
	"+0 create_vcpu vm=0 vcpu=1 id=1",
	"0 fork vm=0 how=0 us=0",
	"0 take vm=0 vcpu=3 how=0 us=0",
	"+0 create_vm vm=0",
	"+0 create_vcpu vm=0 vcpu=1 id=1",
	"0 pass vm=0 vcpu=1 how=0 us=0",
	"0 pin cpu=0",
	"0 pause function=kvm_arch_vcpu_destroy us=1000 hits=1",
	"+0 create_vcpu vm=0 vcpu=2 id=2",
	"+0 close_vcpu vm=0 vcpu=2",
	"0 fail nth=30",
	"+0 sleep us=0",
	"+0 start",
	"+1 start",
	"+0 meet",
	"+1 meet",
	"1 twin vm=0 id=4 on=1",
	"0 kill_twin",
	"0 kill_twin",
	"0 kill_twin",
	"0 kill_twin",
	"0 kill_twin",
	"+0 start",
	"+1 start",
	"+0 destroy_vm vm=0",
	"0 die us=0",
};

void stress_make_tour(struct program *p, int theme)
{
	const char *line;
	char name[32];
	int i;

	*p = (struct program){ .theme = theme, .threads = 2, .rounds = 1 };
	for (i = 0; i < (int)ARRAY_SIZE(tour); i++) {
		line = tour[i] + (*tour[i] == '+');
		TEST_ASSERT(sscanf(line, "%*u %31s", name) == 1, "tour: '%s'", line);
		if (line != tour[i] || stress_is_of_theme(stress_op_of(name), theme))
			TEST_ASSERT(parse_call(p, line), "tour: '%s'", line);
	}
}

void stress_print_program(const struct program *p)
{
	char *text = stress_program_text(p), *line, *next = text;

	while ((line = strsep(&next, "\n"))) {
		if (*line)
			ksft_print_msg("program: %s\n", line);
	}
	free(text);
}
