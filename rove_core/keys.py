"""Key files for encrypted ZeroMQ links (CURVE): a public half to hand out and a secret half that stays put.

Two files per key pair, `<name>.key` (public) and `<name>.key_secret` (both halves, mode 600), in the certificate
format of ZeroMQ that pyzmq's `zmq.auth` and other implementations read and write. A key is 32 bytes in Z85, 40
characters (https://rfc.zeromq.org/spec/32).
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth

from rove_core.errors import ConfigError

PUBLIC_SUFFIX = ".key"
PAIR_SUFFIX = ".key_secret"

_KEY_CHARACTERS = 40
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Both halves of a key in Z85. `repr` does not show the secret."""

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public!r})"

    @classmethod
    def generate(cls) -> KeyPair:
        """A new random pair."""
        return cls(*zmq.curve_keypair())


def write_pair(folder: str | Path, name: str) -> tuple[Path, Path]:
    """Make a new key pair and write it as `<name>.key` and `<name>.key_secret`. Returns both paths.

    Raises:
        ConfigError: the files are there already (a key in use must not be lost by accident), or cannot be written.
    """
    pair = KeyPair.generate()
    public, secret = Path(folder) / f"{name}{PUBLIC_SUFFIX}", Path(folder) / f"{name}{PAIR_SUFFIX}"
    lines = f'metadata\ncurve\n    public-key = "{pair.public.decode()}"\n'
    try:
        public.parent.mkdir(parents=True, exist_ok=True)
        # The secret first: a public half alone would look like a key that works.
        _write(secret, lines + f'    secret-key = "{pair.secret.decode()}"\n', mode=0o600)
        _write(public, lines, mode=0o644)
    except FileExistsError as error:
        raise ConfigError(f"{error.filename} exists", "choose another name, or remove both files of the pair") from None
    except OSError as error:
        raise ConfigError(f"cannot write {error.filename}: {error.strerror}") from None
    return public, secret


def _write(path: Path, text: str, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)


def read_public(path: str | Path) -> bytes:
    """The public half in a key file of either kind.

    Raises:
        ConfigError: it cannot be read or holds no key.
    """
    return _read(path)[0]


def read_pair(path: str | Path) -> KeyPair:
    """Both halves of a `.key_secret` file.

    Raises:
        ConfigError: it cannot be read, holds no secret key, or other users of this machine may read it.
    """
    public, secret = _read(path)
    if secret is None:
        raise ConfigError(f"{path} holds no secret key", f"the file that ends in {PAIR_SUFFIX} does")
    if Path(path).stat().st_mode & _OTHERS:
        raise ConfigError(f"secret key {path} is open to other users of this machine", f"chmod 600 {path}")
    return KeyPair(public, secret)


def _read(path: str | Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = zmq.auth.load_certificate(path)
    except OSError as error:
        raise ConfigError(f"cannot read key {path}: {error.strerror or error}") from None
    except ValueError:
        raise ConfigError(f"{path} is no key file", "`rove keys new NAME` makes one") from None
    for half in (public, secret):
        if half is not None and len(half) != _KEY_CHARACTERS:
            raise ConfigError(f"{path}: a key of {len(half)} characters, expected {_KEY_CHARACTERS}")
    return public, secret
