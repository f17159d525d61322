"""What idle WebSocket connections cost: python3 tests/bench/idle_websockets.py URL PID [COUNT]
Opens COUNT (1000) connections to /v1/responses of the server with process id PID, waits, and prints the growth of
its resident memory and the processor time it used meanwhile."""
import base64
import os
import pathlib
import re
import socket
import sys
import time
from urllib.parse import urlparse


def resident_kb(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1))


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connect(address):
    s = socket.create_connection(address)
    key = base64.b64encode(os.urandom(16)).decode()
    s.sendall(f"GET /v1/responses HTTP/1.1\r\nHost: {address[0]}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    answer = s.recv(4096)
    if b" 101 " not in answer:
        sys.exit(f"refused: {answer!r}")
    return s


def main():
    url, pid = urlparse(sys.argv[1]), int(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    before = resident_kb(pid)
    start = time.perf_counter()
    sockets = [connect((url.hostname, url.port)) for _ in range(count)]
    opened = time.perf_counter() - start
    time.sleep(2)
    memory, cpu = resident_kb(pid) - before, cpu_seconds(pid)
    time.sleep(10)
    print(f"{count} idle WebSockets: opened in {opened:.2f} s, {memory / count:.1f} KB each, "
          f"{10 * (cpu_seconds(pid) - cpu):.2f} % of one core")
    for s in sockets:
        s.close()


main()
