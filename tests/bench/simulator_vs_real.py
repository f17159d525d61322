"""The same trace on a real server and in the simulator: how far is the simulator off?

Calibrates, measures what the server completes at most, then plays the trace at shares of that; calibrates again before each
load and tells when the machine has changed meanwhile. Needs the machine for itself.

  python3 tests/bench/simulator_vs_real.py --trace azure_llm_2023_conv.csv --requests 120 --loads 0.3 0.6 0.85
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TROUPE = os.environ.get("TROUPE_BIN", str(ROOT / "build/release/troupe"))


def call(*arguments, **options):
    return subprocess.run([TROUPE, *map(str, arguments)], check=True, capture_output=True, text=True, **options).stdout


class Server:
    def __init__(self, model, port):
        self.url = f"http://127.0.0.1:{port}"
        flags = ["--model", model] if model else []
        self.process = subprocess.Popen([TROUPE, "serve", "--port", str(port), "--log-level", "warn", *flags])
        for _ in range(600):
            try:
                urllib.request.urlopen(self.url + "/ready", timeout=1)
                return
            except OSError:
                time.sleep(0.1)
        sys.exit("the server did not get ready")

    def bench(self, *flags):
        return json.loads(call("bench", "--url", self.url, "--vocab-size", 250, "--json", "-", *flags))

    def stop(self):
        self.process.terminate()
        self.process.wait()


def excerpt(trace, requests, longest, path):
    """The first requests that are short enough for this machine."""
    header, *lines = open(trace).read().splitlines()
    chosen = [line for line in lines if int(line.split(",")[1]) <= longest and int(line.split(",")[2]) <= longest // 4]
    path.write_text("\n".join([header, *chosen[:requests]]) + "\n")
    first, last = (re.search(r"(\d+):(\d+):([\d.]+)", line) for line in (chosen[0], chosen[requests - 1]))
    seconds = lambda m: int(m[1]) * 3600 + int(m[2]) * 60 + float(m[3])
    return (requests - 1) / (seconds(last) - seconds(first))


def step_time(device):
    """A number that says how fast the machine is now: all measured steps together."""
    return sum(sum(map(float, re.search(rf"{key} = \[(.*)\]", device.read_text())[1].split(",")))
               for key in ("tokens_us", "logits_us"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trace", required=True)
    parser.add_argument("--model", default="")
    parser.add_argument("--requests", type=int, default=120)
    parser.add_argument("--longest", type=int, default=1024, help="tokens of a prompt at most")
    parser.add_argument("--loads", type=float, nargs="+", default=[0.3, 0.6, 0.85])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--port", type=int, default=18977)
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp())
    trace = folder / "trace.csv"
    own_rate = excerpt(arguments.trace, arguments.requests, arguments.longest, trace)
    model = ["--model", arguments.model] if arguments.model else []

    def calibrate(name):
        path = folder / name
        call("calibrate", *model, "--rounds", arguments.rounds, "-o", path)
        return path

    before = calibrate("before.toml")
    server = Server(arguments.model, arguments.port)
    capacity = server.bench("--trace", trace, "--concurrency", 64, "--warmup", 4)
    server.stop()
    rate = capacity["request_throughput"]
    print(f"capacity {rate:.3f} requests/s, {capacity['output_throughput']:.1f} output tokens/s", flush=True)
    simulated = json.loads(call("simulate", "--device", before, "--trace", trace, "--rate-scale", 1e5, "--json", "-"))["policies"][0]
    print(f"capacity simulated {simulated['request_throughput']:.3f} requests/s, {simulated['output_throughput']:.1f} output tokens/s")
    print(f"{'load':>5} {'':12} {'real ms':>9} {'simulated':>9} {'error':>7}")
    worst = 0.0
    for load in arguments.loads:
        speed = load * rate / own_rate
        server = Server(arguments.model, arguments.port)
        real = server.bench("--trace", trace, "--trace-speed", speed, "--warmup", 4)
        server.stop()
        after = calibrate("after.toml")
        drift = step_time(after) / step_time(before) - 1
        for path in (before, after):
            simulated = json.loads(call("simulate", "--device", path, "--trace", trace, "--rate-scale", speed, "--json", "-"))["policies"][0]
            print(f"{load:5.2f} with the calibration {'before' if path == before else 'after'}")
            for what in ("ttft", "tpot"):
                for name, key in (("median", "p50"), ("p99", "p99")):
                    measured = real[f"{name}_{what}_ms"]
                    error = simulated[f"{what}_ms"][key] / measured - 1
                    worst = max(worst, abs(error))
                    print(f"{load:5.2f} {what} {key:8} {measured:9.1f} {simulated[f'{what}_ms'][key]:9.1f} {error:+7.1%}")
        print(f"{load:5.2f} the machine drifted by {drift:+.1%}" + (" (repeat)" if abs(drift) > 0.03 else ""), flush=True)
        before = after
    print(f"worst error {worst:.1%}")


main()
