# SPDX-License-Identifier: Apache-2.0
"""Prometheus metrics: the stock, what is going on, and what has failed."""

import time
from collections.abc import Iterator

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from arbaro_machines.api.context import Parts
from arbaro_machines.database.models import Machine, Task
from arbaro_machines.database.store import Store
from arbaro_machines.stock import COUNTS, LEVELS, count_stock

router = APIRouter(include_in_schema=False)


class Collector:
    """Reads the figures from the database when Prometheus asks."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the figures."""
        with self._store.reading() as session:
            yield _stock(session)
            yield _count(session, "arbaro_machines_tasks", "Tasks going on", "verb", Task.verb)
            yield _count(
                session, "arbaro_machines_faults", "Machines whose last task failed", "code", Machine.fault_code
            )
            yield _waiting(session)


def _stock(session: Session) -> GaugeMetricFamily:
    family = GaugeMetricFamily("arbaro_machines", "Machines", labels=[*LEVELS["rack"], "is"])
    for line in count_stock(session):
        for count in COUNTS:
            family.add_metric([*(line[name] for name in LEVELS["rack"]), count], line[count])
    return family


def _count(session: Session, name: str, text: str, label: str, column: object) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in session.execute(select(column, func.count()).where(column.is_not(None)).group_by(column)):  # type: ignore
        family.add_metric([value], number)
    return family


def _waiting(session: Session) -> GaugeMetricFamily:
    oldest = session.scalar(select(func.min(Task.wake_at)).where(Task.worker.is_(None)))
    late = max(0.0, time.time() - oldest.timestamp()) if oldest else 0.0
    text = "Seconds that the longest waiting task has been due: grows when no worker runs"
    return GaugeMetricFamily("arbaro_machines_task_overdue_seconds", text, value=late)


@router.get("/metrics")
def metrics(service: Parts) -> Response:
    """All figures, as Prometheus reads them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(service.store))  # type: ignore[arg-type]
    return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")
