"""Recorded episodes for the loaders of others: those of the recorder's own tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTED = Path(__file__).parents[1] / "unit/rove_recorder/conftest.py"


@pytest.fixture(scope="session")
def scripted() -> ModuleType:
    """ScriptedEpisode, Part and TAKEOVER_SCRIPT."""
    spec = importlib.util.spec_from_file_location("scripted_episodes", SCRIPTED)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def attempts(scripted: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A success with a takeover, and a failure with another instruction."""
    session = tmp_path_factory.mktemp("recorded") / "session"
    outcomes = scripted.Outcome
    paths = []
    for name, outcome in (("first", outcomes.SUCCESS), ("second", outcomes.FAILURE)):
        episode = scripted.ScriptedEpisode(session, name, size=(128, 96))
        episode.play(scripted.TAKEOVER_SCRIPT)
        paths.append(episode.close(outcome))
    return paths
