/* A small static-file server that locks itself in before it touches anything.
 *
 * confine() below is the whole of it: three keys, one call, at the start of main. The document root is
 * opened, the port is bound and the upstream is reached from inside, so the policy covers those too. The
 * rest is an ordinary server on libev, one process and one thread, that knows nothing of its walls.
 *
 *     GET /...             files below ROOT; a directory stands for its index.html
 *     GET /proxy/...       127.0.0.1:UPSTREAM_PORT, streamed through
 *     GET /misbehave/...   what exploited code would do (misbehave.h); only with all three of its options
 *
 * A connection goes from stage to stage:
 *
 *     request ──> respond ──> request ...        a file, or a status of our own; keep-alive
 *        │           └──────> drain              ... or the last answer on this connection
 *        ├──> ask ──> relay ──> drain            /proxy/
 *        └─────────> relay ──> drain             /misbehave/
 *
 * HTTP/1.1 as in RFC 9112. Left out: ranges, conditional requests, request bodies, TLS. */
#include "http.h"
#include "misbehave.h"
#include "sluice.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	HEAD_MAX = 8192,        /* request line and header fields */
	OUT_SIZE = 16384,       /* a response head, or what the upstream said last; above HEAD_MAX */
	CHUNK_MAX = 256 * 1024, /* of a file in one turn: no client holds the loop */
	CONNECTIONS_MAX = 256,  /* two descriptors each, below the usual limit of 1024 */
	BACKLOG = 511,
	IDLE_SECONDS = 10, /* for a whole request to arrive, or for any progress after it */
};

struct options {
	bool bare;
	const char *root, *port_text, *upstream_text;
	uint16_t port;
	struct marks marks;
};

struct server {
	struct ev_loop *loop;
	const struct options *options;
	int root;
	int listener;
	ev_io accept;
	ev_signal terminate, interrupt;
	LIST_HEAD(connection_list, connection) connections;
	unsigned count;
};

/* What a stage waits for, or that the next one can go on at once. */
enum step { STEP_ON, STEP_OVER, WAIT_CLIENT_IN, WAIT_CLIENT_OUT, WAIT_SOURCE_IN, WAIT_SOURCE_OUT };

struct connection {
	struct server *server;
	LIST_ENTRY(connection) link;
	enum step (*stage)(struct connection *c);
	ev_io client, source; /* source: the file, the upstream or the attempt that the answer comes from */
	ev_timer idle;
	bool keep_alive;
	bool head_only; /* HEAD: the same head as for GET, and no body */
	bool answering; /* the client has got the beginning of an answer: too late for a status */
	off_t left;     /* bytes of the file that are still to be sent */
	size_t in_used, in_taken;
	size_t out_used, out_sent;
	char in[HEAD_MAX + 1];
	char out[OUT_SIZE];
};

static enum step stage_request(struct connection *c);

/* --- connections: life, death and what they wait for ---------------------------------------------------- */

static void watch(struct ev_loop *loop, ev_io *io, int events)
{
	if (ev_is_active(io) && io->events & events)
		return;
	ev_io_stop(loop, io);
	ev_io_set(io, io->fd, events);
	if (events)
		ev_io_start(loop, io);
}

static void source_close(struct connection *c)
{
	ev_io_stop(c->server->loop, &c->source);
	if (c->source.fd >= 0)
		close(c->source.fd);
	ev_io_set(&c->source, -1, 0);
	c->left = 0;
}

static void connection_free(struct connection *c)
{
	struct server *server = c->server;

	source_close(c);
	ev_io_stop(server->loop, &c->client);
	ev_timer_stop(server->loop, &c->idle);
	close(c->client.fd);
	LIST_REMOVE(c, link);
	free(c);
	server->count--;
	ev_io_start(server->loop, &server->accept); /* there is room again, see on_accept() */
}

static void connection_turn(struct connection *c)
{
	static const struct {
		int client, source;
	} waits[] = {
		[WAIT_CLIENT_IN] = {.client = EV_READ},
		[WAIT_CLIENT_OUT] = {.client = EV_WRITE},
		[WAIT_SOURCE_IN] = {.source = EV_READ},
		[WAIT_SOURCE_OUT] = {.source = EV_WRITE},
	};
	enum step step;

	do
		step = c->stage(c);
	while (step == STEP_ON);
	if (step == STEP_OVER) {
		connection_free(c);
		return;
	}
	watch(c->server->loop, &c->client, waits[step].client);
	watch(c->server->loop, &c->source, waits[step].source);
}

static void on_ready(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop, (void)events;
	connection_turn(io->data);
}

static void on_idle(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	connection_free(timer->data);
}

static void connection_progress(struct connection *c)
{
	ev_timer_again(c->server->loop, &c->idle);
}

static struct connection *connection_new(struct server *server, int fd)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->server = server;
	c->stage = stage_request;
	ev_io_init(&c->client, on_ready, fd, 0);
	ev_io_init(&c->source, on_ready, -1, 0);
	ev_init(&c->idle, on_idle);
	c->idle.repeat = IDLE_SECONDS;
	c->client.data = c->source.data = c->idle.data = c;
	LIST_INSERT_HEAD(&server->connections, c, link);
	server->count++;
	connection_progress(c);
	return c;
}

/* Say that no more will come, and read on until the client has seen it: a close with unread bytes in the
 * queue is a reset, and may take the answer with it. RFC 9112, 9.6. */
static enum step stage_drain(struct connection *c)
{
	ssize_t n = read(c->client.fd, c->in, HEAD_MAX);

	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)) ? WAIT_CLIENT_IN : STEP_OVER;
}

static enum step connection_drain(struct connection *c)
{
	source_close(c);
	shutdown(c->client.fd, SHUT_WR);
	c->stage = stage_drain;
	return STEP_ON;
}

static enum step connection_next(struct connection *c)
{
	source_close(c);
	if (!c->keep_alive)
		return connection_drain(c);
	c->in_used -= c->in_taken;
	memmove(c->in, c->in + c->in_taken, c->in_used);
	c->in_taken = 0;
	c->answering = false;
	c->stage = stage_request;
	return STEP_ON;
}

/* --- answers ------------------------------------------------------------------------------------------- */

/* Send what `out` holds. 0 when all of it is on its way. */
static int out_flush(struct connection *c, int fd, int flags)
{
	while (c->out_sent < c->out_used) {
		ssize_t n = send(fd, c->out + c->out_sent, c->out_used - c->out_sent, flags | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		c->out_sent += (size_t)n;
		connection_progress(c);
	}
	return 0;
}

static enum step stage_respond(struct connection *c)
{
	int r = out_flush(c, c->client.fd, c->left ? MSG_MORE : 0);
	ssize_t n;

	if (r < 0)
		return r == -EAGAIN ? WAIT_CLIENT_OUT : STEP_OVER;
	if (c->left == 0)
		return connection_next(c);

	n = sendfile(c->client.fd, c->source.fd, NULL, c->left < CHUNK_MAX ? (size_t)c->left : CHUNK_MAX);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return WAIT_CLIENT_OUT;
	if (n <= 0) /* 0: the file became shorter than the length that we promised */
		return STEP_OVER;
	connection_progress(c);
	c->left -= n;
	return c->left ? WAIT_CLIENT_OUT : connection_next(c);
}

/* `fields` are header lines of this one answer, each with its CRLF, or "". A negative length is one that
 * nobody knows yet: the body then ends with the connection. */
static void head_write(struct connection *c, int status, const char *type, off_t length, const char *fields)
{
	char date[40], length_field[48] = "";
	time_t now = time(NULL);
	struct tm utc;

	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &utc));
	if (length >= 0)
		snprintf(length_field, sizeof(length_field), "Content-Length: %lld\r\n", (long long)length);
	else
		c->keep_alive = false;
	c->out_sent = 0;
	c->out_used = (size_t)snprintf(c->out, sizeof(c->out),
	                               "HTTP/1.1 %d %s\r\n"
	                               "Date: %s\r\n"
	                               "Content-Type: %s\r\n"
	                               "%s%s"
	                               "Connection: %s\r\n\r\n",
	                               status, status_reason(status), date, type, length_field, fields,
	                               c->keep_alive ? "keep-alive" : "close");
	c->answering = true;
}

static enum step respond_status(struct connection *c, int status, const char *fields)
{
	char body[64];
	int length = snprintf(body, sizeof(body), "%d %s\n", status, status_reason(status));

	source_close(c);
	head_write(c, status, "text/plain; charset=utf-8", length, fields);
	if (!c->head_only) {
		memcpy(c->out + c->out_used, body, (size_t)length);
		c->out_used += (size_t)length;
	}
	c->stage = stage_respond;
	return STEP_ON;
}

/* --- files --------------------------------------------------------------------------------------------- */

/* The kernel keeps us below `directory`, symbolic links included: openat2(2), RESOLVE_BENEATH. Nor does a
 * FIFO that lies about hold us up. */
static int open_beneath(int directory, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, directory, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* A directory without its slash: relative links in its index would point beside it. */
static enum step respond_with_slash(struct connection *c, const char *target)
{
	char fields[HEAD_MAX + 32];
	size_t path = strcspn(target, "?#");

	snprintf(fields, sizeof(fields), "Location: %.*s/%s\r\n", (int)path, target, target + path);
	return respond_status(c, 301, fields);
}

static enum step respond_file(struct connection *c, int fd, const char *path)
{
	struct stat about;

	ev_io_set(&c->source, fd, 0);
	if (fd < 0)
		return respond_status(c, status_of_errno(-fd), "");
	if (fstat(fd, &about) < 0 || !S_ISREG(about.st_mode))
		return respond_status(c, 403, "");
	head_write(c, 200, content_type(path), about.st_size, "");
	c->left = c->head_only ? 0 : about.st_size;
	c->stage = stage_respond;
	return STEP_ON;
}

static bool is_directory(int fd)
{
	struct stat about;

	return fd >= 0 && fstat(fd, &about) == 0 && S_ISDIR(about.st_mode);
}

static enum step serve_file(struct connection *c, const char *target)
{
	char path[HEAD_MAX + sizeof("index.html")];
	size_t length = strcspn(target, "?#");
	int fd;

	memcpy(path, target, length);
	path[length] = '\0';
	if (!path_decode(path))
		return respond_status(c, 400, "");
	if (path_has_dot_dot(path))
		return respond_status(c, 403, "");

	fd = open_beneath(c->server->root, path[1] ? path + 1 : ".");
	if (is_directory(fd)) {
		close(fd);
		length = strlen(path);
		if (path[length - 1] != '/')
			return respond_with_slash(c, target);
		strcpy(path + length, "index.html");
		fd = open_beneath(c->server->root, path + 1);
	}
	return respond_file(c, fd, path);
}

/* --- the upstream, and attempts: bytes of another descriptor ------------------------------------------ */

static ssize_t relay_fill(struct connection *c)
{
	ssize_t n = read(c->source.fd, c->out, sizeof(c->out));

	c->out_sent = 0;
	c->out_used = n > 0 ? (size_t)n : 0;
	c->answering |= n > 0;
	return n;
}

/* One buffer a turn. The answer ends where its source does. */
static enum step stage_relay(struct connection *c)
{
	int r;

	if (c->out_sent == c->out_used) {
		ssize_t n = relay_fill(c);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return WAIT_SOURCE_IN;
		if (n <= 0 && !c->answering)
			return respond_status(c, 502, "");
		if (n <= 0)
			return n == 0 ? connection_drain(c) : STEP_OVER;
	}
	r = out_flush(c, c->client.fd, 0);
	if (r < 0)
		return r == -EAGAIN ? WAIT_CLIENT_OUT : STEP_OVER;
	return WAIT_SOURCE_IN;
}

/* Until the connect is through, send says EAGAIN; if it fails, send says why. */
static enum step stage_ask(struct connection *c)
{
	int r = out_flush(c, c->source.fd, 0);

	if (r == -EAGAIN)
		return WAIT_SOURCE_OUT;
	if (r < 0)
		return respond_status(c, 502, "");
	c->stage = stage_relay;
	return STEP_ON;
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static enum step serve_proxy(struct connection *c, const char *target)
{
	uint16_t port = c->server->options->marks.upstream;
	struct sockaddr_in address = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return respond_status(c, status_of_errno(errno), "");
	ev_io_set(&c->source, fd, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS)
		return respond_status(c, 502, "");
	c->out_sent = 0;
	c->out_used = (size_t)snprintf(c->out, sizeof(c->out),
	                               "%s %s HTTP/1.0\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n\r\n",
	                               c->head_only ? "HEAD" : "GET", target, port);
	c->keep_alive = false;
	c->stage = stage_ask;
	return STEP_ON;
}

static enum step serve_misbehaviour(struct connection *c, const char *name)
{
	const struct marks *marks = &c->server->options->marks;
	int fd;

	if (!marks->secret || !marks->forbidden || !marks->abstract)
		return respond_status(c, 404, "");
	if (c->head_only)
		return respond_status(c, 405, "Allow: GET\r\n");
	fd = misbehave_start(name, marks);
	if (fd < 0)
		return respond_status(c, status_of_errno(-fd), "");
	ev_io_set(&c->source, fd, 0);
	head_write(c, 200, "text/plain; charset=utf-8", -1, "");
	c->stage = stage_relay;
	return STEP_ON;
}

/* --- requests ------------------------------------------------------------------------------------------ */

/* A body is not read, so what follows it cannot be told from it: such a connection ends with the answer. */
static enum step request_route(struct connection *c, const struct request *request)
{
	static const char proxy[] = "/proxy", misbehave[] = "/misbehave/";
	const char *target = request->target;

	c->keep_alive = request->keep_alive && !request->has_body;
	c->head_only = strcmp(request->method, "HEAD") == 0;
	if (!c->head_only && strcmp(request->method, "GET") != 0)
		return respond_status(c, 405, "Allow: GET, HEAD\r\n");
	if (strncmp(target, proxy, strlen(proxy)) == 0 && target[strlen(proxy)] == '/')
		return serve_proxy(c, target + strlen(proxy));
	if (strncmp(target, misbehave, strlen(misbehave)) == 0)
		return serve_misbehaviour(c, target + strlen(misbehave));
	return serve_file(c, target);
}

static enum step respond_refusal(struct connection *c, int status)
{
	c->keep_alive = false;
	c->head_only = false;
	return respond_status(c, status, "");
}

static enum step stage_request(struct connection *c)
{
	char *end = memmem(c->in, c->in_used, "\r\n\r\n", 4);
	struct request request = {0};
	size_t length;
	int status;

	if (!end && c->in_used < HEAD_MAX) {
		ssize_t n = read(c->client.fd, c->in + c->in_used, HEAD_MAX - c->in_used);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return WAIT_CLIENT_IN;
		c->in_used += n > 0 ? (size_t)n : 0;
		return n > 0 ? STEP_ON : STEP_OVER;
	}
	if (!end)
		return respond_refusal(c, 431);

	connection_progress(c);
	length = (size_t)(end - c->in);
	c->in_taken = length + 4;
	*end = '\0';
	status = strlen(c->in) < length ? 400 : request_parse(&request, c->in);
	return status ? respond_refusal(c, status) : request_route(c, &request);
}

/* --- the server ---------------------------------------------------------------------------------------- */

/* Full, or out of descriptors: the queue of the listener holds the others until a connection ends. */
static void on_accept(struct ev_loop *loop, ev_io *io, int events)
{
	struct server *server = io->data;
	struct connection *c;
	int fd, on = 1;

	(void)events;
	fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED && server->count > 0)
			ev_io_stop(loop, io);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c = connection_new(server, fd);
	if (!c) {
		close(fd);
		return;
	}
	if (server->count >= CONNECTIONS_MAX)
		ev_io_stop(loop, io);
	connection_turn(c);
}

static void on_signal(struct ev_loop *loop, ev_signal *signal, int events)
{
	(void)signal, (void)events;
	ev_break(loop, EVBREAK_ALL);
}

/* A listening socket, or -errno. */
static int listen_on(uint16_t port)
{
	struct sockaddr_in address = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, r;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

/* The default loop, for it alone reaps children: those of misbehave.c. */
static void server_run(struct server *server)
{
	server->loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (!server->loop)
		return;
	LIST_INIT(&server->connections);
	ev_io_init(&server->accept, on_accept, server->listener, EV_READ);
	server->accept.data = server;
	ev_io_start(server->loop, &server->accept);
	ev_signal_init(&server->terminate, on_signal, SIGTERM);
	ev_signal_start(server->loop, &server->terminate);
	ev_signal_init(&server->interrupt, on_signal, SIGINT);
	ev_signal_start(server->loop, &server->interrupt);

	printf("listening on 127.0.0.1:%u\n", server->options->port);
	fflush(stdout);
	ev_run(server->loop, 0);

	while (!LIST_EMPTY(&server->connections))
		connection_free(LIST_FIRST(&server->connections));
	ev_io_stop(server->loop, &server->accept);
	ev_loop_destroy(server->loop);
}

static int serve(const struct options *options)
{
	struct server server = {.options = options};

	server.root = open(options->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (server.root < 0) {
		fprintf(stderr, "httpd: %s: %s\n", options->root, strerror(errno));
		return 1;
	}
	server.listener = listen_on(options->port);
	if (server.listener < 0) {
		fprintf(stderr, "httpd: port %u: %s\n", options->port, strerror(-server.listener));
		close(server.root);
		return 1;
	}
	signal(SIGPIPE, SIG_IGN); /* sendfile(2) has no MSG_NOSIGNAL */
	server_run(&server);
	close(server.listener);
	close(server.root);
	return server.loop ? 0 : 1;
}

/* Read ROOT, listen on PORT, talk to the upstream: nothing else is left of what this process could do. */
static int confine(const struct options *options, sl_error *error)
{
	char upstream[64];
	const char *const wanted[][2] = {
		{"fs-read", options->root},
		{"net-allow-bind", options->port_text},
		{"net-allow", upstream},
	};
	sl_policy *policy = sl_policy_new();
	int r = 0;

	if (!policy) {
		snprintf(error->message, sizeof(error->message), "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	snprintf(upstream, sizeof(upstream), "tcp://127.0.0.1:%s", options->upstream_text);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]) && r >= 0; i++)
		r = sl_policy_set(policy, wanted[i][0], wanted[i][1], error);
	if (r >= 0)
		r = sl_confine_self(policy, error);
	sl_policy_free(policy);
	return r;
}

static bool port_parse(const char *text, uint16_t *port)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	*port = (uint16_t)number;
	return *text >= '0' && *text <= '9' && *end == '\0' && number >= 1 && number <= 65535;
}

static bool options_parse(struct options *options, int argc, char *argv[])
{
	static const struct option names[] = {
		{"bare", no_argument, NULL, 'b'},
		{"secret", required_argument, NULL, 's'},
		{"forbidden", required_argument, NULL, 'f'},
		{"abstract", required_argument, NULL, 'a'},
		{0},
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (letter == 'b')
			options->bare = true;
		else if (letter == 's')
			options->marks.secret = optarg;
		else if (letter == 'a')
			options->marks.abstract = optarg;
		else if (letter != 'f' || !port_parse(optarg, &options->marks.forbidden))
			return false;
	}
	if (argc - optind != 3)
		return false;
	options->root = argv[optind];
	options->port_text = argv[optind + 1];
	options->upstream_text = argv[optind + 2];
	return port_parse(options->port_text, &options->port) &&
	       port_parse(options->upstream_text, &options->marks.upstream);
}

int main(int argc, char *argv[])
{
	struct options options = {.marks.parent = getppid()};
	sl_error error = {0};

	if (!options_parse(&options, argc, argv)) {
		fputs("usage: httpd [--bare] [--secret FILE --forbidden PORT --abstract NAME] "
		      "ROOT PORT UPSTREAM_PORT\n",
		      stderr);
		return 2;
	}
	if (!options.bare && confine(&options, &error) < 0) {
		fprintf(stderr, "httpd: %s\n", error.message);
		return 1;
	}
	return serve(&options);
}
