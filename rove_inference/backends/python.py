"""Models that live in another package: any class with `inputs`, `outputs` and `run`.

The package declares a factory, and a bundle names it (`entry_point: my_policy`):

    [project.entry-points."rove.backends"]
    my_policy = "my_package.serving:open_model"

    def open_model(folder: Path, placement: Placement) -> Backend: ...

`folder` is the bundle's, its files have been checked. Only what an installed package declares is called: a bundle
comes from elsewhere, and must not pick from everything that Python can import.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

import numpy as np

from rove_core.errors import BundleError, RoveError, nearest
from rove_inference.backends import Backend, TensorInfo, first_line
from rove_inference.backends.placement import Placement
from rove_inference.bundle import Bundle
from rove_inference.network import NetworkSpec

GROUP = "rove.backends"


def open_python(bundle: Bundle, network: NetworkSpec, placement: Placement) -> Backend:
    """Call the factory that `entry_point` names.

    Raises:
        BundleError: no installed package declares it, it failed, or what it returns is no Backend.
    """
    entry = _find(network.entry_point)
    try:
        model = entry.load()(bundle.path, placement)
    except RoveError:
        raise
    except Exception as error:  # foreign code: its failure must leave the running policy alone
        why = f"{type(error).__name__}: {first_line(error)}"
        raise BundleError(f"entry point '{entry.name}' ({entry.value}): {why}") from error
    problem = _problem(model)
    if problem:
        raise BundleError(
            f"entry point '{entry.name}' ({entry.value}): {problem}", "rove_inference.backends.Backend is the protocol"
        )
    return model  # type: ignore[no-any-return]


def _find(wanted: str) -> EntryPoint:
    """The entry point of that name, or of that `package.module:factory`."""
    known = entry_points(group=GROUP)
    for entry in known:
        if wanted in (entry.name, entry.value):
            return entry
    declared = nearest(wanted, [entry.name for entry in known]) if known else "none are declared"
    raise BundleError(
        f"no installed package declares entry point '{wanted}' in the group {GROUP}; {declared}",
        f"""in its pyproject.toml: [project.entry-points."{GROUP}"] name = "package.module:factory", then install it""",
    )


def _problem(model: object) -> str:
    """Why a model is no Backend; "" when it is one."""
    if not callable(getattr(model, "run", None)):
        return f"{type(model).__name__} has no method `run`"
    for kind in ("inputs", "outputs"):
        tensors = getattr(model, kind, None)
        if not isinstance(tensors, dict) or not tensors:
            return f"`{kind}` is not a dict of names and TensorInfo"
        for name, info in tensors.items():
            if not isinstance(info, TensorInfo) or not isinstance(info.dtype, np.dtype):
                return f"{kind[:-1]} '{name}' is declared as {info!r}, expected TensorInfo(shape, numpy dtype)"
    return ""
