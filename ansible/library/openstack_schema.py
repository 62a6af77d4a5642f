#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: bring a service's schemas to its release, and say truthfully whether that changed anything.

The services' own migration commands can be repeated, but do not tell; so the version tables that they keep
(alembic_version, or migrate_version in older schemas) are compared before and after.
"""

import subprocess

from ansible.module_utils.basic import AnsibleModule

VERSION_TABLES = ("alembic_version", "alembic_version_main", "migrate_version")


def ask(sql: str) -> str:
    """Run SQL as root through the socket."""
    client = ["mariadb", "--batch", "--skip-column-names"]
    return subprocess.run(client, input=sql, capture_output=True, text=True, check=True).stdout


def versions(databases: list[str]) -> dict[str, str]:
    """Read the version tables of these databases; what does not exist yet is an empty answer."""
    names = ", ".join(f"'{name}'" for name in databases)
    tables = ask(
        "SELECT CONCAT(table_schema, '.', table_name) FROM information_schema.tables"
        f" WHERE table_schema IN ({names}) AND table_name IN {VERSION_TABLES}"
    ).split()
    return {table: ask(f"SELECT * FROM {table} ORDER BY 1") for table in sorted(tables)}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "databases": {"type": "list", "elements": "str", "required": True},
            "commands": {"type": "list", "elements": "str", "required": True},
            "user": {"type": "str", "required": True},
        }
    )
    before = versions(module.params["databases"])
    for command in module.params["commands"]:
        code, output, errors = module.run_command(["runuser", "-u", module.params["user"], "--", *command.split()])
        if code:
            module.fail_json(msg=f"`{command}` ended with code {code}: {(errors or output)[-2000:]}")
    after = versions(module.params["databases"])
    module.exit_json(changed=before != after, versions=after)


if __name__ == "__main__":
    main()
