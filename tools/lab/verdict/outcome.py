# SPDX-License-Identifier: GPL-2.0-only
#
# A test on a kernel of which nothing is declared: good, bad or neither, as exit statuses for
# git bisect run.

import os

from .logs import Log, cause, lines_of, trim

GOOD, BAD, SKIPPED = 0, 1, 125


def outcome(folder, test, subtest, is_known):
    """The status, and why."""
    status = next(lines_of(os.path.join(folder, test + ".status")), "not run")
    log = Log(lines_of(os.path.join(folder, test + ".log")))
    sections = [section for section in log.sections if subtest in ("", section.name)]
    # A subtest that has reported is done, even if the host panics after it.
    if status not in ("exit 0", "exit 1") and not (subtest and sections):
        return SKIPPED, f"the test did not come to its end: {status}"
    if not sections:
        return SKIPPED, f"there is no subtest {subtest}" if subtest else "the test has no subtests"
    for section in sections:
        if not section.ok and not section.slow:
            why = cause(section.lines, lambda line: is_known(line, section.name)).strip().split("\n")[0]
            return BAD, f"{section.name} fails" + (f": {trim(why)}" if why else "")
    for line, where in log.reports:
        if subtest in ("", where) and not is_known(line, where):
            return BAD, f"the kernel reports: {trim(line)}"
    slow = next((section for section in sections if section.slow), None)
    if slow:
        return SKIPPED, f"the host is too slow for {slow.name}"
    if not subtest and log.plan != len(sections):
        return SKIPPED, f"planned {log.plan} subtests and reported {len(sections)}"
    if all(section.skip is not None for section in sections):
        return SKIPPED, f"it skips: {sections[0].skip}"
    return GOOD, f"{sum(section.skip is None for section in sections)} subtests pass"
