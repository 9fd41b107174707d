#!/usr/bin/env bash
# What `make install` gives, as a packager and a first user meet it. run.sh says what is in the environment; SL_TOP is
# the tree it was built in, B the build directory there.
set -uo pipefail

# shellcheck source=tests/common/tap.sh
. "${SOURCE:?}/tests/common/tap.sh"
cd "${TEST_TMP:?}" || exit 1

skip_all() {
	tap_skip "make install" "$1"
	tap_done
	exit
}
[ "$(id -u)" -eq 0 ] || skip_all "once is enough, as root; an ordinary user may not see the build tree"
[ -z "${SL_ASAN-}" ] || skip_all "a library built with a sanitizer links into nothing ordinary"
[ -f "${SL_TOP-}/Makefile" ] || skip_all "no build tree to install from: SL_TOP"
[ -f "$SL_TOP/${B:=build}/libsluice.a" ] || skip_all "nothing has been built in $SL_TOP/$B"

root=$TEST_TMP/root
lib=$root/usr/lib
install_to() { # DESTDIR PREFIX
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -C "$SL_TOP" B="$B" install DESTDIR="$1" PREFIX="$2" >install.log 2>&1
}
if ! install_to "$root" /usr; then
	tap_not_ok "make install" "$(tail -n 5 install.log)"
	tap_done
	exit
fi
tap_ok "make install"

version=$("$SLUICE" --version | sed 's/^sluice //')
major=${version%%.*}
find "$root" \( -type f -o -type l \) -printf '%P %m %y %l\n' | sed 's/ *$//' | sort >files.txt
sort >wanted.txt <<EOF
usr/bin/sluice 755 f
usr/include/sluice.h 644 f
usr/lib/libsluice.a 644 f
usr/lib/libsluice.so 777 l libsluice.so.$major
usr/lib/libsluice.so.$major 777 l libsluice.so.$version
usr/lib/libsluice.so.$version 755 f
usr/lib/pkgconfig/sluice.pc 644 f
usr/share/man/man1/sluice.1 644 f
usr/share/man/man3/sluice.3 644 f
usr/share/man/man5/sluice-policy.5 644 f
$(cd "$SL_TOP/examples/profiles" && printf 'usr/share/sluice/profiles/%s 644 f\n' *.yaml)
EOF
tap_same "these files, and no others" wanted.txt files.txt
tap_is "the installed command runs" "sluice $version" "$("$root/usr/bin/sluice" --version)"
"$root/usr/bin/sluice" run --fs-system -- true
tap_is "... and confines" 0 $?

# The shared library.
so=$lib/libsluice.so.$version
readelf -dW "$so" >dynamic.txt
tap_has "SONAME carries the major version alone" "[libsluice.so.$major]" "$(grep SONAME dynamic.txt)"
tap_is "it needs libev, liburing, libyaml and libc" "libc.so.6 libev.so.4 liburing.so.2 libyaml-0.so.2" \
	"$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' dynamic.txt | sort | xargs)"
tap_has "bound at load time" NOW "$(grep -E 'FLAGS' dynamic.txt)"
tap_is "no text relocations" "" "$(grep TEXTREL dynamic.txt)"
tap_is "no executable stack" "" "$(readelf -lW "$so" | awk '/GNU_STACK/ && /E/ && $7 ~ /E/')"
grep -oE 'SL_EXPORT [^;]*' "$root/usr/include/sluice.h" | grep -oE '\bsl_[a-z_]+\(' | tr -d '(' | sort >header.txt
nm -D --defined-only "$so" | awk '{ print $3 }' | sort >exported.txt
tap_same "it exports what the header declares, and nothing else" header.txt exported.txt
tap_is "... which is not nothing" 1 "$(grep -cx sl_confine_self exported.txt)"

# The archive: what other rooms may call is global there, and must not be for whoever links it into a library.
readelf -sW "$lib/libsluice.a" | awk '$5 == "GLOBAL" && $6 == "DEFAULT" && $7 != "UND" { print $8 }' | sort >visible.txt
tap_same "the archive's other symbols are hidden" header.txt visible.txt

# pkg-config, with the tree where it lies.
pc() {
	PKG_CONFIG_LIBDIR=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 \
		PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 pkg-config "$@" sluice
}
tap_is "sluice.pc: version" "$version" "$(pc --modversion)"
tap_is "sluice.pc: the prefix of this install" /usr "$(sed -n 's/^prefix=//p' "$lib/pkgconfig/sluice.pc")"
install_to "$TEST_TMP/other" /opt/sluice
tap_is "sluice.pc: another prefix without another build" /opt/sluice \
	"$(sed -n 's/^prefix=//p' "$TEST_TMP/other/opt/sluice/lib/pkgconfig/sluice.pc")"
tap_is "sluice.pc: nothing left to fill in" "" "$(grep @ "$lib/pkgconfig/sluice.pc")"
cflags=$(pc --cflags) libs=$(pc --libs) static_libs=$(pc --static --libs)
tap_is "sluice.pc: cflags" "-I$root/usr/include" "$(echo "$cflags" | xargs)"
tap_is "sluice.pc: libs" "-L$root/usr/lib -lsluice" "$(echo "$libs" | xargs)"
tap_has "sluice.pc: what the archive needs" "-lev -luring -lyaml" "$static_libs"

# Profiles are found where this install has put them, and in another one after that.
export XDG_CONFIG_HOME=$TEST_TMP/none
tap_has "profiles are looked for below PREFIX" ", /usr/share/sluice/profiles" \
	"$("$root/usr/bin/sluice" explain -p nosuch 2>&1)"
install_to "" "$TEST_TMP/moved"
for file in "$SL_TOP"/examples/profiles/*.yaml; do
	name=$(basename "$file" .yaml)
	"$TEST_TMP/moved/bin/sluice" profile show "$name" >shown.yaml
	"$TEST_TMP/moved/bin/sluice" profile show "$file" >wanted.yaml
	tap_same "profile $name is found below another PREFIX" wanted.yaml shown.yaml
	tap_has "... and listed" "$name " "$("$TEST_TMP/moved/bin/sluice" profile list)"
done
mkdir -p "$XDG_CONFIG_HOME/sluice/profiles"
echo 'description: mine' >"$XDG_CONFIG_HOME/sluice/profiles/python.yaml"
listed=$("$TEST_TMP/moved/bin/sluice" profile list | sed -n 's/)  .*/)/; /^python /p')
tap_is "one of the user's comes first" "description: \"mine\"" "$("$TEST_TMP/moved/bin/sluice" profile show python)"
tap_is "... and is listed first, and which it hides" "python           $XDG_CONFIG_HOME/sluice/profiles  mine
python           $TEST_TMP/moved/share/sluice/profiles (hidden by $XDG_CONFIG_HOME/sluice/profiles)" \
	"$listed"

# A first program. It is C and C++ at once.
cat >first.c <<'EOF'
#include <sluice.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int connect_to(const char *text)
{
	struct sockaddr_in address;
	int fd = socket(AF_INET, SOCK_STREAM, 0), r;

	memset(&address, 0, sizeof(address));
	address.sin_family = AF_INET;
	address.sin_port = htons(9);
	inet_pton(AF_INET, text, &address.sin_addr);
	r = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
	close(fd);
	return r;
}

int main(void)
{
	sl_error error;
	sl_policy *policy = sl_policy_new();

	if (open("/etc/hostname", O_RDONLY) < 0 || connect_to("127.0.0.2") == EACCES)
		return 10; /* the control: bare, it can */
	if (policy == NULL || sl_policy_set(policy, "fs-system", NULL, &error) < 0 ||
	    sl_policy_set(policy, "net-allow", "127.0.0.1:9", &error) < 0 || sl_confine_self(policy, &error) < 0) {
		if (write(2, error.message, strlen(error.message)) < 0)
			return 12;
		return 11;
	}
	sl_policy_free(policy);
	if (open("/etc/passwd", O_RDONLY) < 0)
		return 1;
	if (open("/etc/hostname", O_RDONLY) >= 0 || errno != EACCES)
		return 2;
	if (connect_to("127.0.0.1") == EACCES)
		return 3;
	if (connect_to("127.0.0.2") != EACCES)
		return 4;
	return 0;
}
EOF
cp first.c first.cc
# A host in C++ that makes a sandbox: all of that part of the header is usable there.
cat >second.cc <<'EOF'
#include <sluice.h>
#include <cstring>

int main()
{
	sl_policy *policy = sl_policy_new();
	const char *const argv[] = {"cat", "/etc/hostname", nullptr};
	sl_error error{};
	sl_stdio stdio{};
	sl_sandbox *sandbox = nullptr;
	sl_status status{};
	sl_result result{};
	sl_failure failure{};

	if (sl_policy_set(policy, "fs-system", nullptr, &error) < 0)
		return 1;
	stdio.in.kind = stdio.out.kind = stdio.err.kind = SL_STREAM_NULL;
	if (sl_create(policy, argv, &stdio, &sandbox, &error) < 0 || sl_sandbox_state(sandbox) != SL_STATE_CREATED)
		return 2;
	if (sl_start(sandbox, &error) < 0 || sl_sandbox_failure(sandbox, &failure) == 0)
		return 3;
	if (sl_wait(sandbox, 10000, &status, &error) < 0 || status.code != 1 || status.reason != SL_REASON_NONE)
		return 4; /* it may not read that */
	sl_sandbox_free(sandbox);
	sl_policy *wider = sl_policy_copy(policy);
	sl_policy_set(wider, "fs-read", "/etc/hostname", &error);
	if (sl_run(wider, argv, &result, &error) < 0 || result.status.code != 0 || result.out_size == 0)
		return 6;
	sl_result_clear(&result);
	sl_policy_free(wider);
	sl_policy_free(policy);
	return 0;
}
EOF
# NAME COMMAND...: builds ./a.out, which must then run and hold.
builds() {
	local name=$1 output
	shift
	rm -f a.out
	if ! output=$("$@" -o a.out 2>&1); then
		tap_not_ok "$name: compiles and links" "$output"
		return
	fi
	tap_ok "$name: compiles and links"
	output=$(LD_LIBRARY_PATH=$lib ./a.out 2>&1 </dev/null)
	tap_is "$name: runs and is confined" "0 " "$? $output"
}
warnings=(-Wall -Wextra -Werror -pedantic)
# shellcheck disable=SC2086 # lists of flags
{
	builds "C, shared" gcc -std=c99 -D_GNU_SOURCE "${warnings[@]}" $cflags first.c $libs
	builds "C, archive" gcc -std=c99 -D_GNU_SOURCE "${warnings[@]}" $cflags first.c "$lib/libsluice.a" -lev -luring -lm
	builds "C, clang" clang -std=c11 -D_GNU_SOURCE "${warnings[@]}" $cflags first.c $libs
	builds "C++, shared" g++ -std=c++11 "${warnings[@]}" $cflags first.cc $libs
	builds "C++ with sandboxes" g++ -std=c++11 "${warnings[@]}" $cflags second.cc $libs
	builds "C++, archive" g++ -std=c++20 "${warnings[@]}" $cflags first.cc "$lib/libsluice.a" -lev -luring -lm
	builds "C, a library around the archive" sh -c 'gcc -std=c99 -D_GNU_SOURCE -fPIC '"$cflags"' -c first.c -o first.o &&
		gcc -std=c99 -D_GNU_SOURCE '"$cflags"' first.c '"$static_libs"' "$@"' sh
}
printf '#include <sluice.h>\nint main(void) { sl_error e; sl_policy_free(0); return sizeof(e.message) != 256; }\n' >alone.c
# shellcheck disable=SC2086
builds "the header stands alone, as C89 with long long" gcc -std=gnu89 "${warnings[@]}" $cflags alone.c $libs

# README's program, as it stands there.
if [ -f "$SOURCE/README.md" ]; then
	awk '/^```c$/ { block = ""; inside = 1; next } /^```/ { if (inside && block ~ /int main/) { printf "%s", block; exit } inside = 0 }
		inside { block = block $0 "\n" }' "$SOURCE/README.md" >readme.c
fi
if [ ! -s readme.c ]; then
	tap_skip "README's program" "there is no README.md with a C program in it"
else
	# shellcheck disable=SC2086
	if why=$(gcc -Wall -Wextra $cflags readme.c $libs -o readme 2>&1); then
		tap_ok "README's program compiles and links"
		LD_LIBRARY_PATH=$lib timeout 20 ./readme >readme.out 2>&1 </dev/null
		tap_is "README's program runs" 0 $?
	else
		tap_not_ok "README's program compiles and links" "$why"
	fi
fi

tap_done
