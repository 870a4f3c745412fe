"""How a takeover goes, as people say it."""

from __future__ import annotations

import pytest

from rove_core.errors import ConfigError
from rove_core.modes import TakeoverWay
from rove_hil.supervision.takeover_choice import TakeoverChoice, TakeoverRequest

CHOICE = TakeoverChoice(TakeoverWay.ABSOLUTE, ("head",), ("head", "right_arm", "right_hand"))


@pytest.mark.parametrize(
    ("payload", "request_"),
    [
        ("", TakeoverRequest()),
        ("it slipped", TakeoverRequest()),
        ("way=clutch", TakeoverRequest(TakeoverWay.CLUTCH)),
        ("groups=right_hand,right_arm", TakeoverRequest(None, ("right_arm", "right_hand"))),
        ("groups=all way=blended", TakeoverRequest(TakeoverWay.BLENDED, ())),
        ('{"groups": ["right_arm"], "way": "absolute"}', TakeoverRequest(TakeoverWay.ABSOLUTE, ("right_arm",))),
        ("{}", TakeoverRequest()),
    ],
)
def test_reads_words_and_json(payload: str, request_: TakeoverRequest) -> None:
    assert CHOICE.request_of(payload) == request_


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        ("groups=right_amr", "no joint group 'right_amr', did you mean 'right_arm'"),
        ("way=clucth", "did you mean 'clutch'"),
        ("group=right_arm", "no key 'group', did you mean 'groups'"),
        ('{"way": 3}', "way must be a word"),
        ('{"groups": {"right_arm": 1}}', "groups a list of names"),
        ('{"groups": ', "not JSON"),
    ],
)
def test_refuses_what_it_does_not_know(payload: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        CHOICE.request_of(payload)
