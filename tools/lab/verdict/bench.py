# SPDX-License-Identifier: GPL-2.0-only
#
# What it costs: the measures of tests named *_perf_test, one against the other, and the
# budgets for them.

import collections
import fnmatch
import json
import os

from .logs import die, lines_of, write

BUDGETS = os.path.join("tools", "lab", "budgets")
FIELDS = ("measure", "hosts", "against", "limit", "kind", "note")
KINDS = ("budget", "open")
# Of the tests: see tools/testing/selftests/kvm/include/perf_samples.h.
KEYS = {"measure", "unit", "n", "min", "p50", "p99", "max"}

Budget = collections.namedtuple("Budget", FIELDS)


def measure_in(line):
    """The measure that a line of a test's output, or of its log, has, or None."""
    text = line.removeprefix("lab: ").removeprefix("# ")
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and set(found) == KEYS else None


def measures(folder):
    """TEST.MEASURE of one host, in the order of their output."""
    found = {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        if not name.endswith("_perf_test.ktap"):
            continue
        for one in filter(None, map(measure_in, lines_of(os.path.join(folder, name)))):
            found[name[:-5] + "." + one["measure"]] = one
    return found


def budgets(top, hosts):
    """The rows of the table; a mistake in it is an error."""
    file = os.path.join(top, BUDGETS)
    rows = []
    for number, line in enumerate(lines_of(file), 1):
        if not line or line.startswith("#"):
            continue
        fields = line.split("\t")
        where = f"{BUDGETS}, line {number}: "
        if not 5 <= len(fields) <= 6:
            die(f"{where}{len(fields)} fields, and not {len(FIELDS)} with a tab between them")
        row = Budget(*(fields + ["-"])[:6])
        row = row._replace(hosts=row.hosts.split(","))
        for host in row.hosts:
            if host not in hosts:
                die(f"{where}unknown host {host}")
        if row.kind not in KINDS:
            die(f"{where}unknown kind {row.kind}: choose from {' '.join(KINDS)}")
        if (row.kind == "open") != (row.note != "-"):
            die(f"{where}a note is the reason of an open row, and of no other one")
        try:
            row = row._replace(limit=float(row.limit))
        except ValueError:
            die(f"{where}{row.limit} is no number")
        rows.append(row)
    return rows


def ratios(budget, host, columns):
    """(measure, against, ratio) for each that a budget is about; the ratio is None without the other."""
    have = columns[host, "all"]
    for name in have:
        if not fnmatch.fnmatchcase(name, budget.measure):
            continue
        if budget.against == "none":
            other, base = name + " without the series", columns[host, "none"].get(name)
        elif budget.against in have:
            other, base = budget.against, have[budget.against]
        else:
            # The same mode of the test: what is against is the end of the name.
            other = name.rsplit(".", len(budget.against.split(".")))[0] + "." + budget.against
            base = have.get(other)
        yield name, other, have[name]["p50"] / base["p50"] if base and base["p50"] else None


def judge(rows, columns):
    """What is not as the budgets are, and what is open as declared."""
    wrong, known = [], []
    for row in rows:
        for host in row.hosts:
            if (host, "all") not in columns:
                continue
            found = list(ratios(row, host, columns))
            if not found:
                wrong.append(f"{host}: no measure is {row.measure}, which has a budget")
            wrong += [f"{host}: {name} has nothing to be compared with: there is no {other}"
                      for name, other, ratio in found if ratio is None]
            over = [f"{host}: {name}: {ratio:.4f} times {other}, limit {row.limit:g}"
                    for name, other, ratio in found if ratio is not None and ratio > row.limit]
            if row.kind == "budget":
                wrong += over
            elif over:
                known += [f"{text}: {row.note}" for text in over]
            elif found:
                wrong.append(f"{host}: {row.measure} is within {row.limit:g} of {row.against}, and declared open: make it a budget")
    return wrong, known


def table(hosts, columns):
    """Nanoseconds, i.e. instructions of a host that counts these, without and with the series."""
    out = []
    for host in dict.fromkeys(host for host, _ in columns):
        none, have = columns[host, "none"], columns[host, "all"]
        rows = [[hosts[host].label, "n", "p50", "with", "ratio", "p99", "with"]]
        for name, one in have.items():
            base = none.get(name, {})
            pairs = [[str(base.get(key, "-")), str(one[key])] for key in ("p50", "p99")]
            ratio = f"{one['p50'] / base['p50']:.4f}" if base.get("p50") else "-"
            rows.append([name, str(one["n"]), *pairs[0], ratio, *pairs[1]])
        widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        out += ["  ".join(text.ljust(width) if not at else text.rjust(width)
                          for at, (text, width) in enumerate(zip(row, widths))).rstrip() for row in rows] + [""]
    return "\n".join(out)


def report(folder, hosts, names, variants, top):
    """The names of the variants are those of the run: without the series, and with all of it."""
    columns = {}
    for host in names:
        for variant, name in zip(("none", "all"), variants):
            path = os.path.join(folder, f"{host}-{name}")
            columns[host, variant] = measures(path)
            if not columns[host, variant]:
                die(f"{path} has no measure: see the logs there")
    wrong, known = judge(budgets(top, hosts), columns)
    text = table(hosts, columns)
    if known:
        text += "\nover their budget, as declared:\n" + "".join(f"  {line}\n" for line in known)
    if wrong:
        text += "\nnot within their budget:\n" + "".join(f"  {line}\n" for line in wrong)
    write(os.path.join(folder, "bench"), text)
    print(text)
    return 1 if wrong else 0
