# SPDX-License-Identifier: Apache-2.0
"""The book of environments is clouds.yaml itself: what is added, imported, marked and removed there."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arbaro import cloudsfile, cloudstext
from arbaro.cloudsfile import GONE, Changes
from arbaro.cloudspaths import clouds_file, secure_file
from arbaro.envs import clouds, files, openrc, translate, vault
from arbaro.envs.environment import OURS
from arbaro.envs.openrc import Openrc
from arbaro.errors import ArbaroError
from arbaro.settings import clouds_dir


@dataclass(frozen=True)
class Arrival:
    """An environment on its way in: its entries for clouds.yaml and secure.yaml, and where they come from."""

    name: str
    entry: dict[str, Any]
    secret: dict[str, Any]
    source: Path


def arrivals(path: Path, name: str | None, read: Callable[[Path], Openrc] = openrc.read) -> list[Arrival]:
    """What a file holds: a clouds.yaml any number of environments, an openrc one (by `read`).

    Raises ArbaroError with its line.
    """
    if not path.is_file():
        raise ArbaroError(f"There is no file {path}.", hint=f"ls -l {path.parent}")
    if path.suffix in (".yaml", ".yml", ".json"):
        if not cloudsfile.load(path):
            raise cloudstext.broken(f"{path} holds no cloud: nothing stands below `clouds:`", path)
        return [_arrival_of(name, entry, secret, path) for name, entry, secret in _usable(path)]
    entry, secret = translate.to_entries(read(path), str(path))
    return [Arrival(translate.safe_name(name or translate.name_of(path, entry), path), entry, secret, path)]


def _usable(path: Path) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The entries of somebody's clouds.yaml. Raises ArbaroError with the line of one that openstacksdk cannot use."""
    from arbaro.envs import sdk

    secrets = cloudsfile.load(path.with_name("secure" + path.suffix)) if path.stem == "clouds" else {}
    for name, entry in cloudsfile.load(path).items():
        secret = secrets.get(name) or {}
        fault = sdk.problem(name, entry, secret) if isinstance(name, str) else "its name is no text; quote it"
        if fault:
            line = cloudstext.line_of(cloudsfile.text_of(path), path, str(name))
            raise cloudstext.broken(f"{path}, line {line}: {name} cannot be used: {fault}", path)
        yield name, entry, secret


def _arrival_of(name: str, entry: Mapping[str, Any], secret: Mapping[str, Any], path: Path) -> Arrival:
    """Secrets that stand in somebody's clouds.yaml belong into secure.yaml."""
    translate.refuse_code(entry, path)
    rest, hidden = _parted(entry)
    rest["auth"], hidden_auth = _parted(entry.get("auth") or {})
    hidden_auth |= dict(secret.get("auth") or {})
    hidden |= {**secret, "auth": hidden_auth} if hidden_auth else dict(secret)
    return Arrival(translate.safe_name(name, path), rest, hidden, path)


def _parted(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    secret = {key: value for key, value in values.items() if str(key).replace("-", "_") in translate.SECRETS}
    return {key: value for key, value in values.items() if key not in secret}, secret


def take_over(arrivals: list[Arrival], *, kind: str | None, replace: bool) -> list[str]:
    """Write them all, or none; say what became of each. Raises ArbaroError where a name is taken."""
    with cloudsfile.locked():
        _refuse_twins(arrivals, set() if replace else set(cloudsfile.load(clouds_file())))
        for arrival in arrivals:
            if kind:
                arrival.entry.setdefault(OURS, {})["kind"] = kind
        _write({a.name: a.entry for a in arrivals}, {a.name: a.secret for a in arrivals})
    return [f"Imported {arrival.name} from {arrival.source}." for arrival in arrivals]


def _refuse_twins(arrivals: list[Arrival], taken: set[str]) -> None:
    seen: dict[str, Path] = {name: clouds_file() for name in taken}
    for arrival in arrivals:
        if arrival.name in seen:
            raise ArbaroError(
                f"The name {arrival.name} exists twice: in {seen[arrival.name]} and now from {arrival.source}.",
                why="Nothing was written.",
                hint=f"arbaro env import --as ANOTHER-NAME {arrival.source}, or --replace",
            )
        seen[arrival.name] = arrival.source


def _write(entries: Mapping[str, Any], secrets: Mapping[str, Any]) -> None:
    # Secrets first: an entry without its secret could be used, and would fail.
    if any(secrets.values()) or secure_file().exists():
        changes: Changes = {(name,): secret or GONE for name, secret in secrets.items()}
        cloudsfile.edit(secure_file(), changes, private=True)
    cloudsfile.edit(clouds_file(), {(name,): entry for name, entry in entries.items()}, cache_tokens=True)


def refuse_if_there(name: str) -> None:
    """Raises ArbaroError if there is an entry of this name, before anybody types a password."""
    if name in cloudsfile.load(clouds_file()):
        raise ArbaroError(f"There is an environment {name} in {clouds_file()} already.", hint=f"arbaro env rm {name}")
    if not name or "/" in name or not name.isprintable():
        raise ArbaroError(f"{name!r} cannot be an environment's name: '/' stands before a region.")


def entry_from(
    *,
    auth_url: str,
    username: str | None,
    application_credential_id: str | None,
    project_name: str | None,
    user_domain: str,
    project_domain: str,
    regions: tuple[str, ...],
    cacert: Path | None,
) -> dict[str, Any]:
    """The entry for clouds.yaml that a person's options mean. Raises ArbaroError if nobody would log in."""
    if bool(username) == bool(application_credential_id):
        raise ArbaroError("Say who logs in: --username USER, or --application-credential-id ID, and not both.")
    entry: dict[str, Any] = {"auth": {"auth_url": auth_url}}
    if application_credential_id:
        entry["auth_type"] = "v3applicationcredential"
        entry["auth"]["application_credential_id"] = application_credential_id
    else:
        entry["auth"] |= {"username": username, "user_domain_name": user_domain}
        entry["auth"] |= {"project_name": project_name, "project_domain_name": project_domain} if project_name else {}
    if len(regions) == 1:
        entry["region_name"] = regions[0]
    elif regions:
        entry["regions"] = list(regions)
    if cacert:
        entry["cacert"] = str(cacert.absolute())
    return entry


def add(name: str, entry: dict[str, Any], secret: str, *, kind: str | None, in_keyring: bool) -> None:
    """Write a new environment; its secret goes into secure.yaml or the keyring."""
    key = "application_credential_secret" if "auth_type" in entry else "password"
    if kind:
        entry[OURS] = {"kind": kind}
    if in_keyring:
        vault.keep(name, secret)
        entry.setdefault(OURS, {})["secret"] = "keyring"
    with cloudsfile.locked():
        refuse_if_there(name)
        _write({name: entry}, {name: {} if in_keyring else {"auth": {key: secret}}})


def openrc_text(name: str) -> str:
    """An environment as an openrc, its secret in it."""
    from arbaro.envs import index
    from arbaro.envs.environment import find

    environment = find(name, index.environments())
    entry = clouds.entry(environment)
    if environment.secret == "keyring":
        entry["auth"] = {**entry["auth"], **vault.secret_of(environment, entry)}
    return translate.to_openrc(name, _for_variables(entry))


def _for_variables(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What of an entry has another form as a variable: clients know OS_INSECURE, and no OS_VERIFY."""
    rest = {key: value for key, value in entry.items() if key != "verify"}
    return rest | ({"insecure": True} if entry.get("verify") is False else {})


def mark(name: str, kind: str) -> str:
    """Write the kind into the environment's entry."""
    with cloudsfile.locked():
        cloud = _cloud_of(name)
        cloudsfile.edit(clouds_file(), {(cloud, OURS, "kind"): kind})
    return f"{cloud} is {kind} now."


def remove(name: str) -> str:
    """Take an environment out of both files and the keyring. Raises ArbaroError for a personal cloud that runs."""
    personal = name.removeprefix("arbaro-")
    if name != personal and (clouds_dir() / personal).is_dir():
        raise ArbaroError(f"{name} is a personal cloud; its entry goes with it.", hint=f"arbaro down {personal}")
    with cloudsfile.locked():
        cloud = _cloud_of(name)
        if cloud != name:
            raise ArbaroError(f"{name} is one region of {cloud}.", hint=f"arbaro env rm {cloud} removes all of them")
        vault.forget(name)
        cloudsfile.edit(clouds_file(), {(name,): GONE})
        if name in cloudsfile.load(secure_file()):
            cloudsfile.edit(secure_file(), {(name,): GONE}, private=True)
    for view in files.views_dir().glob(f"{files.slug(name)}[.@]*.yaml"):
        view.unlink()
    return f"Removed {name}; the files as they were: {clouds_file()}~"


def _cloud_of(name: str) -> str:
    """The entry that a name means: its own, or that of the region it names."""
    from arbaro.envs.environment import find

    if name in cloudsfile.load(clouds_file()):
        return name
    return find(name, clouds.load_environments()).cloud
