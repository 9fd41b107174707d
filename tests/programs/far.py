"""The other end of a veth: far.py INTERFACE LOG. Servers on every address, that say who asked, and a log of all IP packets that
arrive, a line each, in their order: PROTOCOL SOURCE > DESTINATION. Says `ready`, and lives until it is killed.

    tcp 7000, udp 7000    answer with the address and port that they saw, then echo
    tcp 7001              takes what comes, and says how much at the end
    udp 7002              a group: 239.7.7.7
    http 7080             "hello"
"""
import http.server
import socket
import socketserver
import struct
import sys
import threading

interface, log_path = sys.argv[1:3]


class Who(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall("{} {}\n".format(*self.client_address).encode())
        while data := self.request.recv(65536):
            self.request.sendall(data)


class Count(socketserver.BaseRequestHandler):
    def handle(self):
        total = 0
        while data := self.request.recv(65536):
            total += len(data)
        self.request.sendall(f"{total}\n".encode())


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello\n")

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # clients that give up


class HTTP(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


def answer_datagrams(one):
    while True:
        data, ancillary, _, peer = one.recvmsg(65536, 200)
        # From the address that was asked: a socket bound to all of them would choose one.
        try:
            one.sendmsg(["{} {} ".format(*peer[:2]).encode(), str(len(data)).encode()], ancillary, 0, peer)
        except OSError:
            pass  # it was sent to a broadcast address


def answering(port):
    one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    one.bind(("::", port))
    threading.Thread(target=answer_datagrams, args=(one,), daemon=True).start()


def joined(port, group):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind(("", port))
    request = socket.inet_aton(group) + socket.inet_aton("0.0.0.0") + struct.pack("i", socket.if_nametoindex(interface))
    one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)

    def answer():
        while True:
            data, peer = one.recvfrom(65536)
            one.sendto("{} {} ".format(*peer).encode() + data, peer)

    threading.Thread(target=answer, daemon=True).start()


def ports_of(protocol, payload):
    if protocol in (6, 17) and len(payload) >= 4:
        return struct.unpack("!HH", payload[:4])
    return ("", "")


def describe(kind, packet):
    names = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}
    if kind == 0x0800:
        size, protocol = (packet[0] & 15) * 4, packet[9]
        source, target = (socket.inet_ntop(socket.AF_INET, packet[at:at + 4]) for at in (12, 16))
    elif kind == 0x86DD:
        size, protocol = 40, packet[6]
        source, target = (socket.inet_ntop(socket.AF_INET6, packet[at:at + 16]) for at in (8, 24))
    else:
        return None
    first, second = ports_of(protocol, packet[size:])
    return f"{names.get(protocol, protocol)} {source} {first} > {target} {second}"


packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
packets.bind((interface, 0))
for handler, port in (Who, 7000), (Count, 7001):
    threading.Thread(target=Server(("::", port), handler).serve_forever, daemon=True).start()
threading.Thread(target=HTTP(("::", 7080), Hello).serve_forever, daemon=True).start()
answering(7000)
joined(7002, "239.7.7.7")
print("ready", flush=True)
with open(log_path, "w", buffering=1) as log:
    while True:
        packet, (_, kind, how, *_) = packets.recvfrom(65536)
        if how != socket.PACKET_OUTGOING and (line := describe(kind, packet)):
            print(line, file=log)
