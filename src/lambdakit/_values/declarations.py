"""Values by name, before they are needed: what `preload` fetches, and what tells a value's state."""

from __future__ import annotations

from .._clock import least_age_s
from .._diagnostics import flag, optional_text, seconds, text
from .._environment import environment, part
from ..exceptions import ConfigurationError
from . import PATH, Declared, Values, check_transform, region_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Declaration", "State", "parameter", "parameters", "secret"]


class State(str):
    """``"fresh"``, ``"stale"`` or ``"absent"``, with the age of the value.

    Attributes:
        age_s: seconds since the value was fetched, frozen time included; None for ``"absent"``.

    Since 0.1.
    """

    __slots__ = ("age_s",)

    age_s: float | None

    def __new__(cls, name: str, age_s: float | None = None) -> State:  # noqa: PYI034 - Self is in typing, 2 ms
        state = super().__new__(cls, name)
        state.age_s = age_s
        return state

    def __repr__(self) -> str:
        """Name and age."""
        return f"<{self}>" if self.age_s is None else f"<{self}, {self.age_s:.3f} s old>"


class Declaration(Declared):
    """A secret, a parameter, or the parameters below a path: which one, and how it is read.

    Made by `lambdakit.secret`, `lambdakit.parameter` and `lambdakit.parameters`; it belongs to no environment and holds
    no value. Thread-safe. Since 0.1.
    """

    __slots__ = ()

    def get(self) -> Any:
        """What the getter returns for it: `get_secret`, `get_parameter` or `get_parameters_by_path`."""
        if self.kind != PATH:
            return part(Values).get(self)
        from .batches import get_parameters_by_path  # 0.5 ms; not paid for single values

        options = {name: value for name, value in self.options.items() if name != "field"}
        return get_parameters_by_path(self.name, **options)

    @property
    def state(self) -> State:
        """What the getter would find in memory now, for its ``ttl`` and ``stale_ttl``. Never fetches."""
        env, values, options = environment(), part(Values), self.options
        now = env.clock.now()
        ttl_s = values.ttl_or_default_s(options["ttl"])
        stale_ttl_s = values.stale_ttl_or_default_s(options["stale_ttl"])
        name, entry = values.cache.look(values.key(self), now, ttl_s, stale_ttl_s)
        return State(name, None if entry is None else least_age_s(entry.stored, now))


def secret(
    name: str,
    *,
    field: str | None = None,
    transform: Any = None,
    ttl: float | None = None,
    stale_ttl: float | None = None,
    version_id: str | None = None,
    version_stage: str | None = None,
    region: str | None = None,
) -> Declaration:
    """Name a secret before it is needed: for ``@handler(preload=[...])``, for its `state`, to `get` it later.

    Arguments are those of `get_secret`. Nothing is fetched.

    Raises:
        ConfigurationError: an argument is wrong.

    Since 0.1.
    """
    options = {"version_id": version_id, "version_stage": version_stage}
    return _declared("secret", name, field, transform, ttl, stale_ttl, region, options)


def parameter(
    name: str,
    *,
    field: str | None = None,
    transform: Any = None,
    ttl: float | None = None,
    stale_ttl: float | None = None,
    decrypt: bool = True,
    region: str | None = None,
) -> Declaration:
    """Name a parameter before it is needed, as `secret` does for a secret.

    Arguments are those of `get_parameter`. Nothing is fetched.

    Raises:
        ConfigurationError: an argument is wrong.

    Since 0.1.
    """
    return _declared("parameter", name, field, transform, ttl, stale_ttl, region, {"decrypt": decrypt})


def parameters(
    path: str,
    *,
    recursive: bool = True,
    transform: Any = None,
    ttl: float | None = None,
    stale_ttl: float | None = None,
    decrypt: bool = True,
    region: str | None = None,
) -> Declaration:
    """Name all parameters below a path before they are needed, as `secret` does for a secret.

    Arguments are those of `get_parameters_by_path`. Nothing is fetched.

    Raises:
        ConfigurationError: an argument is wrong.

    Since 0.1.
    """
    options = {"decrypt": decrypt, "recursive": recursive}
    return _declared("path", path, None, transform, ttl, stale_ttl, region, options)


def _declared(
    kind: str,
    name: str,
    field: str | None,
    transform: Any,
    ttl: float | None,
    stale_ttl: float | None,
    region: str | None,
    options: dict[str, Any],
) -> Declaration:
    check_transform(transform, field)
    if ttl is not None:
        seconds("ttl", ttl)
    if stale_ttl is not None:
        seconds("stale_ttl", stale_ttl)
    for option in ("region", "version_id", "version_stage"):
        optional_text(option, region if option == "region" else options.get(option))
    for option in ("decrypt", "recursive"):
        flag(option, options.get(option, True))
    if kind == "path" and not text("path", name).startswith("/"):
        raise ConfigurationError(f"path={name!r}: give a path that begins with a slash, such as '/shop/prod'")
    if region is not None:
        region_of(name, region)
    common = {"field": field, "transform": transform, "ttl": ttl, "stale_ttl": stale_ttl, "region": region}
    return Declaration(kind, text("name", name), common | options)
