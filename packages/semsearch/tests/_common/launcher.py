"""Become a program that ends with its parent.

A script: ``launcher.py PARENT SIGNAL USER GROUP PROGRAM ARGUMENT...``; -1 leaves the user as it is.
It spares pytest, which may have threads by then, from running Python between fork and exec; and
because it ends in exec, the process id that ``Popen`` knows is the server's own.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def become(user: int, group: int) -> None:
    """Give up root for good."""
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)


def end_with_parent(parent: int, signum: int) -> None:
    """Have the kernel send ``signum`` when the parent ends, be it by SIGKILL."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signum)
    if os.getppid() != parent:  # it ended before the request was made
        sys.exit("the parent has gone")


def main(numbers: list[int], command: list[str]) -> None:
    """Set up this process, then run ``command`` in its place."""
    parent, signum, user, group = numbers
    if user >= 0:
        become(user, group)
    if signum and sys.platform == "linux":
        end_with_parent(parent, signum)  # after setuid, which clears the request
    os.execv(command[0], command)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:5]], sys.argv[5:])
