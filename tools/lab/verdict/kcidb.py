# SPDX-License-Identifier: GPL-2.0-only
#
# results.json: a run as KCIDB's I/O schema 5.3 has it (kernelci/kcidb-io, kcidb_io/schema),
# for kernelci.org and other labs.  The kernel without and with the series are two
# checkouts, and a test has the same path on both.
#
# The status is the test's own verdict on the kernel: a declared red is FAIL.  The verdict by
# patches/expect, and the arguments for `results.py again`, are in "misc", which the schema
# leaves to the sender.

import collections
import datetime
import hashlib
import json
import os
import re

from . import bench
from .logs import lines_of

VERSION = {"major": 5, "minor": 3}
ORIGIN = "kvm_lifecycle"
# Of the schema.
EXCERPT = 16384
# As kernelci.org names it.
ARCHES = {"x86": "x86_64"}
COMPILER = re.compile(r"Linux version \S+ \(\S+\) \((.*?), (?:GNU ld|\S*LLD) ")


def name_of(folder):
    """A run, by the path of its folder from the date on, or by its time."""
    parts = os.path.abspath(folder).split(os.sep)
    dated = next((at for at, part in enumerate(parts) if re.match(r"[0-9]{8}-[0-9]{6}-", part)), None)
    if dated is not None:
        return "/".join(parts[dated:])
    return started(folder).strftime("%Y%m%d-%H%M%S-") + parts[-1]


def started(folder):
    file = os.path.join(folder, "started")
    return datetime.datetime.fromtimestamp(int(os.path.getmtime(file if os.path.exists(file) else folder))).astimezone()


def clean(text):
    return text.replace("\0", "?")


def excerpt(lines):
    """The begin and the end: the first has the failed check, the last one the panic."""
    text = clean("".join(line + "\n" for line in lines))
    half = EXCERPT // 2 - 10
    return text if len(text) <= EXCERPT else text[:half] + "\n...\n" + text[-half:]


def path_of(*names):
    """Of a test, as kselftest's are: only these characters are in a path, and dots between."""
    parts = [re.sub(r"[^a-zA-Z0-9_-]", "_", part) for name in names for part in name.split(".")]
    return ".".join(["kselftest", "kvm"] + [part for part in parts if part])


def patchset(run, variant):
    """The hash that the schema asks for; of nothing, nothing."""
    folder = os.path.join(run.tables.top, "patches", run.base)
    names = {name[5:-6]: name for name in os.listdir(folder) if re.match(r"[0-9]{4}-.*\.patch$", name)}
    count = {"none": 0}.get(variant, len(run.series) if variant.startswith("all") else variant)
    hashes = ""
    for slug in run.series[:int(count)]:
        other = os.path.join(folder, run.linux or "none", slug + ".patch")
        with open(other if os.path.exists(other) else os.path.join(folder, names[slug]), "rb") as patch:
            hashes += hashlib.sha256(patch.read()).hexdigest() + "\n"
    return hashlib.sha256(hashes.encode()).hexdigest() if hashes else ""


def status_of(cell, states):
    """Of a test as a whole, by the order of the schema's statuses."""
    if cell.status == "not run" or "did not come as far as this test" in cell.status:
        return "MISS"
    if cell.status == "exit 4":
        return "SKIP"
    if cell.text.startswith("ERROR"):
        return "ERROR"
    if cell.report:
        return "FAIL"
    return next((state for state in ("FAIL", "ERROR", "MISS", "PASS", "SKIP") if state in states), "ERROR")


def number_of(lines):
    """The median of what a subtest has measured."""
    found = next(filter(None, map(bench.measure_in, lines)), None)
    return {"value": found["p50"], "unit": found["unit"]} if found else None


class Data:
    """The objects, each with an ID that no other run has."""

    def __init__(self, folder, hosts):
        self.folder, self.hosts, self.name = folder, hosts, name_of(folder)
        self.lists = {"checkouts": [], "builds": [], "tests": []}
        self.ids = collections.Counter()

    def add(self, kind, names, **fields):
        ident = ":".join([ORIGIN, self.name] + [clean(name) for name in names])
        self.ids[ident] += 1
        if self.ids[ident] > 1:
            ident += f":{self.ids[ident]}"
        fields["misc"] = {key: value for key, value in fields["misc"].items() if value not in (None, "", [])}
        self.lists[kind].append({"id": ident, "origin": ORIGIN, **{key: value for key, value in fields.items() if value is not None}})
        return ident

    def checkout(self, variant, linux, patches, comment, misc):
        name = "v" + re.sub(r"^([0-9]+\.[0-9]+)\.0(?=-|$)", r"\1", linux) if linux else None
        return self.add("checkouts", [variant], git_commit_name=name, patchset_hash=patches, comment=comment,
                        start_time=started(self.folder).isoformat(), valid=True, misc=misc)

    def builds(self, checkout, variant, hosts):
        """The kernel of each host, as the first one that has it has found it."""
        ids = {}
        for host in hosts:
            arch, kernel = self.hosts[host].arch, self.hosts[host].kernel()
            if kernel in ids:
                continue
            folder = os.path.join(self.folder, f"{host}-{variant}")
            console = list(lines_of(os.path.join(folder, "console")))
            compiler = next((found[1] for found in map(COMPILER.search, console) if found), None)
            ids[kernel] = self.add("builds", [variant, kernel], checkout_id=checkout, architecture=ARCHES.get(arch, arch), compiler=compiler,
                                 config_name="kvm-lifecycle", status="PASS" if console else None,
                                 misc={"kernel": next(lines_of(os.path.join(folder, "kernel")), None)})
        return {host: ids[self.hosts[host].kernel()] for host in hosts}

    def test(self, build, host, variant, names, status, **fields):
        self.add("tests", [variant, host, *names], build_id=build, path=path_of(*names), status=status,
                 environment={"comment": f"{self.hosts[host].label}: emulated, {self.hosts[host].emulated_by()}", "misc": {"host": host}}, **fields)

    def done(self):
        return {"version": VERSION, **self.lists}


def of_run(run, columns):
    data = Data(run.folder, run.tables.hosts)
    about = {key: value for key, value in run.about().items() if value is not None}
    builds = {}
    for variant in run.variants:
        cells = [cell for cell in run.cells.values() if cell.variant == variant]
        console = [sentence for _, where, sentence in run.console_complaints if where == variant]
        passed = sum(cell.ok for cell in cells)
        patches = len(run.applied(variant))
        checkout = data.checkout(
            variant, run.linux, patchset(run, variant), f"{patches} patches of kvm-lifecycle, patches/{run.base}" if patches else
            "without kvm-lifecycle", {
                "run": about, "patches": variant, "columns": {name: ok for name, ok in columns.items() if name.endswith("-" + variant)},
                "passed": passed, "failed": len(cells) - passed + len(console),
                "complaints": [f"{cell.where()}: {sentence}" for cell in cells for _, sentence in cell.complaints] + console,
                "chances": [chance._asdict() for cell in cells for chance in cell.chances]})
        builds[variant] = data.builds(checkout, variant, run.hosts)
    for cell in run.cells.values():
        build = builds[cell.variant][cell.host]
        sections = {section.name: section for section in cell.log.sections}
        states = []
        for sub in cell.subtests:
            section = sections[sub.name]
            states.append("ERROR" if section.slow else {"pass": "PASS", "fail": "FAIL", "skip": "SKIP"}[sub.result])
            data.test(build, cell.host, cell.variant, [cell.test, sub.name], states[-1],
                      log_excerpt=excerpt(section.lines) if sub.result == "fail" else None, number=number_of(section.lines),
                      comment=clean(sub.why) if sub.why else None, misc={"as_declared": sub.as_declared})
        for sub in cell.missed:
            states.append("MISS")
            data.test(build, cell.host, cell.variant, [cell.test, sub], "MISS", misc={"as_declared": False})
        status = status_of(cell, states)
        ran = status not in ("MISS", "SKIP")
        data.test(build, cell.host, cell.variant, [cell.test], status, duration=cell.log.seconds,
                  number={"value": states.count("FAIL"), "unit": "failed subtests"} if ran and status != "ERROR" else None,
                  log_excerpt=excerpt(cell.log.lines) if status == "ERROR" else excerpt([cell.report]) if cell.report else None,
                  comment=clean(cell.status) if not cell.status.startswith("exit ") else None,
                  misc={"cell": cell.text, "as_declared": cell.ok, "complaints": [sentence for _, sentence in cell.complaints],
                        "subtests": len(cell.subtests), "log": f"{cell.host}-{cell.variant}/{cell.test}.log"})
    return data.done()


def of_upstream(run, about):
    """Of tests that are not ours, their results as a whole."""
    data = Data(run.folder, run.about)
    builds = {}
    for variant in run.variants:
        checkout = data.checkout(variant, None, None, None, {
            "run": about, "patches": variant, "complaints": run.differences,
            "counts": {host: dict(run.count[host, variant]) for host in run.hosts}})
        builds[variant] = data.builds(checkout, variant, run.hosts)
    for test, host, variant, (result, _, reports, said), seconds in run.tests:
        status = "FAIL" if reports else {"pass": "PASS", "skip": "SKIP", "fail": "FAIL", "not run": "MISS"}.get(result, "ERROR")
        data.test(builds[variant][host], host, variant, [test], status, duration=seconds,
                  log_excerpt=excerpt([reports + said]) if status not in ("PASS", "SKIP") and reports + said else None,
                  comment=clean(said) if status == "SKIP" and said else None,
                  misc={"result": result, "log": f"{host}-{variant}/{test}.log"})
    return data.done()


def run_of(folder):
    """The run, and whether all was as it must be, from the file of either; or of an old one."""
    with open(os.path.join(folder, "results.json"), encoding="utf-8") as text:
        found = json.load(text)
    if "run" in found:
        return found
    checkouts = [one["misc"] for one in found["checkouts"]]
    return {"run": checkouts[0]["run"], "columns": {name: ok for one in checkouts for name, ok in one.get("columns", {}).items()}}
