"""What a policy server says that it serves, and whether that is what a bundle says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rove_core.config import ConfigModel, parse
from rove_core.errors import ConfigError, PolicyError
from rove_core.joint_space import JointSpace
from rove_inference.bundle import Bundle, PolicySpec
from rove_inference.remote import wire


class ServedCamera(ConfigModel):
    """A picture that the server wants."""

    name: str
    width: int
    height: int


class Served(ConfigModel):
    """The policy behind the server. `joints` is the order of all joint values on the wire."""

    policy: str
    robot: str
    joints: tuple[str, ...]
    cameras: tuple[ServedCamera, ...]
    control_hz: float
    horizon: int


@dataclass(frozen=True, slots=True)
class Welcome:
    """Answer to a hello. `spec` is the served `policy.yaml`, for whoever wants to make a bundle of it."""

    served: Served
    spec: dict[str, Any]

    @classmethod
    def of(cls, bundle: Bundle, space: JointSpace) -> Welcome:
        """What to say of a bundle."""
        spec = bundle.spec
        cameras = tuple(ServedCamera(name=c.name, width=c.width, height=c.height) for c in spec.cameras)
        served = Served(
            policy=bundle.policy_id,
            robot=spec.robot,
            joints=space.names,
            cameras=cameras,
            control_hz=spec.control_hz,
            horizon=spec.horizon,
        )
        return cls(served, spec.model_dump(mode="json", exclude_defaults=True))

    @classmethod
    def read(cls, message: wire.Message) -> Welcome:
        """From the server's message. Raises WireError or PolicyError when it is none."""
        if message.kind != wire.WELCOME:
            raise PolicyError(f"the server answered a hello with '{message.kind}'")
        try:
            return cls(parse(Served, message.mapping("served"), "welcome"), message.mapping("spec"))
        except ConfigError as error:
            raise PolicyError(f"the server's {error}") from None

    def fields(self) -> dict[str, Any]:
        """For the message."""
        return {"served": self.served.model_dump(mode="json"), "spec": self.spec}


# What stays where it is of the served policy.yaml; how it decodes is worth knowing on the robot too.
_NETWORKS = ("model", "architecture", "config", "entry_point", "encoders", "adapter", "files", "remote")


def spec_of(welcome: Welcome, remote: Mapping[str, Any], files: Sequence[str] = ()) -> PolicySpec:
    """The `policy.yaml` of a bundle that runs where the welcome came from.

    Args:
        remote: its `remote` part but for the policy's id. files: that the bundle has here, a key for example.

    Raises:
        ConfigError: what is served cannot be asked from here.
    """
    kept = {key: value for key, value in welcome.spec.items() if key not in _NETWORKS}
    content = kept | {
        "backend": "rove",
        "remote": {"policy": welcome.served.policy, **remote},
        "files": dict.fromkeys(files, ""),
    }
    return parse(PolicySpec, content, f"what {remote.get('url')} serves")


def mismatches(welcome: Welcome, spec: PolicySpec, space: JointSpace) -> list[str]:
    """What differs between what is served and a bundle that wants to be served, one line each."""
    served = welcome.served
    wanted = spec.remote.policy if spec.remote is not None else ""
    pairs: list[tuple[str, object, object]] = [
        ("policy", served.policy, wanted),
        ("robot", served.robot, spec.robot),
        ("control_hz", served.control_hz, spec.control_hz),
        ("horizon", served.horizon, spec.horizon),
        (
            "cameras",
            sorted((camera.name, camera.width, camera.height) for camera in served.cameras),
            sorted((camera.name, camera.width, camera.height) for camera in spec.cameras),
        ),
    ]
    found = [f"{name} {there}, here {here}" for name, there, here in pairs if there != here]
    if served.joints != space.names:
        found.append(f"other joints of '{served.robot}', or in another order: install the same release on both")
    return found
