// SPDX-License-Identifier: GPL-2.0-only
///
/// Find KVM's mutexes that are taken against the order that
/// Documentation/virt/kvm/locking.rst documents, or while they are held already:
/// in one function, or in a function that is called with the other lock held.
///
//# False positives: the same lock of two VMs; a lock that a function on the way
//# drops and takes again; and a way that isn't taken while the lock is held.
//# Trylocks are no findings, but locks that are taken while holding one that was
//# tried are.  A lock that a function leaves held for its caller is seen for the
//# all-vCPU locks alone, and guard() is taken to hold until the function ends.
// Confidence: Moderate
// Options: --no-includes --include-headers
// Keywords: mutex_lock, kvm->lock, vcpu->mutex, slots_lock, config_lock

virtual org
virtual report

#include "finding.cocci"
#include "callgraph.cocci"

@initialize:python@
@@
# What locking.rst says: each is taken outside those to the right of it.
ORDER = """
kvm_usage_lock		cpus_read_lock
cpus_read_lock		kvm_lock
vcpu_creation_lock	kvm->lock
kvm_lock		slots_lock
kvm->lock		vcpu->mutex slots_lock irq_lock config_lock
vcpu->mutex		slots_lock slots_arch_lock hv_lock xen_lock config_lock
slots_lock		irq_lock config_lock
resampler_lock		irq_lock
config_lock		irq_lock cmd_lock
cmd_lock		its_lock
"""

# Which lock an expression means.  Others have a mutex named "lock", too.
NAMES = (
    (r"(.*(->|\.))?(\w+_)?kvm(->|\.)lock", "kvm->lock"),
    (r"(.*(->|\.))?\w*vcpu(->|\.)mutex", "vcpu->mutex"),
    (r"(kvm_usage_lock|kvm_lock)", None),
    (r".*(->|\.)(slots_lock|slots_arch_lock|irq_lock|config_lock|resampler_lock|"
     r"hv_lock|xen_lock|cmd_lock|its_lock|vcpu_creation_lock)", None),
)

def lock_of(expression):
    expression = squeeze(expression)
    for pattern, name in NAMES:
        if re.fullmatch(pattern, expression):
            return name or last_name(expression)

outside = collections.defaultdict(set)  # lock -> locks that it is taken outside of
for line in ORDER.split("\n"):
    for inner in line.split()[1:]:
        outside[line.split()[0]].add(inner)
while True:
    more = {(a, c) for a in list(outside) for b in outside[a]
            for c in outside.get(b, ()) if c not in outside[a]}
    if not more:
        break
    for a, c in more:
        outside[a].add(c)

taken = {}        # function -> {lock: where}
held = {}         # (function, lock) -> {where something is called: its name}

def at(p):
    return (p[0].file, p[0].line, p[0].column)

def take(p, lock):
    if lock:
        taken.setdefault(graph.function(p), {}).setdefault(lock, []).append(p)

def hold(p, lock, name):
    if lock:
        held.setdefault((graph.function(p), lock), {})[at(p)] = (name, p)

def lock_order(mode):
    shown = set()
    for (holder, lock), calls in held.items():
        wrong = {other for other in taken_anywhere if lock in outside[other] or
                 (lock == other and lock != "vcpu->mutex")}
        direct = [(one, p) for one in wrong for p in taken.get(holder, {}).get(one, ())
                  if at(p) in calls]
        for one, p in direct:
            report_once(mode, shown, p, one, lock, holder, (holder[1],))
        starts = {t for name, p in calls.values() for t in graph.targets(holder, name)}
        for node, way in graph.reach(sorted(starts)).items():
            for one in wrong:
                for p in taken.get(node, {}).get(one, ())[:1]:
                    report_once(mode, shown, p, one, lock, holder, (holder[1],) + way)

def report_once(mode, shown, p, one, lock, holder, way):
    what = "%s/%s@%s" % (one, lock, holder[1])
    key = (p[0].file, p[0].current_element, what)
    if key not in shown:
        shown.add(key)
        show("lock_order", mode, p, what, "%s taken with %s held: %s" % (one, lock, through(way)))

@acquire@
expression L;
identifier f = {mutex_lock, mutex_lock_nested, mutex_lock_killable, mutex_lock_interruptible,
		mutex_lock_killable_nested, mutex_lock_nest_lock, mutex_lock_killable_nest_lock,
		down_read, down_write, down_read_killable, down_write_killable,
		down_write_killable_nested};
position p;
@@
f@p(&L, ...)

@script:python@
l << acquire.L;
p << acquire.p;
@@
take(p, lock_of(l))

@guarded@
expression L;
identifier m = {mutex, rwsem_read, rwsem_write};
position p;
@@
guard(m)@p(&L)

@script:python@
l << guarded.L;
p << guarded.p;
@@
take(p, lock_of(l))

@scoped@
expression L;
statement S;
iterator name scoped_guard;
identifier m = {mutex, rwsem_read, rwsem_write};
position p;
@@
scoped_guard(m@p, &L) S

@script:python@
l << scoped.L;
p << scoped.p;
@@
take(p, lock_of(l))

// KVM's functions that return with kvm->lock held.
@acquire_all@
expression K;
identifier f = {kvm_lock_stable_vcpus, kvm_lock_created_vcpus};
position p;
@@
f@p(K)

@script:python@
p << acquire_all.p;
@@
take(p, "kvm->lock")

@hotplug@
position p;
@@
cpus_read_lock@p()

@script:python@
p << hotplug.p;
@@
take(p, "cpus_read_lock")

// What is called between a lock and its unlock, on any way through the function.
@between exists@
expression L;
identifier lock = {mutex_lock, mutex_lock_nested, mutex_lock_killable, mutex_lock_interruptible,
		   mutex_lock_killable_nested, mutex_lock_nest_lock, mutex_lock_killable_nest_lock,
		   mutex_trylock, mutex_trylock_nest_lock, down_read, down_write,
		   down_read_killable, down_write_killable, down_write_killable_nested};
identifier unlock = {mutex_unlock, up_read, up_write};
identifier f;
position p;
@@
lock(&L, ...)
... when != unlock(&L)
    when any
f@p(...)

@script:python@
l << between.L;
f << between.f;
p << between.p;
@@
hold(p, lock_of(l), f)

@between_all exists@
expression K;
identifier take = {kvm_lock_stable_vcpus, kvm_lock_created_vcpus};
identifier f;
position p;
@@
take(K)
... when != kvm_unlock_stable_vcpus(K)
    when != mutex_unlock(&K->lock)
    when any
f@p(...)

@script:python@
f << between_all.f;
p << between_all.p;
@@
hold(p, "kvm->lock", f)

@finalize:python depends on report@
@@
taken_anywhere = {lock for locks in taken.values() for lock in locks}
lock_order("report")

@finalize:python depends on org@
@@
taken_anywhere = {lock for locks in taken.values() for lock in locks}
lock_order("org")
