"""Small templates, each for one mechanism: (name, template, variables)."""

import re

V = {
    "s": "Hello, World",
    "u": "Größe 世界 🌍",
    "n": 7,
    "f": 2.5,
    "yes": True,
    "nothing": None,
    "xs": [3, 1, 2],
    "words": ["pear", "Apple", "fig", "apple"],
    "d": {"b": 1, "a": {"x": [1, 2.0, None, True]}, "items": "own"},
    "people": [{"name": "Ann", "age": 30}, {"name": "bob", "age": 25, "admin": True}, {"name": "Cy", "age": 30}],
    "tree": [{"v": 1, "kids": [{"v": 2, "kids": []}, {"v": 3, "kids": [{"v": 4, "kids": []}]}]}],
}

EXPRESSIONS = """
n + 1 | n - 10 | n * f | n / 2 | n // 2 | -n // 2 | n % 3 | -n % 3 | 2 ** 10 | 2 ** -1 | -2 ** 2 | 1e16 | 0.1 + 0.2 | 1e-5 | 100.0
5.5 // 2 | -5.5 % 2 | 7 / 7 | 1 / 0 | n // 0 | 9223372036854775807 | not n | n and s | '' or 'b' | 1 < 2 < 3 | 1 < 3 < 2 | 1 == 1.0 == yes
'a' in s | 'el' in s | 3 in xs | 9 not in xs | 'b' in d | s ~ n ~ nothing | s + n | xs + [4] | xs * 2 | 'ab' * 3 | (1,) + (2,)
s[0] | s[-1] | s[1:4] | s[::-1] | u[6:8] | u[-1] | xs[1:] | xs[::-1] | xs[-2:] | xs[5] | xs[::0] | d['b'] | d.b | d.a.x[1] | d.zz | d.zz.y | d['zz']
d.items() | d.keys() | d.values() | d.get('b') | d.get('q', 9) | d['items'] | missing | missing.x | missing['x'] | missing + 1 | missing ~ 'x'
'yes' if n > 3 else 'no' | 'yes' if n > 9 | (1, 2, 'x') | (1,) | () | [] | {} | {'a': 1, 2: [none, true]} | [1.0, -0.0, "it's", "q'", "\\n\\t"]
nothing | yes | xs | d | u | [u] | ["\\u00a0", "\\u200b", "\\x07"] | 1 if false else 2 if false else 3 | (n if n > 1 else 0) + 1 | xs is defined | zz is not defined
n is odd | n is even | n is divisibleby 7 | n is divisibleby(3) | s is string | n is number | yes is number | n is integer | f is float | yes is boolean
d is mapping | xs is iterable | s is sequence | n is sequence | nothing is none | yes is true | yes is sameas true | n is in [7] | n is eq 7 | n is gt(3) and true
s is upper | 'ABC' is upper | 'abc' is lower | s is callable | d.get is callable | 'upper' is filter | 'odd' is test | n is nosuch | n|nosuch
7.bit | 0x1f | 1_000 | 0b101 | 0o17 | 1.5e3 | "a" "b" | 'tab\\there' | '\\x41\\u00e9' | none is none is none | x.y.z | true.x | loop | range(3) | range(2, 9, 3)
dict(a=1) | dict([('a', 1)]) | namespace(a=1) | -7 // 2 | -7 % 3 | 7 % -3 | 7.5 // -2 | 3 - -3 | +n | - n
"""

TEXT = """
s.upper() | s.lower() | s.title() | 'aBC dE'.capitalize() | 'aB'.swapcase() | u.upper() | 'straße'.upper() | u.lower() | '  x '.strip() | 'xxaxx'.strip('x')
'xxa'.lstrip('x') | 'axx'.rstrip('x') | 'a,b,c'.split(',') | ' a  b '.split() | 'a b c'.split(none, 1) | 'a,b,c'.split(',', 1) | 'a,b,c'.rsplit(',', 1)
'  a b  c '.rsplit(none, 1) | 'a\\nb\\r\\nc\\n'.splitlines() | 'a\\nb'.splitlines(true) | 'a=b=c'.partition('=') | 'a=b=c'.rpartition('=') | 'abc'.partition('x')
s.startswith('He') | s.startswith(('x', 'H')) | s.endswith('ld') | s.startswith('l', 2) | s.find('o') | s.rfind('o') | s.find('zz') | s.index('zz') | u.find('世')
s.count('l') | s.replace('l', 'L') | s.replace('l', 'L', 1) | 'abc'.replace('', '-') | '-'.join(['a', 'b']) | '-'.join([1]) | '{} {}'.format(1, 'x') | '{1}{0}'.format(1, 2)
'{a} {b[x]}'.format(a=1, b={'x': 2}) | '{:>5}|{:<5}|{:^5}'.format(1, 'a', 'b') | '{:05.2f}'.format(3.14159) | '{:,}'.format(1234567) | '{:x}'.format(255) | '{!r}'.format('a') | '{{}}'.format() | '{}'.format() | '{:%}'.format(0.5)
'%s and %d' % ('a', 3) | '%s' % n | '%5.2f|%-5s|%05d' % (f, 'a', 42) | '%(b)s' % d | '%%' % () | '%d' % 'x' | '%s %s' % 'a' | '%r' % s | '%x %o %e' % (255, 8, 12345.678) | 'a' % 1
'12'.isdigit() | 'ab1'.isalnum() | 'ab'.isalpha() | ' '.isspace() | 'AB'.isupper() | 'ab'.islower() | ''.isdigit() | 'a'.center(5) | 'a'.ljust(3, '.') | 'a'.rjust(3) | '-5'.zfill(4)
'prefix-x'.removeprefix('prefix-') | 'x.py'.removesuffix('.py') | 'a\\tb'.expandtabs(4) | s.nosuch() | xs.append(1) | d.update({}) | d.pop('b') | s.__class__ | xs.index(2) | xs.count(1) | xs.index(9)
"""

FILTERS = """
s|upper | s|lower | s|capitalize | 'hello big-world (x)'|title | s|length | u|length | xs|length | n|length | nothing|length | missing|length | '  x '|trim | 'xx'|trim('x')
xs|join | xs|join(', ') | people|join('-', attribute='name') | xs|first | xs|last | []|first | s|first | s|last | xs|sort | words|sort | words|sort(case_sensitive=true) | words|sort(reverse=true)
people|sort(attribute='age')|map(attribute='name')|join(',') | people|sort(attribute='age,name')|map(attribute='name')|list | words|unique|list | words|unique(true)|list | xs|reverse|list | s|reverse
xs|map('string')|list | words|map('upper')|join(' ') | words|map('replace', 'p', 'q')|list | people|map(attribute='admin', default='no')|list | people|map(attribute='admin')|list
xs|select('odd')|list | xs|select|list | xs|reject('gt', 1)|list | people|selectattr('admin')|map(attribute='name')|list | people|selectattr('age', 'equalto', 30)|list|length | people|rejectattr('admin')|list|length | people|selectattr('age', '>=', 30)|map(attribute='name')|list
xs|select('odd') is iterable | 'y' if xs|select('gt', 9) else 'n' | xs|map('nosuch')|list | xs|select('nosuch')|list | xs|max | xs|min | words|max | []|max | people|max(attribute='age') | xs|sum | xs|sum(start=10) | people|sum(attribute='age') | words|sum
d|items|list | missing|items|list | xs|items|list | d|dictsort | {'b': 1, 'A': 2}|dictsort | {'b': 1, 'a': 2}|dictsort(by='value') | {'b': 1, 'A': 2}|dictsort(true) | d|list | s|list | n|list | d|length
n|default(1) | missing|default(1) | missing|d('x') | ''|default('e') | ''|default('e', true) | nothing|default('e') | '3.7'|int | '0x1f'|int(0, 16) | 'x'|int | 'x'|int(5) | 3.9|int | '1e3'|float | 'x'|float | '7'|float | n|float
-3|abs | (-3)|abs | 2.567|round(2) | 2.5|round | 3.5|round | 42.55|round(1, 'floor') | 2.1|round(0, 'ceil') | 12345|round(-2) | 1.005|round(2) | f|string | n|string + 'x' | xs|string
'a\\nb\\n\\nc'|indent | 'a\\nb'|indent(2, true) | 'a\\n\\nb'|indent(2, blank=true) | 'a\\nb'|indent('> ') | 'foo bar baz qux'|truncate(9) | 'foo bar baz qux'|truncate(9, true) | 'foo bar baz qux'|truncate(11) | 'a b c'|wordcount | 'x'|center(5)
'<a href="x">b & c</a>'|escape | '<b>x</b>  y'|striptags | '<x>'|safe | '<x>'|safe + '<y>' | '<x>'|e ~ '<y>' | 'a b/c?d=é'|urlencode | {'a b': 'c&d'}|urlencode | '%s-%s'|format(1, 2) | '%(a)s'|format(a=1)
d|tojson | u|tojson | d|tojson(indent=2) | d|tojson(indent=0) | xs|tojson(separators=(',', ':')) | {'b': 1, 'a': 2}|tojson(sort_keys=true) | u|tojson(ensure_ascii=true) | [1.0, 1e20, 1e-7, none, true]|tojson | {1: 2, none: 3, true: 4, 1.5: 6}|tojson | '"\\\\\\n\\x7f\\x01/<>'|tojson | missing|tojson | range(3)|tojson | (1, 2)|tojson | []|tojson(indent=2) | xs|tojson(indent='--')
[1, 2, 3, 4, 5]|batch(2)|list | [1, 2, 3]|batch(2, 0)|list | [1, 2, 3, 4, 5]|slice(2)|list | [1, 2, 3, 4, 5]|slice(3, 'x')|list | people|groupby('age') | people|groupby('age')|map(attribute='grouper')|list | people|groupby('admin', default=false)|length
1500|filesizeformat | xs|filesizeformat | 1|filesizeformat | 2048|filesizeformat(true) | {'a': 1, 'b': none}|xmlattr | d|attr('b') | s|replace('l', 'L') | s|replace('l', 'L', 1) | n|replace(7, 8) | 12|string|length | words|groupby('0')|length | n|upper | nothing|upper | [[1, 2], [3]]|map('first')|list | [[1, 2], [3]]|map(attribute=0)|list | xs|random_not
"""

BLOCKS = {
    "trim_lstrip": "a\n  {% if true %}\n  b\n  {% endif %}\nc\n",
    "trim_plus": "a\n  {%+ if true %}\n  b\n  {% endif +%}\nc",
    "minus": "a \n {%- if true -%} \n b \n {%- endif -%} \n c",
    "variable_space": "  {{ n }}  \n{{- n -}}  \n x",
    "comment": "a {# x #}\nb\n  {#- y -#}  \nc{##}d{#-#}e\n   {# lone #}\nf",
    "raw": "x\n{% raw %}{{ n }} {% if %}{% endraw %}\ny {%- raw -%}  {{z}} {%- endraw -%}  w",
    "crlf": "a\r\n{% if true %}\r\nb\r\n{% endif %}\r\nc\r\n",
    "trailing": "a\n\n",
    "mid_line": "a {% if true %} b {% endif %} c\n",
    "empty_lines": "\n\n{% set x = 1 %}\n\n{{ x }}\n\n",
    "elif": "{% for i in range(4) %}{% if i == 0 %}a{% elif i == 1 %}b{% elif i == 2 %}c{% else %}d{% endif %}{% endfor %}",
    "loop_vars": "{% for x in xs %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}",
    "loop_cycle": "{% for x in xs %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }}{{ loop.depth }}{% endfor %}",
    "loop_filter": "{% for x in xs if x > 1 %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% else %}none{% endfor %}",
    "loop_filter_lazy": "{% set ns = namespace(n=0) %}{% for x in xs if ns.n < 2 %}{% set ns.n = ns.n + 1 %}{{ x }}{% endfor %}",
    "loop_else": "{% for x in [] %}x{% else %}empty{% endfor %}{% for x in none or [] %}{% else %}e{% endfor %}",
    "loop_else_continue": "{% for x in xs %}{% continue %}{% else %}E{% endfor %}",
    "loop_none": "{% for x in nothing %}{% endfor %}",
    "loop_missing": "{% for x in missing %}x{% else %}e{% endfor %}",
    "loop_unpack": "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "loop_unpack_bad": "{% for a, b in [(1, 2, 3)] %}{% endfor %}",
    "loop_string": "{% for c in u %}[{{ c }}]{% endfor %}",
    "loop_dict": "{% for k in d %}{{ k }}{% endfor %}",
    "loop_scope": "{% set x = 1 %}{% for i in xs %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}",
    "loop_break": "{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x > 4 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "loop_outer": "{% for a in [1, 2] %}{% set outer = loop %}{% for b in [1, 2] %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}",
    "loop_recursive": "{% for node in tree recursive %}({{ node.v }}@{{ loop.depth }}{{ loop(node.kids) }}){% endfor %}",
    "loop_generator": "{% set g = xs|select('odd') %}{% for x in g %}{{ x }}{{ loop.last }}{% endfor %}|{% for x in g %}{{ x }}{% endfor %}",
    "loop_tuple": "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}",
    "if_scope": "{% if true %}{% set x = 5 %}{% endif %}{{ x }}",
    "set_block": "{% set x %}a{{ n }}b{% endset %}{{ x }}{{ x|length }}{% set y | upper | replace('A', 'z') %}abc{% endset %}{{ y }}",
    "set_tuple": "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set t = 1, %}{{ t }}",
    "set_namespace": "{% set ns = namespace(x=1, **{'y': 2}) %}{% for i in xs %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{{ ns.y }}{{ ns.z }}{{ ns['x'] }}{{ ns }}",
    "set_not_namespace": "{% set d.x = 1 %}",
    "macro": "{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(a=5, c=6) }}{{ m(1)|upper }}{{ m() }}",
    "macro_varargs": "{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}",
    "macro_too_many": "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "macro_bad_keyword": "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}",
    "macro_outer": "{% set x = 1 %}{% macro m() %}{{ x }}{{ late }}{% set x = 9 %}{{ x }}{% endmacro %}{% set late = 3 %}{{ m() }}{{ x }}",
    "macro_recursive": "{% macro m(k) %}{{ k }}{% if k > 0 %}{{ m(k - 1) }}{% endif %}{% endmacro %}{{ m(5) }}",
    "macro_endless": "{% macro m(k) %}{{ m(k + 1) }}{% endmacro %}{{ m(0) }}",
    "macro_spread": "{% macro m(a, b, c=0) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(*[1, 2], **{'c': 3}) }}",
    "call_block": "{% macro m(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call m('b') %}x{{ n }}{% endcall %}",
    "call_arguments": "{% macro m() %}{% for x in xs %}{{ caller(x, y=2) }}{% endfor %}{% endmacro %}{% call(x, y=1) m() %}[{{ x }}{{ y }}]{% endcall %}",
    "caller_missing": "{% macro m() %}{{ caller is defined }}{% if caller %}{{ caller() }}{% endif %}{% endmacro %}{{ m() }}",
    "filter_block": "{% filter upper | replace('A', 'z') %}abc {{ s }}{% endfilter %}",
    "with": "{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}{{ b }}",
    "generation": "{% generation %}a{{ n }}{% set q = 1 %}{% endgeneration %}{{ q }}",
    "block": "{% block x %}a{{ n }}{% endblock x %}",
    "print": "{% print n, s %}",
    "cycler": "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set j = joiner('|') %}{{ j() }}x{{ j() }}y",
    "shadow": "{% set range = 5 %}{{ range }}{% set messages = 1 %}{{ messages }}",
    "dict_brackets": "{{ {'a': {'b': 1}}['a']['b'] }}{{ {'a': 1}.a }}",
    "strftime": "{{ strftime_now('%Y-%m-%d %H:%M:%S %a %A %b %B %j %p %I %y %% %-d %e %f %z') }}{{ strftime_now('') }}",
    "raise": "{% if n == 7 %}{{ raise_exception('No ' ~ s) }}{% endif %}",
    "format_details": "{{ '{:>6}|{:+}|{:5}'.format(false, true, true) }}{{ '%#.0f|%#g|%c' % (2, 1e22, true) }}{{ '{:010,}|{:08_x}|{:c}|{:n}'.format(2.5, 70000, 65, 1.5) }}{{ '{!a}|%a' .format('é') % 'ü' }}",
    "format_mixed": "{{ '{0} {}'.format(1) }}",
    "format_mixed_index": "{{ '{0[0]} {}'.format([1]) }}",
    "format_sign_of_text": "{{ '{:+}'.format('a') }}",
    "format_precision_of_integer": "{{ '{:.2d}'.format(1) }}",
    "format_zero_of_text": "{{ '{:05}|'.format('a') }}",
    "percent_width_percent": "{{ '%5%' % () }}",
    "percent_key_percent": "{{ '%(b)%' % d }}",
    "division": "{{ 1 / 9007199254740993 }} {{ 9223372036854775807 / 9007199254740993 }}",
    "title_case": "{{ 'ﬁsh ǆ ßa'.title() }}|{{ 'ﬁsh'.capitalize() }}|{{ 'ﬁsh ß ΣΑΣ'.casefold() }}|{{ 'Ab Cd'.istitle() }}{{ 'AB'.istitle() }}{{ ''.isascii() }}{{ 'a\\n'.isprintable() }}",
    "urlencode_values": "{{ {'a': [1, {'b': 'é &'}], 'c': none} | urlencode }}",
    "markup_parts": "{{ ('it\\'s' | e).partition(',') }}{{ ('ab' | e) | list }}",
    "previous_of_unpacked": "{% for a, b in [['k', 1], ['l', 2]] if b %}{{ loop.previtem }}{% endfor %}{% for a, b in [['k', 1], ['l', 2]] %}{{ loop.previtem }}{% endfor %}",
    "lazy_items": "{% set g = n | items %}fine{% for k in g %}{% endfor %}",
    "dict_of_undefined": "{{ dict(missing) }}",
    "unhashable_filter_name": "{{ {} is filter }}",
    "unknown_filter_in_loop": "{% for x in [] %}{{ x | nosuch }}{% endfor %}",
    "unknown_filter_in_if": "{% if false %}{{ x | nosuch }}{% elif false %}{{ x is nosuch }}{% endif %}{{ (n | nosuch) if false }}a",
    "unknown_filter_in_loop_in_if": "{% if false %}{% for x in [] %}{{ x | nosuch }}{% endfor %}{% endif %}",
    "unknown_test": "{{ 1 if n is nosuch else 2 }}",
    "comment_at_the_end": "a{#",
    "caller_name": "{% macro m() %}{{ caller }}{{ caller.name }}{% endmacro %}{% call m() %}{% endcall %}",
    "round_up_to_zero": "{{ (-0.4) | round(0, 'ceil') }}{{ 1e44 | filesizeformat }}",
    "undefined_is_sequence": "{{ missing is sequence }}{{ missing is iterable }}{{ missing is mapping }}{{ missing is string }}",
    "format_nested": "{{ '{0[0]} {} {:{}}|'.format('ab', 'c', 3) }}|{{ '{:{}}|{:{w}}'.format(1, 5, 2, w=4) }}",
    "format_general": "{% for x in [-1.0, 10.0, 100.0, 123.456, 1234567.0, 0.0, 0.00001, 1e22] %}{{ '{:.3}|{:.1}|{:.0}'.format(x, x, x) }} {% endfor %}",
    "format_grouped": "{{ '{:010,}|{:,}|{:,.3}'.format(123456.789, 1234567.5, 1234.5) }}",
    "views": "{{ {'a': 1}.values() in {'b': 2} }}{{ {'a': 1}.values() == {'a': 1}.values() }}",
    "views_are_no_mapping": "{{ 'x' % {'a': 1}.keys() }}",
    "markup_join": "{{ ('&' | e).join(['<', 1, '<' | safe]) }}{{ 'ǅﬁA'.swapcase() }}",
    "unclosed_if": "{% if true %}a",
    "unclosed_for": "{% for x in xs %}a{% endif %}",
    "unknown_tag": "{% nosuch %}",
    "unclosed_variable": "{{ n",
    "unclosed_string": "{{ 'abc }}",
    "unclosed_comment": "{# abc",
    "unbalanced": "{{ (1, 2] }}",
    "empty_expression": "{{ }}",
    "bad_operator": "{{ 1 + }}",
    "do": "{% do xs.append(1) %}",
    "break_outside": "{% break %}",
    "nested_quotes": "{{ \"it's\" }}{{ 'say \"x\"' }}",
    "multi_line": "{{ [1,\n 2,\n 3]\n | join(',') }}",
    "not_precedence": "{{ not n == 8 }}{{ not not n }}{{ not n in xs }}{{ n is not none and not false }}",
    "test_precedence": "{{ n is defined and s is string }}{{ xs[0] is eq 3 }}{{ 1 + n is number }}{{ s | length is eq 12 }}",
    "filter_precedence": "{{ -3 | abs }}{{ 'a' ~ 'b' | upper }}{{ 1 + 2 | string | length }}{{ n > 3 | int }}",
    "colon": "{% if n: %}a{% endif %}",
    "conditional_in_for": "{% for x in (xs if yes else []) %}{{ x }}{% endfor %}",
    "endings": "{% if true %}\n{{ n }}\n{% endif %}\n\n{% for i in xs %}\n{{ i }}\n{% endfor %}\nend",
}


def _split(text):
    """Expressions of one line, separated by " | " (a filter's bar has no blanks here)."""
    return [e.strip() for line in text.strip().splitlines() for e in line.split(" | ")]


def _used(source):
    return {name: value for name, value in V.items() if re.search(rf"\b{name}\b", source)}


FEATURES = [(f"expression {e}", "{{ " + e + " }}", _used(e)) for e in _split(EXPRESSIONS)]
FEATURES += [(f"text {e}", "{{ " + e + " }}", _used(e)) for e in _split(TEXT)]
FEATURES += [(f"filter {e}", "{{ " + e + " }}", _used(e)) for e in _split(FILTERS)]
FEATURES += [(f"block {name}", source, _used(source)) for name, source in BLOCKS.items()]
