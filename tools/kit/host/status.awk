# SPDX-License-Identifier: GPL-2.0-only
#
# The exit status, after ktap.awk: 1 if anything failed or did not come to its
# end, 4 (skip, to kselftest) if nothing ran.

END {
	exit number["fail"] || bail != "" || !planned || done != planned ? 1 : number["pass"] ? 0 : 4
}
