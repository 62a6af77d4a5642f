# SPDX-License-Identifier: Apache-2.0
"""The commands of the shell itself that openrc files use. Any other command is refused: it would have to be run."""

import re
from typing import TYPE_CHECKING

from arbaro.envs.bash import conditions, patterns, wiping
from arbaro.envs.bash.scope import NAME, Scope
from arbaro.envs.bash.syntax import line_of, text_of
from arbaro.envs.bash.values import Refused, Text, Unknown, Value
from arbaro.envs.bash.words import BRACES, Words

if TYPE_CHECKING:
    from tree_sitter import Node

DECLARATIONS = ("export", "declare", "typeset", "readonly")
#: What prints, or asks something of the system; no variable of the shell changes, whatever the arguments are.
_PRINTS = ("echo", "printf", "true", ":", "clear", "tput")
HARMLESS = (
    *_PRINTS, "false", "stty", "sleep", "tty", "cat", "date", "hostname", "which", "id", "grep", "egrep", "awk", "sed",
    "cut", "tr", "head", "tail", "sort", "printenv", "env", "basename", "dirname", "uname", "whoami", "logger", "test",
    "command",
)  # fmt: skip
#: Those of them that are programs, which may or may not be there.
_FROM_OUTSIDE = frozenset(("stty", "sleep", "tty", "clear", "tput", "logger"))
_HARMLESS_REDIRECTION = re.compile(
    r"(?:[12]?>|&>)[ \t]*/dev/(?:null|tty|stderr)|[12]?>&[ \t]*[12]|0?<[ \t]*/dev/tty|0?<&[ \t]*[02]"
)
_ALIAS = re.compile(r"[A-Za-z0-9_.-]+=", re.ASCII)
_SET = re.compile(r"-[axv]+|\+[aexuvh]+")
_OPTIONS = {"allexport": "a", "xtrace": "x", "errexit": "e", "nounset": "u", "verbose": "v"}
_READ = re.compile(r"-[rse]+")
_READ_WITH_PROMPT = re.compile(r"-[rse]*p(.*)", re.DOTALL)


class Builtins:
    """The shell's own commands in one scope."""

    def __init__(self, scope: Scope, words: Words) -> None:
        self.scope = scope
        self.words = words
        #: What was printed last: the question, if the next command reads an answer.
        self.said = ""

    def define(self, node: "Node") -> None:
        """Remember a function's name; it is not called here."""
        name = node.child_by_field_name("name")
        self.scope.functions.add(text_of(name) if name else "")

    def run(self, node: "Node") -> bool | None:
        """Run one command. True: it ended with 0; None: only a shell would know."""
        if node.type in ("declaration_command", "unset_command"):
            self.not_a_function(node.children[0].type, line_of(node))
            return self._unset(node) if node.type == "unset_command" else self._declare(node)
        return self._command(node)

    def parts(self, node: "Node", *, argument: bool = False) -> tuple[str, Value, bool]:
        """Name and value of an assignment, and whether it appends."""
        name, operator, *value = node.children
        if name.type != "variable_name" or operator.type not in ("=", "+=") or len(value) > 1:
            raise Refused("this assignment is not in the part of bash that arbaro evaluates", line_of(node))
        found = self.words.assigned(value[0], argument=argument) if value else Text("")
        return text_of(name), found, operator.type == "+="

    def _command(self, node: "Node") -> bool | None:
        name = next((text_of(child) for child in node.children if child.type == "command_name"), "")
        before = [child for child in node.children if child.type == "variable_assignment"]
        arguments = node.children_by_field_name("argument")
        if len(before) + len(arguments) + 1 != len([c for c in node.children if c.type != "comment"]):
            raise Refused("this command is not in the part of bash that arbaro evaluates", line_of(node))
        self.not_a_function(name, line_of(node))
        if before and (name != "read" or [text_of(child) for child in before] != ["IFS="]):
            raise Refused("a variable is set for one command only", line_of(node))
        fields = [field for argument in arguments for field in self.words.fields(argument)]
        match name:
            case "read":
                return self._read(fields, node)
            case "set":
                return self._set(fields, node)
            case "test" | "[":
                return conditions.of_arguments(fields)
            case "false":
                return False
            case "alias" if all(_ALIAS.match(text_of(argument)) for argument in arguments):
                self.scope.functions |= {text_of(argument).partition("=")[0] for argument in arguments}
                return None
            case "source" | ".":
                raise Refused("another file is read here, which is not looked at", line_of(node))
        if name not in _PRINTS and name not in _FROM_OUTSIDE:
            raise Refused(f"{_shown(name)} would have to be executed", line_of(node))
        if name == "printf" and (not fields or not isinstance(fields[0], Text) or fields[0].text.startswith("-")):
            raise Refused("this `printf` may set a variable", line_of(node))
        if name in ("echo", "printf"):
            self.said = " ".join(
                field.text for field in fields if isinstance(field, Text) and field.text not in ("-n", "-e")
            )
        return None if name in _FROM_OUTSIDE or name == "printf" else True

    def not_a_function(self, name: str, line: int) -> None:
        """Raises Refused for a command to which the file gives a meaning of its own."""
        if self.scope.is_function(name):
            raise Refused(f"{_shown(name)} is the file's own function or alias, which would have to be executed", line)

    def _declare(self, node: "Node") -> bool | None:
        kind, line = node.children[0].type, line_of(node)
        if kind not in DECLARATIONS:
            raise Refused(f"`{kind}` stands outside of a function", line)
        found: list[tuple[str, Value | None, bool]] = []
        options = ""
        for child in node.children[1:]:
            # All words are expanded before the first variable is set.
            if child.type == "variable_name":
                if not NAME.fullmatch(text_of(child)):
                    # bash says that it is no name, and goes on as after any command that failed.
                    raise Refused(f"{_shown(text_of(child))} can be no variable's name", line)
                found.append((text_of(child), None, False))
            elif child.type == "variable_assignment":
                found.append(self.parts(child, argument=True))
            else:
                for field in self.words.fields(child):
                    option = _option(field, line)
                    if option and found:
                        raise Refused("an option stands behind a name", line)
                    options += option
                    found += [] if option else [_assignment_in(field, line)]
        exported, readonly = _attributes(kind, options, line)
        if exported is False and self.scope.export_all:
            raise Refused(f"`{kind}` takes back what `set -a` gives", line)
        for name, value, appends in found:
            if value is not None:
                (self.scope.append if appends else self.scope.assign)(name, value, line)
            self.scope.mark(name, line, exported=exported, readonly=readonly)
        # With a command within, bash gives declare's own end, which is 0. Braces may set a variable twice, which fails
        # if it is read-only.
        return None if any(isinstance(value, Unknown) and value.why == BRACES for _, value, _ in found) else True

    def _unset(self, node: "Node") -> bool | None:
        line = line_of(node)
        verdict: bool | None = True
        for child in node.children[1:]:
            if wiping.forgets(child, self.scope):
                verdict = None
                continue
            for field in [Text(text_of(child))] if child.type == "variable_name" else self.words.fields(child):
                if not isinstance(field, Text) or not (NAME.fullmatch(field.text) or field.text == "-v"):
                    raise Refused("only a shell knows what is unset here", line)
                if field.text != "-v":
                    self.scope.unset(field.text, line)
        return verdict

    def _read(self, fields: list[Value], node: "Node") -> bool | None:
        line, names, prompt = line_of(node), list[str](), self.said
        texts = iter(fields)
        for field in texts:
            if not isinstance(field, Text) or (names and field.text.startswith("-")):
                raise Refused("only a shell knows what is read here", line)
            if with_prompt := _READ_WITH_PROMPT.fullmatch(field.text):
                said = Text(with_prompt[1]) if with_prompt[1] else next(texts, Text(""))
                if isinstance(said, Unknown) and said.several:
                    raise Refused("only a shell knows what is read here", line)
                prompt = said.text if isinstance(said, Text) else ""
            elif not _READ.fullmatch(field.text):
                names.append(field.text)
        if len(names) != 1 or not NAME.fullmatch(names[0]):
            raise Refused("this `read` is not in the part of bash that arbaro evaluates", line)
        self.scope.ask(names[0], prompt.strip().strip("\n").split("\n")[-1], line)
        self.said = ""
        return True

    def _set(self, fields: list[Value], node: "Node") -> bool | None:
        words = [field.text if isinstance(field, Text) else "?" for field in fields]
        if words in (["+o", "history"], ["-o", "history"]) and not self.scope.export_all:
            return True
        if len(words) == 2 and words[0] in ("-o", "+o") and words[1] in _OPTIONS:
            words = [words[0][0] + _OPTIONS[words[1]]]
        for word in words:
            if not _SET.fullmatch(word) and word != "-h":
                raise Refused("this `set` changes how bash goes on", line_of(node))
            if "a" in word:
                self.scope.export_all = word[0] == "-"
        return True


def is_harmless_redirection(node: "Node") -> bool:
    """Say whether what is printed goes to nowhere, to a stream that is there, or an answer comes from the terminal."""
    return node.type == "file_redirect" and _HARMLESS_REDIRECTION.fullmatch(text_of(node)) is not None


def matches(value: Value, nodes: list["Node"], words: Words) -> bool | None:
    """Say whether a value fits one of the patterns of a case."""
    verdict: bool | None = False
    for node in nodes:
        pattern = patterns.compiled(words.pieces(node))
        if pattern is not None and pattern.pattern == ".*":
            return True
        if pattern is None or not isinstance(value, Text) or not (value.text + pattern.pattern).isascii():
            return None
        if pattern.fullmatch(value.text):
            return True
    return verdict


def _option(field: Value, line: int) -> str:
    if not isinstance(field, Text):
        raise Refused("only a shell knows what is set here", line)
    return field.text if field.text[:1] in ("-", "+") else ""


def _assignment_in(field: Value, line: int) -> tuple[str, Value | None, bool]:
    assert isinstance(field, Text)
    name, equals, value = field.text.partition("=")
    if not NAME.fullmatch(name):
        raise Refused("only a shell knows what is set here", line)
    return name, Text(value) if equals else None, False


#: Options and what they mean: exported (None: as it was), read-only.
_EXPORT: dict[str, tuple[bool | None, bool]] = {"": (True, False), "-n": (False, False)}
_READONLY: dict[str, tuple[bool | None, bool]] = {"": (None, True)}
_DECLARE: dict[str, tuple[bool | None, bool]] = {
    "": (None, False), "-x": (True, False), "+x": (False, False), "-r": (None, True), "-g": (None, False),
    "-gx": (True, False), "-xg": (True, False), "-rx": (True, True), "-xr": (True, True),
}  # fmt: skip


def _attributes(kind: str, options: str, line: int) -> tuple[bool | None, bool]:
    known = _EXPORT if kind == "export" else _READONLY if kind == "readonly" else _DECLARE
    if options not in known:
        raise Refused(f"this option of `{kind}` is not in the part of bash that arbaro evaluates", line)
    return known[options]


def _shown(name: str) -> str:
    return f"`{name}`" if re.fullmatch(r"[\w./-]{1,30}", name, re.ASCII) else "a command"
