# SPDX-License-Identifier: Apache-2.0
"""What a hint says and who may give it: pure functions, real RequestSpec and Aggregate objects."""

import pytest
from arbaro_nova.scheduler.hint import hinted_aggregates, why_not
from nova import objects

objects.register_all()
UUID = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"


@pytest.mark.parametrize(
    ("hints", "words"),
    [
        ({"aggregate_id": ["23"]}, ["23"]),
        ({"aggregate_id": ["23,24"]}, ["23", "24"]),
        ({"aggregate_id": ["23", " 24 ", "23"]}, ["23", "24"]),
        ({"aggregate_id": [UUID.upper()]}, [UUID]),
        ({"aggregate_id": ["007"]}, ["7"]),
        ({"aggregate_id": [" , "]}, []),
        ({"aggregate_id": []}, []),
        ({"group": ["x"]}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_hint_is_read_in_any_form_in_which_nova_hands_it_on(hints, words):
    assert hinted_aggregates(objects.RequestSpec(scheduler_hints=hints)) == words


def test_a_request_that_never_had_hints_is_read_too():
    assert hinted_aggregates(objects.RequestSpec()) is None


@pytest.mark.parametrize(
    ("metadata", "is_operator", "reason"),
    [
        ({}, False, ""),
        ({"hint_projects": "p1,p2"}, False, ""),
        ({"hint_projects": "p3", "hint_projects.2": "p4, p1"}, False, ""),
        ({"hint_projects": "p2"}, False, "may not be named by project p1"),
        ({"hint_projects": ""}, False, "may not be named by project p1"),
        ({"hint_projects": "p2"}, True, ""),
        # Nova's own key says whose servers the hosts take, and nova's own filters hold it.
        ({"filter_tenant_id": "p2"}, False, ""),
    ],
)
def test_an_aggregate_is_open_unless_its_metadata_names_projects(metadata, is_operator, reason):
    aggregate = objects.Aggregate(id=1, metadata=metadata, hosts=["h"])
    assert why_not(aggregate, "p1", is_operator) == reason
