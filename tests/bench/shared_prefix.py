#!/usr/bin/env python3
"""Clients that share a system prompt: the time to their first token with prefix caching and without.

    python3 tests/bench/shared_prefix.py [--model MODEL] [--clients 32] [--prefix 1000] [--rounds 3]

Two servers of the same program, one of them with --no-prefix-caching, take turns; the one that waits is idle. In each
round one request with a new prefix comes first; then all clients send their requests, one after the other, each with
that prefix and a question of its own. Counted are those later ones, from send to the first chunk with text."""
import argparse
import concurrent.futures
import http.client
import json
import pathlib
import random
import socket
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Server:
    def __init__(self, program, model, *flags):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        command = [program, "serve", "--port", str(self.port), "--access-log", "off", *flags]
        self.process = subprocess.Popen(command + (["--model", model] if model else []), stderr=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL)
        while True:
            try:
                if self.get("/ready")[0] == 200:
                    break
            except OSError:
                pass
            if self.process.poll() is not None:
                raise SystemExit("the server did not start: " + " ".join(command))
            time.sleep(0.01)

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()

    def complete(self, ids, tokens):
        """Seconds to the first text, and the usage."""
        body = {"prompt": ids, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "stream": True,
                "stream_options": {"include_usage": True}}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        start = time.perf_counter()
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        first, usage = None, None
        for line in connection.getresponse():
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            if first is None and chunk["choices"] and chunk["choices"][0]["text"]:
                first = time.perf_counter() - start
            usage = chunk.get("usage") or usage
        return first, usage

    def stop(self):
        self.process.terminate()
        self.process.wait()


def play(server, seed, options):
    """One round: TTFTs of the later requests in seconds, cached share of their prompts, seconds in all."""
    rng = random.Random(seed)

    def ids(count):
        return [rng.randrange(1000, 20000) for _ in range(count)]

    prefix = ids(options.prefix)
    work = [[prefix + ids(options.question) for _ in range(options.requests)] for _ in range(options.clients)]
    server.complete(prefix + ids(options.question), 1)
    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(options.clients) as pool:
        results = sum(pool.map(lambda prompts: [server.complete(p, options.output) for p in prompts], work), [])
    seconds = time.perf_counter() - start
    usages = [usage for _, usage in results]
    cached = sum(u["prompt_tokens_details"]["cached_tokens"] for u in usages) / sum(u["prompt_tokens"] for u in usages)
    return [first for first, _ in results if first is not None], cached, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "build/release/troupe"))
    parser.add_argument("--model", help="default: the server's")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=2, help="of each client in a round")
    parser.add_argument("--prefix", type=int, default=1000, help="tokens")
    parser.add_argument("--question", type=int, default=24, help="tokens")
    parser.add_argument("--output", type=int, default=32, help="tokens")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    servers = {"with": Server(options.program, options.model),
               "without": Server(options.program, options.model, "--no-prefix-caching")}
    medians = {name: [] for name in servers}
    print(f"{'round':>5} {'cache':>8} {'TTFT p50':>10} {'p99':>8} {'cached':>7} {'seconds':>8}")
    try:
        for number in range(options.rounds):
            for name, server in servers.items():
                times, cached, seconds = play(server, number, options)
                times.sort()
                medians[name].append(statistics.median(times))
                print(f"{number:>5} {name:>8} {medians[name][-1]:>9.3f}s {times[len(times) * 99 // 100]:>7.3f}s "
                      f"{cached:>7.2f} {seconds:>8.2f}", flush=True)
    finally:
        for server in servers.values():
            server.stop()
    ratios = [a / b for a, b in zip(medians["with"], medians["without"])]
    print(f"TTFT p50 with / without: median {statistics.median(ratios):.3f}, "
          f"seen {min(ratios):.3f} to {max(ratios):.3f}")


if __name__ == "__main__":
    main()
