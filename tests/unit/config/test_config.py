"""Settings from every layer, and what is said of those that are wrong."""

from pathlib import Path

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.config import Given, Settings, explain, from_environment, from_file, load
from processing_service.config.keys import keys_of
from processing_service.wire.errors import Code, CoordinatorError
from processing_service.wire.security import TlsSettings, TokenSettings


def file_with(tmp_path, text, name="service.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def faults_of(*layers):
    with pytest.raises(CoordinatorError) as caught:
        load(*layers)
    assert caught.value.code is Code.INVALID_ARGUMENT
    return {violation.field_path: violation for violation in caught.value.violations}


def test_defaults():
    """Without layers every setting has the default of its class."""
    assert load().settings == Settings()


def test_later_layers_win(tmp_path):
    """A flag beats a variable, a variable beats the file, the file beats the default; each value knows its source."""
    path = file_with(tmp_path, '[store]\nfolder = "a"\nartifact_grace = 5\n[postprocessing]\nworkers = 3\n')
    environment = {
        "PROCESSING_SERVICE__STORE__FOLDER": "b",
        "PROCESSING_SERVICE__POSTPROCESSING__WORKERS": "4",
        "HOME": "/",
    }

    loaded = load(from_file(path), from_environment(environment), (Given("store.folder", "c", "--store"),))

    assert loaded.settings.store.folder == Path("c")
    assert loaded.settings.store.artifact_grace == 5.0
    assert loaded.settings.postprocessing.workers == 4
    assert loaded.sources == {
        "store.folder": "--store",
        "store.artifact_grace": str(path),
        "postprocessing.workers": "PROCESSING_SERVICE__POSTPROCESSING__WORKERS",
    }


def test_explanation_has_every_value_with_its_source():
    """`explain` lists all keys, with `default` for those that nobody gave."""
    settings = {one.key: one for one in explain(load((Given("listener.tls.authority_file", "a.pem", "flag"),)))}

    assert settings["listener.tls.authority_file"].source == "flag"
    assert settings["listener.address"].source == "default"
    assert settings["client.tls"].value is None
    assert set(keys_of(Settings)) - set(settings) == {
        f"{section}.{name}"
        for section in ("channel_tls", "client.tls")
        for name in ("certificate_file", "private_key_file", "authority_file")
    }


@pytest.mark.parametrize(
    ("given", "key", "expected"),
    [
        pytest.param("7", "postprocessing.workers", 7, id="number"),
        pytest.param("false", "listener.reflection", False, id="boolean"),
        pytest.param("inference", "only", "inference", id="choice"),
        pytest.param("", "only", None, id="nothing"),
        pytest.param("unix:/run/a", "inference_address", "unix:/run/a", id="text"),
        pytest.param("2.5", "drain_grace", 2.5, id="seconds"),
    ],
)
def test_text_becomes_the_type_of_its_key(given, key, expected):
    """What comes as text from the environment or a flag is converted; empty text is None where None is allowed."""
    settings = load(from_environment({"PROCESSING_SERVICE__" + key.replace(".", "__").upper(): given})).settings

    for name in key.split("."):
        settings = getattr(settings, name)
    assert settings == expected


def test_tables_in_lists(tmp_path):
    """Tokens are an array of tables in the file, or JSON in the environment."""
    path = file_with(tmp_path, '[[tokens]]\nactor = "ci"\nsecret_file = "ci.token"\nread_only = true\n')
    text = '[{"actor": "ci", "secret_file": "ci.token", "read_only": true}]'
    expected = (TokenSettings("ci", "ci.token", read_only=True),)

    assert load(from_file(path)).settings.tokens == expected
    assert load(from_environment({"PROCESSING_SERVICE__TOKENS": text})).settings.tokens == expected


def test_section_that_may_be_left_out():
    """A section that is None by default is made as soon as one of its values is given."""
    settings = load((Given("client.tls.authority_file", "authority.pem", "file"),)).settings

    assert settings.client.tls == TlsSettings(authority_file="authority.pem")


@pytest.mark.parametrize(
    ("given", "suggestion"),
    [
        pytest.param(Given("store.foldr", "a", "f.toml"), "store.folder", id="typing mistake"),
        pytest.param(Given("max_pixels", 1, "f.toml"), "postprocessing.max_pixels", id="section forgotten"),
        pytest.param(Given("stor.folder", "a", "f.toml"), "store.folder", id="unknown section"),
        pytest.param(
            Given("store.foldr", "a", "PROCESSING_SERVICE__STORE__FOLDR"),
            "PROCESSING_SERVICE__STORE__FOLDER",
            id="variable",
        ),
    ],
)
def test_unknown_key(given, suggestion):
    """An unknown key is an error that says where it stands and what it should be."""
    fault = faults_of((given,))[given.key]

    assert given.source in fault.description
    assert fault.suggestion == suggestion


def test_all_faults_at_once():
    """Unknown keys and wrong values of all layers are told together."""
    faults = faults_of(
        (Given("store.foldr", "a", "f.toml"), Given("inference.workers", "many", "f.toml")),
        (Given("only", "everything", "--only"),),
    )

    assert set(faults) == {"store.foldr", "inference.workers", "only"}
    assert "--only" in faults["only"].description
    assert "'processing', 'model', 'inference' or 'postprocessing'" in faults["only"].description


def test_what_a_class_says_of_its_values():
    """A rule of a settings class is told at the key that it is about, with the source of its value."""
    faults = faults_of((Given("listener.address", "0.0.0.0:50051", "--listen"),))

    assert "insecure" in faults["listener.address"].description
    assert "--listen" in faults["listener.address"].description


def test_unknown_key_inside_a_list():
    """A key of a list's table that is not known is an error, too."""
    faults = faults_of((Given("tokens", [{"actor": "ci", "secret_file": "a", "readonly": True}], "f.toml"),))

    assert "readonly" in faults["tokens"].description


@pytest.mark.parametrize(
    ("text", "said"),
    [pytest.param(None, "cannot be read", id="missing"), pytest.param("[store", "is not TOML", id="damaged")],
)
def test_file_that_cannot_be_used(tmp_path, text, said):
    """A file that was named and is missing or damaged is an error that names it."""
    path = tmp_path / "service.toml" if text is None else file_with(tmp_path, text)

    with pytest.raises(CoordinatorError, match=said) as caught:
        from_file(path)
    assert caught.value.reason == ErrorReason.ERROR_REASON_FIELD_INVALID


def test_default_file(tmp_path, monkeypatch):
    """Without a name `processing-service.toml` of the working folder is read, if it is there."""
    monkeypatch.chdir(tmp_path)
    assert from_file(None) == ()

    file_with(tmp_path, "drain_grace = 3", "processing-service.toml")
    assert from_file(None) == (Given("drain_grace", 3, "processing-service.toml"),)


def test_every_setting_is_documented():
    """Each field of each settings class has a docstring below it, with the unit."""
    import ast
    import inspect

    from processing_service.config.keys import section_of, typed_fields

    def undocumented(settings):
        body = ast.parse(inspect.getsource(settings)).body[0].body
        for node, following in zip(body, [*body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign):
                told = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
                if not told:
                    yield f"{settings.__name__}.{node.target.id}"
        for _, kind in typed_fields(settings):
            if section_of(kind):
                yield from undocumented(section_of(kind))

    assert list(undocumented(Settings)) == []
