# SPDX-License-Identifier: GPL-2.0-only
#
# The table of the lab.  Input: patches/BASE/tests, which declares, for each
# test, what must be red without the series and why.  A cell is right when
#   without the series: every declared subtest fails for its declared reason,
#                       and nothing else fails;
#   with the series:    every subtest passes, and the kernel reports nothing
#                       but what a subtest provokes (the sixth field).
# What is skipped, hangs, dies or runs out of time is never right.  A subtest of
# something that the base does not have may be declared as skipped ("skip" in the
# fifth field); then it must be, for the declared reason, and is listed.  The same
# goes for one that is red with the series as well ("open"): where not all of the
# series can be.
#
# -v results=DIR -v arches='x86 arm64' -v variants='none all' -v only='TEST...'
#
# With -v sure=1 a reason that begins with "? " counts as one without: of a run that
# is long enough to hit everything.
#
# With -v patch=N, variants is 'N-1 N': what is declared for that patch is red
# on the first and green on the second, and nothing else is looked at.

BEGIN {
	FS = "\t"
	narch = split(arches, arch_list, " ")
	nvariant = split(variants, variant_list, " ")
	for (i = 1; i <= nvariant; i++) {
		if (i == 1 || applied(variant_list[i]) < applied(without))
			without = variant_list[i]
	}
	nonly = split(only, only_list, " ")
	for (i = 1; i <= nonly; i++)
		wanted[only_list[i]] = 1
}

/^#/ || NF < 5 { next }

{
	if (nonly && !($1 in wanted))
		next
	if (patch && $5 != patch)
		next
	if (!($1 in seen)) {
		seen[$1] = 1
		tests[++ntest] = $1
	}
	n = split($2, list, ",")
	for (i = 1; i <= n; i++) {
		has[$1, list[i]] = 1
		if ($5 == "skip" || $5 == "open") {
			exempt[$5, $1, list[i], $3] = $4
		} else if ($3 != "-") {
			reason[$1, list[i], $3] = $4
			# A race that nothing widens is red when it is hit.
			maybe[$1, list[i], $3] = sub(/^\? /, "", reason[$1, list[i], $3]) && !sure
			m = split($5, numbers, ",")
			for (j = 1; j <= m; j++)
				if (numbers[j] + 0 > fixed[$1, list[i], $3])
					fixed[$1, list[i], $3] = numbers[j] + 0
		}
		if ($6 != "")
			provoked[$1, list[i]] = provoked[$1, list[i]] ? provoked[$1, list[i]] "|" $6 : $6
	}
	if ($5 != "-" && $5 != "skip" && $5 != "open") {
		row_test[++nrow] = $1
		row_arch[nrow] = $2
		row_subtest[nrow] = $3
		row_patch[nrow] = $5
	}
}

function trim(s, max)
{
	sub(/^(lab: )?[ #]*([^ :]*\.[ch]:[0-9]+:[a-z0-9_]+:)?/, "", s)
	max = max ? max : 110
	return length(s) > max ? substr(s, 1, max - 3) "..." : s
}

# A report of the kernel that no subtest of this test asks for.
function is_splat(line, test, arch)
{
	if (line ~ /^lab: / || line !~ splat)
		return 0
	return !((test, arch) in provoked) || line !~ provoked[test, arch]
}

# How many patches a variant has.
function applied(variant)
{
	return variant == "none" ? 0 : variant ~ /^all/ ? 9999 : variant + 0
}

function complain(where, what)
{
	complaints[++ncomplaint] = where ": " what
}

# What is declared as skipped or open, and is: listed once.
function leave_out(kind, arch, test, sub_name, why)
{
	if (!((kind, arch, test, sub_name) in listed))
		left_out[kind] = left_out[kind] sprintf("  %-6s %s.%s: %s\n", host(arch), test, sub_name, trim(why))
	listed[kind, arch, test, sub_name] = 1
}

function print_left_out(kind, title)
{
	if (kind in left_out)
		printf "\n%s\n%s", title, left_out[kind]
}

# Why a subtest failed, if nobody has declared it: the kernel's first report, and the
# first check that failed with what the test said of it; of whoever checks by itself,
# its last words.
function cause(section, n, test, arch,    i, line, asserted, check, said, last, report)
{
	for (i = 1; i <= n; i++) {
		line = "\n    " trim(section[i], 400)
		if (report == "" && is_splat(section[i], test, arch))
			report = line
		asserted = i > 1 && section[i - 1] ~ /^lab: ==== Test Assertion Failure/
		if (!asserted && (section[i] !~ /^lab: #/ || section[i] ~ /^lab: # +(RUN|FAIL) |: Test failed$|^lab: # program: /))
			continue
		if (asserted || section[i] ~ /:Expected |: Test terminated /) {
			if (check != "")
				break
			check = line
		} else if (check == "") {
			last = line
		} else if (said == "") {
			said = line
		}
	}
	return report (check != "" ? check said : last)
}

# One test on one host: returns the text of its cell.
function judge(test, arch, variant,    dir, file, line, status, section, nsection, sub_name, i, ok, bad, skipped, red, wrong, why, where, plan, splats, declared, excused, absent, expected, total, key, part, found, hit)
{
	dir = results "/" arch "-" variant
	where = test " on " arch ", patches: " variant
	status = "not run"
	getline status < (dir "/" test ".status")
	close(dir "/" test ".status")

	file = dir "/" test ".log"
	ok = bad = skipped = absent = red = hit = wrong = plan = splats = nsection = 0
	while ((getline line < file) > 0) {
		sub(/^\[ *[0-9.]+\] /, "", line)
		if (line ~ /^lab: #  RUN /)
			nsection = 0
		section[++nsection] = line
		if (is_splat(line, test, arch) && !splats++)
			found = trim(line)
		if (line ~ /^lab: 1\.\.[0-9]+/)
			plan += substr(line, 9)
		if (line !~ /^lab: (not )?ok [0-9]+ /)
			continue
		sub_name = line
		sub(/^lab: (not )?ok [0-9]+ (- )?/, "", sub_name)
		sub(/ *#.*/, "", sub_name)
		sub(/^global\./, "", sub_name)
		key = test SUBSEP arch SUBSEP sub_name
		if (reported[key, variant]++) {
			wrong++
			complain(where, sub_name " has reported twice")
		}
		if (line ~ /^lab: ok .*# (SKIP|XFAIL|XPASS|TODO)/) {
			if (patch && !(key in reason)) {
				ok++
				continue
			}
			why = line
			sub(/.*# SKIP */, "", why)
			if (("skip", key) in exempt && why ~ exempt["skip", key]) {
				excused["skip", key] = 1
				absent++
				leave_out("skip", arch, test, sub_name, why)
			} else {
				skipped++
				complain(where, sub_name " was skipped: " why)
			}
		} else if (line ~ /^lab: ok /) {
			ok++
			if (key in reason && applied(variant) < fixed[key] && !maybe[key])
				complain(where, sub_name " passed and must be red: " reason[key])
		} else {
			bad++
			if (patch && !(key in reason))
				continue
			why = ""
			expected = ("open", key) in exempt ? exempt["open", key] : key in reason ? reason[key] : ""
			for (i = 1; i <= nsection && expected != ""; i++)
				if (section[i] ~ expected) {
					why = trim(section[i])
					break
				}
			if (why != "" && ("open", key) in exempt) {
				excused["open", key] = 1
				leave_out("open", arch, test, sub_name, why)
			} else if (why != "" && applied(variant) < fixed[key]) {
				if (maybe[key])
					hit++
				else
					red++
				shown[arch, variant, test, sub_name] = why
			} else {
				wrong++
				complain(where, sub_name " failed" (expected != "" ? ", and not for the declared reason: " expected : ", and no red is declared") \
					 cause(section, nsection, test, arch))
			}
		}
		nsection = 0
	}
	close(file)

	for (key in exempt) {
		split(key, part, SUBSEP)
		if (part[2] == test && part[3] == arch && !(key in excused)) {
			wrong++
			complain(where, part[4] " is declared as " (part[1] == "skip" ? "skipped, and was not" : "open, and was not red"))
		}
	}

	declared = 0
	for (key in reason) {
		split(key, part, SUBSEP)
		if (part[1] != test || part[2] != arch)
			continue
		if (!((key, variant) in reported)) {
			wrong++
			complain(where, part[3] " is declared and did not run")
		}
		if (!maybe[key] && applied(variant) < fixed[key])
			declared++
		total += !maybe[key]
	}

	if (status != "exit 0" && status != "exit 1") {
		complain(where, "the test did not come to its end: " status)
		return "ERROR " status
	}
	if ((status == "exit 1") != (bad > 0)) {
		complain(where, bad " subtests failed, and the test ended with " status)
		return "ERROR"
	}
	if (plan == 0 || plan != ok + bad + skipped + absent) {
		complain(where, "planned " plan " subtests and reported " (ok + bad + skipped + absent))
		return "ERROR"
	}
	if (splats && !patch && !declared && !hit) {
		complain(where, "the kernel reported: " found)
		wrong++
	}
	if (wrong || skipped)
		return "WRONG"
	if (declared) {
		if (red == declared)
			return "red " (patch ? red : red "/" plan)
		complain(where, red " of " declared " declared reds were red")
		return "WRONG"
	}
	if (hit && !patch)
		return "red " hit "/" plan
	return patch ? "green " total : "green " ok "/" plan
}

# Outside the tests as well, a kernel with the series reports nothing.
function judge_console(arch, variant,    file, line, lines, test, finished, reports)
{
	file = results "/" arch "-" variant "/console"
	lines = finished = reports = 0
	while ((getline line < file) > 0) {
		lines++
		sub(/^\[ *[0-9.]+\] /, "", line)
		if (line ~ /^lab: begin /)
			test = substr(line, 12)
		sub(/\r$/, "", test)
		if (is_splat(line, test, arch) && !reports++) {
			complain(arch " with the series", "the kernel reported: " trim(line))
			failed++
		}
		if (line ~ /^lab: done/)
			finished = 1
		if (line ~ /^lab: error: /) {
			complain(arch " with the series", trim(line))
			failed++
		}
	}
	close(file)
	if (lines && !finished) {
		complain(arch " with the series", "the host did not come to its end")
		failed++
	}
}

function title(arch, variant)
{
	return host(arch) " " (variant == "none" ? "without" : variant == "all" ? "with" : variant)
}

END {
	if (!ntest) {
		print "lab: no test is declared for these hosts"
		exit 1
	}
	printf "\n%-26s", "test"
	for (v = 1; v <= nvariant; v++)
		for (a = 1; a <= narch; a++)
			printf "  %-14s", title(arch_list[a], variant_list[v])
	printf "\n"
	for (t = 1; t <= ntest; t++) {
		printf "%-26s", tests[t]
		for (v = 1; v <= nvariant; v++)
			for (a = 1; a <= narch; a++) {
				cell = "-"
				if ((tests[t], arch_list[a]) in has) {
					cell = judge(tests[t], arch_list[a], variant_list[v])
					if (cell ~ /^(red|green)/)
						passed++
					else
						failed++
				}
				printf "  %-14s", cell
			}
		printf "\n"
	}

	for (v = 1; v <= nvariant && !patch; v++)
		for (a = 1; a <= narch; a++)
			if (variant_list[v] ~ /^all/)
				judge_console(arch_list[a], variant_list[v])

	if (nrow)
		print "\nred without its patch, and why:"
	for (r = 1; r <= nrow; r++) {
		n = split(row_arch[r], list, ",")
		for (i = 1; i <= n; i++)
			if ((list[i], without, row_test[r], row_subtest[r]) in shown)
				printf "  %-5s %-6s %s.%s: %s\n", row_patch[r], host(list[i]), row_test[r], row_subtest[r], \
					shown[list[i], without, row_test[r], row_subtest[r]]
	}

	print_left_out("skip", "skipped, as declared:")
	print_left_out("open", "red with the series as well, as declared:")

	if (ncomplaint)
		print "\nnot as it must be:"
	for (i = 1; i <= ncomplaint; i++)
		print "  " complaints[i]
	printf "\nlab: %d passed, %d failed\n", passed, failed
	exit ncomplaint || failed ? 1 : 0
}
