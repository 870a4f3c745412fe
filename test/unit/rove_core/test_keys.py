"""Key files: made once, kept secret, read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from rove_core.errors import ConfigError
from rove_core.keys import KeyPair, read_pair, read_public, write_pair


def test_a_pair_is_read_as_it_was_written_and_no_two_are_alike(tmp_path: Path) -> None:
    public, secret = write_pair(tmp_path / "keys", "robot")
    pair = read_pair(secret)
    assert read_public(public) == read_public(secret) == pair.public
    assert len(pair.public) == len(pair.secret) == 40
    assert pair.secret not in public.read_bytes()
    assert KeyPair.generate() != pair


def test_a_secret_is_for_its_owner_alone(tmp_path: Path) -> None:
    _, secret = write_pair(tmp_path, "robot")
    assert secret.stat().st_mode & 0o777 == 0o600
    assert read_pair(secret).secret.decode() not in repr(read_pair(secret))
    secret.chmod(0o640)
    with pytest.raises(ConfigError, match="other users") as caught:
        read_pair(secret)
    assert "chmod 600" in caught.value.hint


def test_a_key_in_use_is_not_overwritten(tmp_path: Path) -> None:
    _, secret = write_pair(tmp_path, "robot")
    before = secret.read_bytes()
    with pytest.raises(ConfigError, match="exists"):
        write_pair(tmp_path, "robot")
    assert secret.read_bytes() == before


def test_what_is_no_key_is_one_clear_line(tmp_path: Path) -> None:
    public, _ = write_pair(tmp_path, "robot")
    with pytest.raises(ConfigError, match="no secret key"):
        read_pair(public)
    with pytest.raises(ConfigError, match="cannot read"):
        read_public(tmp_path / "missing.key")
    (tmp_path / "text.key").write_text("hello")
    with pytest.raises(ConfigError, match="no key file"):
        read_public(tmp_path / "text.key")
    (tmp_path / "short.key").write_text('metadata\ncurve\n    public-key = "abc"\n')
    with pytest.raises(ConfigError, match="3 characters"):
        read_public(tmp_path / "short.key")
