"""Troupe, llama.cpp and OpenVINO side by side on one model file: alternating runs in one session, medians and ratios.

    python3 -m venv VENV && VENV/bin/pip install llama-cpp-python openvino-genai numpy
    VENV/bin/python tests/bench/compare.py --model MODEL.gguf --rounds 5 [--peers llama_cpp,openvino]

Troupe is measured through its HTTP server by `troupe bench`, the peers without HTTP (llama_cpp_peer.py,
openvino_peer.py): the difference counts against Troupe. Prefill: 512 tokens in, 1 out. Decode: 16 in, 128 out. Streams: 128 in + 64 out each,
output tokens over the whole time."""
import argparse
import json
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Troupe:
    def __init__(self, program, model, threads, log):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{s.getsockname()[1]}"
        self.program = program
        self.gap_p99_ms = []
        port = self.url.rsplit(":", 1)[1]
        self.start = time.perf_counter()
        self.process = subprocess.Popen([program, "serve", "--model", model, "--port", port, "--threads", str(threads),
                                         "--max-num-seqs", "64"], stderr=log, stdout=log)
        while True:
            try:
                urllib.request.urlopen(self.url + "/ready")
                break
            except OSError:
                time.sleep(0.005)
        self.ready = time.perf_counter() - self.start

    def bench(self, streams, requests, length_in, length_out):
        result = subprocess.run(
            [self.program, "bench", "--url", self.url, "--concurrency", str(streams), "--num-requests", str(requests),
             "--input-len", str(length_in), "--output-len", str(length_out), "--json", "-",
             "--seed", str(time.monotonic_ns() % 1000000)], capture_output=True, text=True, check=True)
        return json.loads(result.stdout)

    def prefill(self, length):
        return 1000 * length / self.bench(1, 1, length, 1)["median_ttft_ms"]

    def decode(self, length):
        return 1000 / self.bench(1, 1, 16, length)["median_tpot_ms"]

    def batch(self, streams, length_in, length_out):
        report = self.bench(streams, streams, length_in, length_out)
        self.gap_p99_ms.append(report["p99_itl_ms"])
        return report["output_throughput"]

    def resident_mb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024

    def idle_us(self):
        """Upper bound of the bucket with the median wait of the worker between two steps, in microseconds"""
        metrics = urllib.request.urlopen(self.url + "/metrics").read().decode()
        rows = re.findall(r'troupe:worker_idle_seconds_bucket\{.*le="([^"]+)".*\} (\d+)', metrics)
        total = int(rows[-1][1])
        return next((1e6 * float(bound) for bound, count in rows if 2 * int(count) >= total), None)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


class Peer:
    """llama_cpp or openvino, in a process of its own."""

    def __init__(self, name, model, threads):
        self.process = subprocess.Popen([sys.executable, HERE / f"{name}_peer.py", model, str(threads)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.gap_p99_ms = []  # of batches, where it tells

    def ask(self, *command):
        print(*command, file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        if "itl_p99_ms" in answer:
            self.gap_p99_ms.append(answer["itl_p99_ms"])
        return answer["tokens_per_second"]

    def prefill(self, length):
        return self.ask("prefill", length)

    def decode(self, length):
        return self.ask("decode", length)

    def batch(self, *arguments):
        return self.ask("batch", *arguments)

    def stop(self):
        self.process.stdin.close()
        self.process.wait(60)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--troupe", default=str(ROOT / "build/release/troupe"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default="llama_cpp,openvino", help="llama_cpp and openvino, with commas")
    options = parser.parse_args()
    cases = [("prefill 512", lambda e: e.prefill(512)), ("decode, 1 stream", lambda e: e.decode(128))]
    cases += [(f"{n} streams, 128 + 64", lambda e, n=n: e.batch(n, 128, 64)) for n in (1, 8, 32)]
    with open(os.devnull, "w") as log:
        troupe = Troupe(options.troupe, options.model, options.threads, log)
        engines = {"Troupe": troupe}
        engines |= {name: Peer(name, options.model, options.threads) for name in options.peers.split(",")}
        peers = list(engines)[1:]
        for engine in engines.values():  # warm up
            engine.prefill(512)
            engine.decode(16)
        print(f"ready after {troupe.ready:.2f} s; medians of {options.rounds} alternating rounds, tokens/s")
        columns = [*engines, *(part for peer in peers for part in (f"ratio to {peer}", "seen"))]
        print(f"| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
        for name, run in cases:
            seen = {engine: [] for engine in engines}
            for engine in engines.values():
                engine.gap_p99_ms.clear()
            for _ in range(options.rounds):
                for engine, driver in engines.items():
                    seen[engine].append(run(driver))
            cells = [f"{statistics.median(values):.0f}" for values in seen.values()]
            for peer in peers:
                ratios = sorted(a / b for a, b in zip(seen["Troupe"], seen[peer]))
                cells += [f"{statistics.median(ratios):.2f}", f"{ratios[0]:.2f} to {ratios[-1]:.2f}"]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
            gaps = {name: statistics.median(engine.gap_p99_ms) for name, engine in engines.items() if engine.gap_p99_ms}
            if gaps:
                print("  p99 of gaps between tokens, ms:", ", ".join(f"{name} {gap:.0f}" for name, gap in gaps.items()), flush=True)
        print(f"Troupe's resident memory {troupe.resident_mb():.0f} MB; worker's median wait between steps "
              f"<= {troupe.idle_us():.0f} us")
        for engine in engines.values():
            engine.stop()


main()
