#!/usr/bin/env bash
# A supervisor looks into the processes that it answers for, which kernel.yama.ptrace_scope may forbid: at 1 it may look
# into its descendants only, at 2 only with CAP_SYS_PTRACE, at 3 into nobody. At each scope what works there works, and
# the rest is refused with the scope, before anything runs. tests/vm.sh boots kernels with each of them.
set -uo pipefail

# shellcheck source=tests/common/tap.sh
. "${SOURCE:?}/tests/common/tap.sh"
cd "${TEST_TMP:?}" || exit 1

scope=$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)
effective=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
capable=$((16#$effective >> 19 & 1))
launched=$((scope <= 1 || (scope == 2 && capable)))
in_place=$((scope == 0 || (scope <= 2 && capable)))
echo "# ptrace_scope $scope, $([ "$capable" = 1 ] || echo "not ")capable: launched $launched, in place $in_place"

python3 -c '
import socket, time
one = socket.create_server(("127.0.0.1", 0))
print(one.getsockname()[1], flush=True)
while True:
    one.accept()[0].close()' >port &
server=$!
trap 'kill $server' EXIT
until [ -s port ]; do sleep 0.05; done
port=$(<port)
connect="exec 3<>/dev/tcp/127.0.0.1/$port && echo connected >made"
run=("${SLUICE:?}" run --fs-system -w "$PWD")

# NAME, 1 where it works, COMMAND: it writes `connected` into `made`.
decides() {
	local name=$1 works=$2 out status
	shift 2
	rm -f made
	out=$("$@" 2>&1 </dev/null)
	status=$?
	if [ "$works" = 1 ]; then
		tap_is "$name: works" "0  connected" "$status $out $(cat made 2>&1)"
		return
	fi
	tap_is "$name: is refused" 125 "$status"
	tap_has "$name: says why" "kernel.yama.ptrace_scope=$scope" "$out"
	tap_is "$name: nothing ran" "" "$([ ! -e made ] || echo made)"
}

decides "bare" 1 bash -c "$connect"
decides "without a supervisor" 1 "${run[@]}" --net-allow "tcp://:$port" -- bash -c "$connect"
decides "with one" "$launched" "${run[@]}" --net-allow "tcp://127.0.0.1:$port" -- bash -c "$connect"
decides "a grandchild" "$launched" "${run[@]}" --net-allow "tcp://127.0.0.1:$port" -- bash -c "bash -c '$connect'; true"
# Its parent has left, and its session is another one: it is the keeper's child now.
decides "a daemon" "$launched" "${run[@]}" --net-allow "tcp://127.0.0.1:$port" -- bash -c \
	"(setsid bash -c 'sleep 0.2; $connect' &); until [ -s made ]; do sleep 0.05; done"
decides "a moved port" "$launched" "${run[@]}" --net-allow "tcp://*" --net-allow-bind 7100 --port-remap -- bash -c "$connect"
decides "counted processes" "$launched" "${run[@]}" --net-allow "tcp://:$port" --max-processes 9 -- bash -c "$connect; true"
decides "a name" "$launched" "${run[@]}" --net-allow "tcp://:$port" --name box -- bash -c "$connect"

# The wall is as high as ever where a supervisor may look.
if [ "$launched" = 1 ]; then
	out=$("${run[@]}" --net-allow "tcp://127.0.0.1:1" -- bash -c "$connect" 2>&1)
	tap_is "what is not allowed is refused" 1 "$?"
	tap_has "... by the policy" "Permission denied" "$out"
fi

# In place the supervisor is the program's child.
read -r first second < <(python3 -c '
import socket
both = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(one.getsockname()[1] for one in both))')
mkdir site && echo hello >site/index.html
"${HTTPD:?}" site "$first" "$second" >httpd.log 2>&1 &
httpd=$!
until grep -q . httpd.log || ! kill -0 $httpd 2>/dev/null; do sleep 0.05; done
if [ "$in_place" = 1 ]; then
	tap_is "in place: it serves" hello "$(curl -s --retry 20 --retry-connrefused --retry-delay 1 "http://127.0.0.1:$first/index.html")"
	kill $httpd
	wait $httpd
else
	wait $httpd
	tap_is "in place: is refused" 1 "$?"
	tap_has "in place: says why" "kernel.yama.ptrace_scope=$scope" "$(<httpd.log)"
	[ "$scope" -gt 1 ] || tap_has "in place: says what to do" "sluice run" "$(<httpd.log)"
fi

# The check says of each what it is.
row=$("$SLUICE" check | awk '$1 == "ptrace-access" { print $2 }')
tap_is "check knows" "$([ "$launched" = 1 ] && echo yes || echo MISSING)" "$row"

tap_done
