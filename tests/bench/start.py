#!/usr/bin/env python3
"""How long `troupe serve` takes until it is ready, and what it then holds in memory.

    python3 tests/bench/start.py [flags of troupe serve]
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TROUPE = os.environ.get("TROUPE_BIN", str(ROOT / "build/release/troupe"))

started = time.monotonic()
server = subprocess.Popen([TROUPE, "serve", "--port", "0", *sys.argv[1:]], stderr=subprocess.PIPE, text=True)
for line in server.stderr:
    if "ready after" in line:
        break
else:
    sys.exit(f"the server ended with {server.wait()}")
seconds = time.monotonic() - started
status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
mib = {key: int(re.search(rf"{key}:\s+(\d+)", status)[1]) // 1024 for key in ("VmRSS", "RssAnon", "RssFile", "VmHWM")}
print(f"ready after {seconds:.2f} s; MiB resident: {mib['VmRSS']} (own {mib['RssAnon']}, of files {mib['RssFile']}), "
      f"at the most {mib['VmHWM']}")
server.send_signal(signal.SIGTERM)
server.wait()
