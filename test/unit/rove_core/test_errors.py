"""Errors are ours and the right builtin at once."""

from __future__ import annotations

import pytest

from rove_core import errors


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.ConfigError, ValueError),
        (errors.IllegalEventError, ValueError),
        (errors.BundleError, ValueError),
        (errors.WireError, ValueError),
        (errors.EpisodeError, ValueError),
        (errors.PolicyError, RuntimeError),
        (errors.RecordingError, RuntimeError),
    ],
)
def test_who_knows_nothing_of_us_catches_the_builtin(error: type[errors.RoveError], builtin: type[Exception]) -> None:
    with pytest.raises(builtin) as caught:
        raise error("seen 2, allowed 1", "use 1")
    assert isinstance(caught.value, errors.RoveError)
    assert (str(caught.value), caught.value.hint) == ("seen 2, allowed 1", "use 1")


def test_joint_names_that_are_only_missing_say_only_that() -> None:
    error = errors.JointNameError(missing=["neck"])
    assert str(error) == "joint names do not match the robot: missing neck"
    assert isinstance(error, ValueError)


def test_nearest_suggests_or_lists() -> None:
    assert errors.nearest("whitebord", ["toaster", "whiteboard"]) == "did you mean 'whiteboard'?"
    assert errors.nearest("xyz", ["toaster", "whiteboard"]) == "valid are: toaster, whiteboard"
