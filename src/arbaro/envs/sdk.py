# SPDX-License-Identifier: Apache-2.0
"""Clouds as openstacksdk itself reads them: vendor profiles, regions with values, keys with dashes, secure.yaml.

Imported only where an entry must really be read, because importing openstacksdk takes most of a second.
"""

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from openstack.config import OpenStackConfig
from openstack.exceptions import SDKException

from arbaro import cloudsfile
from arbaro.cloudspaths import clouds_file, secure_file, vendor_places
from arbaro.envs.environment import OURS, UNFETCHED, Environment
from arbaro.envs.kinds import guess_kind
from arbaro.envs.translate import SECRETS

#: What a wrong entry makes openstacksdk raise. Its messages may quote the entry, so they are not shown.
_WRONG = (SDKException, LookupError, TypeError, AttributeError, ValueError, OSError)


class Clouds(OpenStackConfig):  # type: ignore[misc]
    """A person's files, read as openstacksdk reads them, wherever the person stands and whatever is exported."""

    def __init__(self, *, secrets: bool = True) -> None:
        secure = secure_file()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            super().__init__(
                config_files=[str(clouds_file())],
                secure_files=[str(secure)] if secrets and secure.is_file() else [],
                vendor_files=[str(path) for path in vendor_places()],
                load_envvars=False,
                app_name="arbaro",
            )
        #: The names in clouds.yaml, and those in secure.yaml that are whole entries.
        self.names = [*cloudsfile.load(clouds_file())]
        self._secret = cloudsfile.load(secure) if secrets and secure.is_file() else {}
        self.names += [name for name, entry in self._secret.items() if name not in self.names and _is_whole(entry)]

    def environments(self) -> Iterator[Environment]:
        """All environments; one that openstacksdk cannot use says so in its field `fault`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in self.names:
                yield from self._regions_of(name)

    def _regions_of(self, name: Any) -> Iterator[Environment]:
        own = self.cloud_config["clouds"][name]
        # openstacksdk finds an entry by a text only, and `no: …` is a boolean's.
        fault = _fault(own) if isinstance(name, str) else "its name is no text; quote it"
        try:
            regions = [] if fault else [str(region["name"]) for region in self._get_regions(name)]
            found = [(region, self.get_one(name, region_name=region, validate=False).config) for region in regions]
        except _WRONG as error:
            fault, found = _told(error, own), []
        if len(found) > 1 and "regions" in (self._secret.get(name) or {}):
            # There they would win over the one region that a shell is put into.
            fault, found = f"its `regions` stand in {secure_file()}; move them to {clouds_file()}", []
        for region, config in found:
            yield _environment(str(name), region, len(regions) > 1, own.get(OURS) or {}, config)
        if fault:
            kind = guess_kind(str(name))
            yield Environment(str(name), kind, str(name), "", "", "", "", "", "nowhere", fault)

    def entry(self, environment: Environment, *, region_apart: bool = False) -> dict[str, Any]:
        """All that the files and the vendor's profile say of one environment: one entry for one region.

        With `region_apart`, the values of its region stand below `regions`, where they win over secure.yaml.
        """
        name = next(name for name in self.names if str(name) == environment.cloud)
        own = _underscored(self.cloud_config["clouds"][name])
        whole: dict[str, Any] = {"auth": {}}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._expand_vendor_profile(name, whole, own)
            region = self._get_region(name, environment.region)
        whole = _merged(_underscored(whole), own)
        if "auth_url" in whole:
            whole["auth"].setdefault("auth_url", whole.pop("auth_url"))
        whole = {k: v for k, v in whole.items() if k not in ("profile", "cloud", "regions", "region_name")}
        if region_apart:
            return {**whole, "regions": [region]}
        named = {"region_name": region["name"]} if region["name"] else {}
        return _merged(_merged(whole, _underscored(region["values"])), named)


def _is_whole(entry: Any) -> bool:
    return isinstance(entry, dict) and bool(entry.get("profile") or "auth_url" in _underscored(entry.get("auth") or {}))


def _fault(own: Any) -> str:
    """What is wrong with an entry's shape, in words that hold none of its values."""
    if not isinstance(own, dict):
        return "its entry is empty" if own is None else "its entry is no mapping"
    for key in ("auth", OURS):
        if not isinstance(own.get(key, {}), dict):
            return f"its `{key}` is no mapping"
    if key := _told_twice(own):
        return f"it says `{key}` twice, with a dash and with an underscore"
    if "{" in str(own.get("auth", {}).get("auth-url", "")):
        # openstacksdk fills in the region's name under the other name only.
        return "its `auth-url` has braces; name it `auth_url`"
    regions = own.get("regions", [])
    if not isinstance(regions, list):
        return "its `regions` is no list"
    for region in regions:
        if isinstance(region, dict) and not isinstance(region.get("name"), str):
            return "one of its `regions` has no `name`"
        if isinstance(region, dict) and set(region) - {"name", "values"}:
            return "one of its `regions` has other keys than `name` and `values`"
        if not isinstance(region, dict | str):
            return "one of its `regions` is no name; quote it"
    return ""


def _told_twice(entry: Mapping[Any, Any]) -> str:
    """The first key that is there in both spellings: which of them openstacksdk takes depends on where it stands."""
    names = Counter(str(key).replace("-", "_") for key in entry)
    twice = [name for name, times in names.items() if times > 1]
    values = [value for key, value in entry.items() if key != OURS]
    values += [one for value in values if isinstance(value, list) for one in value]
    below = (_told_twice(value) for value in values if isinstance(value, Mapping))
    return next(iter(twice), "") or next(filter(None, below), "")


def _told(error: Exception, own: Mapping[str, Any]) -> str:
    if isinstance(error, OSError):
        return UNFETCHED
    if "no longer exists" in str(error):
        return f"its profile {own.get('profile', own.get('cloud'))} is of a cloud that no longer exists"
    return f"openstacksdk cannot read its entry ({type(error).__name__})"


def _environment(
    cloud: str, region: str, several: bool, ours: Mapping[str, Any], config: Mapping[str, Any]
) -> Environment:
    auth = {**config, **config["auth"]}
    name = f"{cloud}/{region}" if several else cloud
    return Environment(
        name=name,
        kind=str(ours.get("kind") or guess_kind(name)),
        cloud=cloud,
        os_region=region if several else "",
        region=region,
        project=_first(auth, "project_name", "project_id", "tenant_name", "tenant_id"),
        user=_first(auth, "username", "user_id", "application_credential_id"),
        auth_url=_first(auth, "auth_url", "endpoint"),
        secret=_whereabouts(ours, auth),
    )


def _whereabouts(ours: Mapping[str, Any], auth: Mapping[str, Any]) -> str:
    if ours.get("secret") == "keyring":
        return "keyring"
    return "asked" if ours.get("asked") else "file" if any(auth.get(key) for key in SECRETS) else "nowhere"


def _first(auth: Mapping[str, Any], *keys: str) -> str:
    return next((str(auth[key]) for key in keys if auth.get(key)), "")


def _underscored(entry: Mapping[Any, Any]) -> dict[str, Any]:
    """The keys as openstacksdk takes them: `auth-url` is `auth_url`."""
    return {
        str(key).replace("-", "_"): _underscored(value) if isinstance(value, Mapping) and key != OURS else value
        for key, value in entry.items()
    }


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    auth = {**(old.get("auth") or {}), **(new.get("auth") or {})}
    return {**old, **{key: value for key, value in new.items() if value is not None}, "auth": auth}


def problem(name: str, entry: Any, secret: Mapping[str, Any]) -> str:
    """Why openstacksdk could not use an entry, empty if it can."""
    if fault := _fault(entry):
        return fault
    clouds = Clouds()
    clouds.names = [name]
    clouds.cloud_config = {"clouds": {name: _merged(entry, secret)}}
    # Whether its provider answers now says nothing about the entry.
    return next((found.fault for found in clouds.environments() if found.fault and found.fault != UNFETCHED), "")
