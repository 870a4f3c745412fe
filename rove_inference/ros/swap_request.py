"""Asking a running policy_node for a swap, from the command line."""

from __future__ import annotations

import time

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rove_msgs.srv import SwapPolicy

from rove_core.errors import PolicyError
from rove_core.ros import topics

DISCOVERY_S = 5.0


def request_swap(bundle_path: str, limit_s: float) -> str:
    """Ask, wait for the answer, and return the id of the policy that is in force then.

    Args:
        bundle_path: absolute, as policy_node's machine sees it; "": the bundle that is offered.
        limit_s: how long loading may take [s].

    Raises:
        PolicyError: no policy_node, no answer in time, or it refused.
    """
    context = Context()
    rclpy.init(context=context)
    node = Node("rove_policy_accept", context=context)
    executor = SingleThreadedExecutor(context=context)
    try:
        client = node.create_client(SwapPolicy, topics.SWAP_POLICY)
        if not client.wait_for_service(timeout_sec=DISCOVERY_S):
            raise PolicyError(
                f"no policy_node answers on {topics.SWAP_POLICY}",
                "is the deployment running, and in this ROS_DOMAIN_ID?",
            )
        future = client.call_async(SwapPolicy.Request(bundle_path=bundle_path))
        executor.add_node(node)
        deadline = time.monotonic() + limit_s
        while not future.done() and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.1)
        answer = future.result()
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)
    if answer is None:
        raise PolicyError(f"no answer within {limit_s:g} s", "it may still be loading: look at /diagnostics")
    if not answer.accepted:
        raise PolicyError(f"refused: {answer.reason}; {answer.policy_id} stays in force")
    return str(answer.policy_id)
