#!/usr/bin/env python3
"""What operators see and set: metrics, the OpenAPI document, keys, the access log, signals."""
import json
import pathlib
import signal
import socket
import sys
import tempfile
import threading
import time
import unittest

import httpx2 as httpx  # what the official client stands on
import openai
import openapi_spec_validator
from prometheus_client.parser import text_string_to_metric_families
from server import ROOT, Serving, TroupeServer, free_port

# name: type and labels beside model_name (docs/operations.md); the parser takes _total off counters' names.
MODEL_METRICS = {
    "num_requests_running": ("gauge", set()), "num_requests_waiting": ("gauge", set()),
    "kv_cache_usage_perc": ("gauge", set()), "prompt_tokens": ("counter", set()),
    "generation_tokens": ("counter", set()), "request_success": ("counter", {"finished_reason"}),
    "prefix_cache_blocks": ("gauge", set()), "num_preemptions": ("counter", set()), "prefix_cache_queries": ("counter", set()),
    "prefix_cache_hits": ("counter", set()), "worker_restarts": ("counter", set()),
    "requests_recovered": ("counter", set()), "policy_decisions_rejected": ("counter", set()),
    "requests_shed": ("counter", set()), "swap_host_usage_perc": ("gauge", set()),
    "swap_disk_usage_perc": ("gauge", set()), "swapped_blocks": ("counter", {"direction"}),
    "time_to_first_token_seconds": ("histogram", set()), "inter_token_latency_seconds": ("histogram", set()),
    "e2e_request_latency_seconds": ("histogram", set()), "request_queue_time_seconds": ("histogram", set()),
    "request_prefill_time_seconds": ("histogram", set()), "request_decode_time_seconds": ("histogram", set()),
    "iteration_tokens_total": ("histogram", set()),
}
HTTP_METRICS = {"http_requests": ("counter", {"status", "transport"}), "http_refusals": ("counter", {"limit"}),
                "http_timeouts": ("counter", {"waited_for"})}
PROMPT = {"prompt": "Once upon a time", "max_tokens": 12, "temperature": 0}


@unittest.skipUnless(TroupeServer.starts_troupe(), "needs `troupe serve`")
class TestOperator(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def serving(self, *flags):
        return Serving(httpx.Client(base_url=self.url), "--port", str(self.port), *flags)

    def test_metrics_are_complete_typed_and_documented(self):
        with self.serving() as server:
            self.assertEqual(server.http.post("/v1/completions", json=PROMPT).status_code, 200)
            text = server.http.get("/metrics").text
            model = server.http.get("/v1/models").json()["data"][0]["id"]
        families = {}
        for family in text_string_to_metric_families(text):
            self.assertTrue(family.name.startswith("troupe:"), family.name)
            self.assertNotIn(family.name, families)
            families[family.name] = family
        documented = (ROOT / "docs/operations.md").read_text()
        for name, family in families.items():
            suffix = "_total" if family.type == "counter" else ""
            self.assertIn(name + suffix, documented)
            self.assertNotEqual(family.documentation, name.removeprefix("troupe:") + suffix, "has no help text")
        for expected, common in ((MODEL_METRICS, {"model_name"}), (HTTP_METRICS, set())):
            for name, (kind, labels) in expected.items():
                family = families["troupe:" + name]
                self.assertEqual(family.type, kind, name)
                self.assertTrue(family.samples, name)
                for sample in family.samples:
                    self.assertEqual(set(sample.labels) - {"le"}, labels | common, name)
                    self.assertEqual(sample.labels.get("model_name", model), model)

        def value(name, **labels):
            return sum(sample.value for family in families.values() for sample in family.samples
                       if sample.name == "troupe:" + name and labels.items() <= sample.labels.items())

        self.assertEqual(value("generation_tokens_total"), 12)
        self.assertEqual(value("request_success_total", finished_reason="length"), 1)
        self.assertEqual(value("time_to_first_token_seconds_count"), 1)
        self.assertEqual(value("inter_token_latency_seconds_count"), 11)
        self.assertEqual(value("e2e_request_latency_seconds_count"), 1)
        self.assertGreaterEqual(value("http_requests_total", status="200"), 2)

    def test_the_openapi_document_is_valid(self):
        with self.serving("--api-key", "secret") as server:
            document = server.http.get("/openapi.json").json()
            self.assertEqual(document["info"]["version"], server.http.get("/version").json()["version"])
        openapi_spec_validator.validate(document)

    def test_keys_and_access_log_are_read_anew_on_hangup_and_on_request(self):
        for reload in ("SIGHUP", "/admin/reload"):
            with self.subTest(reload), tempfile.TemporaryDirectory() as folder:
                self.check_reload(reload, pathlib.Path(folder))

    def check_reload(self, reload, folder):
        keys, log = folder / "keys", folder / "access.log"
        keys.write_text("sk-old name=alice\n")
        with self.serving("--api-key-file", str(keys), "--access-log", str(log), "--log-format", "json",
                          "--admin-api-key", "root") as server:
            def knows(key):
                with openai.OpenAI(base_url=self.url + "/v1", api_key=key, max_retries=0) as client:
                    try:
                        return bool(client.models.list().data)
                    except openai.AuthenticationError:
                        return False

            self.assertTrue(knows("sk-old"))
            self.assertFalse(knows("sk-new"))
            keys.write_text("sk-new name=bob\n")
            log.rename(folder / "access.log.1")
            if reload == "SIGHUP":
                server.process.send_signal(signal.SIGHUP)
            else:
                answer = server.http.post(reload, headers={"Authorization": "Bearer root"})
                self.assertEqual((answer.status_code, answer.json()), (200, {"status": "reloaded"}))
            deadline = time.monotonic() + 30
            while not knows("sk-new"):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            self.assertFalse(knows("sk-old"))
            old = [json.loads(line) for line in (folder / "access.log.1").read_text().splitlines()]
            new = [json.loads(line) for line in log.read_text().splitlines()]
        self.assertIn(("/v1/models", 200, "alice"), [(e["path"], e["status"], e["key"]) for e in old])
        self.assertIn(("/v1/models", 401, None), [(e["path"], e["status"], e["key"]) for e in old])
        self.assertIn(("/v1/models", 200, "bob"), [(e["path"], e["status"], e["key"]) for e in new])

    @unittest.skipUnless(pathlib.Path("/proc/self/status").exists(), "needs /proc to read a process's memory")
    def test_large_bodies_hold_no_more_memory_than_is_allowed_and_give_it_back(self):
        allowed, size, connections = 96, 4, 60  # MB each
        body = json.dumps({"prompt": "word " * (size * 200_000), "max_tokens": 1}).encode()
        head = ("POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        statuses = []

        def send():
            with socket.create_connection(("127.0.0.1", self.port)) as s:
                try:
                    s.sendall(head + body)
                    statuses.append(s.recv(4096).split(b" ")[1])
                except OSError:  # refused before it had sent everything
                    pass

        with self.serving("--max-body-memory", f"{allowed}MB", "--io-threads", "1", "--threads", "1") as server:
            def memory(what):
                status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
                return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(what)) / 1000

            idle = memory("VmRSS")
            for _ in range(3):  # what the first round frees is what the others find
                senders = [threading.Thread(target=send) for _ in range(connections)]
                for sender in senders:
                    sender.start()
                for sender in senders:
                    sender.join()
            self.assertEqual(set(statuses), {b"400", b"503"})  # too long for the model, or no room
            peak, after = memory("VmHWM"), memory("VmRSS")
        # Besides, one body is read at a time, and each connection has a buffer.
        self.assertLess(peak - idle, allowed + 6 * size + connections * 0.2 + 10)
        self.assertLess(after - idle, 40)

    def test_draining_by_request(self):
        with self.serving("--admin-api-key", "root") as server:
            answer = server.http.post("/admin/drain", headers={"Authorization": "Bearer root"})
            self.assertEqual(answer.status_code, 202)
            self.assertEqual(server.http.get("/ready").status_code, 503)
            self.assertEqual(server.http.post("/v1/completions", json=PROMPT).status_code, 503)
            server.process.terminate()
            self.assertEqual(server.process.wait(timeout=60), 0)

    def test_a_rate_limit_reaches_the_official_client(self):
        keys = self.folder / "keys"
        keys.write_text("sk-a rate=1/h\n")
        with self.serving("--api-key-file", str(keys)):
            with openai.OpenAI(base_url=self.url + "/v1", api_key="sk-a", max_retries=0) as client:
                model = client.models.list().data[0].id
                client.completions.create(model=model, **PROMPT)
                with self.assertRaises(openai.RateLimitError) as caught:
                    client.completions.create(model=model, **PROMPT)
                self.assertEqual(caught.exception.code, "key_rate_limit")
                self.assertGreater(int(caught.exception.response.headers["retry-after"]), 3000)


if __name__ == "__main__":
    sys.exit(unittest.main())
