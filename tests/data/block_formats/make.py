#!/usr/bin/env python3
"""Writes blocks.txt: blocks of every quantized GGUF format, and what the `gguf` package from PyPI makes of them.

Two blocks of random bytes a format, their scales made finite. A line: the format's name, the blocks as hexadecimal
bytes, the weights as hexadecimal float32 words.     python make.py > blocks.txt
"""
import gguf
import numpy as np

SCALES = {  # offsets of half-precision numbers in a block
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "IQ4_NL": [0], "MXFP4": [],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}

random = np.random.default_rng(7)
for name, offsets in SCALES.items():
    kind = gguf.GGMLQuantizationType[name]
    columns, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (2, size), dtype=np.uint8)
    for offset in offsets:
        blocks[:, offset:offset + 2] = random.normal(0, 0.1, (2, 1)).astype(np.float16).view(np.uint8)
    if name == "MXFP4":
        blocks[:, 0] = [121, 130]
    weights = gguf.quants.dequantize(blocks.reshape(1, -1), kind).astype(np.float32)
    print(name, blocks.tobytes().hex(), weights.astype(">f4").tobytes().hex())
