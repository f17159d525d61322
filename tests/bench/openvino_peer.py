"""OpenVINO GenAI's continuous batching, driven without HTTP, for compare.py: the commands of llama_cpp_peer.py but for
`logits`. MODEL: a GGUF file that it reads (llama with F16, Q8_0, Q4_0 or Q4_1), or a directory exported for it."""
import json
import random
import sys
import time

import numpy as np
import openvino
import openvino_genai as genai

scheduler = genai.SchedulerConfig()
scheduler.max_num_batched_tokens = 256  # as it is quickest on two cores
scheduler.cache_size = 2  # GB
scheduler.dynamic_split_fuse = True
scheduler.max_num_seqs = 256
pipeline = genai.ContinuousBatchingPipeline(sys.argv[1], scheduler, "CPU", {"INFERENCE_NUM_THREADS": int(sys.argv[2])})
next_id = 0


def run(streams, length_in, length_out):
    """Seconds of the whole, and for each stream when its tokens came."""
    global next_id
    config = genai.GenerationConfig()
    config.max_new_tokens = config.min_new_tokens = length_out
    config.ignore_eos, config.do_sample, config.eos_token_id = True, False, 2
    prompts = [np.array([[random.randrange(300, 10000) for _ in range(length_in)]], dtype=np.int64) for _ in range(streams)]
    start = time.perf_counter()
    handles = []
    for prompt in prompts:
        handles.append(pipeline.add_request(next_id, openvino.Tensor(prompt), config))
        next_id += 1
    times = [[] for _ in handles]
    while pipeline.has_non_finished_requests():
        pipeline.step()
        now = time.perf_counter() - start
        for handle, seen in zip(handles, times):
            while handle.can_read():
                for output in handle.read().values():
                    seen += [now] * len(output.generated_ids)
    seconds = time.perf_counter() - start
    assert all(len(seen) == length_out for seen in times)
    return seconds, times


def gap_p99_ms(times):
    gaps = sorted(b - a for seen in times for a, b in zip(seen, seen[1:]))
    return 1000 * gaps[min(len(gaps) - 1, int(0.99 * len(gaps)))]


def prefill(length):
    seconds, _ = run(1, length, 1)
    return {"tokens_per_second": length / seconds}


def decode(length):
    _, (seen,) = run(1, 16, length)
    return {"tokens_per_second": (length - 1) / (seen[-1] - seen[0])}


def batch(streams, length_in, length_out):
    seconds, times = run(streams, length_in, length_out)
    return {"tokens_per_second": streams * length_out / seconds, "itl_p99_ms": gap_p99_ms(times)}


for line in sys.stdin:
    name, *arguments = line.split()
    print(json.dumps({"prefill": prefill, "decode": decode, "batch": batch}[name](*map(int, arguments))), flush=True)
