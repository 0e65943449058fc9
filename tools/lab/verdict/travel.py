# SPDX-License-Identifier: GPL-2.0-only
#
# A red that travels: for each test of a host in which something failed, a folder
# red/HOST-PATCHES-TEST with the kernel, the initramfs and one script, show, which boots them
# in QEMU and looks for the same line.  It needs nothing of this project.
#
# The kernel and the initramfs are hard links, one file for all tests of a host: to the
# cache, where equal ones of several runs are one file, or, where that is on another disk, to
# the first copy of this run.

import os
import shlex
import shutil
import subprocess

from . import expect
from .logs import cause, lines_of, trim

FOLDER = "red"
FILES = ("kernel", "initramfs")
LAB = os.path.join(expect.TOP, "tools/lab")
PANIC = "Kernel panic - not syncing"


def first_failure(cell):
    """The first subtest that failed, and the line that says why; or the first report, or the end."""
    why = {sub: said for _, sub, said in cell.reds}
    why.update({sub: said for kind, sub, said in cell.left_out if kind == "open"})
    for section in cell.log.sections:
        if not section.ok:
            return section.name, why.get(section.name) or cause(section.lines, lambda line: False).strip().split("\n")[0]
    if cell.report:
        return "", trim(cell.report)
    return "", next((trim(line) for line in cell.log.lines if line.startswith(PANIC)), "")


def own_program(about):
    """An emulator that is a script of the lab goes with the folder."""
    name = about["program"]
    return f"./{name}" if os.path.isfile(os.path.join(LAB, name)) else None


def link(files, kept, folder):
    """Hard links, or the only copies that this run has."""
    for name in FILES:
        source = files.get((kept, name), os.path.join(kept, name))
        target = os.path.join(folder, name)
        try:
            os.link(source, target)
        except OSError:
            subprocess.run(["cp", "--reflink=auto", source, target], check=True)
        files[kept, name] = target


def script(cell, about, sub, line, linux):
    with open(os.path.join(LAB, "show"), encoding="utf-8") as file:
        head, body = file.read().split("# SETTINGS\n")
    values = {"TEST": cell.test, "SUBTEST": sub, "WANT": line, "KERNEL": f"{linux or 'linux'}, patches: {cell.variant}",
              "PROGRAM": own_program(about) or about["program"], "PACKAGE": about["package"], "SECONDS_AT_MOST": about["seconds"],
              "MACHINE": about["machine"], "CMDLINE": f"{about['cmdline']} lab.test={cell.test}"}
    return head + "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()) + body


def pack(run):
    """How many folders there are now.  One whose kernel the cache has no more stays as it is."""
    top = os.path.join(run.folder, FOLDER)
    files, names = {}, set()
    for cell in run.cells.values():
        about = dict(line.split("\t", 1) for line in lines_of(run.path(cell.host, cell.variant, "boot")))
        sub, line = first_failure(cell)
        name = f"{cell.host}-{cell.variant}-{cell.test}"
        folder = os.path.join(top, name)
        if not line or not (os.path.isdir(about.get("kept", "")) or os.path.isdir(folder)):
            continue
        names.add(name)
        if not os.path.isdir(about.get("kept", "")):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        link(files, about["kept"], folder)
        with open(os.path.join(folder, "show"), "w", encoding="utf-8") as out:
            out.write(script(cell, about, sub, line, run.linux))
        os.chmod(out.name, 0o755)
        if own_program(about):
            shutil.copy(os.path.join(LAB, about["program"]), folder)
    for name in os.listdir(top) if os.path.isdir(top) else []:
        if name not in names:
            shutil.rmtree(os.path.join(top, name))
    return len(names)
