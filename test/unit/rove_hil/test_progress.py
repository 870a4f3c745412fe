"""Lines that people see while a session runs."""

from __future__ import annotations

from rove_core.modes import Mode, Stage
from rove_hil.supervision.progress import Progress
from rove_hil.supervision.session_plan import SessionPlan


def test_one_line_per_attempt_with_its_outcome_and_takeovers() -> None:
    progress = Progress(SessionPlan.of("", attempts=3))
    assert progress.line(0.0) == "attempt 1/3  getting ready"
    assert progress.update(10.0, Mode.ROLLOUT, Stage.ROLLOUT, "a", "start") == ""
    assert progress.line(15.0) == "attempt 1/3  rollout  5 s"
    progress.update(20.0, Mode.ALIGNING, Stage.NONE, "a", "takeover")
    assert progress.line(21.0) == "attempt 1/3  aligning  11 s"
    progress.update(22.0, Mode.TAKEOVER, Stage.ADAPTATION, "a", "go")
    assert progress.line(33.0) == "attempt 1/3  takeover (adaptation)  23 s"
    progress.update(34.0, Mode.TAKEOVER, Stage.RECOVERY, "a", "mark_progress")
    assert progress.line(34.0) == "attempt 1/3  takeover (recovery)  24 s"
    assert progress.update(40.0, Mode.IDLE, Stage.NONE, "", "succeed") == "attempt 1/3  success  1 takeover  30 s  a"
    assert progress.line(41.0) == "attempt 2/3  getting ready"


def test_an_attempt_that_nobody_judged_is_unlabelled() -> None:
    progress = Progress(SessionPlan.of("", attempts=1))
    progress.update(0.0, Mode.ROLLOUT, Stage.ROLLOUT, "a", "start")
    assert "unlabelled" in progress.update(1.0, Mode.IDLE, Stage.NONE, "", "")


def test_the_next_attempt_may_follow_unseen() -> None:
    progress = Progress(SessionPlan.of(""))
    progress.update(0.0, Mode.ROLLOUT, Stage.ROLLOUT, "a", "start")
    assert progress.update(1.0, Mode.ROLLOUT, Stage.ROLLOUT, "b", "start").startswith("attempt 1  unlabelled")
    assert progress.open == "b"


def test_quotas_are_shown_and_an_aborted_attempt_fills_none() -> None:
    progress = Progress(SessionPlan.of("0:1,2:2"))

    def attempt(episode_id: str, event: str) -> str:
        progress.update(0.0, Mode.ROLLOUT, Stage.ROLLOUT, episode_id, "start", progress.next_stage)
        return progress.update(5.0, Mode.IDLE, Stage.NONE, "", event)

    assert progress.line(0.0) == "attempt 1/3  stage 0, 0 of 1 done  getting ready"
    assert attempt("a", "abort") == "attempt 1/3  aborted  0 takeovers  5 s  a  stage 0, 0 of 1 done"
    assert attempt("b", "fail") == "attempt 1/3  failure  0 takeovers  5 s  b  stage 0, 1 of 1 done"
    progress.update(6.0, Mode.ROLLOUT, Stage.ROLLOUT, "c", "start", progress.next_stage)
    assert progress.line(8.0) == "attempt 2/3  from stage 2  rollout  2 s"
    progress.update(9.0, Mode.IDLE, Stage.NONE, "", "succeed")
    assert progress.next_stage == 2
    assert not progress.complete
    attempt("d", "succeed")
    assert progress.complete
    assert progress.finished == ["a", "b", "c", "d"]
