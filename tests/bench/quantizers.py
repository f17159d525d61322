"""Relative error (root of the mean squares) of a million weights that were quantized by `troupe quantize` and by ggml.

    VENV/bin/python tests/bench/quantizers.py      (VENV: pip install llama-cpp-python numpy gguf)"""
import ctypes
import pathlib
import subprocess
import tempfile

import gguf
import llama_cpp
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ROWS, COLUMNS = 1024, 1024

ggml = ctypes.CDLL(str(next((pathlib.Path(llama_cpp.__file__).parent / "lib").glob("libggml-base.so*"))))
ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
ggml.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
                                     ctypes.c_int64, ctypes.c_void_p]


def by_troupe(weights, kind):
    with tempfile.TemporaryDirectory() as folder:
        before, after = f"{folder}/before.gguf", f"{folder}/after.gguf"
        writer = gguf.GGUFWriter(before, "any")
        writer.add_tensor("blk.0.some.weight", weights)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        subprocess.run([ROOT / "build/release/troupe", "quantize", before, after, "--type", kind.lower()], check=True,
                       stdout=subprocess.DEVNULL)
        (tensor,) = gguf.GGUFReader(after).tensors
        assert tensor.tensor_type.name == kind
        return gguf.quants.dequantize(tensor.data, tensor.tensor_type)


def by_ggml(weights, kind):
    quant = gguf.GGMLQuantizationType[kind]
    block, size = gguf.GGML_QUANT_SIZES[quant]
    out = np.zeros((ROWS, COLUMNS // block * size), np.uint8)
    ggml.ggml_quantize_chunk(int(quant), weights.ctypes.data, out.ctypes.data, 0, ROWS, COLUMNS, None)
    return gguf.quants.dequantize(out, quant)


def main():
    random = np.random.default_rng(1)
    kinds = {"gaussian": random.standard_normal((ROWS, COLUMNS)),
             "Student t, 4 degrees": random.standard_t(4, (ROWS, COLUMNS))}
    print("| weights | type | Troupe | ggml |\n|---|---|---|---|")
    for name, weights in kinds.items():
        weights = np.ascontiguousarray(weights * 0.02, np.float32)
        for kind in ("Q8_0", "Q4_0", "Q4_1", "Q4_K"):
            errors = [np.sqrt(((back - weights) ** 2).sum() / (weights ** 2).sum())
                      for back in (by_troupe(weights, kind), by_ggml(weights, kind))]
            print(f"| {name} | {kind} | " + " | ".join(f"{100 * error:.2f} %" for error in errors) + " |")


main()
