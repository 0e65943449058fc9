#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
#
# The results of emulated hosts: the only reader of what they say (KTAP and the kernel's
# log on a console), and the verdict on it by patches/expect.  `results.py -h` lists what
# scripts call.

import argparse
import base64
import collections
import gzip
import json
import os
import re
import sys
import time
import xml.etree.ElementTree as ElementTree

import expect

LABELS = {"x86": "AMD", "arm64": "ARM", "riscv": "RISC-V"}
STAMP = re.compile(r"^\[ *[0-9.]+\] ")
BOOT = re.compile(r"^\[ +0\.000000\] ")
RESULT = re.compile(r"^lab: (not )?ok [0-9]+ (?:- )?(.*?)(?: *#(.*))?$")
RUN = re.compile(r"^lab: #  RUN +(?:global\.)?([^ ]+)")
PLAN = re.compile(r"^lab: 1\.\.([0-9]+)")
# What a host sends of itself at its end, packed.
FILES = ("lockdep_stats", "lockdep", "lockdep_chains", "gcov.tar")


def die(sentence):
    print(f"results.py: {sentence}", file=sys.stderr)
    sys.exit(1)


def lines_of(file):
    if not os.path.exists(file):
        return
    with open(file, encoding="utf-8", errors="replace", newline="\n") as text:
        for line in text:
            yield line.rstrip("\r\n")


def write(file, text):
    """Whole, or not at all."""
    with open(file + ".tmp", "w", encoding="utf-8", errors="replace") as out:
        out.write(text)
    os.rename(file + ".tmp", file)


# Reports of the kernel.

def splats(who=("all", "lab")):
    rows, errors = expect.rows_of_splats(os.path.join(expect.TOP, "tools/lab/splats"))
    if errors:
        die(errors[0])
    return [pattern for reader, pattern in rows if reader in who]


SPLAT = re.compile("|".join(splats()))


def is_splat(line):
    """What the lab itself says begins with "lab: "."""
    return not line.startswith("lab: ") and SPLAT.search(line) is not None


# What one test has said.

class Section:
    """A subtest: what it has reported, and its part of the log."""

    def __init__(self, name, ok, directive, lines):
        self.name, self.ok, self.lines = name, ok, lines
        self.skip = None
        if ok and directive and re.match(r" (SKIP|XFAIL|XPASS|TODO)", directive):
            self.skip = re.sub(r"^ SKIP *", "", directive).strip()


class Log:
    """The log of a test: its subtests, its plan, and each report of the kernel with the
    subtest in whose part it is."""

    def __init__(self, lines):
        self.sections, self.reports, self.plan = [], [], 0
        lines = [STAMP.sub("", line) for line in lines]
        part, running, last = [], None, None
        pending = []
        for line in lines:
            run = RUN.match(line)
            if run:
                self.charge(pending, running or last)
                part, pending, running = [], [], run[1]
            part.append(line)
            if is_splat(line):
                pending.append(line)
            plan = PLAN.match(line)
            if plan:
                self.plan += int(plan[1])
            result = RESULT.match(line)
            if result:
                name = re.sub(r"^global\.", "", result[2])
                self.sections.append(Section(name, not result[1], result[3], part))
                self.charge(pending, name)
                part, pending, running, last = [], [], None, name
        self.charge(pending, running or last)

    def charge(self, lines, subtest):
        self.reports += [(line, subtest) for line in lines]


def trim(line, most=110):
    line = re.sub(r"^(lab: )?[ #]*([^ :]*\.[ch]:[0-9]+:[a-z0-9_]+:)?", "", line, count=1)
    return line[:most - 3] + "..." if len(line) > most else line


def cause(lines, known):
    """Why a subtest failed that nobody has declared: the kernel's first report, and the
    first check that failed with what the test said of it; of a test that checks by itself,
    its last words."""
    report = check = said = last = ""
    for before, line in zip([""] + lines, lines):
        text = "\n    " + trim(line, 400)
        if not report and is_splat(line) and not known(line):
            report = text
        asserted = before.startswith("lab: ==== Test Assertion Failure")
        if not asserted and (not line.startswith("lab: #") or
                             re.search(r"^lab: # +(RUN|FAIL) |: Test failed$|^lab: # program: ", line)):
            continue
        if asserted or re.search(r":Expected |: Test terminated ", line):
            if check:
                break
            check = text
        elif not check:
            last = text
        elif not said:
            said = text
    return report + (check + said if check else last)


# A boot of a host: from its console to a file a test.

def split_console(lines):
    """(test, its lines, how it ended) for each test of one boot."""
    test = None
    for line in lines:
        text = STAMP.sub("", line)
        if text.startswith("lab: begin "):
            if test:
                yield test, log, "panicked" if status == "panicked" else "died"
            test, log, status = text[11:], [], "died"
        elif test and text.startswith("lab: end "):
            yield test, log, status
            test = None
        elif test:
            log.append(line)
            if re.match(r"lab: exit [0-9]+$", text):
                status = text[5:]
            elif text.startswith("Kernel panic"):
                status = "panicked"
    if test:
        yield test, log, "panicked" if status == "panicked" else "died"


def take(folder, timed_out, tests):
    """Put away what a boot has said, and return the tests that are still to be run."""
    boot = os.path.join(folder, "console.boot")
    console = list(lines_of(boot))
    for test, log, status in split_console(console):
        if status == "died" and timed_out == "124":
            status = "hung"
        texts = [STAMP.sub("", line) for line in log]
        write(os.path.join(folder, test + ".log"), "".join(line + "\n" for line in log))
        write(os.path.join(folder, test + ".ktap"), "".join(
            text[5:] + "\n" for text in texts if text.startswith("lab: ") and not re.match(r"lab: exit [0-9]+$", text)))
        write(os.path.join(folder, test + ".status"), status + "\n")
    for name in FILES:
        mark = f"lab: file: {name} "
        packed = "".join(text[len(mark):] for text in map(lambda line: STAMP.sub("", line), console) if text.startswith(mark))
        if packed:
            try:
                content = gzip.decompress(base64.b64decode(packed))
            except (OSError, EOFError, ValueError):
                die(f"the host did not send the whole of {name}, see {boot}: run the same command again")
            with open(os.path.join(folder, name + ".tmp"), "wb") as out:
                out.write(content)
            os.rename(os.path.join(folder, name + ".tmp"), os.path.join(folder, name))
    with open(os.path.join(folder, "console"), "a", encoding="utf-8", errors="replace") as out:
        out.writelines(line + "\n" for line in console if "lab: file: " not in line)
    os.remove(boot)
    return [test for test in tests if not os.path.exists(os.path.join(folder, test + ".status"))]


def join(folder):
    """Put together what the hosts have left that ran a part of the subtests each, in
    FOLDER.1 and so on, as if one host had run all of them."""
    parts = [part for part in (f"{folder}.{number}" for number in range(1, 100)) if os.path.isdir(part)]
    ends = {}
    for part in parts:
        os.makedirs(folder, exist_ok=True)
        for name in sorted(os.listdir(part)):
            lines = list(lines_of(os.path.join(part, name)))
            if name.endswith(".status"):
                ends.setdefault(name, []).extend(lines[:1])
            if name != "console" and not name.endswith(".log"):
                continue
            if name == "console" and not any("lab: done" in line for line in lines):
                lines.append("lab: error: the host did not come to its end")
            with open(os.path.join(folder, name), "a", encoding="utf-8", errors="replace") as out:
                out.writelines(line + "\n" for line in lines)
    for name, statuses in ends.items():
        # The worst of all.
        write(os.path.join(folder, name), max(statuses, key=lambda end: {"exit 0": 0, "exit 1": 1}.get(end, 2)) + "\n")


class Console:
    """What all boots of a host have said outside of its tests."""

    def __init__(self, file, judged):
        self.empty, self.finished, self.reports, self.errors = True, False, [], []
        test = last = None
        for line in lines_of(file):
            self.empty = False
            if BOOT.match(line):
                test = None
            text = STAMP.sub("", line)
            if text.startswith("lab: begin "):
                test = last = text[11:]
            elif text.startswith("lab: end "):
                test = None
            elif text.startswith("lab: done"):
                self.finished = True
            elif text.startswith("lab: error: "):
                self.errors.append((text, last))
            elif is_splat(text) and test not in judged:
                self.reports.append(text)


# The verdict.

Subtest = collections.namedtuple("Subtest", "name result as_declared why")
Chance = collections.namedtuple("Chance", "test host variant subtest reason command hit")


class Cell:
    """One test on one host."""

    def __init__(self, test, host, variant):
        self.test, self.host, self.variant = test, host, variant
        self.text, self.ok = "", False
        self.subtests, self.complaints = [], []
        self.reds, self.left_out, self.chances = [], [], []

    def complain(self, sentence, subtest=None):
        self.complaints.append((subtest, sentence))

    def where(self):
        return f"{self.test} on {self.host}, patches: {self.variant}"


class Run:
    """What was run, and where its results are."""

    KEYS = ("base", "hosts", "variants", "tests", "kernel", "patch", "sure", "kind")

    def __init__(self, folder, tables, base, hosts, variants, tests=(), kernel="lab", patch=None, sure=False, kind="lab"):
        self.folder, self.tables, self.base = folder, tables, base
        self.hosts, self.variants, self.tests = list(hosts), list(variants), list(tests)
        self.kernel, self.patch, self.sure, self.kind = kernel, patch, sure, kind
        self.series = tables.series[base]

    def about(self):
        return {key: getattr(self, key) for key in self.KEYS}

    def path(self, host, variant, name):
        return os.path.join(self.folder, f"{host}-{variant}", name)

    def applied(self, variant):
        """The patches that a kernel has."""
        if variant == "none":
            return set()
        if variant.startswith("all"):
            left_out = expect.left_out(self.base, self.tables.top) if self.kernel == "debian" else []
            return set(self.series) - set(left_out)
        return set(self.series[:int(variant)])

    def tests_of(self, host):
        tests = self.tables.tests(self.base, host, self.kernel)
        if self.patch:
            mine = {row.test for row, hosts in self.tables.proofs(self.base).get(self.patch, []) if host in hosts}
            tests = [test for test in tests if test in mine]
        return [test for test in tests if not self.tests or test in self.tests]

    # One cell.

    def judge_test(self, test, host, variant):
        cell = Cell(test, host, variant)
        expectations = self.tables.expectations(self.base, test, host, self.kernel)
        status = next(lines_of(self.path(host, variant, test + ".status")), "not run")
        log = Log(lines_of(self.path(host, variant, test + ".log")))
        judge = Judge(self, cell, expectations, self.applied(variant))
        for section in log.sections:
            judge.section(section)
        judge.missing()
        judge.end(status, log)
        return cell

    # All of it.

    def judge(self):
        self.cells, self.console_complaints = {}, []
        self.all_tests = []
        for host in self.hosts:
            self.all_tests += [test for test in self.tests_of(host) if test not in self.all_tests]
        order = [row.test for row in self.tables.rows]
        self.all_tests.sort(key=order.index)
        if not self.all_tests:
            die("no test is declared for these hosts: see patches/expect")
        for variant in self.variants:
            for host in self.hosts:
                for test in self.tests_of(host):
                    self.cells[test, host, variant] = self.judge_test(test, host, variant)
                if self.patch or variant.startswith("all"):
                    self.judge_console(host, variant)

    def judge_console(self, host, variant):
        """Outside of the tests as well, a kernel with the series reports nothing."""
        tests = self.tests_of(host)
        console = Console(self.path(host, variant, "console"), tests)
        where = f"{host}, patches: {variant}" if self.patch else f"{host} with the series"
        said = []
        if console.reports:
            said.append("the kernel reported: " + trim(console.reports[0]))
        for line, test in console.errors:
            if "lockdep is off" in line and \
               self.tables.expectations(self.base, test, host, self.kernel).is_known("lockdep is turned off", None):
                continue
            said.append(trim(line))
        if not console.empty and not console.finished:
            said.append("the host did not come to its end")
        self.console_complaints += [(host, variant, f"{where}: {sentence}") for sentence in said]

    def complaints(self):
        return [f"{cell.where()}: {sentence}" for cell in self.cells.values() for _, sentence in cell.complaints] + \
               [sentence for _, _, sentence in self.console_complaints]

    def counts(self):
        passed = sum(cell.ok for cell in self.cells.values())
        return passed, len(self.cells) - passed + len(self.console_complaints)

    def chances(self):
        return [chance for cell in self.cells.values() for chance in cell.chances]


class Judge:
    """A cell, subtest by subtest."""

    def __init__(self, run, cell, expectations, applied):
        self.run, self.cell, self.expectations, self.applied = run, cell, expectations, applied
        self.final = cell.variant.startswith("all")
        self.reported, self.excused = set(), set()
        self.ok = self.bad = self.skipped = self.absent = self.red = self.hit = self.open = self.wrong = 0
        self.red_subtests = set()

    def to_come(self, sub):
        return self.expectations.to_come(sub, self.applied)

    def certain(self, rows):
        return [row for row in rows if row.kind != "chance" or self.run.sure]

    def own(self, sub):
        """In the patch-by-patch mode, the rows that this patch turns green."""
        return [row for row, mine in self.expectations.reds.get(sub, []) if mine[-1] == self.run.patch]

    def fail(self, sentence, sub=None):
        self.wrong += 1
        self.cell.complain(sentence, sub)

    def section(self, section):
        sub = section.name
        if sub in self.reported:
            self.fail(f"{sub} has reported twice", sub)
        self.reported.add(sub)
        before = len(self.cell.complaints)
        if section.skip is not None:
            result, why = "skip", self.skip(section)
        elif section.ok:
            result, why = "pass", self.passed(sub)
        else:
            result, why = "fail", self.failed(section)
        self.cell.subtests.append(Subtest(sub, result, len(self.cell.complaints) == before, why))

    def skip(self, section):
        sub = section.name
        if self.run.patch and not self.own(sub):
            self.ok += 1
            return section.skip
        if sub in self.expectations.skips and self.expectations.skips[sub].find([section.skip]) is not None:
            self.excused.add(sub)
            self.absent += 1
            self.cell.left_out.append(("skip", sub, trim(section.skip)))
        else:
            self.skipped += 1
            self.cell.complain(f"{sub} was skipped: {section.skip}", sub)
        return section.skip

    def passed(self, sub):
        self.ok += 1
        rows = self.to_come(sub)
        if self.run.patch:
            rows = [row for row in self.own(sub) if row in rows]
        certain = self.certain(rows)
        if certain and not self.final:
            self.cell.complain(f"{sub} passed and must be red: {certain[0].reason.text}", sub)
        self.count_chances(sub, None)

    def failed(self, section):
        sub = section.name
        self.bad += 1
        if self.run.patch and not self.own(sub):
            return None
        rows = self.to_come(sub)
        if self.run.patch and self.cell.variant == self.run.variants[0]:
            rows = self.own(sub)
        wanted, found = [row.reason for row in rows], None
        if sub in self.expectations.opens:
            wanted.append(self.expectations.opens[sub])
        for row in rows:
            line = row.reason.find(section.lines)
            if line is not None and not found:
                found = row, trim(line)
        if self.run.patch and self.cell.variant != self.run.variants[0]:
            again = next((row for row in self.own(sub) if row.reason.find(section.lines) is not None), None)
            if again:
                self.fail(f"{sub} failed for the reason that this patch removes: {again.reason.text}", sub)
                return trim(again.reason.find(section.lines))
        opened = sub in self.expectations.opens and self.expectations.opens[sub].find(section.lines)
        if opened or (found and self.final):
            why = trim(opened) if opened else found[1]
            self.excused.add(sub)
            self.open += 1
            self.cell.left_out.append(("open", sub, why))
            return why
        if found:
            self.red_subtests.add(sub)
            if self.certain(rows):
                self.red += 1
            else:
                self.hit += 1
            self.cell.reds.append((found[0], sub, found[1]))
            self.count_chances(sub, section.lines)
            return found[1]
        known = lambda line: self.expectations.is_known(line, sub)
        self.fail(f"{sub} failed" + (", and not for the declared reason: " + " or: ".join(r.text for r in wanted) if wanted
                                     else ", and no red is declared") + cause(section.lines, known), sub)
        self.count_chances(sub, section.lines)
        return cause(section.lines, known).strip().split("\n")[0]

    def count_chances(self, sub, lines):
        if self.final or self.run.patch:
            return
        for row in self.to_come(sub):
            if row.kind == "chance":
                self.cell.chances.append(Chance(self.cell.test, self.cell.host, self.cell.variant, sub, row.reason.text,
                                                row.note, lines is not None and row.reason.find(lines) is not None))

    def missing(self):
        exempt = {} if self.run.patch else dict.fromkeys(self.expectations.skips, "skipped, and was not")
        if not self.run.patch:
            exempt.update(dict.fromkeys(self.expectations.opens, "open, and was not red"))
            if self.final:
                exempt.update({sub: "open, and was not red" for sub in self.expectations.reds if self.certain(self.to_come(sub))})
        for sub, what in exempt.items():
            if sub not in self.excused:
                self.fail(f"{sub} is declared as {what}", sub)
        for sub in self.expectations.declared():
            if sub not in self.reported and (not self.run.patch or self.own(sub)):
                self.fail(f"{sub} is declared and did not run", sub)

    def end(self, status, log):
        cell = self.cell
        total = self.ok + self.bad + self.skipped + self.absent
        if status not in ("exit 0", "exit 1"):
            cell.complain(f"the test did not come to its end: {status}")
            cell.text = f"ERROR {status}"
            return
        if (status == "exit 1") != (self.bad > 0):
            cell.complain(f"{self.bad} subtests failed, and the test ended with {status}")
            cell.text = "ERROR"
            return
        if log.plan == 0 or log.plan != total:
            cell.complain(f"planned {log.plan} subtests and reported {total}")
            cell.text = "ERROR"
            return
        self.reports(log)
        declared = self.declared()
        if self.wrong or self.skipped:
            cell.text = "WRONG"
        elif len(declared) != self.red:
            cell.complain(f"{self.red} of {len(declared)} declared reds were red")
            cell.text = "WRONG"
        else:
            cell.ok = True
            cell.text = self.as_it_must(declared, log.plan)

    def declared(self):
        """The subtests that have to be red."""
        if self.final:
            return []
        subs = list(self.expectations.reds)
        if self.run.patch:
            if self.cell.variant != self.run.variants[0]:
                # Those that other patches keep red may be red.
                return [sub for sub in subs if sub in self.red_subtests and self.certain(self.to_come(sub))]
            return [sub for sub in subs if self.certain(self.own(sub))]
        return [sub for sub in subs if self.certain(self.to_come(sub))]

    def as_it_must(self, declared, plan):
        if self.run.patch:
            own = [sub for sub in self.expectations.reds if self.certain(self.own(sub))]
            return f"red {len(own)}" if self.cell.variant == self.run.variants[0] else f"green {len(own)}"
        if declared or self.hit:
            return f"red {self.bad - self.open}/{plan}" + (f", {self.hit} by chance" if self.hit else "")
        return f"green {self.ok}/{plan}" + (f", {self.open} open" if self.open else "")

    def reports(self, log):
        unknown = [(line, sub) for line, sub in log.reports if not self.expectations.is_known(line, sub)]
        if self.run.patch:
            unknown = [(line, sub) for line, sub in unknown if not (self.to_come(sub) if sub else self.red_subtests)]
        elif self.red or self.hit or (not self.final and self.declared()):
            unknown = []
        if unknown:
            line, sub = unknown[0]
            self.fail("the kernel reported: " + trim(line), sub)


# The table as a person reads it, and for machines.

def title(host, variant):
    return LABELS.get(host, host) + " " + {"none": "without", "all": "with"}.get(variant, variant)


def table(run):
    heads = [(host, variant) for variant in run.variants for host in run.hosts]
    rows = [["test"] + [title(*head) for head in heads]]
    for test in run.all_tests:
        cells = [run.cells.get((test, host, variant)) for host, variant in heads]
        rows.append([test] + [cell.text if cell else "-" for cell in cells])
    widths = [max([26 if i == 0 else 14] + [len(row[i]) for row in rows]) for i in range(len(rows[0]))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows)


def reds_text(run):
    out = []
    for row in run.tables.rows:
        for cell in run.cells.values():
            out += [f"  {','.join(s for s in run.series if s in row.patches)}  {LABELS.get(cell.host, cell.host)} "
                    f"{cell.test}.{sub}: {why}" for red, sub, why in cell.reds if red is row]
    text = "red without its patch, and why:\n" + "\n".join(out) + "\n" if out else ""
    for kind, head in (("skip", "skipped, as declared:"), ("open", "red with the series as well, as declared:")):
        lines = list(dict.fromkeys(f"  {LABELS.get(cell.host, cell.host):6} {cell.test}.{sub}: {why}"
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
            key = f"{chance.test} on {LABELS.get(chance.host, chance.host)} ({chance.command})"
            missed.setdefault(key, []).append(chance.subtest)
    hits = sum(chance.hit for chance in chances)
    text = f"left to chance: hit {hits} of {len(chances)}, not hit: {len(chances) - hits} of {len(chances)}\n"
    for where, subs in missed.items():
        count = collections.Counter(subs)
        text += f"  {where}: " + ", ".join(sub + (f" (for {n} reasons)" if n > 1 else "") for sub, n in count.items()) + "\n"
    return text


def as_json(run):
    passed, failed = run.counts()
    return {
        "run": run.about(), "passed": passed, "failed": failed, "complaints": run.complaints(),
        "chances": [chance._asdict() for chance in run.chances()],
        "cells": [{"test": cell.test, "host": cell.host, "variant": cell.variant, "cell": cell.text, "ok": cell.ok,
                   "complaints": [sentence for _, sentence in cell.complaints],
                   "subtests": [sub._asdict() for sub in cell.subtests]} for cell in run.cells.values()],
    }


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
    with open(os.path.join(os.path.dirname(os.path.abspath(run.folder)), "history"), "a", encoding="utf-8") as out:
        out.writelines(lines)


def report(run, keep=True, fresh=False):
    """Judge, print, write: the exit status."""
    run.judge()
    complaints = run.complaints()
    passed, failed = run.counts()
    print("\n" + table(run))
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
        write(os.path.join(run.folder, "results.json"), json.dumps(as_json(run), indent=1) + "\n")
        count = sum(len(cell.reds) for cell in run.cells.values())
        print(f"\n{count} reds, and what is skipped as declared: {reds}")
    print(f"\nlab: {passed} passed, {failed} failed")
    return 1 if complaints or failed else 0


# Upstream's own selftests: the same without and with the series, and as they are listed.

class Upstream:
    def __init__(self, folder, file, hosts, variants):
        self.folder, self.file, self.hosts, self.variants = folder, os.path.relpath(file, expect.TOP), hosts, variants
        rows, errors = expect.rows_of(file, 4, 5)
        if errors:
            die(errors[0])
        self.listed, self.known = {}, {}
        for _, (test, where, result, _, *report) in rows:
            for host in where.split(","):
                self.listed[test, host] = result
                self.known[test, host] = report[0] if report else ""
        self.differences, self.count = [], collections.defaultdict(collections.Counter)

    @staticmethod
    def plain(text):
        """A line without what differs from run to run."""
        return re.sub(r"[0-9]+", "N", re.sub(r"0x[0-9a-f]+", "0x", text))

    @staticmethod
    def clip(text):
        text = text.lstrip(" ")
        return text[:97] + "..." if len(text) > 100 else text

    def look(self, test, host, variant):
        folder = os.path.join(self.folder, f"{host}-{variant}")
        status = next(lines_of(os.path.join(folder, test + ".status")), "not run")
        detail, reports, said = [], [], ""
        for line in lines_of(os.path.join(folder, test + ".log")):
            line = STAMP.sub("", line)
            if is_splat(line) and self.plain(line) not in reports:
                reports.append(self.plain(line))
            if not line.startswith("lab: "):
                continue
            text = line[5:]
            if re.match(r"(not )?ok [0-9]+ ", text):
                detail.append(self.plain(re.sub(r" *# SKIP.*", " # SKIP", text)))
            if re.match(r" +[^ ]+\.[ch]:[0-9]+: ", text):
                said = text
            elif not said and re.search(r"# SKIP|^not ok|not supported|not configured", text):
                said = text
        result = {"exit 0": "pass", "exit 4": "skip"}.get(status)
        if not result:
            result = "time" if re.match(r"exit (124|137|143)$", status) else "fail" if status.startswith("exit ") else status
        # How far it came until then is chance.
        return result, [] if result == "time" else detail, "".join(r + "; " for r in reports), said

    def times(self, host, variant):
        """The seconds of each test, from the kernel's log of the host."""
        took, began = {}, 0.0
        for line in lines_of(os.path.join(self.folder, f"{host}-{variant}", "console")):
            at = re.match(r"\[ *([0-9.]+)\] lab: (begin|end) (.*)", line)
            if at and at[2] == "begin":
                began = float(at[1])
            elif at:
                took[at[3]] = float(at[1]) - began
        return took

    def judge(self, record=False):
        for host in self.hosts:
            took = {variant: self.times(host, variant) for variant in self.variants}
            for test in lines_of(os.path.join(self.folder, host + ".tests")):
                seen = [self.look(test, host, variant) for variant in self.variants]
                for variant, one in zip(self.variants, seen):
                    self.count[host, variant].update({one[0]: 1, "tests": 1, "seconds": took[variant].get(test, 0)})
                if record:
                    self.record(test, host, seen[0], [took[variant].get(test, 0) for variant in self.variants])
                elif self.listed.get((test, host)) != "unsteady":
                    self.compare(test, host, seen[0], seen[-1])

    def compare(self, test, host, first, last):
        complain = lambda text: self.differences.append(f"{LABELS.get(host, host):6} {test:34} {text}")
        because = lambda said: ": " + self.clip(said) if said else ""
        want = self.listed.get((test, host), "pass")
        if last[0] != first[0]:
            complain(f"{first[0]} without the series, {last[0]} with it{because(last[3])}")
        elif last[1] != first[1]:
            complain(f"subtests differ: see {self.folder}/{host}-*/{test}.ktap")
        if last[2] != first[2]:
            complain(f"the kernel reports without the series: {self.clip(first[2]) or 'nothing'} with it: {self.clip(last[2]) or 'nothing'}")
        if first[0] != want:
            complain(f"{first[0]} without the series, and {want} is what its list says{because(first[3])}")
        known = self.known.get((test, host))
        if first[2] and not (known and re.search(known, first[2])):
            complain(f"the kernel reports without the series: {self.clip(first[2])}")

    def record(self, test, host, first, took):
        if first[0] != "pass" or first[2]:
            print("\t".join([test, host, first[0], self.clip(first[3])] + ([first[2]] if first[2] else [])))
        if took[0] > 20:
            print(f"# {test} {host} {first[0]}: " + ", ".join(f"{int(t)} s" for t in took))

    def report(self):
        names = ("tests", "pass", "skip", "fail", "time")
        print("\n%-7s %-8s %6s %6s %6s %6s %6s %6s %9s" % ("host", "series", *names, "other", "seconds"))
        for host in self.hosts:
            for variant in self.variants:
                count = self.count[host, variant]
                numbers = [count[name] for name in names]
                print("%-7s %-8s %6d %6d %6d %6d %6d %6d %9d" % (LABELS.get(host, host), "without" if variant == "none" else "with",
                                                               *numbers, numbers[0] - sum(numbers[1:]), count["seconds"]))
                if not numbers[0]:
                    self.differences.append(f"{LABELS.get(host, host):6} no test was run, patches: {variant}")
        if self.differences:
            print("\nnot as it must be:")
            print("\n".join("  " + text for text in self.differences))
        print(f"\nupstream's selftests: {len(self.differences)} differences")
        about = {"kind": "upstream", "list": self.file, "hosts": self.hosts, "variants": self.variants}
        write(os.path.join(self.folder, "results.json"),
              json.dumps({"run": about, "complaints": self.differences,
                          "counts": {f"{host}-{variant}": dict(count) for (host, variant), count in self.count.items()}}, indent=1) + "\n")
        return 1 if self.differences else 0


# What the kit for real hosts leaves, where tools/testing/kit.sh runs it.

def check_kit(folder):
    """KTAP with plans that are kept, no skip without a reason, and JUnit that counts the same."""
    wrong = []
    file = os.path.join(folder, "kselftest.ktap")
    planned = done = tests = total = 0
    for number, line in enumerate(lines_of(file), 1):
        complain = lambda text: wrong.append(f"{file}:{number}: {text}")
        if number == 1 and line != "TAP version 13":
            complain("no version")
        if number == 2:
            total = int(line[3:]) if re.match(r"1\.\.[1-9][0-9]*$", line) else complain("no plan") or 0
        inner = re.match(r"# 1\.\.([1-9][0-9]*)$", line)
        result = re.match(r"(# )?(not )?ok ([0-9]+) ", line)
        if inner or (result and not result[1]):
            if planned != done:
                complain(f"planned {planned}, reported {done}")
            planned, done = int(inner[1]) if inner else 0, 0
        if result:
            done, tests = (done + 1, tests) if result[1] else (done, tests + 1)
            if int(result[3]) != (done if result[1] else tests):
                complain(f"not number {done if result[1] else tests}")
        if re.search(r"# SKIP *$", line):
            complain("a skip without a reason")
    if not total or tests != total:
        wrong.append(f"{file}: {total} tests were planned, and {tests} reported")
    return wrong


def check_kit_junit(folder):
    root = ElementTree.parse(os.path.join(folder, "junit.xml")).getroot()
    cases, failed, skipped = (root.findall("testsuite/testcase" + what) for what in ("", "/failure", "/skipped"))
    have = [len(cases) - len(failed) - len(skipped), len(failed), len(skipped)]
    said = [line.split()[1:4] for line in lines_of(os.path.join(folder, "summary.txt")) if line.startswith("all ")]
    wrong = []
    if said != [[str(n) for n in have]]:
        wrong.append(f"the summary says {said}, and JUnit {have}")
    if have[1] != int(root.get("failures")) or have[2] != int(root.get("skipped")) or len(cases) != int(root.get("tests")):
        wrong.append(f"JUnit counts {root.attrib}, and has {have}")
    if not all(one.get("message") for one in failed + skipped) or not all((one.text or "").strip() for one in failed):
        wrong.append("a failure or a skip does not say why")
    return wrong


# The list of reports, as the C tests have it.

HEADER = "tools/testing/selftests/kvm/include/kvm_lifecycle.h"


def splats_in_c():
    return "".join('\t\t"{}",\n'.format(pattern.replace("\\", "\\\\").replace('"', '\\"')) for pattern in splats(("all",)))


def check_header():
    with open(os.path.join(expect.TOP, HEADER), encoding="utf-8") as text:
        found = re.search(r"kmsg_splats\[\] = \{\n(.*?)\t\};", text.read(), re.S)
    if not found or found[1] != splats_in_c():
        return [f"{HEADER}: kmsg_splats[] is not what tools/lab/splats has: tools/lab/results.py splats prints it"]
    return []


# Commands.

def words(text):
    return text.split()


def again(folder, tables):
    """Judge an old run, or each of several in one folder."""
    if not os.path.isdir(folder):
        die(f"RESULTS={folder} is no folder: name one of results/")
    file = os.path.join(folder, "results.json")
    runs = [name for name in sorted(os.listdir(folder)) if os.path.exists(os.path.join(folder, name, "results.json"))]
    if not os.path.exists(file) and runs:
        return max(again(os.path.join(folder, name), tables) for name in runs)
    if not os.path.exists(file):
        return report(unfinished(folder, tables))
    with open(file, encoding="utf-8") as text:
        about = json.load(text)["run"]
    if about["kind"] == "upstream":
        run = Upstream(folder, os.path.join(expect.TOP, about["list"]), about["hosts"], about["variants"])
        run.judge()
        return run.report()
    return report(Run(folder, tables, **about))


def unfinished(folder, tables):
    """What was run, from the names of folders: there is no verdict yet."""
    names = [match for match in map(re.compile(r"([a-z0-9]+)-(none|all[a-z-]*|[0-9]+)$").match, sorted(os.listdir(folder))) if match]
    base = next((base for base in tables.series if os.path.basename(os.path.realpath(folder)).endswith(base)), None)
    if not names or not base:
        die(f"{folder} does not say what was run: name a folder results/DATE-BASE with HOST-PATCHES in it")
    hosts = sorted({match[1] for match in names}, key=list(LABELS).index)
    variants = sorted({match[2] for match in names}, key=lambda v: (v != "none", v.startswith("all"), v.zfill(9)))
    ran = {name[:-7] for match in names for name in os.listdir(os.path.join(folder, match[0])) if name.endswith(".status")}
    every = {test for host in hosts for test in tables.tests(base, host)}
    return Run(folder, tables, base, hosts, variants, [] if every <= ran else sorted(ran & every))


def unproved(tables, base):
    """Patches of a series without a proof and without a reason why there is none."""
    proofs = tables.proofs(base)
    return [slug for slug in tables.series[base] if slug not in proofs and not tables.changes[slug].untested]


def main():
    parser = argparse.ArgumentParser(prog="results.py", description="Reads what emulated hosts have said, and judges it.")
    commands = parser.add_subparsers(dest="command", required=True)

    one = commands.add_parser("take", help="put away what one boot has said; print the tests that are left")
    one.add_argument("folder")
    one.add_argument("timed_out")
    one.add_argument("tests", nargs="*")

    one = commands.add_parser("join", help="put together FOLDER.1, FOLDER.2 ..., the parts of a host")
    one.add_argument("folder")

    one = commands.add_parser("judge", help="the table, and the verdict")
    one.add_argument("folder")
    one.add_argument("--base", required=True)
    one.add_argument("--hosts", type=words, required=True)
    one.add_argument("--variants", type=words, required=True)
    one.add_argument("--tests", type=words, default=[])
    one.add_argument("--kernel", default="lab", choices=("lab", "debian"))
    one.add_argument("--patch", help="what this patch turns green, and nothing else; variants: without and with it")
    one.add_argument("--sure", default="", help="no red is left to chance")
    one.add_argument("--kind", default="lab")

    one = commands.add_parser("again", help="judge an old run again")
    one.add_argument("folder")

    one = commands.add_parser("upstream", help="upstream's own selftests")
    one.add_argument("folder")
    one.add_argument("--list", required=True)
    one.add_argument("--hosts", type=words, required=True)
    one.add_argument("--variants", type=words, default=["none", "all"])
    one.add_argument("--record", default="")

    one = commands.add_parser("tests", help="the tests of a host")
    one.add_argument("base")
    one.add_argument("host")
    one.add_argument("--kernel", default="lab", choices=("lab", "debian"))
    one.add_argument("--any", metavar="TEXT", help="of any base, those with a reason in which this text is")

    for name, text in (("proofs", "a line a proof: patch, host, test"), ("unproved", "patches without a proof or a reason"),
                       ("slugs", "the patches of a series, in order"), ("proof-rows", "the rows that prove each patch")):
        one = commands.add_parser(name, help=text)
        one.add_argument("base")
    commands.add_parser("check", help="the tables and the list of reports have no mistake")
    commands.add_parser("splats", help="the list of reports, as kvm_lifecycle.h has it")
    one = commands.add_parser("kit", help="what the kit for real hosts leaves is valid")
    one.add_argument("what", choices=("ktap", "junit"))
    one.add_argument("folder")

    args = parser.parse_args()
    if args.command == "take":
        print("\n".join(take(args.folder, args.timed_out, args.tests)))
        return 0
    if args.command == "join":
        join(args.folder)
        return 0
    if args.command == "splats":
        print(splats_in_c(), end="")
        return 0
    if args.command == "kit":
        wrong = (check_kit if args.what == "ktap" else check_kit_junit)(args.folder)
        print("\n".join(wrong), end="\n" if wrong else "")
        return 1 if wrong else 0
    if args.command == "upstream":
        run = Upstream(args.folder, args.list, args.hosts, args.variants)
        run.judge(args.record)
        return 0 if args.record else run.report()

    try:
        tables = expect.Tables()
    except expect.Errors as errors:
        die(str(errors))
    if args.command == "check":
        for sentence in check_header():
            die(sentence)
        return 0
    if args.command == "again":
        return again(args.folder, tables)
    if args.base not in tables.series:
        die(f"unknown BASE={args.base}: choose one of {' '.join(tables.series)}")
    if args.command == "judge":
        run = Run(args.folder, tables, args.base, args.hosts, args.variants, args.tests, args.kernel, args.patch,
                  bool(args.sure), args.kind)
        return report(run, fresh=True)
    if args.command == "tests":
        bases = [args.base] + list(tables.series) if args.any is not None else [args.base]
        tests = [test for base in bases for test in tables.tests(base, args.host, args.kernel)
                 if not args.any or any(row.test == test and args.host in row.hosts and args.any in row.reason.text
                                        and (not row.bases or base in row.bases) for row in tables.rows)]
        print("\n".join(dict.fromkeys(tests)))
    elif args.command == "proofs":
        lines = [f"{slug} {host} {row.test}" for slug, rows in tables.proofs(args.base).items() for row, hosts in rows for host in hosts]
        print("\n".join(dict.fromkeys(lines)))
    elif args.command == "unproved":
        print("\n".join(unproved(tables, args.base)))
    elif args.command == "slugs":
        print("\n".join(tables.series[args.base]))
    elif args.command == "proof-rows":
        for slug, rows in tables.proofs(args.base).items():
            for row, hosts in rows:
                print("\t".join([slug, row.test, ",".join(hosts), ",".join(row.subtests), row.kind, row.reason.text,
                                 ",".join(row.patches)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
