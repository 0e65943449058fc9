// SPDX-License-Identifier: GPL-2.0-only
///
/// Find vCPUs, and VMs, that are looked up under a lock and used after it has been
/// dropped: whoever takes them out under the lock may have freed them by then.
///
//# False positives: something else keeps the vCPU alive, e.g. the caller has a
//# reference to the VM, and vCPUs live as long as their VM.  A look-up by
//# kvm_get_vcpu() in a VM that the function was given is no finding therefore.
//# Look-ups and uses in different functions are not found, nor are locks that are
//# taken by guard().
// Confidence: Moderate
// Options: --no-includes --include-headers
// Keywords: kvm_get_vcpu, spin_unlock, svm_vm_data_hash_lock

virtual org
virtual report

#include "finding.cocci"

@initialize:python@
@@
shown = set()

def escapes(mode, p, v, lookup, lock):
    # The caller has the VM, and so its vCPUs are there.
    if re.match(r"kvm_get_vcpu(_by_id)?\((\w+->)*kvm,", squeeze(lookup)):
        return
    key = (p[0].file, p[0].current_element, v)
    if squeeze(lookup) != "NULL" and key not in shown:
        shown.add(key)
        show("lookup_escapes", mode, p, v, "used after %s is dropped, under which it was looked up" % squeeze(lock))

@escape exists@
local idexpression {struct kvm_vcpu *, struct kvm *} v;
expression L, E, F;
identifier lock = {mutex_lock, mutex_lock_nested, mutex_lock_killable,
		   mutex_lock_interruptible, mutex_trylock, spin_lock, spin_lock_irq, spin_lock_irqsave,
		   raw_spin_lock, raw_spin_lock_irq, raw_spin_lock_irqsave, read_lock};
identifier unlock = {mutex_unlock, spin_unlock, spin_unlock_irq, spin_unlock_irqrestore,
		     raw_spin_unlock, raw_spin_unlock_irq, raw_spin_unlock_irqrestore, read_unlock};
identifier g, m;
position p;
@@
v = E
... when != lock(&L, ...)
    when != v = F
    when != kvm_get_kvm(v)
    when != kvm_get_kvm_safe(v)
    when any
unlock(&L, ...)
... when != v = F
    when != lock(&L, ...)
    when any
(
g(..., v@p, ...)
|
v@p->m
)

@script:python depends on report@
p << escape.p;
v << escape.v;
e << escape.E;
l << escape.L;
@@
escapes("report", p, v, e, l)

@script:python depends on org@
p << escape.p;
v << escape.v;
e << escape.E;
l << escape.L;
@@
escapes("org", p, v, e, l)
