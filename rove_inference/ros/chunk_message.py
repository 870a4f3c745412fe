"""An answer of the policy as `rove_msgs/ActionChunk`."""

from __future__ import annotations

import array

import numpy as np
import numpy.typing as npt
from rove_msgs.msg import ActionChunk

from rove_core.ros import stamps
from rove_inference.planner import Answer


def chunk_message(answer: Answer) -> ActionChunk:
    """With all that the record should know of how it came about."""
    chunk, prediction, query = answer.chunk, answer.prediction, answer.request.query
    bundle = answer.request.policy.bundle
    message = ActionChunk(
        observation_stamp=stamps.to_msg(chunk.observation_ns),
        request_stamp=stamps.to_msg(answer.request.request_ns),
        ready_stamp=stamps.to_msg(answer.ready_ns),
        epoch=chunk.epoch,
        episode_id=answer.request.authority.episode_id,
        chunk_id=chunk.chunk_id,
        dt_s=chunk.dt_s,
        horizon=chunk.horizon,
        dim=chunk.positions.shape[1],
        execute=chunk.execute,
        data=_floats(chunk.positions),
        policy_id=bundle.policy_id,
        policy_index=bundle.spec.index,
        condition=query.condition,
        cfg_beta=query.cfg_beta,
        seed=0 if bundle.spec.sampler is None else query.seed,
        inference_ms=prediction.inference_ms,
    )
    message.backend, message.decoder = bundle.spec.backend, bundle.spec.decoder
    message.decoder_steps = prediction.decoder_steps
    message.join, message.frozen = answer.join, answer.frozen
    message.skipped, message.clipped = answer.skipped, prediction.clipped
    message.round_trip_ms = prediction.round_trip_ms
    message.base, message.residual = _floats(prediction.base), _floats(prediction.residual)
    message.gate = _floats(prediction.gate)
    return message


def _floats(values: npt.NDArray[np.float32]) -> array.array[float]:
    return array.array("f", np.ascontiguousarray(values, np.float32).tobytes())
