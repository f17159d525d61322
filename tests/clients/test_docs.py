#!/usr/bin/env python3
"""Runs the documentation's examples against a real server: shell, Python and JavaScript blocks, each by itself.
A block behind a line "<!-- not run: why -->" is left out."""
import re
import shutil
import subprocess
import sys
import time
import unittest

from browser import Browser, find_browser
from server import ROOT, TroupeServer

DOCUMENTS = ("README.md", "docs/quickstart.md", "docs/api.md", "docs/websocket.md")
WRITTEN_FOR = "127.0.0.1:8000"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 120


def blocks(language):
    """(where it stands, text) of each block in that language."""
    for name in DOCUMENTS:
        text = (ROOT / name).read_text()
        for match in FENCE.finditer(text):
            before = text[:match.start()].rstrip().rsplit("\n", 1)[-1]
            if match.group(1) == language and not before.startswith("<!-- not run:"):
                yield f"{name}:{text.count(chr(10), 0, match.start()) + 1}", match.group(2)


class TestDocuments(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = TroupeServer().__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def here(self, text):
        return text.replace(WRITTEN_FOR, f"{self.server.host}:{self.server.port}")

    def run_block(self, command, text):
        return subprocess.run([*command, self.here(text)], capture_output=True, text=True, timeout=SECONDS, cwd=ROOT)

    @unittest.skipUnless(shutil.which("curl"), "no curl here")
    def test_shell(self):
        for where, text in blocks("sh"):
            with self.subTest(where):
                done = self.run_block(["bash", "-euo", "pipefail", "-c"], text)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertNotIn('{"error":', done.stdout)

    def test_python(self):
        for where, text in blocks("python"):
            with self.subTest(where):
                done = self.run_block([sys.executable, "-c"], text)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertTrue(done.stdout.strip())

    @unittest.skipUnless(find_browser(), "no Chromium here (Debian's package chromium, or TROUPE_BROWSER)")
    def test_javascript(self):
        with Browser(find_browser()) as browser:
            for where, text in blocks("js"):
                with self.subTest(where):
                    # A page of the server's own: a browser keeps others from an address of this machine.
                    browser.open(f"http://{self.server.host}:{self.server.port}/health")
                    browser.evaluate("{document.body.textContent = '';" + self.here(text) + "}")
                    deadline = time.monotonic() + SECONDS
                    while not (said := browser.evaluate("document.body.innerText")):
                        self.assertLess(time.monotonic(), deadline)
                        time.sleep(0.05)
                    self.assertNotIn("must", said)  # as errors say

    def test_links_lead_somewhere(self):
        for name in ("README.md", *(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))):
            for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text()):
                self.assertTrue(((ROOT / name).parent / target).exists(), f"{name} links to {target}")


if __name__ == "__main__":
    unittest.main()
