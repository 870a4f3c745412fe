"""Encrypted ZeroMQ sockets (CURVE, RFC 26 of ZeroMQ): who has which key, and who may come in."""

from __future__ import annotations

from pathlib import Path

import zmq
from zmq.auth.thread import ThreadAuthenticator

from rove_core.errors import ConfigError
from rove_core.keys import PUBLIC_SUFFIX, KeyPair


def encrypt_server(socket: zmq.Socket[bytes], keys: KeyPair) -> None:
    """Let in only peers that know the public half of `keys`. Before binding."""
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    _set_pair(socket, keys)


def encrypt_client(socket: zmq.Socket[bytes], server_key: bytes, keys: KeyPair | None = None) -> None:
    """Speak only with the holder of `server_key`. Before connecting.

    Args:
        keys: the client's own pair, for a server that lets only known clients in; by default a new one.
    """
    socket.setsockopt(zmq.CURVE_SERVERKEY, server_key)
    _set_pair(socket, keys or KeyPair.generate())


def open_door(
    context: zmq.Context[zmq.Socket[bytes]], folder: str | Path | None, keys: KeyPair | None
) -> ThreadAuthenticator | None:
    """Let in only the owners of the public keys in `folder`; whoever made `context` stops the answer before it.

    Args:
        context: for this server alone, since who may come in is decided per context.
        folder: of `*.key` files; None lets in whoever knows the server's key.
        keys: the server's own.

    Raises:
        ConfigError: a folder without keys of the server's own, or without a key in it.
    """
    if folder is None:
        return None
    if keys is None:
        raise ConfigError("who may come in can be checked on an encrypted wire only", "give the server keys as well")
    if not any(Path(folder).glob(f"*{PUBLIC_SUFFIX}")):
        raise ConfigError(f"no public key (*{PUBLIC_SUFFIX}) in {folder}: nobody could come in")
    door = ThreadAuthenticator(context)
    door.start()
    door.configure_curve(location=str(folder))
    return door


def _set_pair(socket: zmq.Socket[bytes], keys: KeyPair) -> None:
    socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
