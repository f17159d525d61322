"""What many WebSockets cost: python3 tests/bench/websockets.py URL PID [COUNT [STREAMING]]
Opens COUNT (1000) connections to /v1/responses of the server with process id PID and prints the growth of its resident
memory and the processor time it used while they were idle. Then STREAMING (0) of them ask for a response each, again and
again for ten seconds, and the processor time and what is received are printed. From tests/net/fake_server --stamps, whose
words are the times when they were made, also how long they took to arrive here."""
import base64
import json
import os
import pathlib
import re
import selectors
import socket
import sys
import time
from urllib.parse import urlparse

SECONDS = 10
REQUEST = {"type": "response.create", "input": "Count.", "max_output_tokens": 100, "ignore_eos": True}
DELTA, ENDS = b'"response.output_text.delta"', (b'"response.completed"', b'"response.incomplete"')


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


def ask(s):
    body = json.dumps(REQUEST).encode()
    assert len(body) < 126  # one byte holds the length
    s.sendall(bytes([0x81, 0x80 | len(body)]) + bytes(4) + body)


def stream(sockets):
    """(deltas received, seconds that each took to arrive, if they say when they were made)"""
    selector = selectors.DefaultSelector()
    for s in sockets:
        selector.register(s, selectors.EVENT_READ)
        ask(s)
    deltas, latencies, end = 0, [], time.monotonic() + SECONDS
    while time.monotonic() < end:
        for key, _ in selector.select(0.1):
            data = key.fileobj.recv(65536)
            now = time.monotonic_ns()
            deltas += data.count(DELTA)
            for text in re.findall(rb'"delta":"([\d ]+)"', data):  # of several words, if they had to wait
                latencies += [(now - int(stamp)) / 1e9 for stamp in text.split() if len(stamp) >= 12]
            if any(kind in data for kind in ENDS):
                ask(key.fileobj)
    return deltas, sorted(latencies)


def main():
    url, pid = urlparse(sys.argv[1]), int(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    streaming = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    before = resident_kb(pid)
    start = time.perf_counter()
    sockets = [connect((url.hostname, url.port)) for _ in range(count)]
    opened = time.perf_counter() - start
    time.sleep(2)
    memory, cpu = resident_kb(pid) - before, cpu_seconds(pid)
    time.sleep(SECONDS)
    print(f"{count} idle WebSockets: opened in {opened:.2f} s, {memory / count:.1f} KB each, "
          f"{100 * (cpu_seconds(pid) - cpu) / SECONDS:.2f} % of one core")
    if streaming:
        cpu = cpu_seconds(pid)
        deltas, latencies = stream(sockets[:streaming])
        print(f"{streaming} of them streaming: {deltas / SECONDS:.0f} deltas/s, "
              f"{100 * (cpu_seconds(pid) - cpu) / SECONDS:.1f} % of one core, "
              f"{(resident_kb(pid) - before) / count:.1f} KB for each open connection")
        if latencies:
            at = [1000 * latencies[int(len(latencies) * p)] for p in (0.5, 0.99, 0.999)]
            print("delta latency: p50 {:.2f} ms, p99 {:.2f} ms, p99.9 {:.2f} ms".format(*at))
    for s in sockets:
        s.close()


main()
