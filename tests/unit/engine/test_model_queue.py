"""What waits for one model: who goes first, who shares, who stands where."""

from itertools import count

import pytest

from processing_service.engine.model_queue import ModelQueue, Waiter, rank_of

INTERACTIVE, BACKGROUND, BATCH = 1, 2, 3


class Line(ModelQueue):
    """A queue that numbers who comes, as the planner does."""

    __slots__ = ("numbers",)

    def __init__(self):
        super().__init__()
        self.numbers = count(1)

    def join(self, flow="", priority=5, kind=INTERACTIVE, at=0):
        waiter = Waiter("m", rank_of(priority, kind), flow, at)
        waiter.number, waiter.waiting = next(self.numbers), True
        self.add(waiter)
        return waiter

    def drain(self):
        order = []
        while self.count:
            order.append(self.first())
            order[-1].waiting = False
            self.take(order[-1])
        return order


@pytest.fixture
def line():
    return Line()


def test_priority_then_admission_class_then_arrival(line):
    """A higher priority goes first whatever its class; within one, INTERACTIVE, BACKGROUND, BATCH."""
    batch, first, second = line.join(kind=BATCH), line.join(), line.join()
    background, urgent = line.join(kind=BACKGROUND), line.join(priority=6, kind=BATCH)

    assert line.drain() == [urgent, first, second, background, batch]


def test_batches_take_turns(line):
    """A batch of three that came after one of a hundred is through after six."""
    large = [line.join("large") for _ in range(100)]
    small = [line.join("small") for _ in range(3)]

    order = line.drain()

    assert order[:6] == [large[0], small[0], large[1], small[1], large[2], small[2]]
    assert order[6:] == large[3:]


def test_who_is_late_goes_before_all_others(line):
    """A waiter that came by a given time passes ranks above its own."""
    old, urgent = line.join(priority=1, at=10), line.join(priority=10, at=20)

    assert line.first() is urgent
    assert line.first(late_us=9) is urgent
    assert line.first(late_us=10) is old


def test_a_place_is_the_number_of_turns_until_then(line):
    """Also in a queue of several batches and ranks, some of which have gone already."""
    waiters = [line.join(flow, priority) for flow in ("a", "b", "a", "c", "a", "b") for priority in (5, 5, 9)]
    gone = line.first()
    gone.waiting = False
    line.take(gone)
    places = {waiter: line.position(waiter) for waiter in waiters if waiter is not gone}

    assert [places[waiter] for waiter in line.drain()] == list(range(1, len(waiters)))


def test_who_gives_up_leaves_no_trace(line):
    """The others keep their order, and an empty queue has no rank."""
    first, second, third = line.join("a"), line.join("b", 7), line.join("a")
    second.waiting = False
    line.remove(second)

    assert (line.best, line.count) == (first.rank, 2)
    assert line.drain() == [first, third]
    assert (line.best, line.count) == (-1, 0)


def test_a_batch_changes_its_priority_while_it_waits(line):
    """What waits of it goes first now, in the order in which it came; admission classes stay."""
    other, cells = line.join(), [line.join("batch", 2, BATCH) for _ in range(3)]

    assert line.move("batch", 8) == 3

    assert {cell.rank for cell in cells} == {rank_of(8, BATCH)}
    assert line.drain() == [*cells, other]


def test_who_has_waited_before_is_as_old_as_it_was(line):
    """A call that comes back after a pause stands by its age, not by its return."""
    young, returned = line.join(at=50), line.join(at=20)

    assert line.first(late_us=60) is returned
    assert line.drain() == [young, returned]
