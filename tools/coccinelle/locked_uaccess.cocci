// SPDX-License-Identifier: GPL-2.0-only
///
/// Find userspace memory that is accessed, in one function or in a function that it
/// calls, while a lock is held that others of the VM must not wait for: a fault takes
/// as long as userspace likes.
///
//# Which locks these are is a list of names: arm64's config_lock.  Guest memory is
//# memory of userspace as well.
//#
//# False positives: a way that isn't taken while the lock is held, and a function that
//# drops the lock meanwhile.  A lock that a function leaves held for its caller isn't
//# seen, and guard() is taken to hold until the function ends.
// Confidence: Moderate
// Options: --no-includes --include-headers
// Keywords: config_lock, get_user, put_user, copy_from_user, copy_to_user

virtual org
virtual report

#include "finding.cocci"
#include "callgraph.cocci"

@initialize:python@
@@
UACCESS_LOCKS = {"config_lock"}
UACCESS = re.compile(r"_*(get|put|clear)_user|_*copy_(struct_)?(from|to)_user|"
                     r"v?memdup_(array_)?user(_nul)?|str\w+_user|unsafe_\w+_user|"
                     r"(get|pin)_user_pages(_\w+)?|"
                     r"kvm_(vcpu_)?(read|write|clear)_guest(_\w+)?")

inside_locked = {}  # (function, name): what is called with a lock held
uaccesses = {}      # function -> its accesses of userspace memory

def enter_locked(p, lock, name):
    if last_name(lock) in UACCESS_LOCKS:
        node = graph.function(p)
        for called in {name, "->" + name} & set(graph.calls[node]):
            inside_locked.setdefault((node, called), (last_name(lock), p))

def locked_uaccess(mode):
    accessors = {name for name in graph.named if UACCESS.fullmatch(name)}
    shown = set()
    for (holder, name), (lock, p) in inside_locked.items():
        if UACCESS.fullmatch(name):
            show_uaccess(mode, shown, p, name, lock, (holder[1],))
            continue
        starts = sorted(graph.targets(holder, name))
        for node, way in graph.reach(starts, accessors).items():
            for access, q in uaccesses.get(node, ()):
                show_uaccess(mode, shown, q, access, lock, (holder[1],) + way)

def show_uaccess(mode, shown, p, name, lock, way):
    key = (p[0].file, p[0].line, name)
    if key not in shown:
        shown.add(key)
        show("locked_uaccess", mode, p, name, "with %s held: %s" % (lock, through(way)))

@uaccess@
identifier f =~ "user|_guest";
position p;
@@
f@p(...)

@script:python@
f << uaccess.f;
p << uaccess.p;
@@
if UACCESS.fullmatch(f):
    uaccesses.setdefault(graph.function(p), []).append((f, p))

@uaccess_locked exists@
expression L, E;
identifier lock = {mutex_lock, mutex_lock_nested, mutex_lock_interruptible, mutex_lock_killable};
identifier f;
position p;
@@
lock(&L, ...)
... when != mutex_unlock(&L)
    when any
(
f@p(...)
|
E->f@p(...)
|
E.f@p(...)
)

@script:python@
l << uaccess_locked.L;
f << uaccess_locked.f;
p << uaccess_locked.p;
@@
enter_locked(p, l, f)

@uaccess_guarded exists@
expression L, E;
identifier f;
position p;
@@
guard(mutex)(&L)
... when any
(
f@p(...)
|
E->f@p(...)
|
E.f@p(...)
)

@script:python@
l << uaccess_guarded.L;
f << uaccess_guarded.f;
p << uaccess_guarded.p;
@@
enter_locked(p, l, f)

@uaccess_scoped exists@
expression L, E;
iterator name scoped_guard;
identifier f;
position p;
@@
scoped_guard(mutex, &L) {
	... when any
(
	f@p(...)
|
	E->f@p(...)
|
	E.f@p(...)
)
	... when any
}

@script:python@
l << uaccess_scoped.L;
f << uaccess_scoped.f;
p << uaccess_scoped.p;
@@
enter_locked(p, l, f)

@uaccess_scoped_one exists@
expression L, E;
iterator name scoped_guard;
identifier f;
position p;
@@
(
scoped_guard(mutex, &L)
	E = <+... f@p(...) ...+>;
|
scoped_guard(mutex, &L)
	return <+... f@p(...) ...+>;
|
scoped_guard(mutex, &L)
	f@p(...);
)

@script:python@
l << uaccess_scoped_one.L;
f << uaccess_scoped_one.f;
p << uaccess_scoped_one.p;
@@
enter_locked(p, l, f)

@finalize:python depends on report@
@@
locked_uaccess("report")

@finalize:python depends on org@
@@
locked_uaccess("org")
