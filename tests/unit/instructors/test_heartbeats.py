"""Calls that last are reported; beats are given by hand here."""

from dataclasses import dataclass

import pytest

from instructors.heartbeats import Heartbeats


class Watcher:
    """Notes what is reported of a call."""

    def __init__(self):
        self.told = []
        self.waits = []

    def __call__(self, progress):
        self.told.append(progress.message)
        self.waits.append(progress.wait)


@dataclass
class Waits:
    """A wait that is over when the test says so."""

    since_us: int = 0
    over: bool = False

    def reason(self):
        return 0 if self.over else 2

    def position(self):
        return 0

    def text(self):
        return "" if self.over else "waits for its turn"

    def recall(self):
        pass


@pytest.fixture
async def heartbeats():
    return Heartbeats()


async def test_a_call_is_reported_at_each_beat(heartbeats):
    """From the second one that it sees, with the time that it has lasted at least."""
    watcher = Watcher()
    heartbeats.begin(watcher)
    for _ in range(4):
        heartbeats.beat()

    assert watcher.told == ["is out, for 0.5 s by now", "is out, for 1 s by now", "is out, for 1.5 s by now"]


async def test_a_call_that_is_over_is_not_reported(heartbeats):
    """The others are."""
    over, out = Watcher(), Watcher()
    heartbeats.begin(over)
    heartbeats.begin(out)
    heartbeats.beat()
    heartbeats.end(over)
    heartbeats.beat()

    assert (over.told, out.told) == ([], ["is out, for 0.5 s by now"])


async def test_a_call_that_waits_says_so(heartbeats):
    """At once, and until it has its turn; what it waits for is reported with it."""
    watcher, wait = Watcher(), Waits()
    heartbeats.begin(watcher)
    heartbeats.tell(watcher, wait)
    heartbeats.beat()
    heartbeats.beat()
    wait.over = True
    heartbeats.beat()

    assert watcher.told == ["waits for its turn", "waits for its turn, for 0.5 s by now", "is out, for 1 s by now"]
    assert watcher.waits == [wait, wait, wait]
