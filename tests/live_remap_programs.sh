#!/usr/bin/env bash
# Real servers under port-remap: the same program twice, on the same port, as if it had the machine to itself.
# environment: SLUICE, SOURCE, TEST_TMP
set -uo pipefail
SOURCE=${SOURCE:-$(dirname "$0")/..}
# shellcheck source=tests/common/tap.sh
. "$SOURCE/tests/common/tap.sh"
sluice=$(realpath "${SLUICE:-$(dirname "$0")/../build/sluice}")
top=$(mktemp -d "${TEST_TMP:-/tmp}/remap.XXXXXX")
python=/usr/bin/python3
started=()

cleanup() {
	local pid
	for pid in "${started[@]}"; do
		kill "$pid" 2>/dev/null
	done
	wait
	rm -rf "$top"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# A server of python's own, and a client in the same sandbox, which says what it got.
cat >"$top/serve.py" <<'END'
import http.server, os, sys, threading, urllib.request
port, word = int(sys.argv[1]), sys.argv[2]
os.chdir(sys.argv[3])
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
assert server.socket.getsockname()[1] == port
url = f"http://localhost:{port}/word"
print(urllib.request.urlopen(url, timeout=20).read().decode().strip(), flush=True)
sys.stdin.read()                # until all are up
print(urllib.request.urlopen(url, timeout=20).read().decode().strip(), flush=True)
server.shutdown()
server.server_close()
END

serve() { # WORD [OPTION]...
	local word=$1
	shift
	mkdir -p "$top/$word"
	echo "$word" >"$top/$word/word"
	timeout 60 "$@" "$python" "$top/serve.py" "$port" "$word" "$top/$word" >"$top/$word.out" 2>"$top/$word.err" <"$top/go" 9>&- &
	started+=($!)
}

confined() { # OPTION...
	echo "$sluice run --fs-system -r $top --net-allow tcp://127.0.0.1:$port --net-allow-bind tcp://$port $*"
}

await() { # FILE: has a line, or its server, the last one begun, has ended
	local tries
	for ((tries = 0; tries < 300; tries++)); do
		[ -s "$1" ] && return
		kill -0 "${started[-1]}" 2>/dev/null || return
		sleep 0.1
	done
}

mkfifo "$top/go"
exec 9<>"$top/go" # so that no server waits for the others to open it
# Between the look and the bind somebody else may get the port: then another.
for attempt in 1 2 3 4 5; do
	port=$("$python" "$SOURCE/tests/programs/ports.py" 1)
	serve outside env
	await "$top/outside.out"
	[ ! -s "$top/outside.out" ] || break
	grep -q "Address already in use" "$top/outside.err" || break
	echo "# attempt $attempt: port $port was taken meanwhile"
	wait "${started[-1]}"
	unset 'started[-1]'
done
tap_is "the outsider has the port" outside "$(cat "$top/outside.out")"

read -ra plain <<<"$(confined)"
serve refused "${plain[@]}"
wait "${started[-1]}"
unset 'started[-1]'
tap_has "without port-remap it is taken" "Address already in use" "$(cat "$top/refused.err")"

read -ra moved <<<"$(confined --port-remap)"
serve first "${moved[@]}"
serve second "${moved[@]}"
await "$top/first.out"
await "$top/second.out"
exec 9>&- # end of file for all: go on
wait
started=()
for word in outside first second; do
	tap_is "$word reaches itself, before and after" "$word"$'\n'"$word" "$(cat "$top/$word.out")"
	tap_is "$word has nothing to complain of" "" "$(cat "$top/$word.err")"
done
tap_done
