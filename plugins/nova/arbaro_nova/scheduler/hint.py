# SPDX-License-Identifier: Apache-2.0
"""What a hint asks for, and whether it may: pure functions of the request and of aggregates that were looked up."""

#: openstack server create --hint aggregate_id=23 …
HINT = "aggregate_id"
#: An aggregate with metadata whose keys begin so may be named by these projects only. A value of nova's holds 255
#: characters, so seven projects; more go into a second key (hint_projects.2), the way filter_tenant_id has it.
PROJECTS = "hint_projects"
#: Each costs a look into the database, in a service that all requests share.
LIMIT = 20


def hinted_aggregates(request_spec):
    """Return the ids and uuids that a request's hint names, in order; None if it has no such hint.

    The hint may come as one word, as words with commas between, or repeated, which nova hands on as a list.
    """
    hint = request_spec.get_scheduler_hint(HINT)
    if hint is None:
        return None
    texts = hint if isinstance(hint, list) else [hint]
    words = [word.strip().lower() for text in texts for word in text.split(",")]
    # A number may have zeros before it; two ways to write one aggregate are one aggregate.
    return list(dict.fromkeys(word.lstrip("0") or word if word.isdigit() else word for word in words if word))


def allowed_projects(metadata):
    """Return the projects that an aggregate is limited to; None if everybody may name it."""
    values = [value for key, value in metadata.items() if key.startswith(PROJECTS)]
    return {project.strip() for value in values for project in value.split(",")} if values else None


def why_not(aggregate, project_id, is_operator):
    """Say why a server of this project cannot be put into this aggregate; an empty string if it can."""
    projects = allowed_projects(aggregate.metadata)
    if projects is not None and project_id not in projects and not is_operator:
        return f"may not be named by project {project_id}"
    return "" if aggregate.hosts else "has no hosts"


def is_in(aggregates, words):
    """Say whether one of these aggregates is among those that a hint names."""
    return any(str(aggregate.id) in words or aggregate.uuid in words for aggregate in aggregates)
