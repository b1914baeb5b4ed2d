"""Templates whose macros are written out where they are called: a call takes as long as all the rest of a text."""

from copy import deepcopy
from typing import Any, TypeVar

import jinja2
from jinja2 import nodes
from jinja2.visitor import NodeTransformer

Part = TypeVar("Part")


class InliningEnvironment(jinja2.Environment):
    """Templates of plain text, in which `{{ _macro(...) }}` has its arguments by position."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        # First what a dict contains. Jinja asks it for an attribute first, which ends in an exception.
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        template = super()._parse(source, name, filename)
        macros = {macro.name: macro for macro in template.find_all(nodes.Macro)}
        for macro in macros.values():
            macro.body = _inlined(macro.body, macros)
        return template


def _inlined(body: list[nodes.Node], macros: dict[str, nodes.Macro]) -> list[nodes.Node]:
    """Return the statements with the macros that they print in the place of the calls."""
    found: list[nodes.Node] = []
    for node in body:
        if isinstance(node, nodes.Output):
            for printed in node.nodes:
                found += _printed(printed, macros)
        else:
            if isinstance(node, nodes.If):
                for branch in (node, *node.elif_):
                    branch.body = _inlined(branch.body, macros)
                node.else_ = _inlined(node.else_, macros)
            found.append(node)
    return found


def _printed(printed: nodes.Expr, macros: dict[str, nodes.Macro]) -> list[nodes.Node]:
    """Return the statements that print what the expression prints."""
    if isinstance(printed, nodes.Call) and isinstance(printed.node, nodes.Name) and printed.node.name in macros:
        macro = macros[printed.node.name]
        names = [name.name for name in macro.args]
        values = dict(zip(reversed(names), reversed(macro.defaults), strict=False))
        values |= dict(zip(names, printed.args, strict=False))
        return _inlined(_filled(macro, values), macros)
    return [nodes.Output([printed], lineno=printed.lineno)]


def _filled(macro: nodes.Macro, values: dict[str, nodes.Expr]) -> list[nodes.Node]:
    """Return the macro's statements with these values in the places of its parameters."""

    def copied(part: Part) -> Part:
        # All nodes refer to the environment.
        return deepcopy(part, {id(macro.environment): macro.environment})

    class Filler(NodeTransformer):
        def visit_Name(self, node: nodes.Name) -> nodes.Node:  # noqa: N802 - as Jinja calls it
            return copied(values[node.name]) if node.name in values else node

    body: list[nodes.Node] = Filler().visit(nodes.Scope(copied(macro.body))).body
    return body
