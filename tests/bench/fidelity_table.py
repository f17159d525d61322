"""Types of weights times types of the KV cache: perplexity of a text, and distance from float32 arithmetic on the weights of
MODEL.gguf (`--compute f32`), which `troupe quantize` makes the others from; then llama.cpp on the same files.

    VENV/bin/python tests/bench/fidelity_table.py MODEL.gguf TEXT [--chunks 8]

VENV: pip install llama-cpp-python numpy gguf (without it, or with --no-peer, only Troupe)."""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def output(*arguments):
    return subprocess.run(list(map(str, arguments)), capture_output=True, text=True, check=True).stdout


def row(name, result):
    print(f"| {name} | {result['perplexity']:.3f} | {result['mean_kl']:.5f} | {result['largest_kl']:.3f} | "
          f"{100 * result['top1_agreement']:.2f} % |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--chunks", default="8")
    parser.add_argument("--types", default="q8_0,q4_0,q4_k")
    parser.add_argument("--kv", default="f32,f16,bf16,int8")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--troupe", default=str(HERE.parent.parent / "build/release/troupe"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = {"as it is": options.model}
        for kind in options.types.split(","):
            files[kind.upper()] = str(pathlib.Path(folder) / f"{kind}.gguf")
            output(options.troupe, "quantize", options.model, files[kind.upper()], "--type", kind)
        print("| weights, KV | perplexity | mean KL | largest KL | top-1 agreement |\n|---|---|---|---|---|")
        for name, file in files.items():
            for kv in options.kv.split(","):
                row(f"{name}, {kv}",
                    json.loads(output(options.troupe, "perplexity", "--model", file, "--kv-dtype", kv, "--kl-against",
                                      options.model, "--chunks", options.chunks, "--json", options.text)))
            if not options.no_peer:
                row(f"{name}, f16, llama.cpp",
                    json.loads(output(sys.executable, HERE / "perplexity_peer.py", file, options.text, "--against",
                                      options.model, "--chunks", options.chunks)))


main()
