#!/usr/bin/env python3
"""Fails where src/tcp/README.md's tables have an empty cell, lack a requirement of RFC 9293's appendix B, or name a test
or a source file that does not exist."""
import os
import re
import sys

# RFC 9293, appendix B: every requirement that has a number.
REQUIRED = (["MUST-%d" % n for n in range(1, 70)] + ["SHLD-%d" % n for n in range(1, 32)]
            + ["MAY-%d" % n for n in range(1, 19)] + ["REC-1"])
# The other standards that the library is to do.
STANDARDS = [1122, 1191, 2018, 3042, 3168, 4821, 4987, 5482, 5681, 5682, 5927, 5961, 6191, 6298, 6528, 6582, 6675, 6928, 6937,
             7323, 7661, 8201, 8985, 9438]
TEST = re.compile(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)", re.M)


def unit_tests(root):
    found = set()
    for d, _, files in os.walk(os.path.join(root, "tests")):
        for f in files:
            if f.endswith(".cc"):
                with open(os.path.join(d, f)) as fh:
                    found |= {"%s.%s" % t for t in TEST.findall(fh.read())}
    return found


def where_is(root, name):
    """A source file as the tables name them: of src/tcp, or with its room."""
    return any(os.path.exists(os.path.join(root, p, name)) for p in ("src/tcp", "src", "."))


def check_row(root, n, cells, tests):
    bad = []
    if len(cells) != 4 or not all(cells):
        return ["README.md:%d: a row has four cells, and none is empty" % n]
    for name in re.findall(r"`([^`]+)`", cells[3]):
        if name.endswith(".pkt"):
            if not os.path.exists(os.path.join(root, "tests/sim/scripts", name)):
                bad.append("README.md:%d: there is no script %s" % (n, name))
        elif name not in tests:
            bad.append("README.md:%d: there is no test %s" % (n, name))
    if "`" not in cells[3]:
        bad.append("README.md:%d: no test is named" % n)
    for name in re.findall(r"`([\w/]+\.(?:cc|h|def))`", cells[2]):
        if not where_is(root, name):
            bad.append("README.md:%d: there is no file %s" % (n, name))
    return bad


def check(root):
    bad, clauses = [], []
    tests = unit_tests(root)
    with open(os.path.join(root, "src/tcp/README.md")) as fh:
        for n, line in enumerate(fh, 1):
            line = line.strip()
            if not line.startswith("|") or line.startswith("|---") or line.startswith("| Clause"):
                continue
            cells = [c.strip() for c in line.strip("|").split("|")]
            clauses.append(cells[0])
            bad += check_row(root, n, cells, tests)
    bad += ["README.md: %s has no row" % r for r in REQUIRED if r not in clauses]
    bad += ["README.md: RFC %d has no row" % r for r in STANDARDS if not any(c.startswith("RFC %d" % r) for c in clauses)]
    return bad, len(clauses)


if __name__ == "__main__":
    problems, rows = check(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), ".."))
    print("\n".join(problems) or "%d rows, every cell filled, every test there" % rows)
    sys.exit(bool(problems))
