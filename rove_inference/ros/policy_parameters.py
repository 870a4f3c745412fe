"""Parameters of policy_node, and what its core objects are configured with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pydantic import Field

from rove_core.config import ConfigModel
from rove_core.errors import ConfigError, nearest
from rove_inference.backends.placement import Placement
from rove_inference.bundle import JoinName
from rove_inference.observation import JOINTS
from rove_inference.planner import Choices


class Parameters(ConfigModel):
    """Parameters of policy_node."""

    robot: str = Field("iron_r01", description="robot of rove_core/robots, or a YAML file")
    bundle: str = Field("", description="folder of the policy bundle")
    device: str = Field("cpu", description="where the model runs: cpu, cuda, tensorrt; cuda:1 is the second GPU")
    threads: int = Field(1, ge=1, le=64, description="threads for one operator of the model")
    cpus: str = Field("", description="cores for the model, as in 1,3-5; empty: all")
    offers: str = Field("", description="folder to watch for new bundles; empty: none")
    max_age_s: float = Field(0.3, gt=0, le=5, description="how old a picture or joint state may be [s]")
    sensor_latency: tuple[str, ...] = Field(
        (), description="by how much stamps are later than the capture: camera=seconds, joints=seconds"
    )
    join: str = Field(
        "",
        pattern="^(|replace|blend|ensemble|rtc)$",
        description="how a chunk joins the one before: replace, blend, ensemble, rtc; empty: as the bundle says",
    )
    condition: str = Field("", description="condition text for the policy; empty: the bundle's")
    cfg_beta: float = Field(-1.0, ge=-1, le=100, description="classifier-free guidance weight; below 0: the bundle's")
    seed: int = Field(0, ge=0, description="of the decoder's noise in the first chunk; each one more has the next")
    # Cameras run at 30 Hz: with one frame to spare there is a fresh picture when the request is due.
    margin_s: float = Field(0.034, ge=0, le=1, description="how much earlier than needed the policy is asked [s]")

    def placement(self) -> Placement:
        """Where the model runs. Raises ConfigError for what is no device, or a core that is not there."""
        return Placement.parse(self.device, self.threads, self.cpus)

    def choices(self) -> Choices:
        """What was set beside the bundle."""
        return Choices(
            join=cast(JoinName, self.join) if self.join else None,
            condition=self.condition or None,
            cfg_beta=self.cfg_beta if self.cfg_beta >= 0 else None,
            seed=self.seed,
            margin_s=self.margin_s,
        )

    def latencies(self, cameras: tuple[str, ...]) -> Mapping[str, float]:
        """Latency per sensor [s].

        Raises:
            ConfigError: a sensor that the policy does not use, or no number.
        """
        found: dict[str, float] = {}
        for item in self.sensor_latency:
            sensor, _, number = item.partition("=")
            if sensor not in (*cameras, JOINTS):
                raise ConfigError(
                    f"parameter 'sensor_latency': the policy has no sensor '{sensor}'",
                    nearest(sensor, (*cameras, JOINTS)),
                )
            try:
                found[sensor] = float(number)
            except ValueError:
                raise ConfigError(f"parameter 'sensor_latency': '{item}' is not sensor=seconds") from None
        return found
