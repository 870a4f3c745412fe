"""What docs/how-to/training-data.md shows works as it stands there. The part about torch: test/torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[3] / "docs/how-to/training-data.md"


def test_every_block_runs(takeover_episode: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").symlink_to(takeover_episode.parent)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    ran = [exec(compile(block, str(PAGE), "exec"), names) for block in blocks if "torch" not in block]  # noqa: S102
    assert len(ran) == len(blocks) - 1 > 5
    assert names["image"] is not None
    assert names["targets"].shape == (len(names["view"].rows), 50, 50)
    assert 0 < len(names["dataset"]) < len(names["everything"])
    assert names["resized"][0]["image.head"].shape == (1, 224, 224, 3)
    assert (tmp_path / "statistics.json").is_file()
