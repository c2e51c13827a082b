#!/usr/bin/env python3
"""Adds up JUnit reports: names what failed and what was skipped and why, and closes with one line.
   summary.py STATUS LABEL=FILE…   STATUS: 0, or 1 if a run ended badly, even where no test case says so."""
import sys
import xml.etree.ElementTree as ET

passed, failed, skipped = 0, [], []
for word in sys.argv[2:]:
    label, path = word.split("=", 1)
    for case in ET.parse(path).getroot().iter("testcase"):
        name = "%s: %s.%s" % (label, case.get("classname", ""), case.get("name", ""))
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif case.find("skipped") is not None or case.get("status") == "notrun":
            s = case.find("skipped")
            skipped.append((name, (s.get("message") or s.text or "").strip() if s is not None else "not run"))
        else:
            passed += 1
for name in failed:
    print("FAILED  %s" % name)
for name, why in skipped:
    print("skipped %s (%s)" % (name, why or "no reason given"))
if sys.argv[1] != "0" and not failed:
    failed.append("a build or a test program ended badly")
    print("FAILED  %s: see above" % failed[0])
print("%d passed, %d failed, %d skipped" % (passed, len(failed), len(skipped)))
sys.exit(1 if failed or not passed else 0)
