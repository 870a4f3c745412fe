"""Recorded attempts in the formats of other projects: one module per format, each with `write`.

`FORMATS` names them, `writer(name)` loads one. What a format needs beyond numpy (pyarrow, PyAV, zarr) is imported
with its module only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from rove_core.errors import ConfigError, nearest
from rove_recorder.formats.options import Options, Report

Writer = Callable[[Sequence[Path], Path, Options], Report]

# Name -> its module and the extra of this package that it needs, "" for none.
FORMATS = {
    "lerobot": ("rove_recorder.formats.lerobot", "lerobot"),
    "replay_buffer": ("rove_recorder.formats.replay_buffer", ""),
}


def writer(name: str) -> Writer:
    """`write(episodes, out, options) -> Report` of a format.

    `out` must not exist. It appears when the conversion is complete, and not before.

    Raises:
        ConfigError: there is no such format, or what it needs is not installed.
    """
    if name not in FORMATS:
        raise ConfigError(f"no format '{name}'", nearest(name, FORMATS))
    module, extra = FORMATS[name]
    try:
        write: Writer = import_module(module).write
    except ModuleNotFoundError as error:
        if not extra:
            raise
        raise ConfigError(
            f"format {name} needs the package {error.name}, which is not installed", f"pip install 'rove_hil[{extra}]'"
        ) from None
    return write
