"""What Python programs do with sockets, processes and files, a topic a function: clients.py TOPIC. What is printed is
the same every time, so that two runs can be compared. The ports come in the environment, from server.py."""
import asyncio
import concurrent.futures
import errno
import fcntl
import hashlib
import multiprocessing
import multiprocessing.shared_memory
import os
import queue
import select
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request


def port(name):
    return int(os.environ[name])


def address(name):
    return ("127.0.0.1", port(name))


def url(name, path=""):
    return f"http://127.0.0.1:{port(name)}/{path}"


def error_name(number):
    return errno.errorcode.get(number, str(number)) if number else "0"


def show_error(what, action):
    try:
        action()
        print(what, "no error")
    except OSError as error:
        print(what, type(error).__name__, error_name(error.errno))


def topic_urllib():
    with urllib.request.urlopen(url("http4", "small.txt"), timeout=10) as answer:
        print(answer.status, answer.read())
        print(sorted(answer.headers.items()))
    with urllib.request.urlopen(url("http4", "big.bin"), timeout=10) as answer:
        print(hashlib.sha256(answer.read()).hexdigest())
    put = urllib.request.Request(url("http4", "x"), data=bytes(3 << 20), method="PUT")
    with urllib.request.urlopen(put, timeout=10) as answer:
        print(answer.read())
    try:
        urllib.request.urlopen(url("http4", "missing"), timeout=10)
    except urllib.error.HTTPError as error:
        print(error.code, error.reason)
    try:
        urllib.request.urlopen(url("closed"), timeout=10)
    except urllib.error.URLError as error:
        print(repr(error.reason))


def topic_urllib_other():
    with urllib.request.urlopen(url("other", "small.txt"), timeout=10) as answer:
        print(answer.read())


def topic_asyncio():
    async def talk(number):
        reader, writer = await asyncio.open_connection(*address("echo"))
        message = f"{number} ".encode() * 20000
        writer.write(message)
        await writer.drain()
        answer = await reader.readexactly(len(message))
        writer.close()
        await writer.wait_closed()
        return answer == message

    async def refused():
        try:
            await asyncio.open_connection(*address("closed"))
        except OSError as error:
            return error_name(error.errno)

    async def child():
        process = await asyncio.create_subprocess_exec(
            "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate(b"through a child")
        return output, process.returncode

    async def late():
        try:
            await asyncio.wait_for(asyncio.open_connection(*address("stuck")), 0.3)
        except asyncio.TimeoutError:
            return "timeout"

    async def everything():
        print(await asyncio.gather(*(talk(n) for n in range(20))))
        print(await asyncio.gather(refused(), child(), late()))

    asyncio.run(everything())


def topic_timeouts():
    started = time.monotonic()
    show_error("connect", lambda: socket.create_connection(address("stuck"), timeout=0.3))
    show_error("read", lambda: urllib.request.urlopen(url("http4", "slow"), timeout=0.3))
    print("in time", 0.6 <= time.monotonic() - started < 2.5)

    # No timeout, a blocking connect: the handler's exception has to get through, and soon.
    class Alarm(Exception):
        pass

    def ring(*_):
        raise Alarm

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    started = time.monotonic()
    with socket.socket() as blocking:
        try:
            blocking.connect(address("stuck"))
        except Alarm:
            print("interrupted", 0.2 < time.monotonic() - started < 2)

    # Without an exception python asks poll(2) how the interrupted connect goes on.
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
    with socket.socket() as blocking:
        blocking.settimeout(0.5)
        show_error("restarted", lambda: blocking.connect(address("stuck")))
    signal.setitimer(signal.ITIMER_REAL, 0)

    # A timeout of the socket's own: SO_SNDTIMEO holds for connect(2).
    with socket.socket() as bounded:
        bounded.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 300000))
        started = time.monotonic()
        print("SO_SNDTIMEO", error_name(bounded.connect_ex(address("stuck"))), 0.2 < time.monotonic() - started < 2)


def topic_nonblocking():
    for name in ("echo", "closed"):
        with socket.socket() as one:
            one.setblocking(False)
            print(name, error_name(one.connect_ex(address(name))))
            print(name, [len(ready) for ready in select.select([], [one], [], 5)])
            print(name, error_name(one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)))
            print(name, "nonblocking", bool(fcntl.fcntl(one, fcntl.F_GETFL) & os.O_NONBLOCK))
            if name == "echo":
                print([error_name(one.connect_ex(address(name))) for _ in range(3)])
                print("peer", one.getpeername() == address(name), one.getsockname()[0])
    with socket.socket() as one:
        one.setblocking(False)
        print("stuck", error_name(one.connect_ex(address("stuck"))), error_name(one.connect_ex(address("stuck"))))
        print("stuck", [len(ready) for ready in select.select([], [one], [], 0.1)])
    with socket.socket() as one, select.epoll() as epoll:
        one.setblocking(False)
        one.connect_ex(address("echo"))
        epoll.register(one, select.EPOLLOUT)
        print("epoll", [event for _, event in epoll.poll(5)])
        one.setblocking(True)
        one.sendall(b"x" * 100)
        print(len(one.recv(100, socket.MSG_WAITALL)))
    with socket.socket() as one:
        print("blocking", error_name(one.connect_ex(address("closed"))), error_name(one.connect_ex(address("echo"))))
        print("again", error_name(one.connect_ex(address("echo"))))


def topic_subprocess():
    print(subprocess.run(["echo", "hello"], capture_output=True, check=True).stdout)
    print(subprocess.run("echo $((6 * 7)); exit 3", shell=True, capture_output=True))
    print(len(subprocess.run(["cat"], input=bytes(1 << 20), capture_output=True, check=True).stdout))
    try:
        subprocess.run(["sleep", "10"], timeout=0.3)
    except subprocess.TimeoutExpired as error:
        print("timeout", type(error).__name__)
    with subprocess.Popen(["sleep", "10"], start_new_session=True) as child:
        os.killpg(child.pid, signal.SIGTERM)
        print("killed", child.wait())
    show_error("missing", lambda: subprocess.run(["/usr/bin/no-such-program"]))
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    print("fork", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    print("spawn", os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)[1])
    print(os.popen("seq 3 | tac").read().split())


def topic_threads():
    def talk(_):
        for _ in range(20):
            with socket.create_connection(address("echo"), timeout=10) as one:
                one.sendall(b"hello")
                if one.recv(5, socket.MSG_WAITALL) != b"hello":
                    return 0
        return 20

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        print("connections", sum(pool.map(talk, range(16))))
    box = queue.Queue()
    threads = [threading.Thread(target=lambda n=n: box.put(n * n)) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sum(box.get() for _ in threads))


def square(number):
    return number * number


def connect_and_echo(number):
    with socket.create_connection(address("echo"), timeout=10) as one:
        one.sendall(str(number).encode())
        return one.recv(100)


def topic_multiprocessing():
    with multiprocessing.Pool(4) as pool:
        print(pool.map(square, range(20)))
        print(pool.map(connect_and_echo, range(8)))
    box = multiprocessing.Queue()
    child = multiprocessing.Process(target=box.put, args=("from a child",))
    child.start()
    print(box.get(timeout=10))
    child.join()
    print(child.exitcode)
    shared = multiprocessing.shared_memory.SharedMemory(create=True, size=4096)
    shared.buf[0] = 7
    print(shared.buf[0])
    shared.close()
    shared.unlink()


def topic_ssl():
    import ssl

    print(ssl.OPENSSL_VERSION, len(ssl.create_default_context().get_ca_certs()))


def topic_sqlite():
    with sqlite3.connect("a.db") as base:
        print(base.execute("pragma journal_mode=wal").fetchall())
        base.execute("create table t (n integer primary key, s text)")
        base.executemany("insert into t values (?, ?)", ((n, str(n) * 10) for n in range(5000)))
    with sqlite3.connect("a.db") as other:
        print(other.execute("select count(*), sum(length(s)) from t").fetchall())
        print(other.execute("pragma integrity_check").fetchall())
        other.execute("delete from t where n % 2")
    print(hashlib.sha256("".join(base.iterdump()).encode()).hexdigest())
    base.execute("vacuum")
    base.close()
    other.close()


# The topics below are refused when confined. They end with the errno.

def topic_connect_unix():
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(os.environ["unix"])
        one.sendall(b"hello")
        print(one.recv(5))


def topic_connect_abstract():
    with socket.socket(socket.AF_UNIX) as one:
        one.connect("\0" + os.environ["abstract"])
        one.sendall(b"hello")
        print(one.recv(5))


def topic_udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        print(one.sendto(b"x", ("127.0.0.1", 9)))


def topic_icmp_raw():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()


def topic_netlink():
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()


def topic_bind():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))


def topic_listen():
    with socket.socket() as one:
        one.listen()


def topic_kill():
    os.kill(int(os.environ["server_pid"]), 0)


try:
    globals()["topic_" + sys.argv[1]]()
except OSError as error:
    print("OSError", error_name(getattr(error, "reason", error).errno))
    sys.exit(1)
