"""Calls that last are reported; beats are given by hand here."""

import pytest

from instructors.heartbeats import Heartbeats


class Watcher:
    """Notes what is reported of a call."""

    def __init__(self):
        self.told = []

    def __call__(self, progress):
        self.told.append(progress.message)


@pytest.fixture
def waiting():
    """Calls that wait for their turn, by domain and step key."""
    return set()


@pytest.fixture
async def heartbeats(waiting):
    return Heartbeats(lambda domain, key: (domain, key) in waiting)


async def test_a_call_is_reported_at_each_beat(heartbeats):
    """From the second one that it sees, with the time that it has lasted at least."""
    watcher = Watcher()
    heartbeats.begin(watcher, "s/a#1", "model")
    for _ in range(4):
        heartbeats.beat()

    assert watcher.told == ["is out, for 0.5 s by now", "is out, for 1 s by now", "is out, for 1.5 s by now"]


async def test_a_call_that_is_over_is_not_reported(heartbeats):
    """The others are."""
    over, out = Watcher(), Watcher()
    heartbeats.begin(over, "s/a#1", "model")
    heartbeats.begin(out, "s/b#1", "model")
    heartbeats.beat()
    heartbeats.end(over)
    heartbeats.beat()

    assert (over.told, out.told) == ([], ["is out, for 0.5 s by now"])


async def test_a_call_that_waits_says_so(heartbeats, waiting):
    """Until it has its turn."""
    watcher = Watcher()
    heartbeats.begin(watcher, "s/a#1", "model")
    waiting.add(("model", "s/a#1"))
    heartbeats.beat()
    heartbeats.beat()
    waiting.clear()
    heartbeats.beat()

    assert watcher.told == ["waits for its turn, for 0.5 s by now", "is out, for 1 s by now"]
