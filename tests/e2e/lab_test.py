#!/usr/bin/env python3
"""The appliance on the embedded lab, as a user sees it: traffic, control socket, live changes, crashes."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from box import ROOT, Lab, Rpc, check, main, test, until  # noqa: E402

BUILD = os.environ.get("SLUICE_BUILD", os.path.join(ROOT, "build"))
CONFIG = os.path.join(ROOT, "conf/lab.yaml")
lab = Lab(BUILD)


def setup():
    lab.set_up()
    www = os.path.join(lab.tmp, "www")
    os.mkdir(www)
    with open(os.path.join(www, "index.html"), "w") as f:
        f.write("hello through sluice\n")
    with open(os.path.join(www, "big"), "wb") as f:
        f.write(os.urandom(8 << 20))
    lab.spawn("server", "python3", os.path.join(ROOT, "scripts/lab-server.py"), www)
    lab.spawn("server", "iperf3", "-s")
    until(lambda: lab.run("server", "ss", "-Hltn").stdout.count("LISTEN") >= 3, 10, "the servers listen")
    lab.start(CONFIG)


def client(*words, **kw):
    return lab.run("client", *words, **kw)


def ok(*words, **kw):
    r = client(*words, **kw)
    check(r.returncode == 0, "%s: status %d: %s" % (" ".join(words), r.returncode, r.stdout[-500:]))
    return r.stdout


def audit_closed():
    r = lab.ctl("audit")
    check(r.returncode == 0, r.stdout + r.stderr)


@test
def ping_both_families():
    ok("ping", "-n", "-q", "-c", "5", "-i", "0.05", "-W", "1", "198.18.2.10")
    ok("ping", "-6", "-n", "-q", "-c", "5", "-i", "0.05", "-W", "1", "2001:db8:2::10")


@test
def ping_the_box():
    for a in ("198.18.1.1", "198.18.2.1"):
        ok("ping", "-n", "-q", "-c", "3", "-i", "0.05", "-W", "1", a)
    for a in ("2001:db8:1::1", "2001:db8:2::1"):
        ok("ping", "-6", "-n", "-q", "-c", "3", "-i", "0.05", "-W", "1", a)


@test
def curl_both_families():
    for url in ("http://198.18.2.10/", "http://[2001:db8:2::10]/"):
        check(ok("curl", "-sS", "--max-time", "5", url) == "hello through sluice\n", "wrong body from " + url)


@test
def the_box_has_a_page_and_a_proxy():
    for host in ("198.18.1.1", "198.18.2.1", "[2001:db8:1::1]"):
        check(ok("curl", "-sS", "-g", "--max-time", "5", "http://%s/" % host) == "hello from the box\n", "wrong page from " + host)
        check(ok("curl", "-sS", "-g", "--max-time", "5", "http://%s:8080/" % host) == "hello through sluice\n", "wrong proxy on " + host)
    audit_closed()


@test
def bulk_is_byte_exact():
    want = subprocess.check_output(["sha256sum", os.path.join(lab.tmp, "www/big")], text=True).split()[0]
    got = ok("sh", "-c", "curl -sS --max-time 20 http://198.18.2.10/big | sha256sum").split()[0]
    check(got == want, "8 MiB arrived changed")


@test
def iperf3_runs():
    for extra in ((), ("-R",), ("-6",)):
        host = "2001:db8:2::10" if "-6" in extra else "198.18.2.10"
        out = json.loads(ok("iperf3", "-J", "-t", "1", "-c", host, *extra))
        check(out["end"]["sum_received"]["bytes"] > 1 << 20, "iperf3 %s moved %d bytes" % (extra, out["end"]["sum_received"]["bytes"]))


@test
def denied_port_is_silent_and_counted():
    before = {d["reason"]: d["packets"] for d in lab.rpc().call("drops")}
    r = client("curl", "-sS", "--max-time", "1", "telnet://198.18.2.10:22")
    check(r.returncode == 28, "port 22: curl status %d: %s" % (r.returncode, r.stdout))
    after = {d["reason"]: d["packets"] for d in lab.rpc().call("drops")}
    denied = sum(after.get(k, 0) - before.get(k, 0) for k in ("rule_deny", "default_deny"))
    check(denied >= 1, "no denied packet was counted: %s" % after)


@test
def server_cannot_open_to_client():
    with subprocess.Popen(lab.argv("client", "python3", "-m", "http.server", "8080"), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as p:
        try:
            until(lambda: ":8080" in client("ss", "-Hltn").stdout, 10, "the client's server listens")
            r = lab.run("server", "curl", "-sS", "--max-time", "1", "http://198.18.1.10:8080/")
            check(r.returncode != 0, "the server reached the client")
        finally:
            p.kill()


@test
def traceroute_shows_the_box():
    out = ok("traceroute", "-n", "-q", "1", "-w", "1", "-m", "3", "198.18.2.10")
    check("198.18.1.1" in out and re.search(r"2\s+198\.18\.2\.10", out), out)
    out = ok("traceroute", "-6", "-n", "-q", "1", "-w", "1", "-m", "3", "2001:db8:2::10")
    check("2001:db8:1::1" in out and re.search(r"2\s+2001:db8:2::10", out), out)


@test
def every_view_of_sluicectl_works():
    for verb in ("version", "methods", "status", "ports", "lcores", "routes", "neighbors", "rules", "flows", "drops", "events",
                 "services", "tcp",
                 "audit"):
        r = lab.ctl(verb)
        check(r.returncode == 0 and r.stdout, "%s: status %d: %s" % (verb, r.returncode, r.stderr))
        r = lab.ctl("--json", verb)
        check(r.returncode == 0, r.stderr)
        json.loads(r.stdout)
    check("198.18.2.0/24" in lab.ctl("routes", "198.18.2.77").stdout, "routes TO")
    check(lab.ctl("config", "get").stdout == open(CONFIG).read(), "config get is not the file")


@test
def sluicectl_exit_statuses():
    check(lab.ctl("nonsense").returncode == 2, "an unknown verb")
    check(lab.ctl("ports", "--port", "nowhere").returncode in (1, 2), "an unknown port")
    r = subprocess.run([os.path.join(BUILD, "src/ctl/sluicectl"), "-s", "/nonexistent", "status"], stderr=subprocess.PIPE, text=True)
    check(r.returncode == 3 and "is it running" in r.stderr, "no socket: %d %s" % (r.returncode, r.stderr))


@test
def bad_requests_name_method_and_field():
    r = lab.rpc()
    e = r.error("flows", limit="many")
    check(e["code"] == -32602 and "flows" in e["message"] and "limit" in e["message"], e)
    e = r.error("flows", limitt=3)
    check("limitt" in e["message"], e)
    e = r.error("statsu")
    check(e["code"] == -32601 and "status" in e["message"], e)
    for junk in (b"\n{}\n", b"[]\n", b"nonsense\n", b"\xff\xfe\n", b'{"jsonrpc":"2.0","id":{},"method":"version"}\n',
                 b"[" * 5000 + b"\n"):
        check("error" in r.raw(junk), junk[:40])
    check(r.call("version")["protocol"] == 1, "the socket is alive after junk")


@test
def a_slow_client_harms_nobody():
    slow = [Rpc(lab.socket) for _ in range(8)]
    for c in slow:  # they ask, and never read
        c.s.settimeout(0.2)
        try:
            for _ in range(200):
                c.s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"drops","params":{"all":true}}\n')
        except socket.timeout:
            pass
    t0 = time.monotonic()
    lab.rpc().call("version")
    check(time.monotonic() - t0 < 5, "others wait")
    for c in slow:
        c.close()


@test
def a_second_lab_of_the_name_is_refused():
    r = subprocess.run([os.path.join(ROOT, "scripts/lab"), "up"], env=lab.env, stderr=subprocess.PIPE, text=True)
    check(r.returncode == 1 and "owner PID %d" % os.getpid() in r.stderr, r.stderr)
    check(lab.daemon.poll() is None and lab.up(), "it ended what was there")


@test
def too_long_a_request_is_refused():
    r = lab.rpc()
    try:
        e = r.raw(b'{"jsonrpc":"2.0","id":1,"method":"' + b"a" * (9 << 20) + b'"}\n')
        check(e["error"]["code"] == -32600, e)
    except (BrokenPipeError, ConnectionResetError):
        pass
    check(lab.up(), "the socket is gone")


def edited(old, new):
    text = open(CONFIG).read()
    check(old in text, "conf/lab.yaml has no '%s'" % old)
    return text.replace(old, new)


@test
def a_failed_apply_changes_nothing():
    before = lab.rpc().call("config.get")
    e = lab.rpc().error("config.apply", text=edited("filter:", "filtre:"), name="typo.yaml")
    check(e["code"] == -32000, e)
    first = e["data"]["errors"][0]
    check(first["line"] > 0 and "filter" in first["message"], first)
    check(lab.rpc().call("config.get") == before, "the running configuration changed")
    e = lab.rpc().error("config.apply", text=edited("lan0", "lan9"), name="restart.yaml")
    check("restart" in json.dumps(e), e)
    ok("ping", "-n", "-q", "-c", "2", "-i", "0.05", "-W", "1", "198.18.2.10")


@test
def names_in_a_file_count_from_its_own_folder():
    text = edited("services:\n", "services:\n  - {name: extra, port: 8099, http: {files: pages}}\n")
    with tempfile.TemporaryDirectory() as there:
        os.mkdir(os.path.join(there, "pages"))
        name = os.path.join(there, "x.yaml")
        with open(name, "w") as f:
            f.write(text)
        for argv in (["check", name], ["check", os.path.relpath(name)], ["apply", name]):
            r = lab.ctl("config", *argv)
            check(r.returncode == 0, r.stderr)
        r = lab.ctl("config", "check", "-", input=text)
        check(r.returncode == 1 and os.path.join(os.getcwd(), "pages") in r.stderr, r.stderr)
        lab.rpc().call("config.apply", text=text, folder=there)
        e = lab.rpc().error("config.check", text=text)
        check(os.path.join(os.path.dirname(CONFIG), "pages") in json.dumps(e), e)
        e = lab.rpc().error("config.check", text=text, folder="here")
        check("absolute" in json.dumps(e), e)
    lab.rpc().call("config.apply", text=open(CONFIG).read(), name="lab.yaml")


@test
def apply_loses_no_packet():
    """A flood ping runs while the configuration is replaced again and again."""
    text = open(CONFIG).read()
    stop = threading.Event()
    applied = []

    def replace():
        r = lab.rpc()
        while not stop.is_set():
            applied.append(r.call("config.apply", text=text + "\n# change %d\n" % len(applied), name="same.yaml"))
    t = threading.Thread(target=replace)
    t.start()
    try:
        out = ok("ping", "-n", "-q", "-c", "500", "-i", "0.004", "-W", "1", "198.18.2.10")
    finally:
        stop.set()
        t.join()
    check("500 received" in out, out)
    check(len(applied) >= 3, "%d changes" % len(applied))
    audit_closed()


@test
def apply_changes_what_flows_may():
    """A new rule holds for flows that exist already, and the old file brings them back."""
    ok("curl", "-sS", "--max-time", "5", "http://198.18.2.10/")
    text = open(CONFIG).read()
    lab.rpc().call("config.apply", text=re.sub(r"action: permit", "action: deny", text), name="closed.yaml")
    r = client("curl", "-sS", "--max-time", "1", "http://198.18.2.10/")
    check(r.returncode == 28, "curl got through a closed filter: %d" % r.returncode)
    lab.rpc().call("config.apply", text=text, name="lab.yaml")
    ok("curl", "-sS", "--max-time", "5", "http://198.18.2.10/")


@test
def sighup_reads_the_file_again():
    n = lab.rpc().call("status")["snapshot"]
    lab.daemon.send_signal(signal.SIGHUP)
    until(lambda: lab.rpc().call("status")["snapshot"] > n, 5, "a new snapshot after SIGHUP")


@test
def a_second_sluiced_is_refused():
    r = lab.run("box", lab.sluiced(), "run", "-c", CONFIG, "--set", "control.socket=" + lab.socket)
    check(r.returncode == 1 and "another sluiced" in r.stdout, "%d %s" % (r.returncode, r.stdout))
    ok("ping", "-n", "-q", "-c", "2", "-i", "0.05", "-W", "1", "198.18.2.10")


def cpu_seconds(pid):
    f = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")


@test
def a_port_that_vanishes_is_picked_up_again():
    box, host = lab.name + "-box", lab.name + "-server"
    subprocess.run(["ip", "-n", box, "link", "del", "wan0"], check=True)
    until(lambda: any("wan" in e["text"] for e in lab.rpc().call("events")), 10, "an event about wan")
    ok("ping", "-n", "-q", "-c", "2", "-i", "0.05", "-W", "1", "198.18.1.1")
    client("ping", "-n", "-q", "-c", "1", "-W", "1", "198.18.2.10")
    for cmd in ("-n %s link add eth0 type veth peer name wan0 netns %s" % (host, box),
                "-n %s addr add 198.18.2.10/24 dev eth0" % host, "-n %s addr add 2001:db8:2::10/64 dev eth0 nodad" % host,
                "-n %s link set eth0 up" % host, "-n %s link set wan0 up" % box,
                "-n %s route add default via 198.18.2.1" % host, "-n %s -6 route add default via 2001:db8:2::1" % host):
        subprocess.run(["ip"] + cmd.split(), check=True)
    until(lambda: client("ping", "-n", "-q", "-c", "1", "-W", "1", "198.18.2.10").returncode == 0, 20, "wan is back")
    audit_closed()


@test
def kill_9_leaves_no_program_and_a_restart_works():
    pid = lab.daemon.pid
    lab.stop(signal.SIGKILL)
    check(not os.path.exists("/proc/%d" % pid), "still there")
    for port in ("lan0", "wan0"):
        out = lab.run("box", "ip", "-d", "link", "show", port).stdout
        check("xdp" not in out, "an XDP program is left on %s: %s" % (port, out))
    check(os.path.exists(lab.socket), "the stale socket is what the next start has to cope with")
    lab.start(CONFIG)
    ok("ping", "-n", "-q", "-c", "3", "-i", "0.05", "-W", "1", "198.18.2.10")


@test
def sigterm_drains_and_leaves_the_machine_clean():
    rc = lab.stop()
    check(rc == 0, "status %d: %s" % (rc, lab.log_text()))
    check("audit closed" in lab.log_text(), lab.log_text())
    check(not os.path.exists(lab.socket), "the socket is left")
    for port in ("lan0", "wan0"):
        check("xdp" not in lab.run("box", "ip", "-d", "link", "show", port).stdout, "XDP is left on " + port)
    lab.start(CONFIG)


@test
def stop_by_the_control_socket():
    r = lab.ctl("stop")
    check(r.returncode == 0, r.stderr)
    check(lab.daemon.wait(10) == 0, "status")
    lab.daemon = None


if __name__ == "__main__":
    main(setup)
