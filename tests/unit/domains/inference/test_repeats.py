"""Answers are kept for as long as they are promised, and no longer."""

from coordinator.inference.v1 import inference_pb2 as pb

from processing_service.domains.inference import repeats
from processing_service.domains.inference.repeats import Repeats


async def test_an_answer_is_kept_for_a_day():
    """Within the day the first answer comes again; after it the request is carried out again."""
    now, answers = [0.0], iter(range(9))
    log = Repeats(lambda: now[0])

    async def ask():
        async def answer():
            return pb.PostInferenceUnloadResponse(freed_bytes=next(answers))

        request = pb.PostInferenceUnloadRequest(model_id="m", request_id="r-1")
        return (await log.once("PostInferenceUnload", request, answer)).freed_bytes

    first = await ask()
    now[0] = repeats.KEEP_SECONDS - 1
    second = await ask()
    now[0] = repeats.KEEP_SECONDS + 1
    third = await ask()

    assert (first, second, third) == (0, 0, 1)


async def test_without_a_request_id_every_call_counts():
    """Nothing is kept for a call that cannot be repeated."""
    log = Repeats()
    made = []

    async def answer():
        made.append(1)
        return pb.PostInferenceLoadResponse()

    for _ in range(2):
        await log.once("PostInferenceLoad", pb.PostInferenceLoadRequest(model_id="m"), answer)

    assert len(made) == 2
