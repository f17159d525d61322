#!/usr/bin/env python3
"""A browser holds a conversation with a real server through the documentation's page (docs/examples/chat.html), which
comes from another origin."""
import functools
import http.server
import json
import threading
import unittest

import openai
from browser import Browser, find_browser
from server import ROOT, TroupeServer, serve_knows

QUESTIONS = ("What is the sea?", "And the sky? ünïcode 🌊")
SETTINGS = {"temperature": 0, "max_output_tokens": 24, "ignore_eos": True}


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@unittest.skipUnless(find_browser(), "no Chromium here (Debian's package chromium, or TROUPE_BROWSER)")
class TestBrowser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.files = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(QuietFiles, directory=ROOT / "docs/examples"))
        threading.Thread(target=cls.files.serve_forever, daemon=True).start()
        cls.origin = f"http://127.0.0.1:{cls.files.server_port}"
        cls.cors = serve_knows("--cors-origin")
        cls.server = TroupeServer(*(["--cors-origin", cls.origin] if cls.cors else [])).__enter__()
        cls.browser = Browser(find_browser()).__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.browser.__exit__()
        cls.server.stop()
        cls.files.shutdown()
        cls.files.server_close()

    def expected(self):
        """The same conversation through the official client."""
        answers, previous = [], None
        with openai.OpenAI(base_url=self.server.url + "/v1", api_key="none", max_retries=0) as client:
            model = client.models.list().data[0].id
            for question in QUESTIONS:
                response = client.responses.create(
                    model=model, input=question, previous_response_id=previous, temperature=0,
                    max_output_tokens=SETTINGS["max_output_tokens"], extra_body={"ignore_eos": True})
                previous = response.id
                answers.append(response.output_text)
        return answers

    def converse(self, transport):
        self.browser.open(self.origin + "/chat.html")
        self.browser.evaluate(f"open({json.dumps(self.server.url)}, {json.dumps(transport)})")
        answers = [self.browser.evaluate(f"ask({json.dumps(question)}, {json.dumps(SETTINGS)})")
                   for question in QUESTIONS]
        self.assertEqual(answers, self.expected())
        shown = self.browser.evaluate("[...document.querySelectorAll('.assistant')].map((line) => line.textContent)")
        self.assertEqual(shown, answers, "the pieces that were streamed are the whole answers")
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('.error').length"), 0)

    def test_a_conversation_over_a_websocket(self):
        self.converse("websocket")

    def test_a_conversation_over_http(self):
        if not self.cors:
            self.skipTest("this server has no --cors-origin")
        self.converse("http")

    def test_an_error_is_shown(self):
        self.browser.open(self.origin + "/chat.html")
        self.browser.evaluate(f"open({json.dumps(self.server.url)}, 'websocket')")
        with self.assertRaisesRegex(RuntimeError, "temperature"):
            self.browser.evaluate("ask('x', {temperature: 9})")
        self.assertIn("temperature", self.browser.evaluate("document.querySelector('.error').textContent"))


if __name__ == "__main__":
    unittest.main()
