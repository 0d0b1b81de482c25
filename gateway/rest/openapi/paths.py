"""Converts path templates to OpenAPI: `/v1/{name=tasks/*}:run` becomes `/v1/tasks/{task}:run`."""

from functools import cache

from google.api import resource_pb2
from google.protobuf.descriptor import Descriptor

from gateway.rest.transcoding.path_template import VARIABLE, PathTemplate
from gateway.services import DESCRIPTORS

STARS = ("*", "**")


def readable(template: PathTemplate) -> tuple[str, list[str]]:
    """Returns the path and the names of its parameters, which are taken from the resource patterns.

    >>> readable(PathTemplate.parse("/v1/{name=tasks/*}:run"))
    ('/v1/tasks/{task}:run', ['task'])
    """
    parameters: list[str] = []

    def spelled(field: str, pattern: str) -> str:
        segments = pattern.split("/")
        words = _words(pattern, field)
        named = [f"{{{words.pop(0)}}}" if segment in STARS else segment for segment in segments]
        parameters.extend(part[1:-1] for part in named if part.startswith("{"))
        return "/".join(named)

    path = VARIABLE.sub(lambda match: spelled(match[1], match[2] or "*"), template.text)
    return path, parameters


def _words(pattern: str, field: str) -> list[str]:
    """Returns the names of the stars of a pattern; the pattern of a parent is a prefix of those of its children."""
    for pattern_with_names, words in _patterns().items():
        if pattern_with_names == pattern or pattern_with_names.startswith(f"{pattern}/"):
            return list(words)
    return [field.rpartition(".")[2]] * pattern.count("*")


@cache
def _patterns() -> dict[str, list[str]]:
    patterns: dict[str, list[str]] = {}
    for message in _messages():
        for pattern in message.GetOptions().Extensions[resource_pb2.resource].pattern:
            words, stars = [], []
            for segment in pattern.split("/"):
                if not segment.startswith("{"):
                    stars.append(segment)
                    continue
                word, _, form = segment[1:-1].partition("=")
                words.append(word)
                stars.append(form or "*")
            patterns["/".join(stars)] = words
    return dict(sorted(patterns.items(), key=lambda item: len(item[0])))


def _messages() -> list[Descriptor]:
    files = {
        message.file.name: message.file
        for service in DESCRIPTORS
        for method in service.methods
        for message in (method.input_type, method.output_type)
    }
    imported = {file.name: file for direct in files.values() for file in (direct, *direct.dependencies)}
    return [message for file in imported.values() for message in file.message_types_by_name.values()]
