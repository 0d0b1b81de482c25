"""Documents as text, with the mistakes of form that authors make."""

import io
import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

from ruamel.yaml import YAML


def as_json(document: Any) -> str:
    """Plain JSON."""
    return json.dumps(document, indent=2, ensure_ascii=False)


def as_yaml(document: Any) -> str:
    """Plain YAML."""
    writer, stream = YAML(typ="safe", pure=True), io.StringIO()
    writer.default_flow_style, writer.width, writer.allow_unicode = False, 10_000, True
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.dump(document, stream)
    return stream.getvalue()


def with_trailing_commas(document: Any) -> str:
    """JSON in which the last member of each object and list is followed by a comma."""
    return re.sub(r"([^\[{,\s])(\n\s*[\]}])", r"\1,\2", as_json(document))


def with_comments(document: Any) -> str:
    """JSON with comments."""
    return "// written by hand\n" + as_json(document).replace("{\n", "{ /* here */\n", 1)


def as_python(document: Any) -> str:
    """The literal of Python."""
    return repr(document)


def in_a_fence(document: Any) -> str:
    """YAML in an answer of a chat."""
    return f"Here is the task:\n\n```yaml\n{as_yaml(document)}```\n\nLet me know if it fits.\n"


def json_in_a_fence(document: Any) -> str:
    """JSON in a fence."""
    return f"```json\n{as_json(document)}\n```\n"


FORMS: tuple[Callable[[Any], str], ...] = (
    as_json,
    as_yaml,
    with_trailing_commas,
    with_comments,
    as_python,
    in_a_fence,
    json_in_a_fence,
)


def written(document: Any, random: Random) -> str:
    """The document in a random form; plain YAML as often as all others."""
    return random.choice((as_yaml, random.choice(FORMS)))(document)
