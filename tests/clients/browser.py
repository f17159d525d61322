"""A headless Chromium that shows one page, driven through its debugging protocol."""
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request

from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_browser():
    """The path of a Chromium, from TROUPE_BROWSER or the usual names; None if there is none."""
    given = os.environ.get("TROUPE_BROWSER")
    return given or next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """A page: open(url), then evaluate(javascript). Use as a context manager."""

    def __init__(self, path):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.process = subprocess.Popen(
            [path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--remote-debugging-port=0", "--user-data-dir=" + self.profile.name, "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.number = 0

    def __enter__(self):
        try:
            self.connection = connect(self._page(), max_size=None, open_timeout=60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.profile.cleanup()

    def open(self, url):
        self.evaluate("window.left = true")  # else the page before passes for the new one where both have one address
        self._call("Page.navigate", url=url)
        deadline = time.monotonic() + 60
        while self.evaluate("window.left ? '' : document.readyState + location.href") != "complete" + url:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{url} was not loaded")
            time.sleep(0.05)

    def evaluate(self, expression):
        """The value of a JavaScript expression, awaited if it is a promise; what it throws is raised."""
        result = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"].get("description"))
        return result["result"].get("value")

    def _page(self):
        """The debugging address of the one page."""
        chosen = os.path.join(self.profile.name, "DevToolsActivePort")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the browser ended with {self.process.returncode}")
            try:
                with open(chosen) as file:
                    port = int(file.readline())
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=10) as answer:
                    pages = [page for page in json.load(answer) if page["type"] == "page"]
                return pages[0]["webSocketDebuggerUrl"]
            except (OSError, ValueError, IndexError):
                time.sleep(0.05)
        raise TimeoutError("the browser did not start")

    def _call(self, method, **parameters):
        self.number += 1
        self.connection.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.connection.recv(timeout=120))
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(message["error"]["message"])
                return message["result"]
