"""What `cmake --install` and `cpack -G DEB` make of a build is whole and runs."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TROUPE = pathlib.Path(os.environ.get("TROUPE_BIN", ROOT / "build/release/troupe")).resolve()
BUILD = TROUPE.parent
DOCS = "share/doc/troupe"


def run(*command, **options):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def check_tree(prefix, program):
    assert run(prefix / "bin/troupe", "version") == run(TROUPE, "version")
    for name in ["README.md", "LICENSE", "docs/api.md", "docs/configuration.md", "examples/troupe.toml"]:
        assert (prefix / DOCS / name).read_text()
    for name in ["policy_abi.h", "policy.hpp", "batch.hpp"]:
        assert (prefix / "include/troupe/policies" / name).read_text() == (ROOT / "policies" / name).read_text()
    assert f"ExecStart={program} serve" in (prefix / "lib/systemd/system/troupe.service").read_text()
    # The example is a configuration: it gets as far as the model, which is not there.
    told = subprocess.run([prefix / "bin/troupe", "tokenize", "--config", prefix / DOCS / "examples/troupe.toml", "x"],
                          capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": "/none"})
    assert "HuggingFaceTB/SmolLM2-135M-Instruct is not whole in the cache" in told.stderr


def test_install(tmp_path):
    run("cmake", "--install", BUILD, "--prefix", tmp_path)
    check_tree(tmp_path, tmp_path / "bin/troupe")


@pytest.mark.skipif(not shutil.which("dpkg-shlibdeps"), reason="needs dpkg-dev")
def test_debian_package(tmp_path):
    run("cpack", "-G", "DEB", "--config", BUILD / "CPackConfig.cmake", "-B", tmp_path)
    package, = tmp_path.glob("troupe_*.deb")
    run("dpkg-deb", "-x", package, tmp_path / "root")
    check_tree(tmp_path / "root/usr", "/usr/bin/troupe")
    depends = run("dpkg-deb", "-f", package, "Depends")
    assert "libc6" in depends and "libcaf-core" in depends and "libcurl4" in depends
