#!/usr/bin/env python3
"""Ports in other ways than the lab's: two queues and two workers, DPDK's drivers, the exception path, hugepages,
faults, captures, route files. Each starts a sluiced of its own."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from box import ROOT, Lab, check, main, test, until  # noqa: E402

BUILD = os.environ.get("SLUICE_BUILD", os.path.join(ROOT, "build"))
CPUS = sorted(os.sched_getaffinity(0))
lab = Lab(BUILD)


def config(lan="device: lan0", wan="device: wan0", system="{}", rest=""):
    text = """version: 1
system: %s
ports:
  lan: {%s, addresses: [198.18.1.1/24, "2001:db8:1::1/64"]}
  wan: {%s, addresses: [198.18.2.1/24, "2001:db8:2::1/64"]}
%s""" % (system, lan, wan, rest)
    name = os.path.join(lab.tmp, "config.yaml")
    with open(name, "w") as f:
        f.write(text)
    return name


class Running(object):
    """A sluiced for the length of a with block; at its end the audit is closed and it leaves without complaint."""

    def __init__(self, *args, **kw):
        self.args, self.kw = args, kw

    def __enter__(self):
        lab.start(config(*self.args, **self.kw))
        return lab.rpc()

    def __exit__(self, kind, *_):
        try:
            a = lab.rpc().call("audit")
        except (OSError, EOFError):
            a = dict(closed=False, verdict="sluiced is gone:\n" + lab.log_text())
        rc = lab.stop()
        if kind:
            return
        check(a["closed"], a["verdict"])
        check(rc == 0 and "audit closed" in lab.log_text(), "status %d: %s" % (rc, lab.log_text()))


def ping(host="198.18.2.10", n=5, *extra):
    r = lab.run("client", "ping", "-n", "-q", "-c", str(n), "-i", "0.02", "-W", "1", host, *extra)
    check("%d received" % n in r.stdout, r.stdout)


def in_box(*words):
    r = lab.run("box", *words)
    check(r.returncode == 0, "%s: %s" % (" ".join(words), r.stdout))
    return r.stdout


def remake_legs(queues):
    """The box's ends of the cables with so many queues."""
    for host, leg, net in (("client", "lan0", 1), ("server", "wan0", 2)):
        h, b = "%s-%s" % (lab.name, host), lab.name + "-box"
        for cmd in ("-n %s link del %s" % (b, leg),
                    "-n %s link add eth0 numtxqueues %d numrxqueues %d type veth peer name %s netns %s numtxqueues %d numrxqueues %d"
                    % (h, queues, queues, leg, b, queues, queues),
                    "-n %s addr add 198.18.%d.10/24 dev eth0" % (h, net), "-n %s addr add 2001:db8:%d::10/64 dev eth0 nodad" % (h, net),
                    "-n %s link set eth0 up" % h, "-n %s link set %s up" % (b, leg),
                    "-n %s route add default via 198.18.%d.1" % (h, net), "-n %s -6 route add default via 2001:db8:%d::1" % (h, net)):
            subprocess.run(["ip"] + cmd.split(), check=True)


def many_connections(n):
    """TCP connections from n ports, each an echo there and back: both directions of every flow must meet."""
    server = lab.spawn("server", "python3", "-c", """
import socketserver
class H(socketserver.BaseRequestHandler):
    def handle(self): self.request.sendall(self.request.recv(100))
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(('', 7000), H).serve_forever()""")
    try:
        until(lambda: ":7000" in lab.run("server", "ss", "-Hltn").stdout, 10, "the echo server listens")
        r = lab.run("client", "python3", "-c", """
import socket
for i in range(%d):
    s = socket.create_connection(('198.18.2.10', 7000), 5)
    s.sendall(b'%%d' %% i)
    assert s.recv(100) == b'%%d' %% i
    s.close()
print('all')""" % n)
        check(r.stdout.strip() == "all", r.stdout)
    finally:
        server.kill()
        server.wait()


FILTER = """filter:
  rules: [{name: out, action: permit, in: lan, out: wan}]
"""


@test
def two_queues_and_two_workers():
    """Stateful rules: a reply that met another worker than its request would be denied."""
    if len(CPUS) < 2:
        return
    remake_legs(2)
    with Running("device: lan0, queues: 2", "device: wan0, queues: 2", "{workers: [%d, %d]}" % tuple(CPUS[:2]), FILTER) as r:
        check([p["rx_queues"] for p in r.call("ports")] == [2, 2], "queues")
        ping()
        ping("2001:db8:2::10")
        many_connections(60)
        roles = [l["role"] for l in r.call("lcores")]
        check(len(roles) == 2, roles)
        check({f["worker"] for f in r.call("flows", limit=1000)["flows"]} == {0, 1}, "one worker has all flows")


@test
def two_workers_share_ports_of_one_queue():
    if len(CPUS) < 2:
        return
    remake_legs(1)
    with Running("device: lan0", "device: wan0", "{workers: [%d, %d]}" % tuple(CPUS[:2]), FILTER) as r:
        ping()
        many_connections(60)
        check({f["worker"] for f in r.call("flows", limit=1000)["flows"]} == {0, 1}, "one worker has all flows")


@test
def a_stack_lcore_of_its_own():
    if len(CPUS) < 2:
        return
    with Running(system="{workers: [%d], stack: %d}" % (CPUS[1], CPUS[0])) as r:
        check(sorted(l["role"] for l in r.call("lcores")) == ["stack", "worker 0"], r.call("lcores"))
        ping()
        ping("198.18.1.1")


@test
def dpdk_drivers():
    """DPDK's net_af_packet on the same cables: the path does not care."""
    with Running('device: "net_af_packet0,iface=lan0"', 'device: "net_af_packet1,iface=wan0"') as r:
        check([p["driver"] for p in r.call("ports")] == ["dpdk", "dpdk"], r.call("ports"))
        ping()
        ping("2001:db8:2::10")


@test
def dpdk_taps_sum():
    """A file by HTTP through net_tap, to the kernel that has the other end: the port completes TCP's checksums, and is told
    to do no more (it cuts and chains wrongly)."""
    www = os.path.join(lab.tmp, "www")
    os.makedirs(www, exist_ok=True)
    content = os.urandom(4 << 20) + b"odd"
    with open(os.path.join(www, "big"), "wb") as f:
        f.write(content)
    services = "services: [{name: web, port: 80, http: {files: %s}}]\n" % www
    lab.start(config('device: "net_tap0,iface=tap-lan"', 'device: "net_tap1,iface=tap-wan"', rest=services))
    try:
        for p in lab.rpc().call("ports"):
            check(p["tx_offloads"] == {"tcp_checksum": True, "segments": 1, "tso_segments": 0}, p["tx_offloads"])
        # The driver gives its own address to the kernel's end, too.
        for words in (["link", "set", "tap-lan", "address", "02:54:00:00:00:10", "up"],
                      ["addr", "add", "198.18.1.10/24", "dev", "tap-lan"],
                      ["-6", "addr", "add", "2001:db8:1::10/64", "dev", "tap-lan", "nodad"]):
            in_box("ip", *words)
        for host in ("198.18.1.1", "[2001:db8:1::1]"):
            out = os.path.join(lab.tmp, "got")
            in_box("curl", "-sS", "--max-time", "20", "-o", out, "http://%s/big" % host)
            with open(out, "rb") as f:
                check(f.read() == content, "the file arrived changed from " + host)
        a = lab.rpc().call("audit")
        check(a["closed"] and a["sum"]["forwarded"] == a["transmitted"] > 0, a["verdict"])
        check(a["pool"]["held_by_devices_at_most"] > 0, "net_tap keeps buffers in its receive queues")
    finally:
        rc = lab.stop()
    check(rc == 0, "status %d: %s" % (rc, lab.log_text()))


@test
def generic_mode():
    with Running("device: lan0, xdp-mode: generic", "device: wan0, xdp-mode: generic") as r:
        check(all("generic" in p["mode"] for p in r.call("ports")), r.call("ports"))
        ping()


@test
def exception_path_hands_traffic_to_the_host():
    """A server of the host, on the TAP interface named after the port, behind a port that forwards."""
    with Running(lan="device: lan0, exception: [{protocol: tcp, port: 2222}]"):
        in_box("ip", "addr", "add", "198.18.1.1/24", "dev", "lan")
        in_box("ip", "link", "set", "lan", "up")
        server = lab.spawn("box", "python3", "-c", "import socket; s = socket.create_server(('198.18.1.1', 2222)); "
                           "c, _ = s.accept(); c.sendall(b'from the host'); c.close()")
        try:
            until(lambda: ":2222" in in_box("ss", "-Hltn"), 10, "the host's server listens")
            ping()
            out = lab.run("client", "curl", "-sS", "--max-time", "5", "telnet://198.18.1.1:2222", stdin=subprocess.DEVNULL).stdout
            check(out == "from the host", "got %r" % out)
            ping("198.18.1.1")
        finally:
            server.kill()
            server.wait()
    check(lab.run("box", "ip", "link", "show", "lan").returncode != 0, "the TAP interface is left")


@test
def faults_and_capture():
    capture = os.path.join(lab.tmp, "lan.pcapng")
    with Running(lan="device: lan0, capture: %s, fault: {loss: 30%%, seed: 3}" % capture) as r:
        until(lambda: lab.run("client", "ping", "-n", "-q", "-c", "1", "-W", "1", "198.18.2.10").returncode == 0, 20, "one gets through")
        out = lab.run("client", "ping", "-n", "-q", "-c", "100", "-i", "0.005", "-W", "1", "198.18.2.10").stdout
        received = int(out.split(" received")[0].split()[-1])
        check(20 < received < 80, "30%% loss each way, and %d of 100 came back" % received)
        check(any("lost_in" in k for k in r.call("ports")[0]["extended"]), r.call("ports")[0]["extended"])
    out = subprocess.check_output(["tcpdump", "-n", "-r", capture, "icmp"], stderr=subprocess.DEVNULL, text=True)
    check(out.count("echo request") > 50, "the capture has %d requests" % out.count("echo request"))


@test
def with_hugepages():
    knob = "/proc/sys/vm/nr_hugepages"
    before = open(knob).read()
    with open(knob, "w") as f:
        f.write("400\n")
    try:
        with Running(system="{hugepages: required}") as r:
            check("without hugepages" not in lab.log_text(), lab.log_text())
            check(r.call("status")["pool"]["huge_pages"], "the pool is not on huge pages")
            ping()
    finally:
        with open(knob, "w") as f:
            f.write(before)
    free = [l for l in open("/proc/meminfo") if l.startswith("HugePages_Total")][0]
    check(int(free.split()[1]) == int(before), "hugepages are left: " + free)


@test
def required_hugepages_that_are_not_there():
    if any(l.startswith("HugePages_Free") and int(l.split()[1]) > 100 for l in open("/proc/meminfo")):
        return
    r = lab.run("box", lab.sluiced(), "run", "-c", config(system="{hugepages: required}"), "--set",
                "control.socket=" + lab.socket)
    check(r.returncode != 0 and "hugepages" in r.stdout, "%d %s" % (r.returncode, r.stdout))


@test
def route_files():
    good, bad = os.path.join(lab.tmp, "routes.txt"), os.path.join(lab.tmp, "bad.txt")
    with open(good, "w") as f:
        f.write("# a comment\n203.0.113.0/24 198.18.2.10\n198.51.100.0/24 blackhole\n2001:db8:f::/48 2001:db8:2::10\n")
    with open(bad, "w") as f:
        f.write("203.0.113.0/24 198.18.2.10\n203.0.113.0/33 198.18.2.10\n")
    with Running(rest="route-files: [routes.txt]\n") as r:  # relative to the configuration's folder
        check(r.call("routes", to="203.0.113.7")["route"]["hops"] == [{"via": "198.18.2.10", "port": "wan"}], "route of a file")
        check(r.call("routes", to="198.51.100.7")["route"]["kind"] == "blackhole", "black hole of a file")
        text = open(config(rest="route-files: [bad.txt]\n")).read()
        e = r.error("config.apply", text=text)
        check("bad.txt:2" in str(e), e)
        check(r.call("routes", to="203.0.113.7")["route"], "the failed change took the routes away")
        ping()


@test
def the_default_route_is_not_taken_without_a_word():
    in_box("ip", "addr", "add", "198.18.9.1/24", "dev", "lan0")
    in_box("ip", "route", "add", "default", "via", "198.18.9.2")
    try:
        r = lab.run("box", lab.sluiced(), "run", "-c", config(), "--set", "control.socket=" + lab.socket)
        check(r.returncode == 1 and "take-default-route" in r.stdout, r.stdout)
        with Running(lan="device: lan0, take-default-route: yes"):
            ping()
    finally:
        in_box("ip", "route", "del", "default")
        in_box("ip", "addr", "flush", "dev", "lan0")


@test
def a_missing_queue_names_the_remedy():
    r = lab.run("box", lab.sluiced(), "run", "-c", config("device: lan0, queues: 4"), "--set", "control.socket=" + lab.socket)
    check(r.returncode == 1 and "lan0" in r.stdout and ("ethtool" in r.stdout or "queues" in r.stdout), r.stdout)


if __name__ == "__main__":
    main(lab.set_up)
