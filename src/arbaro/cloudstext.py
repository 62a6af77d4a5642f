# SPDX-License-Identifier: Apache-2.0
"""The text of clouds.yaml and secure.yaml: read as openstacksdk reads it, changed without loss.

openstacksdk reads YAML 1.1 (PyYAML), where `on` is a boolean and 12:34:56 a number. Changes are made with ruamel.yaml,
which keeps comments; the result is then read again with PyYAML and must hold what it held before, plus the change.
No message holds a value of a file: it might be a password.
"""

import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arbaro.errors import ArbaroError

if TYPE_CHECKING:
    import yaml

#: The value of a change that takes something away.
GONE = object()
#: What to do to `clouds:`: way to a value (entry's name, key …) → the value.
Changes = Mapping[tuple[str, ...], Any]
#: What some reader of YAML takes for a number, a date, a boolean or a null; PyYAML's own rules are asked as well.
_NOT_TEXT = re.compile(r"[-+.\d][-+.:_\da-fox\sTZ]*|[yn]|yes|no|on|off|true|false|null|nil|~|=|<<|", re.IGNORECASE)
_WHY = {
    "tag": "Tags such as !vault belong to other programs; clouds.yaml holds plain values.",
    "unhashable": "A template such as {{ auth }} must be filled in first.",
    "alias": "A value that begins with * must be quoted.",
    "cannot start any token": "A value that begins with %, @ or ` must be quoted.",
}


def parse(text: str, path: Path) -> dict[Any, Any]:
    """The document as openstacksdk reads it, empty if there is none. Raises ArbaroError with file and line."""
    document = _parse_json(text, path) if _is_json(path) else _parse_yaml(text, path)
    if document is None:
        return {}
    clouds = document.get("clouds") if isinstance(document, dict) else document
    if not isinstance(document, dict) or not isinstance(clouds, dict | None):
        raise broken(f"{path}: 'clouds' must be a mapping from names to mappings", path)
    return document


def changed(text: str, path: Path, changes: Changes, *, cache_tokens: bool = False) -> str:
    """The text with changes made below `clouds:`. Raises ArbaroError if anything else would change with it.

    With `cache_tokens`, a file that says nothing of caching also gets openstacksdk's `cache: {auth: true}`.
    """
    wanted = _unshared(parse(text, path))
    _change(wanted, changes, cache_tokens, _unshared)
    if _is_json(path):
        new = json.dumps(wanted, indent=_json_indent(text), ensure_ascii=False) + "\n"
    else:
        new = _changed_yaml(text, path, changes, cache_tokens)
    if repr(_unshared(parse(new, path))) != repr(wanted):
        raise ArbaroError(
            f"{path} cannot be changed without harm to its other entries; nothing was written.",
            why="It uses YAML (anchors, merges or directives) that is not kept when it is written again.",
            hint=f"Write the entries of {path} out in full, then run the same command again.",
        )
    return new


def written(document: Mapping[str, Any]) -> str:
    """A new document as YAML, every string in it read as a string by every reader."""
    text = io.StringIO()
    _ruamel("").dump(_quoted(document), text)
    return text.getvalue()


def line_of(text: str, path: Path, name: str) -> int:
    """The line at which an entry stands, 1 where it cannot be told."""
    import yaml

    node = None if _is_json(path) else yaml.compose(text, Loader=yaml.SafeLoader)
    for key, value in getattr(node, "value", ()):
        if key.value == "clouds":
            return next((k.start_mark.line + 1 for k, _ in value.value if k.value == name), 1)
    return 1


def broken(what: str, path: Path, why: str = "") -> ArbaroError:
    """The error for a file that cannot be read."""
    return ArbaroError(
        f"{what}.", why=why, hint=f"Correct {path} (nothing was written), then run the same command again."
    )


def _is_json(path: Path) -> bool:
    # As openstacksdk judges it.
    return str(path).endswith("json")


def _parse_json(text: str, path: Path) -> Any:
    def refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise broken(f"{path}: a key stands twice in one mapping", path)
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=refuse_doubles) if text.strip() else None
    except json.JSONDecodeError as error:
        raise broken(f"{path}, line {error.lineno}: {error.msg}", path) from None


def _parse_yaml(text: str, path: Path) -> Any:
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _refuse_doubles(node, path)
        return loader.construct_document(node)
    # `from None`: the original names values.
    except yaml.MarkedYAMLError as error:
        raise _located(str(error.problem), error.problem_mark or error.context_mark, path) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise broken(f"{path}, line {line}: a character that YAML does not allow", path) from None
    except (ValueError, OverflowError, RecursionError):
        raise broken(f"{path}: a value looks like a number or a date, and is none", path, "Quote it.") from None


def _located(problem: str, mark: Any, path: Path) -> ArbaroError:
    """The error at a place in a file, without what is quoted in the parser's own words."""
    plain = re.sub(r"'.*'|\".*\"", "…", problem.splitlines()[0], flags=re.DOTALL)
    why = next((why for word, why in _WHY.items() if word in problem), "")
    return broken(f"{path}{f', line {mark.line + 1}' if mark else ''}: {plain}", path, why)


def _refuse_doubles(root: "yaml.Node", path: Path) -> None:
    """Raises ArbaroError for a key that stands twice in a mapping: readers differ in which of the two counts."""
    import yaml

    waiting: list[tuple[yaml.Node, str]] = [(root, "")]
    seen: set[int] = set()
    while waiting:
        node, where = waiting.pop(0)
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(item, "…") for item in node.value]
            continue
        keys = set()
        for key, value in node.value:
            if (key.tag, str(key.value)) in keys and key.value != "<<":
                # A name of a cloud may be shown; another key may be half of a password.
                name = f'duplicate key "{key.value}"' if where == "/clouds" else "a key that stands twice"
                raise broken(f"{path}, line {key.start_mark.line + 1}: found {name}", path)
            keys.add((key.tag, str(key.value)))
            waiting.append((value, f"{where}/{key.value}"))


def _ruamel(text: str) -> Any:
    """A ruamel YAML with the indentation that a text has."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.explicit_start = bool(re.search(r"^---", text, re.MULTILINE)) or None
    items = [line for line in text.splitlines() if line.lstrip().startswith("- ")]
    if items and all(line.startswith(" ") for line in items):
        yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _changed_yaml(text: str, path: Path, changes: Changes, cache_tokens: bool) -> str:
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    # ruamel loses comments before the document's start, and those after an entry that goes or a last one written anew.
    start = re.search(r"^---", text, re.MULTILINE)
    directives = re.search(r"^%", text, re.MULTILINE)
    head, text = (text[: start.start()], text[start.start() :]) if start and not directives else ("", text)
    for (name, *rest), value in changes.items():
        last = list(parse(text, path).get("clouds") or {})[-1:] == [name]
        text = _without(text, name) if not rest and (value is GONE or last) else text
    yaml = _ruamel(text)
    try:
        document = yaml.load(text)
        document = {} if document is None else document
        _change(document, changes, cache_tokens, _quoted)
        new = io.StringIO()
        yaml.dump(document, new)
    except MarkedYAMLError as error:
        raise _located(str(error.problem), error.problem_mark or error.context_mark, path) from None
    except YAMLError:
        raise broken(f"{path} is not YAML that can be changed", path) from None
    return head + new.getvalue()


def _without(text: str, name: str) -> str:
    """The text without the lines of an entry; unchanged where the entry has no lines of its own."""
    import yaml

    root = yaml.compose(text, Loader=yaml.SafeLoader)
    section, clouds = next((pair for pair in getattr(root, "value", ()) if pair[0].value == "clouds"), (None, None))
    if section is None or not isinstance(clouds, yaml.MappingNode) or clouds.flow_style:
        return text
    lines = text.splitlines(keepends=True)
    for key, value in clouds.value:
        if key.value == name:
            begin, end = key.start_mark.line, _end_of(value)
            if len(clouds.value) == 1:
                head = section.start_mark.line
                lines[head] = lines[head].replace(":", ": {}", 1)
            shorter = "".join(lines[:begin] + _comments_between(lines, begin, end, value) + lines[end:])
            return shorter if _lacks_only(shorter, text, name) else text
    return text


def _comments_between(lines: list[str], begin: int, end: int, entry: "yaml.Node") -> list[str]:
    """The comments at the left margin among an entry's lines: they are the file's, and ruamel may write behind them."""
    taken = {line for part in _scalars(entry) for line in range(part.start_mark.line, part.end_mark.line + 1)}
    return [lines[n] for n in range(begin, end) if lines[n].startswith("#") and n not in taken]


def _scalars(node: "yaml.Node") -> Iterator["yaml.Node"]:
    """All scalars of a node, keys included."""
    import yaml

    if isinstance(node, yaml.CollectionNode):
        for part in node.value:
            for inner in part if isinstance(part, tuple) else (part,):
                yield from _scalars(inner)
    else:
        yield node


def _lacks_only(shorter: str, text: str, name: str) -> bool:
    import yaml

    try:
        found, wanted = yaml.safe_load(shorter), yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        # An anchor went with the entry.
        return False
    wanted["clouds"].pop(name, None)
    return repr(_unshared(found)) == repr(_unshared(wanted))


def _end_of(node: "yaml.Node") -> int:
    """The line after a node's last one. A block's own end lies behind the comments that follow it."""
    import yaml

    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end_of(last[1] if isinstance(last, tuple) else last)
    mark = node.end_mark
    return int(mark.line + (1 if mark.column else 0))


def _change(document: Any, changes: Changes, cache_tokens: bool, rendered: Any) -> None:
    if not document.get("clouds"):
        # Also in place of `{}`, in which entries would stand side by side on one line.
        document["clouds"] = {}
    for way, value in changes.items():
        here = document["clouds"]
        for key in way[:-1]:
            if not isinstance(here.get(key), dict):
                here[rendered(key)] = {}
            here = here[key]
        if value is GONE:
            here.pop(way[-1], None)
        else:
            here[rendered(way[-1])] = rendered(value)
    if cache_tokens and "cache" not in document:
        document["cache"] = {"auth": True}


def _quoted(value: Any) -> Any:
    """A value for ruamel, with quotes around each string that some reader would take for something else."""
    import yaml
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, SingleQuotedScalarString

    if isinstance(value, Mapping):
        return {_quoted(key): _quoted(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_quoted(part) for part in value]
    if not isinstance(value, str):
        return value
    meant = yaml.resolver.Resolver().resolve(yaml.ScalarNode, value, (True, False))  # type: ignore[no-untyped-call]
    is_text = meant == "tag:yaml.org,2002:str" and not _NOT_TEXT.fullmatch(value)
    if not value.isprintable():
        # Within double quotes all that is not a printable character is escaped.
        return DoubleQuotedScalarString(value)
    return str(value) if is_text else SingleQuotedScalarString(value)


def _unshared(value: Any) -> Any:
    """A copy in which nothing is shared: an alias's change must not change its anchor."""
    if isinstance(value, Mapping):
        return {key: _unshared(part) for key, part in value.items()}
    return [_unshared(part) for part in value] if isinstance(value, list | tuple) else value


def _json_indent(text: str) -> int:
    found = re.search(r"^( +)\S", text, re.MULTILINE)
    return len(found[1]) if found else 2
