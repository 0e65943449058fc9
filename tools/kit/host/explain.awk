# SPDX-License-Identifier: GPL-2.0-only
#
# The KTAP of upstream's runner, in which each skip gets its reason and the remedy.
# -v missing=FILE: expression, tab, sentence.

BEGIN {
	FS = "\t"
	while ((getline <missing) > 0) {
		expression[++n] = $1
		sentence[n] = $2
	}
	skip = "# SKIP[ -]*"
}

function explain(reason,    i)
{
	for (i = 1; i <= n; i++)
		if (reason ~ expression[i])
			return reason ": " sentence[i]
	return reason
}

# A test as a whole gives its reason before the runner says that it was skipped.
/^# 1\.\.0 # SKIP/	{ whole = substr($0, index($0, "# SKIP")); sub(skip, "", whole); whole = explain(whole) }
/^ok .*# SKIP *$/	{ sub(/ *$/, " " (whole ? whole : "the test does not say why")) }
/^# ok .*# SKIP/ {
	match($0, skip)
	$0 = substr($0, 1, RSTART - 1) "# SKIP " explain(substr($0, RSTART + RLENGTH))
}
/^(not )?ok /		{ whole = "" }

{
	print
	fflush()
}
