#!/usr/bin/env python3
"""A login to the box through a port that forwards: `kernel: [ssh]` in the file, and an address of the kernel's."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from box import ROOT, Lab, check, main, test, until  # noqa: E402

BUILD = os.environ.get("SLUICE_BUILD", os.path.join(ROOT, "build"))
KERNEL4, KERNEL6 = "198.18.1.5", "2001:db8:1::5"
GREETER = """
import socket, sys
l = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
l.bind((sys.argv[1], int(sys.argv[2])))
l.listen(8)
while True:
    c, _ = l.accept()
    try:
        c.sendall(b"login: " * 20000)
    except OSError:
        pass  # the lab's health check, which wants HTTP
    c.close()
"""
READER = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
n = 0
while True:
    d = s.recv(65536)
    if not d:
        break
    n += len(d)
print(n)
"""
lab = Lab(BUILD)


def setup():
    lab.set_up()
    config = os.path.join(lab.tmp, "kernel.yaml")
    with open(os.path.join(ROOT, "conf/lab.yaml")) as f:
        text = f.read()
    mark = "    device: lan0\n"
    check(mark in text, "conf/lab.yaml has no port on lan0")
    with open(config, "w") as f:
        f.write(text.replace(mark, mark + "    kernel: [ssh]\n"))
    for words in (["sysctl", "-qw", "net.ipv6.conf.lan0.disable_ipv6=0"], ["ip", "link", "set", "lan0", "up"],
                  ["ip", "addr", "add", KERNEL4 + "/24", "dev", "lan0"],
                  ["ip", "-6", "addr", "add", KERNEL6 + "/64", "dev", "lan0", "nodad"]):
        r = lab.run("box", *words)
        check(r.returncode == 0, r.stdout)
    for address in (KERNEL4, KERNEL6):
        for port in ("22", "2222"):
            lab.spawn("box", "python3", "-c", GREETER, address, port)
    lab.spawn("server", "python3", "-c", GREETER, "198.18.2.10", "80")
    until(lambda: lab.run("box", "ss", "-Hltn").stdout.count("LISTEN") == 4, 10, "the box's servers listen")
    until(lambda: "LISTEN" in lab.run("server", "ss", "-Hltn").stdout, 10, "the server listens")
    lab.start(config)


def read(address, port):
    return lab.run("client", "timeout", "10", "python3", "-c", READER, address, str(port))


def forget_neighbours():
    for who in ("client", "box"):
        lab.run(who, "ip", "neigh", "flush", "all")


@test
def login_ipv4():
    forget_neighbours()
    r = read(KERNEL4, 22)
    check(r.stdout.strip() == "140000", r.stdout)


@test
def login_ipv6():
    forget_neighbours()
    r = read(KERNEL6, 22)
    check(r.stdout.strip() == "140000", r.stdout)


@test
def forwarding_goes_on():
    forget_neighbours()
    r = read("198.18.2.10", 80)
    check(r.stdout.strip() == "140000", r.stdout)
    for a in ("198.18.2.10", "2001:db8:2::10", "198.18.1.1"):
        r = lab.run("client", "ping", "-n", "-q", "-c", "3", "-i", "0.05", "-W", "1", a)
        check(r.returncode == 0, r.stdout)


@test
def nothing_else_reaches_the_kernel():
    r = read(KERNEL4, 2222)
    check(r.returncode != 0, "port 2222 of the kernel answered: " + r.stdout)
    r = lab.run("client", "ping", "-n", "-q", "-c", "1", "-W", "1", KERNEL4)
    check(r.returncode != 0, "the kernel answered a ping: " + r.stdout)


@test
def the_audit_closes():
    r = lab.ctl("audit")
    check(r.returncode == 0, r.stdout + r.stderr)


if __name__ == "__main__":
    main(setup)
