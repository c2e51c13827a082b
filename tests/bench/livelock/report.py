"""The livelock curve for people and programs: lines while it runs, a table, CSV, PNG."""
import csv
import math
import os
import subprocess

import lab

SYSTEMS = ["sluice", "sluice, governor off", "kernel"]
COLUMNS = ["setting", "system", "step", "offered", "delivered", "requests", "goodput", "success", "p50", "p99", "p999",
           "bound", "early", "socket", "ring", "inside", "unaccounted", "closed"]


def progress(r):
    print("  %-21s %5s x  offered %7.0f kpps  goodput %7.1f kpps  requests %6.2f %%  p50 %8.0f  p99 %8.0f  p999 %8.0f us%s" %
          (r["system"], r["step"] or "0", r["offered"] / 1e3, r["goodput"] / 1e3, 100 * r["success"], r["p50"], r["p99"], r["p999"],
           "" if r["closed"] is not False else "  AUDIT OPEN"), flush=True)


def ledger(r):
    """Where the frames went that flood and client sent towards the box, per second; for sluice nothing may be left over.
    ring: veth's own, full. socket: the AF_XDP socket's ring, or no buffer for it. inside: dropped or kept by the box."""
    c, n = r["counters"], r["seconds"]
    client = c["client.tx_packets"] - c["client.tx_xdp_xmit"]
    ring = c["client.tx_dropped"]
    seen = c["in.rx_xdp_packets"]
    out = {"sent": (r["flood"]["offered"] + client) / n, "ring": ring / n, "socket": c["in.rx_drops"] / n,
           "early": c["in.rx_xdp_drops"] / n, "answered": c["in.rx_xdp_tx"] / n}
    handed = c["in.rx_xdp_redirect"] if "in.received" in c else seen
    out["handed"] = handed / n
    out["unaccounted"] = (r["flood"]["offered"] + client - ring - c["in.rx_drops"] - c["in.rx_xdp_drops"] - c["in.rx_xdp_tx"] - handed)
    out["inside"] = (c["in.dropped"] - c["in.rx_xdp_drops"] if "in.received" in c else
                     max(0, handed - c["out.tx_packets"] - c["backlog.dropped"])) / n
    out["backlog"] = c["backlog.dropped"] / n
    return out


def probe(r, ok, forwardable):
    print("    %7.0f kpps: %6.2f %% delivered, %6.2f %% of requests answered, p50 %.0f us: %s" %
          (r["offered"] / 1e3, 100 * r["delivered"] / forwardable, 100 * r["success"], r["p50"], "carried" if ok else "too much"), flush=True)


def peak(result):
    """Of sluice, by whatever governor."""
    return max((r for r in result["rows"] if r["step"] and r["system"] != "kernel"), key=lambda r: r["goodput"])


def forward_cost(result):
    """Seconds of the core for a frame of the mix that is let in: at its peak the box does nothing else."""
    r = peak(result)
    return forwardable_share(r) / r["delivered"]


def forwardable_share(r):
    return (r["flood"]["udp"] + r["flood"]["syn"]) / r["flood"]["offered"]


def bound(result, offered):
    """The most goodput that arithmetic allows a box that sheds. Of a core that takes f seconds for a frame that it lets in, and d for one
    that it drops early, x times its capacity of frames leave (1 - x d/f) / (1 - d/f) of the capacity. Where others drop
    (NAPI has another core) d is nothing."""
    f = forward_cost(result)
    x, share = offered * f, result.get("drop_cost", 0) / f
    return peak(result)["goodput"] * (x if x <= 1 else max(0.0, (1 - x * share) / (1 - share)))


def write(results, folder):
    name = os.path.join(folder, "livelock.csv")
    with open(name, "w", newline="") as f:
        w = csv.writer(f)
        w.writerow(COLUMNS)
        for result in results:
            for r in result["rows"]:
                l = ledger(r)
                row = dict(r, **{k: round(l[k], 1) for k in ("early", "socket", "ring", "inside", "unaccounted")})
                row["bound"] = round(bound(result, r["offered"]), 1)
                w.writerow([round(row[k], 4) if isinstance(row[k], float) else row[k] for k in COLUMNS])
    for result in results:
        table(result)
    draw(results, folder)
    print("\n%s, %s" % (name, os.path.join(folder, "livelock.png")))


def table(result):
    cap = result["capacity"]
    print("\n%s: %s" % (result["setting"], result["what"]))
    print("  capacity: %.0f kpps offered, of which %.0f are forwardable and arrive" % (cap["offered"] / 1e3, cap["delivered"] / 1e3))
    print("  where the frames went, kpps: delivered, dropped by XDP, by a full socket, by veth's full ring, inside the box")
    print("  %-21s %5s %8s %9s %9s %8s %8s %8s %8s %7s" % ("", "x", "offered", "delivered", "XDP", "socket", "ring", "inside", "bound", "left"))
    for r in result["rows"]:
        if not r["step"]:
            continue
        l = ledger(r)
        k = lambda v: "%.1f" % (v / 1e3)
        print("  %-21s %5.4g %8s %9s %9s %8s %8s %8s %8s %7d" %
              (r["system"], r["step"], k(r["offered"]), k(r["delivered"]), k(l["early"]), k(l["socket"]), k(l["ring"]),
               k(l["inside"] + l["backlog"]), k(bound(result, r["offered"])), l["unaccounted"]))
    for line in verdicts(result):
        print("  " + line)


def verdicts(result):
    rows = [r for r in result["rows"] if r["system"] == "sluice"]
    calm = [r for r in rows if not r["step"]][0]
    steps = [r for r in rows if r["step"]]
    highest, last = max(r["goodput"] for r in steps), steps[-1]
    out = ["sluice at %.3g x (%.3g x wanted): goodput %.1f %% of its peak%s" %
           (last["offered"] / result["capacity"]["offered"], last["step"], 100 * last["goodput"] / highest,
            "" if result["setting"] == "threaded" else " (wanted: at least 95)")]
    if "drop_cost" in result:
        worst = min((r["goodput"] / bound(result, r["offered"]) for r in steps if bound(result, r["offered"]) > 0), default=math.nan)
        out.append("an early drop costs %.0f ns of the core, a forward %.0f ns; at least %.1f %% of the bound at every step (wanted: 90)" %
                   (result["drop_cost"] * 1e9, forward_cost(result) * 1e9, 100 * worst))
    out.append("legitimate requests: %.2f %% answered at worst (wanted: 99); p99 at most %.1f x the calm's (wanted: 5)" %
               (100 * min(r["success"] for r in steps), max(r["p99"] for r in steps) / calm["p99"]))
    out.append("control socket: the slowest answer during a flood took %.0f ms (wanted: 100)" % (1e3 * max(r["control"] for r in steps)))
    if result.get("curl"):
        c = result["curl"]
        out.append("curl: %d of 100 under %.0f SYN/s and %.0f small UDP/s to the box%s" %
                   (c["ok"], c["offered"] * 20 / 520, c["offered"] * 500 / 520, "" if c["covered"] else " (the flood ended first)"))
    bad = [r for r in result["rows"] if r["closed"] is False or ("in.received" in r["counters"] and ledger(r)["unaccounted"])]
    out.append("audit: %s" % ("closed after every step, nothing unaccounted for" if not bad else
                              "OPEN after %s" % ", ".join("%s %g x" % (r["system"], r["step"]) for r in bad)))
    return out


# ---- the picture

COLOR = {"sluice": "#0060ad", "sluice, governor off": "#e07b00", "kernel": "#808080"}
LABEL = {"sluice": "sluice", "sluice, governor off": "sluice that does not shed", "kernel": "kernel: ip\\_forward and nftables"}
TITLE = {"beside": "receive work on another core", "threaded": "receive work on the box's own core"}
PERCENTILES = ((3, 3, "half of them"), (4, 1, "99 of 100"), (5, 2, "999 of 1000"))  # column, dash type, what


def data(result, folder):
    """A file for each system: offered, goodput (Mpps), p50, p99, p999 (µs). And one for the bound."""
    files = {}
    for i, s in enumerate(SYSTEMS):
        rows = sorted((r for r in result["rows"] if r["system"] == s and r["step"]), key=lambda r: r["offered"])
        if not rows:
            continue
        files[s] = os.path.join(folder, "%s-%d.dat" % (result["setting"], i))
        with open(files[s], "w") as f:
            for r in rows:
                f.write("%g %g %g %g %g\n" % (r["offered"] / 1e6, r["goodput"] / 1e6, r["p50"], r["p99"], r["p999"]))
    files["bound"] = os.path.join(folder, "%s-bound.dat" % result["setting"])
    lo, hi = (f(r["offered"] for r in result["rows"] if r["step"]) for f in (min, max))
    with open(files["bound"], "w") as f:
        for i in range(301):
            offered = lo * (hi / lo) ** (i / 300)
            f.write("%g %g\n" % (offered / 1e6, bound(result, offered) / 1e6))
    return files, lo / 1e6, hi / 1e6


def goodput_panel(result, files):
    capacity = result["capacity"]["offered"] / 1e6
    top = 1.45 * max(max(r["goodput"] for r in result["rows"]), bound(result, 1 / forward_cost(result))) / 1e6
    return ["unset logscale y", "set yrange [0:%g]" % top, "set ytics auto", "set format y '%g'",
            'set title "%s\\n{/*0.8 goodput: frames and requests, million a second}" font "sans Bold,13"' % TITLE[result["setting"]],
            "set x2tics scale 0.5 (%s)" % ", ".join("'%g x' %g" % (x, x * capacity) for x in (0.1, 0.2, 0.5, 1, 2, 5, 10)),
            "set arrow from %g, graph 0 to %g, graph 1 nohead dt 3 lw 1.5 lc rgb '#888888' back" % (capacity, capacity),
            "set label 'capacity' at %g, graph 0.04 offset 0.6,0 tc rgb '#666666'" % capacity,
            "plot '%s' with lines lc black dt 2 lw 1.5 title 'bound: what early drops leave, by arithmetic', " % files["bound"] + ", ".join(
                "'%s' using 1:2 with linespoints pt 7 ps 0.9 lc rgb '%s' lw %g title '%s'" %
                (files[s], COLOR[s], 3 if s == "sluice" else 2, LABEL[s]) for s in reversed(SYSTEMS) if s in files),
            "unset arrow", "unset label", "unset x2tics"]


def latency_panel(files):
    plots = []
    for s in reversed(SYSTEMS):
        if s in files:
            plots += ["'%s' using 1:%d with linespoints pt 7 ps %g dt %d lc rgb '%s' lw %g notitle" %
                      (files[s], column, 0.7 if dash == 1 else 0, dash, COLOR[s], 2.5 if dash == 1 else 1.3)
                      for column, dash, _ in PERCENTILES]
    plots += ["NaN with lines dt %d lc black lw %g title '%s'" % (dash, 2.5 if dash == 1 else 1.3, what) for _, dash, what in PERCENTILES]
    return ["set logscale y", "set yrange [30:2e6]",
            "set title '{/*0.8 legitimate requests: time until the answer}' font 'sans Bold,13'",
            "set ytics ('0.1 ms' 100, '1 ms' 1000, '10 ms' 1e4, '0.1 s' 1e5, 'failed' %g)" % (lab.TIMEOUT * 1e6), "plot " + ", ".join(plots)]


def draw(results, folder):
    columns = len(results)
    script = ["set terminal pngcairo size %d,940 font 'sans,11' background 'white'" % (640 * columns),
              "set output '%s'" % os.path.join(folder, "livelock.png"), "set samples 2", "set datafile missing 'nan'",
              "set multiplot layout 2,%d columnsfirst margins %g,0.985,0.065,0.915 spacing %g,0.11" % (columns, 0.13 / columns, 0.14 / columns),
              "set grid lc rgb '#cccccc' lw 0.6 lt 1", "set border 3", "set tics nomirror", "set logscale x", "set logscale x2",
              "set xtics (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)", "set xlabel 'offered: frames, million a second'",
              "set key top left reverse Left samplen 3 spacing 1.15 opaque"]
    for result in results:
        files, lo, hi = data(result, folder)
        script += ["set %srange [%g:%g]" % (axis, lo * 0.85, hi * 1.2) for axis in ("x", "x2")] + goodput_panel(result, files) + latency_panel(files)
    script.append("unset multiplot")
    name = os.path.join(folder, "livelock.gnuplot")
    with open(name, "w") as f:
        f.write("\n".join(script) + "\n")
    subprocess.run(["gnuplot", name], check=True)
