#!/usr/bin/env python3
"""Compares our ids of small GGUF vocabularies with those of Python on random text: byte-level ones, one for each pre-tokenizer
name, with `tokenizers` given the model's own regular expressions; and SentencePiece's BPE with `sentencepiece`. On demand, as
differential.py; needs tokenizers, sentencepiece, protobuf and gguf of PyPI.

    python3 gguf_differential.py --binary build/release/test_tokenizer --seed 1 --texts 3000
"""
import argparse
import io
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import sentencepiece
from gguf import GGUFWriter
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Regex, Tokenizer, models, trainers
from tokenizers import pre_tokenizers as pre

from differential import CORPUS, LLAMA3, O200K, QWEN35, TEKKEN, text

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CJK = "[一-龥ࠀ-一가-퟿]+"
PRE_TOKENIZERS = {
    "llama-bpe": [LLAMA3], "qwen2": [LLAMA3.replace("{1,3}", "")], "qwen35": [QWEN35], "tekken": [TEKKEN], "gpt-4o": [O200K], "gpt-2": [GPT2],
    "starcoder": [r"\p{N}", GPT2], "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
                    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""],
    "superbpe": [r"\p{N}+", r"(?=([0-9]{3})+(?![0-9]))"],
    "bailingmoe": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"],
    "bloom": [" ?[^(\\s|.,!?…。，、।۔،)]+"], "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"]}
MERGES_IGNORED = ("llama-bpe", "tekken")


def write(folder, model, name, tokens, types, texts, encode, merges=None, scores=None):
    folder.mkdir()
    writer = GGUFWriter(str(folder / "vocabulary.gguf"), "llama")
    writer.add_tokenizer_model(model)
    writer.add_tokenizer_pre(name)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    if merges is not None:
        writer.add_token_merges(merges)
    if scores is not None:
        writer.add_token_scores(scores)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    (folder / "cases.json").write_text(json.dumps([{"text": t, "ids": encode(t)} for t in texts]))


def byte_level(root, name, rng, count):
    tokenizer = Tokenizer(models.BPE(ignore_merges=name in MERGES_IGNORED))
    tokenizer.pre_tokenizer = pre.Sequence([pre.Split(Regex(p), "isolated") for p in PRE_TOKENIZERS[name]] + [pre.ByteLevel(False, use_regex=False)])
    trainer = trainers.BpeTrainer(vocab_size=700, show_progress=False, initial_alphabet=pre.ByteLevel.alphabet())
    tokenizer.train_from_iterator(CORPUS + [text(rng) for _ in range(100)], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    write(root / name, "gpt2", name, tokens, [1] * len(tokens), [text(rng) for _ in range(count)], lambda t: tokenizer.encode(t).ids,
          merges=[" ".join(m) for m in model["merges"]])


def sentencepiece_bpe(root, rng, count):
    file = io.BytesIO()
    corpus = CORPUS * 3 + [text(rng).replace("\0", "") or "a" for _ in range(300)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=file, vocab_size=1500, model_type="bpe", byte_fallback=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, hard_vocab_limit=False, minloglevel=2, split_digits=True, allow_whitespace_only_pieces=True)
    processor = sentencepiece.SentencePieceProcessor(model_proto=file.getvalue())
    pieces = sentencepiece_model_pb2.ModelProto.FromString(file.getvalue()).pieces
    texts = [t for t in (text(rng) for _ in range(2 * count)) if "\0" not in t and "▁" not in t and "<" not in t][:count]
    write(root / "sentencepiece", "llama", "default", [p.piece for p in pieces], [p.type for p in pieces], texts, processor.encode,
          scores=[p.score for p in pieces])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--texts", type=int, default=1000)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as temp:
        for name in PRE_TOKENIZERS:
            byte_level(pathlib.Path(temp), name, rng, args.texts)
        sentencepiece_bpe(pathlib.Path(temp), rng, args.texts)
        done = subprocess.run([args.binary, "[differential]"], env=os.environ | {"TROUPE_DIFF": temp}, capture_output=True, text=True, errors="replace")
    wrong = [line for line in done.stdout.splitlines() if line.startswith(("DIFFERENT ", "REFUSED "))]
    print("\n".join(wrong[:40]))
    print(f"{len(PRE_TOKENIZERS) + 1} vocabularies, {args.texts} texts each, {len(wrong)} differences")
    sys.exit(1 if wrong or "FINISHED" not in done.stdout else 0)


if __name__ == "__main__":
    main()
