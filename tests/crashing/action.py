"""What a client does, and how it is judged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from tests.crashing.client import Client

if TYPE_CHECKING:
    from tests.crashing.evidence import Evidence


class Action(ABC):
    """One client at work.

    Args:
        name: nobody else's; session ids and request ids begin with it.
    """

    def __init__(self, name: str, random: Random) -> None:
        self.name, self.random = name, random

    @abstractmethod
    async def act(self, client: Client) -> None:
        """Does it, to the end of what it began. Raises what a client would not put up with."""

    @abstractmethod
    def check(self, evidence: Evidence) -> Iterator[str]:
        """What is wrong with what became of it; each fault begins with the promise that it breaks."""

    def starts(self) -> int:
        """Sessions that its client began, those of steps and of cells left out, less those that it removed."""
        return 1
