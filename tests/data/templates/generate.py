#!/usr/bin/env python3
"""Writes NAME.cases.json for each NAME.jinja here (rendering the conversations below), and features.cases.json for the
small templates of features.py. Needs jinja2 3.1; the outputs are committed, so only who changes cases runs this."""
import json
import pathlib

from features import FEATURES
from jinja_environment import run_case

HERE = pathlib.Path(__file__).parent
TOOL = {
    "type": "function",
    "function": {
        "name": "forecast",
        "description": "Weather in <a city> & around, \"tomorrow\".",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 1, "minimum": 0.5}},
            "required": ["city"],
        },
    },
}
TYPES = {
    "type": "function",
    "function": {
        "name": "many_types",
        "description": "Every kind of parameter.",
        "parameters": {
            "type": "object",
            "properties": {
                "unit": {"type": "string", "enum": ["celsius", "kelvin"], "default": "kelvin", "description": "The unit.\nOf temperature."},
                "tags": {"type": "array", "items": {"type": "string"}, "nullable": True},
                "grid": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
                "either": {"type": ["string", "null"]},
                "one": {"oneOf": [{"type": "string", "description": "text"}, {"type": "integer", "default": 3}], "default": "x"},
                "point": {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}, "required": ["x"]},
                "free": {"type": "object", "additionalProperties": {"type": "boolean"}},
                "limits": {"type": "number", "minimum": -1e-5, "maximum": 1e22, "default": 1.0},
                "any": {},
            },
            "required": ["unit", "point"],
        },
    },
}
USER = {"role": "user", "content": "Grüß Gott, 世界 🌍!"}
CALL = {"id": "call12345", "type": "function", "function": {"name": "forecast", "arguments": {"city": "Köln", "days": 2}}}
CONVERSATIONS = {
    "user": {"messages": [USER]},
    "system": {"messages": [{"role": "system", "content": "  Be brief.\n"}, USER]},
    "turns": {"messages": [USER, {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "Go on"}]},
    "no_prompt": {"messages": [USER, {"role": "assistant", "content": "Hi."}], "add_generation_prompt": False},
    "thinking": {"messages": [USER, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nYes"}, USER]},
    "tools": {"messages": [USER], "tools": [TOOL, TOOL]},
    "tool_call": {
        "messages": [
            USER,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "name": "forecast", "tool_call_id": "call12345", "content": "rain"},
            {"role": "assistant", "content": "Rain."},
        ],
        "tools": [TOOL],
    },
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]},
    "empty": {"messages": []},
    "bad_order": {"messages": [USER, USER]},
    "unknown_role": {"messages": [{"role": "critic", "content": "x"}]},
    "content_missing": {"messages": [{"role": "user"}]},
    "thinking_off": {"messages": [USER], "enable_thinking": False},
    "two_calls": {
        "messages": [
            {"role": "system", "content": "/no_think Be quick."},
            USER,
            {"role": "assistant", "content": "", "reasoning_content": "Both.", "tool_calls": [CALL, {**CALL, "id": "x23456789"}]},
            {"role": "tool", "name": "forecast", "tool_call_id": "call12345", "content": "rain"},
            {"role": "tool", "name": "forecast", "tool_call_id": "x23456789", "content": [{"type": "text", "text": "sun"}]},
            {"role": "assistant", "content": "<think>So.</think>\n\nMixed."},
            {"role": "user", "content": "Thanks"},
        ],
        "tools": [TOOL, TYPES],
    },
    "string_arguments": {
        "messages": [USER, {"role": "assistant", "content": None, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "{\"a\": 1}"}}]}],
        "builtin_tools": ["f", "code_interpreter"],
        "add_generation_prompt": False,
    },
    "documents": {
        "messages": [{"role": "developer", "content": "Cite."}, USER],
        "documents": [{"title": "A rather long title", "score": 0.125, "tags": ["b", "a", "b"]}, {"score": 1e-7, "text": "x\ny"}, {"title": "é", "score": 12345678}],
        "reasoning_effort": "high",
    },
    "python_tools": {"messages": [{"role": "system", "content": "x /think"}, USER], "python_tools": ["f(x)", {"name": "g", "ok": True, "none": None}], "tools_in_user_message": False},
}


def write(path, cases):
    path.write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n")
    print(f"{path.name}: {len(cases)} cases, {sum(c['error'] is not None for c in cases)} of them errors")


def main():
    common = {"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True, "tools": None}
    for path in sorted(HERE.glob("*.jinja")):
        source = path.read_text()
        cases = [run_case(name, source, {**common, **variables}) for name, variables in CONVERSATIONS.items()]
        write(path.with_suffix("").with_suffix(".cases.json"), cases)
    write(
        HERE / "features.cases.json",
        [run_case(name, source, variables, own_source=True) for name, source, variables in FEATURES],
    )


main()
