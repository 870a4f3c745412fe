"""Episodes for the tests: made by the recorder's own writer from a short script of modes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from rove_core.joint_space import JointSpace
from rove_core.modes import Mode, Outcome, Source, Stage
from rove_recorder.labels.annotations import annotate
from rove_recorder.reader import open_episode
from rove_recorder.recording.episode import Ending, EpisodeRecorder
from rove_recorder.recording.records import (
    CameraModel,
    ChunkSample,
    CommandSample,
    EpisodeInfo,
    EventSample,
    FrameSample,
    JointSample,
    ModeSample,
)
from rove_recorder.recording.resampler import Resampler
from rove_recorder.recording.writer import EpisodeWriter

TICK_NS = 5_000_000
START_MONO_NS = 40_000_000_000
ROS_MINUS_MONO_NS = 1_700_000_000_000_000_000
DEVICE = "keyboard:test"
WALL = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)

# Steps of a chunk: .25 s.
CHUNK_STEP_TICKS = 50
CHUNK_STEP_S = CHUNK_STEP_TICKS * TICK_NS * 1e-9

SOURCE = {Mode.ROLLOUT: Source.POLICY, Mode.TAKEOVER: Source.OPERATOR}


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the script. `mark_at_s`: when within it progress is marked."""

    mode: Mode
    seconds: float
    event: str
    mark_at_s: float | None = None


TAKEOVER_SCRIPT = (
    Part(Mode.ROLLOUT, 1.0, "start"),
    Part(Mode.PAUSED, 0.4, "pause"),
    Part(Mode.ALIGNING, 0.4, "takeover"),
    Part(Mode.TAKEOVER, 1.5, "go", mark_at_s=0.6),
    Part(Mode.PAUSED, 0.1, "hand_back"),
    Part(Mode.ROLLOUT, 0.6, "resume"),
)


def wave(ticks: float | np.ndarray) -> np.ndarray:
    """How far the joints are from home after so many moving ticks [rad]."""
    return 0.003 * np.sin(np.asarray(ticks) / 200)


class ScriptedEpisode:
    """Feeds an EpisodeRecorder tick by tick, as the robot's streams would."""

    def __init__(self, session: Path, episode_id: str, images: bool = True, size: tuple[int, int] = (64, 48)) -> None:
        session.mkdir(parents=True, exist_ok=True)
        self.space = JointSpace.load("iron_r01")
        self.info = EpisodeInfo(episode_id, "whiteboard", "wipe the whiteboard", operator="op", supervisor="sup")
        cameras = {"head": CameraModel(*size)} if images else {}
        self.writer = EpisodeWriter(session, self.info, self.space, cameras, 30.0, WALL)
        resampler = Resampler(30.0, self.space.dim, len(self.space.groups), tuple(cameras))
        self.recorder = EpisodeRecorder(self.writer, resampler, 200 / 7, 90)
        self.images, self.size = images, size
        self.tick = self.moved = self.chunk_ns = 0
        self.epoch = 0
        self.target = self.space.home.copy()
        self.sent = self.space.home.copy()

    @property
    def t_mono_ns(self) -> int:
        return START_MONO_NS + self.tick * TICK_NS

    @property
    def t_ros_ns(self) -> int:
        return self.t_mono_ns + ROS_MINUS_MONO_NS

    def play(self, script: Sequence[Part]) -> None:
        """Every part of the script, tick by tick."""
        for part in script:
            self.begin(part)
            marked = False
            for number in range(round(part.seconds * 200)):
                if part.mark_at_s is not None and not marked and number >= part.mark_at_s * 200:
                    self.event("mark_progress")
                    marked = True
                self.step(part.mode, Stage.RECOVERY if marked else None)

    def begin(self, part: Part) -> None:
        """A change of mode, with its event and the policy's chunk."""
        self.epoch += 1
        self.event(part.event)
        details = {"mode": part.mode.number, "epoch": self.epoch, "event": part.event}
        self.recorder.feed(EventSample(self.t_mono_ns, self.t_ros_ns, "mode", DEVICE, details))
        if part.mode is Mode.ROLLOUT:
            self.chunk()

    def event(self, name: str) -> None:
        """An accepted press, a little before the next tick."""
        details = {"accepted": True, "epoch": self.epoch, "payload": ""}
        before_ns = TICK_NS // 5
        self.recorder.feed(EventSample(self.t_mono_ns - before_ns, self.t_ros_ns - before_ns, name, DEVICE, details))

    def chunk(self) -> None:
        """A chunk of the current epoch, which predicts the next 4 s; its id is the epoch."""
        ticks = self.moved + CHUNK_STEP_TICKS * np.arange(16)
        prediction = (self.space.home + wave(ticks)[:, None]).astype(np.float32)
        ros = self.chunk_ns = self.t_ros_ns
        self.recorder.feed(
            ChunkSample(self.epoch, self.epoch, ros, ros, ros, ros, CHUNK_STEP_S, 8, prediction, "demo@abc123", 2)
        )

    def step(self, mode: Mode, stage: Stage | None = None) -> None:
        """One tick of 5 ms."""
        number = self.tick
        if self.images and number % 7 == 0:
            self.recorder.feed(FrameSample("head", self.t_ros_ns, self.t_ros_ns, self.picture()))
        self.recorder.feed(JointSample(self.t_ros_ns, self.t_ros_ns, self.sent.copy(), np.zeros(self.space.dim)))
        self.move(mode)
        if stage is None:
            stage = {Mode.ROLLOUT: Stage.ROLLOUT, Mode.TAKEOVER: Stage.ADAPTATION}.get(mode, Stage.NONE)
        source = SOURCE.get(mode, Source.HOLD)
        policy = source == Source.POLICY
        sample = CommandSample(
            t_mono_ns=self.t_mono_ns,
            t_ros_ns=self.t_ros_ns,
            tick=number,
            source=int(source),
            mode=mode.number,
            stage=int(stage),
            epoch=self.epoch,
            episode_id=self.info.episode_id,
            chunk_id=self.epoch if policy else 0,
            chunk_step=min(int((self.t_ros_ns - self.chunk_ns) / (CHUNK_STEP_S * 1e9)), 15) if policy else -1,
            target=self.target.copy(),
            sent=self.sent.copy(),
            limited=np.zeros(self.space.dim, np.uint8),
            operator=self.target.copy() if source == Source.OPERATOR else None,
            policy=self.target.copy() if policy else None,
        )
        self.recorder.feed(sample)
        self.tick += 1

    def move(self, mode: Mode) -> None:
        """Where the joints go in this tick: slowly enough for every limit."""
        if SOURCE.get(mode):
            self.moved += 1
            self.target = self.space.home + wave(self.moved)
            self.sent = self.target.copy()

    def picture(self) -> np.ndarray:
        """What the camera sees: a dot that moves, so that images differ."""
        width, height = self.size
        image = np.full((height, width, 3), 200, np.uint8)
        cv2.circle(image, (self.tick // 7 % width, height // 2), 5, (200, 30, 30), -1)
        return image

    def close(self, outcome: Outcome = Outcome.SUCCESS) -> Path:
        """End it."""
        by = "" if outcome is Outcome.UNLABELLED else DEVICE
        return self.recorder.close(Ending(outcome, by, self.t_ros_ns, "succeed"), WALL)


@pytest.fixture
def scripted(tmp_path: Path) -> Callable[[str], ScriptedEpisode]:
    """Opens an episode in the session folder of the test."""
    return lambda name: ScriptedEpisode(tmp_path / "session", name)


@pytest.fixture
def takeover_episode(scripted: Callable[[str], ScriptedEpisode]) -> Path:
    """A finished episode with a pause, a takeover with progress marked, and a hand-back."""
    episode = scripted("takeover")
    episode.play(TAKEOVER_SCRIPT)
    return episode.close()


@pytest.fixture
def failed_episode(scripted: Callable[[str], ScriptedEpisode]) -> Path:
    """A finished episode in which the policy failed and nobody took over."""
    episode = scripted("failed")
    episode.play(TAKEOVER_SCRIPT[:1])
    return episode.close(Outcome.FAILURE)


@pytest.fixture
def corrected_episode(takeover_episode: Path) -> Path:
    """The same, called a failure since, and with t_r moved to row 80."""
    (mark,) = open_episode(takeover_episode).marks()
    assert mark is not None
    later_ns = int(open_episode(takeover_episode).steps["t_ros_ns"][80])
    said = {
        "outcome": {"value": "failure"},
        "t_r": {"marks": [{"takeover": 0, "epoch": mark.epoch, "t_ros_ns": later_ns}]},
    }
    for name, payload in said.items():
        annotate(takeover_episode, name, name, payload, by="ann", when=WALL, tool="test")
    return takeover_episode


@pytest.fixture
def info() -> EpisodeInfo:
    return EpisodeInfo("attempt", task="toaster", instruction="toast the bread")


@pytest.fixture
def mode_sample(info: EpisodeInfo) -> Callable[..., ModeSample]:
    """A mode message of the attempt `info`."""

    def make(mode: Mode, epoch: int, event: str = "", episode_id: str | None = None) -> ModeSample:
        about = info if episode_id is None else replace(info, episode_id=episode_id)
        return ModeSample(0, 0, mode.number, 0, epoch, event, DEVICE, "", about)

    return make
