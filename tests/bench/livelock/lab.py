"""The livelock curve's lab: client and flood, box, server in a row, and the boxes that stand in the middle.

   client  lvc 198.18.1.10  ──  .1 [box] .1  ──  198.18.2.10 lvs  server

The first CPU has sender, clients and server; the last one is the box's. Names of the box's devices are this process's
own, because NAPI threads are called after them.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.join(ROOT, "tests/e2e"))
from box import Rpc, until  # noqa: E402

BUILD = os.environ.get("SLUICE_BUILD", os.path.join(ROOT, "build"))
SLUICED = os.path.join(BUILD, "src/daemon/sluiced")
FLOOD = os.path.join(BUILD, "tests/bench/livelock/flood")
PEER = os.path.join(BUILD, "tests/bench/livelock/peer")
CPUS = sorted(os.sched_getaffinity(0))
SENDER, BOX = CPUS[0], CPUS[-1]

SINK = """table netdev sink {
  counter to_udp {}
  counter to_syn {}
  counter to_fragment {}
  chain in { type filter hook ingress device lvs priority 0;
    ip daddr 198.18.2.66 ip frag-off & 0x1fff != 0 counter name "to_fragment" drop
    ip daddr 198.18.2.66 counter name "to_udp" drop
    ip daddr 198.18.2.67 counter name "to_syn" drop
  }
}"""
KERNEL_RULES = """table inet filter {
  chain forward { type filter hook forward priority 0; policy drop;
    ct state invalid drop
    ct state established,related accept
    ip daddr 198.18.2.0/24 accept
  }
}"""
SLUICE_RULES = """version: 1
system: {workers: [%(cpu)d]}
control: {socket: %(socket)s}
ports:
  in: {device: %(a)s, driver: af_xdp, addresses: [198.18.1.1/24]}
  out: {device: %(b)s, driver: af_xdp, addresses: [198.18.2.1/24]}
routes:
  - {to: 198.19.0.0/16, via: 198.18.1.10}
flows: {ip4: 524288}            # as many sessions as the kernel's conntrack holds by default
filter:
  default: deny
  stateful: yes
  rules:
    - {name: servers, action: permit, to: 198.18.2.0/24}
services:
  - {name: web, http: {body: "hello from a host\\n"}, port: 80}
%(more)s"""
TIMEOUT = 1.5   # s: a SYN that is lost may be sent once more
STREAMS = ["forwarded=198.18.2.10:80,keep,8,10", "forwarded-new=198.18.2.10:80,new,50,500",
           "own=198.18.1.1:80,keep,8,10", "own-new=198.18.1.1:80,new,50,500"]


def sh(*argv, **kw):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, **kw).stdout


def run_seconds(tid):
    """What a thread has run, to the nanosecond; interrupts that came meanwhile included."""
    try:
        with open("/proc/%d/schedstat" % tid) as f:
            return int(f.read().split()[0]) / 1e9
    except OSError:
        return 0.0


def napi_threads(device):
    found = []
    for d in os.listdir("/proc"):
        if d.isdigit():
            try:
                with open("/proc/%s/comm" % d) as f:
                    if f.read().startswith("napi/%s-" % device):
                        found.append(int(d))
            except OSError:
                pass
    return found


def sweep():
    """Namespaces that a killed run has left."""
    for line in sh("ip", "netns", "list").splitlines():
        m = re.match(r"sl-lvl(\d+)-[cbs]\b", line)
        if m and not os.path.exists("/proc/" + m.group(1)):
            subprocess.run(["ip", "netns", "del", m.group(0)])


class Lab(object):
    """Three namespaces, and what runs in them. The box is put in the middle by a subclass."""
    name = ""
    sheds = False
    napi_first = False

    def __init__(self, threaded):
        self.threaded = threaded
        self.ns = {n: "sl-lvl%d-%s" % (os.getpid(), n) for n in "cbs"}
        self.a, self.b = "lva%d" % (os.getpid() % 10**7), "lvb%d" % (os.getpid() % 10**7)
        self.children = []
        self.napi = []

    def __enter__(self):
        self.tmp = tempfile.mkdtemp(prefix="sluice-livelock.")
        try:
            self.up()
            self.start()
            if self.threaded:
                self.thread_napi()
            self.await_peers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for p in reversed(self.children):
            if p.poll() is None:
                p.terminate()
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        for n in self.ns.values():
            subprocess.run(["ip", "netns", "del", n], stderr=subprocess.DEVNULL)
        subprocess.run(["rm", "-rf", self.tmp])

    def within(self, n, *argv, **kw):
        return sh("ip", "netns", "exec", self.ns[n], *argv, **kw)

    def spawn(self, n, *argv, **kw):
        p = subprocess.Popen(["ip", "netns", "exec", self.ns[n]] + list(argv), **kw)
        self.children.append(p)
        return p

    def up(self):
        for n in self.ns.values():
            sh("ip", "netns", "add", n)
        for n, host, port, net in (("c", "lvc", self.a, 1), ("s", "lvs", self.b, 2)):
            sh("ip", "-n", self.ns[n], "link", "add", host, "type", "veth", "peer", "name", port, "netns", self.ns["b"])
            for where, i in ((n, host), ("b", port)):
                self.within(where, "sysctl", "-qw", "net.ipv6.conf.%s.disable_ipv6=1" % i)
                sh("ip", "-n", self.ns[where], "link", "set", i, "up")
            sh("ip", "-n", self.ns[n], "addr", "add", "198.18.%d.10/24" % net, "dev", host)
            sh("ip", "-n", self.ns[n], "route", "add", "default", "via", "198.18.%d.1" % net)
            # Checksums are whole on the wire, as any NIC would leave them, for both boxes.
            self.within(n, "ethtool", "-K", host, "tx", "off", stderr=subprocess.DEVNULL)
        # A queue before the client's veth: what finds the ring full waits, as it would before a NIC's. The flood, which
        # does not come through the stack, has none, and is dropped.
        sh("tc", "-n", self.ns["c"], "qdisc", "add", "dev", "lvc", "root", "pfifo", "limit", "1000")
        for address in ("198.18.2.66/24", "198.18.2.67/24"):
            sh("ip", "-n", self.ns["s"], "addr", "add", address, "dev", "lvs")
        self.within("s", "nft", SINK)
        self.spawn("c", FLOOD, "--sink", "lvc")
        self.spawn("s", PEER, "serve", "198.18.2.10:80", "--cpu", str(SENDER))

    def thread_napi(self):
        """The box's NAPI in kernel threads, on the box's CPU, left to the fair scheduler as the kernel makes them. First: they
        go before whatever runs there, as interrupts do."""
        for i in (self.a, self.b):
            self.within("b", "sh", "-c", "echo 1 > /sys/class/net/%s/threaded" % i)
        self.napi = until(lambda: len(napi_threads(self.a)) and napi_threads(self.a) + napi_threads(self.b), 5, "NAPI threads")
        for t in self.napi:
            os.sched_setaffinity(t, {BOX})
            if self.napi_first:
                os.sched_setscheduler(t, os.SCHED_FIFO, os.sched_param(1))
            else:
                os.setpriority(os.PRIO_PROCESS, t, os.getpriority(os.PRIO_PROCESS, 0))

    def await_peers(self):
        for url in ("http://198.18.1.1/", "http://198.18.2.10/"):
            until(lambda: subprocess.run(["ip", "netns", "exec", self.ns["c"], "curl", "-s", "-o", "/dev/null", "-m", "1", url]).returncode == 0,
                  20, "%s answers through %s" % (url, self.name))
        for address in ("198.18.2.66", "198.18.2.67"):  # their MAC addresses are learnt before they are flooded
            subprocess.run(["ip", "netns", "exec", self.ns["c"], "ping", "-c1", "-W1", "-q", address], stdout=subprocess.DEVNULL)

    # ---- load and what comes of it

    def flood(self, seconds, pps, mix):
        mac = self.within("b", "cat", "/sys/class/net/%s/address" % self.a).strip()
        return self.spawn("c", FLOOD, "--device", "lvc", "--to", mac, "--seconds", "%g" % seconds, "--pps", "%d" % pps,
                          "--cpu", str(SENDER), "--mix", mix, stdout=subprocess.PIPE, text=True)

    def ask(self, seconds, skip):
        return self.spawn("c", PEER, "ask", "--seconds", "%g" % seconds, "--skip", "%g" % skip, "--cpu", str(SENDER),
                          "--timeout", str(TIMEOUT), *STREAMS, stdout=subprocess.PIPE, text=True)

    def device(self, n, i):
        d = {}
        for line in self.within(n, "ethtool", "-S", i).splitlines():
            k, _, v = line.strip().partition(": ")
            if v.isdigit():
                # one queue or several: their sum
                k = re.sub(r"_queue_\d+_", "_", k)
                d[k] = d.get(k, 0) + int(v)
        for s in ("rx_packets", "tx_packets", "rx_dropped", "tx_dropped"):
            d[s] = int(self.within(n, "cat", "/sys/class/net/%s/statistics/%s" % (i, s)))
        return d

    def devices(self):
        """The counters of the devices as they all were at one moment: read again where something was sent meanwhile."""
        for _ in range(20):
            c = {}
            for n, i, name in (("c", "lvc", "client"), ("b", self.a, "in"), ("b", self.b, "out")):
                c.update({"%s.%s" % (name, k): v for k, v in self.device(n, i).items()})
            if c["client.tx_packets"] == self.device("c", "lvc")["tx_packets"]:
                break
        return c

    def counters(self):
        """Everything that is counted, flat, so that two of them can be subtracted."""
        c = self.devices()
        for o in json.loads(self.within("s", "nft", "-j", "list", "counters"))["nftables"]:
            if "counter" in o:
                c["sink." + o["counter"]["name"][3:]] = o["counter"]["packets"]
        with open("/proc/net/softnet_stat") as f:
            rows = [line.split() for line in f]
        c["backlog.dropped"] = sum(int(r[1], 16) for r in rows)
        c["cpu.napi"] = sum(run_seconds(t) for t in self.napi)
        c["time"] = time.monotonic()
        return c

    def start(self):
        raise NotImplementedError


class Sluice(Lab):
    def __init__(self, threaded, shed):
        super().__init__(threaded)
        self.sheds = shed
        self.name = "sluice" if shed else "sluice, governor off"

    def start(self):
        self.socket = os.path.join(self.tmp, "sock")
        config = os.path.join(self.tmp, "box.yaml")
        with open(config, "w") as f:
            f.write(SLUICE_RULES % dict(cpu=BOX, socket=self.socket, a=self.a, b=self.b,
                                        more="" if self.sheds else "shed: {governor: no}\n"))
        log = os.path.join(self.tmp, "log")
        with open(log, "w") as f:
            p = self.spawn("b", SLUICED, "run", "-c", config, stdout=f, stderr=f)

        def answers():
            if p.poll() is not None:
                with open(log) as f:
                    raise RuntimeError("sluiced ended: " + f.read())
            try:
                return self.rpc("version")
            except (OSError, EOFError):
                return None
        until(answers, 20, "sluiced starts")
        self.lcores = [l["tid"] for l in self.rpc("lcores")]

    def rpc(self, method, **params):
        r = Rpc(self.socket, 5)
        try:
            return r.call(method, **params)
        finally:
            r.close()

    def counters(self):
        c = super().counters()
        c["cpu.lcore"] = sum(run_seconds(t) for t in self.lcores)
        a = self.rpc("audit")
        for row in a["rows"]:
            for k in ("received", "forwarded", "consumed", "dropped"):
                c["%s.%s" % (row["name"], k)] = row[k]
        for d in self.rpc("drops"):
            c["drop." + d["reason"]] = d["packets"]
        c["closed"] = a["closed"]
        return c


class Kernel(Lab):
    name = "kernel"

    def start(self):
        for i, net in ((self.a, 1), (self.b, 2)):
            # Without an XDP program, GRO is what gives a veth its NAPI.
            self.within("b", "ethtool", "-K", i, "gro", "on", stderr=subprocess.DEVNULL)
            sh("ip", "-n", self.ns["b"], "addr", "add", "198.18.%d.1/24" % net, "dev", i)
            if not self.threaded:
                # NAPI runs beside the sender and hands over to the box's CPU, which does the rest.
                self.within("b", "sh", "-c", "for q in /sys/class/net/%s/queues/rx-*; do echo %x > $q/rps_cpus; done" % (i, 1 << BOX))
        sh("ip", "-n", self.ns["b"], "link", "set", "lo", "up")
        sh("ip", "-n", self.ns["b"], "route", "add", "198.19.0.0/16", "via", "198.18.1.10")
        self.within("b", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.core.somaxconn=4096")
        self.within("b", "nft", KERNEL_RULES)
        self.spawn("b", PEER, "serve", "198.18.1.1:80", "--cpu", str(BOX), "--fair")
