# SPDX-License-Identifier: GPL-2.0-only
#
# The pages of Documentation/virt/kvm, against patches/expect and the source of the
# tests: a test or a subtest that a page names is there, and a red that it quotes
# is a declared one.  In a page for VMM authors, each sentence names the subtest that proves it.

import os
import re

from .expect import expand

# A literal block with such a line, or with a declared red, is one of reds.
RED = re.compile(r"kernel splat: |\bwant(ed)?\b")
# A name is of a subtest in a sentence with one of these words, or with a dot in it.
SUBTEST = re.compile(r"\b(red|green|skip(s|ped)?|passes|subtests?)\b")
FILE = re.compile(r"\.(rst|txt|xml|json|ktap|log|svg|ko|conf|cocci)$|^(kernel|vm)\.panic_|^reds$")
# Pages each sentence of which, from the first section on, names a subtest.
PROVED = re.compile(r"^vmm-")
PROOF = re.compile(r"``(\w+_(?:test|stress)\.[\w.{},]+)``")
ANOTHER = "add it to patches/expect, or take it out"


def blocks(lines):
    """The literal blocks of a page: is it said to be a red, and its lines with their numbers."""
    title, said, red, block = "", "", False, None
    for number, line in enumerate(lines, 1):
        if block is not None and (not line or line[0] in " \t"):
            block += [(number, line.strip())] if line else []
            continue
        if block:
            yield red, block
        block = None
        if re.match("([=~-])\\1+$", line):
            title = lines[number - 2]
        # The paragraph before "::", which can be a paragraph of its own.
        said = line if number < 2 or not lines[number - 2] and line != "::" else said + " " + line
        if line.endswith("::"):
            red = title == "The red" or re.search(r"\b[Tt]he red\b", said)
            block = []
    if block:
        yield red, block


def subtests(source):
    """The names of all subtests of a test, as TAP has them."""
    variants = {}
    for fixture, variant in re.findall(r"^FIXTURE_VARIANT_ADD\((\w+),\s*(\w+)\)", source, re.M):
        variants.setdefault(fixture, []).append(f"{variant}.")
    return {f"{fixture}.{variant}{name}" for fixture, name in re.findall(r"^TEST_F(?:_\w+)?\((\w+),\s*(\w+)", source, re.M)
            for variant in variants.get(fixture, [""])} | set(re.findall(r"^TEST(?:_SIGNAL)?\((\w+)", source, re.M))


def sentences(text):
    """Those of the paragraphs and lists from the first section on.  What introduces a list ends with a colon."""
    body = re.split(r"\n\n[^\n]+\n=+\n", text, maxsplit=1)[-1]
    body = re.sub(r"(?m)^[^\n]+\n([=~-])\1+$", "", body)
    for part in re.split(r"\n\s*\n|\n(?=\* )", body):
        part = " ".join(part.split())
        if part and not re.fullmatch(r"[^.]*:", part):
            yield from re.split(r"(?<=\.)(?<!e\.g\.)(?<!i\.e\.) ", part.removeprefix("* "))


def unproved(where, text, sources):
    """A sentence for each one of a page that names no subtest, or one that there is not."""
    for sentence in sentences(text):
        if not PROOF.search(sentence):
            yield f"{where}: no subtest proves '{sentence}': name one, as test.fixture.subtest"
    for name in sorted({name for proof in PROOF.findall(text) for name in expand(proof)}):
        test, _, subtest = name.partition(".")
        if subtest not in sources.get(test, ()):
            yield f"{where}: there is no subtest {name}: name one that is in the source of the test"


def check(tables, top):
    """A sentence for each mistake."""
    tests = {row.test for row in tables.rows}
    words = {word for row in tables.rows for text in row.subtests for word in re.findall(r"\w+", text)} | tests
    sources = {}
    for folder, _, files in os.walk(os.path.join(top, "tools/testing/selftests/kvm")):
        for file in files:
            with open(os.path.join(folder, file), encoding="utf-8") as source:
                source = source.read()
            words.update(re.findall(r"\w+", source))
            sources[os.path.splitext(file)[0]] = subtests(source)
    folder = os.path.join(top, "Documentation/virt/kvm")
    for file in sorted(os.listdir(folder)):
        with open(os.path.join(folder, file), encoding="utf-8") as page:
            text = page.read()
        where = f"Documentation/virt/kvm/{file}"
        named = [name for quoted in re.findall(r"\bTEST=('[^']*'|\w+)|``(\w+_(?:test|stress))``", text)
                 for name in "".join(quoted).strip("'").split() if name != "name"]
        for name in sorted(set(named) - tests):
            yield f"{where}: there is no test {name}: {ANOTHER}"

        parts = [part for row in tables.rows if row.reason.text != "-" and (row.test in named or not named)
                 for part in row.reason.parts]
        for red, block in blocks(text.split("\n")):
            # "..." is a value that differs from run to run, or the rest of one.
            found = [any(part.search(re.sub(r"\.\.\.", "0", re.sub(r"(?<=\w)\.\.\.", "", line))) for part in parts)
                     for _, line in block]
            for (number, line), declared in zip(block, found):
                if not declared and (red or any(found) or RED.search(line)):
                    yield f"{where}:{number}: no red of the tests on this page is declared as '{line}': {ANOTHER}"

        if PROVED.search(file):
            yield from unproved(where, text, sources)
        for sentence in re.split(r"(?<=[.:;])\s|\n\s*\n|\n\* ", text):
            for name in re.findall(r"``([a-z0-9_.{},*]+)``", sentence):
                if (SUBTEST.search(sentence) or "." in name) and not FILE.search(name) and set(re.findall(r"\w+", name)) - words:
                    yield f"{where}: no test has a subtest {name}: {ANOTHER}"
