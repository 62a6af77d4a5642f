# SPDX-License-Identifier: Apache-2.0
"""Of a cell's services only those are read that placement's candidates belong to.

At each request nova's HostManager makes objects of all services of each cell, to look up the candidates' by host. Among
10,000 hosts that is most of a request for which placement has offered 50. nova has no seam there: one private method is
replaced, by one that does the same with fewer rows, and only where nova's code is known to be what it stands on.
"""

import collections
import hashlib
import inspect

from nova import context as nova_context
from nova import objects
from nova.conf import CONF
from nova.objects import base
from nova.scheduler import host_manager
from oslo_config import cfg
from oslo_log import log

LOG = log.getLogger(__name__)
SECTION = "arbaro"
OPTIONS = [
    cfg.IntOpt(
        "few_candidates",
        default=500,
        min=0,
        help="Up to so many of placement's candidates, nova-scheduler reads the services of their hosts only. Above it "
        "reads all of them, as nova does. 0: it always does.",
    ),
]
REPLACED = "_get_computes_for_cells"
#: What is replaced, who calls it, and who gets what it has found.
STANDS_ON = (REPLACED, "get_host_states_by_uuids", "_get_host_states")
#: Fingerprints of these three in nova's releases, and in which ones they are the same.
KNOWN = {"7a1b1fe702e2b93a": "Victoria, Wallaby", "c662ff9f859835ab": "Xena to 2026.1"}


def read_few_services():
    """Have nova's host manager do so from now on, unless that is switched off or this is a nova that we do not know."""
    CONF.register_opts(OPTIONS, group=SECTION)
    manager = host_manager.HostManager
    there = getattr(getattr(manager, REPLACED, None), "__module__", None)
    if there == __name__ or not CONF.arbaro.few_candidates:
        return
    ours = replacement(manager)
    if ours:
        setattr(manager, REPLACED, ours)
    else:
        LOG.warning("This nova's HostManager is not one that we know: at each request it reads all services")


def replacement(manager):
    """Make what takes the place of nova's own method; None if nova's code is not one that this was made for."""
    try:
        if fingerprint(manager) in KNOWN:
            return reading_few(getattr(manager, REPLACED), *cells_database())
    except (AttributeError, ImportError, OSError, TypeError):
        LOG.debug("What there is of nova is not what was looked for", exc_info=True)
    return None


def fingerprint(manager):
    """Say in a word which code of nova's this stands on; white space does not count."""
    code = "".join(inspect.getsource(getattr(manager, name)) for name in STANDS_ON)
    return hashlib.sha256("".join(code.split()).encode()).hexdigest()[:16]


def cells_database():
    """Import the queries and the models of a cell's database, which nova moved after Wallaby."""
    try:
        from nova.db.main import api, models
    except ImportError:
        from nova.db.sqlalchemy import api, models
    return api, models


def reading_few(stock, api, models):
    """Make the method that reads few services where there are few candidates, and else calls nova's own."""

    @api.pick_context_manager_reader
    def services_of(context, hosts):
        query = api.model_query(context, models.Service).filter_by(binary="nova-compute")
        rows = query.filter(models.Service.host.in_(list(hosts))).all()
        return base.obj_make_list(context, objects.ServiceList(context), objects.Service, rows)

    def read(context, uuids):
        nodes = objects.ComputeNodeList.get_all_by_uuids(context, uuids)
        return list(nodes), services_of(context, {node.host for node in nodes}) if nodes else ()

    def computes_for_cells(self, context, cells, compute_uuids=None):
        if compute_uuids is None or len(compute_uuids) > CONF.arbaro.few_candidates:
            return stock(self, context, cells, compute_uuids)
        found = nova_context.scatter_gather_cells(context, cells, nova_context.CELL_TIMEOUT, read, compute_uuids)
        # Of a cell that cannot be read, be it through our fault, nova shall say itself what it says.
        if any(isinstance(one, Exception) for one in found.values()):
            return stock(self, context, cells, compute_uuids)
        compute_nodes, services = collections.defaultdict(list), {}
        for cell, one in found.items():
            if one is nova_context.did_not_respond_sentinel:
                LOG.warning("Cell %s has not answered in time, and is left out", cell)
                continue
            compute_nodes[cell], of_cell = one
            services.update((service.host, service) for service in of_cell)
        return compute_nodes, services

    return computes_for_cells
