# SPDX-License-Identifier: GPL-2.0-only
#
# The matrix of vcpu_interleave_test as a picture: an operation A a block, a
# function in which it was held a row, an operation B a column.
#
# Input: the test's log.  Output: SVG.  The same as text is in the log.

BEGIN {
	CELL = 8
	GAP = 24
	HEAD = 110
	FOOT = 20
	colour["."] = "#4c9f50"; meaning["."] = "done meanwhile"
	colour["w"] = "#a9d18e"; meaning["w"] = "waited for A"
	colour["R"] = "#d62728"; meaning["R"] = "red"
	colour["l"] = "#f2c14e"; meaning["l"] = "too late"
	colour["u"] = "#d9d9d9"; meaning["u"] = "A was not there"
	colour["p"] = "#9a9a9a"; meaning["p"] = "can't be probed"
	colour["a"] = "#bdbdbd"; meaning["a"] = "ambiguous name"
	colour["f"] = "#8a8aa5"; meaning["f"] = "fatal"
	colour["k"] = "#c7c7d9"; meaning["k"] = "keeps kvm_amd"
	colour["-"] = "#f0f0f0"; meaning["-"] = "not in the sample"
	order = ".wRlupafk-"
	x = GAP
}

function text(x, y, size, more, what)
{
	gsub(/&/, "\\&amp;", what)
	gsub(/</, "\\&lt;", what)
	body = body sprintf("<text x=\"%d\" y=\"%d\" font-size=\"%d\"%s>%s</text>\n", x, y, size, more, what)
}

function rect(x, y, c, what)
{
	body = body sprintf("<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"><title>%s</title></rect>\n", \
		x, y, CELL - 1, CELL - 1, colour[c], what)
}

{
	sub(/^\[ *[0-9.]+\] /, "")
	sub(/^lab: /, "")
}

/^# matrix [^ ]+ functions / {
	if (block)
		x += width + GAP
	block = $3
	row = nop = 0
	for (i = 7; i <= NF; i++) {
		op[++nop] = $i
		text(x + (nop - 1) * CELL + CELL - 2, HEAD - 6, 8, \
		     sprintf(" transform=\"rotate(-60 %d %d)\"", x + (nop - 1) * CELL + CELL - 2, HEAD - 6), $i)
	}
	width = nop * CELL > 90 ? nop * CELL : 90
	text(x, 14, 11, " font-weight=\"bold\"", block)
	next
}

/^# matrix [^ ]+ \[/ && $3 == block {
	cells = $0
	sub(/^[^[]*\[/, "", cells)
	name = cells
	sub(/\].*/, "", cells)
	sub(/^[^]]*\] /, "", name)
	for (i = 1; i <= length(cells); i++)
		rect(x + (i - 1) * CELL, HEAD + row * CELL, substr(cells, i, 1), \
		     block " held in " name "(), " op[i] ": " meaning[substr(cells, i, 1)])
	row++
	if (row > rows)
		rows = row
}

END {
	if (!block) {
		print "matrix.awk: the log has no matrix" >"/dev/stderr"
		exit 1
	}
	y = HEAD + rows * CELL + FOOT
	for (i = 1; i <= length(order); i++) {
		c = substr(order, i, 1)
		rect(GAP, y, c, meaning[c])
		text(GAP + 2 * CELL, y + CELL - 1, 9, "", meaning[c])
		y += CELL + 4
	}
	w = x + width + GAP
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\">\n", w, y + GAP
	printf "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", w, y + GAP
	printf "%s</svg>\n", body
}
