"""Drives a program on a pseudo-terminal for terminal.test.ts.

Standard input holds one JSON list of steps: ["send", TEXT], ["expect", TEXT], ["size", ROWS, COLS],
["sleep", SECONDS]. Everything the program wrote is printed at the end, then a line with its exit
status. A step that is not met within its time prints what it waited for and exits with 1.
"""
import fcntl, json, os, pty, select, struct, sys, termios, time

steps = json.load(sys.stdin)
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
seen = b""
mark = 0


def pump(seconds):
    """Reads for at most that long; False at end of file."""
    global seen
    ready, _, _ = select.select([fd], [], [], seconds)
    if not ready:
        return True
    try:
        data = os.read(fd, 65536)
    except OSError:
        return False
    seen += data
    return bool(data)


def finish(code):
    sys.stdout.write(seen.decode("latin1"))
    sys.stdout.flush()
    sys.exit(code)


for step in steps:
    if step[0] == "send":
        os.write(fd, step[1].encode("latin1"))
    elif step[0] == "size":
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", step[1], step[2], 0, 0))
    elif step[0] == "sleep":
        end = time.time() + step[1]
        while time.time() < end and pump(0.05):
            pass
    else:
        wanted = step[1].encode("latin1")
        end = time.time() + 10
        while wanted not in seen[mark:]:
            if time.time() > end or not pump(0.2):
                if wanted in seen[mark:]:
                    break
                sys.stdout.write("waited in vain for %r, after:\n" % step[1])
                os.kill(pid, 9)
                finish(1)
        mark = seen.index(wanted, mark) + len(wanted)
end = time.time() + 10
while time.time() < end and pump(0.2):
    pass
end = time.time() + 2
done, status = os.waitpid(pid, os.WNOHANG)
while not done and time.time() < end:
    time.sleep(0.01)
    done, status = os.waitpid(pid, os.WNOHANG)
if not done:
    os.kill(pid, 9)
    sys.stdout.write("still running at the end:\n")
    finish(1)
sys.stdout.write(seen.decode("latin1"))
print("\n[exit %d]" % os.waitstatus_to_exitcode(status))
