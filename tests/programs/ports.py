"""Print N ports that are free now, for TCP and UDP, on all addresses: held together, then let go. They are below those that the
kernel gives away by itself, so that no client gets one of them meanwhile."""
import random
import socket
import sys

held = {}
while len(held) < int(sys.argv[1]):
    port = random.randrange(20000, 32000)
    pair = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        for one in pair:
            one.bind(("0.0.0.0", port))
    except OSError:
        continue
    held[port] = pair
print(*held)
