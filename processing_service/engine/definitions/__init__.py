"""Workflow definitions: read, checked, normalised and compiled; bindings evaluated.

source    text with positions          text      canonical text and digest
checks, faults, parameter_checks       every fault is gathered before anything is refused
kinds, paths, references, expressions  what a binding says, and of which type it is
bindings, templates, parameters, outputs, values, literals   from values to messages and back
compiler  from a message or text to a Definition             compiled  what sessions run
"""

from processing_service.engine.definitions.compiled import CompiledStep, Definition
from processing_service.engine.definitions.compiler import compile_definition, parse_definition
from processing_service.engine.definitions.text import digest, to_source

__all__ = ["CompiledStep", "Definition", "compile_definition", "digest", "parse_definition", "to_source"]
