# SPDX-License-Identifier: GPL-2.0-only
#
# The results of the kit for real hosts, where tools/testing/check-kit.sh runs it.

import os
import re
import xml.etree.ElementTree as ElementTree

from .logs import lines_of


def check_ktap(folder):
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


def check_junit(folder):
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
