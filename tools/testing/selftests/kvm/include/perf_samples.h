/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Measures of a test: each is a subtest, and a line of JSON in front of it, with
 * the number of samples n, and of these the smallest, the median, the 99th
 * percentile and the largest, in nanoseconds of CLOCK_MONOTONIC_RAW.  Where that
 * clock counts instructions (QEMU's -icount), so do they.
 */
#ifndef SELFTEST_KVM_PERF_SAMPLES_H
#define SELFTEST_KVM_PERF_SAMPLES_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kselftest.h"
#include "test_util.h"

struct samples {
	u64 *ns;
	unsigned int n;
	unsigned int max;
};

static inline u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return timespec_to_ns(ts);
}

static inline void add_sample(struct samples *s, u64 ns)
{
	if (s->n == s->max) {
		s->max = s->max ? 2 * s->max : 64;
		s->ns = realloc(s->ns, s->max * sizeof(*s->ns));
		TEST_ASSERT(s->ns, "no memory for samples");
	}
	s->ns[s->n++] = ns;
}

static inline int compare_samples(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* The smallest sample that is not below @percent of them. */
static inline u64 percentile(struct samples *s, unsigned int percent)
{
	unsigned int rank = (s->n * percent + 99) / 100;

	return s->ns[rank ? rank - 1 : 0];
}

static inline void print_member(const char *key, u64 value)
{
	printf(", \"%s\": %llu", key, (unsigned long long)value);
}

static inline void __printf(2, 3) report(struct samples *s, const char *fmt, ...)
{
	char name[80];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);

	qsort(s->ns, s->n, sizeof(*s->ns), compare_samples);
	ksft_print_msg("{\"measure\": \"%s\", \"unit\": \"ns\", \"n\": %u", name, s->n);
	print_member("min", s->ns[0]);
	print_member("p50", percentile(s, 50));
	print_member("p99", percentile(s, 99));
	print_member("max", s->ns[s->n - 1]);
	printf("}\n");
	ksft_test_result_pass("%s\n", name);
}

/* The argument of an option: a number from 1 to @max, or the test ends. */
static inline unsigned int parse_number(const char *text, char option, unsigned int max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || end == text || !n || n > max)
		ksft_exit_fail_msg("-%c %s: give a number from 1 to %u\n", option, text, max);
	return n;
}

#endif /* SELFTEST_KVM_PERF_SAMPLES_H */
