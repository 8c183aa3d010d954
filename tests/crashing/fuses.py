"""Puts a crash point into this process: its methods are wrapped, and one pass of them is the last."""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from threading import Lock
from typing import Any

from tests.crashing.points import POINTS, Target


class Fuse:
    """Kills the process, as kill -9 does, on the n-th pass."""

    def __init__(self, passes: int) -> None:
        self._left, self._lock = passes, Lock()

    def burn(self) -> None:
        """One pass; in whatever thread."""
        with self._lock:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)


def arm(name: str, passes: int) -> None:
    """Wraps the methods of a point in this process, for good: it dies on that pass, counted from 1."""
    fuse = Fuse(passes)
    for target in POINTS[name].targets:
        _wrap(target, fuse)


def _wrap(target: Target, fuse: Fuse) -> None:
    owner, attribute = find(target.method)
    method = getattr(owner, attribute)
    make = _asynchronous if inspect.iscoroutinefunction(method) else _plain
    setattr(owner, attribute, make(method, target, fuse))


def find(path: str) -> tuple[type, str]:
    """Class and name of a method that a target names."""
    module, _, name = path.partition(":")
    owner, _, attribute = name.partition(".")
    full = f"processing_service.engine{module}" if module.startswith(".") else module
    return getattr(import_module(full), owner), attribute


def _plain(method: Callable[..., Any], target: Target, fuse: Fuse) -> Callable[..., Any]:
    @wraps(method)
    def passed(*arguments: Any, **named: Any) -> Any:
        if target.when == "before" and target.passes(*arguments, **named):
            fuse.burn()
        result = method(*arguments, **named)
        if target.when == "after" and target.passes(result, *arguments, **named):
            fuse.burn()
        return result

    return passed


def _asynchronous(method: Callable[..., Any], target: Target, fuse: Fuse) -> Callable[..., Any]:
    @wraps(method)
    async def passed(*arguments: Any, **named: Any) -> Any:
        if target.when == "before" and target.passes(*arguments, **named):
            fuse.burn()
        result = await method(*arguments, **named)
        if target.when == "after" and target.passes(result, *arguments, **named):
            fuse.burn()
        return result

    return passed
