# SPDX-License-Identifier: Apache-2.0
"""The part of the shell's grammar that openrc files are written in: commands, words, quotes, `$NAME`.

https://pubs.opengroup.org/onlinepubs/9699919799/utilities/V3_chap02.html
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_SEPARATORS = ("\n", ";", ";;", "&", "&&", "|", "||")
_PARAMETER = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::?([-+])([^}]*))?\})")
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", "'": "'", '"': '"'}


class NotPlain(Exception):
    """The text needs a shell to be understood."""

    def __init__(self, why: str, line: int = 0) -> None:
        super().__init__(why)
        self.line = line


@dataclass(frozen=True)
class Command:
    """Raw words, quotes still in them; where it starts; what joins it to the one before (`&&`, `||`, `|` or "")."""

    line: int
    words: tuple[str, ...]
    joint: str = ""


def commands(text: str) -> Iterator[Command]:
    """Split a script into commands. Keywords start a new command."""
    words: list[str] = []
    line = start = 1
    joint = ""
    for token in _tokens(text):
        if token in _SEPARATORS:
            if words:
                yield Command(start, tuple(words), joint)
                words = []
                joint = ""
            joint = token if token in ("&&", "||", "|") else joint
        elif token in ("then", "do", "else") and not words:
            yield Command(line, (token,))
        elif token.strip():
            start = line if not words else start
            words.append(token)
        line += token.count("\n")
    if words:
        yield Command(start, tuple(words), joint)


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        character = text[at]
        if character in "\n;&|":
            double = text[at : at + 2] in ("&&", "||", ";;")
            yield text[at : at + 2] if double else character
            at += 2 if double else 1
        elif text.startswith("\\\n", at):
            # A continued line: only its number counts.
            at += 2
            yield " \n"
        elif character.isspace():
            at += 1
        elif character == "#":
            at = text.find("\n", at) % (len(text) + 1)
        else:
            end = _end_of_word(text, at)
            yield text[at:end]
            at = end


def _end_of_word(text: str, at: int) -> int:
    # In `>&2` the ampersand belongs to the word.
    while at < len(text) and (text[at] not in " \t\r\n;&|" or (text[at] == "&" and text[at - 1] == ">")):
        if text[at] == "\\":
            at += 2
        elif text[at] in "'\"":
            at = _closing(text, at)
        elif text.startswith("$(", at):
            at = _closing_parenthesis(text, at + 2)
        elif text[at] == "`":
            at = text.find("`", at + 1) + 1 or len(text)
        elif text.startswith("${", at):
            at = text.find("}", at) + 1 or len(text)
        else:
            at += 1
    return min(at, len(text))


def _closing(text: str, at: int) -> int:
    quote, start = text[at], at
    at += 1
    while at < len(text) and text[at] != quote:
        at += 2 if quote == '"' and text[at] == "\\" else 1
    if at >= len(text):
        raise NotPlain(f"a quote {quote} is opened and never closed", text.count("\n", 0, start) + 1)
    return at + 1


def _closing_parenthesis(text: str, at: int) -> int:
    depth = 1
    while at < len(text) and depth:
        if text[at] in "'\"":
            at = _closing(text, at)
            continue
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    return at


def expand(raw: str, variables: Mapping[str, str], line: int) -> str:
    """The value that a word stands for: quotes removed, `$NAME` replaced. Raises NotPlain for what must be executed."""
    home = str(Path.home())
    result, at = "", 0
    if raw == "~" or raw.startswith("~/"):
        result, at = home, 1
    while at < len(raw):
        if raw[at] == "'":
            end = raw.index("'", at + 1)
            result, at = result + raw[at + 1 : end], end + 1
        elif raw.startswith("$'", at):
            end = raw.index("'", at + 2)
            result, at = result + _unescape(raw[at + 2 : end]), end + 1
        elif raw[at] == '"':
            end = _closing(raw, at)
            result, at = result + _inside_quotes(raw[at + 1 : end - 1], variables, line), end
        elif raw[at] == "\\":
            result, at = result + raw[at + 1 : at + 2].replace("\n", ""), at + 2
        else:
            end = next((i for i in range(at + 1, len(raw)) if raw[i] in "'\"\\" or raw.startswith("$'", i)), len(raw))
            result, at = result + _parameters(raw[at:end], variables, line), end
    return result


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), text, flags=re.DOTALL)


def _inside_quotes(text: str, variables: Mapping[str, str], line: int) -> str:
    parts = re.split(r"\\([$`\"\\\n])", text)
    # Every second part was escaped, so it means itself; an escaped line end means nothing.
    return "".join(
        part.replace("\n", "") if i % 2 and part == "\n" else part if i % 2 else _parameters(part, variables, line)
        for i, part in enumerate(parts)
    )


def _parameters(text: str, variables: Mapping[str, str], line: int) -> str:
    if "$(" in text or "`" in text:
        raise NotPlain("the output of a command is wanted", line)
    known = {"HOME": str(Path.home()), **variables}

    def value(match: re.Match[str]) -> str:
        found = known.get(match[1] or match[2], "")
        if match[3] == "-":
            return found or match[4]
        return (match[4] if found else "") if match[3] == "+" else found

    result = _PARAMETER.sub(value, text)
    if re.search(r"\$[{@*#?!0-9]", text) and not _PARAMETER.search(text):
        raise NotPlain(f"`{text}` means something only to the shell", line)
    return result
