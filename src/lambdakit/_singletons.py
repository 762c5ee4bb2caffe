"""What a factory builds once for an environment, and anew when it may be dead or was built from what has changed."""

from __future__ import annotations

import gc
import sys
import threading
from contextlib import suppress
from functools import partial
from weakref import ref

from ._clock import age_s
from ._diagnostics import (
    MISSING,
    checked_function,
    close_coroutine,
    find_in_type,
    function_name,
    hide_locals,
    is_awaitable,
    seconds,
    warn,
    wrap,
)
from ._environment import part, warn_of_decorating
from ._event_loop import life_of_running, run_if_standing
from ._single_flight import SingleFlight
from ._values import PATH, Declared, Values
from ._values.rotation import Rotations
from .exceptions import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable, Iterator, Sequence
    from typing import Any, Protocol, TypeVar, overload

    from ._clock import Clock, Instant
    from ._environment import Environment, Invocation

    R = TypeVar("R")
    R_co = TypeVar("R_co", covariant=True)
    Broken = type[BaseException] | tuple[type[BaseException], ...]

    class Singleton(Protocol[R_co]):
        """What `singleton` makes of a factory."""

        def __call__(self) -> R_co: ...
        def invalidate(self, instance: object = ..., /) -> None: ...


KEEP, CHECK, BUILD = "keep", "check", "build"

_ANY: Any = object()  # any instance
_NEVER = -1  # no number of an invocation
_REBUILD_AFTER_S = 60.0  # of age: exceptions of its package that say nothing about it bring no more than one a minute
_MAX_CHAIN = 20
_CLOSE_S = 1.0  # what a coroutine may take to close what is probably dead

if TYPE_CHECKING:

    @overload
    def singleton(
        factory: Callable[[], R],
        /,
        *,
        check: Callable[[Any], object] | None = None,
        check_after: float = 0.0,
        max_age: float | None = None,
        close: Callable[[Any], object] | None = None,
        depends_on: Declared | Sequence[Declared] = (),
        broken: Broken | None = None,
    ) -> Singleton[R]: ...
    @overload
    def singleton(
        *,
        check: Callable[[Any], object] | None = None,
        check_after: float = 0.0,
        max_age: float | None = None,
        close: Callable[[Any], object] | None = None,
        depends_on: Declared | Sequence[Declared] = (),
        broken: Broken | None = None,
    ) -> Callable[[Callable[[], R]], Singleton[R]]: ...


def singleton(
    factory: Any = MISSING,
    /,
    *,
    check: Callable[[Any], object] | None = None,
    check_after: float = 0.0,
    max_age: float | None = None,
    close: Callable[[Any], object] | None = None,
    depends_on: Declared | Sequence[Declared] = (),
    broken: Broken | None = None,
) -> Any:
    """Build a thing once per environment, keep it alive: ``@singleton``, or ``@singleton(...)`` with options.

    For a database connection, an engine, a client of any kind. The first call builds it, in one thread or task while
    the others wait; later calls return the same object. Whether it is still good is looked at when it is first used in
    an invocation, so that what died while the environment was frozen is replaced before it is needed. That takes
    `handler` on the function: nothing else tells invocations apart.

    Args:
        factory: a function or a coroutine function without arguments. What it raises passes unchanged, and the next
            call tries again. What a coroutine function builds belongs to the event loop it was built in, and is closed
            with it.
        check: called with the instance. It fails if it raises or returns False; then the old instance is closed and a
            new one built. Nothing limits how long it may take, unless it is a coroutine: that gets half of the
            remaining time. None: built anew after 60 s of idleness.
        check_after: seconds of idleness after which `check` is called, frozen time included; 0: in each invocation.
            Idleness counts from the first use in the last invocation that used it.
        max_age: seconds after which it is built anew, frozen time included; None: never for that reason.
        close: called with an old instance, whatever it raises is dropped. None: its own ``close()``, if its class has
            one, or ``aclose()`` of what a coroutine function has built.
        depends_on: `secret` or `parameter` declarations, one or a list. Built anew at the next call when memory has
            another version of one: after its ttl, or after `retry_on_rotation` has fetched it.
        broken: exceptions, a class or a tuple of them, which say that the instance is of no use any more, such as that
            of a write to a database that is read-only by now. Built anew at the next call after one has left the
            handler, and at a call from a block that handles one (``except ReadOnly: database()...``), once for each.
            What such an exception was raised from counts too. None: an exception that the instance's own package
            defines and that leaves the handler, if the instance is a minute old by then: no more than one connection a
            minute if those are about something else. ``()``: none.

    Returns:
        A function without arguments that returns the instance, with the type that the factory has. It can be
        preloaded, unless it is a coroutine function. Its ``invalidate()`` says that the instance is of no use: the
        next call closes it and builds anew, in the same invocation too; ``invalidate(instance)`` says so of this one,
        and does nothing where another thread has had it replaced. It closes and builds nothing itself, for coroutine
        functions too.

    Raises:
        ConfigurationError: an option is wrong, or `factory` is a class or yields. At a call: the factory returned a
            coroutine, or asks for its own instance.
        LambdakitError: at a call, a value of `depends_on` could not be fetched and nothing has been built yet; or
            another thread takes longer to build than this invocation lasts (`DeadlineExceededError`).

    Call it where the instance is needed, and keep only the function. Threads share the instance, so it has to be
    thread-safe itself. An instance is closed before a SnapStart snapshot and built anew after it; a forked child builds
    its own and leaves its parent's alone. Decorate functions of a module or a class: of one that is made in each
    invocation, which is told by a warning, the instance is let go with the function, and not closed. Thread-safe.
    Since 0.1.
    """

    def decorate(factory: Any) -> Any:
        warn_of_decorating("singleton", factory)
        options = {
            "check": check,
            "check_after": check_after,
            "max_age": max_age,
            "close": close,
            "broken": broken,
        }
        return _wrap(Factory(factory, depends_on=depends_on, **options))

    return decorate if factory is MISSING else decorate(factory)


class Factory:
    """One factory, which belongs to no environment; what it builds does.

    The coroutine functions here wait for nothing unless the factory is one itself.

    Args:
        fn: without arguments, a function or a coroutine function.
        check: gets an instance; fails by raising, or by returning False.
        check_after: seconds of idleness after which `check` is due.
        max_age: seconds, None for no limit.
        close: gets an instance; None: ``close()`` of the instance's class, or ``aclose()`` of what a coroutine built.
        depends_on: a declared value, or a list of them.
        broken: exceptions that say that an instance is of no use; None: those of its own package.
    """

    __slots__ = (
        "_check_after_s",
        "_close",
        "_max_age_s",
        "broken",
        "check",
        "depends_on",
        "fn",
        "is_async",
        "name",
        "owner",
    )

    def __init__(
        self, fn: Any, *, check: Any, check_after: Any, max_age: Any, close: Any, depends_on: Any, broken: Any
    ) -> None:
        self.is_async = checked_function("singleton", fn)
        for option, given in (("check", check), ("close", close)):
            if not (given is None or callable(given)):
                raise ConfigurationError(
                    f"{option}={given!r:.80}: give a function of what the factory returns, or None"
                )
            if given is not None and checked_function(f"singleton: {option}", given) and not self.is_async:
                raise ConfigurationError(f"{option}: a coroutine function needs a factory that is one, `async def`")
        if seconds("check_after", check_after) and check is None:
            raise ConfigurationError(f"check_after={check_after!r}: there is nothing to do then; give check= too")
        self.fn: Any = fn
        self.name = function_name(fn)
        self.check = check
        self.depends_on = _declarations(depends_on)
        self.broken = None if broken is None else broken if isinstance(broken, tuple) else (broken,)
        if not all(isinstance(one, type) and issubclass(one, BaseException) for one in self.broken or ()):
            raise ConfigurationError(f"broken={broken!r:.80}: give a class of exceptions, a tuple of them, or None")
        self._check_after_s = check_after
        self.owner: ref[Any] | None = None  # the function that users call
        self._max_age_s = None if max_age is None else seconds("max_age", max_age)
        self._close = close

    def due(self, built: Instant, used: Instant, now: Instant, max_idle_s: float) -> str:
        """What is to be done with an instance at its first use in an invocation: keep it, check it, build anew.

        `max_idle_s` is for how long it may be idle where there is no check.
        """
        if self._max_age_s is not None and age_s(built, now) >= self._max_age_s:
            return BUILD
        idle_s = age_s(used, now)
        if self.check is None:
            return BUILD if idle_s >= max_idle_s else KEEP
        return CHECK if idle_s >= self._check_after_s else KEEP

    def is_broken_by(self, error: BaseException, value: Any, age_s: float) -> bool:
        """Whether an error that has left the handler says that an instance of that age is of no use."""
        if self.broken is not None:
            return any(isinstance(one, self.broken) for one in _chain(error))
        package = _package(type(value))
        return (
            age_s >= _REBUILD_AFTER_S
            and package != "builtins"
            and any(_package(type(one)) == package for one in _chain(error))
        )

    async def build(self) -> Any:
        """What the factory returns."""
        value = self.fn()
        if self.is_async:
            return await value
        if close_coroutine(value):
            raise ConfigurationError(
                f"singleton: {self.name} returned a coroutine, which can be awaited once; make it `async def`"
            )
        return value

    async def passes(self, value: Any, within_s: float | None) -> bool:
        """Whether the check says that `value` is alive. One that hangs says that it is not, where it is awaited."""
        try:
            answer = self.check(value)
            if self.is_async and is_awaitable(answer):
                import asyncio  # loaded by whoever runs the loop

                answer = await asyncio.wait_for(answer, within_s)
        except ConfigurationError:  # such as a check that asks for the instance instead of taking it
            raise
        except Exception:  # noqa: BLE001 - whatever it is: a new one is built, or the factory says what is wrong
            return False
        if close_coroutine(answer):
            raise ConfigurationError(
                f"singleton: the check of {self.name} returned a coroutine, which nobody awaits: a connection of "
                "asyncio's needs an `async def` factory"
            )
        return answer is not False

    async def close(self, value: Any) -> None:
        """Close `value`, as far as it lets itself be closed."""
        with suppress(Exception):
            answer = self._closing(value)
            if self.is_async and is_awaitable(answer):
                import asyncio

                await asyncio.wait_for(answer, _CLOSE_S)
            else:
                close_coroutine(answer)

    def _closing(self, value: Any) -> Any:
        if self._close is not None:
            return self._close(value)
        # What answers to every name may mean anything by `close`: a remote procedure, a collection of that name.
        while "wrapt" in sys.modules and issubclass(type(value), sys.modules["wrapt"].ObjectProxy):
            value = value.__wrapped__  # as instrumentations of database drivers wrap connections
        for name in ("aclose", "close") if self.is_async else ("close",):
            if find_in_type(type(value), name) is not None:
                return getattr(value, name)()
        return None


def _declarations(given: Any) -> tuple[Declared, ...]:
    several = tuple(given) if isinstance(given, (list, tuple)) else () if given is None else (given,)
    for one in several:
        if not isinstance(one, Declared) or one.kind == PATH:
            raise ConfigurationError(
                f"depends_on={one!r:.80}: give lambdakit.secret(name), lambdakit.parameter(name), or a list of them"
            )
    return several


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it was raised from."""
    one: BaseException | None = error
    for _ in range(_MAX_CHAIN):  # it may be a circle
        if one is None:
            return
        yield one
        implicit = None if one.__suppress_context__ else one.__context__
        one = implicit if one.__cause__ is None else one.__cause__


def _package(kind: type) -> str:
    return str(kind.__module__).partition(".")[0]


class Instance:
    """What was built, and when it was looked at."""

    __slots__ = ("broken", "built", "checked_in_invocation", "factory", "loop", "used", "value", "versions")

    def __init__(
        self, factory: Factory, loop: Any, value: Any, *, versions: tuple[Any, ...], built: Instant, invocation: int
    ) -> None:
        self.factory = factory
        self.loop = loop  # the event loop that it belongs to, if a coroutine built it
        self.value = value
        self.versions = versions  # of what it was built from, by key
        self.built = self.used = built
        self.checked_in_invocation = invocation
        self.broken = False

    def set_broken(self) -> None:
        """It is of no use any more: the next call builds anew."""
        self.broken = True  # first: see `Singletons._check_or_build`
        self.checked_in_invocation = _NEVER


class Singletons:
    """The instances of an environment.

    Thread-safe. No lock is held while something is built, checked or closed, and a hit takes none and reads no clock:
    what was checked in this invocation is good until its end, unless what it was built from changes.

    Args:
        env: the owner, whose invocations and pings are counted.
        values: what instances depend on.
        rotations: which version a value has.
    """

    __slots__ = (
        "__weakref__",
        "_builds",
        "_clock",
        "_env",
        "_handled",
        "_instances",
        "_lock",
        "_owners",
        "_rotations",
        "_values",
    )

    def __init__(self, env: Environment, *, values: Values, rotations: Rotations) -> None:
        self._env = env
        self._clock: Clock = env.clock
        self._values = values
        self._rotations = rotations
        self._start()

    @classmethod
    def of(cls, env: Environment) -> Singletons:
        """Those of an environment."""
        return cls(env, values=env._parts[Values], rotations=env._parts[Rotations])

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._builds = SingleFlight(self._lock)
        self._instances: dict[Hashable, Instance] = {}  # in the order of building
        self._owners: dict[Factory, ref[Any]] = {}
        self._handled: dict[Factory, tuple[int, int]] = {}  # the invocation, and the exception that was blamed there

    def invalidate(self, factory: Factory, value: Any = _ANY) -> None:
        """The instances of a factory are of no use any more, or the one that is `value`."""
        for instance in self.instances():
            if instance.factory is factory and (value is _ANY or instance.value is value):
                instance.set_broken()

    def blame(self, factory: Factory, error: BaseException) -> None:
        """The caller is handling an exception: if it says that the instance is of no use, the caller gets another."""
        seen = self._invocation(), id(error)
        if self._handled.get(factory) != seen and factory.is_broken_by(error, None, 0.0):
            self._handled[factory] = seen
            self.invalidate(factory)

    def on_end(self, invocation: Invocation) -> None:
        """An exception that leaves the handler may say that an instance is of no use."""
        if invocation.error is None:
            return
        error, now = sys.exc_info()[1], self._clock.now()
        for instance in self.instances():
            if error is not None and instance.factory.is_broken_by(error, instance.value, age_s(instance.built, now)):
                instance.set_broken()

    def get(self, factory: Factory) -> Any:
        """The instance of a factory."""
        instance = self._instances.get(factory)
        if instance is None or not self._is_checked(instance):
            instance = self._builds.run(
                factory,
                lambda: _run_without_waiting(self._check_or_build(factory, factory, None)),
                lookup=self._lookup,
                store=self._store,
                remaining=self._env._budget,
            )
        return instance.value

    async def get_async(self, factory: Factory) -> Any:
        """The instance of a coroutine function, one for each event loop: in another it could not be used."""
        loop = sys.modules["asyncio"].get_running_loop()
        key = (factory, loop)
        instance = self._instances.get(key)
        if instance is None or not self._is_checked(instance):
            instance = await self._builds.run_async(
                key,
                lambda: self._check_or_build(key, factory, loop),
                lookup=self._lookup,
                store=self._store,
                remaining=self._env._budget,
            )
            if isinstance(instance, Exception):
                raise instance
            life_of_running(loop).owned.setdefault(self, _Ending(self, loop))
        return instance.value

    def release_of_loop(self, loop: Any) -> list[Instance]:
        """Give up what belongs to a loop that ends; what was built last comes first."""
        released = self._release(lambda one: one.loop is loop)
        released.reverse()
        return released

    def _invocation(self) -> int:
        """A number that changes with each invocation."""
        return self._env.invocations + self._env.pings

    def _is_checked(self, instance: Instance) -> bool:
        """Whether it is good for this invocation."""
        return instance.checked_in_invocation == self._invocation() and not self._has_changed(instance)

    def _has_changed(self, instance: Instance) -> bool:
        """Whether memory has another version of what it was built from. One that is not known has not changed."""
        for key, version in instance.versions:
            entry = self._values.cache.latest(key)
            if entry is not None and entry.version is not None and entry.version != version:
                return True
        return False

    def _lookup(self, key: Hashable) -> Instance | None:
        instance = self._instances.get(key)
        return instance if instance is not None and self._is_checked(instance) else None

    async def _check_or_build(self, key: Hashable, factory: Factory, loop: Any) -> Instance:
        """The instance, if it is good for this invocation, or a new one.

        Nothing in it waits unless the factory is a coroutine function: for others it is run to its end in one step.
        """
        invocation, instance = self._invocation(), self._instances.get(key)
        self._fetch_dependencies(factory, needed=instance is None)
        now = self._clock.now()
        if instance is not None:
            due = self.due(instance, now)
            if due == KEEP or (due == CHECK and await self._passes(instance)):
                instance.used, instance.checked_in_invocation = now, invocation
                if not instance.broken:  # another thread may have said so meanwhile
                    return instance
            # Closed first: a server that allows few connections would refuse the new one.
            for old in self._release(lambda one: one is instance):
                await factory.close(old.value)
        self._release(lambda one: one.loop is not None and one.loop.is_closed())  # nothing can close these any more
        before = self._versions(factory)
        value = await factory.build()
        versions = {**self._versions(factory), **before}  # what was not in memory before, the factory has fetched
        return Instance(factory, loop, value, versions=tuple(versions.items()), built=now, invocation=invocation)

    def _fetch_dependencies(self, factory: Factory, *, needed: bool) -> None:
        """Have the values that it depends on fetched, where their ttl has passed."""
        for declared in factory.depends_on:
            try:
                self._values.get(declared)
            except Exception:
                if needed:
                    raise

    async def _passes(self, instance: Instance) -> bool:
        budget = self._env._budget
        half_s = budget.half_s()  # the other half is for a new one
        with budget.within(half_s):
            return await instance.factory.passes(instance.value, half_s)

    def _versions(self, factory: Factory) -> dict[Any, str]:
        keys = [self._values.key(declared) for declared in factory.depends_on]
        known = self._rotations.versions(keys) if keys else {}
        return {key: version for key, version in known.items() if version is not None}

    def _store(self, key: Hashable, instance: Instance) -> None:
        factory = instance.factory
        owner = None if factory.owner is None else factory.owner()
        if owner is not None and factory not in self._owners:
            self._owners[factory] = ref(owner, partial(self.forget, factory))
        self._instances[key] = instance  # one that was kept keeps its place; one that was built anew has been released

    def forget(self, factory: Factory, _: Any = None) -> None:
        """The function that asks for its instances is gone. No lock is taken: that may happen within any line of code.

        They are not closed, since somebody may use them.
        """
        self._owners.pop(factory, None)
        for key in [*self._instances]:
            instance = self._instances.get(key)
            if instance is not None and instance.factory is factory:
                self._instances.pop(key, None)

    def _release(self, matches: Callable[[Instance], bool]) -> list[Instance]:
        """No longer hold what `matches`; in the order of building."""
        with self._lock:
            released: list[Instance] = []
            for key in [*self._instances]:  # functions may go meanwhile, with their instances
                instance = self._instances.get(key)
                if instance is not None and matches(instance):
                    released.append(instance)
                    self._instances.pop(key, None)
        return released

    def due(self, instance: Instance, now: Instant) -> str:
        """What is to be done with an instance now: KEEP it, CHECK it, BUILD a new one."""
        if instance.broken or self._has_changed(instance):
            return BUILD
        return instance.factory.due(instance.built, instance.used, now, self._env.settings.max_unused_s)

    def instances(self) -> list[Instance]:
        """What there is, in the order of building."""
        return [*self._instances.values()]

    def on_ping(self, now: Instant, within_s: float) -> None:  # noqa: ARG002 - what every hook is given
        """Do now what the first use in an invocation would do: check an instance, or build a new one.

        What would be kept as it is, is left alone: it has to go on counting as idle. Failures are logged.
        """
        budget = self._env._budget
        for instance in self.instances():
            left_s = budget()
            if left_s is not None and left_s <= 0.0:
                return
            if instance.versions or self.due(instance, now) != KEEP:
                self._renew_instance(instance)

    def _renew_instance(self, instance: Instance) -> None:
        factory, loop = instance.factory, instance.loop
        try:
            if loop is None:
                self.get(factory)
            else:
                run_if_standing(loop, lambda: self._env._budget.bound(self.get_async(factory)))
        except Exception as error:  # noqa: BLE001 - a user's factory raises whatever it likes
            warn("ping: %s could not be built anew (%s)", factory.name, type(error).__name__)

    def close(self) -> None:
        """Close everything, what was built last first, quietly. What is being built now is not kept."""
        with self._lock:
            self._builds.invalidate(lambda _: True)
        for instance in reversed(self._release(lambda _: True)):
            close = partial(instance.factory.close, instance.value)
            if instance.loop is None:
                _run_without_waiting(close())
            else:
                _run_in(instance.loop, close)

    def after_fork_in_child(self) -> bool:
        """Never run a destructor of the parent's instances; the child builds its own.

        libpq's, for one, says goodbye to the server, over the socket that the parent goes on with. The end of the
        interpreter runs destructors, too: hence something that nothing outside refers to and that is never collected.
        """
        inherited: list[Any] = [*self._instances.values()]
        inherited.append(inherited)
        gc.freeze()
        self._start()
        return False

    def __repr__(self) -> str:
        """The names of the factories."""
        return f"<Singletons {' '.join(instance.factory.name for instance in self.instances()) or 'none'}>"


def _wrap(factory: Factory) -> Any:
    """The function that builds only where there is no instance; it finds the environment at each call."""

    def wrapper() -> Any:
        try:
            return part(Singletons).get(factory)
        except BaseException as error:
            hide_locals(error, libraries=False)
            raise

    async def async_wrapper() -> Any:
        try:
            return await part(Singletons).get_async(factory)
        except BaseException as error:
            hide_locals(error, libraries=False)
            raise

    def blaming_wrapper() -> Any:
        singletons, error = part(Singletons), sys.exc_info()[1]
        if error is not None:
            singletons.blame(factory, error)
        return wrapper()

    async def async_blaming_wrapper() -> Any:
        singletons, error = part(Singletons), sys.exc_info()[1]
        if error is not None:
            singletons.blame(factory, error)
        return await async_wrapper()

    def invalidate(instance: Any = _ANY, /) -> None:
        part(Singletons).invalidate(factory, instance)

    wrappers: tuple[Any, Any] = (blaming_wrapper, async_blaming_wrapper) if factory.broken else (wrapper, async_wrapper)
    made: Any = wrap(wrappers[factory.is_async], factory.fn)
    made.invalidate = invalidate
    factory.owner = ref(made)
    return made


def _run_without_waiting(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine that never waits returns."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")  # pragma: no cover - see `Factory`


def _run_in(loop: Any, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    with suppress(RuntimeError):  # it was closed meanwhile
        if loop.is_running():  # perhaps in this very thread: it is done when the loop comes to it
            loop.call_soon_threadsafe(lambda: loop.create_task(work()))
        else:
            run_if_standing(loop, work)


class _Ending:
    """The instances of an event loop, for its end."""

    def __init__(self, singletons: Singletons, loop: Any) -> None:
        self._singletons = ref(singletons)
        self._loop = ref(loop)

    def _release(self) -> list[Instance]:
        singletons, loop = self._singletons(), self._loop()
        return [] if singletons is None or loop is None else singletons.release_of_loop(loop)

    async def end(self) -> None:
        """Close them, quietly, while the loop can."""
        for instance in self._release():
            await instance.factory.close(instance.value)

    def discard(self) -> None:
        """Nothing can be closed any more."""
        self._release()
