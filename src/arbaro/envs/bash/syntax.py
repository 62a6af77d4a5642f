# SPDX-License-Identifier: Apache-2.0
"""The syntax tree of a shell file, by tree-sitter's grammar of bash; where bash could see another tree, it is refused.

tree-sitter serves editors: it makes a tree of anything. So each byte of the file must belong to a kind of node that is
known here, words must end where bash ends them (lexical.py), and nothing but blanks may stand between them.
"""

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from arbaro.envs.bash import grouping, lexical
from arbaro.envs.bash.values import Refused

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_BLOCKS = (
    "program", "if_statement", "elif_clause", "else_clause", "while_statement", "for_statement", "do_group",
    "case_statement", "case_item", "compound_statement", "list", "pipeline", "function_definition",
    "command_substitution",
)  # fmt: skip
_COMMANDS = (
    "command", "command_name", "declaration_command", "unset_command", "variable_assignments", "test_command",
    "binary_expression", "unary_expression", "negated_command", "redirected_statement", "file_redirect",
)  # fmt: skip
_IN_WORDS = ("variable_assignment", "concatenation")
_LEAVES = ("word", "number", "variable_name", "test_operator", "extglob_pattern", "file_descriptor", "comment")
_NAMED = ("variable_name", "test_operator")
_WORDS = (*lexical.EXACT, "word", "number", "concatenation", "extglob_pattern", "variable_assignment")
STATEMENTS = (
    "if_statement", "while_statement", "for_statement", "case_statement", "compound_statement", "list", "pipeline",
    "function_definition", "command", "declaration_command", "unset_command", "variable_assignments",
    "variable_assignment", "test_command", "negated_command", "redirected_statement",
)  # fmt: skip
#: Between statements; within a command; within a word.
_GAPS = {
    **dict.fromkeys(_BLOCKS, re.compile(rb"(?:[ \t\n]|\\\n)*")),
    **dict.fromkeys(_COMMANDS, re.compile(rb"(?:[ \t]|\\\n)*")),
    **dict.fromkeys(_IN_WORDS, re.compile(rb"")),
}
_WANTS_A_STATEMENT = {"then", "else", "do", "{", "if", "elif", "while", "until", "&&", "||", "|", "!", "$("}
_RESERVED = {
    *("if", "then", "else", "elif", "fi", "case", "esac", "for", "select", "while", "until", "do", "done", "in"),
    *("function", "time", "coproc", "{", "}", "!", "[[", "]]"),
}
#: Signs that are words only if they stand apart.
_APART = ("[", "]", "[[", "]]", "{", "}", "!")
#: What is named in the refusal; everything else is called "this".
_NAMES = {
    "heredoc_redirect": "a here-document", "herestring_redirect": "a here-string", "subshell": "a subshell (…)",
    "array": "an array", "process_substitution": "a process substitution", "c_style_for_statement": "a counting loop",
    "arithmetic_expansion": "arithmetic", "brace_expression": "a brace expansion", "translated_string": 'a text $"…"',
    "subscript": "an array", "parenthesized_expression": "a condition in parentheses", "regex": "a pattern",
    "expansion": "this form of ${…}", "string": "what stands in these quotes", "command_substitution": "this $(…)",
}  # fmt: skip

_MOST_MENDINGS = 100


@cache
def _parser() -> "Parser":
    import tree_sitter
    import tree_sitter_bash

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


def tree(text: str) -> "Node":
    """The tree of a file. Raises Refused with the first line that is not understood for certain."""
    for number, line in enumerate(text.split("\n"), 1):
        _refuse_control_characters(line, number)
    source = text.encode()
    root = _parser().parse(source).root_node
    for _ in range(_MOST_MENDINGS):
        if (mended := _mended(root, source)) is None:
            break
        source, root = mended, _parser().parse(mended).root_node
    if root.has_error:
        raise Refused("from here on this is not complete, or not plain bash", _first_error(root))
    _Check(source).node(root)
    return root


def line_of(node: "Node") -> int:
    """The line in which a node begins."""
    return int(node.start_point[0]) + 1


def text_of(node: "Node") -> str:
    """The text of a node, as the file has it."""
    return (node.text or b"").decode()


def statements(nodes: list["Node"]) -> list["Node"]:
    """Those of the nodes that are statements, not the words between them."""
    return [node for node in nodes if node.type in STATEMENTS]


def walk(node: "Node") -> Iterator["Node"]:
    """A node and all below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def _refuse_control_characters(line: str, number: int) -> None:
    if line.endswith("\r"):
        why = "lines end as on Windows, and bash takes that for a part of the values"
        raise Refused(why, number, mend="sed -i 's/\\r$//'")
    if found := re.search(r"[\x00-\x08\x0b-\x1f\x7f]", line):
        raise Refused(f"there is a control character (\\x{ord(found[0]):02x})", number)
    if number == 1 and line.startswith("\ufeff"):
        why = "the file begins with a byte order mark, and bash takes that for a part of the first word"
        raise Refused(why, number, mend="sed -i '1s/^\\xef\\xbb\\xbf//'")


def _mended(root: "Node", source: bytes) -> bytes | None:
    """The same for bash, without the next of three things that the grammar sees wrongly; None: there is none.

    It joins assignments (`A=1 B=2`) with the command in the next line: a semicolon parts them. It ends a word before a
    quoted blank (`"a"\\ b`): other quotes hold it together. It takes the `~` in `[ -f ~/x ]` for an operator.
    """
    for node in walk(root):
        at = node.start_byte
        if node.type == "unary_expression" and b"HOME" not in source and re.match(rb"[ \t]~/", source[at - 1 : at + 2]):
            return source[:at] + b'"$HOME"' + source[at + 1 :]
        if node.type in _COMMANDS:
            for child, after in pairwise(node.children):
                at = child.end_byte
                if source[at : at + 2] == b"\\ " and after.start_byte > at:
                    return source[:at] + b"' '" + source[at + 2 :]
                runs_on = node.type == "command" and child.type == "variable_assignment"
                if runs_on and re.match(rb"[ \t]*(?:#.*)?\n", source[at:]):
                    return source[:at] + b";" + source[at:]
    return None


def _first_error(root: "Node") -> int:
    wrong = [line_of(node) for node in walk(root) if node.is_error or node.is_missing]
    return min(wrong, default=1)


class _Check:
    """That bash would see the same words and the same commands."""

    def __init__(self, source: bytes) -> None:
        self.source = source

    def node(self, node: "Node") -> None:
        within_word = node.parent is not None and node.parent.type in _IN_WORDS
        if node.type in (*_WORDS, *_NAMED) and not within_word:
            self._bounded(node)
        if not node.is_named:
            self._token(node, within_word)
        elif node.type in lexical.EXACT:
            if not lexical.is_exact(self.source, node):
                raise self._doubt(node)
            self._all(node.children if node.type == "command_substitution" else [])
        elif node.type in _LEAVES and not node.child_count:
            self._leaf(node)
        elif node.type in _GAPS:
            self._gaps(node)
            if node.type in _BLOCKS:
                self._separated(node)
            if node.type in ("for_statement", "case_statement", "case_item", "function_definition"):
                self._in_one_line(node)
            if node.type == "test_command":
                self._condition(node)
            if node.type == "compound_statement" and node.children[0].type != "{":
                raise Refused(_what(node, "arithmetic"), line_of(node))
            self._all(node.children)
        else:
            raise self._doubt(node)

    def _all(self, nodes: list["Node"]) -> None:
        for node in nodes:
            self.node(node)

    def _token(self, node: "Node", within_word: bool) -> None:
        if node.type == "&":
            raise Refused("a command is put into the background", line_of(node))
        if within_word and not (node.type in ("=", "+=") or lexical.is_lone_dollar(self.source, node.start_byte)):
            raise self._doubt(node)
        if node.type == ";;" and not (node.parent is not None and node.parent.type == "case_item"):
            raise self._doubt(node)
        operator = node.parent is not None and node.parent.type == "binary_expression" and node.type[0] in "=!-"
        if not within_word and (operator or node.type.isalpha() or node.type in _APART):
            self._bounded(node)

    def _leaf(self, node: "Node") -> None:
        text = text_of(node)
        if node.type == "comment":
            if self.source[: node.start_byte][-1:] not in (b"", b" ", b"\t", b"\n", b";", b"("):
                raise self._doubt(node)
            return
        reserved = node.parent is not None and node.parent.type == "command_name" and text in _RESERVED
        if blank := re.search(r"[^\S \t\n]", text):
            why = f"a blank (U+{ord(blank[0]):04X}) stands here that bash takes for a part of the word"
            raise Refused(f"{why}; replace it by a plain one", line_of(node))
        if reserved or (node.type != "test_operator" and not lexical.is_plain_word(text)):
            raise self._doubt(node)

    def _gaps(self, node: "Node") -> None:
        whole = node.type == "program"
        ends = [node.start_byte if not whole else 0, *(child.end_byte for child in node.children)]
        starts = [*(child.start_byte for child in node.children), node.end_byte if not whole else len(self.source)]
        for start, end in zip(ends, starts, strict=True):
            if not _GAPS[node.type].fullmatch(self.source, start, end):
                raise Refused(_what(node), self.source.count(b"\n", 0, start) + 1)

    def _separated(self, node: "Node") -> None:
        """Statements stand apart, and none is missing where bash wants one."""
        before: Node | None = None
        for child in (c for c in node.children if c.type != "comment"):
            statement = child.type in STATEMENTS
            if before is None:
                wrong = child.type in (";", "&", ";;", "&&", "||", "|")
            elif before.type in STATEMENTS:
                between = self.source[before.end_byte : child.start_byte].replace(b"\\\n", b"")
                wrong = statement and b"\n" not in between
                wrong = wrong or (child.type in ("then", "fi", "do", "done", "else", "}") and b"\n" not in between)
            else:
                wants = before.type in _WANTS_A_STATEMENT and not (node.type == "case_item" and before.type == "|")
                wrong = wants and not statement
                wrong = wrong or (child.type in (";", "&") and before.type not in _WORDS)
            if wrong:
                raise self._doubt(child)
            before = child
        if before is not None and before.type in _WANTS_A_STATEMENT:
            raise self._doubt(before)

    def _in_one_line(self, node: "Node") -> None:
        """The words of `for` and the patterns of `case` do not go on in the next line."""
        words = node.children_by_field_name("value")
        for before, after in pairwise(node.children):
            head = before.type in ("for", "case", "function", "(", "|") or after.type in (")", "|", "(")
            listed = node.type == "for_statement" and after in words
            between = self.source[before.end_byte : after.start_byte].replace(b"\\\n", b"")
            if (head or listed) and b"\n" in between:
                raise self._doubt(after)

    def _condition(self, node: "Node") -> None:
        """`[ … ]` is a command, whose `<` is a redirection; a fault within `[[ … ]]` ends the file for bash."""
        inner, line = node.children[1:-1], line_of(node)
        if node.children[0].type == "[":
            operators = (found.type for part in inner for found in walk(part) if not found.is_named)
            if any(operator in ("<", ">") for operator in operators):
                raise Refused(_what(node, "a redirection"), line)
        elif node.children[0].type != "[[" or len(inner) != 1 or not grouping.is_double(inner[0]):
            raise Refused(_what(node, "a condition of this form"), line)

    def _bounded(self, node: "Node") -> None:
        if not lexical.is_bounded(self.source, node):
            raise self._doubt(node)

    def _doubt(self, node: "Node") -> Refused:
        return Refused(_what(node), line_of(node))


def _what(node: "Node", name: str = "") -> str:
    return f"{name or _NAMES.get(node.type, 'this')} is not in the part of bash that arbaro evaluates"
