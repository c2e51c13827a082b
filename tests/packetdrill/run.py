#!/usr/bin/env python3
"""Runs packetdrill scripts against the TCP library; see README.md.

    run.py --packetdrill TOOL --shim sluice_packetdrill.so --scripts gtests/net [--why] [--ipv6] [--jobs N]
           [NAME…]

Each script runs in a network and mount namespace of its own, with the programs in bin/ in place of sysctl and its like.
Needs root. NAME: parts of paths; without one, every script that needs nothing that the library leaves out by design.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
LEFT_OUT = re.compile(r"fastopen|zerocopy|/md5/|/splice/|/sendfile/|-v6\.pkt")
DEFINES = {False: "-D CMSG_LEVEL_IP=SOL_IP -D CMSG_TYPE_RECVERR=IP_RECVERR",
           True: "-D CMSG_LEVEL_IP=SOL_IPV6 -D CMSG_TYPE_RECVERR=IPV6_RECVERR"}
USES_LEFT_OUT = re.compile(r"FASTOPEN|SO_ZEROCOPY|MSG_ZEROCOPY|sendfile\(|splice\(")


def selected(root, names):
    for path in sorted((root / "tcp").rglob("*.pkt")):
        name = str(path.relative_to(root / "tcp"))
        if names:
            if any(n in name for n in names):
                yield path, name
        elif not LEFT_OUT.search("/" + name) and not USES_LEFT_OUT.search(path.read_text()):
            yield path, name


def run(args, path):
    with tempfile.NamedTemporaryFile(prefix="drill-settings-") as settings:
        env = dict(os.environ, PATH=f"{HERE}/bin:{os.environ['PATH']}", SLUICE_DRILL_SETTINGS=settings.name)
        family = "--ip_version=ipv4"
        if args.ipv6:  # the link's MTU makes room for the larger header, so that segments are as the scripts say
            family = "--ip_version=ipv6 --mtu=1520"
            settings.write(b"ip route mtu 1520\n")
            settings.flush()
        tool = (f"LD_PRELOAD={args.shim} exec {args.packetdrill} --so_filename={args.shim} {family} "
                f"--code_command=/usr/bin/python3 {DEFINES[args.ipv6]} {' '.join(args.option)} {path.name}")
        # Scripts write to /sys/module; nothing of that is to reach the machine.
        command = f"mount -t tmpfs tmpfs /sys/module && mkdir -p /sys/module/tcp_cubic/parameters && {tool}"
        try:
            p = subprocess.run(["unshare", "--net", "--mount", "sh", "-c", command], env=env, cwd=path.parent,
                               capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired:
            return False, "still running after 60 s"
        if args.verbose:
            print(p.stdout)
        return p.returncode == 0, (p.stderr or p.stdout).strip()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--packetdrill", required=True, type=os.path.abspath)
    parser.add_argument("--shim", required=True, type=os.path.abspath)
    parser.add_argument("--scripts", required=True, type=pathlib.Path)
    parser.add_argument("--why", action="store_true", help="what failing scripts say")
    parser.add_argument("--verbose", action="store_true", help="the tool's own output")
    parser.add_argument("--ipv6", action="store_true", help="the same scripts over IPv6")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--option", action="append", default=[], help="handed to packetdrill")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    passed = count = 0
    with tempfile.TemporaryDirectory(prefix="drill-") as copy:
        # A copy: scripts look for their helpers by relative path.
        root = pathlib.Path(copy) / "net"
        for folder in ("tcp", "common"):
            shutil.copytree(args.scripts / folder, root / folder, symlinks=True)
        helper = root / "tcp" / "common" / "set_sysctls.py"
        helper.unlink(missing_ok=True)
        helper.symlink_to(HERE / "bin" / "set_sysctls.py")
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            jobs = [(name, pool.submit(run, args, path)) for path, name in selected(root, args.names)]
            for name, job in jobs:
                ok, said = job.result()
                count += 1
                passed += ok
                print("pass" if ok else "FAIL", name, flush=True)
                if args.why and not ok:
                    print("    " + said.replace(copy, "").replace("\n", "\n    "))
    print(f"{passed} of {count} pass")
    return 0


if __name__ == "__main__":
    sys.exit(main())
