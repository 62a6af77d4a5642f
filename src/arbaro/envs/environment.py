# SPDX-License-Identifier: Apache-2.0
"""What an environment is: one region of one entry in clouds.yaml, and how careful to be with it."""

from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase

from arbaro.errors import ArbaroError

#: The part of a cloud's entry that is ours; openstacksdk and gophercloud pass over what they don't know.
OURS = "arbaro"
#: The fault of an entry whose provider did not answer; it may answer next time.
UNFETCHED = "its profile cannot be fetched"


@dataclass(frozen=True)
class Environment:
    """One region with its credentials. `os_region` is set where an entry has several regions and one must be chosen."""

    name: str
    kind: str
    cloud: str
    os_region: str
    region: str
    project: str
    user: str
    auth_url: str
    #: Where its secret is: `file`, `keyring`, `asked` (a person is asked), or `nowhere` (none needed, or none found).
    secret: str
    #: Why openstacksdk cannot use its entry, in words without any of its values; empty if it can.
    fault: str = ""


def find(name: str, environments: list[Environment]) -> Environment:
    """The environment of this name. Raises ArbaroError that names the nearest ones."""
    import difflib

    for environment in environments:
        if environment.name == name:
            return environment
    names = [environment.name for environment in environments]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or [n for n in names if name in n][:3]
    raise ArbaroError(
        f"There is no environment {name!r}.",
        why=f"Did you mean {' or '.join(near)}?" if near else "",
        hint=f"arbaro env use {near[0]}" if near else "arbaro env ls",
    )


def matching(pattern: str, environments: list[Environment]) -> list[Environment]:
    """The environments whose name matches a shell pattern, or whose kind it is. Raises ArbaroError for none."""
    found = [env for env in environments if fnmatchcase(env.name, pattern) or env.kind == pattern]
    if not found:
        raise ArbaroError(f"No environment's name matches {pattern!r}.", hint="arbaro env ls")
    return found


def row(environment: Environment) -> dict[str, str]:
    """What `env ls` shows; no secret is in it."""
    fields = asdict(environment)
    return {key: fields[key] for key in ("name", "kind", "region", "project", "user", "auth_url", "secret")}


def refuse_faulty(environment: Environment) -> None:
    """Raises ArbaroError for an environment whose entry openstacksdk cannot use."""
    if environment.fault:
        raise ArbaroError(
            f"{environment.name} cannot be used: {environment.fault}.",
            hint=f"Correct the entry {environment.cloud} in clouds.yaml, then: arbaro env check {environment.name}",
        )
