// SPDX-License-Identifier: GPL-2.0-only
///
/// A vCPU's index is set when the vCPU becomes part of its VM, after
/// kvm_arch_vcpu_create() has built it.  Until then, and in
/// kvm_arch_vcpu_destroy() if the creation has failed, it is -1, or, in older
/// kernels, that of another vCPU.  Find code that reads the index and is reached
/// from these two functions.
///
//# False positives: code that is called for another vCPU, which is online; that
//# looks for -1 first; or that is reached only by a way that isn't taken while
//# the vCPU has no index.  Calls are followed whatever their arguments are.
// Confidence: Moderate
// Options: --no-includes --include-headers
// Keywords: vcpu_idx, kvm_arch_vcpu_create, kvm_arch_vcpu_destroy

virtual org
virtual report

#include "finding.cocci"
#include "callgraph.cocci"

@initialize:python@
@@
reads = {}

def vcpu_idx(mode):
    for root in ("kvm_arch_vcpu_create", "kvm_arch_vcpu_destroy"):
        way = graph.reach(graph.roots([root]), GUEST)
        for (node, read), p in reads.items():
            if node in way:
                show("vcpu_idx", mode, p, read + "<-" + root, "read before it is set: " + through(way[node]))

// Setting the index isn't reading it, and looking whether there is one is right.
@fine@
expression V, E;
position p;
@@
(
V->vcpu_idx@p = E
|
V.vcpu_idx@p = E
|
V->vcpu_idx@p < 0
|
V->vcpu_idx@p >= 0
|
V->vcpu_idx@p == -1
)

@read@
expression V;
position p != fine.p;
@@
(
V->vcpu_idx@p
|
V.vcpu_idx@p
)

@script:python@
p << read.p;
@@
reads.setdefault((graph.function(p), "vcpu_idx"), p)

@finalize:python depends on report@
@@
vcpu_idx("report")

@finalize:python depends on org@
@@
vcpu_idx("org")
