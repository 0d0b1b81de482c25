"""Expressions and templates of other languages, and what they are here."""

from time import process_time

import pytest

from ordinaut.expressions.foreign.lexer import ForeignError
from ordinaut.expressions.foreign.scope import Scope
from ordinaut.expressions.foreign.templates import (
    foreign_template,
    is_native,
    looks_foreign,
    rewrite_condition,
    rewrite_text,
)
from ordinaut.expressions.foreign.translate import translate

SCOPE = Scope(
    steps={"w": "w", "get-rows": "get_rows", "Weather": "weather", "ok": "ok", "inner": "inner"},
    outputs={"w": ["temp", "city", "days"], "get_rows": None, "weather": ["temp"], "ok": ["status"]},
    params=["city", "limit"],
    loop_names=["row"],
    in_loop=True,
    in_handler=True,
    previous="w",
    time_zone="Europe/Rome",
    approvals=["ok"],
    moved={"inner": ("both", "left")},
    aliases={"color": ("steps", "v", "color")},
)
CERTAIN = [
    ('steps.w.temp > 20 and params.city == "Berlin"', "steps.w.temp > 20 && params.city == 'Berlin'"),
    ("steps.w.temp > 20 AND NOT params.city", "steps.w.temp > 20 && !(params.city)"),
    ("(params.city == 'a') & (params.limit == 1)", "params.city == 'a' && params.limit == 1"),
    ("not steps.w.temp", "!(steps.w.temp)"),
    ("steps.w.temp is not null", "steps.w.temp != null"),
    ("steps.w.temp is defined", "steps.w.temp != null"),
    ("steps.w.city in ['a', 'b']", "contains(['a', 'b'], steps.w.city)"),
    ("steps.w.temp in [1, 2]", "contains([`1`, `2`], steps.w.temp)"),
    ("steps.w.city not in params.city", "!contains(params.city, steps.w.city)"),
    ("len(steps.w.days) > 2", "length(steps.w.days) > 2"),
    ("steps.w.days.length", "length(steps.w.days)"),
    ("steps.w.days | length > 2", "length(steps.w.days) > 2"),
    ("steps.w.city | upper | replace('A', 'b')", "replace(upper(steps.w.city), 'A', 'b')"),
    ("steps.w.temp == None", "steps.w.temp == null"),
    ("steps.w.temp === 20 || steps.w.temp !== 3", "steps.w.temp == 20 || steps.w.temp != 3"),
    ("steps.w.temp gt 20 and params.city ne 'x'", "steps.w.temp > 20 && params.city != 'x'"),
    ("steps.w.temp > 20 ? 'hot' : 'cold'", "steps.w.temp > 20 && 'hot' || 'cold'"),
    ("steps.w.temp ? 0 : params.limit", "(steps.w.temp && [`0`] || [params.limit])[0]"),
    ("steps.w.temp ? params.city : ''", "(steps.w.temp && [params.city] || [''])[0]"),
    ("'hot' if steps.w.temp > 20 else 'cold'", "steps.w.temp > 20 && 'hot' || 'cold'"),
    ("params.city | default('Berlin')", "default(params.city, 'Berlin')"),
    ("params.city ?? 'x'", "default(params.city, 'x')"),
    ("params.get('city', 'x')", "default(params.city, 'x')"),
    ("$.steps.w.temp", "steps.w.temp"),
    ("steps['w']['temp']", "steps.w.temp"),
    ("steps.w.output.temp", "steps.w.temp"),
    ("w.temp", "steps.w.temp"),
    ("outputs.w.temp", "steps.w.temp"),
    ("$json.temp", "steps.w.temp"),
    ('$node["Weather"].json.temp', "steps.weather.temp"),
    ("$('Weather').item.json.temp", "steps.weather.temp"),
    ("inputs.city", "params.city"),
    ("github.event.inputs.city", "params.city"),
    ("row.title", "item.title"),
    ("each.value.title", "item.title"),
    ("steps.ok.approved", "(steps.ok.status == 'approved')"),
    ("steps.ok.status == 'APPROVED'", "steps.ok.status == 'approved'"),
    ("steps.inner.temp", "steps.both.left.temp"),
    ("now().format('YYYY-MM-DD')", "format_time(now, '%Y-%m-%d', 'Europe/Rome')"),
    ("now() + timedelta(days=1)", "now+1d"),
    ("$now.plus({hours: 2})", "now+2h"),
    ("'It is ' + steps.w.temp", "join('', ['It is ', to_string(steps.w.temp)])"),
    ("steps.w.temp * 2 + 1", "add(mul(steps.w.temp, 2), 1)"),
    ("steps.w.days | map(attribute='t') | join(', ')", "join(', ', steps.w.days[*].t)"),
    ("steps.w.days.map(d => d.t)", "steps.w.days[*].t"),
    ("steps.w.days.filter(d => d.t > 20)", "steps.w.days[?t > 20]"),
    ("', '.join(steps.w.days)", "join(', ', steps.w.days)"),
    ("steps.w.days[?t > 20 and ok].name", "steps.w.days[?t > 20 && ok].name"),
    (
        "'{} in {}'.format(steps.w.temp, params.city)",
        "join('', [to_string(steps.w.temp), ' in ', to_string(params.city)])",
    ),
    ("sort_by(steps.w.days, &t)[0].t", "sort_by(steps.w.days, &t)[0].t"),
    ("steps.w.days | length(@)", "steps.w.days | length(@)"),
]
ASSUMED = [
    ("steps.get-rows.output.count", "steps.get_rows.count"),
    ("env.CITY", "params.city"),
    ("secrets.API_KEY", "secrets.api_key"),
    ("exception", "error.message"),
    ("color", "steps.v.color"),
    ("round(steps.w.temp)", "floor(add(steps.w.temp, 0.5))"),
]
REFUSED = [
    "steps.w.temp ++",
    "steps.w.temp % 2",
    "steps.w.city | trim",
    "unknown_function(1)",
    "{{",
    "a b",
    "''.__class__",
    "steps.w[params.city]",
    "lambda x: x",
    "x" * 5000,
    "(" * 100 + "a" + ")" * 100,
]
TEXTS = [
    ("It is {{ steps.w.temp }} in ${{ params.city }}", "It is ${steps.w.temp} in ${params.city}"),
    ("=It is {{ $json.temp }}", "It is ${steps.w.temp}"),
    ("%{steps.w.temp} #{steps.w.temp} <%= steps.w.temp %>", "${steps.w.temp} ${steps.w.temp} ${steps.w.temp}"),
    ("{city}, {unknown} and $.steps.w.temp for $5.00", "${params.city}, {unknown} and ${steps.w.temp} for $5.00"),
    ("f'{steps.w.temp} degrees'", "${steps.w.temp} degrees"),
    ("`${steps.w.temp} degrees`", "${steps.w.temp} degrees"),
    ("{% if steps.w.temp > 20 %}hot{% else %}cold{% endif %}", "${(steps.w.temp > 20) && 'hot' || 'cold'}"),
    ("$${steps.w.temp} {{ params.city }}", "$${steps.w.temp} ${params.city}"),
    ("${steps.w.temp}", "${steps.w.temp}"),
    ('{"a": {"b": 1}}', '{"a": {"b": 1}}'),
    ("Bearer {{ secrets.token }}", "Bearer ${secrets.token}"),
    ("${TO:-team}", "${default(params.TO, 'team')}"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "meant"), CERTAIN)
def test_what_every_reader_agrees_on_is_certain(written: str, meant: str) -> None:
    result = translate(written, SCOPE)
    assert (result.text, result.certain) == (meant, True)
    assert is_native(meant, SCOPE)


@pytest.mark.parametrize(("written", "meant"), ASSUMED)
def test_what_is_probable_is_assumed(written: str, meant: str) -> None:
    result = translate(written, SCOPE)
    assert (result.text, result.certain) == (meant, False)


@pytest.mark.parametrize("text", REFUSED)
def test_what_has_no_equivalent_is_refused(text: str) -> None:
    with pytest.raises(ForeignError):
        translate(text, SCOPE)


@pytest.mark.parametrize(("written", "meant"), TEXTS)
def test_templates(written: str, meant: str) -> None:
    assert rewrite_text(written, SCOPE).text == meant
    assert rewrite_text(meant, SCOPE).text == meant


def test_a_placeholder_that_is_not_understood_stays_and_is_reported() -> None:
    result = rewrite_text("{{ a b }} {{ steps.w.temp }}", SCOPE)
    assert result.text == "{{ a b }} ${steps.w.temp}"
    assert len(result.problems) == 1


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{{ steps.w.temp }} > 20", "steps.w.temp > 20"),
        ("'${params.city}' == 'Berlin'", "params.city == 'Berlin'"),
        ("${steps.w.temp > 20}", "${steps.w.temp > 20}"),
        ("${{ steps.w.temp > 20 && true }}", "steps.w.temp > 20 && true"),
    ],
)
def test_conditions(written: str, meant: str) -> None:
    assert rewrite_condition(written, SCOPE).text == meant


def test_a_name_that_is_declared_nowhere_is_reported() -> None:
    assert translate("inputs.country", SCOPE).undeclared == ("country",)
    assert rewrite_text("{{ customer }}", SCOPE).undeclared == ("customer",)


def test_what_is_valid_here_is_native() -> None:
    assert is_native("steps.w.days[?t > params.limit].t", SCOPE)
    assert not is_native("w.temp", SCOPE)
    assert not looks_foreign("${params.city} {x}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'It is ' + steps.w.temp", "${join('', ['It is ', to_string(steps.w.temp)])}"),
        ("steps.w.temp ~ ' C'", "${join('', [to_string(steps.w.temp), ' C'])}"),
        ("concat('a', steps.w.temp)", "${join('', ['a', to_string(steps.w.temp)])}"),
    ],
)
def test_a_text_that_is_an_expression_as_a_whole_is_not_sent_as_it_is(text: str, expected: str) -> None:
    for rewritten in (rewrite_text(text, SCOPE), foreign_template(text, SCOPE)):
        assert rewritten is not None
        assert (rewritten.text, rewritten.certain) == (expected, False)


@pytest.mark.parametrize(
    "text", ["'a' + 'b'", "Look at steps.w.temp + 'x'", "steps.unknown.temp + 'x'", "It's 'steps.w.temp' + more"]
)
def test_prose_stays_as_it_is(text: str) -> None:
    assert foreign_template(text, SCOPE) is None
    assert rewrite_text(text, SCOPE).text == text


HOSTILE = ["{{", "{{ a ", "{{'", "{%", "{% if ", "${", "%{", "<%= ", "{a}", "{{" * 500 + "}}", "{{" * 300 + "'}}"]


@pytest.mark.parametrize("part", HOSTILE)
def test_the_time_is_linear_in_the_length_of_the_text(part: str) -> None:
    text = part * (90_000 // len(part))
    before = process_time()
    foreign_template(text, SCOPE)
    assert process_time() - before < 1  # 0.2 s; 2 s to 7 s when the time grew with the length of a placeholder


def test_many_placeholders_are_all_rewritten() -> None:
    text = "{{ steps.w.temp }} it's { fine } " * 2000
    rewritten = rewrite_text(text, SCOPE)
    assert (rewritten.text, rewritten.problems) == (text.replace("{{ steps.w.temp }}", "${steps.w.temp}"), ())
