#!/usr/bin/env python3
"""What docs/scheduling.md claims, on a real server and beside it in the simulator with the same requests.

    python3 tests/bench/scheduling_claims.py calibrate --device here.toml
    python3 tests/bench/scheduling_claims.py static|line|preemption|chunks|slo --device here.toml

Each claim takes up to four minutes and should have the machine for itself. TROUPE_BIN: the program.
"""
import argparse
import json
import os
import pathlib
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TROUPE = os.environ.get("TROUPE_BIN", str(ROOT / "build/release/troupe"))
FOLDER = pathlib.Path(tempfile.mkdtemp())


def call(*arguments):
    done = subprocess.run([TROUPE, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0 and not done.stdout:  # bench prints its report and ends with 1 if requests were refused
        sys.exit(done.stderr)
    return done.stdout


def write_trace(name, requests):
    """Requests as (second, prompt tokens, output tokens), in the format that bench and simulate read."""
    path = FOLDER / f"{name}.csv"
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    for second, prompt, output in requests:
        lines.append(f"2024-01-01 00:{int(second // 60):02}:{second % 60:010.7f},{prompt},{output}")
    path.write_text("\n".join(lines) + "\n")
    return path


def poisson(count, rate, draw, seed):
    """So many requests whose lengths `draw` makes, on average `rate` a second."""
    source, now, requests = random.Random(seed), 0.0, []
    for _ in range(count):
        requests.append((now, *draw(source)))
        now += source.expovariate(rate)
    return requests


def metric(text, name):
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("troupe:" + name))


def real(trace, flags, *bench):
    """`troupe bench` of a fresh server with these flags."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen([TROUPE, "serve", "--port", str(port), "--log-level", "warn", "--access-log", "off", *map(str, flags)])
    try:
        while True:
            try:
                urllib.request.urlopen(url + "/ready", timeout=5).close()
                break
            except OSError:
                if server.poll() is not None:
                    sys.exit(f"the server ended with {server.returncode}")
                time.sleep(0.05)
        result = json.loads(call("bench", "--url", url, "--vocab-size", 250, "--json", "-", "--warmup", 4, "--trace", trace, *bench))
        metrics = urllib.request.urlopen(url + "/metrics", timeout=60).read().decode()
    finally:
        server.terminate()
        server.wait()
    swapped = 'swapped_blocks_total{direction="%s"'
    return {"mean": result["mean_ttft_ms"], "p50": result["median_ttft_ms"], "p99": result["p99_ttft_ms"],
            "tpot": result["p99_tpot_ms"], "itl": result["p99_itl_ms"], "rate": result["output_throughput"],
            "goodput": result.get("request_goodput"), "seconds": result["duration"],
            "preemptions": metric(metrics, "num_preemptions_total"), "out": metric(metrics, swapped % "out"),
            "in": metric(metrics, swapped % "in")}


def simulated(device, trace, flags, *more):
    result = json.loads(call("simulate", "--device", device, "--trace", trace, "--json", "-", *flags, *more))["policies"][0]
    ttft = result["ttft_ms"]
    return {"mean": ttft["mean"], "p50": ttft["p50"], "p99": ttft["p99"], "tpot": result["tpot_ms"]["p99"],
            "itl": result["itl_ms"]["p99"], "rate": result["output_throughput"], "goodput": result.get("request_goodput"),
            "seconds": result["duration"], "preemptions": result["preemptions"], "out": result["blocks_swapped_out"],
            "in": result["blocks_swapped_in"]}


def row(name, columns, measured, guessed):
    cells = [f"{measured[key]:{form}} ({guessed[key]:{form}})" for key, form in columns]
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def head(*names):
    print(f"\n| {' | '.join(names)} |\n|{'---|' * len(names)}", flush=True)


def calibrate(device):
    """The device file, with what swapping takes: bytes as the server says, a copy of memory with its checksum."""
    call("calibrate", "-o", device)
    text = device.read_text()
    if "kv_bytes_per_token" not in text:
        text = text.replace("[engine]\n", f"[engine]\nkv_bytes_per_token = {kv_bytes_per_token()}\n")
    if "host_bandwidth" not in text:
        text = text.replace("[device]\n", "[device]\nhost_bandwidth = 4e9\n")
    device.write_text(text)


def kv_bytes_per_token():
    """From the message of a server whose cache is larger than any memory."""
    blocks = 100_000_000
    refusal = subprocess.run([TROUPE, "serve", "--port", "0", "--kv-blocks", str(blocks)], capture_output=True, text=True)
    told = re.search(r"would take ([\d.]+) ?(\w+)", refusal.stdout + refusal.stderr)
    unit = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}[told[2]]
    return round(float(told[1]) * unit / blocks / 16)


def static(device):
    """A static batch lasts as long as its longest output: L_max / mean L."""
    source = random.Random(1)
    outputs = [source.randint(1, 200) for _ in range(64)]
    trace = write_trace("static", [(0.0001 * i, 16, output) for i, output in enumerate(outputs)])
    longest = [max(outputs[i:i + 16]) for i in range(0, len(outputs), 16)]
    print(f"L_max / mean L of batches of 16: {statistics.mean(longest) / statistics.mean(outputs):.2f}")
    head("policy", "output tokens/s", "seconds", "TTFT mean (ms)")
    rates = {}
    for policy in ("static", "fcfs"):
        flags = ("--policy", policy, "--max-num-seqs", 16)
        pair = real(trace, flags), simulated(device, trace, flags)
        rates[policy] = [one["rate"] for one in pair]
        row(policy, (("rate", ".0f"), ("seconds", ".1f"), ("mean", ".0f")), *pair)
    print(f"fcfs / static: {rates['fcfs'][0] / rates['static'][0]:.2f} ({rates['fcfs'][1] / rates['static'][1]:.2f} simulated)")


def line(device):
    """Short requests behind long ones, and what shortest job first makes of it."""
    draw = lambda source: (384, 160) if source.random() < 0.2 else (24, 8)
    trace = write_trace("line", poisson(300, 14, draw, 2))
    head("policy", "TTFT mean (ms)", "TTFT p50", "TTFT p99", "output tokens/s")
    for policy in ("fcfs", "sjf"):
        flags = ("--policy", policy, "--max-num-seqs", 4)
        row(policy, (("mean", ".0f"), ("p50", ".0f"), ("p99", ".0f"), ("rate", ".0f")), real(trace, flags),
            simulated(device, trace, flags))


def preemption(device):
    """A third of the KV that all want: computed again, or swapped."""
    trace = write_trace("preemption", [(0.0001 * i, 256, 192) for i in range(8)])
    head("", "seconds", "preemptions", "blocks out", "blocks in")
    for name, more in (("computed again", ()), ("swapped", ("--swap-space", "1GiB"))):
        flags = ("--kv-blocks", 75, *more)
        row(name, (("seconds", ".1f"), ("preemptions", ".0f"), ("out", ".0f"), ("in", ".0f")), real(trace, flags),
            simulated(device, trace, flags))


def chunks(device):
    """Prompts are read in chunks beside those who decode: larger chunks interfere more."""
    trace = write_trace("chunks", poisson(60, 2.4, lambda source: (source.randint(64, 448), source.randint(16, 64)), 3))
    head("tokens of a step", "TTFT p50 (ms)", "TTFT p99", "TPOT p99", "ITL p99")
    for tokens in (32, 64, 128, 256, 512):
        flags = ("--max-num-batched-tokens", tokens)
        row(tokens, (("p50", ".0f"), ("p99", ".0f"), ("tpot", ".1f"), ("itl", ".1f")), real(trace, flags),
            simulated(device, trace, flags))


def slo(device):
    """How many requests keep their targets as the rate rises."""
    head("requests/s", "fcfs: goodput", "TTFT p99 (ms)", "TPOT p99", "slo: goodput", "TTFT p99", "TPOT p99")
    objectives = ("--goodput", "ttft:1000", "tpot:30")
    for rate in (8, 16, 20):
        trace = write_trace("slo", poisson(round(10 * rate), rate, lambda source: (source.randint(32, 256), source.randint(16, 96)), 4))
        cells = []
        for policy in ("fcfs", "slo"):
            flags = ["--policy", policy, "--ttft-target", "1s", "--tpot-target", "30ms"]
            flags += ["--policy-option", "shed=1"] if policy == "slo" else []
            pair = real(trace, flags, *objectives), simulated(device, trace, flags, *objectives)
            cells += [f"{pair[0][key]:{form}} ({pair[1][key]:{form}})" for key, form in
                      (("goodput", ".2f"), ("p99", ".0f"), ("tpot", ".1f"))]
        print(f"| {rate} | " + " | ".join(cells) + " |", flush=True)


def main():
    claims = {claim.__name__: claim for claim in (calibrate, static, line, preemption, chunks, slo)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("claim", choices=claims)
    parser.add_argument("--device", type=pathlib.Path, required=True, help="of calibrate")
    arguments = parser.parse_args()
    if arguments.claim != "calibrate":
        print("measured (simulated)")
    claims[arguments.claim](arguments.device)


main()
