#!/usr/bin/env bash
# The example that counts words by fork and reduce gives what wc(1) gives, and reads nothing beside its directory.
set -uo pipefail

# shellcheck source=tests/common/tap.sh
. "${SOURCE:?}/tests/common/tap.sh"
cd "${TEST_TMP:?}" || exit 1

mkdir files beside
for i in $(seq 300); do
	seq "$i" | paste -sd ' ' >"files/$i"
done
printf 'two words' >files/unfinished
: >files/empty
echo not for you >beside/secret
names=$(ls files)

# shellcheck disable=SC2086 # names without blanks
(cd files && wc -w $names) | awk '{ print $1, $2 }' >wanted.txt
# shellcheck disable=SC2086
"${REDUCE:?}" files $names >got.txt 2>errors.txt
tap_is "it succeeds" 0 $?
awk '{ print $1, $2 }' got.txt >found.txt
tap_same "it counts as wc does" wanted.txt found.txt
tap_is "it complains of nothing" "" "$(cat errors.txt)"

tap_is "the file beside can be read bare" "not for you" "$(cat files/../beside/secret)"
got=$("$REDUCE" files ../beside/secret 1 2>errors.txt)
tap_is "one that cannot be read is a failure" 1 $?
tap_has "the walls refuse it" "Permission denied" "$(cat errors.txt)"
tap_is "the others are counted all the same" "1 1 1 total" "$(tr -s " \n" " " <<<"$got" | sed "s, $,,;s,^ ,,")"
"$REDUCE" nowhere 1 >/dev/null 2>errors.txt
tap_is "without its directory it fails" 1 $?
tap_has "and says why" "nowhere" "$(cat errors.txt)"
tap_done
