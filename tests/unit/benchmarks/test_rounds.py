import psutil
import pytest

from benchmarks.rounds import Contender, Load, closed_loop, interleave, quietest, ratio
from benchmarks.rows import Spread


def load(rate: float) -> Load:
    return Load(int(rate), 1.0, (0.001,), 0.0, 0.0)


async def test_every_other_round_is_run_backwards(capsys):
    """A contender goes first in one round and last in the next."""
    order: list[str] = []

    def contender(name: str) -> Contender:
        async def operation() -> None:
            if order[-1:] != [name]:
                order.append(name)

        return Contender(name, operation, (psutil.Process(),), callers=1)

    loads = await interleave([contender("a"), contender("b")], rounds=3, seconds=0.02, extra=0)

    assert order == ["a", "b", "a", "b"]
    assert {name: len(own) for name, own in loads.items()} == {"a": 3, "b": 3}


async def test_a_loop_ends_when_the_operations_are_done():
    """All callers together do exactly as many operations as asked for."""
    done = 0

    async def operation() -> None:
        nonlocal done
        done += 1

    latencies = await closed_loop(3, operation, count=10)

    assert done == len(latencies) == 10


async def test_an_operation_that_fails_ends_the_measurement():
    """An error is no figure: it goes up to whoever measures."""

    async def operation() -> None:
        raise ConnectionError

    with pytest.raises(ExceptionGroup):
        await closed_loop(2, operation, count=10)


def test_rates_are_compared_within_their_round():
    """The median is that of the ratios, not the ratio of medians."""
    results = {"ours": [load(30), load(10), load(20)], "peer": [load(10), load(10), load(5)]}

    assert ratio(results, "ours", "peer") == Spread(3.0, 1.0, 4.0)


def test_the_rounds_that_others_disturbed_least_count():
    """What is kept is chosen by foreign CPU of the pair, not by the figure, and stays paired."""
    quiet, loud = load(1), Load(9, 1.0, (0.001,), 0.0, 0.8)
    results = {"a": [loud, quiet, load(2)], "b": [load(3), load(4), loud], "c": [loud, loud, quiet]}

    kept = quietest(results, 1, "a", "b")

    assert kept == {"a": [quiet], "b": [load(4)]}
