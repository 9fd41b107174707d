#!/usr/bin/env bash
# The command: what it prints, what it refuses, and its exit statuses. run.sh says what is in the environment.
#
# The golden files hold what `explain` prints, byte by byte. After a change that is meant, as root:
#     SLUICE=build/sluice tests/live_cli.sh --regenerate && git diff tests/golden
# shellcheck disable=SC2016 # what is in single quotes is for the shell inside
set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
SOURCE=${SOURCE:-$here/..}
SLUICE=$(readlink -f "${SLUICE:?which sluice?}")
golden=$SOURCE/tests/golden

# What the supervisor may do itself needs no rule in the filter, so that plan differs by one line.
capability() {
	local effective
	effective=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
	if (((16#$effective >> 19 & 1) == 1)); then echo capable; else echo plain; fi
}

explain_nothing() { "$SLUICE" explain; }
explain_ports() {
	"$SLUICE" explain --fs-system -r /srv/data -w /var/tmp/scratch --fs-read-if-exists /opt/extra \
		--net-allow tcp://:443,8000-8080 --net-allow-bind 0,8080 --max-file-size 1.5G \
		--deny-syscall chown,fchown --allow-syscalls sysv_ipc --keep-fd 7
}
explain_addresses() {
	"$SLUICE" explain --fs-system --net-allow 10.0.0.0/8:443 --net-allow 192.0.2.7 --net-allow '[2001:db8::/32]:80,443' \
		--net-allow :53 --net-deny 10.9.0.0/16 --net-allow icmp://192.0.2.7 --net-allow-bind 8080 --net-allow-unix '*'
}
explain_process() {
	"$SLUICE" explain --cwd /srv/job --umask 27 --user 1234:56 --cpu-cores 0-3,5 --no-huge-pages --no-randomize-memory \
		--max-open-files 64 --rlimit stack=1M:unlimited --rlimit cpu=10 --no-coredump --gpu 0,2 --clean-env \
		--env-pass 'PYTHON*' --env-safe --env TOKEN=secret
}

explain_views() { "$SLUICE" explain --fs-system --name box --num-cpus 2; }
# Without the one line that depends on who asks.
explain_limits() { "$SLUICE" explain --fs-system -m 512M -P 10 -c 50 --cgroup none --timeout 90 | grep -v PR_SET_DUMPABLE; }

if [ "${1-}" = --regenerate ]; then
	set -e
	explain_nothing >"$golden/explain-nothing.txt"
	explain_ports >"$golden/explain-ports.txt"
	explain_process >"$golden/explain-process.txt"
	explain_limits >"$golden/explain-limits.txt"
	explain_addresses >"$golden/explain-addresses.$(capability).txt"
	explain_views >"$golden/explain-views.$(capability).txt"
	# And without that one capability.
	if [ "$(capability)" = capable ]; then
		exec setpriv --bounding-set -sys_ptrace --inh-caps -sys_ptrace "$0" --regenerate
	fi
	exit 0
fi

# A directory of PATH that may not be searched makes 126 of 127, as with execvp(3).
export PATH=/usr/local/bin:/usr/bin:/bin
# shellcheck source=tests/common/tap.sh
. "$SOURCE/tests/common/tap.sh"
cd "${TEST_TMP:?}" || exit 1
addresses=(--net-allow tcp://127.0.0.1:9)

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

# Without a command, and about itself.

try --version
tap_is "--version: status" 0 "$status"
case $out in
"sluice "[0-9]*.[0-9]*.[0-9]*) tap_ok "--version: name and number" ;;
*) tap_not_ok "--version: name and number" "$out" ;;
esac
fails "no argument" 125 "usage:"
fails "no such command" 125 "no such command: rum" rum
try help
tap_is "help: status" 0 "$status"
tap_is "help: nothing on stderr" "" "$err"
help=$out
for words in --help -h "run --help" "run -h" "explain --help"; do
	# shellcheck disable=SC2086
	try $words
	tap_is "$words: the same text" "0 $help" "$status $out"
done
fails "help: unknown argument" 125 "--markdown" help me

# The tables of options are printed from two files; here these are read by somebody else.
/usr/bin/python3 - "$SOURCE/core/options.def" "$SOURCE/cli/words.def" help.txt markdown.txt <<'PYTHON'
import re, sys

rows = [(n, word, letter, None, arg, text, None) for n, word, letter, arg, text in
        re.findall(r'^WORD\((\w+), "([^"]+)", (?:\'(.)\'|0), (?:"([^"]*)"|NULL), "([^"]*)"\)$', open(sys.argv[2]).read(), re.M)]
rows += re.findall(r'^OPTION\((\w+), "([^"]+)", (?:\'(.)\'|0), (\w+), (?:"([^"]*)"|NULL), "([^"]*)", (?:"([^"]*)"|NULL)\)$',
                  open(sys.argv[1]).read(), re.M)
declared = sum(len(re.findall(r'^(?:OPTION|WORD)\(', open(f).read(), re.M)) for f in sys.argv[1:3])
assert rows and len(rows) == declared, 'options.def: %d rows, %d read' % (declared, len(rows))

def escaped(text):
    parts = text.split('`')
    return '`'.join(p.replace('|', r'\|') if i % 2 else p.replace('|', r'\|').replace('*', r'\*') for i, p in enumerate(parts))

with open(sys.argv[3], 'w') as out:
    for _, key, letter, _, arg, text, _ in rows:
        name = ('-%s, ' % letter if letter else '    ') + '--' + key + (' ' + arg if arg else '')
        out.write('  %-32s %s\n' % (name, text))
with open(sys.argv[4], 'w') as out:
    out.write('| option | what it does |\n|---|---|\n')
    for _, key, letter, _, arg, text, older in rows:
        name = ('`-%s`, ' % letter if letter else '') + '`--' + key + (' ' + arg.replace('|', r'\|') if arg else '') + '`'
        out.write('| %s | %s%s |\n' % (name, escaped(text), ' (also `--%s`)' % older if older else ''))
PYTHON
tap_is "options.def can be read" 0 $?
sed '1,/^options of/d' <<<"$help" >got.txt
tap_same "help lists every row of both, in their order" help.txt got.txt
"$SLUICE" help --markdown >got.txt
tap_same "help --markdown lists every row of both" markdown.txt got.txt

# So that the page says which variables, too.
"$SLUICE" explain --env-safe | sed -n 's/^  dropped, env-safe, [^:]*: //p' | tr ' ' '\n' >dropped.txt
sed -n '/^.B env\\-safe$/,/^.hy$/p' "$SOURCE/docs/sluice-policy.5" | grep '[.,]$' | tr -d ' .:' | tr ',' '\n' | grep -x '[A-Za-z0-9_*]*' |
	sed '/^$/d' >documented.txt
tap_same "sluice-policy(5) names what env-safe drops, in the same order" dropped.txt documented.txt

if [ ! -f "$SOURCE/README.md" ]; then
	tap_skip "README.md holds the options table" "there is no README.md"
elif ! grep -q '^<!-- options -->$' "$SOURCE/README.md"; then
	tap_not_ok "README.md holds the options table" "no <!-- options --> in README.md"
else
	# A blank line next to a marker is Markdown's business.
	sed -n '/^<!-- options -->$/,/^<!-- \/options -->$/p' "$SOURCE/README.md" | grep '^|' >readme.txt
	tap_same "README.md holds the options table (sluice help --markdown)" got.txt readme.txt
fi
if [ ! -f "$SOURCE/docs/sluice.1" ]; then
	tap_skip "sluice(1) names every option" "there is no docs/sluice.1"
else
	sed 's/\\-/-/g; s/\\(hy/-/g; s/\\f[BIRP]//g' "$SOURCE/docs/sluice.1" >manual.txt
	missing=""
	while read -r key; do
		grep -qE -- "--$key([^-a-z]|\$)" manual.txt || missing="$missing $key"
	done < <(sed -nE 's/^(OPTION|WORD)\([A-Z_]+, "([^"]+)".*/\2/p' "$SOURCE/core/options.def" "$SOURCE/cli/words.def")
	tap_is "sluice(1) names every option" "" "$missing"
fi

# Exit statuses, with a supervisor and without.

for mode in alone supervised; do
	options=(--fs-system)
	[ "$mode" = alone ] || options+=("${addresses[@]}")
	for code in 0 1 3 77 124 125 126 127 128 255; do
		try run "${options[@]}" -- sh -c "exit $code"
		tap_is "$mode: the command's status $code is ours" "$code " "$status $err"
	done
	for signal in 1 2 6 9 11 15; do
		try run "${options[@]}" -- sh -c "ulimit -c 0; kill -$signal \$\$"
		tap_is "$mode: signal $signal gives 128+$signal" $((128 + signal)) "$status"
	done
	try run "${options[@]}" -- sh -c 'echo out; echo err >&2'
	tap_is "$mode: output is the command's" "out err" "$out $err"
	out=$(echo in | "$SLUICE" run "${options[@]}" -- cat)
	tap_is "$mode: input is the command's" in "$out"
	try run "${options[@]}" -- printf '<%s>' "a b" "" '*' $'line\nbreak'
	tap_is "$mode: arguments are the command's" $'<a b><><*><line\nbreak>' "$out"
	try run "${options[@]}" printf '<%s>' -r /nosuch --fs-read
	tap_is "$mode: options behind the command are the command's" "<-r></nosuch><--fs-read>" "$out"
	out=$(A='x y' "$SLUICE" run "${options[@]}" -- sh -c 'echo "$A"')
	tap_is "$mode: the environment is the command's" "x y" "$out"

	fails "$mode: no such command in PATH" 127 "sluice-no-such-command" run "${options[@]}" -- sluice-no-such-command
	fails "$mode: no such path" 127 "/nosuch/command" run "${options[@]}" -- /nosuch/command
	fails "$mode: an empty name" 127 "sluice:" run "${options[@]}" -- ""
	echo plain >plain.txt
	fails "$mode: not executable" 126 "plain.txt" run "${options[@]}" -- ./plain.txt
	fails "$mode: a directory" 126 "/usr" run "${options[@]}" -- /usr
	fails "$mode: a grant that does not exist" 125 "/nosuch/grant" run "${options[@]}" -r /nosuch/grant -- true
done

# Nothing granted: the message is the way in.
fails "no fs option" 126 "--fs-system" run -- /bin/true
fails "no fs option, by name" 126 "--fs-system" run -- true
fails "no fs option, supervised" 126 "--fs-system" run "${addresses[@]}" -- /bin/true
try run --fs-system -- /bin/true
tap_is "... and --fs-system is the cure" "0 " "$status $err"
cp /bin/true granted
fails "a command outside of the grants" 126 "-r PATH" run --fs-system -- ./granted
try run --fs-system -r . -- ./granted
tap_is "... and -r is the cure" "0 " "$status $err"

# 125: sluice itself.
fails "no command" 125 "no command" run
fails "no command behind options" 125 "no command" run --fs-system --
fails "unknown option" 125 "--fs-system" run --fs-sytem -- true
fails "unknown option with a value" 125 "nearest option is --net-allow" run --net-alow=:1 -- true
fails "unknown option of explain" 125 "nearest option is --strict-fds" explain --strict-fd-s
fails "unknown letter" 125 "Z" run -Z -- true
fails "option without its value" 125 "fs-read" run --fs-read
fails "flag with a value" 125 "fs-system" run --fs-system=yes -- true
fails "bad size" 125 'max-file-size: "lots"' run --fs-system --max-file-size lots -- true
fails "bad rule" 125 "net-allow" run --fs-system --net-allow 1.2.3.4:0 -- true
fails "three unknown calls" 125 "foo, bar, baz" run --fs-system --deny-syscall foo,chown,bar,baz -- true
fails "unknown group" 125 "sysv_ipc, posix_mq" run --fs-system --allow-syscalls all -- true
fails "a contradiction" 125 "connect" run --fs-system --deny-syscall connect "${addresses[@]}" -- true
fails "a descriptor that is not open" 125 "keep-fd: descriptor 77" run --fs-system --keep-fd 77 -- true
fails "control bytes come out harmless" 125 "net-allow \"z?[2J\"" run --net-allow $'z\e[2J' -- true

# Whatever is denied, confining gets through or says at once that it cannot; what fails later is the command.
bad=""
while read -r name; do
	why=$("$SLUICE" run --fs-system "${addresses[@]}" --deny-syscall "$name" -- true 2>&1 </dev/null)
	case $why in
	"sluice: deny-syscall: $name "*) ;;
	*sluice:*) bad="$bad$name: $why"$'\n' ;;
	esac
done < <(sed -nE 's/^SYSCALL\([0-9]+, ([a-z0-9_]+),.*/\1/p' "$SOURCE/core/syscalls.def")
tap_is "every call can be denied, or is refused by its name" "" "$bad"

# Spellings.
for words in "--fs-read=/usr" "--fs-read /usr" "-r/usr" "-r /usr"; do
	# shellcheck disable=SC2086
	try explain $words
	tap_has "$words" $'\n  /usr  read, execute\n' "$out"
done
"$SLUICE" explain -s --net-bind 80 --extra-deny-syscall chown --extra-allow-syscall posix_mq >older.txt
"$SLUICE" explain -s --net-allow-bind 80 --deny-syscall chown --allow-syscalls posix_mq >newer.txt
tap_same "older spellings give the same plan" newer.txt older.txt

# Descriptors: 0 to 2 and what is named.
echo kept >kept.txt
exec 9<kept.txt
for mode in alone supervised; do
	options=(--fs-system)
	[ "$mode" = alone ] || options+=("${addresses[@]}")
	try run "${options[@]}" -- sh -c 'read -r line <&9 && echo "$line"'
	tap_is "$mode: descriptor 9 is closed" "" "$out"
	try run "${options[@]}" --keep-fd 9 -- sh -c 'read -r line <&9 && echo "$line"'
	tap_is "$mode: --keep-fd 9 keeps it" kept "$out"
	exec 9<kept.txt
done
exec 9<&-

# check

try check
tap_is "check: nothing on stderr" "" "$err"
text=$out text_status=$status
case $text in
*MISSING*) tap_is "check: status 1 where something needed is missing" 1 "$text_status" ;;
*) tap_is "check: status 0 where all that is needed is there" 0 "$text_status" ;;
esac
"$SLUICE" check --json >check.json
tap_is "check --json: the same status" "$text_status" $?
echo "$text" >check.txt
why=$(/usr/bin/python3 - check.json check.txt 2>&1 <<'PYTHON'
import json, re, sys

check, text = json.load(open(sys.argv[1])), open(sys.argv[2]).read()
features = {f['name']: f for f in check['features']}
wanted = {'landlock', 'landlock-abi-6', 'landlock-abi-8', 'seccomp-notify', 'seccomp-wait-killable', 'seccomp-sync-wake-up',
          'pidfd-getfd', 'pidfd-thread', 'io-uring', 'ptrace-access', 'not-confined-yet'}
assert wanted <= set(features), 'missing: %s' % (wanted - set(features))
assert len(features) == len(check['features']), 'a name twice'
for f in features.values():
    assert set(f) == {'name', 'there', 'needed', 'what_for'}, f
    assert f['there'] in (True, False) and f['needed'] in (True, False) and f['what_for'], f
    verdict = 'yes' if f['there'] else 'MISSING' if f['needed'] else 'no'
    assert re.search(r'^%s +%s +%s$' % (f['name'], verdict, re.escape(f['what_for'])), text, re.M), f
assert 'Landlock ABI %d,' % check['landlock_abi'] in text
assert isinstance(check['yama'], int)
PYTHON
)
tap_is "check --json says what check says, feature by feature" "" "$why"
fails "check: unknown argument" 125 "--xml" check --xml
fails "check: too many arguments" 125 "check" check --json --json

# explain

explain_nothing >got.txt
tap_same "explain: an empty policy" "$golden/explain-nothing.txt" got.txt
explain_ports >got.txt
tap_same "explain: ports, no supervisor" "$golden/explain-ports.txt" got.txt
explain_process >got.txt
tap_same "explain: what a process sets up" "$golden/explain-process.txt" got.txt
explain_limits >got.txt
tap_same "explain: limits over the tree" "$golden/explain-limits.txt" got.txt
if ! grep -q '^pidfd-thread  *yes' check.txt; then
	tap_skip "explain: addresses" "this kernel lacks PIDFD_THREAD, so the plan has one rule more"
elif grep -q '^ptrace-access  *MISSING' check.txt; then
	tap_skip "explain: addresses" "kernel.yama.ptrace_scope allows no supervisor here"
else
	explain_addresses >got.txt
	tap_same "explain: addresses, supervised ($(capability))" "$golden/explain-addresses.$(capability).txt" got.txt
	explain_views >got.txt
	tap_same "explain: views ($(capability))" "$golden/explain-views.$(capability).txt" got.txt
fi
explain_addresses >again.txt
explain_addresses | cmp -s - again.txt
tap_is "explain: the same twice" 0 $?
tap_is "explain: nothing but printable text" "" "$(LC_ALL=C tr -d '\n\40-\176' <again.txt)"
try explain -r $'/odd\e[31m\tname'
tap_has "explain: control bytes of a path are written out" '/odd\x1b[31m\x09name' "$out"
try explain -s -- touch explained
tap_is "explain runs nothing" "" "$(ls explained 2>/dev/null)"
"$SLUICE" explain >/dev/full 2>err.txt
tap_is "explain: a full disk is an error" 125 $?

# A command that stops itself stops sluice: the keeper must neither wait for it, nor leave it so.
for how in "kill -TSTP \$\$" 'p=$$; (while :; do kill -TSTP $p; kill -CONT $p; done) & while :; do :; done'; do
	timeout 20 "$SLUICE" run -s --timeout 1 -- sh -c "$how" >/dev/null 2>&1
	tap_is "a timeout ends who stops itself: $how" 124 $?
done

# A keeper that cannot see who its children are says so, and ends; with /proc it can.
timeout -k 1 20 "$SLUICE" run -s -r "$SLUICE" -- "$SLUICE" run -s --timeout 10 -- true 2>err.txt
tap_is "a sandbox in a sandbox, whose keeper cannot see its children" 125 $?
timeout -k 1 20 "$SLUICE" run -s -r "$SLUICE" -r /proc -- "$SLUICE" run -s --timeout 10 -- true 2>err.txt
tap_is "a sandbox in a sandbox, whose keeper can" 0 $?

# Refused with all that is in its way, and no way round for what needs nothing.
try run -s --no-supervisor -- true
tap_is "no-supervisor: what needs nobody runs" 0 "$status"
fails "no-supervisor: all conflicts in one message" 125 \
	"incompatible with: max-memory, timeout, net-allow with addresses, port-remap, net-allow-unix with paths" run -s \
	--no-supervisor --timeout 3 -m 1G --net-allow tcp://192.0.2.1:80 --port-remap --net-allow-unix /run -- true
try run -s --timeout 3 -m 1G --net-allow tcp://192.0.2.1:80 --port-remap --net-allow-unix /run -- true
tap_is "... which run without it" 0 "$status"

# Print, parse, print: the address table is a list of rules.
table_of() {
	"$SLUICE" explain "$@" | sed -e '1,/^address table/d' -e '/^$/,$d'
}
rules=(10.0.0.0/8:443 10.9.9.9/8:80 192.0.2.7 '198.51.100.0/24:1-3,2-7,9' '[2001:db8::/32]:80,443' ::1 '[fe80::/10]:22' ':53' '*:8000-8080'
	0.0.0.0/0:25 '[::ffff:203.0.113.9]:7' tcp://127.0.0.1:9)
options=()
for rule in "${rules[@]}"; do options+=(--net-allow "$rule"); done
table_of "${options[@]}" >table.txt
options=()
while read -r rule; do options+=(--net-allow "$rule"); done <table.txt
table_of "${options[@]}" >again.txt
tap_same "the printed address table is a rule list that prints the same" table.txt again.txt
tap_is "... of twelve rules for two protocols: two merge, and one is TCP's alone" 19 "$(wc -l <table.txt)"

tap_done
