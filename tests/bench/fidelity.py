"""How far the default mode's and llama.cpp's logits are from float32 arithmetic on the same weights.

    VENV/bin/python tests/bench/fidelity.py --model MODEL.gguf --prompts PROMPTS.json

PROMPTS: a list of {"ids": [...], "greedy": [...]}. Each prompt is continued by 0, 8, 16, ... tokens of its greedy text;
the reference at each position is `troupe logits --compute f32`."""
import argparse
import json
import pathlib
import subprocess
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent


def troupe_logits(program, model, ids, *flags):
    result = subprocess.run([program, "logits", "--model", model, "--ids", ",".join(map(str, ids)), *flags],
                            capture_output=True, text=True, check=True)
    return np.array(json.loads(result.stdout)["logits"])


def log_softmax(x):
    shifted = x - x.max()
    return shifted - np.log(np.exp(shifted).sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prompts", required=True)
    parser.add_argument("--troupe", default=str(HERE.parent.parent / "build/release/troupe"))
    options = parser.parse_args()
    peer = subprocess.Popen([sys.executable, HERE / "llama_cpp_peer.py", options.model, "2"], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    measured = {"Troupe": [], "llama.cpp": []}
    for prompt in json.loads(pathlib.Path(options.prompts).read_text()):
        for length in range(0, len(prompt["greedy"]), 8):
            ids = prompt["ids"] + prompt["greedy"][:length]
            reference = troupe_logits(options.troupe, options.model, ids, "--compute", "f32")
            print("logits", ",".join(map(str, ids)), file=peer.stdin, flush=True)
            answers = {"Troupe": troupe_logits(options.troupe, options.model, ids),
                       "llama.cpp": np.array(json.loads(peer.stdout.readline())["logits"])}
            for name, logits in answers.items():
                p, q = log_softmax(reference), log_softmax(logits)
                error = np.abs(logits - reference)[np.argsort(reference)[-40:]].max() / np.abs(reference).max()
                measured[name].append((float((np.exp(p) * (p - q)).sum()), p.argmax() == q.argmax(), error))
    print("| | positions | mean KL | largest KL | top-1 agreement | mean error of the top 40 logits |\n|---|---|---|---|---|---|")
    for name, rows in measured.items():
        kl, same, error = (np.array(column) for column in zip(*rows))
        print(f"| {name} | {len(rows)} | {kl.mean():.4f} | {kl.max():.4f} | {100 * same.mean():.1f} % | "
              f"{100 * error.mean():.2f} % |")
    peer.stdin.close()


main()
