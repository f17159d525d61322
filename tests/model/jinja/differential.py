#!/usr/bin/env python3
"""Random small templates, rendered by Python's Jinja and by ours: differential.py TEST_JINJA [--seed N] [--count N].

TEST_JINJA is the built test program (build/release/test_jinja). Needs jinja2 3.1. Prints what differs and, at the end, what
was compared; exits 1 if anything differs. What is left out: outputs with memory addresses, and what takes Python more than
a second or a gigabyte. Where ours refuses an integer beyond 64 bits, that counts as refused, not as a difference."""
import argparse
import copy
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "data" / "templates"))
from jinja_environment import run_case  # noqa: E402
from template_generator import VARIABLES, Generator  # noqa: E402

BATCH = 2000  # templates per file


class TooSlow(BaseException):
    pass


def stop(*_):
    raise TooSlow


def case_of(name, source):
    """What Python makes of it, or None when that cannot be compared."""
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, 1)
        try:
            case = run_case(name, source, copy.deepcopy(VARIABLES), own_source=True)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    except TooSlow:
        return None
    output = case["output"] or ""
    try:
        output.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which UTF-8 does not have
        return None
    case["input"] = None  # the same for all, and given once
    return None if " at 0x" in output.lower() or "MemoryError" in (case["error"] or "") else case


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("test_jinja")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=2000)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.RLIM_INFINITY))
    signal.signal(signal.SIGVTALRM, stop)
    generator = Generator(options.seed)
    compared = errors = failed = 0
    for first in range(0, options.count, BATCH):
        names = [f"{options.seed}:{i}" for i in range(first, min(first + BATCH, options.count))]
        cases = [case for name in names if (case := case_of(name, generator.template()))]
        compared += len(cases)
        errors += sum(case["error"] is not None for case in cases)
        with tempfile.NamedTemporaryFile("w", suffix=".cases.json") as file:
            json.dump([{"name": "variables", "input": VARIABLES}, *cases], file, ensure_ascii=False)
            file.flush()
            unlimited = lambda: resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))  # noqa: E731
            result = subprocess.run([options.test_jinja, "[.case-file]"], env={**os.environ, "TROUPE_CASE_FILE": file.name}, preexec_fn=unlimited)
        failed += result.returncode != 0
    print(f"{compared} templates compared, {errors} of them errors in Python, {failed} batches with differences", file=sys.stderr)
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
