#!/usr/bin/env python3
"""Trains the small vocabularies beside this file from corpus.txt and writes, for each, cases.json: texts with the
ids and the text that Hugging Face's `tokenizers` gives. Run with `tokenizers` 0.22 or later: generate.py"""
import base64
import io
import json
import pathlib
import random
import sys
import tempfile

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).resolve().parent
CORPUS = (HERE / "corpus.txt").read_text().splitlines(keepends=True)
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN35 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?"
          r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
# Of the precompiled charsmap: code points and what they become.
RULES = ["FF21\t41", "FF41\t61", "FB01\t66 69", "78\t79", "78 301\t7A", "65 301\tE9", "AD\t", "3000\t20", "A0\t20", "9\t20", "212B\tC5", "2026\t2E 2E 2E", "1F642\t3A 29",
         "E9\t65 301", "D A\tA", "1112 1161\tD558", "2581\t20"]
SPECIAL = ["<|bos|>", "<|eos|>", "<|im_start|>"]
EDGES = ["", " ", "  ", "   ", "\t", "\n", "\n\n \n", " \t x", "a", " a", "a ", "  a  b   c  ", "\u180e a\u180eb", "\xa0\u3000x",
         "don't DON'T we'LL it'ſ", "12345 6 78.9 ½²Ⅷ", "🙂🙂👍🏽👨‍👩‍👧❤️", "日本語とкириллица", "<|bos|>x<|eos|> <|im_start|>",
         "e\u0301\u0323 a\u0328\u0301 \u1112\u1161\u11ab \u212b \uf900 \u0344 \u0958 é \u0000 \ufffd", "a" * 300, " " * 100, "ab" * 70, "▁▁x▁ y", "x" * 47 + " " + "y" * 49, "!?!?...", "\r\n\r\n x\r"]


def random_text(rng):
    pieces = "".join(CORPUS).split(" ")
    def piece():
        kind = rng.randrange(10)
        if kind < 5:
            return rng.choice(pieces)
        if kind < 7:
            return rng.choice(EDGES[:20])
        if kind == 7:
            return rng.choice(SPECIAL + ["<tag>", "<Word>", "[SEP]", "<strip>", "<Word>🙂", "_<Word>"])
        if kind == 8:
            return "".join(chr(rng.choice([rng.randrange(32, 127), rng.randrange(0xA0, 0x530), rng.randrange(0x2000, 0x2070),
                                           rng.randrange(0x4E00, 0x4F00), rng.randrange(0x1F600, 0x1F640)])) for _ in range(rng.randrange(1, 8)))
        return rng.choice(" \n\t") * rng.randrange(1, 5)
    return "".join(piece() + rng.choice(["", " "]) for _ in range(rng.randrange(1, 8)))


def cases(tokenizer, texts):
    """What tests/model/tokenizer/case_file.hpp reads."""
    out = []
    for i, text in enumerate(texts):
        parse_special, add_special = i % 2 == 0, i % 4 < 2
        tokenizer.encode_special_tokens = not parse_special
        ids = tokenizer.encode(text, add_special_tokens=add_special).ids
        case = {"text": text, "parse_special": parse_special, "add_special": add_special, "ids": ids}
        decoded = tokenizer.decode(ids, skip_special_tokens=False)
        if "\ufffd" not in decoded:  # how many of them stand for broken bytes is a matter of taste
            case["decoded"] = decoded
        out.append(case)
    return out


def charsmap():
    """The bytes of the map that make_charsmap() made."""
    data = json.loads((HERE / "unigram" / "tokenizer.json").read_text())
    return base64.b64decode(data["normalizer"]["normalizers"][0]["precompiled_charsmap"])


def make_charsmap():
    """RULES, compiled by SentencePiece (of PyPI: sentencepiece, protobuf)."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    model = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.write("".join(rule + "\n" for rule in RULES))
        rules.flush()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(CORPUS), model_writer=model, vocab_size=300, hard_vocab_limit=False,
                                                 normalization_rule_tsv=rules.name, minloglevel=2)
    return sentencepiece_model_pb2.ModelProto.FromString(model.getvalue()).normalizer_spec.precompiled_charsmap


def write(name, tokenizer, config, merges_as_strings=False):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    data = json.loads(tokenizer.to_str())
    if merges_as_strings:
        data["model"]["merges"] = [" ".join(m) for m in data["model"]["merges"]]
    (folder / "tokenizer.json").write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    rng = random.Random(name)
    texts = EDGES + [random_text(rng) for _ in range(120)]
    lines = [json.dumps(c, ensure_ascii=False) for c in cases(tokenizer, texts)]
    (folder / "cases.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


def train(tokenizer, vocab_size, **options):
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=vocab_size, show_progress=False, **options))


def byte_level():
    """As SmolLM2 and GPT-2: digits alone, ByteLevel's own pattern."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, 800, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    write("byte-level", tokenizer, {"bos_token": "<|im_start|>", "eos_token": {"content": "<|eos|>"},
                                    "model_max_length": 1000000000000000019884624838656}, merges_as_strings=True)


def split():
    """As Llama 3: a Split pattern, merges ignored for whole words, a template that adds the first token."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, 800, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.add_special_tokens(SPECIAL)
    # A word that merges do not give: only ignore_merges finds it.
    data = json.loads(tokenizer.to_str())
    data["model"]["vocab"]["Ġzyx"] = 900
    tokenizer = Tokenizer.from_str(json.dumps(data))
    bos = tokenizer.token_to_id("<|bos|>")
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single="<|bos|> $A", pair="<|bos|> $A <|bos|> $B", special_tokens=[("<|bos|>", bos)])])
    write("split", tokenizer, {"bos_token": "<|bos|>", "eos_token": "<|eos|>"})


def nfc():
    """As Qwen2: text in normalization form C, digits alone."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    pattern = Regex(LLAMA3.replace("{1,3}", ""))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(pattern, "isolated"),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, 500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.add_special_tokens(SPECIAL)
    write("nfc", tokenizer, {"bos_token": None, "eos_token": "<|eos|>"})


def sentencepiece():
    """As Llama 2: spaces become a character of their own, unknown characters become bytes."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")  # for the training only
    byte_tokens = [f"<0x{i:02X}>" for i in range(256)]
    train(tokenizer, 900, special_tokens=["<unk>", "<s>", "</s>"] + byte_tokens, limit_alphabet=120)
    data = json.loads(tokenizer.to_str())
    data["pre_tokenizer"] = None
    data["added_tokens"] = data["added_tokens"][:3]
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A $B", special_tokens=[("<s>", 1), ("</s>", 2)])
    write("sentencepiece", tokenizer, {"bos_token": "<s>", "eos_token": "</s>"})


def metaspace():
    """Metaspace and punctuation; unknown characters become <unk>, one for each run."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(prepend_scheme="first"), pre_tokenizers.Punctuation("contiguous"),
                                                       pre_tokenizers.Digits()])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    train(tokenizer, 600, special_tokens=["<unk>"] + SPECIAL, limit_alphabet=100)
    write("metaspace", tokenizer, {})


def added():
    """Added tokens with every flag, over a normalizer and a Split that removes."""
    tokenizer = Tokenizer(models.BPE(unk_token="?", fuse_unk=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(Regex("[ \\t]+"), " "), normalizers.Strip(left=False)])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    tokenizer.decoder = decoders.Fuse()
    train(tokenizer, 500, special_tokens=["?"])
    tokenizer.add_special_tokens([AddedToken(s, normalized=False) for s in SPECIAL])
    tokenizer.add_tokens([AddedToken("<tag>", normalized=False), AddedToken("<tag", normalized=False),
                          AddedToken("<Word>", single_word=True, normalized=False), AddedToken("light", single_word=True, normalized=True),
                          AddedToken("<strip>", lstrip=True, rstrip=True, normalized=False), AddedToken("the lamp", normalized=True),
                          AddedToken("[SEP]", rstrip=True, normalized=True)])
    write("added", tokenizer, {"eos_token": "<|eos|>"})


def unigram():
    """As T5: SentencePiece's charsmap, Unigram with bytes for unknown characters."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Precompiled(make_charsmap()), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=300, show_progress=False, special_tokens=["<unk>"], unk_token="<unk>"))
    data = json.loads(tokenizer.to_str())
    data["model"]["vocab"] += [[f"<0x{b:02X}>", -11] for b in range(256)]
    data["model"]["byte_fallback"] = True
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.add_special_tokens(["</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A $B", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))])
    write("unigram", tokenizer, {"eos_token": "</s>"})


def o200k():
    """As gpt-oss: words split where their case changes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(O200K), "removed", invert=True),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, 400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    write("o200k", tokenizer, {})


def falcon():
    """As Falcon: steps after ByteLevel, which see its alphabet."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.Digits(),
        pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")])
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, 400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    write("falcon", tokenizer, {})


def normalized():
    """Many normalizers, words that end in a suffix."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Lowercase(), normalizers.NFD(), normalizers.StripAccents()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.CharDelimiterSplit("-"), pre_tokenizers.Whitespace()])
    train(tokenizer, 400, special_tokens=["<unk>"], end_of_word_suffix="</w>")
    tokenizer.add_tokens([AddedToken("The Lamp", normalized=True)])
    tokenizer.post_processor = processors.RobertaProcessing(("<unk>", 0), ("e", tokenizer.token_to_id("e")))
    write("normalized", tokenizer, {})


def affixes():
    """As WordPiece's vocabularies, of BPE: parts of words after the first begin with ##."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##", fuse_unk=True))
    tokenizer.normalizer = normalizers.NFKD()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    train(tokenizer, 400, special_tokens=["[UNK]", "[CLS]", "[SEP]"], continuing_subword_prefix="##")
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    write("affixes", tokenizer, {})


if __name__ == "__main__":
    everything = (byte_level, split, nfc, sentencepiece, metaspace, added, unigram, o200k, falcon, normalized, affixes)
    for make in everything:
        if not sys.argv[1:] or make.__name__ in sys.argv[1:]:
            make()
