#!/usr/bin/env python3
"""POST /admin/policy on a real server: replaced under load, refused when it does not start, and replayed from a recording."""
import concurrent.futures
import pathlib
import subprocess
import sys
import tempfile
import unittest

import httpx2 as httpx
from server import ROOT, Serving, TroupeServer, free_port, program

BUILD = pathlib.Path(program()).resolve().parent
PLUGINS = {name: next(iter(BUILD.rglob(f"lib{name}.so")), None) for name in ("deadline", "old", "trouble")}
KEY = "k" * 24
# Barely more than one sequence's worth of KV, so that sequences are preempted and swapped.
TIGHT = ("--kv-blocks", "24", "--block-size", "16", "--max-num-seqs", "8", "--max-model-len", "256")


@unittest.skipUnless(TroupeServer.starts_troupe(), "needs `troupe serve`")
class TestPolicy(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def serving(self, *flags):
        port = free_port()
        http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120,
                            limits=httpx.Limits(max_connections=40))
        return Serving(http, "--port", str(port), "--admin-api-key", KEY, *flags)

    @staticmethod
    def generate(http, number):
        reply = http.post("/v1/completions", json={"prompt": f"Once upon a time, number {number},", "max_tokens": 120,
                                                   "temperature": 0.7, "seed": number, "ignore_eos": True})
        assert reply.status_code == 200, reply.text
        return reply.json()["choices"][0]["text"]

    @staticmethod
    def replace(http, policy, **more):
        return http.post("/admin/policy", json={"policy": str(policy), **more},
                         headers={"Authorization": f"Bearer {KEY}"})

    def under_load(self, server, policies):
        """The texts of 24 requests, while one policy follows another until they are done."""
        replaced = 0
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            futures = [pool.submit(self.generate, server.http, number) for number in range(24)]
            while True:
                if policies:
                    reply = self.replace(server.http, policies[replaced % len(policies)])
                    self.assertEqual(reply.status_code, 200, reply.text)
                    replaced += 1
                if concurrent.futures.wait(futures, timeout=0.02).not_done == set():
                    return [future.result() for future in futures], replaced

    def test_replaced_under_load_no_request_is_lost_and_the_recording_replays(self):
        recording = self.folder / "recording"
        with self.serving(*TIGHT) as server:
            expected, _ = self.under_load(server, [])
        policies = ["sjf", "priority", "fair", "lpm", "fcfs"] + ([PLUGINS["deadline"]] if PLUGINS["deadline"] else [])
        with self.serving(*TIGHT, "--swap-space", "16MiB", "--record", str(recording)) as server:
            texts, replaced = self.under_load(server, policies)
            metrics = server.http.get("/metrics").text
        self.assertEqual(texts, expected)
        self.assertGreater(replaced, 1)

        def total(name):
            return sum(float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines() if line.startswith("troupe:" + name))

        self.assertGreater(total("num_preemptions_total"), 0)
        self.assertGreater(total('swapped_blocks_total{direction="out"'), 0)
        self.assertEqual(total("policy_decisions_rejected_total"), 0)
        replay = subprocess.run([program(), "simulate", "--replay", str(recording)], capture_output=True, text=True)
        self.assertEqual(replay.returncode, 0, replay.stdout + replay.stderr)
        self.assertIn("step plans are the same", replay.stdout)
        self.assertNotIn("first difference", replay.stdout)

    def test_what_does_not_start_leaves_the_old_one_in_force(self):
        (self.folder / "text.so").write_text("no library")
        with self.serving() as server:
            faults = [("nonesuch", {}, "There is no policy 'nonesuch'"),
                      (self.folder / "none.so", {}, "there is no file"),
                      (self.folder / "text.so", {}, "text.so"),
                      ("sjf", {"options": {"colour": "red"}}, "There is no option 'colour'")]
            if PLUGINS["old"]:
                faults.append((PLUGINS["old"], {}, "version"))
            if PLUGINS["trouble"]:
                faults.append((PLUGINS["trouble"], {"options": {"do": "throw-create"}}, "no way"))
            for policy, more, told in faults:
                reply = self.replace(server.http, policy, **more)
                self.assertEqual(reply.status_code, 400, f"{policy}: {reply.text}")
                self.assertIn(told, reply.json()["error"]["message"])
            self.assertNotEqual(self.generate(server.http, 1), "")
            self.assertEqual(self.replace(server.http, "sjf", options={"max_wait": 5}).status_code, 200)

    @unittest.skipUnless(PLUGINS["trouble"], "the plug-in that makes trouble was not built")
    def test_a_create_that_does_not_return_is_answered_and_the_server_ends(self):
        with self.serving() as server:
            reply = self.replace(server.http, PLUGINS["trouble"], options={"do": "hang-create"})
            self.assertEqual(reply.status_code, 400, reply.text)
            self.assertIn("has not started within", reply.json()["error"]["message"])
            self.assertEqual(reply.json()["error"]["code"], "policy_start_timeout")
            self.assertNotEqual(self.generate(server.http, 1), "")

    def test_only_the_administrator_may(self):
        with self.serving() as server:
            reply = server.http.post("/admin/policy", json={"policy": "sjf"})
            self.assertIn(reply.status_code, (401, 403), reply.text)


if __name__ == "__main__":
    sys.exit(unittest.main())
