# SPDX-License-Identifier: Apache-2.0
"""Data that Ansible's roles and we both read: YAML files of ansible/, checked against typed forms."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from arbaro.errors import ArbaroError

#: For pydantic's dataclasses: a key that nobody knows is a mistake, not something to pass over.
CLOSED = ConfigDict(extra="forbid")

Form = TypeVar("Form")


def read_data(path: Path, key: str, form: type[Form]) -> Form:
    """Read what a file says under its one key. Raises ArbaroError that names the file and each wrong place."""
    try:
        found = yaml.safe_load(path.read_text())
        return TypeAdapter(form).validate_python(found[key])
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, (key, *one['loc'])))}: {one['msg']}" for one in error.errors()]
        raise _refusal(path, "\n".join(wrong)) from error
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise _refusal(path, f"It is not YAML with the key `{key}`: {error}") from error


def _refusal(path: Path, why: str) -> ArbaroError:
    return ArbaroError(f"{path} cannot be read as it is.", why=why, hint=f"Correct {path}.")
