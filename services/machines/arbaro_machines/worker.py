# SPDX-License-Identifier: Apache-2.0
"""The worker: takes tasks, brings them forward step by step, and lets go of them while there is nothing but waiting."""

import datetime
import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import requests
from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError

from arbaro_machines import events, silence, tasks
from arbaro_machines.connections import Connections
from arbaro_machines.database.models import Machine, Task, moment, now
from arbaro_machines.database.store import Store
from arbaro_machines.faults import BmcTrouble, Fault
from arbaro_machines.images import ImageCache
from arbaro_machines.results import changes_of
from arbaro_machines.sealing import Seal
from arbaro_machines.settings import Settings
from arbaro_machines.steps.plans import steps_of
from arbaro_machines.steps.work import Step, Work

log = logging.getLogger(__name__)

#: What a step notes for itself only.
PASSING_NOTES = frozenset({"asked", "doubt", "seen_off", silence.NOTE})
#: How long until a BMC that is in trouble is asked again.
TROUBLE_SECONDS = 5.0
#: The database is gone or starts anew: nothing is wrong with any task, and what is in hand can be taken up later.
NO_DATABASE = (OperationalError, InterfaceError)


class Worker:
    """One process of workers: a loop that takes tasks, threads that work on them, and one that keeps the leases."""

    def __init__(self, settings: Settings, store: Store, seal: Seal, images: ImageCache) -> None:
        self._settings = settings
        self._store = store
        self._seal = seal
        self._images = images
        self._connections = Connections(seal)
        self._name = settings.worker_name
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="task")
        self._busy: set[str] = set()
        self._stop = threading.Event()
        self._wake = threading.Event()

    def stop(self) -> None:
        """Take no more tasks; those in hand end their step."""
        self._stop.set()
        self._wake.set()

    def run(self) -> None:
        """Work until stopped."""
        keeper = threading.Thread(target=self._keep_leases, name="keeper", daemon=True)
        keeper.start()
        log.info("%s works with %d threads", self._name, self._settings.threads)
        while not self._stop.is_set():
            taken = self._take_patiently()
            for task_id in taken:
                self._pool.submit(self._advance, task_id).add_done_callback(self._put_down(task_id))
            if not taken:
                self._wake.wait(min(1.0, self._settings.times.poll))
            self._wake.clear()
        self._pool.shutdown(wait=True)

    def _take_patiently(self) -> list[str]:
        try:
            return self._take()
        except NO_DATABASE as error:
            log.warning("the database does not answer: %s", error.orig)
            self._stop.wait(1)
            return []

    def _take(self) -> list[str]:
        free = self._settings.threads - len(self._busy)
        if free <= 0:
            return []
        with self._store.reading() as session:
            # Most looks find nothing: they shall not take SQLite's write lock.
            if not session.scalar(select(Task.id).where(Task.wake_at <= now()).limit(1)):
                return []
        claimed = self._store.write(lambda session: tasks.claim(session, self._name, self._settings.times.lease, free))
        # One whose lease ran out while the database was gone may be in hand here still.
        taken = [task_id for task_id in claimed if task_id not in self._busy]
        self._busy.update(taken)
        return taken

    def _put_down(self, task_id: str) -> Any:
        def done(future: Future[None]) -> None:
            self._busy.discard(task_id)
            self._wake.set()
            defect = future.exception()
            if isinstance(defect, NO_DATABASE):
                log.warning("task %s is left for later: the database does not answer: %s", task_id, defect.orig)
            elif defect is not None and not isinstance(defect, tasks.LeaseLost):
                log.error("task %s", task_id, exc_info=defect)
                self._end_defective(task_id, defect)

        return done

    def _end_defective(self, task_id: str, defect: BaseException) -> None:
        # A task that hits a defect would hit it for ever: it ends, with the traceback in the log.
        with self._store.reading() as session:
            task = session.get(Task, task_id)
        if task is not None and task.worker == self._name:
            self._end(task, Fault("internal", f"{type(defect).__name__}: see the service's log for task {task_id}"), {})

    def _keep_leases(self) -> None:
        while not self._stop.wait(self._settings.times.lease / 3):
            if in_hand := list(self._busy):
                self._keep(in_hand)

    def _keep(self, in_hand: list[str]) -> None:
        try:
            self._store.write(lambda session: tasks.keep(session, self._name, self._settings.times.lease, in_hand))
        except NO_DATABASE as error:
            log.warning("leases are not kept, the database does not answer: %s", error.orig)

    def _advance(self, task_id: str) -> None:
        """Bring a task forward until it has to wait, or ends."""
        while True:
            with self._store.reading() as session:
                task = session.get(Task, task_id)
                machine = task and session.get(Machine, task.machine_id)
            if task is None or machine is None or task.worker != self._name:
                return
            steps = steps_of(task, machine)
            step = next((one for one in steps if one.name == task.step), None)
            if step is None:
                self._begin(task, steps[0])
            elif not self._run_step(task, machine, step, steps):
                return

    def _begin(self, task: Task, step: Step) -> None:
        limit = step.limit(self._settings.times)
        deadline = moment(now() + datetime.timedelta(seconds=limit))
        fresh = {name: value for name, value in task.notes.items() if name not in PASSING_NOTES}
        values = {
            "step": step.name,
            "step_since": now(),
            "trouble_since": None,
            "notes": fresh | {"deadline": deadline},
        }

        def do(session: Any) -> None:
            tasks.save(session, task, self._name, **values)
            machine = session.get(Machine, task.machine_id)
            events.record(session, machine, "step", f"{task.verb}: {step.name}", request_id=task.request_id)

        self._store.write(do)

    def _run_step(self, task: Task, machine: Machine, step: Step, steps: tuple[Step, ...]) -> bool:
        """Run the step once; says whether there is more to do at once."""
        silence.leave_out(task)
        work = self._work(task, machine)
        try:
            wait = step.run(work)
            if wait is not None and work.elapsed > step.limit(self._settings.times):
                raise Fault(step.overdue, f"{step.name} took longer than {step.limit(self._settings.times):.0f} s.")
        except BmcTrouble as trouble:
            self._have_patience(task, machine, trouble)
            return False
        except Fault as fault:
            self._end(task, fault, {})
            return False
        if wait is not None:
            self._let_go(task, wait, **silence.over(task))
            return False
        following = steps[steps.index(step) + 1 :]
        if following:
            self._begin(task, following[0])
            return True
        with self._store.reading() as session:
            finished = session.get_one(Task, task.id)
        self._end(finished, None, changes_of(finished, machine))
        return False

    def _work(self, task: Task, machine: Machine) -> Work:
        desk = _Desk(self._store, task, self._name, self._settings)
        bmc = self._connections.to(machine)
        return Work(task, machine, bmc, self._settings, self._images, desk, self._seal.token(task.id))

    def _have_patience(self, task: Task, machine: Machine, trouble: BmcTrouble) -> None:
        self._connections.drop(task.machine_id)
        times, since = self._settings.times, task.trouble_since or now()
        pause = min(TROUBLE_SECONDS, times.poll * 2)
        if (now() - since).total_seconds() <= times.bmc_patience:
            self._let_go(task, pause, **silence.begun(task, trouble, since))
        elif silence.is_waited_out(task, machine, trouble):
            pause = silence.next_pause(task, pause, times.bmc_pause)
            if not silence.is_known(task):
                self._tell(task, f"{task.verb}: waits until the BMC answers: {trouble.cause}")
            self._let_go(task, pause, **silence.begun(task, trouble, since, pause))
        else:
            self._end(task, trouble, {})

    def _let_go(self, task: Task, wait: float, **values: Any) -> None:
        values.setdefault("trouble_since", None)

        def do(session: Any) -> None:
            # A word that came meanwhile has set the alarm clock, and must not be slept through: one that comes from
            # here on waits for us, and sets it anew.
            heard = session.scalar(select(Task.word).where(Task.id == task.id).with_for_update())
            tasks.let_go(session, task, self._name, 0 if heard != task.word else wait, **values)

        self._store.write(do)

    def _tell(self, task: Task, text: str) -> None:
        def do(session: Any) -> None:
            machine = session.get(Machine, task.machine_id)
            events.record(session, machine, "step", text, request_id=task.request_id)

        self._store.write(do)

    def _end(self, task: Task, fault: Fault | None, changes: dict[str, Any]) -> None:
        self._store.write(lambda session: tasks.end(session, task, self._name, fault, **changes))
        self._connections.drop(task.machine_id)


class _Desk:
    """What the worker does for a step, in the database."""

    def __init__(self, store: Store, task: Task, worker: str, settings: Settings) -> None:
        self._store, self._task, self._worker, self._settings = store, task, worker, settings

    def note(self, **notes: Any) -> None:
        """Write something down."""
        merged = {name: value for name, value in (self._task.notes | notes).items() if value is not None}
        self._store.write(lambda session: tasks.save(session, self._task, self._worker, notes=merged))
        self._task.notes = merged

    def touch(self) -> None:
        """Make sure that the machine is still ours."""
        with self._store.reading() as session:
            worker = session.scalar(select(Task.worker).where(Task.id == self._task.id, Task.lease_until > now()))
        if worker != self._worker:
            raise tasks.LeaseLost(self._task.id)

    def api_answers(self) -> bool:
        """Ask the API where ramdisks ask it."""
        try:
            return requests.get(f"{self._settings.agent_url}/healthz", timeout=5).ok
        except requests.RequestException:
            return False
