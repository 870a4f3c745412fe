"""openpi's own code as a process, in the environment that has it (requirements/openpi.txt): not imported from here.

    python openpi_peer.py serve HORIZON DIM FAIL_WHEN      prints its url, then answers until it is ended
    python openpi_peer.py ask URL ROUNDS WIDTH HEIGHT DIM  prints times of the stock client [ms] as JSON

The client is `openpi_client.websocket_client_policy` as it is. The server is not on the package index, only its codec
is: this one puts `openpi_client.msgpack_numpy` on `websockets` the way openpi's does, with an answer for a model.
"""

import asyncio
import json
import sys
import time
import traceback

import numpy as np
import websockets.asyncio.server
from openpi_client import msgpack_numpy
from openpi_client.websocket_client_policy import WebsocketClientPolicy

CAMERAS = ("head", "left_wrist", "right_wrist")


def serve(horizon: int, dim: int, fail_when: str) -> None:
    """Answer with the state, held; fail as a policy does when the prompt is `fail_when`."""

    async def handle(connection: websockets.asyncio.server.ServerConnection) -> None:
        packer = msgpack_numpy.Packer()
        await connection.send(packer.pack({"policy": "peer"}))
        while True:
            try:
                observation = msgpack_numpy.unpackb(await connection.recv())
                began = time.monotonic()
                if observation["prompt"] == fail_when:
                    raise ValueError(f"prompt '{fail_when}'")
                state = np.zeros(dim, np.float32) + observation["observation/state"]
                actions = np.tile(state, (horizon, 1))
                timing = {"infer_ms": (time.monotonic() - began) * 1e3}
                await connection.send(packer.pack({"actions": actions, "server_timing": timing}))
            except websockets.ConnectionClosed:
                return
            except Exception:  # noqa: BLE001 - what the protocol says: the traceback as text, then 1011
                await connection.send(traceback.format_exc())
                await connection.close(1011, "Internal server error. Traceback included in previous frame.")
                return

    async def run() -> None:
        async with websockets.asyncio.server.serve(handle, "127.0.0.1", 0, compression=None, max_size=None) as server:
            print(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}", flush=True)  # noqa: T201
            await server.serve_forever()

    asyncio.run(run())


def ask(url: str, rounds: int, width: int, height: int, dim: int) -> None:
    """Time the stock client, from an observation to the actions."""
    policy = WebsocketClientPolicy(url)
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (8, height, width, 3), np.uint8)
    state = np.zeros(dim, np.float32)
    times = []
    for number in range(rounds):
        observation = {f"observation/{name}": pictures[(number + i) % 8] for i, name in enumerate(CAMERAS)}
        began = time.perf_counter()
        actions = policy.infer(observation | {"observation/state": state, "prompt": "hold"})["actions"]
        times.append((time.perf_counter() - began) * 1e3)
        if actions.shape[1] != dim:
            raise ValueError(f"actions of shape {actions.shape}")
    print(json.dumps(times))  # noqa: T201


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "serve":
        serve(int(arguments[0]), int(arguments[1]), arguments[2])
    else:
        ask(arguments[0], *map(int, arguments[1:]))
