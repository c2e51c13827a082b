#!/usr/bin/env python3
"""Early drop on a running box, conf/scrubber.yaml between a client and a server: lists, limits, levels by hand, floods of
bounded rate, what a killed process leaves, and the audit down to the XDP programs after each."""
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from box import ROOT, Lab, Skip, check, main, test, until  # noqa: E402

BUILD = os.environ.get("SLUICE_BUILD", os.path.join(ROOT, "build"))
CONFIG = os.path.join(ROOT, "conf/scrubber.yaml")
BOX, CLIENT, OTHER, SERVER = "198.18.1.1", "198.18.1.10", "198.18.1.66", "198.18.2.10"
# conf/scrubber.yaml on the lab's two legs, as a user would put it on ports of his own.
SETS = ["ports.outside.device=lan0", 'ports.outside.addresses=[198.18.1.1/24, "2001:db8:1::1/64"]',
        "ports.inside.device=wan0", 'ports.inside.addresses=[198.18.2.1/24, "2001:db8:2::1/64"]',
        "routes=[{to: default4, via: 198.18.1.10}]"]
lab = Lab(BUILD)


def setup():
    lab.set_up()
    lab.run("client", "ip", "addr", "add", OTHER + "/24", "dev", "eth0")
    # A veth takes XDP_TX's answers only where its peer has a NAPI context.
    lab.run("client", "ethtool", "-K", "eth0", "gro", "on")
    lab.spawn("server", "socat", "TCP-LISTEN:7000,fork,reuseaddr", "EXEC:cat")


def need(*tools):
    missing = [t for t in tools if not shutil.which(t)]
    if missing:
        raise Skip("not installed: " + ", ".join(missing))


class Running(object):
    """A sluiced for the length of a with block. At its end the audit closes, to the last frame once traffic has stopped."""

    def __init__(self, *sets):
        self.sets = SETS + list(sets)

    def __enter__(self):
        lab.start(CONFIG, *[w for s in self.sets for w in ("--set", s)])
        self.rpc = lab.rpc()
        until(lambda: reaches(SERVER), 10, "the server answers")
        return self.rpc

    def __exit__(self, kind, *_):
        try:
            a = lab.rpc().call("audit")
            if not kind:
                a = settled()
        except (OSError, EOFError, AssertionError) as e:
            a = dict(closed=False, verdict="%s\n%s" % (e, lab.log_text()))
        rc = lab.stop() if lab.daemon.poll() is None else lab.daemon.returncode
        if kind:
            return
        check(a["closed"], a["verdict"])
        check(rc == 0 and "audit closed" in lab.log_text(), "status %d: %s" % (rc, lab.log_text()))


def settled():
    """The audit when nothing is under way any more: the programs' books close exactly."""
    def quiet():
        a = lab.rpc().call("audit")
        check(a["closed"], a["verdict"])
        return all(e["under_way"] == 0 for e in a["early"]) and a
    return until(quiet, 10, "the programs' books close to the last frame")


def reaches(host, source=CLIENT):
    return " 1 received" in lab.run("client", "ping", "-n", "-q", "-c", "1", "-W", "1", "-I", source, host).stdout


def drops(rpc, reason):
    return sum(d["packets"] for d in rpc.call("drops") if d["reason"] == reason)


def frames(rpc, port, outcome):
    p = [p for p in rpc.call("shed.status")["ports"] if p["port"] == port][0]
    return sum(f["frames"] for f in p["frames"] if f["outcome"] == outcome)


def ctl(*words, status=0):
    r = lab.ctl(*words)
    check(r.returncode == status, "%s: status %d: %s%s" % (" ".join(words), r.returncode, r.stdout, r.stderr))
    return r.stdout + r.stderr


def udp(n, source=CLIENT, to=SERVER, port=9000, pps=5000):
    """n small datagrams from a socket of the client's kernel."""
    code = ("import socket, time\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('%s', 0))\n"
            "for i in range(%d):\n s.sendto(b'x' * 18, ('%s', %d))\n if i %% 50 == 49: time.sleep(%f)\n" % (source, n, to, port, 50.0 / pps))
    return lab.spawn("client", "python3", "-c", code)


def raw(rpc, *payloads):
    """Frames with these bytes behind their MAC addresses, from the client to the box."""
    mac = bytes.fromhex([p for p in rpc.call("ports") if p["name"] == "outside"][0]["mac"].replace(":", ""))
    code = ("import socket, sys\ns = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\ns.bind(('eth0', 0))\n"
            "for f in sys.argv[1:]: s.send(bytes.fromhex(f))\n")
    out = lab.run("client", "python3", "-c", code, *[(mac + b"\x02\0\0\0\0\x99" + p).hex() for p in payloads])
    check(out.returncode == 0, out.stdout)


def ip4(payload, length=None, proto=17, ihl=5, fragment=0, source=CLIENT):
    h = struct.pack("!BBHHHBBH4s4s", 0x40 | ihl, 0, 20 + len(payload) if length is None else length, 1, fragment, 64, proto, 0,
                    socket.inet_aton(source), socket.inet_aton(SERVER))
    total = 0
    for (w,) in struct.iter_unpack("!H", h):
        total += w
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return b"\x08\0" + h[:10] + struct.pack("!H", ~total & 0xffff) + h[12:] + payload


def tcp(flags):
    return struct.pack("!HHIIBBHHH", 4000, 7000, 1, 0, 0x50, flags, 1000, 0, 0)


class Talk(object):
    """A TCP connection from the client through the box to the server's echo."""

    def __init__(self):
        self.p = subprocess.Popen(lab.argv("client", "socat", "-", "TCP:%s:7000" % SERVER), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1)
        lab.children.append(self.p)

    def ask(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        return self.p.stdout.readline().strip()

    def close(self):
        self.p.kill()
        self.p.wait()


@test
def a_block_acts_at_once_and_ends_by_itself():
    with Running() as rpc:
        check(reaches(SERVER, OTHER), "unblocked")
        out = ctl("block", "add", OTHER + "/32", "for", "4s")
        check(OTHER + "/32: blocked for 4s\n" in out, out)
        check(not reaches(SERVER, OTHER) and drops(rpc, "shed_block") > 0, "blocked: %s" % rpc.call("drops"))
        check(reaches(SERVER), "the neighbour of a blocked one")
        check(OTHER in ctl("block", "list") and "block %s/32 (command, for" % OTHER in ctl("block", "find", OTHER), "the list")
        until(lambda: reaches(SERVER, OTHER), 8, "the block ends")
        check("203.0.113.0/24" in ctl("block", "list") and OTHER not in ctl("block", "list"), "the list afterwards")


@test
def an_answer_says_what_an_entry_replaces():
    with Running():
        for words, says in ((("block", "add", OTHER, "for", "1h30m"), "blocked for 1h 30m\n"),
                            (("block", "add", OTHER), "blocked until removed, instead of for 1h 30m\n"),
                            (("block", "add", OTHER), "blocked until removed, as before\n"),
                            (("allow", "add", OTHER, "for", "10m"), "allowed for 10m, instead of blocked until removed\n"),
                            (("allow", "add", "203.0.113.0/24"), "allowed until removed, instead of blocked (by the configuration)\n")):
            out = ctl(*words)
            check(says in out, "%s: %s" % (words, out))


@test
def allow_inside_block_and_back():
    with Running():
        ctl("block", "add", "198.18.1.64/26")
        check(not reaches(SERVER, OTHER), "blocked by the /26")
        ctl("allow", "add", OTHER)
        check(reaches(SERVER, OTHER), "allowed inside it")
        ctl("allow", "del", OTHER)
        check(not reaches(SERVER, OTHER), "no longer allowed")
        ctl("block", "del", "198.18.1.64/26")
        check(reaches(SERVER, OTHER), "no longer blocked")


@test
def wrong_words_are_told():
    with Running():
        ctl("block", "add", "198.18.1.64/26")
        for words, says, status in (
                (("block", "add", "203.0.113.1/24"), "did you mean '203.0.113.0/24'", 1),
                (("block", "add", "203.0.113.300"), "no address and no prefix", 1),
                (("block", "add", "203.0.113.7", "for", "10"), "has no unit; did you mean '10s'", 1),
                (("block", "add", "203.0.113.7", "for", "11y"), "is no time", 1),
                (("block", "add", "203.0.113.7", "for", "4000d"), "ten years", 1),
                (("block", "add", "203.0.113.7", "until", "10m"), "expected 'for TIME'", 2),
                (("block", "add", "203.0.113.7", "10m"), "sluicectl: found '10m', expected 'for TIME'", 2),
                (("block", "add", "203.0.113.7", "for"), "sluicectl: for requires TIME", 2),
                (("shed", "level", "rest", "for", "5s"), "sluicectl: not expected: for 5s", 2),
                (("shed", "status", "--port", "x"), "sluicectl: shed status: field 'port': there is no port 'x'", 1),
                (("watch", "-n", "0", "status"), "-n, --interval: expected 0.1", 2),
                (("allow", "del", "198.18.1.64/26"), "but blocked: block del ends that", 1),
                (("block", "load", "/dev/null"), "block clear removes all", 1),
                (("tcp", "show", "x"), "tcp list names them", 1),
                (("block", "del", "203.0.113.0/24"), "take it out of shed.block", 1),
                (("block", "del", "192.0.2.0/24"), "is not blocked by command", 1),
                (("block", "lsit"), "did you mean 'block list'?", 2),
                (("block", "load", "/nonexistent"), "cannot read", 2),
                (("shed", "level", "800"), "0 to 768", 1),
                (("foo",), "there is no command 'foo'", 2)):
            check(says in ctl(*words, status=status), "%s: %s" % (words, lab.ctl(*words).stderr))
        path = os.path.join(lab.tmp, "bad.txt")
        with open(path, "w") as f:
            f.write("192.0.2.0/24\n\n192.0.2.1/24 # oops\n")
        out = ctl("block", "load", path, status=1)
        check("%s:3:1: found '192.0.2.1/24'" % path in out, out)
        check("192.0.2" not in ctl("block", "list"), "something of a bad file was taken")


@test
def a_million_prefixes_under_traffic():
    path = os.path.join(lab.tmp, "million.txt")
    rnd = random.Random(1)
    with open(path, "w") as f:
        for _ in range(1000000):
            a = rnd.randrange(11 << 24, 126 << 24)
            f.write("%d.%d.%d.%d\n" % (a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255))
        f.write("198.18.1.64/30\n2001:db8:ffff::/48\n")
    with Running() as rpc:
        ping = subprocess.Popen(lab.argv("client", "ping", "-n", "-q", "-i", "0.02", "-c", "200", SERVER), stdout=subprocess.PIPE, text=True)
        slowest, answers = 0, 0
        began = time.monotonic()
        load = subprocess.Popen([os.path.join(BUILD, "src/ctl/sluicectl"), "-s", lab.socket, "block", "load", path],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while load.poll() is None:
            t = time.monotonic()
            rpc.call("version")
            slowest, answers = max(slowest, time.monotonic() - t), answers + 1
            time.sleep(0.005)
        took = time.monotonic() - began
        out = load.stdout.read()
        print("# %s (%.2f s in all); another client waited at most %.0f ms for its answers, %d of them" %
              (out.strip(), took, slowest * 1000, answers), flush=True)
        check(load.returncode == 0 and "prefixes blocked" in out, out)
        check(not reaches(SERVER, OTHER), "198.18.1.66 is in the list")
        check(" 0% packet loss" in ping.communicate(timeout=30)[0], "pings were lost while the list changed")
        check(rpc.call("block.list", limit=1)["by_command"] > 990000, "the list's size")
        began = time.monotonic()
        ctl("block", "clear")
        print("# cleared in %.2f s" % (time.monotonic() - began), flush=True)
        check(reaches(SERVER, OTHER), "cleared")


@test
def the_level_by_hand_spares_established_flows():
    with Running() as rpc:
        talk = Talk()
        check(talk.ask("hello") == "hello" and talk.ask("again") == "again", "before")
        out = ctl("shed", "level", "new")
        check("level 512 by hand" in out, out)
        udp(500).wait()
        until(lambda: frames(rpc, "outside", "overload") >= 500, 5, "UDP is shed: %s" % rpc.call("shed.status")["ports"][0])
        for i in range(20):
            check(talk.ask("line %d" % i) == "line %d" % i, "the established connection at level 512")
        r = lab.run("client", "socat", "-T2", "-", "TCP:%s:7000,connect-timeout=2" % SERVER, input="x\n")
        check("x" not in r.stdout.split(), "a new connection got through at level 512: " + r.stdout)
        check("hand" in ctl("shed", "status"), "status")
        ctl("shed", "level", "auto")
        until(lambda: reaches(SERVER), 5, "by load again")
        talk.close()


@test
def new_connections_get_through_while_the_rest_is_shed():
    with Running() as rpc:
        ctl("shed", "level", "rest")
        udp(100).wait()
        until(lambda: frames(rpc, "outside", "overload") >= 100, 5, "UDP is shed")
        for i in range(5):
            talk = Talk()  # through the box: the server's SYN-ACK comes in as a flow that nobody has answered yet
            check(talk.ask("hello") == "hello", "through the box")
            talk.close()
            r = lab.run("client", "curl", "-s", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}", "http://%s/healthz" % BOX)
            check(r.stdout == "200", "its own web service: " + r.stdout)


@test
def malformed_and_impossible_frames_are_counted():
    with Running() as rpc:
        datagram = struct.pack("!HHHH", 4000, 9000, 26, 0) + b"x" * 18
        before = frames(rpc, "outside", "malformed")
        raw(rpc, ip4(datagram, length=1400), ip4(datagram, ihl=4), ip4(datagram, ihl=15), b"\x08\0\x45", ip4(b"\0" * 4, fragment=0x2000))
        until(lambda: frames(rpc, "outside", "malformed") >= before + 3, 5, "malformed: %s" % rpc.call("shed.status")["ports"][0]["frames"])
        raw(rpc, ip4(tcp(0x03), proto=6), ip4(tcp(0), proto=6), ip4(tcp(0x29), proto=6))
        until(lambda: frames(rpc, "outside", "tcp_flags") == 3, 5, "TCP flags: %s" % rpc.call("shed.status")["ports"][0]["frames"])
        raw(rpc, ip4(datagram, source="127.0.0.1"), ip4(datagram, source="224.0.0.1"))
        until(lambda: frames(rpc, "outside", "bogon") == 2, 5, "bogons")
        raw(rpc, ip4(datagram, proto=47))
        until(lambda: frames(rpc, "outside", "protocol") == 1, 5, "a blocked protocol")
        raw(rpc, ip4(struct.pack("!HHHH", 11211, 9000, 26, 0) + b"x" * 18))
        until(lambda: frames(rpc, "outside", "amplification") == 1, 5, "amplification")
        udp(10, port=6001).wait()
        until(lambda: frames(rpc, "outside", "port") == 10, 5, "a blocked port")


@test
def a_flood_of_datagrams_is_accounted_for_while_it_lasts():
    with Running("shed.rates={source: {rate: 1k, burst: 100}}") as rpc:
        flood = udp(30000, pps=15000)
        try:
            until(lambda: frames(rpc, "outside", "source_rate") > 1000, 10, "the source's rate")
            for _ in range(5):
                a = rpc.call("audit")
                check(a["closed"], a["verdict"])
            check(reaches(SERVER, OTHER), "another source is cut off")
        finally:
            flood.wait()


@test
def a_syn_flood_is_answered_in_front_of_the_box():
    need("hping3", "curl")
    with Running("shed.syn={rate: 100, burst: 100, always: yes}") as rpc:
        flood = lab.spawn("client", "hping3", "-q", "-i", "u200", "-c", "200000", "--rand-source", "-S", "-p", "80", BOX)
        try:
            until(lambda: frames(rpc, "outside", "answered") > 500, 20, "SYNs are answered: %s" % rpc.call("shed.status")["ports"][0]["frames"])
            for i in range(20):
                r = lab.run("client", "curl", "-sS", "--max-time", "5", "-o", "/dev/null", "-w", "%{http_code}", "http://%s/healthz" % BOX)
                check(r.stdout.strip() == "200", "request %d: %s" % (i, r.stdout))
        finally:
            flood.send_signal(signal.SIGINT)
            flood.wait()
        c = {x["name"]: x["value"] for x in rpc.call("tcp.counters")}
        check(c["cookies_received"] > 0, "no ACK brought a cookie of the program's: %s" % c)
        print("# %d SYNs answered in XDP, %d cookies came back" % (frames(rpc, "outside", "answered"), c["cookies_received"]), flush=True)


@test
def a_change_of_the_file_is_live():
    with Running() as rpc:
        text = open(CONFIG).read()
        check(reaches(SERVER, OTHER), "before")
        r = rpc.call("config.apply", text=text.replace("    - 203.0.113.0/24\n", "    - 203.0.113.0/24\n    - %s\n" % OTHER))
        check("block and allow lists" in r["summary"], r)
        check(not reaches(SERVER, OTHER), "the new list is not in force")
        e = rpc.error("config.apply", text=text.replace("malformed: yes", "malfromed: yes"))
        check("did you mean 'malformed'" in str(e), e)
        check(not reaches(SERVER, OTHER), "a refused change changed something")
        rpc.call("config.apply", text=text)
        check(reaches(SERVER, OTHER), "the old list is not back")


@test
def views_fit_the_terminal():
    with Running() as rpc:
        udp(20, port=6001).wait()
        for words in (("shed", "status"), ("block", "list"), ("audit",)):
            out = ctl(*words)
            check(max(len(line) for line in out.splitlines()) <= 80 or words == ("audit",), "wider than 80 columns:\n" + out)
        check("EARLY DROP" in ctl("audit"), "the audit's second part")
        page = lambda: lab.run("client", "curl", "-sS", "--max-time", "5", "http://%s/metrics" % BOX).stdout  # noqa: E731
        until(lambda: re.search(r'^sluice_early_frames_total\{port="outside",outcome="port",class="rest"\} 20$', page(), re.M), 5,
              "metrics:\n" + page()[:2000])


@test
def a_killed_process_leaves_no_program():
    lab.start(CONFIG, *[w for s in SETS for w in ("--set", s)])
    show = lambda: lab.run("box", "ip", "link", "show", "lan0").stdout  # noqa: E731
    check("xdp" in show(), "no program while it runs: " + show())
    lab.daemon.send_signal(signal.SIGKILL)
    lab.daemon.wait()
    lab.daemon = None
    until(lambda: "xdp" not in show(), 5, "the program is gone: " + show())
    with Running():
        check(reaches(SERVER), "a new one starts")


if __name__ == "__main__":
    main(setup)
