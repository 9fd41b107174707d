/* What name and num-cpus cost: opens that are asked about, viewed and not, and the two calls that are answered. Bare,
 * behind the kernel's floor (a filter that asks about openat(2) alone, and a supervisor that lets it go on without a look),
 * and behind Sluice with both keys.
 *
 * Wall time: the caller sleeps while it is answered for. Left out: several programs at once, which one supervisor answers
 * one after the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench/bench.h"
#include "core/fd.h"
#include "core/kernel.h"

enum { ROUNDS = 61 };

static void open_close(const char *path, int flags)
{
	int fd = openat(AT_FDCWD, path, flags | O_CLOEXEC);

	if (fd < 0 || close(fd) < 0)
		die("%s: %s", path, strerror(errno));
}

static void open_other(void)
{
	open_close("/etc/passwd", O_RDONLY);
}

static void open_viewed(void)
{
	open_close("/proc/cpuinfo", O_RDONLY);
}

static void open_aging(void)
{
	open_close("/proc/stat", O_RDONLY);
}

static void open_directory(void)
{
	open_close("/etc", O_RDONLY | O_DIRECTORY);
}

static void uname_once(void)
{
	struct utsname names;

	if (uname(&names) < 0)
		die("uname: %s", strerror(errno));
}

static void mask_once(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		die("sched_getaffinity: %s", strerror(errno));
}

static inline __attribute__((always_inline)) void loop(void (*once)(void), unsigned repeats, double ns[PARTS])
{
	double start = now_ns();

	for (unsigned i = 0; i < repeats; i++)
		once();
	ns[0] = (now_ns() - start) / repeats;
}

#define RUN(once)                                                  \
	static void run_##once(unsigned repeats, double ns[PARTS]) \
	{                                                          \
		loop(once, repeats, ns);                           \
	}
RUN(open_other)
RUN(open_viewed)
RUN(open_aging)
RUN(open_directory)
RUN(uname_once)
RUN(mask_once)

static const struct work works[] = {
	{"openat and close, not viewed", run_open_other, 400},
	{"openat and close, /proc/cpuinfo", run_open_viewed, 400},
	{"openat and close, /proc/stat", run_open_aging, 400},
	{"openat and close, a directory", run_open_directory, 400},
	{"uname", run_uname_once, 400},
	{"sched_getaffinity", run_mask_once, 400},
};
enum { WORKS = sizeof(works) / sizeof(works[0]) };

static void floor_serve(int listener)
{
	struct pollfd ready = {.fd = listener, .events = POLLIN};

	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	while (poll(&ready, 1, -1) > 0 && (ready.revents & POLLIN)) {
		struct seccomp_notif call;
		struct seccomp_notif_resp go_on = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

		memset(&call, 0, sizeof(call));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
			continue;
		go_on.id = call.id;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &go_on);
	}
	_exit(0);
}

static void enter_floor(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = code};
	int pair[2], listener;
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair: %s", strerror(errno));
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		fd_recv(pair[1], &byte, 1, 0, &listener);
		floor_serve(listener);
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
	                        &program);
	if (listener < 0 || fd_send(pair[0], "", 1, listener) < 0)
		die("the floor: %s", strerror(errno));
	close(listener);
}

static void enter_sluice(void)
{
	confine((const char *const[]){"fs-read", "/", "name", "box", "num-cpus", "1", NULL});
}

enum { BARE, FLOOR, SLUICE, LANES };
static struct lane lanes[LANES] = {
	[BARE] = {.name = "bare"},
	[FLOOR] = {.name = "floor", .enter = enter_floor},
	[SLUICE] = {.name = "sluice", .enter = enter_sluice},
};

static void work_measure(unsigned work)
{
	lanes_run(lanes, LANES, work, ROUNDS);
	row_print(&(struct row){
		.what = works[work].name,
		.unit = "ns",
		.bare = lane_median(&lanes[BARE], 0, ROUNDS),
		.floor = lane_median(&lanes[FLOOR], 0, ROUNDS),
		.sluice = lane_median(&lanes[SLUICE], 0, ROUNDS),
		.ratio = text("%.2f of floor", lanes_ratio(&lanes[SLUICE], &lanes[FLOOR], 0, ROUNDS)),
	});
}

int main(void)
{
	lanes_start(lanes, LANES, works);
	for (unsigned work = 0; work < WORKS; work++)
		work_measure(work);
	lanes_stop(lanes, LANES);
	return 0;
}
