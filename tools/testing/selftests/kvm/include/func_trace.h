/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's function tracer, in a tracing instance and a mount namespace of
 * the test's own, for one thread that stays on one CPU.
 *
 * The records are read in binary, and the addresses named here: having the kernel
 * print them takes longer than all the rest.
 */
#ifndef SELFTEST_KVM_FUNC_TRACE_H
#define SELFTEST_KVM_FUNC_TRACE_H

#include <stdbool.h>

#include "kvm_lifecycle.h"

#define TRACE_DIR		"/sys/kernel/tracing"

/* Of struct trace_entry. */
#define TRACE_IN_INTERRUPT	(0x08 | 0x10)

struct func_trace {
	char instance[64];
	int on_fd;
	int raw_fd;
};

/* A file of a tracing instance, and the text to write to it. */
struct trace_setting {
	const char *file;
	const char *value;
};

/* Takes an event, i.e. its struct trace_entry and the fields behind it. */
typedef void (*trace_event_fn)(void *arg, const u8 *data);

struct kernel_symbol {
	u64 addr;
	char *name;
	char *module;		/* NULL: the kernel's own */
};

/* All of the kernel's functions, by their addresses. */
extern struct kernel_symbol *kernel_symbols;
extern int nr_kernel_symbols;

const char *load_kernel_symbols(void);
int symbol_of_address(u64 ip);
const char *name_of_address(u64 ip, u64 *offset);
int trace_write(struct func_trace *t, const char *file, const char *value);
void func_trace_end(struct func_trace *t);
bool trace_read_format(const char *event, int *id, int nr, const char * const *fields,
		       int *offsets);
const char *mount_tracefs(void);
const char *func_trace_begin(struct func_trace *t, const char *name, int cpu,
			     const struct trace_setting *settings, int nr);
void func_trace_switch(struct func_trace *t, bool on);
void func_trace_read(struct func_trace *t, trace_event_fn add, void *arg);

#endif /* SELFTEST_KVM_FUNC_TRACE_H */
