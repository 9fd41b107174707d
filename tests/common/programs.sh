# What the tests of real programs share: source it, `programs_begin NAME`, then same, refused and check, then tap_done.
# shellcheck shell=bash disable=SC2034,SC2119,SC2120 # variables, and arguments, for who sources it
#
#     TEST_TMP/NAME/ www      what the servers serve: unconfined ones, in programs/server.py
#                    work     where a command runs, made anew before each run; $policy grants it
#                    outside  what no policy grants
#                    seen     what the last two runs printed, and left behind

# shellcheck source=tests/common/tap.sh
. "${SOURCE:-$(dirname "${BASH_SOURCE[0]}")/../..}/tests/common/tap.sh"

python=/usr/bin/python3
limit=20 # seconds a command
declare -A started=() # by pid

# programs_begin NAME: set up what is described above; what was started ends with the test.
programs_begin() {
	sluice=$(realpath "${SLUICE:-$(dirname "${BASH_SOURCE[0]}")/../../build/sluice}")
	programs=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../programs")
	scratch=${TEST_TMP:-$(mktemp -d)}
	top=$scratch/$1
	rm -rf "$top"
	mkdir -p "$top"/{www,work,outside,seen,servers,home}
	cp -r "$programs" "$top/programs"
	top=$(realpath "$top")
	programs=$top/programs www=$top/www work=$top/work outside=$top/outside seen=$top/seen servers=$top/servers
	trap programs_end EXIT
	trap 'exit 1' INT TERM
	export HOME=$top/home TMPDIR=$work/tmp LC_ALL=C PYTHONDONTWRITEBYTECODE=1
	unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY no_proxy NO_PROXY
	policy_is
}

# Only what was started here and was not waited for: process ids are used again soon.
programs_end() {
	local pid

	cd / || return
	for pid in "${!started[@]}"; do
		! kill -0 "$pid" 2>/dev/null || end TERM "$pid"
	done
	rm -rf "$top"
}

# run_sections SECTION...: each is a function section_NAME.
run_sections() {
	local section begun

	for section in "$@"; do
		begun=$SECONDS
		"section_$section"
		echo "# $section: $((SECONDS - begun)) s"
	done
}

have() {
	command -v "$1" >/dev/null
}

# fails SENTENCE FILE: what is not ok, and a file that says why.
fails() {
	tap_not_ok "$1" "$(head -n 25 "$2" | cut -c 1-300)"
}

# check SENTENCE STATUS [FILE]: is the last command's status 0?
check() {
	if [ "$2" -eq 0 ]; then
		tap_ok "$1"
	else
		fails "$1" "${3:-/dev/null}"
	fi
}

# --- the same command, bare and confined

policy=()
confined=() # the command that confines: set by policy_is
input=/dev/null
unstable='' # a sed script that takes out of what is printed what two bare runs differ in
ignored='^$' # files that two bare runs leave differently: an extended regular expression

policy_is() {
	policy=(-s -w "$work" "$@")
	confined=("$sluice" run "${policy[@]}" --)
}

fresh_work() {
	cd / && rm -rf "$work" && mkdir -p "$work/tmp" && cd "$work" || exit 1
}

# Names, kinds, modes, link targets and contents.
snapshot() {
	find . -printf '%P %y %m %l\n' | grep -vE "$ignored" | sort
	find . -type f -printf '%P\0' | grep -zvE "$ignored" | sort -z | xargs -0r sha256sum
}

# capture NAME COMMAND...: run it in a fresh work directory; out, err and status go to seen/NAME.*
capture() {
	local name=$1

	shift
	fresh_work
	timeout -k 2 "$limit" "$@" <"$input" >"$seen/$name.out" 2>"$seen/$name.err"
	echo $? >"$seen/$name.status"
	[ -z "$unstable" ] || sed -i -e "$unstable" "$seen/$name.out" "$seen/$name.err"
}

seen_differ() {
	local part

	for part in status out err tree; do
		cmp -s "$seen/bare.$part" "$seen/confined.$part" ||
			diff -a --label "bare $part" --label "confined $part" -U 1 "$seen/bare.$part" "$seen/confined.$part"
	done >"$seen/diff"
	[ -s "$seen/diff" ]
}

# same STATUS SENTENCE COMMAND...: bare it ends with that status; confined, all is as it was bare.
same() {
	local status=$1 sentence=$2

	capture bare "${@:3}"
	snapshot >"$seen/bare.tree" 2>&1
	capture confined "${confined[@]}" "${@:3}"
	snapshot >"$seen/confined.tree" 2>&1
	if [ "$(<"$seen/bare.status")" != "$status" ]; then
		{ echo "bare: status $(<"$seen/bare.status"), not $status" && cat "$seen/bare.err" "$seen/bare.out"; } >"$seen/diff"
		fails "$sentence" "$seen/diff"
	elif seen_differ; then
		fails "$sentence" "$seen/diff"
	else
		tap_ok "$sentence"
	fi
}

# refused STATUS PATTERN SENTENCE COMMAND...: bare it succeeds; confined it ends with that status, and says so.
refused() {
	local status=$1 pattern=$2 sentence=$3

	capture bare "${@:4}"
	capture confined "${confined[@]}" "${@:4}"
	if [ "$(<"$seen/bare.status")" -ne 0 ]; then
		{ echo "the bare control: status $(<"$seen/bare.status")" && cat "$seen/bare.err"; } >"$seen/diff"
		fails "$sentence" "$seen/diff"
	elif [ "$(<"$seen/confined.status")" -ne "$status" ] ||
		! grep -qE -- "$pattern" "$seen/confined.err" "$seen/confined.out"; then
		{ echo "status $(<"$seen/confined.status"), expected $status with $pattern" &&
			cat "$seen/confined.err" "$seen/confined.out"; } >"$seen/diff"
		fails "$sentence" "$seen/diff"
	else
		tap_ok "$sentence"
	fi
}

# --- servers

# begin NAME COMMAND...: in the background; its pid is in $pid, what it says in servers/NAME.log
pid=''
begin() {
	: >"$servers/$1.log"
	"${@:2}" >"$servers/$1.log" 2>&1 </dev/null &
	pid=$!
	started[$pid]=1
}

# Any process that listens is waited for by asking it.
wait_port() {
	local i

	for ((i = 0; i < 100; i++)); do
		(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
		sleep 0.05
	done
	return 1
}

wait_log() {
	local i

	for ((i = 0; i < 100; i++)); do
		grep -q "$1" "$2" && return
		sleep 0.05
	done
	return 1
}

descendants() {
	local pid

	for pid in $(pgrep -P "$1"); do
		echo "$pid"
		descendants "$pid"
	done
}

# end SIGNAL PID: the status it ends with, in $?. A server that does not is killed, and it is 137.
end() {
	local i

	kill "-$1" "$2"
	for ((i = 0; i < 100; i++)); do
		grep -q '^State:.[^Z]' "/proc/$2/status" 2>/dev/null || break
		sleep 0.05
	done
	[ "$i" -lt 100 ] || kill -KILL "$2"
	unset "started[$2]"
	wait "$2" 2>/dev/null
}

free_ports() {
	"$python" "$programs/ports.py" "$1"
}

http4='' http6='' other='' any='' echo='' stuck='' closed='' unix='' abstract='' udp='' udp6='' silent='' server_pid=''
start_servers() {
	local i

	seq 1 400 >"$www/small.txt"
	head -c 8M /dev/urandom >"$www/big.bin"
	for ((i = 1; i <= 20; i++)); do
		seq "$i" 5000 >"$www/$i.txt"
	done
	"$python" "$programs/server.py" "$www" "$servers/socket" >"$servers/ports" &
	server_pid=$!
	started[$server_pid]=1
	for ((i = 0; i < 200; i++)); do
		grep -q '^ready' "$servers/ports" && break
		sleep 0.05
	done
	while IFS='=' read -r name value; do
		declare -g "$name=$value"
	done <"$servers/ports"
	export http4 http6 other any echo stuck closed unix abstract udp udp6 silent server_pid
	[ "${ready:-no}" = yes ]
}
