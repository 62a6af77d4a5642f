# SPDX-License-Identifier: Apache-2.0
"""Images of glance: what they are, for whom they are, and their bytes."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from keystoneauth1 import exceptions as problems
from keystoneauth1.adapter import Adapter
from keystoneauth1.session import Session

from arbaro_machines.errors import Refusal
from arbaro_machines.sources import PORTS, Unwelcome, resolve

#: glance's disk_format → ours.
FORMATS = {"raw": "raw", "qcow2": "qcow2"}


def why_unbootable(image: Mapping[str, Any]) -> str:
    """Say why no machine can start from an image, by what glance tells of it; nothing when one may."""
    if image["status"] != "active":
        return f"is {image['status']}"
    if image.get("disk_format") not in FORMATS:
        return f"is {image.get('disk_format')}, and must be raw or qcow2"
    if image.get("kernel_id") or image.get("ramdisk_id"):
        return "has a kernel of its own (kernel_id), and is no whole disk"
    return ""


class Glance:
    """Glance: asked with the caller's own token for what an image is, with the service's for its bytes.

    For operators, nova among them, the service asks as itself from the first: they may deploy any image, and nova has
    looked already whether its user can see this one. So the service must be able to read images of all projects.
    """

    def __init__(self, session: Session, region: str | None) -> None:
        self._api = Adapter(session, service_type="image", region_name=region, interface="internal")

    def _get(self, path: str, token: str | None, **query: Any) -> Any:
        """Ask, with this token or (None) as the service itself."""
        given: dict[str, Any] = {"headers": {"X-Auth-Token": token}, "authenticated": False} if token else {}
        return self._api.get(path, params=query, **given).json()

    def describe(self, image_id: str, token: str | None) -> dict[str, Any]:
        """Say what has to be fetched and what it must be; refuses an image that this token cannot see."""
        try:
            image = self._get(f"/v2/images/{image_id}", token)
        except problems.NotFound as error:
            raise Refusal(
                "bad-request", f"image.id: you can see no image {image_id}.", "openstack image list"
            ) from error
        except problems.ClientException as error:
            raise Refusal("no-glance", f"Glance does not tell about the image: {error}", "Try again soon.") from error
        if reason := why_unbootable(image):
            raise Refusal(
                "bad-request", f"image.id: no machine can start from {image['name']}: it {reason}.", self._others(token)
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

    def _others(self, token: str | None) -> str:
        """Name some images that a machine can start from, and that whoever reads this can see."""
        query = {"status": "active", "disk_format": f"in:{','.join(FORMATS)}", "sort": "name:asc", "limit": 100}
        if token is None:
            query["visibility"] = "public"  # nova tells it to its user
        try:
            found = self._get("/v2/images", token, **query)["images"]
        except problems.ClientException:
            return "openstack image list"
        names = [image["name"] for image in found if not why_unbootable(image)]
        return (
            f"These can: {', '.join(names[:5])}." if names else "No image that you can see could: upload a whole disk."
        )

    def check(self, url: str) -> SplitResult:
        """Let glance itself be asked, and nothing that it might send us to: the token goes along."""
        if not url.startswith(f"{self._api.get_endpoint()}/v2/images/"):
            raise Unwelcome(f"{url} is not glance's.")
        return urlsplit(url)

    def addresses(self, parts: SplitResult) -> list[str]:
        """Where glance is: the catalog says so, and the catalog is trusted."""
        try:
            return resolve(parts.hostname or "", parts.port or PORTS[parts.scheme])
        except OSError as error:
            raise Unwelcome(f"glance at {parts.hostname} has no address: {error}") from error

    def url(self, image_id: str) -> str:
        """Where the image's bytes are."""
        return f"{self._api.get_endpoint()}/v2/images/{image_id}/file"

    def headers(self) -> dict[str, str]:
        """With what to ask for them."""
        return dict(self._api.session.get_auth_headers(self._api.auth) or {})
