"""Print N TCP ports that are free on 127.0.0.1 and on any address now: held together, then let go."""
import socket
import sys

held = []
for _ in range(int(sys.argv[1])):
    held.append(socket.socket())
    held[-1].bind(("0.0.0.0", 0))
print(*(one.getsockname()[1] for one in held))
