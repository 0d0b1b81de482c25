"""What the fixes of ValidateTask alone make of a draft: one answer over REST, all of its fixes applied once."""

from datetime import datetime
from typing import Any

import aiohttp
from jsonpatch import JsonPatch, JsonPatchException
from jsonpointer import JsonPointerException

from benchmarks.drafts.corpus import Draft
from benchmarks.drafts.scoring import compared
from benchmarks.drafts.validity import read_task
from ordinaut.documents.yaml_text import read_yaml
from ordinaut.errors import InvalidArgumentError


async def repaired(draft: Draft, http: aiohttp.ClientSession, url: str, now: datetime) -> bool:
    """Whether the document, with the fixes of the first answer, is accepted and equals an oracle."""
    try:
        document = read_yaml(draft.text.encode())
    except InvalidArgumentError:
        return False
    if draft.question or not isinstance(document, dict):
        return False
    accepted, fixes = await _validated(document, http, url)
    if not accepted:
        for operations in fixes:
            try:
                document = JsonPatch(operations).apply(document)
            except (JsonPatchException, JsonPointerException):
                return False
        accepted, _ = await _validated(document, http, url)
    if not accepted:
        return False
    try:
        return not compared([read_task(document)], draft, now)
    except ValueError:
        return False


async def _validated(document: Any, http: aiohttp.ClientSession, url: str) -> tuple[bool, list[list[Any]]]:
    """Whether it is accepted; else the operations of each fix, with paths that start at the document."""
    async with http.post(f"{url}/v1/tasks:validate", json=document) as response:
        answer = await response.json()
        if response.status == 200:
            return True, []
    details = answer["error"].get("details", [])
    fixes = [detail["operations"] for detail in details if detail["@type"].endswith("ordinaut.v1.Fix")]
    for operation in (operation for fix in fixes for operation in fix):
        for key in ("path", "from"):
            if str(operation.get(key, "")).startswith("/task/"):
                operation[key] = operation[key].removeprefix("/task")
    return False, fixes
