"""ROS parameters declared from the same pydantic model that the core object is configured with."""

from __future__ import annotations

from typing import Any, TypeVar

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from rove_core.config import ConfigModel, parse
from rove_core.errors import ConfigError

ModelT = TypeVar("ModelT", bound=ConfigModel)

_BIGGEST = 1.0e300


def declare(node: Node, model: type[ModelT]) -> ModelT:
    """Declare each field of `model` as a read-only parameter of `node` and return the validated values.

    Type, default, range and description come from the field; lists of strings are string arrays.

    Raises:
        ConfigError: a value that was given does not fit, or a parameter without default was not given.
    """
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        descriptor = _descriptor(name, field)
        default = field.get_default(call_default_factory=True)
        if default is PydanticUndefined:
            raise ConfigError(f"{model.__name__}.{name}: a ROS parameter needs a default")
        if isinstance(default, tuple):
            # ROS would take an empty list for one of bytes.
            default = list(default) or Parameter.Type.STRING_ARRAY
        try:
            value = node.declare_parameter(name, default, descriptor).value
            values[name] = [] if value is None else value
        except (ParameterException, TypeError, ValueError) as error:
            raise ConfigError(f"node {node.get_name()}: parameter '{name}': {error}") from None
    return parse(model, values, f"parameters of {node.get_name()}")


def _descriptor(name: str, field: FieldInfo) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(name=name, description=field.description or "", read_only=True)
    lower = _bound(field, Ge, "ge", Gt, "gt")
    upper = _bound(field, Le, "le", Lt, "lt")
    if lower is None and upper is None:
        return descriptor
    if field.annotation is float:
        span = FloatingPointRange(
            from_value=-_BIGGEST if lower is None else lower,
            to_value=_BIGGEST if upper is None else upper,
        )
        descriptor.floating_point_range = [span]
    elif field.annotation is int:
        steps = IntegerRange(
            from_value=-(2**63) if lower is None else int(lower),
            to_value=2**63 - 1 if upper is None else int(upper),
            step=1,
        )
        descriptor.integer_range = [steps]
    return descriptor


def _bound(field: FieldInfo, closed: type, closed_value: str, opened: type, opened_value: str) -> float | None:
    """The limit of a field on one side. ROS ranges are closed; pydantic refuses the end of an open one afterwards."""
    for constraint in field.metadata:
        if isinstance(constraint, closed):
            return float(getattr(constraint, closed_value))
        if isinstance(constraint, opened):
            return float(getattr(constraint, opened_value))
    return None
