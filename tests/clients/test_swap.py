#!/usr/bin/env python3
"""Tiers below the KV cache, on a real server: the same tokens and log probabilities whatever is moved, lost or broken."""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest

import httpx2 as httpx
from server import READY_SECONDS, TroupeServer, free_port, program, serve_knows

# The default model: a tiny one's KV is not worth moving.
REQUESTS = 6
COMMON = ("--max-num-seqs", "6", "--max-model-len", "256")
TIGHT = ("--kv-blocks", "14", *COMMON)  # of 16 tokens; one request takes up to 9
AMPLE = ("--kv-blocks", "96", *COMMON)


def body(number):
    return {"prompt": f"Once upon a time, in house number {number}, there was a cat with {number * 7} kittens.",
            "max_tokens": 100, "temperature": 0.8 if number % 2 else 0, "seed": number, "ignore_eos": True, "logprobs": 2}


def answer_of(http, number):
    reply = http.post("/v1/completions", json=body(number), timeout=120)
    assert reply.status_code == 200, reply.text
    choice = reply.json()["choices"][0]
    return choice["text"], choice["logprobs"]["tokens"], choice["logprobs"]["token_logprobs"]


def metric(http, name, **labels):
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(float(line.rsplit(" ", 1)[1]) for line in http.get("/metrics").text.splitlines()
               if re.match(rf"troupe:{name}[ {{]", line) and all(one in line for one in wanted))


def wait_until_ready(http, process):
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            if http.get("/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not get ready ({process.poll()})")
        time.sleep(0.05)


@unittest.skipUnless(TroupeServer.starts_troupe() and serve_knows("--swap-space"), "needs `troupe serve`")
class TestSwap(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.expected = cls.run_all(AMPLE)[0]

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    @staticmethod
    def run_all(flags, meanwhile=None):
        """The answers, what was moved, how often somebody was preempted, and the log."""
        port = free_port()
        http = httpx.Client(base_url=f"http://127.0.0.1:{port}")
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen([program(), "serve", "--port", str(port), *flags], stderr=log)
            try:
                wait_until_ready(http, process)
                with concurrent.futures.ThreadPoolExecutor(REQUESTS) as pool:
                    futures = [pool.submit(answer_of, http, number) for number in range(REQUESTS)]
                    if meanwhile:
                        meanwhile(process, futures)
                    answers = [future.result() for future in futures]
                moved = {way: metric(http, "swapped_blocks_total", direction=way)
                         for way in ("out", "in", "spilled", "failed")}
                preemptions = metric(http, "num_preemptions_total")
            finally:
                http.close()
                process.terminate()
                process.wait(timeout=60)
            log.seek(0)
            return answers, moved, preemptions, log.read()

    def check(self, flags, meanwhile=None):
        answers, moved, preemptions, log = self.run_all((*TIGHT, *flags), meanwhile)
        self.assertGreater(preemptions, 0)
        self.assertEqual(answers, self.expected)
        return moved, [line for line in log.splitlines() if "swap" in line and "warning" in line]

    def test_recompute_alone(self):
        moved, warnings = self.check(())
        self.assertEqual(moved, {"out": 0, "in": 0, "spilled": 0, "failed": 0})
        self.assertEqual(warnings, [])

    def test_host_memory(self):
        moved, warnings = self.check(("--swap-space", "64MiB"))
        self.assertGreater(moved["out"], 0)
        self.assertGreater(moved["in"], 0)
        self.assertEqual((moved["failed"], warnings), (0, []))

    def test_a_file(self):
        moved, warnings = self.check(("--swap-path", self.folder, "--swap-disk-space", "64MiB"))
        self.assertGreater(moved["out"], 0)
        self.assertEqual((moved["failed"], warnings), (0, []))
        self.assertEqual(list(pathlib.Path(self.folder).iterdir()), [])

    def test_both_with_little_host_memory(self):
        moved, warnings = self.check(("--swap-space", "1MiB", "--swap-path", self.folder))
        self.assertGreater(moved["out"], 0)
        self.assertGreater(moved["spilled"], 0)
        self.assertEqual(warnings, [])

    def test_a_directory_that_cannot_be_written_to(self):
        moved, warnings = self.check(("--swap-path", self.folder + "/none"))
        self.assertEqual(moved["in"], 0)
        self.assertEqual(len(warnings), 1, warnings)
        self.assertIn("--swap-path", warnings[0])

    def test_a_file_that_gets_full(self):
        limited = pathlib.Path(self.folder) / "troupe"
        limited.write_text(f"#!/bin/sh\nulimit -f 2000\nexec {program()} \"$@\"\n")
        limited.chmod(0o755)
        before = os.environ.get("TROUPE_BIN")
        os.environ["TROUPE_BIN"] = str(limited)
        try:
            moved, warnings = self.check(("--swap-path", self.folder, "--swap-disk-space", "64MiB"))
        finally:
            os.environ.pop("TROUPE_BIN") if before is None else os.environ.update(TROUPE_BIN=before)
        self.assertGreater(moved["failed"], 0)
        self.assertEqual(len(warnings), 1, warnings)

    def test_pages_that_change_on_disk(self):
        def spoil(process, futures):
            """Flips bytes all over the file, again and again."""
            while not all(future.done() for future in futures):
                for link in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
                    try:
                        if not os.readlink(link).startswith(self.folder):
                            continue
                        with open(link, "r+b") as file:
                            size = file.seek(0, os.SEEK_END)
                            for offset in range(100, size, 100_000):
                                file.seek(offset)
                                byte = file.read(1)
                                file.seek(offset)
                                file.write(bytes([byte[0] ^ 0x55]))
                    except OSError:
                        pass
                concurrent.futures.wait(futures, timeout=0.005)

        moved, warnings = self.check(("--swap-path", self.folder, "--swap-disk-space", "64MiB"), spoil)
        self.assertGreater(moved["failed"], 0)
        self.assertEqual(len(warnings), 1, warnings)
        self.assertIn("not what was written", warnings[0])

    def test_workers_that_die(self):
        moved, _ = self.check(("--swap-space", "64MiB", "--fault-injection", "worker:throw@step=60,every=150"))
        self.assertGreater(moved["in"], 0)


if __name__ == "__main__":
    sys.exit(unittest.main())
