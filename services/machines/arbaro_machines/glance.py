# SPDX-License-Identifier: Apache-2.0
"""Images of glance: what they are, for whom they are, and their bytes."""

from typing import Any

from keystoneauth1 import exceptions as problems
from keystoneauth1.adapter import Adapter
from keystoneauth1.session import Session

from arbaro_machines.errors import Refusal

#: glance's disk_format → ours.
FORMATS = {"raw": "raw", "qcow2": "qcow2"}


class Glance:
    """Glance, asked with the caller's own token for what an image is, with the service's for its bytes."""

    def __init__(self, session: Session, region: str | None) -> None:
        self._api = Adapter(session, service_type="image", region_name=region, interface="internal")

    def describe(self, image_id: str, token: str) -> dict[str, Any]:
        """Say what has to be fetched and what it must be; refuses an image that this token cannot see."""
        try:
            image = self._api.get(f"/v2/images/{image_id}", headers={"X-Auth-Token": token}, authenticated=False).json()
        except problems.NotFound as error:
            raise Refusal(
                "bad-request", f"image.id: you can see no image {image_id}.", "openstack image list"
            ) from error
        except problems.ClientException as error:
            raise Refusal("no-glance", f"Glance does not tell about the image: {error}", "Try again soon.") from error
        if image["status"] != "active" or image.get("disk_format") not in FORMATS:
            raise Refusal(
                "bad-request",
                f"image.id: {image['name']} is {image['status']}, {image.get('disk_format')}.",
                "It must be active, and raw or qcow2.",
            )
        if not image.get("os_hash_value"):
            raise Refusal(
                "bad-request", f"image.id: glance knows no os_hash_value of {image['name']}.", "Upload it again."
            )
        return {
            "id": image_id,
            "name": image["name"],
            "format": FORMATS[image["disk_format"]],
            "checksum": f"{image['os_hash_algo']}:{image['os_hash_value']}",
            "min_disk_gb": image["min_disk"],
        }

    def url(self, image_id: str) -> str:
        """Where the image's bytes are."""
        return f"{self._api.get_endpoint()}/v2/images/{image_id}/file"

    def headers(self) -> dict[str, str]:
        """With what to ask for them."""
        return dict(self._api.session.get_auth_headers(self._api.auth) or {})
