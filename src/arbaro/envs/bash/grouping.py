# SPDX-License-Identifier: Apache-2.0
"""The grammar within `[[ … ]]`, as bash has it: what it takes for a fault ends the whole file.

https://www.gnu.org/software/bash/manual/html_node/Conditional-Constructs.html
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

_UNARY = re.compile(r"-[a-hknoprstuvwxzGLNORS]")
_BINARY = ("=", "==", "!=", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef")
_EXPRESSIONS = ("unary_expression", "binary_expression")


def is_double(node: "Node") -> bool:
    """Say whether bash would take this for one condition, and group it like the tree: `!`, then `&&`, then `||`."""
    if node.type == "unary_expression":
        operator, operand = _text(node.children[0]), node.children[-1]
        if operator == "!":
            return not _joins(operand) and is_double(operand)
        return _UNARY.fullmatch(operator) is not None and _is_word(operand)
    if node.type != "binary_expression":
        return _is_word(node)
    if len(node.children) != 3:
        return False
    left, operator, right = node.children[0], _text(node.children[1]), node.children[2]
    if operator == "&&":
        return not {_joins(left), _joins(right)} & {"||"} and is_double(left) and is_double(right)
    if operator == "||":
        return is_double(left) and is_double(right)
    return operator in _BINARY and _is_word(left) and _is_word(right)


def _joins(node: "Node") -> str:
    """The operator that joins the two conditions of a node, if it is that."""
    joined = node.type == "binary_expression" and _text(node.children[1])
    return joined if joined in ("&&", "||") else ""


def _is_word(node: "Node") -> bool:
    """Say whether this is a word, and not so like an operator that bash may take it for one."""
    return node.is_named and node.type not in (*_EXPRESSIONS, "test_operator") and not _UNARY.match(_text(node))


def _text(node: "Node") -> str:
    return (node.text or b"").decode()
