#!/usr/bin/env python3
"""sluice beside its peers: the figures of README.md. Called by scripts/bench."""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests/e2e"))
sys.path.insert(0, HERE)
BUILD = os.environ.get("SLUICE_BUILD", os.path.join(ROOT, "build"))
SLUICED = os.path.join(BUILD, "src/daemon/sluiced")
import tcp_peers  # noqa: E402
TESTPMD = "dpdk-testpmd"
PAYLOAD = 60            # frame bytes without FCS
CPUS = sorted(os.sched_getaffinity(0))


class Testpmd(object):
    """A testpmd that forwards until it is told to stop."""

    def __init__(self, vdevs, mode, prefix, ns=None, cpus=None, extra=()):
        cpus = cpus or CPUS[:2]
        argv = ["stdbuf", "-oL", TESTPMD, "-l", ",".join(map(str, cpus)), "--no-huge", "-m", "256", "--no-shconf", "--no-pci", "--no-telemetry",
                "--file-prefix", prefix, "--log-level=4"]
        for v in vdevs:
            argv += ["--vdev", v]
        argv += ["--", "-i", "--nb-cores=1", "--forward-mode=" + mode, "--burst=32", "--total-num-mbufs=16384"] + list(extra)
        if ns:
            argv = ["ip", "netns", "exec", ns] + argv
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.command("")

    def command(self, text):
        """Sends a line and, behind it, one that testpmd does not know: what it says to that ends the answer."""
        self.p.stdin.write(text + "\nend-of-answer\n")
        self.p.stdin.flush()
        out = ""
        while "not found" not in out and "Bad arguments" not in out:
            line = self.p.stdout.readline()
            if not line:
                raise RuntimeError("testpmd ended: " + out[-2000:])
            out += line
        return out

    def received(self, port=0):
        return int(re.search(r"RX-packets:\s*(\d+)", self.command("show port stats %d" % port)).group(1))

    def rate(self, seconds, port=0):
        a, t0 = self.received(port), time.monotonic()
        time.sleep(seconds)
        b, t1 = self.received(port), time.monotonic()
        return (b - a) / (t1 - t0)

    def quit(self):
        try:
            self.p.stdin.write("stop\nquit\n")
            self.p.stdin.flush()
            self.p.wait(20)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self.p.kill()
            self.p.wait()


def median(v):
    return statistics.median(v)


def table(title, rows, notes=()):
    print("\n" + title)
    w = max(len(r[0]) for r in rows)
    for r in rows:
        print("  %-*s  %s" % (w, r[0], "  ".join(r[1:])))
    for n in notes:
        print("  " + n)
    sys.stdout.flush()


# ---- in memory -------------------------------------------------------------------------

def macswap(seconds):
    t = Testpmd(["net_null0,size=%d" % PAYLOAD, "net_null1,size=%d" % PAYLOAD], "macswap", "slpeer%d" % os.getpid())
    try:
        t.command("start")
        time.sleep(0.3)
        # Both ports are sources: what the core handled is the sum.
        a, t0 = t.received(0) + t.received(1), time.monotonic()
        time.sleep(seconds)
        b, t1 = t.received(0) + t.received(1), time.monotonic()
        return (b - a) / (t1 - t0)
    finally:
        t.quit()


def sluice_rows(seconds, *argv):
    out = subprocess.run([SLUICED, "bench", "--json", "--seconds", str(seconds), "--cpu", str(CPUS[-1])] + list(argv),
                         stdout=subprocess.PIPE, check=True, text=True).stdout
    return {(r["stage"], r["flows"], r["burst"]): r for r in map(json.loads, out.splitlines())}


def path(rounds):
    peer, ours = [], {}
    for i in range(rounds):
        peer.append(macswap(1.0) / 1e6)
        for k, r in sluice_rows(0.4, "--bursts", "1,4,16,32,64,256", "--flows", "1,1000,100000,1000000").items():
            ours.setdefault(k, []).append((r["clocks"], r["mpps"]))
        print("round %d of %d: testpmd %.1f Mpps, sluice %.1f Mpps" % (i + 1, rounds, peer[-1], ours[("forward", 1, 32)][-1][1]),
              flush=True)
    c = {k: median([x[0] for x in v]) for k, v in ours.items()}
    m = {k: median([x[1] for x in v]) for k, v in ours.items()}
    hz = c[("forward", 1, 32)] * m[("forward", 1, 32)]      # the TSC in MHz, by our own reading
    ref = hz / median(peer)
    rows = [("testpmd macswap, null devices", "%7.1f clk" % ref, "%6.1f Mpps" % median(peer), "1.00 x")]
    for k in sorted(c, key=lambda k: (k[1], k[2], k[0] != "source+sink", k[0])):
        rows.append(("%s, %d flow%s, bursts of %d" % (k[0], k[1], "" if k[1] == 1 else "s", k[2]), "%7.1f clk" % c[k],
                     "%6.1f Mpps" % m[k], "%.2f x" % (c[k] / ref)))
    f = c[("forward", 1, 32)]
    table("forwarding in memory, one core, %d-byte frames, median of %d" % (PAYLOAD, rounds), rows, [
        "1 flow: %.2f x macswap (wanted: at most 2.0)" % (f / ref),
        "bursts of 4: %.2f x bursts of 32 (wanted: at most 3)" % (c[("forward", 1, 4)] / f),
        "1M flows at random: %.2f x macswap (wanted: at most 3.5)" % (c[("forward", 1000000, 32)] / ref)])


# ---- over AF_XDP -----------------------------------------------------------------------

class Bench(object):
    """Three namespaces in a row: sender s0 - b0 box b1 - r0 receiver, over veth."""

    def __init__(self):
        self.ns = {n: "sl-bench%d-%s" % (os.getpid(), n) for n in ("s", "b", "r")}
        self.sh = lambda *a: subprocess.run(a, check=True, stdout=subprocess.DEVNULL)
        for n in self.ns.values():
            self.sh("ip", "netns", "add", n)
        for a, i, b, j in (("s", "s0", "b", "b0"), ("r", "r0", "b", "b1")):
            self.sh("ip", "-n", self.ns[a], "link", "add", i, "type", "veth", "peer", "name", j, "netns", self.ns[b])
            for n, k in ((a, i), (b, j)):
                self.sh("ip", "netns", "exec", self.ns[n], "sysctl", "-qw", "net.ipv6.conf.%s.disable_ipv6=1" % k)
                self.sh("ip", "-n", self.ns[n], "link", "set", k, "up")
        self.sh("ip", "-n", self.ns["s"], "addr", "add", "198.18.1.10/24", "dev", "s0")
        self.sh("ip", "-n", self.ns["r"], "addr", "add", "198.18.2.10/24", "dev", "r0")
        self.sh("ip", "-n", self.ns["s"], "route", "add", "default", "via", "198.18.1.1")
        self.sh("ip", "-n", self.ns["r"], "route", "add", "default", "via", "198.18.2.1")
        # In memory it is the receiver that would be measured: it drops what it gets, as early as it can.
        self.sh("ip", "netns", "exec", self.ns["r"], "nft", "add table netdev t; add chain netdev t c "
                "{ type filter hook ingress device r0 priority 0; }; add rule netdev t c udp dport 9 drop")

    def mac(self, n, i):
        out = subprocess.check_output(["ip", "-n", self.ns[n], "-j", "link", "show", i], text=True)
        return json.loads(out)[0]["address"]

    def count(self):
        return int(subprocess.check_output(["ip", "netns", "exec", self.ns["r"], "cat", "/sys/class/net/r0/statistics/rx_packets"]))

    def rate(self, seconds):
        time.sleep(0.5)
        a, t0 = self.count(), time.monotonic()
        time.sleep(seconds)
        b, t1 = self.count(), time.monotonic()
        return (b - a) / (t1 - t0)

    def down(self):
        for n in self.ns.values():
            subprocess.run(["ip", "netns", "del", n])


CONFIG = """version: 1
system: {workers: [%(cpu)d]}
control: {socket: %(socket)s}
ports:
  in: {device: b0, driver: af_xdp, addresses: [198.18.1.1/24]}
  out: {device: b1, driver: af_xdp, addresses: [198.18.2.1/24]}
"""


class Sluice(object):
    def __init__(self, bench, tmp, config=CONFIG):
        self.socket = os.path.join(tmp, "sock")
        self.text = config % dict(cpu=CPUS[-1], socket=self.socket)
        name = os.path.join(tmp, "bench.yaml")
        with open(name, "w") as f:
            f.write(self.text)
        self.log = open(os.path.join(tmp, "log"), "w")
        self.p = subprocess.Popen(["ip", "netns", "exec", bench.ns["b"], SLUICED, "run", "-c", name], stdout=self.log, stderr=self.log)
        from box import Rpc, until
        self.Rpc = Rpc

        def up():
            try:
                Rpc(self.socket, 2).call("version")
                return True
            except (OSError, EOFError):
                if self.p.poll() is not None:
                    raise RuntimeError("sluiced ended: " + open(os.path.join(tmp, "log")).read())
                return False
        until(up, 20, "sluiced starts")

    def cpu(self):
        f = open("/proc/%d/stat" % self.p.pid).read().rsplit(")", 1)[1].split()
        return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.p.terminate()
        self.p.wait(10)


class Sending(object):
    """The sender shares two cores with the box: its own thread is pinned to the other one."""

    def __init__(self, bench):
        argv = [TESTPMD, "-l", "%d,%d" % (CPUS[-1], CPUS[0]), "--no-huge", "-m", "256", "--no-shconf", "--no-pci", "--no-telemetry",
                "--file-prefix", "sltx%d" % os.getpid(), "--log-level=4", "--vdev", "net_af_xdp0,iface=s0", "--", "--nb-cores=1",
                "--forward-mode=txonly", "--total-num-mbufs=8192", "--eth-peer=0," + bench.mac("b", "b0"),
                "--tx-ip=198.18.1.10,198.18.2.10", "--tx-udp=9,9", "--txpkts=%d" % PAYLOAD, "--auto-start", "--stats-period=3600"]
        self.p = subprocess.Popen(["ip", "netns", "exec", bench.ns["s"]] + argv, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        self.p.terminate()
        try:
            self.p.wait(10)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()


def rules(n, text):
    body = ["filter:", "  rules:"]
    for i in range(n):
        body.append("    - {name: r%d, action: deny, from: 10.%d.%d.%d/32, protocol: tcp, to-port: %d}" %
                    (i, i >> 16 & 255, i >> 8 & 255, i & 255, 1 + i % 60000))
    body.append("    - {name: all, action: permit}")
    return text + "\n".join(body) + "\n"


def lab(rounds):
    tmp = tempfile.mkdtemp(prefix="sluice-bench.")
    b = Bench()
    peer, ours, idle, applied = [], [], [], []
    try:
        for i in range(rounds):
            t = Testpmd(["net_af_xdp0,iface=b0", "net_af_xdp1,iface=b1"], "io", "slio%d" % os.getpid(), ns=b.ns["b"], cpus=CPUS[:2])
            try:
                t.command("start")
                s = Sending(b)
                try:
                    peer.append(b.rate(2.0))
                finally:
                    s.stop()
            finally:
                t.quit()
            d = Sluice(b, tmp)
            try:
                time.sleep(1.0)
                c0 = d.cpu()
                time.sleep(2.0)
                idle.append((d.cpu() - c0) / 2.0)
                s = Sending(b)
                try:
                    ours.append(b.rate(2.0))
                finally:
                    s.stop()
                if i == 0:
                    applied = apply_under_traffic(b, d)
            finally:
                d.stop()
            print("round %d of %d: testpmd %.0f kpps, sluice %.0f kpps, idle %.1f %%" %
                  (i + 1, rounds, peer[-1] / 1e3, ours[-1] / 1e3, 100 * idle[-1]), flush=True)
    finally:
        b.down()
        subprocess.run(["rm", "-rf", tmp])
    table("forwarding over AF_XDP on veth, one sender core, one box core, median of %d" % rounds, [
        ("testpmd io on net_af_xdp", "%7.0f kpps" % (median(peer) / 1e3), "1.00 x"),
        ("sluice, routed", "%7.0f kpps" % (median(ours) / 1e3), "%.2f x (wanted: at least 1.0)" % (median(ours) / median(peer))),
        ("sluice, idle", "%7.1f %% of a core (wanted: under 2)" % (100 * median(idle)))])
    table("config.apply of 10,000 IPv4 rules under ping", [("milliseconds", ", ".join("%.0f" % x for x in applied[0])),
                                                           ("packets lost", str(applied[1]))])


def apply_under_traffic(b, d):
    ping = subprocess.Popen(["ip", "netns", "exec", b.ns["s"], "ping", "-n", "-q", "-i", "0.004", "-c", "1500", "198.18.2.10"],
                            stdout=subprocess.PIPE, text=True)
    r = d.Rpc(d.socket, 60)
    ms = []
    for n in (10000, 9999, 10000):
        ms.append(r.call("config.apply", text=rules(n, d.text), name="rules")["milliseconds"])
    out = ping.communicate()[0]
    m = re.search(r"(\d+) packets transmitted, (\d+) received", out)
    return ms, int(m.group(1)) - int(m.group(2))


def main():
    ap = argparse.ArgumentParser(description=__doc__, prog="bench")
    ap.add_argument("what", nargs="*", choices=["path", "lab", "tcp", "http", []], default=[])
    ap.add_argument("-n", type=int, default=5, help="rounds")
    a = ap.parse_args()
    what = a.what or ["path", "lab", "tcp", "http"]
    if {"lab", "http"} & set(what) and os.geteuid() != 0:
        sys.exit("bench: lab and http need root (namespaces, AF_XDP)")
    if "path" in what:
        path(a.n)
    if "lab" in what:
        lab(a.n)
    if "tcp" in what:
        tcp_peers.tcp(a.n, BUILD, table)
    if "http" in what:
        tcp_peers.http(a.n, SLUICED, table)


if __name__ == "__main__":
    main()
