"""`troupe quantize`, --quantize, --kv-dtype and `troupe perplexity` as a script uses them."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TROUPE = os.environ.get("TROUPE_BIN", str(ROOT / "build/release/troupe"))
DIRECTORY = ROOT / "tests/data/stories260k"
FILE = DIRECTORY / "stories260k-F32.gguf"
TEXT = "Once upon a time there was a little girl who loved to play outside. One day she found a red ball. " * 20


def run(*arguments):
    return subprocess.run([TROUPE, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def output(*arguments):
    result = run(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def logits(*arguments):
    return json.loads(output("logits", "--ids", "1,403,407,261,378", *arguments))["logits"]


@pytest.mark.parametrize("kind", ["q8_0", "q4_0", "q4_1", "q4_k"])
@pytest.mark.parametrize("source", [DIRECTORY, FILE], ids=["directory", "file"])
def test_a_quantized_file_and_quantizing_on_load_are_the_same(kind, source, tmp_path):
    out = tmp_path / "out.gguf"
    result = run("quantize", source, out, "--type", kind)
    assert result.returncode == 0, result.stderr
    assert kind.upper() in result.stdout
    assert ("do not divide by 256" in result.stderr) == (kind == "q4_k")  # rows of 64
    assert "5 matrices are F32: rows of 172 do not divide by 32" in result.stderr
    assert logits("--model", out) == logits("--model", source, "--quantize", kind)
    assert list(tmp_path.iterdir()) == [out]
    ids = output("tokenize", "--model", source, "--special", "Once upon a time, in 1999!")
    assert output("tokenize", "--model", out, "--special", "Once upon a time, in 1999!") == ids


@pytest.mark.parametrize("arguments, says", [
    ((FILE, "IN", "--type", "q5_k"), "allowed are q8_0, q4_0, q4_1 and q4_k"),
    ((FILE, FILE, "--type", "q8_0"), "is the input itself"),
    ((FILE, "/nowhere/out.gguf", "--type", "q8_0"), "cannot write /nowhere/out.gguf.partial"),
    (("/nowhere/in.gguf", "OUT", "--type", "q8_0"), "/nowhere/in.gguf"),
    ((ROOT / "tests/data/golden/llama-dynamic", "/tmp/troupe-never.gguf", "--type", "q8_0"), "dynamic rope scaling"),
])
def test_quantize_says_what_is_wrong(arguments, says):
    result = run("quantize", *arguments)
    assert result.returncode != 0
    assert says in result.stderr


def test_what_is_quantized_is_not_quantized_on_load(tmp_path):
    output("quantize", FILE, tmp_path / "out.gguf", "--type", "q4_0")
    result = run("logits", "--ids", "1", "--model", tmp_path / "out.gguf", "--quantize", "q8_0")
    assert result.returncode == 2
    assert "quantized already (Q4_0)" in result.stderr


def test_the_types_of_the_kv_cache_differ_a_little():
    reference = logits("--model", FILE, "--compute", "f32")
    assert logits("--model", FILE, "--compute", "f32", "--kv-dtype", "f32") == reference
    largest, before = max(map(abs, reference)), 0
    for kind in ("f16", "bf16", "int8"):
        error = max(abs(a - b) for a, b in zip(reference, logits("--model", FILE, "--compute", "f32", "--kv-dtype", kind)))
        assert before < error < 0.05 * largest
        before = error
    assert "auto, f16, bf16, f32, int8" in run("logits", "--ids", "1", "--model", FILE, "--kv-dtype", "q4").stderr


def test_perplexity(tmp_path):
    text = tmp_path / "text"
    text.write_text(TEXT)
    result = json.loads(output("perplexity", "--model", FILE, text, "--ctx-size", 128, "--json"))
    assert 1 < result["perplexity"] < 60
    assert result["tokens"] == result["chunks"] * 63
    assert json.loads(output("perplexity", "--model", FILE, text, "--ctx-size", 128, "--chunks", 2, "--json"))["chunks"] == 2
    compared = json.loads(output("perplexity", "--model", DIRECTORY, "--quantize", "q8_0", "--kl-against", FILE, text,
                                 "--ctx-size", 128, "--json"))
    assert 0 < compared["mean_kl"] < 0.02
    assert compared["mean_kl"] <= compared["largest_kl"]
    assert 0.9 < compared["top1_agreement"] <= 1
    assert compared["reference_perplexity"] == pytest.approx(result["perplexity"], rel=1e-3)
    same = output("perplexity", "--model", FILE, "--compute", "f32", "--kl-against", "self", text, "--ctx-size", 128)
    assert "KL divergence 0.000000" in same and "agreement 100.00 %" in same
    wrong = run("perplexity", "--model", FILE, text, "--ctx-size", 100000)
    assert wrong.returncode == 2 and "--ctx-size" in wrong.stderr
