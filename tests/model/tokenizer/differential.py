#!/usr/bin/env python3
"""Compares our ids and text with those of Hugging Face's `tokenizers` (0.22 or later): many small random tokenizers, each on
random text. On demand, not part of the test suite; docs/testing.md says how it was run.

    python3 differential.py --binary build/release/test_tokenizer --seed 1 --tokenizers 500 --texts 40 [--keep DIR]

What is left out of it, since we differ on purpose: the number of U+FFFD for broken bytes; special tokens that are also in the
model's vocabulary, which Python finds in plain text; special tokens that a normalizer changes, which Python does not skip;
Metaspace's "first" after ByteLevel and normalizers other than NFC, which Python judges by the original text; normalizers that
insert text at empty matches, which some of Python's pre-tokenizers repeat; characters younger than Unicode 3.2, whose classes
depend on the library.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

DATA = pathlib.Path(__file__).resolve().parents[2] / "data" / "tokenizers"
sys.path.insert(0, str(DATA))
from generate import CORPUS, EDGES, LLAMA3, O200K, QWEN35, TEKKEN, charsmap  # noqa: E402

OLD = unicodedata.ucd_3_2_0
RANGES = [(0, 0x80), (0x20, 0x7F), (0x80, 0x250), (0x2B0, 0x600), (0x300, 0x370), (0x900, 0x980), (0xE00, 0xE80), (0x1100, 0x1200),
          (0x1E00, 0x2000), (0x2000, 0x2100), (0x2100, 0x2200), (0x2460, 0x2500), (0x3000, 0x3100), (0x3130, 0x3400), (0x4E00, 0x4E80),
          (0xAC00, 0xAC80), (0xF900, 0xFA30), (0xFB00, 0xFDFF), (0xFE50, 0x10000), (0x1D400, 0x1D500), (0x10400, 0x10430)]
CHARACTERS = [[chr(c) for c in range(*r) if OLD.category(chr(c)) not in ("Cn", "Cs", "Co") and c != 0x166D] for r in RANGES]
EMOJI = ["🙂", "👍🏽", "👨‍👩‍👧", "❤️", "🇩🇪🇫🇷", "🏳️‍🌈", "1️⃣"]
PATTERNS = [LLAMA3, TEKKEN, O200K, QWEN35, LLAMA3.replace("{1,3}", ""), r"\s+", r"\p{N}", r"\p{N}{1,3}", r"[\r\n]", r"\s?\p{L}+", r"\w+|[^\w\s]+",
            r"\s|\p{Lu}|x?", r"[^\S ]+|\p{Han}+", r"\b", r"(?<=\p{L})(?=\p{N})", r"\s+$", r"^.", r"[[:punct:]]+", r"a|e|i|o|u", "▁", r"[\p{P}\$\+<=>\^~\|]+"]
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
SPECIALS = ["<s>", "</s>", "<|im_end|>", "<unk>"]
BYTES = [f"<0x{b:02X}>" for b in range(256)]


def soup(rng):
    kind = rng.randrange(8)
    if kind == 0:
        return rng.choice(EDGES)
    if kind == 1:
        return rng.choice(" \n\t\r\u00a0\u3000") * rng.randrange(1, 6)
    if kind == 2:
        return "".join(rng.choice("0123456789²½Ⅷ٣") for _ in range(rng.randrange(1, 9)))
    if kind == 3:
        return rng.choice(EMOJI)
    if kind == 4:
        return rng.choice("aeinoAEO") + "".join(rng.choice(CHARACTERS[4]) for _ in range(rng.randrange(1, 5)))
    if kind == 5:
        characters = rng.choice(CHARACTERS)
        return "".join(rng.choice(characters) for _ in range(rng.randrange(1, 9)))
    if kind == 6:
        return rng.choice(SPECIALS + ["<tag>", "<Word>", "Lamp", "  ", "é", "don't", "I'LL", "it'ſ", "▁", "▁▁", "##", "</w>", "<0x41>"])
    return rng.choice(WORDS)


WORDS = " ".join(CORPUS).split(" ")


def text(rng):
    return "".join(soup(rng) + rng.choice(["", "", " "]) for _ in range(rng.randrange(0, 9)))


def random_normalizer(rng):
    make = [normalizers.NFC, normalizers.NFD, normalizers.NFKC, normalizers.NFKD, normalizers.Lowercase, normalizers.Nmt, normalizers.StripAccents,
            lambda: normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]),
            lambda: normalizers.Strip(rng.random() < 0.5, rng.random() < 0.5), lambda: normalizers.Prepend(rng.choice(["▁", " ", "x"])),
            lambda: normalizers.Replace(rng.choice([" ", "a", "``", "▁"]), rng.choice(["▁", "", "é", " "])),
            lambda: normalizers.Replace(Regex(rng.choice([r" {2,}", r"\p{M}", r"[\n\r]+"])), rng.choice(["▁", "", " "])),
            normalizers.ByteLevel, lambda: normalizers.Precompiled(charsmap())]
    steps = [rng.choice(make)() for _ in range(rng.choice([0, 0, 1, 1, 2, 3]))]
    return None if not steps else steps[0] if len(steps) == 1 else normalizers.Sequence(steps)


def random_pre_tokenizer(rng, normalizer):
    schemes = ["always", "never", "first"] if normalizer is None or type(normalizer).__name__ == "NFC" else ["always", "never"]
    flag = lambda: rng.random() < 0.5  # noqa: E731
    make = [lambda: pre_tokenizers.Split(Regex(rng.choice(PATTERNS)), rng.choice(BEHAVIORS), flag()),
            lambda: pre_tokenizers.Split(rng.choice([" ", "▁", "e", "  "]), rng.choice(BEHAVIORS), flag()),
            lambda: pre_tokenizers.ByteLevel(flag(), use_regex=flag()), lambda: pre_tokenizers.ByteLevel(False, use_regex=False),
            lambda: pre_tokenizers.Digits(flag()), lambda: pre_tokenizers.Metaspace(rng.choice("▁_"), rng.choice(schemes), flag()),
            lambda: pre_tokenizers.Punctuation(rng.choice(BEHAVIORS)), pre_tokenizers.Whitespace, pre_tokenizers.WhitespaceSplit,
            lambda: pre_tokenizers.CharDelimiterSplit(rng.choice(" -é")), pre_tokenizers.BertPreTokenizer]
    steps = [rng.choice(make)() for _ in range(rng.choice([0, 1, 1, 2, 3]))]
    return None if not steps else steps[0] if len(steps) == 1 else pre_tokenizers.Sequence(steps)


def random_decoder(rng):
    flag = lambda: rng.random() < 0.5  # noqa: E731
    return rng.choice([
        lambda: None, decoders.ByteLevel, lambda: decoders.Metaspace("▁", rng.choice(["always", "never", "first"]), flag()),
        lambda: decoders.WordPiece(rng.choice(["##", ""]), flag()), decoders.Fuse,
        lambda: decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", rng.randrange(3), 0)]),
        lambda: decoders.Sequence([decoders.Replace(Regex("[▁_]+"), " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]),
        lambda: decoders.Sequence([decoders.Strip("▁", 1, 0), decoders.Replace("e", "E"), decoders.ByteFallback(), decoders.Fuse()])])()


def random_model(rng, tokenizer):
    corpus = [t for t in CORPUS if rng.random() < 0.7] + [text(rng) for _ in range(10)]
    size = rng.choice([150, 300, 500])
    alphabet = pre_tokenizers.ByteLevel.alphabet() if rng.random() < 0.5 else []
    byte_fallback = rng.random() < 0.4
    listed = (["<unk>"] if rng.random() < 0.7 else []) + (BYTES if byte_fallback else [])
    if byte_fallback and rng.random() < 0.3:
        listed = [t for t in listed if rng.random() < 0.9 or t == "<unk>"]
    if rng.random() < 0.3:
        tokenizer.model = models.Unigram()
        trainer = trainers.UnigramTrainer(vocab_size=size + 600, show_progress=False, special_tokens=["<unk>"], unk_token="<unk>", initial_alphabet=alphabet)
        tokenizer.train_from_iterator(corpus, trainer)
        data = json.loads(tokenizer.to_str())
        data["model"]["vocab"] += [[t, -12.5] for t in listed if t != "<unk>"]
        data["model"]["byte_fallback"] = byte_fallback
    else:
        options = {"continuing_subword_prefix": "##"} if rng.random() < 0.1 else {"end_of_word_suffix": "</w>"} if rng.random() < 0.1 else {}
        tokenizer.model = models.BPE(unk_token="<unk>" if "<unk>" in listed else None, **options)
        trainer = trainers.BpeTrainer(vocab_size=size + len(listed), show_progress=False, special_tokens=listed, initial_alphabet=alphabet,
                                      limit_alphabet=rng.choice([60, 300]), **options)
        tokenizer.train_from_iterator(corpus, trainer)
        data = json.loads(tokenizer.to_str())
        data["model"] |= {"byte_fallback": byte_fallback, "fuse_unk": rng.random() < 0.5, "ignore_merges": rng.random() < 0.3}
        if rng.random() < 0.5:
            data["model"]["merges"] = [" ".join(m) for m in data["model"]["merges"] if not any(" " in part for part in m)]
    data["added_tokens"] = []
    return data


def random_added(rng, vocabulary):
    flag = lambda p: rng.random() < p  # noqa: E731
    contents = rng.sample(["<s>", "</s>", "<|im_end|>", "<tag>", "<tag", "<Word>", "Lamp", "lamp", "  ", "ab", "[SEP]"], rng.randrange(0, 6))
    special = {c: c in ("<s>", "</s>", "<|im_end|>", "[SEP]") and c not in vocabulary and flag(0.7) for c in contents}
    return [AddedToken(c, single_word=flag(0.2), lstrip=flag(0.2), rstrip=flag(0.2), normalized=not special[c] and flag(0.3), special=special[c])
            for c in contents]


def random_processor(rng):
    a, b = rng.randrange(100), rng.randrange(100)
    template = processors.TemplateProcessing(single="x $A y" if rng.random() < 0.5 else "x x $A", pair="$A $B", special_tokens=[("x", a), ("y", b)])
    return rng.choice([None, processors.ByteLevel(trim_offsets=True), template, processors.RobertaProcessing(("y", a), ("x", b)), processors.BertProcessing(("y", a), ("x", b)),
                       processors.Sequence([processors.ByteLevel(trim_offsets=False), template])])


def random_tokenizer(rng):
    tokenizer = Tokenizer(models.BPE())
    normalizer = random_normalizer(rng)
    pre_tokenizer = random_pre_tokenizer(rng, normalizer)
    while "ByteLevel" in str(pre_tokenizer) and "=first" in str(pre_tokenizer):
        pre_tokenizer = random_pre_tokenizer(rng, normalizer)
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    data = random_model(rng, tokenizer)
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.add_tokens(random_added(rng, tokenizer.get_vocab()))
    if (decoder := random_decoder(rng)) is not None:
        tokenizer.decoder = decoder
    if (processor := random_processor(rng)) is not None:
        tokenizer.post_processor = processor
    return tokenizer


def cases(rng, tokenizer, count):
    out = []
    ids_known = sorted(tokenizer.get_vocab().values())
    for i in range(count):
        parse_special, add_special, skip_special = (rng.random() < 0.5 for _ in range(3))
        tokenizer.encode_special_tokens = not parse_special
        case = {"parse_special": parse_special, "add_special": add_special, "skip_special": skip_special}
        if i % 4 == 3:
            case["ids"] = [rng.choice(ids_known) for _ in range(rng.randrange(0, 12))]
        else:
            case["text"] = text(rng)
            case["ids"] = tokenizer.encode(case["text"], add_special_tokens=add_special).ids
        decoded = tokenizer.decode(case["ids"], skip_special_tokens=skip_special)
        if "\ufffd" not in decoded:
            case["decoded"] = decoded
        out.append(case)
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tokenizers", type=int, default=200)
    parser.add_argument("--texts", type=int, default=40)
    parser.add_argument("--keep", type=pathlib.Path, help="keep what differs in this folder")
    args = parser.parse_args()
    counts, refused, errors = collections.Counter(), collections.Counter(), collections.Counter()
    batch = 50
    for first in range(args.seed, args.seed + args.tokenizers, batch):
        with tempfile.TemporaryDirectory() as temp:
            for seed in range(first, min(first + batch, args.seed + args.tokenizers)):
                rng = random.Random(seed)
                folder = pathlib.Path(temp) / str(seed)
                try:
                    tokenizer = random_tokenizer(rng)
                    made = cases(rng, tokenizer, args.texts)
                except BaseException as e:  # a panic of theirs
                    if isinstance(e, KeyboardInterrupt):
                        raise
                    errors[f"{type(e).__name__}: {e}"[:100]] += 1
                    continue
                folder.mkdir()
                (folder / "tokenizer.json").write_text(tokenizer.to_str())
                (folder / "cases.json").write_text(json.dumps(made))
                counts["tokenizers"] += 1
                counts["texts"] += sum("text" in c for c in made)
                counts["id sequences"] += sum("text" not in c for c in made)
            done = subprocess.run([args.binary, "[differential]"], env=os.environ | {"TROUPE_DIFF": temp}, capture_output=True, text=True, errors="replace")
            for line in done.stdout.splitlines():
                if line.startswith("REFUSED "):
                    counts["tokenizers that we refuse"] += 1
                    refused[line.split(": ", 1)[1]] += 1
                elif line.startswith("DIFFERENT "):
                    counts["differences"] += 1
                    if counts["differences"] <= 40:
                        print(line)
                    if args.keep and not (args.keep / line.split()[1]).exists():
                        shutil.copytree(pathlib.Path(temp) / line.split()[1], args.keep / line.split()[1])
            if "FINISHED" not in done.stdout:
                print(done.stdout[-2000:], done.stderr[-2000:])
                sys.exit("the binary did not finish")
    print(dict(counts))
    for name, counter in (("refused", refused), ("not made by Python", errors)):
        for message, count in counter.most_common(20):
            print(f"{name}: {count} x {message}")
    sys.exit(1 if counts["differences"] else 0)


if __name__ == "__main__":
    main()
