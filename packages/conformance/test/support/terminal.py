"""
Types at a program that runs on a terminal (pty), as a person would: waits for text, then sends keys.

    terminal.py ROWS COLUMNS SECONDS PROGRAM [ARGUMENT...]   steps as JSON on stdin: [["expect", REGEX] | ["send", TEXT] | ["size", [ROWS, COLUMNS]] | ["pause", SECONDS]]

Prints JSON: {"status": exit status or null, "failed": the step that was not reached or null, "output": all that appeared}.
SECONDS is the time allowed for each expectation and for the end.
"""
import fcntl, json, os, pty, re, select, signal, struct, sys, termios, time

rows, columns, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
steps = json.load(sys.stdin)
pid, master = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    os.execvp(sys.argv[4], sys.argv[4:])
fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

output = ""
seen = 0  # up to here the output was matched
ended = False


def read(timeout):
    """Appends what comes within `timeout` seconds; False at the end."""
    global output, ended
    if ended or not select.select([master], [], [], timeout)[0]:
        return not ended
    try:
        data = os.read(master, 65536)
    except OSError:
        data = b""
    ended = data == b""
    output += data.decode(errors="replace")
    return not ended


def expect(pattern):
    global seen
    deadline = time.monotonic() + seconds
    while True:
        found = re.search(pattern, output[seen:])
        if found:
            seen += found.end()
            return True
        left = deadline - time.monotonic()
        if left <= 0 or ended:
            return False
        read(left)


failed = None
for step in steps:
    kind, value = step
    if kind == "expect" and not expect(value):
        failed = step
        break
    elif kind == "send":
        os.write(master, value.encode())
    elif kind == "size":
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *value, 0, 0))
        os.kill(pid, signal.SIGWINCH)
    elif kind == "pause":
        deadline = time.monotonic() + value
        while time.monotonic() < deadline and read(deadline - time.monotonic()):
            pass
deadline = time.monotonic() + (seconds if failed is None else 0)
while not ended and time.monotonic() < deadline:
    read(deadline - time.monotonic())
status = None
if not ended:
    os.kill(pid, signal.SIGKILL)
_, code = os.waitpid(pid, 0)
if ended and os.WIFEXITED(code):
    status = os.WEXITSTATUS(code)
json.dump({"status": status, "failed": failed, "output": output}, sys.stdout)
