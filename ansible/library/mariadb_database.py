#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: databases and the one user that may use them, made through MariaDB's root socket.

SQL goes to the client's standard input, so a password is in no argv. community.mysql does the same and more, but no
registry that we may rely on carries it without 500 MB of other collections (docs/decisions/0004-ansible-core-only.md).
"""

import subprocess

from ansible.module_utils.basic import AnsibleModule


def ask(sql: str) -> str:
    """Run SQL as root; returns the rows, tab-separated."""
    client = ["mariadb", "--batch", "--skip-column-names"]
    return subprocess.run(client, input=sql, capture_output=True, text=True, check=True).stdout


def quoted(value: str) -> str:
    """Quote a string for SQL."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def missing(databases: list[str], character_set: str, user: str, password: str) -> list[str]:
    """Say in SQL what there is to do."""
    found = ask("SELECT schema_name FROM information_schema.schemata").split()
    statements = [f"CREATE DATABASE `{name}` CHARACTER SET {character_set}" for name in databases if name not in found]
    account = f"{quoted(user)}@'127.0.0.1'"
    has_password = ask(
        "SELECT 1 FROM mysql.global_priv WHERE Host='127.0.0.1' AND User="
        f"{quoted(user)} AND JSON_VALUE(Priv, '$.authentication_string') = PASSWORD({quoted(password)})"
    )
    if not has_password:
        statements.append(f"CREATE OR REPLACE USER {account} IDENTIFIED BY {quoted(password)}")
    granted = ask(f"SELECT Db FROM mysql.db WHERE Host='127.0.0.1' AND User={quoted(user)}").split()
    # Replacing the user has taken its grants away.
    needed = [name for name in databases if not has_password or name.replace("_", "\\\\_") not in granted]
    return [*statements, *(f"GRANT ALL ON `{escaped(name)}`.* TO {account}" for name in needed)]


def escaped(name: str) -> str:
    """In a grant, `_` matches any character unless escaped."""
    return name.replace("_", "\\_")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "databases": {"type": "list", "elements": "str", "required": True},
            # utf8mb3 is what OpenStack's schemas are made for.
            "character_set": {"choices": ["utf8mb3", "utf8mb4"], "default": "utf8mb3"},
            "user": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
        },
        supports_check_mode=True,
    )
    try:
        asked = [module.params[name] for name in ("databases", "character_set", "user", "password")]
        statements = missing(*asked)
        if statements and not module.check_mode:
            ask(";\n".join(statements) + ";\n")
    except subprocess.CalledProcessError as error:
        module.fail_json(msg=f"MariaDB refused: {error.stderr.strip()}")
    module.exit_json(changed=bool(statements))


if __name__ == "__main__":
    main()
