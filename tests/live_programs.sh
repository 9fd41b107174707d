#!/usr/bin/env bash
# Real programs through `sluice run`: what the policy allows works as it does bare, the rest is refused with the errno
# that is written in `sluice explain`, and nothing else differs: output, exit status, and the files that are left.
# usage: live_programs.sh [SECTION]...   environment: SLUICE, TEST_TMP, SOURCE (of the tree, where it is elsewhere)
# alone: its programs have deadlines of their own, and use both processors
# shellcheck disable=SC2016 # what is in single quotes is for the shells under test
set -uo pipefail

# shellcheck source=tests/common/programs.sh
. "${SOURCE:-$(dirname "$0")/..}/tests/common/programs.sh"
programs_begin programs

# --- curl

section_curl() {
	local url4=http://127.0.0.1:$http4 url6="http://[::1]:$http6" urls=() i how rule

	for ((i = 1; i <= 20; i++)); do
		urls+=(-o "$i.txt" "$url4/$i.txt")
	done
	unstable='s/0x[0-9a-f]* //; s/after [0-9]* ms//'
	for how in address port; do
		rule=127.0.0.1:$http4
		[ "$how" = address ] || rule=:$http4
		policy_is --net-allow "$rule" -r "$www"
		same 0 "curl fetches over IPv4, by $how rule" curl -sS "$url4/small.txt"
		same 0 "curl -v says the same, by $how rule" curl -svS "$url4/small.txt" "$url4/1.txt"
		same 22 "curl -f ends with 22 for what is missing, by $how rule" curl -sSf "$url4/missing"
		same 0 "curl fetches 8 MB, by $how rule" curl -sS -o big.bin "$url4/big.bin"
		same 0 "curl uploads 8 MB, by $how rule" curl -sS -T "$www/big.bin" "$url4/put"
		same 0 "curl -Z fetches 20 files at once, by $how rule" curl -sS --no-progress-meter -Z --parallel-max 20 "${urls[@]}"
		refused 7 '^curl: \(7\)' "curl to another port, by $how rule" curl -sS "http://127.0.0.1:$other/small.txt"
	done
	policy_is --net-allow "127.0.0.1:$http4"
	same 0 "curl finds an allowed address by its name in /etc/hosts" curl -sS "http://localhost:$http4/small.txt"
	same 0 "curl keeps a connection for 20 transfers" curl -svS "${urls[@]}"
	refused 7 '^(200 0 000 7|000 7 200 0) $' "curl -Z gets what is allowed, and is refused the rest" curl -s --no-progress-meter -Z -o a -o b \
		-w '%{http_code} %{exitcode} ' "$url4/small.txt" "http://127.0.0.1:$other/small.txt"
	policy_is --net-allow "127.0.0.1:$stuck,$closed"
	same 28 "curl --connect-timeout ends in time" curl -s --connect-timeout 0.3 "http://127.0.0.1:$stuck/"
	same 7 "curl to an allowed port where nobody listens" curl -s -w '%{errormsg}' -o x "http://127.0.0.1:$closed/"
	if [ -n "$http6" ]; then
		policy_is --net-allow "[::1]:$http6"
		same 0 "curl fetches over IPv6, by address rule" curl -svS "$url6/small.txt"
		refused 7 '^curl: \(7\)' "curl over IPv4, by an IPv6 address rule" curl -sS "$url4/small.txt"
		policy_is --net-allow ":$http6"
		same 0 "curl fetches over IPv6, by port rule" curl -svS "$url6/small.txt"
	else
		tap_skip "curl over IPv6" "this machine has no ::1"
	fi
	unstable=''
}

# --- python

section_python() {
	local topic

	policy_is --net-allow "127.0.0.1:$http4,$echo,$stuck,$closed" -r "$programs"
	for topic in urllib asyncio timeouts nonblocking subprocess threads ssl; do
		same 0 "python: $topic, by address rule" "$python" "$programs/clients.py" "$topic"
	done
	refused 1 'OSError EACCES' "python: urllib to another port, by address rule" \
		"$python" "$programs/clients.py" urllib_other
	policy_is --net-allow ":$http4,$echo,$stuck,$closed" -r "$programs"
	for topic in urllib asyncio nonblocking threads; do
		same 0 "python: $topic, by port rule" "$python" "$programs/clients.py" "$topic"
	done
	refused 1 'OSError EACCES' "python: urllib to another port, by port rule" \
		"$python" "$programs/clients.py" urllib_other
	policy_is -r "$programs"
	same 0 "python: subprocess, without a supervisor" "$python" "$programs/clients.py" subprocess
	same 0 "python: sqlite with a write-ahead log" "$python" "$programs/clients.py" sqlite
	if [ ! -w /dev/shm ]; then
		tap_skip "python: multiprocessing" "/dev/shm cannot be written"
	else
		policy_is -r "$programs" -w /dev/shm --net-allow "127.0.0.1:$echo"
		same 0 "python: multiprocessing, with /dev/shm" "$python" "$programs/clients.py" multiprocessing
		policy_is -r "$programs" --net-allow "127.0.0.1:$echo"
		refused 1 'OSError EACCES' "python: multiprocessing without /dev/shm" \
			"$python" "$programs/clients.py" multiprocessing
	fi
	section_python_own_tests
}

section_python_own_tests() {
	if ! "$python" -c 'import test.test_support' 2>/dev/null; then
		tap_skip "python: its own test_support" "the test package is not installed"
		return
	fi
	# The tests bind where they like, and count their descriptors.
	policy_is -r /proc --net-allow-bind '*' --net-allow '127.0.0.1:*' --net-allow '[::1]:*'
	unstable='/load avg/d; /Total duration/d; s/ in [0-9.]*s$//; s/test_python_[0-9]*//g; s/[0-9.]* sec//'
	same 0 "python: its own test_support" "$python" -m test -i '*args_from_interpreter_flags' test_support # which takes two seconds
	unstable=''
}

# --- node

section_node() {
	local topic

	if ! have node || ! node --version >/dev/null 2>&1; then
		tap_skip "node" "no node that this user can run"
		return
	fi
	policy_is -r "$programs" --net-allow "127.0.0.1:$http4,$closed"
	for topic in http fs child dns worker; do
		same 0 "node: $topic, by address rule" node "$programs/client.js" "$topic"
	done
	refused 1 '^Error EACCES' "node: another port, by address rule" node "$programs/client.js" other
	policy_is -r "$programs" --net-allow ":$http4,$closed"
	same 0 "node: http, by port rule" node "$programs/client.js" http
	refused 1 '^Error EACCES' "node: another port, by port rule" node "$programs/client.js" other
}

# --- git

section_git() {
	local home=$top/home script

	if ! have git; then
		tap_skip "git" "not installed"
		return
	fi
	mkdir -p "$home"
	export GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'
	printf '[user]\n\tname = A\n\temail = a@example\n[init]\n\tdefaultBranch = main\n[pack]\n\tthreads = 1\n' \
		>"$home/.gitconfig"
	ignored='(^|/)(index|MERGE_RR)$' # holds times and inode numbers
	script=$programs/git_work.sh
	(
		cd "$top" && HOME=$home TMPDIR=$top sh "$script" >/dev/null && cd source && git config user.name A &&
			cd "$top" && git clone -q --bare source "$www/repo.git" && git -C "$www/repo.git" update-server-info
	) >"$seen/git" 2>&1
	export HOME=$home
	policy_is -r "$home" -r "$programs" --fs-read-if-exists /etc/gitconfig
	same 0 "git: init, commit, merge, gc, clone over file, push to a bare repository" sh "$script"
	policy_is -r "$home" --fs-read-if-exists /etc/gitconfig --net-allow "127.0.0.1:$http4"
	same 0 "git: clone over http, by address rule" sh -c "git clone -q http://127.0.0.1:$http4/repo.git clone &&
		cd clone && git rev-parse HEAD^{tree} && git fsck"
	refused 128 'unable to access|Failed to connect' "git: clone over http from another port" \
		git clone -q "http://127.0.0.1:$other/repo.git" clone
	policy_is -r "$home" --fs-read-if-exists /etc/gitconfig --net-allow ":$http4"
	same 0 "git: clone over http, by port rule" git clone -q "http://127.0.0.1:$http4/repo.git" clone
	ignored='^$'
}

# --- redis

server=() cli=()

# It takes the directory, and fails when it writes.
redis_elsewhere() {
	{
		"${cli[@]}" CONFIG SET dir "$outside"
		"${cli[@]}" SAVE
	} >"$seen/save" 2>&1
}

section_redis() {
	local port pid

	if ! have redis-server || ! have redis-cli || ! have redis-benchmark; then
		tap_skip "redis" "redis-server, redis-cli or redis-benchmark is not installed"
		return
	fi
	mkdir -p "$servers/redis"
	port=$(free_ports 1)
	server=(redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$servers/redis" --enable-protected-configs yes)
	cli=(redis-cli -p "$port")
	"${server[@]}" >"$servers/redis.log" 2>&1 &
	pid=$!
	started[$pid]=1
	wait_port "$port"
	redis_elsewhere && [ -s "$outside/dump.rdb" ]
	check "redis-server saves elsewhere, bare" $? "$seen/save"
	rm -f "$outside/dump.rdb"
	end TERM "$pid"

	"$sluice" run -s -w "$servers/redis" --net-allow-bind "$port" -- "${server[@]}" >"$servers/redis.log" 2>&1 &
	pid=$!
	started[$pid]=1
	wait_port "$port"
	check "redis-server listens, with --net-allow-bind" $? "$servers/redis.log"
	[ "$(<"/proc/$pid/comm")" = redis-server ]
	check "redis-server has no supervisor: the process started is itself" $?

	policy_is --net-allow "127.0.0.1:$port"
	same 0 "redis-cli: SET and GET" sh -c "${cli[*]} SET key value; ${cli[*]} GET key; ${cli[*]} INCR count:\$\$"
	same 0 "redis-cli: a thousand commands by pipe" sh -c "seq 1000 | sed 's/.*/SET k& v&/' | ${cli[*]} --pipe 2>&1 |
		tail -n 1; seq 1000 | sed 's/.*/GET k&/' | ${cli[*]} | sha256sum"
	same 0 "redis-cli: publish, subscribe, blocking pop" sh -c "timeout 5 ${cli[*]} BLPOP list 5 & sleep 0.2
		${cli[*]} RPUSH list element >/dev/null; wait"
	unstable='s/.*\r//; s/[0-9.]* requests per second.*//'
	same 0 "redis-benchmark -n 20000 -c 50 completes" redis-benchmark -q -p "$port" -n 20000 -c 50 -t set,get
	unstable=''
	policy_is --net-allow "127.0.0.1:$other"
	refused 1 'Could not connect.*Permission denied' "redis-cli, where another port is allowed" "${cli[@]}" GET key
	"${cli[@]}" SAVE >"$seen/save" 2>&1 && [ -s "$servers/redis/dump.rdb" ]
	check "redis-server saves where it may write" $? "$seen/save"
	"${cli[@]}" BGSAVE >"$seen/save" 2>&1 && wait_log 'Background saving terminated with success' "$servers/redis.log"
	check "redis-server saves in the background, by fork" $? "$servers/redis.log"
	redis_elsewhere
	grep -q '^OK' "$seen/save" && grep -q '^ERR' "$seen/save" && [ ! -e "$outside/dump.rdb" ]
	check "redis-server cannot save elsewhere" $? "$seen/save"
	end TERM "$pid"
	check "redis-server ends with 0 on SIGTERM" $?

	timeout -k 2 5 "$sluice" run -s -w "$servers/redis" --net-allow-bind "$other" -- "${server[@]}" >"$servers/redis.log" 2>&1
	check "redis-server ends with 1 where another port may be bound" $(($? != 1)) "$servers/redis.log"
	grep -q 'Permission denied' "$servers/redis.log"
	check "redis-server says permission denied" $? "$servers/redis.log"
}

# --- nginx

# nginx_gone PID...: none of these is an nginx any more, but a zombie at most.
nginx_gone() {
	local i

	for ((i = 0; i < 100; i++)); do
		[ -n "$(nginx_left "$@")" ] || return 0
		sleep 0.05
	done
	return 1
}

nginx_left() {
	local pid

	for pid in "$@"; do
		case $(ps -o comm=,stat= -p "$pid") in
		nginx*Z*) ;;
		nginx*) echo "$pid" ;;
		esac
	done
}

nginx_configure() {
	sed -e "s|@DIR@|$servers/nginx|; s|@ROOT@|$www|; s|@PORT@|$1|; s|@UPSTREAM@|$http4|; s|@OTHER@|$other|" \
		-e "s|@MORE@|${2:-}|; s|@SERVER@|${3:-}|" "$programs/nginx.conf" >"$servers/nginx/nginx.conf"
}

nginx_ask() {
	local path

	for path in small.txt 1.txt missing proxied/small.txt proxied/missing; do
		curl -sS -m 10 -w '%{http_code}\n' "http://127.0.0.1:$1/$path"
	done
	for path in big.bin proxied/big.bin; do
		curl -sS -m 10 "http://127.0.0.1:$1/$path" | sha256sum
	done
}

nginx_status() {
	curl -sS -m 10 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$1/$2"
}

# nginx_start PORT COMMAND...: its pid is in nginx_pid.
nginx_pid=''
nginx_start() {
	local port=$1

	rm -rf "$servers/nginx"
	mkdir -p "$servers/nginx"
	[ "$(id -u)" -ne 0 ] || chmod 777 "$servers/nginx" # root's workers are nobody
	nginx_configure "$port"
	"${@:2}" /usr/sbin/nginx -e "$servers/nginx/error.log" -p "$servers/nginx" -c "$servers/nginx/nginx.conf" \
		>"$servers/nginx/out" 2>&1 &
	nginx_pid=$!
	started[$nginx_pid]=1
	wait_port "$port"
}

# nginx_end SIGNAL SENTENCE
nginx_end() {
	local tree status

	mapfile -t tree < <(descendants "$nginx_pid")
	end "$1" "$nginx_pid"
	status=$?
	{ echo "status $status, tree ${tree[*]}" && cat "$servers/nginx/error.log"; } >"$seen/end"
	[ "$status" -eq 0 ] && [ "${#tree[@]}" -ge 2 ] && nginx_gone "${tree[@]}"
	check "$2" $? "$seen/end"
}

section_nginx() {
	local port next forbidden confine status workers

	if [ ! -x /usr/sbin/nginx ]; then
		tap_skip "nginx" "not installed"
		return
	fi
	chmod 755 "$scratch" "$top" "$servers" "$www" 2>/dev/null
	read -r port next forbidden < <(free_ports 3)
	confine=("$sluice" run -s -r "$www" -w "$servers/nginx" --net-allow "127.0.0.1:$http4" --net-allow-bind "$port,$next" --)

	nginx_start "$port"
	check "nginx listens, bare" $? "$servers/nginx/error.log"
	nginx_ask "$port" >"$seen/nginx.bare" 2>&1
	status=$(nginx_status "$port" other/small.txt)
	[ "$status" = 200 ]
	check "nginx reaches both upstreams, bare" $?
	nginx_end QUIT "nginx ends with 0 on SIGQUIT, bare"

	mkdir -p "$servers/nginx"
	nginx_start "$port" "${confine[@]}"
	check "nginx listens, confined" $? "$servers/nginx/error.log"
	nginx_ask "$port" >"$seen/nginx.confined" 2>&1
	diff "$seen/nginx.bare" "$seen/nginx.confined" >"$seen/diff"
	check "nginx serves files and an allowed upstream as it does bare" $? "$seen/diff"
	status=$(nginx_status "$port" other/small.txt)
	[ "$status" = 502 ] && grep -q 'connect() .*failed (13: Permission denied)' "$servers/nginx/error.log"
	check "nginx answers 502 for a forbidden upstream, and logs EACCES" $? "$servers/nginx/error.log"

	workers=$(descendants "$nginx_pid" | tail -n 2)
	nginx_configure "$port" 'location = /new { return 204; }' "server { listen 127.0.0.1:$next; return 205; }"
	kill -HUP "$nginx_pid"
	# shellcheck disable=SC2086 # one word a pid
	wait_port "$next" && nginx_gone $workers && [ "$(nginx_status "$port" new)" = 204 ]
	check "nginx reloads on a SIGHUP to sluice: new workers, and a new port that is granted" $? "$servers/nginx/error.log"
	nginx_configure "$port" 'location = /newer { return 204; }' "server { listen 127.0.0.1:$forbidden; return 205; }"
	kill -HUP "$nginx_pid"
	wait_log "bind() to 127.0.0.1:$forbidden failed (13: Permission denied)" "$servers/nginx/error.log" &&
		[ "$(nginx_status "$port" new)" = 204 ] && [ "$(nginx_status "$port" newer)" = 404 ]
	check "nginx keeps its configuration where the new one binds a forbidden port" $? "$servers/nginx/error.log"
	nginx_end QUIT "nginx ends with 0 and whole on a SIGQUIT to sluice"

	nginx_start "$port" "${confine[@]}"
	nginx_end TERM "nginx ends with 0 and whole on a SIGTERM to sluice"
	nginx_start "$port" "${confine[@]}"
	mapfile -t workers < <(descendants "$nginx_pid")
	end KILL "$nginx_pid"
	[ $? -eq 137 ] && [ "${#workers[@]}" -ge 3 ] && nginx_gone "${workers[@]}"
	status=$?
	mapfile -t workers < <(nginx_left "${workers[@]}")
	[ "${#workers[@]}" -eq 0 ] || ps -o pid,ppid,stat,args -p "${workers[@]}" >"$seen/end"
	check "nginx, master and workers, does not outlive a killed supervisor" "$status" "$seen/end"
	[ "${#workers[@]}" -eq 0 ] || kill "${workers[@]}"
	nginx_gone "${workers[@]}"

	confine=("$sluice" run -s -r "$www" -w "$servers/nginx" --net-allow ":$http4" --net-allow-bind "$port" --)
	nginx_start "$port" "${confine[@]}"
	nginx_ask "$port" >"$seen/nginx.confined" 2>&1
	diff "$seen/nginx.bare" "$seen/nginx.confined" >"$seen/diff"
	check "nginx serves files and an upstream by port rule" $? "$seen/diff"
	[ "$(nginx_status "$port" other/small.txt)" = 502 ]
	check "nginx answers 502 for an upstream on another port" $?
	nginx_end QUIT "nginx ends with 0 and whole on SIGQUIT, by port rules"
}

# --- the shell and its friends

tools() {
	same 0 "a pipeline of six, $1" bash -c 'seq 100000 | grep 7 | tr 7 8 | rev | sort -n | uniq -c | tail -n 3'
	same 0 "background jobs, wait and kill, $1" bash -c 'sleep 0.1 & a=$!; (sleep 0.05; exit 7) & wait $!; echo $?
		wait $a; echo $?; sleep 10 & kill $!; wait $!; echo $?; jobs'
	same 0 "process substitution, fifos, here documents, traps, $1" bash -c 'diff <(seq 3) <(seq 4); mkfifo f; cat f & seq 2 >f
		wait; cat <<<here; trap "echo usr1" USR1; kill -USR1 $$; trap "echo exit" EXIT; x=$(printf %s a b); echo "$x"'
	same 141 "SIGPIPE ends a writer, $1" bash -c 'set -o pipefail; yes | head -n 2'
	same 42 "an exit status, $1" sh -c 'exit 42'
	same 143 "an end by signal, $1" sh -c 'kill -TERM $$'
	same 137 "an end by SIGKILL, $1" sh -c 'kill -KILL $$'
	same 127 "a command that is missing, in a shell, $1" sh -c 'no-such-command'
	input=$www/small.txt
	same 0 "standard input is the caller's, $1" sh -c 'read -r a; echo "$a"; cat | sha256sum'
	input=/dev/null
	same 0 "find and xargs, $1" bash -c 'mkdir -p a/{b,c}/{d,e}; find a -type d -exec touch {}/f \; ; find a | sort
		find /usr/bin | sort | sha256sum; find a -type f -print0 | xargs -0 -P 2 -n 1 ls | sort; find a -name f -delete; ls -R a'
	same 0 "tar and compressors, $1" bash -c 'mkdir a; for i in $(seq 50); do seq $i 1000 >a/$i; done; ln a/1 a/hard; ln -s 1 a/soft
		chmod 640 a/2; touch -d 2020-01-01 a/*; tar --sort=name -czf a.tgz a; gunzip <a.tgz | tar t | sha256sum; mkdir b
		tar xzf a.tgz -C b; diff -r a b/a; tar cf - a | xz -T2 | xz -d | tar tv | wc -l; rm a.tgz; stat -c "%h %a %Y" b/a/1 b/a/2'
	same 0 "sort with temporary files, $1" bash -c 'seq 200000 | awk "{ print (\$1 * 7919) % 200003 }" >in
		LC_ALL=C sort -n -S 200K --parallel=2 --compress-program=gzip -T tmp in | sha256sum; ls tmp'
	same 0 "awk with pipes and files of its own, $1" awk 'BEGIN { while (("seq 5" | getline x) > 0) s += x; print s
		print "b\na" | "sort"; close("sort"); print "to a file" > "out"; close("out"); getline y < "out"; print y
		exit system("exit 0") }'
	same 0 "sed -i, install, cp -a, mv, dd, truncate, split, $1" bash -c 'seq 1000 >a; sed -i s/1/one/ a; install -m 600 a b; cp -a b c
		mv c d; dd if=/dev/zero of=e bs=4k count=9 status=none; truncate -s 5 e; split -l 300 a part.; cat part.* | cmp - a; ls'
	same 0 "perl with fork, pipe, flock and sockets, $1" perl -MIO::Socket::INET -MSocket -MFcntl=:flock -e '
		$s = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $ENV{echo}) or die $!; print $s "line\n"; print scalar <$s>;
		socketpair(A, B, AF_UNIX, SOCK_STREAM, 0) or die $!; if (!fork) { close A; syswrite B, "child\n"; exit 3 } close B;
		print scalar <A>; wait; print $? >> 8, "\n"; open F, ">", "f"; flock F, LOCK_EX or die $!; print `echo command`;'
}

section_shell() {
	policy_is --net-allow "127.0.0.1:$echo"
	tools "supervised"
	policy_is --net-allow ":$echo"
	tools "not supervised"
	if have gcc && have make; then
		policy_is -r "$programs"
		same 0 "gcc compiles and links what runs" sh -c 'cp "$0"/*.[ch] . && gcc -O2 -pipe -Wall main.c sum.c -o a &&
			./a && gcc -S sum.c && gcc -fsyntax-only main.c' "$programs"
		policy_is -r "$programs" --net-allow "127.0.0.1:$echo"
		same 0 "make -j2 builds a program, supervised" sh -c 'cp "$0"/*.[ch] "$0"/project.mk . &&
			make -j2 -s -f project.mk 2>&1 && ./program && cat list.txt' "$programs"
		same 2 "make fails as it does bare" make -f "$programs/missing.mk"
	else
		tap_skip "gcc and make" "not installed"
	fi
}

# --- what a program sees around it

# The bits that confine/capabilities.c names. An ordinary user has none, and cannot shrink the bounding set.
capabilities_fit() {
	local name value bit root=0 sets=0

	[ "$(id -u)" -ne 0 ] || root=1
	while read -r name value; do
		sets=$((sets + 1))
		[ "$name$root" != CapBnd:0 ] || continue
		for bit in 4 12 17 21 27 31; do # FSETID NET_ADMIN SYS_RAWIO SYS_ADMIN MKNOD SETFCAP
			[ $((0x$value >> bit & 1)) -eq 0 ] || return 1
		done
		[[ $name = Cap@(Prm|Eff): ]] || continue
		for bit in 0 1 6 7 10; do # CHOWN DAC_OVERRIDE SETGID SETUID NET_BIND_SERVICE
			[ $((0x$value >> bit & 1)) -eq "$root" ] || return 1
		done
	done <"$seen/confined.out"
	[ "$sets" -eq 5 ]
}

surroundings() {
	same 0 "environment, limits, umask, ids, working directory, $1" bash -c 'env | grep -v ^_= | sort; ulimit -a; umask; id; pwd; nproc'
	same 0 "signal masks, ids, niceness, $1" sh -c 'grep -E "^(Sig[PBIC]|ShdPnd|Uid|Gid|Groups|Umask|Cpus)" /proc/self/status
		nice; cat /proc/self/oom_score_adj /proc/self/timerslack_ns /proc/self/coredump_filter'
	capture confined "${confined[@]}" grep -E '^Cap(Prm|Eff|Inh|Amb|Bnd)' /proc/self/status
	capabilities_fit
	check "capabilities: none that lead around the walls, and those of a server, $1" $? "$seen/confined.out"
	exec 9<"$www/small.txt"
	capture confined "${confined[@]}" ls /proc/self/fd
	exec 9<&-
	[ "$(tr '\n' ' ' <"$seen/confined.out")" = "0 1 2 3 " ] # 3 is the directory that ls reads
	check "no descriptor but 0 to 2, $1" $? "$seen/confined.out"
}

section_surroundings() {
	policy_is -r /proc --net-allow "127.0.0.1:$echo"
	surroundings "supervised"
	policy_is -r /proc
	surroundings "not supervised"
}

# --- what is refused

# As an ordinary user some controls cannot succeed.
refused_root() {
	if [ "$(id -u)" -eq 0 ]; then
		refused "$@"
	else
		tap_skip "$3" "bare, only root may"
	fi
}

# Each has its control: bare, it succeeds.
negative() {
	local how=$1

	refused 1 'Permission denied' "cat of a file outside, $how" cat "$outside/secret"
	refused 1 'Permission denied' "cat of it by .., $how" cat "../outside/secret"
	refused 1 'Permission denied' "cat of it through a link of one's own, $how" sh -c "ln -s $outside/secret l && cat l"
	refused 1 'Permission denied|cross-device' "cat of it by a hard link, $how" sh -c "ln $outside/secret l && cat l"
	refused_root 1 'Permission denied' "cat /etc/shadow, $how" cat /etc/shadow
	refused 1 'Permission denied' "a new file outside, $how" sh -c "touch $outside/new && rm $outside/new"
	refused 2 'Permission denied' "writing a file outside, $how" sh -c "echo x >$outside/written"
	refused 1 'Permission denied|cross-device' "moving a file outside, $how" \
		sh -c "touch f && mv f $outside/moved && rm $outside/moved"
	refused 1 'Permission denied' "removing a file outside, $how" sh -c "touch $outside/t && rm $outside/t"
	refused 1 'Permission denied' "a directory outside, $how" sh -c "mkdir $outside/d && rmdir $outside/d"
	refused 126 'Permission denied' "executing a file outside, $how" sh -c "$outside/program"
	refused 1 'Operation not permitted' "a set-user-id bit, $how" sh -c 'cp /bin/true t && chmod u+s t'
	refused 1 'Permission denied' "UDP of bash, $how" bash -c 'echo x >/dev/udp/127.0.0.1/9'
	refused 1 'Permission denied' "TCP of bash to another port, $how" bash -c "exec 3<>/dev/tcp/127.0.0.1/$other"
	refused 1 'OSError EACCES' "UDP of python, $how" "$python" "$programs/clients.py" udp
	refused_root 1 'OSError EPERM' "a raw ICMP socket, $how" "$python" "$programs/clients.py" icmp_raw
	refused 1 'OSError EAFNOSUPPORT' "a netlink socket, $how" "$python" "$programs/clients.py" netlink
	refused 1 'OSError EACCES' "bind, $how" "$python" "$programs/clients.py" bind
	refused 1 'OSError EACCES' "listen without bind, $how" "$python" "$programs/clients.py" listen
	refused 1 'OSError EACCES' "a unix socket, $how" "$python" "$programs/clients.py" connect_unix
	refused 1 'OSError EACCES' "an abstract unix socket, $how" "$python" "$programs/clients.py" connect_abstract
	refused 1 'OSError EPERM' "a signal to a process outside, $how" "$python" "$programs/clients.py" kill
	if have strace; then
		refused 1 'PTRACE_TRACEME.*Operation not permitted' "strace, $how" strace -o /dev/null true
	else
		tap_skip "strace, $how" "not installed"
	fi
	refused_root 125 'Operation not permitted' "chroot, $how" chroot / true
	if unshare -U true 2>/dev/null; then
		refused 1 'Operation not permitted' "unshare -U, $how" unshare -U true
	else
		tap_skip "unshare -U, $how" "bare, this user may not either"
	fi
	if ! have ping; then
		tap_skip "ping, $how" "not installed; see the raw ICMP socket"
	elif cp "$(command -v ping)" "$programs/ping" && "$programs/ping" -c 1 -W 1 127.0.0.1 >/dev/null 2>&1; then
		refused 2 'Operation not permitted|not supported' "ping, $how" "$programs/ping" -c 1 -W 1 127.0.0.1
	else
		tap_skip "ping, $how" "bare, this user may not either, without capabilities of the file"
	fi
}

section_refused() {
	echo secret >"$outside/secret"
	echo 'echo runs' >"$outside/program"
	sed -i '1i #!/bin/sh' "$outside/program"
	chmod 755 "$outside/program"
	policy_is -r "$programs" --net-allow "127.0.0.1:$echo"
	negative "supervised"
	policy_is -r "$programs" --net-allow ":$echo"
	negative "not supervised"

	policy_is -r "$programs" -r "$servers" --net-allow-unix '*' --net-allow "127.0.0.1:$echo"
	same 0 "a unix socket by --net-allow-unix, supervised" "$python" "$programs/clients.py" connect_unix
	refused 1 'OSError EPERM' "an abstract unix socket by --net-allow-unix, supervised" \
		"$python" "$programs/clients.py" connect_abstract
	policy_is -r "$programs" -r "$servers" --net-allow-unix '*'
	same 0 "a unix socket by --net-allow-unix, not supervised" "$python" "$programs/clients.py" connect_unix
	refused 1 'OSError EPERM' "an abstract unix socket by --net-allow-unix, not supervised" \
		"$python" "$programs/clients.py" connect_abstract
}

# --- all of it

sections=("$@")
[ ${#sections[@]} -gt 0 ] || sections=(curl python node git redis nginx shell surroundings refused)

if ! start_servers; then
	fails "the servers start" "$servers/ports"
	tap_done
	exit 1
fi
run_sections "${sections[@]}"
tap_done
