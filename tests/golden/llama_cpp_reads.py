"""llama.cpp reads what `troupe quantize` writes: every model of tests/data/golden and stories260k, quantized to Q8_0 and Q4_K, gives
it nearly the logits that Troupe computes of that file in float32.

    VENV/bin/python tests/golden/llama_cpp_reads.py      (VENV: pip install llama-cpp-python numpy)

Its activations are rounded to 8 bits, which these random models magnify: a wrong order of rows or a lost scale gives differences
of the size of the logits, not of 5 % of them."""
import ctypes
import json
import pathlib
import subprocess
import sys
import tempfile

import llama_cpp as lib
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TROUPE = ROOT / "build/release/troupe"
IDS = [1, 40, 47, 26, 37, 99, 12]
LIMIT = 0.1
# llama.cpp has no layers without experts in qwen3moe, and takes phi3's long factors whatever the prompt's length is.
NOT_COMPARED = {"qwen3-moe", "phi3-long"}


def peer_logits(path):
    model = lib.llama_model_load_from_file(str(path).encode(), lib.llama_model_default_params())
    if not model:
        raise SystemExit(f"llama.cpp cannot load {path}")
    options = lib.llama_context_default_params()
    options.n_ctx = options.n_batch = 64
    options.type_k = options.type_v = 0  # F32
    context = lib.llama_init_from_model(model, options)
    vocab_size = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
    batch = lib.llama_batch_init(64, 0, 1)
    batch.n_tokens = len(IDS)
    for i, token in enumerate(IDS):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0] = token, i, 1, 0
        batch.logits[i] = i == len(IDS) - 1
    assert lib.llama_decode(context, batch) == 0
    logits = np.ctypeslib.as_array(lib.llama_get_logits_ith(context, len(IDS) - 1), shape=(vocab_size,)).copy()
    lib.llama_batch_free(batch)
    lib.llama_free(context)
    lib.llama_model_free(model)
    return logits


def main():
    silent = lib.llama_log_callback(lambda level, text, data: None)
    lib.llama_log_set(silent, ctypes.c_void_p(0))
    lib.llama_backend_init()
    directories = [p.parent for p in sorted(ROOT.glob("tests/data/golden/*/model.safetensors"))]
    directories.append(ROOT / "tests/data/stories260k")
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/out.gguf"
        for directory in directories:
            for kind in ("q8_0", "q4_k"):
                written = subprocess.run([TROUPE, "quantize", directory, out, "--type", kind], capture_output=True, text=True)
                if written.returncode != 0 or directory.name in NOT_COMPARED:
                    print(directory.name, kind, "not compared:", written.stderr.strip().split("\n")[-1][:100] or "llama.cpp differs")
                    continue
                printed = subprocess.run([TROUPE, "logits", "--model", out, "--compute", "f32", "--ids", ",".join(map(str, IDS))],
                                         capture_output=True, text=True, check=True).stdout
                ours, theirs = np.array(json.loads(printed)["logits"]), peer_logits(out)
                difference = np.abs(ours - theirs).max() / np.abs(ours).max()
                print(directory.name, kind, f"{100 * difference:.1f} %")
                worst = max(worst, difference)
    sys.exit(0 if worst < LIMIT else f"differences of up to {100 * worst:.0f} %")


main()
