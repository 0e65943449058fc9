# SPDX-License-Identifier: GPL-2.0-only
#
# A summary to be pasted into a mail, after ktap.awk.

END {
	printf "%-26s %6s %6s %7s %8s\n", "test", "passed", "failed", "skipped", "seconds"
	for (t = 1; t <= nt; t++) {
		n["pass"] = n["fail"] = n["skip"] = 0
		for (s = 1; s <= ns[t]; s++)
			n[result[t, s]]++
		printf "%-26s %6d %6d %7d %8s\n", name[t], n["pass"], n["fail"], n["skip"], seconds[t] == "" ? "-" : seconds[t]
	}
	printf "%-26s %6d %6d %7d\n", "all", number["pass"], number["fail"], number["skip"]

	if (number["fail"])
		print "\nfailed:"
	for (t = 1; t <= nt; t++)
		for (s = 1; s <= ns[t]; s++) {
			if (result[t, s] != "fail")
				continue
			printf "  %s: %s%s\n", name[t], name[t, s], why[t, s] == "" ? "" : " (" why[t, s] ")"
			m = split(text[t, s], line, "\n")
			for (i = 1; i <= m; i++)
				if (line[i] ~ /\.[ch]:[0-9]+:/)
					print "      " line[i]
		}

	if (number["skip"])
		print "\nskipped:"
	for (t = 1; t <= nt; t++)
		for (s = 1; s <= ns[t]; s++) {
			if (result[t, s] != "skip")
				continue
			if (!(why[t, s] in skipped))
				reasons[++nr] = why[t, s]
			skipped[why[t, s]] = skipped[why[t, s]] sprintf("      %s%s\n", name[t], name[t, s] == name[t] ? "" : ": " name[t, s])
		}
	for (r = 1; r <= nr; r++)
		printf "  %s\n%s", reasons[r], skipped[reasons[r]]

	if (bail != "" || done < planned)
		printf "\n%s; %d of %d tests did not come to their end\n", bail == "" ? "incomplete" : bail, planned - done, planned
}
