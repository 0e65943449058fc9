# SPDX-License-Identifier: GPL-2.0-only
#
# The rules of Documentation/virt/kvm/locking.rst.  Input: the table "locks", the
# lock classes of KVM's sources, and that document.  Output, separated by tabs:
#   order	ARCH	LINE	OUTER	INNER	SENTENCE	OUTER is taken outside INNER
#   never	ARCH	LINE	OUTER	INNER	SENTENCE	INNER isn't taken inside OUTER
#   other	ARCH	LINE	SRCU	*	SENTENCE	any lock is taken inside its readers
#   enter	ARCH	LINE	*	INNER	SENTENCE	any lock is taken outside INNER
#   unread	ARCH	LINE	-	-	SENTENCE	about locks, and not in the grammar
#   unknown	ARCH	LINE	NAME	-	SENTENCE	a lock that neither input has
# ARCH is "any", or that of the last "On ...:".  lock-order.rst describes the
# grammar.
#
# A sentence is matched with its locks replaced by <number>, so that a list of
# locks is a regular expression.

BEGIN {
	L = "<[0-9]+>((, and |, or |, | and | or )<[0-9]+>)*"
}

FNR == 1 { file++ }

function lock(name, first)
{
	number[name] = ++nname
	name_of[nname] = name
	lock_of[nname] = first
}

file == 1 {
	if (/^#/ || !NF)
		next
	n = split($0, field, "\t")
	for (i = 3; i <= n; i++)
		lock(field[i], field[3])
	sub(/.*,/, "", field[1])
	table[field[1]] = 1
	next
}

file == 2 {
	if ($0 in table)
		next
	sub(/^&/, "")
	lock($0, $0)
	next
}

FNR == 1 {
	# The longest name first: "a task's pi_lock" has "pi_lock" in it.
	for (i = 1; i <= nname; i++)
		sorted[i] = name_of[i]
	for (i = 2; i <= nname; i++)
		for (j = i; j > 1 && length(sorted[j]) > length(sorted[j - 1]); j--) {
			swap = sorted[j]
			sorted[j] = sorted[j - 1]
			sorted[j - 1] = swap
		}
	arch = "any"
}

function emit(kind, outer, inner, sentence)
{
	if (outer == inner || (kind, arch, outer, inner) in done)
		return
	# "A is taken outside B" says already that B must not be taken outside A.
	if (kind == "never" && (("order", arch, inner, outer) in done || ("order", "any", inner, outer) in done))
		return
	done[kind, arch, outer, inner] = 1
	print kind "\t" arch "\t" first_line "\t" outer "\t" inner "\t" sentence
}

# locks_in TEXT, list: the locks of a list.
function locks_in(text, list,    n)
{
	for (n = 0; match(text, /<[0-9]+>/); text = substr(text, RSTART + RLENGTH))
		list[++n] = lock_of[substr(text, RSTART + 1, RLENGTH - 2)]
	return n
}

# pairs KIND, OUTER, INNER: each lock of one list with each one of the other.
function pairs(kind, outer, inner, sentence,    o, i, no, ni, olist, ilist)
{
	no = locks_in(outer, olist)
	ni = locks_in(inner, ilist)
	for (o = 1; o <= no; o++)
		for (i = 1; i <= ni; i++)
			emit(kind, olist[o], ilist[i], sentence)
	last_outer = outer
	last_inner = inner
	ordered = 1
}

# every KIND, SRCU: a rule about any lock.
function every(kind, srcu, sentence,    i, n, list)
{
	n = locks_in(srcu, list)
	for (i = 1; i <= n; i++)
		emit(kind, kind == "other" ? list[i] : "*", kind == "other" ? "*" : list[i], sentence)
	ordered = 1
}

# The list that a text ends with.
function list_before(text)
{
	return match(text, L "$") ? substr(text, RSTART) : ""
}

# In a sentence, names as numbers; an article or a symbol's "&" says nothing.
function tokens(text,    i, name, out, before, after, at)
{
	for (i = 1; i <= nname; i++) {
		name = sorted[i]
		out = ""
		while (at = index(text, name)) {
			before = at > 1 ? substr(text, at - 1, 1) : " "
			after = substr(text, at + length(name), 2)
			if (before ~ /[A-Za-z0-9_>.]/ || after ~ /^[A-Za-z0-9_]/ || after ~ /^(\.|-)[A-Za-z0-9_>]/)
				out = out substr(text, 1, at + length(name) - 1)
			else
				out = out substr(text, 1, at - 1) "<" number[name] ">"
			text = substr(text, at + length(name))
		}
		text = out text
	}
	gsub(/ \([A-Za-z ]* only\)/, "", text)
	gsub(/&</, "<", text)
	text = " " text
	while (gsub(/ (the|a|an|either|both) </, " <", text))
		;
	# ", and A is taken ..." begins anew: A is not one more lock of a list.
	while (match(text, /, and <[0-9]+> is taken /))
		text = substr(text, 1, RSTART - 1) "; " substr(text, RSTART + 6)
	return substr(text, 2)
}

# A name that looks like a lock's and is not in the table.
function unknown_lock(text,    word)
{
	while (match(text, /[A-Za-z_][A-Za-z0-9_.]*(->[A-Za-z0-9_.]+)*[A-Za-z0-9_(]/)) {
		word = substr(text, RSTART, RLENGTH)
		text = substr(text, RSTART + RLENGTH)
		sub(/\.$/, "", word)
		if (word ~ /(_lock|->lock|mutex|srcu)$/ && word ~ /->|_/)
			return word
	}
	return ""
}

function read_sentence(sentence,    t, s, before, rest, after, inner, subject, srcu, word)
{
	t = tokens(sentence)
	ordered = missed = 0
	subject = ""

	# A is taken outside B[, and outside C][, which is taken outside D]
	s = t
	while (match(s, "(taken |and )outside (of )?(the [^<,]*, i\\.e\\. )?" L)) {
		before = substr(s, 1, RSTART - 1)
		rest = substr(s, RSTART, RLENGTH)
		after = substr(s, RSTART + RLENGTH)
		if (rest ~ /^taken/) {
			subject = ""
			if (sub(/,? which (is|are) $/, "", before)) {
				if (match(before, /<[0-9]+>$/))
					subject = substr(before, RSTART)
			} else if (sub(/ (is|are) $/, "", before))
				subject = list_before(before)
		}
		match(rest, L "$")
		inner = substr(rest, RSTART)
		if (subject != "")
			pairs("order", subject, inner, sentence)
		else
			missed = 1
		s = inner after
	}

	# A and B are taken inside C;  ... are taken inside C, in this order:
	if (match(t, "(" L " )?(is|are) taken inside <[0-9]+>")) {
		rest = substr(t, RSTART, RLENGTH)
		match(rest, /<[0-9]+>$/)
		s = substr(rest, RSTART)
		if (match(rest, "^" L))
			pairs("order", s, substr(rest, RSTART, RLENGTH), sentence)
		else if (t ~ /, in this order:$/) {
			last_outer = s
			ordered = 1
		}
	}

	# A trylock does not wait for the lock: no order.
	if (t ~ / tries to take <[0-9]+> with <[0-9]+> held/)
		ordered = 1

	# synchronize_srcu(A) is called inside critical sections for B
	# synchronize_srcu(A) is called with B held; with "it", of the sentence before
	if (match(t, /synchronize_srcu\(<[0-9]+>\) (is|must not be) called /)) {
		rest = substr(t, RSTART + RLENGTH)
		word = substr(t, RSTART, RLENGTH) ~ / must not / ? "never" : "order"
		match(t, /synchronize_srcu\(<[0-9]+>/)
		srcu = substr(t, RSTART + 17, RLENGTH - 17)
		if (match(rest, "inside critical sections for " L) || match(rest, "^with (it|" L ") held")) {
			s = substr(rest, RSTART, RLENGTH)
			if (s ~ /^with it /)
				s = topic
			else {
				match(s, L)
				s = substr(s, RSTART, RLENGTH)
			}
			pairs(word, s, srcu, sentence)
		}
	}

	# A, which ..., can[not] be taken inside a B read-side critical section
	if (match(t, "can(not)? (therefore )?be taken inside " L " read-side critical section")) {
		before = substr(t, 1, RSTART - 1)
		rest = substr(t, RSTART, RLENGTH)
		match(rest, L)
		srcu = substr(rest, RSTART, RLENGTH)
		sub(/ $/, "", before)
		if (before ~ /^[Tt]hese locks$/ || before ~ /, which( therefore)?$/)
			s = last_outer
		else if (before ~ /^(It|They)$/)
			s = topic
		else
			s = list_before(before)
		if (before ~ /^Any other lock$/)
			every("other", srcu, sentence)
		else if (s != "" && rest ~ /^cannot/)
			pairs("never", srcu, s, sentence)
		else if (s != "")
			pairs("order", srcu, s, sentence)
	}

	# A read-side critical sections can be entered with any lock held
	if (match(t, L " read-side critical sections can be entered with any lock held")) {
		match(t, L)
		every("enter", substr(t, RSTART, RLENGTH), sentence)
	}

	# A is taken inside any lock that ...
	if (match(t, L " (is|are) (therefore )?taken inside any lock ")) {
		match(t, L)
		every("enter", substr(t, RSTART, RLENGTH), sentence)
	}

	# A take B, if A is no lock
	if (match(t, "<[0-9]+> take " L)) {
		rest = substr(t, RSTART, RLENGTH)
		match(rest, / take /)
		pairs("order", substr(rest, 1, RSTART - 1), substr(rest, RSTART + RLENGTH), sentence)
	}

	# A must not take B;  A must not be taken ... with one of these held
	if (match(t, "<[0-9]+> must not take " L)) {
		rest = substr(t, RSTART, RLENGTH)
		match(rest, / must not take /)
		pairs("never", substr(rest, 1, RSTART - 1), substr(rest, RSTART + RLENGTH), sentence)
	}
	if (match(t, /^(It|<[0-9]+>) must not be taken .* with (one of )?these held/)) {
		s = t ~ /^It/ ? topic : list_before(substr(t, 1, index(t, " must") - 1))
		pairs("never", last_inner, s, sentence)
	}

	# critical sections for A must also take B
	if (match(t, "critical sections for " L " must also take <[0-9]+>")) {
		rest = substr(t, RSTART + 22, RLENGTH - 22)
		match(rest, / must also take /)
		pairs("order", substr(rest, RSTART + RLENGTH), substr(rest, 1, RSTART - 1), sentence)
	}

	word = unknown_lock(t)
	if (t ~ / (outside|inside) | must (not|also) take /) {
		if (word != "")
			print "unknown\t" arch "\t" first_line "\t" word "\t-\t" sentence
	}
	if ((!ordered || missed) && t ~ /<[0-9]+>/)
		print "unread\t" arch "\t" first_line "\t-\t-\t" sentence

	# "It" in the next sentence: the lock that the order is about.
	if (ordered && last_outer ~ /^<[0-9]+>$/)
		topic = last_outer
	else if (ordered && last_inner ~ /^<[0-9]+>$/)
		topic = last_inner
	else if (match(t, /<[0-9]+>/))
		topic = substr(t, RSTART, RLENGTH)
}

# The text of a paragraph or of an item of a list, in sentences.
function read_text(    text, t, n, i, part)
{
	text = buffer
	buffer = ""
	if (text == "")
		return
	gsub(/[ \t]+/, " ", text)
	sub(/^ /, "", text)
	gsub(/``|\*\*/, "", text)
	gsub(/_cannot_/, "cannot", text)
	gsub(/_can_/, "can", text)

	# The following is about one architecture, or about all of them again.
	if (!item_indent && text ~ /:$/ && split(text, part, " ") <= 3) {
		arch = part[1] == "On" ? substr(part[2], 1, length(part[2]) - 1) : "any"
		return
	}

	# An item of a list of order: each lock outside the next one.
	if (order_indent && item_indent > order_indent) {
		t = tokens(text)
		if (!match(t, /^<[0-9]+>/)) {
			t = unknown_lock(text)
			print (t == "" ? "unread" : "unknown") "\t" arch "\t" first_line "\t" (t == "" ? "-" : t) "\t-\t" text
			return
		}
		t = substr(t, RSTART, RLENGTH)
		pairs("order", order_outer, t, order_sentence)
		order_outer = t
		return
	}
	order_indent = 0

	gsub(/[.]g[.] /, ".g.\001", text)
	gsub(/i[.]e[.] /, "i.e.\001", text)
	n = split(text, part, /[.] /)
	for (i = 1; i <= n; i++) {
		gsub(/\001/, " ", part[i])
		sub(/\.$/, "", part[i])
		read_sentence(part[i])
	}
	if (text ~ /in this order:$/) {
		order_indent = item_indent + 1
		order_sentence = part[n]
		order_outer = last_outer
	}
}

/^[-=~^]+$/ && length($0) > 2 && length($0) >= length(previous) {
	inside = previous ~ /Acquisition Orders$/
	sections += inside
	buffer = ""
	previous = ""
	next
}

{ previous = $0 }
!inside { next }

/^[ \t]*$/ {
	read_text()
	next
}

{
	indent = match($0, /[^ \t]/) - 1
	# A quotation behind "::" is deeper than the text of its item.
	if (literal && indent > literal_indent)
		next
	literal = 0
	if ($0 ~ /^ *- /) {
		read_text()
		item_indent = indent + 1
	} else if (buffer == "" && indent == 0)
		item_indent = 0
	if (buffer == "")
		first_line = FNR
	line = $0
	sub(/^ *- /, "", line)
	if (line ~ /::$/) {
		sub(/::$/, ":", line)
		literal = 1
		literal_indent = item_indent ? item_indent + 1 : 0
	}
	buffer = buffer " " line
}

END { read_text() }
