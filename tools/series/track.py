#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
#
# track.py table|json: the findings of track.sh, a row a kernel on standard input.

import json
import sys

FIELDS = "base package version patches there merged reason compiled lab date suites".split()


def table(rows):
    """A table of reStructuredText, with a list of its longer texts behind it."""
    cells, more = [["Package", "Suites", "Series", "Patches", "Compiled", "Lab"]], []
    for row in rows:
        kernel = f"{row['package']} {row['version']}"
        takes = int(row["patches"]) - len(row["there"].split())
        cells.append([kernel, row["suites"], row["base"], "do not apply" if row["reason"] else f"{takes} of {row['patches']}",
                      row["compiled"], row["lab"]])
        more += [f"* {kernel}{text}" for field, text in (
            ("reason", f": {row['reason']}"), ("there", f", there already: {row['there']}"),
            ("merged", f", by git am -3 alone: {row['merged']}")) if row[field]]
    widths = [max(map(len, column)) for column in zip(*cells)]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in cells]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule] + ["\n" + line for line in more])


def as_json(rows):
    for row in rows:
        for field in ("there", "merged", "suites"):
            row[field] = row[field].split()
        row.update(patches=int(row["patches"]), reason=row["reason"] or None,
                   **{field: {"yes": True, "no": False}.get(row[field]) for field in ("compiled", "lab")})
    return json.dumps(rows, indent=1)


lines = [dict(zip(FIELDS, line.rstrip("\n").split("\t"))) for line in sys.stdin]
print(table(lines) if sys.argv[1] == "table" else as_json(lines))
