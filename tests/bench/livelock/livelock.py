#!/usr/bin/env python3
"""The livelock curve: goodput and latency from a tenth to ten times the capacity. Called by scripts/bench."""
import argparse
import json
import os
import signal
import sys
import time

import lab
import report

STEPS = [0.1, 0.2, 0.5, 1, 2, 3, 5, 7, 10]
QUICK_STEPS = [0.2, 1, 2, 5, 10]
MIX = "udp=80,syn=8,fragment=5,box-syn=5,box-udp=2"
LEAD = 0.3     # s that clients run before the flood begins, so that their connections stand
SETTLE = 0.15  # s after it, until what is on its way has arrived
SETTINGS = {"beside": "NAPI beside the sender, sluice's lcore (the kernel's forwarding) on the other core",
            "threaded": "NAPI in a thread on the core of sluice's lcore"}


def asked_while(process, box):
    """The longest that the box's control socket took for an answer while the process ran."""
    slowest = 0
    while process.poll() is None:
        t = time.monotonic()
        if hasattr(box, "rpc"):
            box.rpc("version")
            slowest = max(slowest, time.monotonic() - t)
        time.sleep(0.05)
    return slowest


def step(box, seconds, pps, mix=MIX, flooded=True):
    """One flood, or a calm of the same length, beside the legitimate traffic. Rates are per second of the flood."""
    before = box.counters()
    clients = box.ask(seconds + LEAD, LEAD + 0.05)
    time.sleep(LEAD)
    flood, slowest = {"offered": 0, "seconds": seconds}, 0
    if flooded:
        p = box.flood(seconds, pps, mix)
        slowest = asked_while(p, box)
        out = p.communicate(timeout=20)[0]
        if p.returncode:
            raise RuntimeError("the flood failed")
        flood = json.loads(out)
    legitimate = json.loads(clients.communicate(timeout=seconds + 30)[0])
    time.sleep(SETTLE)
    after = box.counters()
    d = {k: after[k] - before.get(k, 0) for k in after}
    took = flood["seconds"]
    r = {"offered": flood["offered"] / took, "wanted": pps, "seconds": took, "flood": flood, "counters": d,
         "legitimate": legitimate, "closed": after.get("closed"), "control": slowest}
    r["delivered"] = (d["sink.udp"] + d["sink.syn"]) / took
    r["requests"] = legitimate["all"]["answered"] / seconds
    r["success"] = legitimate["all"]["answered"] / max(legitimate["all"]["asked"], 1)
    for p in ("p50", "p99", "p999"):
        r[p] = legitimate["all"].get(p, float("nan"))
    r["goodput"] = r["delivered"] + r["requests"]
    return r


def forwardable(r):
    """Frames of the flood that a box with time enough would deliver, per second."""
    return (r["flood"]["udp"] + r["flood"]["syn"]) / r["seconds"]


def capacity(box, seconds, calm):
    """The largest rate of the mix that the box takes without loss and without delay: doubled until it does not, then
    narrowed down by halves. Loss: more than 5 in a thousand of what is forwardable. Delay: half of the requests take more
    than five times what they take in the calm. A rate that fails is tried again, since machines have hiccups."""
    def carries(pps):
        for _ in range(2):
            r = step(box, seconds, pps)
            ok = r["delivered"] > 0.995 * forwardable(r) and r["success"] == 1 and r["p50"] < 5 * calm["p50"]
            report.probe(r, ok, forwardable(r))
            if ok:
                return r
        return None

    good, low, high = None, 0, 100e3
    while r := carries(high):
        if good and r["offered"] < 1.2 * good["offered"]:
            return r      # it is the sender that gives no more
        good, low, high = r, high, 2 * high
    while high - low > 0.1 * high and high > 1000:
        middle = (low + high) / 2
        if r := carries(middle):
            good, low = r, middle
        else:
            high = middle
    if not good:
        raise RuntimeError("the box carries not even a thousand frames a second without loss")
    return good


def drop_cost(box):
    """Seconds of the core for a frame that the XDP program drops. The level is set by hand, so that all of the flood is
    shed and NAPI's thread is what runs; as much is offered as the sender gives, since a thread that finds few frames at a
    time spends more on being woken than on them."""
    box.rpc("shed.level", level="rest", port="in")
    try:
        r = step(box, 1.0, 0, mix="udp=1")
    finally:
        box.rpc("shed.level", level="auto", port="in")
    return r["counters"]["cpu.napi"] / max(r["counters"]["in.rx_xdp_drops"], 1)


def curl(box, seconds):
    """A hundred requests by curl, one after the other, while 20,000 SYN and 500,000 small UDP packets a second come."""
    flood = box.flood(seconds, 520000, "box-syn=20,box-udp=500")
    time.sleep(LEAD)
    ok = 0
    for _ in range(100):
        ok += lab.subprocess.run(["chrt", "-f", "10", "taskset", "-c", str(lab.SENDER), "ip", "netns", "exec", box.ns["c"],
                                  "curl", "-s", "-o", "/dev/null", "-m", "5", "http://198.18.1.1/"]).returncode == 0
    flooding = flood.poll() is None
    flood.terminate()
    r = json.loads(flood.communicate(timeout=20)[0])
    return {"ok": ok, "offered": r["offered"] / r["seconds"], "covered": flooding, "box": box.name}


def curve(box, rates, seconds, rows, setting):
    for x, pps in rates:
        r = step(box, seconds, pps)
        r.update(setting=setting, system=box.name, step=x)
        rows.append(r)
        report.progress(r)


def boxes(threaded):
    return [lab.Sluice(threaded, True), lab.Sluice(threaded, False), lab.Kernel(threaded)]


def one_setting(setting, steps, seconds):
    threaded = setting == "threaded"
    rows = []
    result = {"setting": setting, "what": SETTINGS[setting], "rows": rows}
    probe = 0.7
    for box in boxes(threaded):
        with box:
            calm = step(box, seconds, 0, flooded=False)
            calm.update(setting=setting, system=box.name, step=0)
            rows.append(calm)
            report.progress(calm)
            if "capacity" not in result:
                result["capacity"] = capacity(box, probe, calm)
                print("  capacity: %.0f kpps offered, %.0f kpps delivered" %
                      (result["capacity"]["offered"] / 1e3, result["capacity"]["delivered"] / 1e3), flush=True)
            curve(box, [(x, x * result["capacity"]["offered"]) for x in steps], seconds, rows, setting)
            if box.sheds:
                result["curl"] = curl(box, 60)
                if threaded:
                    result["drop_cost"] = drop_cost(box)
    return result


def main():
    ap = argparse.ArgumentParser(description=__doc__, prog="bench livelock")
    ap.add_argument("--quick", action="store_true", help="five steps of a second each: under two minutes")
    ap.add_argument("--seconds", type=float, help="of a step (default 2.5)")
    ap.add_argument("--setting", choices=sorted(SETTINGS), help="one of the two")
    ap.add_argument("--out", default=os.path.join(lab.BUILD, "livelock"), help="folder of CSV and PNG")
    ap.add_argument("--napi", choices=["fair", "first"], default="fair",
                    help="how the scheduler treats NAPI's threads beside the box's own work: as any other thread (the default), or before it (SCHED_FIFO)")
    ap.add_argument("--nice", type=int, default=0, help="priority of all that is measured, where the machine has other work")
    a = ap.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: livelock needs root (namespaces, BPF)")
    if len(lab.CPUS) < 2:
        sys.exit("bench: livelock needs two CPUs: one for the sender, one for the box")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the lab is taken down
    lab.sweep()
    os.nice(a.nice)
    lab.Lab.napi_first = a.napi == "first"
    seconds = a.seconds or (1.0 if a.quick else 2.5)
    steps = QUICK_STEPS if a.quick else STEPS
    results = []
    for setting in [a.setting] if a.setting else list(SETTINGS):
        print("%s: %s" % (setting, SETTINGS[setting]), flush=True)
        results.append(one_setting(setting, steps, seconds))
    os.makedirs(a.out, exist_ok=True)
    report.write(results, a.out)


if __name__ == "__main__":
    main()
