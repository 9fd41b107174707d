/* Races against the sends: whoever changes address, header, vectors, control data, page or number while sendto(2),
 * sendmsg(2) or sendmmsg(2) is being decided must not get a datagram where no rule allows it, nor bytes that are
 * not its own. attack_send_control shows that the same body wins against a gate that looks and then lets the
 * kernel do it. security.md, 2.5 to 2.7, 3.2 and 3.3.
 *
 * alone: two threads race only where each has a processor.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/common/common.h"
#include "tests/send_race_body.h"

static double play_seconds(void)
{
	return long_run() ? 14 : 0.3;
}

/* None twice, none for nothing, and what was sent is there. */
static void score_is_sound(const struct send_score *score)
{
	assert_int_equal(score->strays, 0);
	assert_int_equal(score->optioned, 0);
	assert_int_equal(score->foreign, 0);
	assert_int_equal(score->doubled, 0);
	assert_int_equal(score->lost, 0);
	assert_int_equal(score->other_error, 0);
	assert_true(score->alive);
}

/* T02, T03, T05. */
static const struct send_case flips[] = {
	{"sendto, port, thread", BY_SENDTO, SEND_THREAD, SEND_PORT, 0},
	{"sendto, port, other process", BY_SENDTO, SEND_PROCESS, SEND_PORT, 0},
	{"sendto, v6 address, thread", BY_SENDTO, SEND_THREAD, SEND_V6, 0},
	{"sendmsg, port, thread", BY_SENDMSG, SEND_THREAD, SEND_PORT, 0},
	{"sendmsg, v4 address, other process", BY_SENDMSG, SEND_PROCESS, SEND_V4, 0},
	{"sendmsg, name pointer, thread", BY_SENDMSG, SEND_THREAD, SEND_POINTER, 0},
	{"sendmsg, name or none, thread", BY_SENDMSG, SEND_THREAD, SEND_NAME, 0},
	{"sendmsg, name or none, other process", BY_SENDMSG, SEND_PROCESS, SEND_NAME, 0},
	{"sendmsg, name length, thread", BY_SENDMSG, SEND_THREAD, SEND_NAMELEN, 0},
	{"sendmmsg, port, thread", BY_SENDMMSG, SEND_THREAD, SEND_PORT, 0},
	{"sendmmsg, name pointer, other process", BY_SENDMMSG, SEND_PROCESS, SEND_POINTER, 0},
	{"sendmmsg, name or none, thread", BY_SENDMMSG, SEND_THREAD, SEND_NAME, 0},
	{"sendmmsg, name length, thread", BY_SENDMMSG, SEND_THREAD, SEND_NAMELEN, 0},
	{"connect, port, thread", BY_CONNECT, SEND_THREAD, SEND_PORT, 0},
	{"connect, v4 address, other process", BY_CONNECT, SEND_PROCESS, SEND_V4, 0},
	{"bind, port, thread", BY_BIND, SEND_THREAD, SEND_PORT, 0},
	{"bind, port, other process", BY_BIND, SEND_PROCESS, SEND_PORT, 0},
};

static void flipped_names_never_reach_the_forbidden_sink(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(flips) / sizeof(flips[0]); i++) {
		struct send_score score = send_play(&flips[i], SEND_CONFINED, play_seconds(), false);

		score_is_sound(&score);
		/* The writer was fast enough for both to be seen. */
		assert_true(score.sent > 0 && score.refused > 0);
	}
}

/* T06: lengths and pointers that no longer fit each other must not make anybody read beyond what it has. */
static const struct send_case parts[] = {
	{"sendmsg, vectors, thread", BY_SENDMSG, SEND_THREAD, SEND_VECTORS, 0},
	{"sendmsg, vectors, other process", BY_SENDMSG, SEND_PROCESS, SEND_VECTORS, 0},
	{"sendmsg, lengths, thread", BY_SENDMSG, SEND_THREAD, SEND_LENGTHS, 0},
	{"sendmmsg, vectors, thread", BY_SENDMMSG, SEND_THREAD, SEND_VECTORS, 0},
	{"sendmmsg, lengths, other process", BY_SENDMMSG, SEND_PROCESS, SEND_LENGTHS, 0},
};

static void flipped_vectors_send_only_bytes_of_the_senders_own(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct send_score score = send_play(&parts[i], SEND_CONFINED, play_seconds(), false);

		score_is_sound(&score);
		assert_true(score.sent > 0 && score.misfits > 0);
	}
}

static const struct send_case controls[] = {
	{"sendmsg, control bytes, thread", BY_SENDMSG, SEND_THREAD, SEND_CONTROL, 0},
	{"sendmsg, control pointer, other process", BY_SENDMSG, SEND_PROCESS, SEND_CONTROL_POINTER, 0},
	{"sendmmsg, control bytes, thread", BY_SENDMMSG, SEND_THREAD, SEND_CONTROL, 0},
};

static void flipped_control_data_sets_no_option(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++) {
		struct send_score score = send_play(&controls[i], SEND_CONFINED, play_seconds(), false);

		score_is_sound(&score);
		assert_true(score.sent > 0 && score.refused > 0);
	}
}

/* T13. */
static const struct send_case pages[] = {
	{"sendto, address comes and goes", BY_SENDTO, SEND_MAP_NAME, SEND_PORT, 0},
	{"sendmsg, address comes and goes", BY_SENDMSG, SEND_MAP_NAME, SEND_PORT, 0},
	{"sendmsg, header comes and goes", BY_SENDMSG, SEND_MAP_HEADER, SEND_PORT, 0},
	{"sendmsg, address is discarded", BY_SENDMSG, SEND_DISCARD_NAME, SEND_PORT, 0},
	{"sendto, address is discarded", BY_SENDTO, SEND_DISCARD_NAME, SEND_PORT, 0},
};

static void a_page_that_comes_and_goes_gives_EFAULT_or_a_right_answer(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		struct send_score score = send_play(&pages[i], SEND_CONFINED, play_seconds(), false);

		score_is_sound(&score);
		assert_true(score.sent > 0 && score.refused > 0);
		assert_true(score.faults > 0 || pages[i].writer == SEND_DISCARD_NAME);
	}
}

/* sendmmsg writes each length back: where that fails, the datagram has gone and the call says EFAULT, as bare. */
static void a_header_of_several_that_goes_away_sends_nothing_elsewhere(void **state)
{
	static const struct send_case race = {"sendmmsg, headers come and go", BY_SENDMMSG, SEND_MAP_HEADER,
	                                      SEND_PORT, 0};
	struct send_score score = send_play(&race, SEND_CONFINED, play_seconds(), false);

	(void)state;
	assert_int_equal(score.wins, 0);
	assert_int_equal(score.lost, 0);
	assert_true(score.sent > 0 && score.faults > 0 && score.alive);
}

/* T08. */
static void a_number_that_changes_its_file_never_reaches_the_forbidden_sink(void **state)
{
	static const struct send_case races[] = {
		{"sendto, number", BY_SENDTO, SEND_NUMBER, SEND_PORT, 0},
		{"sendmsg, number", BY_SENDMSG, SEND_NUMBER, SEND_PORT, 0},
		{"sendmmsg, number", BY_SENDMMSG, SEND_NUMBER, SEND_PORT, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(races) / sizeof(races[0]); i++) {
		struct send_score score = send_play(&races[i], SEND_CONFINED, play_seconds(), false);

		assert_int_equal(score.wins, 0);
		assert_true(score.sent > 0 && score.refused > 0 && score.alive);
	}
}

/* T16. */
static void a_storm_of_signals_doubles_no_datagram_and_loses_none(void **state)
{
	static const struct send_case storms[] = {
		{"sendto, storm, SA_RESTART", BY_SENDTO, SEND_NONE, SEND_PORT, SEND_STORM | SA_RESTART},
		{"sendto, storm, no SA_RESTART", BY_SENDTO, SEND_NONE, SEND_PORT, SEND_STORM},
		{"sendmsg, storm, SA_RESTART", BY_SENDMSG, SEND_NONE, SEND_PORT, SEND_STORM | SA_RESTART},
		{"sendmsg, storm, no SA_RESTART", BY_SENDMSG, SEND_NONE, SEND_PORT, SEND_STORM},
		{"sendmmsg, storm, SA_RESTART", BY_SENDMMSG, SEND_NONE, SEND_PORT, SEND_STORM | SA_RESTART},
		{"sendmmsg, storm, no SA_RESTART", BY_SENDMMSG, SEND_NONE, SEND_PORT, SEND_STORM},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(storms) / sizeof(storms[0]); i++) {
		struct send_score score = send_play(&storms[i], SEND_CONFINED, play_seconds(), false);

		score_is_sound(&score);
		assert_int_equal(score.arrived, score.sent);
	}
}

/* A blocking stream whose reader is slow: the call waits in the middle, is interrupted there, and what it said it
 * sent is what arrives, in order. */
enum { STREAM_ROOM = 300000 };

struct stream {
	int ends[2];
	int restart;
	double seconds;
	atomic_bool stop;
	long sent, received, wrong, calls, partial, interrupted; /* filled in by the child */
};

static uint8_t stream_byte(long position)
{
	return (uint8_t)(position * 31 + (position >> 8) * 7);
}

static void *stream_reader(void *argument)
{
	struct stream *stream = argument;
	static uint8_t bytes[65536];
	sigset_t all;
	ssize_t size;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	while ((size = read(stream->ends[1], bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < size; i++)
			stream->wrong += bytes[i] != stream_byte(stream->received + i);
		stream->received += size;
		usleep(20000);
	}
	return NULL;
}

static void storm_handle(int signal)
{
	(void)signal;
}

static void stream_send(struct stream *stream)
{
	static uint8_t bytes[STREAM_ROOM];
	struct iovec data[2] = {{bytes, 1000}, {bytes + 1000, STREAM_ROOM - 1000}};
	struct msghdr header = {.msg_iov = data, .msg_iovlen = 2};
	ssize_t sent;

	for (long i = 0; i < STREAM_ROOM; i++)
		bytes[i] = stream_byte(stream->sent + i);
	sent = sendmsg(stream->ends[0], &header, MSG_NOSIGNAL);
	stream->calls++;
	stream->interrupted += sent < 0 && errno == EINTR;
	stream->wrong += sent < 0 && errno != EINTR;
	stream->partial += sent > 0 && sent < STREAM_ROOM;
	stream->sent += sent > 0 ? sent : 0;
}

static int stream_run(void *argument)
{
	struct stream *stream = argument;
	struct sigaction action = {.sa_handler = storm_handle, .sa_flags = stream->restart};
	struct itimerval timer = {{0, 3000}, {0, 3000}}, off = {{0, 0}, {0, 0}};
	double end = seconds_now() + stream->seconds;
	pthread_t reader;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, stream->ends) < 0 ||
	    pthread_create(&reader, NULL, stream_reader, stream) != 0)
		return errno;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	while (seconds_now() < end)
		stream_send(stream);
	setitimer(ITIMER_REAL, &off, NULL);
	close(stream->ends[0]);
	pthread_join(reader, NULL);
	fprintf(stderr,
	        "# stream, %s: %ld calls, %ld partial, %ld interrupted, %ld bytes sent, %ld received\n",
	        stream->restart ? "SA_RESTART" : "no SA_RESTART", stream->calls, stream->partial,
	        stream->interrupted, stream->sent, stream->received);
	return stream->wrong != 0 || stream->received != stream->sent || stream->partial == 0;
}

static void a_storm_on_a_full_stream_doubles_no_byte_and_loses_none(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct stream bare = {.restart = i ? SA_RESTART : 0, .seconds = 4 * play_seconds()};
		struct stream confined = bare;

		assert_int_equal(attempt_bare(stream_run, &bare), 0);
		assert_int_equal(
			attempt_confined(POLICY("net-allow", "udp://127.0.0.1:9"), stream_run, &confined), 0);
	}
}

/* F07, T06: a number in SCM_RIGHTS is the sender's, whatever else has that number elsewhere. */
enum { OWN_NUMBER = 90, NUMBERS = 256 };

struct rights {
	double seconds;
	struct stat own;
	atomic_bool stop;
	long passed, refused, wrong;
	int control_number; /* shared by sender and writer */
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))];
};

static int rights_receive(int end)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(4 * sizeof(int))];
	char byte;
	struct iovec data = {&byte, 1};
	struct msghdr header = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *message;

	if (recvmsg(end, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1)
		return -1;
	message = CMSG_FIRSTHDR(&header);
	return message == NULL ? -1 : *(int *)CMSG_DATA(message);
}

static void rights_once(struct rights *rights, const int ends[2])
{
	char byte = 'x';
	struct iovec data = {&byte, 1};
	struct msghdr header = {.msg_iov = &data,
	                        .msg_iovlen = 1,
	                        .msg_control = rights->control,
	                        .msg_controllen = sizeof(rights->control)};
	struct stat found;
	int fd;

	if (sendmsg(ends[0], &header, MSG_NOSIGNAL) < 0) {
		rights->refused++;
		rights->wrong += errno != EBADF;
		return;
	}
	if ((fd = rights_receive(ends[1])) < 0 || fstat(fd, &found) < 0 ||
	    found.st_dev != rights->own.st_dev || found.st_ino != rights->own.st_ino)
		rights->wrong++;
	else
		rights->passed++;
	close(fd);
}

static void *rights_writer(void *argument)
{
	struct rights *rights = argument;
	volatile int *number = (int *)CMSG_DATA((struct cmsghdr *)rights->control);

	for (unsigned i = 0; !atomic_load_explicit(&rights->stop, memory_order_relaxed); i++)
		*number = i % 2 ? OWN_NUMBER : (int)(i / 2 % NUMBERS) + 3;
	return NULL;
}

/* Nothing is open but 0 to 2, the pair and the one file: every other number is somebody else's or nobody's. */
static int rights_open(struct rights *rights, int ends[2])
{
	struct cmsghdr *message = (struct cmsghdr *)rights->control;
	int file = memfd_create("own", MFD_CLOEXEC);

	*message = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0 || fstat(file, &rights->own) < 0)
		return errno;
	if (dup2(file, OWN_NUMBER) < 0 || dup2(ends[0], 1000) < 0 || dup2(ends[1], 1001) < 0)
		return errno;
	ends[0] = 1000;
	ends[1] = 1001;
	close_range(3, OWN_NUMBER - 1, 0);
	close_range(OWN_NUMBER + 1, 999, 0);
	return 0;
}

static int rights_run(void *argument)
{
	struct rights *rights = argument;
	double end;
	int ends[2], result = rights_open(rights, ends);
	pthread_t writer;

	if (result != 0)
		return result;
	for (int number = 3; number < NUMBERS; number++) {
		*(int *)CMSG_DATA((struct cmsghdr *)rights->control) = number;
		rights_once(rights, ends);
	}
	if (rights->wrong > 0 || rights->passed != 1)
		return 1;
	pthread_create(&writer, NULL, rights_writer, rights);
	for (end = seconds_now() + rights->seconds; seconds_now() < end;)
		rights_once(rights, ends);
	atomic_store(&rights->stop, true);
	pthread_join(writer, NULL);
	fprintf(stderr, "# SCM_RIGHTS: %ld passed, %ld refused, %ld wrong\n", rights->passed, rights->refused,
	        rights->wrong);
	return rights->wrong > 0 || rights->passed < 10 || rights->refused < NUMBERS;
}

/* The results pipe of the attempt is a number too: it is moved out of the way of what is tried. */
static int rights_in_child(void *argument)
{
	pid_t child = fork();

	if (child == 0)
		_exit(rights_run(argument));
	return exit_of(child);
}

static void a_passed_number_is_the_senders_and_never_the_supervisors(void **state)
{
	struct rights bare = {.seconds = play_seconds()}, confined = bare;

	(void)state;
	assert_int_equal(attempt_bare(rights_in_child, &bare), 0);
	assert_int_equal(
		attempt_confined(POLICY("net-allow", "udp://127.0.0.1:9"), rights_in_child, &confined), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flipped_names_never_reach_the_forbidden_sink),
		cmocka_unit_test(flipped_vectors_send_only_bytes_of_the_senders_own),
		cmocka_unit_test(flipped_control_data_sets_no_option),
		cmocka_unit_test(a_page_that_comes_and_goes_gives_EFAULT_or_a_right_answer),
		cmocka_unit_test(a_header_of_several_that_goes_away_sends_nothing_elsewhere),
		cmocka_unit_test(a_number_that_changes_its_file_never_reaches_the_forbidden_sink),
		cmocka_unit_test(a_storm_of_signals_doubles_no_datagram_and_loses_none),
		cmocka_unit_test(a_storm_on_a_full_stream_doubles_no_byte_and_loses_none),
		cmocka_unit_test(a_passed_number_is_the_senders_and_never_the_supervisors),
	};

	return cmocka_run_group_tests_name("send", tests, NULL, NULL);
}
