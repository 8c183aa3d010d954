"""The catalog's models are taken from packages by their checksums alone."""

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.domains.model.importing import import_models
from processing_service.domains.model.repository import ModelRepository, RepositorySettings
from processing_service.wire.errors import CoordinatorError
from tests import onnx_models as onnx


def test_every_model_of_the_catalog_can_be_used(model_repository):
    """The imported models pass the repository's checks, their checksums and the limits of their inputs among them."""
    repository = ModelRepository(RepositorySettings(model_repository))

    assert repository.model_ids() == ["text-detection", "text-orientation", "text-recognition"]
    assert all(repository.resolve(model_id, "").inputs[0].normalization for model_id in repository.model_ids())


def test_importing_again_changes_nothing(model_packages, model_repository):
    """A second import finds every file in place."""
    before = {path: path.stat().st_mtime_ns for path in model_repository.rglob("*.*")}

    assert import_models(model_packages, model_repository) == ["text-detection", "text-orientation", "text-recognition"]
    assert {path: path.stat().st_mtime_ns for path in model_repository.rglob("*.*")} == before


def test_a_folder_that_is_not_there(tmp_path):
    """Is told as such, and not as one without the right files."""
    with pytest.raises(CoordinatorError, match="there is no folder") as caught:
        import_models(tmp_path / "nope", tmp_path / "models")

    assert caught.value.reason == ErrorReason.ERROR_REASON_FIELD_INVALID


def test_a_file_that_was_changed_is_not_imported(tmp_path):
    """A package without the catalog's files is refused, and nothing is written."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "PP-OCRv6_det_small.onnx").write_bytes(onnx.doubling())

    with pytest.raises(CoordinatorError, match="text-detection, text-orientation, text-recognition") as caught:
        import_models(tmp_path / "package", tmp_path / "models")

    assert caught.value.reason == ErrorReason.ERROR_REASON_MODEL_NOT_FOUND
    assert not (tmp_path / "models").exists()
