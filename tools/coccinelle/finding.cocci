// SPDX-License-Identifier: GPL-2.0-only
///
/// How the rules of this folder say what they find.  No rule by itself: they
/// include it.
///

@initialize:python@
@@
import re

def squeeze(expression):
    """An expression as it is written: Coccinelle puts blanks around tokens."""
    return "".join(expression.split())

def last_name(expression):
    """The member, or the variable, that an expression names in the end."""
    names = re.findall(r"\w+", re.sub(r"\[[^]]*\]$", "", squeeze(expression)))
    return names[-1] if names else "?"

def show(rule, mode, p, what, text):
    """One finding.  RULE: FUNCTION(): WHAT is what it is known by, whatever its line."""
    finding = "%s: %s(): %s %s" % (rule, p[0].current_element, what, text)
    if mode == "org":
        coccilib.org.print_todo(p[0], finding.replace("[", "@(").replace("]", ")"))
    else:
        coccilib.report.print_report(p[0], finding)
