"""The table and the page of a session."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from rove_core.errors import EpisodeError
from rove_recorder.views.drawing import BarMark, BarSpan, joint_plot, stage_bar, ticks
from rove_recorder.views.summary import summarise


def test_the_table_has_a_line_per_attempt(takeover_episode: Path) -> None:
    text = summarise(takeover_episode.parent, html=None)
    (line,) = [line for line in text.splitlines() if line.startswith("takeover ")]
    assert re.search(r"success\s+1\s+1\.6\s+0\.6\s+0\.9\s+0\.9\s+2\.4\s+120\s+0\s+session/takeover\.zarr", line)


def test_the_page_needs_nothing_but_itself(takeover_episode: Path, tmp_path: Path) -> None:
    page = tmp_path / "pages" / "report.html"
    assert str(page) in summarise(takeover_episode.parent, html=page)
    html = page.read_text()
    assert html.count("data:image/jpeg;base64,") == 10
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", html)
    assert html.count('class="plot"') == 4
    assert ">t_r</text>" in html


def test_an_episode_that_cannot_be_read_is_a_line_not_an_end(takeover_episode: Path, tmp_path: Path) -> None:
    (takeover_episode.parent / "broken.zarr").mkdir()
    text = summarise(takeover_episode.parent, html=tmp_path / "report.html")
    assert "unreadable" in text
    assert "takeover" in text


def test_a_session_without_episodes_says_so(tmp_path: Path) -> None:
    assert "no episodes" in summarise(tmp_path, html=tmp_path / "report.html")
    with pytest.raises(EpisodeError, match="no folder"):
        summarise(tmp_path / "nowhere", html=None)


def test_names_cannot_break_the_drawings() -> None:
    times = np.linspace(-1, 1, 20)
    plot = joint_plot("<a & b>", times, np.sin(times), np.cos(times), [BarSpan("rollout", -1, 0)])
    bar = stage_bar([BarSpan("rollout", 0, 1)], [BarMark("<x>", 0.5), BarMark("y", 0.5)], 1.0)
    for drawing in (plot, bar):
        ElementTree.fromstring(drawing)  # noqa: S314 - our own drawing


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0.0, 24.0, 12) == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24]
    assert ticks(0.3, 0.3, 4) == [0.3]
    for low, high in ((-2.0, 2.0), (0.011, 0.019), (-1e3, 1e4)):
        values = ticks(low, high, 5)
        assert 2 <= len(values) <= 6
        assert low - 1e-9 <= values[0] <= values[-1] <= high + 1e-9 * abs(high)
