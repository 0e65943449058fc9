# SPDX-License-Identifier: GPL-2.0-only
#
# The output of emulated hosts: KTAP and the kernel's log, on a console.

import base64
import gzip
import os
import re
import sys

from . import expect

STAMP = re.compile(r"^\[ *([0-9.]+)\] ")
BOOT = re.compile(r"^\[ +0\.000000\] ")
RESULT = re.compile(r"^lab: (not )?ok [0-9]+ (?:- )?(.*?)(?: *#(.*))?$")
RUN = re.compile(r"^lab: #  RUN +(?:global\.)?([^ ]+)")
PLAN = re.compile(r"^lab: 1\.\.([0-9]+)")
# A test says so of a pause that was too short for this host: nothing was tested.
SLOW = ":too slow: "
# Files that a host sends at its end, packed.
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

def splats(who=expect.READERS):
    rows, errors = expect.rows_of_splats(os.path.join(expect.TOP, "tools/lab/splats"))
    if errors:
        die(errors[0])
    return [pattern for reader, pattern in rows if reader in who]


SPLAT = re.compile("|".join(splats()))


def is_splat(line):
    """Lines of the lab itself begin with "lab: "."""
    return not line.startswith("lab: ") and SPLAT.search(line) is not None


# The output of one test.

class Section:
    """A subtest: its reports, and its part of the log."""

    def __init__(self, name, ok, directive, lines):
        self.name, self.ok, self.lines = name, ok, lines
        # All checks that have failed are of that kind.
        checks, slow = (sum(text in line for line in lines) for text in (":Expected ", SLOW))
        self.slow = next((line for line in lines if SLOW in line), None) if not ok and 0 < checks == slow else None
        self.skip = None
        if ok and directive and re.match(r" (SKIP|XFAIL|XPASS|TODO)", directive):
            self.skip = re.sub(r"^ SKIP *", "", directive).strip()


class Log:
    """The log of a test: its subtests, its plan, and each report of the kernel with the
    subtest in whose part it is."""

    def __init__(self, lines):
        self.sections, self.reports, self.plan = [], [], 0
        lines = list(lines)
        times = [float(stamp[1]) for stamp in map(STAMP.match, lines) if stamp]
        # By the kernel's clock; of several parts, whose clocks begin anew, it is not known.
        self.seconds = round(times[-1] - times[0], 3) if times and times == sorted(times) else None
        self.lines = lines = [STAMP.sub("", line) for line in lines]
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


def take(folder, hung, tests):
    """Store the output of a boot, and return the tests that are still to be run: a test for
    which the host was too slow is run again, once."""
    boot = os.path.join(folder, "console.boot")
    console = list(lines_of(boot))
    for test, log, status in split_console(console):
        if status == "died" and hung:
            status = "hung: " + hung
        texts = [STAMP.sub("", line) for line in log]
        first = os.path.join(folder, test + ".first.log")
        if any(SLOW in text for text in texts) and not os.path.exists(first):
            write(first, "".join(line + "\n" for line in log))
            continue
        write(os.path.join(folder, test + ".log"), "".join(line + "\n" for line in log))
        write(os.path.join(folder, test + ".ktap"), "".join(
            text[5:] + "\n" for text in texts if text.startswith("lab: ") and not re.match(r"lab: exit [0-9]+$", text)))
        write(os.path.join(folder, test + ".status"), status + "\n")
    for name in FILES:
        mark = f"lab: file: {name} "
        packed = "".join(text[len(mark):] for text in map(lambda line: STAMP.sub("", line), console) if text.startswith(mark))
        # A second boot is for few tests: the first one's is of more.
        if packed and not os.path.exists(os.path.join(folder, name)):
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
    """Merge the results of the hosts that ran a part of the subtests each, in
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


# Also said where the host's command line turns it off, before or after that line.
NO_LEAKS = "Kernel memory leak detector disabled"
COMMAND_LINE = re.compile("(Kernel c|C)ommand line: ")


class Console:
    """The output of all boots of a host outside of its tests."""

    def __init__(self, file, judged):
        self.empty, self.finished, self.reports, self.errors = True, False, [], []
        test = last = None
        no_leaks = False
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
            elif COMMAND_LINE.match(text):
                no_leaks |= "kmemleak=off" in text.split()
            elif is_splat(text) and test not in judged:
                self.reports.append(text)
        if no_leaks:
            self.reports = [text for text in self.reports if NO_LEAKS not in text]


# The list of reports, as the C tests have it.

HEADER = "tools/testing/selftests/kvm/lib/kmsg.c"


def splats_in_c():
    return "".join('\t\t"{}",\n'.format(pattern.replace("\\", "\\\\").replace('"', '\\"')) for pattern in splats(("all", "stall")))


def check_header():
    with open(os.path.join(expect.TOP, HEADER), encoding="utf-8") as text:
        found = re.search(r"kmsg_splats\[\] = \{\n(.*?)\t\};", text.read(), re.S)
    if not found or found[1] != splats_in_c():
        return [f"{HEADER}: kmsg_splats[] is not what tools/lab/splats has: tools/lab/results.py splats prints it"]
    return []
