"""Message definitions as MCAP wants them: a message's .msg file and, after it, those of all that it refers to."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from rove_core.errors import RecordingError

SEPARATOR = "=" * 80
# `package/Type name`, `Type[3] name`, `Type<=10 name` ...: the type of a field.
FIELD = re.compile(r"^\s*([A-Za-z][\w/]*)\s*(?:<=\d+)?(?:\[[^\]]*\])?\s+[A-Za-z]\w*")
PRIMITIVES = re.compile(r"bool|byte|char|w?string|float(32|64)|u?int(8|16|32|64)")


def type_name(kind: Any) -> str:
    """As in "sensor_msgs/msg/Image"."""
    package, _, module = kind.__module__.partition(".msg.")
    return f"{package}/msg/{kind.__name__}" if module else f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def definition(name: str) -> str:
    """The whole definition of a message such as "sensor_msgs/msg/Image", as in the schemas of rosbag2's MCAP files.

    Raises:
        RecordingError: a .msg file is not installed.
    """
    first = _text(name)
    texts, seen = [first], {name}
    waiting = _references(name, first)
    while waiting:
        reference = waiting.pop(0)
        if reference in seen:
            continue
        seen.add(reference)
        text = _text(reference)
        texts.append(f"{SEPARATOR}\nMSG: {reference.replace('/msg/', '/')}\n{text}")
        waiting += _references(reference, text)
    return "\n".join(texts)


def _references(name: str, text: str) -> list[str]:
    found = []
    for line in text.splitlines():
        match = FIELD.match(line.partition("#")[0])
        if match is None or PRIMITIVES.fullmatch(match[1]):
            continue
        package, _, kind = match[1].rpartition("/")
        found.append(f"{package.removesuffix('/msg') or name.split('/')[0]}/msg/{kind}")
    return found


def _text(name: str) -> str:
    # The wheels set no AMENT_PREFIX_PATH: their share/ is in the environment's prefix.
    prefixes = [*filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(":")), sys.prefix]
    for prefix in prefixes:
        path = Path(prefix, "share", *name.split("/")).with_suffix(".msg")
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise RecordingError(
        f"no definition of {name} below {', '.join(prefixes)}", "install the message package, or mcap:=false"
    )
