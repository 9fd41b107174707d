#!/usr/bin/env bash
# Real programs and host names: a real DNS server whose answers change, and `sluice run`. run.sh says what is in the
# environment.
# shellcheck disable=SC2016 # what is in single quotes is for the shell inside
set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
SOURCE=${SOURCE:-$here/..}
SLUICE=$(readlink -f "${SLUICE:?which sluice?}")
dir=${TEST_TMP:?}
python=/usr/bin/python3
# shellcheck source=tests/common/tap.sh
. "$SOURCE/tests/common/tap.sh"

ours=()
ours_end() {
	local pid
	for pid in "${ours[@]}"; do kill "$pid" 2>/dev/null; done
}
trap ours_end EXIT

until_ok() { # COMMAND...: at most ten seconds
	local i
	for ((i = 0; i < 200; i++)); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.05
	done
	return 1
}

# What the server says, without any sluice.
server_says() { # NAME ADDRESS
	dig +short +time=1 +tries=1 -p "$dns" @127.0.0.1 "$1" | grep -qx "$2"
}

hosts() { # LINES NAME ADDRESS: until the server says so
	printf '%b' "$1" >"$dir/hosts"
	kill -HUP "$server" && until_ok server_says "$2" "$3"
}

if ! command -v dnsmasq >/dev/null || ! command -v dig >/dev/null; then
	tap_skip "host names" "dnsmasq or dig is not installed"
	tap_done
	exit
fi
read -r dns web <<<"$("$python" "$SOURCE/tests/programs/ports.py" 2 | tr '\n' ' ')"
echo '127.0.0.1 ready.test' >"$dir/hosts"
dnsmasq -d -C /dev/null -p "$dns" --listen-address=127.0.0.1 --bind-interfaces --local=/test/ --no-resolv --no-hosts \
	--local-ttl=300 --addn-hosts="$dir/hosts" --log-queries --txt-record=one.open.test,secret \
	>>"$dir/dns.log" 2>&1 &
server=$!
ours+=("$server")
mkdir -p "$dir/web" && echo 'the page' >"$dir/web/index.html"
"$python" -m http.server --bind 127.0.0.1 --directory "$dir/web" "$web" >/dev/null 2>&1 &
ours+=($!)
if ! until_ok server_says ready.test 127.0.0.1 || ! until_ok curl -sf "http://127.0.0.1:$web/"; then
	tap_not_ok "the servers of this test start" "$(tail -n 5 "$dir/dns.log")"
	tap_done
	exit 1
fi

run() { # OPTIONS... -- COMMAND...
	timeout 60 "$SLUICE" run --fs-system --net-dns "127.0.0.1:$dns" "$@" 2>&1 </dev/null
}
run_nameless() { # OPTIONS... -- COMMAND...
	timeout 60 "$SLUICE" run --fs-system "$@" 2>&1 </dev/null
}
addresses='import socket, sys
for name in sys.argv[1:]:
    try:
        print(name, *sorted({a[4][0] for a in socket.getaddrinfo(name, 80)}))
    except socket.gaierror as e:
        print(name, {socket.EAI_NONAME: "no name", socket.EAI_NODATA: "no address"}.get(e.errno, e))'

hosts '127.0.0.1 pinned.test\n192.0.2.1 two.test\n192.0.2.2 two.test\n2001:db8::1 two.test\n127.0.0.1 other.test\n' \
	other.test 127.0.0.1
tap_is "curl reaches a name of a rule" "the page" "$(run --net-allow "pinned.test:$web" -- curl -s "http://pinned.test:$web/")"
run --net-allow "pinned.test:$web" -- curl -s "http://other.test:$web/"
tap_is "curl does not find any other name" 6 $?
run --net-allow "pinned.test:$((web ^ 1))" -- curl -s "http://pinned.test:$web/"
tap_is "nor reach a port that the rule does not name" 7 $?
tap_is "curl reaches the address of the name, too" "the page" \
	"$(run --net-allow "pinned.test:$web" -- curl -s "http://127.0.0.1:$web/")"
tap_is "getaddrinfo finds all addresses, and is done with a name that no rule has" \
	"two.test 192.0.2.1 192.0.2.2 2001:db8::1
other.test no name
localhost 127.0.0.1 ::1
two.test.corp.example no name" \
	"$(run --net-allow two.test -- "$python" -c "$addresses" two.test other.test localhost two.test.corp.example)"
tap_is "getent does" "192.0.2.1 192.0.2.2 2001:db8::1 " \
	"$(run --net-allow two.test -- getent ahosts two.test | awk '{ print $1 }' | sort -u | tr '\n' ' ')"
tap_is "any server's address will do" "192.0.2.1 192.0.2.2 " \
	"$(run --net-allow two.test -- dig +short +time=5 +tries=1 @198.51.100.9 two.test | grep '^192' | sort | tr '\n' ' ')"
tap_has "no other UDP" "EACCES" "$(run --net-allow two.test:443 -- "$python" -c 'import errno, socket
try: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 54))
except OSError as e: print(errno.errorcode[e.errno])')"
tap_has "without names there is no UDP" "EPERM" "$(run_nameless --net-allow "tcp://127.0.0.1:$web" -- "$python" -c 'import errno, socket
try: socket.socket(type=socket.SOCK_DGRAM)
except OSError as e: print(errno.errorcode[e.errno])')"
tap_is "fs-system does not show the hosts file then" "no" \
	"$(run --net-allow two.test -- sh -c 'cat /etc/hosts >/dev/null 2>&1 && echo yes || echo no')"
tap_is "but does without names" "yes" \
	"$(run_nameless --net-allow "127.0.0.1:$web" -- sh -c 'cat /etc/hosts >/dev/null 2>&1 && echo yes || echo no')"

# The program asks, the server's answers change, the program asks again.
ask_twice() { # RULE NAME HOSTS-LINES NEW-ADDRESS [OPTION]
	local first second
	coproc program { timeout 60 "$SLUICE" run --fs-system --net-dns "127.0.0.1:$dns" --net-allow "$1" "${@:5}" -- \
		"$python" -uc "$addresses
input()
import os; os.execv(sys.executable, [sys.executable, '-c', '''$addresses'''] + sys.argv[1:])" "$2" 2>&1; }
	ours+=("$program_PID")
	local in=${program[1]} out=${program[0]}
	read -r -t 30 first <&"$out"
	hosts "$3" "$2" "$4"
	echo >&"$in"
	read -r -t 30 second <&"$out"
	echo "$first, $second"
	wait "$program_PID" 2>/dev/null
}
hosts '192.0.2.1 pinned.test\n' pinned.test 192.0.2.1
tap_is "a pinned name keeps its address when the server's answer changes" "pinned.test 192.0.2.1, pinned.test 192.0.2.1" \
	"$(ask_twice pinned.test pinned.test '127.0.0.1 pinned.test\n' 127.0.0.1)"
hosts '192.0.2.1 pinned.test\n' pinned.test 192.0.2.1
tap_is "with net-refresh it follows it" "pinned.test 192.0.2.1, pinned.test 192.0.2.2" \
	"$(ask_twice pinned.test pinned.test '192.0.2.2 pinned.test\n' 192.0.2.2 --net-refresh)"
hosts '192.0.2.1 one.open.test\n' one.open.test 192.0.2.1
tap_is "an open name follows it" "one.open.test 192.0.2.1, one.open.test 192.0.2.2" \
	"$(ask_twice '*.open.test' one.open.test '192.0.2.2 one.open.test\n' 192.0.2.2)"
hosts '192.0.2.1 one.open.test\n' one.open.test 192.0.2.1
tap_is "but not to this host" "one.open.test 192.0.2.1, one.open.test no address" \
	"$(ask_twice '*.open.test' one.open.test '127.0.0.1 one.open.test\n' 127.0.0.1)"

hosts '127.0.0.1 one.open.test\n127.0.0.1 pinned.test\n' pinned.test 127.0.0.1
tap_is "an open name is on this host where a rule names loopback" "the page" \
	"$(run --net-allow "*.open.test:$web" --net-allow "127.0.0.1:$web" -- curl -s "http://one.open.test:$web/")"
run --net-allow "*.open.test:$web" --net-allow 127.0.0.1:9 -- curl -s "http://one.open.test:$web/"
tap_is "and at the ports of that rule" 7 $?
tap_has "net-public-only refuses the name of an internal host" "pinned.test" \
	"$(run --net-public-only --net-allow pinned.test -- true)"
run --net-public-only --net-allow pinned.test -- true >/dev/null
tap_is "at start" 125 $?
tap_has "a name that is not there is an error that names it" "absent.test" "$(run --net-allow absent.test -- true)"
for key in "net-dns 127.0.0.1" net-refresh; do
	# shellcheck disable=SC2086
	tap_has "${key%% *} without a name is an error that says so" "there is none" \
		"$(run_nameless --${key% *} ${key#"${key% *}"} --net-allow "127.0.0.1:$web" -- true)"
done
tap_has "as is a bad server" "net-dns" "$(timeout 20 "$SLUICE" run --net-dns nowhere -- true 2>&1)"

# What leaves: the server's own log.
: >"$dir/dns.log"
run --net-allow '*.open.test:443' --net-allow pinned.test -- sh -c 'for q in "TXT one.open.test" "A leak.pinned.test" \
	"TXT leak.test" "MX pinned.test" "A asked.open.test"; do dig +short +time=5 +tries=1 -t $q; done' >"$dir/dig.out"
until_ok grep -q 'asked.open.test' "$dir/dns.log"
tap_is "addresses of open names are all that is asked for" \
	"query[AAAA] pinned.test, query[A] asked.open.test, query[A] pinned.test, " \
	"$(grep -oE 'query\[[A-Z]+\] [a-zA-Z.]+' "$dir/dns.log" | tr '[:upper:]' '[:lower:]' |
		sed 's/\[a\]/[A]/; s/\[aaaa\]/[AAAA]/' | LC_ALL=C sort -u | tr '\n' ',' | sed 's/,/, /g')"
tap_done
