#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
#
# The results of emulated hosts: the only reader of their output (KTAP and the kernel's
# log on a console), and the verdict on it by patches/expect.  `results.py -h` lists the
# commands for scripts; the parts are in verdict/.

import argparse
import os
import re
import signal
import sys

from verdict import bench, expect, kcidb, kit, logs, outcome, pages, report, upstream
from verdict.judge import Run
from verdict.logs import die


# HOST-PATCHES.
FOLDER = re.compile(r"([a-z][a-z0-9-]*?)-(none|all[a-z-]*|[0-9]+)$")


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
        return report.report(unfinished(folder, tables))
    about = kcidb.run_of(folder)["run"]
    if about["kind"] == "upstream":
        run = upstream.Upstream(folder, os.path.join(expect.TOP, about["list"]), about["hosts"], about["variants"])
        run.judge()
        return run.report()
    unknown(about["hosts"], tables)
    return report.report(Run(folder, tables, **about))


def unfinished(folder, tables):
    """What was run, from the names of folders: there is no verdict yet."""
    names = [match for match in map(FOLDER.match, sorted(os.listdir(folder))) if match]
    base = next((base for base in tables.series if os.path.basename(os.path.realpath(folder)).endswith(base)), None)
    if not names or not base:
        die(f"{folder} does not say what was run: name a folder results/DATE-BASE with HOST-PATCHES in it")
    hosts = sorted({match[1] for match in names})
    variants = sorted({match[2] for match in names}, key=lambda v: (v != "none", v.startswith("all"), v.zfill(9)))
    ran = {name[:-7] for match in names for name in os.listdir(os.path.join(folder, match[0])) if name.endswith(".status")}
    every = {test for host in hosts for test in tables.tests(base, host)}
    unknown(hosts, tables)
    return Run(folder, tables, base, hosts, variants, [] if every <= ran else sorted(ran & every))


def unknown(hosts, tables):
    """Hosts that there are no more, or not yet."""
    for host in hosts:
        if host not in tables.hosts:
            die(f"unknown HOST={host}: choose from {' '.join(tables.hosts)}")


def unproved(tables, base):
    """Patches of a series without a proof and without a reason why there is none."""
    proofs = tables.proofs(base)
    return [slug for slug in tables.series[base] if slug not in proofs and not tables.changes[slug].untested]


def unfixed(tables, base):
    """Patches of a series that have to say Fixes: for want of a reason why they do not."""
    return [slug for slug in tables.series[base] if not tables.changes[slug].unfixed]


def main():
    parser = argparse.ArgumentParser(prog="results.py", description="Reads what emulated hosts have said, and judges it.")
    commands = parser.add_subparsers(dest="command", required=True)

    one = commands.add_parser("take", help="put away what one boot has said; print the tests that are left")
    one.add_argument("folder")
    one.add_argument("hung", help="why the host was ended, or nothing")
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
    one.add_argument("--level", default="full", choices=("proof", "full"))
    one.add_argument("--linux", default="", help="which kernel this was")
    one.add_argument("--there", type=words, default=[], help="patches that it had without the series")

    one = commands.add_parser("bench", help="the measures of a run, without the series beside with it, and their budgets")
    one.add_argument("folder")
    one.add_argument("--hosts", type=words, required=True)
    one.add_argument("--variants", type=words, required=True, help="without, and with the series")

    one = commands.add_parser("good", help="of a run that is judged, the folders of hosts on which all is as it must be")
    one.add_argument("folder")

    one = commands.add_parser("again", help="judge an old run again")
    one.add_argument("folder")

    one = commands.add_parser("outcome", help="of one test, without any declaration, for git bisect run: 0, 1 or 125, and why")
    one.add_argument("folder")
    one.add_argument("test")
    one.add_argument("--base", required=True)
    one.add_argument("--host", required=True)
    one.add_argument("--subtest", default="")

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
    one.add_argument("--level", default="full", choices=("proof", "full"))
    one.add_argument("--any", metavar="TEXT", help="of any base, those with a reason in which this text is")

    for name, text in (("proofs", "a line a proof: patch, host, test"), ("unproved", "patches without a proof or a reason"),
                       ("unfixed", "patches without a reason not to have Fixes:"),
                       ("slugs", "the patches of a series, in order"), ("proof-rows", "the rows that prove each patch"),
                       ("topics", "a line a topic: its name, its tree, all that it depends on, what it is about, its patches")):
        one = commands.add_parser(name, help=text)
        one.add_argument("base")
    one = commands.add_parser("check", help="the tables and the list of reports have no mistake")
    one.add_argument("--pages", action="store_true", help="nor have the pages that quote them")
    commands.add_parser("splats", help="the list of reports, as lib/kmsg.c has it")
    one = commands.add_parser("kit", help="what the kit for real hosts leaves is valid")
    one.add_argument("what", choices=("ktap", "junit"))
    one.add_argument("folder")

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    args = parser.parse_args()
    if args.command == "take":
        print("\n".join(logs.take(args.folder, args.hung, args.tests)))
        return 0
    if args.command == "join":
        logs.join(args.folder)
        return 0
    if args.command == "splats":
        print(logs.splats_in_c(), end="")
        return 0
    if args.command == "kit":
        wrong = (kit.check_ktap if args.what == "ktap" else kit.check_junit)(args.folder)
        print("\n".join(wrong), end="\n" if wrong else "")
        return 1 if wrong else 0
    if args.command == "good":
        print("\n".join(report.good(args.folder)))
        return 0
    if args.command == "upstream":
        run = upstream.Upstream(args.folder, args.list, args.hosts, args.variants)
        run.judge(args.record)
        return 0 if args.record else run.report()

    try:
        tables = expect.Tables()
    except expect.Errors as errors:
        die(str(errors))
    if args.command == "check":
        wrong = list(logs.check_header()) + (list(pages.check(tables, expect.TOP)) if args.pages else [])
        if wrong:
            die("\n".join(wrong))
        return 0
    if args.command == "bench":
        unknown(args.hosts, tables)
        return bench.report(args.folder, tables.hosts, args.hosts, args.variants, expect.TOP)
    if args.command == "again":
        return again(args.folder, tables)
    if args.base not in tables.series:
        die(f"unknown BASE={args.base}: choose one of {' '.join(tables.series)}")
    unknown(getattr(args, "hosts", [getattr(args, "host", None)] if hasattr(args, "host") else []), tables)
    if args.command == "judge":
        run = Run(args.folder, tables, args.base, args.hosts, args.variants, args.tests, args.kernel, args.patch,
                  bool(args.sure), args.kind, args.level, args.linux, args.there)
        return report.report(run, fresh=True)
    if args.command == "outcome":
        known = tables.expectations(args.base, args.test, args.host).is_known
        print(*outcome.outcome(args.folder, args.test, args.subtest, known))
    elif args.command == "tests":
        bases = [args.base] + list(tables.series) if args.any is not None else [args.base]
        tests = [test for base in bases for test in tables.tests(base, args.host, args.kernel, args.level)
                 if not args.any or any(row.test == test and args.host in row.hosts and args.any in row.reason.text
                                        and (not row.bases or base in row.bases) for row in tables.rows)]
        print("\n".join(dict.fromkeys(tests)))
    elif args.command == "proofs":
        lines = [f"{slug} {host} {row.test}" for slug, rows in tables.proofs(args.base).items() for row, hosts in rows for host in hosts]
        print("\n".join(dict.fromkeys(lines)))
    elif args.command == "unproved":
        print("\n".join(unproved(tables, args.base)))
    elif args.command == "unfixed":
        print("\n".join(unfixed(tables, args.base)))
    elif args.command == "slugs":
        print("\n".join(tables.series[args.base]))
    elif args.command == "topics":
        for topic in tables.topics.values():
            print("\t".join([topic.name, topic.tree or "-", " ".join(topic.depends) or "-", topic.about,
                             " ".join(tables.of_topic(args.base, topic.name)) or "-"]))
    elif args.command == "proof-rows":
        for slug, rows in tables.proofs(args.base).items():
            for row, hosts in rows:
                print("\t".join([slug, row.test, ",".join(hosts), ",".join(row.subtests), row.kind, row.reason.text,
                                 ",".join(row.patches)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
