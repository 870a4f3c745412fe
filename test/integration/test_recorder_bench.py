"""`rove bench recorder` in small: real publishers, the real node, and figures that follow from what was sent."""

from __future__ import annotations

import pytest

from rove_recorder.bench.recorder import record, record_raw


@pytest.mark.usefixtures("domain_id")
def test_what_was_sent_is_compared_with_what_was_recorded() -> None:
    figures = record(1, 3.0)
    assert figures["attempts"] == 1
    assert figures["rows"] > 30
    assert figures["frames_sent"] > 60
    assert 0 <= figures["frames_lost"] < figures["frames_sent"]
    assert 0 <= figures["commands_lost"] < figures["ticks_sent"]
    assert 0 < figures["cpu_share"] < 2
    assert 0 < figures["row_on_disk_after_s"]["p50"] <= figures["row_on_disk_after_s"]["max"]


@pytest.mark.usefixtures("domain_id")
def test_the_peer_writes_the_same_topics() -> None:
    figures = record_raw(4.0)
    assert figures["frames_written"] > 20
    assert figures["commands_written"] > 50
