#!/usr/bin/env python3
"""The lab's server: a folder over HTTP on port 80, and a greeting on port 22, both for IPv4 and IPv6."""
import functools
import http.server
import socket
import socketserver
import sys
import threading


class Dual(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class Files(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass


class Greeting(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"this port is denied by a rule: you should not read this\r\n")


if __name__ == "__main__":
    greeting = Dual(("::", 22), Greeting)
    threading.Thread(target=greeting.serve_forever, daemon=True).start()
    Dual(("::", 80), functools.partial(Files, directory=sys.argv[1])).serve_forever()
