#!/usr/bin/env python3
"""Prints nfc_tables.cpp: what Unicode normalization form C needs, from Python's unicodedata."""
import sys
import unicodedata

CODE_POINTS = [c for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]


def canonical(c):
    mapping = unicodedata.decomposition(chr(c))
    return [int(part, 16) for part in mapping.split()] if mapping and not mapping.startswith("<") else []


def composes(c, pair):
    """Whether the pair composes to c: not so for composition exclusions."""
    return len(pair) == 2 and unicodedata.normalize("NFC", chr(pair[0]) + chr(pair[1])) == chr(c)


def rows(items):
    line = "   "
    for item in items:
        if len(line) + len(item) > 108:
            yield line
            line = "   "
        line += " " + item + ","
    yield line


def main():
    decompositions = [(c, canonical(c)) for c in CODE_POINTS if canonical(c)]
    compositions = sorted((pair[0], pair[1], c) for c, pair in decompositions if composes(c, pair))
    classes = []
    for c in CODE_POINTS:
        value = unicodedata.combining(chr(c))
        if value and classes and classes[-1][1:] == [c - 1, value]:
            classes[-1][1] = c
        elif value:
            classes.append([c, c, value])
    print(f"// Made by make_nfc_tables.py from Unicode {unicodedata.unidata_version}.")
    print('#include "model/tokenizer/nfc_tables.hpp"\n\n// clang-format off\nnamespace troupe::nfc {\n')
    print("constexpr Decomposition decompositions_table[] = {")
    print("\n".join(rows(f"{{0x{c:X}, 0x{p[0]:X}, {f'0x{p[1]:X}' if len(p) == 2 else 0}}}" for c, p in decompositions)))
    print("};\n\nconstexpr Composition compositions_table[] = {")
    print("\n".join(rows(f"{{0x{a:X}, 0x{b:X}, 0x{c:X}}}" for a, b, c in compositions)))
    print("};\n\nconstexpr CombiningClass combining_classes_table[] = {")
    print("\n".join(rows(f"{{0x{a:X}, 0x{b:X}, {v}}}" for a, b, v in classes)))
    print("};\n")
    for kind, name in (("Decomposition", "decompositions"), ("Composition", "compositions"),
                       ("CombiningClass", "combining_classes")):
        print(f"const std::span<const {kind}> {name} = {name}_table;")
    print("\n}  // namespace troupe::nfc")


main()
