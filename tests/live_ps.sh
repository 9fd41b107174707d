#!/usr/bin/env bash
# What runs: ps, inspect, kill, names, status-fd. run.sh says what is in the environment.
# shellcheck disable=SC2016 # what is in single quotes is for the shell inside
set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
SOURCE=${SOURCE:-$here/..}
SLUICE=$(readlink -f "${SLUICE:?which sluice?}")
# shellcheck source=tests/common/tap.sh
. "$SOURCE/tests/common/tap.sh"
cd "${TEST_TMP:?}" || exit 1
export XDG_RUNTIME_DIR=$TEST_TMP/runtime
registry=$XDG_RUNTIME_DIR/sluice
mkdir -m 700 "$XDG_RUNTIME_DIR"

try() {
	out=$("$SLUICE" "$@" 2>err.txt </dev/null)
	status=$?
	err=$(cat err.txt)
}

fails() { # NAME STATUS WORD ARGUMENTS...
	local name=$1 wanted=$2 word=$3
	shift 3
	try "$@"
	tap_is "$name: status" "$wanted" "$status"
	tap_has "$name: message" "$word" "$err"
}

# Run in the background; $! is sluice. Wait until its command runs, which is the last that it says.
start() { # NAME OPTIONS... -- COMMAND...
	: >started.txt
	"$SLUICE" run --fs-system -w "$TEST_TMP" "$@" </dev/null >started.txt 2>&1 &
	for ((i = 0; i < 200; i++)); do
		grep -q ready started.txt 2>/dev/null && return
		sleep 0.02
	done
	cat started.txt
}

field() { # NAME KEY: of ps --json
	"$SLUICE" ps --json | /usr/bin/python3 -c '
import json, os, sys
for row in json.load(sys.stdin):
    if os.fsencode(row["name"]) == os.fsencode(sys.argv[1]):
        print(row[sys.argv[2]])' "$1" "$2"
}

gone() { # PID: nobody, or a zombie
	for ((i = 0; i < 150; i++)); do
		case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in "" | Z*) return 0 ;; esac
		sleep 0.02
	done
	return 1
}

command_of() { cut -d" " -f1 "/proc/$1/task/$1/children"; }

# Nothing runs.

try ps
tap_is "ps: nothing runs" "0 no running sandboxes" "$status $out"
try ps --json
tap_is "ps --json: nothing runs" "0 []" "$status $out"
fails "inspect: nothing runs" 1 '"web"' inspect web
fails "kill: nothing runs" 1 '"web"' kill web
tap_is "the directory is the user's alone" "700 $(id -u)" "$(stat -c '%a %u' "$registry")"
fails "ps: unknown argument" 125 "--json" ps --xml
fails "inspect: no name" 125 "inspect" inspect
fails "kill: no name" 125 "kill" kill
fails "kill: no such signal" 125 "NONSENSE" kill web -s NONSENSE
fails "kill: signal 0 is none" 125 "no such signal" kill web -s 0
for name in "" . .. a/b /etc/passwd ../../etc/passwd "$(printf '%0300d' 0)"; do
	fails "kill: \"${name:0:20}\" is no name" 1 "no sandbox" kill "$name"
done

# Several run.

start --name web -- sh -c 'sleep 100 & echo ready; wait'
web=$!
start --name gate --net-allow tcp://127.0.0.1:9 -- sh -c 'echo ready; sleep 100'
gate=$!
start --timeout 100 -- sh -c 'echo ready; sleep 100'
unnamed=$!
start -- sh -c 'echo ready; exec sleep 100'
alone=$!
web_keeper=$(command_of "$web") gate_keeper=$(command_of "$gate") unnamed_keeper=$(command_of "$unnamed")
web_command=$(command_of "$web_keeper") unnamed_command=$(command_of "$unnamed_keeper")

try ps
tap_is "ps: a heading and three rows; a command without a keeper is none" "0 4" "$status $(wc -l <<<"$out")"
tap_has "ps: heading" "NAME PID UPTIME STATUS PROCESSES CMD" "$(head -n 1 <<<"$out" | tr -s ' ')"
tap_has "ps: a named one" "web $web_command " "$(tr -s ' ' <<<"$out")"
tap_has "ps: status, processes, command" " running 2 sh -c sleep 100 & echo ready; wait" "$(tr -s ' ' <<<"$out")"
tap_has "ps: one without a name is called by its command's pid" "sandbox-$unnamed_command $unnamed_command " \
	"$(tr -s ' ' <<<"$out")"
tap_is "ps --json: pid and keeper" "$web_command $web_keeper" "$(field web pid) $(field web keeper)"
tap_is "ps --json: under a supervisor" "$gate_keeper 2" "$(field gate keeper) $(field gate processes)"
tap_is "ps --json: uptime is seconds" 1 "$(field web uptime | awk '{ print ($1 > 0 && $1 < 60) }')"

try kill web -s STOP
# A signal is there at once; who it stops has first to run.
for _ in {1..100}; do
	[ "$(field web status)" != paused ] || break
	sleep 0.05
done
tap_is "kill -s STOP: the command is paused" "0 paused" "$status $(field web status)"
try kill -s SIGCONT web
tap_is "kill -s SIGCONT, in the other order: it runs" "0 running" "$status $(field web status)"

kill -URG "$web_keeper"
kill -TERM "$web_keeper"
sleep 0.1
tap_is "a stray signal to the keeper is none of sluice kill's" running "$(field web status)"

rm -f ran
fails "a second of that name" 125 "keeper $web_keeper" run --fs-system -w "$TEST_TMP" --name web -- touch ran
tap_is "... did not run, and the first still does" "missing running" "$(ls ran 2>/dev/null || echo missing) $(field web status)"
fails "a second of that name, supervised" 125 "keeper $web_keeper" run --fs-system --net-allow tcp://127.0.0.1:9 \
	-w "$TEST_TMP" --name web -- touch ran
fails "a second of an unnamed one's name" 125 "keeper $unnamed_keeper" run --fs-system --name "sandbox-$unnamed_command" -- true

# inspect

"$SLUICE" inspect gate >gate.json
why=$(/usr/bin/python3 - gate.json "$gate" "$gate_keeper" "$TEST_TMP" <<'PYTHON' 2>&1
import json, sys
it = json.load(open(sys.argv[1]))
assert it['name'] == 'gate' and it['mode'] == 'run' and it['status'] == 'running', it
assert it['supervisor'] == int(sys.argv[2]) and it['keeper'] == int(sys.argv[3]), it
assert it['processes'][0] == it['pid'] and len(it['processes']) == 2, it
assert it['argv'] == ['sh', '-c', 'echo ready; sleep 100'], it
assert it['policy'] == {'fs-system': True, 'fs-write': [sys.argv[4]], 'name': 'gate', 'net-allow': ['tcp://127.0.0.1:9']}, it
assert 'open_files' in it['limits'], it
PYTHON
)
tap_is "inspect says who, what and by which policy" "" "$why"
start --name limits --max-file-size 4096 -r /usr -r $'/usr/share/../lib' --keep-fd 0 --deny-syscall chown,fchown \
	--fs-read-if-exists $'/odd \'\n\xff\e$(touch ran)' -- sh -c 'echo ready; sleep 100'
tap_is "inspect: limits are the kernel's" 4096 \
	"$("$SLUICE" inspect limits | /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["limits"]["file_size"])')"
"$SLUICE" inspect --profile limits >options.txt
eval "set -- $(tr '\n' ' ' <options.txt | sed 's/--name limits //')"
"$SLUICE" inspect --profile limits >again.txt
tap_same "inspect --profile: the same twice" options.txt again.txt
words=()
eval "words=($(cat options.txt))"
"$SLUICE" explain "${words[@]}" >got.txt
"$SLUICE" explain --fs-system -w "$TEST_TMP" --name limits --max-file-size 4096 -r /usr -r /usr/share/../lib --keep-fd 0 \
	--deny-syscall chown,fchown --fs-read-if-exists $'/odd \'\n\xff\e$(touch ran)' >wanted.txt
tap_same "inspect --profile: options that make the same plan, read back by a shell" wanted.txt got.txt

# kill

start --name told -- sh -c 'trap "exit 9" USR1; echo ready; while :; do sleep 0.05; done'
told=$!
try kill told -s usr1
wait "$told"
tap_is "kill -s: the command gets it" "0 9" "$status $?"

long=9$$
start --name tree -- sh -c 'setsid sleep "$1" & sleep "$1" & echo "$!" >child; trap "" TERM; echo ready; wait; sleep "$1"' sh "$long"
tap_is "kill: three are there" 3 "$(field tree processes)"
tree=$!
try kill tree
tap_is "kill: gives 0" "0 " "$status $err"
tap_is "kill: nothing of the tree is left when it returns" "" "$(pgrep -fx "sleep $long")"
if gone "$(cat child)"; then tap_ok "kill: a child is gone"; else tap_not_ok "kill: a child is gone"; fi
wait "$tree"
tap_is "kill: sluice run gives 137" 137 $?
fails "kill: a second time" 1 "tree" kill tree
try kill gate
wait "$gate"
tap_is "kill: under a supervisor" "0 137" "$status $?"
try kill limits

start --name stopped -- sh -c 'echo ready; sleep 100'
stopped=$!
kill -STOP "$(command_of "$stopped")"
try kill stopped
wait "$stopped"
tap_is "kill: a keeper that somebody stopped" "0 137" "$status $?"

# Names.

n=0
for name in $'\xff\xfe' $'line\nbreak' -dash .hidden 'q"u\o'\''te' ' ' "$(printf '%064d' 0)" $'\e[31mred' 'ünïcode' '*' '%s%n'; do
	n=$((n + 1))
	start --name "$name" -- sh -c 'echo ready; sleep 100'
	tap_is "name $n: ps --json has it" running "$(field "$name" status)"
	tap_is "name $n: ps prints it in one line, harmless" "" "$("$SLUICE" ps | LC_ALL=C tr -d '\n -~' | LC_ALL=C tr -d '\303\274\257')"
	"$SLUICE" inspect --profile "$name" >options.txt
	eval "words=($(cat options.txt))"
	# shellcheck disable=SC2154
	tap_is "name $n: inspect --profile gives it back" yes "$(for word in "${words[@]}"; do [ "$word" != "$name" ] || echo yes; done)"
	try kill "$name"
	tap_is "name $n: kill finds it" "0 no" "$status $(field "$name" status | grep -q . || echo no)"
done
fails "name: 65 bytes" 125 "64" run --fs-system --name "$(printf '%065d' 0)" -- true
for name in "" . .. a/b; do
	fails "name: \"$name\"" 125 "name" run --fs-system --name "$name" -- true
done

# The dead are not there.

killed() {
	start --name "$1" -- sh -c 'echo ready; exec sleep 100'
	local pid=$! keeper
	keeper=$(command_of "$pid")
	kill -9 "$pid" "$keeper" "$(command_of "$keeper")"
	gone "$keeper"
	wait "$pid" 2>/dev/null
}
killed dead
tap_is "killed all at once: the file is there still" yes "$([ ! -e "$registry/dead" ] || echo yes)"
tap_is "... ps does not show it" "" "$(field dead pid)"
tap_is "... and removes the file" "" "$(ls "$registry/dead" 2>/dev/null)"
killed dead
start --name dead -- sh -c 'echo ready; sleep 100'
tap_is "... its name can be had again" running "$(field dead status)"
try kill dead
killed dead
"$SLUICE" run --fs-system --timeout 9 -- true
tap_is "... and any start removes the file" "" "$(ls "$registry/dead" 2>/dev/null)"
killed dead
fails "... kill does not find it" 1 dead kill dead
tap_is "... and removes the file" "" "$(ls "$registry/dead" 2>/dev/null)"

bad=""
for ((round = 0; round < 12; round++)); do
	: >winners
	for ((i = 0; i < 8; i++)); do
		"$SLUICE" run --fs-system -w "$TEST_TMP" --name race -- \
			sh -c 'mkdir held || echo "two at once" >>winners; echo ran >>winners; sleep 0.1; rmdir held' 2>/dev/null &
		racers[i]=$!
		"$SLUICE" ps >/dev/null &
		lookers[i]=$!
	done
	wait "${racers[@]}" "${lookers[@]}"
	if ! grep -q ran winners || grep -q two winners; then bad="$bad$(cat winners)"$'\n'; fi
done
tap_is "of eight that start with one name, while eight look, no two run at once" "" "$bad"

# The directory.

for how in 755 770 500 symlink file fifo absent others-write; do
	try kill web
	rm -rf other "$XDG_RUNTIME_DIR"
	mkdir -m 700 "$XDG_RUNTIME_DIR"
	case $how in
	symlink) mkdir -m 700 other && ln -s ../other "$registry" && word="link" ;;
	file) : >"$registry" && word="no directory" ;;
	fifo) mkfifo "$registry" && word="no directory" ;;
	absent) rmdir "$XDG_RUNTIME_DIR" && word="No such file" ;;
	others-write) chmod 722 "$XDG_RUNTIME_DIR" && word="0722" ;;
	*) mkdir -m "$how" "$registry" && word="mode 0$how" ;;
	esac
	fails "directory $how: ps" 125 "$word" ps
	fails "directory $how: inspect" 125 "$word" inspect web
	fails "directory $how: kill" 125 "$word" kill web
	fails "directory $how: a name" 125 "name: " run --fs-system --name web -- true
	tap_has "directory $how: a name: which" "$word" "$err"
	try run --fs-system --timeout 9 -- sh -c 'exit 4'
	tap_is "directory $how: without a name it runs" "4 " "$status $err"
done
tap_is "nothing was written where the link led" "" "$(ls -A other 2>/dev/null)"
rm -rf "$XDG_RUNTIME_DIR"
mkdir -m 700 "$XDG_RUNTIME_DIR"
if [ "$(id -u)" -eq 0 ]; then
	chown 1000 "$XDG_RUNTIME_DIR"
	fails "XDG_RUNTIME_DIR of somebody else" 125 "uid 1000" ps
	chown 0 "$XDG_RUNTIME_DIR"
	mkdir -m 700 "$registry"
	chown 1000 "$registry"
	fails "a directory of somebody else" 125 "uid 1000" ps
	rmdir "$registry"
else
	XDG_RUNTIME_DIR=/ fails "XDG_RUNTIME_DIR of somebody else" 125 "uid 0" ps
fi
fallback=/tmp/sluice-$(id -u)
[ "$(stat -c %u "/run/user/$(id -u)" 2>/dev/null)" != "$(id -u)" ] || fallback=/run/user/$(id -u)/sluice
for set in unset empty relative; do
	case $set in
	unset) other=(env -u XDG_RUNTIME_DIR) ;;
	empty) other=(env XDG_RUNTIME_DIR=) ;;
	relative) other=(env XDG_RUNTIME_DIR=runtime) ;;
	esac
	"${other[@]}" "$SLUICE" run --fs-system --name "fallback-$set-$$" -- sleep 100 &
	one=$!
	for ((i = 0; i < 100; i++)); do [ ! -s "$fallback/fallback-$set-$$" ] || break; sleep 0.02; done
	tap_has "XDG_RUNTIME_DIR $set: the other place" "fallback-$set-$$" "$("${other[@]}" "$SLUICE" ps)"
	tap_is "XDG_RUNTIME_DIR $set: and not this one" "no running sandboxes" "$("$SLUICE" ps)"
	"${other[@]}" "$SLUICE" kill "fallback-$set-$$"
	wait "$one"
done

# From inside.

reach=(--name inside --fs-system)
try run "${reach[@]}" -- ls "$registry"
tap_is "inside: the directory is not granted" 2 "$status"
try run "${reach[@]}" -- cat "$registry/inside"
tap_is "inside: nor its own entry" 1 "$status"
try run "${reach[@]}" -- sh -c "echo >>'$registry/inside'"
tap_is "inside: nor to write" 2 "$status"
try run "${reach[@]}" -w "$registry" -- sh -c "cat '$registry/inside' && echo >>'$registry/inside'"
tap_is "inside: all of it can where it is granted" 0 "$status"
try run --name inside --fs-system --timeout 9 -- sh -c 'kill -URG "$PPID"; kill "$PPID"; kill -9 "$PPID"; exit 3'
tap_is "inside: the keeper cannot be signalled" 3 "$status"

# status-fd

for mode in kept supervised; do
	options=(--fs-system -w "$TEST_TMP")
	[ "$mode" = kept ] || options+=(--net-allow tcp://127.0.0.1:9)
	tell() { # NAME WANTED ARGUMENTS...
		local name=$1 wanted=$2
		shift 2
		"$SLUICE" run "${options[@]}" --status-fd 7 "$@" 7>status.json 2>/dev/null </dev/null
		tap_is "status-fd, $mode: $name" "$wanted" "$(cat status.json)"
	}
	tell "exit" '{"exit_code":3,"signal":0,"reason":"exit"}' -- sh -c 'exit 3'
	tell "success" '{"exit_code":0,"signal":0,"reason":"exit"}' -- true
	tell "signal" '{"exit_code":-1,"signal":15,"reason":"signal"}' -- sh -c 'kill -15 $$'
	tell "timeout" '{"exit_code":-1,"signal":9,"reason":"timeout"}' -t 0.2 -- sleep 100
	cp /bin/true granted 2>/dev/null
	"$SLUICE" run --fs-system --status-fd 7 -- ./granted 7>status.json 2>/dev/null
	tap_is "status-fd, $mode: not executed" '{"exit_code":126,"signal":0,"reason":"failed"}' "$(cat status.json)"
	tell "the command does not get it" '{"exit_code":1,"signal":0,"reason":"exit"}' -- \
		sh -c 'for fd in 3 4 5 6 7 8 9; do ! (echo forged >&"$fd") || exit 9; done; exit 1'
	"$SLUICE" run "${options[@]}" --status-fd 7 --name told -- sh -c 'sleep 100' 7>status.json &
	one=$!
	for ((i = 0; i < 100; i++)); do "$SLUICE" kill told 2>/dev/null && break; sleep 0.02; done
	wait "$one"
	tap_is "status-fd, $mode: sluice kill" '{"exit_code":-1,"signal":9,"reason":"killed"}' "$(cat status.json)"
	start "${options[@]}" --status-fd 7 -- sh -c 'echo ready; sleep 100' 7>status.json
	one=$!
	kill -9 "$(command_of "$one")"
	wait "$one" 2>/dev/null
	tap_is "status-fd, $mode: a keeper that is killed" '{"exit_code":-1,"signal":0,"reason":"lost"}' "$(cat status.json)"
	mkfifo full
	exec 8<>full
	dd if=/dev/zero bs=65536 count=1 >&8 2>/dev/null
	timeout 20 "$SLUICE" run "${options[@]}" --status-fd 8 -- sh -c 'exit 5'
	tap_is "status-fd, $mode: a full pipe that nobody reads costs a second, not the end" 5 $?
	exec 8>&-
	rm -f full
	fails "status-fd, $mode: not open" 125 "status-fd: descriptor 77" run "${options[@]}" --status-fd 77 -- true
	exec 8</dev/null
	fails "status-fd, $mode: not for writing" 125 "status-fd: descriptor 8" run "${options[@]}" --status-fd 8 -- true
	exec 8<&-
	fails "status-fd, $mode: given away" 125 "keep-fd" run "${options[@]}" --status-fd 9 --keep-fd 9 -- true 9>/dev/null
	fails "status-fd, $mode: the command's own" 125 "the command's" run "${options[@]}" --status-fd 2 -- true
done

kill -9 "$alone" 2>/dev/null
kill -9 "$web" "$unnamed" 2>/dev/null
wait
tap_done
