"""Which call goes next: few loads, priority, fairness, and nobody waits too long. Its clock is the tests' own."""

import ast
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.model_room import Step, first_come, planned
from processing_service.engine import model_queue, planner
from processing_service.engine.model_queue import Waiter, rank_of
from processing_service.engine.planner import Cause, Planner

MAX_WAIT = 1_000
INTERACTIVE, BATCH = 1, 3


class Room:
    """A planner, and what it let out."""

    def __init__(self, budget=1, window=8, max_wait=MAX_WAIT, **sizes):
        self.planner, self.sizes = Planner(budget, window, max_wait), sizes
        self.now, self.out = 0, []

    def come(self, model, *, priority=5, kind=INTERACTIVE, flow="", at=None):
        waiter = Waiter(model, rank_of(priority, kind), flow, self.now if at is None else at)
        self.planner.add(waiter, self.sizes.get(model, 1))
        return waiter

    def go(self):
        """Those that go now."""
        gone = []
        while (waiter := self.planner.next(self.now)) is not None:
            gone.append(waiter)
        self.out += gone
        return gone

    def end(self, waiter, *, loaded=True):
        self.out.remove(waiter)
        self.planner.release(waiter, self.now, loaded=loaded)

    def hold(self, model):
        """A call of that model that is out."""
        waiter = self.come(model)
        assert self.go() == [waiter]
        return waiter


def names(waiters):
    return "".join(waiter.model for waiter in waiters)


def test_it_is_pure():
    """The order of work is made of the standard library alone, without a clock, chance or input and output."""
    for module in (planner, model_queue):
        tree = ast.parse(Path(module.__file__).read_text("utf-8"))
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert imported <= {
            "__future__",
            "collections",
            "collections.abc",
            "enum",
            "heapq",
            "typing",
            "processing_service.engine.model_queue",
        }
        assert not any(isinstance(node, ast.Import) for node in ast.walk(tree))


@pytest.mark.parametrize("window", [1, 2, 8])
def test_eight_calls_of_three_models_in_turn_cost_three_loads(window):
    """A B A A C A B C with room for one model: three loads; seven, first come, first served."""
    steps = [Step(0, model) for model in "ABAACABC"]
    assert planned(steps, room=1, window=window).loads == 3
    assert first_come(steps, room=1, window=1).loads == 7


@pytest.mark.parametrize("ranks", [[20], [rank_of(p, c) for p in range(1, 11) for c in (1, 2, 3)]], ids=["one", "all"])
def test_ten_thousand_steps_cost_a_fifth_of_the_loads_and_none_waits_too_long(ranks):
    """Over 20 models with room for 4, one call each 40 ms: against first come, first served."""
    chance, at, steps = random.Random(5), 0, []
    for _ in range(10_000):
        at += round(chance.expovariate(1 / 40_000))
        steps.append(Step(at, f"m{chance.randrange(20)}", chance.choice(ranks), f"b{chance.randrange(5)}"))
    ordered, unordered = planned(steps), first_come(steps)

    assert len(ordered.order) == len(set(ordered.order)) == 10_000
    assert unordered.loads >= 5 * ordered.loads
    assert ordered.longest_us <= 30_000_000


def test_calls_of_a_resident_model_pass_those_that_need_a_load():
    """What came first waits while the model that is there has calls; it goes when that one has none."""
    room = Room()
    first = room.hold("A")
    other, second = room.come("B"), room.come("A")

    assert room.go() == [second]
    room.end(first)
    assert room.go() == []
    room.end(second)
    assert room.go() == [other]


def test_a_higher_priority_claims_the_room_once_the_visit_is_over():
    """Then no more calls of the model that is there go, however many wait."""
    room = Room(window=1)
    room.hold("A")
    low, urgent = [room.come("A") for _ in range(3)], room.come("B", priority=9)

    room.now = 20
    room.end(room.out[0])
    assert room.go() == [low[0]]  # its model was loaded just now, in 20
    room.now = 8 * 20
    room.end(low[0])
    assert room.go() == [urgent]


def test_within_a_model_a_higher_priority_goes_first():
    """And INTERACTIVE before BATCH."""
    room = Room(window=1)
    room.hold("A")
    cell, call, urgent = room.come("A", kind=BATCH), room.come("A"), room.come("A", priority=6, kind=BATCH)
    order = []
    for _ in range(3):
        room.end(room.out[0])
        order += room.go()
    assert order == [urgent, call, cell]


def test_nobody_starves_behind_a_model_that_always_has_calls():
    """From half of max_wait on the doors of the model in its way are closed; what is out may end."""
    room = Room(window=2)
    room.hold("A")
    waits = room.come("B")
    while waits in room.out or waits.waiting:
        room.now += 50
        room.come("A")
        room.end(room.out[0])
        if waits in room.go():
            break
    assert room.now <= MAX_WAIT // 2 + 100


def test_a_waiter_of_low_priority_is_not_passed_for_ever():
    """In the queue of its own model, either."""
    room = Room(window=1)
    room.hold("A")
    low = room.come("A", priority=1)
    while low.waiting:
        room.now += 50
        room.come("A", priority=10)
        room.end(room.out[0])
        room.go()
    assert room.now <= MAX_WAIT // 2 + 50


def test_only_as_much_room_is_claimed_as_is_needed():
    """Of two models that are held the one with the least urgent calls goes; calls of the other pass."""
    room = Room(budget=2, window=3)
    held = [room.hold("A"), room.hold("B")]
    room.now = MAX_WAIT
    room.come("A", priority=7)
    room.come("B", priority=3)
    room.come("C", priority=9)

    assert names(room.go()) == "A"
    room.end(held[1])
    assert names(room.go()) == "C"


def test_a_model_larger_than_all_room_goes_alone():
    """It goes when no call is out, and nothing goes beside it."""
    room = Room(budget=4, A=1, B=9)
    held = room.hold("A")
    large = room.come("B")
    assert room.go() == []
    room.end(held)
    assert room.go() == [large]
    room.come("A")
    assert room.go() == []


def test_sizes_are_corrected_by_what_was_measured():
    """Two models that were declared to fit do not go together once one of them has turned out larger."""
    room = Room(budget=4, A=2, B=2)
    held = [room.hold("A"), room.hold("B")]
    for waiter in held:
        room.end(waiter)
    room.planner.settle([("A", 2), ("B", 3)], room.planner.uses)
    room.hold("A")
    room.come("B")

    assert names(room.go()) == "B"  # Inference has both; it is for it to evict
    room.end(room.out[-1])
    room.planner.settle([("A", 2)], room.planner.uses)
    room.come("B")
    assert room.go() == []


def test_memory_is_what_inference_says():
    """A model that somebody else unloaded needs a load again; one that somebody loaded does not."""
    room = Room(budget=1)
    room.end(room.hold("A"))
    room.planner.settle([("B", 1)], room.planner.uses)
    room.come("A")
    room.come("B")

    assert names(room.go()) == "B"


def test_an_answer_that_is_older_than_a_use_does_not_count():
    """A model that was used after Inference was asked is there, whatever the answer says."""
    room = Room(budget=1)
    since = room.planner.uses
    room.end(room.hold("A"))
    room.planner.settle([], since)
    room.come("B")
    room.come("A")

    assert names(room.go()) == "A"


def test_models_that_ran_out_of_memory_together_are_kept_apart():
    """They would fit by their sizes; the one that is idle has to be unloaded, the one that is held is waited for."""
    room = Room(budget=10)
    held = room.hold("A")
    failed = room.hold("B")
    room.now = 7
    assert room.planner.part("B", room.now) == ["A"]
    room.end(failed, loaded=False)

    again = room.come("B")
    assert room.go() == []
    assert room.planner.why(again) is Cause.LEASE
    assert room.planner.foes("B") == {"A": 7}
    room.end(held)
    assert room.go() == [again]
    assert again.parted == ("A",)


def test_it_says_why_a_call_waits():
    """LIMIT where its model is there and too many are out, LEASE where others hold the room."""
    room = Room(window=1)
    room.hold("A")
    same, other = room.come("A"), room.come("B")
    room.go()

    assert (room.planner.why(same), room.planner.why(other)) == (Cause.LIMIT, Cause.LEASE)
    assert (room.planner.position(same), room.planner.position(other)) == (1, 1)


def test_a_batch_that_is_given_a_higher_priority_comes_first():
    """Also if its model is not in memory."""
    room = Room(window=1)
    held = room.hold("A")
    room.come("B", flow="x")
    room.come("C", flow="y")
    assert room.planner.reprioritize("y", 9) == 1
    room.now = MAX_WAIT // 4
    room.end(held)

    assert names(room.go()) == "C"


def test_a_load_that_failed_leaves_the_room():
    """The next model needs no eviction, and the same one is loaded again."""
    room = Room()
    room.end(room.hold("A"), loaded=False)
    assert not room.planner.loading("A")
    room.hold("A")
    assert room.planner.loading("A")


CALLS = st.lists(
    st.tuples(
        st.sampled_from(["come", "end", "leave", "priority", "size", "told", "apart"]),
        st.integers(0, 5),
        st.integers(1, 10),
        st.integers(0, 400),
    ),
    max_size=120,
)


@given(CALLS, st.integers(1, 10), st.integers(1, 4), st.sampled_from([0, 500, 5_000]))
def test_nothing_is_lost_and_nothing_goes_twice(calls, budget, window, max_wait):
    """Whatever comes, ends, is given up, grows, is evicted or fails: each call goes once, or was given up."""
    room = Room(budget, window, max_wait, **{f"m{index}": 1 + index for index in range(6)})
    come, left, gone = [], set(), []
    for what, index, number, passed in calls:
        room.now += passed
        waiting = [waiter for waiter in come if waiter.waiting]
        if what == "come":
            come.append(room.come(f"m{index}", priority=number, kind=1 + number % 3, flow=f"f{number % 4}"))
        elif what == "end" and room.out:
            room.end(room.out[index % len(room.out)], loaded=number < 9)
        elif what == "leave" and waiting:
            left.add(waiting[index % len(waiting)])
            room.planner.remove(waiting[index % len(waiting)])
        elif what == "priority":
            room.planner.reprioritize(f"f{index % 4}", number)
        elif what == "size":
            room.planner.resize(f"m{index}", number)
        elif what == "told":
            room.planner.settle([(f"m{index}", number)], room.planner.uses)
        elif what == "apart" and room.out:
            room.planner.part(room.out[0].model, room.now)
        gone += room.go()
        assert len(room.out) <= window
        assert room.out or not any(waiter.waiting for waiter in come), "calls wait, and none is out"
    while room.out:
        room.now += 100
        room.end(room.out[0])
        gone += room.go()

    assert Counter(gone) == Counter(waiter for waiter in come if waiter not in left)
    assert (room.planner.waiting, room.planner.out) == (0, 0)


@given(st.lists(st.tuples(st.sampled_from("ABCDEF"), st.integers(1, 10), st.integers(1, 3)), min_size=1, max_size=200))
def test_no_waiter_starves(calls):
    """Whatever their priorities, calls that come at a rate that can be served wait no longer than max_wait."""
    steps = [Step(100_000 * n, model, rank_of(priority, kind)) for n, (model, priority, kind) in enumerate(calls)]
    assert planned(steps, room=2).longest_us <= 30_000_000


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6))
def test_batches_share_a_model_fairly(sizes):
    """As long as two batches of one priority wait for a model, neither gets more than one call ahead of the other."""
    room = Room(window=1)
    held = room.hold("A")
    for flow, size in enumerate(sizes):
        for _ in range(size):
            room.come("A", flow=str(flow), kind=BATCH)
    served = Counter()
    while True:
        room.end(held)
        if not (gone := room.go()):
            break
        held = gone[0]
        served[held.flow] += 1
        behind = [served[str(flow)] for flow, size in enumerate(sizes) if served[str(flow)] < size]
        assert not behind or max(behind) - min(behind) <= 1
    assert [served[str(flow)] for flow in range(len(sizes))] == sizes
