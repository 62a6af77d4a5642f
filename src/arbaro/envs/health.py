# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with environments, judged from evidence: each finding says what was seen and what to type."""

from collections.abc import Iterator

from arbaro.checks import Finding
from arbaro.envs.evidence import Evidence

#: Days before its end in which a certificate or credential is worth a word.
SOON = 14


def file_is_open(evidence: Evidence) -> Iterator[Finding]:
    """A file with secrets that others may read."""
    for path, mode in evidence.modes.items():
        holds = "secure" in path.rsplit("/", 1)[-1] or (path.endswith(".yaml") and "/arbaro/env/" in path)
        holds = holds or (bool(evidence.open_secrets) and path.startswith(evidence.clouds_file))
        if holds and mode & 0o077:
            yield Finding(path, f"mode {mode:04o}", "others on this machine can read its secrets", f"chmod 600 {path}")


def entry_is_wrong(evidence: Evidence) -> Iterator[Finding]:
    """An entry that openstacksdk cannot use."""
    for env in evidence.environments:
        if env.fault:
            yield Finding(env.name, env.fault, "no client can use it", f"correct it in {evidence.clouds_file}")


def secret_in_clouds_yaml(evidence: Evidence) -> Iterator[Finding]:
    """A secret in the file that people show each other."""
    for name in evidence.open_secrets:
        yield Finding(
            name,
            f"its secret is in {evidence.clouds_file}",
            "clouds.yaml is often shown or copied; secrets belong into secure.yaml beside it",
            f"move the secret of {name} to secure.yaml",
        )


def secret_of_nobody(evidence: Evidence) -> Iterator[Finding]:
    """A secret whose environment is gone."""
    for name in evidence.orphans:
        yield Finding(name, "it is in secure.yaml only", "its entry in clouds.yaml is gone or spelt differently",
                      f"spell {name} alike in both files, or remove it from secure.yaml")  # fmt: skip


def same_place_twice(evidence: Evidence) -> Iterator[Finding]:
    """Several names for one place."""
    for names in evidence.twins:
        yield Finding(
            names[0],
            f"{' and '.join(names)} lead to the same user, project and region",
            "one of the names lies sooner or later",
            "keep the name that says it best; each of them works",
        )


def file_in_this_directory(evidence: Evidence) -> Iterator[Finding]:
    """A clouds.yaml in this directory, which clients prefer until an environment is chosen."""
    for path in evidence.strays:
        if path != evidence.clouds_file:
            yield Finding(
                path,
                "it lies in this directory",
                "without a chosen environment, clients take it before yours",
                "arbaro env use NAME",
            )


def tokens_are_not_cached(evidence: Evidence) -> Iterator[Finding]:
    """A clouds.yaml that makes each call log in anew."""
    if not evidence.caches_tokens and evidence.environments:
        yield Finding(
            evidence.clouds_file,
            "it has no `cache: {auth: true}`",
            "each openstack call logs in anew",
            f"add `cache: {{auth: true}}` beside `clouds:` in {evidence.clouds_file}",
        )


def ca_file_is_missing(evidence: Evidence) -> Iterator[Finding]:
    """A CA file that is not there."""
    for env in evidence.environments:
        if env.no_cacert:
            yield Finding(env.name, f"its cacert {env.no_cacert} is missing", "no certificate can be verified",
                          f"ls -l {env.no_cacert}")  # fmt: skip


def endpoint_is_dead(evidence: Evidence) -> Iterator[Finding]:
    """A keystone that cannot be reached, or whose certificate does not hold."""
    for env in evidence.environments:
        if env.door:
            yield Finding(
                env.name, f"{env.auth_url}: {env.door}", "no client can log in there", f"curl -v {env.auth_url}"
            )


def certificate_ends_soon(evidence: Evidence) -> Iterator[Finding]:
    """A certificate with few days left."""
    for env in evidence.environments:
        if env.certificate_days is not None and 0 <= env.certificate_days < SOON:
            yield Finding(
                env.name,
                f"the certificate of {env.auth_url} ends in {env.certificate_days:.0f} days",
                "then no client will trust it",
                "tell those who run it",
            )


def login_is_refused(evidence: Evidence) -> Iterator[Finding]:
    """Credentials that keystone does not take."""
    for env in evidence.environments:
        if env.login:
            yield Finding(
                env.name,
                env.login,
                "its credential is wrong, over, or was taken back",
                f"openstack --os-cloud {env.name.partition('/')[0]} token issue",
            )


def credential_ends_soon(evidence: Evidence) -> Iterator[Finding]:
    """An application credential with few days left."""
    for env in evidence.environments:
        if env.credential_days is not None and env.credential_days < SOON:
            yield Finding(
                env.name,
                f"its application credential ends in {env.credential_days:.0f} days",
                "then nothing works there",
                "openstack application credential create",
            )


CHECKS = (
    file_is_open,
    entry_is_wrong,
    secret_in_clouds_yaml,
    secret_of_nobody,
    same_place_twice,
    file_in_this_directory,
    tokens_are_not_cached,
    ca_file_is_missing,
    endpoint_is_dead,
    certificate_ends_soon,
    login_is_refused,
    credential_ends_soon,
)


def findings(evidence: Evidence) -> list[Finding]:
    """All that is wrong, in the order of the checks."""
    return [finding for check in CHECKS for finding in check(evidence)]
