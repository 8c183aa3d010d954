"""What is served now is what was published last, tenant by tenant."""

from __future__ import annotations

import json

from processing_service.engine.definitions import parse_definition
from processing_service.engine.interfaces.publication import publish
from processing_service.engine.managers.interfaces import Interfaces
from processing_service.engine.store.base import NEVER, Published
from tests.unit.engine.definitions.catalog import Catalog


def published(workflow_id: str, *names: str, before: Published = NEVER) -> Published:
    step = {"step_id": "say", "operation": "postprocessing.post_postprocessing_execute", "parameters": {"echo": {}}}
    parameters = {name: {"value_type": "STRING", "optional": True} for name in names}
    source = json.dumps({"workflow_id": workflow_id, "steps": [step], "parameters": parameters})
    return publish(parse_definition(source, Catalog())[0], before, None).published


def names(interfaces: Interfaces, tenant: str, service: str) -> list[str]:
    found = interfaces.find(tenant, service)
    assert found is not None
    return [field.name for field in found.request_class.DESCRIPTOR.fields][1:]


def test_each_tenant_has_its_own() -> None:
    """Of one name; it is gone when the last of them lets go of it."""
    interfaces = Interfaces()
    interfaces.keep("one", "greet", published("greet", "a"))
    interfaces.keep("two", "greet", published("greet", "b"))
    found = [names(interfaces, tenant, "GreetService") for tenant in ("one", "two")]
    interfaces.drop("one", "greet")
    left = interfaces.is_served("GreetService")
    interfaces.keep("two", "greet", NEVER)

    assert found == [["a"], ["b"]]
    assert (left, interfaces.is_served("GreetService"), interfaces.services("two")) == (True, False, [])


def test_a_new_revision_replaces_the_one_that_was_opened() -> None:
    """At once."""
    interfaces = Interfaces()
    first = published("greet", "a")
    interfaces.keep("", "greet", first)
    before = names(interfaces, "", "GreetService")
    interfaces.keep("", "greet", published("greet", "a", "b", before=first))

    assert (before, names(interfaces, "", "GreetService")) == (["a"], ["a", "b"])


def test_pools_that_were_let_go_of_are_made_anew() -> None:
    """Only so many are kept; the others are as good when they are called."""
    interfaces = Interfaces(opened=2)
    for workflow_id in ("aa", "bb", "cc"):
        interfaces.keep("", workflow_id, published(workflow_id, workflow_id))
    first = interfaces.find("", "AaService")
    found = [names(interfaces, "", service) for service in ("AaService", "BbService", "CcService", "AaService")]

    assert found == [["aa"], ["bb"], ["cc"], ["aa"]]
    assert interfaces.find("", "AaService") is not first


def test_a_file_is_found_by_its_name() -> None:
    """In the services of the tenant alone."""
    interfaces = Interfaces()
    interfaces.keep("one", "read-text", published("read-text"))
    path = "coordinator/workflows/v1/read_text_service.proto"
    found = interfaces.with_file("one", path)

    assert found is not None
    assert found.file.name == path
    assert interfaces.with_file("two", path) is None
