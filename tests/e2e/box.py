"""What the end-to-end tests share: TAP output, a lab of their own, a sluiced in it, the control socket."""
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TESTS = []


class Skip(Exception):
    pass


def test(fn):
    TESTS.append(fn)
    return fn


def check(ok, what):
    if not ok:
        raise AssertionError(what)


def until(condition, seconds, what):
    """Waits for a condition, never for a time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        r = condition()
        if r:
            return r
        time.sleep(0.02)
    raise AssertionError("%s: not within %g s" % (what, seconds))


def main(setup=None):
    """Runs the tests of a file in order. Without root each is skipped, loudly."""
    only = sys.argv[1:]
    tests = [t for t in TESTS if not only or t.__name__ in only]
    print("1..%d" % len(tests), flush=True)
    failed = 0
    why = None
    if os.geteuid() != 0:
        why = "needs root (namespaces, AF_XDP): sudo scripts/test"
    elif setup:
        setup()
    for i, t in enumerate(tests, 1):
        try:
            if why:
                raise Skip(why)
            t()
            print("ok %d %s" % (i, t.__name__), flush=True)
        except Skip as e:
            print("ok %d %s # SKIP %s" % (i, t.__name__, e), flush=True)
        except Exception as e:
            failed += 1
            if not isinstance(e, AssertionError):
                import traceback
                traceback.print_exc()
            print("not ok %d %s" % (i, t.__name__), flush=True)
            for line in str(e).splitlines():
                print("# " + line, flush=True)
    sys.exit(1 if failed else 0)


class Rpc(object):
    """A raw client of the control socket."""

    def __init__(self, path, timeout=20):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(timeout)
        self.s.connect(path)
        self.buf = b""

    def line(self):
        while b"\n" not in self.buf:
            d = self.s.recv(65536)
            if not d:
                raise EOFError("the socket was closed")
            self.buf += d
        l, self.buf = self.buf.split(b"\n", 1)
        return json.loads(l)

    def raw(self, data):
        self.s.sendall(data)
        return self.line()

    def call(self, method, **params):
        r = self.raw(json.dumps(dict(jsonrpc="2.0", id=1, method=method, params=params)).encode() + b"\n")
        if "error" in r:
            raise RuntimeError("%s: %s" % (method, r["error"]))
        return r["result"]

    def error(self, method, **params):
        r = self.raw(json.dumps(dict(jsonrpc="2.0", id=1, method=method, params=params)).encode() + b"\n")
        check("error" in r, "%s %s was taken: %s" % (method, params, r))
        return r["error"]

    def close(self):
        self.s.close()


class Lab(object):
    """A lab with a name of its own, and a sluiced in its box. It is there from set_up() to the end of the process."""

    def __init__(self, build):
        self.build = build
        self.name = "sl-e2e-%d" % os.getpid()
        self.env = dict(os.environ, SLUICE_LAB=self.name)
        self.daemon = None
        self.children = []

    def set_up(self):
        self.tmp = tempfile.mkdtemp(prefix="sluice-e2e.")
        self.socket = os.path.join(self.tmp, "sock")
        self.lab("up", "--owner", str(os.getpid()))
        atexit.register(self.down)

    def lab(self, *words):
        subprocess.run([os.path.join(ROOT, "scripts/lab")] + list(words), env=self.env, check=True)

    def argv(self, who, *words):
        return ["ip", "netns", "exec", "%s-%s" % (self.name, who)] + list(words)

    def run(self, who, *words, timeout=30, **kw):
        return subprocess.run(self.argv(who, *words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=timeout, **kw)

    def spawn(self, who, *words, **kw):
        p = subprocess.Popen(self.argv(who, *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kw)
        self.children.append(p)
        return p

    def sluiced(self):
        return os.path.join(self.build, "src/daemon/sluiced")

    def ctl(self, *words, **kw):
        return subprocess.run([os.path.join(self.build, "src/ctl/sluicectl"), "-s", self.socket] + list(words),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, **kw)

    def start(self, config, *extra):
        self.log = open(os.path.join(self.tmp, "log"), "w+")
        self.daemon = subprocess.Popen(self.argv("box", self.sluiced(), "run", "-c", config, "--set",
                                                 "control.socket=" + self.socket, *extra),
                                       stdout=self.log, stderr=subprocess.STDOUT)
        try:
            until(lambda: self.daemon.poll() is not None or self.up(), 20, "sluiced starts")
            check(self.daemon.poll() is None, "sluiced ended at once")
        except AssertionError as e:
            raise AssertionError("%s\n%s" % (e, self.log_text()))

    def up(self):
        try:
            r = Rpc(self.socket, 2)
            r.call("version")
            r.close()
            return True
        except (OSError, EOFError):
            return False

    def log_text(self):
        with open(os.path.join(self.tmp, "log")) as f:
            return f.read()

    def stop(self, sig=signal.SIGTERM):
        self.daemon.send_signal(sig)
        rc = self.daemon.wait(10)
        self.daemon = None
        return rc

    def rpc(self):
        return Rpc(self.socket)

    def down(self):
        for p in self.children + ([self.daemon] if self.daemon else []):
            if p.poll() is None:
                p.kill()
                p.wait()
        self.children = []
        self.daemon = None
        self.lab("down")
        subprocess.run(["rm", "-rf", self.tmp])
