"""How `troupe serve` ends: what the clients of running requests are told, and the exit status."""

import http.client
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TROUPE = os.environ.get("TROUPE_BIN", str(ROOT / "build/release/troupe"))
MODEL = str(ROOT / "tests/data/stories260k")


class Server:
    def __init__(self, *flags):
        self.process = subprocess.Popen([TROUPE, "serve", "--model", MODEL, "--port", "0", *flags],
                                        stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if " on http://" in line:
                self.port = int(line.rsplit(":", 1)[1].split("/")[0])
            if "ready after" in line:
                return
        raise RuntimeError(f"the server ended with {self.process.wait()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.stderr.close()
        self.process.wait()

    def stream(self, tokens):
        """A streamed completion, of which the first line has come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        body = {"prompt": "Once upon a time", "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "stream": True}
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status == 200
        response.first = response.readline()
        return response


def events(response):
    return [line[6:] for line in (response.first + response.read()).decode().split("\n") if line.startswith("data: ")]


@pytest.mark.parametrize("signals", [[], [signal.SIGTERM]], ids=["serving", "draining"])
def test_giving_up_tells_the_clients_at_once(signals):
    # The second death of a worker within the budget's window is one too many.
    with Server("--fault-injection", "worker:throw@step=300,every=1", "--restart-budget", "1", "--drain-timeout",
                "50s") as server:
        streams = [server.stream(400) for _ in range(2)]
        for sent in signals:
            server.process.send_signal(sent)
        started = time.monotonic()
        for stream in streams:
            told = events(stream)
            assert "no worker" in json.loads(told[-2])["error"]["message"]
            assert told[-1] == "[DONE]"
        assert server.process.wait(timeout=30) == 1
        assert time.monotonic() - started < 20


def test_the_end_of_the_drain_timeout_tells_the_clients():
    with Server("--drain-timeout", "1ms") as server:
        streams = [server.stream(400) for _ in range(8)]
        server.process.send_signal(signal.SIGTERM)
        cut = [told for told in map(events, streams) if "error" in json.loads(told[-2])]
        assert cut
        for told in cut:
            assert "--drain-timeout" in json.loads(told[-2])["error"]["message"]
            assert told[-1] == "[DONE]"
        assert server.process.wait(timeout=30) == 1


def test_draining_finishes_what_runs():
    with Server() as server:
        stream = server.stream(400)
        server.process.send_signal(signal.SIGTERM)
        told = events(stream)
        assert told[-1] == "[DONE]"
        assert json.loads(told[-2])["choices"][0]["finish_reason"] == "length"
        assert server.process.wait(timeout=30) == 0
