# SPDX-License-Identifier: Apache-2.0
"""What each service's user may do: the real rules of placement, neutron, nova and glance, with our policy files and roles."""

from pathlib import Path

import glance.policies
import neutron.conf.policies
import nova.policies
import placement.policies
import pytest
import yaml
from oslo_config import cfg
from oslo_policy import policy

ANSIBLE = Path(__file__).parents[3] / "ansible"
RELEASE = yaml.safe_load((ANSIBLE / "releases/zed.yml").read_text())["release"]
SERVICES = yaml.safe_load((ANSIBLE / "services.yml").read_text())["services"]
RULES = {
    "placement": placement.policies,
    "neutron": neutron.conf.policies,
    "nova": nova.policies,
    "glance": glance.policies,
}
#: Something that belongs to a project.
TARGET = {
    name: "tenants" for name in ("project_id", "tenant_id", "owner", "network:tenant_id", "security_group:tenant_id")
}
TARGET |= {"visibility": "private", "member_id": None, "user_id": "somebody"}


@pytest.fixture(params=[True, False], ids=["our policies", "stock"])
def ours(request):
    return request.param


class Cloud:
    """The four services' policies, as they judge one after the other."""

    def __init__(self, directory, with_ours):
        self.enforcers = {}
        for name, module in RULES.items():
            file = directory / f"{name}.yaml"
            file.write_text(yaml.safe_dump(RELEASE["policies"][name] if with_ours else {}))
            conf = cfg.ConfigOpts()
            conf([])
            enforcer = self.enforcers[name] = policy.Enforcer(conf, policy_file=str(file))
            enforcer.suppress_default_change_warnings = enforcer.suppress_deprecation_warnings = True
            enforcer.register_defaults(module.list_rules())

    def allows(self, service, rule, roles, project="service"):
        """Say whether somebody with these roles in a project may do this to what belongs to the project `tenants`."""
        enforcer = self.enforcers[service]
        asker = {"roles": roles, "project_id": project, "tenant_id": project, "user_id": "asker", "is_admin": False}
        # As the services themselves do it before they ask for anything else.
        asker["is_admin"] = service != "placement" and enforcer.enforce("context_is_admin", TARGET, dict(asker))
        return bool(enforcer.enforce(rule, dict(TARGET), asker))


@pytest.fixture
def cloud(tmp_path):
    return Cloud(tmp_path, True)


def roles_of(user):
    return SERVICES[user]["roles"]


NEEDED = {
    "nova": [
        ("placement", "placement:allocations:manage"),
        ("placement", "placement:allocation_candidates:list"),
        ("placement", "placement:resource_providers:update"),
        ("placement", "placement:reshaper:reshape"),
        ("neutron", "get_port"),
        ("neutron", "update_port"),
        ("neutron", "update_port:binding:host_id"),
        ("neutron", "update_port:mac_address"),
        ("neutron", "get_port:binding:vif_type"),
        ("neutron", "delete_port"),
        ("neutron", "create_port_binding"),
        ("neutron", "delete_port_binding"),
        ("neutron", "activate"),
        ("neutron", "get_network"),
        ("neutron", "get_network:provider:physical_network"),
        ("neutron", "get_subnet"),
        ("neutron", "get_security_group"),
    ],
    "neutron": [("nova", "os_compute_api:os-server-external-events:create")],
    "machines": [("glance", "get_image"), ("glance", "download_image")],
}


@pytest.mark.parametrize(
    ("user", "service", "rule"), [(user, *need) for user, needs in NEEDED.items() for need in needs]
)
def test_a_service_may_do_its_work(cloud, user, service, rule):
    assert cloud.allows(service, rule, roles_of(user))


@pytest.mark.parametrize(("user", "service", "rule"), [
    ("nova", "nova", "os_compute_api:servers:show"),
    ("nova", "nova", "os_compute_api:servers:index:get_all_tenants"),
    ("nova", "nova", "os_compute_api:servers:delete"),
    ("nova", "nova", "os_compute_api:os-server-external-events:create"),
    # Who is no administrator there sees what is public or of the own project, whatever the other rules say.
    ("nova", "glance", "context_is_admin"),
    ("nova", "neutron", "create_network:provider:network_type"),
    ("nova", "neutron", "update_network"),
    ("nova", "neutron", "delete_network"),
    ("nova", "neutron", "delete_subnet"),
    ("nova", "neutron", "update_security_group"),
    ("nova", "neutron", "create_security_group_rule"),
    ("nova", "neutron", "delete_agent"),
    ("nova", "neutron", "update_quota"),
    ("neutron", "glance", "context_is_admin"),
    ("glance", "nova", "os_compute_api:servers:show"),
    ("glance", "neutron", "delete_network"),
    ("placement", "nova", "os_compute_api:servers:show"),
    ("machines", "glance", "delete_image"),
    ("machines", "glance", "modify_image"),
    ("machines", "glance", "upload_image"),
    ("machines", "glance", "publicize_image"),
    ("machines", "glance", "add_member"),
    ("machines", "nova", "os_compute_api:servers:show"),
    ("machines", "neutron", "delete_network"),
])  # fmt: skip
def test_a_service_may_do_no_more(cloud, user, service, rule):
    assert not cloud.allows(service, rule, roles_of(user))


def test_nobodys_user_is_admin():
    assert not [name for name, service in SERVICES.items() if "admin" in service.get("roles", [])]


MEMBER = ["member", "reader"]


@pytest.mark.parametrize(("service", "rule"), [
    ("glance", "add_image"), ("glance", "get_image"), ("glance", "delete_image"), ("glance", "download_image"),
    ("neutron", "create_port"), ("neutron", "get_subnet"), ("neutron", "delete_port"),
    ("nova", "os_compute_api:servers:show"), ("nova", "os_compute_api:servers:delete"),
])  # fmt: skip
def test_a_member_may_do_what_members_may(tmp_path, service, rule, ours):
    assert Cloud(tmp_path, ours).allows(service, rule, MEMBER, project="tenants")


@pytest.mark.parametrize(("service", "rule"), [
    ("placement", "placement:allocations:manage"), ("placement", "placement:resource_providers:list"),
    ("neutron", "update_port:binding:host_id"), ("neutron", "get_port:binding:host_id"),
    ("neutron", "create_port_binding"), ("neutron", "get_network:provider:network_type"),
    ("nova", "os_compute_api:os-server-external-events:create"), ("glance", "publicize_image"),
])  # fmt: skip
def test_a_member_may_not_do_what_services_may(cloud, service, rule):
    assert not cloud.allows(service, rule, MEMBER, project="tenants")


def test_each_rule_is_one_that_the_service_knows():
    unregistered = {"create_port_binding", "get_port_binding", "delete_port_binding", "activate"}
    for name, rules in RELEASE["policies"].items():
        known = {rule.name for rule in RULES[name].list_rules()}
        assert set(rules) - known <= unregistered
