#!/usr/bin/env python3
"""Several models in one server, through the official `openai` client: the default model and tests/data/stories260k."""
import concurrent.futures
import json
import os
import pathlib
import unittest
import urllib.error
import urllib.request

import openai
from server import ROOT, TroupeServer

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
DEFAULT = CACHE / "troupe/models/SmolLM2-135M-Instruct.Q4_1.gguf"
STORIES = ROOT / "tests/data/stories260k"
MODELS = [f"--model=small={STORIES}", f"--model=org/large={DEFAULT}"]
PROMPT = "Once upon a time"


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def client_of(server):
    return openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0, timeout=120)


def complete(client, model, tokens=16, **more):
    return client.completions.create(model=model, prompt=PROMPT, max_tokens=tokens, temperature=0,
                                     extra_body={"ignore_eos": True}, **more)


@unittest.skipUnless(TroupeServer.starts_troupe(), "needs `troupe serve`")
@unittest.skipUnless(DEFAULT.exists(), "needs the default model: scripts/fetch-model")
class TestSeveralModels(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = TroupeServer(*MODELS).__enter__()
        cls.client = client_of(cls.server)
        cls.alone = {}
        for name, path in (("small", STORIES), ("org/large", DEFAULT)):
            with TroupeServer("--model", str(path)) as one, client_of(one) as client:
                cls.alone[name] = complete(client, client.models.list().data[0].id).choices[0].text

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.stop()

    def test_all_are_listed(self):
        models = {model.id: model for model in self.client.models.list().data}
        self.assertEqual(list(models), ["small", "org/large"])
        self.assertEqual(models["small"].root, str(STORIES))
        self.assertEqual(models["org/large"].root, str(DEFAULT))
        self.assertEqual(models["small"].max_model_len, 512)
        self.assertGreater(models["org/large"].max_model_len, 512)
        self.assertEqual(self.client.models.retrieve("org/large").id, "org/large")

    def test_each_answers_as_it_does_alone_also_at_the_same_time(self):
        names = ["small", "org/large"] * 6
        with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
            answers = list(pool.map(lambda name: complete(self.client, name), names))
        for name, answer in zip(names, answers):
            self.assertEqual(answer.model, name)
            self.assertEqual(answer.choices[0].text, self.alone[name])
        self.assertNotEqual(self.alone["small"], self.alone["org/large"])

    def test_others_are_not_found(self):
        for name in ("medium", ""):
            with self.assertRaises(openai.NotFoundError) as caught:
                complete(self.client, name)
            self.assertEqual(caught.exception.code, "model_not_found")
            self.assertIn("small, org/large", str(caught.exception))

    def test_responses_across_models(self):
        first = self.client.responses.create(model="org/large", input="Tell me about the sea.", max_output_tokens=8)
        self.assertEqual(self.client.responses.retrieve(first.id).output_text, first.output_text)
        second = self.client.responses.create(model="org/large", input="Go on.", previous_response_id=first.id,
                                              max_output_tokens=8)
        self.assertGreater(second.usage.input_tokens, first.usage.input_tokens)

    def test_tokens_are_those_of_the_model(self):
        counts = {}
        for name in ("small", "org/large"):
            body = json.dumps({"model": name, "prompt": PROMPT}).encode()
            request = urllib.request.Request(self.server.url + "/tokenize", body, {"Content-Type": "application/json"})
            tokens = json.load(urllib.request.urlopen(request))["tokens"]
            body = json.dumps({"model": name, "tokens": tokens}).encode()
            request = urllib.request.Request(self.server.url + "/detokenize", body,
                                             {"Content-Type": "application/json"})
            self.assertIn(PROMPT, json.load(urllib.request.urlopen(request))["prompt"])
            counts[name] = tokens
        self.assertNotEqual(counts["small"], counts["org/large"])

    def test_metrics_are_labelled(self):
        complete(self.client, "small")
        text = get(self.server.url + "/metrics")[1]
        for name in ("small", "org/large"):
            self.assertIn(f'troupe:num_requests_running{{model_name="{name}"}} 0', text)
        self.assertEqual(text.count("# TYPE troupe:generation_tokens_total counter"), 1)

    def test_names_and_sizes_of_their_own(self):
        flags = ["--served-model-name", "small=gpt-4o,org/large=org/other", "--served-model-name", "small=tiny",
                 "--max-model-len", "small=100", "--kv-memory", "64MiB,small=1MiB"]
        with TroupeServer(*MODELS, *flags) as server, client_of(server) as client:
            models = {model.id: model for model in client.models.list().data}
            self.assertEqual(list(models), ["small", "gpt-4o", "tiny", "org/large", "org/other"])
            self.assertEqual(models["tiny"].root, str(STORIES))
            self.assertEqual(models["tiny"].max_model_len, 100)
            self.assertEqual(client.models.retrieve("org/other").id, "org/other")
            answer = complete(client, "gpt-4o")
            self.assertEqual(answer.model, "small")
            self.assertEqual(answer.choices[0].text, self.alone["small"])
            self.assertEqual(complete(client, "org/other").choices[0].text, self.alone["org/large"])
            with self.assertRaises(openai.BadRequestError):
                complete(client, "tiny", tokens=100)

    def test_one_that_fails_leaves_the_other_alone(self):
        with TroupeServer(*MODELS, "--restart-budget", "0", "--fault-injection",
                          "worker:throw@step=3,every=8,model=small") as server, client_of(server) as client:
            with concurrent.futures.ThreadPoolExecutor() as pool:
                other = pool.submit(complete, client, "org/large")
                with self.assertRaises(openai.InternalServerError) as caught:
                    complete(client, "small")
                self.assertEqual(caught.exception.status_code, 503)
                self.assertIn("no worker", str(caught.exception))
                self.assertEqual(other.result().choices[0].text, self.alone["org/large"])
            with self.assertRaises(openai.InternalServerError) as caught:
                complete(client, "small")
            self.assertEqual(caught.exception.status_code, 503)
            status, body = get(server.url + "/ready")
            self.assertEqual(status, 200)
            self.assertIn("small has no worker any more", body)
            self.assertEqual(get(server.url + "/health")[0], 200)
            self.assertEqual(complete(client, "org/large").choices[0].text, self.alone["org/large"])

    def test_a_worker_that_dies_is_only_its_own_models_pause(self):
        with TroupeServer(*MODELS, "--fault-injection", "worker:throw@step=5,model=small") as server:
            with client_of(server) as client:
                for name in ("small", "org/large"):
                    self.assertEqual(complete(client, name).choices[0].text, self.alone[name])
            text = get(server.url + "/metrics")[1]
        self.assertIn('troupe:worker_restarts_total{model_name="small"} 1', text)
        self.assertIn('troupe:worker_restarts_total{model_name="org/large"} 0', text)


if __name__ == "__main__":
    unittest.main()
