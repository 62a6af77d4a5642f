#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a service's user, its roles, and its endpoints in keystone's catalogue.

Runs on the controller with the openstacksdk of the release itself. `endpoints` maps interface → URL. The user has just
the `roles` in the project `service`: others that it has there are taken away.
"""

import openstack
from ansible.module_utils.basic import AnsibleModule
from keystoneauth1.exceptions import Unauthorized


class Keystone:
    """What is wanted of keystone, and whether it had to be changed."""

    def __init__(self, params):
        self.params = params
        self.changed = False
        self.identity = self.connect("admin", params["admin_password"], "admin").identity

    def connect(self, user, password, project):
        """Open a connection as this user."""
        return openstack.connect(
            load_yaml_config=False,
            load_envvars=False,
            auth_type="password",
            region_name=self.params["region"],
            identity_interface="internal",
            auth={
                "auth_url": self.params["auth_url"],
                "username": user,
                "password": password,
                "project_name": project,
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            },
        )

    def ensure_user(self):
        """The service's user with its password and its roles in the project `service`."""
        name, password = self.params["user"], self.params["password"]
        project = self.identity.find_project("service") or self.made(
            self.identity.create_project(name="service", domain_id="default", description="OpenStack's own services")
        )
        user = self.identity.find_user(name) or self.made(
            self.identity.create_user(name=name, domain_id="default", default_project_id=project.id, password=password)
        )
        self.ensure_roles(user, project)
        try:
            self.connect(name, password, "service").authorize()
        except Unauthorized:
            self.made(self.identity.update_user(user, password=password))

    def ensure_roles(self, user, project):
        """The user's roles in the project: these, and no others."""
        wanted = {
            (self.identity.find_role(name) or self.made(self.identity.create_role(name=name))).id
            for name in self.params["roles"]
        }
        assignments = self.identity.role_assignments(user_id=user.id, scope_project_id=project.id)
        found = {assignment.role["id"] for assignment in assignments}
        for role in wanted - found:
            self.made(self.identity.assign_project_role_to_user(project, user, role))
        for role in found - wanted:
            self.made(self.identity.unassign_project_role_from_user(project, user, role))

    def ensure_endpoints(self):
        """The service and its endpoints, each with its URL."""
        service = next(self.identity.services(type=self.params["type"]), None) or self.made(
            self.identity.create_service(type=self.params["type"], name=self.params["name"])
        )
        endpoints = self.identity.endpoints(service_id=service.id, region_id=self.params["region"])
        found = {endpoint.interface: endpoint for endpoint in endpoints}
        for interface, url in self.params["endpoints"].items():
            if interface not in found:
                self.made(
                    self.identity.create_endpoint(
                        service_id=service.id, interface=interface, url=url, region_id=self.params["region"]
                    )
                )
            elif found[interface].url != url:
                self.made(self.identity.update_endpoint(found[interface], url=url))

    def made(self, thing=None):
        """Note that something was changed."""
        self.changed = True
        return thing


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "auth_url": {"type": "str", "required": True},
            "admin_password": {"type": "str", "required": True, "no_log": True},
            "region": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "type": {"type": "str", "required": True},
            "endpoints": {"type": "dict", "required": True},
            "user": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "roles": {"type": "list", "elements": "str", "default": ["service"]},
        }
    )
    keystone = Keystone(module.params)
    if module.params["user"]:
        keystone.ensure_user()
    keystone.ensure_endpoints()
    module.exit_json(changed=keystone.changed)


if __name__ == "__main__":
    main()
