# SPDX-License-Identifier: Apache-2.0
"""What a cloud has because of physical machines is planned, and a cloud without them has none of it."""

import re
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from tests.fakes.hosts import InMemory

from arbaro.cluster import identity, lifecycle, playbooks, rack
from arbaro.cluster.cloud import Cloud
from arbaro.cluster.evidence import wanted_reports, wanted_units
from arbaro.cluster.providers.networks import wanted_routes
from arbaro.cluster.spec import CloudSpec, check_machines
from arbaro.errors import ArbaroError
from arbaro.steps import flatten

ROLE = Path(__file__).parents[3] / "ansible/roles/machines_emulated"
NETWORKS = (IPv4Network("198.18.4.0/24"), IPv4Network("198.18.5.0/24"))
PLAIN = CloudSpec("lab", "zed", 1, "l2isolate", *NETWORKS)
SPEC = CloudSpec("lab", "zed", 1, "l2isolate", *NETWORKS, 2)


def test_machines_bring_one_more_host_and_one_more_route() -> None:
    assert [host.name for host in SPEC.hosts] == [*(host.name for host in PLAIN.hosts), "rack"]
    assert [(str(network), str(via)) for network, via in wanted_routes(SPEC).items()] == [
        ("198.18.5.0/24", "198.18.4.4"),
        ("198.18.4.192/26", "198.18.4.9"),
    ]
    assert wanted_routes(PLAIN) == {NETWORKS[1]: PLAIN.guest_router}
    # No compute's address lies among the machines', however many there are.
    assert SPEC.compute(20).address not in SPEC.rack_network


def test_only_the_controller_with_machines_must_run_their_service() -> None:
    units = [wanted_units(spec, spec.controller) for spec in (PLAIN, SPEC)]
    services = {"arbaro-machines-api", "arbaro-machines-worker", "nova-compute-machines", "nova-serialproxy"}
    assert set(units[1]) - set(units[0]) == services
    reports = [set(wanted_reports(spec)["controller"]) for spec in (PLAIN, SPEC)]
    assert reports[1] - reports[0] == {"nova-compute of machines"}
    assert "rack-bmc" in wanted_units(SPEC, SPEC.rack)


def test_the_steps_without_machines_name_none() -> None:
    plans = [
        lifecycle.up(Cloud(spec, InMemory())) + lifecycle.lay_ground(Cloud(spec, InMemory())) for spec in (PLAIN, SPEC)
    ]
    titles = [{str(step) for step in flatten(plan)} for plan in plans]
    assert not [title for title in titles[0] if "machines" in title or "rack" in title]
    assert {"Enrol the machines", "Start rack", "Bake the rack image", "Pack the machine service"} <= titles[1]


def test_a_rack_gets_its_own_addresses_and_the_bmcs_password_only(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(identity, "clouds_dir", lambda: tmp_path)
    keeper = identity.Keeper("lab")
    keeper.directory.mkdir(parents=True)
    part = identity.part_for("rack", identity.new_identity(SPEC.addresses))
    assert part["rack_machines"] == "pm1 pm2"
    assert {name for name in part if name.endswith("password")} == {"machines_bmc_password"}
    inventory = playbooks.inventory(SPEC.hosts, {}, keeper, keeper.reach)
    groups = {name: sorted(group["hosts"]) for name, group in inventory["all"]["children"].items()}
    assert groups["machines"] == ["controller"]
    assert groups["rack"] == ["rack"]
    # A group's own `identity` would hide that of the controller.
    assert "vars" not in inventory["all"]["children"]["machines"]


@pytest.mark.parametrize("number", [1, 2, 9])
def test_what_is_enrolled_is_what_the_role_makes(number: int) -> None:
    made = (ROLE / "templates/domain.xml.j2").read_text().replace("@NUMBER@", str(number))
    base = re.search(r"machines_emulated_uuid_base: (\S+)", (ROLE / "defaults/main.yml").read_text())
    told = rack.wanted_enrolment(SPEC, f"pm{number}", "a password")
    assert base and told["bmc"]["system"].endswith(f"/{base[1]}{number}")
    assert len(f"{base[1]}{number}") == 36
    assert f"'{told['interfaces'][0]['mac']}'" in made
    assert f"service='{told['console_url'].rpartition(':')[2]}'" in made


def test_servers_and_ramdisks_never_have_the_same_address() -> None:
    (pool,) = rack.wanted_subnet(SPEC.rack_network)["allocation_pools"]
    last = SPEC.addresses["rack_ramdisks"].partition(",")[2]
    assert (last, pool["start"]) == ("198.18.4.207", "198.18.4.208")
    assert SPEC.addresses["rack_gateway"] == "198.18.4.193/26"


def test_too_many_machines_are_refused() -> None:
    check_machines(0)
    with pytest.raises(ArbaroError, match="0 to 9 machines, not 10"):
        check_machines(10)
