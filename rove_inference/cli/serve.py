"""`rove policy serve`: a policy for robots that run elsewhere."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Annotated

import typer

from rove_inference.cli.arguments import DEFAULT_ROBOT, BundleFolder, Device, Robot, Threads

DEFAULT_BIND = "tcp://127.0.0.1:5560"

# How often the loop looks whether it should end [s].
POLL_S = 0.2
# Somebody who floods the server must not flood the screen: at most one refusal is told in so long [s].
TELL_S = 1.0


def register(group: typer.Typer) -> None:
    """Add `serve`."""
    group.command("serve")(serve)


def serve(
    bundle: BundleFolder,
    bind: Annotated[str, typer.Option(help="Where: tcp://ADDRESS:PORT or ipc://PATH.")] = DEFAULT_BIND,
    own_key: Annotated[str, typer.Option(help="The server's key pair (.key_secret): encrypts the wire.")] = "",
    clients: Annotated[Path | None, typer.Option(help="Folder of public keys of the robots that may ask.")] = None,
    robot: Robot = DEFAULT_ROBOT,
    device: Device = "cpu",
    threads: Threads = 1,
) -> None:
    """Answer robots elsewhere with this policy, until Ctrl-C. Without keys only this machine may ask."""
    from rove_core.joint_space import JointSpace
    from rove_core.keys import read_pair
    from rove_inference.loading import load_policy
    from rove_inference.remote.server import PolicyServer
    from rove_inference.remote.spec import require_encryption

    require_encryption(bind, encrypted=bool(own_key))  # before a minute of loading
    keys = read_pair(own_key) if own_key else None
    space = JointSpace.load(robot)
    policy = load_policy(bundle, space, device, threads)
    server = PolicyServer(policy, space, bind, keys, clients, _Teller().say)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    how = "encrypted" if keys is not None else "in the clear, for this machine only"
    typer.echo(f"serving {policy.bundle.policy_id} at {server.url} ({how}); an answer takes {policy.warm_up_ms:.1f} ms")
    while not stop.is_set():
        server.serve(POLL_S)
    server.close()
    policy.close()
    typer.echo(", ".join(f"{count} {what}" for what, count in server.counts.items()) or "nobody asked")


class _Teller:
    """Prints what is refused, at most one line in a while."""

    def __init__(self) -> None:
        self._told_s = -TELL_S

    def say(self, line: str) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s >= TELL_S:
            self._told_s = now_s
            typer.echo(line, err=True)
