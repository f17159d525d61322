#!/usr/bin/env python3
"""The Responses WebSocket mode of a real server, used by the official client: its connection, its reconnects, its lanes."""
import json
import time
import unittest
import urllib.request

import openai
from openai.lib.responses_websocket import ResponsesWebSocketLimits, ResponsesWebSocketSession
from server import CuttingProxy, TroupeServer

QUESTION = "Tell me about the sea."
OTHER = "Count to ten, and say what each number reminds you of."
LONG = 120  # tokens of streams that something happens to
# Greedy and of a given length, so that all runs of one prompt have the same text.
SETTINGS = {"temperature": 0, "ignore_eos": True}
ENDS = ("response.completed", "response.incomplete", "response.failed", "error")

server = None


def setUpModule():
    global server
    server = TroupeServer().__enter__()


def tearDownModule():
    server.stop()


def text_of(events):
    return "".join(e.delta for e in events if e.type == "response.output_text.delta")


def requests_ended():
    metrics = urllib.request.urlopen(server.url + "/metrics").read().decode()
    return sum(float(line.split()[-1]) for line in metrics.splitlines()
               if line.startswith("troupe:request_success_total{"))


class WebSocketTest(unittest.TestCase):
    def setUp(self):
        self.client = self.client_of(server.url)
        self.model = self.client.models.list().data[0].id

    def client_of(self, url):
        client = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0, timeout=120)
        self.addCleanup(client.close)
        return client

    def create(self, connection, question=QUESTION, tokens=LONG, **more):
        connection.send({"type": "response.create", "model": self.model, "input": question,
                         "max_output_tokens": tokens, **SETTINGS, **more})

    def undisturbed(self, question=QUESTION, tokens=LONG, previous=None):
        return self.client.responses.create(model=self.model, input=question, max_output_tokens=tokens, temperature=0,
                                            previous_response_id=previous, extra_body={"ignore_eos": True}).output_text

    def read_to_end(self, connection):
        events = []
        while not events or events[-1].type not in ENDS:
            events.append(connection.recv())
        return events


class TestSteering(WebSocketTest):
    def test_a_running_response_is_steered(self):
        whole = self.undisturbed(tokens=400)
        with self.client.responses.connect() as connection:
            self.create(connection, tokens=400, stream_id="a", instructions="Be kind.")
            events = [connection.recv()]
            while len(text_of(events)) < 20:
                events.append(connection.recv())
            steered_id = events[0].response.id
            connection.response.steer(previous_response_id=steered_id, input="Only in one word, please.")
            events += self.read_to_end(connection)
            accepted = [e for e in events if e.type == "response.steer.accepted"]
            self.assertEqual(len(accepted), 1)
            self.assertEqual((accepted[0].steer.previous_response_id, accepted[0].stream_id), (steered_id, "a"))
            self.assertEqual((events[-1].type, events[-1].response.incomplete_details.reason),
                             ("response.incomplete", "steered"))
            said = events[-1].response.output_text
            self.assertEqual(said, text_of(events))
            self.assertLess(len(said), len(whole))
            successor = self.read_to_end(connection)
        created = successor[0]
        self.assertEqual((created.type, created.stream_id), ("response.created", "a"))
        self.assertEqual(created.response.previous_response_id, steered_id)
        self.assertEqual((created.response.instructions, created.response.max_output_tokens), ("Be kind.", 400))
        self.assertEqual(successor[-1].response.output_text, text_of(successor))

    def test_too_late_and_unknown(self):
        with self.client.responses.connect() as connection:
            self.create(connection, tokens=4)
            ended = self.read_to_end(connection)[-1].response.id
            for target, code in ((ended, "response_already_completed"), ("resp_0123", "response_not_found")):
                connection.response.steer(previous_response_id=target, input="more")
                failed = connection.recv()
                self.assertEqual((failed.type, failed.error.code, failed.steer.input),
                                 ("response.steer.failed", code, "more"))


class TestConversations(WebSocketTest):
    def test_generate_false_is_a_place_to_go_on_from(self):
        with self.client.responses.connect() as connection:
            self.create(connection, "My name is Ada.", generate=False)
            events = self.read_to_end(connection)
            self.assertEqual([e.type for e in events],
                             ["response.created", "response.in_progress", "response.completed"])
            prepared = events[-1].response
            self.assertEqual((prepared.output, prepared.usage.output_tokens), ([], 0))
            self.assertGreater(prepared.usage.input_tokens, 0)
            self.create(connection, QUESTION, previous_response_id=prepared.id)
            answer = self.read_to_end(connection)[-1].response
        both = [{"role": "user", "content": "My name is Ada."}, {"role": "user", "content": QUESTION}]
        self.assertEqual(answer.output_text, self.undisturbed(both))

    def test_forks_run_at_the_same_time_over_websocket_and_http(self):
        first = self.client.responses.create(model=self.model, input=QUESTION, max_output_tokens=16)
        questions = {lane: f"Say more, in version {lane}." for lane in ("one", "two", "three")}
        expected = {lane: self.undisturbed(question, 24, first.id) for lane, question in questions.items()}
        texts, ends = {}, 0
        with self.client.responses.connect() as connection:
            for lane, question in questions.items():
                self.create(connection, question, 24, stream_id=lane, previous_response_id=first.id)
            while ends < len(questions):
                event = connection.recv()
                self.assertNotEqual(event.type, "error", event)
                if event.type == "response.output_text.delta":
                    texts[event.stream_id] = texts.get(event.stream_id, "") + event.delta
                ends += event.type in ENDS
        self.assertEqual(texts, expected)

    def test_what_is_not_stored_stays_on_its_connection(self):
        with self.client.responses.connect() as connection:
            self.create(connection, "My name is Ada.", 8, store=False, stream_id="a")
            first = self.read_to_end(connection)[-1].response
            self.create(connection, "Who am I?", 8, store=False, stream_id="b", previous_response_id=first.id)
            end = self.read_to_end(connection)[-1]
            self.assertEqual((end.type, end.response.previous_response_id), ("response.incomplete", first.id))
        with self.assertRaises(openai.NotFoundError):
            self.client.responses.retrieve(first.id)
        with self.client.responses.connect() as connection:
            self.create(connection, "Who am I?", 8, previous_response_id=first.id)
            self.assertEqual(connection.recv().error.code, "previous_response_not_found")


class TestReconnects(WebSocketTest):
    def test_the_client_reconnects_by_itself_and_resumes_both_streams(self):
        questions = {"a": QUESTION, "b": OTHER}
        expected = {lane: self.undisturbed(question) for lane, question in questions.items()}
        before = requests_ended()
        streams, cuts = {lane: [] for lane in questions}, []
        with CuttingProxy(server.host, server.port) as proxy:

            def reconnecting(event):
                cuts.append(event.close_code)
                # Queued by the client, and sent as soon as it is connected again.
                for lane, events in streams.items():
                    connection.send({"type": "response.resume", "response_id": events[0].response.id,
                                     "starting_after": events[-1].sequence_number, "stream_id": lane})
                return None

            manager = self.client_of(proxy.url).responses.connect(on_reconnecting=reconnecting, initial_delay=0.05)
            with manager as connection:
                for lane, question in questions.items():
                    self.create(connection, question, stream_id=lane)
                ends = 0
                for event in connection:
                    self.assertNotEqual(event.type, "error", event)
                    streams[event.stream_id].append(event)
                    ends += event.type in ENDS
                    if ends == len(questions):
                        break
                    if len(cuts) < 3 and all(len(text_of(events)) > 40 * (len(cuts) + 1) for events in streams.values()):
                        proxy.cut()
        self.assertEqual(len(cuts), 3)
        for lane, events in streams.items():
            self.assertEqual(text_of(events), expected[lane])
            self.assertEqual(events[-1].response.output_text, expected[lane])
            numbers = [e.sequence_number for e in events]
            self.assertEqual(numbers, sorted(set(numbers)), "nothing lost, nothing repeated")
        if not TroupeServer.starts_troupe():
            return  # the fake server counts nothing
        deadline = time.monotonic() + 10
        while requests_ended() < before + 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(requests_ended(), before + 2, "nothing was generated twice")

    def test_a_new_connection_takes_over_from_one_that_is_half_dead(self):
        expected = self.undisturbed()
        with self.client.responses.connect() as old, self.client.responses.connect() as new:
            self.create(old)
            events = [old.recv()]
            while not text_of(events):
                events.append(old.recv())
            new.send({"type": "response.resume", "response_id": events[0].response.id,
                      "starting_after": events[-1].sequence_number})
            events += self.read_to_end(new)
            self.assertEqual(text_of(events), expected)
            self.assertEqual(self.read_to_end(old)[-1].error.code, "reader_replaced")


class TestLanes(WebSocketTest):
    """The client's own session of lanes, which checks what it is sent more closely than a plain connection."""

    def test_lanes_run_in_parallel_and_can_be_steered(self):
        limits = ResponsesWebSocketLimits(max_lanes=8, max_events_per_lane=2048, max_events=4096,
                                          max_bytes_per_lane=16 << 20, max_bytes=32 << 20)
        request = {"type": "response.create", "model": self.model, "max_output_tokens": LONG, **SETTINGS}
        with self.client.responses.connect() as connection, ResponsesWebSocketSession(
                connection, limits=limits) as session:
            one, two = session.lane("one"), session.lane("two")
            one.send({**request, "input": QUESTION})
            two.send({**request, "input": OTHER, "max_output_tokens": 400})
            target = two.recv(timeout=60)
            while two.recv(timeout=60).type != "response.output_text.delta":
                pass
            two.send({"type": "response.steer", "previous_response_id": target.response.id, "input": "Stop at two."})
            self.assertEqual(one.get_final_response(timeout=120).output_text, self.undisturbed())
            steered = two.get_final_response(timeout=120)
            self.assertEqual((steered.id, steered.incomplete_details.reason), (target.response.id, "steered"))
            successor = two.recv(timeout=60)
            self.assertEqual((successor.type, successor.response.previous_response_id),
                             ("response.created", steered.id))
            self.assertEqual(two.get_final_response(timeout=120).id, successor.response.id)


class TestBadPeers(WebSocketTest):
    def test_bad_messages_cost_nobody_anything(self):
        expected = self.undisturbed()
        with self.client.responses.connect() as good, self.client.responses.connect() as bad:
            self.create(good)
            for message, code in (("{", "invalid_json"), ("[" * 100000, "invalid_json"), ("[]", None),
                                  (b'{"type":"response.create"}', "invalid_message_type"),
                                  (" " * (9 << 20), "message_too_large"),
                                  ('{"type":"session.update"}', "unknown_event_type"),
                                  ('{"type":"response.create","stream_id":[]}', "invalid_stream_id")):
                bad.send_raw(message)
                event = bad.recv()
                self.assertEqual((event.type, event.error.code), ("error", code))
            self.create(bad, tokens=4)
            self.assertEqual(self.read_to_end(bad)[-1].type, "response.incomplete")
            self.assertEqual(text_of(self.read_to_end(good)), expected)

    def test_a_reader_that_pauses_gets_everything_and_holds_up_nobody(self):
        expected = self.undisturbed()
        options = {"max_queue": 1}  # its transport stops reading, too
        with self.client.responses.connect(websocket_connection_options=options) as slow:
            for lane in ("a", "b", "c", "d"):
                self.create(slow, stream_id=lane)
            begin = time.monotonic()
            self.assertEqual(self.undisturbed(OTHER, 16), self.undisturbed(OTHER, 16))
            self.assertLess(time.monotonic() - begin, 60)
            texts, ends = {}, 0
            while ends < 4:
                event = json.loads(slow.recv_bytes())
                if event["type"] == "response.output_text.delta":
                    texts[event["stream_id"]] = texts.get(event["stream_id"], "") + event["delta"]
                ends += event["type"] in ENDS
        self.assertEqual(texts, dict.fromkeys("abcd", expected))


if __name__ == "__main__":
    unittest.main()
