#!/usr/bin/env python3
"""Golden cases: configuration and captures in, captures and counters out, compared with golden/NAME.txt.
   golden.py SLUICED            run them (TAP)
   golden.py SLUICED --update   write what comes out as the new expectation: read the diff before you commit it"""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from frames import *  # noqa: E402,F401,F403

ROUTER = """version: 1
ports:
  lan: {device: lan, addresses: [198.18.1.1/24, "2001:db8:1::1/64"]}
  wan: {device: wan, addresses: [198.18.2.1/24, "2001:db8:2::1/64"], mtu: 1400}
neighbors:
  static:
    - {port: lan, address: 198.18.1.10, mac: "02:00:00:00:aa:01"}
    - {port: lan, address: "2001:db8:1::10", mac: "02:00:00:00:aa:01"}
    - {port: wan, address: 198.18.2.10, mac: "02:00:00:00:bb:01"}
    - {port: wan, address: "2001:db8:2::10", mac: "02:00:00:00:bb:01"}
routes:
  - {to: 198.51.100.0/24, via: 198.18.2.10}
  - {to: 203.0.113.0/24, blackhole: yes}
"""
FIREWALL = ROUTER + """filter:
  rules:
    - {name: web, action: permit, in: lan, out: wan, protocol: tcp, to-port: 80}
    - {name: ping, action: permit, in: lan, protocol: icmp, icmp: [echo-request]}
    - {name: ident, action: reject, in: lan, protocol: tcp, to-port: 113}
    - {name: snmp, action: reject, in: lan, protocol: udp, to-port: 161}
"""
C4, S4, C6, S6 = "198.18.1.10", "198.18.2.10", "2001:db8:1::10", "2001:db8:2::10"


def lan4(body):
    return ("lan", eth(LAN, HOST, 0x800, body))


def wan4(body):
    return ("wan", eth(WAN, SERVER, 0x800, body))


def u4(dst=S4, n=20, **kw):
    return ip4(C4, dst, 17, udp(C4, dst, 4000, 5000, bytes(range(256))[:n] if n <= 256 else b"x" * n), **kw)


def forward():
    """Both families, both ways: TTL down by one, MACs rewritten, padding gone."""
    v6 = ip6(C6, S6, 17, udp(C6, S6, 4000, 5000, b"six"))
    return ROUTER, [lan4(u4()), lan4(u4(n=2) + b"PADDING"), wan4(ip4(S4, C4, 17, udp(S4, C4, 5000, 4000, b"back"))),
                    ("lan", eth(LAN, HOST, 0x86dd, v6)), lan4(u4(dst="198.51.100.7"))]


def errors():
    """TTL used up, no route, a black hole, too big with and without DF, the box's closed ports."""
    return ROUTER, [lan4(u4(ttl=1)), lan4(u4(dst="192.0.2.1")), lan4(u4(dst="203.0.113.9")), lan4(u4(n=1440, frag=0x4000)),
                    lan4(u4(n=1440)), lan4(u4(dst="198.18.1.1")),
                    lan4(ip4(C4, "198.18.2.1", 6, tcp(C4, "198.18.2.1", 4000, 80, 2))),
                    ("lan", eth(LAN, HOST, 0x86dd, ip6(C6, S6, 17, udp(C6, S6, 1, 2, b"y" * 1400)))),
                    ("lan", eth(LAN, HOST, 0x86dd, ip6(C6, S6, 17, udp(C6, S6, 1, 2), hlim=1)))]


def the_box_itself():
    """ARP and ping are answered; a bad ARP is not."""
    bad = bytearray(arp_request(HOST, C4, "198.18.1.1"))
    bad[18] = 5
    return ROUTER, [("lan", arp_request(HOST, C4, "198.18.1.1")), ("lan", bytes(bad)),
                    ("lan", arp_request(HOST, C4, "198.18.2.1")),
                    lan4(ip4(C4, "198.18.1.1", 1, icmp_echo(8, 7, 1, b"are you there"))),
                    lan4(ip4(C4, "198.18.2.1", 1, icmp_echo(8, 7, 2, b"and you")))]


def stateful():
    """Replies to what a rule permits pass; the same packets unasked do not; rejects are answered."""
    syn = ip4(C4, S4, 6, tcp(C4, S4, 4000, 80, 2))
    synack = ip4(S4, C4, 6, tcp(S4, C4, 80, 4000, 0x12, 100, 2))
    unasked = ip4(S4, C4, 6, tcp(S4, C4, 80, 4001, 0x12, 100, 2))
    return FIREWALL, [wan4(synack), lan4(syn), wan4(synack), wan4(unasked), lan4(ip4(C4, S4, 6, tcp(C4, S4, 4000, 22, 2))),
                      lan4(ip4(C4, S4, 6, tcp(C4, S4, 4000, 113, 2))), lan4(ip4(C4, S4, 17, udp(C4, S4, 9, 161, b"get"))),
                      lan4(ip4(C4, S4, 1, icmp_echo(8, 1, 1))), wan4(ip4(S4, C4, 1, icmp_echo(0, 1, 1))),
                      wan4(ip4(S4, C4, 1, icmp_echo(0, 2, 1)))]


def hostile():
    """Broken and impossible packets: each a counted drop, none forwarded."""
    good = u4()
    short = bytearray(good)
    short[3] = 200
    wrong = bytearray(good)
    wrong[10] ^= 1
    return ROUTER, [lan4(bytes(short)), lan4(bytes(wrong)), lan4(b"\x41" + good[1:]), lan4(b"\x65" + good[1:]), lan4(good[:10]),
                    ("lan", b"\x02\0\0"), ("lan", eth(LAN, HOST, 0x88cc, b"lldp")),
                    lan4(ip4("224.0.0.1", S4, 17, b"\0" * 8)), lan4(ip4("127.0.0.1", S4, 17, b"\0" * 8)),
                    lan4(ip4("198.18.2.1", S4, 17, b"\0" * 8)), lan4(u4(dst="127.0.0.1")), lan4(u4(dst="240.0.0.1")),
                    ("lan", eth(b"\x02\x99\0\0\0\0", HOST, 0x800, good))]


CASES = [forward, errors, the_box_itself, stateful, hostile]


def run(sluiced, case, tmp):
    config, packets = case()
    with open(os.path.join(tmp, "config.yaml"), "w") as f:
        f.write(config)
    argv = [sluiced, "replay", "-c", os.path.join(tmp, "config.yaml"), "--out-dir", tmp, "--verdicts",
            os.path.join(tmp, "verdicts"), "--seed", "7"]
    for port in ("lan", "wan"):
        name = os.path.join(tmp, port + ".pcap")
        pcap(name, [(1 + i * 0.001, b) for i, (p, b) in enumerate(packets) if p == port])
        argv += ["--in", "%s=%s" % (port, name)]
    r = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    out = ["# " + case.__doc__]
    for port in ("lan", "wan"):
        for t, b in read_pcapng(os.path.join(tmp, port + ".pcapng")):
            out.append("%s %d.%09d %s" % (port, t // 10**9, t % 10**9, b.hex()))
    for line in open(os.path.join(tmp, "verdicts")):
        v = json.loads(line)
        out.append("verdict " + " ".join("%s=%s" % (k, v[k]) for k in ("packet", "in", "verdict", "reason", "out", "rule", "route") if k in v))
    out += ["summary " + l for l in r.stdout.splitlines()]
    out.append("status %d" % r.returncode)
    return "\n".join(out) + "\n"


def main():
    sluiced, update = sys.argv[1], "--update" in sys.argv
    print("1..%d" % (len(CASES) * 2))
    failed = 0
    for i, case in enumerate(CASES):
        name = os.path.join(HERE, "golden", case.__name__ + ".txt")
        got = []
        for _ in range(2):
            with tempfile.TemporaryDirectory(prefix="sluice-golden.") as tmp:
                got.append(run(sluiced, case, tmp))
        if update:
            os.makedirs(os.path.dirname(name), exist_ok=True)
            with open(name, "w") as f:
                f.write(got[0])
        want = open(name).read() if os.path.exists(name) else ""
        same = got[0] == want
        print("%s %d %s" % ("ok" if same else "not ok", 2 * i + 1, case.__name__))
        if not same:
            import difflib
            for l in difflib.unified_diff(want.splitlines(), got[0].splitlines(), "golden", "this run", lineterm="", n=1):
                print("# " + l[:400])
        again = got[0] == got[1]
        print("%s %d %s gives the same bytes again" % ("ok" if again else "not ok", 2 * i + 2, case.__name__))
        failed += (not same) + (not again)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
