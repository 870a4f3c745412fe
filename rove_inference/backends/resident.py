"""Arrays that stay on the device from one run to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from rove_inference.backends import Array

Value = TypeVar("Value")


class Resident(Generic[Value]):
    """Uploads arrays, and keeps what it uploaded of those that cannot change.

    A decoder runs its network several times on the same features of one observation. A read-only array is taken
    never to change, so the same array under the same name is uploaded once; a writable one is uploaded every time.
    Only the last array of each name is kept.
    """

    def __init__(self, upload: Callable[[Array], Value]) -> None:
        self._upload = upload
        self._kept: dict[str, tuple[Array, Value]] = {}

    def get(self, name: str, array: Array) -> Value:
        """The array on the device."""
        kept = self._kept.get(name)
        if kept is not None and kept[0] is array:
            return kept[1]
        value = self._upload(array)
        if not array.flags.writeable:
            self._kept[name] = (array, value)
        return value
