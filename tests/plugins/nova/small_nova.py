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
from crowd import Crowd
from nova import config, context, objects
from nova.compute import utils as compute_utils
from nova.scheduler import request_filter, utils
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
query_placement_for_availability_zone = true
[filter_scheduler]
available_filters = nova.scheduler.filters.all_filters
available_filters = arbaro_nova.scheduler.filters.AggregateHintFilter
enabled_filters = ComputeFilter,ServerGroupAffinityFilter,AggregateHintFilter
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
        self.made, self.taken = [], set()
        self.client = report.SchedulerReportClient()
        self.make_compute("compute1", f"sqlite:///{directory}/cell.db")
        urls = (f"sqlite:///{directory}/{name}.db" for name in ("cell", "api", "placement"))
        self.databases = fill.Databases(*map(sa.create_engine, urls))
        fill.fill(self.databases, self.crowd)
        from nova.scheduler import manager

        self.scheduler = manager.SchedulerManager()

    def make_compute(self, name, database):
        """Make what a starting nova-compute, and an operator's `nova-manage cell_v2`, would have made."""
        cell = objects.CellMapping(
            self.context,
            uuid=uuids.generate_uuid(),
            name="cell1",
            transport_url="fake://",
            database_connection=database,
        )
        cell.create()
        objects.HostMapping(self.context, host=name, cell_mapping=cell).create()
        objects.Service(self.context, host=name, binary="nova-compute", topic="compute", report_count=1).create()
        specs = [objects.HVSpec.from_list(["x86_64", "qemu", "hvm"])]
        names = {"host": name, "hypervisor_hostname": name, "uuid": uuids.generate_uuid()}
        node = objects.ComputeNode(self.context, supported_hv_specs=specs, **names, **NODE)
        node.create()
        self.client.post("/resource_providers", {"name": name, "uuid": node.uuid}, version="1.20")
        room = {kind: {"total": 64} for kind in ("VCPU", "MEMORY_MB", "DISK_GB")}
        inventories = {"resource_provider_generation": 0, "inventories": room}
        self.client.put(f"/resource_providers/{node.uuid}/inventories", inventories, version="1.26")

    @property
    def scheduler_hosts(self):
        """The scheduler's host manager, which Victoria keeps in its driver."""
        return getattr(self.scheduler, "driver", self.scheduler).host_manager

    def user(self):
        """The context of a new request of an ordinary user; a used one carries a database's transaction."""
        return context.RequestContext("user", "project", is_admin=False)

    def operator(self):
        """The context of a new request of an operator."""
        return context.RequestContext("operator", "admin", is_admin=True)

    def request(self, hint, **changes):
        """Make a request of one server, as nova-api does."""
        spec = request(self.user(), None)
        spec.scheduler_hints = {} if hint is None else {"aggregate_id": hint if isinstance(hint, list) else [str(hint)]}
        for name, value in changes.items():
            setattr(spec, name, value)
        return spec

    def ask(self, hint=None, ctxt=None, **changes):
        """Ask the scheduler for a place for a new server."""
        return self.schedule(self.request(hint, **changes), ctxt)

    def schedule(self, spec, ctxt=None):
        """Return the host that is chosen, or the fault that conductor would store with the server."""
        try:
            places = self.scheduler.select_destinations(
                ctxt or self.user(), spec_obj=spec, instance_uuids=[spec.instance_uuid], return_objects=True
            )
        except dispatcher.ExpectedException as error:
            return compute_utils.exception_to_dict(error.exc_info[1])["message"]
        return places[0][0].service_host

    def make_aggregate(self, hosts, *, beyond_candidates=False, **metadata):
        """Make an aggregate of so many hosts, as nova-api does: in its database, in placement, and told to the scheduler."""
        name = f"aggregate-{uuids.generate_uuid()}"
        aggregate = objects.Aggregate(self.context, name=name, metadata=metadata)
        aggregate.create()
        aggregate.hosts = []
        aggregate.obj_reset_changes()
        self.made.append(aggregate)
        free = [c.name for c in self.crowd if c.name not in self.taken]
        if beyond_candidates:
            handed_out = self.candidates()
            free = [c.name for c in self.crowd if c.uuid not in handed_out and c.name not in self.taken]
        for host in free[:hosts]:
            self.join(aggregate, host)
        self.tell(aggregate)
        return aggregate

    def candidates(self):
        """Ask placement, in the scheduler's own words, which hosts it hands out to a request without a hint.

        They are the same each time, but other ones for another flavor, and after placement's restart.
        """
        ctxt, spec = self.user(), self.request(None)
        request_filter.process_reqspec(ctxt, spec)
        wanted = utils.resources_from_request_spec(ctxt, spec, self.scheduler_hosts)
        _, summaries, _ = self.client.get_allocation_candidates(ctxt, wanted)
        return set(summaries)

    def join(self, aggregate, host):
        """Add a host to an aggregate."""
        aggregate.add_host(host)
        self.taken.add(host)
        self.client.aggregate_add_host(self.context, aggregate.uuid, host_name=host)
        self.tell(aggregate)

    def leave(self, aggregate, host, *, tell_placement=True):
        """Remove a host from an aggregate, behind placement's back if it is not told."""
        aggregate.delete_host(host)
        if tell_placement:
            self.client.aggregate_remove_host(self.context, aggregate.uuid, host)
        self.tell(aggregate)

    def tell(self, aggregate):
        """Tell the scheduler of a changed aggregate, as nova-api does by RPC."""
        self.scheduler.update_aggregates(self.context, [aggregate])

    def forget_aggregates(self):
        """Take away the aggregates that were made here."""
        for aggregate in self.made:
            for host in list(aggregate.hosts):
                self.leave(aggregate, host)
            aggregate.destroy()
            self.scheduler.delete_aggregate(self.context, aggregate)
        self.made, self.taken = [], set()

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
