"""`troupe policy`: a project that builds, is tested and checked, by a program that is installed anywhere."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TROUPE = pathlib.Path(os.environ.get("TROUPE_BIN", ROOT / "build/release/troupe")).resolve()


def run(*command, status=0):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_a_new_policy_is_built_tested_and_checked(tmp_path):
    program = shutil.copy(TROUPE, tmp_path / "troupe")  # nothing of the source tree lies beside it
    project = tmp_path / "my-policy"
    assert "cmake -S" in run(program, "policy", "new", project)
    run("cmake", "-S", project, "-B", project / "build", f"-DTROUPE={program}")
    run("cmake", "--build", project / "build")
    library = project / "build/libmy_policy.so"
    assert library.exists()
    assert "100% tests passed" in run("ctest", "--test-dir", project / "build")
    assert "no fault found" in run(program, "policy", "check", library, "--states", "500", "--policy-option", "max_wait=2")
    told = run(program, "policy", "check", library, "--policy-option", "colour=red", status=1)
    assert "There is no option 'colour'; there are: max_wait." in told


def test_errors(tmp_path):
    (tmp_path / "file").write_text("")
    assert "exists and is not empty" in run(TROUPE, "policy", "new", tmp_path, status=2)
    assert "is no name for a policy" in run(TROUPE, "policy", "new", tmp_path / "8ball", status=2)
    assert "is no name for a policy" in run(TROUPE, "policy", "new", tmp_path / "all", status=2)
    os.mkfifo(tmp_path / "pipe.so")
    assert "there is no file that can be read" in run(TROUPE, "policy", "check", tmp_path / "pipe.so", status=1)
    assert "there is no file that can be read" in run(TROUPE, "policy", "check", tmp_path / "none.so", status=1)
    assert "no fault found" in run(TROUPE, "policy", "check", "fair", "--states", "200")


def test_a_server_refuses_what_is_no_policy():
    for policy, told in [("nonesuch", "There is no policy 'nonesuch'"), ("./none.so", "there is no file that can be read")]:
        assert told in run(TROUPE, "serve", "--policy", policy, "--port", "0", status=2)
