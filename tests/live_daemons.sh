#!/usr/bin/env bash
# Clients and servers of many kinds, each with a server or client of the test's own: what the policy allows works as it does
# bare, and the rest is refused. Either side is confined once.
# usage: live_daemons.sh [SECTION]...   environment: SLUICE, TEST_TMP, SOURCE (of the tree, where it is elsewhere)
# alone: its servers and clients have deadlines of their own, and use both processors
# shellcheck disable=SC2016 # what is in single quotes is for the shells under test
set -uo pipefail

# shellcheck source=tests/common/programs.sh
. "${SOURCE:-$(dirname "$0")/..}/tests/common/programs.sh"
programs_begin daemons

# confine OPTION...: the command that confines a server, in $server; it may write to servers/
server=()
confine() {
	server=("$sluice" run -s -w "$servers" "$@" --)
}

# fill FILE NAME=VALUE...: a configuration of programs/, with its @NAMES@ filled in, to servers/
fill() {
	local pair script=()

	for pair in "${@:2}"; do
		script+=(-e "s|@${pair%%=*}@|${pair#*=}|g")
	done
	sed "${script[@]}" "$programs/$1" >"$servers/$1"
}

# --- wget, and curl by name

section_wget() {
	local url=http://127.0.0.1:$http4

	unstable='s/0x[0-9a-f]* //; s/[0-9:-]* [0-9:]*  *//; s/([0-9.]* [KMG]*B\/s)//; s/[0-9.]*[KMG]* *[0-9.]*s$//; s/in [0-9.]*s//'
	policy_is --fs-read-if-exists /etc/wgetrc --net-allow "tcp://127.0.0.1:$http4"
	same 0 "wget fetches, by address rule" wget -q "$url/small.txt"
	same 0 "wget fetches 8 MB" wget -q "$url/big.bin"
	same 8 "wget ends with 8 for what is missing" wget -nv "$url/missing"
	same 0 "wget fetches a directory of links" wget -q -r -np -nH -l 1 -A '1*.txt' "$url/"
	refused 4 'Permission denied' "wget to another port" wget -nv -t 1 "http://127.0.0.1:$other/small.txt"
	policy_is --fs-read-if-exists /etc/wgetrc --net-allow ":$http4" --net-deny "127.0.0.1:$http4"
	refused 4 'Permission denied' "wget to an address that is denied and allowed" wget -nv -t 1 "$url/small.txt"
	policy_is --fs-read-if-exists /etc/wgetrc --net-allow "localhost:$http4,$any"
	same 0 "wget fetches, by a rule that names the host" wget -q "http://localhost:$http4/small.txt"
	unstable='s/0x[0-9a-f]* //; s/after [0-9]* ms//'
	same 0 "curl fetches, by a rule that names the host" curl -sS "http://localhost:$http4/small.txt"
	same 0 "curl reaches the named host by its address" curl -sS "http://127.0.0.1:$http4/small.txt"
	refused 7 '^curl: \(7\)' "curl to another port of the named host" curl -sS "http://localhost:$other/small.txt"
	refused 7 '^curl: \(7\)' "curl to another address on the named host's port" curl -sS "http://127.0.0.2:$any/small.txt"
	unstable=''
}

# --- git

section_git() {
	local port next

	if ! have git || ! [ -x "$(git --exec-path)/git-daemon" ]; then
		tap_skip "git over git://" "no git daemon"
		return
	fi
	read -r port next < <(free_ports 2)
	printf '[user]\n\tname = A\n\temail = a@example\n[init]\n\tdefaultBranch = main\n[safe]\n\tdirectory = *\n' >"$HOME/.gitconfig"
	export GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'
	mkdir -p "$servers/git" "$top/made/tmp"
	(cd "$top/made" && TMPDIR=$top/made/tmp sh "$programs/git_work.sh" && git clone --bare source "$servers/git/repo.git") >"$seen/git" 2>&1
	check "git: a repository to serve" $? "$seen/git"
	local daemon=(git daemon --base-path="$servers/git" --export-all --enable=receive-pack --reuseaddr --listen=127.0.0.1)

	begin git-daemon "${daemon[@]}" --port="$port"
	wait_port "$port"
	ignored='(^|/)(index)$' # holds times and inode numbers
	policy_is -r "$HOME" --fs-read-if-exists /etc/gitconfig --net-allow "tcp://127.0.0.1:$port"
	git_client "$port" "by address rule"
	policy_is -r "$HOME" --fs-read-if-exists /etc/gitconfig --net-allow "tcp://127.0.0.1:$other"
	refused 128 'Permission denied' "git: clone over git:// from another port" git clone -q "git://127.0.0.1:$port/repo.git" clone
	end TERM "$pid"

	confine -r "$HOME" --fs-read-if-exists /etc/gitconfig --net-allow-bind "tcp://$next"
	begin git-daemon "${server[@]}" "${daemon[@]}" --port="$next"
	wait_port "$next"
	check "git: a confined daemon listens" $? "$servers/git-daemon.log"
	git_client "$next" "from a confined daemon"
	end TERM "$pid"
	ignored='^$'
}

git_client() {
	policy_is -r "$HOME" --fs-read-if-exists /etc/gitconfig --net-allow "127.0.0.1:$1"
	same 0 "git: clone, log and fsck over git://, $2" sh -c "git clone -q git://127.0.0.1:$1/repo.git clone &&
		cd clone && git log --oneline --all && git fsck"
	same 0 "git: ls-remote, shallow clone and fetch over git://, $2" sh -c "git ls-remote git://127.0.0.1:$1/repo.git &&
		git clone -q --depth 1 git://127.0.0.1:$1/repo.git clone && cd clone && git fetch -q --unshallow && git log --oneline"
	same 0 "git: push over git://, $2" sh -c "git clone -q git://127.0.0.1:$1/repo.git clone && cd clone &&
		git commit -q --allow-empty -m empty && git push -q origin HEAD:new && git push -q origin :new"
}

# --- dig and dnsmasq

dns_port=''
begin_dns() {
	dns_port=$1
	fill dnsmasq.conf "PORT=$1" "LONG=$(printf 'x%.0s' {1..240})"
	begin dnsmasq "${@:2}" /usr/sbin/dnsmasq -k -C "$servers/dnsmasq.conf"
	wait_port "$1"
}

# dig says on standard error that it may have no unix sockets, which it does not need.
no_unix='/try_proto(): socket(): Permission denied/d'

# dig_all HOW: each kind of question
dig_all() {
	local dig=(dig -p "$dns_port" @127.0.0.1 +noall +answer +comments +tries=1 +time=5)

	same 0 "dig: a name, $1" "${dig[@]}" web.test A
	same 0 "dig: IPv6, an alias, a name that is missing, $1" "${dig[@]}" web.test AAAA alias.test A nosuch.test A
	same 0 "dig: by address, $1" "${dig[@]}" -x 10.9.8.7
}

section_dns() {
	local dig port next

	if ! have dig || [ ! -x /usr/sbin/dnsmasq ]; then
		tap_skip "dig" "dig or dnsmasq is not installed"
		return
	fi
	read -r port next < <(free_ports 2)
	unstable="s/id: [0-9]*//; $no_unix"
	begin_dns "$port"
	check "dnsmasq listens" $? "$servers/dnsmasq.log"
	dig=(dig -p "$port" @127.0.0.1 +noall +answer +comments +tries=1 +time=2)
	policy_is --net-allow "udp://127.0.0.1:$port"
	dig_all "by UDP rule"
	refused 9 'permission denied|not permitted' "dig +tcp, by UDP rule" "${dig[@]}" +tcp web.test
	policy_is --net-allow "tcp://127.0.0.1:$port" --net-allow-bind tcp://0
	same 0 "dig +tcp, by TCP rule, and port 0 that it binds" "${dig[@]}" +tcp +keepopen web.test one.test
	refused 9 'permission denied|not permitted|no servers' "dig, by TCP rule" "${dig[@]}" web.test
	policy_is --net-allow "127.0.0.1:$port" --net-allow "127.0.0.3:$port" --net-allow-bind tcp://0
	dig_all "by a rule for both"
	same 0 "dig: a long answer by UDP, then by TCP" "${dig[@]}" txt.test TXT
	same 9 "dig: nobody there" dig -p "$port" @127.0.0.3 +tries=1 +time=1 web.test
	policy_is --net-allow "127.0.0.0/8" --net-deny "udp://127.0.0.1:$port" --net-allow-bind tcp://0
	same 0 "dig +tcp, where UDP is denied" "${dig[@]}" +tcp web.test
	refused 9 'permission denied|not permitted|no servers' "dig, where UDP is denied" "${dig[@]}" web.test
	end TERM "$pid"

	confine --net-allow-bind "$next" --net-allow 'udp://127.0.0.1:*' --net-interfaces
	begin_dns "$next" "${server[@]}"
	check "dnsmasq listens, confined" $? "$servers/dnsmasq.log"
	policy_is --net-allow "127.0.0.1:$next" --net-allow-bind tcp://0
	dig_all "from a confined dnsmasq"
	same 0 "dig: a long answer, from a confined dnsmasq" dig -p "$next" @127.0.0.1 +noall +answer txt.test TXT
	end TERM "$pid"
	unstable=''
}

# --- iperf3

# iperf PORT ARGUMENTS...: a report that does not depend on time
iperf_script='iperf3 -J -c 127.0.0.1 "$@" >report; python3 "$0" report; s=$?; rm report; exit $s'

iperf_all() {
	local iperf=(sh -c "${iperf_script//python3/$python}" "$programs/iperf.py" -p "$1")

	same 0 "iperf3: TCP, $2" "${iperf[@]}" -n 20M
	same 0 "iperf3: TCP in reverse, four streams, $2" "${iperf[@]}" -n 20M -R -P 4
	same 0 "iperf3: UDP, $2" "${iperf[@]}" -u -b 100M -l 1400 -n 2M
	same 0 "iperf3: UDP in reverse, $2" "${iperf[@]}" -u -b 100M -n 2M -R
}

section_iperf() {
	local port next

	if ! have iperf3; then
		tap_skip "iperf3" "not installed"
		return
	fi
	read -r port next < <(free_ports 2)
	begin iperf3 iperf3 -s -p "$port" -B 127.0.0.1 --forceflush
	wait_log 'listening' "$servers/iperf3.log" # who only connects is a failed test to it
	policy_is -r "$programs" --net-allow "127.0.0.1:$port"
	iperf_all "$port" "by a rule for both"
	policy_is -r "$programs" --net-allow "tcp://127.0.0.1:$port"
	same 0 "iperf3: TCP, by TCP rule" sh -c "${iperf_script//python3/$python}" "$programs/iperf.py" -p "$port" -n 20M
	refused 1 'not permitted|ermission denied|unable' "iperf3: UDP, by TCP rule" \
		sh -c "${iperf_script//python3/$python}" "$programs/iperf.py" -p "$port" -u -b 100M -n 1M
	end TERM "$pid"

	confine --net-allow-bind "$next" --net-allow 'udp://127.0.0.1:*'
	begin iperf3 env TMPDIR="$servers" "${server[@]}" iperf3 -s -p "$next" -B 127.0.0.1 --forceflush
	wait_log 'listening' "$servers/iperf3.log"
	check "iperf3: a confined server listens" $? "$servers/iperf3.log"
	policy_is -r "$programs" --net-allow "127.0.0.1:$next"
	iperf_all "$next" "with a confined server"
	end TERM "$pid"
}

# --- redis

section_redis() {
	local port next cli dir=$servers/redis pids=()

	if ! have redis-server || ! have redis-benchmark; then
		tap_skip "redis" "redis-server or redis-tools is not installed"
		return
	fi
	read -r port next < <(free_ports 2)
	mkdir -p "$dir/1" "$dir/2"
	confine --net-allow-bind "tcp://$port" --net-allow "tcp://127.0.0.1:$next" --net-allow-unix "$dir/1"
	begin redis-1 "${server[@]}" redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$dir/1" \
		--repl-diskless-sync-delay 0 --unixsocket "$dir/1/socket"
	pids+=("$pid")
	wait_port "$port"
	check "redis-server listens: TCP, and a unix socket in a granted directory" $? "$servers/redis-1.log"
	cli=(redis-cli -p "$port")
	policy_is --net-allow "127.0.0.1:$port"
	same 0 "redis-cli: SET, GET, a transaction, a script, by address rule" sh -c "printf '%s\n' 'SET k v' 'GET k' MULTI 'INCR n' 'SET n 0' EXEC \
		'EVAL \"return redis.call(\\\"GET\\\",\\\"k\\\")\" 0' | ${cli[*]}"
	unstable='s/.*\r//; s/[0-9.]* requests per second.*//'
	same 0 "redis-benchmark: pipelines, by address rule" redis-benchmark -q -p "$port" -n 20000 -c 20 -P 16 -t set,get,lpush,mset
	policy_is -r "$dir" --net-allow-unix "$dir/1/socket"
	same 0 "redis-benchmark over a unix socket, by its path" redis-benchmark -q -s "$dir/1/socket" -n 5000 -t set,get
	unstable=''
	policy_is -r "$dir" --net-allow-unix "$dir/2"
	refused 1 'Permission denied' "redis-cli over a unix socket, where another is granted" redis-cli -s "$dir/1/socket" PING

	confine --net-allow-bind "tcp://$next" --net-allow "tcp://127.0.0.1:$port"
	begin redis-2 "${server[@]}" redis-server --port "$next" --bind 127.0.0.1 --save '' --dir "$dir/2" --replicaof 127.0.0.1 "$port"
	pids+=("$pid")
	"${cli[@]}" SET replicated yes >/dev/null
	wait_log 'MASTER <-> REPLICA sync: Finished' "$servers/redis-2.log" && redis_has "$next" replicated yes
	check "redis-server replicates, both confined" $? "$servers/redis-2.log"
	redis-cli -p "$next" REPLICAOF 127.0.0.1 "$other" >/dev/null
	wait_log 'Permission denied' "$servers/redis-2.log"
	check "redis-server does not replicate from another port, and says so" $? "$servers/redis-2.log"
	for pid in "${pids[@]}"; do
		end TERM "$pid"
		check "redis-server ends with 0" $? "$servers/redis-1.log"
	done
}

# redis_has PORT KEY VALUE: soon
redis_has() {
	local i

	for ((i = 0; i < 100; i++)); do
		[ "$(redis-cli -p "$1" GET "$2" 2>/dev/null)" != "$3" ] || return 0
		sleep 0.05
	done
	return 1
}

# --- nginx and wrk

# wrk_clean OPTION...: it got answers, and nothing but answers
wrk_clean() {
	timeout 20 "$@" >"$seen/wrk" 2>&1 && grep -qE '^ *[1-9][0-9]* requests in' "$seen/wrk" &&
		! grep -qE 'Socket errors|Non-2xx' "$seen/wrk"
}

section_wrk() {
	local port name url resolver='' bind

	if [ ! -x /usr/sbin/nginx ] || ! have wrk; then
		tap_skip "wrk" "nginx or wrk is not installed"
		return
	fi
	read -r port name < <(free_ports 2)
	chmod 755 "$scratch" "$top" "$servers" "$www" 2>/dev/null
	mkdir -p "$servers/nginx"
	[ "$(id -u)" -ne 0 ] || chmod 777 "$servers/nginx" # root's workers are nobody
	if [ -x /usr/sbin/dnsmasq ]; then
		begin_dns "$name"
		resolver="resolver 127.0.0.1:$name ipv6=off; location /named/ { set \$upstream local.test; proxy_pass http://\$upstream:$http4/small.txt; }"
	fi
	fill nginx.conf "DIR=$servers/nginx" "ROOT=$www" "PORT=$port" "UPSTREAM=$http4" "OTHER=$other" "MORE=$resolver" "SERVER="
	mv "$servers/nginx.conf" "$servers/nginx/"
	url=http://127.0.0.1:$port
	confine -r "$www" --net-allow-bind "tcp://$port" --net-allow "tcp://127.0.0.1:$http4" --net-allow "udp://127.0.0.1:$name"
	for bind in bare confined; do
		[ "$bind" = confined ] || server=()
		begin nginx "${server[@]}" /usr/sbin/nginx -e "$servers/nginx/error.log" -p "$servers/nginx" -c "$servers/nginx/nginx.conf"
		wait_port "$port"
		check "nginx listens, $bind" $? "$servers/nginx/error.log"
		[ "$bind" = bare ] || { curl -sS -m 10 "$url/other/small.txt" -o /dev/null -w '%{http_code}' | grep -q 502; }
		check "nginx reaches what it may, $bind" $? "$servers/nginx/error.log"
		wrk_clean wrk -t 2 -c 20 -d 1 "$url/small.txt"
		check "wrk gets nothing but answers from a $bind nginx" $? "$seen/wrk"
		if [ -n "$resolver" ]; then
			curl -sS -m 10 "$url/named/" 2>&1 | cmp - "$www/small.txt"
			check "nginx asks a name server by UDP, $bind" $? "$servers/nginx/error.log"
		fi
		policy_is --net-allow "tcp://127.0.0.1:$port"
		fresh_work
		wrk_clean "${confined[@]}" wrk -t 2 -c 20 -d 1 "$url/small.txt"
		check "a confined wrk gets nothing but answers from a $bind nginx" $? "$seen/wrk"
		end QUIT "$pid"
		check "nginx ends with 0, $bind" $? "$servers/nginx/error.log"
		confine -r "$www" --net-allow-bind "tcp://$port" --net-allow "tcp://127.0.0.1:$http4" --net-allow "udp://127.0.0.1:$name"
	done
	policy_is --net-allow "tcp://127.0.0.1:$other"
	! wrk_clean "${confined[@]}" wrk -t 1 -c 5 -d 1 "$url/small.txt"
	check "wrk gets nothing where another port is allowed" $? "$seen/wrk"
}

# --- ssh

section_ssh() {
	local port forwarded dir=$servers/ssh ssh user made=''

	user=$(id -un 2>/dev/null)
	if [ ! -x /usr/sbin/sshd ] || [ -z "$user" ]; then
		tap_skip "ssh" "sshd is not installed, or this user has no name to log in by"
		return
	fi
	read -r port forwarded < <(free_ports 2)
	mkdir -p "$dir"
	for key in host key; do
		ssh-keygen -q -t ed25519 -N '' -C test -f "$dir/$key"
	done
	echo "[127.0.0.1]:$port $(<"$dir/host.pub")" >"$dir/known"
	fill sshd_config "PORT=$port" "DIR=$dir"
	fill ssh_config "PORT=$port" "DIR=$dir" "USER=$user"
	[ "$user" = root ] && mkdir /run/sshd 2>/dev/null && made=/run/sshd
	begin sshd /usr/sbin/sshd -D -e -f "$servers/sshd_config"
	wait_port "$port"
	ssh=(ssh -F "$servers/ssh_config")
	policy_is -r "$servers" -r "$www" --net-allow "tcp://127.0.0.1:$port"
	same 3 "ssh: a command's output, errors and status" "${ssh[@]}" test 'echo out; echo err >&2; exit 3'
	input=$www/big.bin
	same 0 "ssh: 8 MB there and back" sh -c "${ssh[*]} test cat | sha256sum"
	input=/dev/null
	if [ "$user" = root ]; then
		same 0 "ssh: a terminal" "${ssh[@]}" -tt test 'tty >/dev/null && stty size'
	else
		tap_skip "ssh: a terminal" "sshd gives terminals away as root only"
	fi
	same 0 "scp, by sftp, there and back" sh -c "scp -qF $servers/ssh_config $www/big.bin test:\$PWD/there &&
		scp -qF $servers/ssh_config test:\$PWD/there back && cmp there back"
	same 0 "scp -O and -r, there and back" sh -c "mkdir d; cp $www/1*.txt d; scp -OqrF $servers/ssh_config d test:\$PWD/there &&
		scp -OqrF $servers/ssh_config test:\$PWD/there back && diff -r d back && ls back"
	same 0 "sftp: a batch" sh -c "echo x >a; printf 'cd %s\nput a b\nrename b c\nls\nget c d\nrm c\n' \$PWD |
		sftp -q -F $servers/ssh_config -b - test"
	ssh_more "$port" "$forwarded"
	policy_is -r "$servers" --net-allow "udp://127.0.0.1:$port" --net-allow "tcp://127.0.0.1:$other"
	refused 255 'Permission denied' "ssh, where only UDP to its port is allowed" "${ssh[@]}" test true
	end TERM "$pid"
	[ -z "$made" ] || rmdir "$made"
}

# What binds: a forwarded port, and the socket of a master connection.
ssh_more() {
	local forward="${ssh[*]} -f -N -S \$PWD/m -M -L $2:127.0.0.1:$http4 test && curl -sS http://127.0.0.1:$2/small.txt; s=\$?
		${ssh[*]} -S \$PWD/m test 'echo by the master'; ${ssh[*]} -q -S \$PWD/m -O exit test; exit \$s"

	policy_is -r "$servers" --net-allow "tcp://127.0.0.1:$1,$2" --net-allow-bind "tcp://$2" --net-allow-unix "$work"
	ignored='^m' # a socket, gone a little later
	same 0 "ssh: a master connection and a forwarded port" sh -c "$forward"
	policy_is -r "$servers" --net-allow "tcp://127.0.0.1:$1,$2" --net-allow-unix "$work"
	refused 7 'bind.*Permission denied' "ssh: a forwarded port that may not be bound" sh -c "$forward"
	ignored='^$'
}

# --- node

section_node() {
	if ! have node || ! node --version >/dev/null 2>&1; then
		tap_skip "node" "no node that this user can run"
		return
	fi
	policy_is -r "$programs" --net-allow "udp://127.0.0.1:$udp,$closed"
	same 0 "node: UDP, connected and not, by address rule" node "$programs/client.js" udp
	refused 1 '^Error E(ACCES|PERM)' "node: UDP to another port" node "$programs/client.js" udp_other
	policy_is -r "$programs" --net-allow "udp://:$udp,$closed"
	same 0 "node: UDP, by port rule" node "$programs/client.js" udp
	policy_is -r "$programs" --net-allow '127.0.0.1:*' --net-allow-bind 0
	same 0 "node: servers of its own, HTTP and UDP" node "$programs/client.js" serve
	policy_is -r "$programs" --net-allow '127.0.0.1:*'
	refused 1 'EACCES' "node: a server, where nothing may be bound" node "$programs/client.js" serve
}

# --- all of it

sections=("$@")
[ ${#sections[@]} -gt 0 ] || sections=(wget git dns iperf redis wrk ssh node)
if ! start_servers; then
	fails "the servers start" "$servers/ports"
	tap_done
	exit 1
fi
run_sections "${sections[@]}"
tap_done
