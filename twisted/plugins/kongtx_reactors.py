"""Lets C{twistd --reactor=kongtx} find the native reactor."""

from twisted.application.reactors import Reactor

kongtx = Reactor(
    "kongtx", "kongtx.net.reactor", "uvloop with native transports; epoll where uvloop is missing"
)
