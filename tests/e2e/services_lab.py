"""What tests of TCP services share: a lab, a box in it for a while, and clients of other makes."""
import hashlib
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from box import ROOT, Lab, Skip, check  # noqa: E402

BUILD = os.environ.get("SLUICE_BUILD", os.path.join(ROOT, "build"))
CONFIG = os.path.join(ROOT, "conf/tcp-services.yaml")
BOX, SECOND, BOX6 = "198.18.1.1", "198.18.1.3", "2001:db8:1::1"
# conf/tcp-services.yaml on the lab's leg to the client, as a user would put it on a port of his own.
ON_LAN = ["ports.net.device=lan0", 'ports.net.addresses=[%s/24, %s/24, "%s/64"]' % (BOX, SECOND, BOX6),
          "routes=[{to: default4, via: 198.18.1.10}]"]
lab = Lab(BUILD)


def need(*tools):
    missing = [t for t in tools if not shutil.which(t)]
    if missing:
        raise Skip("not installed: " + ", ".join(missing))


class Running(object):
    """A sluiced for the length of a with block; at its end the audit is closed and it leaves without complaint."""

    def __init__(self, config=CONFIG, sets=ON_LAN):
        self.config, self.sets = config, sets

    def __enter__(self):
        lab.start(self.config, *[w for s in self.sets for w in ("--set", s)])
        return lab.rpc()

    def __exit__(self, kind, *_):
        try:
            a = lab.rpc().call("audit")
        except (OSError, EOFError):
            a = dict(closed=False, verdict="sluiced is gone:\n" + lab.log_text())
        rc = lab.stop() if lab.daemon.poll() is None else lab.daemon.returncode
        if kind:
            return
        check(a["closed"], a["verdict"])
        check(rc == 0 and "audit closed" in lab.log_text(), "status %d: %s" % (rc, lab.log_text()))


def client(*words, **kw):
    return lab.run("client", *words, **kw)


def ok(*words, **kw):
    r = client(*words, **kw)
    check(r.returncode == 0, "%s: status %d: %s" % (" ".join(words), r.returncode, r.stdout[-500:]))
    return r.stdout


def curl(url, *more):
    return ok("curl", "-sS", "-g", "--max-time", "5", url, *more)


def shell(command, **kw):
    return ok("sh", "-c", command, **kw)


def random_file(size):
    name = os.path.join(lab.tmp, "random-%d" % size)
    if not os.path.exists(name):
        with open(name, "wb") as f:
            for _ in range(size >> 20):
                f.write(os.urandom(1 << 20))
    return name


def echoed(host, size, seconds=60):
    """Sends a file to the echo service and holds against it what comes back."""
    name = random_file(size)
    target = "TCP6:[%s]:7" % host if ":" in host else "TCP:%s:7" % host
    out = shell("socat -t30 - %s <%s | sha256sum" % (target, name), timeout=seconds)
    want = hashlib.sha256(open(name, "rb").read()).hexdigest()
    check(out.split()[0] == want, "%d MiB came back changed from %s" % (size >> 20, host))


def counters(rpc):
    return {c["name"]: c["value"] for c in rpc.call("tcp.counters")}


def service(rpc, name):
    return [s for s in rpc.call("services") if s["name"] == name and not s["draining"]][0]


def write(name, text):
    path = os.path.join(lab.tmp, name)
    with open(path, "w") as f:
        f.write(text)
    return path


TWO_PORTS = """version: 1
ports:
  lan: {device: lan0, addresses: [198.18.1.1/24, "2001:db8:1::1/64"]}
  wan: {device: wan0, addresses: [198.18.2.1/24, "2001:db8:2::1/64"]}
services:
"""
