"""Configuration that says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from rove_core.config import ConfigModel, load_yaml, parse
from rove_core.errors import ConfigError


class Camera(ConfigModel):
    width: int = Field(gt=0)
    height: int = 240


class Rig(ConfigModel):
    rate_hz: float = 30.0
    cameras: dict[str, Camera] = Field(default_factory=dict)
    spare: Camera | None = None
    list_of: tuple[Camera, ...] = ()


def test_defaults_fill_in() -> None:
    assert parse(Rig, {}, "rig").rate_hz == 30.0


@pytest.mark.parametrize(
    ("data", "key", "near"),
    [
        ({"rate_hs": 1.0}, "rate_hs", "rate_hz"),
        ({"cameras": {"head": {"width": 3, "hight": 2}}}, "cameras.head.hight", "height"),  # codespell:ignore
        ({"spare": {"widht": 3}}, "spare.widht", "width"),  # codespell:ignore
        ({"list_of": [{"width": 1}, {"widt": 1}]}, "list_of.1.widt", "width"),
    ],
)
def test_an_unknown_key_is_an_error_that_names_the_nearest(data: object, key: str, near: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown key '{key}', did you mean '{near}'"):
        parse(Rig, data, "rig.yaml")


def test_a_key_that_is_near_to_none_gets_the_list() -> None:
    with pytest.raises(ConfigError, match="valid are: cameras, list_of, rate_hz, spare"):
        parse(Rig, {"zzz": 1}, "rig.yaml")


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        parse(Rig, {"rate_hz": "fast", "cameras": {"head": {}, "wrist": {"width": 0}}}, "rig.yaml")
    message = str(error.value)
    assert message.startswith("rig.yaml: ")
    assert "'rate_hz' is 'fast'" in message
    assert "key 'cameras.head.width' is missing" in message
    assert "'cameras.wrist.width' is 0" in message
    assert "\n" not in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_is_nan_or_infinite(value: float) -> None:
    with pytest.raises(ConfigError, match="finite"):
        parse(Rig, {"rate_hz": value}, "rig.yaml")


@pytest.mark.parametrize("data", [None, [], "text", 3])
def test_what_is_not_a_mapping_is_refused(data: object) -> None:
    with pytest.raises(ConfigError, match=type(data).__name__):
        parse(Rig, data, "rig.yaml")


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Rig().rate_hz = 3.0  # type: ignore[misc]


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text("rate_hz: 50\ncameras: {head: {width: 320}}\n", encoding="utf-8")
    assert load_yaml(Rig, path) == Rig(rate_hz=50.0, cameras={"head": Camera(width=320)})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere.yaml"):
        load_yaml(Rig, tmp_path / "nowhere.yaml")


def test_broken_yaml_gives_the_line(tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text("rate_hz: 50\ncameras: {head: [\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"rig.yaml is not valid YAML, line \d"):
        load_yaml(Rig, path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match="not a text file"):
        load_yaml(Rig, path)
