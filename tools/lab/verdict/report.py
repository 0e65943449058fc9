# SPDX-License-Identifier: GPL-2.0-only
#
# The table as a person reads it, and the same for machines.

import collections
import json
import os
import re
import time
import xml.etree.ElementTree as ElementTree

from . import kcidb, ktap, travel
from .logs import lines_of, write


def title(hosts, host, variant):
    return hosts[host].label + " " + {"none": "without", "all": "with"}.get(variant, variant)


def heading(run):
    """Which kernel this was: perhaps not the pinned one."""
    text = f"linux {run.linux}, patches/{run.base}\n" if run.linux else ""
    if run.there:
        text += "there already without the series: " + " ".join(run.there) + "\n"
    return text


def table(run):
    heads = [(host, variant) for variant in run.variants for host in run.hosts]
    rows = [["test"] + [title(run.tables.hosts, *head) for head in heads]]
    for test in run.all_tests:
        cells = [run.cells.get((test, host, variant)) for host, variant in heads]
        rows.append([test] + [cell.text if cell else "-" for cell in cells])
    widths = [max([26 if i == 0 else 14] + [len(row[i]) for row in rows]) for i in range(len(rows[0]))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows)


def taken_text(run):
    """The columns that were not run this time."""
    lines = [f"{title(run.tables.hosts, host, variant)}: of {next(lines_of(run.path(host, variant, 'taken')))}, "
             "nothing has changed since\n"
             for variant in run.variants for host in run.hosts if os.path.exists(run.path(host, variant, "taken"))]
    return "".join(lines)


def good(folder):
    """Of a run that is judged: HOST-VARIANT, where all is as it must be."""
    return [name for name, ok in kcidb.run_of(folder)["columns"].items() if ok]


def reds_text(run):
    out = []
    hosts = run.tables.hosts
    for row in run.tables.rows:
        for cell in run.cells.values():
            out += [f"  {','.join(s for s in run.series if s in row.patches)}  {hosts[cell.host].label} "
                    f"{cell.test}.{sub}: {why}" for red, sub, why in cell.reds if red is row]
    text = "red without its patch, and why:\n" + "\n".join(out) + "\n" if out else ""
    for kind, head in (("skip", "skipped, as declared:"), ("open", "red with the series as well, as declared:")):
        lines = list(dict.fromkeys(f"  {hosts[cell.host].label:6} {cell.test}.{sub}: {why}"
                                   for cell in run.cells.values() for k, sub, why in cell.left_out if k == kind))
        if lines:
            text += ("\n" if text else "") + head + "\n" + "\n".join(lines) + "\n"
    return text


def chance_text(run):
    """How many of the reds that are left to chance were hit, and which were not."""
    chances = run.chances()
    if not chances:
        return ""
    missed = collections.OrderedDict()
    for chance in chances:
        if not chance.hit:
            key = f"{chance.test} on {run.tables.hosts[chance.host].label} ({chance.command})"
            missed.setdefault(key, []).append(chance.subtest)
    hits = sum(chance.hit for chance in chances)
    text = f"left to chance: hit {hits} of {len(chances)}, not hit: {len(chances) - hits} of {len(chances)}\n"
    for where, subs in missed.items():
        count = collections.Counter(subs)
        text += f"  {where}: " + ", ".join(sub + (f" (for {n} reasons)" if n > 1 else "") for sub, n in count.items()) + "\n"
    return text


def columns(run):
    """Each host with its patches: is all there as it must be?"""
    wrong = {(host, variant) for host, variant, _ in run.console_complaints}
    wrong.update((cell.host, cell.variant) for cell in run.cells.values() if not cell.ok or cell.complaints)
    return {f"{host}-{variant}": (host, variant) not in wrong for variant in run.variants for host in run.hosts}


def as_junit(run):
    """A subtest that is as declared has passed, also if that is red."""
    clean = lambda text: re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "?", text)
    root = ElementTree.Element("testsuites", name="kvm-lifecycle")
    totals = collections.Counter()
    for cell in run.cells.values():
        suite = ElementTree.SubElement(root, "testsuite", name=f"{cell.host}.{cell.variant}.{cell.test}")
        counts = collections.Counter()
        wrong = collections.OrderedDict()
        for sub, sentence in cell.complaints:
            wrong.setdefault(sub, []).append(sentence)
        cases = [(sub.name, sub) for sub in cell.subtests]
        cases += [(name or cell.test, None) for name in wrong if name not in {sub.name for sub in cell.subtests}]
        if not cases:
            cases = [(cell.test, None)]
        for name, sub in cases:
            case = ElementTree.SubElement(suite, "testcase", classname=f"{cell.host}.{cell.variant}.{cell.test}", name=clean(name))
            counts["tests"] += 1
            sentences = wrong.get(name if sub or name in wrong else None)
            if sentences:
                counts["failures"] += 1
                ElementTree.SubElement(case, "failure", message=clean(sentences[0].split("\n")[0])).text = clean("\n".join(sentences))
            elif sub and sub.result == "skip":
                counts["skipped"] += 1
                ElementTree.SubElement(case, "skipped", message=clean(sub.why or ""))
            elif sub and sub.result == "fail":
                ElementTree.SubElement(case, "system-out").text = clean(f"red, as declared: {sub.why}")
        totals += counts
        for name in ("tests", "failures", "skipped"):
            suite.set(name, str(counts[name]))
    if run.console_complaints:
        suite = ElementTree.SubElement(root, "testsuite", name="console", tests=str(len(run.console_complaints)),
                                       failures=str(len(run.console_complaints)), skipped="0")
        for host, variant, sentence in run.console_complaints:
            case = ElementTree.SubElement(suite, "testcase", classname=f"{host}.{variant}", name="console")
            ElementTree.SubElement(case, "failure", message=clean(sentence))
            totals.update(tests=1, failures=1)
    for name in ("tests", "failures", "skipped"):
        root.set(name, str(totals[name]))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def history(run):
    """One line for each red that is left to chance, after each run."""
    lines = [f"{time.strftime('%Y-%m-%dT%H:%M:%S')}\t{run.base}\t{run.kind}\t{c.host}\t{c.test}.{c.subtest}\t"
             f"{'hit' if c.hit else 'not hit'}\t{c.reason}\n" for c in run.chances()]
    if lines:
        with open(os.path.join(os.path.dirname(os.path.abspath(run.folder)), "history"), "a", encoding="utf-8") as out:
            out.writelines(lines)


def report(run, keep=True, fresh=False):
    """Judge, print, write: the exit status."""
    run.judge()
    complaints = run.complaints()
    passed, failed = run.counts()
    print("\n" + heading(run) + table(run))
    print(taken_text(run), end="")
    if complaints:
        print("\nnot as it must be:")
        print("\n".join("  " + sentence for sentence in complaints))
    if chance_text(run):
        print("\n" + chance_text(run), end="")
    if keep:
        reds = os.path.join(run.folder, "reds")
        write(reds, reds_text(run))
        write(os.path.join(run.folder, "junit.xml"), as_junit(run))
        if fresh:
            history(run)
        write(os.path.join(run.folder, "results.ktap"), ktap.of_run(run))
        # The last one: it says that there is a verdict.
        write(os.path.join(run.folder, "results.json"), json.dumps(kcidb.of_run(run, columns(run)), indent=1) + "\n")
        count = sum(len(cell.reds) for cell in run.cells.values())
        print(f"\n{count} reds, and what is skipped as declared: {reds}")
        packed = travel.pack(run)
        if packed:
            print(f"{packed} tests with a red, each as a folder for another machine: {os.path.join(run.folder, travel.FOLDER)}")
    print(f"\nlab: {passed} passed, {failed} failed")
    return 1 if complaints or failed else 0
