# SPDX-License-Identifier: Apache-2.0
"""What only a shell can decide to run: it may print, and what it may set is not known afterwards."""

import re
from typing import TYPE_CHECKING

from arbaro.envs.bash.builtins import DECLARATIONS, HARMLESS, is_harmless_redirection
from arbaro.envs.bash.scope import Scope
from arbaro.envs.bash.syntax import line_of, text_of
from arbaro.envs.bash.values import Refused

if TYPE_CHECKING:
    from tree_sitter import Node

_WHY = "it is set under a condition that only a shell can decide"


def pass_over(node: "Node", scope: Scope, line: int, *, alone: bool = False) -> None:
    """Forget the values of all variables that this may set. Raises Refused for what could do more than set some.

    `alone`: it runs in a shell of its own, so that it sets nothing here.
    """
    match node.type:
        case "command":
            _command(node, scope, line, alone)
        case "declaration_command" | "unset_command":
            _declaration(node, scope, line, alone)
        case "variable_assignment":
            _blur(text_of(node.children[0]), scope, line, alone)
        case "function_definition":
            raise Refused("a function is defined under a condition that only a shell can decide", line_of(node))
        case "file_redirect" if not is_harmless_redirection(node):
            raise Refused("this reads from or writes to a file", line_of(node))
        case "for_statement" | "while_statement":
            raise Refused("only a shell can decide how often this loop goes round", line_of(node))
        case "expansion":
            if re.search(rb"[=?]", node.text or b""):
                raise Refused(
                    "${NAME=…} or ${NAME?…} stands under a condition that only a shell can decide", line_of(node)
                )
        case "command_substitution":
            return
    for child in node.children:
        pass_over(child, scope, line, alone=alone)


def _command(node: "Node", scope: Scope, line: int, alone: bool) -> None:
    name = next((text_of(child) for child in node.children if child.type == "command_name"), "")
    if name == "read":
        raise Refused("only a shell can decide whether this is asked", line_of(node))
    if name in ("break", "continue", "return", "exit"):
        raise Refused(f"only a shell can decide whether `{name}` is reached", line_of(node))
    if name not in HARMLESS or scope.is_function(name) or not _only_prints(name, node):
        raise Refused(f"`{name}` would have to be executed", line_of(node))


def _only_prints(name: str, node: "Node") -> bool:
    """`printf -v` sets a variable, and `command` runs one, if not for `-v`."""
    first = next((text_of(argument) for argument in node.children_by_field_name("argument")), "")
    if name == "command":
        return first in ("-v", "-V")
    return name != "printf" or re.match(r"""["'][^-"'$`]|[^-"'$`\\]""", first) is not None


def _declaration(node: "Node", scope: Scope, line: int, alone: bool) -> None:
    for child in node.children[1:]:
        if child.type == "variable_assignment":
            continue
        if child.type != "variable_name":
            raise Refused("only a shell knows what this sets", line_of(node))
        _blur(text_of(child), scope, line, alone)
    if node.children[0].type not in (*DECLARATIONS, "unset") or node.children[0].type == "readonly":
        raise Refused("only a shell knows what this sets", line_of(node))


def _blur(name: str, scope: Scope, line: int, alone: bool) -> None:
    if not alone:
        scope.blur(name, _WHY, line)
