"""The simulated memory counts as Inference does."""

from benchmarks.model_room import FirstCome, ModelRoom, Step


def outcome(models, room, window=1):
    return ModelRoom(room, load_us=100, run_us=10, workers=1).run(
        [Step(0, model) for model in models], FirstCome(window)
    )


def test_the_least_recently_used_model_goes():
    """With room for two A B C A costs four loads, and A B A C A three."""
    assert outcome("ABCA", room=2).loads == 4
    assert outcome("ABACA", room=2).loads == 3


def test_a_model_that_a_call_holds_stays():
    """The next load waits until the call has ended; the clock tells both loads and both runs."""
    held = outcome("AB", room=1, window=2)
    assert (held.loads, held.ended_us) == (2, 220)


def test_calls_of_a_model_share_its_load():
    """They run one after the other, as there is one worker."""
    shared = outcome("AAA", room=1, window=3)
    assert (shared.loads, shared.ended_us, shared.order) == (1, 130, [0, 1, 2])
