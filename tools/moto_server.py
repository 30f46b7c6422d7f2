# A server of S3 for the tests, on a port that nobody has. It prints the port, and ends when its input does, so that
# it never outlives whoever started it.
import sys

from moto.server import ThreadedMotoServer

server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
