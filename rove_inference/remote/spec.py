"""The `remote` part of `policy.yaml`: where a policy runs, and what things are called there."""

from __future__ import annotations

import ipaddress
import os
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from rove_core.config import ConfigModel
from rove_core.errors import ConfigError

SCHEMES = {"rove": ("tcp", "ipc"), "openpi": ("ws", "wss"), "groot": ("tcp", "ipc")}
BACKENDS = frozenset(SCHEMES)

# What is called what where nothing is said: openpi's names in its own examples.
OPENPI_IMAGE = "observation/{camera}"
OPENPI_STATE = "observation/state"
OPENPI_ACTIONS = "actions"
OPENPI_PROMPT = "prompt"


class RemoteSpec(ConfigModel):
    """How to reach a policy server, and how it names what it is sent and what it answers.

    `images`, `state`, `action`, `image_layout` and `prompt_key` are for openpi and GR00T servers, which choose their
    own names; our server has the bundle's.
    """

    url: str = Field(min_length=1, description="tcp://HOST:PORT or ipc://PATH; for openpi ws://HOST:PORT or wss://")
    timeout_s: float = Field(1.0, gt=0, le=60, description="an answer that takes longer is lost [s]")
    ready_timeout_s: float = Field(30.0, gt=0, le=3600, description="how long the first answer may take [s]")
    plain: bool = Field(False, description="openpi, groot: send in the clear over a network that is trusted")
    token_env: str = Field("", description="openpi, groot: environment variable that holds the server's key")
    policy: str = Field("", description="rove: id of the policy that runs there")
    server_key: str = Field("", description="rove: the server's public key (.key), in the bundle or absolute")
    own_key: str = Field("", description="rove: the robot's key pair (.key_secret); empty: a new one every time")
    jpeg_quality: int = Field(0, ge=0, le=100, description="rove: pictures as JPEG of this quality; 0: as they are")
    images: dict[str, str] = Field(default_factory=dict, description="camera -> name there")
    image_layout: Literal["hwc", "chw"] = Field("hwc", description="openpi: order of a picture's dimensions")
    state: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="name there -> joints or joint groups")
    action: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="name there -> joints or joint groups")
    prompt_key: str = Field("", description="name of the instruction there")

    def check_for(self, backend: str) -> None:
        """Refuse what cannot be right for this kind of server.

        Raises:
            ConfigError: another scheme; or a network in the clear that nobody called trusted.
        """
        scheme = urlsplit(self.url).scheme
        if scheme == "grpc":
            raise ConfigError(
                f"'{self.url}': LeRobot's policy server sends pickles, which run code on whoever reads them",
                "serve the policy with `rove policy serve`, or with openpi's or GR00T's server",
            )
        if scheme not in SCHEMES[backend]:
            allowed = " or ".join(f"{name}://" for name in SCHEMES[backend])
            raise ConfigError(f"'{self.url}' is no url for backend {backend}", f"it begins with {allowed}")
        if backend == "rove":
            if not self.policy:
                raise ConfigError("`policy` is missing: what an episode says of its policy must be true")
            require_encryption(self.url, encrypted=bool(self.server_key))
        elif scheme != "wss" and not self.plain and not is_local(self.url):
            raise ConfigError(
                f"{self.url} would send pictures and joint commands in the clear",
                "go through an ssh tunnel to 127.0.0.1 or wss://, or say `plain: true` for a network that you trust",
            )

    def token(self) -> str:
        """The key that the server wants, "" when it wants none.

        Raises:
            ConfigError: the environment variable is not set.
        """
        if not self.token_env:
            return ""
        token = os.environ.get(self.token_env, "")
        if not token:
            raise ConfigError(f"environment variable {self.token_env} is not set", "it holds the policy server's key")
        return token


def is_local(url: str) -> bool:
    """Whether what is sent to `url` stays on this machine."""
    parts = urlsplit(url)
    if parts.scheme == "ipc":
        return True
    host = parts.hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name, or * for all interfaces


def require_encryption(url: str, *, encrypted: bool) -> None:
    """Refuse to speak in the clear with anything but this machine.

    Raises:
        ConfigError: `url` leaves this machine and there are no keys.
    """
    if not encrypted and not is_local(url):
        raise ConfigError(
            f"{url} without keys: whoever reaches it could move the robot", "make keys with `rove keys new NAME`"
        )
