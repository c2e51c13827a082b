#!/usr/bin/env python3
"""The box's own TCP services as clients of other makes see them: curl, nc, socat, ab, wrk, nmap, hping3, and the kernel's
TCP behind them all. SLUICE_BULK=1024 moves so many MiB through loss instead of 64."""
import email.utils
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from box import check, main, test, until  # noqa: E402
from services_lab import (BOX, BOX6, CONFIG, ON_LAN, SECOND, TWO_PORTS, Running, client, counters, curl,  # noqa: E402
                          echoed, lab, need, ok, random_file, service, shell, write)

BULK = int(os.environ.get("SLUICE_BULK", "64")) << 20


# ---- single services


@test
def http_keeps_connections_and_answers_in_order():
    with Running() as rpc:
        for host in (BOX, SECOND, "[%s]" % BOX6):
            check(curl("http://%s/" % host) == "hello from sluice\n", "body from " + host)
        r = client("curl", "-sv", "--max-time", "5", "http://%s/" % BOX, "http://%s/healthz" % BOX)
        check("Re-using existing connection" in r.stdout and "HTTP/1.1 200" in r.stdout, r.stdout)
        get = "GET /%s HTTP/1.1\\r\\nHost: x\\r\\n%s\\r\\n"
        out = shell("printf '%s' | nc -w 3 %s 80" % (get % ("", "") + get % ("healthz", "") + get % ("", "Connection: close\\r\\n"), BOX))
        check(re.findall(r"^(hello|ok)", out, re.M) == ["hello", "ok", "hello"] and out.count("HTTP/1.1 200") == 3, out)
        check("HTTP/1.1 400" in shell("printf 'GET / HTTP/one\\r\\n\\r\\n' | nc -w 3 %s 80" % BOX), "a malformed request")
        w = service(rpc, "web")
        check(w["requests"] == 9 and w["responses"]["2xx"] == 8 and w["bad_requests"] == 1, w)


@test
def metrics_are_prometheus_text():
    with Running():
        curl("http://%s/" % BOX)
        text = until(lambda: (lambda t: t if 'sluice_service_requests_total{service="web"} 0' not in t and "sluice_tcp" in t else None)(
            curl("http://%s/metrics" % BOX)), 10, "metrics show the request")
        for line in text.splitlines():
            check(re.match(r"# (HELP|TYPE) sluice_\w+ .+$|sluice_\w+({(\w+=\"[^\"]*\",?)+})? [-+.e\d]+$", line), "not a sample: " + line)
        check(len(re.findall("# TYPE (\\S+)", text)) == len(set(re.findall("# TYPE (\\S+)", text))), "a family comes twice")


@test
def files_and_404():
    os.makedirs(os.path.join(lab.tmp, "www/sub"), exist_ok=True)
    write("www/index.html", "<p>front</p>\n")
    write("www/sub/index.html", "<p>sub</p>\n")
    shutil.copy(random_file(8 << 20), os.path.join(lab.tmp, "www/big"))
    config = write("files.yaml", TWO_PORTS + "- {name: web, port: 80, http: {files: www}}\n")
    with Running(config, []) as rpc:
        check(curl("http://%s/" % BOX) == "<p>front</p>\n", "index")
        check(curl("http://%s/sub/" % BOX) == "<p>sub</p>\n", "a folder's index")
        out = shell("curl -sS --max-time 20 http://%s/big | sha256sum" % BOX)
        check(out.split()[0] == hashlib.sha256(open(random_file(8 << 20), "rb").read()).hexdigest(), "8 MiB arrived changed")
        for path in ("nothing", "../files.yaml", "%2e%2e/files.yaml", "sub/../../files.yaml"):
            code = curl("http://%s/%s" % (BOX, path), "--path-as-is", "-o", "/dev/null", "-w", "%{http_code}")
            check(code in ("404", "400"), "%s: %s" % (path, code))
        write("www/new", "later\n")
        rpc.call("config.apply", text=open(config).read())
        check(until(lambda: curl("http://%s/new" % BOX) == "later\n", 5, "a new file after apply"), "")


@test
def http_dates_versions_and_parts():
    os.makedirs(os.path.join(lab.tmp, "www"), exist_ok=True)
    ten = write("www/ten", "0123456789")
    os.utime(ten, (784111777, 784111777))
    config = write("parts.yaml", TWO_PORTS + "- {name: web, port: 80, http: {files: www}}\n")
    url = "http://%s/ten" % BOX
    code = ("-o", "/dev/null", "-w", "%{http_code}")

    def fields(*more):
        lines = curl(url, "-D", "-", "-o", "/dev/null", *more).splitlines()
        return lines[0].split()[1], {k.lower(): v for k, v in (l.split(": ", 1) for l in lines[1:] if l)}

    with Running(config, []):
        status, f = fields("-I")
        check(status == "200" and f["content-length"] == "10" and f["accept-ranges"] == "bytes", f)
        check(f["last-modified"] == "Sun, 06 Nov 1994 08:49:37 GMT" and re.match(r'"[0-9a-f]+"$', f["etag"]), f)
        age = time.time() - email.utils.parsedate_to_datetime(f["date"]).timestamp()
        check(-2 < age < 30, "Date is off by %f s" % age)

        check(curl(url, "-r", "2-4") == "234" and curl(url, "-r", "-3") == "789" and curl(url, "-r", "8-") == "89", "parts")
        status, f = fields("-r", "2-4")
        check(status == "206" and f["content-range"] == "bytes 2-4/10" and f["content-length"] == "3", f)
        status, f = fields("-r", "10-")
        check(status == "416" and f["content-range"] == "bytes */10", f)
        check(curl(url, "-r", "0-1,4-5") == "0123456789", "several parts: the whole")
        half = write("half", "01234")
        curl(url, "-C", "-", "-o", half)
        check(open(half).read() == "0123456789", "a download that goes on")

        etag = fields("-I")[1]["etag"]
        for condition, want in (("If-None-Match: " + etag, "304"), ('If-None-Match: "x"', "200"), ("If-Match: " + etag, "200"),
                                ('If-Match: "x"', "412"), ("If-Unmodified-Since: Sat, 05 Nov 1994 08:49:37 GMT", "412")):
            check(curl(url, "-H", condition, *code) == want, condition)
        check(curl(url, "-z", ten, *code) == "304", "curl -z: not newer")
        check(curl(url, "-z", "5 Nov 1994", *code) == "200", "curl -z: newer")
        check(curl(url, "-r", "0-1", "-H", "If-Range: " + etag) == "01", "If-Range")
        check(curl(url, "-r", "0-1", "-H", 'If-Range: "x"') == "0123456789", "If-Range of another version")
        check("content-encoding" not in fields("--compressed")[1], "it compresses nothing")
        check(curl(url, "-X", "OPTIONS", *code) == "204" and curl(url, "-X", "DELETE", *code) == "405" and
              curl(url, "-X", "BREW", *code) == "501" and curl(url, "-0", *code) == "200", "methods, HTTP/1.0")


@test
def echo_is_byte_exact():
    need("socat")
    with Running() as rpc:
        check(shell("printf 'hello\\n' | nc -N -w 3 %s 7" % BOX) == "hello\n", "a line")
        for host in (BOX, SECOND, BOX6):
            echoed(host, 1 << 20)
        check(service(rpc, "echo")["bytes_in"] == service(rpc, "echo")["bytes_out"] == (3 << 20) + 6, service(rpc, "echo"))


@test
def chargen_and_discard():
    need("socat")
    printable = "".join(map(chr, range(32, 127)))
    with Running() as rpc:
        lines = shell("nc -w 5 %s 19 </dev/null | head -c %d" % (BOX, 74 * 200)).split("\n")
        for i, line in enumerate(lines[:-1]):
            check(line.rstrip("\r") == "".join(printable[(i + k) % 95] for k in range(72)), "line %d: %r" % (i, line))
        shell("socat -u OPEN:%s TCP:%s:9" % (random_file(32 << 20), BOX))
        until(lambda: service(rpc, "discard")["bytes_in"] == 32 << 20, 5, "discard counts 32 MiB")
        until(lambda: not rpc.call("tcp.list")["connections"], 10, "all connections are gone")


@test
def load_by_ab_and_wrk():
    need("ab", "wrk")
    with Running() as rpc:
        for flag in ([], ["-k"]):
            out = ok("ab", "-q", "-n", "3000", "-c", "50", *flag, "http://%s/" % BOX, timeout=60)
            check(re.search(r"Complete requests:\s+3000\b", out) and re.search(r"Failed requests:\s+0\b", out), out)
        out = ok("wrk", "-t", "1", "-c", "100", "-d", "2s", "http://%s/" % BOX)
        check("Socket errors" not in out and "Non-2xx" not in out, out)
        check(service(rpc, "web")["responses"]["2xx"] >= 6000, service(rpc, "web"))


# ---- the control side


class Held(object):
    """A connection to a service that stays open for the length of a with block: python in the client's namespace."""
    CODE = ("import socket, sys\ns = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)\n"
            "print(s.getsockname()[1], flush=True)\n"
            "for line in sys.stdin:\n s.sendall(line.encode())\n print(s.recv(1000).decode().strip() or 'eof', flush=True)\n")

    def __init__(self, port):
        self.p = subprocess.Popen(lab.argv("client", "python3", "-c", self.CODE, BOX, str(port)), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = int(self.p.stdout.readline())

    def ask(self, word):
        try:
            self.p.stdin.write(word + "\n")
            self.p.stdin.flush()
        except BrokenPipeError:
            return ""
        return self.p.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.kill()
        self.p.wait()


@test
def services_change_live_and_leave_their_neighbours_alone():
    text = open(CONFIG).read()
    with Running() as rpc, Held(7) as echo:
        check(echo.ask("before") == "before", "echo")
        changed = text.replace("hello from sluice", "good evening")
        changed = re.sub(r"  - \{name: chargen.*\n", "  - {name: spare, echo: {udp: yes}, port: 4007}\n", changed)
        r = rpc.call("config.apply", text=changed)
        check("services" in r["summary"], r)
        until(lambda: curl("http://%s/" % BOX) == "good evening\n", 5, "the new body")
        check(echo.ask("during") == "during", "the echo connection fell to a change of others")
        check(shell("printf 'new\\n' | nc -N -w 3 %s 4007" % BOX) == "new\n", "the new service")
        check(shell("printf 'new\\n' | nc -u -w 1 %s 4007" % BOX) == "new\n", "the new service over UDP")
        check(client("nc", "-z", "-w", "2", BOX, "19").returncode != 0, "chargen still listens")
        names = [s["name"] for s in rpc.call("services") if not s["draining"]]
        check(names == ["echo", "discard", "spare", "web"], names)

        before = rpc.call("services")
        for bad in (changed.replace("port: 4007", "port: 7"), changed.replace("echo: yes", "ehco: yes"),
                    changed + "  - {name: www, port: 81, http: {files: /nonexistent}}\n"):
            e = rpc.error("config.apply", text=bad)
            check(e["code"] == -32000 and e["data"]["errors"][0]["message"], e)
        e = rpc.error("config.apply", text=changed.replace("half-open: 4096", "half-open: 8192"))
        check("tcp.limits.half-open" in json.dumps(e) and "restart" in json.dumps(e), e)
        keys = ("name", "kind", "listen", "draining")
        check([[s[k] for k in keys] for s in before] == [[s[k] for k in keys] for s in rpc.call("services")], "a failed change changed")
        check(echo.ask("after") == "after", "the echo connection fell to a failed change")
        rpc.call("config.apply", text=text)
        until(lambda: curl("http://%s/" % BOX) == "hello from sluice\n", 5, "the old body")


@test
def sluicectl_shows_and_ends_connections():
    with Running() as rpc, Held(7) as one, Held(7) as two, Held(9):
        check(one.ask("x") == "x" and two.ask("x") == "x", "echo")
        remote = "198.18.1.10:%d" % one.port
        out = lab.ctl("tcp").stdout
        check(remote in out and "ESTABLISHED" in out and "echo" in out and "discard" in out, out)
        check(max(len(line) for line in out.splitlines()) <= 80, "wider than 80 columns:\n" + out)
        rows = lambda *words: json.loads(lab.ctl("--json", "tcp", "list", *words).stdout)["connections"]  # noqa: E731
        check(len(rows()) == 3 and len(rows("--service", "echo")) == 2 and len(rows("--port", str(one.port))) == 1, rows())
        check(len(rows("--state", "established")) == 3 and not rows("--state", "time-wait"), "by state")
        check(not rows("--remote", "192.0.2.0/24") and len(rows("--remote", "198.18.1.0/24")) == 3, "by remote address")
        first = json.loads(lab.ctl("--json", "tcp", "--limit", "2").stdout)
        rest = rpc.call("tcp.list", cursor=first["cursor"])
        check({c["id"] for c in first["connections"] + rest["connections"]} == {c["id"] for c in rows()}, "the cursor skips")
        full = rpc.call("tcp.show", remote=remote)
        check(full["state"] == "ESTABLISHED" and full["options"]["sack"] and full["rtt"]["srtt_ms"] > 0 and
              full["congestion"]["control"] == "cubic" and full["receive"]["rcv_wnd"] > 0, full)
        text = lab.ctl("tcp", "show", full["id"]).stdout
        check("cwnd" in text and remote in text, text)
        check(lab.ctl("tcp", "abort", remote).returncode == 0, "abort")
        check(one.ask("x") in ("", "eof"), "the aborted connection answers")
        until(lambda: service(rpc, "echo")["connections"] == 1, 5, "the service knows of it")
        check(two.ask("y") == "y", "abort took another one")
        r = lab.ctl("tcp", "show", full["id"])
        check(r.returncode == 1 and "gone" in r.stderr, r.stderr)
        check("passive_opens" in lab.ctl("tcp", "counters", "--nonzero").stdout, "counters")
        for words in (("tcp", "--state", "open"), ("tcp", "show", "x"), ("tcp", "show"), ("tcp", "--service", "nope"), ("tcp", "lsit")):
            r = lab.ctl(*words)
            check(r.returncode in (1, 2) and r.stderr, "%s: %d" % (words, r.returncode))


# ---- a bad network, and bad company


@test
def bulk_through_loss_and_reordering_is_byte_exact():
    need("socat")
    with Running(sets=ON_LAN + ["ports.net.fault={loss: 2%, reorder: 2%, seed: 7}"]) as rpc:
        echoed(BOX, BULK, 60 + (BULK >> 20) * 2)
        c = counters(rpc)
        check(c["retransmitted_segments"] > 100 and c["out_of_order"] > 100, c)


@test
def a_syn_flood_costs_no_client_its_page():
    need("hping3")
    with Running(sets=ON_LAN + ["tcp.syn-ack-retries=1"]) as rpc:
        flood = lab.spawn("client", "hping3", "-q", "--flood", "--rand-source", "-S", "-p", "80", BOX)
        try:
            until(lambda: counters(rpc)["cookies_sent"] > 1000, 20, "cookies are sent")
            for i in range(50):
                check(curl("http://%s/" % BOX) == "hello from sluice\n", "request %d" % i)
        finally:
            flood.send_signal(signal.SIGINT)
            flood.wait()
        c = counters(rpc)
        check(c["cookies_received"] > 0 and c["connections_full"] == 0, c)
        # They stop with a SYN that finds the half-open table half empty.
        until(lambda: curl("http://%s/" % BOX) and not any(s["cookies"] for s in rpc.call("tcp.list")["stacks"]), 60, "cookies stop")


@test
def scans_leave_it_standing():
    need("nmap")
    with Running() as rpc, Held(7) as echo:
        for scan in ("-sS", "-sA", "-sN", "-sF", "-sX"):
            out = ok("nmap", "-n", "-Pn", "-T5", "--max-retries", "1", "-p", "1-1024", scan, BOX, timeout=120)
            if scan == "-sS":
                check(re.findall(r"^(\d+)/tcp +open", out, re.M) == ["7", "9", "19", "80"], out)
        client("nmap", "-n", "-Pn", "-T5", "-O", "-p", "7,80,81", BOX, timeout=120)
        check(echo.ask("still there") == "still there", "a connection fell to a scan")
        check(curl("http://%s/" % BOX) == "hello from sluice\n", "http after the scans")
        check(counters(rpc)["in_segments"] > 1000, "nothing was scanned")


@test
def many_connections_at_a_time():
    """Each with a line through it."""
    code = ("import socket, resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (11000, 11000))\nall = []\n"
            "for i in range(10000):\n s = socket.create_connection(('%s', 7), 10)\n s.sendall(b'%%d' %% i)\n all.append(s)\n"
            "for i, s in enumerate(all): assert s.recv(100) == b'%%d' %% i\nprint('all')" % BOX)
    with Running() as rpc:
        p = subprocess.Popen(lab.argv("client", "python3", "-c", code), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        until(lambda: service(rpc, "echo")["connections"] >= 10000 or p.poll() is not None, 60, "10000 connections")
        check(p.communicate(timeout=30)[0].strip() == "all", "a connection failed")
        until(lambda: service(rpc, "echo")["connections"] == 0, 30, "they end")


if __name__ == "__main__":
    main(lab.set_up)
