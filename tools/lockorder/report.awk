# SPDX-License-Identifier: GPL-2.0-only
#
# The rules of locking.rst against lockdep's records of a host.  Input, in this
# order: the table "locks", the lock classes of KVM's sources, the rules of
# rules.awk, and /proc/lockdep and /proc/lockdep_chains of one boot after the
# other.
#
# -v arch=ARCH -v host=HOST -v dot=FILE (the graph, for graphviz) -v title=TEXT
#
# A chain is the locks that a task held at one time, in the order of their taking.
# The last lock of a chain is one that the task may have had to wait for while it
# held the others: each of those is an order.  The others of a chain say nothing
# about each other: they may have been tried only, and have a chain of their own
# if they were not.  The locks that a context of the table, like MMU notifiers,
# takes are inside of it; those that the task held before are outside of it.
#
# Exit status: 1 if a rule is contradicted or an order undocumented.

BEGIN { FS = "\t" }

FNR == 1 { file++ }

file == 1 {
	if (/^#/ || !NF)
		next
	class = $1
	if (sub(/.*,/, "", class))
		outer_class[class] = substr($1, 1, length($1) - length(class) - 1)
	name_of[class] = $3
	if ($2 == "kvm")
		kvm[$3] = 1
	if ($2 == "context")
		context[$3] = is_context[$1] = 1
	next
}

file == 2 {
	if (!($0 in name_of)) {
		name_of[$0] = $0
		sub(/^&/, "", name_of[$0])
		kvm[name_of[$0]] = 1
	}
	next
}

file == 3 {
	if ($2 != "any" && $2 != arch)
		next
	if ($1 == "unread") {
		unread[++nunread] = sprintf("line %d: %s", $3, $6)
		next
	}
	if ($1 == "other" || $1 == "enter") {
		any_lock[$1, $1 == "other" ? $4 : $5] = 1
		next
	}
	nrule++
	kind[nrule] = $1
	line[nrule] = $3
	outer[nrule] = $4
	inner[nrule] = $5
	next
}

# "[key] name", or in /proc/lockdep "key OPS: ...: name".  Classes of one name
# are told apart by #N, uses of one class by /N.
function class_name(text)
{
	sub(/\/[0-9]+$/, "", text)
	sub(/#[0-9]+$/, "", text)
	return text
}

# Each boot has keys of its own.
FNR == 1 { boot = int(file / 2) ":" }

file % 2 == 0 {
	if (match($0, /^[0-9a-f]+ .*[^:]: /))
		class_of[boot substr($0, 1, index($0, " ") - 1)] = class_name(substr($0, RSTART + RLENGTH))
	next
}

/^\[/ {
	chain[++depth] = boot substr($0, 2, index($0, "]") - 2)
	next
}

depth && /^$/ {
	last = chain[depth]
	for (i = depth - 1; i && (i == depth - 1 || !(class_of[chain[i + 1]] in is_context)); i--) {
		if (!((chain[i], last) in edge)) {
			edge[chain[i], last] = 1
			inside[chain[i], ++ninside[chain[i]]] = last
		} else if (edge[chain[i], last] <= depth - i)
			continue
		edge[chain[i], last] = depth - i
		text = ""
		for (j = i; j <= depth; j++)
			text = text " " chain[j]
		example[chain[i], last] = text
	}
	depth = 0
}

# The name of a class in the report.
function label(key)
{
	return key in lock_of ? lock_of[key] : class_of[key]
}

function labels(keys,    n, i, part, text)
{
	n = split(keys, part, " ")
	for (i = 1; i <= n; i++)
		text = text (i > 1 ? " > " : "") label(part[i])
	return text
}

# Lockdep's files do not tell SRCU's readers, which wait for nobody, from
# synchronize_srcu(), which waits for them.  So if A is SRCU's, a lock inside A is
# not inside the locks outside of A; and readers inside of A are no contradiction
# to A inside of readers.  Lockdep itself reports the latter if synchronize_srcu()
# is inside of A.
function is_srcu(class)
{
	return class ~ /srcu/
}

# path A, B[, NAMED]: how B is taken inside A, directly or in steps (NAMED: only
# with locks between them that have a name here); "" if it is not.
function path(a, b, named,    queue, head, tail, from, key, next_key, i, text)
{
	split("", queue)
	split("", from)
	head = 1
	tail = 0
	for (i = 1; i <= nkeys[a]; i++) {
		queue[++tail] = keys[a, i]
		from[keys[a, i]] = ""
	}
	for (; head <= tail; head++) {
		key = queue[head]
		if (head > nkeys[a] && (is_srcu(class_of[key]) || named && !(key in lock_of && !(lock_of[key] in context))))
			continue
		for (i = 1; i <= ninside[key]; i++) {
			next_key = inside[key, i]
			if (next_key in from)
				continue
			from[next_key] = key
			if (next_key in lock_of && lock_of[next_key] == b) {
				for (text = label(next_key); key != ""; key = from[key])
					text = label(key) " > " text
				return text
			}
			queue[++tail] = next_key
		}
	}
	return ""
}

# Does the document say so, directly or in steps?
function is_documented(a, b)
{
	if (follows_from_rules(a, b))
		return 1
	return (("other", a) in any_lock || ("enter", b) in any_lock) && !follows_from_rules(b, a)
}

function follows_from_rules(a, b,    queue, head, tail, seen, i)
{
	split("", seen)
	queue[tail = 1] = a
	for (head = 1; head <= tail; head++)
		for (i = 1; i <= nrule && (head == 1 || !is_srcu(queue[head])); i++)
			if (kind[i] == "order" && outer[i] == queue[head] && !(inner[i] in seen)) {
				if (inner[i] == b)
					return 1
				seen[inner[i]] = 1
				queue[++tail] = inner[i]
			}
	return 0
}

function node(name)
{
	if (!(name in drawn))
		printf "\t\"%s\"%s;\n", name, name in kvm ? "" : " [style=rounded]" > dot
	drawn[name] = 1
}

function arrow(a, b, attributes)
{
	node(a)
	node(b)
	printf "\t\"%s\" -> \"%s\" [%s];\n", a, b, attributes > dot
}

function say(state, text, why)
{
	printf "  %-13s %s\n", state, text
	if (why != "")
		printf "  %-13s     %s\n", "", why
}

# Never seen: the lock, or the order?
function absent(a, b)
{
	if (!nkeys[a] && !nkeys[b])
		return "neither was taken"
	return nkeys[a] ? nkeys[b] ? "" : b " was not taken" : a " was not taken"
}

END {
	for (key in class_of) {
		class = class_of[key]
		if (!(class in name_of))
			continue
		if (class in outer_class) {
			found = 0
			for (other in class_of)
				found = found || class_of[other] == outer_class[class] && (other, key) in edge
			if (!found)
				continue
		}
		lock_of[key] = name_of[class]
		keys[name_of[class], ++nkeys[name_of[class]]] = key
	}

	# Between locks that have a name: which orders, and the shortest example.
	for (pair in edge) {
		split(pair, part, SUBSEP)
		if (!(part[1] in lock_of && part[2] in lock_of))
			continue
		a = lock_of[part[1]]
		b = lock_of[part[2]]
		if (a == b)
			continue
		if (!((a, b) in observed) || edge[pair] < observed[a, b]) {
			observed[a, b] = edge[pair]
			shown[a, b] = labels(example[pair])
		}
	}

	print "digraph lockorder {" > dot
	printf "\tlabel=\"%s\\ngreen: documented and seen (dashed: in steps), gray: documented and never seen, orange ?: seen and undocumented, red !: contradicted\";\n", title > dot
	print "\trankdir=LR; node [shape=box, fontname=monospace]; edge [fontname=monospace];" > dot

	printf "%s\n\nrules of locking.rst (A > B: A is taken outside B)\n", title
	for (i = 1; i <= nrule; i++) {
		a = outer[i]
		b = inner[i]
		if (kind[i] == "never") {
			text = sprintf("never %s > %s (line %d)", a, b, line[i])
			why = (a, b) in observed ? shown[a, b] : path(a, b)
			if (why != "") {
				say("CONTRADICTED", text, why)
				arrow(a, b, "color=red, fontcolor=red, penwidth=3, label=\"!\"")
				contradicted++
				wrong[a, b] = 1
			} else if (absent(a, b) != "") {
				say("never seen", text, absent(a, b))
				unseen++
			} else {
				say("kept", text)
				kept++
			}
			continue
		}
		text = sprintf("%s > %s (line %d)", a, b, line[i])
		why = is_srcu(a) ? "" : (b, a) in observed ? shown[b, a] : path(b, a)
		if (why != "") {
			say("CONTRADICTED", text, why)
			arrow(b, a, "color=red, fontcolor=red, penwidth=3, label=\"!\"")
			contradicted++
			wrong[b, a] = 1
		} else if ((a, b) in observed) {
			say("seen", text, shown[a, b])
			arrow(a, b, "color=darkgreen, penwidth=2")
			seen++
		} else if ((why = path(a, b, 1)) != "") {
			say("in steps", text, why)
			arrow(a, b, "color=darkgreen, style=dashed, penwidth=2")
			steps++
		} else {
			say("never seen", text, absent(a, b))
			arrow(a, b, "color=gray, style=dashed")
			unseen++
		}
	}

	for (pair in observed) {
		split(pair, part, SUBSEP)
		if ((part[1] in kvm || part[1] in context) && part[2] in kvm && !(pair in wrong) && !is_documented(part[1], part[2]))
			undocumented[pair] = 1
	}
	# An order that follows from listed ones needs no line.
	for (pair in undocumented) {
		split(pair, part, SUBSEP)
		follows = 0
		for (name in kvm)
			if (!is_srcu(name) && ((part[1], name) in undocumented || is_documented(part[1], name)) && \
			    ((name, part[2]) in undocumented || is_documented(name, part[2])))
				follows = 1
		if (!follows)
			list[++nlist] = part[1] " > " part[2] SUBSEP pair
	}
	for (i = 2; i <= nlist; i++)
		for (j = i; j > 1 && list[j] < list[j - 1]; j--) {
			text = list[j]
			list[j] = list[j - 1]
			list[j - 1] = text
		}
	print "\norders between locks of KVM that no rule documents"
	for (i = 1; i <= nlist; i++) {
		split(list[i], part, SUBSEP)
		say("UNDOCUMENTED", part[1], shown[part[2], part[3]])
		arrow(part[2], part[3], "color=orange, fontcolor=orange, penwidth=3, label=\"?\"")
	}
	if (!nlist)
		print "  none"
	print "}" > dot

	print "\nsentences about locks that the grammar does not read"
	for (i = 1; i <= nunread; i++)
		print "  " unread[i]
	if (!nunread)
		print "  none"

	printf "\nlockorder: %s: %d rules: %d seen, %d in steps, %d kept, %d never seen, %d contradicted; %d orders undocumented; %d sentences not read\n", \
		host, nrule, seen, steps, kept, unseen, contradicted, nlist, nunread
	exit contradicted || nlist ? 1 : 0
}
