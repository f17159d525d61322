"""--model ORG/NAME[:FILE]: from the Hugging Face cache, or from a hub, which here runs on this machine."""

import concurrent.futures
import json
import os
import pathlib
import pty
import subprocess
import urllib.request

import pytest
from hub import COMMIT, Hub

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TROUPE = os.environ.get("TROUPE_BIN", str(ROOT / "build/release/troupe"))
STORIES = ROOT / "tests/data/stories260k"
NAME = "some-org/stories.260k"
DIRECTORY = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


def stories(*names):
    return {name: (STORIES / name).read_bytes() for name in names}


def gguf():
    return (STORIES / "stories260k-F32.gguf").read_bytes()


@pytest.fixture
def hub():
    with Hub(NAME, {**stories(*DIRECTORY), "README.md": b"# Stories\n", "pytorch_model.bin": b"x"}) as one:
        yield one


def run(hub, cache, *arguments, model=NAME, **environment):
    variables = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    variables |= {"HF_ENDPOINT": hub.url if hub else "http://127.0.0.1:9", "HF_HUB_CACHE": str(cache)}
    return subprocess.run([TROUPE, arguments[0] if arguments else "tokenize", "--model", model,
                           *(arguments[1:] or ["Once upon a time"])], capture_output=True, text=True, timeout=120,
                          env=variables | environment)


def output(*arguments, **options):
    result = run(*arguments, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout


def complaint(*arguments, **options):
    result = run(*arguments, **options)
    assert result.returncode != 0
    return result.stderr


def expected():
    return subprocess.run([TROUPE, "tokenize", "--model", STORIES, "Once upon a time"], capture_output=True,
                          text=True, check=True).stdout


def folder(cache):
    return cache / "models--some-org--stories.260k"


def test_a_directory_arrives_in_the_layout_of_huggingface_hub(hub, tmp_path):
    assert output(hub, tmp_path) == expected()
    snapshot = folder(tmp_path) / "snapshots" / COMMIT
    assert (folder(tmp_path) / "refs/main").read_text() == COMMIT
    assert sorted(path.name for path in snapshot.iterdir()) == DIRECTORY  # and nothing that is not needed
    for path in snapshot.iterdir():
        assert os.readlink(path) == f"../../blobs/{hub.hash(hub.files[path.name])}"
        assert path.read_bytes() == hub.files[path.name]
    assert not list((folder(tmp_path) / "blobs").glob("*.incomplete"))
    # The second time it is here, hub or no hub.
    requests = len(hub.requests)
    assert output(hub, tmp_path) == expected()
    assert len(hub.requests) == requests
    assert output(None, tmp_path, HF_HUB_OFFLINE="1") == expected()


def test_every_command_takes_it_and_it_is_served_by_its_name(hub, tmp_path):
    case = json.loads((STORIES / "expected.json").read_text())[0]
    ids = ",".join(map(str, case["ids"]))
    answer = json.loads(output(hub, tmp_path, "generate", "--ids", ids, "--max-tokens", "8", "--temperature", "0",
                               "--compute", "f32", "--ignore-eos", "--json"))
    assert answer["ids"] == case["greedy"][:8]
    assert len(json.loads(output(None, tmp_path, "logits", "--ids", ids))["logits"]) == 512
    server = subprocess.Popen([TROUPE, "serve", "--model", NAME, "--port", "0"], stderr=subprocess.PIPE, text=True,
                              env={**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"})
    try:
        url = next(line for line in server.stderr if " on http://" in line).split()[-1]
        with urllib.request.urlopen(url + "/models", timeout=30) as answer:
            model, = json.load(answer)["data"]
        assert model["id"] == NAME
        assert model["root"] == str(folder(tmp_path) / "snapshots" / COMMIT)
    finally:
        server.kill()
        server.wait()
        server.stderr.close()


def test_a_cache_that_huggingface_hub_wrote(tmp_path):
    snapshot = folder(tmp_path) / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (folder(tmp_path) / "refs").mkdir()
    (folder(tmp_path) / "refs/main").write_text(COMMIT)
    (folder(tmp_path) / "blobs").mkdir()
    for name in DIRECTORY:
        (folder(tmp_path) / "blobs" / name[::-1]).write_bytes((STORIES / name).read_bytes())
        (snapshot / name).symlink_to(f"../../blobs/{name[::-1]}")
    assert output(None, tmp_path, HF_HUB_OFFLINE="1") == expected()
    # HF_HOME names the folder above.
    (tmp_path / "home").mkdir()
    (tmp_path / "home/hub").symlink_to(tmp_path)
    assert output(None, "", HF_HOME=str(tmp_path / "home")) == expected()
    # One blob is gone: not whole.
    (folder(tmp_path) / "blobs" / "model.safetensors"[::-1]).unlink()
    assert "HF_HUB_OFFLINE" in complaint(None, tmp_path, HF_HUB_OFFLINE="1")


def test_hashes_from_the_header_of_each_file(hub, tmp_path):
    hub.blobs = False
    assert output(hub, tmp_path) == expected()
    names = {path.name for path in (folder(tmp_path) / "blobs").iterdir()}
    assert names == {hub.hash(hub.files[name]) for name in DIRECTORY}


def test_a_cut_download_is_resumed(hub, tmp_path):
    hub.cut_after = 400_000
    assert output(hub, tmp_path) == expected()
    ranges = [asked for _, path, asked, _ in hub.requests if path == "/store/model.safetensors"]
    assert ranges == [None, "bytes=400000-", "bytes=800000-"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_goes_on_in_the_next_run(hub, tmp_path, ranges):
    data = hub.files["model.safetensors"]
    partial = folder(tmp_path) / "blobs" / f"{hub.hash(data)}.incomplete"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(data[:1000])
    hub.ranges = ranges
    assert output(hub, tmp_path) == expected()
    assert "bytes=1000-" in [asked for _, _, asked, _ in hub.requests]
    assert not partial.exists()


def test_two_programs_that_want_the_same_download_it_once(hub, tmp_path):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        outputs = list(pool.map(lambda _: output(hub, tmp_path), range(2)))
    assert outputs == [expected()] * 2
    assert hub.paths().count("/store/model.safetensors") == 1


def test_a_terminal_shows_progress(hub, tmp_path):
    ours, theirs = pty.openpty()
    subprocess.run([TROUPE, "tokenize", "--model", NAME, "x"], check=True, stdout=subprocess.DEVNULL, stderr=theirs,
                   timeout=60, env={**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path)})
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "downloading model.safetensors" in shown
    assert "100 %" in shown


def test_an_answer_with_other_bytes_than_were_asked_for_is_not_taken(hub, tmp_path):
    hub.cut_after, hub.shift = 600_000, 5
    assert "was cut again and again" in complaint(hub, tmp_path)  # it ends, though every other attempt brings bytes
    hub.cut_after = None
    assert output(hub, tmp_path) == expected()


def test_damage_is_found_and_not_kept(hub, tmp_path):
    hub.damage = True
    told = complaint(hub, tmp_path)
    assert "model.safetensors" in told and "damaged" in told and hub.hash(hub.files["model.safetensors"]) in told
    assert hub.hash(hub.files["model.safetensors"]) not in str(list((folder(tmp_path) / "blobs").iterdir()))
    hub.damage = False
    assert output(hub, tmp_path) == expected()


def test_gated_models_need_a_token_which_stays_with_the_hub(hub, tmp_path):
    hub.token = "hf_secret"
    assert "HF_TOKEN" in complaint(hub, tmp_path)
    assert "HF_TOKEN" in complaint(hub, tmp_path, HF_TOKEN="hf_wrong")
    assert output(hub, tmp_path, HF_TOKEN="hf_secret") == expected()
    stores = {token for _, path, _, token in hub.requests if path.startswith("/store/")}
    assert stores == {None}


def test_what_is_not_there(hub, tmp_path):
    assert "no such model" in complaint(hub, tmp_path, model="some-org/other")
    told = complaint(None, tmp_path)
    assert "http://127.0.0.1:9" in told and "network" in told
    assert "HF_HUB_OFFLINE" in complaint(hub, tmp_path, HF_HUB_OFFLINE="1")
    assert "no file or directory" in complaint(hub, tmp_path, model="some/where/model.gguf")
    assert "no file or directory" in complaint(hub, tmp_path, model="models/model.gguf")
    assert not [path for path in hub.paths() if "resolve" in path]


def test_names_that_lead_elsewhere_are_refused(hub, tmp_path):
    for bad in ["../../../outside", "/tmp/outside", "a/../../b"]:
        hub.listed = [*DIRECTORY, bad]
        assert "leads out of its folder" in complaint(hub, tmp_path)
    assert not [path for path in hub.paths() if "resolve" in path]


def test_gguf_files_are_chosen_by_name_or_preference(tmp_path):
    files = {"README.md": b"x", "stories-Q8_0.gguf": gguf(), "stories-F32.gguf": gguf()[:-1], "b-F32.gguf": b""}
    with Hub(NAME, files) as hub:
        assert output(hub, tmp_path) == expected()
        assert "/store/stories-F32.gguf" not in hub.paths()
        assert output(None, tmp_path, model=NAME + ":q8_0") == expected()
        assert "b-F32.gguf" in complaint(hub, tmp_path, model=NAME + ":F32")
        told = complaint(hub, tmp_path, model=NAME + ":Q4_K_M")
        assert "stories-Q8_0.gguf, stories-F32.gguf, b-F32.gguf" in told


def test_a_full_disk_says_so(hub, tmp_path):
    limited = ["bash", "-c", f"ulimit -f 500; trap '' XFSZ; exec {TROUPE} tokenize --model {NAME} x"]
    result = subprocess.run(limited, capture_output=True, text=True, timeout=60,
                            env={**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path)})
    assert result.returncode == 1
    assert "cannot write" in result.stderr
