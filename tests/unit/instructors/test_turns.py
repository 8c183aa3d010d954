import asyncio

from instructors.turns import Turns


async def test_turns_are_given_in_the_order_of_coming():
    """Who waits longest goes first, and no more calls are out than the limit says."""
    turns, order = Turns(1), []
    assert turns.take()
    assert turns.full

    async def work(name):
        assert await turns.wait(60)
        order.append(name)
        turns.leave()

    tasks = [asyncio.create_task(work(name)) for name in "abc"]
    await asyncio.sleep(0)
    assert (turns.out, turns.waiting) == (1, 3)
    turns.leave()
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "c"]
    assert (turns.out, turns.waiting) == (0, 0)


async def test_who_waited_long_enough_leaves_the_queue():
    """After its time a waiter is told so, and is no longer waited for."""
    turns = Turns(1)
    turns.take()
    assert not await turns.wait(0.001)
    assert not await turns.wait(-1)
    assert (turns.out, turns.waiting) == (1, 0)


async def test_a_waiter_that_is_cancelled_takes_no_turn():
    """Cancelled in the queue, or in the very moment in which its turn comes, it leaves nothing behind."""
    turns = Turns(1)
    turns.take()
    waiter = asyncio.create_task(turns.wait(60))
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert (turns.out, turns.waiting) == (1, 0)
    waiter = asyncio.create_task(turns.wait(60))
    await asyncio.sleep(0)
    turns.leave()
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert (turns.out, turns.waiting) == (0, 0)


async def test_a_clock_that_stands_still_is_no_wait():
    """Who waits in a pause gets as long afterwards as it had."""
    turns, halted = Turns(1), iter((0.0, 0.04, 0.06, 0.06))
    turns.take()
    assert not await turns.wait(0.001, lambda: next(halted))
    assert next(halted, None) is None
    assert (turns.out, turns.waiting) == (1, 0)


async def test_a_turn_may_come_in_a_pause():
    """It is taken at once."""
    turns = Turns(1)
    turns.take()
    asyncio.get_running_loop().call_later(0.1, turns.leave)
    assert await turns.wait(0.001, asyncio.get_running_loop().time)
    assert (turns.out, turns.waiting) == (1, 0)
