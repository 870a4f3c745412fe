"""Configuration files: pydantic models read from YAML, where an unknown key is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from rove_core.errors import ConfigError, nearest

ModelT = TypeVar("ModelT", bound="ConfigModel")


class ConfigModel(BaseModel):
    """Base of every configuration: immutable, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def parse(model: type[ModelT], data: object, where: str) -> ModelT:
    """Validate `data` against `model`.

    Args:
        where: what the data came from, for the message ("deploy.yaml", "policy.yaml of bundle x").

    Raises:
        ConfigError: one line per problem: the key, what was seen, what is allowed.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: expected a mapping of keys, got {type(data).__name__}")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = [_explain(model, item) for item in error.errors()]
        raise ConfigError(f"{where}: " + "; ".join(problems)) from None


def load_yaml(model: type[ModelT], path: str | Path) -> ModelT:
    """Read `path` as YAML and validate it against `model`.

    Raises:
        ConfigError: the file is missing, is not YAML, or does not fit the model.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not a text file") from None
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path} is not valid YAML{place}") from None
    return parse(model, data, str(path))


def _explain(model: type[BaseModel], item: Any) -> str:
    """One problem of a pydantic ValidationError in plain words."""
    location = [str(part) for part in item["loc"]]
    key = ".".join(location) or "(top level)"
    if item["type"] == "extra_forbidden":
        return f"unknown key '{key}', {nearest(location[-1], _valid_keys(model, location[:-1]))}"
    if item["type"] == "missing":
        return f"key '{key}' is missing"
    seen = repr(item.get("input"))
    # A validator of ours chose its words, and the names in them.
    why = str(item["ctx"]["error"]) if item["type"] == "value_error" else item["msg"].lower()
    return f"'{key}' is {seen[:80]}: {why}"


def _valid_keys(model: type[BaseModel], location: list[str]) -> list[str]:
    """Keys that the (nested) model at `location` accepts."""
    current: type[BaseModel] = model
    for part in location:
        field = current.model_fields.get(part)
        if field is None:  # an index or the key of a mapping: stay with the model around it
            continue
        nested = _model_in(field.annotation)
        if nested is None:
            return []
        current = nested
    return [field.alias or name for name, field in current.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation such as `Model`, `dict[str, Model]`, `tuple[Model, ...]` or `Model | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
