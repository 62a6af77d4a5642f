# SPDX-License-Identifier: Apache-2.0
"""Section [machines] of nova.conf: where the machines API is, who we are there, how long we wait."""

from keystoneauth1 import loading
from oslo_config import cfg

SECTION = "machines"

OPTIONS = [
    cfg.FloatOpt("poll_interval", default=2.0, min=0.01, help="Seconds between two looks at a machine in work."),
    cfg.IntOpt(
        "deploy_timeout",
        default=3900,
        min=1,
        help="Seconds after which a deployment has failed, whatever the API says. The API ends each step itself, the "
        "longest within 3600 s; this is for an API that is gone.",
    ),
    cfg.IntOpt("power_timeout", default=180, min=1, help="Seconds after which a power change has failed."),
    cfg.IntOpt("rescue_timeout", default=900, min=1, help="Seconds after which rescue or unrescue has failed."),
    cfg.IntOpt(
        "relist_interval",
        default=600,
        min=0,
        help="Seconds between two looks at all machines. In between only those are asked for that changed; a machine "
        "that was deleted is noticed by a full look.",
    ),
    cfg.IntOpt(
        "takeover_after",
        default=180,
        min=0,
        help="Seconds without a sign of life after which another nova-compute's servers are taken over.",
    ),
]


def register(conf):
    """Make the options known; doing it twice is harmless."""
    conf.register_opts(OPTIONS, group=SECTION)
    loading.register_auth_conf_options(conf, SECTION)
    loading.register_session_conf_options(conf, SECTION)
    # keystoneauth doubles the pause after each attempt: seven are a minute.
    adapter = loading.get_adapter_conf_options(include_deprecated=False)
    conf.register_opts(adapter, group=SECTION)
    cfg.set_defaults(adapter, service_type="physical-machine", connect_retries=7, status_code_retries=7)


def adapter(conf):
    """Open what all requests go through: the token, the catalog, the retries when nobody answers."""
    auth = loading.load_auth_from_conf_options(conf, SECTION)
    session = loading.load_session_from_conf_options(conf, SECTION, auth=auth)
    return loading.load_adapter_from_conf_options(conf, SECTION, session=session, auth=auth)
