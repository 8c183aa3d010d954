"""Work runs in threads; who is cancelled leaves nothing running behind."""

import asyncio
import gc
import threading

import pytest

from processing_service.domains.inference.executor import Executor
from processing_service.domains.inference.runtimes.base import Stop


@pytest.fixture
def executor():
    executor = Executor(1)
    yield executor
    executor.close()


async def test_work_does_not_block_the_loop(executor):
    """The loop goes on while a thread works: here it is the loop that lets the thread end."""
    done = threading.Event()
    work = asyncio.create_task(executor.run(done.wait, Stop()))
    await asyncio.sleep(0)
    done.set()

    assert await work


async def test_errors_of_the_work_reach_the_caller(executor):
    """An exception in the thread is the caller's."""
    with pytest.raises(ZeroDivisionError):
        await executor.run(lambda: 1 // 0, Stop())


async def test_a_cancelled_caller_stops_the_work_and_waits_for_its_end(executor):
    """When the cancelled caller goes on, the thread is done with what it used."""
    stop, begun, ended = Stop(), threading.Event(), threading.Event()
    asked = threading.Event()
    stop.call(asked.set)

    def work():
        begun.set()
        asked.wait()
        ended.set()

    caller = asyncio.create_task(executor.run(work, stop))
    await asyncio.to_thread(begun.wait)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller

    assert ended.is_set()


async def test_nobody_misses_the_error_of_stopped_work(executor):
    """That work ends with an error when it is stopped is as it should be, and nothing to log."""
    stop, begun, asked, missed = Stop(), threading.Event(), threading.Event(), []
    stop.call(asked.set)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: missed.append(context))

    def work():
        begun.set()
        asked.wait()
        raise ZeroDivisionError

    caller = asyncio.create_task(executor.run(work, stop))
    await asyncio.to_thread(begun.wait)
    caller.cancel()
    await asyncio.wait([caller])
    assert caller.cancelled()
    del caller
    await asyncio.sleep(0)
    gc.collect()

    assert missed == []


async def test_work_that_waits_is_dropped(executor):
    """A caller that is cancelled before a thread is free leaves at once, and its work is never done."""
    release, begun, seen = threading.Event(), threading.Event(), []

    def block():
        begun.set()
        release.wait()

    first = asyncio.create_task(executor.run(block, Stop()))
    await asyncio.to_thread(begun.wait)
    second = asyncio.create_task(executor.run(lambda: seen.append(1), Stop()))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    release.set()
    await first

    assert not seen


def test_a_stop_calls_late_hooks_at_once():
    """Whoever binds to a stop that was set hears of it immediately, and a second set is nothing new."""
    stop, heard = Stop(), []
    stop.call(lambda: heard.append("early"))
    stop.set()
    stop.call(lambda: heard.append("late"))
    stop.set()

    assert heard == ["early", "late"]
