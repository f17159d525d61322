"""Starts the server under test for the client tests.

TROUPE_BIN     the program (default build/release/troupe); `serve --port N` is added
TROUPE_SERVER  a whole command instead, to which only --port N is added (tests/net/fake_server)
TROUPE_URL     a server that runs already, "http://127.0.0.1:8000": nothing is started
"""
import os
import pathlib
import shlex
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import httpx2 as httpx  # what the official client stands on

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
READY_SECONDS = 120


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def program():
    return os.environ.get("TROUPE_BIN", str(ROOT / "build/release/troupe"))


def serve_knows(flag):
    """Whether the server that will be started is `troupe serve`, and has that flag."""
    if not TroupeServer.starts_troupe():
        return False
    return flag in subprocess.run([program(), "serve", "--help"], capture_output=True, text=True).stdout


class TroupeServer:
    """A running server: `host`, `port`, `url`. Use as a context manager."""

    @staticmethod
    def starts_troupe():
        """Whether it is `troupe serve` that is started, so that its flags are known."""
        return not os.environ.get("TROUPE_URL") and not os.environ.get("TROUPE_SERVER")

    def __init__(self, *arguments):
        self.process = None
        self.host = "127.0.0.1"
        given = os.environ.get("TROUPE_URL")
        if given:
            self.host, port = given.removeprefix("http://").rstrip("/").rsplit(":", 1)
            self.port = int(port)
        else:
            self.port = free_port()
            command = shlex.split(os.environ.get("TROUPE_SERVER", ""))
            if not command:
                command = [program(), "serve"]
            self.process = subprocess.Popen([*command, "--port", str(self.port), *arguments])
        self.url = f"http://{self.host}:{self.port}"

    def __enter__(self):
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                urllib.request.urlopen(self.url + "/ready", timeout=5).close()
                return self
            except (urllib.error.URLError, OSError) as error:
                if self.process is not None and self.process.poll() is not None:
                    raise RuntimeError(f"the server ended with {self.process.returncode}") from error
                if time.monotonic() > deadline:
                    self.stop()
                    raise RuntimeError(f"the server was not ready within {READY_SECONDS} s") from error
                time.sleep(0.05)

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Serving:
    """`troupe serve` of a tiny model with these flags, until the block ends; `http` is an httpx client that reaches it."""

    def __init__(self, http, *flags):
        command = [os.environ.get("TROUPE_BIN", str(ROOT / "build/release/troupe")), "serve", "--model",
                   str(ROOT / "tests/data/stories260k"), *flags]
        self.process = subprocess.Popen(command)
        self.http = http

    def __enter__(self):
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                if self.http.get("/ready").status_code == 200:
                    return self
            except httpx.TransportError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not get ready ({self.process.poll()})")
            time.sleep(0.02)

    def __exit__(self, *_):
        self.http.close()
        self.process.terminate()
        self.process.wait(timeout=60)


class CuttingProxy:
    """Passes TCP connections on to a server until cut() breaks them all; new ones work again after that."""

    def __init__(self, host, port):
        self.target = (host, port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.pairs = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.cut()

    def cut(self):
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for side in pair:
                try:
                    side.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(self.target)
            self.pairs.append((near, far))
            threading.Thread(target=self._pump, args=(near, far), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near), daemon=True).start()

    @staticmethod
    def _pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for side in (source, sink):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
