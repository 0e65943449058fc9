# SPDX-License-Identifier: GPL-2.0-only
#
# compare.awk LIST BASE SERIES: the findings without and with the series against the
# list of those that have to be.  A finding is known by its rule, file, function and
# subject, at any line.

function wrong(text)
{
	print list ": " text
	failed = 1
}

# FILE:LINE: RULE: FUNCTION(): SUBJECT TEXT
function key_of(line,	part)
{
	split(line, part, " ")
	sub(/:[0-9]*:$/, "", part[1])
	sub(/:$/, "", part[2])
	sub(/\(\):$/, "", part[3])
	return part[2] "\t" part[1] "\t" part[3] "\t" part[4]
}

FILENAME == ARGV[1] && /^# no hole / {
	name = $4
	sub(/:$/, "", name)
	hole[name] = 1
	next
}

FILENAME == ARGV[1] && /^(#|$)/ { next }

FILENAME == ARGV[1] {
	if (split($0, field, "\t") != 6 || field[1] !~ /^(stays|fixed)$/ || field[6] == "") {
		wrong("line " FNR " is not: stays or fixed, rule, file, function, what, reason, with one tab between")
		next
	}
	key = field[2] "\t" field[3] "\t" field[4] "\t" field[5]
	if (key in kind)
		wrong("line " FNR " declares the same as an earlier one: " key)
	kind[key] = field[1]
	reason[key] = field[6]
	order[++declared] = key
	if (field[1] == "fixed")
		hole[field[2]] = 1
	next
}

{
	key = key_of($0)
	if (FILENAME == ARGV[2]) {
		if (!(key in base))
			base[key] = $0
	} else if (!(key in series)) {
		series[key] = $0
	}
}

END {
	for (i = 1; i <= declared; i++) {
		key = order[i]
		if (kind[key] == "fixed") {
			print (key in base ? base[key] : key)
			print "\tfixed: " reason[key]
			if (!(key in base))
				wrong("is declared as fixed, and not found without the series: " key)
			if (key in series)
				wrong("is declared as fixed, and found with the series: " series[key])
		} else {
			print (key in series ? series[key] : key)
			print "\tstays: " reason[key]
			if (!(key in series))
				wrong("is declared to stay, and no longer found: " key)
		}
	}
	for (key in series)
		if (!(key in kind))
			wrong("a finding that is not declared: " series[key])
	for (key in base)
		if (!(key in kind) && !(key in series))
			wrong("a finding that the series removes, and that is not declared as fixed: " base[key])
	n = split(rules, each, " ")
	for (i = 1; i <= n; i++)
		if (!(each[i] in hole))
			wrong("declares no hole that " each[i] " finds without the series, and not why there is none (# no hole " each[i] ": ...)")
	exit failed
}
