#!/usr/bin/env python3
"""Memory oversubscription: long outputs for which the KV cache is several times too small, with recompute alone and with
the tiers below it. Each variant is a fresh server; variants alternate, so that a busy machine hits all alike; the processor time of the
server suffers less from that.

    python3 tests/bench/swap.py [--rounds 2] [--requests 12] [--input-len 512] [--output-len 512] [--oversubscription 3]
                                [-- flags of troupe serve]
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TROUPE = os.environ.get("TROUPE_BIN", str(ROOT / "build/release/troupe"))
WORDS = "river stone lamp garden winter sailor bread mountain letter window music clock forest silver island morning".split()


def prompt_of(number, tokens):
    words = random.Random(number)
    return f"Story {number}: " + " ".join(words.choice(WORDS) for _ in range(tokens))


def get(url):
    return urllib.request.urlopen(url, timeout=600).read().decode()


def post(url, value):
    request = urllib.request.Request(url, json.dumps(value).encode(), {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=3600))


def metric(text, name):
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("troupe:" + name))


def run(options, flags, blocks):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen([TROUPE, "serve", "--port", str(port), "--kv-blocks", str(blocks), "--log-level", "warn",
                               "--access-log", "off", *options.serve, *flags])
    results = {}
    try:
        while True:
            try:
                get(url + "/ready")
                break
            except OSError:
                if server.poll() is not None:
                    sys.exit(f"the server ended with {server.returncode}")
                time.sleep(0.05)
        ask = {"max_tokens": options.output_len, "temperature": 0, "ignore_eos": True,
               "truncate_prompt_tokens": options.input_len}
        # The cost model has seen prompts and answers before the clock starts.
        post(url + "/v1/completions", {**ask, "prompt": prompt_of(-1, options.input_len), "max_tokens": 16})
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(options.requests) as pool:
            texts = list(pool.map(lambda n: post(url + "/v1/completions", {**ask, "prompt": prompt_of(n, options.input_len)})
                                  ["choices"][0]["text"], range(options.requests)))
        seconds = time.monotonic() - began
        metrics = get(url + "/metrics")
        results |= {"seconds": seconds, "texts": texts, "preemptions": metric(metrics, "num_preemptions_total"),
                "out": metric(metrics, 'swapped_blocks_total{direction="out"'),
                "in": metric(metrics, 'swapped_blocks_total{direction="in"'),
                "spilled": metric(metrics, 'swapped_blocks_total{direction="spilled"')}
        return results
    finally:
        server.terminate()
        results["cpu"] = sum(os.wait4(server.pid, 0)[2][:2])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--requests", type=int, default=12)
    parser.add_argument("--input-len", type=int, default=512)
    parser.add_argument("--output-len", type=int, default=512)
    parser.add_argument("--oversubscription", type=float, default=3)
    parser.add_argument("serve", nargs="*", help="flags of troupe serve, after --")
    options = parser.parse_args()
    need = options.requests * -(-(options.input_len + options.output_len) // 16)
    blocks = int(need / options.oversubscription)
    with tempfile.TemporaryDirectory() as folder:
        variants = {"ample": (need + options.requests, []), "recompute alone": (blocks, []),
                    "host memory": (blocks, ["--swap-space", "2GiB"]), "disk": (blocks, ["--swap-path", folder])}
        results = {name: [] for name in variants}
        for _ in range(options.rounds):
            for name, (count, flags) in variants.items():
                results[name].append(run(options, flags, count))
                one = results[name][-1]
                print(f"{name:16} {one['seconds']:7.1f} s, {one['cpu']:6.1f} s of CPU, {one['preemptions']:.0f} preemptions, blocks out {one['out']:.0f}, "
                      f"in {one['in']:.0f}, spilled {one['spilled']:.0f}", flush=True)
    texts = results["ample"][0]["texts"]
    same = all(one["texts"] == texts for many in results.values() for one in many)
    print("all texts are the same" if same else "TEXTS DIFFER")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
