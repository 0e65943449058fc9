# SPDX-License-Identifier: GPL-2.0-only
#
# results.ktap: the output of all tests of a run as one file, nested as the kernel's
# Documentation/dev-tools/ktap.rst has it: hosts, tests, subtests.  As in the files that it
# is made of, a red is "not ok", also one that is declared.

import re

from .logs import is_splat

# The harness's own lines on each subtest, beside its result.
ROUTINE = re.compile(r"#\s+(RUN|OK|FAIL|SKIP)\s|# (Starting|Totals:|FAILED:|PASSED:)")


def escaped(text):
    return re.sub(r"\s*#\s*", " ", text).strip()


def block(results):
    """Of (lines, ok, name, directive) each: a plan, and a result a line."""
    yield "KTAP version 1"
    yield f"1..{len(results)}"
    for number, (lines, ok, name, directive) in enumerate(results, 1):
        yield from lines
        yield f"{'ok' if ok else 'not ok'} {number} {escaped(name)}{' # ' + directive if directive else ''}"


def said(lines):
    """The test's own diagnostics, and the heads of the kernel's reports."""
    for line in lines:
        if is_splat(line):
            yield "# the kernel: " + line
        elif line.startswith("lab: #") and not ROUTINE.match(line[5:]):
            yield line[5:]


def of_cell(cell):
    subs = [(list(said(section.lines)), section.ok, section.name, None if section.skip is None else f"SKIP {section.skip}".strip())
            for section in cell.log.sections]
    subs += [([], False, sub, "ERROR it did not run") for sub in cell.missed]
    lines = ["  " + line for line in block(subs)] if subs else []
    lines += ["# " + sentence.replace("\n", "\n#") for _, sentence in cell.complaints]
    failed = any(not ok for _, ok, _, _ in subs) or cell.report
    if cell.status == "exit 4" or (subs and not failed and all(skip for _, _, _, skip in subs)):
        return lines, True, cell.test, "SKIP"
    if cell.text.startswith("ERROR"):
        return lines, False, cell.test, "TIMEOUT" if cell.status == "exit 124" else "ERROR " + escaped(cell.status)
    return lines, not failed, cell.test, None


def of_run(run):
    hosts = []
    for variant in run.variants:
        for host in run.hosts:
            cells = [of_cell(cell) for cell in run.cells.values() if (cell.host, cell.variant) == (host, variant)]
            console = [sentence for *where, sentence in run.console_complaints if where == [host, variant]]
            lines = ["  " + line for text in block(cells) for line in text.split("\n")] + ["# " + text for text in console]
            hosts.append((lines, all(ok for _, ok, _, _ in cells) and not console, f"{host}-{variant}", None))
    return "\n".join(block(hosts)) + "\n"
