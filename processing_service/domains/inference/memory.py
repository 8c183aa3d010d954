"""The memory of this process: how much is resident, and how freed memory goes back to the operating system."""

from __future__ import annotations

import ctypes
import os
import resource
from typing import Final

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_M_ARENA_MAX: Final = -8  # malloc.h of glibc
_ARENAS: Final = 2


def resident_bytes() -> int:
    """Memory of this process that is in RAM, in bytes; where there is no /proc, the most that it ever was."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def share_arenas() -> None:
    """Have all threads allocate from two heaps; glibc gives each its own, up to eight a core, and what one has freed
    serves no other. Call it before there are many threads.
    """
    limit = getattr(ctypes.CDLL(None), "mallopt", None)
    if limit is not None:
        limit(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Return freed heap memory to the operating system; glibc keeps it otherwise. Takes milliseconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
