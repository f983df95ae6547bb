-- GET of a project, at random.

dofile(debug.getinfo(1, "S").source:match("^@(.*)read.lua$") .. "common.lua")

local requests = {}

function init(arguments)
  for place, path in ipairs(shared_out(arguments)) do
    requests[place] = wrk.format("GET", path, headers(arguments))
  end
end

function request()
  return requests[math.random(#requests)]
end
