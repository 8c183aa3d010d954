"""Answers are kept for as long as they are promised, and no longer."""

import asyncio

from coordinator.inference.v1 import inference_pb2 as pb

from processing_service.domains.inference.repeats import Repeats


async def test_an_answer_is_kept_for_a_day():
    """Within the day the first answer comes again; after it the request is carried out again."""
    now, answers = [0.0], iter(range(9))
    log = Repeats(86_400, lambda: now[0])

    async def ask():
        async def answer():
            return pb.PostInferenceUnloadResponse(freed_bytes=next(answers))

        request = pb.PostInferenceUnloadRequest(model_id="m", request_id="r-1")
        return (await log.once("PostInferenceUnload", request, answer)).freed_bytes

    first = await ask()
    now[0] = 86_399
    second = await ask()
    now[0] = 86_401
    third = await ask()

    assert (first, second, third) == (0, 0, 1)


async def test_without_a_request_id_every_call_counts():
    """Nothing is kept for a call that cannot be repeated."""
    log = Repeats(60)
    made = []

    async def answer():
        made.append(1)
        return pb.PostInferenceLoadResponse()

    for _ in range(2):
        await log.once("PostInferenceLoad", pb.PostInferenceLoadRequest(model_id="m"), answer)

    assert len(made) == 2


async def test_equal_calls_at_the_same_time_are_answered_once():
    """The others wait for the first answer; one that fails leaves none, so the next is carried out."""
    log, made, go = Repeats(60), [], asyncio.Event()
    request = pb.PostInferenceLoadRequest(model_id="m", request_id="r-1")

    async def answer():
        made.append(1)
        await go.wait()
        if len(made) == 1:
            raise RuntimeError("broken")
        return pb.PostInferenceLoadResponse(loaded=True)

    calls = [asyncio.create_task(log.once("PostInferenceLoad", request, answer)) for _ in range(4)]
    go.set()
    replies = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(reply).__name__ for reply in replies] == ["RuntimeError", *["PostInferenceLoadResponse"] * 3]
    assert len(made) == 2
