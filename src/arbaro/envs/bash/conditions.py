# SPDX-License-Identifier: Apache-2.0
"""`[ … ]`, `test …` and `[[ … ]]`: true, false, or None where only the person's shell could decide."""

import re
from typing import TYPE_CHECKING

from arbaro.envs.bash.syntax import line_of, text_of
from arbaro.envs.bash.values import Answer, Refused, Text, Unknown, Value
from arbaro.envs.bash.words import Words

if TYPE_CHECKING:
    from tree_sitter import Node

_BINARY = ("=", "==", "!=", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "<", ">", "=~", "-nt", "-ot", "-ef", "-a", "-o")
#: What starts with a dash and a letter is an operator, or so like one that it is not for us to say.
_UNARY = re.compile(r"-[A-Za-z]")
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,14}")
_COMPARE = {
    "-eq": int.__eq__, "-ne": int.__ne__, "-lt": int.__lt__, "-le": int.__le__, "-gt": int.__gt__, "-ge": int.__ge__,
}  # fmt: skip


def decide(node: "Node", words: Words) -> bool | None:
    """The verdict of `[ … ]` or `[[ … ]]`."""
    if node.children[0].type == "[":
        return of_arguments(_arguments(node.children[1:-1], words))
    return _double(_only(node.children[1:-1]), words)


def of_arguments(terms: list[Value]) -> bool | None:
    """The verdict of `test` with these arguments; their number decides what each of them is."""
    if any(isinstance(term, Unknown) and not _says_something(term) for term in terms):
        return None
    if terms and terms[0] == Text("!") and len(terms) in (2, 3, 4):
        if len(terms) == 3 and _text(terms[1]) in _BINARY:
            return None
        verdict = of_arguments(terms[1:])
        return None if verdict is None else not verdict
    match terms:
        case []:
            return False
        case [value]:
            return _is_there(value)
        case [Text("-z"), value]:
            return _not(_is_there(value))
        case [Text("-n"), value]:
            return _is_there(value)
        case [left, Text(operator), right] if operator in _BINARY:
            return _compare(left, operator, right)
    return None


def _arguments(nodes: list["Node"], words: Words) -> list[Value]:
    """The arguments between the brackets, in their order; how the grammar groups them does not matter."""
    found: list[Value] = []
    for node in nodes:
        if node.type in ("binary_expression", "unary_expression"):
            found += _arguments(node.children, words)
        elif node.type == "test_operator" or not node.is_named:
            found.append(Text(text_of(node)))
        else:
            found += words.fields(node)
    return found


def _double(node: "Node", words: Words) -> bool | None:
    if node.type == "unary_expression":
        unary, operand = text_of(node.children[0]), node.children[-1]
        if unary == "!":
            return _not(_double(operand, words))
        there = _is_there(_operand(operand, words))
        return there if unary == "-n" else _not(there) if unary == "-z" else None
    if node.type != "binary_expression":
        return _is_there(_operand(node, words))
    left, operator, right = node.children
    match text_of(operator):
        case "&&":
            first = _double(left, words)
            second = _double(right, words) if first is not False else False
            return False if first is False or second is False else None if None in (first, second) else True
        case "||":
            first = _double(left, words)
            second = _double(right, words) if first is not True else True
            return True if first is True or second is True else None if None in (first, second) else False
        case "==" | "=" | "!=" as equality if not re.search(r"[*?\[\\]", text_of(right)):
            return _compare(_operand(left, words), equality, _literal(right, words))
    return None


def _operand(node: "Node", words: Words) -> Value:
    if node.type in ("binary_expression", "unary_expression"):
        raise Refused("this condition is not in the part of bash that arbaro evaluates", line_of(node))
    return words.assigned(node)


def _literal(node: "Node", words: Words) -> Value:
    """The right side of `==`, which is a pattern unless it is quoted."""
    value = _operand(node, words)
    if node.type != "string" and isinstance(value, Text) and re.search(r"[*?\[\\(]", value.text):
        return Unknown("a value is used as a pattern", line_of(node))
    return value


def _compare(left: Value, operator: str, right: Value) -> bool | None:
    if operator in ("=", "==", "!="):
        same = _same(left, right)
        return _not(same) if operator == "!=" else same
    one, other = _text(left), _text(right)
    if operator in _COMPARE and _NUMBER.fullmatch(one) and _NUMBER.fullmatch(other):
        return bool(_COMPARE[operator](int(one), int(other)))
    return None


def _same(left: Value, right: Value) -> bool | None:
    left, right = _as_tested(left), _as_tested(right)
    if isinstance(left, Text) and isinstance(right, Text):
        return left == right
    if isinstance(left, Unknown) and isinstance(right, Unknown) and left.name and right.name:
        # A sourced file never has the shell's name.
        return False if {left.name, right.name} == {"$0", "BASH_SOURCE"} else left.name == right.name or None
    if Text("") in (left, right):
        return _not(_is_there(left if right == Text("") else right))
    return None


def _is_there(value: Value) -> bool | None:
    value = _as_tested(value)
    match value:
        case Text(text):
            return bool(text)
        case Answer():
            return True
        case Unknown(name=name) if name:
            return True
    return None


def _as_tested(value: Value) -> Value:
    """What is typed behind the file's name is nothing, as long as it is only asked for."""
    typed = isinstance(value, Unknown) and value.foreign and value.why.startswith(("$1", "$2", "$3", "$4", "$5"))
    return Text("") if typed else value


def _says_something(value: Unknown) -> bool:
    return bool(value.name) or _as_tested(value) == Text("")


def _not(verdict: bool | None) -> bool | None:
    return None if verdict is None else not verdict


def _text(value: Value) -> str:
    return value.text if isinstance(value, Text) else ""


def _only(nodes: list["Node"]) -> "Node":
    if len(nodes) != 1:
        raise Refused(
            "this condition is not in the part of bash that arbaro evaluates", line_of(nodes[0]) if nodes else 0
        )
    return nodes[0]
