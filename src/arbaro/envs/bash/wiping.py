# SPDX-License-Identifier: Apache-2.0
"""Commands and loops that unset a whole list of variables; kolla's, packstack's and Horizon's files begin with one."""

import re
from typing import TYPE_CHECKING

from arbaro.envs.bash.scope import Scope
from arbaro.envs.bash.syntax import line_of, statements, text_of
from arbaro.envs.bash.values import Unknown

if TYPE_CHECKING:
    from tree_sitter import Node

#: What lists exactly the variables of OpenStack that have a value: kolla's and TripleO's words, and bash's own.
_ALL_OF_OPENSTACK = re.compile(
    r"""\$\( *set *\| *awk +' *\{ *FS *= *"=" *\} */\^OS_/ *\{ *print +\$1 *\} *' *\)|\$\{!OS_[*@]\}"""
)
#: What begins with one of these lists variables; which ones, nobody knows here.
_OF_VARIABLES = re.compile(r"(?:\$\(|`)\s*(?:(env|printenv|export)|set|declare|typeset|compgen)\b")


def is_loop(name: str, values: list["Node"], body: "Node", scope: Scope) -> bool:
    """Say whether `for NAME in VALUES` only unsets what is listed, and unset it."""
    inner = statements(body.children)
    # A variable of OpenStack would be unset itself, or keep the last name.
    if name.startswith("OS_") or len(inner) != 1 or inner[0].type != "unset_command" or len(values) != 1:
        return False
    unset = [re.sub(r'["{}]', "", text_of(word)) for word in inner[0].children[1:]]
    untouched = scope.untouched
    if unset != [f"${name}"] or not forgets(values[0], scope):
        return False
    if not (untouched and scope.path_is_known):
        scope.assign(name, Unknown("it is the last of a list that only a shell knows", line_of(body)), line_of(body))
    return True


def forgets(listing: "Node", scope: Scope) -> bool:
    """Unset what a word lists, if that is certain: nothing, because nothing was set yet, or all that is OpenStack's."""
    text = text_of(listing)
    if _ALL_OF_OPENSTACK.fullmatch(text) and scope.path_is_known:
        scope.unset_all_of_openstack(line_of(listing))
        return True
    alone = [part.type for part in statements(listing.children)] in (["command"], ["pipeline"], ["declaration_command"])
    lists = _OF_VARIABLES.match(text) if alone else None
    # bash's own variables, PATH among them, are not in the environment.
    scope.path_is_known = scope.path_is_known and not (lists and not lists[1])
    return lists is not None and scope.untouched
