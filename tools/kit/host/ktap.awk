# SPDX-License-Identifier: GPL-2.0-only
#
# Reads the output of upstream's runner, for the script that comes after this one
# in awk's command line.  Test T of 1 to nt has name[T], result[T] (pass, fail,
# skip; empty: it did not come to its end), why[T], seconds[T] and ns[T] subtests;
# subtest S of it has the same with [T, S], and its lines in text[T, S].

function take(t, s, line)
{
	key = s ? t SUBSEP s : t
	result[key] = line ~ /^not ok/ ? "fail" : line ~ /# SKIP/ ? "skip" : "pass"
	why[key] = ""
	if (match(line, / *# (SKIP)? */)) {
		why[key] = substr(line, RSTART + RLENGTH)
		line = substr(line, 1, RSTART - 1)
	}
	sub(/^(not )?ok [0-9]+ (- )?/, "", line)
	sub(/^global\./, "", line)
	return line
}

# Checks have failed, and all of them are of a pause that was too short for this machine.
function slow(text, checks)
{
	checks = gsub(/:too slow: /, "", text)
	return checks && checks == gsub(/:Expected /, "", text)
}

/^1\.\.[0-9]+$/			{ planned = substr($0, 4) + 0; next }
/^# selftests: [^ ]+: [^ ]+$/	{ name[++nt] = $4; ns[nt] = 0; lines = ""; next }
/^Bail out!/			{ bail = $0; next }
/^(not )?ok /			{ take(nt, 0, $0); done++; tail[nt] = lines; next }
!nt				{ next }
/^# 1\.\.[1-9][0-9]*$/		{ planned_of[nt] = substr($0, 6) + 0; next }
# What it has found out the first time counts, and is told.
/^# once more: / {
	kept = 0
	for (s = 1; s <= ns[nt]; s++) {
		if (result[nt, s] != "fail" || slow(text[nt, s]))
			continue
		kept++
		name[nt, kept] = name[nt, s]
		result[nt, kept] = "fail"
		why[nt, kept] = why[nt, s]
		text[nt, kept] = text[nt, s]
	}
	ns[nt] = kept
	lines = ""
	next
}
/^# took [0-9]+ s$/		{ seconds[nt] = $3; next }
/^# (not )?ok [0-9]+/ {
	ns[nt]++
	text[nt, ns[nt]] = lines
	name[nt, ns[nt]] = take(nt, ns[nt], substr($0, 3))
	lines = ""
	next
}
{ lines = lines substr($0, 3) "\n" }

# A test that fails without a subtest that does: it has one more then, itself.
END {
	for (t = 1; t <= nt; t++) {
		failed = 0
		for (s = 1; s <= ns[t]; s++)
			failed += result[t, s] == "fail"
		if (result[t] == "fail" && !failed || result[t] == "" || !ns[t]) {
			s = ++ns[t]
			name[t, s] = name[t]
			result[t, s] = result[t] == "" ? "fail" : result[t]
			why[t, s] = result[t] == "" ? "interrupted" : why[t]
			text[t, s] = result[t] == "" ? lines : tail[t]
			if (result[t, s] == "fail" && planned_of[t] > s - 1)
				why[t, s] = why[t, s] ", after " s - 1 " of " planned_of[t] " subtests"
		}
		for (s = 1; s <= ns[t]; s++)
			number[result[t, s]]++
	}
}
