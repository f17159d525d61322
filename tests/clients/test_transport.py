#!/usr/bin/env python3
"""The official `openai` client over HTTPS with a certificate of a private authority, and over a Unix socket."""
import os
import pathlib
import ssl
import sys
import tempfile
import unittest

import httpx2 as httpx  # what the official client stands on
import openai
import trustme
from server import Serving, TroupeServer, free_port

PROMPT = {"prompt": "Once upon a time", "max_tokens": 12, "temperature": 0}


def completion_texts(client):
    """The same completion whole and streamed."""
    model = client.models.list().data[0].id
    whole = client.completions.create(model=model, **PROMPT).choices[0].text
    chunks = client.completions.create(model=model, stream=True, **PROMPT)
    return whole, "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)


@unittest.skipUnless(TroupeServer.starts_troupe(), "needs `troupe serve`")
class TestTransport(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_https_and_wss(self):
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        certfile, keyfile = self.folder / "chain.pem", self.folder / "key.pem"
        certfile.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(keyfile)
        context = ssl.create_default_context()
        authority.configure_trust(context)
        port = free_port()
        url = f"https://127.0.0.1:{port}"
        http = httpx.Client(verify=context, base_url=url)
        with Serving(http, "--port", str(port), "--ssl-certfile", str(certfile), "--ssl-keyfile", str(keyfile),
                     "--api-key", "secret"):
            client = openai.OpenAI(base_url=url + "/v1", api_key="secret", max_retries=0,
                                   http_client=httpx.Client(verify=context))
            with client:
                whole, streamed = completion_texts(client)
                self.assertTrue(whole)
                self.assertEqual(whole, streamed)
                with client.responses.connect(websocket_connection_options={"ssl": context}) as socket:
                    # The tiny model has no chat template: that it is said so shows that both directions work.
                    socket.response.create(input="Hello", max_output_tokens=8)
                    event = next(iter(socket))
                    self.assertEqual(event.type, "error")
                    self.assertIn("template", event.error.message)
            with self.assertRaises(httpx.ConnectError):  # an authority that the client does not know
                httpx.get(url + "/health")

    def test_unix_socket(self):
        path = str(self.folder / "troupe.sock")
        transport = httpx.HTTPTransport(uds=path)
        with Serving(httpx.Client(transport=httpx.HTTPTransport(uds=path), base_url="http://troupe"), "--uds", path):
            with openai.OpenAI(base_url="http://troupe/v1", api_key="none", max_retries=0,
                               http_client=httpx.Client(transport=transport)) as client:
                whole, streamed = completion_texts(client)
                self.assertTrue(whole)
                self.assertEqual(whole, streamed)
        self.assertFalse(os.path.exists(path))


if __name__ == "__main__":
    sys.exit(unittest.main())
