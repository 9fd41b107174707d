"""What the programs under test talk to, unconfined, in one process. Says where it listens on standard output,
`name=value` a line, and lives until it is killed.

    http4, http6, other   the same files; `other` is for rules that leave it out. PUT answers with a digest
    any                   the same on every IPv4 address of this host
    echo                  sends back what it gets
    stuck                 its queue is full: a connect neither succeeds nor fails
    closed                bound, never listening: refused for sure, and nobody else can get the port
    unix, abstract        an echo each, by path and by abstract name
    udp, udp6, silent     UDP: an echo each, and one that never answers
"""
import hashlib
import http.server
import os
import socket
import sys
import threading
import time

root, unix_path = sys.argv[1:3]


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args):
        super().__init__(*args, directory=root)

    def date_time_string(self, timestamp=None):
        # The same headers today and a second later, so that whole answers can be compared.
        return super().date_time_string(0 if timestamp is None else timestamp)

    def do_GET(self):
        if self.path == "/slow":
            time.sleep(3)
        super().do_GET()

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = f"{len(body)} {hashlib.sha256(body).hexdigest()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # clients that give up are part of the tests


class Server6(Server):
    address_family = socket.AF_INET6


def echo(connection):
    with connection:
        try:
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            pass


def echo_serve(listener):
    while True:
        threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()


def listening(family, address, backlog=128):
    listener = socket.socket(family)
    listener.bind(address)
    listener.listen(backlog)
    return listener


def udp(family, host):
    one = socket.socket(family, socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    one.bind((host, 0))
    return one


def udp_echo(one):
    while True:
        data, peer = one.recvfrom(65536)
        one.sendto(data, peer)


def start(target, *args):
    threading.Thread(target=target, args=args, daemon=True).start()


def say(name, value):
    print(f"{name}={value}", flush=True)


for name, server, host in (
    ("http4", Server, "127.0.0.1"), ("http6", Server6, "::1"), ("other", Server, "127.0.0.1"), ("any", Server, "0.0.0.0"),
):
    try:
        httpd = server((host, 0), Handler)
    except OSError:
        say(name, "")
        continue
    start(httpd.serve_forever)
    say(name, httpd.server_address[1])

tcp = listening(socket.AF_INET, ("127.0.0.1", 0))
start(echo_serve, tcp)
say("echo", tcp.getsockname()[1])

stuck = listening(socket.AF_INET, ("127.0.0.1", 0), 0)
fillers = [socket.socket() for _ in range(4)]
for filler in fillers:
    filler.setblocking(False)
    filler.connect_ex(stuck.getsockname())
say("stuck", stuck.getsockname()[1])

closed = socket.socket()
closed.bind(("127.0.0.1", 0))
say("closed", closed.getsockname()[1])

start(echo_serve, listening(socket.AF_UNIX, unix_path))
os.chmod(unix_path, 0o666)
say("unix", unix_path)
abstract = f"sluice-live-programs-{os.getpid()}"
start(echo_serve, listening(socket.AF_UNIX, "\0" + abstract))
say("abstract", abstract)

udp4 = udp(socket.AF_INET, "127.0.0.1")
start(udp_echo, udp4)
say("udp", udp4.getsockname()[1])
try:
    udp6 = udp(socket.AF_INET6, "::1")
    start(udp_echo, udp6)
    say("udp6", udp6.getsockname()[1])
except OSError:
    say("udp6", "")
silent = udp(socket.AF_INET, "127.0.0.1")
say("silent", silent.getsockname()[1])

say("ready", "yes")
while True:
    time.sleep(60)
