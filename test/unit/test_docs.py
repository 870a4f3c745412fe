"""The reference pages say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_topic_in_the_code_is_documented_and_the_other_way_round() -> None:
    source = (ROOT / "rove_core/ros/topics.py").read_text()
    in_code = {name.replace("{name}", "<name>") for name in re.findall(r'^[A-Z_]+ = "(/[^"]+)"', source, re.MULTILINE)}
    in_docs = set(re.findall(r"^\| `(/[^`]+)`", (ROOT / "docs/reference/topics.md").read_text(), re.MULTILINE))
    assert in_docs - {"/clock"} == in_code


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []
