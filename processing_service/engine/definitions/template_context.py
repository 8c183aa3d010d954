"""What the readers of one message share: where faults go, what bindings may name, and what they did name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from processing_service.engine.definitions.bindings import Binding, Read, binding_text, compile_binding, literal_text
from processing_service.engine.definitions.faults import Faults, join
from processing_service.engine.definitions.paths import ABSENT, Names, Unfit
from processing_service.engine.definitions.templates import openings_of
from processing_service.wire.errors import nearest
from processing_service.wire.naming import spellings_of, words

OnLegacy = Callable[[str, str], None]
"""Called for each legacy spelling, with the full name of the field and the spelling."""

MAX_DEPTH: Final = 24
"""Values inside values, at most: each takes up to three levels of a Struct, and protobuf reads 100."""

_MAX_SHOWN: Final = 64


def ignore_legacy(full_field_name: str, spelling: str) -> None:
    """Counts nothing."""


class TemplateContext:
    """Shared by the readers of one message.

    Args:
        faults: gathers what is wrong.
        names: what bindings may name; None where there are no bindings.
        owner: whose message it is, for messages: `step 'page'`.
        on_legacy: called for each legacy spelling.
    """

    def __init__(
        self, faults: Faults, names: Names | None = None, owner: str = "", on_legacy: OnLegacy = ignore_legacy
    ) -> None:
        self.faults, self.names, self.owner, self._on_legacy = faults, names, owner, on_legacy
        self.warnings: dict[str, None] = {}
        """What callers should rewrite, in order."""
        self.steps: set[str] = set()
        """Steps that bindings name."""
        self.parameters: set[str] = set()
        """Parameters that bindings name."""
        self.openings: list[Read] = []
        """What may read a Datum whose content is wanted."""

    def field(self, descriptor: Descriptor, key: str, path: str) -> FieldDescriptor | None:
        """The field that a key means; None, and a fault, if there is none."""
        spellings = spellings_of(descriptor)
        name = spellings.find(key)
        if not name:
            near = nearest("_".join(words(key[:_MAX_SHOWN])), descriptor.fields_by_name)
            self.faults.add(join(path, key), f"{descriptor.name} has no such field", near)
            return None
        field: FieldDescriptor = descriptor.fields_by_name[name]
        if spellings.is_legacy(key):
            self._on_legacy(field.full_name, key)
            self.warnings[f"{join(path, key)}: a legacy spelling, write {name}"] = None
        return field

    def binding_text(self, value: Any) -> str | None:
        """What stands inside `${...}`; None if the value is no binding."""
        return binding_text(value) if self.names is not None else None

    def literal(self, value: Any, path: str) -> Any:
        """The value, with `$${` at the start of text read; ABSENT, and a fault, for a binding that is not closed."""
        if self.names is None or not isinstance(value, str):
            return value
        try:
            text = literal_text(value)
        except Unfit as fault:
            self.faults.add_unfit(path, fault)
            return ABSENT
        if "${" in text[1:]:
            advice = "`${` inside of text is no binding; join text in one expression, as ${'page ' + parameters.name}"
            self.warnings[f"{path}: {advice}"] = None
        return text

    def compile(self, text: str, path: str, *, opened: bool = False) -> Binding | None:
        """Compiles a binding and notes what it names; None, and a fault, if it cannot be.

        Args:
            opened: True where its value is wanted as bytes or a tensor.
        """
        assert self.names is not None
        if self.faults.full:
            return None
        try:
            binding = compile_binding(text, self.names)
        except Unfit as fault:
            self.faults.add_unfit(path, fault)
            return None
        self.steps |= binding.steps
        self.parameters |= binding.parameters
        self.openings += openings_of(binding, opened)
        return binding
