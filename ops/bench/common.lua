-- Reads the targets, shares them out among wrk's threads, prints the result as a line of JSON.
-- Arguments: file of paths, number of threads, number of this run, token.

local threads = {}

function setup(thread)
  thread:set("index", #threads)
  table.insert(threads, thread)
end

-- This thread's paths in an order that is random but stays the same, so that a path comes back
-- only after all others have been.
function shared_out(arguments)
  local paths, line = {}, 0
  for path in io.lines(arguments[1]) do
    if line % tonumber(arguments[2]) == index then table.insert(paths, path) end
    line = line + 1
  end
  math.randomseed(index + 1)
  for last = #paths, 2, -1 do
    local other = math.random(last)
    paths[last], paths[other] = paths[other], paths[last]
  end
  return paths
end

function headers(arguments)
  return {
    ["Authorization"] = "Bearer " .. arguments[4],
    ["Content-Type"] = "application/json",
  }
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"errors":' ..
    '{"connect":%d,"read":%d,"write":%d,"timeout":%d,"status":%d}}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, errors.connect, errors.read, errors.write, errors.timeout,
    errors.status))
end
