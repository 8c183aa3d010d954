"""The tree of a checked expression, as the library serialises it: an Any that holds a cel.expr.CheckedExpr.

The library has no Python classes for it, so the part that is read here is declared here.
Source of the numbers: https://github.com/google/cel-spec, proto/cel/expr/checked.proto and syntax.proto.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, text_format
from google.protobuf.message_factory import GetMessageClass

_MESSAGES: Final = {
    "CheckedExpr": "2*reference_map:Reference 3*type_map:TypeOf 4 expr:Expr",
    "Reference": "1 key:int64 2 value:Referred",
    "Referred": "1 name:string 3*overload_id:string",
    "TypeOf": "1 key:int64 2 value:Type",
    "Type": "2 null:int32 3 primitive:int32 5 well_known:int32",
    "Expr": "2 id:int64 3 const_expr:Constant 4 ident_expr:Ident 5 select_expr:Select 6 call_expr:Call 7 list_expr:List"
    " 8 struct_expr:Struct 9 comprehension_expr:Comprehension",
    "Constant": "6 string_value:string 7 bytes_value:bytes",
    "Ident": "1 name:string",
    "Select": "1 operand:Expr 2 field:string 3 test_only:bool",
    "Call": "1 target:Expr 2 function:string 3*args:Expr",
    "List": "1*elements:Expr",
    "Struct": "2*entries:Entry",
    "Entry": "3 map_key:Expr 4 value:Expr",
    "Comprehension": "1 iter_var:string 8 iter_var2:string 2 iter_range:Expr 3 accu_var:string 4 accu_init:Expr"
    " 5 loop_condition:Expr 6 loop_step:Expr 7 result:Expr",
}
"""Fields by message: number, `*` if it is repeated, name, type."""
_SCALARS: Final = frozenset({"int64", "int32", "string", "bytes", "bool"})
_PACKAGE: Final = "cel.expr"


def read_tree(serialised: bytes) -> Any:
    """The CheckedExpr of a compiled expression: `expr`, and by id of its nodes `reference_map` and `type_map`."""
    return _checked().FromString(any_pb2.Any.FromString(serialised).value)


@lru_cache(maxsize=1)
def _checked() -> Any:
    text = f'name: "checked.proto" package: "{_PACKAGE}" '
    text += " ".join(f'message_type {{ name: "{name}" {_fields(fields)} }}' for name, fields in _MESSAGES.items())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(text, descriptor_pb2.FileDescriptorProto()))
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.CheckedExpr"))


def _fields(written: str) -> str:
    """Fields in the text format of descriptors."""
    fields = []
    for number, field in zip(*[iter(written.replace("*", " *").split())] * 2, strict=True):
        name, _, kind = field.removeprefix("*").partition(":")
        label = "LABEL_REPEATED" if field.startswith("*") else "LABEL_OPTIONAL"
        form = f"type: TYPE_{kind.upper()}" if kind in _SCALARS else f'type_name: ".{_PACKAGE}.{kind}"'
        fields.append(f'field {{ name: "{name}" number: {number} label: {label} {form} }}')
    return " ".join(fields)
