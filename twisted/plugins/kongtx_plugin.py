"""Makes C{twistd kongtx} run a gateway."""

from twisted.application.service import ServiceMaker

kongtx = ServiceMaker("kongtx", "kongtx.runtime.processes.tap", "An API gateway.", "kongtx")
