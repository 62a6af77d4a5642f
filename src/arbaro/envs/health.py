# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with environments, judged from evidence: each finding says what was seen and what to type."""

from collections.abc import Callable, Iterable, Sequence

from arbaro.checks import ERROR, WARNING, Check, Finding, Need, Spot
from arbaro.evidence import Evidence

#: Days before its end in which a certificate or credential is worth a word.
SOON = 14


def each(what: str) -> Callable[[Evidence], list[Spot]]:
    """Every file or environment of which there is something of this kind to look at."""
    return lambda evidence: [Spot(thing=place) for place in evidence.places(what)]


def listed(what: str) -> Callable[[Evidence], list[Spot]]:
    """Everything in a list that should be empty; `evidence.about` is the person's clouds.yaml."""
    return lambda evidence: [Spot(thing=str(one)) for one in evidence.value(evidence.about, what)]


def file_is_open(evidence: Evidence, spot: Spot) -> Finding | None:
    """A file with secrets that others may read."""
    mode, path = evidence.value(spot.thing, "mode"), spot.thing
    if not mode & 0o077:
        return None
    return Finding(path, f"mode {mode:04o}", "others on this machine can read its secrets", f"chmod 600 {path}")


def entry_is_wrong(evidence: Evidence, spot: Spot) -> Finding | None:
    """An entry that openstacksdk cannot use."""
    if not (fault := evidence.value(spot.thing, "entry")):
        return None
    return Finding(spot.thing, fault, "no client can use it", f"correct it in {evidence.about}")


def secret_in_clouds_yaml(evidence: Evidence, spot: Spot) -> Finding:
    """A secret in the file that people show each other."""
    return Finding(
        spot.thing,
        f"its secret is in {evidence.about}",
        "clouds.yaml is often shown or copied; secrets belong into secure.yaml beside it",
        f"move the secret of {spot.thing} to secure.yaml",
    )


def secret_of_nobody(evidence: Evidence, spot: Spot) -> Finding:
    """A secret whose environment is gone."""
    return Finding(
        spot.thing,
        "it is in secure.yaml only",
        "its entry in clouds.yaml is gone or spelt differently",
        f"spell {spot.thing} alike in both files, or remove it from secure.yaml",
    )


def each_twin(evidence: Evidence) -> list[Spot]:
    """The first name of each place that has several."""
    return [Spot(thing=names[0]) for names in evidence.value(evidence.about, "names of one place")]


def same_place_twice(evidence: Evidence, spot: Spot) -> Finding:
    """Several names for one place."""
    found = evidence.value(evidence.about, "names of one place")
    names = next(names for names in found if names[0] == spot.thing)
    return Finding(
        spot.thing,
        f"{' and '.join(names)} lead to the same user, project and region",
        "one of the names lies sooner or later",
        "keep the name that says it best; each of them works",
    )


def file_in_this_directory(evidence: Evidence, spot: Spot) -> Finding:
    """A clouds.yaml in this directory, which clients prefer until an environment is chosen."""
    means = "without a chosen environment, clients take it before yours"
    return Finding(spot.thing, "it lies in this directory", means, "arbaro env use NAME")


def tokens_are_not_cached(evidence: Evidence, spot: Spot) -> Finding | None:
    """A clouds.yaml that makes each call log in anew."""
    if evidence.value(spot.thing, "cache of tokens"):
        return None
    return Finding(
        spot.thing,
        "it has no `cache: {auth: true}`",
        "each openstack call logs in anew",
        f"add `cache: {{auth: true}}` beside `clouds:` in {spot.thing}",
    )


def ca_file_is_missing(evidence: Evidence, spot: Spot) -> Finding | None:
    """A CA file that is not there."""
    if not (missing := evidence.value(spot.thing, "CA file")):
        return None
    saw = f"its cacert {missing} is missing"
    return Finding(spot.thing, saw, "no certificate can be verified", f"ls -l {missing}")


def endpoint_is_dead(evidence: Evidence, spot: Spot) -> Finding | None:
    """A keystone that cannot be reached, or whose certificate does not hold."""
    door, url = evidence.value(spot.thing, "keystone"), evidence.should(spot.thing, "URL")
    return Finding(spot.thing, f"{url}: {door}", "no client can log in there", f"curl -v {url}") if door else None


def certificate_ends_soon(evidence: Evidence, spot: Spot) -> Finding | None:
    """A certificate with few days left."""
    days, url = evidence.value(spot.thing, "days of the certificate"), evidence.should(spot.thing, "URL")
    if not 0 <= days < SOON:
        return None
    saw = f"the certificate of {url} ends in {days:.0f} days"
    return Finding(spot.thing, saw, "then no client will trust it", "tell those who run it")


def login_is_refused(evidence: Evidence, spot: Spot) -> Finding | None:
    """Credentials that keystone does not take."""
    if not (why := evidence.value(spot.thing, "login")):
        return None
    issue = f"openstack --os-cloud {spot.thing.partition('/')[0]} token issue"
    return Finding(spot.thing, why, "its credential is wrong, over, or was taken back", issue)


def credential_ends_soon(evidence: Evidence, spot: Spot) -> Finding | None:
    """An application credential with few days left."""
    days = evidence.value(spot.thing, "days of the credential")
    if days >= SOON:
        return None
    saw = f"its application credential ends in {days:.0f} days"
    return Finding(spot.thing, saw, "then nothing works there", "openstack application credential create")


def after(*checks: str) -> Callable[[Evidence, Spot], Iterable[Need]]:
    """The need that these checks are silent for the same environment."""
    return lambda _, spot: [(check, spot) for check in checks]


CHECKS: Sequence[Check] = (
    Check("file-open", ERROR, each("mode"), file_is_open),
    Check("entry-wrong", ERROR, each("entry"), entry_is_wrong),
    Check("secret-in-clouds-yaml", WARNING, listed("secrets in clouds.yaml"), secret_in_clouds_yaml),
    Check("secret-of-nobody", WARNING, listed("secrets of nobody"), secret_of_nobody),
    Check("same-place-twice", WARNING, each_twin, same_place_twice),
    Check("file-in-this-directory", WARNING, listed("files in this directory"), file_in_this_directory),
    Check("tokens-not-cached", WARNING, each("cache of tokens"), tokens_are_not_cached),
    Check("ca-file-missing", ERROR, each("CA file"), ca_file_is_missing, after("entry-wrong")),
    Check("endpoint-dead", ERROR, each("keystone"), endpoint_is_dead, after("ca-file-missing")),
    Check("certificate-ends-soon", WARNING, each("days of the certificate"), certificate_ends_soon),
    Check("login-refused", ERROR, each("login"), login_is_refused, after("ca-file-missing", "endpoint-dead")),
    Check("credential-ends-soon", WARNING, each("days of the credential"), credential_ends_soon),
)
