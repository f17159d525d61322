"""llama.cpp, driven through llama_decode without HTTP, for compare.py: reads commands from standard input, one a
line, and answers each with a line of JSON. Commands: `prefill N`, `decode N`, `batch STREAMS IN OUT`, `logits IDS`."""
import ctypes
import json
import random
import sys
import time

import llama_cpp as lib
import numpy as np

silent = lib.llama_log_callback(lambda level, text, data: None)
lib.llama_log_set(silent, ctypes.c_void_p(0))
lib.llama_backend_init()
params = lib.llama_model_default_params()
params.n_gpu_layers = 0
model = lib.llama_model_load_from_file(sys.argv[1].encode(), params)
threads = int(sys.argv[2])
vocab_size = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))


class Context:
    def __init__(self, sequences, tokens_each):
        options = lib.llama_context_default_params()
        options.n_ctx = max(sequences * tokens_each, 768)
        options.n_batch = 2048
        options.n_seq_max = sequences
        options.n_threads = options.n_threads_batch = threads
        self.handle = lib.llama_init_from_model(model, options)
        self.batch = lib.llama_batch_init(2048, 0, 1)

    def decode(self, items):
        """items: (token, position, sequence, wants logits); returns the greedy token of each that wants logits"""
        batch = self.batch
        batch.n_tokens = len(items)
        for i, (token, position, sequence, wanted) in enumerate(items):
            batch.token[i], batch.pos[i] = token, position
            batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = 1, sequence, wanted
        if lib.llama_decode(self.handle, batch) != 0:
            sys.exit("llama_decode failed")
        return [int(self.logits(i).argmax()) for i, item in enumerate(items) if item[3]]

    def logits(self, i):
        return np.ctypeslib.as_array(lib.llama_get_logits_ith(self.handle, i), shape=(vocab_size,))

    def close(self):
        lib.llama_batch_free(self.batch)
        lib.llama_free(self.handle)


def prompt(length):
    return [random.randrange(100, 10000) for _ in range(length)]


def prefill(length):
    context, ids = Context(1, length), prompt(length)
    start = time.perf_counter()
    context.decode([(t, i, 0, i == length - 1) for i, t in enumerate(ids)])
    seconds = time.perf_counter() - start
    context.close()
    return {"tokens_per_second": length / seconds}


def decode(length):
    context, ids = Context(1, length + 32), prompt(16)
    (token,) = context.decode([(t, i, 0, i == 15) for i, t in enumerate(ids)])
    start = time.perf_counter()
    for i in range(length):
        (token,) = context.decode([(token, 16 + i, 0, True)])
    seconds = time.perf_counter() - start
    context.close()
    return {"tokens_per_second": length / seconds}


def batch(streams, length_in, length_out):
    """All prompts in chunks of 512 tokens, then all sequences together."""
    context, tokens = Context(streams, length_in + length_out), [0] * streams
    prompts = [prompt(length_in) for _ in range(streams)]
    start = time.perf_counter()
    group = max(1, 512 // length_in)
    for first in range(0, streams, group):
        members = range(first, min(first + group, streams))
        items = [(t, i, s, i == length_in - 1) for s in members for i, t in enumerate(prompts[s])]
        # Only the rows that asked have logits; they come in the order of the sequences.
        for s, token in zip(members, context.decode(items)):
            tokens[s] = token
    for step in range(1, length_out):
        tokens = context.decode([(tokens[s], length_in + step - 1, s, True) for s in range(streams)])
    seconds = time.perf_counter() - start
    context.close()
    return {"tokens_per_second": streams * length_out / seconds}


def logits(ids):
    context = Context(1, len(ids))
    context.decode([(t, i, 0, i == len(ids) - 1) for i, t in enumerate(ids)])
    values = context.logits(len(ids) - 1).tolist()
    context.close()
    return {"logits": values}


for line in sys.stdin:
    name, *arguments = line.split()
    if name == "logits":
        answer = logits([int(i) for i in arguments[0].split(",")])
    else:
        answer = {"prefill": prefill, "decode": decode, "batch": batch}[name](*map(int, arguments))
    print(json.dumps(answer), flush=True)
