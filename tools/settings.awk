# SPDX-License-Identifier: GPL-2.0-only
#
# settings.awk: the mistakes in the variables on make's command line, of which
# "given" are the names, for the targets in "goals".  A target takes the variables that
# its recipe names; one that calls the kernel's make takes any.  "scripts" are those that
# scripts take from the environment.  With help=1: the targets with their variables.
#
# BASES is another name of BASE.  Where "level" is not 0, make test hands its variables
# to each of its steps.

# named TEXT: the variables in it, also those in their values.
function named(text,	name, list)
{
	while (match(text, /\$\([A-Z_]+[):]/)) {
		name = substr(text, RSTART + 2, RLENGTH - 3)
		text = substr(text, RSTART + RLENGTH)
		if (name in setting)
			list = list " " (name == "BASES" ? "BASE" : name)
		else if (name in value)
			list = list named(value[name])
	}
	return list
}

# The least number of letters to change, leave out, add, or swap with the next one.
function distance(a, b,	i, j, d, cost)
{
	for (i = 0; i <= length(a); i++)
		for (j = 0; j <= length(b); j++) {
			if (!i || !j) {
				d[i, j] = i + j
				continue
			}
			cost = substr(a, i, 1) != substr(b, j, 1)
			d[i, j] = d[i - 1, j - 1] + cost
			if (d[i - 1, j] + 1 < d[i, j])
				d[i, j] = d[i - 1, j] + 1
			if (d[i, j - 1] + 1 < d[i, j])
				d[i, j] = d[i, j - 1] + 1
			if (i > 1 && j > 1 && substr(a, i - 1, 2) == substr(b, j, 1) substr(b, j - 1, 1) && d[i - 2, j - 2] + cost < d[i, j])
				d[i, j] = d[i - 2, j - 2] + cost
		}
	return d[length(a), length(b)]
}

# A setting that may have been meant; one that the targets take, if it is as near as any other.
function nearest(name,	one, best, least, far)
{
	least = length(name) + 2
	for (one in setting) {
		if (one == "BASES")
			continue
		far = 2 * distance(toupper(name), one) + !(one in taken)
		if (far < least || (far == least && one < best)) {
			least = far
			best = one
		}
	}
	return best ? ": did you mean " best "?" : ": see make help"
}

function list_of(names,	n, i, name, seen, list)
{
	n = split(names, name, " ")
	for (i = 1; i <= n; i++)
		if (!seen[name[i]]++)
			list = list " " name[i]
	return substr(list, 2)
}

BEGIN {
	n = split(scripts, name, " ")
	for (i = 1; i <= n; i++)
		script[name[i]] = setting[name[i]] = 1
}

/^[A-Z_]+ [?:]=/ {
	name[0] = $1
	if ($2 == "?=")
		setting[$1] = 1
	else
		value[$1] = substr($0, index($0, "=") + 1)
}

/^##[a-z]/ {
	target = substr($0, 3, index($0, ":") - 3)
	text[target] = substr($0, 3)
	order[++targets] = target
}

/^\t/ && target {
	recipe[target] = recipe[target] " " $0
}

END {
	for (i = 1; i <= targets; i++) {
		target = order[i]
		takes[target] = list_of(named(recipe[target]))
		if (help)
			print text[target] (takes[target] ? "\n                 " takes[target] : "")
	}
	if (help)
		exit

	n = split(goals, goal, " ")
	for (i = 1; i <= n; i++) {
		if (!(goal[i] in takes) || recipe[goal[i]] ~ /\$\(MAKE\) -C/)
			exit
		all = all " " takes[goal[i]]
	}
	all = list_of(all)
	m = split(all, name, " ")
	for (i = 1; i <= m; i++)
		taken[name[i]] = 1

	n = split(given, name, " ")
	for (i = 1; i <= n; i++) {
		one = name[i] == "BASES" ? "BASE" : name[i]
		if (level == 0 && one != name[i] && (" " given " ") ~ / BASE /) {
			print "BASE and BASES are one: give BASE alone"
			exit
		}
		if (!(one in setting)) {
			print "unknown " one nearest(one)
			exit
		}
		if (level == 0 && !(one in taken) && !(one in script)) {
			if (all) {
				print goals " does not take " name[i] ": it takes " all
				exit
			}
			vain = vain " " name[i]
		}
	}
	if (vain)
		print goals " takes no variables, and these have no effect:" vain | "cat >&2"
}
