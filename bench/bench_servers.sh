#!/usr/bin/env bash
# Real programs, confined as a user would, against the same bare: redis and nginx as servers, iperf3 as a client that
# sends UDP. Rows of run.sh's table.
# usage: bench_servers.sh SLUICE BENCH_WALL
#
# Bare and confined run at once, each on a port of its own, and are asked in turn in short rounds; a ratio is the median
# of the ratios of neighbouring rounds. Servers and clients have a CPU each where there are two. Each part ends with
# its time; so a slow machine gets fewer rounds. On a busy one the CPU time that a server and its supervisor took for a
# request says more than what was served in a second.
#
# nginx also runs behind one wall each, and behind the least that Landlock and a filter can be, made by hand
# (bench_wall.c): what the kernel takes for these is no cost of Sluice's. Opening a file is where Landlock is asked, so
# there are requests that open one, and others that do not.
set -uo pipefail

sluice=$(realpath "$1")
wall=$(realpath "$2")
programs=$(realpath "$(dirname "$0")/../tests/programs")
top=$(mktemp -d)
rounds_min=3
started=()
declare -A port=() server=() tree=() # by lane; tree: the server's processes

cleanup() {
	[ "${#started[@]}" -eq 0 ] || kill -TERM "${started[@]}" 2>/dev/null
	wait
	rm -rf "$top"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

die() {
	echo "bench_servers: $*" >&2
	exit 1
}

# --- where

mapfile -t cpus < <(taskset -cp $$ | sed 's/.*: //' | tr , '\n' | awk -F - '{ for (i = $1; i <= ($2 == "" ? $1 : $2); i++) print i }')
serve=(taskset -c "${cpus[0]}")
ask=(taskset -c "${cpus[-1]}" timeout -k 1 10)

# start LANE COMMAND...: ready when its port answers.
start() {
	local i

	"${serve[@]}" "${@:2}" >"$top/log.$1" 2>&1 &
	server[$1]=$!
	started+=($!)
	for ((i = 0; i < 100; i++)); do
		(exec 3<>"/dev/tcp/127.0.0.1/${port[$1]}") 2>/dev/null && return
		sleep 0.05
	done
	tail -n 5 "$top/log.$1" >&2
	die "nobody listens: ${*:2}"
}

# --- rounds

tree_find() {
	local pids=("${server[$1]}") i

	for ((i = 0; i < ${#pids[@]}; i++)); do
		mapfile -t -O "${#pids[@]}" pids < <(pgrep -P "${pids[i]}")
	done
	tree[$1]=${pids[*]/%//schedstat}
	tree[$1]=${tree[$1]//[[:space:]]/ }
}

# CPU time of a lane's server, ns.
used() {
	# shellcheck disable=SC2086 # a list
	(cd /proc && cat ${tree[$1]}) | awk '{ ns += $1 } END { printf "%.0f\n", ns }'
}

# rounds NAME SECONDS LANE...: `NAME LANE` prints requests, and a number for each of its columns. $top/NAME.LANE gets a
# line a round: microseconds of the server's CPU a request, and those. Who is first changes.
rounds() {
	local name=$1 end=$((SECONDS + $2)) round i lane before numbers
	local lanes=("${@:3}")

	for lane in "${lanes[@]}"; do
		"$name" "$lane" >/dev/null || die "$name, $lane, does not work"
		tree_find "$lane"
	done
	for ((round = 0; round < rounds_min || SECONDS < end; round++)); do
		for ((i = 0; i < ${#lanes[@]}; i++)); do
			lane=${lanes[(round + i) % ${#lanes[@]}]}
			before=$(used "$lane")
			numbers=$("$name" "$lane") || die "$name, $lane, does not work"
			echo "$(($(used "$lane") - before)) $numbers" |
				awk '{ $1 = $1 / $2 / 1000; $2 = ""; print }' >>"$top/$name.$lane"
		done
	done
}

median() {
	sort -g | awk '{ n[NR] = $1 } END { print n[int((NR + 1) / 2)] }'
}

# column NAME LANE PART
column() {
	awk -v part="$3" '{ print $part }' "$top/$1.$2"
}

# ratio NAME LANE PART UNDER: over the lane UNDER.
ratio() {
	paste <(column "$1" "$2" "$3") <(column "$1" "$4" "$3") | awk '$2 > 0 { print $1 / $2 }' | median
}

# cell NAME LANE PART UNIT: the median; no lane, no number.
cell() {
	[ -z "$2" ] && echo - && return
	column "$1" "$2" "$3" | median | awk -v unit="$4" '{ printf "%.1f %s\n", $1, unit }'
}

# line WHAT NAME PART UNIT BARE FLOOR SLUICE [TARGET]: the lanes of the three columns, "" for none. The ratio is that of
# the last one to the first, and at least TARGET.
line() {
	local lanes=() lane over met=-

	for lane in "${@:5:3}"; do
		[ -z "$lane" ] || lanes+=("$lane")
	done
	over=$(ratio "$2" "${lanes[-1]}" "$3" "${lanes[0]}")
	[ -z "${8:-}" ] || met=$(awk -v over="$over" -v target="$8" 'BEGIN { print (over + 0 >= target + 0) ? "yes" : "no" }')
	printf '%-46s %10s %10s %10s  %-18s %-14s %s\n' "$1" "$(cell "$2" "$5" "$3" "$4")" "$(cell "$2" "$6" "$3" "$4")" \
		"$(cell "$2" "$7" "$3" "$4")" "$([ -z "$over" ] && echo - || printf '%.3f of %s' "$over" "${lanes[0]}")" \
		"${8:+>= }${8:--}" "$met"
}

# row WHAT NAME LANE PART UNIT [TARGET]: of bare.
row() {
	line "$1" "$2" "$4" "$5" bare '' "$3" "${6:-}"
}

# --- redis

# redis LANE: thousands of requests a second, SET and GET.
redis() {
	"${ask[@]}" redis-benchmark -p "${port[$1]}" -n 8000 -c 50 -t set,get --csv |
		awk -F '"' '$2 == "SET" { set = $4 } $2 == "GET" { get = $4 }
			END { print 16000, set / 1000, get / 1000; exit !(set > 0 && get > 0) }'
}

# redis_start LANE COMMAND...: the command that confines.
redis_start() {
	mkdir "$top/redis.$1.d"
	start "$1" "${@:2}" redis-server --port "${port[$1]}" --bind 127.0.0.1 --save '' --dir "$top/redis.$1.d"
}

redis_bench() {
	local walls=("$sluice" run -s -w "$top")

	redis_start bare
	redis_start ports "${walls[@]}" --net-allow-bind "${port[ports]}" --
	redis_start address "${walls[@]}" --net-allow-bind "${port[address]}" --net-allow tcp://127.0.0.1:9 --
	rounds redis 18 bare ports address
	row 'redis, SET, thousands a second' redis ports 2 k/s 0.99
	row '    with a supervisor' redis address 2 k/s 0.99
	row 'redis, GET' redis ports 3 k/s 0.99
	row '    with a supervisor' redis address 3 k/s 0.99
	row 'redis, SET and GET: CPU a request' redis ports 1 us
	row '    with a supervisor' redis address 1 us
}

# --- nginx

# web LANE PATH: thousands of requests a second. wrk knows whole seconds only, and says what it saw when interrupted:
# short rounds, and so many of them.
web() {
	"${ask[@]}" timeout --preserve-status -s INT 0.3 wrk -t 1 -c 16 -d 9s "http://127.0.0.1:${port[$1]}/$2" |
		awk '/Non-2xx|Socket errors/ { bad = 1 } /^Requests\/sec:/ { rate = $2 }
			/requests in/ { count = $1 } END { print count, rate / 1000; exit bad || !(rate > 0) }'
}

# A file that is opened for each request, and one that stays open.
nginx() {
	web "$1" small.txt
}

nginx_open() {
	web "$1" open/small.txt
}

# Its directories are its own; root's worker is nobody.
nginx_start() {
	local directory=$top/nginx.$1.d

	mkdir -m 777 "$directory"
	sed -e "s|@DIR@|$directory|; s|@ROOT@|$top/www|; s|@PORT@|${port[$1]}|; s|@UPSTREAM@|9|; s|@OTHER@|9|" \
		-e "s|@MORE@|location /open/ { alias $top/www/; open_file_cache max=9; }|; s|@SERVER@||" \
		-e 's|worker_processes 2|worker_processes 1|; s|access_log .*;|access_log off;|' \
		"$programs/nginx.conf" >"$directory/nginx.conf"
	start "$1" "${@:2}" /usr/sbin/nginx -e "$directory/error.log" -p "$directory" -c "$directory/nginx.conf"
}

# nginx_rows WHAT PART UNIT [TARGET]: Sluice, of bare and of the floor, and what each wall takes.
nginx_rows() {
	line "$1" nginx "$2" "$3" bare '' ports "${4:-}"
	line '    with a supervisor' nginx "$2" "$3" bare '' address "${4:-}"
	line '    of the least of both walls' nginx "$2" "$3" '' floor ports "${4:-}"
	line '    of that, with a supervisor' nginx "$2" "$3" '' floor address "${4:-}"
	line '    the least of both walls' nginx "$2" "$3" bare floor ''
	line '    the least of Landlock alone' nginx "$2" "$3" bare landlock ''
	line "    Sluice's filter alone" nginx "$2" "$3" bare '' filter
}

nginx_bench() {
	local walls=("$sluice" run -s -r "$top/www" -w "$top")

	mkdir "$top/www"
	seq 1 400 >"$top/www/small.txt"
	nginx_start bare
	nginx_start landlock "$wall" landlock "$top" --
	nginx_start floor "$wall" floor "$top" --
	nginx_start filter "$wall" filter net-allow-bind "${port[filter]}" --
	nginx_start ports "${walls[@]}" --net-allow-bind "${port[ports]}" --
	nginx_start address "${walls[@]}" --net-allow-bind "${port[address]}" --net-allow tcp://127.0.0.1:9 --
	rounds nginx 60 bare landlock floor filter ports address
	rounds nginx_open 30 bare ports address
	nginx_rows 'nginx and wrk, 1.5 KB, thousands a second' 2 k/s 0.99
	nginx_rows '    CPU a request' 1 us
	row 'nginx, the file stays open, thousands a second' nginx_open ports 2 k/s 0.99
	row '    with a supervisor' nginx_open address 2 k/s 0.99
	row '    CPU a request' nginx_open ports 1 us
	row '    with a supervisor' nginx_open address 1 us
}

# --- iperf3: the client is what is confined, and dials TCP for its talk, too

# iperf LANE: Gbit/s that arrived, and the share that was lost.
iperf() {
	local confined=()

	[ "$1" = bare ] || confined=("$sluice" run -s -w "$top" --net-allow "tcp://127.0.0.1:${port[iperf]}"
		--net-allow "udp://127.0.0.1:${port[iperf]}" --)
	TMPDIR=$top "${ask[@]}" "${confined[@]}" iperf3 -c 127.0.0.1 -p "${port[iperf]}" -u -b 0 -l 1400 -t 1 -J >"$top/iperf.json" &&
		python3 -c 'import json, sys
sum = json.load(sys.stdin)["end"]["sum"]
print(sum["packets"], sum["bits_per_second"] / 1e9 * (1 - sum["lost_percent"] / 100), sum["lost_percent"])' <"$top/iperf.json"
}

iperf_bench() {
	start iperf iperf3 -s -B 127.0.0.1 -p "${port[iperf]}"
	server[bare]=${server[iperf]} server[udp]=${server[iperf]}
	rounds iperf 10 bare udp
	row 'iperf3, UDP, 1,400 bytes, arrived' iperf udp 2 Gb/s
	row '    lost' iperf udp 3 %
}

# The ports are free again when the part ends.
part() {
	local ports

	mapfile -t ports < <(python3 "$programs/ports.py" 7 | tr ' ' '\n')
	port=([bare]=${ports[0]} [ports]=${ports[1]} [address]=${ports[2]} [iperf]=${ports[3]}
		[landlock]=${ports[4]} [floor]=${ports[5]} [filter]=${ports[6]})
	"$1"
	kill -TERM "${started[@]}"
	wait "${started[@]}" 2>/dev/null
	started=()
}

chmod 755 "$top"
part redis_bench
part nginx_bench
part iperf_bench
