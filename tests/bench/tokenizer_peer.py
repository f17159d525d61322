#!/usr/bin/env python3
"""The same text through Hugging Face's `tokenizers`, for tokenizer_bench.cpp: tokenizer_peer.py DIRECTORY TEXT"""
import os
import pathlib
import sys
import time

os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer  # noqa: E402

start = time.thread_time()
tokenizer = Tokenizer.from_file(sys.argv[1] + "/tokenizer.json")
print(f"load {1e3 * (time.thread_time() - start):.1f} ms")
text = pathlib.Path(sys.argv[2]).read_bytes().decode("utf-8", errors="replace")
lines = text.splitlines(keepends=True)
for name, call in (("whole", lambda: tokenizer.encode(text)), ("line by line", lambda: [tokenizer.encode(line) for line in lines])):
    best = 1e9
    for _ in range(5):
        start = time.thread_time()
        call()
        best = min(best, time.thread_time() - start)
    print(f"{name} {len(text.encode()) * 1e-6 / best:.1f} MB/s")
