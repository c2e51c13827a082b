"""TCP and HTTP beside their peers: `scripts/bench tcp`, `scripts/bench http`. Called by peers.py."""
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time

CPUS = sorted(os.sched_getaffinity(0))
NGINX = """daemon off; worker_processes 1; pid %(tmp)s/nginx.pid; error_log %(tmp)s/error.log;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000; sendfile off; tcp_nodelay on; client_body_temp_path %(tmp)s;
  fastcgi_temp_path %(tmp)s; proxy_temp_path %(tmp)s; scgi_temp_path %(tmp)s; uwsgi_temp_path %(tmp)s;
  server { listen 198.18.0.2:80; location / { default_type text/plain; return 200 "hello from sluice\\n"; } } }
"""
CONFIG = """version: 1
system: {workers: [%(cpu)d]}
control: {socket: %(socket)s}
ports:
  net: {device: d0, driver: af_xdp, addresses: [198.18.0.2/24]}
services:
  - {name: web, http: {body: "hello from sluice\\n"}, port: 80}
"""


def busy():
    """CPU seconds that the whole machine has spent, on whatever."""
    f = [int(x) for x in open("/proc/stat").readline().split()[1:9]]
    return (sum(f) - f[3] - f[4]) / os.sysconf("SC_CLK_TCK")


class Lab(object):
    """A client and a server namespace, joined by veth."""

    def __init__(self):
        self.c, self.d = ("sl-http%d-%s" % (os.getpid(), n) for n in "cd")
        sh = lambda *a: subprocess.run(a, check=True, stdout=subprocess.DEVNULL)
        for n in (self.c, self.d):
            sh("ip", "netns", "add", n)
            sh("ip", "-n", n, "link", "set", "lo", "up")
        sh("ip", "-n", self.c, "link", "add", "c0", "type", "veth", "peer", "name", "d0", "netns", self.d)
        for n, i in ((self.c, "c0"), (self.d, "d0")):
            sh("ip", "netns", "exec", n, "sysctl", "-qw", "net.ipv6.conf.%s.disable_ipv6=1" % i)
            sh("ip", "-n", n, "link", "set", i, "up")
        sh("ip", "-n", self.c, "addr", "add", "198.18.0.1/24", "dev", "c0")

    def offloads(self, on):
        # A veth's sender leaves checksums to nobody: towards AF_XDP they must be whole. The kernel's own peer keeps
        # all its offloads, as it would have them.
        subprocess.run(["ip", "netns", "exec", self.c, "ethtool", "-K", "c0", "tx", "on" if on else "off"],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wrk(self, seconds, connections):
        t0 = busy()
        out = subprocess.check_output(["ip", "netns", "exec", self.c, "wrk", "-t1", "-c%d" % connections, "-d%d" % seconds,
                                       "http://198.18.0.2/"], text=True)
        spent = busy() - t0
        requests = int(re.search(r"(\d+) requests in", out).group(1))
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", out)
        if bad:
            print("  " + bad.group(0))
        return requests / seconds, requests / spent

    def down(self):
        for n in (self.c, self.d):
            subprocess.run(["ip", "netns", "del", n])


def find_nginx(tmp):
    """The program alone: installing the package would start a web server on the user's machine."""
    if shutil.which("nginx"):
        return "nginx"
    subprocess.run(["apt-get", "download", "-qq", "nginx"], cwd=tmp, check=True)
    for f in os.listdir(tmp):
        if f.startswith("nginx_"):
            subprocess.run(["dpkg", "-x", f, "nginx.d"], cwd=tmp, check=True)
    return os.path.join(tmp, "nginx.d/usr/sbin/nginx")


def until_answers(lab):
    end = time.monotonic() + 20
    while subprocess.run(["ip", "netns", "exec", lab.c, "curl", "-s", "-o", "/dev/null", "-m", "1", "http://198.18.0.2/"]).returncode:
        if time.monotonic() > end:
            raise RuntimeError("no answer on http://198.18.0.2/")
        time.sleep(0.05)


def serve(lab, argv, tmp, seconds, connections):
    with open(os.path.join(tmp, "log"), "w") as log:
        p = subprocess.Popen(["ip", "netns", "exec", lab.d] + argv, stdout=log, stderr=log)
    try:
        until_answers(lab)
        return lab.wrk(seconds, connections)
    finally:
        p.terminate()
        p.wait(10)


def http(rounds, sluiced, table, connections=64, seconds=5):
    lab, tmp = Lab(), tempfile.mkdtemp(prefix="sluice-http.")
    ours, peer = [], []
    try:
        nginx = find_nginx(tmp)
        with open(os.path.join(tmp, "nginx.conf"), "w") as f:
            f.write(NGINX % dict(tmp=tmp))
        with open(os.path.join(tmp, "http.yaml"), "w") as f:
            f.write(CONFIG % dict(cpu=CPUS[-1], socket=os.path.join(tmp, "sock")))
        for i in range(rounds):
            lab.offloads(True)
            subprocess.run(["ip", "-n", lab.d, "addr", "add", "198.18.0.2/24", "dev", "d0"], check=True)
            peer.append(serve(lab, [nginx, "-c", os.path.join(tmp, "nginx.conf")], tmp, seconds, connections))
            subprocess.run(["ip", "-n", lab.d, "addr", "flush", "dev", "d0"], check=True)
            lab.offloads(False)
            ours.append(serve(lab, [sluiced, "run", "-c", os.path.join(tmp, "http.yaml")], tmp, seconds, connections))
            print("round %d of %d: nginx %.0f/s, %.0f per CPU second; sluice %.0f/s, %.0f per CPU second" %
                  (i + 1, rounds, *peer[-1], *ours[-1]), flush=True)
    finally:
        lab.down()
        subprocess.run(["rm", "-rf", tmp])
    m = lambda v, k: statistics.median(x[k] for x in v)
    table("HTTP keep-alive over veth, wrk with %d connections, median of %d; CPU of the whole machine, wrk's too" %
          (connections, rounds), [
              ("nginx on the kernel's stack", "%8.0f req/s" % m(peer, 0), "%8.0f req/CPU s" % m(peer, 1), "1.00 x"),
              ("sluice", "%8.0f req/s" % m(ours, 0), "%8.0f req/CPU s" % m(ours, 1),
               "%.2f x (wanted: at least 2.0)" % (m(ours, 1) / m(peer, 1)))])


def tcp(rounds, build, table):
    out = subprocess.check_output(["taskset", "-c", str(CPUS[-1]), os.path.join(build, "tests/bench/tcp_bench"),
                                   "--benchmark_format=json", "--benchmark_repetitions=%d" % rounds], text=True,
                                  stderr=subprocess.DEVNULL)
    by = {}
    for r in json.loads(out)["benchmarks"]:
        if r.get("run_type") == "iteration":
            by.setdefault(r["name"], []).append(r)
    rows = []
    for name, runs in by.items():
        med = lambda k: statistics.median(r[k] for r in runs)
        cells = ["%.4g %s" % (med(k), k) for k in runs[0] if k in ("conn/s", "clk/conn", "Gbit/s", "clk/segment", "bytes/conn", "MiB")]
        rows.append((name.replace("/iterations:1", ""), *cells))
    table("two TCP stacks in memory, one core, median of %d" % rounds, rows, [
        "wanted: 300,000 connections/s; 40 Gbit/s; 1M idle connections in under 1.2 GiB"])
