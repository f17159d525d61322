"""Random small templates: expressions of a wanted type (mostly), every filter, test, method, operator and tag, and values
of all kinds. What a Generator makes depends on its seed only."""
import random

# What a template sees. Small enough that a difference can be read.
VARIABLES = {
    "s": "Hello, World", "u": "Größe 世界 🌍 ǅ ﬁ", "empty": "", "blank": " \t\n", "lines": "one\n  two\r\nthree\n\nfour", "html": "<a href='x'>b & c</a>",
    "digits": "0042", "quoted": "it's \"so\" \\ \x07\x7f\u2028",
    "n": 7, "zero": 0, "neg": -12, "big": 9007199254740993, "huge": 9223372036854775807, "least": -9223372036854775808,
    "f": 2.5, "tiny": 1.5e-7, "wide": 1e22, "half": -0.5, "third": 0.1,
    "yes": True, "no": False, "nothing": None,
    "xs": [3, 1, 2, 3], "ys": [], "words": ["pear", "Apple", "fig", "apple"], "mixed": [1, "a", None, 2.0, [1], {"k": 1}, True],
    "floats": [1.0, 0.1, 1e16, 123456789.125, 1e-5, -0.0], "deep": [[1, [2, [3, []]]], {"a": [{"b": None}]}],
    "pairs": [["k", 1], ["l", 2]],
    "d": {"b": 1, "a": {"x": [1, 2.0]}, "items": "own", "c": "text"}, "none_key": {"": 0, "é": "ü", "Z": None, "z": False},
    "people": [{"name": "Ann", "age": 30}, {"name": "bob", "age": 25, "admin": True}, {"name": "Cy", "age": 30, "admin": False}],
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi <b>"},
                 {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1.5, "y": ["ä", None]}}}]},
                 {"role": "tool", "content": "42"}],
    "tree": [{"v": 1, "kids": [{"v": 2, "kids": []}, {"v": 3, "kids": [{"v": 4, "kids": []}]}]}, {"v": 5, "kids": []}],
}
TYPES = {
    "str": ["s", "u", "empty", "blank", "lines", "html", "digits", "quoted"],
    "int": ["n", "zero", "neg", "big", "huge", "least", "loop.index"], "float": ["f", "tiny", "wide", "half", "third"],
    "bool": ["yes", "no"], "list": ["xs", "ys", "words", "mixed", "floats", "deep", "people", "messages", "pairs"],
    "dict": ["d", "none_key", "people[1]", "messages[2]"], "other": ["nothing", "d.zz", "x", "ns.v", "ns.v", "x", "missing", "y", "people[0].name"],
}
LITERALS = {
    "str": ["''", "'a'", "'l'", "' x '", "', '", "'Hello'", "\"it's\"", "'\\n'", "'\\x41\\u00e9\\t\\\\ \\q'", "'%s'", "'{}'", "'a' 'b'", "'é世'"],
    "int": ["0", "1", "2", "3", "10", "-1", "-3", "1_000", "0x1F", "0b101", "0o17", "255"],
    "float": ["1.5", "0.1", "1e20", "1e-7", "2.0", "1E3", "1_0.5", "123456.789", "0.0", "-0.0"],
    "bool": ["true", "False"], "list": ["[]", "[1, 2]", "['b', 'A', 'c']", "(1, 2)", "()", "(3,)", "range(3)|list", "range(5, 0, -2)|list", "[1, 'x', none,]"],
    "dict": ["{}", "{'k': 'v'}", "{'b': 2, 'a': [1]}", "{1: 'one', none: 0, true: 'T'}", "dict(q=1)", "dict([['r', 2]], t=3)"],
    "other": ["none", "missing"],
}
# filter or method -> what it is applied to, what it makes; {i} {s} {l} {a} are arguments of those types.
FILTERS = {
    ("str", "str"): ["upper", "lower", "title", "capitalize", "trim", "trim({s})", "replace({s}, {s})", "replace('l', 'L', {i})", "indent", "indent({i}, true)",
                     "indent(2, false, true)", "indent('> ')", "escape", "e", "forceescape", "safe", "striptags", "center({i})", "truncate({i})", "truncate(5, true, '')",
                     "truncate(6, leeway=0)", "string", "urlencode", "format({a})", "format({i}, {s})",
                     "reverse", "first", "last", "default({s})", "d('x', true)", "tojson", "min", "max"],
    ("str", "int"): ["length", "count", "wordcount", "int", "int({i})", "int(0, 16)", "int(base=2)"],
    ("str", "float"): ["float", "float({i})"],
    ("str", "list"): ["list", "batch(3)|list", "slice(3)|list", "sort", "unique|list", "map('upper')|list", "select('in', 'aeiou')|list", "groupby(0)|list"],
    ("int", "int"): ["abs", "int", "round", "default(1)", "string|int"], ("int", "float"): ["float", "round(1, 'floor')", "round(1, 'ceil')"],
    ("int", "str"): ["string", "filesizeformat", "filesizeformat(true)", "tojson", "format", "e"],
    ("float", "float"): ["abs", "round", "round({i})", "round(2, 'ceil')", "round(1, method='floor')", "float"], ("float", "int"): ["int", "round|int"],
    ("float", "str"): ["string", "tojson", "filesizeformat"],
    ("bool", "str"): ["string", "tojson"], ("bool", "int"): ["int"],
    ("list", "list"): ["list", "sort", "sort(reverse=true)", "sort(case_sensitive=true)", "sort(attribute='age')", "sort(attribute='age,name')", "reverse|list", "unique|list",
                       "unique(true)|list", "unique(attribute='age')|list", "batch({i})|list", "batch(3, {a})|list", "slice({i})|list", "slice(3, 'z')|list",
                       "map('string')|list", "map(attribute='name')|list", "map(attribute='age', default=0)|list", "map('default', 'q')|list", "map('int')|list",
                       "select|list", "select('string')|list", "select('gt', 1)|list", "reject('none')|list", "select('mapping')|list", "select('sameas', true)|list",
                       "selectattr('age', 'gt', 26)|list", "rejectattr('admin', 'defined')|list", "selectattr('role', 'equalto', 'user')|list", "selectattr('admin')|list",
                       "selectattr('role', 'in', ['user', 'tool'])|list", "groupby('age')|list", "groupby('role')|map(attribute='list')|list", "groupby('zz', default=1)|list",
                       "map('upper')|list", "map(attribute=0)|list", "map('tojson')|list", "map('join', '-')|list"],
    ("list", "str"): ["join", "join({s})", "join('/', attribute='name')", "string", "tojson", "tojson(indent=2)", "tojson(indent=0)", "tojson(sort_keys=true)",
                      "tojson(separators=(',', ':'))", "tojson(ensure_ascii=true)", "tojson(indent='\\t', separators=('; ', '='))", "tojson(indent=1, sort_keys=true)",
                      "map('upper')|join", "e", "urlencode", "first|string", "last|string"],
    ("list", "int"): ["length", "count"], ("list", "other"): ["first", "last", "min", "max", "sum", "sum(start={i})", "sum(attribute='age')", "min(attribute='age')",
                                                           "max(case_sensitive=true)", "select", "reverse", "map('abs')"],
    ("dict", "list"): ["items|list", "dictsort", "dictsort(by='value')", "dictsort(false, 'key', true)", "dictsort(true)", "list", "sort", "map('upper')|list"],
    ("dict", "str"): ["tojson", "tojson(indent=4)", "tojson(indent=2, ensure_ascii=true)", "tojson(sort_keys=true)", "string", "xmlattr", "xmlattr(false)", "urlencode", "join(',')",
                      "tojson(separators=[',', ': '])"],
    ("dict", "int"): ["length", "count"], ("dict", "other"): ["first", "attr('b')", "items", "last", "default({})"],
    ("other", "other"): ["default('d')", "default('d', true)", "d(1)", "string", "tojson", "length", "list", "first", "int", "join", "upper", "trim", "items", "abs", "e", "map('upper')|list",
                         "nosuch", "default(default_value={a}, boolean=true)"],
}
METHODS = {
    ("str", "str"): ["upper()", "lower()", "strip()", "strip({s})", "lstrip('H')", "rstrip('d\\n')", "replace({s}, {s})", "replace('l', 'x', {i})", "title()", "capitalize()", "swapcase()",
                     "zfill({i})", "center({i}, '*')", "ljust({i})", "rjust(20, '.')", "join(['a', 'b'])", "join({l})", "format({a}, {a})", "format(a={a})", "casefold()", "removeprefix('He')",
                     "removesuffix('ld')", "expandtabs()", "expandtabs(3)", "zz"],
    ("str", "list"): ["split()", "split(',')", "split('l', 1)", "split(none, 1)", "split(maxsplit=1)", "rsplit(none, 1)", "rsplit('l', 1)", "splitlines()", "splitlines(true)", "partition(',')",
                      "rpartition('l')", "split({s})", "rsplit({s}, {i})"],
    ("str", "bool"): ["startswith('H')", "startswith(('x', 'H'))", "endswith('d')", "endswith({s})", "isdigit()", "isalpha()", "isspace()", "isupper()", "islower()", "isalnum()", "isdecimal()",
                      "isnumeric()", "istitle()", "isprintable()", "isascii()", "startswith('l', 2)", "startswith({s}, {i}, {i})"],
    ("str", "int"): ["find('o')", "rfind('o')", "count('l')", "index('l')", "find('o', {i})", "rfind('l', {i}, {i})", "count({s})", "rindex({s})", "find({s}, -4)", "__len__()"],
    ("list", "int"): ["index(1)", "count(3)", "count({a})", "index({a}, 1)"], ("list", "list"): ["copy()"],
    ("list", "other"): ["append(1)", "pop()", "extend([1])", "insert(0, 1)", "zz", "sort()", "reverse()", "0", "1.name", "length"],
    ("dict", "list"): ["items()|list", "keys()|list", "values()|list", "items()|list|length"],
    ("dict", "other"): ["get('b')", "get('zz')", "get('zz', {a})", "get({a})", "b", "a.x", "zz", "zz.y", "name", "pop('b')", "update({})", "setdefault('q', 1)", "copy()", "a.x[0]", "c.upper()",
                       ],
    ("float", "bool"): ["is_integer()"], 
    ("other", "other"): ["zz", "zz.y", "v", "index0", "first", "last", "length", "previtem", "nextitem", "cycle(1, 2)", "changed(x)", "depth", "revindex", "revindex0", "upper()"],
}
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping", "sequence", "iterable", "true", "false", "odd", "even",
         "divisibleby 2", "divisibleby({i})", "upper", "lower", "callable", "eq 1", "equalto {a}", "gt 1", "lt({a})", "ge 2", "le 2.0", "in [1, 'a']", "in {l}", "sameas none", "sameas(true)",
         "ne ''", "escaped", "filter", "test", "greaterthan 0", "== 1", "nosuch", "string is defined"]
SLICES = ["[0]", "[-1]", "[1:]", "[:-1]", "[::-1]", "[1:3]", "[::2]", "[-3::-1]", "[5]", "[0:0]", "[-2:]", "[{i}]", "[{i}:{i}]", "[{i}:{i}:{i}]", "[:{i}]", "[100:]", "[-100:100:3]", "[none:2]",
          "[::0]", "['b']", "['zz']", "[{a}]", "[1.0]", "[true]"]
PERCENT = ["d", "5d", "-5d|", "05d", "+d", " d", "x", "#x", "X", "o", "#o", "i", "s", "10s", "-10s|", ".2s", "r", "c", "f", ".2f", "08.3f", "+.1f", "e", ".3e", "g", ".3g", "G", "#g", "E", "%", "a", "q", ".0f", "#.0f"]
BRACES = ["{}", "{0}", "{:5}", "{:<6}|", "{:>6}", "{:^7}", "{:*^9}", "{:05}", "{:+}", "{:,}", "{:_}", "{:x}", "{:#x}", "{:b}", "{:#o}", "{:.2f}", "{:,.1f}", "{:e}", "{:g}", "{:.3}", "{:%}", "{:.1%}", "{!r}", "{!s:>8}",
          "{:s}", "{:d}", "{:c}", "{:n}", "{:=+6}", "{{}}", "{", "{:08.2f}", "{:é>6}", "{!a}", "{0[0]}", "{:{}}", "{: }", "{:G}", "{:#.3g}", "{:_x}", "{:010,}"]
SPACE = ["", "", " ", "\n", "  ", "\n  ", "\t", " \n\n ", "x", "é ", "\r\n", "a\n    "]
BINARY = ["+", "-", "*", "/", "//", "%", "~"]
COMPARE = ["==", "!=", "<", ">", "<=", ">=", "in", "not in"]
KINDS = ["str", "str", "int", "float", "bool", "list", "dict", "other"]
HEAD = ("{% set ns = namespace(v=1) %}{% macro m(a, b='B', c=a) %}<{{ a }}{{ b }}{{ c }}>{% endmacro %}{% macro w() %}({{ caller() }}){% endmacro %}"
        "{% macro each(items) %}{% for i in items %}{{ caller(i, loop.index) }}{% endfor %}{% endmacro %}"
        "{% macro any(first=1) %}{{ first }}{{ varargs }}{{ kwargs }}{% endmacro %}{% set cyc = cycler('a', 'b') %}{% set join = joiner(', ') %}")


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, choices):
        return self.random.choice(choices)

    def chance(self, p):
        return self.random.random() < p

    def fill(self, text, depth):
        """Puts expressions where a table has {i}, {s}, {l} or {a}."""
        for mark, kind in (("{i}", "int"), ("{s}", "str"), ("{l}", "list"), ("{a}", None)):
            while mark in text:
                text = text.replace(mark, self.of(kind or self.pick(KINDS), depth + 1), 1)
        return text

    def leaf(self, kind):
        return self.pick(LITERALS[kind] if self.chance(0.35) else TYPES[kind])

    def of(self, kind, depth=0):
        """An expression that mostly has a value of that kind."""
        if self.chance(0.03):
            kind = self.pick(KINDS)
        if depth > 3 or self.chance(0.25):
            return self.leaf(kind)
        choice = self.random.random()
        if choice < 0.3:
            return self.applied(FILTERS, kind, depth, "|")
        if choice < 0.5:
            return self.applied(METHODS, kind, depth, ".")
        return getattr(self, "of_" + kind)(depth + 1)

    def applied(self, table, kind, depth, joint):
        sources = [source for source, result in table if result == kind]
        if not sources:
            return self.leaf(kind)
        source = self.pick(sources)
        inner = self.of(source, depth + 1)
        if any(c in inner for c in " -+") or joint == "." or self.chance(0.2):
            inner = f"({inner})"
        return inner + joint + self.fill(self.pick(table[source, kind]), depth)

    def of_str(self, depth):
        return self.pick([
            lambda: f"{self.of('str', depth)} {self.pick(['~', '+'])} {self.of('str', depth)}",
            lambda: f"{self.of('other', depth)} ~ {self.of(self.pick(KINDS), depth)} ~ {self.of('float', depth)}",
            lambda: f"{self.of('str', depth)} * {self.pick(['0', '1', '3', '-1', 'n'])}",
            lambda: self.percent(depth), lambda: self.percent(depth), lambda: self.braces(depth), lambda: self.braces(depth),
            lambda: f"{self.pick(TYPES['str'])}{self.fill(self.pick(SLICES), depth)}",
            lambda: f"m({self.of(self.pick(KINDS), depth)}{self.pick(['', ', ' + self.of('str', depth), ', c=1', ', b=2'])})",
            lambda: f"any({self.pick(['', '1, 2', 'z=3', '*xs', '**d', '1, *words, q=2'])})",
            lambda: f"strftime_now('{self.pick(['%Y', '%d %b %Y', '%A, %B %d', '%H:%M', '%-d/%-m', '%j %U %w', '%y%%', '%e|%I %p', '%f', '%s' if False else '%G', '%c', '%x %X'])}')",
            lambda: self.conditional("str", depth), lambda: self.pick(["cyc.next()", "cyc.current", "join()"]),
        ])()

    def percent(self, depth):
        specs = [self.pick(PERCENT) for _ in range(self.random.randint(1, 3))]
        if self.chance(0.15):
            return f"'%(b){specs[0]} %(c)s' % {self.of('dict', depth)}"
        values = [self.of("float" if any(c in "feEgGF" for c in spec) else "int" if any(c in "dxXoic" for c in spec) else self.pick(KINDS), depth)
                  for spec in specs if not spec.endswith("%")]
        arguments = values[0] if len(values) == 1 and self.chance(0.5) else "(" + "".join(v + ", " for v in values) + ")"
        return "'" + " ".join("%" + spec for spec in specs) + f"' % {arguments}"

    def braces(self, depth):
        specs = [self.pick(BRACES) for _ in range(self.random.randint(1, 3))]
        return "'" + " ".join(specs) + "'.format(" + ", ".join(self.of(self.pick(["int", "float", "str", "bool", self.pick(KINDS)]), depth) for _ in specs) + ")"

    def conditional(self, kind, depth):
        other = "" if self.chance(0.3) else f" else {self.of(kind, depth)}"
        return f"({self.of(kind, depth)} if {self.of('bool', depth)}{other})"

    def of_int(self, depth):
        return self.pick([
            lambda: f"{self.of('int', depth)} {self.pick(['+', '-', '*', '//', '%'])} {self.of('int', depth)}",
            lambda: f"({self.of('int', depth)} {self.pick(['+', '-', '*', '//', '%'])} {self.of('int', depth)})",
            lambda: f"{self.pick(['-', '+', '--'])}{self.of('int', depth)}", lambda: f"{self.leaf('int')} ** {self.pick(['0', '1', '2', '3', '-1', '2 ** 2'])}",
            lambda: f"{self.of('bool', depth)} + {self.of('int', depth)}", lambda: self.conditional("int", depth),
        ])()

    def of_float(self, depth):
        return self.pick([
            lambda: f"{self.of('float', depth)} {self.pick(['+', '-', '*', '/', '//', '%'])} {self.of(self.pick(['int', 'float']), depth)}",
            lambda: f"{self.of('int', depth)} / {self.of('int', depth)}", lambda: f"({self.of('float', depth)}) ** {self.pick(['2', '-1', '3', '-2'])}",
            lambda: f"-{self.of('float', depth)}", lambda: f"{self.leaf('int')} {self.pick(['*', '-', '//'])} {self.leaf('float')}",
        ])()

    def of_bool(self, depth):
        any_of = lambda: self.of(self.pick(KINDS), depth)  # noqa: E731
        same = lambda kind: (self.of(kind, depth), self.pick(COMPARE[:6]), self.of(kind, depth))  # noqa: E731
        return self.pick([
            lambda: "{} {} {}".format(*same(self.pick(KINDS))), lambda: "{} {} {}".format(*same("int")), lambda: "({} {} {})".format(*same("str")),
            lambda: f"{any_of()} {self.pick(['in', 'not in'])} {self.of(self.pick(['list', 'str', 'dict']), depth)}",
            lambda: f"{any_of()} is {self.pick(['', 'not '])}{self.fill(self.pick(TESTS), depth)}",
            lambda: f"{any_of()} is {self.pick(['', 'not '])}{self.fill(self.pick(TESTS), depth)}",
            lambda: f"{any_of()} {self.pick(['and', 'or'])} {any_of()}", lambda: f"not {any_of()}", lambda: f"({self.of('bool', depth)} {self.pick(['and', 'or'])} not {any_of()})",
            lambda: f"{self.of('int', depth)} < {self.of('int', depth)} <= {self.of('float', depth)}", lambda: f"{any_of()} == {any_of()}",
        ])()

    def of_list(self, depth):
        return self.pick([
            lambda: "[" + ", ".join(self.of(self.pick(KINDS), depth) for _ in range(self.random.randint(0, 3))) + "]",
            lambda: "(" + "".join(self.of(self.pick(KINDS), depth) + ", " for _ in range(self.random.randint(0, 3))) + ")",
            lambda: f"{self.of('list', depth)} + {self.of('list', depth)}", lambda: f"{self.pick(TYPES['list'])}{self.fill(self.pick(SLICES), depth)}",
            lambda: f"{self.of('list', depth)} * {self.pick(['0', '2', '-1'])}", lambda: f"range({self.of('int', depth)})|list" if self.chance(0.3) else "range(1, 9, 3)|list",
            lambda: self.conditional("list", depth),
        ])()

    def of_dict(self, depth):
        return self.pick([
            lambda: f"{{'k': {self.of(self.pick(KINDS), depth)}, {self.of(self.pick(['str', 'int', 'float']), depth)}: {self.of(self.pick(KINDS), depth)}}}",
            lambda: f"dict({self.of('dict', depth)}, z={self.of(self.pick(KINDS), depth)})", lambda: self.conditional("dict", depth),
            lambda: f"dict({self.of('list', depth) if self.chance(0.1) else 'pairs'})",
        ])()

    def of_other(self, depth):
        return self.pick([
            lambda: f"{self.pick(TYPES['list'] + TYPES['str'] + TYPES['other'])}{self.fill(self.pick(SLICES), depth)}",
            lambda: f"{self.of(self.pick(KINDS), depth)} {self.pick(BINARY)} {self.of(self.pick(KINDS), depth)}",
            lambda: f"({self.of(self.pick(KINDS), depth)}){self.pick(['()', '(1)', '.x', '.0', '[0][0]', '.name.first'])}",
            lambda: f"{self.pick(['namespace(a=1).a', 'loop.index', 'loop.cycle(1, 2, 3)', 'x.y', 'm', 'm.name', 'cyc', 'm.arguments', 'ns.v.w'])}",
            lambda: f"raise_exception({self.of('str', depth)})" if self.chance(0.2) else self.leaf("other"),
        ])()

    # --- statements ---

    def tag(self, text):
        return "{%" + self.pick(["", "", "-", "+"]) + f" {text} " + self.pick(["", "", "-", "+"]) + "%}"

    def body(self, depth):
        return "".join(self.piece(depth + 1) for _ in range(self.random.randint(1, 2)))

    def expression(self, depth=1):
        return self.of(self.pick(KINDS), depth)

    def piece(self, depth):
        if depth > 3 or self.chance(0.35):
            return self.pick(SPACE) + self.pick(["{{ ", "{{- ", "{{+ ", "{{"]) + self.expression() + self.pick([" }}", " -}}", "}}"]) + self.pick(SPACE)
        return self.pick(SPACE) + self.pick([
            lambda: self.condition(depth), lambda: self.condition(depth), lambda: self.loop(depth), lambda: self.loop(depth), lambda: self.recursion(depth),
            lambda: self.tag(f"set x = {self.expression()}"), lambda: self.tag(f"set x, y = {self.pick(['1, 2', '(3, 4)', '[5, 6]', 'pairs', 's[:2]', self.of('list')])}"),
            lambda: self.tag(f"set ns.v = {self.expression()}"), lambda: self.tag(f"set ns.{self.pick(['v', 'w'])} = ns.v ~ {self.of('str')}"),
            lambda: self.tag("set x") + self.body(depth) + self.tag("endset"), lambda: self.tag("set ns.v") + self.body(depth) + self.tag("endset"),
            lambda: self.tag("set x | " + self.pick(["upper", "trim", "replace('a', 'b')|length", "indent(2)"])) + self.body(depth) + self.tag("endset"),
            lambda: self.tag(f"filter {self.pick(['upper', 'trim', 'length', 'indent', 'replace(s, u)|title', 'escape'])}") + self.body(depth) + self.tag("endfilter"),
            lambda: self.tag(f"with x = {self.expression(2)}{self.pick(['', ', y = x'])}") + self.body(depth) + self.tag("endwith"),
            lambda: self.tag("generation") + self.body(depth) + self.tag("endgeneration"),
            lambda: self.tag(f"call {self.pick(['w()'] * 4 + ['w()|upper' if self.chance(0.1) else 'w()', 'any()', 'each(xs)'])}") + self.body(depth) + self.tag("endcall"),
            lambda: self.tag(f"call({self.pick(['x, y', 'x, y', 'x, y=2', 'x=1, y=x', 'x'])}) each({self.of('list', 2)})") + self.body(depth) + self.tag("endcall"),
            lambda: self.macro(depth), lambda: "{#" + self.pick(["", "-"]) + " c {{ " + self.pick(["", "-"]) + "#}",
            lambda: self.tag("raw").replace("+", "") + " {{ x }} {% y " + self.tag("endraw"), lambda: self.tag(f"print {self.expression()}"),
            lambda: self.tag(self.pick(["break", "continue"])) if self.chance(0.05) else self.tag(f"if {self.of('bool')}") + self.tag("endif"),
            lambda: self.tag(self.pick(["do x", "include 'a'", "nosuch", "endif", "else", "import 'a' as b"])) if self.chance(0.05) else "",
        ])() + self.pick(SPACE)

    def condition(self, depth):
        text = self.tag(f"if {self.of(self.pick(['bool', 'bool', 'other']))}") + self.body(depth)
        while self.chance(0.3):
            text += self.tag(f"elif {self.of('bool')}") + self.body(depth)
        return text + self.pick(["", self.tag("else") + self.body(depth)]) + self.tag("endif")

    def macro(self, depth):
        name = self.pick(["m", "q"])
        return (self.tag(f"macro {name}({self.pick(['', 'x', 'x, y=x', 'x=1', 'a, b=[]'])})") + self.body(depth) + self.tag("endmacro") +
                self.pick(["", "{{ " + name + self.pick(["()", "(1)", "(y=2)", "(1, 2)", "(x=n)"]) + " }}"]))

    def loop(self, depth):
        condition = self.pick(["", "", "", f" if {self.of('bool', 2)}", " if x", " if loop.index is odd"])
        extras = self.pick(["", "{{ loop.index }}", "{{ loop.last }}{{ loop.length }}", "{{ loop.previtem }}{{ loop.nextitem }}", "{{ loop.revindex }}/{{ loop.revindex0 }}",
                            "{% if loop.index > 1 %}{% break %}{% endif %}", "{% if x %}{% continue %}{% endif %}", "{{ loop.cycle('a', 'b') }}", "{{ loop.changed(x) }}",
                            "{{ loop.first }}{{ loop.depth }}{{ loop.index0 }}", "{% if not loop.first %}, {% endif %}"])
        target = self.pick(["x", "x", "x", "x, y", "(x, y)"])
        source = self.pick(["d.items()", "d|items", "[(1, 2)]", "pairs", "none_key|dictsort", "people|groupby('age')"]) if "y" in target else self.of(self.pick(["list", "list", "dict", "str"]), 2) if self.chance(0.9) else "range(n)"
        return (self.tag(f"for {target} in {source}{condition}") + extras + self.body(depth) + self.pick(["", self.tag("else") + self.body(depth)]) + self.tag("endfor"))

    def recursion(self, depth):
        call = self.pick(["{{ loop(x.kids) }}", "{% if x.kids %}({{ loop(x.kids) }}){% endif %}", "{{ loop(x.kids)|upper }}"])
        return self.tag("for x in tree recursive") + "{{ x.v }}@{{ loop.depth }}" + self.body(3) + call + self.pick(["", self.tag("else") + "-"]) + self.tag("endfor")

    def template(self):
        text = HEAD + "".join(self.piece(0) for _ in range(self.random.randint(1, 2)))
        if self.chance(0.02):  # damaged
            at = self.random.randrange(len(HEAD), len(text) + 1)
            text = text[:at] + self.pick(["", "{", "}", "%}", "{{", "'", "|", "#}", "(", "{#"]) + text[at + self.random.randint(0, 3):]
        return text
