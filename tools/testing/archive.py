#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only
#
# archive.py FOLDER PORTFILE: a web server for tools/testing/check-sources.sh.  FOLDER/.faults
# has a line for each file that is not served as it should be: "slow" or "half", and a part
# of its path.

import functools
import http.server
import os
import sys
import time


class Handler(http.server.SimpleHTTPRequestHandler):
    def fault(self):
        try:
            with open(os.path.join(self.directory, ".faults"), encoding="utf-8") as lines:
                return next((line.split()[0] for line in lines if line.split()[1] in self.path), None)
        except FileNotFoundError:
            return None

    def copyfile(self, source, outputfile):
        fault = self.fault()
        if not fault:
            return super().copyfile(source, outputfile)
        data = source.read()
        if fault == "half":
            outputfile.write(data[:len(data) // 2])
            self.close_connection = True
            return None
        # Never silent for long, and never at an end.
        self.close_connection = True
        try:
            for byte in data[:60]:
                outputfile.write(bytes([byte]))
                outputfile.flush()
                time.sleep(0.5)
        except OSError:
            pass
        return None

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=sys.argv[1]))
server.daemon_threads = True
with open(sys.argv[2] + ".new", "w", encoding="utf-8") as file:
    file.write(str(server.server_address[1]))
os.rename(sys.argv[2] + ".new", sys.argv[2])
server.serve_forever()
