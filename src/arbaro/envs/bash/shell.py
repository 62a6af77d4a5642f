# SPDX-License-Identifier: Apache-2.0
"""Going through a file's statements as bash would, in an empty environment, without running anything.

https://www.gnu.org/software/bash/manual/html_node/Shell-Commands.html
"""

from typing import TYPE_CHECKING

from arbaro.envs.bash import builtins, conditions, wiping
from arbaro.envs.bash.scope import NAME, Scope
from arbaro.envs.bash.syntax import line_of, statements, text_of, tree, walk
from arbaro.envs.bash.undecided import pass_over
from arbaro.envs.bash.values import Answer, Refused, Unknown, Value
from arbaro.envs.bash.words import Words

if TYPE_CHECKING:
    from tree_sitter import Node

#: A loop that goes round more often is not an openrc's.
_MOST_ROUNDS = 50
_MOST_STATEMENTS = 5000


class _Leaves(Exception):
    """`return`, or `break` and `continue` within a loop."""

    def __init__(self, how: str, line: int) -> None:
        super().__init__(how)
        self.how = how
        self.line = line


def evaluate(text: str, given: dict[str, str] | None = None) -> dict[str, Value]:
    """What is exported after sourcing this text. `given`: variables of the person's shell that it may see.

    Raises Refused with the line where only executing it would tell.
    """
    shell = _Shell(Scope(given or {}))
    try:
        shell.block(tree(text).children)
    except _Leaves as leaves:
        if leaves.how != "return":
            raise Refused(f"`{leaves.how}` stands outside of a loop", leaves.line) from leaves
    except RecursionError as error:
        raise Refused("this is nested too deeply", 1) from error
    return shell.scope.exported()


class _Shell:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.words = Words(scope)
        self.commands = builtins.Builtins(scope, self.words)
        self.count = 0

    def block(self, nodes: list["Node"]) -> bool | None:
        """Run statements one after another; the verdict is the last one's."""
        verdict: bool | None = True
        for node in statements(nodes):
            verdict = self.statement(node)
        return verdict

    def statement(self, node: "Node") -> bool | None:
        """Run one statement. True: it ended with 0; None: only a shell would know how it ends."""
        self.count += 1
        if self.count > _MOST_STATEMENTS:
            raise Refused("this takes too many steps", line_of(node))
        match node.type:
            case "if_statement":
                return self._if(node)
            case "while_statement":
                return self._while(node)
            case "for_statement":
                return self._for(node)
            case "case_statement":
                return self._case(node)
            case "compound_statement":
                return self.block(node.children)
            case "list":
                return self._list(node)
            case "negated_command":
                verdict = self.statement(node.children[-1])
                return None if verdict is None else not verdict
            case "pipeline":
                pass_over(node, self.scope, line_of(node), alone=True)
                return None
            case "function_definition":
                self.commands.define(node)
                return True
            case "redirected_statement":
                return self._redirected(node)
            case "test_command":
                return conditions.decide(node, self.words)
            case "variable_assignments":
                return self._all([self.assignment(child) for child in node.children])
            case "variable_assignment":
                return self.assignment(node)
            case "command" if text_of(node.children[0]) in ("return", "break", "continue", "exit"):
                return self._leave(node)
        return self.commands.run(node)

    def assignment(self, node: "Node") -> bool | None:
        """`NAME=value`; the verdict is that of a command in it."""
        name, value, appends = self.commands.parts(node)
        (self.scope.append if appends else self.scope.assign)(name, value, line_of(node))
        return None if any(child.type == "command_substitution" for child in walk(node)) else True

    def _all(self, verdicts: list[bool | None]) -> bool | None:
        return None if None in verdicts else True

    def _leave(self, node: "Node") -> bool | None:
        how, line = text_of(node.children[0]), line_of(node)
        self.commands.not_a_function(how, line)
        if how == "exit":
            raise Refused("the file ends the shell here (`exit`)", line)
        wanted = [text_of(child) for child in node.children[1:]]
        if wanted not in ([], ["0"], ["1"]) or (how != "return" and wanted == ["0"]):
            raise Refused(f"this `{how}` is not in the part of bash that arbaro evaluates", line)
        raise _Leaves(how, line)

    def _redirected(self, node: "Node") -> bool | None:
        for redirect in node.children[1:]:
            if not builtins.is_harmless_redirection(redirect):
                raise Refused("this reads from or writes to a file", line_of(redirect))
        if node.children[0].type == "file_redirect":
            raise Refused("a redirection stands alone or before its command", line_of(node))
        return self.statement(node.children[0])

    def _if(self, node: "Node") -> bool | None:
        """The branches of `if`, `elif` and `else`, in their order."""
        for condition, body in _branches(node):
            verdict = True if condition is None else self.block(condition)
            if verdict is None:
                pass_over(node, self.scope, line_of(node))
                return None
            if verdict:
                return self.block(body)
        return True

    def _while(self, node: "Node") -> bool | None:
        until = node.children[0].type == "until"
        condition, body = _split(node.children, "do_group")
        last: bool | None = True
        for _ in range(_MOST_ROUNDS):
            try:
                # A `break` in the condition leaves this very loop.
                verdict = self.block(condition)
                if verdict is None:
                    raise Refused("only a shell can decide how often this loop goes round", line_of(node))
                if verdict is until:
                    return last
                last = self.block(body)
            except _Leaves as leaves:
                if leaves.how == "break":
                    return True
                if leaves.how == "return":
                    raise
                last = True
        raise Refused("this loop does not end by itself", line_of(node))

    def _for(self, node: "Node") -> bool | None:
        name = node.child_by_field_name("variable")
        body = next((child for child in node.children if child.type == "do_group"), None)
        if (
            name is None
            or body is None
            or not NAME.fullmatch(text_of(name))
            or not {"for", "in"} <= {child.type for child in node.children}
        ):
            raise Refused("this loop is not in the part of bash that arbaro evaluates", line_of(node))
        if wiping.is_loop(text_of(name), node.children_by_field_name("value"), body, self.scope):
            return None
        # bash expands all words before the first turn: a turn that changes a variable changes none of them.
        values = [value for word in node.children_by_field_name("value") for value in self.words.fields(word)]
        for value in values:
            if isinstance(value, Unknown | Answer):
                why = value.why if isinstance(value, Unknown) else "an answer decides it"
                raise Refused(f"only a shell knows how often this loop goes round: {why}", line_of(node))
            self.scope.assign(text_of(name), value, line_of(node))
            try:
                self.block(body.children)
            except _Leaves as leaves:
                if leaves.how == "return":
                    raise
                if leaves.how == "break":
                    return True
        return None

    def _case(self, node: "Node") -> bool | None:
        subject = node.child_by_field_name("value")
        assert subject is not None
        value = self.words.assigned(subject)
        for item in (child for child in node.children if child.type == "case_item"):
            verdict = builtins.matches(value, item.children_by_field_name("value"), self.words)
            if verdict is None:
                pass_over(node, self.scope, line_of(node))
                return None
            if any(child.type in (";&", ";;&") for child in item.children):
                raise Refused("a case falls through to the next", line_of(item))
            if verdict:
                return self.block(item.children)
        return True

    def _list(self, node: "Node") -> bool | None:
        left, operator, right = (child for child in node.children if child.type != "comment")
        verdict = self.statement(left)
        if verdict is None:
            pass_over(right, self.scope, line_of(right))
            return None
        return self.statement(right) if verdict is (operator.type == "&&") else verdict


def _split(nodes: list["Node"], kind: str) -> tuple[list["Node"], list["Node"]]:
    at = next(i for i, node in enumerate(nodes) if node.type == kind)
    return nodes[:at], nodes[at].children


def _branches(node: "Node") -> list[tuple[list["Node"] | None, list["Node"]]]:
    """Each condition with its body; None: `else`."""
    at = next(i for i, child in enumerate(node.children) if child.type == "then")
    found: list[tuple[list[Node] | None, list[Node]]] = [(node.children[:at], [])]
    for child in node.children[at + 1 :]:
        if child.type == "elif_clause":
            found += _branches(child)
        elif child.type == "else_clause":
            found.append((None, child.children))
        else:
            found[0][1].append(child)
    return found
