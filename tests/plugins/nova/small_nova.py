# SPDX-License-Identifier: Apache-2.0
"""A nova without services: real scheduler, real objects in SQLite databases, real placement on the loopback.

What is not real: the queue (the manager's methods are called, as RPC calls them), keystone, and the computes, which are rows.
"""

import importlib
import pathlib

import fill
import placement_api
import sqlalchemy as sa
from ask import request
from crowd import Crowd, aggregate_uuid
from nova import config, context, objects
from nova.scheduler.client import report
from oslo_messaging.rpc import dispatcher
from oslo_utils import uuidutils as uuids

SETTINGS = """\
[DEFAULT]
transport_url = fake://
[api_database]
connection = sqlite:///{directory}/api.db
[database]
connection = sqlite:///{directory}/cell.db
[scheduler]
max_placement_results = 10
[filter_scheduler]
available_filters = nova.scheduler.filters.all_filters
available_filters = arbaro_nova.scheduler.filters.AggregateHintFilter
enabled_filters = ComputeFilter,AggregateHintFilter
[placement]
auth_type = admin_token
token = admin
endpoint = http://127.0.0.1:{port}
"""
#: What nova-compute would report.
NODE = {
    "vcpus": 64, "memory_mb": 65536, "local_gb": 100, "vcpus_used": 0, "memory_mb_used": 0, "local_gb_used": 0,
    "free_ram_mb": 65536, "free_disk_gb": 100, "hypervisor_type": "QEMU", "hypervisor_version": 7002000, "cpu_info": "{}",
    "stats": {}, "metrics": "[]", "cpu_allocation_ratio": 1.0, "ram_allocation_ratio": 1.0, "disk_allocation_ratio": 1.0,
    "mapped": 1,
}  # fmt: skip
#: Where the models are: nova moved them after Victoria.
MODELS = {
    "api.db": ("nova.db.api.models:BASE", "nova.db.sqlalchemy.api_models:API_BASE"),
    "cell.db": ("nova.db.main.models:BASE", "nova.db.sqlalchemy.models:BASE"),
}


class Nova:
    """A scheduler with its databases and its placement."""

    def __init__(self, directory: pathlib.Path):
        """Make the databases, one compute, and copies of it in aggregates; then load the scheduler as its service does."""
        self.crowd = Crowd(40, 8)
        self.placement = placement_api.start(f"sqlite:///{directory}/placement.db")
        settings = directory / "nova.conf"
        settings.write_text(SETTINGS.format(directory=directory, port=self.placement.server_port))
        config.parse_args(["nova"], default_config_files=[str(settings)])
        objects.register_all()
        for name, places in MODELS.items():
            first_of(places).metadata.create_all(sa.create_engine(f"sqlite:///{directory}/{name}"))
        self.context = context.get_admin_context()
        self.user = context.RequestContext("user", "project", is_admin=False)
        self.make_compute("compute1", f"sqlite:///{directory}/cell.db")
        urls = (f"sqlite:///{directory}/{name}.db" for name in ("cell", "api", "placement"))
        self.databases = fill.Databases(*map(sa.create_engine, urls))
        fill.fill(self.databases, self.crowd)
        from nova.scheduler import manager

        self.scheduler = manager.SchedulerManager()

    def make_compute(self, name, database):
        """Make what a starting nova-compute, and an operator's `nova-manage cell_v2`, would have made."""
        cell = objects.CellMapping(
            self.context, uuid=uuids.generate_uuid(), name="cell1", transport_url="fake://", database_connection=database
        )
        cell.create()
        objects.HostMapping(self.context, host=name, cell_mapping=cell).create()
        objects.Service(self.context, host=name, binary="nova-compute", topic="compute", report_count=1).create()
        specs = [objects.HVSpec.from_list(["x86_64", "qemu", "hvm"])]
        names = {"host": name, "hypervisor_hostname": name, "uuid": uuids.generate_uuid()}
        node = objects.ComputeNode(self.context, supported_hv_specs=specs, **names, **NODE)
        node.create()
        client = report.SchedulerReportClient()
        client.post("/resource_providers", {"name": name, "uuid": node.uuid}, version="1.20")
        room = {kind: {"total": 64} for kind in ("VCPU", "MEMORY_MB", "DISK_GB")}
        inventories = {"resource_provider_generation": 0, "inventories": room}
        client.put(f"/resource_providers/{node.uuid}/inventories", inventories, version="1.26")

    def ask(self, hint=None, ctxt=None, **changes):
        """Ask the scheduler for a place; returns the host's name, or what nova-conductor would show as the server's fault."""
        spec = request(ctxt or self.user, None)
        if hint is not None:
            spec.scheduler_hints = {"aggregate_id": hint if isinstance(hint, list) else [str(hint)]}
        for name, value in changes.items():
            setattr(spec, name, value)
        try:
            places = self.scheduler.select_destinations(
                ctxt or self.user, spec_obj=spec, instance_uuids=[spec.instance_uuid], return_objects=True
            )
        except dispatcher.ExpectedException as error:
            return error.exc_info[1].format_message()
        return places[0][0].service_host

    def aggregate(self, number):
        """Read one of the crowd's aggregates."""
        return objects.Aggregate.get_by_uuid(self.context, aggregate_uuid(number))

    def tell(self, aggregate):
        """Tell the scheduler of a changed aggregate, as nova-api does by RPC."""
        self.scheduler.update_aggregates(self.context, [aggregate])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.placement.shutdown()
        self.placement.server_close()


def first_of(places):
    """Import the first of these that there is in this release."""
    for place in places:
        module, _, name = place.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except ModuleNotFoundError:
            continue
    raise LookupError(places)
