#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""gcov.py SOURCE FUNCTIONS: of gcov's JSON on standard input, a line for each
function of SOURCE whose name matches the regular expression FUNCTIONS: how many
lines it has, what share of them was run, and which were not.  A line that belongs to
several copies of a function was run if one of these ran it."""

import json
import re
import sys

source, wanted = sys.argv[1], re.compile(sys.argv[2])
functions = {}
for record in sys.stdin:
    for file in json.loads(record)["files"]:
        if not file["file"].endswith(source):
            continue
        for line in file["lines"]:
            name = line.get("function_name", "").split(".")[0]
            if wanted.fullmatch(name):
                lines = functions.setdefault(name, {})
                number = line["line_number"]
                lines[number] = lines.get(number, 0) + line["count"]
for name, lines in sorted(functions.items(), key=lambda f: min(f[1])):
    missed = sorted(number for number, count in lines.items() if not count)
    share = 100 * (len(lines) - len(missed)) / len(lines)
    text = f"  {name:<48} {len(lines):8} {share:7.1f}%"
    print(text + ("  not " + " ".join(map(str, missed)) if missed else ""))
sys.exit(not functions)
