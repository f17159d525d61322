#!/usr/bin/env python3
"""Hostile clients against a running server, and what the others notice of them.

    build/release/troupe serve --port 8100 --api-key-file keys --io-threads 1 &
    tests/bench/hostile.py --port 8100 --pid $! --key good --hostile-key bad

A few well-behaved clients stream completions without a pause. Phases without and with each attack alternate, and the
report compares time to first token (TTFT), the gaps between tokens (ITL) and the time of a short /tokenize (TOK) of the
well-behaved ones, and the server's memory. The attackers are a process of their own, of the lowest priority: what is measured is the server, not the
scheduler of a machine that both share. `--attacks` picks some, `--check` fails if a p99 is more than --factor times
that of the undisturbed phases around it.
"""
import argparse
import asyncio
import base64
import json
import multiprocessing
import os
import random
import resource
import struct
import sys
import time

BODY = 64 << 20


def request(path, body, key, extra=""):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: hostile\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return (head + auth(key) + extra + "\r\n").encode() + body


def auth(key):
    return f"Authorization: Bearer {key}\r\n" if key else ""


def completion(tokens, number, stream=True):
    return {"prompt": f"{number}: The sea was calm and the ship", "max_tokens": tokens, "temperature": 0,
            "ignore_eos": True, "stream": stream}


# --- the well-behaved ---

async def timed_tokenize(options, tokenize, refused):
    reader, writer = await asyncio.open_connection("127.0.0.1", options.port)
    began = time.monotonic()
    writer.write(request("/tokenize", {"prompt": "The sea was calm."}, options.key, "Connection: close\r\n"))
    status = (await reader.read()).split(b"\r\n", 1)[0]
    if b" 200 " in status:
        tokenize.append(time.monotonic() - began)
    else:
        refused.append(status.decode())
    writer.close()


async def well_behaved(options, until, ttft, itl, tokenize, refused):
    while time.monotonic() < until:
        try:
            await well_behaved_turn(options, ttft, itl, tokenize, refused)
        except OSError as error:
            refused.append(str(error))


async def well_behaved_turn(options, ttft, itl, tokenize, refused):
    await timed_tokenize(options, tokenize, refused)
    reader, writer = await asyncio.open_connection("127.0.0.1", options.port)
    began = last = time.monotonic()
    writer.write(request("/v1/completions", completion(options.tokens, random.random()), options.key))
    first = True
    status = await reader.readline()
    if b" 200 " not in status:
        refused.append(status.decode().strip())
        await asyncio.sleep(0.05)
    while b" 200 " in status:
        line = await reader.readline()
        if not line or line.startswith(b"data: [DONE]"):
            break
        if not line.startswith(b"data: "):
            continue
        now = time.monotonic()
        (ttft if first else itl).append(now - (began if first else last))
        first, last = False, now
    writer.close()


def measure(options, seconds):
    """TTFT, ITL, times of /tokenize and refusals of the well-behaved clients in the seconds that follow."""
    async def run():
        ttft, itl, tokenize, refused = [], [], [], []
        until = time.monotonic() + seconds
        await asyncio.gather(*(well_behaved(options, until, ttft, itl, tokenize, refused)
                               for _ in range(options.clients)))
        return ttft, itl, tokenize, refused
    return asyncio.run(run())


# --- the attacks: each runs until it is cancelled ---

async def connect(options):
    while True:
        try:
            return await asyncio.open_connection("127.0.0.1", options.port)
        except OSError:
            await asyncio.sleep(0.1)


async def slow_loris(options):
    """200 connections, each with a byte of a header every half second."""
    async def one():
        while True:
            _, writer = await connect(options)
            try:
                writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nX-Slow: ")
                while not writer.is_closing():
                    writer.write(b"a")
                    await writer.drain()
                    await asyncio.sleep(0.5)
            except OSError:
                pass
    await asyncio.gather(*(one() for _ in range(200)))


async def send_all(options, head, piece, count):
    reader, writer = await connect(options)
    try:
        writer.write(head)
        for _ in range(count):
            writer.write(piece)
            await writer.drain()
        await reader.read(4096)
    except OSError:
        pass
    writer.close()


async def large_bodies(options):
    """Bodies of 64 MB, with and without their length in the header, from 8 connections."""
    piece = b"x" * 65536
    start = "POST /v1/completions HTTP/1.1\r\nHost: x\r\n" + auth(options.hostile_key)

    async def one(number):
        while True:
            if number % 2:
                await send_all(options, f"{start}Content-Length: {BODY}\r\n\r\n".encode(), piece, BODY // len(piece))
            else:
                head = (start + "Transfer-Encoding: chunked\r\n\r\n").encode()
                await send_all(options, head, b"10000\r\n" + piece + b"\r\n", BODY // len(piece))
    await asyncio.gather(*(one(n) for n in range(8)))


async def large_prompts(options):
    """Valid requests as large as is allowed, one after the other."""
    prompt = {"prompt": "word " * 1_600_000, "max_tokens": 1}  # 8 MB, just below --max-body-size
    message = request("/v1/completions", prompt, options.hostile_key)
    while True:
        await send_all(options, message, b"", 0)
        await asyncio.sleep(0.05)


async def full_queue(options):
    """10,000 requests at once, and again when they have been answered."""
    async def one(number):
        reader, writer = await connect(options)
        try:
            writer.write(request("/v1/completions", completion(16, number, stream=False), options.hostile_key,
                                 "Connection: close\r\n"))
            await reader.read()
        except OSError:
            pass
        writer.close()
    while True:
        await asyncio.gather(*(one(n) for n in range(10000)))


async def tokenize_flood(options):
    """Texts of one word, as long as is allowed and longer, for /tokenize and as prompts; half of the clients leave at
    once, and send the next."""
    word = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz", k=1 << 20))
    texts = [request("/tokenize", {"prompt": word[:size]}, options.hostile_key)
             for size in (1 << 20, 1 << 19, 1 << 16)]
    texts.append(request("/tokenize", {"prompt": word * 7}, options.hostile_key))
    texts.append(request("/v1/completions", {"prompt": word, "max_tokens": 1, "truncate_prompt_tokens": 8},
                         options.hostile_key))

    async def one(number):
        while True:
            reader, writer = await connect(options)
            try:
                writer.write(texts[number % len(texts)])
                await writer.drain()
                if number % 2:
                    await reader.read(4096)
            except OSError:
                pass
            writer.transport.abort()
            await asyncio.sleep(0.01)
    await asyncio.gather(*(one(n) for n in range(40)))


async def half_closed(options):
    """Sends a request and its end, reads nothing, holds the socket."""
    async def one(number):
        while True:
            _, writer = await connect(options)
            try:
                writer.write(request("/v1/completions", completion(64, number), options.hostile_key))
                writer.write_eof()
            except OSError:
                pass
            await asyncio.sleep(0.2)
            writer.close()
    await asyncio.gather(*(one(n) for n in range(100)))


async def cancels(options):
    """Starts streams and drops them at the first byte."""
    async def one(number):
        while True:
            reader, writer = await connect(options)
            try:
                writer.write(request("/v1/completions", completion(200, number), options.hostile_key))
                await reader.read(1)
            except OSError:
                pass
            writer.transport.abort()
    await asyncio.gather(*(one(n) for n in range(32)))


def frame(message):
    data, mask = json.dumps(message).encode(), b"\1\2\3\4"
    size = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0xFE]) + struct.pack(">H", len(data))
    return b"\x81" + size + mask + bytes(c ^ mask[i & 3] for i, c in enumerate(data))


async def websockets(options):
    """Opens WebSockets, creates 50 responses on each, cancels what it hears of, goes away."""
    async def one():
        handshake = ("GET /v1/responses HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                     + base64.b64encode(os.urandom(16)).decode() + "\r\n" + auth(options.hostile_key) + "\r\n")
        while True:
            reader, writer = await connect(options)
            try:
                writer.write(handshake.encode())
                await reader.readuntil(b"\r\n\r\n")
                for number in range(50):
                    writer.write(frame({"type": "response.create", "stream_id": str(number), "input": "Tell me a tale.",
                                        "max_output_tokens": 50}))
                await writer.drain()
                answer = await reader.read(65536)
                at = answer.find(b'"id":"resp_')
                if at >= 0:
                    writer.write(frame({"type": "response.cancel", "response_id": answer[at + 6:at + 43].decode()}))
                    await writer.drain()
            except (OSError, asyncio.IncompleteReadError):
                pass
            writer.transport.abort()
    await asyncio.gather(*(one() for _ in range(16)))


ATTACKS = {attack.__name__: attack for attack in
           (slow_loris, large_bodies, large_prompts, tokenize_flood, full_queue, half_closed, cancels, websockets)}


def attack_process(name, options):
    os.nice(19)
    asyncio.run(ATTACKS[name](options))


# --- the report ---

def rss_mb(pid):
    if not pid:
        return float("nan")
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def row(name, sample, rss):
    ttft, itl, tokenize, refused = sample
    numbers = [percentile(values, share) * 1000 for values in (ttft, itl, tokenize) for share in (0.5, 0.99)]
    print(f"{name:24} {len(ttft):6} {len(refused):7} " + " ".join(f"{n:10.1f}" for n in numbers) + f" {rss:9.0f}", flush=True)
    return numbers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--pid", type=int, help="of the server, for its memory")
    parser.add_argument("--key", default="", help="of the well-behaved clients")
    parser.add_argument("--hostile-key", default="")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10, help="of each phase")
    parser.add_argument("--attacks", default=",".join(ATTACKS))
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--factor", type=float, default=2)
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(f"{'':24} {'n':>6} {'refused':>7} {'TTFT p50':>10} {'TTFT p99':>10} {'ITL p50':>10} {'ITL p99':>10} "
          f"{'TOK p50':>10} {'TOK p99':>10} {'RSS MB':>9}")
    measure(options, 3)  # warms up
    failures = []
    for name in options.attacks.split(","):
        before = row("undisturbed", measure(options, options.seconds), rss_mb(options.pid))
        attacker = multiprocessing.Process(target=attack_process, args=(name, options), daemon=True)
        attacker.start()
        time.sleep(1)
        during = row(name, measure(options, options.seconds), rss_mb(options.pid))
        attacker.kill()
        attacker.join()
        time.sleep(1)
        after = row("undisturbed", measure(options, options.seconds), rss_mb(options.pid))
        for what, index in (("TTFT", 1), ("ITL", 3), ("/tokenize", 5)):
            base = max(before[index], after[index])
            if not during[index] <= options.factor * base:
                failures.append(f"{name}: {what} p99 {during[index]:.1f} ms, undisturbed {base:.1f} ms")
    print("\n".join(failures) or f"every p99 within {options.factor} times that of undisturbed phases")
    sys.exit(1 if failures and options.check else 0)


if __name__ == "__main__":
    main()
