"""The program's commands as a script uses them: what they print, and their exit status."""

import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TROUPE = os.environ.get("TROUPE_BIN", str(ROOT / "build/release/troupe"))
DATA = ROOT / "tests/data"
STORIES = [str(DATA / "stories260k"), str(DATA / "stories260k/stories260k-F32.gguf")]


def run(*arguments, text=None, **environment):
    return subprocess.run([TROUPE, *map(str, arguments)], input=text, capture_output=True, text=True, timeout=120,
                          env={**os.environ, **environment})


def output(*arguments, **options):
    result = run(*arguments, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout


def stories():
    return json.loads((DATA / "stories260k/expected.json").read_text())


def test_version():
    assert output("version").startswith("troupe ")


@pytest.mark.parametrize("model", STORIES)
def test_tokenize_prints_ids_on_one_line(model, tmp_path):
    file = tmp_path / "text"
    file.write_text("Once upon a time\n")
    plain = output("tokenize", "--model", model, "--file", file)
    assert plain.endswith("\n") and plain.count("\n") == 1
    special = output("tokenize", "--model", model, "--file", file, "--special")
    assert special.split()[1:] == plain.split()
    assert special.split()[0] == "1"


@pytest.mark.parametrize("name", ["split", "unigram", "falcon", "o200k"])
def test_tokenize_needs_no_more_than_a_tokenizer_json(name, tmp_path):
    file = tmp_path / "text"
    cases = json.loads((DATA / "tokenizers" / name / "cases.json").read_text())
    for flags in ([], ["--special"]):
        case = next(c for c in cases if c["parse_special"] == c["add_special"] == bool(flags) and len(c["ids"]) > 5)
        file.write_bytes(case["text"].encode())
        printed = output("tokenize", "--model", DATA / "tokenizers" / name, "--file", file, *flags)
        assert [int(id) for id in printed.split()] == case["ids"]


@pytest.mark.parametrize("model", STORIES)
@pytest.mark.parametrize("case", stories(), ids=lambda case: repr(case["prompt"])[:20])
def test_generate_from_ids(model, case):
    answer = json.loads(output("generate", "--model", model, "--ids", ",".join(map(str, case["ids"])), "--max-tokens",
                               len(case["greedy"]), "--temperature", 0, "--ignore-eos", "--compute", "f32", "--json"))
    assert answer["ids"] == case["greedy"]
    assert answer["finish_reason"] == "length"
    assert answer["timings"].keys() >= {"ttft_ms", "prefill_tokens_per_second", "decode_tokens_per_second"}


def test_logits_agree_with_generate():
    case = stories()[0]
    ids = ",".join(map(str, case["ids"]))
    logits = json.loads(output("logits", "--model", STORIES[0], "--ids", ids, "--compute", "f32"))["logits"]
    assert len(logits) == 512
    assert logits.index(max(logits)) == case["greedy"][0]


def test_generate_streams_text():
    command = ["generate", "--model", STORIES[0], "--raw", "Once upon a time", "--max-tokens", 40, "--temperature", 0]
    whole = json.loads(output(*command, "--json"))["text"]
    assert len(whole) > 40
    assert output(*command) == whole + "\n"


def test_generate_gives_several_answers():
    command = ["generate", "--model", STORIES[0], "--raw", "Once upon a time", "--max-tokens", 12, "--seed", 5]
    several = json.loads(output(*command, "--n", 3, "--json"))
    texts = [choice["text"] for choice in several["choices"]]
    assert len(set(texts)) == 3
    assert several["timings"]["completion_tokens"] == sum(len(choice["ids"]) for choice in several["choices"])
    assert json.loads(output(*command, "--json"))["text"] == texts[0]  # a choice does not depend on how many there are
    assert output(*command, "--n", 3) == "".join(f"[{i}]\n{text}\n" for i, text in enumerate(texts, 1))


def test_generate_prints_log_probabilities():
    command = ["generate", "--model", STORIES[0], "--raw", "Once upon a time", "--max-tokens", 8, "--temperature", 0,
               "--logprobs", 2]
    answer = json.loads(output(*command, "--json"))
    assert [entry["id"] for entry in answer["logprobs"]] == answer["ids"]
    assert "".join(entry["token"] for entry in answer["logprobs"]) == answer["text"]
    for entry in answer["logprobs"]:
        assert entry["top"][0]["id"] == entry["id"]  # greedy
        assert entry["logprob"] == entry["top"][0]["logprob"] > entry["top"][1]["logprob"]
    lines = output(*command).splitlines()
    assert lines[0] == answer["text"]
    assert lines[1].count("|") == 2 and json.dumps(answer["logprobs"][0]["token"]) in lines[1]
    assert len(lines) == 1 + len(answer["ids"])


def test_dry_breaks_a_repetition():
    command = ["generate", "--model", STORIES[0], "--ids", "1,403,407,261,378,403,407,261,378,403,407,261", "--max-tokens", 60,
               "--temperature", 0, "--ignore-eos", "--json"]

    def longest_repetition(ids):
        return max(n for n in range(len(ids)) for at in range(len(ids) - n) if ids[at:at + n] == ids[-n:] or n == 0)

    plain = json.loads(output(*command, "--logit-bias", "378=100"))["ids"]
    assert longest_repetition(plain) > 10
    dry = json.loads(output(*command, "--logit-bias", "378=100", "--dry-multiplier", 20, "--dry-base", 4))["ids"]
    assert longest_repetition(dry) < 5


def test_generate_without_a_template_names_the_flag():
    result = run("generate", "--model", STORIES[0], "Once upon a time")
    assert result.returncode != 0 and "--raw" in result.stderr
    result = run("chat", "--model", STORIES[0], text="Hi\n")
    assert result.returncode != 0 and "chat template" in result.stderr and "--raw" in result.stderr


# Longer than any reader below waits, were it not for the output's end.
ENDLESS = ["generate", "--model", STORIES[0], "--raw", "Once", "--ignore-eos", "--max-tokens", "400"]


def test_generate_ends_with_its_reader():
    with subprocess.Popen([TROUPE, *ENDLESS], stdout=subprocess.PIPE) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.wait(timeout=60) == -signal.SIGPIPE


@pytest.mark.parametrize("command, says", [
    (ENDLESS, None),
    (["tokenize", "--model", STORIES[0], "--file", str(ROOT / "README.md")], None),
    (["chat", "--max-tokens", "400"], "Tell me a story.\n" * 100),
], ids=["generate", "tokenize", "chat"])
def test_a_full_disk_is_a_failure(command, says):
    with open("/dev/full", "w") as full:
        result = subprocess.run([TROUPE, *command], input=says, stdout=full, stderr=subprocess.PIPE, text=True,
                                timeout=60)
    assert result.returncode == 1
    assert "output" in result.stderr


def test_render(tmp_path):
    for case in json.loads((DATA / "templates/tools.cases.json").read_text()):
        variables = tmp_path / "input.json"
        variables.write_text(json.dumps(case["input"]))
        result = run("render", "--template", DATA / "templates/tools.jinja", "--input", variables, "--now", case["now"])
        if case.get("output") is None:
            assert result.returncode == 1 and "line" in result.stderr
        else:
            assert (result.returncode, result.stdout) == (0, case["output"])


def test_render_errors_name_the_line(tmp_path):
    template, variables = tmp_path / "t.jinja", tmp_path / "v.json"
    template.write_text("one\n{% if %}\n")
    variables.write_text("{}")
    result = run("render", "--template", template, "--input", variables)
    assert result.returncode == 1
    assert "line 2" in result.stderr


@pytest.mark.parametrize("arguments, says", [
    (["generate"], "prompt"),
    (["generate", "x", "--model", "/nonexistent"], "/nonexistent"),
    (["generate", "x", "--temperature", "hot"], "--temperature"),
    (["generate", "x", "--logit-bias", "foo"], "--logit-bias"),
    (["generate", "x", "--repetition-penalty", "0"], "--repetition-penalty"),
    (["generate", "--model", STORIES[0], "--ids", "1,99999"], "0 to 511"),
    (["logits", "--model", STORIES[0], "--ids", "1,99999"], "0 to 511"),
    (["serve", "--max-num-seqs", "0"], "--max-num-seqs"),
    (["serve", "--model", STORIES[0], "--max-model-len", "100000"], "--max-model-len"),
    (["serve", "--kv-blocks", "8", "--kv-memory", "1GiB"], "--kv-memory"),
    (["serve", "--fault-injection", "nonsense"], "worker:throw@step=K"),
    (["serve", "--no-such-flag"], "--no-such-flag"),
    (["bench", "--url", "nonsense"], "--url"),
    (["serve", "--config", str(DATA)], "directory"),
    (["generate", "--model", STORIES[0], "--ids", ""], "--ids"),
    (["frobnicate"], "'frobnicate'; the commands are serve, generate"),
    (["frobnicate", "--port", "1"], "'frobnicate'"),
    ([], "subcommand"),
])
def test_usage_errors_say_what_to_do(arguments, says):
    result = run(*arguments)
    assert result.returncode == 2
    assert says in result.stderr


def test_a_configuration_file_error_names_the_line(tmp_path):
    file = tmp_path / "troupe.toml"
    file.write_text("[engine]\nmax_num_sequences = 4\n")
    result = run("serve", "--config", file)
    assert result.returncode == 2
    assert f"{file}:2" in result.stderr


def test_without_the_default_model_it_says_how_to_get_it(tmp_path):
    result = run("generate", "x", XDG_CACHE_HOME=str(tmp_path))
    assert result.returncode == 1
    assert "scripts/fetch-model" in result.stderr


def test_chat_reads_a_pipe():
    text = output("chat", "--temperature", "0", "--max-tokens", "24", text="What is 2 + 2?\nAnd twice that?\n/exit\nnever\n")
    assert "4" in text.splitlines()[0]
    assert len([line for line in text.splitlines() if line]) >= 2


def blocks_interrupts(pid):
    """Whether the process has made its signal gate: from then on it must see to Ctrl-C itself."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = int(next(line for line in lines if line.startswith("SigBlk")).split()[1], 16)
    return mask >> (signal.SIGINT - 1) & 1


def test_serve_can_be_interrupted_while_it_loads():
    with subprocess.Popen([TROUPE, "serve", "--port", "0"], stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not blocks_interrupts(process.pid):
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 128 + signal.SIGINT
        assert "serving" not in process.stderr.read()


def test_plan_answers_the_textbook():
    page = output("plan", "--params", "7e9", "--weight-dtype", "f16", "--bandwidth", "2TB/s", "--json")
    assert json.loads(page)["decode_tokens_per_second_max"] == 142.9
    flags = ("--params 70e9 --layers 80 --kv-heads 8 --head-dim 128 --kv-dtype f16 --gpus 8 --gpu-memory 80GB "
             "--weights-per-gpu 17.5GB --bandwidth 2TB/s --tpot 50ms").split()
    plan = json.loads(output("plan", *flags, "--context", 2048, "--json"))
    assert (plan["max_batch"], plan["binding"]) == (745, "memory")
    assert "2048        745  memory" in output("plan", *flags)


def test_plan_names_what_is_missing():
    result = run("plan", "--params", "7e9", "--weight-dtype", "f16")
    assert result.returncode == 2 and "--bandwidth" in result.stderr


def test_calibrate_writes_a_device_that_simulate_reads(tmp_path):
    device = tmp_path / "here.toml"
    output("calibrate", "--model", STORIES[1], "--rounds", 1, "--max-num-batched-tokens", 64, "--max-num-seqs", 8,
           "--kv-blocks", 256, "-o", device)
    assert "tokens_us" in device.read_text() and "kv_blocks = 256" in device.read_text()
    report = json.loads(output("simulate", "--device", device, "--num-requests", 50, "--request-rate", 50, "--input-len", 40,
                               "--output-len", 10, "--json", "-"))
    assert report["policies"][0]["completed"] == 50
    for flags, part in (([], "go together"), (["--device", device], "no recording")):
        result = run("calibrate", "--recording", device, *flags)
        assert result.returncode != 0 and part in result.stderr


def test_bench_times_a_model_without_a_server(tmp_path):
    report = json.loads(output("bench", "--model", STORIES[1], "--rounds", 2, "--max-num-seqs", 8, "--json", "-"))
    assert report["machine"]["read_bytes_per_second"] > 1e8 and report["threads"] > 0
    steps = {step["name"]: step for step in report["steps"]}
    assert "prefill 128" in steps and "decode, 8 streams, context 128" in steps
    assert "decode, 16 streams, context 128" not in steps
    for step in steps.values():
        assert abs(step["tokens_per_second"] * step["us"] / 1e6 - step["rows"] * step["new_tokens"]) < 1e-3
        assert 0 < step["share_of_bound"] < 1.5
    table = output("bench", "--model", STORIES[1], "--rounds", 1)
    assert "This machine: reads" in table and "of bound" in table
    failed = run("bench", "--model", tmp_path / "none.gguf")
    assert failed.returncode != 0 and "none.gguf" in failed.stderr


def test_simulate_is_the_same_each_time(tmp_path):
    flags = ["simulate", "--trace", DATA / "traces/mooncake_conversation_80.jsonl", "--load", "0.8", "--policy", "fcfs,sjf",
             "--max-model-len", "200000", "--seed", "3"]
    pages = []
    for name in ("a", "b"):
        output(*flags, "--json", tmp_path / f"{name}.json", "--html", tmp_path / f"{name}.html")
        pages.append((tmp_path / f"{name}.json").read_bytes() + (tmp_path / f"{name}.html").read_bytes())
    assert pages[0] == pages[1]
    assert [p["policy"] for p in json.loads((tmp_path / "a.json").read_text())["policies"]] == ["fcfs", "sjf"]


def test_simulate_names_what_is_wrong(tmp_path):
    for flags, part in ((["--policy", "nonsense"], "known are fcfs"), (["--device", "h999"], "h100"),
                        (["--trace", "/nonexistent"], "--trace")):
        result = run("simulate", "--num-requests", 5, *flags)
        assert result.returncode != 0 and part in result.stderr


def test_a_recorded_server_replays_to_the_same_plans(tmp_path):
    recording = tmp_path / "recording"
    server = subprocess.Popen([TROUPE, "serve", "--model", STORIES[1], "--port", "0", "--record", str(recording), "--uds",
                               str(tmp_path / "socket"), "--kv-blocks", "40", "--max-num-seqs", "6"], stderr=subprocess.PIPE)
    ids = ",".join(["7"] * 40)
    body = '{"prompt": [%s], "max_tokens": 60, "n": 3, "ignore_eos": true}' % ids
    curl = ["curl", "-s", "--retry", "20", "--retry-all-errors", "--retry-delay", "1", "--unix-socket", str(tmp_path / "socket"),
            "-H", "Content-Type: application/json", "-d", body, "http://localhost/v1/completions"]
    for _ in range(100):
        if subprocess.run(curl[:-4] + ["http://localhost/ready"], capture_output=True, text=True).stdout.find("ready") >= 0:
            break
        time.sleep(0.1)
    clients = [subprocess.Popen(curl, stdout=subprocess.PIPE) for _ in range(4)]
    answers = [json.loads(client.communicate()[0]) for client in clients]
    assert all(len(answer["choices"]) == 3 for answer in answers), answers
    server.send_signal(signal.SIGTERM)
    server.wait(60)
    replayed = output("simulate", "--replay", recording)
    assert "step plans are the same" in replayed and "difference" not in replayed
    report = json.loads(output("simulate", "--trace", recording, "--model", "smollm2-135m", "--json", "-"))
    assert report["policies"][0]["completed"] == 12
    recording.write_bytes(recording.read_bytes()[:-20])
    result = run("simulate", "--replay", recording)
    assert result.returncode == 1 and "truncated" in result.stderr
