#!/usr/bin/env python3
"""Writes normalization_tables.cpp and character_tables.cpp beside itself, from unicodedata2: what Unicode's
normalization forms, lower case and the classes of characters need (unicode_tables.hpp says what is what)."""
import pathlib
import sys

import unicodedata2 as unicodedata  # of PyPI, 16.0.0: the Unicode of the Oniguruma in `tokenizers`

HERE = pathlib.Path(__file__).resolve().parent
CODE_POINTS = [c for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]
WHITE_SPACE = {*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}


def canonical(c):
    mapping = unicodedata.decomposition(chr(c))
    return [int(part, 16) for part in mapping.split()] if mapping and not mapping.startswith("<") else []


def composes(c, pair):
    """Whether the pair composes to c: not so for composition exclusions."""
    return len(pair) == 2 and unicodedata.normalize("NFC", chr(pair[0]) + chr(pair[1])) == chr(c)


def compatible(c):
    """The full compatibility decomposition, where it differs from the canonical one. Hangul is computed."""
    full = unicodedata.normalize("NFKD", chr(c))
    return [ord(x) for x in full] if full != unicodedata.normalize("NFD", chr(c)) else []


def runs(values):
    """[first, value] of each run of equal values over all code points."""
    out = []
    for c in range(sys.maxunicode + 1):
        value = values(c)
        if not out or out[-1][1] != value:
            out.append([c, value])
    return out


def character_class(c):
    """The bits of CharacterClass."""
    if c in WHITE_SPACE:
        return 96 if c in (10, 13) else 32
    category = unicodedata.category(chr(c))
    return {"Lu": 1, "Lt": 1, "Ll": 2, "Lm": 4, "Lo": 4}.get(category) or {"M": 8, "N": 16, "P": 128, "S": 128}.get(category[0], 0)


def rows(items):
    line = "   "
    for item in items:
        if len(line) + len(item) > 108:
            yield line
            line = "   "
        line += " " + item + ","
    yield line


def write(name, tables):
    out = [f"// Made by make_unicode_tables.py from Unicode {unicodedata.unidata_version}.",
           '#include "model/tokenizer/unicode_tables.hpp"\n\n// clang-format off\nnamespace troupe::unicode {\n']
    for kind, table, items in tables:
        out += [f"constexpr {kind} {table}_table[] = {{", *rows(items), "};\n"]
    out += [f"const std::span<const {kind}> {table} = {table}_table;" for kind, table, _ in tables]
    (HERE / name).write_text("\n".join(out) + "\n\n}  // namespace troupe::unicode\n")


def main():
    decompositions = [(c, canonical(c)) for c in CODE_POINTS if canonical(c)]
    compositions = sorted((pair[0], pair[1], c) for c, pair in decompositions if composes(c, pair))
    compatibility, parts = [], []
    for c in CODE_POINTS:
        if compatible(c):
            compatibility.append((c, len(parts), len(compatible(c))))
            parts += compatible(c)
    write("normalization_tables.cpp", [
        ("Decomposition", "decompositions", [f"{{0x{c:X}, 0x{p[0]:X}, {f'0x{p[1]:X}' if len(p) == 2 else 0}}}" for c, p in decompositions]),
        ("Composition", "compositions", [f"{{0x{a:X}, 0x{b:X}, 0x{c:X}}}" for a, b, c in compositions]),
        ("Compatibility", "compatibilities", [f"{{0x{c:X}, {start}, {count}}}" for c, start, count in compatibility]),
        ("char32_t", "compatibility_parts", [f"0x{c:X}" for c in parts]),
        ("ClassRun", "combining_classes", [f"{{0x{c:X}, {v}}}" for c, v in runs(lambda c: unicodedata.combining(chr(c)))])])
    lower = [(c, [ord(x) for x in chr(c).lower()]) for c in CODE_POINTS if chr(c).lower() != chr(c)]  # as Python has it
    write("character_tables.cpp", [
        ("Lowercase", "lowercases", [f"{{0x{c:X}, 0x{p[0]:X}, {f'0x{p[1]:X}' if len(p) == 2 else 0}}}" for c, p in lower]),
        ("ClassRun", "character_classes", [f"{{0x{c:X}, {v}}}" for c, v in runs(character_class)])])


main()
