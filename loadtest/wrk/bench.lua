-- The requests of a benchmark, as the environment has them: PATHS, a file with a path in each line, asked in turn; METHOD;
-- BODY, a file, with its media type TYPE. At the end a line of JSON says what came of them.
local paths = {}
for line in io.lines(os.getenv("PATHS")) do paths[#paths + 1] = line end
local method = os.getenv("METHOD")
local body, headers
if os.getenv("BODY") then
  local file = io.open(os.getenv("BODY"), "rb")
  body, headers = file:read("*a"), { ["Content-Type"] = os.getenv("TYPE") }
  file:close()
end
local n, only = 0, nil

-- Where there is one path the request is formatted once: a large body is not put together each time.
function init()
  if #paths == 1 then only = wrk.format(method, paths[1], headers, body) end
end

function request()
  if only then return only end
  n = n % #paths + 1
  return wrk.format(method, paths[n], headers, body)
end

function done(summary, latency, _)
  local e = summary.errors
  print(string.format('{"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "failed": %d, "refused": %d}', summary.requests,
    summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000, e.connect + e.read + e.write + e.timeout, e.status))
end
