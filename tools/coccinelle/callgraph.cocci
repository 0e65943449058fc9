// SPDX-License-Identifier: GPL-2.0-only
///
/// Which function calls which, in all files of one run.  No rule by itself:
/// the rules that follow calls include it.
///
//# A call through a pointer is followed to each function that an initializer
//# gives a member of that name, and kvm_x86_call(op) to the vendors' op.  What
//# is passed as an argument, put into a member by an assignment, or made by a
//# macro that pastes names is not followed.

@initialize:python@
@@
import collections

# What runs instructions of the guest: never for a vCPU that is built or freed.
GUEST = {"kvm_emulate_instruction", "kvm_skip_emulated_instruction"}

class Graph:
    def __init__(self):
        self.calls = collections.defaultdict(dict)   # function -> {name: line}
        self.members = collections.defaultdict(set)  # member -> names of functions
        self.named = collections.defaultdict(set)    # name -> functions

    def function(self, p):
        node = (p[0].file, p[0].current_element)
        self.named[node[1]].add(node)
        return node

    def call(self, p, name):
        self.calls[self.function(p)].setdefault(name, int(p[0].line))

    def targets(self, node, name):
        """The functions that are meant by a name: that of the same file first."""
        if name.startswith("->"):
            names = self.members[name[2:]]
        else:
            names = {name}
        found = set()
        for one in names:
            nodes = self.named.get(one, set())
            found |= {n for n in nodes if n[0] == node[0]} or nodes
        return found

    def callees(self, node):
        for name in list(self.calls.get(node, ())):
            for target in sorted(self.targets(node, name)):
                yield target

    def roots(self, names):
        return sorted(n for name in names for n in self.named.get(name, ()))

    def reach(self, starts, stop=()):
        """Each function that is reached, and the shortest way to it."""
        way = {n: (n[1],) for n in starts}
        queue = collections.deque(starts)
        while queue:
            node = queue.popleft()
            for target in self.callees(node):
                if target not in way and target[1] not in stop:
                    way[target] = way[node] + (target[1],)
                    queue.append(target)
        return way

def through(way):
    """How a function is reached, for people."""
    return " -> ".join(name + "()" for name in way)

graph = Graph()

@call@
identifier f;
position p;
@@
f@p(...)

@script:python@
f << call.f;
p << call.p;
@@
graph.call(p, f)

@member_call@
expression E;
identifier f;
position p;
@@
(
E->f@p(...)
|
E.f@p(...)
)

@script:python@
f << member_call.f;
p << member_call.p;
@@
graph.call(p, "->" + f)

@x86_call@
identifier op;
identifier m = {kvm_x86_call, kvm_pmu_call, kvm_nested_call};
position p;
@@
m(op)@p(...)

@script:python@
op << x86_call.op;
p << x86_call.p;
@@
graph.call(p, "->" + op)

@member@
identifier t, s, op, f;
@@
struct t s = { ..., .op = f, ... };

@script:python@
op << member.op;
f << member.f;
@@
graph.members[op].add(f)

// vmx/main.c: vt_op(op) is vt_op with TDX, and vmx_op without it.
@vt_member@
identifier t, s, op, m, f;
@@
struct t s = { ..., .op = m(f), ... };

@script:python@
op << vt_member.op;
f << vt_member.f;
@@
graph.members[op] |= {"vt_" + f, "vmx_" + f}
