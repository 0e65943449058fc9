// SPDX-License-Identifier: GPL-2.0-only
///
/// What kvm_arch_vcpu_create() registers, counts or puts into a table of its VM has
/// to be taken back if the creation fails later on, e.g. for lack of a file
/// descriptor, and kvm_arch_vcpu_destroy() is all that is called then.  Find what is
/// done on the way of the former and not undone on the way of the latter.
///
//# Each is known by the name of the function, member or table, and undone by any
//# code with its counterpart, whatever the object and the condition.  What a vCPU
//# does again later on, e.g. its reset, is left out.
//#
//# False positives: what belongs to the vCPU and is freed with it; what is shared by
//# the VM's vCPUs, and is fine to keep.
// Confidence: Low
// Options: --no-includes --include-headers
// Keywords: kvm_arch_vcpu_create, kvm_arch_vcpu_destroy, kvm_io_bus_register_dev

virtual org
virtual report

#include "finding.cocci"
#include "callgraph.cocci"

@initialize:python@
@@
done = {}                               # (function, what) -> where
undone = collections.defaultdict(set)   # function -> what

# What a vCPU consists of, and statistics.
OWN = re.compile(r"(svm|vmx|apic|mmu|(scontext|csr)->.*|(\w+->)?stat(\..*)?|(vcpu\w*|svm|vmx|tdx)((->|\.).*)?)$")

# Not followed: what a vCPU does later in its life, too; its own MMU; the memslots;
# error paths that free; and what is known by the name of the function itself.
LATER = GUEST | {"kvm_vcpu_reset", "kvm_riscv_reset_vcpu", "kvm_vcpu_after_set_cpuid",
                 "vcpu_load", "vcpu_put", "kvm_make_request", "kvm_init_mmu", "kvm_mmu_create",
                 "kvm_mmu_destroy", "__x86_set_memory_region", "sev_free_vcpu",
                 "kvm_io_bus_register_dev", "kvm_io_bus_unregister_dev",
                 "kvm_set_apicv_inhibit", "kvm_clear_apicv_inhibit"}

def do(p, what):
    done.setdefault((graph.function(p), what), p)

def undo(p, what):
    undone[graph.function(p)].add(what)

def early_registration(mode):
    way = graph.reach(graph.roots(["kvm_arch_vcpu_create"]), LATER)
    back = graph.reach(graph.roots(["kvm_arch_vcpu_destroy"]), LATER)
    taken_back = {what for node in back for what in undone.get(node, ())}
    for (node, what), p in done.items():
        if node in way and what not in taken_back:
            show("early_registration", mode, p, what, "not undone by kvm_arch_vcpu_destroy(): " + through(way[node]))

// Counters.
@up@
expression E;
identifier m;
position p;
@@
(
 E->m@p++
|
 E.m@p++
|
 ++E->m@p
|
 ++E.m@p
)

@script:python@
e << up.E;
m << up.m;
p << up.p;
@@
if not OWN.match(squeeze(e)):
    do(p, m + "++")

@down@
expression E;
identifier m;
position p;
@@
(
  E->m@p--
|
  E.m@p--
|
  --E->m@p
|
  --E.m@p
)

@script:python@
m << down.m;
p << down.p;
@@
undo(p, m + "++")

// Tables: an entry is undone by clearing one.
@entry@
expression T, I, V;
position p;
@@
(
WRITE_ONCE(T[I]@p, V)
|
T[I]@p = V
)

@script:python@
t << entry.T;
v << entry.V;
p << entry.p;
@@
if v in ("0", "NULL", "false"):
    undo(p, last_name(t) + "[]")
elif not OWN.match(squeeze(t)):
    do(p, last_name(t) + "[]")

// Bits, lists, arrays, and pairs of functions.
@pair@
identifier f =~ "^(__)?set_bit$|^h?list_add|^hash_add|^xa_(store|insert|alloc)|^(atomic|static_branch)_inc|^(__)?clear_bit$|^test_and_clear_bit$|^h?list_del|^hash_del|^xa_erase$|^atomic_dec|^static_branch_.*dec|(^|_)(un)?register_|^kvm_(set|clear)_apicv_inhibit$";
expression list es;
position p;
@@
f@p(es)

@script:python@
f << pair.f;
es << pair.es;
p << pair.p;
@@
args = [re.sub(r"\.key$", "", squeeze(str(a))) for a in es]
if re.search(r"set_bit$|clear_bit$", f):
    what, own = last_name(args[-1]), args[-1]
elif re.match(r"h?list_|hash_|xa_|atomic_|static_branch_", f):
    what, own = last_name(args[0]), args[0]
else:
    what, own = re.sub("unregister", "register", re.sub("clear_apicv", "set_apicv", f)), ""
if re.search(r"clear_bit$|_del|erase|dec|unregister|clear_apicv", f):
    undo(p, what)
elif not OWN.match(own.lstrip("&")) and not re.match("kvm_(assert_)?register_", f):
    do(p, what)

@finalize:python depends on report@
@@
early_registration("report")

@finalize:python depends on org@
@@
early_registration("org")
