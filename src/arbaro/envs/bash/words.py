# SPDX-License-Identifier: Apache-2.0
"""What a word stands for: quotes removed, variables replaced. What only a shell would know is Unknown, not guessed.

https://www.gnu.org/software/bash/manual/html_node/Shell-Expansions.html
"""

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from arbaro.envs.bash import ansi, lexical, patterns
from arbaro.envs.bash.scope import Scope
from arbaro.envs.bash.syntax import line_of, walk
from arbaro.envs.bash.values import Answer, Refused, Text, Unknown, Value, joined

if TYPE_CHECKING:
    from tree_sitter import Node

_HOME = "`~` is your own home directory"
BRACES = "braces outside of quotes may mean several words"
_SPECIAL = {
    "$": "`$$` is the number of the shell's process", "?": "`$?` is how the last command ended",
    "!": "`$!` is the number of a process", "-": "`$-` are the shell's options", "_": "`$_` is the last word before",
    "@": "`$@` is what is typed behind the file's name", "*": "`$*` is what is typed behind the file's name",
    "#": "`$#` is how much is typed behind the file's name",
}  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """A part of a word. `literal`: it stands so in the file, outside of quotes; `quoted`: it is not split."""

    value: Value
    quoted: bool
    literal: bool = False
    source: bytes = b""


class Words:
    """The expansion of words in one scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def assigned(self, node: "Node", *, argument: bool = False) -> Value:
        """The value in `NAME=word`; `argument`: as an argument of export or declare."""
        pieces = self.pieces(node)
        for piece in pieces:
            if piece.literal and re.search(rb"(?:^|[:=])~", _before(node, piece, pieces) + piece.source):
                return Unknown(_HOME, line_of(node))
            if piece.literal and argument and b"{" in piece.source:
                return Unknown(BRACES, line_of(node))
        return joined([piece.value for piece in pieces], line_of(node))

    def fields(self, node: "Node") -> list[Value]:
        """The arguments that a word becomes: one, or none if it is an empty variable without quotes."""
        pieces = self.pieces(node)
        if not any(piece.quoted or piece.value != Text("") for piece in pieces):
            return []
        for piece in pieces:
            if not piece.quoted and (why := _may_be_several(piece)):
                return [Unknown(why, line_of(node), several=True)]
        field = joined([piece.value for piece in pieces], line_of(node))
        if isinstance(field, Unknown) and any(isinstance(p.value, Unknown) and not p.quoted for p in pieces):
            return [replace(field, several=True)]
        return [field]

    def pieces(self, node: "Node") -> list[Piece]:
        """The parts of a word, one after another."""
        match node.type:
            case "concatenation":
                return [piece for child in node.children for piece in self.pieces(child)]
            case "raw_string":
                return [Piece(Text(_text(node)[1:-1]), True)]
            case "ansi_c_string":
                return [Piece(ansi.unescaped(_bytes(node)[2:-1], line_of(node)), True)]
            case "string":
                return [Piece(self._string(node), True)]
            case "simple_expansion":
                return [Piece(self._simple(node), False)]
            case "expansion":
                return [self._braces(node, quoted=False)]
            case "command_substitution":
                _refuse_questions(node)
                return [Piece(Unknown("the output of a command is wanted", line_of(node)), False)]
        return list(_literals(_bytes(node)))

    def _string(self, node: "Node") -> Value:
        parts: list[Value] = []
        at = node.start_byte + 1
        for inner in lexical.expansions(node):
            parts += [_in_quotes(node, at, inner.start_byte), self._value(inner, quoted=True)]
            at = inner.end_byte
        return joined([*parts, _in_quotes(node, at, node.end_byte - 1)], line_of(node))

    def _value(self, node: "Node", *, quoted: bool) -> Value:
        if node.type == "expansion":
            return self._braces(node, quoted=quoted).value
        return joined([piece.value for piece in self.pieces(node)], line_of(node))

    def _simple(self, node: "Node") -> Value:
        name = _text(node)[1:]
        if name in _SPECIAL:
            return Unknown(_SPECIAL[name], line_of(node))
        return self.scope.look_up(name, line_of(node)) or Text("")

    def _braces(self, node: "Node", *, quoted: bool) -> Piece:
        text = _bytes(node)
        head = lexical.HEAD.match(text)
        if text == b"${BASH_SOURCE[0]}":
            return Piece(Unknown("`$BASH_SOURCE` is the file's own name", line_of(node), name="BASH_SOURCE"), quoted)
        if head is None:
            return Piece(Unknown("this form of ${…} is not worked out", line_of(node)), quoted)
        name, operator = head[1].decode(), (head[2] or b"").decode()
        value = self.scope.look_up(name, line_of(node))
        result = self._operated(node, name, operator, value, head.end(), quoted=quoted)
        if b'"' in text or b"'" in text:
            # An empty text in quotes is an argument; whether this one came out of the quotes is not followed.
            result = result if quoted or result != Text("") else Unknown("it is empty, in quotes or not", line_of(node))
        return Piece(result, quoted)

    def _operated(self, node: "Node", name: str, operator: str, value: Value | None, at: int, *, quoted: bool) -> Value:
        line = line_of(node)
        if not operator:
            return value or Text("")
        if operator[-1] in "#%":
            if isinstance(value, Answer):
                return Unknown("the value is put together from an answer", line)
            if isinstance(value, Unknown):
                return Unknown(value.why, value.line)
            if value is None:
                return Text("")
            return patterns.cut(operator, value.text, self.pattern(node, at), line)
        missing = self._is_missing(name, value, operator)
        if operator[-1] == "?" and missing is not False:
            raise Refused(f"bash would stop here, because ${name} is not set", line)
        if missing is None:
            assert isinstance(value, Unknown)
            return value
        if operator[-1] == "+":
            return Text("") if missing else self._body(node, at, quoted=quoted)
        if not missing:
            return value or Text("")
        default = self._body(node, at, quoted=quoted)
        if operator[-1] == "=":
            self.scope.assign(name, default, line)
        return default

    def _is_missing(self, name: str, value: Value | None, operator: str) -> bool | None:
        """Say whether the default counts; None: only the person's shell knows."""
        if isinstance(value, Unknown):
            believed = value.foreign and self.scope.has_default(name) and operator[-1] in "-="
            return True if believed else False if value.name else None
        return value is None or (":" in operator and value == Text(""))

    def _body(self, node: "Node", at: int, *, quoted: bool) -> Value:
        parts: list[Value] = []
        for piece in self._body_pieces(node, at, quoted=quoted):
            if piece.literal and re.search(rb"(?:^|[:=])~", piece.source):
                return Unknown(_HOME, line_of(node))
            parts.append(piece.value)
        return joined(parts, line_of(node))

    def pattern(self, node: "Node", at: int) -> list[Piece]:
        """The pattern in `${NAME%pattern}`."""
        return self._body_pieces(node, at, quoted=False)

    def _body_pieces(self, node: "Node", at: int, *, quoted: bool) -> list[Piece]:
        text, pieces = _bytes(node), []
        for inner in lexical.expansions(node):
            pieces += _literals(text[at : inner.start_byte - node.start_byte])
            pieces.append(
                Piece(self._value(inner, quoted=quoted), inner.type in ("string", "raw_string", "ansi_c_string"))
            )
            at = inner.end_byte - node.start_byte
        return [*pieces, *_literals(text[at:-1])]


def _refuse_questions(node: "Node") -> None:
    """What is asked in a shell of its own is asked, but nobody here sees its answer."""
    commands = [found for found in walk(node) if found.type == "command"]
    if any(re.match(rb"(?:[A-Za-z_]+=\S* *)*read\b|cat$", _bytes(command)) for command in commands):
        raise Refused("a question is asked within $(…)", line_of(node))


def _literals(source: bytes) -> list[Piece]:
    """Text outside of quotes; what a backslash quotes stands apart."""
    pieces = []
    for part in re.findall(rb"\\[\x00-\x7f]|\\[\xc0-\xff][\x80-\xbf]+|[^\\]+", source):
        if part == b"\\\n":
            continue
        quoted = part[:1] == b"\\"
        pieces.append(Piece(Text((part[1:] if quoted else part).decode()), quoted, not quoted, part))
    return pieces


def _before(node: "Node", piece: Piece, pieces: list[Piece]) -> bytes:
    """What stands directly before a literal piece, if it is literal too."""
    at = next(i for i, found in enumerate(pieces) if found is piece)
    return b"" if at == 0 else pieces[at - 1].source[-1:] or b"."


def _in_quotes(node: "Node", start: int, end: int) -> Value:
    raw = _bytes(node)[start - node.start_byte : end - node.start_byte]
    return Text(re.sub(rb'\\([$`"\\\n])', lambda m: m[1].strip(b"\n"), raw).decode())


def _may_be_several(piece: Piece) -> str:
    """Why a part without quotes may become another number of words, if it may."""
    if piece.literal:
        if re.search(rb"[*?\[{]", piece.source):
            return "a pattern outside of quotes may mean files"
        return _HOME if re.search(rb"(?:^|[:=])~", piece.source) else ""
    match piece.value:
        case Text(text):
            return "its value, outside of quotes, may be split" if re.search(r"[\s*?\[\\]", text) else ""
        case Answer():
            return "an answer, outside of quotes, may be split"
    return ""


def _bytes(node: "Node") -> bytes:
    return node.text or b""


def _text(node: "Node") -> str:
    return _bytes(node).decode()
