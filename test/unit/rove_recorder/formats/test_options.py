from __future__ import annotations

import pytest

from rove_core.errors import ConfigError
from rove_recorder.formats import FORMATS, writer
from rove_recorder.formats.options import LeRobotVersion, Options, Pauses, parse_options


def test_options_are_read_from_words() -> None:
    options = parse_options(["size=224x224", "pauses=mask", "adaptation=false", "version=v2.1"])
    assert options == Options(size=(224, 224), pauses=Pauses.MASK, adaptation=False, version=LeRobotVersion.V2_1)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("sizes=2x2", "unknown key 'sizes', did you mean 'size'"),
        ("size=225x224", "must be even"),
        ("size=big", "'size' is 'big': expected WIDTHxHEIGHT"),
        ("pauses=drop", "'pauses' is 'drop'"),
        ("images", "is not NAME=VALUE"),
    ],
)
def test_a_wrong_option_is_one_line(word: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_options([word])
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_can_be_loaded(name: str) -> None:
    assert callable(writer(name))


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no format 'le_robot'") as error:
        writer("le_robot")
    assert "lerobot" in error.value.hint
