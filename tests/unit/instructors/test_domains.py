import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.model.v1 import model_pb2

from instructors.domains import CONTRACT, Domain, Domains
from processing_service.wire.errors import Code, CoordinatorError


@pytest.fixture(scope="module")
def contract():
    return Domains.of_contract()


def test_every_unary_rpc_of_the_contract_is_an_operation(contract):
    """Each RPC is routable as domain.rpc_in_snake_case, and callable unless it is a stream or the command itself."""
    methods = [(name, method) for name, service in CONTRACT.items() for method in service.methods]
    assert len(contract.operations()) == len(methods)
    for operation in contract.operations():
        assert operation.kind.callable == (operation.unary and operation.rpc != "post_command_execute")
    found = contract.operation("model.get_model")
    assert found.path == "/coordinator.model.v1.ModelService/GetModel"
    assert found.request_class is model_pb2.GetModelRequest
    assert not contract.find("processing.watch_processing_session").callable


def test_idempotency_is_what_the_contract_says(contract):
    """NO_SIDE_EFFECTS and IDEMPOTENT both mean that a call may be repeated."""
    assert contract.find("model.get_model").idempotent
    assert contract.find("processing.put_processing_workflow").idempotent
    assert not contract.find("processing.post_command_execute").idempotent


@pytest.mark.parametrize(
    ("name", "reason", "near"),
    [
        ("model.get_modell", ErrorReason.ERROR_REASON_OPERATION_NOT_FOUND, "model.get_model"),
        ("get_model", ErrorReason.ERROR_REASON_OPERATION_NOT_FOUND, "model.get_model"),
        ("modle.get_model", ErrorReason.ERROR_REASON_DOMAIN_NOT_FOUND, "model"),
    ],
)
def test_an_unknown_operation_is_answered_with_the_nearest(contract, name, reason, near):
    """Who misspells an operation or its domain is told the nearest one."""
    with pytest.raises(CoordinatorError) as caught:
        contract.find(name)
    assert (caught.value.code, caught.value.reason) == (Code.NOT_FOUND, reason)
    assert caught.value.metadata["nearest"] == near


def test_a_giant_name_is_cut(contract):
    """A name of a megabyte does not come back in the message."""
    with pytest.raises(CoordinatorError) as caught:
        contract.find("model." + "x" * 1_000_000)
    assert len(caught.value.message) < 500


def test_legacy_spellings_of_operations_are_found(contract):
    """Pascal and camel case mean the same operation; what means nothing stays as it is."""
    assert contract.spelled("Model.GetModel") == "model.get_model"
    assert contract.spelled("model.getModel") == "model.get_model"
    assert contract.spelled("model.nothing") == "model.nothing"


def test_messages_are_found_by_name(contract):
    """A message type comes from the pool of the domains; an unknown one is answered with the nearest."""
    assert contract.message("coordinator.payload.v1.Tensor").name == "Tensor"
    with pytest.raises(CoordinatorError, match=r"did you mean 'coordinator\.payload\.v1\.Tensor'"):
        contract.message("coordinator.payload.v1.Tensr")


def test_a_domain_is_registered_once(contract):
    """The name of a domain is unique, and snake_case."""
    again = Domains.of_contract()
    with pytest.raises(CoordinatorError, match="registered already"):
        again.add(Domain("model", CONTRACT["model"]))
    with pytest.raises(CoordinatorError, match="not a domain name"):
        Domain("Model", CONTRACT["model"])
