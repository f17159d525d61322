#!/usr/bin/env python3
"""Random small templates, rendered by Python's Jinja and by ours: differential.py TEST_JINJA [--seed N] [--count N].

TEST_JINJA is the built test program (build/release/test_jinja). Needs jinja2 3.1. Prints what differs; exits 1 if
anything does."""
import argparse
import copy
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "data" / "templates"))
from jinja_environment import run_case  # noqa: E402

VARIABLES = {
    "s": "Hello, World", "u": "Größe 世界 🌍", "empty": "", "n": 7, "zero": 0, "f": 2.5, "yes": True, "no": False, "nothing": None,
    "xs": [3, 1, 2, 3], "ys": [], "words": ["pear", "Apple", "fig"], "mixed": [1, "a", None, 2.0, [1], {"k": 1}],
    "d": {"b": 1, "a": {"x": [1, 2.0]}, "items": "own", "c": "text"},
    "people": [{"name": "Ann", "age": 30}, {"name": "bob", "age": 25, "admin": True}, {"name": "Cy", "age": 30}],
}
LITERALS = ["0", "1", "-1", "2", "10", "1.5", "0.1", "1e20", "''", "'a'", "'l'", "' x '", "', '", "'Hello'", "true", "none", "[]", "[1, 2]", "{}",
            "{'k': 'v'}", "(1, 2)", "missing"]
BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", ">", "<=", ">=", "in", "not in", "and", "or"]
FILTERS = ["upper", "lower", "title", "capitalize", "trim", "length", "first", "last", "list", "join", "join(', ')", "sort", "reverse",
           "unique", "string", "int", "float", "abs", "round", "round(1)", "default('d')", "default('d', true)", "tojson", "tojson(indent=2)",
           "replace('l', 'L')", "indent", "indent(2, true)", "items", "dictsort", "sum", "min", "max", "map('upper')", "map('string')",
           "map(attribute='name')", "map(attribute='age', default=0)", "select", "select('string')", "reject('none')", "select('number')",
           "selectattr('age', 'gt', 26)", "rejectattr('admin', 'defined')", "batch(2)", "slice(2)", "escape", "e", "wordcount", "center(9)",
           "truncate(5)", "format(1)", "count", "groupby('age')", "safe", "striptags", "urlencode", "xmlattr", "filesizeformat", "d"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping", "sequence", "iterable", "true", "false",
         "odd", "even", "divisibleby 2", "upper", "lower", "callable", "eq 1", "gt 1", "in [1, 'a']", "sameas none", "ne ''"]
METHODS = ["upper()", "lower()", "strip()", "split()", "split(',')", "split('l', 1)", "rsplit(none, 1)", "lstrip('H')", "rstrip('d')", "startswith('H')",
           "endswith('d')", "replace('l', 'x')", "find('o')", "rfind('o')", "count('l')", "title()", "splitlines()", "join(['a', 'b'])", "items()",
           "keys()", "values()", "get('b')", "get('zz', 1)", "index(1)", "count(3)", "partition(',')", "rpartition('l')", "capitalize()",
           "swapcase()", "isdigit()", "isalpha()", "zfill(9)", "center(20, '*')", "append(1)", "format(1)", "b", "a.x", "name", "zz", "zz.y"]
SLICES = ["[0]", "[-1]", "[1:]", "[:-1]", "[::-1]", "[1:3]", "[::2]", "[-3::-1]", "[5]", "['b']", "['zz']", "[0:0]", "[-2:]"]
SPACE = ["", " ", "\n", "  ", "\n  ", "\t", " \n\n ", "x", "é "]


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, choices):
        return self.random.choice(choices)

    def expression(self, depth=0):
        if depth > 3 or self.random.random() < 0.25:
            return self.pick(LITERALS if self.random.random() < 0.35 else list(VARIABLES) + ["x", "ns.v"])
        inner = lambda: self.expression(depth + 1)  # noqa: E731
        return self.pick([
            lambda: f"{inner()} {self.pick(BINARY)} {inner()}",
            lambda: f"({inner()} {self.pick(BINARY)} {inner()})",
            lambda: f"{inner()}|{self.pick(FILTERS)}",
            lambda: f"{inner()}|{self.pick(FILTERS)}|{self.pick(FILTERS)}",
            lambda: f"{inner()} is {self.pick(['', 'not '])}{self.pick(TESTS)}",
            lambda: f"{self.pick(list(VARIABLES))}.{self.pick(METHODS)}",
            lambda: f"({inner()}).{self.pick(METHODS)}",
            lambda: f"{self.pick(list(VARIABLES))}{self.pick(SLICES)}",
            lambda: f"({inner()}){self.pick(SLICES)}",
            lambda: f"not {inner()}",
            lambda: f"-{inner()}",
            lambda: f"{inner()} if {inner()} else {inner()}",
            lambda: f"({inner()} if {inner()})",
            lambda: f"[{inner()}, {inner()}]",
            lambda: f"{{'k': {inner()}, {inner()}: 1}}",
            lambda: f"m({inner()})",
            lambda: f"'%s %s' % ({inner()}, {inner()})",
        ])()

    def tag(self, text):
        return "{%" + self.pick(["", "", "-", "+"]) + f" {text} " + self.pick(["", "", "-", "+"]) + "%}"

    def body(self, depth):
        return "".join(self.piece(depth + 1) for _ in range(self.random.randint(1, 3)))

    def piece(self, depth):
        space = self.pick(SPACE)
        if depth > 3 or self.random.random() < 0.4:
            return space + self.pick(["{{ ", "{{- "]) + self.expression(1) + self.pick([" }}", " -}}"]) + self.pick(SPACE)
        return space + self.pick([
            lambda: self.tag(f"if {self.expression(1)}") + self.body(depth) + self.pick(["", self.tag("else") + self.body(depth)]) + self.tag("endif"),
            lambda: self.loop(depth),
            lambda: self.tag(f"set x = {self.expression(1)}"),
            lambda: self.tag(f"set ns.v = {self.expression(1)}"),
            lambda: self.tag("set x") + self.body(depth) + self.tag("endset"),
            lambda: self.tag(f"filter {self.pick(['upper', 'trim', 'length', 'indent'])}") + self.body(depth) + self.tag("endfilter"),
            lambda: self.tag(f"with x = {self.expression(2)}") + self.body(depth) + self.tag("endwith"),
            lambda: self.tag("generation") + self.body(depth) + self.tag("endgeneration"),
            lambda: self.tag("call w()") + self.body(depth) + self.tag("endcall"),
            lambda: "{#" + self.pick(["", "-"]) + " c " + self.pick(["", "-"]) + "#}",
            lambda: self.tag("raw").replace("+", "") + "{{ x }} {% y" + self.tag("endraw"),
        ])() + self.pick(SPACE)

    def loop(self, depth):
        condition = self.pick(["", "", f" if {self.expression(2)}"])
        extras = self.pick(["", "{{ loop.index }}", "{{ loop.last }}{{ loop.length }}", "{{ loop.previtem }}{{ loop.nextitem }}",
                            "{% if loop.index > 1 %}{% break %}{% endif %}", "{% if x %}{% continue %}{% endif %}"])
        target = self.pick(["x", "x", "x", "x, y"])
        source = self.pick(["d.items()", "d|items", "[(1, 2)]"]) if target == "x, y" else self.expression(2)
        return (self.tag(f"for {target} in {source}{condition}") + extras + self.body(depth) +
                self.pick(["", self.tag("else") + self.body(depth)]) + self.tag("endfor"))

    def template(self):
        head = "{% set ns = namespace(v=1) %}{% macro m(a, b='B') %}<{{ a }}{{ b }}>{% endmacro %}{% macro w() %}({{ caller() }}){% endmacro %}"
        return head + "".join(self.piece(0) for _ in range(self.random.randint(1, 3)))


def comparable(case):
    """Leaves out what Python alone prints (addresses) and integers beyond our 64 bits."""
    output = case["output"] or ""
    too_long = any(len(digits) > 18 for digits in re.findall(r"\d+", output))
    return " at 0x" not in output.lower() and not too_long and "MemoryError" not in (case["error"] or "")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("test_jinja")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=2000)
    options = parser.parse_args()
    generator = Generator(options.seed)
    cases = (run_case(f"{options.seed}:{i}", generator.template(), copy.deepcopy(VARIABLES), own_source=True) for i in range(options.count))
    kept = [case for case in cases if comparable(case)]
    with tempfile.NamedTemporaryFile("w", suffix=".cases.json") as file:
        json.dump(kept, file, ensure_ascii=False)
        file.flush()
        result = subprocess.run([options.test_jinja, "[.case-file]"], env={**os.environ, "TROUPE_CASE_FILE": file.name})
    errors = sum(case["error"] is not None for case in kept)
    print(f"{len(kept)} templates compared, {errors} of them errors in Python", file=sys.stderr)
    sys.exit(result.returncode)


if __name__ == "__main__":
    main()
