#!/usr/bin/env python3
"""The official `openai` client against a real server process (see server.py for how it is found).

    pip install -r tests/clients/requirements.txt
    TROUPE_BIN=build/release/troupe python3 tests/clients/test_openai.py
"""
import concurrent.futures
import os
import time
import unittest
import urllib.request

import openai
from openai.types.responses import Response
from server import CuttingProxy, TroupeServer

PROMPT = "The sea was calm and the ship"
QUESTION = "Tell me about the sea."
# Of different lengths, so that swapped or shifted streams show.
QUESTIONS = [QUESTION, "Why?", "Count to ten.", "Name three colours and say what each of them reminds you of.",
             "What is the capital of France, and which river flows through it?", "Write a short poem about rain.",
             "How do I bake bread at home if I have only flour, water, salt, and a very small oven?", "Who was Newton?"]
# Every generation is greedy and of a given length, so that all runs of one prompt have the same text.
TOKENS = 24
LONG = 100  # for streams that are cut in the middle
FULL_LENGTH = {"ignore_eos": True}

server = None


def setUpModule():
    global server
    server = TroupeServer().__enter__()


def tearDownModule():
    server.stop()


class ClientTest(unittest.TestCase):
    def setUp(self):
        self.client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0, timeout=120)
        self.addCleanup(self.client.close)
        self.model = self.client.models.list().data[0].id

    def chat(self, client=None, question=QUESTION, **more):
        fields = {"max_completion_tokens": TOKENS, "extra_body": FULL_LENGTH, **more}
        return (client or self.client).chat.completions.create(
            model=self.model, messages=[{"role": "user", "content": question}], temperature=0, **fields)

    def respond(self, **more):
        fields = {"max_output_tokens": TOKENS, "extra_body": FULL_LENGTH, "input": QUESTION, **more}
        return self.client.responses.create(model=self.model, temperature=0, **fields)


class TestModelsAndErrors(ClientTest):
    def test_models(self):
        self.assertEqual(self.client.models.retrieve(self.model).id, self.model)
        self.assertGreater(self.client.models.list().data[0].max_model_len, 0)

    def test_unknown_model_names_the_served_ones(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client.models.retrieve("no-such-model")
        self.assertIn(self.model, str(caught.exception))

    def test_validation_names_the_field(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(top_p=7)
        self.assertEqual(caught.exception.param, "top_p")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.respond(previous_response_id="resp_0123")
        self.assertEqual(caught.exception.code, "previous_response_not_found")


class TestConversations(ClientTest):
    TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    CALLS = [{"role": "user", "content": "Rain?"},
             {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
             {"role": "tool", "tool_call_id": "c1", "content": "yes"}, {"role": "user", "content": "And now?"}]

    def answer(self, messages, **more):
        extra = {**FULL_LENGTH, **more.pop("extra_body", {})}
        result = self.client.chat.completions.create(
            model=self.model, messages=messages, temperature=0, max_tokens=TOKENS, extra_body=extra, **more)
        return result.choices[0].message.content, result.usage.prompt_tokens

    def test_developer_is_system_and_parts_are_lines(self):
        text = [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief."}]
        parts = [{"role": "developer", "content": text}, {"role": "user", "content": "Why?"}]
        plain = [{"role": "system", "content": "Be\nbrief."}, {"role": "user", "content": "Why?"}]
        self.assertEqual(self.answer(parts), self.answer(plain))

    # The default model's template shows no tools: what is not to be shown is accepted, what would vanish is refused.
    def test_tools_and_their_answers_are_accepted(self):
        content, _ = self.answer(self.CALLS, tools=[self.TOOL], tool_choice="none", extra_body={"chat_template_kwargs": {"enable_thinking": False}})
        self.assertTrue(content)
        tools = [{"type": "function", "name": "f", "parameters": {}, "strict": False}]
        result = self.respond(tools=tools, tool_choice="none", input=[
            {"role": "user", "content": "Rain?"}, {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "yes"}])
        self.assertEqual(result.tools[0].name, "f")
        self.assertTrue(result.output_text)

    def test_what_the_template_does_not_show_is_refused(self):
        if os.environ.get("TROUPE_SERVER"):
            self.skipTest("the fake server's template shows everything")
        for field, more in {"tools": {"tools": [self.TOOL]}, "reasoning_effort": {"reasoning_effort": "low"}}.items():
            with self.assertRaises(openai.BadRequestError) as caught:
                self.answer(self.CALLS, **more)
            self.assertEqual(caught.exception.param, field)
            self.assertIn("chat template", caught.exception.message)

    def test_a_final_message_is_continued(self):
        messages = [{"role": "user", "content": "Count."}, {"role": "assistant", "content": "One, two,"}]
        extra = {"add_generation_prompt": False, "continue_final_message": True}
        _, continued = self.answer(messages, extra_body=extra)
        _, whole = self.answer(messages)
        self.assertLess(continued, whole)

    def test_what_is_not_supported_is_named(self):
        image = [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "data:,"}}]}]
        for field, more in {"messages[0].content[1].type": {"messages": image}, "tool_choice": {"tools": [self.TOOL], "tool_choice": "required"},
                            "chat_template_kwargs.messages": {"extra_body": {"chat_template_kwargs": {"messages": []}}},
                            "response_format": {"response_format": {"type": "json_object"}}}.items():
            with self.assertRaises(openai.BadRequestError) as caught:
                self.answer(**{"messages": self.CALLS, **more})
            self.assertEqual(caught.exception.param, field)


class TestCompletions(ClientTest):
    def complete(self, prompt=PROMPT, **more):
        return self.client.completions.create(
            model=self.model, prompt=prompt, max_tokens=TOKENS, temperature=0, extra_body=FULL_LENGTH, **more)

    def test_whole_and_streamed_are_equal(self):
        whole = self.complete()
        self.assertEqual(whole.choices[0].finish_reason, "length")
        self.assertEqual(whole.usage.completion_tokens, TOKENS)
        chunks = list(self.complete(stream=True, stream_options={"include_usage": True}))
        self.assertEqual("".join(c.choices[0].text for c in chunks if c.choices), whole.choices[0].text)
        self.assertEqual(chunks[-1].usage.completion_tokens, TOKENS)
        self.assertEqual(len({c.id for c in chunks}), 1)

    def test_several_prompts(self):
        alone = self.complete().choices[0].text
        both = self.complete([PROMPT, "One two three"])
        self.assertEqual([c.index for c in both.choices], [0, 1])
        self.assertEqual(both.choices[0].text, alone)
        texts = ["", ""]
        for chunk in self.complete([PROMPT, "One two three"], stream=True):
            texts[chunk.choices[0].index] += chunk.choices[0].text
        self.assertEqual(texts, [c.text for c in both.choices])


    @unittest.skipUnless(TroupeServer.starts_troupe(), "needs `troupe serve`")
    def test_choices_are_repeatable_and_their_own(self):
        def choices():
            answer = self.client.completions.create(model=self.model, prompt=PROMPT, max_tokens=TOKENS, temperature=0.9,
                                                    seed=5, n=3, extra_body=FULL_LENGTH)
            return answer, [c.text for c in answer.choices]

        answer, texts = choices()
        self.assertEqual([c.index for c in answer.choices], [0, 1, 2])
        self.assertEqual(len(set(texts)), 3)
        self.assertEqual(answer.usage.completion_tokens, 3 * TOKENS)
        self.assertLess(answer.usage.prompt_tokens, 20)  # counted once
        self.assertEqual(choices()[1], texts)
        first = self.client.completions.create(model=self.model, prompt=PROMPT, max_tokens=TOKENS, temperature=0.9,
                                               seed=5, extra_body=FULL_LENGTH)
        self.assertEqual(first.choices[0].text, texts[0])
        streamed = ["", "", ""]
        for chunk in self.client.completions.create(model=self.model, prompt=PROMPT, max_tokens=TOKENS, temperature=0.9,
                                                    seed=5, n=3, stream=True, extra_body=FULL_LENGTH):
            streamed[chunk.choices[0].index] += chunk.choices[0].text
        self.assertEqual(streamed, texts)

    @unittest.skipUnless(TroupeServer.starts_troupe(), "needs `troupe serve`")
    def test_logprobs_and_echo(self):
        whole = self.complete(logprobs=3).choices[0]
        self.assertEqual("".join(whole.logprobs.tokens), whole.text)
        self.assertEqual(len(whole.logprobs.tokens), TOKENS)
        for token, offset, logprob, top in zip(whole.logprobs.tokens, whole.logprobs.text_offset,
                                               whole.logprobs.token_logprobs, whole.logprobs.top_logprobs):
            self.assertEqual(whole.text[offset:offset + len(token)], token)
            self.assertEqual(logprob, max(top.values()))  # it was greedy
            self.assertEqual(len(top), 3)
        streamed = [c.choices[0].logprobs for c in self.complete(logprobs=3, stream=True)]
        self.assertEqual([t for l in streamed for t in l.tokens], whole.logprobs.tokens)
        self.assertEqual([p for l in streamed for p in l.token_logprobs], whole.logprobs.token_logprobs)

        # What was generated, scored as a prompt, has the same log probabilities, bit for bit.
        scored = self.client.completions.create(model=self.model, prompt=PROMPT + whole.text, max_tokens=0, echo=True,
                                                logprobs=1).choices[0]
        self.assertEqual(scored.text, PROMPT + whole.text)
        self.assertIsNone(scored.logprobs.token_logprobs[0])
        if scored.logprobs.tokens[-TOKENS:] == whole.logprobs.tokens:  # the text gave the same tokens
            self.assertEqual(scored.logprobs.token_logprobs[-TOKENS:], whole.logprobs.token_logprobs)
        self.assertEqual("".join(scored.logprobs.tokens), scored.text)

    @unittest.skipUnless(TroupeServer.starts_troupe(), "needs `troupe serve`")
    def test_penalties_and_bias(self):
        plain = self.complete(logprobs=0).choices[0]
        self.assertNotEqual(self.complete(frequency_penalty=2, presence_penalty=2).choices[0].text, plain.text)
        forced = self.complete(logit_bias={"30": 100}, logprobs=0).choices[0]
        self.assertEqual(len(set(forced.logprobs.tokens)), 1)
        banned = self.complete(logit_bias={"30": 100, "31": 100, "32": -100}, frequency_penalty=2, logprobs=0)
        self.assertEqual(len(set(banned.choices[0].logprobs.tokens)), 2)  # they take turns
        with self.assertRaises(openai.BadRequestError) as caught:
            self.complete(logit_bias={"30": 101})
        self.assertEqual(caught.exception.param, "logit_bias.30")


class TestChat(ClientTest):
    def test_n_and_logprobs(self):
        if not TroupeServer.starts_troupe():
            self.skipTest("needs `troupe serve`")
        answer = self.chat(n=2, logprobs=True, top_logprobs=2)
        self.assertEqual([c.message.content for c in answer.choices], [answer.choices[0].message.content] * 2)
        for choice in answer.choices:
            entries = choice.logprobs.content
            self.assertEqual(len(entries), TOKENS)
            self.assertEqual(b"".join(bytes(e.bytes) for e in entries).decode(), choice.message.content)
            for entry in entries:
                self.assertEqual(entry.logprob, entry.top_logprobs[0].logprob)
                self.assertGreaterEqual(entry.top_logprobs[0].logprob, entry.top_logprobs[1].logprob)

    def test_whole_and_streamed_are_equal(self):
        whole = self.chat()
        self.assertEqual(whole.choices[0].message.role, "assistant")
        chunks = list(self.chat(stream=True, stream_options={"include_usage": True}))
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertEqual(chunks[0].choices[0].delta.content, "")
        content = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        self.assertEqual(content, whole.choices[0].message.content)
        self.assertLessEqual(len(chunks), 1 + TOKENS + 1)  # the role, one for a token, the usage
        self.assertEqual([c.choices[0].finish_reason for c in chunks[:-2]], [None] * len(chunks[:-2]))
        self.assertEqual(chunks[-2].choices[0].finish_reason, "length")
        self.assertTrue(chunks[-2].choices[0].delta.content)
        self.assertEqual(chunks[-1].usage, whole.usage)

    def chats_at_once(self, url, count, **more):
        """`count` clients that stream at once must get what each question's answer is when it is alone."""
        alone = [self.chat(question=question, **more).choices[0].message.content for question in QUESTIONS]
        if TroupeServer.starts_troupe():  # the fake server says the same to everybody
            self.assertEqual(len(set(alone)), len(QUESTIONS))

        def streamed(i):
            with openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0, timeout=300) as client:
                chunks = self.chat(client, QUESTIONS[i % len(QUESTIONS)], stream=True, **more)
                return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)

        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            texts = list(pool.map(streamed, range(count)))
        self.assertEqual(texts, [alone[i % len(alone)] for i in range(count)])

    def test_32_concurrent_clients(self):
        self.chats_at_once(server.url, 32)

    @unittest.skipUnless(TroupeServer.starts_troupe(), "needs `troupe serve`")
    def test_32_concurrent_clients_while_workers_die(self):
        with TroupeServer("--fault-injection", "worker:throw@step=20,every=40") as dying:
            self.chats_at_once(dying.url, 32, max_completion_tokens=LONG)
            metrics = urllib.request.urlopen(dying.url + "/metrics").read().decode()
        restarts = [line for line in metrics.splitlines() if line.startswith("troupe:worker_restarts_total")]
        self.assertGreaterEqual(float(restarts[0].split()[-1]), 2)


class TestResponses(ClientTest):
    def test_whole_and_streamed_are_equal(self):
        whole = self.respond(instructions="Be brief.", metadata={"topic": "sea"})
        Response.model_validate(whole.model_dump(), strict=False)
        self.assertEqual((whole.status, whole.incomplete_details.reason), ("incomplete", "max_output_tokens"))
        self.assertEqual(whole.metadata, {"topic": "sea"})
        events = list(self.respond(instructions="Be brief.", metadata={"topic": "sea"}, stream=True))
        self.assertEqual(
            [e.type for e in events if e.type != "response.output_text.delta"],
            ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
             "response.output_text.done", "response.content_part.done", "response.output_item.done",
             "response.incomplete"])
        self.assertEqual("".join(e.delta for e in events if e.type == "response.output_text.delta"), whole.output_text)
        self.assertEqual(events[-1].response.output_text, whole.output_text)
        numbers = [e.sequence_number for e in events]
        self.assertEqual(numbers, sorted(set(numbers)))

    def test_retrieve_and_continue(self):
        first = self.respond()
        self.assertEqual(self.client.responses.retrieve(first.id).output_text, first.output_text)
        second = self.respond(previous_response_id=first.id, input="Go on.")
        self.assertEqual(second.previous_response_id, first.id)
        self.assertGreaterEqual(second.usage.input_tokens, first.usage.input_tokens)
        fork = self.respond(previous_response_id=first.id, input="Go on.")
        self.assertEqual(fork.output_text, second.output_text)

    def test_background_and_cancel(self):
        started = self.respond(background=True, max_output_tokens=400)
        self.assertIn(started.status, ("queued", "in_progress"))
        self.assertEqual(self.client.responses.cancel(started.id).status, "cancelled")
        self.assertEqual(self.client.responses.retrieve(started.id).status, "cancelled")

    def test_background_runs_to_its_end(self):
        expected = self.respond().output_text
        started = self.respond(background=True)
        deadline = time.monotonic() + 120
        while (now := self.client.responses.retrieve(started.id)).status in ("queued", "in_progress"):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.assertEqual(now.output_text, expected)

    def test_resume_after_the_socket_is_cut(self):
        expected = self.respond(max_output_tokens=LONG).output_text
        text, last, response_id = "", None, None
        with CuttingProxy(server.host, server.port) as proxy:
            with openai.OpenAI(base_url=proxy.url + "/v1", api_key="none", max_retries=0, timeout=60) as client:
                try:
                    for event in client.responses.create(model=self.model, input=QUESTION, temperature=0, stream=True,
                                                         max_output_tokens=LONG, extra_body=FULL_LENGTH):
                        last = event.sequence_number
                        if event.type == "response.created":
                            response_id = event.response.id
                        if event.type == "response.output_text.delta":
                            text += event.delta
                            proxy.cut()
                except Exception as cut:  # the client lets some of its transport's errors through
                    self.assertNotIsInstance(cut, AssertionError)
        self.assertNotEqual(text, expected, "the stream was over before it was cut")
        for event in self.client.responses.retrieve(response_id, stream=True, starting_after=last):
            self.assertGreater(event.sequence_number, last)
            last = event.sequence_number
            if event.type == "response.output_text.delta":
                text += event.delta
        self.assertEqual(text, expected)
        self.assertEqual(event.type, "response.incomplete")


class TestWebSocket(ClientTest):
    ENDS = ("response.completed", "response.incomplete", "response.failed", "error")

    def create(self, connection, **more):
        connection.send({"type": "response.create", "model": self.model, "input": QUESTION, "temperature": 0,
                         "max_output_tokens": TOKENS, **FULL_LENGTH, **more})

    def read(self, connection, ends):
        """Events by stream_id until that many streams have ended."""
        streams = {}
        for event in connection:
            streams.setdefault(event.stream_id, []).append(event)
            ends -= event.type in self.ENDS
            if ends == 0:
                return streams

    @staticmethod
    def text(events):
        return "".join(e.delta for e in events if e.type == "response.output_text.delta")

    def test_two_parallel_streams(self):
        expected = self.respond().output_text
        other = self.respond(input="Count to ten.").output_text
        with self.client.responses.connect() as connection:
            self.create(connection, stream_id="a")
            self.create(connection, stream_id="b", input="Count to ten.")
            streams = self.read(connection, 2)
        self.assertEqual(self.text(streams["a"]), expected)
        self.assertEqual(self.text(streams["b"]), other)
        for events in streams.values():
            numbers = [e.sequence_number for e in events]
            self.assertEqual(numbers, sorted(set(numbers)))

    def test_requests_of_one_stream_run_in_order_and_continue(self):
        with self.client.responses.connect() as connection:
            self.create(connection, stream_id="a")
            self.create(connection, stream_id="a", input="Count to ten.")
            events = self.read(connection, 2)["a"]
            kinds = [e.type for e in events if e.type == "response.created" or e.type in self.ENDS]
            self.assertEqual(kinds, ["response.created", "response.incomplete"] * 2)
            self.create(connection, stream_id="a", previous_response_id=events[-1].response.id, input="Go on.")
            self.assertEqual(self.read(connection, 1)["a"][-1].type, "response.incomplete")

    def test_errors_keep_the_socket_open(self):
        with self.client.responses.connect() as connection:
            self.create(connection, stream_id="a", previous_response_id="resp_0123")
            error = connection.recv()
            self.assertEqual((error.type, error.error.code, error.stream_id),
                             ("error", "previous_response_not_found", "a"))
            connection.send_raw("{ not JSON")
            self.assertEqual(connection.recv().status, 400)
            self.create(connection)
            self.assertEqual(self.read(connection, 1)[None][-1].type, "response.incomplete")

    def test_cancel(self):
        with self.client.responses.connect() as connection:
            self.create(connection, stream_id="a", max_output_tokens=400)
            created = connection.recv()
            while connection.recv().type != "response.output_text.delta":
                pass
            connection.send({"type": "response.cancel", "response_id": created.response.id})
            end = self.read(connection, 1)["a"][-1]
            self.assertEqual((end.type, end.response.status), ("response.incomplete", "cancelled"))

    def test_resume_after_the_socket_is_cut(self):
        expected = self.respond(max_output_tokens=LONG).output_text
        events = []
        with CuttingProxy(server.host, server.port) as proxy:
            with openai.OpenAI(base_url=proxy.url + "/v1", api_key="none", max_retries=0) as client:
                manager = client.responses.connect()
                connection = manager.enter()
                self.create(connection, stream_id="a", max_output_tokens=LONG)
                while not events or events[-1].type != "response.output_text.delta":
                    events.append(connection.recv())
                proxy.cut()
        self.assertNotEqual(self.text(events), expected)
        with self.client.responses.connect() as connection:
            connection.send({"type": "response.resume", "stream_id": "a", "response_id": events[0].response.id,
                             "starting_after": events[-1].sequence_number})
            events += self.read(connection, 1)["a"]
        self.assertEqual(self.text(events), expected)
        numbers = [e.sequence_number for e in events]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual(events[-1].response.output_text, expected)


if __name__ == "__main__":
    unittest.main()
