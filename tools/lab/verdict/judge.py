# SPDX-License-Identifier: GPL-2.0-only
#
# Is the output of a host as the tables declare it?

import collections
import os

from . import expect
from .logs import Console, Log, cause, die, lines_of, trim

Subtest = collections.namedtuple("Subtest", "name result as_declared why")
Chance = collections.namedtuple("Chance", "test host variant subtest reason command hit")


class Cell:
    """One test on one host."""

    def __init__(self, test, host, variant):
        self.test, self.host, self.variant = test, host, variant
        self.text, self.ok = "", False
        self.subtests, self.complaints = [], []
        self.log, self.status, self.missed, self.report = None, "", [], None
        self.reds, self.left_out, self.chances = [], [], []

    def complain(self, sentence, subtest=None):
        self.complaints.append((subtest, sentence))

    def where(self):
        return f"{self.test} on {self.host}, patches: {self.variant}"


class Run:
    """A run: the kernel, the hosts, and the folder of its results."""

    KEYS = ("base", "hosts", "variants", "tests", "kernel", "patch", "sure", "kind", "level", "linux", "there")

    def __init__(self, folder, tables, base, hosts, variants, tests=(), kernel="lab", patch=None, sure=False, kind="lab",
                 level="full", linux="", there=()):
        self.folder, self.tables, self.base = folder, tables, base
        self.hosts, self.variants, self.tests = list(hosts), list(variants), list(tests)
        self.kernel, self.patch, self.sure, self.kind, self.level = kernel, patch, sure, kind, level
        self.linux, self.there = linux, list(there)
        self.series = tables.series[base]

    def about(self):
        return {key: getattr(self, key) for key in self.KEYS}

    def path(self, host, variant, name):
        return os.path.join(self.folder, f"{host}-{variant}", name)

    def applied(self, variant):
        """The patches that a kernel has."""
        there = set(self.there)
        if variant == "none":
            return there
        if variant.startswith("all"):
            left_out = expect.left_out(self.base, self.tables.top) if self.kernel == "debian" else []
            return set(self.series) - set(left_out) | there
        return set(self.series[:int(variant)]) | there

    def tests_of(self, host):
        tests = self.tables.tests(self.base, host, self.kernel, self.level)
        if self.patch:
            mine = {row.test for row, hosts in self.tables.proofs(self.base).get(self.patch, []) if host in hosts}
            tests = [test for test in tests if test in mine]
        return [test for test in tests if not self.tests or test in self.tests]

    # One cell.

    def judge_test(self, test, host, variant):
        cell = Cell(test, host, variant)
        kernels = [self.kernel] + ["series"] * (self.kernel == "lab" and variant.startswith("all"))
        expectations = self.tables.expectations(self.base, test, host, *kernels)
        status = next(lines_of(self.path(host, variant, test + ".status")), "not run")
        log = Log(lines_of(self.path(host, variant, test + ".log")))
        first = Log(lines_of(self.path(host, variant, test + ".first.log")))
        judge = Judge(self, cell, expectations, self.applied(variant), first)
        for section in log.sections:
            judge.section(section)
        judge.missing()
        judge.end(status, log, first)
        cell.log, cell.status = log, status
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

    def __init__(self, run, cell, expectations, applied, first):
        self.first = first.sections
        self.run, self.cell, self.expectations, self.applied = run, cell, expectations, applied
        self.final = cell.variant.startswith("all")
        self.reported, self.excused = set(), set()
        self.ok = self.bad = self.skipped = self.absent = self.red = self.hit = self.open = self.wrong = self.slow = 0
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
        if section.slow and self.first:
            self.slow += 1
            self.fail(f"{sub} was run twice, and the host is too slow for it: end what else it runs, and run the same command "
                      "again\n    " + trim(section.slow), sub)
            return trim(section.slow)
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
                self.cell.missed.append(sub)
                self.fail(f"{sub} is declared and did not run", sub)

    def end(self, status, log, first):
        cell = self.cell
        total = self.ok + self.bad + self.skipped + self.absent
        if status not in ("exit 0", "exit 1"):
            cell.complain(f"the test did not come to its end: {status}")
            cell.text = f"ERROR {status.split(':')[0]}"
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
        self.first_run(first)
        declared = self.declared()
        if self.slow and self.slow == self.wrong and not self.skipped:
            cell.text = "ERROR slow"
        elif self.wrong or self.skipped:
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

    def first_run(self, log):
        """With the series nothing but the host may have been wrong in a run that was repeated."""
        if not self.final:
            return
        self.reports(log)
        for section in log.sections:
            if not section.ok and not section.slow and section.name not in self.expectations.opens:
                self.fail(f"{section.name} failed in the first run, in which the host was too slow for another one" +
                          cause(section.lines, lambda line: self.expectations.is_known(line, section.name)), section.name)

    def reports(self, log):
        unknown = [(line, sub) for line, sub in log.reports if not self.expectations.is_known(line, sub)]
        if self.run.patch:
            unknown = [(line, sub) for line, sub in unknown if not (self.to_come(sub) if sub else self.red_subtests)]
        elif self.red or self.hit or (not self.final and self.declared()):
            unknown = []
        if unknown:
            line, sub = unknown[0]
            self.cell.report = line
            self.fail("the kernel reported: " + trim(line), sub)
