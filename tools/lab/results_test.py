#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
#
# The verdict on results that are made up here, on those in test_data, which are cut from
# real logs, and on tables with mistakes.

import base64
import contextlib
import copy
import datetime
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

import jsonschema

import results
from verdict import bench, expect, kcidb, kit, logs, outcome, pages, report, upstream
from verdict.judge import Run

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "test_data")

# A series of four patches.
CHANGES = """first	xen	a bug
second	xen	a bug
third	xen	an assertion
last	xen	a bug
"""
TOPICS = """xen	kvm/next	-	a topic
arm	kvmarm/next	xen	another
docs	kvm/next	arm	the last
mine	-	-	not posted
"""
NEEDS = """faultinj	lab	no fault injection
kasan	lab	-
poison	debian	-
"""
EXPECT = """a_test	amd,arm	-	pass
a_test	amd,arm	one	bug	one is bad	first
a_test	amd	two	chance	(two is bad|two is ugly)	second	-	-	make storm
b_test	amd	-	pass
"""
HOST = """emulator made-up
machine a b
cpu one
smp 2
memory 1G
cmdline console=x
thread single
boot-seconds 60
"""


def ok(number, name, more=""):
    return f"ok {number} global.{name}{more}"


class Case(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.top)
        self.folder = os.path.join(self.top, "results", "20260101-000000-v9")
        for base, names in (("v9", ("first", "second", "third", "last")), ("v8", ("first", "second"))):
            os.makedirs(os.path.join(self.top, "patches", base))
            for number, name in enumerate(names, 1):
                self.file(f"patches/{base}/{number:04}-{name}.patch", "")
            self.file(f"patches/{base}/base", "")
        self.file("patches/changes", CHANGES)
        self.file("patches/topics", TOPICS)
        for name in ("xen", "arm", "docs"):
            self.file(f"patches/covers/{name}", "Subject: x\n")
        self.file("patches/needs", NEEDS)
        self.file("patches/expect", EXPECT)
        self.file("tools/lab/arches", "x86\narm64\nriscv\n")
        for name, label, arch in (("amd", "AMD", "x86"), ("arm", "ARM", "arm64"), ("riscv", "RISC-V", "riscv")):
            self.host(name, f"label {label}\narch {arch}\n")

    def file(self, name, text):
        name = os.path.join(self.top, name)
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "w", encoding="utf-8") as out:
            out.write(text)

    def host(self, name, text):
        self.file(f"tools/lab/hosts/{name}", HOST + text)

    def expect(self, text):
        self.file("patches/expect", text)

    def result(self, host, variant, test, status, *lines):
        """The log of a test, as from a host: a line of the test, or "!" and one of the kernel."""
        text = "".join(f"[    1.000000] {line[1:] if line.startswith('!') else 'lab: ' + line}\n" for line in lines)
        folder = f"results/20260101-000000-v9/{host}-{variant}/"
        self.file(folder + test + ".log", text)
        self.file(folder + test + ".status", status + "\n")

    def console(self, host, variant, *lines):
        self.file(f"results/20260101-000000-v9/{host}-{variant}/console", "".join(f"[    1.000000] {line}\n" for line in lines))

    def judge(self, hosts=("amd",), variants=("all",), **more):
        self.run_ = Run(self.folder, expect.Tables(self.top), more.pop("base", "v9"), hosts, variants, **more)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = report.report(self.run_)
        self.said = out.getvalue()
        return status

    def cell(self, test="a_test", host="amd", variant="all"):
        return self.run_.cells[test, host, variant].text

    def good(self, cell, **more):
        self.assertEqual(self.judge(**more), 0, self.said)
        self.assertEqual(self.cell(variant=more.get("variants", ("all",))[0]), cell)

    def bad(self, cell, sentence, **more):
        self.assertEqual(self.judge(**more), 1, self.said)
        self.assertEqual(self.cell(variant=more.get("variants", ("all",))[-1]), cell)
        self.assertRegex(self.said, sentence)


class Tables(Case):
    def wrong(self, text, sentence, file="expect"):
        self.file(f"patches/{file}", {"expect": EXPECT, "changes": CHANGES, "topics": TOPICS, "needs": NEEDS}[file] + text + "\n")
        with self.assertRaises(expect.Errors) as caught:
            expect.Tables(self.top)
        self.assertRegex(str(caught.exception), sentence)

    def test_right(self):
        tables = expect.Tables(self.top)
        self.assertEqual(tables.tests("v9", "amd"), ["a_test", "b_test"])
        self.assertEqual(tables.tests("v9", "arm"), ["a_test"])

    def test_mistakes(self):
        for text, sentence in (
                ("a_test\tamd\tthree", r"expect:5: 3 fields, and a row has 4 to 9"),
                ("a_test\tamd\tthree\tbug\tx\tfirst\t-\t-\t-\t-", r"expect:5: 10 fields"),
                ("a_test amd\tthree\tbug\tx\tfirst", r"expect:5: unknown three in the field hosts"),
                ("a_test \tamd\tthree\tbug\tx\tfirst", r"expect:5: a field is empty, or begins or ends with a blank"),
                ("a_test\tamd\tthree\tbug\t\tfirst", r"expect:5: a field is empty"),
                ("a_test\tamd\tthree\tbut\tx\tfirst", r"expect:5: unknown kind but: choose from pass sweep bug "),
                ("a_test\tamd\tthree\tbug\tx\tfrist", r"expect:5: unknown frist in the field patches"),
                ("a_test\tx68\tthree\tbug\tx\tfirst", r"expect:5: unknown x68 in the field hosts"),
                ("a_test\tamd\tthree\tbug\tx\tfirst\tkasn", r"expect:5: unknown kasn in the field needs"),
                ("a_test\tamd\tthree\tbug\tx\tfirst\t-\tv7", r"expect:5: unknown v7 in the field bases"),
                ("a_test\tamd\tthree\tbug\t(x\tfirst", r"expect:5: the reason is no regular expression"),
                ("a_test\tamd\tone\tbug\tone is bad\tfirst", r"expect:5: the same as .*expect:2 for one on amd"),
                ("a_test\tamd\tthree,one\tskip\tx\na_test\tamd\tthree\tskip\ty", r"expect:6: the same as .*expect:5 for three"),
                ("a_test\tamd\tthree\tbug\tx", r"expect:5: a row of the kind bug names its patches"),
                ("a_test\tamd\tthree\tskip\tx\tfirst", r"expect:5: a row of the kind skip names no patches"),
                ("a_test\tamd\tthree\tchance\tx\tfirst", r"expect:5: a row of the kind chance has a note"),
                ("a_test\tamd\tthree\tknown\tx", r"expect:5: a row of the kind known has a note"),
                ("a_test\tamd\t-\tbug\tx\tfirst", r"expect:5: a row of the kind bug names its subtests"),
                ("c_test\tamd\tone\tbug\tx\tfirst", r"expect:5: no base runs c_test on amd"),
                ("b_test\tarm\tone\tbug\tx\tfirst", r"expect:5: no base runs b_test on arm")):
            with self.subTest(text):
                self.wrong(text, sentence)

    def test_mistakes_in_the_other_tables(self):
        self.wrong("fifth\txen\tnothing", r"changes:5: unknown patch fifth", "changes")
        self.wrong("first\txen\tnothing", r"changes:5: first is in this table twice", "changes")
        self.wrong("x\tsparc\tnothing", r"changes:5: unknown topic sparc", "changes")
        self.file("patches/changes", CHANGES.replace("last\txen\ta bug\n", ""))
        with self.assertRaisesRegex(expect.Errors, "last of v9 is missing"):
            expect.Tables(self.top)
        self.file("patches/changes", CHANGES.replace("first\txen\ta bug", "first\txen\ta bug\tnobody can"))
        with self.assertRaisesRegex(expect.Errors, "changes:1: first has a test, and a reason why it has none"):
            expect.Tables(self.top)

    def test_topics(self):
        tables = expect.Tables(self.top)
        self.assertEqual(tables.topics["docs"].depends, ["xen", "arm"])
        self.assertEqual(tables.of_topic("v8", "xen"), ["first", "second"])
        self.wrong("xen\tkvm/next\t-\tagain", r"topics:5: xen is in this table twice", "topics")
        self.wrong("new\tkvm/next\tnewer\tx", r"topics:5: new depends on newer, and no topic above it that is posted", "topics")
        self.wrong("new\tkvm/next\tmine\tx", r"topics:5: new depends on mine, and no topic above it that is posted", "topics")
        self.wrong("new\tkvm/next\t-\tx", r"topics:5: new has no cover letter: write patches/covers/new$", "topics")
        self.file("patches/covers/mine", "Subject: x\n")
        with self.assertRaisesRegex(expect.Errors, "covers/mine: patches/topics has no such topic that is posted"):
            expect.Tables(self.top)

    def test_braces(self):
        self.assertEqual(expect.split_list("a,b.{c,d}.{e,f}"), ["a", "b.c.e", "b.c.f", "b.d.e", "b.d.f"])

    def test_a_base_without_the_patch_is_green(self):
        self.expect("a_test\tamd\t-\tpass\na_test\tamd\tone\tbug\tx\tthird\n")
        tables = expect.Tables(self.top)
        self.assertIn("one", tables.expectations("v8", "a_test", "amd").green)
        self.assertIn("one", tables.expectations("v9", "a_test", "amd").reds)

    def test_what_a_debian_kernel_shows(self):
        self.expect("a_test\tamd\t-\tpass\n"
                    "b_test\tamd\t-\tpass\t-\t-\tkasan\n"
                    "a_test\tamd\tone\tbug\tKASAN\tfirst\tkasan\n"
                    "a_test\tamd\tone\tbug\tOops\tfirst\tpoison\n"
                    "a_test\tamd\ttwo\tbug\tx\tthird\tfaultinj\n"
                    "a_test\tamd\tthree\tpass\t-\t-\tfaultinj\n")
        tables = expect.Tables(self.top)
        self.assertEqual(tables.tests("v9", "amd", "debian"), ["a_test"])
        for kernel, reason, skips in (("lab", "KASAN", set()), ("debian", "Oops", {"two", "three"})):
            found = tables.expectations("v8", "a_test", "amd", kernel)
            self.assertEqual([row.reason.text for row, _ in found.reds["one"]], [reason])
            self.assertEqual(set(found.skips), skips)

    def test_a_row_of_several_patches_proves_the_last(self):
        self.expect("a_test\tamd\t-\tpass\na_test\tamd\tone\tbug\tx\tsecond,first\n"
                    "a_test\tamd\ttwo\tchance\tx\tthird\t-\t-\tmake storm\n")
        tables = expect.Tables(self.top)
        self.assertEqual(list(tables.proofs("v9")), ["second"])
        self.assertEqual(results.unproved(tables, "v9"), ["first", "third", "last"])

    def test_the_project(self):
        """Its tables, and the list of reports in the C tests."""
        tables = expect.Tables()
        self.assertEqual(logs.check_header(), [])
        for base in tables.series:
            self.assertEqual([slug for slug in results.unproved(tables, base)
                              if not slug.startswith(("doc-", "selftest-"))], [])
        skips = tables.expectations("v7.3", "vcpu_index_test", "amd", "debian").skips
        self.assertIn("vcpu_index.no_irqchip.array_failure", skips)
        self.assertNotIn("svm_reload_test", tables.tests("v7.3", "amd", "debian"))
        self.assertEqual(tables.tests("v6.12", "arm")[-1], "vgic_preinit_regs_test")


class Pages(Case):
    """A page, against the tests."""

    def says(self, text):
        self.file("tools/testing/selftests/kvm/a_test.c", "TEST_F(vm, three)\n")
        self.file("Documentation/virt/kvm/page.rst", "\tmake lab TEST=a_test\n\n" + text)
        return "\n".join(pages.check(expect.Tables(self.top), self.top))

    def test_right(self):
        for text in ("``a_test`` is red, ``one`` and ``vm.three`` as well; ``results.json`` has it.",
                     "A field, ``four``, is no test's.", "The red\n=======\n::\n\n\ttwo is ugly\n\tone is bad\n",
                     "A command::\n\n\tmake lab\n", "The red is\n\n::\n\n\tone is bad: want 3..., got ...\n"):
            self.assertEqual(self.says(text), "", text)

    def test_names(self):
        for text, name in (("\tmake lab BASE=v9 TEST='a_test gone_test'\n", "there is no test gone_test"),
                           ("``gone_stress`` runs for a minute.", "there is no test gone_stress"),
                           ("``four`` is red without it.", "no test has a subtest four"),
                           ("Without it\n``four`` skips.", "no test has a subtest four"),
                           ("See ``vm.four`` there.", "no test has a subtest vm.four")):
            self.assertIn(name, self.says(text), text)

    def test_reds(self):
        for text in ("The red\n=======\n::\n\n\tone is bad\n\n\tanother\n", "This is the red::\n\n\tanother\n",
                     "Without it::\n\n\tanother\n\tone is bad\n", "It printed::\n\n\tanother: want 3, got 4\n\tanother\n",
                     "It printed::\n\n\tkernel splat: another\n"):
            self.assertIn("no red of the tests on this page is declared as", self.says(text), text)
            self.assertIn("another", self.says(text), text)

    def test_of_another_test(self):
        self.file("patches/expect", EXPECT + "b_test\tamd\tfour\tbug\tfour is bad\tfirst\n")
        text = "The red\n=======\n::\n\n\tfour is bad\n"
        self.assertIn("page.rst:7: no red of the tests on this page is declared as 'four is bad'", self.says(text))
        self.assertEqual(self.says(text + "\nof ``b_test``\n"), "")

    def test_proved(self):
        self.file("tools/testing/selftests/kvm/a_test.c", "FIXTURE_VARIANT_ADD(vm, big) {\nFIXTURE_VARIANT_ADD(vm, small) {};\n"
                  "TEST_F(vm, one)\nTEST_F_TIMEOUT(host, two, 60)\nTEST(three)\n")
        begin = "=====\nTitle\n=====\n\nAnything. At all.\n\nThe order\n=========\n\n"
        for text, said in (("* One (``a_test.vm.big.one``).\n* Two,\n  i.e. all (``a_test.vm.{big,small}.one``).\n", ""),
                           ("``KVM_RUN``:\n\n* One (``a_test.host.two``, ``a_test.three``).\n\nMore\n====\n", ""),
                           ("* One.\n* Two (``a_test.three``).\n", "no subtest proves 'One.': name one"),
                           ("* One (``a_test.three``). And\n  two.\n", "no subtest proves 'And two.': name one"),
                           ("A paragraph.\n", "no subtest proves 'A paragraph.': name one"),
                           ("A list. Of these:\n", "no subtest proves 'A list.': name one"),
                           ("* One (``a_test.vm.one``).\n", "there is no subtest a_test.vm.one: "),
                           ("* One (``a_test.vm.{big,tiny}.one``).\n", "there is no subtest a_test.vm.tiny.one: "),
                           ("* One (``a_test.host.three``).\n", "there is no subtest a_test.host.three: "),
                           ("* One (``b_test.three``).\n", "there is no subtest b_test.three: ")):
            self.file("Documentation/virt/kvm/vmm-page.rst", begin + text)
            found = "\n".join(pages.check(expect.Tables(self.top), self.top))
            (self.assertIn if said else self.assertEqual)(said, found, text)

    def test_the_project(self):
        self.assertEqual(list(pages.check(expect.Tables(), expect.TOP)), [])

    def test_subtests(self):
        """The sources have all of the subtests that are declared, but for those of the table of vcpu_lifecycle_stress."""
        found = {}
        for folder, _, files in os.walk(os.path.join(expect.TOP, "tools/testing/selftests/kvm")):
            for file in files:
                with open(os.path.join(folder, file), encoding="utf-8") as source:
                    found[os.path.splitext(file)[0]] = pages.subtests(source.read())
        for row in expect.Tables().rows:
            if row.test != "vcpu_lifecycle_stress":
                self.assertEqual(set(row.subtests or []) - found[row.test], set(), row.test)


class Lab(Case):
    """The kernels without and with the series."""

    def setUp(self):
        super().setUp()
        self.result("amd", "all", "b_test", "exit 0", "1..1", ok(1, "x"))
        self.result("amd", "none", "b_test", "exit 0", "1..1", ok(1, "x"))

    def with_series(self, status, *lines):
        self.result("amd", "all", "a_test", status, *lines)

    def without(self, status, *lines):
        self.result("amd", "none", "a_test", status, *lines)

    def test_green(self):
        self.with_series("exit 0", "1..3", ok(1, "one"), ok(2, "two"), ok(3, "three"))
        self.good("green 3/3")
        self.assertRegex(self.said, "lab: 2 passed, 0 failed")

    def test_red(self):
        self.without("exit 1", "1..3", "#  RUN           global.one ...", "# a.c:1:one:one is bad", "not " + ok(1, "one"),
                     ok(2, "two"), ok(3, "three"))
        self.good("red 1/3", variants=("none",))

    def test_reds_by_chance_count(self):
        """They were left out: red 1/3 where all three had failed."""
        self.without("exit 1", "1..3", "# one is bad", "not " + ok(1, "one"), "# two is ugly", "not " + ok(2, "two"), ok(3, "three"))
        self.good("red 2/3, 1 by chance", variants=("none",))
        self.assertRegex(self.said, "left to chance: hit 1 of 1, not hit: 0 of 1")
        with open(os.path.join(self.folder, "reds"), encoding="utf-8") as text:
            self.assertIn("AMD a_test.two: two is ugly", text.read())

    def test_a_chance_that_was_not_hit(self):
        self.without("exit 1", "1..2", "# one is bad", "not " + ok(1, "one"), ok(2, "two"))
        self.good("red 1/2", variants=("none",))
        self.assertRegex(self.said, r"not hit: 1 of 1\n  a_test on AMD \(make storm\): two")
        self.bad("WRONG", "two passed and must be red", variants=("none",), sure=True)

    def test_history(self):
        self.without("exit 1", "1..2", "# one is bad", "not " + ok(1, "one"), ok(2, "two"))
        self.judge(variants=("none",))
        report.history(self.run_)
        with open(os.path.join(self.top, "results", "history"), encoding="utf-8") as text:
            self.assertRegex(text.read(), "^[^\t]*\tv9\tlab\tamd\ta_test.two\tnot hit\t")

    def test_a_patch_that_is_there_already(self):
        """There is nothing red then, and a red is wrong."""
        self.without("exit 0", "1..2", ok(1, "one"), ok(2, "two"))
        self.good("green 2/2", variants=("none",), there=["first"], linux="9.9.9")
        self.assertRegex(self.said, "^\nlinux 9.9.9, patches/v9\nthere already without the series: first\ntest ")
        self.without("exit 1", "1..2", "# one is bad", "not " + ok(1, "one"), ok(2, "two"))
        self.bad("WRONG", "one failed, and no red is declared", variants=("none",), there=["first"])
        self.good("red 1/2", variants=("none",), there=["third"])

    def test_a_red_is_missing(self):
        self.without("exit 0", "1..2", ok(1, "one"), ok(2, "two"))
        self.bad("WRONG", "one passed and must be red: one is bad", variants=("none",))

    def test_the_wrong_reason(self):
        self.without("exit 1", "1..2", "# a.c:1:one:one is odd", "not " + ok(1, "one"), ok(2, "two"))
        self.bad("WRONG", "one failed, and not for the declared reason: one is bad\n    one is odd", variants=("none",))

    def first(self, variant, *lines):
        self.result("amd", variant, "a_test.first", "exit 1", *lines)

    def test_a_host_that_is_too_slow(self):
        slow = ("1..2", "# a.c:1:one:Expected 1 (1) == 2 (2)", "# a.c:1:one:too slow: it left", "not " + ok(1, "one"), ok(2, "two"))
        red = ("1..2", "# a.c:1:one:Expected 1 (1) == 2 (2)", "# a.c:1:one:one is bad", "not " + ok(1, "one"), ok(2, "two"))
        green = ("1..2", ok(1, "one"), ok(2, "two"))
        self.without("exit 1", *slow)
        self.bad("WRONG", "one failed, and not for the declared reason", variants=("none",))
        self.first("none", *slow)
        self.bad("ERROR slow", "one was run twice, and the host is too slow for it: .*\n    too slow: it left", variants=("none",))
        self.without("exit 1", *red)
        self.good("red 1/2", variants=("none",))
        self.first("all", *slow)
        self.with_series("exit 0", *green)
        self.good("green 2/2")
        self.with_series("exit 1", *slow)
        self.bad("ERROR slow", "the host is too slow")
        self.with_series("exit 1", *slow, "!WARNING: CPU: 1")
        self.bad("WRONG", "the kernel reported: WARNING: CPU: 1")
        self.with_series("exit 1", *red)
        self.bad("WRONG", "one failed, and no red is declared")

    def test_a_first_run_hides_nothing(self):
        """With the series, a failure is one, whatever was too slow beside it."""
        self.with_series("exit 0", "1..2", ok(1, "one"), ok(2, "two"))
        slow = ("# a.c:1:two:Expected 1 (1) == 2 (2)", "# a.c:1:two:too slow: it left", "not " + ok(2, "two"))
        self.first("all", "1..2", "# a.c:1:one:Expected 1 (1) == 2 (2)", "# a.c:1:one:one is odd", "not " + ok(1, "one"), *slow)
        self.bad("WRONG", "one failed in the first run, in which the host was too slow for another one")
        self.first("all", "1..2", ok(1, "one"), "# a.c:1:two:Expected 3 (3) == 4 (4)", *slow)
        self.bad("WRONG", "two failed in the first run")
        self.first("all", "1..2", ok(1, "one"), "!WARNING: CPU: 1", *slow)
        self.bad("WRONG", "the kernel reported: WARNING: CPU: 1")
        self.first("all", "1..2", ok(1, "one"), *slow)
        self.good("green 2/2")

    def test_a_failure_that_nobody_declares(self):
        self.with_series("exit 1", "1..3", ok(1, "one"), ok(2, "two"), "# a.c:1:three:Expected 1 (1) == 2 (2)",
                         "# a.c:1:three:three is bad", "not " + ok(3, "three"))
        self.bad("WRONG", r"three failed, and no red is declared\n    Expected 1 \(1\) == 2 \(2\)\n    three is bad")

    def test_red_with_the_series(self):
        self.with_series("exit 1", "1..2", "# one is bad", "not " + ok(1, "one"), ok(2, "two"))
        self.bad("WRONG", "one failed, and no red is declared")

    def test_a_declared_subtest_does_not_run(self):
        self.with_series("exit 0", "1..1", ok(1, "one"))
        self.bad("WRONG", "two is declared and did not run")

    def test_a_subtest_of_another_base_does_not_run(self):
        self.expect(EXPECT + "a_test\tamd\tthree\tbug\tx\tthird\n")
        self.with_series("exit 0", "1..2", ok(1, "one"), ok(2, "two"))
        self.bad("WRONG", "three is declared and did not run", base="v8")

    def test_skips(self):
        self.with_series("exit 0", "1..3", ok(1, "one"), ok(2, "two"), ok(3, "three", " # SKIP no such thing"))
        self.bad("WRONG", "three was skipped: no such thing")
        self.expect(EXPECT + "a_test\tamd\tthree\tskip\tno such thing\n")
        self.good("green 2/3")
        with open(os.path.join(self.folder, "reds"), encoding="utf-8") as text:
            self.assertIn("AMD    a_test.three: no such thing", text.read())
        self.expect(EXPECT + "a_test\tamd\tthree\tskip\tanother thing\n")
        self.bad("WRONG", "three was skipped: no such thing")
        self.expect(EXPECT + "a_test\tamd\ttwo\tskip\tno such thing\n".replace("two", "three"))
        self.with_series("exit 0", "1..3", ok(1, "one"), ok(2, "two"), ok(3, "three"))
        self.bad("WRONG", "three is declared as skipped, and was not")

    def test_a_need_that_hosts_with_the_series_meet(self):
        self.file("patches/needs", NEEDS + "leaks\tseries\tno leaks\n")
        self.expect(EXPECT + "a_test\tamd\tthree\tpass\t-\t-\tleaks\n")
        lines = ("1..3", "# one is bad", "not " + ok(1, "one"), ok(2, "two"), ok(3, "three", " # SKIP no leaks"))
        self.without("exit 1", *lines)
        self.good("red 1/3", variants=("none",))
        self.with_series("exit 0", "1..3", ok(1, "one"), ok(2, "two"), ok(3, "three", " # SKIP no leaks"))
        self.bad("WRONG", "three was skipped: no leaks")

    def test_the_test_as_a_whole_skips(self):
        self.with_series("exit 4", "1..0 # SKIP no such thing")
        self.bad("ERROR exit 4", "the test did not come to its end: exit 4")

    def test_open(self):
        self.expect(EXPECT + "a_test\tamd\tthree\topen\tthree is bad\t-\t-\t-\tnobody knows how\n")
        lines = ("1..3", ok(1, "one"), ok(2, "two"), "# three is bad", "not " + ok(3, "three"))
        self.with_series("exit 1", *lines)
        self.good("green 2/3, 1 open")
        self.with_series("exit 0", *lines[:3], ok(3, "three"))
        self.bad("WRONG", "three is declared as open, and was not red")

    def test_what_dkms_leaves_out_is_open(self):
        self.file("patches/v9/dkms", "first\tnobody can\n")
        self.with_series("exit 1", "1..2", "# one is bad", "not " + ok(1, "one"), ok(2, "two"))
        self.good("green 1/2, 1 open", kernel="debian")
        self.with_series("exit 0", "1..2", ok(1, "one"), ok(2, "two"))
        self.bad("WRONG", "one is declared as open, and was not red", kernel="debian")

    def test_a_subtest_reports_twice(self):
        self.with_series("exit 0", "1..3", ok(1, "one"), ok(2, "two"), ok(3, "two"))
        self.bad("WRONG", "two has reported twice")

    def test_plans(self):
        self.with_series("exit 0", ok(1, "one"), ok(2, "two"))
        self.bad("ERROR", "planned 0 subtests and reported 2")
        self.with_series("exit 0", "1..3", ok(1, "one"), ok(2, "two"))
        self.bad("ERROR", "planned 3 subtests and reported 2")
        self.expect("a_test\tamd\t-\tpass\n")
        self.with_series("exit 0")
        self.bad("ERROR", "planned 0 subtests and reported 0")

    def test_exit_status(self):
        self.with_series("exit 1", "1..2", ok(1, "one"), ok(2, "two"))
        self.bad("ERROR", "0 subtests failed, and the test ended with exit 1")
        self.without("exit 0", "1..2", "# one is bad", "not " + ok(1, "one"), ok(2, "two"))
        self.bad("ERROR", "1 subtests failed, and the test ended with exit 0", variants=("none",))

    def test_the_end(self):
        for status in ("hung: a CPU stalls", "panicked", "died", "exit 124", "exit 139"):
            with self.subTest(status):
                self.with_series(status, "1..2", ok(1, "one"), ok(2, "two"))
                self.bad("ERROR " + status.split(":")[0], "the test did not come to its end: " + status)
        os.remove(os.path.join(self.folder, "amd-all", "a_test.status"))
        self.bad("ERROR not run", "the test did not come to its end: not run")

    def test_a_report_of_the_kernel(self):
        self.with_series("exit 0", "1..2", ok(1, "one"), "!WARNING: made up", ok(2, "two"))
        self.bad("WRONG", "the kernel reported: WARNING: made up")
        self.without("exit 0", "1..2", ok(1, "one"), "!WARNING: made up", ok(2, "two"))
        self.assertEqual(self.judge(variants=("none",)), 1)
        self.result("amd", "none", "b_test", "exit 0", "1..1", "!BUG kmalloc-96 (Tainted: G): Poison overwritten", ok(1, "x"))
        self.without("exit 1", "1..2", "# one is bad", "!BUG: KASAN: made up", "not " + ok(1, "one"), ok(2, "two"))
        self.judge(variants=("none",))
        self.assertEqual(self.cell(variant="none"), "red 1/2")
        self.assertEqual(self.cell("b_test", variant="none"), "WRONG")

    def test_a_known_report(self):
        self.expect(EXPECT + "a_test\tamd\ttwo\tknown\tWARNING: made up\t-\t-\t-\tit asks for it\n")
        self.with_series("exit 0", "1..2", "#  RUN           global.one ...", ok(1, "one"),
                         "#  RUN           global.two ...", "!WARNING: made up", ok(2, "two"))
        self.good("green 2/2")
        self.with_series("exit 0", "1..2", "!WARNING: made up", ok(1, "one"), ok(2, "two"))
        self.bad("WRONG", "the kernel reported: WARNING: made up")
        # Late lines belong to the subtest before.
        run = "#  RUN           global."
        self.with_series("exit 0", "1..3", run + "two ...", ok(1, "two"), "!WARNING: made up", run + "one ...", ok(2, "one"), ok(3, "x"))
        self.good("green 3/3")
        self.with_series("exit 0", "1..3", run + "one ...", ok(1, "one"), "!WARNING: made up", run + "two ...", ok(2, "two"), ok(3, "x"))
        self.bad("WRONG", "the kernel reported: WARNING: made up")

    def test_two_patches_of_one_row(self):
        self.expect("a_test\tamd\t-\tpass\na_test\tamd\tone\tbug\tone is bad\tfirst,second\n")
        for variant, cell in (("none", "red 1/1"), ("1", "red 1/1"), ("2", "WRONG")):
            self.result("amd", variant, "a_test", "exit 1", "1..1", "# one is bad", "not " + ok(1, "one"))
            self.judge(variants=(variant,))
            self.assertEqual(self.cell(variant=variant), cell)

    def test_two_lines_of_a_reason(self):
        self.expect("a_test\tamd\t-\tpass\na_test\tamd\tone\tbug\tNULL pointer && pc : here\tfirst\n")
        self.without("exit 1", "1..1", "!unable to handle NULL pointer", "!pc : here+0x1", "not " + ok(1, "one"))
        self.good("red 1/1", variants=("none",))
        self.without("exit 1", "1..1", "!unable to handle NULL pointer", "!pc : there+0x1", "not " + ok(1, "one"))
        self.bad("WRONG", "not for the declared reason", variants=("none",))

    def test_two_bugs_of_one_subtest(self):
        self.expect(EXPECT + "a_test\tamd\tone\tbug\tone is ugly\tlast\n")
        for word in ("bad", "ugly"):
            self.without("exit 1", "1..2", f"# one is {word}", "not " + ok(1, "one"), ok(2, "two"))
            self.good("red 1/2", variants=("none",))
        self.result("amd", "2", "a_test", "exit 1", "1..2", "# one is ugly", "not " + ok(1, "one"), ok(2, "two"))
        self.result("amd", "2", "b_test", "exit 0", "1..1", ok(1, "x"))
        self.good("red 1/2", variants=("2",))
        self.result("amd", "2", "a_test", "exit 1", "1..2", "# one is bad", "not " + ok(1, "one"), ok(2, "two"))
        self.bad("WRONG", "one failed, and not for the declared reason: one is ugly", variants=("2",))

    def test_consoles(self):
        self.with_series("exit 0", "1..2", ok(1, "one"), ok(2, "two"))
        for lines, sentence in ((("WARNING: made up", "lab: done"), "amd with the series: the kernel reported: WARNING: made up"),
                                (("kmemleak: 3 new suspected memory leaks", "lab: done"), "3 new suspected memory leaks"),
                                (("Command line: a b", "kmemleak: Kernel memory leak detector disabled", "lab: done"), "detector disabled"),
                                (("Command line: kmemleak=off", "BUG: made up", "lab: done"), "BUG: made up"),
                                (("lab: error: made up", "lab: done"), "amd with the series: error: made up"),
                                (("lab: begin a_test",), "the host did not come to its end")):
            with self.subTest(lines):
                self.console("amd", "all", *lines)
                self.assertEqual(self.judge(), 1)
                self.assertRegex(self.said, sentence)
                shutil.copytree(os.path.join(self.folder, "amd-all"), os.path.join(self.folder, "amd-all-kcsan"), dirs_exist_ok=True)
                self.assertEqual(self.judge(variants=("all-kcsan",)), 1)
        self.console("amd", "all", "lab: begin a_test", "lab: end a_test", "lab: done")
        self.assertEqual(self.judge(), 0)
        for lines in (("Command line: a kmemleak=off", "kmemleak: Kernel memory leak detector disabled"),
                      ("kmemleak: Kernel memory leak detector disabled", "Kernel command line: a kmemleak=off")):
            self.console("amd", "all", *lines, "lab: done")
            self.assertEqual(self.judge(), 0, self.said)
        self.console("amd", "all", "lab: begin a_test", "lab: end a_test", "lab: error: lockdep is off: x", "lab: done")
        self.assertEqual(self.judge(), 1)
        self.expect(EXPECT + "a_test\tamd\t-\tknown\tlockdep is turned off\t-\t-\t-\tit asks for it\n")
        self.assertEqual(self.judge(), 0, self.said)
        self.console("amd", "all", "lab: begin a_test", "lab: end a_test", "lab: begin b_test", "lab: end b_test",
                     "lab: error: lockdep is off: x", "lab: done")
        self.assertEqual(self.judge(), 1)

    def test_files(self):
        self.without("exit 1", "1..2", "# one is <bad>", "# one is bad\x01", "not " + ok(1, "one"), "not " + ok(2, "two"))
        self.assertEqual(self.judge(variants=("none", "all")), 1)
        with open(os.path.join(self.folder, "results.json"), encoding="utf-8") as text:
            found = json.load(text)
        about = [one["misc"] for one in found["checkouts"]]
        self.assertEqual([(one["run"]["base"], one["passed"], one["failed"]) for one in about], [("v9", 1, 1), ("v9", 1, 1)])
        root = ElementTree.parse(os.path.join(self.folder, "junit.xml")).getroot()
        self.assertEqual(int(root.get("failures")), len(root.findall(".//failure")))
        self.assertEqual(int(root.get("tests")), len(root.findall(".//testcase")))
        with contextlib.redirect_stdout(io.StringIO()) as out:
            self.assertEqual(results.again(self.folder, self.run_.tables), 1)
            # A run from before that was KCIDB's.
            self.file("results/20260101-000000-v9/results.json", json.dumps({"run": about[0]["run"]}))
            self.assertEqual(results.again(self.folder, self.run_.tables), 1)
            os.remove(os.path.join(self.folder, "results.json"))
            self.assertEqual(results.again(self.folder, self.run_.tables), 1)
        self.assertEqual(out.getvalue().count("two failed, and not for the declared reason"), 3)


# The constraints of the schema 5.3 of kernelci/kcidb-io (v05_03.py) on the properties that are written
# here, taken over by hand.  It has more properties, and this allows no others: all that passes here
# passes there, if no constraint was mistaken.
def string(pattern="^[^\\0]*$", **more):
    return {"type": "string", "pattern": pattern, **more}


def things(required, **properties):
    return {"type": "object", "additionalProperties": False, "required": required.split(), "properties": properties}


KCIDB_ID = string("^[a-z0-9_]+:[^\\0]*$")
KCIDB_ORIGIN = string("^[a-z0-9_]+$")
KCIDB_PATH = string(r"^([a-zA-Z0-9_-]+(\.[a-zA-Z0-9_-]+)*)?$")
KCIDB_STATUS = {"type": "string", "enum": ["FAIL", "ERROR", "MISS", "PASS", "DONE", "SKIP"]}
KCIDB_EXCERPT = string(maxLength=16384)
KCIDB = things(
    "version",
    version=things("major", major={"type": "integer", "const": 5}, minor={"type": "integer", "minimum": 0, "maximum": 3}),
    checkouts={"type": "array", "items": things(
        "id origin", id=KCIDB_ID, origin=KCIDB_ORIGIN, git_commit_name=string(), patchset_hash=string("^$|^[0-9a-f]{64}$"), comment=string(),
        start_time={"type": "string", "format": "date-time"}, valid={"type": "boolean"}, misc={"type": "object"})},
    builds={"type": "array", "items": things(
        "checkout_id id origin", checkout_id=KCIDB_ID, id=KCIDB_ID, origin=KCIDB_ORIGIN, architecture=string("^[a-z0-9_]*$"),
        compiler=string(), config_name=string(), status=KCIDB_STATUS, misc={"type": "object"})},
    tests={"type": "array", "items": things(
        "build_id id origin", build_id=KCIDB_ID, id=KCIDB_ID, origin=KCIDB_ORIGIN, path=KCIDB_PATH, status=KCIDB_STATUS, comment=string(),
        environment=things("", comment=string(), misc={"type": "object"}), log_excerpt=KCIDB_EXCERPT, duration={"type": "number"},
        number=things("value", value={"type": "number"}, unit=string()), misc={"type": "object"})})


def wrong_with(found):
    """The mistakes that jsonschema finds, and those of a database: objects that refer to nothing, an ID twice."""
    said = [f"{list(error.path)}: {error.message}" for error in jsonschema.Draft7Validator(KCIDB).iter_errors(found)]
    ids = [one["id"] for name in ("checkouts", "builds", "tests") for one in found[name]]
    said += [f"{one} is there twice" for one in set(ids) if ids.count(one) > 1]
    said += [f"{one['id']} refers to nothing" for one in found["builds"] + found["tests"]
             if one.get("checkout_id", one.get("build_id")) not in ids]
    for one in found["checkouts"]:
        datetime.datetime.strptime(one["start_time"], "%Y-%m-%dT%H:%M:%S%z")
    return said


class Kcidb(Case):
    """results.json, for others."""

    def found(self, **more):
        self.status = self.judge(variants=("none", "all"), linux="9.0.0-rc2", **more)
        with open(os.path.join(self.folder, "results.json"), encoding="utf-8") as file:
            self.data = json.load(file)
        self.assertEqual(wrong_with(self.data), [])
        return {(one["id"].split(":")[2], one["path"]): one for one in self.data["tests"]}

    def setUp(self):
        super().setUp()
        self.result("amd", "none", "a_test", "exit 1", "1..3", "# a.c:1:one:one is bad\0", "not " + ok(1, "one"), "!BUG: KASAN: two is bad",
                    "not " + ok(2, "two"), ok(3, "three.a/b"))
        self.result("amd", "all", "a_test", "exit 0", "1..3", ok(1, "one"), ok(2, "two"), ok(3, "three.a/b"))
        for variant in ("none", "all"):
            self.result("amd", variant, "b_test", "exit 0", "1..2",
                        '# {"measure": "x", "unit": "ns", "n": 9, "min": 1, "p50": 42, "p99": 43, "max": 44}', ok(1, "x"), ok(2, "y", " # SKIP no y"))
            self.console("amd", variant, "Linux version 9.0 (me@lab) (some-gcc (Debian 12) 12.2, GNU ld (GNU) 2.4) #1", "lab: done")
        self.expect(EXPECT + "b_test\tamd\ty\tskip\tno y\n")

    def test_schema(self):
        found = self.found()
        self.assertEqual(self.status, 0, self.said)
        self.assertEqual(self.data["version"], {"major": 5, "minor": 3})
        states = {key: one["status"] for key, one in found.items()}
        prefix = "kselftest.kvm."
        self.assertEqual({path: states["none", path] for _, path in states}, {
            prefix + "a_test.one": "FAIL", prefix + "a_test.two": "FAIL", prefix + "a_test.three.a_b": "PASS", prefix + "a_test": "FAIL",
            prefix + "b_test.x": "PASS", prefix + "b_test.y": "SKIP", prefix + "b_test": "PASS"})
        self.assertEqual({path for variant, path in states if variant == "none"}, {path for variant, path in states if variant == "all"})
        self.assertNotIn("FAIL", [state for (variant, _), state in states.items() if variant == "all"])
        red = found["none", prefix + "a_test.one"]
        self.assertEqual((red["log_excerpt"].split("\n")[1:3], red["misc"]["as_declared"]),
                         (["lab: # a.c:1:one:one is bad?", "lab: not ok 1 global.one"], True))
        self.assertIn("BUG: KASAN: two is bad", found["none", prefix + "a_test.two"]["log_excerpt"])
        self.assertEqual(found["none", prefix + "a_test"]["number"], {"value": 2, "unit": "failed subtests"})
        self.assertEqual(found["none", prefix + "b_test.x"]["number"], {"value": 42, "unit": "ns"})
        self.assertNotIn("number", found["none", prefix + "a_test.one"])

    def test_checkouts(self):
        self.found()
        without, with_it = self.data["checkouts"]
        self.assertEqual((without["git_commit_name"], without["patchset_hash"]), ("v9.0-rc2", ""))
        # sha256sum *.patch | cut -c-64 | sha256sum
        line = hashlib.sha256(b"").hexdigest() + "\n"
        self.assertEqual(with_it["patchset_hash"], hashlib.sha256((4 * line).encode()).hexdigest())
        self.assertEqual([one["compiler"] for one in self.data["builds"]], ["some-gcc (Debian 12) 12.2"] * 2)
        self.assertEqual(report.good(self.folder), ["amd-none", "amd-all"])

    def test_ends(self):
        a_test = "kselftest.kvm.a_test"
        for status, state in (("panicked", "ERROR"), ("hung: a CPU stalls", "ERROR"), ("exit 124", "ERROR"), ("exit 4", "SKIP"),
                              ("died: the host did not come as far as this test, see x", "MISS")):
            with self.subTest(status):
                self.result("amd", "all", "a_test", status, "1..3", ok(1, "one"))
                self.assertEqual(self.found()["all", a_test]["status"], state)
        self.result("amd", "all", "a_test", "exit 0", "1..3", ok(1, "one"), ok(2, "x"), ok(3, "y"))
        self.assertEqual(self.found()["all", a_test + ".two"]["status"], "MISS")
        self.result("amd", "all", "a_test", "exit 0", "1..2", ok(1, "one"), "!WARNING: made up", ok(2, "two"))
        found = self.found()["all", a_test]
        self.assertEqual((found["status"], found["log_excerpt"]), ("FAIL", "WARNING: made up\n"))
        self.result("amd", "all", "a_test", "exit 0", "1..3", ok(1, "one"), ok(2, "two"), ok(3, "two"))
        self.found()

    def test_a_long_log(self):
        self.result("amd", "none", "a_test", "exit 1", "1..2", "# one is bad", *["# " + "x" * 900] * 30, "not " + ok(1, "one"), ok(2, "two"))
        said = self.found()["none", "kselftest.kvm.a_test.one"]["log_excerpt"]
        self.assertIn("one is bad", said)
        self.assertTrue(said.endswith("not ok 1 global.one\n"))

    def test_names(self):
        self.assertEqual(kcidb.name_of("/x/20260101-000000-v9-patches/a"), "20260101-000000-v9-patches/a")
        self.assertRegex(kcidb.name_of(self.top), "^[0-9]{8}-[0-9]{6}-" + os.path.basename(self.top))

    def test_the_check_speaks(self):
        self.found()
        for spoil in (lambda data: data["tests"][0].update(status="RED"), lambda data: data["tests"][0].update(path="a b"),
                      lambda data: data["builds"][0].pop("checkout_id"), lambda data: data.update(run={}),
                      lambda data: data["tests"][1].update(id=data["tests"][0]["id"]), lambda data: data["tests"][0].update(log_excerpt="\0"),
                      lambda data: data["tests"][0].update(log_excerpt=17000 * "x"), lambda data: data["checkouts"].pop()):
            data = copy.deepcopy(self.data)
            spoil(data)
            self.assertNotEqual(wrong_with(data), [])

    def ktap(self, lines):
        """Plans that are kept, numbers and nesting; the results by their names."""
        results, open_ = {}, []
        for line in lines:
            depth = (len(line) - len(line.lstrip(" "))) // 2
            text = line.strip()
            if text == "KTAP version 1":
                self.assertEqual(len(open_), depth)
                open_.append([None, 0])
            elif re.match(r"1\.\.", text):
                open_[depth][0] = int(text[3:])
            elif not text.startswith("#"):
                found = re.match(r"(not )?ok ([0-9]+) ([^#]*?)(?: # (.*))?$", text)
                while len(open_) > depth + 1:
                    self.assertEqual(*open_.pop())
                open_[depth][1] += 1
                self.assertEqual(int(found[2]), open_[depth][1])
                results[depth, found[3]] = "skip" if found[4] and found[4].startswith("SKIP") else "fail" if found[1] else "pass"
        self.assertEqual(open_[0][0], open_[0][1])
        return results

    def test_ktap(self):
        self.found()
        with open(os.path.join(self.folder, "results.ktap"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        found = self.ktap(lines)
        self.assertEqual({name: result for (depth, name), result in found.items() if depth == 0}, {"amd-none": "fail", "amd-all": "pass"})
        self.assertEqual((found[2, "x"], found[2, "y"], found[2, "one"]), ("pass", "skip", "pass"))
        self.assertIn("    not ok 1 one", lines)
        self.assertIn("    # the kernel: BUG: KASAN: two is bad", lines)
        self.result("amd", "all", "a_test", "panicked", "1..3", ok(1, "one"))
        self.found()
        with open(os.path.join(self.folder, "results.ktap"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertEqual(self.ktap(lines)[1, "a_test"], "fail")
        self.assertIn("  not ok 1 a_test # ERROR panicked", lines)


class Travel(Case):
    """A folder for each test with a red."""

    def setUp(self):
        super().setUp()
        self.expect("a_test\tamd\t-\tpass\na_test\tamd\tone\tbug\tone is bad\tfirst\nb_test\tamd\t-\tpass\nb_test\tamd\tx\tbug\tx\tfirst\n")
        for name in ("kernel", "initramfs"):
            self.file(f"cache/boot/0/{name}", name)
        self.kept = os.path.join(self.top, "cache/boot/0")
        self.result("amd", "none", "a_test", "exit 1", "1..2", "# a.c:1:one:one is bad: it's 3", "not " + ok(1, "one"), ok(2, "two"))
        self.result("amd", "none", "b_test", "exit 1", "1..1", "# x", "not " + ok(1, "x"))
        for test in ("a_test", "b_test"):
            self.result("amd", "all", test, "exit 0", "1..1", ok(1, "one" if test == "a_test" else "x"))
        self.boot()

    def boot(self, variant="none", program="qemu"):
        self.file(f"results/20260101-000000-v9/amd-{variant}/boot", "".join(
            f"{name}\t{value}\n" for name, value in (("kept", self.kept), ("program", program), ("package", ""), ("machine", "-m 1G"),
                                                    ("cmdline", "a b"), ("seconds", "9"))))

    def folders(self):
        top = os.path.join(self.folder, "red")
        return sorted(os.listdir(top)) if os.path.isdir(top) else []

    def test_folders(self):
        self.assertEqual(self.judge(variants=("none", "all")), 0, self.said)
        self.assertRegex(self.said, "\n2 tests with a red, each as a folder for another machine: .*/red\n")
        self.assertEqual(self.folders(), ["amd-none-a_test", "amd-none-b_test"])
        for name in ("kernel", "initramfs"):
            # The cache's, and one a folder.
            self.assertEqual(os.stat(os.path.join(self.kept, name)).st_nlink, 3)
        show = os.path.join(self.folder, "red/amd-none-a_test/show")
        self.assertTrue(os.access(show, os.X_OK))
        with open(show, encoding="utf-8") as text:
            self.assertIn("SUBTEST=one\nWANT='one is bad: it'\"'\"'s 3'\n", text.read())

    def test_later(self):
        self.judge(variants=("none", "all"))
        shutil.rmtree(self.kept)
        self.judge(variants=("none", "all"))
        self.assertEqual(self.folders(), ["amd-none-a_test", "amd-none-b_test"])
        self.assertTrue(os.path.exists(os.path.join(self.folder, "red/amd-none-a_test/kernel")))
        self.result("amd", "none", "b_test", "exit 0", "1..1", ok(1, "x"))
        self.judge(variants=("none", "all"))
        self.assertEqual(self.folders(), ["amd-none-a_test"])

    def test_not_declared(self):
        """A report with the series, a panic; and a hang, which has no line to look for."""
        self.boot("all")
        for status, line, want in (("exit 0", "!WARNING: made up", "WARNING: made up"), ("hung: a CPU stalls", "# x", None),
                                   ("panicked", "!Kernel panic - not syncing: x", "Kernel panic - not syncing: x")):
            with self.subTest(status):
                self.result("amd", "all", "a_test", status, "1..1", line, ok(1, "one"))
                self.judge(variants=("all",))
                self.assertEqual(self.folders(), ["amd-all-a_test"] if want else [])
                if want:
                    with open(os.path.join(self.folder, "red/amd-all-a_test/show"), encoding="utf-8") as text:
                        self.assertIn(f"SUBTEST=''\nWANT='{want}'\n", text.read())

    def test_a_script_is_the_emulator(self):
        self.boot(program="bochs.sh")
        self.judge(variants=("none",))
        folder = os.path.join(self.folder, "red/amd-none-a_test")
        self.assertTrue(os.access(os.path.join(folder, "bochs.sh"), os.X_OK))
        with open(os.path.join(folder, "show"), encoding="utf-8") as text:
            self.assertIn("PROGRAM=./bochs.sh\n", text.read())

    def test_no_kernel(self):
        os.remove(os.path.join(self.folder, "amd-none/boot"))
        self.judge(variants=("none",))
        self.assertEqual(self.folders(), [])
        self.assertNotIn("for another machine", self.said)


class Patches(Case):
    """The kernels without and with one patch."""

    def setUp(self):
        super().setUp()
        self.expect("a_test\tamd\t-\tpass\n"
                    "a_test\tamd\tone\tbug\tone is bad\tsecond\n"
                    "a_test\tamd\ttwo\tbug\ttwo is bad\tlast\n")
        self.before()
        self.after()

    def before(self, status="exit 1", lines=("1..3", "# one is bad", "not ok 1 one", "# two is bad", "not ok 2 two", "ok 3 three"), console=()):
        self.result("amd", "1", "a_test", status, *lines)
        self.console("amd", "1", *console, "lab: done")

    def after(self, status="exit 1", lines=("1..3", "ok 1 one", "!KASAN", "# two is bad", "not ok 2 two", "ok 3 three"), console=()):
        self.result("amd", "2", "a_test", status, *lines)
        self.console("amd", "2", *console, "lab: done")

    def verdict(self, **more):
        status = self.judge(variants=("1", "2"), patch="second", **more)
        return status, self.cell(variant="1"), self.cell(variant="2")

    def test_right(self):
        self.assertEqual(self.verdict(), (0, "red 1", "green 1"), self.said)

    def test_not_red_without_it(self):
        self.before(lines=("1..3", "ok 1 one", "# two is bad", "not ok 2 two", "ok 3 three"))
        self.assertEqual(self.verdict()[:2], (1, "WRONG"))
        self.before(lines=("1..3", "# one is odd", "not ok 1 one", "# two is bad", "not ok 2 two", "ok 3 three"))
        self.assertEqual(self.verdict()[:2], (1, "WRONG"))
        self.before(lines=("1..2", "# two is bad", "not ok 2 two", "ok 3 three"))
        self.assertEqual(self.verdict()[:2], (1, "WRONG"))

    def test_not_green_with_it(self):
        self.after(lines=("1..3", "# one is bad", "not ok 1 one", "ok 2 two", "ok 3 three"))
        self.assertEqual(self.verdict(), (1, "red 1", "WRONG"))
        self.assertRegex(self.said, "one failed for the reason that this patch removes: one is bad")
        self.after(lines=("1..3", "# one is odd", "not ok 1 one", "ok 2 two", "ok 3 three"))
        self.assertEqual(self.verdict(), (1, "red 1", "WRONG"))
        self.after(status="exit 0", lines=("1..3", "ok 1 one # SKIP no", "ok 2 two", "ok 3 three"))
        self.assertEqual(self.verdict(), (1, "red 1", "WRONG"))

    def test_reports_count(self):
        """They did not: a report of the kernel with the patch was "green 1 ... 0 failed"."""
        for line in ("ok 3 three", "ok 1 one"):
            lines = ["1..3", "ok 1 one", "# two is bad", "not ok 2 two", "ok 3 three"]
            lines.insert(lines.index(line), "!WARNING: possible circular locking dependency detected")
            self.after(lines=lines)
            self.assertEqual(self.verdict(), (1, "red 1", "WRONG"))
            self.assertRegex(self.said, "the kernel reported: WARNING: possible circular locking")

    def test_both_consoles_count(self):
        self.before(console=("WARNING: made up",))
        self.assertEqual(self.verdict()[0], 1)
        self.before()
        self.after(console=("BUG: made up",))
        self.assertEqual(self.verdict()[0], 1)
        self.assertRegex(self.said, "amd, patches: 2: the kernel reported: BUG: made up")

    def test_the_end(self):
        self.after(status="hung: a CPU stalls")
        self.assertEqual(self.verdict(), (1, "red 1", "ERROR hung"))

    def test_red_for_a_later_patch(self):
        self.expect("a_test\tamd\t-\tpass\na_test\tamd\tone\tbug\tone is bad\tsecond\na_test\tamd\tone\tbug\tone is ugly\tlast\n")
        self.before(lines=("1..1", "# one is bad", "not ok 1 one"))
        self.after(lines=("1..1", "# one is ugly", "not ok 1 one"))
        self.assertEqual(self.verdict(), (0, "red 1", "green 1"), self.said)
        self.before(lines=("1..1", "# one is ugly", "not ok 1 one"))
        self.assertEqual(self.verdict()[:2], (1, "WRONG"))


class Boot(Case):
    """From the console of a boot to a file a test."""

    def take(self, hung, *lines, tests=("a_test", "b_test")):
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, "console.boot"), "w", encoding="utf-8") as out:
            out.write("".join(f"[    1.000000] {line}\r\n" for line in lines))
        return logs.take(self.folder, hung, list(tests))

    def text(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as text:
            return text.read()

    def test_two_tests(self):
        left = self.take("", "kernel", "lab: begin a_test", "lab: ok 1 one", "WARNING: x", "lab: exit 1", "lab: end a_test",
                         "lab: begin b_test", "lab: exit 0", "lab: end b_test", "lab: done")
        self.assertEqual(left, [])
        self.assertEqual(self.text("a_test.status") + self.text("b_test.status"), "exit 1\nexit 0\n")
        self.assertEqual(self.text("a_test.ktap"), "ok 1 one\n")
        self.assertEqual(self.text("a_test.log").count("\n"), 3)
        self.assertIn("lab: done\n", self.text("console"))

    def test_ends(self):
        for hung, lines, status in (("", (), "died"), ("a CPU stalls", (), "hung: a CPU stalls"),
                                    ("", ("Kernel panic - not syncing",), "panicked"),
                                    ("a CPU stalls", ("Kernel panic - not syncing",), "panicked")):
            with self.subTest(status):
                self.assertEqual(self.take(hung, "lab: begin a_test", *lines), ["b_test"])
                self.assertEqual(self.text("a_test.status"), status + "\n")
        self.take("", "lab: begin a_test", "lab: end a_test", "lab: done")
        self.assertEqual(self.text("a_test.status"), "died\n")

    def test_a_host_that_was_too_slow(self):
        slow = ("lab: begin a_test", "lab: # a.c:1:one:too slow: it left", "lab: exit 1", "lab: end a_test",
                "lab: begin b_test", "lab: exit 0", "lab: end b_test", "lab: done")
        self.assertEqual(self.take("", *slow), ["a_test"])
        self.assertIn("too slow", self.text("a_test.first.log"))
        self.assertEqual(self.take("", *slow), [])
        self.assertEqual(self.text("a_test.status"), "exit 1\n")

    def test_what_a_host_sends(self):
        packed = base64.b64encode(gzip.compress(b"debug_locks: 1\n")).decode()
        self.take("", f"lab: file: lockdep_stats {packed[:20]}", f"lab: file: lockdep_stats {packed[20:]}", "lab: done")
        self.assertEqual(self.text("lockdep_stats"), "debug_locks: 1\n")
        self.assertNotIn("file:", self.text("console"))
        with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()) as said:
            self.take("", f"lab: file: lockdep {packed[:20]}")
        self.assertRegex(said.getvalue(), "the host did not send the whole of lockdep")


class Outcome(Case):
    """A test of which nothing is declared, for git bisect run."""

    def says(self, status, *lines, subtest=""):
        self.result("amd", "none", "a_test", status, *lines)
        return outcome.outcome(os.path.join(self.folder, "amd-none"), "a_test", subtest, lambda line, sub: "known" in line)

    def test_outcomes(self):
        one, two, no_two = ok(1, "one"), ok(2, "two"), "not " + ok(2, "two")
        slow = ("# a.c:1:two:Expected 1 (1) == 2 (2)", "# a.c:1:two:too slow: it left")
        for want, why, status, *lines in (
                (0, "2 subtests pass", "exit 0", "1..2", one, two),
                (0, "1 subtests pass", "exit 0", "1..2", one, two + " # SKIP no"),
                (0, "2 subtests pass", "exit 0", "1..2", "!WARNING: known", one, two),
                (1, "two fails: two is bad", "exit 1", "1..2", one, "# a.c:1:two:two is bad", no_two),
                (1, "the kernel reports: WARNING: x", "exit 0", "1..2", one, "!WARNING: x", two),
                (125, "it skips: no", "exit 0", "1..1", one + " # SKIP no"),
                (125, "the host is too slow for two", "exit 1", "1..2", one, *slow, no_two),
                (125, "planned 3 subtests and reported 2", "exit 0", "1..3", one, two),
                (125, "the test did not come to its end: exit 4", "exit 4", "1..0 # SKIP no"),
                (125, "the test did not come to its end: panicked", "panicked", "1..2", no_two),
                (125, "the test has no subtests", "exit 0")):
            with self.subTest(why):
                self.assertEqual(self.says(status, *lines), (want, why))
        os.remove(os.path.join(self.folder, "amd-none/a_test.status"))
        self.assertEqual(outcome.outcome(os.path.join(self.folder, "amd-none"), "a_test", "", None),
                         (125, "the test did not come to its end: not run"))

    def test_one_subtest(self):
        lines = ("1..3", ok(1, "one"), "# two is bad", "not " + ok(2, "two"), "!WARNING: x")
        self.assertEqual(self.says("panicked", *lines, subtest="one"), (0, "1 subtests pass"))
        self.assertEqual(self.says("panicked", *lines, subtest="two")[0], 1)
        self.assertEqual(self.says("exit 1", *lines, subtest="three"), (125, "there is no subtest three"))


class Hosts(Case):
    """One file is a host."""

    def test_like(self):
        self.host("arm-new", "label New\narch arm64\nlike arm\n")
        tables = expect.Tables(self.top)
        self.assertEqual(tables.tests("v9", "arm-new"), ["a_test"])
        self.assertIn("one", tables.expectations("v9", "a_test", "arm-new").reds)
        self.file("patches/expect", EXPECT + "a_test\tarm-new\tone\tskip\tnot here\n")
        tables = expect.Tables(self.top)
        self.assertIn("one", tables.expectations("v9", "a_test", "arm-new").skips)
        self.assertIn("one", tables.expectations("v9", "a_test", "arm").reds)
        self.result("arm-new", "all", "a_test", "exit 0", "1..1", ok(1, "one", " # SKIP not here"))
        self.console("arm-new", "all", "lab: begin a_test", "lab: end a_test", "lab: done")
        self.assertEqual(self.judge(hosts=("arm-new",)), 0, self.said)
        self.assertRegex(self.said, "^\ntest +New with")

    def test_wrong(self):
        for text, sentence in (("label x\narch x86\nmodul kvm\n", "hosts/bad:11: unknown modul: choose from label "),
                               ("label x\narch x86\nsmp 4\n", "hosts/bad:11: a second line smp"),
                               ("label x\narch sparc\n", "hosts/bad:10: arch cannot be sparc"),
                               ("label\narch x86\n", "hosts/bad:9: label cannot be empty"),
                               ("label x\narch x86\npackage qemu\n", "hosts/bad:11: package cannot be qemu"),
                               ("label x\n", "hosts/bad: there is no line arch"),
                               ("label x\narch x86\nlike bad\n", "hosts/bad: like bad: there is no such other host"),
                               ("label x\narch x86\nlike none\n", "hosts/bad: like none: there is no such other host")):
            with self.subTest(sentence):
                self.host("bad", text)
                with self.assertRaises(expect.Errors) as caught:
                    expect.Tables(self.top)
                self.assertRegex(str(caught.exception), sentence)

    def test_folders(self):
        for host, variant in (("arm-new", "all-kcsan"), ("arm-new", "none"), ("amd", "12")):
            with self.subTest(host + variant):
                self.assertEqual(results.FOLDER.match(f"{host}-{variant}").groups(), (host, variant))


class Upstream(Case):
    """Upstream's own tests: the same without and with the series, and as they are listed."""

    def setUp(self):
        super().setUp()
        self.file("list", "slow\tamd\ttime\tno reason\n")
        for variant in ("none", "all"):
            self.result("amd", variant, "same", "exit 0", "ok 1 one")
            self.result("amd", variant, "slow", "exit 143", "ok 1 one")
        self.file("results/20260101-000000-v9/amd.tests", "same\nslow\n")

    def verdict(self):
        run = upstream.Upstream(self.folder, os.path.join(self.top, "list"), ["amd"], ["none", "all"])
        run.judge()
        with contextlib.redirect_stdout(io.StringIO()) as out:
            status = run.report()
        self.said = out.getvalue()
        return status

    def test_right(self):
        self.assertEqual(self.verdict(), 0, self.said)
        with open(os.path.join(self.folder, "results.json"), encoding="utf-8") as file:
            found = json.load(file)
        self.assertEqual(wrong_with(found), [])
        self.assertEqual([(one["path"], one["status"]) for one in found["tests"][::2]],
                         [("kselftest.kvm.same", "PASS"), ("kselftest.kvm.slow", "ERROR")])

    def test_wrong(self):
        for args, sentence in ((("same", "exit 0", "ok 1 one", "!WARNING: made up"), "AMD +same +the kernel reports .*made up"),
                               (("same", "exit 254", "ok 1 one"), "AMD +same +pass without the series, fail with it"),
                               (("same", "exit 0", "not ok 1 one"), "AMD +same +subtests differ")):
            with self.subTest(sentence):
                self.result("amd", "all", *args)
                self.assertEqual(self.verdict(), 1)
                self.assertRegex(self.said, sentence)
        self.result("amd", "all", "same", "exit 0", "ok 1 one")
        self.file("list", "")
        self.assertEqual(self.verdict(), 1)
        self.assertRegex(self.said, "AMD +slow +time without the series, and pass is what its list says")
        self.file("list", "slow\tamd\tunsteady\tno reason\n")
        self.assertEqual(self.verdict(), 0, self.said)
        self.file("results/20260101-000000-v9/amd.tests", "")
        self.assertEqual(self.verdict(), 1)

    def test_a_known_report(self):
        for variant in ("none", "all"):
            self.result("amd", variant, "same", "exit 0", "ok 1 one", "!WARNING: made up 17")
        self.assertEqual(self.verdict(), 1)
        self.file("list", "slow\tamd\ttime\tno reason\nsame\tamd\tpass\tno reason\tmade up N\n")
        self.assertEqual(self.verdict(), 0, self.said)


class Kit(Case):
    KTAP = ["TAP version 13", "1..2", "# selftests: kvm: a_test", "# 1..2", "# ok 1 one", "# ok 2 two # SKIP no such thing",
            "ok 1 selftests: kvm: a_test", "# 1..0 # SKIP no", "ok 2 selftests: kvm: b_test # SKIP no"]

    def wrong(self, lines):
        self.file("kit/kselftest.ktap", "\n".join(lines) + "\n")
        return " ".join(kit.check_ktap(os.path.join(self.top, "kit")))

    def test_ktap(self):
        self.assertEqual(self.wrong(self.KTAP), "")
        self.assertRegex(self.wrong(self.KTAP[1:]), "no version")
        self.assertRegex(self.wrong(self.KTAP[:5] + self.KTAP[6:]), "planned 2, reported 1")
        self.assertRegex(self.wrong(self.KTAP[:7]), "2 tests were planned, and 1 reported")
        self.assertRegex(self.wrong([line.replace(" no such thing", "") for line in self.KTAP]), "a skip without a reason")
        self.assertRegex(self.wrong([line.replace("ok 2", "ok 3") for line in self.KTAP]), "not number 2")


class Bench(Case):
    BUDGETS = "a_perf_test.x.*\tamd\tnone\t1.005\tbudget\n"

    def measured(self, variant, **medians):
        lines = [f'# {{"measure": "{name.replace("__", ".")}", "unit": "ns", "n": 3, "min": 1, "p50": {p50}, "p99": 9, "max": 9}}\n'
                 for name, p50 in medians.items()]
        self.file(f"results/20260101-000000-v9/amd-{variant}/a_perf_test.ktap", "TAP version 13\n1..9\n# {not a measure}\n" + "".join(lines))

    def bench(self, budgets):
        self.file("tools/lab/budgets", "# comment\n" + budgets)
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                status = bench.report(self.folder, expect.Tables(self.top).hosts, ["amd"], ["none", "all"], self.top)
            except SystemExit as error:
                status = error.code
        self.said = out.getvalue()
        return status

    def test_against_none(self):
        self.measured("none", x__one=1000, x__two=2000)
        self.measured("all", x__one=1005, x__two=1900)
        self.assertEqual(self.bench(self.BUDGETS), 0, self.said)
        self.assertRegex(self.said, r"(?m)^a_perf_test\.x\.one +3 +1000 +1005 +1\.0050 +9 +9$")
        self.measured("all", x__one=1006, x__two=1900)
        self.assertEqual(self.bench(self.BUDGETS), 1, self.said)
        self.assertRegex(self.said, r"amd: a_perf_test\.x\.one: 1\.0060 times .* without the series, limit 1\.005")
        self.assertNotRegex(self.said, "x.two: ")

    def test_against_another(self):
        flat = "a_perf_test.*.last\tamd\tfirst\t1.2\t{}\n"
        self.measured("none", x__first=100, x__last=900)
        self.measured("all", x__first=100, x__last=120, y__first=50, y__last=61)
        self.assertEqual(self.bench(flat.format("budget")), 1, self.said)
        self.assertRegex(self.said, r"a_perf_test\.y\.last: 1\.2200 times a_perf_test\.y\.first, limit 1\.2")
        self.assertNotRegex(self.said, r"a_perf_test\.x\.last: ")
        self.assertEqual(self.bench("a_perf_test.x.last\tamd\ta_perf_test.y.last\t1.9\tbudget\n"), 1, self.said)
        self.assertRegex(self.said, r"a_perf_test\.x\.last: 1\.9672 times a_perf_test\.y\.last, limit 1\.9")
        self.assertEqual(self.bench(flat.format("open\tknown to be slow")), 0, self.said)
        self.assertRegex(self.said, "over their budget, as declared:\n.*known to be slow")
        self.measured("all", x__first=100, x__last=120)
        self.assertEqual(self.bench(flat.format("open\tknown to be slow")), 1, self.said)
        self.assertRegex(self.said, "declared open: make it a budget")

    def test_nothing_measured(self):
        self.measured("none", x__one=1000)
        self.measured("all")
        self.assertEqual(self.bench(self.BUDGETS), 1, self.said)
        self.assertRegex(self.said, "amd-all has no measure: see the logs there")
        self.measured("all", x__one=1000)
        self.assertEqual(self.bench(self.BUDGETS.replace("x.*", "z.*")), 1, self.said)
        self.assertRegex(self.said, r"no measure is a_perf_test\.z\.\*, which has a budget")
        self.measured("none", y__one=1000)
        self.assertEqual(self.bench(self.BUDGETS), 1, self.said)
        self.assertRegex(self.said, r"a_perf_test\.x\.one has nothing to be compared with")

    def test_table(self):
        self.measured("none", x__one=1000)
        self.measured("all", x__one=1000)
        for old, new, sentence in (("\t1.005", " 1.005", "4 fields"), ("amd", "vax", "unknown host vax"), ("budget", "limit", "unknown kind limit"),
                                   ("1.005", "little", "little is no number"), ("budget", "open", "a note is the reason of an open row"),
                                   ("budget", "budget\twhy", "a note is the reason of an open row")):
            self.assertEqual(self.bench(self.BUDGETS.replace(old, new)), 1, self.said)
            self.assertRegex(self.said, "tools/lab/budgets, line 2: .*" + sentence)


class Reports(unittest.TestCase):
    def test_heads(self):
        for line in ("BUG: KASAN: slab-use-after-free in x", "BUG kmalloc-96 (Tainted: G    B): Poison overwritten",
                     "irq 9: nobody cared (try booting with the \"irqpoll\" option)", "unchecked MSR access error: WRMSR to 0x1",
                     "WARNING: virt/kvm/pfncache.c:1 at x", "Unable to handle kernel NULL pointer dereference"):
            self.assertTrue(logs.is_splat(line), line)
        for line in ("lab: # kernel splat: BUG: x", "kasan: KernelAddressSanitizer initialized", "Linux version 7.3.4"):
            self.assertFalse(logs.is_splat(line), line)


class Real(unittest.TestCase):
    """Cut from the logs of 7.3.4 in the lab, without the series, on a machine with too much to do: one
    race was missed, which is red otherwise."""

    def test_cells(self):
        tests = ["vcpu_exclusive_test", "amd_iommu_ga_log_test", "svm_ga_log_test"]
        tables = expect.Tables()
        # The logs are older than these subtests.
        tables.rows = [row for row in tables.rows if not any("overflow" in sub for sub in row.subtests)]
        run = Run(DATA, tables, "v7.3", ["amd"], ["none"], tests)
        run.judge()
        self.assertEqual({key[0]: cell.text for key, cell in run.cells.items()}, {
            "vcpu_exclusive_test": "red 1/5", "amd_iommu_ga_log_test": "red 2/3", "svm_ga_log_test": "WRONG"})
        self.assertEqual([sentence.split(": ")[1] for sentence in run.complaints()],
                         ["none"] * 2)
        self.assertIn("ga_log.storm_with_slow_wakeups passed and must be red", run.complaints()[0])
        whys = {sub: why for cell in run.cells.values() for _, sub, why in cell.reds}
        self.assertRegex(whys["ga_log.destroy_during_wakeup"], "^kernel splat: BUG: KASAN: slab-use-after-free in rcuwait_wake_up")
        self.assertEqual(whys["ga_notifier.unload_kvm_amd"], "kvm_amd was unloaded while its notifier was running")
        self.assertEqual(len(run.cells["svm_ga_log_test", "amd", "none"].left_out), 3)
        self.assertEqual([chance.hit for chance in run.chances()], [False, False])

    def test_a_report_that_is_asked_for(self):
        """exclusive.hyperv_unlocked: the kernel has the assertion already, and it is known."""
        log = logs.Log(logs.lines_of(os.path.join(DATA, "amd-none", "vcpu_exclusive_test.log")))
        found = [(line, sub) for line, sub in log.reports if line.startswith("WARNING: ")]
        self.assertEqual([sub for _, sub in found], ["exclusive.hyperv_unlocked"])
        known = expect.Tables().expectations("v7.3", "vcpu_exclusive_test", "amd")
        self.assertTrue(known.is_known(*found[0]))
        self.assertFalse(known.is_known(found[0][0], "exclusive.nested_unlocked"))


if __name__ == "__main__":
    unittest.main()
