/* A network of a test's own: common.h says what each is for. */
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/common/common.h"

static bool file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return written;
}

static bool loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool up = ioctl(fd, SIOCSIFFLAGS, &request) == 0;

	close(fd);
	return up;
}

/* One number on both sides, so that files and directories stay whose they are. */
static bool user_map(uid_t uid, gid_t gid)
{
	char uids[32], gids[32];

	snprintf(uids, sizeof(uids), "%u %u 1", uid, uid);
	snprintf(gids, sizeof(gids), "%u %u 1", gid, gid);
	return file_write("/proc/self/uid_map", uids) && file_write("/proc/self/setgroups", "deny") &&
	       file_write("/proc/self/gid_map", gids);
}

bool network_own(void)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	char group[32];

	snprintf(group, sizeof(group), "%u %u", gid, gid);
	if (unshare(CLONE_NEWNET | (uid == 0 ? 0 : CLONE_NEWUSER)) < 0 || (uid != 0 && !user_map(uid, gid)))
		return false;
	return loopback_up() && file_write("/proc/sys/net/ipv4/ping_group_range", group);
}

struct route_request {
	struct nlmsghdr header;
	struct rtmsg route;
	struct rtattr interface_header;
	int interface;
	struct rtattr source_header;
	struct in_addr source;
};

/* Whether the kernel did it. rtnetlink(7) */
static bool route_add(struct route_request *request)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char request[sizeof(*request)];
	} answer = {{0}};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	bool told = send(fd, request, request->header.nlmsg_len, 0) == request->header.nlmsg_len &&
	            recv(fd, &answer, sizeof(answer), 0) >= (ssize_t)NLMSG_LENGTH(sizeof(answer.error));

	close(fd);
	return told && answer.header.nlmsg_type == NLMSG_ERROR && answer.error.error == 0;
}

/* "ip route add local default dev lo". Over IPv4 with "src 127.0.0.1": the source would be the destination, and that cannot
 * be a group or a broadcast. */
bool network_is_everywhere(void)
{
	struct route_request request = {
		{sizeof(request), RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 1, 0},
		{AF_INET, 0, 0, 0, RT_TABLE_LOCAL, RTPROT_BOOT, RT_SCOPE_HOST, RTN_LOCAL, 0},
		{RTA_LENGTH(sizeof(int)), RTA_OIF},
		(int)if_nametoindex("lo"),
		{RTA_LENGTH(sizeof(struct in_addr)), RTA_PREFSRC},
		{htonl(INADDR_LOOPBACK)},
	};

	if (!route_add(&request))
		return false;
	request.route.rtm_family = AF_INET6;
	request.header.nlmsg_len = offsetof(struct route_request, source_header);
	return route_add(&request);
}

/* The kernel makes the address once the link is up, and lends it out a little later. */
static bool link_local_usable(char *text, size_t size, unsigned *interface)
{
	struct sockaddr_storage address;
	socklen_t length;
	bool usable;
	int fd;

	if (!link_local_find(text, size, interface))
		return false;
	length = address_read(text_of("%s%%%u", text, *interface), 0, &address);
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	usable = bind(fd, (struct sockaddr *)&address, length) == 0;
	close(fd);
	return usable;
}

/* Without waiting for a neighbour who has the same address. */
bool network_second_link(char *address, size_t size, unsigned *interface)
{
	static char name[] = "second";
	struct ifreq request = {.ifr_name = "second", .ifr_flags = IFF_UP};
	double end = seconds_now() + 10;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool usable = false;
	bool up = file_write("/proc/sys/net/ipv6/conf/default/accept_dad", "0") &&
	          ioctl(fd, SIOCBRADDBR, name) == 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;

	close(fd);
	while (up && !(usable = link_local_usable(address, size, interface)) && seconds_now() < end)
		usleep(10000);
	return usable;
}

/* A failed assertion ends this child, where it would go on with the tests that are its parent's. */
static void play_alone(int (*play)(void))
{
	int result;

	setenv("CMOCKA_TEST_ABORT", "1", 1);
	signal(SIGABRT, SIG_DFL);
	if (!network_own())
		_exit(NETWORK_NOT_OWN);
	result = play();
	_exit(result == NETWORK_NOT_OWN ? NETWORK_NOT_OWN : result != 0);
}

int network_own_play(int (*play)(void))
{
	pid_t child = process_fork();
	int result;

	if (child == 0)
		play_alone(play);
	result = exit_of(child);
	if (result > 128)
		fputc('\n', stderr); /* the assertion did not end its line */
	return result;
}
