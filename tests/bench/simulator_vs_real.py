"""The same trace on a real server and in the simulator: how far is the simulator off?

Calibrates, measures what the server completes at most, then plays the trace at shares of that (and past it), calibrating again after
each. Each load is simulated with the calibration before it, with the one after it, and with the one before corrected by the steps
that the server recorded meanwhile: shared machines change their speed within minutes, and the third tells the simulator's own error
from the machine's drift. Where the two calibrations differ by more than --drift, the load is repeated, up to --attempts times.
Needs the machine for itself.

  python3 tests/bench/simulator_vs_real.py --trace azure_llm_2023_conv.csv --requests 200 --loads 0.3 0.6 0.85
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
    def __init__(self, model, port, vocab_size, recording=None):
        self.vocab_size = vocab_size
        self.url = f"http://127.0.0.1:{port}"
        flags = [*model, *(["--record", recording] if recording else [])]
        self.process = subprocess.Popen([TROUPE, "serve", "--port", str(port), "--log-level", "warn", *flags])
        for _ in range(600):
            try:
                urllib.request.urlopen(self.url + "/ready", timeout=1)
                return
            except OSError:
                time.sleep(0.1)
        sys.exit("the server did not get ready")

    def bench(self, *flags):
        return json.loads(call("bench", "--url", self.url, "--vocab-size", self.vocab_size, "--json", "-", *flags))

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


def differences(real, simulated):
    """The rows of a table, and the largest error."""
    rows, worst = [], 0.0
    for what in ("ttft", "tpot"):
        for name, key in (("median", "p50"), ("p99", "p99")):
            measured, value = real[f"{name}_{what}_ms"], simulated[f"{what}_ms"][key]
            worst = max(worst, abs(value / measured - 1))
            rows.append(f"{what} {key:3} {measured:9.1f} {value:9.1f} {value / measured - 1:+7.1%}")
    measured, value = real["output_throughput"], simulated["output_throughput"]
    rows.append(f"tok/s    {measured:9.1f} {value:9.1f} {value / measured - 1:+7.1%}")
    return rows, worst


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trace", required=True)
    parser.add_argument("--model", default="")
    parser.add_argument("--vocab-size", type=int, default=10000, help="token ids of prompts are drawn below it")
    parser.add_argument("--requests", type=int, default=120)
    parser.add_argument("--longest", type=int, default=1024, help="tokens of a prompt at most")
    parser.add_argument("--loads", type=float, nargs="+", default=[0.3, 0.6, 0.85, 1.3])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--drift", type=float, default=0.03)
    parser.add_argument("--attempts", type=int, default=3)
    parser.add_argument("--capacity", type=float, help="requests/s, instead of measuring it")
    parser.add_argument("--port", type=int, default=18977)
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp())
    trace = folder / "trace.csv"
    own_rate = excerpt(arguments.trace, arguments.requests, arguments.longest, trace)
    model = ["--model", arguments.model] if arguments.model else []

    def calibrate(name):
        call("calibrate", *model, "--rounds", arguments.rounds, "-o", folder / name)
        return folder / name

    def simulate(device, speed):
        return json.loads(call("simulate", "--device", device, "--trace", trace, "--rate-scale", speed, "--json", "-"))["policies"][0]

    before = calibrate("calibration_0.toml")
    rate = arguments.capacity
    if not rate:
        server = Server(model, arguments.port, arguments.vocab_size)
        rate = server.bench("--trace", trace, "--concurrency", 64, "--warmup", 4)["request_throughput"]
        server.stop()
    print(f"capacity {rate:.3f} requests/s; {arguments.requests} requests", flush=True)
    count = 0
    for load in arguments.loads:
        speed = load * rate / own_rate
        for attempt in range(arguments.attempts):
            count += 1
            recording = folder / f"recording_{count}"
            server = Server(model, arguments.port, arguments.vocab_size, recording)
            real = server.bench("--trace", trace, "--trace-speed", speed, "--warmup", 4)
            server.stop()
            after = calibrate(f"calibration_{count}.toml")
            own = folder / f"own_{count}.toml"
            call("calibrate", "--recording", recording, "--device", before, "-o", own)
            recording.unlink()
            drift = step_time(after) / step_time(before) - 1
            print(f"load {load:.2f}, {real['duration']:.0f} s; the machine drifted by {drift:+.1%}")
            for name, device in (("calibrated before", before), ("calibrated after", after), ("and by its own steps", own)):
                rows, worst = differences(real, simulate(device, speed))
                print(f"  {name}: worst {worst:.1%}")
                print("".join(f"    {row}\n" for row in rows), end="", flush=True)
            before = after
            if abs(drift) <= arguments.drift:
                break


main()
