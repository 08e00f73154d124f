"""Makes C{twistd kongtx} run a gateway."""

from twisted.application.service import ServiceMaker

kongtx = ServiceMaker("kongtx", "kongtx.runtime.tap", "An API gateway.", "kongtx")
