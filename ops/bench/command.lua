-- PUT …/panic-mode, on and off in turns. A run begins with "on" for a reason that no other run
-- gives, an event whatever the state was before; every later request switches: each is an event.

dofile(debug.getinfo(1, "S").source:match("^@(.*)command.lua$") .. "common.lua")

local requests, count, nextIndex = {}, 0, 0

function init(arguments)
  local function put(path, body)
    return wrk.format("PUT", path .. "/panic-mode", headers(arguments), body)
  end
  local paths = shared_out(arguments)
  count = 2 * #paths
  for place, path in ipairs(paths) do
    local reason = '"reason":"round ' .. arguments[3] .. '"}'
    requests[place] = put(path, '{"enabled":true,' .. reason)
    requests[#paths + place] = put(path, '{"enabled":false,' .. reason)
  end
  -- wrk asks its first thread for one request only to look at it: not one that others build on.
  if index == 0 then nextIndex = -1 end
end

function request()
  nextIndex = nextIndex % count + 1
  return requests[nextIndex]
end
