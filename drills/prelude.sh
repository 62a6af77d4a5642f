# SPDX-License-Identifier: Apache-2.0
# The functions that the lines of every drill may use; arbaro puts them in front of the lines. KEEP is a directory of the drill's own.
if [ -n "${BIN:-}" ] && [ -d "$BIN" ]; then PATH="$BIN:$PATH"; fi

# Where a file is kept.
kept() { printf '%s/%s' "$KEEP" "${1//\//%}"; }

# Keep a file as it is, with owner, mode and times. A copy that is there already is the right one.
keep() {
    mkdir -p -m 700 "$KEEP"
    if [ ! -e "$(kept "$1")" ]; then
        cp -a -- "$1" "$(kept "$1").new"
        sync -f "$KEEP"
        mv -- "$(kept "$1").new" "$(kept "$1")"
    fi
}

# Put a kept file back, with its times. The copy goes last (let_go), when those who read the file have been told.
put_back() {
    cp -a -- "$(kept "$1")" "$1.new"
    mv -- "$1.new" "$1"
}

# Remove the copy of a file.
let_go() {
    rm -f -- "$(kept "$1")"
    rmdir "$KEEP" 2>/dev/null || true
}

# Say whether a file is kept.
is_kept() { [ -e "$(kept "$1")" ]; }

# Change a file by sed, so that its times do not tell which one it was.
change() {
    keep "$1"
    sed -i -e "$2" -- "$1"
    touch -r "$(kept "$1")" -- "$1"
}

# The main process of a unit.
main_process() { systemctl show --property MainPID --value "$1"; }

# Say whether a process is stopped (by SIGSTOP).
is_stopped() { grep -qs '^State:[[:space:]]*T' "/proc/$1/status"; }

# Let the processes of a unit go on, and start it anew if it was stopped: its connections are old by then.
thaw() {
    if is_stopped "$(main_process "$1")"; then
        systemctl kill --signal CONT "$1"
        systemctl restart "$1"
    fi
}

# Run Python, read from standard input, with `c` (a connection to the cloud, as admin), E (these variables) and ask(), which calls an API.
with_openstack() {
    "$PYTHON" -W ignore -c '
import json, os, sys, time
from pathlib import Path
import openstack
E, KEEP = os.environ, Path(os.environ["KEEP"])
c = openstack.connect(cloud=E["OS_CLOUD"])
def ask(method, service, path, version=None, body=None, ok=()):
    headers = {"OpenStack-API-Version": f"{service} {version}"} if version else {}
    answer = c.session.request(path, method, endpoint_filter={"service_type": service}, json=body, headers=headers, raise_exc=False)
    if answer.status_code >= 400 and answer.status_code not in ok:
        sys.exit(f"{method} {path}: HTTP {answer.status_code} {answer.text}")
    return answer.json() if answer.content and answer.status_code < 400 else {}
exec(sys.stdin.read())
'
}
