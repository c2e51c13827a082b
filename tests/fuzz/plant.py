#!/usr/bin/env python3
"""Copies a source with one fault in it, for tests that must see the fault: plant.py IN OUT TEXT FAULTY_TEXT."""
import sys

source, out, text, faulty = sys.argv[1:]
code = open(source).read()
if code.count(text) != 1:
    sys.exit(f"plant: {text!r} stands {code.count(text)} times in {source}; name another place for the fault")
open(out, "w").write(code.replace(text, faulty))
