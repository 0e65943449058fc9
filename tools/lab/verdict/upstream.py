# SPDX-License-Identifier: GPL-2.0-only
#
# Upstream's own selftests: the same without and with the series, and as they are listed.

import collections
import json
import os
import re

from . import expect, kcidb
from .logs import STAMP, die, is_splat, lines_of, write


class Upstream:
    def __init__(self, folder, file, hosts, variants):
        self.folder, self.file, self.hosts, self.variants = folder, os.path.relpath(file, expect.TOP), hosts, variants
        self.about, errors = expect.read_hosts()
        rows, more = expect.rows_of(file, 4, 5)
        for error in errors + more:
            die(error)
        self.listed, self.known = {}, {}
        for _, (test, where, result, _, *report) in rows:
            # By the architecture of its kernel, or by its own name.
            for host in (host for host in hosts if {host, self.about[host].arch} & set(where.split(","))):
                self.listed[test, host] = result
                self.known[test, host] = report[0] if report else ""
        self.differences, self.count, self.tests = [], collections.defaultdict(collections.Counter), []

    @staticmethod
    def plain(text):
        """A line without the parts that differ from run to run."""
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
                    self.tests.append((test, host, variant, one, took[variant].get(test)))
                    self.count[host, variant].update({one[0]: 1, "tests": 1, "seconds": took[variant].get(test, 0)})
                if record:
                    self.record(test, host, seen[0], [took[variant].get(test, 0) for variant in self.variants])
                elif self.listed.get((test, host)) != "unsteady":
                    self.compare(test, host, seen[0], seen[-1])

    def compare(self, test, host, first, last):
        complain = lambda text: self.differences.append(f"{self.about[host].label:6} {test:34} {text}")
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
            print("\t".join([test, self.about[host].arch, first[0], self.clip(first[3])] + ([first[2]] if first[2] else [])))
        if took[0] > 20:
            print(f"# {test} {host} {first[0]}: " + ", ".join(f"{int(t)} s" for t in took))

    def report(self):
        names = ("tests", "pass", "skip", "fail", "time")
        print("\n%-7s %-8s %6s %6s %6s %6s %6s %6s %9s" % ("host", "series", *names, "other", "seconds"))
        for host in self.hosts:
            for variant in self.variants:
                count = self.count[host, variant]
                numbers = [count[name] for name in names]
                print("%-7s %-8s %6d %6d %6d %6d %6d %6d %9d" % (self.about[host].label, "without" if variant == "none" else "with",
                                                               *numbers, numbers[0] - sum(numbers[1:]), count["seconds"]))
                if not numbers[0]:
                    self.differences.append(f"{self.about[host].label:6} no test was run, patches: {variant}")
        if self.differences:
            print("\nnot as it must be:")
            print("\n".join("  " + text for text in self.differences))
        print(f"\nupstream's selftests: {len(self.differences)} differences")
        about = {"kind": "upstream", "list": self.file, "hosts": self.hosts, "variants": self.variants}
        write(os.path.join(self.folder, "results.json"), json.dumps(kcidb.of_upstream(self, about), indent=1) + "\n")
        return 1 if self.differences else 0
