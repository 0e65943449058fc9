# SPDX-License-Identifier: GPL-2.0-only
#
# The results of upstream's own KVM selftests, without and with the series.
# Input: patches/BASE/upstream, which lists what does not pass in the emulated
# hosts, and why.  It is right when
#   each test has the same result, subtest by subtest, without and with the
#   series, and the kernel reports the same;
#   a test that is listed has the result that is listed, and any other passes.
# What is listed as unsteady is run and shown, and not judged.
#
# -v results=DIR -v arches='x86 arm64' -v variants='none all'
# The tests that were run are in DIR/ARCH.tests, a name a line.
#
# -v record=1 prints rows for that file instead, for each test that does not pass.

BEGIN {
	FS = "\t"
	narch = split(arches, arch_list, " ")
	nvariant = split(variants, variant_list, " ")
}

/^#/ || NF < 4 { next }

{
	n = split($2, list, ",")
	for (i = 1; i <= n; i++) {
		listed[$1, list[i]] = $3
		known_report[$1, list[i]] = $5
	}
}

function complain(test, arch, what)
{
	complaints[++ncomplaint] = sprintf("%-6s %-34s %s", host(arch), test, what)
}

# A line without what differs from run to run.
function plain(s)
{
	gsub(/0x[0-9a-f]+/, "0x", s)
	gsub(/[0-9]+/, "N", s)
	return s
}

function clip(s)
{
	sub(/^ +/, "", s)
	return length(s) > 100 ? substr(s, 1, 97) "..." : s
}

# Sets result, detail (subtest by subtest), reports and said (why, as the test
# puts it) of a test on a host.
function look(test, arch, variant,    dir, status, line, text, name)
{
	dir = results "/" arch "-" variant
	status = "not run"
	getline status < (dir "/" test ".status")
	close(dir "/" test ".status")

	detail = reports = said = ""
	while ((getline line < (dir "/" test ".log")) > 0) {
		text = line
		sub(/^\[ *[0-9.]+\] /, "", text)
		if (text !~ /^lab: /) {
			if (text ~ splat && index(reports, plain(text)) == 0)
				reports = reports plain(text) "; "
			continue
		}
		sub(/^lab: /, "", text)
		if (text ~ /^(not )?ok [0-9]+ /) {
			name = text
			sub(/ *# SKIP.*/, " # SKIP", name)
			detail = detail plain(name) "\n"
		}
		if (text ~ /^ +[^ ]+\.[ch]:[0-9]+: /)
			said = text
		else if (said == "" && text ~ /# SKIP|^not ok|not supported|not configured/)
			said = text
	}
	close(dir "/" test ".log")

	if (status == "exit 0")
		result = "pass"
	else if (status == "exit 4")
		result = "skip"
	else if (status ~ /^exit (124|137|143)$/)
		result = "time"
	else if (status ~ /^exit /)
		result = "fail"
	else
		result = status
	# How far it came until then is chance.
	if (result == "time")
		detail = ""
}

# The seconds that a test took, from the kernel's log of the host.
function read_times(arch, variant,    file, line, at, test)
{
	file = results "/" arch "-" variant "/console"
	while ((getline line < file) > 0) {
		at = line
		sub(/^\[ */, "", at)
		if (line ~ /\] lab: begin /) {
			test = line
			sub(/.*lab: begin /, "", test)
			sub(/\r$/, "", test)
			began = at + 0
		} else if (line ~ /\] lab: end /) {
			took[test, arch, variant] = at - began
		}
	}
	close(file)
}

END {
	for (a = 1; a <= narch; a++) {
		arch = arch_list[a]
		for (v = 1; v <= nvariant; v++)
			read_times(arch, variant_list[v])
		while ((getline test < (results "/" arch ".tests")) > 0) {
			want = (test, arch) in listed ? listed[test, arch] : "pass"
			for (v = 1; v <= nvariant; v++) {
				look(test, arch, variant_list[v])
				count[arch, variant_list[v], result]++
				total[arch, variant_list[v]]++
				seconds[arch, variant_list[v]] += took[test, arch, variant_list[v]]
				if (v == 1) {
					first = result
					first_detail = detail
					first_reports = reports
					first_said = said
				}
			}
			if (record) {
				if (first != "pass" || first_reports != "")
					printf "%s\t%s\t%s\t%s%s\n", test, arch, first, clip(first_said), first_reports == "" ? "" : "\t" first_reports
				if (took[test, arch, variant_list[1]] > 20)
					printf "# %s %s %s: %d s, %d s\n", test, arch, first, took[test, arch, variant_list[1]], took[test, arch, variant_list[nvariant]]
			}
			if (want == "unsteady")
				continue
			if (result != first)
				complain(test, arch, first " without the series, " result " with it" (said == "" ? "" : ": " clip(said)))
			else if (detail != first_detail)
				complain(test, arch, "subtests differ: see " results "/" arch "-*/" test ".ktap")
			if (reports != first_reports)
				complain(test, arch, "the kernel reports without the series: " (first_reports == "" ? "nothing" : clip(first_reports)) " with it: " (reports == "" ? "nothing" : clip(reports)))
			if (first != want)
				complain(test, arch, first " without the series, and " want " is what its list says" (first_said == "" ? "" : ": " clip(first_said)))
			if (first_reports != "" && (!((test, arch) in known_report) || known_report[test, arch] == "" || first_reports !~ known_report[test, arch]))
				complain(test, arch, "the kernel reports without the series: " clip(first_reports))
		}
		close(results "/" arch ".tests")
	}
	if (record)
		exit 0

	printf "\n%-7s %-8s %6s %6s %6s %6s %6s %6s %9s\n", "host", "series", "tests", "pass", "skip", "fail", "time", "other", "seconds"
	for (a = 1; a <= narch; a++)
		for (v = 1; v <= nvariant; v++) {
			arch = arch_list[a]
			variant = variant_list[v]
			n = total[arch, variant]
			printf "%-7s %-8s %6d %6d %6d %6d %6d %6d %9d\n", host(arch), variant == "none" ? "without" : "with", n, \
				count[arch, variant, "pass"], count[arch, variant, "skip"], count[arch, variant, "fail"], count[arch, variant, "time"], \
				n - count[arch, variant, "pass"] - count[arch, variant, "skip"] - count[arch, variant, "fail"] - count[arch, variant, "time"], \
				seconds[arch, variant]
			if (!n)
				ncomplaint++
		}
	if (ncomplaint)
		print "\nnot as it must be:"
	for (i = 1; i <= ncomplaint; i++)
		print "  " complaints[i]
	printf "\nupstream's selftests: %d differences\n", ncomplaint
	exit ncomplaint ? 1 : 0
}
