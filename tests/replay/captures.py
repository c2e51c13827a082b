#!/usr/bin/env python3
"""Every capture of a folder through the dataplane, as lan's and as wan's input, with a stateful filter: nothing may
   crash, and the audit must close. The folder: $SLUICE_PCAPS, or ../shared/pcaps beside the checkout.
   captures.py SLUICED"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CONFIG = """version: 1
ports:
  lan: {device: lan, addresses: [198.18.1.1/24, "2001:db8:1::1/64"]}
  wan: {device: wan, addresses: [198.18.2.1/24, "2001:db8:2::1/64"]}
neighbors:
  static: [{port: wan, address: 198.18.2.10, mac: "02:00:00:00:bb:01"}, {port: wan, address: "2001:db8:2::10", mac: "02:00:00:00:bb:01"}]
routes: [{to: 0.0.0.0/0, via: 198.18.2.10}, {to: "::/0", via: "2001:db8:2::10"}]
filter:
  rules:
    - {name: out, action: permit, in: lan}
    - {name: web, action: permit, in: wan, protocol: tcp, to-port: 80}
"""


def main():
    folder = os.environ.get("SLUICE_PCAPS") or os.path.join(os.path.dirname(ROOT), "shared", "pcaps")
    files = sorted(os.path.join(d, f) for d, _, fs in os.walk(folder) for f in fs if f.endswith((".pcap", ".pcapng", ".trace")))
    if not files:
        print("1..1\nok 1 captures # SKIP no captures: set SLUICE_PCAPS to a folder of them")
        return 0
    print("1..%d" % len(files))
    failed = 0
    with tempfile.TemporaryDirectory(prefix="sluice-captures.") as tmp:
        config = os.path.join(tmp, "config.yaml")
        with open(config, "w") as f:
            f.write(CONFIG)
        for i, name in enumerate(files, 1):
            r = subprocess.run([sys.argv[1], "replay", "-c", config, "--in", "lan=" + name, "--in", "wan=" + name, "--out-dir", tmp,
                                "--verdicts", os.path.join(tmp, "v")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors="replace", timeout=300)
            ok = r.returncode == 0 and "audit closed" in r.stdout
            print("%s %d %s" % ("ok" if ok else "not ok", i, os.path.relpath(name, folder)), flush=True)
            if not ok:
                failed += 1
                for line in r.stdout.splitlines()[-30:]:
                    print("# " + line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
