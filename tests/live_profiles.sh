#!/usr/bin/env bash
# Profiles and the command: what is loaded before what, where names are found, list, show and check; and real programs
# under the profiles that come with Sluice. run.sh says what is in the environment.
# one at a time
# shellcheck disable=SC2016 # what is in single quotes is for the shells and programs inside
set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
SOURCE=${SOURCE:-$here/..}
SLUICE=$(readlink -f "${SLUICE:?which sluice?}")
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C PYTHONDONTWRITEBYTECODE=1
# shellcheck source=tests/common/tap.sh
. "$SOURCE/tests/common/tap.sh"
top=$(realpath "${TEST_TMP:?}")
cd "$top" || exit 1
export HOME=$top/home XDG_CONFIG_HOME=$top/xdg
user=$XDG_CONFIG_HOME/sluice/profiles
mkdir -p "$user" "$HOME/.config/sluice/profiles"
unset TMPDIR

# Run the command; $status, $out and $err are what came of it.
try() {
	out=$("$SLUICE" "$@" 2>err.txt </dev/null)
	status=$?
	err=$(cat err.txt)
}

# NAME STATUS WORD ARGUMENTS...: it fails with this status, says the word on stderr and nothing on stdout.
fails() {
	local name=$1 wanted=$2 word=$3
	shift 3
	try "$@"
	tap_is "$name: status" "$wanted" "$status"
	tap_has "$name: message" "$word" "$err"
	tap_is "$name: nothing on stdout" "" "$out"
}

# same_plan NAME OPTIONS... = OPTIONS...: both make the same plan.
same_plan() {
	local name=$1 left=()
	shift
	while [ "$1" != = ]; do
		left+=("$1")
		shift
	done
	shift
	"$SLUICE" explain "${left[@]}" >left.txt 2>&1
	"$SLUICE" explain "$@" >right.txt 2>&1 || echo "right side: status $?" >>right.txt
	tap_same "$name" right.txt left.txt
}

# --- precedence

cat >"$user/base.yaml" <<'E1'
fs-system: true
fs-read: [/base]
max-file-size: 1M
strict-fds: true
E1
cat >"$user/app.yaml" <<'E1'
description: an application
extends: base
fs-read: [/app]
max-file-size: 2M
strict-fds: false
net-allow-bind: [8080]
E1
plan=(-s -r /base -r /app --net-allow-bind 8080)
same_plan "-p NAME is what the profile says" -p app = "${plan[@]}" --max-file-size 2M
for words in "--profile app" "--profile=app" "-papp" "--profile-file $user/app.yaml" "--profile-file=$user/app.yaml"; do
	# shellcheck disable=SC2086
	same_plan "$words: the same" $words = "${plan[@]}" --max-file-size 2M
done
same_plan "lists append behind the profile's" -p app -r /line --net-allow-bind 9 = \
	-s -r /base -r /app -r /line --net-allow-bind 8080 --net-allow-bind 9 --max-file-size 2M
same_plan "a scalar of the command line replaces" -p app --max-file-size 3 = "${plan[@]}" --max-file-size 3
same_plan "... wherever the profile stands" --max-file-size 3 -r /line -p app = "${plan[@]}" -r /line --max-file-size 3
same_plan "two profiles, in their order" -p base --profile-file "$user/app.yaml" = \
	-s -r /base -r /base -r /app --max-file-size 2M --net-allow-bind 8080
same_plan "... and the other way round" -p app -p base = \
	-s -r /base -r /app -r /base --max-file-size 1M --net-allow-bind 8080 --strict-fds

mkdir -p granted
echo secret >granted/file
cat >"$user/grant.yaml" <<E1
fs-system: true
fs-read: [$top/granted]
E1
try run -s -- cat granted/file
tap_is "without the profile a file cannot be read" "1 " "$status $out"
try run -p grant -- cat granted/file
tap_is "with it, it can" "0 secret" "$status $out"
try run -p grant -- printf '<%s>' -p nosuch --profile-file
tap_is "behind the command they are the command's" "<-p><nosuch><--profile-file>" "$out"
try run -p grant -- sh -c 'echo "$XDG_CONFIG_HOME"; exit 3'
tap_is "status and environment are the command's" "3 $XDG_CONFIG_HOME" "$status $out"
echo "fs-read: [granted]" >"$user/relative.yaml"
try run -s -p relative -- cat granted/file
tap_is "relative paths are from where the command runs" "0 secret" "$status $out"

# --- what is refused, and that nothing runs then

fails "no such profile" 125 "no profile \"nosuch\" in $user, /etc/sluice/profiles, " run -p nosuch -- touch ran
fails "a path is no name" 125 "no profile name" run -p "$user/app" -- touch ran
fails "a dot in front" 125 "no profile name" run -p .app -- touch ran
fails "an empty name" 125 "no profile name" run -p "" -- touch ran
fails "no such file" 125 "nosuch.yaml: cannot be opened: No such file" run --profile-file nosuch.yaml -- touch ran
fails "a name is no file" 125 "app: cannot be opened" explain --profile-file app
printf 'fs-system: true\nfs-raed: [/a]\n' >bad.yaml
fails "an unknown key" 125 'bad.yaml:2:1: unknown key "fs-raed"; the nearest is "fs-read"' run --profile-file bad.yaml -- touch ran
fails "... wherever it stands" 125 'bad.yaml:2:1: ' run -s -w . --profile-file bad.yaml -- touch ran
fails "an unknown option behind a good profile" 125 "nearest option is --fs-read" run -p grant --fs-raed /x -- touch ran
fails "no value" 125 "requires an argument" run -p
fails "bytes for a terminal" 125 '"a?[2J" is no profile name' run -p $'a\e[2J' -- touch ran
cp bad.yaml "$user/bad.yaml"
fails "a profile with a fault" 125 "bad.yaml:2:1: " run -p bad -- touch ran
ln -s self.yaml "$user/self.yaml"
fails "a link to itself" 125 "self" run -p self -- touch ran
rm "$user/self.yaml"
mkfifo fifo
fails "a FIFO is not waited for" 125 "not a regular file" run --profile-file fifo -- touch ran
if [ "$(id -u)" -ne 0 ]; then
	echo "fs-system: true" >"$user/closed.yaml"
	chmod 0 "$user/closed.yaml"
	fails "a profile that may not be read" 125 "closed.yaml: cannot be opened: Permission denied" run -p closed -- touch ran
	rm -f "$user/closed.yaml"
else
	tap_skip "a profile that may not be read" "root may read it"
fi
tap_is "nothing ran" "" "$(ls ran 2>/dev/null)"
try run -p nosuch --help
tap_is "--help behind a profile that is not there" 125 "$status"
try run --help -p nosuch
tap_is "... and in front of it" 0 "$status"

# --- where

echo "fs-read: [/xdg]" >"$user/where.yaml"
echo "fs-read: [/home]" >"$HOME/.config/sluice/profiles/where.yaml"
same_plan "XDG_CONFIG_HOME is where names are found" -p where = -r /xdg
XDG_CONFIG_HOME='' same_plan "else HOME/.config" -p where = -r /home
XDG_CONFIG_HOME=xdg same_plan "a relative XDG_CONFIG_HOME is not taken" -p where = -r /home
XDG_CONFIG_HOME=$top/nowhere fails "... and where there is none, it is not there" 125 "no profile \"where\"" explain -p where

# --- list

rm -f "$user/bad.yaml"
printf 'description: "two\\nlines"\n' >"$user/lines.yaml"
printf 'description: "\\e[2J bell\\a"\n' >"$user/odd.yaml"
cp bad.yaml "$user/bad.yaml"
echo "fs-system: true" >"$user/not-one.txt"
echo "fs-system: true" >"$user/.hidden.yaml"
try profile list
tap_is "list: status" "0 " "$status $err"
tap_has "list: name, place and description" "app              $user  an application"$'\n' "$out"
tap_has "list: one without a description" "base             $user  "$'\n' "$out"
tap_has "list: the first line of it" "lines            $user  two"$'\n' "$out"
tap_has "list: harmless bytes" "odd              $user  ?[2J bell?" "$out"
tap_has "list: one with a fault" "bad              $user  UNUSABLE: " "$out"
case $out in
*not-one* | *.hidden*) tap_not_ok "list: what is no profile is not listed" "$out" ;;
*) tap_ok "list: what is no profile is not listed" ;;
esac
tap_is "list: sorted" "$(cut -d ' ' -f 1 <<<"$out" | grep -nx app | cut -d : -f 1)" 1
"$SLUICE" profile list >/dev/full 2>/dev/null
tap_is "list: a full disk is an error" 125 $?
XDG_CONFIG_HOME=$top/nowhere HOME=$top/nowhere try profile list
tap_is "list: none in the user's directory is no error" 0 "$status"
rm -f "$user/bad.yaml" "$user/not-one.txt" "$user/.hidden.yaml"

# --- show, check

for name in app base grant lines odd; do
	"$SLUICE" profile show "$name" >shown.yaml
	tap_is "show $name: status" 0 $?
	"$SLUICE" profile show ./shown.yaml >again.yaml
	tap_same "show $name: print, parse, print" shown.yaml again.yaml
	same_plan "show $name: what is printed makes the same plan" --profile-file shown.yaml = -p "$name"
	try profile check shown.yaml
	tap_is "show $name: what is printed has no fault" "0 " "$status $out$err"
done
"$SLUICE" profile show app >shown.yaml
cat >wanted.yaml <<'E1'
description: "an application"
fs-read:
  - "/base"
  - "/app"
fs-system: true
net-allow-bind:
  - "8080"
max-file-size: "2M"
E1
tap_same "show: the merged profile" wanted.yaml shown.yaml
fails "show: no such profile" 125 "no profile" profile show nosuch
fails "show: a file with a fault" 125 "bad.yaml:2:1: " profile show ./bad.yaml
"$SLUICE" profile show app >/dev/full 2>/dev/null
tap_is "show: a full disk is an error" 125 $?

try profile check "$user/app.yaml"
tap_is "check: status 0 and not a word" "0 " "$status $out$err"
printf 'fs-raed: x\nfs-read: x\nfs-system: maybe\nnet-allow: [a:b, ~]\nextends: [nosuch, ./bad.yaml]\n' >faults.yaml
try profile check faults.yaml
tap_is "check: every fault has its place" \
	"125 faults.yaml:1:1 faults.yaml:2:10 faults.yaml:3:12 faults.yaml:4:13 faults.yaml:4:18 faults.yaml:5:11 ./bad.yaml:2:1 " \
	"$status $(sed -nE 's/^sluice: ([^ ]*): .*/\1/p' <<<"$err" | tr '\n' ' ')"
fails "check: no such file" 125 "cannot be opened" profile check nosuch.yaml
for words in profile "profile nosuch" "profile show" "profile check" "profile list x" "profile show a b"; do
	# shellcheck disable=SC2086
	fails "$words" 125 "usage: sluice profile list" $words
done

# --- those that come with Sluice

cp "$SOURCE"/examples/profiles/*.yaml "$user/"
# Not below /tmp, which the profile for builds grants.
outside=$(mktemp -d /var/tmp/sluice-profiles.XXXXXX)
trap 'rm -rf "$outside"' EXIT
echo secret >"$outside/file"
for file in "$SOURCE"/examples/profiles/*.yaml; do
	name=$(basename "$file" .yaml)
	try profile check "$file"
	tap_is "$name: no fault" "0 " "$status $out$err"
	tap_has "$name: has a description" 'description: "' "$("$SLUICE" profile show "$name")"
	"$SLUICE" profile show "$name" >shown.yaml
	"$SLUICE" profile show ./shown.yaml >again.yaml
	tap_same "$name: print, parse, print" shown.yaml again.yaml
	mkdir -p "work.$name" && cd "work.$name" || exit 1
	try run -p "$name" -- cat "$outside/file"
	tap_is "$name: a file outside cannot be read" 1 "$status"
	try run -p "$name" -r "$outside" -- cat "$outside/file"
	tap_is "$name: ... and -r is the cure" "0 secret" "$status $out"
	try run -p "$name" -- bash -c 'echo >/dev/tcp/127.0.0.1/9'
	tap_has "$name: no connection" "Permission denied" "$err"
	cd ..
done

# is NAME STATUS OUTPUT COMMAND...: under the profile of this name, in its directory
is() {
	local name=$1 wanted=$2 text=$3 sentence=$4
	shift 4
	cd "$top/work.$name" || exit 1
	try run -p "$name" "$@"
	tap_is "$name: $sentence" "$wanted $text" "$status $out$([ "$status" -eq "$wanted" ] || echo "$err")"
	cd "$top" || exit 1
}

cat >work.build/Makefile <<'E1'
prog: a.o b.o
	$(CC) -o $@ $^
E1
printf 'int f(void);\n#include <stdio.h>\nint main(void) { printf("%%d\\n", f()); }\n' >work.build/a.c
echo 'int f(void) { return 42; }' >work.build/b.c
is build 0 "" "make and cc build a program" -- make -s -j2
is build 0 42 "... which runs" -- ./prog
is build 0 "" "... and is cleaned up" -- rm prog a.o b.o
printf 'x:\n\techo x >%s/written\n' "$outside" >work.build/elsewhere.mk
is build 2 "" "a rule that writes elsewhere fails" -- make -s -f elsewhere.mk
is build 0 "" "... but where -w says so" -w "$outside" -- make -s -f elsewhere.mk
tap_is "build: ... and then it has written" x "$(cat "$outside/written")"

mkdir -p work.python/mod
echo 'VALUE = 7' >work.python/mod/__init__.py
cat >work.python/app.py <<'E1'
import ctypes, hashlib, json, locale, sqlite3, ssl, subprocess, threading, zoneinfo, mod
ssl.create_default_context()
out = subprocess.check_output(["echo", "child"], text=True).strip()
print(json.dumps([mod.VALUE, out, sqlite3.connect(":memory:").execute("select 1").fetchone()]))
E1
is python 0 '[7, "child", [1]]' "python3 imports, runs and starts programs" -- /usr/bin/python3 app.py
is python 1 "" "it writes nothing" -- /usr/bin/python3 -c 'open("written", "w")'
is python 0 "" "... but where -w says so" -w . -- /usr/bin/python3 -c 'open("written", "w")'

if command -v node >/dev/null; then
	echo 'exports.v = 3' >work.node/lib.js
	cat >work.node/app.js <<'E1'
const { Worker } = require('worker_threads');
const out = require('child_process').execSync('echo child').toString().trim();
console.log(require('./lib').v, out, require('os').cpus().length > 0);
new Worker('require("worker_threads").parentPort.postMessage("worker")', { eval: true }).on('message', m => console.log(m));
E1
	is node 0 $'3 child true\nworker' "node requires, runs, has workers and processors" -- node app.js
	is node 1 "" "it writes nothing" -- node -e 'require("fs").writeFileSync("written", "")'
else
	tap_skip "node" "there is no node"
fi

# Somebody else may have the port: it is waited for.
serve() { # OPTIONS -- COMMAND...: what is served is in $out
	local i pid
	cd "$top/work.server" || exit 1
	for ((i = 0; i < 100; i++)); do
		"$SLUICE" run -p server "$@" >server.log 2>&1 </dev/null &
		pid=$!
		sleep 0.5
		kill -0 "$pid" 2>/dev/null && break
		wait "$pid"
		grep -q 'in use' server.log || break
	done
	out=$(curl -s --max-time 5 --retry 10 --retry-connrefused --retry-delay 1 http://127.0.0.1:8080/index.html)
	kill "$pid" 2>/dev/null
	wait "$pid"
	cd "$top" || exit 1
}
echo "served to $(id -u)" >work.server/index.html
mkdir -p work.server/run
cat >work.server/nginx.conf <<'E1'
daemon off; error_log stderr; pid run/nginx.pid; worker_processes 2;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path run/b; proxy_temp_path run/p; fastcgi_temp_path run/f; uwsgi_temp_path run/u; scgi_temp_path run/s;
	server { listen 127.0.0.1:8080; root .; }
}
E1
serve -w run -- nginx -p "$top/work.server" -c "$top/work.server/nginx.conf"
tap_is "server: nginx serves" "served to $(id -u)" "$out"
serve -- /usr/bin/python3 -m http.server --bind 127.0.0.1 8080
tap_is "server: python's http.server serves" "served to $(id -u)" "$out"
is server 1 "" "another port is refused" -- /usr/bin/python3 -c 'import socket; socket.create_server(("127.0.0.1", 8081))'
is server 0 "" "... but where --net-allow-bind says so" --net-allow-bind tcp://8081 -- \
	/usr/bin/python3 -c 'import socket; socket.socket().bind(("127.0.0.1", 8081))'

tap_done
