"""The tensors that the networks of a bundle must have; `docs/reference/policy-bundle.md` is the table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rove_core.errors import BundleError
from rove_inference.backends import TEXT, Backend, TensorInfo
from rove_inference.bundle import Bundle, PolicySpec
from rove_inference.decoders.spec import DiffusionSpec
from rove_inference.stages import Stages

STATE = "state"
PROMPT = "prompt"
CONDITION = "condition"
# Of networks that were trained to continue the chunk before (`prefix_input` of the bundle).
PREFIX = "prefix"
PREFIX_MASK = "prefix_mask"
# Of the network that a sampling decoder calls: a noisy chunk, and how noisy it is.
NOISY = "x"
TIME = "t"
# Of an adapter.
BASE = "base"
RESIDUAL = "residual"
GATE = "gate"

ACTIONS = "actions"

_FLOAT = np.dtype(np.float32)

Tensors = Mapping[str, TensorInfo]


def output_of(spec: PolicySpec) -> str:
    """Name of the head's output: what it means differs with the decoder, so that they cannot be mixed up."""
    if isinstance(spec.sampler, DiffusionSpec):
        return spec.sampler.predicts
    return "velocity" if spec.decoder == "flow" else ACTIONS


def observed(spec: PolicySpec, dim: int) -> dict[str, TensorInfo]:
    """What every network of the bundle may ask for; the batch is 1, or one row per condition."""
    tensors = {STATE: TensorInfo((1, dim), _FLOAT), PROMPT: TensorInfo((1,), TEXT)}
    for camera in spec.cameras:
        tensors[camera.input_name] = TensorInfo((1, 3, camera.height, camera.width), np.dtype(np.uint8))
    # Texts that a network knows by number come as numbers.
    tensors[CONDITION] = TensorInfo((1,), np.dtype(np.int64) if spec.conditions else TEXT)
    if spec.prefix_input:
        tensors[PREFIX] = TensorInfo((1, spec.horizon, dim), _FLOAT)
        tensors[PREFIX_MASK] = TensorInfo((1, spec.horizon), _FLOAT)
    return tensors


def check(bundle: Bundle, stages: Stages, adapter: Backend | None) -> None:
    """Hold the networks' tensors against the bundle.

    Raises:
        BundleError: tensors are missing, unknown, unused, or of another shape or type.
    """
    spec, dim = bundle.spec, len(bundle.action_order)
    chunk = TensorInfo((1, spec.horizon, dim), _FLOAT)
    known = observed(spec, dim)
    needed = set(known) - {PROMPT, CONDITION}
    if spec.guidance is not None or spec.condition:
        needed.add(CONDITION)
    if spec.sampler is not None:
        known |= {NOISY: chunk, TIME: TensorInfo((1,), _FLOAT)}
        needed |= {NOISY, TIME}
    problems = [
        f"no input '{name}' (it has {', '.join(stages.inputs)})"
        for name in known
        if name in needed - set(stages.inputs)
    ]
    problems += _wrong_inputs(stages.inputs, known) + _wrong_outputs(stages.outputs, {output_of(spec): chunk})
    if spec.guidance is not None:
        problems += [
            f"input '{name}' has a fixed batch and guidance needs two rows: export it with a free one"
            for network in stages.depending_on(CONDITION)
            for name, info in network.inputs.items()
            if info.shape and info.shape[0] is not None
        ]
    if spec.adapter is not None and adapter is not None:
        offered = observed(spec, dim) | stages.features | {BASE: chunk}
        corrects = {RESIDUAL: chunk, GATE: TensorInfo((1, spec.horizon), _FLOAT)}
        wrong = _wrong_inputs(adapter.inputs, offered) + _wrong_outputs(adapter.outputs, corrects)
        problems += [f"{spec.adapter.model}: {problem}" for problem in wrong]
    if problems:
        raise BundleError(f"bundle '{bundle.path.name}': {spec.model}: " + "; ".join(problems))


def _wrong_inputs(inputs: Tensors, known: Tensors) -> list[str]:
    return [
        problem
        for name, have in inputs.items()
        for problem in (
            [f"unknown input '{name}'"] if name not in known else _differs("input", name, have, known[name])
        )
    ]


def _wrong_outputs(outputs: Tensors, expected: Tensors) -> list[str]:
    problems = []
    for name, want in expected.items():
        if name not in outputs:
            problems.append(f"no output '{name}' (it has {', '.join(outputs)})")
        else:
            problems += _differs("output", name, outputs[name], want)
    return problems


def _differs(kind: str, name: str, have: TensorInfo, want: TensorInfo) -> list[str]:
    fits = len(have.shape) == len(want.shape) and all(
        a is None or b is None or a == b for a, b in zip(have.shape, want.shape, strict=True)
    )
    if fits and have.dtype == want.dtype:
        return []
    return [f"{kind} '{name}' is {_said(have)}, expected {_said(want)}"]


def _said(info: TensorInfo) -> str:
    name = "text" if info.dtype == TEXT else str(info.dtype)
    return f"{name} ({', '.join('any' if size is None else str(size) for size in info.shape)})"
