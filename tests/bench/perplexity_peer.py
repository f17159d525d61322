"""llama.cpp's perplexity of a text, by the definition of `troupe perplexity`, and its distance from float32 arithmetic.

    VENV/bin/python tests/bench/perplexity_peer.py MODEL.gguf TEXT [--ctx-size 512] [--chunks N] [--against BASE.gguf]

VENV: pip install llama-cpp-python numpy gguf. The reference is llama.cpp with the weights of BASE (MODEL itself, if it is
not given) dequantized to float32 and a float32 KV cache; its perplexity must be that of `troupe perplexity --compute f32`."""
import argparse
import ctypes
import json
import math
import pathlib
import tempfile

import gguf
import llama_cpp as lib
import numpy as np

THREADS = 2


def to_float32(source, target):
    """The same model with all its matrices in F32."""
    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(target, architecture)
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        writer.add_key_value(field.name, field.contents(), kind,
                             sub_type=field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        writer.add_tensor(tensor.name, values.reshape(tensor.shape[::-1]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Model:
    def __init__(self, path, ctx_size, kv_type):
        params = lib.llama_model_default_params()
        params.n_gpu_layers = 0
        self.model = lib.llama_model_load_from_file(str(path).encode(), params)
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.vocab_size = lib.llama_vocab_n_tokens(self.vocab)
        options = lib.llama_context_default_params()
        options.n_ctx = options.n_batch = options.n_ubatch = ctx_size
        options.n_threads = options.n_threads_batch = THREADS
        options.type_k = options.type_v = kv_type
        self.context = lib.llama_init_from_model(self.model, options)
        self.batch = lib.llama_batch_init(ctx_size, 0, 1)

    def tokens(self, text):
        data = text.encode()
        ids = (lib.llama_token * (len(data) + 8))()
        return list(ids[:lib.llama_tokenize(self.vocab, data, len(data), ids, len(ids), True, False)])

    def logits(self, ids, first):
        """Of the positions from `first` on, but for the last."""
        lib.llama_memory_clear(lib.llama_get_memory(self.context), True)
        batch = self.batch
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0] = token, i, 1, 0
            batch.logits[i] = first <= i < len(ids) - 1
        if lib.llama_decode(self.context, batch) != 0:
            raise SystemExit("llama_decode failed")
        rows = [np.ctypeslib.as_array(lib.llama_get_logits_ith(self.context, i), shape=(self.vocab_size,)).copy()
                for i in range(first, len(ids) - 1)]
        return np.stack(rows).astype(np.float64)


def log_softmax(x):
    shifted = x - x.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--ctx-size", type=int, default=512)
    parser.add_argument("--chunks", type=int, default=0)
    parser.add_argument("--against")
    parser.add_argument("--kv", default="f16", choices=["f16", "bf16", "f32", "q8_0"])
    options = parser.parse_args()
    silent = lib.llama_log_callback(lambda level, text, data: None)
    lib.llama_log_set(silent, ctypes.c_void_p(0))
    lib.llama_backend_init()
    kinds = {"f16": gguf.GGMLQuantizationType.F16, "bf16": gguf.GGMLQuantizationType.BF16,
             "f32": gguf.GGMLQuantizationType.F32, "q8_0": gguf.GGMLQuantizationType.Q8_0}
    model = Model(options.model, options.ctx_size, int(kinds[options.kv]))
    with tempfile.TemporaryDirectory() as folder:
        to_float32(options.against or options.model, pathlib.Path(folder) / "f32.gguf")
        reference = Model(pathlib.Path(folder) / "f32.gguf", options.ctx_size, int(kinds["f32"]))
        ids = model.tokens(pathlib.Path(options.text).read_text(encoding="utf-8"))
        chunks = [ids[i:i + options.ctx_size] for i in range(0, len(ids) - options.ctx_size + 1, options.ctx_size)]
        half, nll, exact_nll, kl, same = options.ctx_size // 2, [], [], [], []
        for chunk in chunks[:options.chunks or None]:
            if lib.llama_vocab_get_add_bos(model.vocab):
                chunk[0] = lib.llama_vocab_bos(model.vocab)
            p, q = log_softmax(reference.logits(chunk, half)), log_softmax(model.logits(chunk, half))
            rows, following = np.arange(len(q)), np.array(chunk[half + 1:])
            nll.append(-q[rows, following])
            exact_nll.append(-p[rows, following])
            kl.append((np.exp(p) * (p - q)).sum(axis=1))
            same.append(p.argmax(axis=1) == q.argmax(axis=1))
    nll, exact_nll, kl, same = map(np.concatenate, (nll, exact_nll, kl, same))
    print(json.dumps({"perplexity": math.exp(nll.mean()), "tokens": len(nll),
                      "reference_perplexity": math.exp(exact_nll.mean()), "mean_kl": kl.mean(),
                      "largest_kl": kl.max(), "top1_agreement": same.mean()}))


main()
