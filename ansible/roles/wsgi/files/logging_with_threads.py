# SPDX-License-Identifier: Apache-2.0
"""Let an API under uwsgi log with the locks of real threads; uwsgi loads this before the API.

oslo.log takes each program that has loaded eventlet for an eventlet program, and gives the logging module eventlet's
locks (log.py, _fix_eventlet_logging). Between real threads such a lock may never be handed over: the first two requests
at once then hang, and all after them ("greenlet.error: cannot switch to a different thread").
"""

from oslo_log import log

log._fix_eventlet_logging = lambda: None
