// SPDX-License-Identifier: GPL-2.0-only
///
/// Find code that locks all vCPUs of a VM, which fails with -EBUSY if any of them
/// is in an ioctl, or waits for that, before it looks at the state of the VM or the
/// device that decides whether there is anything to do.
///
//# Which state decides is a list of names.  It is looked for in the function that
//# locks the vCPUs, and in those that it calls.
//#
//# False positives: the state changes unless all vCPUs are locked, e.g. an
//# in-kernel irqchip must not appear while a vCPU runs.
// Confidence: Moderate
// Options: --no-includes --include-headers
// Keywords: kvm_trylock_all_vcpus, kvm_lock_all_vcpus, lock_all_vcpus

virtual org
virtual report

#include "finding.cocci"
#include "callgraph.cocci"

@initialize:python@
@@
CHECKS = {"vgic_initialized", "vgic_ready", "irqchip_in_kernel", "kvm_riscv_aia_initialized",
          "IS_VGIC_ADDR_UNDEF"}

early = set()  # (function, check): made before the vCPUs are locked
late = {}      # (function, name): what is called, or looked at, while they are locked
checks = {}    # function -> what it looks at in order to return

def trylock_all(mode):
    for (function, name), p in late.items():
        inside = {name} if name in CHECKS else set()
        for target in graph.targets(function, name):
            inside |= checks.get(target, set())
        for check in sorted(inside):
            if (function, check) not in early:
                where = "" if check == name else " by %s()" % name
                show("trylock_all", mode, p, check, "looked at%s after all vCPUs are locked" % where)

@before exists@
identifier lock_all = {kvm_trylock_all_vcpus, kvm_lock_all_vcpus, lock_all_vcpus};
identifier f;
position p;
@@
f@p(...)
... when any
lock_all(...)

@script:python@
f << before.f;
p << before.p;
@@
early.add((graph.function(p), f))

@locked exists@
identifier lock_all = {kvm_trylock_all_vcpus, kvm_lock_all_vcpus, lock_all_vcpus};
identifier unlock_all = {kvm_unlock_all_vcpus, unlock_all_vcpus};
identifier f;
position p;
@@
lock_all(...)
... when != unlock_all(...)
    when any
f@p(...)

@script:python@
f << locked.f;
p << locked.p;
@@
late.setdefault((graph.function(p), f), p)

@check@
identifier f = {vgic_initialized, vgic_ready, irqchip_in_kernel, kvm_riscv_aia_initialized,
		IS_VGIC_ADDR_UNDEF};
expression E;
position p;
@@
if (<+... f@p(...) ...+>)
(
return E;
|
{ ... return E; }
)

@script:python@
f << check.f;
p << check.p;
@@
checks.setdefault(graph.function(p), set()).add(f)

@finalize:python depends on report@
@@
trylock_all("report")

@finalize:python depends on org@
@@
trylock_all("org")
