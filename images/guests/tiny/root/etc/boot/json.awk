# SPDX-License-Identifier: Apache-2.0
# Prints each scalar of a JSON text as its path, a tab and its value: {"public_keys": {"me": "ssh-…"}} gives
# public_keys.me<TAB>ssh-… . busybox has no JSON reader, and a config drive holds nothing but JSON.
{ text = text $0 "\n" }
END { value("", token()) }

function token(    t) { # takes the next one off the text
    sub(/^[ \t\r\n]+/, "", text)
    if (!match(text, /^("([^"\\]|\\.)*"|[][{}:,]|[^][{}:," \t\r\n]+)/)) return ""
    t = substr(text, 1, RLENGTH)
    text = substr(text, RLENGTH + 1)
    return t
}

function unquoted(t) {
    if (t !~ /^"/) return t
    t = substr(t, 2, length(t) - 2)
    gsub(/\\[nrt]/, " ", t)
    gsub(/\\\//, "/", t)
    gsub(/\\"/, "\"", t)
    sub(/ +$/, "", t)
    return t
}

function value(path, t,    name, n) {
    if (t == "{") {
        for (t = token(); t != "}" && t != ""; t = token()) {
            if (t == ",") continue
            name = unquoted(t)
            token() # the colon
            value(path "." name, token())
        }
    } else if (t == "[") {
        for (t = token(); t != "]" && t != ""; t = token())
            if (t != ",") value(path "." n++, t)
    } else print substr(path, 2) "\t" unquoted(t)
}
