"""How users are told what is wrong: checks of arguments, kinds of functions, warnings, and what errors show."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import WRAPPER_ASSIGNMENTS, partial
from types import CoroutineType, FunctionType, GeneratorType, MethodType

from ..exceptions import ConfigurationError, LambdakitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

MISSING: Any = object()  # what was not given: None can be, by who has forgotten a `return`

# Kinds of functions, as `kind_of_function` tells them.
PLAIN, COROUTINE, GENERATOR, ASYNC_GENERATOR = "plain", "coroutine", "generator", "async generator"

# Flags of code objects: inspect has names for them, and an import of 5 ms.
_CO_GENERATOR, _CO_COROUTINE, _CO_ITERABLE_COROUTINE, _CO_ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200

# What Python itself reads of a class: a metaclass can have other answers to these names.
_mro_of: Callable[[type], tuple[type, ...]] = vars(type)["__mro__"].__get__
namespace_of: Callable[[type], Mapping[str, Any]] = vars(type)["__dict__"].__get__


def seconds(argument: str, value: Any) -> float:
    """`value`, if it is a number of seconds >= 0; infinity is one, NaN and booleans are not."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise ConfigurationError(f"{argument}={value!r}: give a number of seconds >= 0")
    return value


def text(argument: str, value: Any, *, most: int = 2048) -> str:
    """`value`, if it is a string with something in it, no longer than AWS takes and without control characters."""
    if not isinstance(value, str):
        raise ConfigurationError(f"{argument}: give a non-empty string, not {type(value).__name__}")
    if not value.strip():
        raise ConfigurationError(f"{argument}={value!r}: give a non-empty string")
    if len(value) > most or not value.isprintable():
        raise ConfigurationError(f"{argument}: give at most {most} printable characters, not {value[:40]!r}...")
    return value


def optional_text(argument: str, value: Any) -> str | None:
    """`value`, if it is None or as `text` wants it."""
    return None if value is None else text(argument, value)


def flag(argument: str, value: Any) -> bool:
    """`value`, if it is True or False."""
    if value is not True and value is not False:
        raise ConfigurationError(f"{argument}={value!r}: give True or False")
    return value


def did_you_mean(given: str, known: list[str]) -> str:
    """A sentence with the known words closest to `given`, or nothing."""
    import difflib  # 3 ms, only on the way to an error

    close = difflib.get_close_matches(given, known, n=3)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


def kind_of_function(fn: Any) -> str:
    """What a call of `fn` returns: its result, a coroutine, a generator, or an async generator.

    The types are asked, never attributes: a mock or a proxy answers to every name. What a callable object returns is
    told by the ``__call__`` of its class. PLAIN also stands for what cannot be known, such as a function in C.
    """
    fn = unwrapped(fn)
    if type(fn) is not FunctionType:
        fn = unwrapped(find_in_type(type(fn), "__call__"))
        if type(fn) is not FunctionType:
            return PLAIN
    flags = fn.__code__.co_flags
    if flags & _CO_ASYNC_GENERATOR:
        return ASYNC_GENERATOR
    if flags & (_CO_COROUTINE | _CO_ITERABLE_COROUTINE):
        return COROUTINE
    return GENERATOR if flags & _CO_GENERATOR else PLAIN


def unwrapped(fn: Any) -> Any:
    """What is called at last behind partials, bound methods, static methods and class methods."""
    while True:
        if issubclass(type(fn), partial):
            fn = fn.func
        elif issubclass(type(fn), (MethodType, staticmethod, classmethod)):
            fn = fn.__func__
        else:
            return fn


def is_awaitable(value: Any) -> bool:
    """Whether `value` can be awaited. Its type is asked, never an attribute of its own."""
    kind = type(value)
    if kind is GeneratorType:  # of a function that `types.coroutine` decorates
        return bool(value.gi_code.co_flags & _CO_ITERABLE_COROUTINE)
    return find_in_type(kind, "__await__") is not None


def close_coroutine(value: Any) -> bool:
    """Whether `value` is a coroutine, which is closed then: Python would say that nobody has awaited it."""
    if type(value) is not CoroutineType:
        return False
    value.close()
    return True


def find_in_type(kind: type, name: str) -> Any:
    """What instances of `kind` have under `name` by their class or a base of it; None if nothing."""
    for base in _mro_of(kind):
        namespace = namespace_of(base)
        if name in namespace:
            return namespace[name]
    return None


def checked_function(decorator: str, fn: Any) -> bool:
    """Whether `fn` is a coroutine function, if it is one that `decorator` can call more than once.

    Raises:
        ConfigurationError: it cannot be called, is a class, or yields.
    """
    if issubclass(type(fn), (classmethod, staticmethod)):
        raise ConfigurationError(f"{decorator}: write it below @{type(fn).__name__}, next to the function")
    if issubclass(type(fn), type):
        raise ConfigurationError(
            f"{decorator}: give a function, not the class {fn.__name__}; one that makes it will do"
        )
    if not callable(fn):
        raise ConfigurationError(f"{decorator}: give a function, not {type(fn).__name__}; options go by keyword")
    kind = kind_of_function(fn)
    if kind in {GENERATOR, ASYNC_GENERATOR}:
        raise ConfigurationError(
            f"{decorator}: {qualified_name(fn)} yields, and is run by who reads it; let it return a list"
        )
    return kind == COROUTINE


def attribute(thing: Any, name: str) -> Any:
    """What a thing of the user's answers to a name; None where it has none, or raises whatever it likes."""
    try:
        return getattr(thing, name, None)
    except Exception:  # noqa: BLE001 - a dictionary whose attributes are its keys raises KeyError
        return None


def function_name(fn: Any, name: str = "__qualname__") -> str:
    """What a function is called in messages: its qualified name, or its type where it has none."""
    found = attribute(fn, name)
    return found if type(found) is str else type(fn).__name__


def qualified_name(fn: Any) -> str:
    """The name of a function with that of its module; of a partial the function's that is called."""
    while issubclass(type(fn), partial):
        fn = fn.func
    module = attribute(fn, "__module__")
    return f"{module if type(module) is str else ''}.{function_name(fn)}"


def wrap(wrapper: Any, wrapped: Any) -> Any:
    """`functools.update_wrapper`, also for what answers to every name and for mocks: their names may be anything."""
    for name in WRAPPER_ASSIGNMENTS:
        with suppress(Exception):  # it has none, or Python takes no such thing for it
            setattr(wrapper, name, getattr(wrapped, name))
    is_class = issubclass(type(wrapped), type)
    vars(wrapper).update(namespace_of(wrapped) if is_class else own_attributes(wrapped))
    wrapper.__wrapped__ = wrapped
    return wrapper


def own_attributes(thing: Any) -> dict[str, Any]:
    """The attributes that a thing has by itself, without asking it: proxies and mocks have an answer to every name."""
    try:
        own = object.__getattribute__(thing.__func__ if type(thing) is MethodType else thing, "__dict__")
    except Exception:  # noqa: BLE001 - it has none, or a proxy's class says what it is
        return {}
    return own if type(own) is dict else {}


def warn(message: str, *arguments: object) -> None:
    """Log a warning to the logger ``lambdakit``; `arguments` are formatted into `message` as `logging` does it."""
    import logging  # 5 ms in a bare interpreter, nothing under the runtime client, which has it already

    logging.getLogger("lambdakit").warning(message, *arguments)


def log_exceptions(what: str, step: Callable[..., object], *arguments: object) -> None:
    """Call `step`; an exception of it is a warning that begins with `what`, and goes no further."""
    try:
        step(*arguments)
    except Exception as error:  # noqa: BLE001 - whoever calls has nothing to do with it
        warn_of(what, error)


def warn_of(what: str, error: Exception) -> None:
    """Log an exception as a warning that begins with `what`.

    A message of lambdakit's own is told. Of any other exception only the type is: the message may hold anything.
    """
    warn("%s: %s", what, error if isinstance(error, LambdakitError) else f"{type(error).__name__} was raised")


def moto_is_active() -> bool:
    """Whether a test has moto answer calls of the SDK now."""
    # By name, not imported; another thread may be importing it, so that not all of it is there.
    return bool(getattr(getattr(sys.modules.get("moto.core.models"), "botocore_stubber", None), "enabled", False))


def hide_locals(error: BaseException, *, libraries: bool = True) -> None:
    """Empty the frames that `error` shows below its first one, and those of every error behind it.

    Who reports an error may report the variables of each of its frames: Sentry does by default, rich and pytest if they
    are asked to. Ours hold values, so where an error leaves lambdakit they are emptied. Lines and messages stay. The
    first frame is the caller's, which runs: it must hold no value itself. Frames of users' functions are theirs.

    Args:
        error: what is about to be raised, or raised again.
        libraries: also frames of the libraries that lambdakit calls. False where a user's function calls them.
    """
    from .frames import hide  # 0.2 ms; not paid where nothing fails

    hide(error, libraries=libraries)
