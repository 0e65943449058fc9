# SPDX-License-Identifier: GPL-2.0-only
#
# The commands of a shell that report to LAVA, after ktap.awk.  Names have no character that
# LAVA or the shell would take for something else.

function id(s)
{
	gsub(/[^A-Za-z0-9_.-]/, "_", s)
	return s
}

END {
	for (t = 1; t <= nt; t++) {
		print "lava_test_set start " id(name[t])
		for (s = 1; s <= ns[t]; s++)
			print "lava_test_case " id(name[t, s]) " --result " result[t, s]
		print "lava_test_set stop"
		if (t in seconds)
			print "lava_test_case " id(name[t]) "-time --result pass --measurement " seconds[t] + 0 " --units seconds"
	}
}
