"""Growth is put down to a model only where it is its own, and each run's growth once."""

import pytest

from processing_service.domains.inference.measurement import Meter


class Memory:
    """The memory of a process that the test sets."""

    def __init__(self):
        self.bytes = 1000

    def read(self):
        return self.bytes


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def meter(memory):
    return Meter(memory.read)


def test_a_load_and_a_run_are_measured(meter, memory):
    """What the process grew by is the model's."""
    size = meter.size(("a", "1", ""))
    with meter.loading(size, 1):
        memory.bytes += 50
    with meter.running(size, 100):
        memory.bytes += 70

    assert (size.loaded_bytes, size.run_bytes) == (50, 70)


def test_what_others_did_meanwhile_is_not_counted(meter, memory):
    """While two models run, growth is nobody's; a load that cannot be told counts as the file's length."""
    first, second = meter.size(("a", "1", "")), meter.size(("b", "1", ""))
    with meter.running(first, 100), meter.loading(second, 7):
        memory.bytes += 70

    assert (first.run_bytes, second.loaded_bytes) == (0, 7)


def test_what_the_process_freed_meanwhile_makes_no_model_smaller_than_its_file(meter, memory):
    """A search for garbage in the middle of a load hides what the model took."""
    size = meter.size(("a", "1", ""))
    with meter.loading(size, 50):
        memory.bytes += 60 - 58

    assert size.loaded_bytes == 50


def test_runs_side_by_side_are_counted_once(meter, memory):
    """Two runs of one model that overlap grow it by what the process grew, not by twice that."""
    size = meter.size(("a", "1", ""))
    with meter.running(size, 100):
        memory.bytes += 20
        with meter.running(size, 100):
            memory.bytes += 60

    assert size.run_bytes == 80


def test_only_the_first_runs_of_a_shape_class_are_measured(meter, memory):
    """Growth in later runs of the same size is something else's: the arena has grown already."""
    size = meter.size(("a", "1", ""))
    for _ in range(5):
        with meter.running(size, 100):
            memory.bytes += 10
    with meter.running(size, 1000):
        memory.bytes += 10

    assert size.run_bytes == 30


def test_what_was_measured_outlives_the_stay(meter, memory):
    """Loaded again, a model counts for what its runs took before, until they take more."""
    size = meter.size(("a", "1", ""))
    with meter.running(size, 100):
        memory.bytes += 70
    memory.bytes = 1000
    with meter.loading(size, 1):
        memory.bytes += 50

    assert meter.size(("a", "1", "")).run_bytes == 70
    with meter.running(size, 100):
        memory.bytes += 90
    assert size.run_bytes == 90
