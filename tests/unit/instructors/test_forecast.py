import pytest

from instructors.forecast import ModelSize, loads_of, longest_path, order_of
from processing_service.engine.records import Plan, StepPlan


def plan(*needs: tuple[int, ...]) -> Plan:
    """Steps that need others, by index."""
    return Plan.of(tuple(StepPlan(f"s{index}", each) for index, each in enumerate(needs)))


@pytest.mark.parametrize(
    ("needs", "order"),
    [
        ([(), (0,), (1,)], [0, 1, 2]),
        ([(2,), (), (1,)], [1, 2, 0]),
        ([(), (), (0, 1), ()], [0, 1, 2, 3]),
    ],
)
def test_steps_are_ordered_as_they_could_run(needs: list[tuple[int, ...]], order: list[int]) -> None:
    """Behind what they need, else as they are written."""
    assert order_of(plan(*needs)) == order


def test_time_is_that_of_the_longest_path() -> None:
    """Branches run side by side."""
    assert longest_path(plan((), (0,), (0,), (1, 2)), [1.0, 5.0, 2.0, 1.0]) == 7
    assert longest_path(plan((), ()), [1.0, 5.0]) == 5


def model(name: str, size: int = 10, device: str = "cpu") -> ModelSize:
    """A model in version 1."""
    return ModelSize(name, "1", device, size)


@pytest.mark.parametrize(
    ("uses", "resident", "budget", "loaded", "peak"),
    [
        ("AB", "", 30, "AB", 20),
        ("ABA", "A", 30, "B", 20),
        ("ABAACABC", "", 10, "ABACABC", 10),
        ("ABC", "", 20, "ABC", 20),
        ("AB", "XY", 30, "AB", 20),
        ("AX", "XY", 20, "AX", 20),
        ("A", "", 5, "A", 10),
    ],
)
def test_loads_and_memory_of_models(uses: str, resident: str, budget: int, loaded: str, peak: int) -> None:
    """What was used least recently makes room; models of others in memory do not count, and are no load if used."""
    loads = loads_of([(model(name),) for name in uses], map(model, resident), {"cpu": budget})
    assert "".join(each.model_id for step in loads.loaded for each in step) == loaded
    assert loads.peak_bytes == {"cpu": peak}


def test_devices_are_apart_and_may_be_unknown() -> None:
    """One that has no budget has no bound."""
    loads = loads_of([(model("A"), model("B", 7, "gpu")), ()], [], {"cpu": 10})
    assert loads.peak_bytes == {"cpu": 10, "gpu": 7}
    assert [len(step) for step in loads.loaded] == [2, 0]
