#!/usr/bin/env python3
"""Compares our ids and text with those of Hugging Face's `tokenizers` on random text; on demand, not part of the
test suite. Takes the vocabularies of tests/data and any directories with a tokenizer.json, and runs each also
with the pre-tokenizer patterns of several model families in place of its own if it is byte-level.

    python3 differential.py --binary build/release/test_tokenizer --seed 1 --count 2000 [DIRECTORY ...]
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

DATA = pathlib.Path(__file__).resolve().parents[2] / "data" / "tokenizers"
sys.path.insert(0, str(DATA))
from generate import LLAMA3, cases, random_text  # noqa: E402

TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?"
          r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
PATTERNS = {"llama3": [LLAMA3], "tekken": [TEKKEN], "lines": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"\s+$", r"\p{N}+"],
            "default": [r"[\p{P}\$\+<=>\^~\|]+", r"\p{N}{1,3}", r"[^\S ]+|\p{Han}+"]}
RANGES = [(0, 0x80), (0x80, 0x250), (0x2B0, 0x600), (0x300, 0x370), (0x900, 0x980), (0x1100, 0x1200), (0x1E00, 0x1F00), (0x1680, 0x1690), (0x1800, 0x1810), (0x2000, 0x2100),
          (0x2150, 0x2190), (0x3000, 0x3100), (0x4E00, 0x4E40), (0xAC00, 0xAC40), (0xFB00, 0xFB10), (0xFF00, 0xFF60), (0x1F1E0, 0x1F650)]


def wild_text(rng):
    if rng.random() < 0.5:
        return random_text(rng)
    ranges = rng.sample(RANGES, 2) + [(32, 48), (97, 123)]
    return "".join(chr(rng.randrange(*rng.choice(ranges))) for _ in range(rng.randrange(1, 60)))


def variants(folder):
    data = json.loads((folder / "tokenizer.json").read_text())
    yield folder.name, data
    if "ByteLevel" not in json.dumps(data["pre_tokenizer"]):
        return
    for name, patterns in PATTERNS.items():
        splits = [{"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False} for p in patterns]
        last = {"type": "ByteLevel", "add_prefix_space": name == "lines", "trim_offsets": True, "use_regex": name == "default"}
        yield f"{folder.name} with {name}", data | {"pre_tokenizer": {"type": "Sequence", "pretokenizers": splits + [last]}}
    for behavior in ("Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            split = {"type": "Split", "pattern": {"Regex": r"\s|\p{Lu}|x?"}, "behavior": behavior, "invert": invert}
            last = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
            yield f"{folder.name} with {behavior}, {invert}", data | {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, last]}}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("directory", nargs="*", type=pathlib.Path)
    args = parser.parse_args()
    failed = 0
    for folder in sorted(p.parent for p in DATA.glob("*/tokenizer.json")) + args.directory:
        for name, data in variants(folder):
            rng = random.Random(args.seed)
            texts = [wild_text(rng) for _ in range(args.count)]
            with tempfile.TemporaryDirectory() as temp:
                (pathlib.Path(temp) / "tokenizer.json").write_text(json.dumps(data))
                expected = cases(Tokenizer.from_str(json.dumps(data)), texts)
                (pathlib.Path(temp) / "cases.json").write_text(json.dumps(expected))
                environment = os.environ | {"TROUPE_DIFF_TOKENIZER": temp, "TROUPE_DIFF_CASES": temp + "/cases.json"}
                done = subprocess.run([args.binary, "[differential]"], env=environment, capture_output=True, text=True, errors="replace")
            print(f"{name}: {args.count} texts, {'equal' if done.returncode == 0 else 'DIFFERENT'}", flush=True)
            if done.returncode != 0:
                print(done.stdout[:3000])
                failed += 1
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
