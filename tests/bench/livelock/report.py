"""The livelock curve for people and programs: lines while it runs, a table, CSV, PNG."""
import csv
import math
import os
import subprocess

SYSTEMS = ["sluice", "sluice, governor off", "kernel"]
COLUMNS = ["setting", "system", "step", "offered", "delivered", "requests", "goodput", "success", "p50", "p99", "p999",
           "bound", "early", "socket", "ring", "inside", "unaccounted", "closed"]


def progress(r):
    print("  %-21s %5s x  offered %7.0f kpps  goodput %7.1f kpps  requests %6.2f %%  p50 %8.0f  p99 %8.0f  p999 %8.0f us%s" %
          (r["system"], r["step"] or "0", r["offered"] / 1e3, r["goodput"] / 1e3, 100 * r["success"], r["p50"], r["p99"], r["p999"],
           "" if r["closed"] is not False else "  AUDIT OPEN"), flush=True)


def bound(x, d, f):
    """The share of the capacity that is left for forwarding, where dropping the rest takes its part of the core."""
    return x if x <= 1 else max(0.0, (1 - x * d / f) / (1 - d / f))


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
    out["inside"] = (c["in.dropped"] if "in.received" in c else max(0, handed - c["out.tx_packets"] - c["backlog.dropped"])) / n
    out["backlog"] = c["backlog.dropped"] / n
    return out


def normal_bound(result, r):
    """Goodput that the arithmetic allows at this offered load, frames per second."""
    cap = result["capacity"]
    x = r["offered"] / cap["offered"]
    if "costs" not in result:
        return min(x, 1) * cap["goodput"]
    return bound(x, result["costs"]["d"], result["costs"]["f"]) * cap["goodput"]


def write(results, folder):
    name = os.path.join(folder, "livelock.csv")
    with open(name, "w", newline="") as f:
        w = csv.writer(f)
        w.writerow(COLUMNS)
        for result in results:
            for r in result["rows"]:
                l = ledger(r)
                row = dict(r, **{k: round(l[k], 1) for k in ("early", "socket", "ring", "inside", "unaccounted")})
                row["bound"] = round(normal_bound(result, r), 1)
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
               k(l["inside"] + l["backlog"]), k(normal_bound(result, r)), l["unaccounted"]))
    for line in verdicts(result):
        print("  " + line)


def verdicts(result):
    rows = [r for r in result["rows"] if r["system"] == "sluice"]
    calm = [r for r in rows if not r["step"]][0]
    steps = [r for r in rows if r["step"]]
    peak, last = max(r["goodput"] for r in steps), steps[-1]
    out = ["sluice at %.3g x (%.3g x wanted): goodput %.1f %% of its peak%s" %
           (last["offered"] / result["capacity"]["offered"], last["step"], 100 * last["goodput"] / peak,
            "" if result["setting"] == "threaded" else " (wanted: at least 95)")]
    if "costs" in result:
        worst = min((r["goodput"] / normal_bound(result, r) for r in steps if normal_bound(result, r) > 0), default=math.nan)
        c = result["costs"]
        out.append("an early drop costs %.0f ns of the core, a forward %.0f ns; at least %.1f %% of the bound at every step (wanted: 90)" %
                   (c["d"] * 1e9, c["f"] * 1e9, 100 * worst))
    out.append("legitimate requests: %.2f %% answered at worst (wanted: 99); p99 at most %.1f x the calm's (wanted: 5)" %
               (100 * min(r["success"] for r in steps), max(r["p99"] for r in steps) / calm["p99"]))
    slowest = max(r["counters"].get("control.slowest", 0) for r in steps)
    if result.get("curl"):
        c = result["curl"]
        out.append("curl: %d of 100 under %.0f SYN/s and %.0f small UDP/s to the box%s" %
                   (c["ok"], c["offered"] * 20 / 520, c["offered"] * 500 / 520, "" if c["covered"] else " (the flood ended first)"))
    bad = [r for r in result["rows"] if r["closed"] is False or ("in.received" in r["counters"] and ledger(r)["unaccounted"])]
    out.append("audit: %s" % ("closed after every step, nothing unaccounted for" if not bad else
                              "OPEN after %s" % ", ".join("%s %g x" % (r["system"], r["step"]) for r in bad)))
    return out


# ---- the picture

STYLE = {"sluice": ("#0060ad", 3), "sluice, governor off": ("#dd8800", 2), "kernel": ("#777777", 2)}
TITLE = {"beside": "NAPI beside the sender, the box on a core of its own", "threaded": "NAPI and box on the same core"}


def data(result, folder):
    """A file a system: offered, goodput, bound, p50, p99, p999 (kpps, kpps, kpps, µs …)."""
    files = {}
    for s in SYSTEMS:
        files[s] = os.path.join(folder, "%s-%d.dat" % (result["setting"], SYSTEMS.index(s)))
        with open(files[s], "w") as f:
            for r in sorted((r for r in result["rows"] if r["system"] == s and r["step"]), key=lambda r: r["offered"]):
                f.write("%g %g %g %g %g\n" % (r["offered"] / 1e3, r["goodput"] / 1e3, r["p50"], r["p99"], r["p999"]))
    cap = result["capacity"]
    files["bound"] = os.path.join(folder, "%s-bound.dat" % result["setting"])
    most = max(r["offered"] for r in result["rows"]) / cap["offered"]
    with open(files["bound"], "w") as f:
        for i in range(201):
            x = 0.1 * (max(most, 1) / 0.1) ** (i / 200)
            b = normal_bound(result, {"offered": x * cap["offered"]})
            f.write("%g %g\n" % (x * cap["offered"] / 1e3, b / 1e3))
    return files


def draw(results, folder):
    wide = 620 * len(results)
    g = ["set terminal pngcairo size %d,900 font 'sans,11' background 'white'" % wide,
         "set output '%s'" % os.path.join(folder, "livelock.png"),
         "set multiplot layout 2,%d columnsfirst margins %g,0.985,0.07,0.94 spacing %g,0.10" % (len(results), 0.14 / len(results), 0.13 / len(results)),
         "set grid lc rgb '#dddddd'", "set border 3", "set tics nomirror", "set logscale x",
         "set xtics (%s)" % ",".join("%g" % v for v in (20, 50, 100, 200, 500, 1000, 2000, 5000, 10000))]
    for result in results:
        files = data(result, folder)
        top = 1.25 * max(max(r["goodput"] for r in result["rows"]), result["capacity"]["goodput"]) / 1e3
        cap = result["capacity"]["offered"] / 1e3
        lo, hi = (f(r["offered"] for r in result["rows"] if r["step"]) / 1e3 for f in (min, max))
        g += ["set xrange [%g:%g]" % (lo * 0.9, hi * 1.15), "unset logscale y", "set yrange [0:%g]" % top, "set format y '%g'",
              "set title '%s' font 'sans Bold,13'" % TITLE[result["setting"]], "set xlabel 'offered, thousand frames a second'",
              "set ylabel 'goodput, thousand frames and requests a second'", "set key top left reverse Left samplen 2",
              "unset label", "unset arrow",
              "set arrow from %g, graph 0 to %g, graph 1 nohead dt 3 lc rgb '#aaaaaa'" % (cap, cap),
              "set label 'capacity' at %g, graph 0.03 offset 0.5,0 tc rgb '#888888'" % cap]
        g.append("plot '%s' with lines lc black dt 2 lw 1.5 title 'the most that is possible', " % files["bound"] + ", ".join(
            "'%s' using 1:2 with linespoints pt 7 ps 0.8 lc rgb '%s' lw %d title '%s'" % (files[s], *STYLE[s], label(s)) for s in SYSTEMS))
        g += ["set logscale y", "set yrange [50:2e6]", "unset label", "set title 'legitimate requests'",
              "set ytics ('0.1 ms' 100, '1 ms' 1000, '10 ms' 1e4, '0.1 s' 1e5, 'failed' 1e6)",
              "set ylabel 'time to the answer'", "set key top left reverse Left maxrows 6"]
        plots = []
        for s in SYSTEMS:
            for col, dt, name in ((3, 3, "half"), (4, 1, "99 %"), (5, 2, "99.9 %")):
                plots.append("'%s' using 1:%d with linespoints pt 7 ps %g dt %d lc rgb '%s' lw %g %s" %
                             (files[s], col, 0.6 if dt == 1 else 0, dt, STYLE[s][0], STYLE[s][1] if dt == 1 else 1.5,
                              "title '%s'" % label(s) if dt == 1 else "notitle"))
        for dt, name in ((3, "half of the requests (p50)"), (1, "99 of 100 (p99)"), (2, "999 of 1000 (p999)")):
            plots.append("NaN with lines dt %d lc black lw 1.5 title '%s'" % (dt, name))
        g += ["plot " + ", ".join(plots), "set ytics auto"]
    g.append("unset multiplot")
    script = os.path.join(folder, "livelock.gnuplot")
    with open(script, "w") as f:
        f.write("\n".join(g) + "\n")
    subprocess.run(["gnuplot", script], check=True)


def label(s):
    return {"sluice": "sluice", "sluice, governor off": "sluice, not shedding", "kernel": "kernel: ip\\_forward, nftables"}[s]
