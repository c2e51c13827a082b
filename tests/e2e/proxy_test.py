#!/usr/bin/env python3
"""Proxies, between clients and servers of other makes; and what everybody with a connection is told when the box stops."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from box import check, main, test, until  # noqa: E402
from services_lab import BOX, BOX6, TWO_PORTS, Running, curl, echoed, lab, need, service, shell, write  # noqa: E402


BACKEND = """
import http.server, socketserver, sys
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        body = b'%s\\n' % sys.argv[2].encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
class S(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
S(('', int(sys.argv[1])), H).serve_forever()
"""


def backend(port, word):
    p = lab.spawn("server", "python3", "-c", BACKEND, str(port), word)
    until(lambda: ":%d " % port in lab.run("server", "ss", "-Hltn").stdout, 10, "backend %s listens" % word)
    return p


PROXY = TWO_PORTS + """
- name: front
  port: 80
  access-log: yes
  proxy:
    backends: [198.18.2.10:8001, 198.18.2.10:8002]
    health: {http: /, interval: 200ms, timeout: 200ms, rise: 2, fall: 2}
"""


@test
def a_proxy_leaves_out_a_backend_that_dies_and_takes_it_back():
    one, two = backend(8001, "one"), backend(8002, "two")
    url = "http://%s/" % BOX
    try:
        with Running(write("proxy.yaml", PROXY), []) as rpc:
            check({curl(url) for _ in range(8)} == {"one\n", "two\n"}, "not both backends serve")
            two.kill()
            two.wait()
            state = lambda: [b["up"] for b in service(rpc, "front")["backends"]]  # noqa: E731
            until(lambda: state() == [True, False], 10, "the dead backend is out")
            check({curl(url) for _ in range(8)} == {"one\n"}, "a dead backend gets clients")
            until(lambda: any("8002 is down" in e["text"] for e in rpc.call("events")), 5, "an event about it")
            two = backend(8002, "two")
            until(lambda: state() == [True, True], 10, "it is back")
            check({curl(url) for _ in range(8)} == {"one\n", "two\n"}, "it gets no clients")
            out = shell("curl -sS --max-time 5 -g 'http://[%s]/'" % BOX6)
            check(out in ("one\n", "two\n"), "an IPv6 client over IPv4 backends: " + out)
            log = until(lambda: rpc.call("events", access=True), 5, "an access log")
            check(any("front: 198.18.1.10:" in e["text"] and "to 198.18.2.10:800" in e["text"] for e in log), log)
            view = lab.ctl("services").stdout
            check("198.18.2.10:8002" in view and "front" in view, view)
    finally:
        for p in (one, two):
            p.kill()
            p.wait()


@test
def a_proxy_splices_bulk_both_ways():
    need("socat")
    server = lab.spawn("server", "socat", "TCP-LISTEN:8003,reuseaddr,fork", "EXEC:cat")
    config = write("bulk.yaml", TWO_PORTS + "- {name: front, port: 7, proxy: {backends: [198.18.2.10:8003]}}\n")
    try:
        until(lambda: ":8003 " in lab.run("server", "ss", "-Hltn").stdout, 10, "the backend listens")
        with Running(config, []) as rpc:
            echoed(BOX, 16 << 20)
            b = service(rpc, "front")["backends"][0]
            check(b["bytes_in"] == b["bytes_out"] == 16 << 20, b)
            until(lambda: service(rpc, "front")["connections"] == 0, 10, "the session ends")
    finally:
        server.kill()
        server.wait()


@test
def it_stops_cleanly_with_sessions_open():
    need("socat")
    server = lab.spawn("server", "socat", "TCP-LISTEN:8005,reuseaddr,fork", "EXEC:cat")
    config = write("held.yaml", TWO_PORTS + "- {name: front, port: 7, proxy: {backends: [198.18.2.10:8005]}}\n")
    holder = None
    try:
        until(lambda: ":8005 " in lab.run("server", "ss", "-Hltn").stdout, 10, "the backend listens")
        with Running(config, []) as rpc:
            holder = lab.spawn("client", "socat", "TCP:%s:7" % BOX, "EXEC:sleep 60")
            until(lambda: service(rpc, "front")["connections"] == 1, 10, "a session is open")
    finally:
        for p in (server, holder):
            if p:
                p.kill()
                p.wait()


WAITING = """
import socket, sys, threading
def say(*words): sys.stdout.write(' '.join(words) + '\\n'), sys.stdout.flush()  # a line at once
def wait(name, to, port, first, reads):
    s = socket.create_connection((to, port), 5)
    s.sendall(first)
    if reads and not s.recv(1000): return say(name, 'ended early')
    say(name, 'open')
    try:
        while True:
            if not reads:            # its window closes; the end is seen by sending
                s.send(b'x')
                threading.Event().wait(0.05)
            elif not s.recv(65536): break
        say(name, 'eof')
    except OSError as e:
        say(name, type(e).__name__)
get = b'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'
for a in (('echo', 7, b'x', 1), ('web', 80, get, 1), ('half', 80, get[:20], 0), ('chargen', 19, b'x', 0), ('proxy', 8000, b'x', 1)):
    threading.Thread(target=wait, args=(a[0], sys.argv[1]) + a[1:]).start()
"""


@test
def when_it_stops_every_peer_is_told():
    """After sluiced has ended nobody can tell them any more: no client, and no server behind a proxy, waits then."""
    code = ("import socket\ns = socket.create_server(('', 8005))\nc, _ = s.accept()\nd = c.recv(9)\nc.sendall(d)\nprint('open', flush=True)\n"
            "try: print('eof' if not c.recv(9) else 'data', flush=True)\nexcept OSError as e: print(type(e).__name__, flush=True)\n")
    start = dict(stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    server = subprocess.Popen(lab.argv("server", "python3", "-c", code), **start)
    config = write("stop.yaml", TWO_PORTS + "- {name: echo, port: 7, echo: yes}\n- {name: chargen, port: 19, chargen: yes}\n"
                   "- {name: web, port: 80, http: {body: x}}\n- {name: front, port: 8000, proxy: {backends: [198.18.2.10:8005]}}\n")
    peers = None
    try:
        until(lambda: ":8005 " in lab.run("server", "ss", "-Hltn").stdout, 10, "the backend listens")
        with Running(config, []):
            peers = subprocess.Popen(lab.argv("client", "python3", "-c", WAITING, BOX), **start)
            opened = [peers.stdout.readline().split() for _ in range(5)]
            check(all(o[1:] == ["open"] for o in opened), opened)
            check(server.stdout.readline() == "open\n", "the backend's side")
        told = dict(l.split() for l in peers.communicate(timeout=5)[0].splitlines())
        ends = ("eof", "ConnectionResetError", "BrokenPipeError")
        check(len(told) == 5 and all(t in ends for t in told.values()), told)
        check(server.communicate(timeout=5)[0].strip() in ends, "the backend")
    finally:
        for p in (server, peers):
            if p:
                p.kill()
                p.wait()


PROXY_V2 = """
import socket, struct
s = socket.create_server(('', 8004))
while True:
    c, _ = s.accept()
    head = b''
    while True:  # to the client's end: what is left unread would reset the connection
        d = c.recv(4096)
        if not d: break
        head += d
    if head[:12] == b'\\r\\n\\r\\n\\0\\r\\nQUIT\\n' and head[12:14] == b'\\x21\\x11':
        src, dst, sport, dport = head[16:20], head[20:24], *struct.unpack('!HH', head[24:28])
        c.sendall(('%s %s %d\\n' % (socket.inet_ntoa(src), socket.inet_ntoa(dst), dport)).encode() + head[28:])
    else:
        c.sendall(repr(head[:40]).encode())
    c.close()
"""


@test
def a_backend_sees_the_client_by_proxy_protocol_v2():
    server = lab.spawn("server", "python3", "-c", PROXY_V2)
    config = write("v2.yaml", TWO_PORTS + "- {name: front, port: 80, proxy: {backends: [198.18.2.10:8004], proxy-protocol: v2}}\n")
    try:
        until(lambda: ":8004 " in lab.run("server", "ss", "-Hltn").stdout, 10, "the backend listens")
        with Running(config, []):
            out = shell("printf x | nc -N -w 3 %s 80" % BOX)
            check(out == "198.18.1.10 198.18.1.1 80\nx", "the backend saw %r" % out)
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main(lab.set_up)
