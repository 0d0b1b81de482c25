"""Other zone data: a copy of the pinned package with a later version and some zones changed, for processes to come."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import tzdata  # type: ignore[import-untyped] # a data package without stubs

LATER = "2999z"


def changed_zone_data(folder: Path, zones: Mapping[str, str], version: str = LATER) -> dict[str, str]:
    """The environment of a process whose zones are those that they are mapped to; all others are as they were."""
    copy = folder / "tzdata"
    shutil.copytree(Path(tzdata.__file__).parent, copy)
    for name, other in zones.items():
        (copy / "zoneinfo" / name).write_bytes((copy / "zoneinfo" / other).read_bytes())
    module = copy / "__init__.py"
    module.write_text(module.read_text().replace(tzdata.IANA_VERSION, version))
    return {**os.environ, "PYTHONPATH": str(folder)}
