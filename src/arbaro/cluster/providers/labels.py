# SPDX-License-Identifier: Apache-2.0
"""A cloud's spec as labels, which are all that a provider remembers of it."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network

from arbaro.cluster.spec import CloudSpec

#: Everything of a cloud has this label; its value is the cloud's name.
LABEL = "arbaro.cloud"
#: A host's own name.
HOST_LABEL = "arbaro.host"
#: Only what has this label carries the spec.
RELEASE_LABEL = "arbaro.release"


def labels_of(spec: CloudSpec) -> dict[str, str]:
    """Write the spec; its underlay is not in it, because the thing that carries the labels is the underlay."""
    facts = {
        LABEL: spec.name,
        RELEASE_LABEL: spec.release,
        "arbaro.computes": spec.computes,
        "arbaro.network": spec.network,
        "arbaro.provider": spec.provider,
        **({"arbaro.machines": spec.machines} if spec.machines else {}),
    }
    return {name: str(value) for name, value in facts.items()}


def spec_of(labels: Mapping[str, str], underlay: IPv4Network, hosts: Iterable[str]) -> CloudSpec:
    """Read the spec back. Hosts beyond the number of computes count too: computes were added later."""
    numbers = [int(name.removeprefix("compute")) for name in hosts if name.startswith("compute")]
    return CloudSpec(
        labels[LABEL],
        labels[RELEASE_LABEL],
        max(int(labels["arbaro.computes"]), *numbers, 0),
        labels["arbaro.network"],
        underlay,
        IPv4Network(labels["arbaro.provider"]),
        int(labels.get("arbaro.machines", 0)),
    )
