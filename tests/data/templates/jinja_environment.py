"""Python's Jinja set up as `transformers` does it for chat templates (version 3.1 of jinja2)."""
import copy
import datetime
import functools
import json

import jinja2
import jinja2.ext
import jinja2.nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(jinja2.ext.Extension):
    """{% generation %} ... {% endgeneration %} marks what an assistant wrote; the text itself is unchanged."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_text"), [], [], body).set_lineno(line)

    def _text(self, caller):
        return caller()


@functools.cache
def make_environment(now):
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda format: datetime.datetime.fromisoformat(now).strftime(format)
    return environment


def run_case(name, source, variables, now="2026-01-15T12:34:56", own_source=False):
    """The case as it stands in a .cases.json file: what Python makes of the template, or its error."""
    case = {"name": name, "input": copy.deepcopy(variables), "now": now, "output": None, "error": None}
    if own_source:
        case["template"] = source
    try:  # a copy above, because `indent` of a list changes the list
        case["output"] = make_environment(now).from_string(source).render(**variables)
    except Exception as error:  # any: the case records which
        case["error"] = f"{type(error).__name__}: {error}"
    return case
