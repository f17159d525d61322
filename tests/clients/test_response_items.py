#!/usr/bin/env python3
"""What a response is made of (reasoning, messages, calls of functions, log probabilities) as the official `openai` client
reads it. The model is a fake one that says the same always (tests/net/fake_server); log probabilities are a real one's."""
import json
import os
import pathlib
import unittest
from unittest import mock

import openai
from server import TroupeServer, program

FAKE = pathlib.Path(program()).parent / "fake_server"
SAID = 'The weather: I must ask.\n</think>\n\nOne moment.\n<tool_call>\n{"name": "weather", "arguments": {"city": "Ulm"}}\n</tool_call>'
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": False}
LOGPROBS = ["message.output_text.logprobs"]


@unittest.skipUnless(TroupeServer.starts_troupe() and FAKE.exists(), "needs the fake_server that is built beside it")
class TestItems(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with mock.patch.dict(os.environ, {"TROUPE_SERVER": str(FAKE)}):
            cls.server = TroupeServer("--say", SAID).__enter__()
        cls.client = openai.OpenAI(base_url=cls.server.url + "/v1", api_key="none", max_retries=0, timeout=60)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.stop()

    def check(self, response):
        reasoning, message, call = response.output
        self.assertEqual(reasoning.content[0].text, "The weather: I must ask.")
        self.assertEqual(message.content[0].text, "One moment.")
        self.assertEqual(response.output_text, "One moment.")
        self.assertEqual((call.type, call.name, json.loads(call.arguments)), ("function_call", "weather", {"city": "Ulm"}))
        self.assertEqual({item.status for item in response.output}, {"completed"})
        tokens = response.usage.output_tokens_details.reasoning_tokens
        self.assertTrue(0 < tokens < response.usage.output_tokens)

    def test_whole(self):
        response = self.client.responses.create(model="fake", input="Rain?", tools=[TOOL])
        self.check(response)
        self.assertEqual(self.client.responses.retrieve(response.id), response)

    def test_the_answer_of_a_function_continues(self):
        first = self.client.responses.create(model="fake", input="Rain?", tools=[TOOL])
        output = {"type": "function_call_output", "call_id": first.output[-1].call_id, "output": "dry"}
        self.check(self.client.responses.create(model="fake", previous_response_id=first.id, input=[output], tools=[TOOL]))
        # Or the client keeps the conversation and sends all of it.
        items = [{"role": "user", "content": "Rain?"}, *first.output, output]
        self.check(self.client.responses.create(model="fake", input=items, tools=[TOOL], store=False))

    def follow(self, events):
        """Checks the events against the response that they end with."""
        texts, added, done, number = {}, {}, {}, -1
        for event in events:
            self.assertGreater(event.sequence_number, number)
            number = event.sequence_number
            if event.type.endswith(".delta"):
                texts[event.item_id] = texts.get(event.item_id, "") + event.delta
            elif event.type in ("response.output_text.done", "response.reasoning_text.done"):
                self.assertEqual(event.text, texts[event.item_id])
            elif event.type == "response.function_call_arguments.done":
                self.assertEqual(event.arguments, texts[event.item_id])
            elif event.type == "response.output_item.added":
                added[event.output_index] = event.item.id
            elif event.type == "response.output_item.done":
                done[event.output_index] = event.item
            elif event.type == "response.completed":
                self.assertEqual([(item.id, item.type, item.status) for item in done.values()],
                                 [(item.id, item.type, item.status) for item in event.response.output])
                self.assertEqual(list(added.values()), [item.id for item in event.response.output])
                return event.response
        self.fail("no end")

    def test_streamed(self):
        self.check(self.follow(self.client.responses.create(model="fake", input="Rain?", tools=[TOOL], stream=True)))

    def test_with_the_stream_helper(self):
        with self.client.responses.stream(model="fake", input="Rain?", tools=[TOOL]) as stream:
            self.follow(stream)
            self.check(stream.get_final_response())

    def test_over_a_websocket(self):
        with self.client.responses.connect() as connection:
            connection.response.create(model="fake", input="Rain?", tools=[TOOL])
            first = self.follow(connection)
            self.check(first)
            output = {"type": "function_call_output", "call_id": first.output[-1].call_id, "output": "dry"}
            connection.response.create(model="fake", previous_response_id=first.id, input=[output], tools=[TOOL])
            self.check(self.follow(connection))

    def test_chat_counts_reasoning(self):
        answer = self.client.chat.completions.create(model="fake", messages=[{"role": "user", "content": "Rain?"}])
        self.assertTrue(0 < answer.usage.completion_tokens_details.reasoning_tokens < answer.usage.completion_tokens)


@unittest.skipUnless(TroupeServer.starts_troupe(), "needs `troupe serve`")
class TestLogprobs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = TroupeServer().__enter__()
        cls.client = openai.OpenAI(base_url=cls.server.url + "/v1", api_key="none", max_retries=0, timeout=60)
        cls.model = cls.client.models.list().data[0].id

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.stop()

    def respond(self, **more):
        return self.client.responses.create(model=self.model, input="Tell me about the sea.", temperature=0,
                                            max_output_tokens=24, include=LOGPROBS, top_logprobs=3, **more)

    def test_whole_fetched_and_streamed(self):
        whole = self.respond()
        part = whole.output[0].content[0]
        self.assertEqual(bytes(b for one in part.logprobs for b in one.bytes).decode(errors="replace"), part.text)
        for one in part.logprobs:
            self.assertEqual(len(one.top_logprobs), 3)
            self.assertEqual(one.logprob, max(top.logprob for top in one.top_logprobs))  # it was greedy
        self.assertEqual(self.client.responses.retrieve(whole.id).output[0].content, whole.output[0].content)
        streamed = [one for event in self.respond(stream=True) if event.type == "response.output_text.delta"
                    for one in event.logprobs]
        self.assertEqual([(one.token, one.logprob) for one in streamed],
                         [(one.token, one.logprob) for one in part.logprobs])
        answer = self.client.chat.completions.create(
            model=self.model, messages=[{"role": "user", "content": "Tell me about the sea."}], temperature=0,
            max_tokens=24, logprobs=True, top_logprobs=3)
        self.assertEqual([one.logprob for one in part.logprobs],
                         [one.logprob for one in answer.choices[0].logprobs.content])
        self.assertEqual(whole.usage.output_tokens_details.reasoning_tokens, 0)

    def test_what_is_refused(self):
        for field, more in {"top_logprobs": {"top_logprobs": 2}, "include": {"include": ["reasoning.encrypted_content"]}}.items():
            with self.assertRaises(openai.BadRequestError) as caught:
                self.client.responses.create(model=self.model, input="x", **more)
            self.assertEqual(caught.exception.param, field)


if __name__ == "__main__":
    unittest.main()
