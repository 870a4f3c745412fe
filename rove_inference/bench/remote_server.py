"""The dummy policy behind our server, as a process: prints its url and its policy's id, answers until it is ended."""

from __future__ import annotations

import sys

from rove_core.joint_space import JointSpace
from rove_inference.bench.dummy import dummy_policy
from rove_inference.remote.server import PolicyServer


def main(width: int, height: int) -> None:
    """Serve pictures of this size on a port of this machine."""
    space = JointSpace.load("iron_r01")
    server = PolicyServer(dummy_policy(space, width, height=height), space, "tcp://127.0.0.1:0")
    print(server.url, flush=True)  # noqa: T201
    while True:
        server.serve(1.0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
