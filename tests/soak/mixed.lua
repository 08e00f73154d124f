-- What the soak asks for, in turn: small answers, large ones, bodies, refusals, closed connections.
local count = 0
local body = string.rep("b", 3000)
local requests = {
  {"GET", "/small"}, {"GET", "/small?a=1"}, {"GET", "/large"}, {"POST", "/small", body},
  {"GET", "/no/such/route"}, {"GET", "/keyed"}, {"GET", "/keyed", nil, "k1"},
  {"PUT", "/keyed", body, "k1"}, {"GET", "/gone"}, {"GET", "/small", nil, nil, "close"},
  {"OPTIONS", "/small"},
}

request = function()
  count = count + 1
  local method, path, content, key, connection = unpack(requests[count % #requests + 1], 1, 5)
  local headers = {["Host"] = "soak.test"}
  if key then headers["apikey"] = key end
  if connection then headers["Connection"] = connection end
  return wrk.format(method, path, headers, content)
end
