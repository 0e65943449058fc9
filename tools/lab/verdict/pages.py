# SPDX-License-Identifier: GPL-2.0-only
#
# The pages of Documentation/virt/kvm, against patches/expect and the source of the
# tests: a test or a subtest that a page names is there, and a red that it quotes
# is a declared one.

import os
import re

# A literal block with such a line, or with a declared red, is one of reds.
RED = re.compile(r"kernel splat: |\bwant(ed)?\b")
# A name is of a subtest in a sentence with one of these words, or with a dot in it.
SUBTEST = re.compile(r"\b(red|green|skip(s|ped)?|passes|subtests?)\b")
FILE = re.compile(r"\.(rst|txt|xml|json|ktap|log|svg|ko|conf|cocci)$|^(kernel|vm)\.panic_|^reds$")
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


def check(tables, top):
    """A sentence for each mistake."""
    tests = {row.test for row in tables.rows}
    words = {word for row in tables.rows for text in row.subtests for word in re.findall(r"\w+", text)} | tests
    for folder, _, files in os.walk(os.path.join(top, "tools/testing/selftests/kvm")):
        for file in files:
            with open(os.path.join(folder, file), encoding="utf-8") as source:
                words.update(re.findall(r"\w+", source.read()))
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

        for sentence in re.split(r"(?<=[.:;])\s|\n\s*\n|\n\* ", text):
            for name in re.findall(r"``([a-z0-9_.{},*]+)``", sentence):
                if (SUBTEST.search(sentence) or "." in name) and not FILE.search(name) and set(re.findall(r"\w+", name)) - words:
                    yield f"{where}: no test has a subtest {name}: {ANOTHER}"
