#!/usr/bin/env python3
"""Prefixes shared between requests, seen by the official `openai` client: what is said to be cached, who shares with
whom, and that no answer changes by it (see server.py for how the server is found)."""
import concurrent.futures
import pathlib
import tempfile
import unittest

import openai
from server import TroupeServer

SYSTEM = "You are the keeper of a lighthouse. " * 12
QUESTIONS = ["What do you see?", "Who is coming?", "How is the weather today?", "What did you eat?"]
TOKENS = 12


@unittest.skipUnless(TroupeServer.starts_troupe(), "needs `troupe serve`")
class TestPrefixCaching(unittest.TestCase):
    flags = ()

    @classmethod
    def setUpClass(cls):
        directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        keys = pathlib.Path(directory) / "keys"
        keys.write_text("key-a name=a tenant=one\nkey-b name=b tenant=one\nkey-c name=c tenant=two\n")
        cls.server = cls.enterClassContext(TroupeServer("--api-key-file", str(keys), *cls.flags))

    def setUp(self):
        self.client = self.client_of("key-a")
        self.model = self.client.models.list().data[0].id

    def client_of(self, key):
        client = openai.OpenAI(base_url=self.server.url + "/v1", api_key=key, max_retries=0, timeout=120)
        self.addCleanup(client.close)
        return client

    def complete(self, prompt, client=None, salt=None, **more):
        return (client or self.client).completions.create(
            model=self.model, prompt=prompt, max_tokens=TOKENS, temperature=0, logprobs=2,
            extra_body={"ignore_eos": True, "cache_salt": salt}, **more)

    @staticmethod
    def cached(answer):
        return answer.usage.prompt_tokens_details.cached_tokens

    @staticmethod
    def said(answer):
        return [(c.text, c.logprobs.tokens, c.logprobs.token_logprobs, c.logprobs.top_logprobs) for c in answer.choices]


class TestSharing(TestPrefixCaching):
    def test_a_repeated_prompt_is_cached_and_its_answer_the_same(self):
        first, second = self.complete("One. " + SYSTEM), self.complete("One. " + SYSTEM)
        self.assertEqual(self.cached(first), 0)
        self.assertGreater(self.cached(second), second.usage.prompt_tokens - 17)
        self.assertLess(self.cached(second), second.usage.prompt_tokens)
        self.assertEqual(self.said(first), self.said(second))

    def test_streams_say_it(self):
        self.complete("Two. " + SYSTEM)
        chunks = list(self.complete("Two. " + SYSTEM, stream=True, stream_options={"include_usage": True}))
        self.assertGreater(self.cached(chunks[-1]), 50)

    def test_tenants_and_salts(self):
        prompt = "Three. " + SYSTEM
        self.complete(prompt)
        self.assertGreater(self.cached(self.complete(prompt, self.client_of("key-b"))), 50)
        other = self.client_of("key-c")
        self.assertEqual(self.cached(self.complete(prompt, other)), 0)
        self.assertGreater(self.cached(self.complete(prompt, other)), 50)
        self.assertEqual(self.cached(self.complete(prompt, salt="s")), 0)
        self.assertGreater(self.cached(self.complete(prompt, salt="s")), 50)
        self.assertEqual(self.cached(self.complete(prompt, other, salt="s")), 0)
        with self.assertRaises(openai.BadRequestError) as caught:
            self.complete(prompt, salt=5)
        self.assertEqual(caught.exception.param, "cache_salt")

    def test_choices_take_from_each_other_what_was_not_cached_before(self):
        prompt = "Four. " + SYSTEM
        first = self.complete(prompt, n=4)
        self.assertEqual(self.cached(first), 0)
        self.assertEqual(len({str(said) for said in self.said(first)}), 1)  # greedy: all the same
        again = self.complete(prompt, n=4)
        self.assertGreater(self.cached(again), 50)
        self.assertEqual(self.said(again), self.said(first))

    def test_conversations(self):
        def ask(messages):
            answer = self.client.chat.completions.create(model=self.model, messages=messages, temperature=0,
                                                         max_completion_tokens=40)
            return answer, messages + [{"role": "assistant", "content": answer.choices[0].message.content}]

        first, messages = ask([{"role": "system", "content": "Five. " + SYSTEM}, {"role": "user", "content": "Hello!"}])
        self.assertEqual(self.cached(first), 0)
        second, messages = ask(messages + [{"role": "user", "content": "And then?"}])
        self.assertGreater(self.cached(second), first.usage.prompt_tokens - 17)
        third, _ = ask(messages + [{"role": "user", "content": "And then?"}])
        self.assertGreater(self.cached(third), self.cached(second))

    def test_responses(self):
        def respond(**more):
            return self.client.responses.create(model=self.model, instructions="Six. " + SYSTEM, max_output_tokens=TOKENS,
                                                temperature=0, **more)

        first = respond(input="Hello!")
        self.assertEqual(first.usage.input_tokens_details.cached_tokens, 0)
        second = respond(input="And then?", previous_response_id=first.id)
        self.assertGreater(second.usage.input_tokens_details.cached_tokens, 50)
        self.assertEqual(self.client.responses.retrieve(second.id).usage.input_tokens_details.cached_tokens,
                         second.usage.input_tokens_details.cached_tokens)
        salted = respond(input="Hello!", extra_body={"cache_salt": "s"})
        self.assertEqual(salted.usage.input_tokens_details.cached_tokens, 0)

    def test_scored_prompts_take_nothing_and_are_scored_alike(self):
        def score():
            return self.client.completions.create(model=self.model, prompt="Seven. " + SYSTEM, max_tokens=1, echo=True,
                                                  logprobs=1, temperature=0)

        first, second = score(), score()
        self.assertEqual(self.cached(second), 0)
        self.assertEqual(self.said(first), self.said(second))
        self.assertGreater(self.cached(self.complete("Seven. " + SYSTEM)), 50)  # others may take what they computed

    def test_metrics(self):
        def counts():
            text = self.client.with_options(base_url=self.server.url).get("/metrics", cast_to=str)
            return {line.split("{")[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                    if line.startswith(("troupe:prefix_cache", "troupe:kv_cache"))}

        self.complete("Eight. " + SYSTEM)
        before = counts()
        cached = self.cached(self.complete("Eight. " + SYSTEM))
        after = counts()
        self.assertEqual(after["troupe:prefix_cache_hits_total"] - before["troupe:prefix_cache_hits_total"], cached)
        self.assertGreater(after["troupe:prefix_cache_queries_total"], before["troupe:prefix_cache_queries_total"])
        self.assertGreater(after["troupe:prefix_cache_blocks"], 0)
        self.assertEqual(after["troupe:kv_cache_usage_perc"], 0)


class TestFewBlocks(TestPrefixCaching):
    """Just room for the longest sequence: prefixes are forgotten, sequences preempted, and no answer changes."""
    flags = ("--kv-blocks", "14", "--max-model-len", "224", "--max-num-seqs", "8")

    def test_many_at_once_answer_as_each_alone(self):
        prompts = [SYSTEM + question for question in QUESTIONS]
        alone = [self.said(self.complete(prompt, salt=str(i))) for i, prompt in enumerate(prompts)]
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            together = [self.said(answer) for answer in pool.map(self.complete, prompts * 6)]
        self.assertEqual(together, alone * 6)


class TestWithout(TestPrefixCaching):
    flags = ("--no-prefix-caching",)

    def test_nothing_is_shared_between_requests(self):
        first, second = self.complete(SYSTEM), self.complete(SYSTEM)
        self.assertEqual((self.cached(first), self.cached(second)), (0, 0))
        self.assertEqual(self.said(first), self.said(second))
        self.assertEqual(self.said(self.complete(SYSTEM, n=3)), 3 * self.said(first))


del TestPrefixCaching  # a base class only

if __name__ == "__main__":
    unittest.main()
