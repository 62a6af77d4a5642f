# SPDX-License-Identifier: Apache-2.0
"""What all suites rely on, however they were started; suites with a pytest.ini of their own say it themselves."""

import signal

# Where tests were started with Ctrl-C ignored (nohup, some CI systems), all that they start would ignore it as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
