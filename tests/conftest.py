"""What tests of several packages need."""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

settings.register_profile("untimed", deadline=None)  # no test fails because the machine is busy
settings.load_profile("untimed")

# A shell has what it runs in the background ignore Ctrl-C, and children inherit that; tests send it to them.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def model_packages():
    """The packages of models.lock, as `make models` unpacked them."""
    folder = ROOT / ".cache" / "models"
    if not any(folder.rglob("*.onnx")):
        pytest.fail("there are no models yet: run `make models` first")
    return folder


@pytest.fixture(scope="session")
def model_repository(model_packages):
    """The repository of the catalog's models, made once."""
    from processing_service.domains.model.importing import import_models

    folder = ROOT / ".cache" / "test-models"
    import_models(model_packages, folder)
    return folder
