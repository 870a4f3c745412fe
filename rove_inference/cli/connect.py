"""`rove policy connect`: a bundle for a policy that another machine serves."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from rove_core.errors import BundleError

SERVER_KEY = "server.key"


def register(group: typer.Typer) -> None:
    """Add `connect`."""
    group.command("connect")(connect)


def connect(
    url: Annotated[str, typer.Argument(help="Where `rove policy serve` runs: tcp://HOST:PORT.")],
    out: Annotated[Path, typer.Argument(help="New folder for the bundle.")],
    server_key: Annotated[str, typer.Option(help="The server's public key (.key).")] = "",
    own_key: Annotated[str, typer.Option(help="The robot's key pair (.key_secret).")] = "",
    jpeg_quality: Annotated[int, typer.Option(min=0, max=100, help="Pictures as JPEG; 0: as they are.")] = 0,
    timeout_s: Annotated[float, typer.Option(min=0.01, max=60, help="An answer that takes longer is lost.")] = 1.0,
) -> None:
    """Ask a server what it serves, and write a bundle that runs there and behaves as if it ran here."""
    from rove_inference.bundle import write_bundle
    from rove_inference.remote.channel import Channel
    from rove_inference.remote.client import greet
    from rove_inference.remote.welcome import spec_of

    if out.exists():
        raise BundleError(f"{out} exists", "choose another folder")
    channel = Channel(url, server_key, own_key, 0)
    try:
        welcome = greet(channel, timeout_s=10.0)
    finally:
        channel.close()
    remote: dict[str, Any] = {"url": url, "timeout_s": timeout_s}
    remote |= {"jpeg_quality": jpeg_quality} if jpeg_quality else {}
    remote |= {"server_key": SERVER_KEY} if server_key else {}
    remote |= {"own_key": str(Path(own_key).absolute())} if own_key else {}
    spec = spec_of(welcome, remote, [SERVER_KEY] if server_key else [])
    out.mkdir(parents=True)
    if server_key:
        shutil.copyfile(server_key, out / SERVER_KEY)
    write_bundle(out, spec)
    typer.echo(f"{out}: {welcome.served.policy} at {url}")
