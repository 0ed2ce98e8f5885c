#!/usr/bin/env python3
"""A way to a registry that breaks: cutter.py PORT [BYTES...]

Prints its own port. The first connections that carry more than BYTES towards the registry are cut there, one for each number. What
is asked of the registry goes to standard error, a line for each request of a blob's upload."""
import re
import socket
import struct
import sys
import threading

port, cuts, lock = int(sys.argv[1]), [int(text) for text in sys.argv[2:]], threading.Lock()
UPLOAD = re.compile(rb"^(PATCH|PUT|POST|GET|DELETE) \S*/blobs/uploads/\S* HTTP/1.1\r$", re.M)


def pump(source, target, count):
    """Passes bytes on until either side ends or they are too many."""
    passed, cut = 0, False
    try:
        while data := source.recv(1 << 16):
            if count:
                for found in UPLOAD.finditer(data):
                    print(found[1].decode(), file=sys.stderr, flush=True)
                passed += len(data)
                with lock:
                    cut = bool(cuts) and passed > cuts[0]
                    if cut:
                        cuts.pop(0)
                if cut:
                    print("CUT", file=sys.stderr, flush=True)
                    break
            target.sendall(data)
    except OSError:
        pass
    for side in source, target:
        try:
            # What is not read yet is thrown away, and the other side is told so at once.
            side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0) if cut else struct.pack("ii", 0, 0))
            side.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        side.close()


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    client, _ = listener.accept()
    registry = socket.create_connection(("127.0.0.1", port))
    threading.Thread(target=pump, args=(client, registry, True), daemon=True).start()
    threading.Thread(target=pump, args=(registry, client, False), daemon=True).start()
