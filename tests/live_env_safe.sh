#!/usr/bin/env bash
# What a variable does to a real program: with each of these it runs a file that nobody named on its command line. Bare, and
# under a policy that says nothing of variables, it does; with env-safe it does not. run.sh says what is in the environment.
set -uo pipefail
# shellcheck source=tests/common/tap.sh
. "${SOURCE:-$(dirname "$0")/..}/tests/common/tap.sh"
SLUICE=$(readlink -f "${SLUICE:?which sluice?}")
cd "${TEST_TMP:?}" || exit 1
here=$PWD
mark=$here/mark
foreign=$here/foreign
policy=(-r / -w "$here" -w /dev/null)
python=/usr/bin/python3

mkdir foreign work
printf '#!/bin/sh\necho ran >>%s\n' "$mark" >foreign/run
chmod +x foreign/run

# ran COMMAND...: does the file run?
ran() {
	rm -f "$mark"
	(cd work && timeout -k 5 30 "$@" >../out.txt 2>&1 </dev/null)
	if [ -e "$mark" ]; then echo acts; else echo idle; fi
}

# acts NAME PROGRAM [SETTING]... -- COMMAND...
acts() {
	local name=$1 program=$2 settings=() got
	shift 2
	while [ "$1" != -- ]; do
		settings+=("$1")
		shift
	done
	shift
	if ! command -v "$program" >/dev/null; then
		tap_skip "$name" "there is no $program"
		return
	fi
	got="bare $(ran "$@")"
	got+=", set $(ran env "${settings[@]}" "$@")"
	got+=", confined $(ran env "${settings[@]}" "$SLUICE" run "${policy[@]}" -- "$@")"
	got+=", env-safe $(ran env "${settings[@]}" "$SLUICE" run "${policy[@]}" --env-safe -- "$@")"
	tap_is "$name" "bare idle, set acts, confined acts, env-safe idle" "$got"
}

acts BASH_ENV bash "BASH_ENV=$foreign/run" -- bash -c :
if [ "$(id -u)" -eq 0 ]; then
	tap_skip "SHELLOPTS and PS4" "bash takes no PS4 from root's environment"
else
	acts "SHELLOPTS and PS4" bash SHELLOPTS=xtrace "PS4=\$($foreign/run)" -- bash -c :
fi

echo "system('$foreign/run'); 1;" >foreign/strict.pm
acts PERLLIB perl "PERLLIB=$foreign" -- perl -e 'use strict;'
acts PERL5OPT perl "PERL5OPT=-I$foreign -Mstrict" -- perl -e 1
acts PERL5DB perl "PERL5DB=BEGIN { system('$foreign/run') }" -- perl -d -e 1

echo "import os; os.system('$foreign/run')" >foreign/usercustomize.py
acts PYTHONPATH "$python" "PYTHONPATH=$foreign" -- "$python" -c 0
if command -v "$python" >/dev/null; then
	base=$(env "PYTHONUSERBASE=$here/base" "$python" -m site --user-site)
	mkdir -p "$base"
	cp foreign/usercustomize.py "$base/"
fi
acts PYTHONUSERBASE "$python" "PYTHONUSERBASE=$here/base" -- "$python" -c 0
acts PYTHONWARNINGS "$python" PYTHONWARNINGS=all:0:antigravity.x:0:0 "BROWSER=$foreign/run %s" -- "$python" -c 0

echo "require('child_process').execFileSync('$foreign/run')" >foreign/run.js
acts NODE_OPTIONS node "NODE_OPTIONS=--require $foreign/run.js" -- node -e 0
echo '{"scripts": {"thing": "true"}}' >work/package.json
acts "npm's, in any case" npm "Npm_Config_Script_Shell=$foreign/run" -- npm run thing
acts JDK_JAVA_OPTIONS java "JDK_JAVA_OPTIONS=-Xlog:gc:file=$mark" -- java -version
mkdir foreign/tcl
echo "exec $foreign/run" >foreign/tcl/pkgIndex.tcl
echo 'catch {package require nothing}' >work/some.tcl
acts TCLLIBPATH tclsh "TCLLIBPATH=$foreign/tcl" -- tclsh some.tcl

echo "\$(shell $foreign/run)" >foreign/makefile
acts MAKEFILES make "MAKEFILES=$foreign/makefile" -- make -f /dev/null
acts MAKEFLAGS make "MAKEFLAGS=--eval=include\\ $foreign/makefile" -- make -f /dev/null
acts TAR_OPTIONS tar "TAR_OPTIONS=--checkpoint=1 --checkpoint-action=exec=$foreign/run" -- tar cf /dev/null .
acts LESSOPEN less "LESSOPEN=|$foreign/run %s" -- less /etc/passwd

if command -v git >/dev/null; then
	git init -q work/repository
	git -C work/repository config core.fsmonitor "$foreign/run"
	mkdir work/other
	git init -q work/other
	touch work/other/file
	git -C work/other add file
	git -C work/other -c user.name=me -c user.email=me@here commit -qm file
	echo changed >work/other/file
fi
acts GIT_CONFIG_COUNT git GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.fsmonitor "GIT_CONFIG_VALUE_0=$foreign/run" -- \
	git -C other status
acts GIT_DIR git "GIT_DIR=$here/work/repository/.git" -- git -C other status
acts GIT_EXTERNAL_DIFF git "GIT_EXTERNAL_DIFF=$foreign/run" -- git -C other diff
acts GIT_SSH_COMMAND git "GIT_SSH_COMMAND=$foreign/run" -- git ls-remote nobody@localhost:nothing

if command -v cc >/dev/null; then
	printf '__attribute__((constructor)) static void begin(void) { creat("%s", 0600); }\n' "$mark" |
		cc -include fcntl.h -shared -fPIC -x c - -o foreign/legacy.so
	acts OPENSSL_MODULES openssl "OPENSSL_MODULES=$foreign" -- openssl list -providers -provider legacy
	acts LD_PRELOAD true "LD_PRELOAD=$foreign/legacy.so" -- cat /dev/null
else
	tap_skip "OPENSSL_MODULES and LD_PRELOAD" "there is no cc"
fi
tap_done
