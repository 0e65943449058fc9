# SPDX-License-Identifier: GPL-2.0-only
#
# JUnit's XML, after ktap.awk.

# XML has no other control characters than these, not even as references.
function xml(s)
{
	gsub(/[\001-\010\013\014\016-\037]/, "?", s)
	gsub(/&/, "\\&amp;", s)
	gsub(/</, "\\&lt;", s)
	gsub(/>/, "\\&gt;", s)
	gsub(/"/, "\\&quot;", s)
	return s
}

# The failure, from the lines before the result: the first with more than the
# compared values.
function message(t, s,    n, line, i)
{
	n = split(text[t, s], line, "\n")
	for (i = 1; i <= n; i++)
		if (line[i] ~ /\.[ch]:[0-9]+:/ && line[i] !~ /:Expected /)
			return line[i]
	return why[t, s] == "" ? "failed" : why[t, s]
}

function counts(t, which,    s, n)
{
	for (s = 1; s <= ns[t]; s++)
		n += which == "" || result[t, s] == which
	return n + 0
}

END {
	print "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
	printf "<testsuites name=\"kvm-lifecycle\" tests=\"%d\" failures=\"%d\" skipped=\"%d\">\n", \
		number["pass"] + number["fail"] + number["skip"], number["fail"], number["skip"]
	for (t = 1; t <= nt; t++) {
		printf "  <testsuite name=\"kvm.%s\" tests=\"%d\" failures=\"%d\" skipped=\"%d\" time=\"%d\">\n", \
			xml(name[t]), ns[t], counts(t, "fail"), counts(t, "skip"), seconds[t]
		for (s = 1; s <= ns[t]; s++) {
			printf "    <testcase classname=\"kvm.%s\" name=\"%s\"", xml(name[t]), xml(name[t, s])
			if (result[t, s] == "skip")
				printf "><skipped message=\"%s\"/></testcase>\n", xml(why[t, s])
			else if (result[t, s] == "fail")
				printf "><failure message=\"%s\">%s</failure></testcase>\n", xml(message(t, s)), \
					xml(text[t, s] == "" ? why[t, s] : text[t, s])
			else
				print "/>"
		}
		print "  </testsuite>"
	}
	print "</testsuites>"
}
