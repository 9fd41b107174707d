#!/usr/bin/env bash
# What must cross a network: two network namespaces of the test's own, a veth between them, and nothing else. The confined
# side is `near`; programs/far.py is on the other, unconfined, and logs what arrives.
# environment: SLUICE, TEST_TMP, SOURCE (of the tree, where it is elsewhere)
#
#     near  10.77.0.1, 10.77.0.3, fd77::1        far  10.77.0.2, 10.77.0.4, fd77::2, fd77::4
#     10.77.0.99 is nobody: nothing answers its ARP. What goes to 10.77.0.98 is lost
set -uo pipefail

if [ "${SL_INSIDE-}" != "$PPID" ]; then
	enter=(unshare -nm)
	[ "$(id -u)" -eq 0 ] || enter=(unshare -Urnm)
	if ! reason=$("${enter[@]}" ip link add near type veth peer name far 2>&1); then
		echo "ok 1 - two network namespaces # SKIP this user or kernel may not have them: ${reason##*$'\n'}"
		echo "1..1"
		exit
	fi
	SL_INSIDE=$$ "${enter[@]}" "$0" "$@"
	exit
fi

# shellcheck source=tests/common/programs.sh
. "${SOURCE:-$(dirname "$0")/..}/tests/common/programs.sh"
programs_begin network
log=$seen/packets
far_pid=''

far() {
	nsenter -t "$far_pid" -n -- "$@"
}

# --- the network

build_network() {
	local i

	unshare -n sleep 300 &
	far_pid=$!
	started[$far_pid]=1
	for ((i = 0; i < 100; i++)); do
		[ "$(readlink "/proc/$far_pid/ns/net")" = "$(readlink /proc/self/ns/net)" ] || break
		sleep 0.05
	done
	(set -e && connect_far)
}

connect_far() {
	local i

	ip link set lo up
	ip link add near type veth peer name far netns "$far_pid"
	far ip link set lo up
	for i in 1 3; do
		ip address add "10.77.0.$i/24" dev near broadcast +
	done
	ip address add fd77::1/64 dev near nodad
	for i in 2 4; do
		far ip address add "10.77.0.$i/24" dev far broadcast +
		far ip address add "fd77::$i/64" dev far nodad
	done
	far sh -c 'echo 0 >/proc/sys/net/ipv4/icmp_ratelimit'
	ip link set near up
	far ip link set far up
	ip neighbour add 10.77.0.98 lladdr 02:00:00:00:00:98 nud permanent dev near
	ip route add 239.0.0.0/8 dev near
	echo "0 0" >/proc/sys/net/ipv4/ping_group_range
	printf '127.0.0.1 localhost\n10.77.0.2 far.test\n10.77.0.4 other.test\n' >"$servers/hosts"
	chmod 644 "$servers/hosts"
	mount --bind "$servers/hosts" /etc/hosts
}

# A link-local address comes a little later than the rest.
begin_far() {
	local i

	begin far nsenter -t "$far_pid" -n -- "$python" "$programs/far.py" far "$log"
	wait_log ready "$servers/far.log" || return
	for ((i = 0; i < 100; i++)); do
		ip -6 address show dev near | grep -q tentative || far ip -6 address show dev far | grep -q tentative || break
		sleep 0.05
	done
	marker
}

# Packets keep their order on a veth: what was sent before this one has arrived when it has.
markers=0
marker() {
	markers=$((markers + 1))
	echo x >"/dev/udp/10.77.0.2/$((20000 + markers))"
	wait_log "> 10.77.0.2 $((20000 + markers))\$" "$log"
}

# arrived PATTERN COMMAND...: how many such packets arrive while it runs
arrived() {
	local before

	marker
	before=$(wc -l <"$log")
	"${@:2}"
	marker
	tail -n +"$((before + 1))" "$log" | grep -cE -- "$1"
}

# unseen PATTERN PACKETS SENTENCE COMMAND...: bare it succeeds, and such packets arrive. Confined it says so, and none does.
unseen() {
	local bare confinedly

	bare=$(arrived "$2" capture bare "${@:4}")
	confinedly=$(arrived "$2" capture confined "${confined[@]}" "${@:4}")
	{
		echo "bare: status $(<"$seen/bare.status"), $bare packets; confined: status $(<"$seen/confined.status"), $confinedly packets"
		cat "$seen/confined.out" "$seen/confined.err"
	} >"$seen/diff"
	[ "$(<"$seen/bare.status")" -eq 0 ] && [ "$bare" -gt 0 ] && [ "$(<"$seen/confined.status")" -ne 0 ] &&
		[ "$confinedly" -eq 0 ] && grep -qE -- "$1" "$seen/diff"
	check "$3" $? "$seen/diff"
}

across=("$python" "$programs/across.py")

# --- TCP and UDP

section_reach() {
	local address

	policy_is -r "$programs" --net-allow 10.77.0.2 --net-allow '[fd77::2]'
	for address in 10.77.0.2 fd77::2; do
		same 0 "TCP to $address: the peer sees the same source" "${across[@]}" tcp "$address"
		same 0 "UDP to $address, three ways: the peer sees the same source" "${across[@]}" udp "$address"
	done
	grep -qE '^udp 10\.77\.0\.1 [0-9]+ > 10\.77\.0\.2 7000' "$log" && grep -qE '^tcp fd77::1 [0-9]+ > fd77::2 7000' "$log"
	check "the source address on the wire is the interface's" $? "$log"
	same 0 "sendmmsg, a batch of three" "${across[@]}" batch 10.77.0.2 10.77.0.2 10.77.0.2
	same 0 "UDP of many sizes, fragments, too large" "${across[@]}" sizes 10.77.0.2
	same 0 "UDP of many sizes, IPv6" "${across[@]}" sizes fd77::2
	same 0 "nobody listens: ECONNREFUSED, and the error queue" "${across[@]}" closed 10.77.0.2
	same 0 "4 MB by TCP" "${across[@]}" bulk 10.77.0.2
	same 0 "curl across" curl -sS http://10.77.0.2:7080/
	same 0 "curl across, IPv6" curl -sS 'http://[fd77::2]:7080/'
	policy_is --fs-read-if-exists /etc/wgetrc --net-allow 10.77.0.2 --net-allow-bind tcp://0
	same 0 "wget across, by another source address" wget -qO- --bind-address=10.77.0.3 http://10.77.0.2:7080/
}

section_sources() {
	local link index

	policy_is -r "$programs" --net-allow 10.77.0.2 --net-allow-bind 0
	same 0 "bound to another address, IP_PKTINFO, IP_TTL: as bare" "${across[@]}" sources 10.77.0.2 10.77.0.3
	grep -qE '^udp 10\.77\.0\.3 [0-9]+ > 10\.77\.0\.2 7000' "$log" && grep -qE '^tcp 10\.77\.0\.3 [0-9]+ > 10\.77\.0\.2 7000' "$log"
	check "the source address on the wire is the one bound" $? "$log"
	refused 1 'device EPERM' "SO_BINDTODEVICE" "${across[@]}" device 10.77.0.2 near
	link=$(far ip -6 -o address show dev far scope link | grep -oE 'fe80[0-9a-f:]*')
	index=$(ip -o link show near | cut -d : -f 1)
	policy_is -r "$programs" --net-allow "[$link%near]"
	same 0 "TCP to a link-local address, by the number of its interface" "${across[@]}" tcp "$link%$index"
	same 0 "UDP to a link-local address, by the number of its interface" "${across[@]}" udp "$link%$index"
	refused 1 'tcp -2' "the name of an interface, where interfaces are hidden" "${across[@]}" tcp "$link%near"
	policy_is -r "$programs" --net-allow "[$link%near]" --net-interfaces
	same 0 "TCP to a link-local address, by the name of its interface" "${across[@]}" tcp "$link%near"
}

section_refused() {
	local rules

	for rules in "--net-allow 10.77.0.2" "--net-allow 10.77.0.0/24 --net-deny 10.77.0.4" "--net-allow 10.77.0.4:1-6999,7001-65535"; do
		# shellcheck disable=SC2086 # words
		policy_is -r "$programs" $rules
		unseen 'EACCES' '^tcp .* > 10\.77\.0\.4 ' "TCP is refused, and no packet leaves: $rules" "${across[@]}" tcp 10.77.0.4
		unseen 'E(ACCES|PERM)' '^udp .* > 10\.77\.0\.4 ' "UDP is refused, and no packet leaves: $rules" "${across[@]}" udp 10.77.0.4
	done
	policy_is -r "$programs" --net-allow tcp://10.77.0.4
	unseen 'E(ACCES|PERM)' '^udp .* > 10\.77\.0\.4 ' "UDP is refused where TCP is allowed" "${across[@]}" udp 10.77.0.4
	policy_is -r "$programs" --net-allow udp://10.77.0.4
	unseen 'EACCES' '^tcp .* > 10\.77\.0\.4 ' "TCP is refused where UDP is allowed" "${across[@]}" tcp 10.77.0.4
	policy_is -r "$programs" --net-allow 10.77.0.4
	unseen 'EACCES' '^tcp .* > fd77::4 ' "IPv6 is refused where IPv4 is allowed" "${across[@]}" tcp fd77::4
	policy_is -r "$programs" --net-allow 10.77.0.2
	unseen 'E(ACCES|PERM)' '^udp .* > 10\.77\.0\.4 ' "a batch that begins with a refused address" "${across[@]}" batch 10.77.0.4 10.77.0.2
	unseen 'sendmmsg .1, ' '^udp .* > 10\.77\.0\.4 ' "a batch is sent up to a refused address" \
		sh -c '"$@" | tee out && grep -q "(2, " out' sh "${across[@]}" batch 10.77.0.2 10.77.0.4
	unseen 'E(ACCES|PERM)' '^udp .* > 10\.77\.0\.255 ' "a broadcast is refused" "${across[@]}" broadcast 10.77.0.255
	unseen 'E(ACCES|PERM)' '^udp .* > 239\.7\.7\.7 ' "a group is refused" "${across[@]}" group 239.7.7.7
	policy_is -r "$programs" --net-allow udp://10.77.0.255 --net-allow udp://239.7.7.7:7002
	same 0 "a broadcast, by its rule" "${across[@]}" broadcast 10.77.0.255
	same 0 "a group, by its rule" "${across[@]}" group 239.7.7.7
}

section_names() {
	policy_is -r "$programs" --net-allow far.test:7080
	same 0 "curl to a host by its name in /etc/hosts" curl -sS http://far.test:7080/
	unseen '^curl: \([67]\)' '^tcp .* > 10\.77\.0\.4 ' "curl to another name of /etc/hosts" curl -sS http://other.test:7080/
	unseen '^curl: \(7\)' '^tcp .* > 10\.77\.0\.4 ' "curl to another address, saying it was the name's" \
		curl -sS --resolve far.test:7080:10.77.0.4 http://far.test:7080/
}

# --- a server on this side

serve() {
	local pid

	fresh_work
	"$@" "$python" "$programs/across.py" serve 10.77.0.1 >"$seen/serve" 2>&1 &
	pid=$!
	started[$pid]=1
	wait_log listening "$seen/serve"
	far timeout 10 "$python" "$programs/across.py" ask 10.77.0.1 >"$seen/ask" 2>&1
	[ "$(<"$seen/ask")" = "you are 10.77.0.2"$'\n'"b'you are 10.77.0.2'" ] || {
		[ ! -d "/proc/$pid" ] || end TERM "$pid"
		return 1
	}
	wait "$pid" && unset "started[$pid]"
}

section_serve() {
	serve
	check "a server, TCP and UDP, bare" $? "$seen/serve"
	policy_is -r "$programs" --net-allow-bind 7100 --net-allow udp://10.77.0.2
	serve "${confined[@]}"
	check "a server, TCP and UDP, confined, with a rule for its UDP answers" $? "$seen/serve"
	policy_is -r "$programs" --net-allow-bind 7100 --net-allow udp://10.77.0.4
	if serve "${confined[@]}"; then false; else true; fi
	check "a server does not answer by UDP whom no rule names" $? "$seen/serve"
	grep -q 'you are' "$seen/ask" && grep -qE 'PermissionError' "$seen/serve"
	check "and is told so, when TCP was served" $? "$seen/serve"
	policy_is -r "$programs" --net-allow-bind tcp://7100 --net-allow udp://10.77.0.2
	if serve "${confined[@]}"; then false; else true; fi
	check "a server does not bind UDP by a rule for TCP" $? "$seen/serve"
}

# --- ping

section_ping() {
	local ping tool=$programs/ping

	if ! have ping; then
		tap_skip "ping" "not installed"
		return
	fi
	cp "$(command -v ping)" "$tool" # the installed one has capabilities of its own
	unstable='s/time=[0-9.]* ms/time/; s/time [0-9]*ms/time/; /^rtt/d; s/icmp_seq=[0-9]* ttl/ttl/'
	ping=("$tool" -n -c 2 -i 0.2 -W 2)
	# It finds its source address by a UDP socket that it connects to port 1025, and never sends from.
	policy_is -r "$programs" --net-allow icmp://10.77.0.2 --net-allow icmp://10.77.0.99 --net-allow 'icmp://[fd77::2]' \
		--net-allow udp://10.77.0.0/24:1025 --net-allow 'udp://[fd77::2]:1025'
	if "$tool" -c 1 -W 1 10.77.0.2 >"$seen/ping" 2>&1; then
		same 0 "ping, by address rule" "${ping[@]}" 10.77.0.2
		ping_installed
		same 0 "ping, IPv6" "${ping[@]}" fd77::2
		same 0 "ping of 20000 bytes" "${ping[@]}" -s 20000 10.77.0.2
		same 0 "ping from another address" "${ping[@]}" -I 10.77.0.3 10.77.0.2
		same 1 "ping of nobody" "$tool" -n -c 1 -W 1 10.77.0.99
		unseen '0 received' '^icmp .* > 10\.77\.0\.4 ' "ping of another address" "${ping[@]}" 10.77.0.4
		policy_is -r "$programs" --net-allow 10.77.0.2
		unseen 'ermission denied|not permitted|not supported' '^icmp .* > 10\.77\.0\.2 ' "ping, where TCP and UDP are allowed" \
			"${ping[@]}" 10.77.0.2
		policy_is -r "$programs" --net-allow 'icmp://*' --net-allow udp://10.77.0.4:1025
		same 0 "ping, by a rule for any address" "${ping[@]}" 10.77.0.4
	else
		tap_skip "ping" "this kernel has no ping sockets for this user: $(tail -n 1 "$seen/ping")"
	fi
	unstable=''
}

# With the capability that the file carries, and does not give.
ping_installed() {
	same 0 "ping as it is installed" "$(command -v ping)" -n -c 1 -W 2 10.77.0.2
}

# --- iperf3

section_iperf() {
	local iperf

	if ! have iperf3; then
		tap_skip "iperf3" "not installed"
		return
	fi
	begin iperf3 nsenter -t "$far_pid" -n -- iperf3 -s -p 7200 --forceflush
	wait_log listening "$servers/iperf3.log"
	iperf=(sh -c "iperf3 -J -c 10.77.0.2 -p 7200 \"\$@\" >report; $python \$0 report; s=\$?; rm report; exit \$s" "$programs/iperf.py")
	policy_is -r "$programs" --net-allow 10.77.0.2:7200
	same 0 "iperf3: TCP" "${iperf[@]}" -n 20M
	same 0 "iperf3: UDP" "${iperf[@]}" -u -b 100M -n 2M
	same 0 "iperf3: UDP in reverse" "${iperf[@]}" -u -b 100M -n 2M -R
	end TERM "$pid"
}

# --- what never answers

section_hole() {
	policy_is -r "$programs" --net-allow 10.77.0.2 --net-allow 10.77.0.98/31
	same 0 "a connect waits for what never answers, and the others are served" "${across[@]}" hole 10.77.0.98 10.77.0.2
	same 0 "a connect to nobody ends when the kernel gives up" "${across[@]}" nobody 10.77.0.99
	policy_is -r "$programs" --net-allow 10.77.0.2
	capture confined "${confined[@]}" "${across[@]}" tcp 10.77.0.98
	[ "$(<"$seen/confined.out")" = "tcp EACCES" ]
	check "a connect to what never answers is refused" $? "$seen/confined.out"
}

# --- all of it

sections=("$@")
[ ${#sections[@]} -gt 0 ] || sections=(reach sources refused names serve ping iperf hole)
if ! build_network >"$seen/build" 2>&1 || ! begin_far; then
	fails "the network is built" "$seen/build"
	tap_done
	exit 1
fi
run_sections "${sections[@]}"
tap_done
