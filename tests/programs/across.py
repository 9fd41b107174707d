"""What a program does with a network, a topic a function: across.py TOPIC [ADDRESS]. far.py is on the other end. What is
printed is the same every time, but for ports, which are not printed."""
import errno
import os
import select
import socket
import struct
import sys
import threading
import time

PORT = 7000
# Of linux/in.h; this python does not know them.
IP_PKTINFO, IP_MTU_DISCOVER, IP_RECVERR, IP_MTU = 8, 10, 11, 14


def name_of(error):
    return errno.errorcode.get(error.errno, error.errno) if error.errno else type(error).__name__


def attempt(what, action):
    try:
        print(what, action())
    except OSError as error:
        print(what, name_of(error))
        return False
    return True


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def target(address, port=PORT):
    return socket.getaddrinfo(address, port, flags=socket.AI_NUMERICHOST)[0][4]


def tcp(address, port=PORT, source=None):
    with socket.socket(family_of(address)) as one:
        one.settimeout(10)
        if source:
            one.bind((source, 0))
        one.connect(target(address, port))
        seen = one.makefile().readline().split()
        return seen[0], seen[1] == str(one.getsockname()[1]), one.getsockname()[0]


def datagram(address, source=None):
    one = socket.socket(family_of(address), socket.SOCK_DGRAM)
    one.settimeout(10)
    if source:
        one.bind((source, 0))
    return one


def who(one):
    return one.recv(1000).decode().split()[::2]


def sendto(address, source=None, size=100):
    with datagram(address, source) as one:
        one.sendto(bytes(size), target(address))
        return who(one)


def connected(address):
    with datagram(address) as one:
        one.connect(target(address))
        one.send(b"x")
        seen = who(one)
        return seen, one.getsockname()[0] == seen[0], one.getpeername()[0]


def sendmsg(address, control=()):
    with datagram(address) as one:
        one.sendmsg([b"two ", b"parts"], control, 0, target(address))
        return who(one)


def sendmmsg(*addresses):
    """Through libc: python has no such call."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)

    class Iovec(ctypes.Structure):
        _fields_ = [("base", ctypes.c_char_p), ("size", ctypes.c_size_t)]

    class Header(ctypes.Structure):
        _fields_ = [("name", ctypes.c_char_p), ("namelen", ctypes.c_uint), ("iov", ctypes.POINTER(Iovec)),
                    ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                    ("flags", ctypes.c_int)]

    class Entry(ctypes.Structure):
        _fields_ = [("header", Header), ("len", ctypes.c_uint)]

    batch = (Entry * len(addresses))()
    for entry, address in zip(batch, addresses):
        raw = struct.pack("=H", socket.AF_INET) + struct.pack("!H", PORT) + socket.inet_aton(address) + bytes(8)
        entry.header.name, entry.header.namelen = raw, len(raw)
        entry.header.iov, entry.header.iovlen = ctypes.pointer(Iovec(b"12345", 5)), 1
    with datagram(addresses[0]) as one:
        sent = libc.sendmmsg(one.fileno(), batch, len(addresses), 0)
        if sent < 0:
            raise OSError(ctypes.get_errno(), "sendmmsg")
        return sent, [batch[i].len for i in range(sent)], sorted(who(one) for _ in range(sent))


def topic_tcp(address):
    return attempt("tcp", lambda: tcp(address))


def topic_udp(address):
    ways = (("sendto", sendto), ("connected", connected), ("sendmsg", sendmsg))
    return all([attempt(what, lambda action=action: action(address)) for what, action in ways])


def topic_batch(*addresses):
    return attempt("sendmmsg", lambda: sendmmsg(*addresses))


def topic_sources(address, source):
    attempt("tcp bound", lambda: tcp(address, source=source))
    attempt("udp bound", lambda: sendto(address, source))
    info = struct.pack("i4s4s", 0, socket.inet_aton(source), bytes(4))
    attempt("udp by IP_PKTINFO", lambda: sendmsg(address, [(socket.IPPROTO_IP, IP_PKTINFO, info)]))
    bad = struct.pack("i4s4s", 0, socket.inet_aton("10.66.0.1"), bytes(4))
    attempt("udp by IP_PKTINFO, not ours", lambda: sendmsg(address, [(socket.IPPROTO_IP, IP_PKTINFO, bad)]))
    attempt("udp, ttl 3", lambda: sendmsg(address, [(socket.IPPROTO_IP, socket.IP_TTL, struct.pack("i", 3))]))
    attempt("tcp bound, not ours", lambda: tcp(address, source="10.66.0.1"))


def topic_device(address, device):
    with socket.socket() as one:
        one.settimeout(10)
        bound = attempt("device", lambda: one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode()))
        attempt("connect", lambda: one.connect(target(address)))
        attempt("answer", lambda: one.recv(100).split()[0])
        return bound


def topic_sizes(address):
    for size in 0, 1, 1472, 1473, 20000, 65507, 65508:
        attempt(f"{size} bytes", lambda: sendto(address, size=size))
    with datagram(address) as one:
        one.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 2)  # IP_PMTUDISC_DO
        attempt("no fragments", lambda: one.sendto(bytes(1473), target(address)))
        one.connect(target(address))
        attempt("mtu", lambda: one.getsockopt(socket.IPPROTO_IP, IP_MTU))


def topic_closed(address):
    attempt("tcp", lambda: tcp(address, 7099))
    with datagram(address) as one:
        one.connect(target(address, 7099))
        attempt("send", lambda: one.send(b"x"))
        attempt("answer", lambda: one.recv(100))
    with datagram(address) as one:
        one.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        attempt("sendto", lambda: one.sendto(b"hello", target(address, 7099)))
        print("poll", [event for _, event in wait_for(one, select.POLLERR)])
        data, control, flags, peer = one.recvmsg(100, 200, socket.MSG_ERRQUEUE)
        print(data, len(control), bool(flags & socket.MSG_ERRQUEUE), peer)
        attempt("after it", lambda: one.sendto(b"hello", target(address)))
        attempt("answer", lambda: who(one))


def wait_for(one, events):
    poll = select.poll()
    poll.register(one, events)
    return poll.poll(5000)


def topic_group(group):
    with datagram(group) as one:
        return attempt("to the group", lambda: one.sendto(b"x", (group, 7002))) and attempt("answer", lambda: one.recv(100).split()[0])


def topic_broadcast(address):
    with datagram(address) as one:
        attempt("without SO_BROADCAST", lambda: one.sendto(b"x", (address, PORT)))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        return attempt("with SO_BROADCAST", lambda: one.sendto(b"x", (address, PORT)))


def topic_bulk(address):
    with socket.socket(family_of(address)) as one:
        one.connect(target(address, 7001))
        for _ in range(64):
            one.sendall(bytes(65536))
        one.shutdown(socket.SHUT_WR)
        print(one.recv(100))


def topic_hole(hole, address):
    """One thread waits for what never answers; the others are served meanwhile."""
    with socket.socket() as one:
        waiter = threading.Thread(target=one.connect_ex, args=(target(hole),), daemon=True)
        waiter.start()
        time.sleep(0.2)
        print(all(tcp(address)[0] for _ in range(30)), all(sendto(address) for _ in range(30)), "served")
        print("still waiting", waiter.is_alive())
        sys.stdout.flush()
        os._exit(0)


def topic_nobody(address):
    attempt("tcp", lambda: tcp(address))


def topic_serve(address):
    """A server of this side's, and a client on the other, which is the test's business."""
    listener, one = socket.socket(), datagram(address)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, 7100))
    listener.listen()
    one.bind((address, 7100))
    print("listening", flush=True)
    listener.settimeout(10)
    peer, where = listener.accept()
    peer.sendall(f"you are {where[0]}\n".encode())
    peer.close()
    data, where = one.recvfrom(100)
    one.sendto(b"you are " + where[0].encode(), where)
    print(data, where[0])


def topic_ask(address):
    """The client of topic_serve."""
    with socket.create_connection((address, 7100), timeout=10) as one:
        print(one.makefile().readline().strip())
    with datagram(address) as one:
        one.sendto(b"hello", (address, 7100))
        print(one.recv(100))


sys.exit(0 if globals()["topic_" + sys.argv[1]](*sys.argv[2:]) in (None, True) else 1)
