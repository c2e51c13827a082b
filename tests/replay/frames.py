"""Frames from scratch, and captures in and out: enough for the replay tests, no library."""
import ipaddress
import struct

LAN, WAN = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")      # the box's MACs in replay
HOST, SERVER = bytes.fromhex("02000000aa01"), bytes.fromhex("02000000bb01")


def csum(b):
    b += b"\0" * (len(b) & 1)
    s = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def addr(a):
    return ipaddress.ip_address(a).packed


def eth(dst, src, typ, body):
    return dst + src + struct.pack("!H", typ) + body


def ip4(src, dst, proto, body, ttl=64, ident=1, frag=0, opts=b"", tos=0):
    n = 20 + len(opts)
    h = struct.pack("!BBHHHBBH4s4s", 0x40 | n // 4, tos, n + len(body), ident, frag, ttl, proto, 0, addr(src), addr(dst)) + opts
    return h[:10] + struct.pack("!H", csum(h)) + h[12:] + body


def ip6(src, dst, proto, body, hlim=64):
    return struct.pack("!IHBB16s16s", 6 << 28, len(body), proto, hlim, addr(src), addr(dst)) + body


def pseudo(src, dst, proto, n):
    s, d = addr(src), addr(dst)
    return s + d + (struct.pack("!BBH", 0, proto, n) if len(s) == 4 else struct.pack("!IHBB", n, 0, 0, proto))


def udp(src, dst, sport, dport, data=b""):
    h = struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data
    return h[:6] + struct.pack("!H", csum(pseudo(src, dst, 17, len(h)) + h) or 0xffff) + h[8:]


def tcp(src, dst, sport, dport, flags, seq=1, ack=0, data=b""):
    h = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 << 4, flags, 65535, 0, 0) + data
    return h[:16] + struct.pack("!H", csum(pseudo(src, dst, 6, len(h)) + h)) + h[18:]


def icmp_echo(typ, ident, seq, data=b""):
    h = struct.pack("!BBHHH", typ, 0, 0, ident, seq) + data
    return h[:2] + struct.pack("!H", csum(h)) + h[4:]


def arp_request(mac, spa, tpa):
    return eth(b"\xff" * 6, mac, 0x806, struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, mac, addr(spa), b"\0" * 6, addr(tpa)))


def pcap(path, frames):
    """frames: (seconds, bytes), written as nanosecond pcap."""
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b23c4d, 2, 4, 0, 0, 262144, 1))
        for t, b in frames:
            ns = round(t * 1e9)
            f.write(struct.pack("<IIII", ns // 10**9, ns % 10**9, len(b), len(b)) + b)


def read_pcapng(path):
    """(nanoseconds, bytes) of each packet; one interface, nanosecond resolution, as sluice writes it."""
    data = open(path, "rb").read()
    out, at = [], 0
    while at < len(data):
        typ, n = struct.unpack_from("<II", data, at)
        assert n >= 12 and n % 4 == 0 and struct.unpack_from("<I", data, at + n - 4)[0] == n, "a broken block at %d" % at
        if typ == 6:
            _, hi, lo, cap, _ = struct.unpack_from("<IIIII", data, at + 8)
            out.append((hi << 32 | lo, data[at + 28:at + 28 + cap]))
        at += n
    return out
