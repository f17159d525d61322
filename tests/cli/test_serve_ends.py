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
    def __init__(self, *flags, **options):
        self.process = subprocess.Popen([TROUPE, "serve", "--model", MODEL, "--port", "0", *flags],
                                        stderr=subprocess.PIPE, text=True, **options)
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
    # The requests go on after each death, so they are not to blame, and the third is one too many.
    with Server("--fault-injection", "worker:throw@step=300,every=20", "--restart-budget", "1", "--drain-timeout",
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


def test_a_hangup_is_no_end_without_a_terminal():
    with Server(start_new_session=True) as server:
        server.process.send_signal(signal.SIGHUP)
        assert any("read anew" in line for line in server.process.stderr)
        stream = server.stream(10)
        assert events(stream)[-1] == "[DONE]"
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) == 0


@pytest.mark.parametrize("ignored", [False, True], ids=["hangup", "nohup"])
def test_a_hangup_ends_a_server_with_its_terminal(ignored):
    # A session of its own with a terminal of its own, which then goes away.
    child, terminal = os.forkpty()
    if child == 0:
        if ignored:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.execv(TROUPE, [TROUPE, "serve", "--model", MODEL, "--port", "0", "--access-log", "off"])
    said = b""
    while b"ready after" not in said:
        said += os.read(terminal, 4096)
    os.kill(child, signal.SIGHUP)
    if ignored:
        while b"read anew" not in said:
            said += os.read(terminal, 4096)
        os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
    assert (b"SIGHUP" in said) == ignored


def test_draining_finishes_what_runs():
    with Server() as server:
        stream = server.stream(400)
        server.process.send_signal(signal.SIGTERM)
        told = events(stream)
        assert told[-1] == "[DONE]"
        assert json.loads(told[-2])["choices"][0]["finish_reason"] == "length"
        assert server.process.wait(timeout=30) == 0
