# SPDX-License-Identifier: Apache-2.0
"""Where bash's words begin and end, judged by the bytes themselves: nodes of the grammar are believed if they agree.

https://www.gnu.org/software/bash/manual/html_node/Quoting.html
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

#: Kinds of nodes whose bytes are looked at here.
EXACT = ("string", "raw_string", "ansi_c_string", "simple_expansion", "expansion", "command_substitution")
_METACHARACTERS = b" \t\n;&|()<>"
#: A dollar sign that bash leaves alone.
_DOLLAR = rb"\$(?![A-Za-z0-9_{(\[@*#?!$'\"-]|\\\n)"
_WORD = re.compile(r"""(?:[^\s\\"'`$(){}<>|;&]|\\[^\n]|\\\n|[{}])*""")
_QUOTED = re.compile(rb'(?:[^"\\`$]|\\.|\$(?![A-Za-z0-9_{(\[@*#?!$-]|\\\n))*', re.DOTALL)
_IN_BRACES = re.compile(rb"""(?:[^"'\\`$(){}<>|;&\n]|\\[^\n]|""" + _DOLLAR + rb")*")
_RAW = re.compile(rb"'[^']*'")
_ANSI = re.compile(rb"\$'(?:[^'\\]|\\.)*'", re.DOTALL)
_SIMPLE = re.compile(rb"\$(?:[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-])")
HEAD = re.compile(rb"\$\{([A-Za-z_][A-Za-z0-9_]*|[0-9])(?:(:?[-+=?]|##?|%%?)|(?=\}))")
#: Further forms, without a place where something could hide; their value is not worked out.
_OTHER = re.compile(
    rb"\$\{(?:#?[A-Za-z_][A-Za-z0-9_]*(?:\[[0-9@*]\])?|[A-Za-z_][A-Za-z0-9_]*(?::(?:0|[1-9][0-9]*)){1,2}"
    rb"|[A-Za-z_][A-Za-z0-9_]*(?:\^\^?|,,?)|[A-Za-z_][A-Za-z0-9_]*//?[A-Za-z0-9_.:@-]+/[A-Za-z0-9_.:@-]*|!OS_[*@]|[#@*?$!-])\}"
)
_BACKTICKS = re.compile(rb"""`(?:[^`#\\'"<$()]|\$[A-Za-z_@#?*]|'[^'\\`]*'|"[^"\\`$]*")*`""")


def is_bounded(source: bytes, node: "Node") -> bool:
    """Say whether a word stands alone in these bytes; a continued line ends none."""
    start, end = node.start_byte, node.end_byte
    first, last = _within_backticks(source, node)
    while source[max(start - 2, 0) : start] == b"\\\n":
        start -= 2
    while source[end : end + 2] == b"\\\n":
        end += 2
    begins = start == first or source[start - 1] in _METACHARACTERS
    return begins and (end == last or source[end] in _METACHARACTERS)


def _within_backticks(source: bytes, node: "Node") -> tuple[int, int]:
    """Where the text begins and ends in which a node stands: the file's, or that between two backticks."""
    around = node.parent
    while around is not None and around.type != "command_substitution":
        around = around.parent
    if around is None or source[around.start_byte : around.start_byte + 1] != b"`":
        return 0, len(source)
    return around.start_byte + 1, around.end_byte - 1


def is_lone_dollar(source: bytes, at: int) -> bool:
    """Say whether a dollar sign stands here that bash leaves alone."""
    return re.compile(_DOLLAR).match(source, at) is not None


def is_plain_word(text: str) -> bool:
    """Say whether this is a part of one word without quotes and expansions. Backslashes may quote single characters."""
    return _WORD.fullmatch(text) is not None


def is_exact(source: bytes, node: "Node", *, quoted: bool = False) -> bool:
    """Say whether bash would see exactly this node here; `quoted`: it stands within double quotes."""
    text = source[node.start_byte : node.end_byte]
    match node.type:
        case "raw_string":
            return not quoted and _RAW.fullmatch(text) is not None
        case "ansi_c_string":
            return not quoted and _ANSI.fullmatch(text) is not None
        case "string":
            return _is_string(source, node)
        case "simple_expansion":
            after = source[node.end_byte : node.end_byte + 2]
            name = text[1:2].isalpha() or text[1:2] == b"_"
            # A name goes on in a continued line. After `$$`, bash looks for the end of what a bracket begins.
            goes_on = rb"\w|\\\n" if name else rb"[{(\[]"
            return _SIMPLE.fullmatch(text) is not None and not re.match(goes_on, after)
        case "command_substitution":
            return _BACKTICKS.fullmatch(text) is not None or _is_substitution(text)
        case "expansion":
            return _is_expansion(source, node, quoted)
    return False


def _is_substitution(text: bytes) -> bool:
    """Say whether `$(` is closed by the last byte and by none before; what makes that hard to tell is not exact."""
    if text[:2] != b"$(" or text[:3] == b"$((" or re.search(rb"[\\`]|<<|(?:^|[\s;(])(?:#|case\b)|\$\(\(", text):
        return False
    closers, at = [b")"], 2
    while closers and at < len(text):
        here, at = text[at : at + 1], at + 1
        if here == closers[-1]:
            closers.pop()
        elif here == b"$" and text[at : at + 1] == b"(":
            closers.append(b")")
            at += 1
        elif here == b'"':
            closers.append(b'"')
        elif closers[-1] == b")" and here == b"'":
            at = text.find(b"'", at) + 1 or len(text) + 1
        elif closers[-1] == b")" and here == b"(":
            return False
    return not closers and at == len(text)


def _is_string(source: bytes, node: "Node") -> bool:
    inner = expansions(node)
    start, end = node.start_byte, node.end_byte
    if end - start < 2 or source[start : start + 1] != b'"' or source[end - 1 : end] != b'"':
        return False
    return _fits(_QUOTED, source, start + 1, end - 1, inner) and all(is_exact(source, n, quoted=True) for n in inner)


def _is_expansion(source: bytes, node: "Node", quoted: bool) -> bool:
    text = source[node.start_byte : node.end_byte]
    if _OTHER.fullmatch(text):
        return True
    head = HEAD.match(text)
    if not head or not text.endswith(b"}"):
        return False
    inner = expansions(node)
    if any(n.start_byte < node.start_byte + head.end() for n in inner):
        return False
    body = (node.start_byte + head.end(), node.end_byte - 1)
    if quoted and (b"'" in text or b"\\" in text):
        # Within double quotes both mean something else, and not the same in each kind of expansion.
        return False
    return _fits(_IN_BRACES, source, *body, inner) and all(is_exact(source, n, quoted=quoted) for n in inner)


def expansions(node: "Node") -> list["Node"]:
    """The quoted parts and expansions directly within a word, a string or `${…}`, in their order."""
    found: list[Node] = []
    for child in node.children:
        if child.type in EXACT:
            found.append(child)
        elif child.type in ("concatenation", "string_content", "regex"):
            found += expansions(child)
        elif child.type in ("arithmetic_expansion", "translated_string", "process_substitution", "array", "subscript"):
            # Nothing of the kind is exact; it is given back, so that it is seen.
            found.append(child)
    return found


def _fits(pattern: "re.Pattern[bytes]", source: bytes, start: int, end: int, inner: list["Node"]) -> bool:
    """Say whether all between the inner nodes is plain."""
    for node in inner:
        if not pattern.fullmatch(source, start, node.start_byte):
            return False
        start = node.end_byte
    return pattern.fullmatch(source, start, end) is not None
