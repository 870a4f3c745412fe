"""What messages say of an attempt: how it ended, what is part of it, what its parts are called."""

from __future__ import annotations

from rove_core.modes import OUTCOME_OF_EVENT, Event, Outcome
from rove_recorder.recording.episode import Ending
from rove_recorder.recording.records import ChunkSample, EpisodeInfo, EventSample, ModeSample, Record


def mode_event(mode: ModeSample, t_mono_ns: int, t_ros_ns: int) -> EventSample:
    """A change of mode as an event of the episode."""
    details = {
        "mode": mode.mode,
        "stage": mode.stage,
        "epoch": mode.epoch,
        "event": mode.event,
        "reason": mode.reason,
    }
    return EventSample(t_mono_ns, t_ros_ns, "mode", mode.device, details)


def belongs(record: Record, epoch: int) -> bool:
    """Whether something that overtook the mode is part of the attempt that the mode opened."""
    if isinstance(record, ChunkSample):
        return record.epoch == epoch
    return not isinstance(record, EventSample) or record.details.get("epoch") == epoch


def part_id(info: EpisodeInfo, part: int) -> str:
    """Folder name; an attempt during which the recorder was restarted has several parts."""
    return info.episode_id if part == 1 else f"{info.episode_id}-part{part}"


def ending_of(mode: ModeSample) -> Ending:
    """What the event that led to IDLE says of the attempt."""
    outcome = Outcome.UNLABELLED
    if mode.event in OUTCOME_OF_EVENT:
        outcome = OUTCOME_OF_EVENT[Event(mode.event)]
    elif mode.event == Event.RESET:  # out of an emergency stop
        outcome = Outcome.ABORTED
    return Ending(outcome, mode.device, mode.t_ros_ns, mode.event)
