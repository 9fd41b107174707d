#!/usr/bin/env bash
# Python's own test suites about sockets, asyncio and URLs: each test ends confined as it ends bare, under a policy that
# grants loopback. Bare and confined run at the same time, and most of that is waiting.
# environment: SLUICE, TEST_TMP, SOURCE (of the tree, where it is elsewhere), SL_LONG=1 (all of asyncio, and more)
# alone: the suites have deadlines of their own, and use both processors
# one at a time
set -uo pipefail

# shellcheck source=tests/common/programs.sh
. "${SOURCE:-$(dirname "$0")/..}/tests/common/programs.sh"
programs_begin suites

# What no policy grants, so that these tests cannot end as they do bare where kernel and user have it: a pattern of names, and
# why. None of them may pass.
differ=(
	'test.test_socket.GeneralModuleTests.test_sethostname' 'the host name is nobody'"'"'s to change, root or not'
	'test.test_socket.*UDPLITE*' 'UDP-Lite sockets are never granted'
	'test.test_socket.*SCTP*' 'SCTP sockets are never granted'
	'test.test_socket.*CAN*Test.*' 'AF_CAN is never granted'
	'test.test_socket.ISOTPTest.*' 'AF_CAN is never granted'
	'test.test_socket.J1939Test.*' 'AF_CAN is never granted'
	'test.test_socket.*RDS*' 'AF_RDS is never granted'
	'test.test_socket.*QIPCRTR*' 'AF_QIPCRTR is never granted'
	'test.test_socket.*TIPC*' 'AF_TIPC is never granted'
	'test.test_socket.*Bluetooth*' 'AF_BLUETOOTH is never granted'
	'test.test_socket.LinuxKernelCryptoAPI.*' 'AF_ALG is never granted'
)
# They wait for ever bare, in a virtual machine whose host does not answer; AF_VSOCK is never granted.
never='test.test_socket.*VSOCK*'

# Runs that go on side by side: the arguments of suite.py.
lanes=(
	'-p 1/2 test.test_socket'
	'-p 2/2 test.test_socket'
	'test.test_asyncio.test_sock_lowlevel test.test_asyncio.test_selector_events test.test_asyncio.test_streams
		test.test_asyncio.test_server test.test_asyncio.test_unix_events test.test_asyncio.test_events
		test.test_asyncio.test_sendfile test.test_urllib test.test_urllib2 test.test_urllib_response
		test.test_urllib2_localnet test.test_httpservers'
)
if [ -n "${SL_LONG-}" ]; then
	lanes=("${lanes[@]:0:2}" test.test_asyncio 'test.test_urllib test.test_urllib2 test.test_urllib_response
		test.test_urllib2_localnet test.test_httpservers test.test_ftplib test.test_poplib test.test_imaplib
		test.test_smtplib test.test_xmlrpc test.test_httplib test.test_ssl test.test_select test.test_selectors
		test.test_epoll test.test_logging')
	export SUITE_LIMIT=500
fi

# suite HOW NAME ARGUMENTS...: bare or confined, in a directory of its own; outcomes are in seen/HOW.NAME.out
suite() {
	local how=$1 name=$2 dir=$top/work/$1.$2 command=()

	rm -rf "$dir"
	mkdir -p "$dir/tmp"
	policy_is -w "$dir" -r "$programs" -r /proc -w /dev/shm -w /dev/pts -w /dev/ptmx --net-allow '127.0.0.0/8:*' \
		--net-allow '[::1]:*' --net-allow-bind '*' --net-allow-unix '*' \
		--net-interfaces
	[ "$how" = bare ] || command=("${confined[@]}")
	cd "$dir" && TMPDIR=$dir/tmp "${command[@]}" "$python" "$programs/suite.py" -x "$never" "${@:3}" \
		>"$seen/$how.$name.out" 2>"$seen/$how.$name.err" </dev/null
}

# is_known TEST: its reason, if the table has it
is_known() {
	local i

	for ((i = 0; i < ${#differ[@]}; i += 2)); do
		# shellcheck disable=SC2053 # a pattern
		[[ $1 == ${differ[i]} ]] && echo "${differ[i + 1]}" && return
	done
	return 1
}

# differences NAME: a line a test that does not end as it does bare: NAME BARE CONFINED
differences() {
	join -a 1 -a 2 -e missing -o 0,1.2,2.2 <(awk '{ print $2, $1 }' "$seen/bare.$1.out" | sort) \
		<(awk '{ print $2, $1 }' "$seen/confined.$1.out" | sort) | awk '$2 != $3'
}

# same_again TEST: alone, three times, does it end confined as it does bare? Under load some miss their own deadlines.
same_again() {
	local i

	for i in 1 2 3; do
		suite bare again "$1"
		suite confined again "$1"
		[ -z "$(differences again)" ] && [ -s "$seen/bare.again.out" ] || return 1
	done
}

judge_lane() {
	local lane=$1 test was is reason sentence patience=20

	sentence="$2: as bare: $(tally "$lane")"
	while read -r test was is; do
		if reason=$(is_known "$test"); then
			[ "$is" != passed ] || echo "$test: $was bare; confined it passes, although $reason"
		elif [ $((patience -= 1)) -ge 0 ] && same_again "$test"; then
			echo "# $test: $was bare and $is confined beside others, but the same alone, three times"
		else
			echo "$test: $was bare, $is confined"
			grep -sA 25 -F "${test##*.} " "$seen/confined.again.err"
		fi
	done < <(differences "$lane") >"$seen/judged"
	grep '^#' "$seen/judged"
	grep -v '^#' "$seen/judged" >"$seen/unlike"
	[ ! -s "$seen/unlike" ]
	check "$sentence" $? "$seen/unlike"
}

tally() {
	cut -d ' ' -f 1 "$seen/confined.$1.out" | sort | uniq -c | awk '{ printf "%s%d %s", n++ ? ", " : "", $1, $2 }'
}

if ! "$python" -c 'import test.test_socket' 2>/dev/null; then
	tap_skip "python's own suites" "libpython3.11-testsuite is not installed"
	tap_done
	exit
fi
runs=()
for lane in "${!lanes[@]}"; do
	for how in bare confined; do
		# shellcheck disable=SC2086 # words
		suite "$how" "$lane" ${lanes[lane]} &
		runs+=($!)
		started[$!]=1
	done
done
wait "${runs[@]}"
started=()
for lane in "${!lanes[@]}"; do
	[ "$(grep -c ^passed "$seen/bare.$lane.out")" -ge 10 ]
	check "bare, tests pass: lane $lane" $? "$seen/bare.$lane.err"
	read -rd '' -a names <<<"${lanes[lane]}"
	judge_lane "$lane" "${names[*]}"
done
tap_done
