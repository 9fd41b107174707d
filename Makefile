# Sluice. `make help` lists what there is to make; V=1 shows the commands.

VERSION := 0.1.0
SOMAJOR := 0
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
BINDIR  ?= $(PREFIX)/bin
PROFDIR ?= $(PREFIX)/share/sluice/profiles
INCDIR  ?= $(PREFIX)/include
MANDIR  ?= $(PREFIX)/share/man
DESTDIR ?=
B       ?= build

WARNINGS  := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
             -Wno-missing-field-initializers
HARDENING := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fcf-protection
OPTIMIZE  ?= -O2 -g $(HARDENING)
SANITIZE  ?=
SL_CFLAGS := -std=gnu11 -D_GNU_SOURCE -DSL_VERSION='"$(VERSION)"' -I. -Iinclude -I$(B) -fvisibility=hidden \
             $(WARNINGS) $(OPTIMIZE) $(SANITIZE) $(CFLAGS)
SL_LDFLAGS := -Wl,-z,relro,-z,now $(SANITIZE) $(LDFLAGS)
# The command starts in about half the time when nothing has to be loaded and looked up.
STATIC    ?= -static

Q := $(if $(V),,@)

LIB_SOURCES := $(filter-out confine/tree_gen.c,$(wildcard core/*.c confine/*.c netpolicy/*.c supervise/*.c))
LIB_OBJECTS := $(LIB_SOURCES:%.c=$(B)/%.o)
PIC_OBJECTS := $(LIB_SOURCES:%.c=$(B)/%.pic.o)
CLI_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard cli/*.c))
HTTPD_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard examples/http*.c examples/misbehave.c))
TEST_COMMON := $(patsubst %.c,$(B)/%.o,$(wildcard tests/common/*.c))
TESTS       := $(patsubst %.c,$(B)/%,$(wildcard tests/unit_*.c tests/live_*.c tests/attack_*.c))
BENCH_COMMON := $(B)/bench/lanes.o $(B)/bench/floor.o
BENCHES     := $(patsubst %.c,$(B)/%,$(wildcard bench/bench_*.c))
SO          := libsluice.so.$(VERSION)

.PHONY: all demo check check-long check-asan check-kernels bench fuzz lint install clean help deps
# Its paths are those of this call.
.PHONY: $(B)/sluice.pc FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(B)/libsluice.a $(B)/$(SO) $(B)/sluice.pc $(B)/sluice $(B)/httpd $(B)/reduce $(B)/prefork

help:
	@echo "make demo        install what is missing, build, show the example server bare and confined"
	@echo "make check       install what is missing, build, run every test"
	@echo "make check-long  the same with long hammering; hours"
	@echo "make check-asan  unit and live tests under ASan and UBSan"
	@echo "make check-kernels  the tests on other kernels, in QEMU (KERNELS=\"6.1 6.12\", NAMES=\"unit live\")"
	@echo "make bench       what it costs, against bare and against the kernel's floor"
	@echo "make fuzz        fuzzers, for a bounded time (FUZZ_SECONDS, 60 each)"
	@echo "make lint        clang-format, cppcheck, shellcheck"
	@echo "make install     DESTDIR= PREFIX="

deps:
	$(Q)./tests/deps.sh

# The filter's tree by syscall number, made by libseccomp once: confine/tree_gen.c.
$(B)/tree_gen: confine/tree_gen.c core/syscalls.c core/syscalls.def core/slots.def
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(WARNINGS) -O1 -I. -Iinclude $(filter %.c,$^) -lseccomp -o $@

$(B)/tree.inc: $(B)/tree_gen
	$(Q)$< > $@

$(B)/%.o: %.c | $(B)/tree.inc
	@mkdir -p $(@D)
	$(Q)$(CC) $(SL_CFLAGS) -MMD -MP -c $< -o $@

$(B)/%.pic.o: %.c | $(B)/tree.inc
	@mkdir -p $(@D)
	$(Q)$(CC) $(SL_CFLAGS) -fPIC -MMD -MP -c $< -o $@

$(B)/confine/filter.o $(B)/confine/filter.pic.o: $(B)/tree.inc

# PREFIX may be another one at `make install`; then this one file is made again.
$(B)/profdir: FORCE
	@mkdir -p $(@D)
	@echo '$(PROFDIR)' | cmp -s - $@ || echo '$(PROFDIR)' > $@
$(B)/core/profile_find.o $(B)/core/profile_find.pic.o: SL_CFLAGS += -DSL_PROFILES_DIR='"$(PROFDIR)"'
$(B)/core/profile_find.o $(B)/core/profile_find.pic.o: $(B)/profdir

$(B)/libsluice.a: $(LIB_OBJECTS)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(B)/$(SO): $(PIC_OBJECTS)
	$(Q)$(CC) -shared -Wl,-soname,libsluice.so.$(SOMAJOR) -Wl,--no-undefined $^ $(SL_LDFLAGS) -lev -luring -lyaml -o $@
	$(Q)ln -sf $(SO) $(B)/libsluice.so.$(SOMAJOR)
	$(Q)ln -sf libsluice.so.$(SOMAJOR) $(B)/libsluice.so

$(B)/sluice: $(CLI_OBJECTS) $(B)/libsluice.a
	$(Q)$(CC) $(STATIC) $^ $(SL_LDFLAGS) -lev -luring -lyaml -ljansson -lm -o $@

$(B)/sluice $(B)/httpd $(B)/reduce $(B)/prefork: $(if $(SANITIZE),$(B)/tests/common/sanitizers.o)

$(B)/httpd: $(HTTPD_OBJECTS) $(B)/libsluice.a
	$(Q)$(CC) $^ $(SL_LDFLAGS) -lev -luring -lm -lpthread -o $@

$(B)/reduce: $(B)/examples/reduce.o $(B)/libsluice.a
	$(Q)$(CC) $^ $(SL_LDFLAGS) -lev -luring -lm -o $@

$(B)/prefork: $(B)/examples/prefork.o $(B)/libsluice.a
	$(Q)$(CC) $^ $(SL_LDFLAGS) -lev -luring -lm -lpthread -o $@

$(B)/sluice.pc: sluice.pc.in Makefile
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCDIR@|$(INCDIR)|' \
	        -e 's|@VERSION@|$(VERSION)|' $< > $@

$(B)/tests/%: $(B)/tests/%.o $(TEST_COMMON) $(B)/libsluice.a
	$(Q)$(CC) $^ $(SL_LDFLAGS) -lev -luring -lcmocka -lm -lpthread -o $@

# Each allocation of the code under test fails once, and for profiles each of libyaml's: ld(1), --wrap.
ALLOCATIONS := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=reallocarray,--wrap=strdup,--wrap=strndup
$(B)/tests/unit_policy $(B)/tests/unit_profile: $(B)/tests/broken/allocations.o
$(B)/tests/unit_policy: SL_LDFLAGS += $(ALLOCATIONS) -Wl,--wrap=name_resolve,--wrap=dns_resolve
$(B)/tests/unit_profile: SL_LDFLAGS += -l:libyaml.a $(ALLOCATIONS)

$(B)/bench/%: $(B)/bench/%.o $(BENCH_COMMON) $(B)/libsluice.a
	$(Q)$(CC) $^ $(SL_LDFLAGS) -lev -luring -lm -lpthread -o $@

# The race is one body for two programs. In the second the gate lets the kernel carry out what it allowed, and
# there the race must win.
$(B)/tests/attack_race $(B)/tests/attack_race_control: $(B)/tests/race_body.o
$(B)/tests/attack_race_control: $(B)/tests/broken/continues.o
$(B)/tests/attack_race_control: SL_LDFLAGS += -Wl,--wrap=handle_connect,--wrap=pending_connect \
        -Wl,--wrap=connect_guarded,--wrap=ruleset_create $(B)/libsluice.a

# The same for sends: what the gate sent on behalf, the kernel sends once more.
$(B)/tests/attack_send $(B)/tests/attack_send_control: $(B)/tests/send_race_body.o
$(B)/tests/attack_send_control: $(B)/tests/broken/sends.o
$(B)/tests/attack_send_control: SL_LDFLAGS += -Wl,--wrap=handle_sendto,--wrap=handle_sendmsg \
        -Wl,--wrap=handle_sendmmsg,--wrap=handle_connect,--wrap=handle_bind,--wrap=bind,--wrap=respond $(B)/libsluice.a

# A supervisor that is slow at the one moment where it matters.
# ... and one that does not look again after it.
$(B)/tests/attack_remap $(B)/tests/live_remap: SL_LDFLAGS += -Wl,--wrap=connect_guarded,--wrap=remap_confirm

# Scenarios that run bare and confined.
$(B)/tests/live_same: $(patsubst %.c,$(B)/%.o,$(wildcard tests/same/*.c))

# The same connects on a gate that lacks one kernel feature; a supervisor that is killed or stopped at a chosen step.
$(B)/tests/live_connect_noring $(B)/tests/live_connect_nothread $(B)/tests/live_unix_noring: SL_LDFLAGS += -Wl,--wrap=kernel_probe_gate
# A product that believes in an older Landlock than there is.
$(B)/tests/live_old_landlock: SL_LDFLAGS += -Wl,--wrap=kernel_probe,--wrap=ruleset_create,--wrap=net_decide \
        -Wl,--wrap=net_binds_allow
$(B)/tests/attack_network_old: SL_LDFLAGS += -Wl,--wrap=kernel_probe
# A product that leaves the privilege, so that it is the filter that refuses.
$(B)/tests/attack_families $(B)/tests/attack_network $(B)/tests/attack_network_old $(B)/tests/attack_datagram: \
        SL_LDFLAGS += -Wl,--wrap=capabilities_drop,--wrap=capabilities_suspend
# ... or in a newer one, which confines several threads.
$(B)/tests/live_child: SL_LDFLAGS += -Wl,--wrap=kernel_probe
# A keeper that is given no event to count CPU time by.
$(B)/tests/live_limits: SL_LDFLAGS += -Wl,--wrap=cputime_open
$(B)/tests/attack_supervisor: $(B)/tests/broken/steps.o
$(B)/tests/attack_supervisor: SL_LDFLAGS += -Wl,--wrap=guard_detach,--wrap=gate_open,--wrap=handover_report \
    -Wl,--wrap=handover_take,--wrap=filter_load,--wrap=fd_write_all,--wrap=gate_listen,--wrap=guard_lock \
    -Wl,--wrap=notify_recv,--wrap=target_socket,--wrap=target_read,--wrap=connect_guarded \
    -Wl,--wrap=pending_connect,--wrap=notify_send

# Every call of the product, and of its loop, into the kernel is a step at which one can be struck.
CALLS := chdir close connect dup2 epoll_create1 epoll_ctl epoll_wait execve fchmod fcntl fstat getpgid getpid getppid \
    getrlimit getsid ioctl kill mkdirat mmap munmap open openat pipe2 poll prctl pthread_sigmask read recvmsg send sendmsg \
    setrlimit sigaction signalfd sigprocmask socketpair syscall unlinkat waitid waitpid write
COMMA := ,
CALLS_WRAPPED := -l:libev.a $(addprefix -Wl$(COMMA)--wrap=,$(CALLS))
$(B)/tests/attack_steps $(B)/tests/attack_reuse: $(B)/tests/broken/calls.o
$(B)/tests/attack_steps $(B)/tests/attack_reuse: SL_LDFLAGS += $(CALLS_WRAPPED)

tests: $(TESTS)

demo: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)./examples/demo.sh $(B)/httpd

check: deps
	$(Q)$(MAKE) --no-print-directory all tests
	$(Q)B=$(B) ./tests/run.sh

check-long: deps
	$(Q)$(MAKE) --no-print-directory all tests
	$(Q)B=$(B) SL_LONG=1 ./tests/run.sh

check-asan: deps
	$(Q)$(MAKE) --no-print-directory B=build-asan SANITIZE='-fsanitize=address,undefined -fno-omit-frame-pointer' \
	        OPTIMIZE='-O1 -g -Wno-maybe-uninitialized -Wno-format-truncation' STATIC= all tests
	$(Q)B=build-asan SL_ASAN=1 ./tests/run.sh unit live

# Debian's kernels, each for a guest of its own: slow, most of all without KVM.
KERNELS ?= 6.1 6.12
check-kernels:
	$(Q)./tests/deps.sh qemu-system-x86 busybox-static kmod xz-utils
	$(Q)$(MAKE) --no-print-directory all tests
	$(Q)B=$(B) KERNELS="$(KERNELS)" ./tests/vm.sh $(if $(NAMES),-- $(NAMES))
	$(Q)for scope in 1 2 3; do \
	        B=$(B) ./tests/vm.sh -k $(lastword $(KERNELS)) -p sysctl.kernel.yama.ptrace_scope=$$scope -- live_yama || exit; \
	done

bench: deps
	$(Q)$(MAKE) --no-print-directory all $(BENCHES)
	$(Q)B=$(B) ./bench/run.sh

fuzz: deps
	$(Q)./tests/fuzz/run.sh

lint: deps
	$(Q)./tests/lint.sh

install: all
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(BINDIR) $(DESTDIR)$(INCDIR) \
	        $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man3 $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(PROFDIR)
	install -m 755 $(B)/sluice $(DESTDIR)$(BINDIR)/sluice
	install -m 644 include/sluice.h $(DESTDIR)$(INCDIR)/sluice.h
	install -m 644 $(B)/libsluice.a $(DESTDIR)$(LIBDIR)/libsluice.a
	install -m 755 $(B)/$(SO) $(DESTDIR)$(LIBDIR)/$(SO)
	ln -sf $(SO) $(DESTDIR)$(LIBDIR)/libsluice.so.$(SOMAJOR)
	ln -sf libsluice.so.$(SOMAJOR) $(DESTDIR)$(LIBDIR)/libsluice.so
	install -m 644 $(B)/sluice.pc $(DESTDIR)$(LIBDIR)/pkgconfig/sluice.pc
	install -m 644 docs/sluice.1 $(DESTDIR)$(MANDIR)/man1/sluice.1
	install -m 644 docs/sluice.3 $(DESTDIR)$(MANDIR)/man3/sluice.3
	install -m 644 docs/sluice-policy.5 $(DESTDIR)$(MANDIR)/man5/sluice-policy.5
	install -m 644 examples/profiles/*.yaml $(DESTDIR)$(PROFDIR)

clean:
	rm -rf build build-asan

-include $(shell find $(B) -name '*.d' 2>/dev/null)
