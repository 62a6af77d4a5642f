# SPDX-License-Identifier: Apache-2.0
"""What a server is told at its first boot, in the files that nova writes for virtual machines too.

The user's script is in it byte for byte: what it is (a script, cloud-config, several parts) is cloud-init's business.
"""

from __future__ import annotations

import base64

from nova.api.metadata import base as metadata


def files_for(instance, injected_files, admin_password, network_info) -> dict[str, str]:
    """Return path → base64 of the content."""
    instance_metadata = metadata.InstanceMetadata(
        instance,
        content=injected_files,
        extra_md={"admin_pass": admin_password} if admin_password else {},
        network_info=network_info,
    )
    return {path: encoded(content) for path, content in instance_metadata.metadata_for_config_drive()}


def encoded(content: str | bytes) -> str:
    """Return bytes or text as base64."""
    return base64.b64encode(content if isinstance(content, bytes) else content.encode()).decode()
