#!/bin/bash
# The same server twice, bare and confined: it has to serve the same bytes, and the same attacks from inside
# have to work in the one and fail in the other. Usage: demo.sh [HTTPD]
#
#     demo.sh ──┬── world    outside: the upstream (allowed); a TCP, a UDP and an abstract unix socket (not
#               │            allowed), which write down every arrival, so that we need not take the
#               │            attacker's word for having been refused
#               └── httpd    ROOT/ is all that it may read; the secret lies beside it
set -euo pipefail

httpd=${1:-build/httpd}
here=$(cd "$(dirname "$0")" && pwd)
temporary=$(mktemp -d "${TMPDIR:-/tmp}/sluice-demo.XXXXXX")
root=$temporary/root
secret=$temporary/secret
abstract=sluice-demo.$$
world_pid=
httpd_pid=
failures=0
served=0
declare -A answers # "MODE NAME" -> what became of it

fail() {
	echo "FAIL: $*" >&2
	failures=$((failures + 1))
}

give_up() {
	echo "demo.sh: $*" >&2
	exit 1
}

cleanup() {
	local pid
	for pid in $httpd_pid $world_pid; do
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$temporary"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# wait_for_line PID FILE PATTERN: false when PID ends without having written it, or after 10 seconds
wait_for_line() {
	local i
	for ((i = 0; i < 200; i++)); do
		grep -qs "$3" "$2" && return 0
		kill -0 "$1" 2>/dev/null || return 1
		sleep 0.05
	done
	return 1
}

fetch() {
	curl --silent --show-error --max-time 10 --path-as-is "$@"
}

# --- what there is to serve, to steal and to reach ---------------------------------------------------------

make_files() {
	local file
	mkdir -p "$root/sub dir" "$temporary/upstream"
	for file in "$here"/../README.md "$here"/../include/sluice.h "$here"/*.c "$here"/*.h "$here"/demo.sh; do
		if [[ -f $file ]]; then cp "$file" "$root/"; fi
	done
	echo '<!doctype html><title>sluice</title><p>Served from inside.' >"$root/index.html"
	echo '<!doctype html><title>below</title>' >"$root/sub dir/index.html"
	: >"$root/empty.txt"
	head -c 5000000 /dev/urandom >"$root/random.bin"
	echo 'nobody inside may read this' >"$secret"
	head -c 200000 /dev/urandom >"$temporary/upstream/far.bin"
	chmod -R a+rX "$root"
}

# Prints "ports UPSTREAM FORBIDDEN FREE", then one line for each arrival where nobody should arrive.
world() {
	exec python3 - "$temporary/upstream" "$abstract" 2>/dev/null <<'PYTHON'
import functools, http.server, os, socket, sys, threading

directory, abstract = sys.argv[1:]

def arrivals(wait, word):
    while True:
        wait()
        os.write(1, word)

class Upstream(http.server.ThreadingHTTPServer):
    request_queue_size = 512  # race-connect knocks thousands of times

handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=directory)
upstream = Upstream(("127.0.0.1", 0), handler)

forbidden = socket.create_server(("127.0.0.1", 0), backlog=512)
port = forbidden.getsockname()[1]
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", port))
named = socket.socket(socket.AF_UNIX)
named.bind("\0" + abstract)
named.listen(512)

with socket.create_server(("127.0.0.1", 0)) as probe:
    free = probe.getsockname()[1]

os.write(1, b"ports %d %d %d\n" % (upstream.server_address[1], port, free))
for wait, word in (
    (lambda: forbidden.accept()[0].close(), b"tcp\n"),
    (lambda: datagrams.recv(1), b"udp\n"),
    (lambda: named.accept()[0].close(), b"unix\n"),
):
    threading.Thread(target=arrivals, args=(wait, word), daemon=True).start()
upstream.serve_forever()
PYTHON
}

start_world() {
	world >"$temporary/world" &
	world_pid=$!
	wait_for_line "$world_pid" "$temporary/world" '^ports ' || give_up "the outside world did not start (python3?)"
	read -r _ upstream forbidden port <"$temporary/world"
}

# Arrivals so far, once no more come in: the race leaves many in the queue.
count_arrivals() {
	local before=-1 now i
	for ((i = 0; i < 20; i++)); do
		now=$(wc -l <"$temporary/world")
		[[ $now -eq $before ]] && break
		before=$now
		sleep 0.2
	done
	echo "$now"
}

# --- the server --------------------------------------------------------------------------------------------

start_httpd() { # MODE
	local flags=(--secret "$secret" --forbidden "$forbidden" --abstract "$abstract")
	[[ $1 == bare ]] && flags+=(--bare)
	"$httpd" "${flags[@]}" "$root" "$port" "$upstream" >"$temporary/$1.out" 2>"$temporary/$1.err" &
	httpd_pid=$!
	wait_for_line "$httpd_pid" "$temporary/$1.out" '^listening on ' || \
		give_up "$1 httpd did not start: $(cat "$temporary/$1.err")"
}

stop_httpd() { # MODE
	local i status=0
	kill -TERM "$httpd_pid"
	for ((i = 0; i < 50; i++)); do
		kill -0 "$httpd_pid" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL "$httpd_pid" 2>/dev/null || true
	wait "$httpd_pid" || status=$?
	httpd_pid=
	[[ $status -eq 0 ]] || fail "$1: SIGTERM ended the server with status $status, not 0"
}

# same_bytes MODE PATH FILE
same_bytes() {
	fetch --fail --output "$temporary/got" "http://127.0.0.1:$port$2" || true
	cmp -s "$temporary/got" "$3" || fail "$1: GET $2 is not the bytes of $3"
	rm -f "$temporary/got"
	served=$((served + 1))
}

status_is() { # MODE PATH STATUS
	local status
	status=$(fetch --output /dev/null --write-out '%{http_code}' "http://127.0.0.1:$port$2") || true
	[[ $status == "$3" ]] || fail "$1: GET $2 answers $status, not $3"
}

check_service() { # MODE
	local file name
	served=0
	for file in "$root"/*.*; do
		name=${file##*/}
		same_bytes "$1" "/$name" "$file"
	done
	same_bytes "$1" / "$root/index.html"
	same_bytes "$1" /sub%20dir/ "$root/sub dir/index.html"
	same_bytes "$1" /proxy/far.bin "$temporary/upstream/far.bin"
	status_is "$1" /none.html 404
	status_is "$1" /../secret 403
	status_is "$1" /sub%20dir 301
}

run_attempts() { # MODE
	local name answer
	fetch "http://127.0.0.1:$port/misbehave/" >"$temporary/names" || give_up "$1: no list of attempts"
	while read -r name _; do
		answer=$(fetch "http://127.0.0.1:$port/misbehave/$name") || answer=
		answer=${answer#"$name: "}
		answers["$1 $name"]=${answer:-no answer}
	done <"$temporary/names"
}

run() { # MODE
	local before
	before=$(count_arrivals)
	start_httpd "$1"
	check_service "$1"
	run_attempts "$1"
	check_service "$1" # refused or not, it has to serve on
	stop_httpd "$1"
	arrived=$(($(count_arrivals) - before))
}

# --- the verdict -------------------------------------------------------------------------------------------

won() {
	[[ $1 == ok || $1 =~ ^[1-9][0-9]*\ of\  ]]
}

# An attempt that hung until its alarm clock (SIGALRM) was not refused, nor one that never got to try.
refused() {
	[[ $1 =~ ^(E[A-Z0-9]+|SIGSYS)\ \( || $1 =~ ^0\ of\ [1-9] ]]
}

setting_is() { # FILE PATTERN
	[[ $(cat "/proc/sys/$1" 2>/dev/null) =~ ^$2$ ]]
}

# Attempts that this machine refuses to everybody say nothing about confinement.
refused_to_all() {
	case $1 in
	read-shadow) [[ ! -r /etc/shadow ]] ;;
	ptrace-parent) setting_is kernel/yama/ptrace_scope '[1-3]' ;;
	io-uring) setting_is kernel/io_uring_disabled '[12]' ;;
	mptcp) ! setting_is net/mptcp/enabled 1 ;;
	fast-open) ! setting_is net/ipv4/tcp_fastopen '.*[13579]' ;;
	*) false ;;
	esac
}

judge() { # NAME
	local bare=${answers["bare $1"]} confined=${answers["confined $1"]:-no answer}
	won "$bare" || refused_to_all "$1" || fail "$1: should work bare, but: $bare"
	refused "$confined" || fail "$1: not refused when confined: $confined"
}

short() {
	echo "${1%% (*}"
}

print_table() {
	local name words
	printf '%-18s %-44s %-18s %s\n' attempt tried bare confined
	while read -r name words; do
		printf '%-18s %-44s %-18s %s\n' "$name" "$words" "$(short "${answers["bare $name"]}")" \
			"$(short "${answers["confined $name"]:-no answer}")"
	done <"$temporary/names"
}

make_files
start_world
run bare
[[ $arrived -gt 0 ]] || fail "bare: nothing arrived at the forbidden sockets"
run confined
[[ $arrived -eq 0 ]] || fail "confined: $arrived arrivals at the forbidden sockets"
(: <"/dev/tcp/127.0.0.1/$forbidden") || fail "the forbidden listener is gone, so its silence means nothing"

print_table
attempts=0
while read -r name _; do
	attempts=$((attempts + 1))
	judge "$name"
done <"$temporary/names"
[[ $attempts -gt 0 ]] || fail "no attempts"
[[ $failures -eq 0 ]] || give_up "$failures failures"
echo "httpd: $served files served alike, $attempts attempts: all refused when confined"
