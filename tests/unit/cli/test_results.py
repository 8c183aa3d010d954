"""The folder of the demo's results is begun afresh."""

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.cli.results import begin
from processing_service.engine.store.sqlite import SqliteStore, StoreSettings
from processing_service.wire.errors import CoordinatorError


async def test_what_an_earlier_demo_left_is_removed(tmp_path):
    """Its pages and its store, whose size therefore does not grow; files of others stay."""
    store = begin(tmp_path)
    await SqliteStore(StoreSettings(store)).close()
    (store / "artifacts" / "ab").mkdir(parents=True)
    for name in ("01.json", "01.annotated.png", "notes.json", "store/notes.txt"):
        (tmp_path / name).write_text("x")

    begin(tmp_path)

    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["notes.json", "store/lock", "store/notes.txt"]
    assert not (store / "artifacts").exists()


async def test_a_demo_that_runs_keeps_its_store(tmp_path):
    """A second one in the same folder is told who has it."""
    store = SqliteStore(StoreSettings(begin(tmp_path)))
    try:
        with pytest.raises(CoordinatorError) as raised:
            begin(tmp_path)
    finally:
        await store.close()

    assert raised.value.reason == ErrorReason.ERROR_REASON_STORE_LOCKED
    assert (tmp_path / "store" / "coordinator.sqlite").exists()
