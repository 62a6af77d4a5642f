# SPDX-License-Identifier: Apache-2.0
"""Reading and writing clouds.yaml and secure.yaml: comments and others' entries stay, no half-written file.

https://docs.openstack.org/openstacksdk/latest/user/config/configuration.html
"""

import fcntl
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from arbaro.envs import files
from arbaro.envs.environment import Environment, environments_of
from arbaro.errors import ArbaroError


def load_environments() -> list[Environment]:
    """All environments. Raises ArbaroError that names the file and the line that is wrong."""
    return environments_of(load(files.clouds_file()), load(files.secure_file()))


def load(path: Path) -> dict[str, Any]:
    """The `clouds:` section of a file, empty if there is none. Raises ArbaroError with file and line."""
    return _clouds(path, _parse(path)[1])


def entry(environment: Environment) -> dict[str, Any]:
    """All that the files say of one environment's cloud, secrets merged in as openstacksdk does."""
    whole = dict(load(files.clouds_file())[environment.cloud] or {})
    secret = load(files.secure_file()).get(environment.cloud) or {}
    merged = {**whole, **secret}
    merged["auth"] = {**(whole.get("auth") or {}), **(secret.get("auth") or {})}
    return merged


@contextmanager
def locked() -> Iterator[None]:
    """Keep other runs of arbaro from writing meanwhile; `arbaro up` takes the same lock, the directory above."""
    directory = files.clouds_file().parent
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(directory.parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def edit(path: Path, change: Callable[[dict[str, Any]], Any], *, cache_tokens: bool = False) -> None:
    """Change the `clouds:` section of a file in place; the old file stays beside it as FILE~.

    With `cache_tokens`, a file that says nothing of caching also gets openstacksdk's `cache: {auth: true}`.
    """
    yaml, document = _parse(path)
    document = {} if document is None else document
    _clouds(path, document)
    if document.get("clouds") is None:
        document["clouds"] = {}
    change(document["clouds"])
    if cache_tokens and "cache" not in document:
        document["cache"] = {"auth": True}
    text = io.StringIO()
    yaml.dump(document, text)
    replace(path, text.getvalue(), private=path.stem == "secure")


def replace(path: Path, text: str, *, private: bool = False, keep_old: bool = True) -> None:
    """Write a file whole or not at all; the old one stays as FILE~. Links are followed.

    New and `private` files are 0600, others keep their mode.
    """
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    mode = target.stat().st_mode & 0o777 if target.exists() and not private else 0o600
    new = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        _write(new, text, mode)
        if target.exists() and keep_old:
            _write(target.with_name(target.name + "~"), target.read_text(), mode)
        new.rename(target)
    finally:
        with suppress(FileNotFoundError):
            new.unlink()


def _write(path: Path, text: str, mode: int) -> None:
    # Removed first: the mode counts only for a file that is made.
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _parse(path: Path) -> tuple[Any, Any]:
    """A YAML with the file's own indentation, and the file's document."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    try:
        text = path.read_text() if path.exists() else ""
        if _indents_lists(text):
            yaml.indent(mapping=2, sequence=4, offset=2)
        return yaml, yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise _broken(f"{path}{line}: {str(error.problem).splitlines()[0]}", path) from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise _broken(f"{path}: {str(error).splitlines()[0]}", path) from error
    except OSError as error:
        raise ArbaroError(f"{path} cannot be read: {error.strerror}.", hint=f"ls -l {path}") from error


def _indents_lists(text: str) -> bool:
    items = [line for line in text.splitlines() if line.lstrip().startswith("- ")]
    return bool(items) and all(line.startswith(" ") for line in items)


def _clouds(path: Path, document: Any) -> dict[str, Any]:
    if document is None:
        return {}
    found = document.get("clouds") if isinstance(document, dict) else document
    if found is not None and not (
        isinstance(found, dict) and all(v is None or isinstance(v, dict) for v in found.values())
    ):
        raise _broken(f"{path}: 'clouds' must be a mapping from names to mappings", path)
    return found or {}


def _broken(what: str, path: Path) -> ArbaroError:
    return ArbaroError(f"{what}.", hint=f"Correct {path} (nothing was written), then run the same command again.")


def caches_tokens(path: Path) -> bool:
    """Say whether openstacksdk is told to keep tokens between two calls."""
    document = _parse(path)[1] if path.exists() else None
    return bool(isinstance(document, dict) and (document.get("cache") or {}).get("auth"))
