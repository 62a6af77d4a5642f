# SPDX-License-Identifier: Apache-2.0
"""Runs on the controller for ports.py: notes when neutron calls ports ACTIVE, and every message to neutron-server.

Messages come from RabbitMQ's firehose: a copy of each one that is published, so none is missed. Status comes from
neutron's database, ten times a second: the API would take neutron-server's time. Takes one JSON request on each line of
its input; at its end, whatever ended it, the firehose is shut.
"""

import collections
import configparser
import json
import subprocess
import sys
import threading
import time

import kombu

#: What neutron-server listens to (neutron_lib.agent.topics); reports of being alive are no port's doing.
TOPICS = {"q-plugin", "q-server-resource-versions", "q-reports-plugin"}
#: Where it speaks to agents.
AGENTS = ("q-agent-notifier-", "neutron-vo-", "dhcp_agent")
PERIODIC = "report_state"
PAUSE = 0.1


class Statuses(threading.Thread):
    """Notes when each port of a project is first seen ACTIVE."""

    def __init__(self, project):
        super().__init__(daemon=True)
        self.seen, self.noted, self.told = set(), [], 0
        self.query = f"SELECT id FROM ports WHERE project_id = '{project}' AND status = 'ACTIVE'; SELECT '';\n"
        pipe = subprocess.PIPE
        self.client = subprocess.Popen(["mysql", "-BNn", "neutron"], stdin=pipe, stdout=pipe, text=True)

    def run(self):
        """Watch for ever."""
        while True:
            self.client.stdin.write(self.query)
            self.client.stdin.flush()
            active = {line.strip() for line in iter(self.client.stdout.readline, "\n")}
            at = time.monotonic()
            self.noted += [[port, at] for port in active - self.seen]
            self.seen |= active
            time.sleep(PAUSE)


class Messages(threading.Thread):
    """Counts the messages that go to neutron-server by method, and those that it sends to agents by topic."""

    def __init__(self):
        super().__init__(daemon=True)
        self.counts, self.last = collections.Counter(), 0.0
        config = configparser.RawConfigParser(strict=False)
        config.read("/etc/neutron/neutron.conf")
        url = config["DEFAULT"]["transport_url"].replace("rabbit://", "amqp://")
        self.connection = kombu.Connection(url if not url.endswith("/") else f"{url}/")
        channel = self.connection.channel()
        firehose = kombu.Exchange("amq.rabbitmq.trace", "topic", no_declare=True)
        queue = kombu.Queue(exchange=firehose, routing_key="publish.#", exclusive=True, auto_delete=True)
        kombu.Consumer(channel, [queue], no_ack=True, on_message=self._take).consume()

    def run(self):
        """Take messages for ever."""
        while True:
            self.connection.drain_events()

    def _take(self, message):
        exchange = message.headers.get("exchange_name", "")
        fanout = exchange.endswith("_fanout")
        topic = exchange.removesuffix("_fanout") if fanout else (message.headers.get("routing_keys") or [""])[0]
        if topic in TOPICS:
            self._count(json.loads(json.loads(message.body)["oslo.message"]))
        elif topic.startswith(AGENTS):
            self.counts[f"< {topic}"] += 1

    def _count(self, rpc):
        if rpc["method"] != PERIODIC:
            self.last = time.monotonic()
            self.counts[rpc["method"]] += 1


def events(statuses, messages):
    """Return new [port, when ACTIVE], all messages by method, when the last one came."""
    ports = statuses.noted[statuses.told :]
    statuses.told += len(ports)
    return [ports, dict(messages.counts), messages.last]


def trace(word):
    """Open or shut the firehose; rabbitmqctl would read our requests if it had our input."""
    command = ["rabbitmqctl", "--quiet", f"trace_{word}"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


if __name__ == "__main__":
    statuses, messages = Statuses(**json.loads(sys.argv[1])), Messages()
    trace("on")
    try:
        statuses.start()
        messages.start()
        for _ in sys.stdin:
            print(json.dumps(events(statuses, messages)), flush=True)
    finally:
        trace("off")
