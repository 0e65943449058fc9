# SPDX-License-Identifier: GPL-2.0-only
#
# The tables patches/expect, patches/needs, patches/changes and patches/topics, the files of
# the hosts in tools/lab/hosts, and their consequences for one kernel.  Any mistake in them
# is an error with the file and the line.

import collections
import os
import re

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))

FIELDS = "test hosts subtests kind reason patches needs bases note".split()
REDS = ("bug", "assertion", "chance")
RUNS = ("pass", "sweep")
KINDS = RUNS + REDS + ("skip", "open", "known")

# The lines of a host's file: those that each has, those that can be there, and those that
# can be there more than once.
HOST_NEEDS = ("label", "arch", "emulator", "machine", "cpu", "smp", "memory", "cmdline", "thread", "boot-seconds")
HOST_MAY = ("default", "like", "config", "devices", "interleave")
HOST_LISTS = ("package", "module")
HOST_VALUES = {"thread": "single|multi", "boot-seconds": "[1-9][0-9]*", "smp": "[1-9][0-9]*", "default": "yes",
               "package": r"\S+\s+\S+", "emulator": r"\S+(\s+\S+)?"}


class Host(collections.namedtuple("Host", "label arch like config emulator")):
    """A host's file, as far as the verdict needs it."""

    def kernel(self):
        """As kernel_of in tools/lib.sh has it."""
        return f"{self.arch}-{self.config}" if self.config else self.arch

    def emulated_by(self):
        return "QEMU TCG" if self.emulator.startswith("qemu") else self.emulator.removesuffix(".sh").capitalize()


Change = collections.namedtuple("Change", "slug topic closes untested unfixed line")
Topic = collections.namedtuple("Topic", "name tree depends about")
Need = collections.namedtuple("Need", "name kernels reason")


class Errors(Exception):
    """One line a mistake: FILE:LINE: SENTENCE."""


def expand(text):
    """a.{b,c} is a.b and a.c, as in a shell."""
    found = re.search(r"\{([^{}]*)\}", text)
    if not found:
        return [text]
    return [one for middle in found[1].split(",")
            for one in expand(text[:found.start()] + middle + text[found.end():])]


def split_list(text):
    """The items of a list in which commas in braces do not count."""
    if text == "-":
        return []
    return [one for item in re.split(r",(?![^{]*\})", text) for one in expand(item)]


class Reason:
    """An expression, or several of which each has to match a line."""

    def __init__(self, text):
        self.text = text
        self.parts = [re.compile(part) for part in text.split(" && ")]

    def find(self, lines):
        """The first line that matches the first part, if all parts match some line."""
        first = next((line for line in lines if self.parts[0].search(line)), None)
        if all(any(part.search(line) for line in lines) for part in self.parts[1:]):
            return first
        return None


class Row:
    def __init__(self, line, fields):
        self.line = line
        for name, text in zip(FIELDS, fields + ["-"] * len(FIELDS)):
            setattr(self, name, text)
        for name in ("hosts", "subtests", "patches", "needs", "bases"):
            setattr(self, name, split_list(getattr(self, name)))


def lines_of(file):
    """Each line of a table that is a row, and where it is.  Blanks at its end count."""
    with open(file, encoding="utf-8") as table:
        for number, line in enumerate(table, 1):
            line = line.rstrip("\n")
            if line and not line.startswith("#"):
                yield f"{os.path.relpath(file, TOP)}:{number}", line


def rows_of(file, least, most):
    """The rows of a table, and the mistakes in their form."""
    rows, errors = [], []
    for where, line in lines_of(file):
        fields = line.split("\t")
        if not least <= len(fields) <= most:
            errors.append(f"{where}: {len(fields)} fields, and a row has {least} to {most}: separate them by one tab")
        elif any(f != f.strip() or not f for f in fields):
            errors.append(f"{where}: a field is empty, or begins or ends with a blank: separate them by one tab, - is none")
        else:
            rows.append((where, fields))
    return rows, errors


# The readers of a report of tools/lab/splats.
READERS = ("all", "stall", "lab")


def rows_of_splats(file):
    """Of tools/lab/splats: one of READERS, and an expression."""
    rows, errors = [], []
    for where, line in lines_of(file):
        who, tab, pattern = line.partition("\t")
        try:
            re.compile(pattern)
        except re.error as error:
            errors.append(f"{where}: no regular expression: {error}")
        if who not in READERS or not tab or not pattern or "\t" in pattern:
            errors.append(f"{where}: a row is all, stall or lab, one tab, and an expression")
        rows.append((who, pattern))
    return rows, errors


def read_hosts(top=TOP):
    """The emulated hosts by their names, and the mistakes in their files."""
    hosts, errors = {}, []
    folder = os.path.join(top, "tools/lab/hosts")
    with open(os.path.join(top, "tools/lab/arches"), encoding="utf-8") as table:
        arches = [line.split()[0] for line in table if line.strip() and not line.startswith("#")]
    for name in sorted(os.listdir(folder)):
        fields = {}
        with open(os.path.join(folder, name), encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip() or line.startswith("#"):
                    continue
                key, value = (line.split(None, 1) + [""])[:2]
                where = f"tools/lab/hosts/{name}:{number}"
                if key not in HOST_NEEDS + HOST_MAY + HOST_LISTS:
                    errors.append(f"{where}: unknown {key}: choose from {' '.join(HOST_NEEDS + HOST_MAY + HOST_LISTS)}")
                elif key in fields and key not in HOST_LISTS:
                    errors.append(f"{where}: a second line {key}")
                elif not re.fullmatch(HOST_VALUES.get(key, ".+"), value.strip()) or (key == "arch" and value.strip() not in arches):
                    errors.append(f"{where}: {key} cannot be {value.strip() or 'empty'}")
                fields[key] = value.strip()
        if not re.fullmatch("[a-z][a-z0-9-]*", name):
            errors.append(f"tools/lab/hosts/{name}: a host's name has small letters, digits and -")
        errors += [f"tools/lab/hosts/{name}: there is no line {key}" for key in HOST_NEEDS if key not in fields]
        hosts[name] = Host(fields.get("label", name), fields.get("arch"), fields.get("like"), fields.get("config"), fields.get("emulator", ""))
    errors += [f"tools/lab/hosts/{name}: like {host.like}: there is no such other host with rows of its own"
               for name, host in hosts.items() if host.like and (host.like not in hosts or hosts[host.like].like)]
    return hosts, errors


def patch_slugs(top=TOP):
    """For each base, its series: the names of its patches in their order; and all names."""
    bases, every = {}, set()
    folder = os.path.join(top, "patches")
    for base in sorted(os.listdir(folder)):
        if base.startswith(".") or not os.path.isdir(os.path.join(folder, base)):
            continue
        names = sorted(re.sub(r"\.patch$", "", name) for name in os.listdir(os.path.join(folder, base))
                       if re.match(r"\d{4}-", name) and not name.startswith("0000-"))
        every.update(name[5:] for name in names)
        if os.path.exists(os.path.join(folder, base, "base")):
            bases[base] = [name[5:] for name in names]
    return bases, every


def left_out(base, top=TOP):
    """The patches of a series that the DKMS package leaves out."""
    file = os.path.join(top, "patches", base, "dkms")
    if not os.path.exists(file):
        return []
    with open(file, encoding="utf-8") as table:
        names = [line.split("\t")[0] for line in table if line.strip() and not line.startswith("#")]
    series = patch_slugs(top)[0][base]
    return [series[int(name) - 1] if name.isdigit() else name for name in names]


class Tables:
    """All of it, checked."""

    def __init__(self, top=TOP):
        self.top = top
        self.series, self.every = patch_slugs(top)
        self.hosts, self.errors = read_hosts(top)
        self.read_needs()
        self.read_topics()
        self.read_changes()
        self.read_expect()
        if not self.errors:
            proved = {slug for base in self.series for slug in self.proofs(base)}
            self.errors += [f"{change.line}: {change.slug} has a test, and a reason why it has none: drop the reason"
                            for change in self.changes.values() if change.untested and change.slug in proved]
            self.read_proved()
        if self.errors:
            raise Errors("\n".join(self.errors))

    def table(self, name, least, most):
        rows, errors = rows_of(os.path.join(self.top, "patches", name), least, most)
        self.errors += errors
        return rows

    def read_needs(self):
        self.needs = {}
        for _, (name, kernels, reason) in self.table("needs", 3, 3):
            self.needs[name] = Need(name, kernels.split(","), None if reason == "-" else reason)

    def read_topics(self):
        self.topics = {}
        for where, (name, tree, depends, about) in self.table("topics", 4, 4):
            # Those that it depends on, and theirs, in the order of the table.
            every = set()
            for one in split_list(depends):
                if one not in self.topics or not self.topics[one].tree:
                    self.errors.append(f"{where}: {name} depends on {one}, and no topic above it that is posted has this name")
                else:
                    every.update([one, *self.topics[one].depends])
            if name in self.topics:
                self.errors.append(f"{where}: {name} is in this table twice")
            if tree != "-" and not os.path.exists(os.path.join(self.top, "patches/covers", name)):
                self.errors.append(f"{where}: {name} has no cover letter: write patches/covers/{name}")
            self.topics[name] = Topic(name, None if tree == "-" else tree, [one for one in self.topics if one in every], about)
        covers = os.path.join(self.top, "patches/covers")
        for name in sorted(os.listdir(covers)) if os.path.isdir(covers) else []:
            if name not in self.topics or not self.topics[name].tree:
                self.errors.append(f"patches/covers/{name}: patches/topics has no such topic that is posted")

    def of_topic(self, base, name):
        """The patches of a topic, in the order of the series."""
        return [slug for slug in self.series[base] if self.changes[slug].topic == name]

    def read_changes(self):
        self.changes = {}
        for where, fields in self.table("changes", 3, 5):
            fields = [None if field == "-" else field for field in fields]
            change = Change(*fields, *[None] * (5 - len(fields)), where)
            if change.topic not in self.topics:
                self.errors.append(f"{where}: unknown topic {change.topic}: choose from {' '.join(self.topics)}")
            if change.slug in self.changes:
                self.errors.append(f"{where}: {change.slug} is in this table twice")
            elif change.slug not in self.every:
                self.errors.append(f"{where}: unknown patch {change.slug}: no patches/*/NNNN-{change.slug}.patch exists")
            self.changes[change.slug] = change
        for base, series in self.series.items():
            for slug in series:
                if slug not in self.changes:
                    self.errors.append(f"patches/changes: {slug} of {base} is missing: add a row")

    def read_expect(self):
        self.rows = []
        for where, fields in self.table("expect", 4, len(FIELDS)):
            row = Row(where, fields)
            wrong = list(self.wrong_with(row))
            if wrong:
                self.errors += [f"{where}: {sentence}" for sentence in wrong]
            else:
                row.reason = Reason(row.reason)
                row.hosts += [name for name, host in self.hosts.items() if host.like in row.hosts and name not in row.hosts]
                self.rows.append(row)
        self.check_twice()
        for row in self.rows:
            if not (row.kind in RUNS and not row.subtests) and \
               not any(self.runs(row.test, host, base) for host in row.hosts for base in row.bases or self.series):
                self.errors.append(f"{row.line}: no base runs {row.test} on {','.join(row.hosts)}: add a row with pass for it")

    def read_proved(self):
        """The record of make lab-patches, which need not be there."""
        if not os.path.exists(os.path.join(self.top, "patches/proved")):
            return
        before = []
        for where, fields in self.table("proved", 4, 4):
            base, host, slug, key = fields
            proofs = self.proofs(base) if base in self.series else {}
            if not any(host in hosts for _, hosts in proofs.get(slug, [])):
                self.errors.append(f"{where}: no test of {base} on {host} proves {slug}: take this line out")
            elif not re.fullmatch("[0-9a-f]{16}", key):
                self.errors.append(f"{where}: {key} is no hash: make lab-patches writes these lines")
            elif fields[:3] <= before:
                self.errors.append(f"{where}: the lines are not sorted, or two are of one patch: make lab-patches writes them")
            before = fields[:3]

    def wrong_with(self, row):
        for name, known in (("hosts", self.hosts), ("patches", self.changes), ("needs", self.needs), ("bases", self.series)):
            for one in getattr(row, name):
                if one not in known:
                    yield f"unknown {one} in the field {name}: choose from {' '.join(known)}"
        if row.kind not in KINDS:
            yield f"unknown kind {row.kind}: choose from {' '.join(KINDS)}"
            return
        if not row.hosts:
            yield "a row names its hosts"
        if not row.subtests and row.kind not in RUNS + ("known",):
            yield f"a row of the kind {row.kind} names its subtests"
        if row.subtests and row.kind == "sweep":
            yield "a row of the kind sweep is for a whole test: - for subtests"
        if (row.reason == "-") != (row.kind in RUNS):
            yield f"a row of the kind {row.kind} has {'no' if row.kind in RUNS else 'a'} reason"
        if bool(row.patches) != (row.kind in REDS):
            yield f"a row of the kind {row.kind} names {'its' if row.kind in REDS else 'no'} patches"
        if row.kind == "chance" and not row.note.startswith("make "):
            yield "a row of the kind chance has a note: the command that hits it, make ..."
        if row.kind in ("open", "known") and row.note == "-":
            yield f"a row of the kind {row.kind} has a note: why, or where this is public"
        try:
            Reason(row.reason)
        except re.error as error:
            yield f"the reason is no regular expression: {error}"

    def check_twice(self):
        seen = {}
        for row in self.rows:
            for base in row.bases or self.series:
                for host in row.hosts:
                    for sub in row.subtests or ["-"]:
                        key = (row.test, host, sub, base, row.kind, row.reason.text, tuple(row.needs))
                        if row.kind in RUNS + ("skip", "open"):
                            key = key[:5]
                        if row.kind == "sweep":
                            key = (*key[:4], "pass")
                        if key in seen and seen[key] is not row:
                            self.errors.append(f"{row.line}: the same as {seen[key].line} for {sub} on {host}, {base}")
                        seen[key] = row

    def runs(self, test, host, base):
        return any(row.kind in RUNS and not row.subtests and row.test == test and host in row.hosts and
                   (not row.bases or base in row.bases) for row in self.rows)

    def tests(self, base, host, kernel="lab", level="full"):
        """The tests of a host, in their order; at the level "proof" without sweeps."""
        return [row.test for row in self.rows
                if row.kind in (RUNS if level == "full" else ("pass",)) and not row.subtests and host in row.hosts and
                (not row.bases or base in row.bases) and
                all(kernel in self.needs[need].kernels for need in row.needs)]

    def proofs(self, base):
        """The rows that lab-patches runs: of each patch those that it, as the last one, turns green."""
        series = self.series[base]
        found = collections.OrderedDict((slug, []) for slug in series)
        for row in self.rows:
            mine = [slug for slug in series if slug in row.patches]
            hosts = [host for host in row.hosts if row.test in self.tests(base, host)]
            if mine and hosts and row.kind in ("bug", "assertion") and (not row.bases or base in row.bases) and \
               all("lab" in self.needs[need].kernels for need in row.needs):
                found[mine[-1]].append((row, hosts))
        return collections.OrderedDict((slug, rows) for slug, rows in found.items() if rows)

    def expectations(self, base, test, host, *kernels):
        return Expectations(self, base, test, host, kernels or ("lab",))


class Expectations:
    """The declared results of one test on one host of a base.  Of each red subtest: its rows, each
    with those of its patches that the base has.  A need is met by any of the kernels."""

    def __init__(self, tables, base, test, host, kernels):
        self.reds, self.skips, self.opens = {}, {}, {}
        self.known = []
        self.green = set()
        series = tables.series[base]
        for row in tables.rows:
            if row.test != test or host not in row.hosts or (row.bases and base not in row.bases):
                continue
            lacking = [tables.needs[need] for need in row.needs if not set(kernels).intersection(tables.needs[need].kernels)]
            skip = next((need.reason for need in lacking if need.reason), None)
            mine = [slug for slug in series if slug in row.patches]
            if lacking and not skip:
                continue
            if row.kind == "known":
                self.known.append((row.subtests, row.reason))
            for sub in row.subtests if row.kind != "known" else []:
                if skip:
                    self.skips[sub] = Reason("^" + re.escape(skip))
                elif row.kind == "skip":
                    self.skips[sub] = row.reason
                elif row.kind == "open":
                    self.opens[sub] = row.reason
                elif mine:
                    self.reds.setdefault(sub, []).append((row, mine))
                else:
                    self.green.add(sub)
        for sub in self.skips:
            self.reds.pop(sub, None)
            self.green.discard(sub)

    def is_known(self, line, subtest):
        return any((not subtests or subtest in subtests) and reason.find([line]) for subtests, reason in self.known)

    def to_come(self, subtest, applied):
        """The rows of a subtest that have a patch which is not applied."""
        return [row for row, mine in self.reds.get(subtest, []) if not applied.issuperset(mine)]

    def declared(self):
        return list(self.reds) + [sub for sub in self.green if sub not in self.reds]
