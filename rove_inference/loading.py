"""From the folder of a bundle to a policy that is ready to answer, here or on another machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rove_core.joint_space import JointSpace
from rove_inference.backends.loading import open_network
from rove_inference.backends.placement import Placement
from rove_inference.bundle import load_bundle
from rove_inference.policy import Policy


def load_policy(
    path: str | Path, space: JointSpace, device: str = "cpu", threads: int = 1, cpus: Sequence[int] = ()
) -> Policy:
    """Load, verify and warm up the bundle at `path`; Placement describes where it runs.

    Raises:
        BundleError: the bundle cannot be used. JointNameError: it is for other joints.
        PolicyError: the device, or the server of a remote policy, is not there.
    """
    bundle = load_bundle(path, space)
    if bundle.spec.remote is not None:
        from rove_inference.remote.policy import connect  # the libraries of servers are of no use to others

        return connect(bundle, space)
    placement = Placement(device, threads, tuple(cpus))
    spec = bundle.spec
    encoders = [open_network(bundle, network, placement) for network in spec.encoders]
    adapter = open_network(bundle, spec.adapter, placement) if spec.adapter else None
    policy = Policy(bundle, open_network(bundle, spec, placement), space, encoders, adapter)
    policy.placement = placement
    return policy
