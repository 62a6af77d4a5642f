# SPDX-License-Identifier: Apache-2.0
"""Openrc files, read without being executed: what would be in the environment after sourcing one.

Known are assignments, export, unset, `read` (the value is asked for), tests on variables (`if [ -z "$X" ]`), and what
only prints. Anything else that touches an OS_ variable is refused with its line, so that nothing is guessed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from arbaro.envs.shellwords import Command, NotPlain, commands, expand
from arbaro.errors import ArbaroError

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: What prints, or only concerns the shell; whatever their arguments are, no variable changes.
_HARMLESS = {"echo", "printf", "true", ":", "set", "shift", "stty", "trap", "alias", "unalias", "return", "exit", "cd"}
#: Loops that wipe the environment first (kolla, packstack, Horizon's for v2); sourcing starts from nothing here anyway.
_TESTS = ("[", "[[", "test")
_BLOCKS = {"if": "fi", "for": "done", "while": "done", "until": "done", "case": "esac"}


@dataclass
class Openrc:
    """What sourcing a file would leave behind. `asked`: variables whose value the file asks the person for."""

    exported: dict[str, str] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> Openrc:
    """Read an openrc file. Raises ArbaroError with file and line where only executing it would tell."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ArbaroError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}.") from error
    return parse(text, str(path))


def parse(text: str, where: str) -> Openrc:
    """Read an openrc's text; `where` is named in errors."""
    return _Reader(where).run(text)


class _Reader:
    def __init__(self, where: str) -> None:
        self.where = where
        self.line = 0
        self.variables: dict[str, str] = {}
        self.exports: dict[str, None] = {}
        #: Variable → what the person is asked with; `$VAR` copies of it are asked for, too.
        self.asked: dict[str, str] = {}
        self.prompt = ""
        #: How the last command ended, for `&&` and `||`; None: only the shell can tell.
        self.verdict: bool | None = True

    def run(self, text: str) -> Openrc:
        try:
            self._block(iter(commands(text)), end="")
        except NotPlain as error:
            raise self._refuse(str(error), error.line or self.line) from error
        exported = {name: self.variables[name] for name in self.exports if name in self.variables}
        asked = {name: self.asked[name] for name in self.exports if name in self.asked}
        return Openrc(exported, asked)

    def _block(self, lines: Iterator[Command], end: str, *, alive: bool = True) -> None:
        """Go through commands up to the word that ends this block; one that is not `alive` is only passed over."""
        taken = alive
        for command in lines:
            self.line, words = command.line, list(command.words)
            first = words[0]
            if first == end:
                return
            if first in _BLOCKS:
                self._compound(first, words, lines, alive=alive)
            elif first == "then" or first == "do":
                self._rest(words, alive)
            elif first == "else" and end == "fi":
                alive = not taken
                self._rest(words, alive)
            elif alive and self._is_reached(command):
                self._command(words)
        if end:
            raise self._refuse(f"the end of the file comes before `{end}`", self.line)

    def _is_reached(self, command: Command) -> bool:
        """Decide what `&&` and `||` skip. Raises NotPlain where a variable that we want depends on the undecided."""
        if command.joint in ("", "|"):
            return True
        if self.verdict is None and any(re.match(r"OS_\w*=", word) for word in command.words):
            raise NotPlain("an OS_ variable is set under a condition that only the shell can decide", self.line)
        return self.verdict is (command.joint == "&&")

    def _rest(self, words: list[str], alive: bool) -> None:
        if alive and words[1:]:
            self._command(words[1:])

    def _compound(self, first: str, words: list[str], lines: Iterator[Command], *, alive: bool) -> None:
        end = _BLOCKS[first]
        verdict = self._test(words[1:]) if first == "if" and alive else None
        if verdict is None:
            # What the block would do cannot be known. It may print; it must not set anything that we want.
            self._pass_over(lines, end)
        else:
            self._block(lines, end, alive=verdict)

    def _pass_over(self, lines: Iterator[Command], end: str) -> None:
        for command in lines:
            self.line, words = command.line, command.words
            if words[0] == end:
                return
            if words[0] in _BLOCKS:
                self._pass_over(lines, _BLOCKS[words[0]])
            elif any(re.match(r"OS_\w*=", word) for word in words):
                raise NotPlain("an OS_ variable is set under a condition that only the shell can decide", self.line)

    def _test(self, words: list[str]) -> bool | None:
        """Decide `[ -z "$X" ]` and the like; None where it is none of these."""
        if words[0] not in _TESTS:
            return None
        try:
            terms = [self._expand(word) for word in words[1:] if word not in ("]", "]]")]
        except NotPlain:
            return None
        match terms:
            case ["-z", value]:
                return not value
            case ["-n", value] | [value]:
                return bool(value)
            case [left, "=" | "==", right]:
                return left == right
            case [left, "!=", right]:
                return left != right
        return None

    def _command(self, words: list[str]) -> None:
        name, rest = words[0], words[1:]
        if name in _TESTS:
            self.verdict = self._test(words)
            return
        self.verdict = True
        if _ASSIGNMENT.fullmatch(name):
            for word in words:
                self._assign(word)
        elif name in ("export", "declare", "typeset", "local"):
            self._export(name, rest)
        elif name == "unset":
            for word in rest:
                self._forget(word)
        elif name == "read":
            self._read(rest)
        elif name in ("echo", "printf"):
            self.prompt = " ".join(rest).strip("'\"")
        elif name not in _HARMLESS:
            raise NotPlain(f"`{name}` would have to be executed", self.line)

    def _export(self, name: str, words: list[str]) -> None:
        exports = name == "export" or any(w.startswith("-") and "x" in w for w in words)
        for word in words:
            if word.startswith("-"):
                continue
            if "=" in word:
                self._assign(word)
            if exports:
                self.exports[word.partition("=")[0]] = None

    def _assign(self, word: str) -> None:
        match = _ASSIGNMENT.fullmatch(word)
        if not match:
            raise NotPlain(f"`{word}` is not an assignment", self.line)
        name, raw = match.groups()
        source = re.fullmatch(r'"?\$\{?(\w+)\}?"?', raw)
        if source and source[1] in self.asked:
            self.asked[name] = self.asked[source[1]]
            return
        try:
            self.variables[name] = self._expand(raw)
            self.asked.pop(name, None)
        except NotPlain:
            if name.startswith("OS_"):
                raise
            # The prompt and other comforts of the shell; they are not the cloud's.
            self._forget(name)

    def _forget(self, name: str) -> None:
        for kept in (self.variables, self.exports, self.asked):
            kept.pop(name, None)

    def _read(self, words: list[str]) -> None:
        names = [word for word in words if _NAME.fullmatch(word)]
        if "-p" in words or any(word.startswith("-") and word.endswith("p") for word in words):
            at = next(i for i, word in enumerate(words) if word.startswith("-") and word.endswith("p"))
            self.prompt = words[at + 1].strip("'\"") if at + 1 < len(words) else ""
        for name in names[-1:]:
            self.asked[name] = self.prompt

    def _expand(self, raw: str) -> str:
        return expand(raw, self.variables, self.line)

    def _refuse(self, why: str, line: int) -> ArbaroError:
        return ArbaroError(
            f"{self.where}, line {line}: {why}, and arbaro executes no openrc.",
            hint="Write the value itself there, or: arbaro env add NAME",
        )
