#!/usr/bin/env python3
"""Fails where a file includes what its room may not see. The table is the architecture's: change it with care."""
import os
import re
import sys

BELOW = {
    "base": set(),
    "wire": {"base"},
    "packet": {"base", "wire"},
    "table": {"packet", "base", "wire", "bpf"},
    "path": {"packet", "table", "wire", "base"},
    "tcp": {"packet", "wire", "base", "table/timer_wheel.h", "table/token_bucket.h", "bpf"},
    "stack": {"tcp", "packet", "table", "wire", "base"},
    "apps": {"stack", "sluice/app.h", "packet", "base"},
    "port": {"packet", "base", "wire", "bpf"},
    "shed": {"port", "table/flow_hints.h", "base", "wire", "packet", "bpf"},
    "engine": {"path", "stack", "apps", "port", "shed", "tcp", "table", "packet", "wire", "base", "bpf"},
    "config": {"base", "wire"},
    "control": {"config", "engine", "apps", "sluice/app.h", "path", "stack", "table", "tcp", "port", "shed", "packet", "wire", "base",
                "sluice/control.h"},
    "daemon": None,  # everything
    "ctl": {"sluice/control.h", "base"},
}
ONLY = {  # libraries that live in one room
    "yaml-cpp/": {"config"},
    "nlohmann/": {"control", "ctl", "config", "daemon"},
    "spdlog/": {"control", "daemon"},
    "CLI/": {"daemon", "ctl"},
    "xdp/": {"port", "shed"},
    "bpf/": {"port", "shed"},
}
NO_DPDK = {"base", "wire", "config", "ctl"}
NO_CLOCK = {"wire", "packet", "table", "path", "stack", "tcp", "apps", "shed"}
CLOCK = re.compile(r"\b(clock_gettime|steady_clock|system_clock|gettimeofday|rte_rdtsc|rte_get_timer_cycles)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
FOREIGN = ("bpf/maps.h", "bpf/verdict.h")


def check(root):
    bad = []
    rooms = set(BELOW)
    src = os.path.join(root, "src")
    for d, _, files in os.walk(src):
        for f in sorted(files):
            if not f.endswith((".h", ".cc", ".c", ".inc")):
                continue
            path = os.path.join(d, f)
            room = os.path.relpath(path, src).split(os.sep)[0]
            where = os.path.relpath(path, root)
            if room not in rooms:
                bad.append("%s: room '%s' is not in the architecture" % (where, room))
                continue
            with open(path) as fh:
                for n, line in enumerate(fh, 1):
                    if room in NO_CLOCK and CLOCK.search(line.split("//")[0]):
                        bad.append("%s:%d: reads a clock; time is an argument in %s/" % (where, n, room))
                    m = INCLUDE.match(line)
                    if not m:
                        continue
                    inc = m.group(2)
                    if m.group(1) == '"':
                        seen = inc.split("/")[0]
                        if seen in rooms and seen != room and BELOW[room] is not None and seen not in BELOW[room] \
                                and inc not in BELOW[room]:
                            bad.append("%s:%d: %s/ may not include %s" % (where, n, room, inc))
                        if inc.startswith("sluice/") and BELOW[room] is not None and inc not in BELOW[room]:
                            bad.append("%s:%d: %s/ may not include %s" % (where, n, room, inc))
                    elif room in NO_DPDK and inc.startswith("rte_"):
                        bad.append("%s:%d: %s/ is free of DPDK" % (where, n, room))
                    for lib, only in ONLY.items():
                        if m.group(1) == "<" and inc.startswith(lib) and room not in only:
                            bad.append("%s:%d: <%s> belongs to %s" % (where, n, inc, ", ".join(sorted(only))))
    for d, _, files in os.walk(os.path.join(root, "include")):
        for f in sorted(files):
            path = os.path.join(d, f)
            with open(path) as fh:
                for n, line in enumerate(fh, 1):
                    m = INCLUDE.match(line)
                    if m and m.group(1) == '"' and not m.group(2).startswith("sluice/"):
                        bad.append("%s:%d: public headers include the standard library alone"
                                   % (os.path.relpath(path, root), n))
    return bad


if __name__ == "__main__":
    problems = check(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    for p in problems:
        print(p)
    print("%d violations of the layering" % len(problems))
    sys.exit(1 if problems else 0)
